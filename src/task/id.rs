//! The names of a task: eight lower-case hexadecimal digits, and 32 for clients that look after it.

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

    /// The id as a number.
    pub fn number(self) -> u32 {
        self.0
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

/// Ids, each once, in order. They are mostly made at one go, and then a search in a row does what a
/// tree would do, with a tenth of its code.
#[derive(Debug, Default)]
pub struct Ids(Vec<Id>);

impl Ids {
    /// Whether an id is among them.
    pub fn contains(&self, id: Id) -> bool {
        self.0.binary_search(&id).is_ok()
    }

    /// Adds an id.
    pub fn insert(&mut self, id: Id) {
        if let Err(at) = self.0.binary_search(&id) {
            self.0.insert(at, id);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl From<Vec<Id>> for Ids {
    fn from(mut ids: Vec<Id>) -> Ids {
        ids.sort_unstable();
        ids.dedup();
        Ids(ids)
    }
}

/// The id of a task as clients get it that look after tasks themselves: so long that nobody can
/// guess it, as MCP's tasks extension wants it. It begins with the id of a task of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LongId([Id; 4]);

impl LongId {
    /// A new one that begins with this id.
    pub fn random(id: Id) -> io::Result<LongId> {
        Ok(LongId([id, Id::random()?, Id::random()?, Id::random()?]))
    }

    /// Reads a long id exactly as it is written out.
    pub fn read(text: &str) -> Option<LongId> {
        let part = |from: usize| Id::read(text.get(from..from + 8)?);
        let parts = [part(0)?, part(8)?, part(16)?, part(24)?];
        (text.len() == 32).then_some(LongId(parts))
    }

    /// The id that it begins with.
    pub fn short(self) -> Id {
        self.0[0]
    }
}

impl fmt::Display for LongId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| part.fmt(f))
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

    #[test]
    fn ids_are_kept_once_and_found() {
        let mut ids = Ids::from(vec![Id(5), Id(1), Id(5)]);
        ids.insert(Id(3));
        ids.insert(Id(1));
        assert_eq!(ids.0, [Id(1), Id(3), Id(5)]);
        assert!(ids.contains(Id(3)) && !ids.contains(Id(4)) && ids.len() == 3);
    }

    #[test]
    fn a_long_id_begins_with_a_short_one() {
        let text = "00c0ffee0123456789abcdef00000000";
        let id = LongId::read(text).expect("a long id");
        assert_eq!((id.to_string(), id.short().to_string()), (text.into(), "00c0ffee".into()));
        for text in ["00c0ffee", &text[1..], &text.to_uppercase(), &format!("{text}0"), "é"] {
            assert_eq!(LongId::read(text), None, "{text}");
        }
        let short = id.short();
        let new = LongId::random(short).expect("random numbers");
        assert!(new.short() == short && new != LongId::random(short).expect("random numbers"));
    }
}
