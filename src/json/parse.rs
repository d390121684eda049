//! The parser: bytes in, one value out, or what is wrong and at which byte.

use super::Value;
use std::borrow::Cow;
use std::fmt;

/// How deep arrays and objects may nest. Recursion and drop stay far from the end of the stack.
const DEPTH: u32 = 128;

/// Why a text is no JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// The byte at which it went wrong, counted from 0.
    pub at: usize,
    /// What was wrong there.
    pub what: &'static str,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

/// Reads one value that fills the text but for white space around it.
///
/// A lone surrogate escape becomes U+FFFD, so that a slip in one string does not cost the line it
/// stands in. Everything else that RFC 8259 does not allow is refused.
pub fn parse(text: &[u8]) -> Result<Value<'_>, Error> {
    let text = std::str::from_utf8(text)
        .map_err(|e| Error { at: e.valid_up_to(), what: "text that is not UTF-8" })?;
    Parser { text, at: 0, pick: None }.all()
}

/// Reads one value that fills the text, as [`parse`] does, and tells of the members of the outermost
/// object, and of those of the object in it that is called `inner`: how deep it lies (1 or 2), its name
/// and where it stands. It keeps nothing, and allocates nothing but names that are written with escapes.
/// At a member of the inner object that is called like one of `last` it ends; that member and what
/// stands behind it is not looked at.
pub fn pick<'a>(
    text: &'a str,
    inner: &str,
    last: &[&str],
    each: Each<'a, '_>,
) -> Result<(), Error> {
    let pick = Pick { inner, last, within: false, each };
    match (Parser { text, at: 0, pick: Some(pick) }).all() {
        Err(Error { what: ENOUGH, .. }) => Ok(()),
        other => other.map(drop),
    }
}

/// What is told of each member.
type Each<'a, 'b> = &'b mut dyn FnMut(u32, &str, Raw<'a>);

/// A value as it stands in a text: JSON, or nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// There was no such member.
    pub fn is_none(self) -> bool {
        self.0.is_empty()
    }

    /// It, if there was such a member.
    pub fn there(self) -> Option<Raw<'a>> {
        (!self.is_none()).then_some(self)
    }

    /// The text of a string, if it is one.
    pub fn string(self) -> Option<Cow<'a, str>> {
        let mut parser = Parser { text: self.0, at: 0, pick: None };
        if self.0.starts_with('"') { parser.string(true).ok() } else { None }
    }

    /// The text of a string; empty for all else.
    pub fn text(self) -> Cow<'a, str> {
        self.string().unwrap_or_default()
    }

    /// The value; null where there is none.
    pub fn value(self) -> Value<'a> {
        parse(self.0.as_bytes()).unwrap_or(Value::Null)
    }
}

/// What was wrong where the parser stands.
type Wrong = &'static str;

/// Nothing: what comes is not looked at.
const ENOUGH: Wrong = "";

/// It is that there is no more.
const EARLY: Wrong = "the text ends too early";

/// What is told while a text is read in passing.
struct Pick<'a, 'b> {
    /// The object that is told of besides the outermost one.
    inner: &'b str,
    /// The members at which it ends.
    last: &'b [&'b str],
    /// It is read at the moment.
    within: bool,
    /// Is told.
    each: Each<'a, 'b>,
}

/// The place the parser stands at.
struct Parser<'a, 'b> {
    /// The whole text.
    text: &'a str,
    /// The next byte to read.
    at: usize,
    /// Nothing is kept, members are told of.
    pick: Option<Pick<'a, 'b>>,
}

#[allow(clippy::inline_always, reason = "where the size counts, nothing else is taken for a wish")]
impl<'a> Parser<'a, '_> {
    /// The next byte, if there is one.
    #[inline(always)]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte behind white space, of which JSON has four characters.
    #[inline(always)]
    fn next(&mut self) -> Option<u8> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                other => return other,
            }
        }
    }

    /// Takes the next byte behind white space, if it is this one.
    #[inline(always)]
    fn takes(&mut self, byte: u8) -> bool {
        let there = self.next() == Some(byte);
        self.at += usize::from(there);
        there
    }

    /// The text from `from` to here. Both always stand beside an ASCII byte.
    #[inline(always)]
    fn since(&self, from: usize) -> &'a str {
        self.text.get(from..self.at).unwrap_or("")
    }

    /// Reads the whole text.
    fn all(mut self) -> Result<Value<'a>, Error> {
        let mut value = Value::Null;
        let read = self.value(0, &mut value);
        let read = read.and_then(|()| match self.next() {
            None => Ok(value),
            Some(_) => Err("something after the end of the value"),
        });
        read.map_err(|what| Error { at: self.at, what })
    }

    /// Reads the value that comes next into `value`: handed back as a result it would be moved once
    /// more, and slowly. `depth` arrays and objects are open around it.
    fn value(&mut self, depth: u32, value: &mut Value<'a>) -> Result<(), Wrong> {
        *value = match self.next() {
            Some(b'"') => Value::String(self.string(self.pick.is_none())?),
            Some(b'{') => Value::Object(self.object(depth)?),
            Some(b'[') => Value::Array(self.array(depth)?),
            Some(b'-' | b'0'..=b'9') => Value::Number(self.number()?),
            Some(b't') => self.word("true", Value::Bool(true))?,
            Some(b'f') => self.word("false", Value::Bool(false))?,
            Some(b'n') => self.word("null", Value::Null)?,
            Some(_) => return Err("a value was expected"),
            None => return Err(EARLY),
        };
        Ok(())
    }

    /// Reads one of the three words.
    fn word(&mut self, word: &str, value: Value<'a>) -> Result<Value<'a>, Wrong> {
        if self.text.as_bytes().get(self.at..).is_some_and(|rest| rest.starts_with(word.as_bytes()))
        {
            self.at += word.len();
            Ok(value)
        } else {
            Err("a value was expected")
        }
    }

    /// Steps into an array or object.
    fn open(&mut self, depth: u32) -> Result<u32, Wrong> {
        if depth == DEPTH {
            return Err("nested too deep");
        }
        self.at += 1;
        Ok(depth + 1)
    }

    /// After an element: `true` at a comma, `false` at the end.
    fn more(&mut self, end: u8, what: Wrong) -> Result<bool, Wrong> {
        if self.takes(b',') {
            Ok(true)
        } else if self.takes(end) {
            Ok(false)
        } else {
            Err(self.peek().map_or(EARLY, |_| what))
        }
    }

    /// Reads an array.
    fn array(&mut self, depth: u32) -> Result<Vec<Value<'a>>, Wrong> {
        let depth = self.open(depth)?;
        let mut items = Vec::new();
        let mut more = !self.takes(b']');
        while more {
            let mut item = Value::Null;
            self.value(depth, &mut item)?;
            if self.pick.is_none() {
                items.push(item);
            }
            more = self.more(b']', "a comma or the array's end was expected")?;
        }
        Ok(items)
    }

    /// Reads an object.
    fn object(&mut self, depth: u32) -> Result<Vec<(Cow<'a, str>, Value<'a>)>, Wrong> {
        let depth = self.open(depth)?;
        let mut members = Vec::new();
        let mut more = !self.takes(b'}');
        while more {
            if self.next() != Some(b'"') {
                return Err("a member's name was expected");
            }
            let key = self.string(true)?;
            if !self.takes(b':') {
                return Err("a colon was expected");
            }
            let mut value = Value::Null;
            if self.pick.is_none() {
                self.value(depth, &mut value)?;
                members.push((key, value));
            } else {
                self.pass(depth, &key)?;
            }
            more = self.more(b'}', "a comma or the object's end was expected")?;
        }
        Ok(members)
    }

    /// Reads a member's value in passing, and tells of it if it is to be told of.
    fn pass(&mut self, depth: u32, name: &str) -> Result<(), Wrong> {
        self.next();
        let from = self.at;
        let Some(pick) = &mut self.pick else { return Ok(()) };
        if depth == 1 {
            pick.within = name == pick.inner;
        }
        let tells = depth == 1 || depth == 2 && pick.within;
        if tells && depth == 2 && pick.last.contains(&name) {
            return Err(ENOUGH);
        }
        self.value(depth, &mut Value::Null)?;
        let raw = Raw(self.since(from));
        if let Some(pick) = self.pick.as_mut().filter(|_| tells) {
            (pick.each)(depth, name, raw);
        }
        Ok(())
    }

    /// Reads a number and keeps it as it is written.
    fn number(&mut self) -> Result<&'a str, Wrong> {
        let from = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(self.since(from))
    }

    /// Skips one digit or more.
    fn digits(&mut self) -> Result<(), Wrong> {
        let from = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if from == self.at { Err("a digit was expected") } else { Ok(()) }
    }

    /// Reads a string; it is borrowed unless something in it is escaped. One that is not to be kept is
    /// not put together.
    fn string(&mut self, keeps: bool) -> Result<Cow<'a, str>, Wrong> {
        self.at += 1;
        let mut from = self.at;
        let mut unescaped = Vec::new();
        loop {
            self.at += plain(self.text.as_bytes().get(self.at..).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    let piece = if keeps { self.since(from) } else { "" };
                    self.at += 1;
                    return Ok(if unescaped.is_empty() {
                        Cow::Borrowed(piece)
                    } else {
                        append(&mut unescaped, piece);
                        // pieces of text, and characters: text again
                        Cow::Owned(String::from_utf8(unescaped).unwrap_or_default())
                    });
                }
                Some(b'\\') => {
                    let end = self.at;
                    self.at += 1;
                    let escaped = self.escape()?;
                    if keeps {
                        append(&mut unescaped, self.text.get(from..end).unwrap_or_default());
                        append(&mut unescaped, escaped.encode_utf8(&mut [0; 4]));
                    }
                    from = self.at;
                }
                Some(_) => return Err("a control character in a string"),
                None => return Err(EARLY),
            }
        }
    }

    /// Reads what follows a backslash.
    fn escape(&mut self) -> Result<char, Wrong> {
        let simple = match self.peek() {
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            Some(b @ (b'"' | b'\\' | b'/')) => char::from(b),
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(_) => return Err("an unknown escape"),
            None => return Err(EARLY),
        };
        self.at += 1;
        Ok(simple)
    }

    /// Reads the four digits of a `\u` escape, and the low surrogate behind a high one.
    fn unicode(&mut self) -> Result<char, Wrong> {
        let first = self.hex4()?;
        if let 0xD800..=0xDBFF = first {
            let behind = self.text.as_bytes().get(self.at..).unwrap_or_default();
            if behind.starts_with(b"\\u") {
                let back = self.at;
                self.at += 2;
                let second = self.hex4()?;
                if let 0xDC00..=0xDFFF = second {
                    let scalar = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                    return Ok(char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                // what follows is no second half: it is read again, for itself
                self.at = back;
            }
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    /// Reads four hexadecimal digits.
    fn hex4(&mut self) -> Result<u32, Wrong> {
        let mut value = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|b| char::from(b).to_digit(16));
            value = value * 16 + digit.ok_or("four hexadecimal digits were expected")?;
            self.at += 1;
        }
        Ok(value)
    }
}

/// Adds a piece of text. Between escapes it is often so short that a call of memcpy(3) takes longer.
fn append(out: &mut Vec<u8>, piece: &str) {
    if piece.len() < 16 {
        for byte in piece.bytes() {
            out.push(byte);
        }
    } else {
        out.extend_from_slice(piece.as_bytes());
    }
}

/// How many bytes from the start of `text` stand for themselves in a string. Eight at a time: a
/// transcript is mostly long strings.
pub(super) fn plain(text: &[u8]) -> usize {
    /// 0x01 in each byte.
    const ONES: u64 = 0x0101_0101_0101_0101;
    /// 0x80 in each byte.
    const HIGHS: u64 = ONES << 7;
    // A subtraction borrows where a byte is below `n`, and may borrow from the byte above then: a
    // false mark can only stand above a true one. Bytes from 0x80 on are masked out.
    let below = |x: u64, n: u64| x.wrapping_sub(ONES * n);
    // with its second bit turned, `"` is the one byte that joins those below 0x20
    let marks = |x: u64| {
        (below(x ^ (ONES * 2), 0x21) | below(x ^ (ONES * u64::from(b'\\')), 1)) & !x & HIGHS
    };

    let mut rest = text;
    while let Some((word, behind)) = rest.split_first_chunk() {
        let marks = marks(u64::from_le_bytes(*word));
        if marks != 0 {
            let clear = usize::try_from(marks.trailing_zeros() / 8).unwrap_or(0);
            return text.len() - rest.len() + clear;
        }
        rest = behind;
    }
    let special = |b: &u8| *b < 0x20 || *b == b'"' || *b == b'\\';
    text.len() - rest.len() + rest.iter().position(special).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text's value, written back.
    fn round(text: &str) -> String {
        parse(text.as_bytes()).map_or_else(|e| format!("{e}"), |v| v.to_json())
    }

    #[test]
    fn values_come_back_as_they_were_written() {
        for text in [
            "null",
            "true",
            "false",
            "0",
            "-0",
            "-1.50e+10",
            "123456789012345678901234567890",
            "1E400",
            r#""""#,
            r#""a\nb\"\\\t\r""#,
            "\"\u{2028}\u{2029}\u{85}\u{7f}é😀\"",
            "[]",
            "{}",
            r#"[1,[2,[3]],{"a":{"b":[]}}]"#,
            r#"{"id":1,"id":2}"#,
        ] {
            assert_eq!(round(text), text);
        }
        assert_eq!(round(" [ 1 , 2 ]\r\n\t"), "[1,2]");
        assert_eq!(
            round(r#""\u0041\u00e9\/\b\f\u0000\u001f""#),
            r#""Aé/\u0008\u000c\u0000\u001f""#
        );
    }

    #[test]
    fn what_is_not_json_is_refused_at_the_right_byte() {
        for (text, at) in [
            ("", 0),
            (" ", 1),
            ("nul", 0),
            ("truex", 4),
            ("01", 1),
            ("-", 1),
            ("+1", 0),
            (".5", 0),
            ("1.", 2),
            ("1e", 2),
            ("1e+", 3),
            ("0x1", 1),
            ("NaN", 0),
            ("Infinity", 0),
            ("[1,]", 3),
            ("[1 2]", 3),
            ("[", 1),
            ("[1", 2),
            ("{\"a\"}", 4),
            ("{\"a\":}", 5),
            ("{\"a\":1,}", 7),
            ("{a:1}", 1),
            ("{'a':1}", 1),
            ("\"a", 2),
            ("\"a\tb\"", 2),
            ("\"12345678\u{1}\"", 9),
            ("\"\\x\"", 2),
            ("\"\\u12\"", 5),
            ("\"\\u 041\"", 3),
            ("\"\\u+041\"", 3),
            ("1 2", 2),
            ("[]]", 2),
            ("\u{feff}[]", 0),
            ("[\u{a0}1]", 1),
            ("[1]//", 3),
        ] {
            assert_eq!(parse(text.as_bytes()).map_err(|e| e.at), Err(at), "{text:?}");
        }
        assert_eq!(parse(b"\"ab\xff\"").map_err(|e| e.at), Err(3));
        assert_eq!(parse(b"\"\xc0\xaf\"").map_err(|e| e.at), Err(1), "overlong");
        assert_eq!(parse(b"\"\xed\xa0\x80\"").map_err(|e| e.at), Err(1), "a surrogate in UTF-8");
    }

    #[test]
    fn surrogates_join_and_a_lone_one_is_replaced() {
        for (text, value) in [
            (r#""\ud83d\ude00""#, "😀"),
            (r#""\ud800""#, "\u{fffd}"),
            (r#""\udc00x""#, "\u{fffd}x"),
            (r#""\ud800\ud800""#, "\u{fffd}\u{fffd}"),
            (r#""\ud800\u0041""#, "\u{fffd}A"),
            (r#""\ud800\n""#, "\u{fffd}\n"),
            (r#""\uDBFF\uDFFF""#, "\u{10ffff}"),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap().as_str(), Some(value), "{text}");
        }
        assert!(parse(br#""\ud800\u12""#).is_err());
    }

    #[test]
    fn strings_are_borrowed_where_nothing_is_escaped() {
        let borrowed = |text| matches!(parse(text), Ok(Value::String(Cow::Borrowed(_))));
        assert!(borrowed("\"plain é\"".as_bytes()));
        assert!(!borrowed(br#""a\n""#));
    }

    #[test]
    fn members_are_found_by_their_decoded_name_and_the_last_wins() {
        let value = parse(br#"{"\u006dethod":"a","method":"b","n":1.0,"big":9007199254740993}"#);
        let value = value.unwrap();
        assert_eq!(value.get("method").and_then(Value::as_str), Some("b"));
        assert_eq!(value.get("n").and_then(Value::as_i64), None);
        assert_eq!(value.get("n").and_then(Value::as_f64), Some(1.0));
        assert_eq!(value.get("big").and_then(Value::as_u64), Some(9_007_199_254_740_993));
        assert_eq!(value.get("absent"), None);
    }

    #[test]
    fn members_are_picked_and_the_rest_is_read_all_the_same() {
        let pick = |text: &str| {
            let mut found = Vec::new();
            let mut each =
                |depth, name: &str, raw: Raw<'_>| found.push(format!("{depth}{name}={}", raw.0));
            pick(text, "in", &["end"], &mut each).map(|()| found.join(" "))
        };
        for (text, found) in [
            (r#"{"a":1,"in":{"a":[2],"b":"\n"}}"#, r#"1a=1 2a=[2] 2b="\n" 1in={"a":[2],"b":"\n"}"#),
            (r#" { "x" : {"a":5} , "\u0061" : {"b":4} } "#, r#"1x={"a":5} 1a={"b":4}"#),
            (r#"{"a":1,"a":2,"in":{"in":{"b":4}}}"#, r#"1a=1 1a=2 2in={"b":4} 1in={"in":{"b":4}}"#),
            (r#"{"in":[{"a":1}],"in":6}"#, r#"1in=[{"a":1}] 1in=6"#),
            (r#"[{"a":1}]"#, ""),
            (r#"{"end":1,"in":{"b":{"end":2},"end":no JSON"#, r#"1end=1 2b={"end":2}"#),
            ("{}", ""),
        ] {
            assert_eq!(pick(text).as_deref(), Ok(found), "{text}");
        }
        for (text, at) in [
            ("", 0),
            (r#"{"b":"\x"}"#, 7),
            (r#"{"in":{"b":[1,]}}"#, 14),
            (r#"{"a":1}}"#, 7),
            (r#"{"in":{"a" 1}}"#, 11),
            (r#"{"in":{a:1}}"#, 7),
            (r#"{"in":{"a":1]}"#, 12),
        ] {
            assert_eq!(pick(text).map_err(|e| e.at), Err(at), "{text}");
        }
        let deep = |n: usize| format!("{{\"in\":{{\"b\":{}{}}}}}", "[".repeat(n), "]".repeat(n));
        assert!(pick(&deep(126)).is_ok() && pick(&deep(127)).is_err());
    }

    #[test]
    fn what_was_picked_is_text_or_a_value() {
        for (raw, text, value) in [
            ("", "", "null"),
            (r#""a\n\u00e9""#, "a\né", r#""a\né""#),
            ("[1]", "", "[1]"),
            ("null", "", "null"),
        ] {
            assert_eq!((&*Raw(raw).text(), &*Raw(raw).value().to_json()), (text, value), "{raw}");
        }
        assert!(matches!(Raw(r#""plain""#).text(), Cow::Borrowed(_)));
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert!(parse(nested(128).as_bytes()).is_ok());
        assert_eq!(parse(nested(129).as_bytes()).map_err(|e| e.what), Err("nested too deep"));
        assert_eq!(parse("[".repeat(1_000_000).as_bytes()).map_err(|e| e.at), Err(128));
        assert!(parse("{\"a\":".repeat(200_000).as_bytes()).is_err());
    }

    #[test]
    fn the_fast_scan_agrees_with_the_plain_one() {
        // every byte value at every place of two words, and in the tail behind them
        for byte in 0..=255u8 {
            for at in 0..20 {
                let mut text = [b'x'; 20];
                text[at] = byte;
                text[19] = b'"';
                let slow = |b: &u8| *b < 0x20 || *b == b'"' || *b == b'\\';
                assert_eq!(plain(&text), text.iter().position(slow).unwrap(), "{byte} at {at}");
            }
        }
        for pair in 0..=0xffffu16 {
            let [a, b] = pair.to_be_bytes();
            let text = [b'x', b'x', b'x', a, b, b'"', b'x', b'x'];
            let slow = |b: &u8| *b < 0x20 || *b == b'"' || *b == b'\\';
            assert_eq!(plain(&text), text.iter().position(slow).unwrap(), "{pair:04x}");
        }
    }

    #[test]
    fn every_short_text_is_refused_or_survives_a_round_trip() {
        let alphabet = b"{}[]\":,0-1.eE\\utn \x01\xc3\xa9";
        let mut texts = vec![Vec::new()];
        for _ in 0..4 {
            let longer = |t: &Vec<u8>| {
                let t = t.clone();
                alphabet.iter().map(move |b| [t.as_slice(), &[*b]].concat())
            };
            texts = texts.iter().flat_map(longer).collect();
            for text in &texts {
                if let Ok(value) = parse(text) {
                    let again = value.to_json();
                    assert_eq!(parse(again.as_bytes()), Ok(value), "{text:?}");
                }
            }
        }
    }
}
