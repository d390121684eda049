//! The name of a task: eight lower-case hexadecimal digits.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};

/// A task's id. It stands in file names, branch names and URIs, and is safe in all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(u32);

impl Id {
    /// Reads an id exactly as it is written out.
    pub fn read(text: &str) -> Option<Id> {
        let digits = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if text.len() == 8 && digits { u32::from_str_radix(text, 16).ok().map(Id) } else { None }
    }

    /// A new id out of the system's random numbers.
    pub fn random() -> io::Result<Id> {
        let mut bytes = [0; 4];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(Id(u32::from_ne_bytes(bytes)))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_eight_lower_case_digits_are_an_id() {
        assert_eq!(Id::read("00c0ffee").map(|id| id.to_string()), Some("00c0ffee".into()));
        for text in ["", "0c0ffee", "00C0FFEE", "00c0ffee0", "../../..", "+0c0ffee", "00c0ffeg"] {
            assert_eq!(Id::read(text), None, "{text}");
        }
    }
}
