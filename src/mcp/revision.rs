//! The revisions of the protocol.

/// A revision, in the order they were published in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Revision {
    /// The first one.
    V2024_11_05,
    /// Adds annotations, and messages in progress notifications.
    V2025_03_26,
    /// Adds titles and structured content.
    V2025_06_18,
    /// The last one that begins with `initialize`.
    V2025_11_25,
    /// The first one without a session: every request says itself what it is.
    V2026_07_28,
}

impl Revision {
    /// Those that begin with `initialize`.
    const WITH_SESSION: [Revision; 4] = [
        Revision::V2024_11_05,
        Revision::V2025_03_26,
        Revision::V2025_06_18,
        Revision::V2025_11_25,
    ];

    /// What it is called on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Revision::V2024_11_05 => "2024-11-05",
            Revision::V2025_03_26 => "2025-03-26",
            Revision::V2025_06_18 => "2025-06-18",
            Revision::V2025_11_25 => "2025-11-25",
            Revision::V2026_07_28 => "2026-07-28",
        }
    }

    /// The revision to answer an `initialize` with that asks for `wanted`: that one if it is known, else
    /// the newest. It is for the client to go if it does not like the answer.
    pub fn negotiate(wanted: Option<&str>) -> Revision {
        let known = Self::WITH_SESSION.into_iter().find(|revision| Some(revision.name()) == wanted);
        known.unwrap_or(Revision::V2025_11_25)
    }

    /// Whether results may have structured content, and tools a title, an output schema and `_meta`.
    pub fn has_structure(self) -> bool {
        self >= Revision::V2025_06_18
    }

    /// Whether there is no session: results say what they are and who gives them.
    pub fn is_stateless(self) -> bool {
        self >= Revision::V2026_07_28
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_revision_is_taken_and_any_other_gets_the_newest() {
        for revision in Revision::WITH_SESSION {
            assert_eq!(Revision::negotiate(Some(revision.name())), revision);
        }
        for wanted in [None, Some(""), Some("2026-07-28"), Some("2024-10-07")] {
            assert_eq!(Revision::negotiate(wanted), Revision::V2025_11_25);
        }
    }
}
