//! JSON (RFC 8259): the value, its parser and its writer. Knows nothing of the program.
//!
//! What is read is borrowed from the text wherever nothing was escaped. A number stays the text it
//! was, so that an id goes back exactly as it came and no integer loses a digit.

mod parse;
mod write;

use std::borrow::Cow;

pub use parse::parse;
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

    /// A number as the nearest float, if that is finite.
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
