//! JSON: what is read is what others read, and comes back as it was written.

use crate::json::{Raw, Value, parse, pick};
use serde::Deserialize;

/// The object whose members are picked too, and the one of those that ends it.
const INNER: [&str; 2] = ["item", "result"];

/// What the parser says of a text that is fine but for its depth.
const DEEP: &str = "nested too deep";

/// Tries a text.
pub fn hold(text: &[u8]) {
    let ours = parse(text);
    if !ours.as_ref().is_err_and(|why| why.what == DEEP) {
        compare(text, ours.as_ref().ok());
    }
    match &ours {
        Ok(value) => {
            let written = value.to_json();
            assert!(!written.contains(|c| c < ' '), "{written:?}");
            let again = parse(written.as_bytes()).expect("what was written is JSON");
            assert_eq!(again, *value);
            assert_eq!(again.to_json(), written);
            numbers(value);
        }
        Err(why) => assert!(why.at <= text.len(), "{why}"),
    }
    if let Ok(text) = std::str::from_utf8(text) {
        let (read, all) = picked(text, &[]);
        assert_eq!(read, ours.as_ref().map(drop).map_err(ToString::to_string));
        if let Ok(value) = &ours {
            assert_eq!(all, members(value));
            let (read, some) = picked(text, &INNER[1..]);
            assert!(read.is_ok() && all.starts_with(&some));
        }
    }
}

/// Depths, names and values, as they are picked.
type Picked = Vec<(u32, String, String)>;

/// What is picked, and what was wrong.
fn picked(text: &str, last: &[&str]) -> (Result<(), String>, Picked) {
    let mut found = Vec::new();
    let mut each = |depth, name: &str, raw: Raw<'_>| {
        assert!(!raw.is_none());
        let value = raw.value();
        assert_eq!(raw.text(), value.as_str().unwrap_or_default());
        found.push((depth, name.to_owned(), value.to_json()));
    };
    let read = pick(text, INNER[0], last, &mut each).map_err(|why| why.to_string());
    (read, found)
}

/// What is to be picked of a value.
fn members(value: &Value<'_>) -> Picked {
    let one = |depth, name: &str, value: &Value<'_>| (depth, name.to_owned(), value.to_json());
    let mut all = Vec::new();
    for (name, value) in value.as_object().unwrap_or_default() {
        let inner = value.as_object().filter(|_| name == INNER[0]).unwrap_or_default();
        all.extend(inner.iter().map(|(name, value)| one(2, name, value)));
        all.push(one(1, name, value));
    }
    all
}

/// Compares what was read, if it was, with what another reader says.
fn compare(text: &[u8], ours: Option<&Value<'_>>) {
    // numbers of its own, which are objects to everybody else
    if text.windows(11).any(|w| w == b"$serde_json") {
        return;
    }
    let mut reader = serde_json::Deserializer::from_slice(text);
    reader.disable_recursion_limit();
    let theirs = serde_json::Value::deserialize(&mut reader);
    let theirs = theirs.and_then(|value| reader.end().map(|()| value));
    match (ours, theirs) {
        (Some(ours), Ok(theirs)) => same(ours, &theirs),
        (None, Err(_)) => {}
        // half of a surrogate pair, which it does not take
        (Some(_), Err(why)) if text.windows(2).any(|w| w == b"\\u") && why.is_syntax() => {}
        (ours, theirs) => panic!("{ours:?} or {theirs:?}"),
    }
}

/// Two values are the same.
fn same(ours: &Value<'_>, theirs: &serde_json::Value) {
    use serde_json::Value as Theirs;
    match (ours, theirs) {
        (Value::Null, Theirs::Null) => {}
        (Value::Bool(ours), Theirs::Bool(theirs)) => assert_eq!(ours, theirs),
        (Value::Number(ours), Theirs::Number(theirs)) => {
            let plain = |text: &str| text.replace('+', "").replace('E', "e");
            assert_eq!(plain(ours), plain(&theirs.to_string()));
        }
        (Value::String(ours), Theirs::String(theirs)) => assert_eq!(ours, theirs),
        (Value::Array(ours), Theirs::Array(theirs)) => {
            assert_eq!(ours.len(), theirs.len());
            ours.iter().zip(theirs).for_each(|(ours, theirs)| same(ours, theirs));
        }
        (Value::Object(members), Theirs::Object(theirs)) => {
            assert!(members.iter().all(|(key, _)| theirs.contains_key(&**key)));
            for (key, theirs) in theirs {
                same(ours.get(key).expect(key), theirs);
            }
        }
        _ => panic!("{ours:?} or {theirs:?}"),
    }
}

/// The numbers in a value are what a float says, as far as that goes.
fn numbers(value: &Value<'_>) {
    match value {
        Value::Array(items) => items.iter().for_each(numbers),
        Value::Object(members) => members.iter().for_each(|(_, value)| numbers(value)),
        Value::Number(text) => {
            let near = text.parse::<f64>().expect("a number") * 1000.0;
            match value.as_thousandths() {
                Some(u64::MAX) => assert!(near > 1.844e19, "{text}"),
                #[allow(clippy::cast_precision_loss, reason = "near is enough")]
                Some(exact) => {
                    assert!((exact as f64 - near).abs() <= 1.0 + near.abs() * 1e-12, "{text}");
                }
                None => assert!(text.starts_with('-'), "{text}"),
            }
            assert!(value.as_u64().is_none_or(|number| text.parse() == Ok(number)));
            assert!(value.as_i64().is_none_or(|number| text.parse() == Ok(number)));
        }
        _ => {}
    }
}
