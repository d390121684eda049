//! JSON (RFC 8259): the value, its parser and its writer. Knows nothing of the program.
//!
//! What is read is borrowed from the text wherever nothing was escaped. A number stays the text it
//! was, so that an id goes back exactly as it came and no integer loses a digit.

mod parse;
mod write;

use std::borrow::Cow;

pub use parse::{Raw, parse, pick};
pub use write::{Object, array, object, quote};

/// One JSON value, in the order and with the duplicates it was written with.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as it was written.
    Number(&'a str),
    /// A string, unescaped.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Value<'a>>),
    /// An object: its members in order, duplicates kept.
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
}

impl<'a> Value<'a> {
    /// The member `key` of an object; of duplicates the last, as every MCP SDK reads them.
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.as_object()?.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        if let Value::String(text) = self { Some(text) } else { None }
    }

    /// A number that is written as an integer and fits; `1.0` and `1e3` are none.
    pub fn as_i64(&self) -> Option<i64> {
        if let Value::Number(text) = self { text.parse().ok() } else { None }
    }

    /// As [`Value::as_i64`], not below zero.
    pub fn as_u64(&self) -> Option<u64> {
        if let Value::Number(text) = self { text.parse().ok() } else { None }
    }

    /// A thousand times a number that is not below zero, cut to an integer: seconds as milliseconds.
    /// What is larger than fits is the largest that does.
    pub fn as_thousandths(&self) -> Option<u64> {
        if let Value::Number(text) = self { thousandths(text) } else { None }
    }

    /// A number as the nearest float, if that is finite. The program itself does without floats: the
    /// code that reads and writes them is larger than all that it would be used for.
    #[cfg(test)]
    #[allow(dead_code)]
    pub fn as_f64(&self) -> Option<f64> {
        if let Value::Number(text) = self {
            text.parse().ok().filter(|number: &f64| number.is_finite())
        } else {
            None
        }
    }

    /// A boolean.
    pub fn as_bool(&self) -> Option<bool> {
        if let Value::Bool(value) = self { Some(*value) } else { None }
    }

    /// The elements of an array.
    pub fn as_array(&self) -> Option<&[Value<'a>]> {
        if let Value::Array(items) = self { Some(items) } else { None }
    }

    /// The members of an object.
    pub fn as_object(&self) -> Option<&[(Cow<'a, str>, Value<'a>)]> {
        if let Value::Object(members) = self { Some(members) } else { None }
    }

    /// What a person calls this kind of value, with its article.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        }
    }

    /// Appends the value as JSON text.
    pub fn write(&self, out: &mut String) {
        match self {
            Value::Null => out.push_str("null"),
            Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Value::Number(text) => out.push_str(text),
            Value::String(text) => quote(out, text),
            Value::Array(items) => array(out, |a| {
                for item in items {
                    a.value(item);
                }
            }),
            Value::Object(members) => object(out, |o| {
                for (key, value) in members {
                    o.value(key, value);
                }
            }),
        }
    }

    /// The value as JSON text.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }
}

/// A thousand times the number that `text` is, as [`Value::as_thousandths`] says.
fn thousandths(text: &str) -> Option<u64> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.trim_start_matches('-').bytes().chain(fraction.bytes());
    if digits().all(|digit| digit == b'0') {
        return Some(0);
    }
    if whole.starts_with('-') {
        return None;
    }
    // an exponent that does not fit is far above or below all that matters
    let sign = if exponent.starts_with('-') { -1_000_000 } else { 1_000_000 };
    let shift: i64 = exponent.parse::<i64>().unwrap_or(sign).clamp(-1_000_000, 1_000_000) + 3;
    let places = shift.saturating_add(whole.len().try_into().ok()?);
    let mut value = 0_u64;
    for digit in digits().chain(std::iter::repeat(b'0')).take(places.max(0).try_into().ok()?) {
        let next = value.checked_mul(10).and_then(|v| v.checked_add(u64::from(digit - b'0')));
        let Some(next) = next else { return Some(u64::MAX) };
        value = next;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_of_every_form_are_milliseconds() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-0.000", Some(0)),
            ("0e9", Some(0)),
            ("5", Some(5000)),
            ("0.5", Some(500)),
            ("1795437000.2509", Some(1_795_437_000_250)),
            ("1.5e3", Some(1_500_000)),
            ("1500E-3", Some(1500)),
            ("0.0001", Some(0)),
            ("1e-400", Some(0)),
            ("1e-99999999999999999999", Some(0)),
            ("1e400", Some(u64::MAX)),
            ("1e99999999999999999999", Some(u64::MAX)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551.615", Some(u64::MAX)),
            ("-1", None),
            ("-0.5", None),
        ] {
            assert_eq!(Value::Number(text).as_thousandths(), expected, "{text}");
        }
    }
}
