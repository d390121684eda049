//! Lines from a client: each gets at most one answer, which is one line of JSON under the very id.

use crate::json::{Value, parse};
use crate::mcp::Client;
use crate::mcp::tool::Tool;
use crate::rpc::{Error, Id, Message, error, result};

/// Tries a line.
pub fn hold(line: &[u8]) {
    let Some(message) = Message::read(line) else {
        assert!(line.iter().all(u8::is_ascii_whitespace));
        return;
    };
    let value = parse(line);
    match (&message, &value) {
        (Message::Batch(messages), Ok(Value::Array(values))) => {
            assert!(messages.len() == values.len() && (1..=1000).contains(&values.len()));
            messages.iter().zip(values).for_each(|(message, value)| single(message, value));
        }
        (Message::Broken(id, wrong), Err(_)) => {
            assert!(id.is_none() && wrong.code == Error::PARSE);
            answered(None, wrong);
        }
        (message, value) => single(message, value.as_ref().expect("JSON")),
    }
}

/// A message that stands alone.
fn single(message: &Message<'_>, value: &Value<'_>) {
    match message {
        Message::Request { id, method, params } => {
            let line = result(id, |o| {
                o.str("method", method);
            });
            assert_eq!(answer(&line).get("id"), value.get("id"));
            let digits =
                |text: &str| text.trim_start_matches('-').bytes().all(|b| b.is_ascii_digit());
            assert!(id.json().starts_with('"') || digits(id.json()), "{id:?}");
            assert_eq!(value.get("method").and_then(Value::as_str), Some(method.as_str()));
            let none = Value::Null;
            let params = params.as_ref().unwrap_or(&none);
            assert!(matches!(params, Value::Null | Value::Object(_)));
            if let Err(wrong) = Client::read(method, params) {
                answered(Some(id), &wrong);
            }
            let arguments = params.get("arguments").unwrap_or(&none);
            for tool in Tool::ALL {
                if let Err(wrong) = tool.check(arguments) {
                    answered(Some(id), &Error::invalid_params(wrong));
                }
            }
        }
        Message::Notification { method, .. } => {
            assert_eq!(value.get("method").and_then(Value::as_str), Some(method.as_str()));
            assert_eq!(value.get("id"), None);
        }
        Message::Response => assert!(value.as_object().is_some()),
        Message::Batch(_) => panic!("a batch in a batch"),
        Message::Broken(id, wrong) => {
            let line = answered(id.as_ref(), wrong);
            let known = answer(&line).get("id").cloned();
            assert!(known.is_none() || known.as_ref() == value.get("id"));
        }
    }
}

/// The line that tells an error.
fn answered(id: Option<&Id>, wrong: &Error) -> String {
    let line = error(id, wrong);
    let told = answer(&line);
    let told = told.get("error").expect("an error");
    assert_eq!(told.get("message").and_then(Value::as_str), Some(wrong.message.as_str()));
    assert_eq!(told.get("code").and_then(Value::as_i64), Some(wrong.code.into()));
    line
}

/// What such a line says.
fn answer(line: &str) -> Value<'_> {
    assert!(!line.contains('\n'));
    parse(line.as_bytes()).expect("an answer is JSON")
}
