//! What a person is told of a stream, and why it failed.

use super::text::harmless;
use crate::codex::Transcript;
use crate::codex::failure::{Evidence, Failure};
use crate::codex::story::Story;
use crate::lines::Line;
use crate::task::Usage;
use crate::text::clean;

/// Tries a stream. What stands behind its first NUL is what was said on stderr.
pub fn hold(data: &[u8]) {
    let end = data.iter().position(|b| *b == 0).unwrap_or(data.len());
    let (stream, stderr) = data.split_at(end);
    let stderr = String::from_utf8_lossy(stderr);
    let mut story = Story::new(Usage::default());
    let mut transcript = Transcript::default();
    for (at, line) in (0..).zip(stream.split(|b| *b == b'\n')) {
        transcript.fold(at, Line::Whole(line));
        for (_, text) in story.tell(Line::Whole(line), Some(at)) {
            harmless(&clean(&text));
        }
    }
    for exit in [None, Some(0), Some(1), Some(-9), Some(i32::MIN)] {
        let failure = Failure::of(&Evidence {
            started: true,
            event: transcript.failed.as_deref().or(transcript.notice.as_deref()),
            any_events: transcript.events > 0,
            stderr: &stderr,
            exit,
            ..Evidence::default()
        });
        assert!(!failure.advice().is_empty());
    }
}
