//! JSON-RPC 2.0 as MCP narrows it: what a line is, and the lines that answer it. Knows no method.

use crate::json::{self, Object, Value};
use std::fmt;

/// The id of a request, as the very text that the client wrote: `1`, `"1"`, `9007199254740993`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id(String);

impl Id {
    /// Reads an id: a string or an integer. MCP allows nothing else, null included.
    pub fn read(value: &Value<'_>) -> Option<Id> {
        match value {
            Value::String(_) => Some(Id(value.to_json())),
            Value::Number(text) if !text.contains(['.', 'e', 'E']) => Some(Id((*text).to_owned())),
            _ => None,
        }
    }

    /// The id as JSON text.
    pub fn json(&self) -> &str {
        &self.0
    }
}

/// An error of the protocol; what goes wrong inside a tool is a result, not one of these.
#[derive(Debug, PartialEq, Eq)]
pub struct Error {
    /// One of the numbers below.
    pub code: i32,
    /// What was wrong, for the one who reads it.
    pub message: String,
    /// More of it, as JSON text.
    pub data: Option<String>,
}

impl Error {
    /// The line is not JSON.
    pub const PARSE: i32 = -32700;
    /// JSON, and no message of the protocol.
    pub const INVALID_REQUEST: i32 = -32600;
    /// No such method here.
    pub const METHOD_NOT_FOUND: i32 = -32601;
    /// The method is known, what came with it is wrong.
    pub const INVALID_PARAMS: i32 = -32602;
    /// The fault is on this side.
    pub const INTERNAL: i32 = -32603;
    /// MCP up to 2025-11-25: no resource has this URI. Since then that is `INVALID_PARAMS`.
    pub const RESOURCE_NOT_FOUND: i32 = -32002;
    /// MCP since 2026-07-28: the client did not say that it can take what it asks for.
    pub const MISSING_CAPABILITY: i32 = -32021;
    /// MCP since 2026-07-28: the request is of a revision that is not spoken here.
    pub const UNSUPPORTED_VERSION: i32 = -32022;

    /// An error without data.
    pub fn new(code: i32, message: impl Into<String>) -> Error {
        Error { code, message: message.into(), data: None }
    }

    /// The method is known, and this is wrong with its parameters.
    pub fn invalid_params(what: impl fmt::Display) -> Error {
        Error::new(Error::INVALID_PARAMS, format!("Invalid params: {what}"))
    }

    /// JSON, and no message of the protocol, for this reason.
    pub fn invalid_request(what: impl fmt::Display) -> Error {
        Error::new(Error::INVALID_REQUEST, format!("Invalid request: {what}"))
    }

    /// No such method here.
    pub fn no_method(method: &str) -> Error {
        Error::new(Error::METHOD_NOT_FOUND, format!("Method not found: {method}"))
    }

    /// The error with data, whose members `fill` writes.
    pub fn with(mut self, fill: impl FnOnce(&mut Object<'_>)) -> Error {
        json::object(self.data.insert(String::new()), fill);
        self
    }
}

/// What a line from the client is.
#[derive(Debug, PartialEq)]
pub enum Message<'a> {
    /// A question, to be answered under its id.
    Request {
        /// The id to answer under.
        id: Id,
        /// The method's name.
        method: String,
        /// The parameters; MCP's are always an object.
        params: Option<Value<'a>>,
    },
    /// Something told, never answered.
    Notification {
        /// The method's name.
        method: String,
        /// The parameters.
        params: Option<Value<'a>>,
    },
    /// The answer to a question of ours. We ask none.
    Response,
    /// Several messages in one line, none of them a batch: 2025-03-26 alone has that.
    Batch(Vec<Message<'a>>),
    /// Nothing of the protocol's; the error to send, under the id if it had a usable one.
    Broken(Option<Id>, Error),
}

/// The most messages that one line may hold. No client is known to send batches at all.
const BATCH_LIMIT: usize = 1000;

impl<'a> Message<'a> {
    /// Reads a line. An empty one is no message.
    pub fn read(line: &'a [u8]) -> Option<Message<'a>> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return None;
        }
        let value = match json::parse(line) {
            Ok(value) => value,
            Err(why) => {
                let error = Error::new(Error::PARSE, format!("Parse error: {why}"));
                return Some(Message::Broken(None, error));
            }
        };
        Some(match value.as_array() {
            Some(items) if (1..=BATCH_LIMIT).contains(&items.len()) => {
                Message::Batch(items.iter().map(Message::of).collect())
            }
            _ => Message::of(&value),
        })
    }

    /// Reads a value that stands for a message.
    fn of(value: &Value<'a>) -> Message<'a> {
        let broken = |id, what: &str| Message::Broken(id, Error::invalid_request(what));
        if let Some(items) = value.as_array() {
            let count = items.len();
            return broken(None, &format!("an object was expected, this is an array of {count}"));
        }
        if value.as_object().is_none() {
            return broken(None, &format!("an object was expected, this is {}", value.kind()));
        }
        let id = value.get("id");
        let good_id = id.and_then(Id::read);
        let Some(method) = value.get("method") else {
            return if value.get("result").is_some() || value.get("error").is_some() {
                Message::Response
            } else {
                broken(good_id, "it has no method")
            };
        };
        let params = value.get("params").filter(|p| **p != Value::Null).cloned();
        match (id, good_id) {
            (None, _) => match method.as_str() {
                Some(method) => Message::Notification { method: method.to_owned(), params },
                // it has no id, so there is nobody to tell
                None => Message::Response,
            },
            (Some(id), None) => {
                broken(None, &format!("id must be a string or an integer, this is {}", id.kind()))
            }
            (Some(_), Some(id)) => {
                if value.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
                    return broken(Some(id), "jsonrpc must be \"2.0\"");
                }
                let Some(method) = method.as_str().map(str::to_owned) else {
                    return broken(Some(id), "method must be a string");
                };
                match params {
                    Some(other) if other.as_object().is_none() => {
                        let what = format!("they must be an object, this is {}", other.kind());
                        Message::Broken(Some(id), Error::invalid_params(what))
                    }
                    params => Message::Request { id, method, params },
                }
            }
        }
    }
}

/// Starts a line and lets `fill` write the members behind `jsonrpc`.
fn line(fill: impl FnOnce(&mut Object<'_>)) -> String {
    let mut out = String::new();
    json::object(&mut out, |o| {
        o.str("jsonrpc", "2.0");
        fill(o);
    });
    out
}

/// The line that answers a request with a result.
pub fn result(id: &Id, fill: impl FnOnce(&mut Object<'_>)) -> String {
    line(|o| {
        o.raw("id", id.json()).object("result", fill);
    })
}

/// The line that answers with an error. Without an id the member is left out: null is refused by
/// the SDKs that read such a line (the schema of 2025-11-25 makes it optional, not null).
pub fn error(id: Option<&Id>, error: &Error) -> String {
    line(|o| {
        if let Some(id) = id {
            o.raw("id", id.json());
        }
        o.object("error", |e| {
            e.int("code", error.code).str("message", &error.message);
            if let Some(data) = &error.data {
                e.raw("data", data);
            }
        });
    })
}

/// The line that answers a batch with all its answers.
pub fn batch(answers: &[String]) -> String {
    format!("[{}]", answers.join(","))
}

/// The line of a notification.
pub fn notification(method: &str, fill: impl FnOnce(&mut Object<'_>)) -> String {
    line(|o| {
        o.str("method", method).object("params", fill);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a line is, in short: `request ID`, `notification`, `response`, `ID? CODE`.
    fn read(line: &str) -> String {
        match Message::read(line.as_bytes()) {
            None => "nothing".into(),
            Some(Message::Request { id, .. }) => format!("request {}", id.json()),
            Some(Message::Notification { .. }) => "notification".into(),
            Some(Message::Response) => "response".into(),
            Some(Message::Batch(messages)) => format!("batch of {}", messages.len()),
            Some(Message::Broken(id, e)) => {
                format!("{}{}", id.map_or(String::new(), |id| format!("{} ", id.0)), e.code)
            }
        }
    }

    #[test]
    fn each_line_is_what_the_protocol_says() {
        for (line, what) in [
            ("", "nothing"),
            (" \t\r", "nothing"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, "request 1"),
            (r#"{"jsonrpc":"2.0","id":"1","method":"ping","params":null}"#, "request \"1\""),
            (r#"{"jsonrpc":"2.0","id":-0,"method":"ping","params":{}}"#, "request -0"),
            (
                r#"{"jsonrpc":"2.0","id":12345678901234567890123,"method":"p"}"#,
                "request 12345678901234567890123",
            ),
            (r#"{"jsonrpc":"2.0","\u0069d":7,"method":"p"}"#, "request 7"),
            (r#"{"method":"notifications/x","params":[1]}"#, "notification"),
            (r#"{"method":5}"#, "response"),
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, "response"),
            (r#"{"jsonrpc":"2.0","id":null,"error":{}}"#, "response"),
            (r#"{"jsonrpc":"2.0","id":null,"method":"p"}"#, "-32600"),
            (r#"{"jsonrpc":"2.0","id":1.0,"method":"p"}"#, "-32600"),
            (r#"{"jsonrpc":"2.0","id":1e3,"method":"p"}"#, "-32600"),
            (r#"{"jsonrpc":"2.0","id":true,"method":"p"}"#, "-32600"),
            (r#"{"jsonrpc":"2.0","id":{},"method":"p"}"#, "-32600"),
            (r#"{"jsonrpc":"1.0","id":1,"method":"p"}"#, "1 -32600"),
            (r#"{"id":1,"method":"p"}"#, "1 -32600"),
            (r#"{"jsonrpc":"2.0","id":1,"method":5}"#, "1 -32600"),
            (r#"{"jsonrpc":"2.0","id":1}"#, "1 -32600"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"p","params":[]}"#, "1 -32602"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"p","params":"x"}"#, "1 -32602"),
            ("[]", "-32600"),
            ("[[],5]", "batch of 2"),
            ("5", "-32600"),
            ("{", "-32700"),
            ("{} {}", "-32700"),
        ] {
            assert_eq!(read(line), what, "{line}");
        }
    }

    #[test]
    fn answers_are_one_line_each() {
        let id = Id("\"a\"".into());
        let line = result(&id, |o| {
            o.str("text", "a\nb");
        });
        assert_eq!(line, r#"{"jsonrpc":"2.0","id":"a","result":{"text":"a\nb"}}"#);
        let mut e = Error::new(-32700, "no");
        assert_eq!(error(None, &e), r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"no"}}"#);
        e.data = Some("{}".into());
        assert!(error(Some(&id), &e).contains(r#""id":"a","error":{"#));
        assert!(error(Some(&id), &e).ends_with(r#""data":{}}}"#));
    }

    #[test]
    fn every_mixture_of_members_is_what_it_is_by_each_of_them() {
        let member = |name: &str, values: &[&str]| -> Vec<String> {
            let said = values.iter().map(|value| format!(",\"{name}\":{value}"));
            [String::new()].into_iter().chain(said).collect()
        };
        let versions = member("jsonrpc", &["\"2.0\"", "\"1.0\"", "2.0"]);
        let ids = member("id", &["7", "\"7\"", "null", "7.0", "true", "[]", "{}"]);
        let methods = member("method", &["\"m\"", "5", "null"]);
        let params = member("params", &["{}", "null", "[]", "5"]);
        let ends = member("result", &["{}"]);
        let mut lines = vec![(String::new(), [0; 5])];
        for (at, choices) in [versions, ids, methods, params, ends].iter().enumerate() {
            let longer = |(line, chosen): &(String, [usize; 5])| {
                let (line, chosen) = (line.clone(), *chosen);
                choices.iter().enumerate().map(move |(choice, said)| {
                    let mut chosen = chosen;
                    chosen[at] = choice;
                    (line.clone() + said, chosen)
                })
            };
            lines = lines.iter().flat_map(longer).collect();
        }
        assert_eq!(lines.len(), 4 * 8 * 4 * 5 * 2);
        for (members, [version, id, method, params, end]) in lines {
            let line = format!("{{\"x\":0{members}}}");
            let good_id = ["", "7 ", "\"7\" "].get(id).copied();
            let what = match (method, id) {
                (0, _) if end == 1 => "response".into(),
                (0, _) => format!("{}-32600", good_id.unwrap_or_default()),
                (1, 0) => "notification".into(),
                (_, 0) => "response".into(),
                (_, 3..) => "-32600".into(),
                _ if version != 1 || method != 1 => format!("{}-32600", good_id.unwrap()),
                _ if params > 2 => format!("{}-32602", good_id.unwrap()),
                _ => format!("request {}", good_id.unwrap().trim()),
            };
            assert_eq!(read(&line), what, "{line}");
        }
    }
}
