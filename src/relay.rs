//! The way of codex's output into the transcript: whole, verbatim, and as it comes. Knows nothing of who
//! reads it there.

use crate::codex::Transcript;
use crate::codex::event::is_item;
use crate::files;
use crate::lines::{Line, Lines};
use crate::sys;
use crate::task::store::Part;
use crate::task::times::Stamps;
use crate::task::{Id, Store};
use std::fs::File;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

/// The longest line that is looked into here; items, which can be longer, are not.
const LINE_LIMIT: usize = 64 << 10;

/// Where so many bytes come before the server is told again, it is a flood.
const FLOOD: usize = 64 << 10;

/// How many bytes may be on their way in a flood, so that codex does not wait for us and we not for it.
/// Where nobody floods a pipe stays as it is: what a user's pipes hold together is bounded.
const WIDE: i32 = 512 << 10;

/// How long the server is left in peace once it was told that there is more: in a flood of output it
/// would do little else than wake. What comes after a pause is told at once.
const REST: Duration = Duration::from_millis(10);

/// The way of codex's output into the transcript.
#[allow(clippy::struct_excessive_bools, reason = "facts that have nothing to do with each other")]
pub struct Relay {
    /// Where a piece of the output is read into.
    room: Vec<u8>,
    /// The transcript file.
    transcript: Option<File>,
    /// When what is in it came.
    stamps: Stamps,
    /// The line that has begun.
    lines: Lines,
    /// What the transcript says of the thread and the end of the turn; items are left out.
    pub said: Transcript,
    /// The turn has begun.
    pub turn_began: bool,
    /// Why the transcript is not whole.
    pub trouble: Option<String>,
    /// What was written last could not be kept.
    missed: bool,
    /// What was taken last did not end with a line.
    amid_line: bool,
    /// codex has written a flood, and has been given more room.
    wide: bool,
    /// So many bytes have come since the server was told last.
    untold: usize,
    /// When it was told last.
    told: Option<Instant>,
}

impl Relay {
    /// Makes the transcript file.
    pub fn open(store: &Store, id: Id) -> Relay {
        let path = store.path(id, Part::Stdout);
        let (transcript, trouble) = match files::append_own(&path) {
            Ok(file) => (Some(file), None),
            Err(why) => (None, Some(format!("cannot write {}: {why}", path.display()))),
        };
        Relay {
            room: vec![0; 64 << 10],
            transcript,
            stamps: Stamps::new(store, id),
            lines: Lines::new(LINE_LIMIT),
            said: Transcript::default(),
            turn_began: false,
            trouble,
            missed: false,
            amid_line: false,
            wide: false,
            untold: 0,
            told: None,
        }
    }

    /// Takes what codex has written, and gives `false` at its end. A full disk must not stop codex:
    /// its work goes on, only what it says meanwhile is lost, and that is told.
    pub fn pass_on(&mut self, stdout: &mut File) -> bool {
        let mut room = std::mem::take(&mut self.room);
        let more = match stdout.read(&mut room) {
            Ok(0) => false,
            Ok(count) => {
                self.untold += count;
                if self.untold > FLOOD && !self.wide {
                    sys::widen(stdout, WIDE);
                    self.wide = true;
                }
                self.take(room.get(..count).unwrap_or_default());
                true
            }
            Err(e) => e.kind() == io::ErrorKind::Interrupted,
        };
        self.room = room;
        more
    }

    /// Takes a piece of what codex has written.
    fn take(&mut self, bytes: &[u8]) {
        if let Err(why) = self.write(bytes) {
            self.trouble = Some(format!("the transcript is not whole: {why}"));
            self.missed = true;
        }
        let (said, turn_began) = (&mut self.said, &mut self.turn_began);
        self.lines.feed(bytes, |at, line| look_at(said, turn_began, at, line));
    }

    /// Adds to the transcript. After a loss it goes on with the next whole line.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let amid_line = std::mem::replace(&mut self.amid_line, !bytes.ends_with(b"\n"));
        let Some(file) = &mut self.transcript else { return Ok(()) };
        if !self.missed {
            self.stamps.stamp(file);
            return file.write_all(bytes);
        }
        let line_end = || bytes.iter().position(|b| *b == b'\n').map(|end| end + 1);
        let begin = if amid_line { line_end() } else { Some(0) };
        let whole = begin.and_then(|begin| bytes.get(begin..)).unwrap_or_default();
        if !whole.is_empty() {
            // the end of the line that was cut
            file.write_all(b"\n")?;
            self.stamps.stamp(file);
            file.write_all(whole)?;
            self.missed = false;
        }
        Ok(())
    }

    /// How long until the server is to be told that there is more, if it is owed that.
    pub fn rest(&self) -> Option<Duration> {
        let since = self.told.map_or(REST, |told| told.elapsed());
        (self.untold > 0).then(|| REST.saturating_sub(since))
    }

    /// Whether the server is to be told now; it is taken for told then.
    pub fn has_news(&mut self) -> bool {
        let now = self.rest() == Some(Duration::ZERO);
        if now {
            (self.untold, self.told) = (0, Some(Instant::now()));
        }
        now
    }

    /// The output is at its end.
    pub fn finish(&mut self) {
        let (said, turn_began) = (&mut self.said, &mut self.turn_began);
        self.lines.finish(|at, line| look_at(said, turn_began, at, line));
    }
}

/// Takes in a line that may be about the thread or the turn.
fn look_at(said: &mut Transcript, turn_began: &mut bool, at: u64, line: Line<'_>) {
    if let Line::Whole(bytes) = line {
        // a warning is an item too, and can come before the turn
        if !is_item(bytes) {
            *turn_began |= bytes.starts_with(br#"{"type":"turn."#);
            said.fold(at, line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_flood_the_server_is_told_now_and_then_and_of_its_end() {
        let base = std::env::temp_dir().join(format!("swarm-relay-{}", std::process::id()));
        let store = Store::new(&base);
        store.open().expect("a directory");
        let mut relay = Relay::open(&store, Id::read("1a2b3c4d").expect("an id"));
        assert!(relay.rest().is_none() && !relay.has_news(), "nothing came");
        relay.untold = 3;
        assert_eq!(relay.rest(), Some(Duration::ZERO));
        assert!(relay.has_news() && !relay.has_news());
        assert_eq!(relay.rest(), None);
        // as if it were told just now, however long this took
        relay.told = Instant::now().checked_add(REST);
        relay.untold = 3;
        assert!(relay.rest().is_some_and(|rest| !rest.is_zero()) && !relay.has_news());
        relay.told = Instant::now().checked_sub(REST);
        assert!(relay.has_news() && relay.rest().is_none());
        std::fs::remove_dir_all(base).expect("cleaned up");
    }
}
