//! The log file, and the few words on stderr. Knows nothing of what it is told.
//!
//! A log is worth having only where it costs nothing: it is opened at the first line that is
//! written, and a log that cannot be written never stops the program. It is the one piece of global
//! state, because a line may come from anywhere.

use crate::{clock, files};
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For whoever looks for a fault in this program.
    Debug,
    /// What happened in the ordinary course.
    Info,
    /// Something went wrong and was dealt with.
    Warning,
    /// Something went wrong and somebody lost by it.
    Error,
}

impl Level {
    /// All of them, with their names.
    const NAMES: [(&'static str, Level); 4] = [
        ("DEBUG", Level::Debug),
        ("INFO", Level::Info),
        ("WARNING", Level::Warning),
        ("ERROR", Level::Error),
    ];

    /// The level that is called so.
    pub fn named(name: &str) -> Option<Level> {
        Self::NAMES.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, level)| *level)
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, level)| *level == self).map_or("", |(name, _)| name)
    }
}

/// Where lines go and which.
struct Log {
    /// The file.
    path: PathBuf,
    /// What matters less is dropped.
    level: Level,
    /// The file, which is opened at the first line.
    file: Mutex<Option<io::Result<File>>>,
}

/// The log of this process, once it is set up.
static LOG: OnceLock<Log> = OnceLock::new();

/// Says where the log is. Nothing is opened or made yet.
pub fn set_up(path: PathBuf, level: Level) {
    let _ = LOG.set(Log { path, level, file: Mutex::new(None) });
}

/// Writes a line, if it matters enough. Never fails.
pub fn line(level: Level, text: &str) {
    let Some(log) = LOG.get().filter(|log| level >= log.level) else { return };
    let Ok(mut file) = log.file.lock() else { return };
    let open = || {
        // a directory that was there before may be anybody's: only the file must be ours
        let made = log.path.parent().filter(|parent| !parent.exists());
        made.map(files::private_directory).transpose()?;
        files::append_own(&log.path)
    };
    // who does not look for the log would not learn of it otherwise
    let opened = || {
        open().inspect_err(|why| {
            let path = log.path.display();
            say(&format!("cannot write the log {path}: {why}; name another with CODEX_SWARM_LOG"));
        })
    };
    if let Ok(file) = file.get_or_insert_with(opened) {
        let text = text.replace(|c: char| c.is_control(), " ");
        let (time, pid) = (clock::utc(clock::wall()), std::process::id());
        let _ = file.write_all(format!("{time} {} [{pid}] {text}\n", level.name()).as_bytes());
    }
}

/// Something went wrong and was dealt with.
pub fn warning(text: &str) {
    line(Level::Warning, text);
}

/// What happened in the ordinary course.
pub fn info(text: &str) {
    line(Level::Info, text);
}

/// Says a line on stderr, for the person who started this.
pub fn say(text: &str) {
    let _ = writeln!(io::stderr(), "codex-mcp-swarm: {text}");
}
