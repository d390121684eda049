//! Text for a terminal: nothing in it that moves the cursor, as wide as there is room, coloured where
//! that is wanted. Knows nothing of tasks.

use std::io::{self, IsTerminal};

/// How something looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// As the terminal has it.
    Plain,
    /// Stands out.
    Bold,
    /// Steps back.
    Faint,
    /// Went wrong.
    Red,
    /// Went well.
    Green,
    /// Wants to be looked at.
    Yellow,
    /// Is being done.
    Cyan,
}

/// Whether colours are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Paint(pub bool);

impl Paint {
    /// What the person at stdout wants: colours only on a terminal that can show them, and not where
    /// `NO_COLOR` says no.
    pub fn of_stdout() -> Paint {
        let says = |name: &str, no: fn(&str) -> bool| std::env::var(name).is_ok_and(|v| no(&v));
        let unwanted = says("NO_COLOR", |v| !v.is_empty()) || says("TERM", |v| v == "dumb");
        Paint(!unwanted && io::stdout().is_terminal())
    }

    /// Adds a text that is clean.
    pub fn add(self, out: &mut String, look: Look, text: &str) {
        // SGR, ECMA-48
        let code = match look {
            Look::Bold => "\x1b[1m",
            Look::Faint => "\x1b[2m",
            Look::Red => "\x1b[31m",
            Look::Green => "\x1b[32m",
            Look::Yellow => "\x1b[33m",
            Look::Cyan => "\x1b[36m",
            Look::Plain => "",
        };
        let code = if self.0 && !text.is_empty() { code } else { "" };
        out.push_str(code);
        out.push_str(text);
        out.push_str(if code.is_empty() { "" } else { "\x1b[0m" });
    }
}

/// A text without whatever a terminal would take for an order: escape sequences as a whole, other
/// control characters, and what turns the direction of writing. Line ends and tabs stay.
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\n' | '\t' => out.push(c),
            '\u{1b}' => match rest.peek() {
                // CSI: parameters, then one letter
                Some('[') => {
                    rest.next();
                    while rest.next_if(|c| matches!(c, ' '..='?')).is_some() {}
                    rest.next_if(|c| matches!(c, '@'..='~'));
                }
                // a string for the terminal, up to BEL or ESC \; one that is left open ends with its line
                Some(']' | 'P' | 'X' | '^' | '_') => {
                    while rest.next_if(|c| !matches!(c, '\u{7}' | '\u{1b}' | '\n')).is_some() {}
                    if rest.next_if_eq(&'\u{1b}').is_some() {
                        rest.next_if_eq(&'\\');
                    }
                }
                _ => {}
            },
            // who overrides the direction can make one thing look like another
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// Characters that take two columns: those that are wide or full-width by Unicode 15 (`EastAsianWidth`),
/// as ranges from low to high.
const WIDE: [(u32, u32); 59] = [
    (0x1100, 0x115f),
    (0x231a, 0x231b),
    (0x2329, 0x232a),
    (0x23e9, 0x23ec),
    (0x23f0, 0x23f0),
    (0x23f3, 0x23f3),
    (0x25fd, 0x25fe),
    (0x2614, 0x2615),
    (0x2648, 0x2653),
    (0x267f, 0x267f),
    (0x2693, 0x2693),
    (0x26a1, 0x26a1),
    (0x26aa, 0x26ab),
    (0x26bd, 0x26be),
    (0x26c4, 0x26c5),
    (0x26ce, 0x26ce),
    (0x26d4, 0x26d4),
    (0x26ea, 0x26ea),
    (0x26f2, 0x26f3),
    (0x26f5, 0x26f5),
    (0x26fa, 0x26fa),
    (0x26fd, 0x26fd),
    (0x2705, 0x2705),
    (0x270a, 0x270b),
    (0x2728, 0x2728),
    (0x274c, 0x274c),
    (0x274e, 0x274e),
    (0x2753, 0x2755),
    (0x2757, 0x2757),
    (0x2795, 0x2797),
    (0x27b0, 0x27b0),
    (0x27bf, 0x27bf),
    (0x2b1b, 0x2b1c),
    (0x2b50, 0x2b50),
    (0x2b55, 0x2b55),
    (0x2e80, 0x303e),
    (0x3041, 0x4dbf),
    (0x4e00, 0xa4cf),
    (0xa960, 0xa97c),
    (0xac00, 0xd7a3),
    (0xf900, 0xfaff),
    (0xfe10, 0xfe19),
    (0xfe30, 0xfe6f),
    (0xff01, 0xff60),
    (0xffe0, 0xffe6),
    (0x16fe0, 0x18dff),
    (0x1aff0, 0x1b2ff),
    (0x1f004, 0x1f004),
    (0x1f0cf, 0x1f0cf),
    (0x1f18e, 0x1f18e),
    (0x1f191, 0x1f19a),
    (0x1f200, 0x1f320),
    (0x1f32d, 0x1f64f),
    (0x1f680, 0x1f6ff),
    (0x1f7e0, 0x1f7f0),
    (0x1f90c, 0x1f9ff),
    (0x1fa70, 0x1faff),
    (0x20000, 0x2fffd),
    (0x30000, 0x3fffd),
];

/// Characters that take no column of their own: the common marks and joiners. A rarer one counts as
/// one column too many, which leaves a gap and breaks no line.
const MARKS: [(u32, u32); 8] = [
    (0x300, 0x36f),
    (0x483, 0x489),
    (0x591, 0x5bd),
    (0x64b, 0x65f),
    (0x200b, 0x200f),
    (0x20d0, 0x20f0),
    (0xfe00, 0xfe0f),
    (0xfe20, 0xfe2f),
];

/// How many columns a character takes.
fn columns(c: char) -> usize {
    let code = u32::from(c);
    let within = |ranges: &[(u32, u32)]| {
        let at = ranges.partition_point(|(_, last)| *last < code);
        ranges.get(at).is_some_and(|(first, _)| *first <= code)
    };
    match code {
        // most by far
        0x20..0x300 => 1,
        _ if within(&MARKS) => 0,
        _ if within(&WIDE) => 2,
        _ => 1,
    }
}

/// How many columns a text takes.
pub fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// Adds as much of a clean line as fits into so many columns, with a sign where it was cut, and gives
/// how many columns it took.
pub fn fit(out: &mut String, text: &str, room: usize) -> usize {
    let whole = width(text) <= room;
    let Some(room) = room.checked_sub(usize::from(!whole)) else { return 0 };
    let mut taken = 0;
    for c in text.chars() {
        let next = taken + columns(c);
        if next > room {
            break;
        }
        taken = next;
        out.push(c);
    }
    if whole {
        return taken;
    }
    out.push('…');
    taken + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        for (text, cleaned) in [
            ("plain\n\ttext ü漢", "plain\n\ttext ü漢"),
            ("\x1b[31mred\x1b[0m", "red"),
            ("\x1b[38;5;1mred\x1b[?25l.", "red."),
            ("\x1b]0;title\x07after", "after"),
            ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\.", "link."),
            ("\x1b]52;c;open\nnext line", "\nnext line"),
            ("\x1bPdcs\x1b\\\x1b_apc\x1b\\x", "x"),
            ("\x1b[", ""),
            ("\x1b", ""),
            ("\x1b\x1b[2J[", "["),
            ("a\r\nb\x08\x7f\u{9b}31mc\u{85}", "a\nb31mc"),
            ("\u{202e}abc\u{2066}", "abc"),
        ] {
            assert_eq!(clean(text), cleaned, "{text:?}");
        }
    }

    #[test]
    fn no_text_over_a_small_alphabet_gets_through() {
        let alphabet = ['a', '\x1b', '[', ']', '\\', '\x07', '\u{9b}', '\n', 'm', '0'];
        let mut text = Vec::new();
        for number in 0..10_usize.pow(5) {
            text.clear();
            let mut rest = number;
            for _ in 0..5 {
                text.push(alphabet[rest % 10]);
                rest /= 10;
            }
            let text: String = text.iter().collect();
            let cleaned = clean(&text);
            assert!(cleaned.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
            let ends = |text: &str| text.matches('\n').count();
            assert_eq!(ends(&cleaned), ends(&text), "{text:?}");
        }
    }

    #[test]
    fn a_text_is_cut_where_the_room_ends() {
        for (text, room, fitting, columns) in [
            ("abc", 3, "abc", 3),
            ("abcd", 3, "ab…", 3),
            ("漢字", 4, "漢字", 4),
            ("漢字", 3, "漢…", 3),
            ("漢字x", 4, "漢…", 3),
            ("e\u{301}e\u{301}", 2, "e\u{301}e\u{301}", 2),
            ("e\u{301}e\u{301}e", 2, "e\u{301}…", 2),
            ("abc", 1, "…", 1),
            ("abc", 0, "", 0),
            ("", 0, "", 0),
        ] {
            let mut out = String::new();
            let taken = fit(&mut out, text, room);
            assert_eq!((out.as_str(), taken), (fitting, columns), "{text:?} in {room}");
            assert!(width(&out) == taken && taken <= room);
        }
        assert!(WIDE.is_sorted() && MARKS.is_sorted());
    }
}
