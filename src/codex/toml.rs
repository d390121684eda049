//! JSON values as TOML, for `-c key=value`. Codex reads the value as TOML, and as a bare string
//! where it is none, so a string must never be able to pass for anything else.

use crate::json::{self, Value};

/// How deep arrays and tables may nest in one another: Codex 0.169 takes what is deeper for a string.
const DEPTH: u32 = 80;

/// Writes a JSON value as a TOML value of the same type, or says what TOML has no form for.
pub fn write(value: &Value<'_>) -> Result<String, String> {
    let mut out = String::new();
    append(&mut out, value, DEPTH)?;
    Ok(out)
}

/// Appends the value, in which arrays and tables may nest so deep.
fn append(out: &mut String, value: &Value<'_>, depth: u32) -> Result<(), String> {
    let below = || depth.checked_sub(1).ok_or("nested too deep");
    match value {
        Value::Null => return Err("null has no form in TOML; leave the key out".into()),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(text) => {
            let integer = !text.contains(['.', 'e', 'E']);
            if if integer { value.as_i64().is_none() } else { !is_finite(text) } {
                return Err(format!("the number {text} is too large for TOML"));
            }
            out.push_str(text);
        }
        Value::String(text) => quote(out, text),
        Value::Array(items) => {
            let depth = below()?;
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                append(out, item, depth)?;
            }
            out.push(']');
        }
        Value::Object(members) => {
            let depth = below()?;
            // TOML refuses a key that is there twice; JSON readers take the last
            let mut keys: Vec<&str> = members.iter().map(|(key, _)| &**key).collect();
            keys.sort_unstable();
            // where equal ones stand, a search always finds the same
            let place = |key: &str| keys.binary_search(&key).unwrap_or(0);
            let mut last = vec![0; keys.len()];
            for (i, (key, _)) in members.iter().enumerate() {
                last.get_mut(place(key)).into_iter().for_each(|last| *last = i);
            }
            out.push('{');
            for (i, (key, member)) in members.iter().enumerate() {
                if last.get(place(key)) != Some(&i) {
                    continue;
                }
                out.push_str(if out.ends_with('{') { "" } else { ", " });
                let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
                if !key.is_empty() && key.bytes().all(bare) {
                    out.push_str(key);
                } else {
                    quote(out, key);
                }
                out.push_str(" = ");
                append(out, member, depth)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

/// Whether a float is one that every reader of TOML can hold: 1.8e308 is the largest.
fn is_finite(text: &str) -> bool {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    mantissa.len() < 200 && exponent.parse::<i32>().is_ok_and(|e| (-300..100).contains(&e))
}

/// Appends a basic string on one line (TOML 1.0). What JSON escapes, and how, TOML does too, and one
/// character more.
pub fn quote(out: &mut String, text: &str) {
    let mut quoted = String::new();
    json::quote(&mut quoted, text);
    out.push_str(&quoted.replace('\u{7f}', "\\u007F"));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The TOML of a JSON text.
    fn toml(json: &str) -> Result<String, String> {
        write(&json::parse(json.as_bytes()).expect(json))
    }

    #[test]
    fn every_type_stays_what_it_is() {
        for (json, expected) in [
            ("true", "true"),
            ("5", "5"),
            ("-0", "-0"),
            ("1.50e+10", "1.50e+10"),
            (r#""5""#, r#""5""#),
            (r#""true""#, r#""true""#),
            (r#""""#, r#""""#),
            (r#""a\"b\\c\nd\u0001\u007fé""#, r#""a\"b\\c\nd\u0001\u007Fé""#),
            ("[]", "[]"),
            ("{}", "{}"),
            (r#"[1,"1",[true],{"a":1}]"#, r#"[1, "1", [true], {a = 1}]"#),
            (r#"{"a b":{"c.d":"x"},"e":[]}"#, r#"{"a b" = {"c.d" = "x"}, e = []}"#),
            (r#"{"a":1,"b":2,"a":3}"#, "{b = 2, a = 3}"),
        ] {
            assert_eq!(toml(json).as_deref(), Ok(expected), "{json}");
        }
    }

    #[test]
    fn what_toml_cannot_hold_is_refused() {
        for json in ["null", "[null]", r#"{"a":null}"#, "9223372036854775808", "1e400"] {
            assert!(toml(json).is_err(), "{json}");
        }
    }

    #[test]
    fn what_is_so_deep_that_codex_would_take_it_for_a_string_is_refused() {
        let nested = |n: usize| [r#"{"a":["#.repeat(n), "]}".repeat(n)].concat();
        assert!(toml(&nested(40)).is_ok());
        assert_eq!(toml(&format!("[{}]", nested(40))), Err("nested too deep".to_owned()));
    }

    #[test]
    fn a_table_of_very_many_members_is_written_without_much_ado() {
        let members = |from: u32| {
            (from..60_000).map(|n| format!("\"k{n}\":{n},")).collect::<Vec<_>>().concat()
        };
        let json = format!("{{\"k0\":-1,{}{}\"k7\":-7}}", members(0), members(30_000));
        let written = toml(&json).expect("a table");
        assert_eq!(written.matches(" = ").count(), 60_000);
        assert!(written.starts_with("{k0 = 0, k1 = 1, ") && written.ends_with(", k7 = -7}"));
    }

    /// Reads a basic string by what TOML 1.0 says of it, and gives what stands behind it.
    fn unquoted(text: &str) -> Option<(String, &str)> {
        let mut chars = text.strip_prefix('"')?.chars();
        let mut out = String::new();
        loop {
            match chars.next()? {
                '"' => return Some((out, chars.as_str())),
                '\\' => out.push(match chars.next()? {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'u' => {
                        let (digits, rest) = chars.as_str().split_at_checked(4)?;
                        chars = rest.chars();
                        char::from_u32(u32::from_str_radix(digits, 16).ok()?)?
                    }
                    c @ ('"' | '\\') => c,
                    _ => return None,
                }),
                c if c >= ' ' && c != '\u{7f}' => out.push(c),
                _ => return None,
            }
        }
    }

    #[test]
    fn every_short_text_is_a_string_and_a_key_that_read_back() {
        let mut texts = vec![String::new()];
        for round in 0..4 {
            let longer = |text: &String| {
                let text = text.clone();
                "\"\\\n\t\u{1}\u{7f}\u{85}aé'#=]}".chars().map(move |c| format!("{text}{c}"))
            };
            // those of the last round are the longest
            let longest = texts.iter().filter(|text| text.chars().count() == round);
            texts.extend(longest.flat_map(longer).collect::<Vec<_>>());
        }
        for text in &texts {
            let member = (text.as_str().into(), Value::String(text.as_str().into()));
            let written = write(&Value::Object(vec![member])).expect(text);
            let inside = written.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap();
            let bare = !text.is_empty() && text.chars().all(|c| c == 'a');
            let (key, value) = match unquoted(inside) {
                Some(read) => read,
                None => {
                    inside.split_at_checked(text.len()).map(|(k, v)| (k.to_owned(), v)).unwrap()
                }
            };
            assert_eq!((&key, inside.starts_with('"')), (text, !bare), "{written}");
            let value = value.strip_prefix(" = ").expect("a value");
            assert_eq!(unquoted(value), Some((text.clone(), "")), "{written}");
        }
    }
}
