//! A task's worktree: made before codex starts, committed when it has ended, removed when it is old.
//! All of it is done by git, and by nobody but a supervisor or `gc`. What is here is only what a
//! record says of it.

mod commit;
mod make;
mod remove;

use super::Id;
use crate::files;
use crate::json::{Object, Value};
use crate::roots;
use crate::sys;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::rc::Rc;

pub use super::git::check_version as check_git;
pub use commit::{commit, write_diff};
pub use make::Repository;
pub use remove::{Outcome, remove};

/// The file in a directory of git's that is locked while worktrees of a repository are made or
/// removed, or one worktree is committed.
const LOCK: &str = "codex-swarm.lock";

/// The file in a worktree's directory of git's that is locked while a task works in it.
const IN_USE: &str = "codex-swarm-in-use";

/// The empty directories that Codex leaves behind where a sandboxed command was ended (0.169).
const RESIDUE: [&str; 3] = [".agents", ".aws", ".codex"];

/// What a record says of a task's worktree. Paths are UTF-8: they have to go into JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Worktree {
    /// The main checkout's top directory.
    pub root: String,
    /// The worktree's top directory.
    pub path: String,
    /// The branch.
    pub branch: String,
    /// Before it is made: what was asked for. Then the commit it began with.
    pub base: String,
    /// Where git keeps the worktree's data; empty until it is made.
    pub git_dir: String,
    /// The branch's last commit, when the task had ended.
    pub head: String,
    /// What the branch has that its base has not.
    pub changes: Option<Changes>,
    /// Why what the task left is not committed, or not all of it.
    pub trouble: Option<String>,
    /// Why something of it is still there, though all else of the task was cleaned up.
    pub kept: Option<String>,
}

/// How much a branch differs from its base.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Commits.
    pub commits: u64,
    /// Files changed.
    pub files: u64,
    /// Lines added.
    pub insertions: u64,
    /// Lines removed.
    pub deletions: u64,
}

/// The name of a task's branch.
pub fn branch_of(id: Id) -> String {
    format!("codex-swarm/{id}")
}

impl Worktree {
    /// The worktree that a task is to have, below `directory`.
    pub fn planned(directory: &Path, id: Id, base: &str) -> Worktree {
        Worktree {
            path: directory.join(id.to_string()).display().to_string(),
            branch: branch_of(id),
            base: base.to_owned(),
            ..Worktree::default()
        }
    }

    /// Whether it was made.
    pub fn is_made(&self) -> bool {
        !self.git_dir.is_empty()
    }

    /// Waits until no other task works in it, and says that one does for as long as the file is open.
    pub fn occupy(&self) -> Result<File, String> {
        locked(&Path::new(&self.git_dir).join(IN_USE))
    }

    /// As [`Worktree::occupy`], but `None` if another task works in it.
    fn occupy_now(&self) -> Option<File> {
        let file = files::append_own(&Path::new(&self.git_dir).join(IN_USE)).ok()?;
        sys::try_lock(&file).then_some(file)
    }

    /// Whether a directory is still one of this worktree's own: a task may have put a link to somewhere
    /// else in the place of it, or of one on the way to it.
    pub fn holds(&self, directory: &Path) -> bool {
        let Ok(below) = directory.strip_prefix(&self.path) else { return false };
        let mut way = PathBuf::from(&self.path);
        let is_directory = |way: &Path| fs::symlink_metadata(way).is_ok_and(|s| s.is_dir());
        is_directory(&way)
            && below.components().all(|part| {
                way.push(part);
                is_directory(&way)
            })
    }

    /// Refuses a worktree that was made, if there are roots and its repository lies elsewhere.
    pub fn stay_below(&self, roots: &[String]) -> Result<(), String> {
        let (top, common) = (Path::new(&self.root), Path::new(&self.git_dir).join("../.."));
        roots::hold_all(roots, "worktree", &[top, &common])?;
        be_root(roots, top, &common)
    }

    /// Writes it into a record.
    pub fn write(&self, o: &mut Object<'_>) {
        o.str("worktree_root", &self.root).str("worktree_path", &self.path);
        o.str("worktree_branch", &self.branch).str("worktree_base", &self.base);
        o.str("worktree_git_dir", &self.git_dir).str("worktree_head", &self.head);
        if let Some(changes) = self.changes {
            o.object("changes", |o| changes.write(o));
        }
        o.maybe_str("worktree_trouble", self.trouble.as_deref());
        o.maybe_str("worktree_kept", self.kept.as_deref());
    }

    /// Reads it from a record.
    pub fn read(record: &Value<'_>) -> Option<Worktree> {
        let text = |key| record.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let maybe = |key| record.get(key).and_then(Value::as_str).map(str::to_owned);
        record.get("worktree_path").and_then(Value::as_str)?;
        Some(Worktree {
            root: text("worktree_root"),
            path: text("worktree_path"),
            branch: text("worktree_branch"),
            base: text("worktree_base"),
            git_dir: text("worktree_git_dir"),
            head: text("worktree_head"),
            changes: record.get("changes").map(Changes::read),
            trouble: maybe("worktree_trouble"),
            kept: maybe("worktree_kept"),
        })
    }
}

impl Changes {
    /// Writes the counts.
    pub fn write(self, o: &mut Object<'_>) {
        o.int("commits", self.commits).int("files", self.files);
        o.int("insertions", self.insertions).int("deletions", self.deletions);
    }

    /// Reads the counts.
    fn read(value: &Value<'_>) -> Changes {
        let count = |key| value.get(key).and_then(Value::as_u64).unwrap_or(0);
        Changes {
            commits: count("commits"),
            files: count("files"),
            insertions: count("insertions"),
            deletions: count("deletions"),
        }
    }
}

/// Refuses a repository that lies below a root and is not one itself, if there are roots. Codex (0.169) keeps a task from the `.git` at the top of where it works, and from no
/// other: what tasks can write above it they could have put there, and git runs what that names.
fn be_root(roots: &[String], top: &Path, common: &Path) -> Result<(), String> {
    if roots.is_empty() {
        return Ok(());
    }
    let shared = roots::resolved("worktree", common)?;
    let below = |path: &Path| roots.iter().any(|root| path.starts_with(root) && path != root);
    if !below(top) && shared.strip_suffix("/.git").is_some_and(|home| !below(Path::new(home))) {
        return Ok(());
    }
    let top = top.display();
    Err(format!(
        "worktree: tasks may write to the git directory {shared} of {top}; let that be a --root of this \
         --locked server, and none that it lies in"
    ))
}

/// Whether a record's worktree is one that we made for the task `id`, below `directory`. Nothing
/// else is ever worked in or removed, whatever a record says.
pub fn is_ours(worktree: &Worktree, directory: &Path, id: Id) -> bool {
    let name = id.to_string();
    Path::new(&worktree.path) == directory.join(&name)
        && worktree.branch == branch_of(id)
        && (!worktree.is_made() || (is_hash(&worktree.base) && is_of(&worktree.git_dir, &name)))
}

/// The task that a worktree was made for, if it is ours.
pub fn owner_of(worktree: &Worktree, directory: &Path) -> Option<Id> {
    let id = Id::read(worktree.branch.rsplit('/').next()?)?;
    is_ours(worktree, directory, id).then_some(id)
}

/// Whether a word is a commit's full name: no other name, and no option.
fn is_hash(word: &str) -> bool {
    word.len() >= 40 && word.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Whether a directory is one where git keeps the data of a linked worktree of this name. It adds a
/// number where it has one of that name.
fn is_of(git_dir: &str, name: &str) -> bool {
    let mut parts = git_dir.rsplit('/');
    parts.next().is_some_and(|last| last.starts_with(name)) && parts.next() == Some("worktrees")
}

/// Waits for the lock in a directory of git's: on a repository's worktrees, or on one worktree.
fn lock(git_dir: &Path) -> Result<Rc<File>, String> {
    locked(&git_dir.join(LOCK)).map(Rc::new)
}

/// Opens a file that is there to be locked, and waits until it is.
fn locked(path: &Path) -> Result<File, String> {
    let locked = files::append_own(path).and_then(|file| sys::lock(&file).map(|()| file));
    locked.map_err(|why| format!("cannot lock {}: {why}", path.display()))
}

/// The directories of [`RESIDUE`] that are in a directory.
pub fn residue(directory: &Path) -> Vec<PathBuf> {
    let all = RESIDUE.iter().map(|name| directory.join(name));
    all.filter(|path| fs::symlink_metadata(path).is_ok()).collect()
}

/// Removes those of [`RESIDUE`] that were not there before and are empty.
pub fn remove_residue(directory: &Path, before: &[PathBuf]) {
    for path in residue(directory).iter().filter(|path| !before.contains(path)) {
        // refuses a directory that has anything in it
        let _ = fs::remove_dir(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_worktree_of_a_task_of_ours_is_ours() {
        let id = Id::read("1a2b3c4d").expect("an id");
        let planned = Worktree::planned(Path::new("/w"), id, "HEAD");
        let hash = "0123456789abcdef0123456789abcdef01234567";
        let made = Worktree {
            base: hash.into(),
            git_dir: "/r/.git/worktrees/1a2b3c4d".into(),
            ..planned.clone()
        };
        let again = Worktree { git_dir: "/r/.git/worktrees/1a2b3c4d1".into(), ..made.clone() };
        for ours in [&planned, &made, &again] {
            assert!(is_ours(ours, Path::new("/w"), id));
            assert_eq!(owner_of(ours, Path::new("/w")), Some(id));
        }
        let with = |change: &dyn Fn(&mut Worktree)| {
            let mut other = made.clone();
            change(&mut other);
            other
        };
        for path in ["/", "/w", "/w/1a2b3c4e", "/w/1a2b3c4d/x", "/w/1a2b3c4d/../x", "/x/1a2b3c4d"] {
            let other = with(&|other| other.path = path.into());
            assert_eq!(owner_of(&other, Path::new("/w")), None, "{path}");
        }
        for branch in ["main", "codex-swarm/1a2b3c4e", "codex-swarm/x/1a2b3c4d", "1a2b3c4d", ""] {
            let other = with(&|other| other.branch = branch.into());
            assert_eq!(owner_of(&other, Path::new("/w")), None, "{branch}");
        }
        for base in ["", "HEAD", "--output=/x", "codex-swarm/1a2b3c4d", &hash[1..]] {
            let other = with(&|other| other.base = base.into());
            assert_eq!(owner_of(&other, Path::new("/w")), None, "{base}");
        }
        for git_dir in ["/r/.git", "/r/.git/worktrees/mine", "/r/1a2b3c4d", "1a2b3c4d"] {
            let other = with(&|other| other.git_dir = git_dir.into());
            assert_eq!(owner_of(&other, Path::new("/w")), None, "{git_dir}");
        }
    }
}
