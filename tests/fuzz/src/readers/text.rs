//! Text for a terminal: nothing that it would obey is left, no line is lost, and each fits.

use crate::text::{Look, Paint, clean, fit, width};

/// Tries a text.
pub fn hold(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let cleaned = clean(&text);
    harmless(&cleaned);
    assert_eq!(clean(&cleaned), cleaned);
    let ends = |text: &str| text.matches('\n').count();
    assert_eq!(ends(&cleaned), ends(&text));
    let plain = |c: char| !c.is_control() && !bends(c);
    if text.chars().all(plain) {
        assert_eq!(cleaned, text);
    }
    for line in cleaned.lines().map(|line| line.replace('\t', " ")) {
        for room in [0, 1, 2, 7, 80] {
            let mut out = String::new();
            let taken = fit(&mut out, &line, room);
            assert!(taken <= room && width(&out) == taken, "{line:?} in {room}");
            assert!(out == line || out.is_empty() || out.ends_with('…'), "{line:?} in {room}");
        }
    }
    let mut out = String::new();
    Paint(false).add(&mut out, Look::Red, &cleaned);
    assert_eq!(out, cleaned);
}

/// Nothing in the text moves a cursor or turns the direction of writing.
pub fn harmless(text: &str) {
    let obeyed = |c: char| (c.is_control() && !matches!(c, '\n' | '\t')) || bends(c);
    assert!(!text.contains(obeyed), "{text:?}");
}

/// Whether a character turns the direction of writing.
fn bends(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
