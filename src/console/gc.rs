//! `gc`: removes what is old now, and says what it does and why.

use super::print;
use crate::clock;
use crate::settings::Settings;
use crate::task::Store;
use crate::task::retention::Sweep;

/// Cleans up, or only says what would be done.
pub fn run(settings: &Settings, store: &Store, dry: bool) -> Result<bool, String> {
    let wrong = "CODEX_SWARM_TASK_MAX_AGE is no number of seconds, so nothing is old";
    let max_age = settings.max_age.ok_or(wrong)?;
    if !store.directory().exists() {
        return print("there are no tasks\n").map(|_| true);
    }
    store.open().map_err(|why| why.to_string())?;
    let (worktrees, now) = (settings.worktree_dir.as_path(), clock::wall());
    let sweep = Sweep { store, worktrees, max_age, now, dry, brief: false };
    let mut said = Ok(false);
    sweep.sweep(&mut |what| {
        // whoever does not listen any more does not stop it
        said = print(&format!("{what}\n")).map(|_| true);
    });
    if !said? {
        print("nothing is old enough to go\n")?;
    }
    Ok(true)
}
