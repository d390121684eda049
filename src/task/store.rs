//! The task directory: what files a task has, and how they are made, replaced and read.

use super::{Group, Id, LongId, Record};
use crate::files;
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
    /// When it came: see [`super::times`].
    Times,
    /// codex's stderr.
    Stderr,
    /// The text that replaces Codex's base instructions.
    Instructions,
    /// The schema that the answer is to have.
    Schema,
    /// The answer, where it was too long to be given whole.
    Answer,
    /// The difference that the branch of its worktree makes.
    Diff,
    /// Room for a record, should the disk be full when it is to be written.
    Spare,
}

impl Part {
    /// The file's name behind the id.
    fn suffix(self) -> &'static str {
        match self {
            Part::Meta => "meta",
            Part::Prompt => "prompt",
            Part::Stdout => "stdout",
            Part::Times => "times",
            Part::Stderr => "stderr",
            Part::Instructions => "instructions",
            Part::Schema => "schema.json",
            Part::Answer => "answer",
            Part::Diff => "diff",
            Part::Spare => "spare",
        }
    }
}

/// A record holds a command line, which is at most 2 MiB (execve(2)) before it is escaped, and
/// the settings it came from. What is much larger is none.
const RECORD_LIMIT: u64 = 32 << 20;

/// By so much a record may grow and still have its room.
const GROWTH: usize = 1024;

/// File systems give room away in pieces of this size.
const PAGE: usize = 4096;

impl Store {
    /// The store in a directory, which need not be there yet.
    pub fn new(directory: impl Into<PathBuf>) -> Store {
        Store { directory: directory.into() }
    }

    /// Makes the directory if it is not there, and refuses one that is not ours alone.
    pub fn open(&self) -> io::Result<()> {
        files::private_directory(&self.directory).map_err(|why| self.unusable(&why))
    }

    /// Refuses a directory that is there and not ours alone: what is written in it would be believed.
    pub fn check(&self) -> io::Result<()> {
        match files::check_private(&self.directory) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => Err(self.unusable(&why)),
            _ => Ok(()),
        }
    }

    /// Why the directory cannot be used.
    fn unusable(&self, why: &io::Error) -> io::Error {
        let directory = self.directory.display();
        io::Error::new(why.kind(), format!("cannot use the task directory {directory}: {why}"))
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where a file of a task is.
    pub fn path(&self, id: Id, part: Part) -> PathBuf {
        self.directory.join(format!("{id}.{}", part.suffix()))
    }

    /// Where tasks have a directory each for temporary files.
    fn temporaries(&self) -> PathBuf {
        self.directory.join("tmp")
    }

    /// Where a task has its own.
    fn temporary_of(&self, id: Id) -> PathBuf {
        self.temporaries().join(id.to_string())
    }

    /// Makes the directory for a task's temporary files.
    pub fn make_temporary(&self, id: Id) -> Result<PathBuf, String> {
        for path in [self.temporaries(), self.temporary_of(id)] {
            files::private_directory(&path)
                .map_err(|why| format!("cannot make {}: {why}", path.display()))?;
        }
        Ok(self.temporary_of(id))
    }

    /// Removes it, with all that the task has left there.
    pub fn remove_temporary(&self, id: Id) -> Result<(), String> {
        let (all, path) = (self.temporaries(), self.temporary_of(id));
        if fs::symlink_metadata(&path).is_err() {
            return Ok(());
        }
        let removed = files::check_private(&all).and_then(|()| files::remove_tree(&path));
        removed.map_err(|why| format!("cannot remove {}: {why}", path.display()))
    }

    /// The tasks that have one.
    pub fn temporary(&self) -> Vec<Id> {
        ids(&self.temporaries(), "")
    }

    /// The task whose record a file of this name is.
    pub fn recorded(name: &str) -> Option<Id> {
        let (id, suffix) = name.split_once('.')?;
        Id::read(id).filter(|_| suffix == Part::Meta.suffix())
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
        files::create_own(&self.path(id, part))?.write_all(content)
    }

    /// Replaces a task's record as a whole: whoever reads it sees the old one or the new one. A
    /// final record is on the disk itself when this returns.
    pub fn write(&self, record: &Record) -> io::Result<()> {
        let (id, durable) = (record.id, record.status.is_final());
        let text = record.write();
        let written = self.replace(id, Part::Meta, text.as_bytes(), durable);
        let (written, spared) = match written {
            Err(why) => (self.write_into_spare(id, &text).map_err(|_| why), true),
            Ok(()) => (Ok(()), false),
        };
        if durable {
            let _ = fs::remove_file(self.path(id, Part::Spare));
        } else if spared {
            // the room of the record that was replaced
            let _ = self.reserve(record);
        }
        written
    }

    /// Takes room for the records to come of a task that begins, so that its end can be told on a
    /// full disk too.
    pub fn reserve(&self, record: &Record) -> io::Result<()> {
        let room = (record.write().len() + GROWTH).next_multiple_of(PAGE);
        let made = self.create(record.id, Part::Spare, &vec![b' '; room]);
        made.inspect_err(|_| drop(fs::remove_file(self.path(record.id, Part::Spare))))
    }

    /// Writes a record into the room that was taken for it.
    fn write_into_spare(&self, id: Id, text: &str) -> io::Result<()> {
        let interim = self.directory.join(format!(".{id}.{}", std::process::id()));
        // whoever moves it has it alone
        fs::rename(self.path(id, Part::Spare), &interim)?;
        let written = files::rewrite_own(&interim).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.set_len(text.len().try_into().unwrap_or(u64::MAX))?;
            file.sync_data()
        });
        let moved = written.and_then(|()| fs::rename(&interim, self.path(id, Part::Meta)));
        moved.inspect_err(|_| drop(fs::remove_file(&interim)))
    }

    /// Replaces a file of a task as a whole. `durable`: it is on the disk itself when this returns.
    pub fn replace(&self, id: Id, part: Part, content: &[u8], durable: bool) -> io::Result<()> {
        self.replace_file(&self.path(id, part), content, durable)
    }

    /// Replaces a file in the directory as a whole.
    fn replace_file(&self, target: &Path, content: &[u8], durable: bool) -> io::Result<()> {
        let name = target.file_stem().unwrap_or_default().to_string_lossy();
        let interim = self.directory.join(format!(".{name}.{}", std::process::id()));
        let result = write_through(&interim, content, durable)
            .and_then(|()| fs::rename(&interim, target))
            .and_then(|()| if durable { File::open(&self.directory)?.sync_all() } else { Ok(()) });
        result.map_err(|why| {
            let _ = fs::remove_file(&interim);
            io::Error::new(why.kind(), format!("cannot write {}: {why}", target.display()))
        })
    }

    /// A task's record. `None` if there is none that can be read.
    pub fn read(&self, id: Id) -> Option<Record> {
        self.read_now(id).ok()?
    }

    /// The same, where a record that cannot be read only at the moment is not none.
    pub fn read_now(&self, id: Id) -> io::Result<Option<Record>> {
        match read_own(&self.path(id, Part::Meta)) {
            Ok(text) => Ok(Record::read(id, &text)),
            Err(why) if sys::is_shortage(&why) => Err(why),
            Err(_) => Ok(None),
        }
    }

    /// The first 4 KiB of a task's prompt.
    pub fn beginning(&self, id: Id) -> Option<String> {
        let mut begin = vec![0; 4096];
        let read = files::open_own(&self.path(id, Part::Prompt))
            .and_then(|mut prompt| prompt.read(&mut begin));
        begin.truncate(read.ok()?);
        Some(String::from_utf8_lossy(&begin).into_owned())
    }

    /// The first line of a task's prompt that is not blank, if it stands in its beginning.
    pub fn title(&self, id: Id) -> Option<String> {
        let prompt = self.beginning(id)?;
        prompt.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
    }

    /// Where a group is.
    fn group_path(&self, id: LongId) -> PathBuf {
        self.directory.join(format!("{id}.group"))
    }

    /// Writes a group.
    pub fn write_group(&self, group: &Group) -> io::Result<()> {
        self.replace_file(&self.group_path(group.id), group.write().as_bytes(), false)
    }

    /// A group. `None` if there is none that can be read.
    pub fn read_group(&self, id: LongId) -> Option<Group> {
        Group::read(id, &read_own(&self.group_path(id)).ok()?)
    }

    /// Removes a group. Its tasks stay.
    pub fn remove_group(&self, id: LongId) -> io::Result<()> {
        fs::remove_file(self.group_path(id))
    }

    /// The ids of all groups.
    pub fn groups(&self) -> Vec<LongId> {
        names(&self.directory, |name, suffix| LongId::read(name).filter(|_| suffix == "group"))
    }

    /// The ids of all tasks that have a file of this kind.
    pub fn ids(&self, part: Part) -> Vec<Id> {
        ids(&self.directory, part.suffix())
    }

    /// The files that were to replace others, of whichever process: `.NAME.PID`.
    pub fn interim(&self) -> Vec<PathBuf> {
        let of_a_process = |rest: &str| rest.rsplit('.').next()?.parse::<u32>().ok();
        let names = names(&self.directory, |name, rest| {
            (name.is_empty() && of_a_process(rest).is_some()).then(|| format!(".{rest}"))
        });
        names.into_iter().map(|name| self.directory.join(name)).collect()
    }

    /// Removes every file of a task.
    pub fn remove(&self, id: Id) {
        self.remove_all_but_record(id);
        // the record last: a task that has one can be found and removed again
        let _ = fs::remove_file(self.path(id, Part::Meta));
    }

    /// Removes every file of a task but its record.
    pub fn remove_all_but_record(&self, id: Id) {
        for part in [
            Part::Prompt,
            Part::Stdout,
            Part::Times,
            Part::Stderr,
            Part::Instructions,
            Part::Schema,
            Part::Answer,
            Part::Diff,
            Part::Spare,
        ] {
            let _ = fs::remove_file(self.path(id, part));
        }
    }
}

/// The ids before such a suffix in the names in a directory.
fn ids(directory: &Path, suffix: &str) -> Vec<Id> {
    names(directory, |name, rest| Id::read(name).filter(|_| rest == suffix))
}

/// What `read` makes of the names in a directory, before and behind their first dot; sorted.
fn names<T: Ord>(directory: &Path, read: impl Fn(&str, &str) -> Option<T>) -> Vec<T> {
    let mut all = Vec::new();
    files::each_name(directory, &mut |name| {
        let (name, rest) = name.split_once('.').unwrap_or((name, ""));
        all.extend(read(name, rest));
    });
    all.sort_unstable();
    all
}

/// What is in a file of ours that holds a record.
fn read_own(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    files::open_own(path)?.take(RECORD_LIMIT).read_to_end(&mut text)?;
    Ok(text)
}

/// Writes a file anew.
fn write_through(interim: &Path, content: &[u8], durable: bool) -> io::Result<()> {
    let mut file = files::create_own(interim).or_else(|e| {
        // left by a process of the same pid that was killed between two lines of ours
        if e.kind() == io::ErrorKind::AlreadyExists {
            fs::remove_file(interim)?;
            files::create_own(interim)
        } else {
            Err(e)
        }
    })?;
    file.write_all(content)?;
    if durable { file.sync_data() } else { Ok(()) }
}
