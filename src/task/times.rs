//! When the lines of a transcript came: Codex does not say it.
//!
//! The supervisor keeps stamps in a file of their own, a line each: how many bytes the transcript had
//! by then, and the moment. What is between two stamps came at the moment of the first.

use super::store::{Part, Store};
use super::{Id, spool::Spool};
use crate::lines::Line;
use crate::{clock, files};
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

/// Moments that are closer together than this share a stamp; milliseconds.
const PRECISION: u64 = 100;

/// The stamps of a transcript that is being written.
#[derive(Debug)]
pub struct Stamps {
    /// The file. Times are good to have, and nothing depends on them: it may be missing.
    file: Option<File>,
    /// The last stamp's moment.
    last: u64,
}

impl Stamps {
    /// The stamps of a transcript that nothing was written to yet.
    pub fn new(store: &Store, id: Id) -> Stamps {
        Stamps { file: files::append_own(&store.path(id, Part::Times)).ok(), last: 0 }
    }

    /// Something has come that is about to be written to the transcript: who sees it there shall see
    /// when it came.
    pub fn stamp(&mut self, transcript: &File) {
        let now = clock::wall();
        if now.abs_diff(self.last) < PRECISION {
            return;
        }
        self.last = now;
        let (Some(file), Ok(status)) = (&mut self.file, transcript.metadata()) else { return };
        // on a full disk there is none, and later ones may be
        let _ = file.write_all(format!("{} {now}\n", status.len()).as_bytes());
    }
}

/// The stamps of a transcript, as far as they were read.
#[derive(Debug)]
pub struct Times {
    /// The file.
    spool: Spool,
    /// Where the transcript is.
    transcript: PathBuf,
    /// How long it was before the stamps were read last: those of so many bytes are known.
    known: u64,
    /// Places in the transcript and moments, in order.
    stamps: Vec<(u64, u64)>,
}

impl Times {
    /// Of which nothing was read yet.
    pub fn new(store: &Store, id: Id) -> Times {
        let (spool, transcript) =
            (Spool::new(store.path(id, Part::Times)), store.path(id, Part::Stdout));
        Times { spool, transcript, known: 0, stamps: Vec::new() }
    }

    /// Reads what was added.
    fn catch_up(&mut self) {
        self.known = fs::symlink_metadata(&self.transcript).map_or(0, |file| file.len());
        let stamps = &mut self.stamps;
        let _ = self.spool.read(|_, line| {
            let Line::Whole(line) = line else { return };
            let stamp =
                stamp(line).filter(|stamp| stamps.last().is_none_or(|last| last.0 <= stamp.0));
            stamps.extend(stamp);
        });
    }

    /// When the byte at this place came; milliseconds since 1970.
    pub fn at(&mut self, place: u64) -> Option<u64> {
        // it may have come since
        if place >= self.known {
            self.catch_up();
        }
        let behind = self.stamps.partition_point(|(bytes, _)| *bytes <= place);
        self.stamps.get(behind.checked_sub(1)?).map(|(_, moment)| *moment)
    }
}

/// A line of the file.
pub fn stamp(line: &[u8]) -> Option<(u64, u64)> {
    let (bytes, moment) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    Some((bytes.parse().ok()?, moment.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_came_when_the_last_stamp_before_it_says() {
        let base = std::env::temp_dir().join(format!("swarm-times-{}", std::process::id()));
        let store = Store::new(&base);
        store.open().expect("a directory");
        let id = Id::read("1a2b3c4d").expect("an id");
        let mut times = Times::new(&store, id);
        assert_eq!(times.at(0), None);
        let text = b"0 1000\n50 1200\nnonsense\n 7\n-1 5\n40 9999\n60 1";
        store.create(id, Part::Times, text).expect("a file");
        for (place, moment) in [(0, 1000), (49, 1000), (50, 1200), (u64::MAX, 1200)] {
            assert_eq!(times.at(place), Some(moment), "{place}");
        }
        let mut file = files::append_own(&store.path(id, Part::Times)).expect("the file");
        file.write_all(b"300\n").expect("more");
        assert_eq!((times.at(59), times.at(60)), (Some(1200), Some(1300)));
        store.remove(id);

        let mut stamps = Stamps::new(&store, id);
        let mut transcript = files::append_own(&store.path(id, Part::Stdout)).expect("a file");
        for ago in [PRECISION, 0] {
            stamps.stamp(&transcript);
            transcript.write_all(b"ten bytes\n").expect("it is written");
            stamps.last -= ago;
        }
        stamps.stamp(&transcript);
        let mut times = Times::new(&store, id);
        times.catch_up();
        assert_eq!(times.stamps.iter().map(|(bytes, _)| *bytes).collect::<Vec<_>>(), [0, 10]);
        fs::remove_dir_all(base).expect("cleaned up");
    }
}
