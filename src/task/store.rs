//! The task directory: what files a task has, and how they are made, replaced and read.

use super::{Id, Record};
use crate::sys;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// A directory with the files of many tasks, shared by all servers that were told the same one.
#[derive(Clone, Debug)]
pub struct Store {
    /// The directory.
    directory: PathBuf,
}

/// What a file of a task holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The record.
    Meta,
    /// The prompt, which is codex's stdin.
    Prompt,
    /// The transcript: codex's stdout, verbatim.
    Stdout,
    /// codex's stderr.
    Stderr,
    /// The text that replaces Codex's base instructions.
    Instructions,
    /// The schema that the answer is to have.
    Schema,
    /// The answer, where it was too long to be given whole.
    Answer,
}

impl Part {
    /// The file's name behind the id.
    fn suffix(self) -> &'static str {
        match self {
            Part::Meta => "meta",
            Part::Prompt => "prompt",
            Part::Stdout => "stdout",
            Part::Stderr => "stderr",
            Part::Instructions => "instructions",
            Part::Schema => "schema.json",
            Part::Answer => "answer",
        }
    }
}

/// A record holds a command line, which is at most 2 MiB (execve(2)) before it is escaped, and
/// the settings it came from. What is much larger is none.
const RECORD_LIMIT: u64 = 32 << 20;

impl Store {
    /// The store in a directory, which need not be there yet.
    pub fn new(directory: impl Into<PathBuf>) -> Store {
        Store { directory: directory.into() }
    }

    /// Makes the directory if it is not there, and refuses one that is not ours alone.
    pub fn open(&self) -> io::Result<()> {
        sys::private_directory(&self.directory).map_err(|why| {
            io::Error::new(
                why.kind(),
                format!("cannot use the task directory {}: {why}", self.directory.display()),
            )
        })
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where a file of a task is.
    pub fn path(&self, id: Id, part: Part) -> PathBuf {
        self.directory.join(format!("{id}.{}", part.suffix()))
    }

    /// Makes an id that no task here has, and the file of its prompt, which claims the id.
    pub fn claim(&self, prompt: &str) -> io::Result<Id> {
        loop {
            let id = Id::random()?;
            match self.create(id, Part::Prompt, prompt.as_bytes()) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => {
                    self.remove(id);
                    return Err(e);
                }
                Ok(()) => return Ok(id),
            }
        }
    }

    /// Makes a file of a task that it has not got yet.
    pub fn create(&self, id: Id, part: Part, content: &[u8]) -> io::Result<()> {
        sys::create_own(&self.path(id, part))?.write_all(content)
    }

    /// Replaces a task's record as a whole: whoever reads it sees the old one or the new one. A
    /// final record is on the disk itself when this returns.
    pub fn write(&self, record: &Record) -> io::Result<()> {
        let target = self.path(record.id, Part::Meta);
        let interim = self.directory.join(format!(".{}.{}", record.id, std::process::id()));
        let result = write_through(&interim, record)
            .and_then(|()| fs::rename(&interim, &target))
            .and_then(|()| {
                let durable = record.status.is_final();
                if durable { File::open(&self.directory)?.sync_all() } else { Ok(()) }
            });
        result.map_err(|why| {
            let _ = fs::remove_file(&interim);
            io::Error::new(why.kind(), format!("cannot write {}: {why}", target.display()))
        })
    }

    /// A task's record. `None` if there is none that can be read.
    pub fn read(&self, id: Id) -> Option<Record> {
        let mut text = Vec::new();
        let file = sys::open_own(&self.path(id, Part::Meta)).ok()?;
        file.take(RECORD_LIMIT).read_to_end(&mut text).ok()?;
        Record::read(id, &text)
    }

    /// The ids of all tasks that have a file of this kind.
    pub fn ids(&self, part: Part) -> Vec<Id> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let mut ids: Vec<Id> = entries
            .filter_map(|entry| {
                let name = entry.file_name();
                let (id, suffix) = name.to_str()?.split_once('.')?;
                if suffix == part.suffix() { Id::read(id) } else { None }
            })
            .collect();
        ids.sort_unstable();
        ids
    }

    /// Removes every file of a task.
    pub fn remove(&self, id: Id) {
        for part in [
            // the record last: a task that has one can be found and removed again
            Part::Prompt,
            Part::Stdout,
            Part::Stderr,
            Part::Instructions,
            Part::Schema,
            Part::Answer,
            Part::Meta,
        ] {
            let _ = fs::remove_file(self.path(id, part));
        }
    }
}

/// Writes a record to a file of its own, to the disk itself if it is final.
fn write_through(interim: &Path, record: &Record) -> io::Result<()> {
    let mut file = sys::create_own(interim).or_else(|e| {
        // left by a process of the same pid that was killed between two lines of ours
        if e.kind() == io::ErrorKind::AlreadyExists {
            fs::remove_file(interim)?;
            sys::create_own(interim)
        } else {
            Err(e)
        }
    })?;
    file.write_all(record.write().as_bytes())?;
    if record.status.is_final() { file.sync_data() } else { Ok(()) }
}
