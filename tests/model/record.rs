//! What is written down of each request, for a test to read: its body, and a line in a log.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::json;
use crate::turn::Turn;

/// Where requests are written down.
pub struct Record {
    /// The log, opened to append.
    log: Option<File>,
    /// The folder for bodies.
    dump: Option<PathBuf>,
}

impl Record {
    /// Opens the log and makes the folder.
    pub fn new(log: Option<&Path>, dump: Option<PathBuf>) -> io::Result<Self> {
        let append = |path| File::options().create(true).append(true).open(path);
        let log = log.map(append).transpose()?;
        if let Some(dir) = &dump {
            fs::create_dir_all(dir)?;
        }
        Ok(Self { log, dump })
    }

    /// Keeps the body of request `number`.
    pub fn body(&self, number: u64, body: &[u8]) -> io::Result<()> {
        match &self.dump {
            Some(dir) => write_whole(&dir.join(format!("{number:06}.json")), body),
            None => Ok(()),
        }
    }

    /// Appends what request `number` is about to the log.
    pub fn line(&self, number: u64, thread: Option<&str>, turn: &Turn<'_>) -> io::Result<()> {
        let Some(mut log) = self.log.as_ref() else { return Ok(()) };
        let now = since_epoch();
        let step = turn.place.step();
        let op = turn.steps.get(step).map_or("end", |step| step.op);
        let chars = turn.prompt.chars().count();
        let mut line = String::new();
        json::object(&mut line, |o| {
            o.int("seq", number);
            o.raw("time", &format!("{}.{:03}", now.as_secs(), now.subsec_millis()));
            o.maybe_str("thread", thread);
            o.int("step", i128::try_from(step).unwrap_or(i128::MAX)).str("op", op);
            o.bool("poll", turn.place.is_poll());
            o.int("prompt_len", i128::try_from(chars).unwrap_or(i128::MAX));
        });
        line.push('\n');
        // one write to a file that is open to append: lines of several threads do not mix
        log.write_all(line.as_bytes())
    }
}

/// Writes a file that nobody sees before it is complete.
pub fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".tmp");
    fs::write(&unfinished, content)?;
    fs::rename(&unfinished, path)
}

/// The time now.
pub fn since_epoch() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
