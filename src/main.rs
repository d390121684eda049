//! codex-mcp-swarm: an MCP server that runs many `OpenAI` Codex CLI tasks at once and loses none.
//!
//! From the command line to a role, and from what comes of it to an exit status. Nothing else.

#![cfg_attr(not(test), no_main)]

mod cli;
mod clock;
mod codex;
mod console;
mod files;
mod json;
mod launcher;
mod lines;
mod log;
mod mcp;
mod program;
mod relay;
mod roots;
mod rpc;
mod server;
mod settings;
mod supervisor;
mod sys;
mod task;

use cli::Role;
use settings::Settings;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;

/// All went well.
const SUCCESS: u8 = 0;

/// Something did not.
const FAILURE: u8 = 1;

/// The command line was wrong.
const USAGE: u8 = 2;

sys::starts_with!(run);

/// Does what these words ask for, of which the first is the program's name.
fn run(words: Vec<OsString>) -> u8 {
    let words = words.into_iter().skip(1).map(|word| word.to_string_lossy().into_owned());
    match cli::parse(words) {
        Err(usage) => {
            log::say(&usage.to_string());
            USAGE
        }
        Ok(Role::Help) => print(cli::HELP),
        Ok(Role::Version) => print(&format!("codex-mcp-swarm {}\n", mcp::VERSION)),
        Ok(Role::Serve(flags)) => serve(flags),
        Ok(Role::Command(command)) => {
            let (settings, wrong, _) = environment(cli::Flags::default());
            // that one tells what is wrong among all else, and writes no log
            if command != cli::Command::Check {
                tell(&settings, &wrong);
            }
            if console::run(&settings, &wrong, &command) { SUCCESS } else { FAILURE }
        }
        Ok(Role::Supervise(id, directory, launcher)) => {
            supervise(&id, &directory, launcher.as_deref())
        }
    }
}

/// Prints a text on stdout.
fn print(text: &str) -> u8 {
    console::print(text).map_or_else(
        |why| {
            log::say(&why);
            FAILURE
        },
        |_| SUCCESS,
    )
}

/// Reads the environment. Gives what is wrong with it, and the directory this was started in, too.
fn environment(flags: cli::Flags) -> (Settings, Vec<String>, PathBuf) {
    let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
    let (settings, wrong) = Settings::read(flags, |name| std::env::var(name).ok(), &here);
    (settings, wrong, here)
}

/// Sets the log up, and says what is wrong with the environment.
fn tell(settings: &Settings, wrong: &[String]) {
    log::set_up(settings.log.clone(), settings.log_level);
    for text in wrong {
        log::say(text);
        log::warning(text);
    }
}

/// Serves MCP until the client is gone.
fn serve(flags: cli::Flags) -> u8 {
    let (mut settings, wrong, here) = environment(flags);
    tell(&settings, &wrong);
    let resolved = settings.resolve_roots().map_err(std::io::Error::other);
    if std::io::stdin().is_terminal() {
        log::say("this is an MCP server; it reads JSON-RPC on stdin, one message per line");
        log::say("see 'codex-mcp-swarm --help' and 'man codex-mcp-swarm'; end it with Ctrl-D");
    }
    match resolved.and_then(|()| server::run::serve(settings, here)) {
        Ok(()) => SUCCESS,
        Err(why) => {
            log::say(&format!("cannot serve: {why}"));
            FAILURE
        }
    }
}

/// Supervises one task, or ends what a dead supervisor has left of one. Only this program starts these
/// roles; what they have to know is in the record, but for the words of the launcher, if what that
/// started is to be ended.
fn supervise(id: &str, directory: &str, launcher: Option<&[String]>) -> u8 {
    let Some(id) = task::Id::read(id) else {
        log::say(&format!("supervise: {id:?} is no task id; a server starts this, not a person"));
        return USAGE;
    };
    // before anything is said: it may be a place in the queue
    let place = sys::take_third_stream().ok();
    let (settings, wrong, _) = environment(cli::Flags::default());
    tell(&settings, &wrong);
    let store = task::Store::new(directory);
    match launcher {
        Some(launcher) => supervisor::end_leftovers_of(&settings, &store, id, launcher),
        None => supervisor::run(&settings, &store, id, place),
    }
    SUCCESS
}
