//! JSON text, written straight into one buffer: no tree is built to be written.

use super::Value;
use super::parse::plain;

/// Appends `text` as a JSON string. Only `"`, `\` and what lies below U+0020 is escaped.
pub fn quote(out: &mut String, text: &str) {
    out.reserve(text.len() + 2);
    out.push('"');
    let mut rest = text;
    loop {
        let (plain, from) = rest.split_at(plain(rest.as_bytes()));
        out.push_str(plain);
        let mut chars = from.chars();
        let Some(special) = chars.next() else { break };
        let letter = match special {
            '"' | '\\' => special,
            '\n' => 'n',
            '\r' => 'r',
            '\t' => 't',
            _ => 'u',
        };
        out.push('\\');
        out.push(letter);
        if letter == 'u' {
            out.push_str(if special < '\u{10}' { "000" } else { "001" });
            out.extend(char::from_digit(u32::from(special) & 15, 16));
        }
        rest = chars.as_str();
    }
    out.push('"');
}

/// Appends an object whose members `fill` writes.
pub fn object(out: &mut String, fill: impl FnOnce(&mut Object<'_>)) {
    out.push('{');
    fill(&mut Object { out, empty: true });
    out.push('}');
}

/// Appends an array whose elements `fill` writes.
pub fn array(out: &mut String, fill: impl FnOnce(&mut Array<'_>)) {
    out.push('[');
    fill(&mut Array { out, empty: true });
    out.push(']');
}

/// An object that is being written.
pub struct Object<'a> {
    /// Where the text goes.
    out: &'a mut String,
    /// No member was written yet.
    empty: bool,
}

impl Object<'_> {
    /// Writes what stands before a member's value, and gives the place for the value.
    fn key(&mut self, key: &str) -> &mut String {
        if !self.empty {
            self.out.push(',');
        }
        self.empty = false;
        quote(self.out, key);
        self.out.push(':');
        self.out
    }

    /// A string member.
    pub fn str(&mut self, key: &str, value: &str) -> &mut Self {
        quote(self.key(key), value);
        self
    }

    /// A string member, left out where there is no value.
    pub fn maybe_str(&mut self, key: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.str(key, value);
        }
        self
    }

    /// An integer member.
    pub fn int(&mut self, key: &str, value: impl Into<i128>) -> &mut Self {
        let value = value.into();
        // none has more than 64 bits, and std writes those with less code
        let digits = u64::try_from(value.unsigned_abs()).unwrap_or(u64::MAX).to_string();
        let out = self.key(key);
        if value < 0 {
            out.push('-');
        }
        out.push_str(&digits);
        self
    }

    /// A boolean member.
    pub fn bool(&mut self, key: &str, value: bool) -> &mut Self {
        self.raw(key, if value { "true" } else { "false" })
    }

    /// A member whose value is JSON text already.
    pub fn raw(&mut self, key: &str, json: &str) -> &mut Self {
        self.key(key).push_str(json);
        self
    }

    /// A member with a parsed value.
    pub fn value(&mut self, key: &str, value: &Value<'_>) -> &mut Self {
        value.write(self.key(key));
        self
    }

    /// A member that is an object.
    pub fn object(&mut self, key: &str, fill: impl FnOnce(&mut Object<'_>)) -> &mut Self {
        object(self.key(key), fill);
        self
    }

    /// A member that is an array of strings.
    pub fn strs<T: AsRef<str>>(
        &mut self,
        key: &str,
        strings: impl IntoIterator<Item = T>,
    ) -> &mut Self {
        self.array(key, |a| {
            for string in strings {
                a.str(string.as_ref());
            }
        })
    }

    /// A member that is an array.
    pub fn array(&mut self, key: &str, fill: impl FnOnce(&mut Array<'_>)) -> &mut Self {
        array(self.key(key), fill);
        self
    }
}

/// An array that is being written.
pub struct Array<'a> {
    /// Where the text goes.
    out: &'a mut String,
    /// No element was written yet.
    empty: bool,
}

impl Array<'_> {
    /// Writes what stands before an element, and gives the place for it.
    fn next(&mut self) -> &mut String {
        if !self.empty {
            self.out.push(',');
        }
        self.empty = false;
        self.out
    }

    /// A string.
    pub fn str(&mut self, value: &str) -> &mut Self {
        quote(self.next(), value);
        self
    }

    /// A parsed value.
    pub fn value(&mut self, value: &Value<'_>) -> &mut Self {
        value.write(self.next());
        self
    }

    /// An object.
    pub fn object(&mut self, fill: impl FnOnce(&mut Object<'_>)) -> &mut Self {
        object(self.next(), fill);
        self
    }
}
