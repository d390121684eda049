//! What a launcher has started, perhaps where nothing of ours gets to but its words.

use crate::codex::command::MARK;
use crate::codex::failure::NO_LAUNCHER;
use crate::program;
use crate::settings::Settings;
use crate::sys::{self, Program};
use crate::task::{Record, Store};
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

/// How long it may take to end by other words what a launcher has started elsewhere.
const FAR_END: Duration = Duration::from_secs(10);

/// The program that starts codex in its directory, and codex's words; or what ends, where no signal of
/// ours gets to, what that program has started, if `codex` is empty.
pub fn program(
    settings: &Settings,
    store: &Store,
    record: &Record,
    codex: &[String],
) -> Result<Program, String> {
    let (id, directory) = (record.id.to_string(), store.directory().to_string_lossy());
    let values = [("{task_id}", &*id), ("{task_dir}", &*directory), ("{cwd}", &*record.cwd)];
    let launcher = record.launcher.as_ref();
    let whole = launcher.map(|launcher| launcher.command(codex, (MARK, &id), values));
    let command = whole.as_deref().unwrap_or(codex);
    let name = command.first().ok_or("the record names no command")?;
    let mut path = PathBuf::from(name);
    if launcher.is_some() {
        let (here, places) = (std::env::current_dir().unwrap_or_default(), &settings.path);
        path = program::locate(name, places, &here).ok_or_else(|| {
            format!("{NO_LAUNCHER}{name}: there is no such program here or on PATH ({places})")
        })?;
    }
    let words: Vec<&OsStr> = command.iter().map(OsStr::new).collect();
    Program::new(path.as_os_str(), &words).map_err(|why| format!("cannot start {name}: {why}"))
}

/// Ends what a launcher has started where no signal of ours gets to, if its words may be run and lead
/// there once more. Gives what is to be told if something may be left.
pub fn end(settings: &Settings, store: &Store, record: &Record, may_run: bool) -> Option<String> {
    let launcher = record.launcher.as_ref()?;
    let run = || {
        let mut program = program(settings, store, record, &[]).ok()?;
        program::finish(&mut program, sys::nothing().ok()?.as_fd(), None, FAR_END).ok()
    };
    let failed = if launcher.enters() {
        !may_run || run().is_none_or(|ended| !ended.status.success())
    } else {
        launcher.may_leave(record.exit)
    };
    let host = launcher.place("").unwrap_or_else(|| "the far side".into());
    failed.then(|| format!("something may be left on {host}: it could not be ended there"))
}
