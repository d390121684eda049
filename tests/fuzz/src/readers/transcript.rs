//! A transcript's lines and what is folded of them: the same however the bytes come, and not much.

use crate::codex::Transcript;
use crate::codex::event::excerpt;
use crate::lines::{Line, Lines};

/// How many tools may run at once as far as is kept.
const BEGUN: usize = 256;

/// The longest text that is kept of anything, in characters.
const LONGEST: usize = 2001;

/// Tries a stream. Its first two bytes say how it is cut.
pub fn hold(data: &[u8]) {
    let [limit, cuts, stream @ ..] = data else { return };
    let limit = if limit % 2 == 0 { 1 << 20 } else { usize::from(*limit) };
    let whole = [stream].into_iter();
    let (lines, transcript) = fold(whole, limit);
    assert_eq!(lines, plainly(stream, limit));
    let (cut_lines, cut_transcript) = fold(cut(stream, *cuts), limit);
    assert!(lines == cut_lines && transcript == cut_transcript);
    few(&transcript);
    if let Some((at, length)) = transcript.answer() {
        let place = |n: u64| usize::try_from(n).unwrap();
        let message = Transcript::message_in(&stream[place(at)..][..place(length)]);
        assert_eq!(message.as_deref().map(excerpt).unwrap_or_default(), transcript.output.unwrap());
    }
}

/// Pieces of a stream, whose sizes follow from a number.
fn cut(mut stream: &[u8], seed: u8) -> impl Iterator<Item = &[u8]> {
    let mut size = usize::from(seed);
    std::iter::from_fn(move || {
        size = (size * 5 + 3) % 64;
        let (piece, rest) = stream.split_at(size.min(stream.len()));
        stream = rest;
        (!piece.is_empty() || !rest.is_empty()).then_some(piece)
    })
}

/// The lines of a stream, overlong ones as their lengths.
type Cut = Vec<(u64, Result<Vec<u8>, u64>)>;

/// The lines of these pieces, and what is folded of them.
fn fold<'a>(pieces: impl Iterator<Item = &'a [u8]>, limit: usize) -> (Cut, Transcript) {
    let (mut all, mut transcript, mut lines) =
        (Vec::new(), Transcript::default(), Lines::new(limit));
    let mut length = 0;
    let mut each = |at: u64, line: Line<'_>| {
        all.push(match line {
            Line::Whole(bytes) => (at, Ok(bytes.to_vec())),
            Line::Overlong(length) => (at, Err(length)),
        });
        transcript.fold(at, line);
    };
    for piece in pieces {
        lines.feed(piece, &mut each);
        length += piece.len();
        assert_eq!(lines.end(), length as u64);
    }
    lines.finish(&mut each);
    assert_eq!(lines.end(), length as u64);
    (all, transcript)
}

/// The lines of a stream, found without any haste.
fn plainly(stream: &[u8], limit: usize) -> Cut {
    let mut at = 0;
    let mut all = Vec::new();
    for line in stream.split_inclusive(|b| *b == b'\n') {
        let bytes = line.strip_suffix(b"\n").unwrap_or(line);
        let whole = bytes.len() <= limit;
        all.push((at, if whole { Ok(bytes.to_vec()) } else { Err(bytes.len() as u64) }));
        at += line.len() as u64;
    }
    all
}

/// Of a stream, however long, little is kept, and what is shown as one line is one.
fn few(transcript: &Transcript) {
    assert!(transcript.running.len() <= BEGUN && transcript.warnings.len() <= 5);
    let running = transcript.running.iter();
    let labels = running.map(|(_, label)| label).chain(&transcript.last_tool);
    let shown = labels.chain(&transcript.output).chain(&transcript.thinking);
    for text in shown.chain(&transcript.warnings) {
        assert!(!text.contains(char::is_control), "{text:?}");
    }
    let ids = transcript.running.iter().map(|(id, _)| id).chain(&transcript.thread);
    let texts =
        ids.chain(&transcript.last_tool).chain(&transcript.notice).chain(&transcript.failed);
    for text in texts {
        assert!(text.chars().count() <= LONGEST, "{} bytes are kept", text.len());
    }
    assert!(transcript.files.is_sorted() && transcript.files.windows(2).all(|w| w[0] != w[1]));
    for exit in [None, Some(0), Some(1), Some(-9)] {
        let verdict = transcript.verdict(exit);
        assert!(verdict.status.is_final() && verdict.inferred == exit.is_none());
    }
}
