//! What a person does at a terminal. All of it works on the task directory, with or without a server.

mod cancel;
mod check;
mod gc;
mod logs;
mod man;
mod named;
mod packed;
mod ps;
mod registration;
mod table;
mod text;
mod texts;
mod wait;
mod watch;

use crate::cli::{Command, Form};
use crate::log;
use crate::settings::Settings;
use crate::task::Store;
use std::io::{self, Write};

/// Does what a person asks for, and says what kept it from that; `true`: all went well. `wrong` is what is wrong with the
/// environment.
pub fn run(settings: &Settings, wrong: &[String], command: &Command) -> bool {
    let store = Store::new(&settings.task_dir);
    // what is written in a directory of others would be believed
    let tasks = || store.check().map_err(|why| why.to_string());
    let done = match command {
        Command::Ps { all, form: Form::Watch } => tasks().and_then(|()| watch::run(&store, *all)),
        Command::Ps { all, form } => tasks().and_then(|()| ps::run(&store, *all, *form)),
        Command::Logs { task, follow, raw } => {
            tasks().and_then(|()| logs::run(&store, task.as_deref(), *follow, *raw))
        }
        Command::Wait(ids) => tasks().and_then(|()| wait::run(&store, ids)),
        Command::Cancel(ids) => tasks().and_then(|()| cancel::run(&store, ids)),
        Command::Gc { dry_run } => gc::run(settings, &store, *dry_run),
        Command::Check => check::run(settings, wrong, &store),
        Command::Completions(shell) => show(&texts::completions(*shell)).map(|_| true),
        Command::Man => man::run(settings),
    };
    done.unwrap_or_else(|why| {
        log::say(&why);
        false
    })
}

/// Prints a text on stdout without anything that a terminal would obey. As [`show`].
pub fn print(text: &str) -> Result<bool, String> {
    show(&text::clean(text))
}

/// Writes a text that is clean to stdout. `false`: the reader is gone, who has seen enough.
fn show(text: &str) -> Result<bool, String> {
    show_bytes(text.as_bytes())
}

/// As [`show`], for what need not be text.
fn show_bytes(bytes: &[u8]) -> Result<bool, String> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(why) if why.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(why) => Err(format!("cannot write to standard output: {why}")),
    }
}
