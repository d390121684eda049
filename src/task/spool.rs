//! A task's transcript as a stream that is read once: each call goes on where the last one stopped.

use crate::files;
use crate::lines::{Line, Lines};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

/// The longest line that is read: a command's output is at most 1 MiB before it is escaped (Codex
/// 0.169), only a message can be longer.
const LINE_LIMIT: usize = 64 << 20;

/// How far a transcript was read.
#[derive(Debug)]
pub struct Spool {
    /// The file.
    path: PathBuf,
    /// The line that has begun.
    lines: Lines,
}

impl Spool {
    /// A transcript of which nothing was read yet.
    pub fn new(path: PathBuf) -> Spool {
        Spool { path, lines: Lines::new(LINE_LIMIT) }
    }

    /// Gives every line that was completed since the last call, with its place in the file. A file
    /// that is not there is one without lines.
    pub fn read(&mut self, mut each: impl FnMut(u64, Line<'_>)) -> io::Result<()> {
        let mut file = match files::open_own(&self.path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        file.seek(SeekFrom::Start(self.lines.end()))?;
        // mostly there is an event or two
        let mut more = self.read_piece(&mut file, &mut [0; 4 << 10], &mut each)?;
        if more {
            let mut large = [0; 64 << 10];
            while more {
                more = self.read_piece(&mut file, &mut large, &mut each)?;
            }
        }
        Ok(())
    }

    /// Reads once, as much as there is room for; `false`: that was all there is.
    fn read_piece(
        &mut self,
        file: &mut File,
        room: &mut [u8],
        each: &mut impl FnMut(u64, Line<'_>),
    ) -> io::Result<bool> {
        let count = file.read(room)?;
        self.lines.feed(room.get(..count).unwrap_or_default(), each);
        Ok(count == room.len())
    }

    /// As [`Spool::read`], and gives a last line that has no end: there will be no more.
    pub fn finish(&mut self, mut each: impl FnMut(u64, Line<'_>)) -> io::Result<()> {
        self.read(&mut each)?;
        self.lines.finish(each);
        Ok(())
    }

    /// The `length` bytes that stand at a place in the file.
    pub fn span(&self, at: u64, length: u64) -> io::Result<Vec<u8>> {
        let mut file = files::open_own(&self.path)?;
        file.seek(SeekFrom::Start(at))?;
        let mut bytes = Vec::new();
        file.take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}
