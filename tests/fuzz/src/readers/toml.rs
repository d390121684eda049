//! TOML that is written reads back as the value that it was, and is one value on one line.

use crate::codex::toml::{quote, write};
use crate::json::{Value, parse};
use toml::Value as Theirs;

/// Tries the JSON of a value, and a text.
pub fn hold(data: &[u8]) {
    if let Ok(value) = parse(data) {
        match write(&value) {
            Ok(written) => same(&value, &read(&written)),
            Err(why) => assert!(!why.is_empty()),
        }
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let mut out = String::new();
        quote(&mut out, text);
        assert_eq!(read(&out), Theirs::String(text.to_owned()));
    }
}

/// What stands behind `-c key=`, as another reader reads it.
pub fn read(written: &str) -> Theirs {
    assert!(!written.contains('\n') && !written.contains('\0'));
    let table: toml::Table = toml::from_str(&format!("key = {written}"))
        .unwrap_or_else(|why| panic!("{written}: {why}"));
    assert_eq!(table.len(), 1, "{written}");
    table.into_iter().next().expect("one member").1
}

/// Two values are the same.
pub fn same(ours: &Value<'_>, theirs: &Theirs) {
    match (ours, theirs) {
        (Value::Bool(ours), Theirs::Boolean(theirs)) => assert_eq!(ours, theirs),
        (Value::Number(ours), Theirs::Integer(theirs)) => assert_eq!(ours.parse(), Ok(*theirs)),
        (Value::Number(ours), Theirs::Float(theirs)) => {
            assert!(theirs.is_finite() && ours.parse() == Ok(*theirs), "{ours} or {theirs}");
        }
        (Value::String(ours), Theirs::String(theirs)) => assert_eq!(ours, theirs),
        (Value::Array(ours), Theirs::Array(theirs)) => {
            assert_eq!(ours.len(), theirs.len());
            ours.iter().zip(theirs).for_each(|(ours, theirs)| same(ours, theirs));
        }
        (Value::Object(members), Theirs::Table(theirs)) => {
            assert!(members.iter().all(|(key, _)| theirs.contains_key(&**key)));
            for (key, theirs) in theirs {
                same(ours.get(key).expect(key), theirs);
            }
        }
        _ => panic!("{ours:?} or {theirs:?}"),
    }
}
