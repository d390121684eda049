//! Bytes cut into lines. Only 0x0A ends a line; what the bytes mean is not known here.

use std::io::BufRead;

/// Puts lines together out of pieces that come as they like.
#[derive(Debug)]
pub struct Lines {
    /// The line that has begun and not ended.
    begun: Vec<u8>,
    /// A longer line is reported and dropped.
    limit: usize,
    /// The line that has begun is longer than the limit: how long it is so far.
    overlong: Option<u64>,
    /// Where the line that has begun stands in the whole stream.
    at: u64,
}

/// One line, without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// The line's bytes.
    Whole(&'a [u8]),
    /// It was longer than the limit, so many bytes; they are gone.
    Overlong(u64),
}

impl Lines {
    /// Lines of at most `limit` bytes.
    pub fn new(limit: usize) -> Lines {
        Lines { begun: Vec::new(), limit, overlong: None, at: 0 }
    }

    /// How many bytes have come since the last line ended.
    fn pending(&self) -> u64 {
        self.overlong.unwrap_or(as_u64(self.begun.len()))
    }

    /// How many bytes were fed in all.
    pub fn end(&self) -> u64 {
        self.at + self.pending()
    }

    /// Takes the next piece of the stream, and gives each line that it completes, with its place.
    pub fn feed(&mut self, mut piece: &[u8], mut each: impl FnMut(u64, Line<'_>)) {
        while let Some((head, tail)) = cut(piece) {
            if self.begun.is_empty() && self.overlong.is_none() && head.len() <= self.limit {
                each(self.at, Line::Whole(head));
                self.at += as_u64(head.len()) + 1;
            } else {
                self.extend(head);
                self.complete(&mut each);
                self.at += 1;
            }
            piece = tail;
        }
        self.extend(piece);
        if self.begun.is_empty() {
            // one long line must not keep its memory for good; until the next one it may
            self.begun = Vec::new();
        }
    }

    /// The stream has ended: gives the last line if it had no end.
    pub fn finish(&mut self, mut each: impl FnMut(u64, Line<'_>)) {
        self.complete(&mut each);
        self.begun = Vec::new();
    }

    /// Gives the line that has begun.
    fn complete(&mut self, each: &mut impl FnMut(u64, Line<'_>)) {
        let length = self.pending();
        match self.overlong.take() {
            Some(length) => each(self.at, Line::Overlong(length)),
            None if !self.begun.is_empty() => each(self.at, Line::Whole(&self.begun)),
            None => {}
        }
        self.at += length;
        self.begun.clear();
    }

    /// Adds to the line that has begun.
    fn extend(&mut self, more: &[u8]) {
        if let Some(length) = &mut self.overlong {
            *length += as_u64(more.len());
        } else if self.begun.len() + more.len() > self.limit {
            self.overlong = Some(as_u64(self.begun.len() + more.len()));
            self.begun = Vec::new();
        } else {
            self.begun.extend_from_slice(more);
        }
    }
}

/// What stands before the first line end, and what behind it. std skips to a byte by words; a search
/// by `position` goes byte by byte.
fn cut(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = bytes;
    let skipped = rest.skip_until(b'\n').unwrap_or_default();
    Some((bytes.get(..skipped)?.strip_suffix(b"\n")?, rest))
}

/// A length as a place in a stream.
fn as_u64(length: usize) -> u64 {
    length.try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of `text`, fed in pieces of `size` bytes, overlong ones as their length.
    fn lines_of(text: &[u8], size: usize, limit: usize) -> Vec<(u64, String)> {
        let mut lines = Lines::new(limit);
        let mut all = Vec::new();
        let mut each = |at, line: Line<'_>| {
            all.push(match line {
                Line::Whole(bytes) => (at, String::from_utf8_lossy(bytes).into_owned()),
                Line::Overlong(length) => (at, format!("<{length}>")),
            });
        };
        for piece in text.chunks(size) {
            lines.feed(piece, &mut each);
        }
        lines.finish(&mut each);
        assert_eq!(lines.end(), u64::try_from(text.len()).unwrap());
        all
    }

    #[test]
    fn the_lines_are_the_same_however_the_bytes_come() {
        let text = "one\n\ntwo\u{2028}\u{85}\r\nlonger than ten\nlast".as_bytes();
        let expected = [
            (0, "one".to_owned()),
            (4, String::new()),
            (5, "two\u{2028}\u{85}\r".to_owned()),
            (15, "<15>".to_owned()),
            (31, "last".to_owned()),
        ];
        for size in 1..=text.len() {
            assert_eq!(lines_of(text, size, 10), expected, "pieces of {size}");
        }
    }

    #[test]
    fn a_stream_that_ends_with_a_line_has_no_line_more() {
        assert_eq!(lines_of(b"a\n", 9, 9), [(0, "a".to_owned())]);
        assert_eq!(lines_of(b"", 9, 9), []);
        assert_eq!(lines_of(b"12345\n1234", 3, 4), [(0, "<5>".to_owned()), (6, "1234".to_owned())]);
    }
}
