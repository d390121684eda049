//! `gc`: removes what is old now, and says what it does and why.

use super::print;
use crate::settings::Settings;
use crate::task::Store;
use crate::task::retention::Sweep;
use crate::{clock, log};
use std::process::ExitCode;

/// Cleans up, or only says what would be done.
pub fn run(settings: &Settings, dry: bool) -> ExitCode {
    let Some(max_age) = settings.max_age else {
        log::say("CODEX_SWARM_TASK_MAX_AGE is no number of seconds, so nothing is old");
        return ExitCode::FAILURE;
    };
    let store = Store::new(&settings.task_dir);
    if !store.directory().exists() {
        print("there are no tasks\n");
        return ExitCode::SUCCESS;
    }
    if let Err(why) = store.open() {
        log::say(&why.to_string());
        return ExitCode::FAILURE;
    }
    let (worktrees, now) = (settings.worktree_dir.as_path(), clock::wall());
    let sweep = Sweep { store: &store, worktrees, max_age, now, dry, brief: false };
    let mut said = 0;
    sweep.sweep(&mut |what| {
        said += 1;
        print(&format!("{what}\n"));
    });
    if said == 0 {
        print("nothing is old enough to go\n");
    }
    ExitCode::SUCCESS
}
