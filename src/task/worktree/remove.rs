//! How an old worktree is removed, and why one is not: nothing goes that exists nowhere else.

use super::{Repository, Worktree, commit, lock};
use crate::task::git::Git;
use std::fs;
use std::path::{Path, PathBuf};

/// What became of an old worktree.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing of it is left, and nothing was lost.
    Removed,
    /// Something is left, and this is why.
    Kept(String),
}

/// Removes an old worktree and destroys no work: what is not committed is committed first, the
/// directory goes only after that, the branch only if all of it is reachable from another ref.
/// Files that git ignores go with the directory.
pub fn remove(worktree: &mut Worktree, message: &[String]) -> Outcome {
    match try_remove(worktree, message) {
        Ok(outcome) => outcome,
        Err(why) => Outcome::Kept(why),
    }
}

/// As [`remove`], where an error means that something is left.
fn try_remove(worktree: &mut Worktree, message: &[String]) -> Result<Outcome, String> {
    let there = fs::symlink_metadata(&worktree.path).is_ok();
    let Ok(common) = common_of(worktree) else {
        return Ok(if there {
            let path = &worktree.path;
            Outcome::Kept(format!("the repository of {path} is gone, and its files are left"))
        } else {
            Outcome::Removed
        });
    };
    let lock = lock(&common)?;
    let git = Git::of(&common).offline().holding(&lock);
    if !worktree.is_made() {
        // its supervisor was killed before a task could run in it: there is nothing of anybody's
        Repository::at(&common).take_back(&lock, worktree)?;
        return Ok(Outcome::Removed);
    }
    let own = Path::new(&worktree.git_dir);
    if own.join("locked").exists() {
        return Ok(Outcome::Kept(format!("{} is locked by git worktree lock", worktree.path)));
    }
    if there {
        commit(worktree, message)?;
    }
    if let Some(name) = own_ref(worktree) {
        let path = &worktree.path;
        return Ok(Outcome::Kept(format!("{path} has a ref of its own, {name}, to other commits")));
    }
    if there {
        fs::remove_dir_all(&worktree.path)
            .map_err(|why| format!("cannot remove {}: {why}", worktree.path))?;
    }
    // of a directory that is gone git looks at nothing, and so runs nothing
    let _ = git.run(["worktree", "remove", "-f", "-f", "--", &worktree.path]);
    remove_branch(&git, &worktree.branch)
}

/// A ref that goes with the worktree and has commits that its branch has not, if there is one.
fn own_ref(worktree: &Worktree) -> Option<String> {
    let git = Git::of(Path::new(&worktree.git_dir)).offline();
    let branch = format!("refs/heads/{}", worktree.branch);
    let places = ["refs/worktree/", "refs/bisect/", "refs/rewritten/"];
    let words = ["for-each-ref", "--format=%(refname)", "--no-merged", &branch];
    // git fails where it has forgotten the worktree, and the refs with it
    let listed = git.run(words.iter().chain(&places)).ok()?;
    String::from_utf8_lossy(&listed).lines().next().map(str::to_owned)
}

/// Removes a branch that holds nothing of its own.
fn remove_branch(git: &Git, branch: &str) -> Result<Outcome, String> {
    let name = format!("refs/heads/{branch}");
    let Ok(tip) = git.word(["rev-parse", "--verify", "--quiet", &name]) else {
        return Ok(Outcome::Removed);
    };
    let checked_out = git.run(["worktree", "list", "--porcelain", "-z"])?;
    if checked_out.split(|b| *b == 0).any(|line| line == format!("branch {name}").as_bytes()) {
        return Ok(Outcome::Kept(format!("the branch {branch} is checked out")));
    }
    let others = git.run(["for-each-ref", "--contains", &tip, "--format=%(refname) %(symref)"])?;
    // a symbolic ref has what the ref has that it stands for, and that may be this very branch
    let others = String::from_utf8_lossy(&others);
    let own = |other: &str| !other.ends_with(' ') || other.trim_end() == name;
    if others.lines().all(own) {
        return Ok(Outcome::Kept(format!(
            "the branch {branch} has commits that no other ref has; merge it, or delete it with \
             git branch -D {branch}"
        )));
    }
    git.run(["update-ref", "-d", &name, &tip])?;
    Ok(Outcome::Removed)
}

/// Where the data are that a worktree shares with its repository.
fn common_of(worktree: &Worktree) -> Result<PathBuf, String> {
    let of = |git: Git| {
        git.line(["rev-parse", "--path-format=absolute", "--git-common-dir"]).map(PathBuf::from)
    };
    let own = Path::new(&worktree.git_dir);
    if worktree.is_made() && own.is_dir() {
        return of(Git::of(own));
    }
    if worktree.is_made() && fs::symlink_metadata(&worktree.path).is_ok() {
        return Err("git has forgotten the worktree".into());
    }
    if worktree.root.is_empty() {
        Err("it has none".into())
    } else {
        of(Git::discovering(Path::new(&worktree.root)))
    }
}
