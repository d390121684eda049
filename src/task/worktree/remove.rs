//! How an old worktree is removed, and why one is not: nothing goes that exists nowhere else.

use super::{Repository, Worktree, commit, lock};
use crate::files;
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
    let path = PathBuf::from(&worktree.path);
    // what was begun is brought to an end before all else: it is no worktree any more
    let going = going(&path);
    remove_directory(&going)?;
    let there = fs::symlink_metadata(&path).is_ok();
    let Some(common) = common_of(worktree) else {
        return Ok(if there {
            Outcome::Kept(format!(
                "the repository of {} is gone, and its files are left",
                path.display()
            ))
        } else {
            Outcome::Removed
        });
    };
    let repository = Repository::at(&common);
    if !worktree.is_made() {
        match git_dir_of(&common, &path) {
            // all its files were there: it may be in use by somebody who found it
            Some(git_dir) if git_dir.join("index").exists() => {
                worktree.git_dir = git_dir.display().to_string();
            }
            // its supervisor was killed before a task could run in it: nothing of anybody's
            _ => {
                let lock = lock(&common)?;
                // what the record calls its base is no reason to delete a branch
                let git = repository.take_back_directory(&lock, worktree);
                return remove_branch(&git, &worktree.branch);
            }
        }
    }
    // one that git has forgotten is in nobody's use
    let known = Path::new(&worktree.git_dir).is_dir();
    let ours = if known { worktree.occupy_now() } else { None };
    if known && ours.is_none() {
        return Ok(Outcome::Kept(format!("a task works in {}", path.display())));
    }
    if Path::new(&worktree.git_dir).join("locked").exists() {
        return Ok(Outcome::Kept(format!("{} is locked by git worktree lock", path.display())));
    }
    if there {
        if let Some(why) = not_ours(&Git::of(&common), worktree)? {
            return Ok(Outcome::Kept(why));
        }
        commit(worktree, message)?;
    }
    if let Some(name) = own_ref(worktree) {
        let path = &worktree.path;
        return Ok(Outcome::Kept(format!("{path} has a ref of its own, {name}, to other commits")));
    }
    let lock = lock(&common)?;
    let git = Git::of(&common).holding(&lock);
    if there {
        // in one step: half a worktree would look like one whose other half a task has deleted
        fs::rename(&path, &going)
            .map_err(|why| format!("cannot move {}: {why}", path.display()))?;
    }
    // of a directory that is gone git looks at nothing, and so runs nothing
    let _ = git.run(&["worktree", "remove", "-f", "-f", "--", &worktree.path]);
    remove_directory(&going)?;
    remove_branch(&git, &worktree.branch)
}

/// What a worktree is called while it is removed.
fn going(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    path.with_file_name(format!(".{name}.gone"))
}

/// Removes a directory, if it is there.
fn remove_directory(path: &Path) -> Result<(), String> {
    files::remove_tree(path).map_err(|why| format!("cannot remove {}: {why}", path.display()))
}

/// Where git keeps the data of the worktree at `path`, if it knows one there.
fn git_dir_of(common: &Path, path: &Path) -> Option<PathBuf> {
    let back = format!("{}\n", path.join(".git").display());
    let (all, mut found) = (common.join("worktrees"), None);
    files::each_name(&all, &mut |name| {
        let git_dir = all.join(name);
        if fs::read(git_dir.join("gitdir")).is_ok_and(|to| to == back.as_bytes()) {
            found = Some(git_dir);
        }
    });
    found
}

/// Why a worktree that is there is not to be committed to our branch, if it is not.
fn not_ours(git: &Git, worktree: &Worktree) -> Result<Option<String>, String> {
    let Worktree { path, branch, .. } = worktree;
    let real = fs::canonicalize(path).map_err(|why| format!("{path}: {why}"))?;
    let places = checked_out(git, branch)?;
    if let Some(place) = places.iter().find(|place| Path::new(place) != real) {
        return Ok(Some(format!("the branch {branch} is checked out in {place}")));
    }
    // a detached HEAD has no name, and git says so by failing
    let own = Git::of(Path::new(&worktree.git_dir));
    let head = own.word(&["symbolic-ref", "--quiet", "--short", "HEAD"]).ok();
    let other = head.filter(|head| head != branch);
    Ok(other.map(|head| format!("{path} stands on the branch {head}, which is not ours")))
}

/// The worktrees in which a branch is checked out.
fn checked_out(git: &Git, branch: &str) -> Result<Vec<String>, String> {
    let listed = git.run(&["worktree", "list", "--porcelain"])?;
    let listed = String::from_utf8_lossy(&listed);
    let line = format!("branch refs/heads/{branch}");
    let blocks = listed.split("\n\n").filter(|block| block.lines().any(|other| other == line));
    let place = |block: &str| block.lines().next()?.strip_prefix("worktree ").map(str::to_owned);
    Ok(blocks.filter_map(place).collect())
}

/// A ref that goes with the worktree and has commits that its branch has not, if there is one.
fn own_ref(worktree: &Worktree) -> Option<String> {
    let git = Git::of(Path::new(&worktree.git_dir));
    let branch = format!("refs/heads/{}", worktree.branch);
    let words = [
        "for-each-ref",
        "--format=%(refname)",
        "--no-merged",
        &branch,
        "refs/worktree/",
        "refs/bisect/",
        "refs/rewritten/",
    ];
    // git fails where it has forgotten the worktree, and the refs with it
    let listed = git.run(&words).ok()?;
    String::from_utf8_lossy(&listed).lines().next().map(str::to_owned)
}

/// Removes a branch that holds nothing of its own.
fn remove_branch(git: &Git, branch: &str) -> Result<Outcome, String> {
    let name = format!("refs/heads/{branch}");
    let Ok(tip) = git.word(&["rev-parse", "--verify", "--quiet", &name]) else {
        return Ok(Outcome::Removed);
    };
    if let Some(place) = checked_out(git, branch)?.first() {
        return Ok(Outcome::Kept(format!("the branch {branch} is checked out in {place}")));
    }
    let others = git.run(&["for-each-ref", "--contains", &tip, "--format=%(refname) %(symref)"])?;
    // a symbolic ref has what the ref has that it stands for, and that may be this very branch
    let others = String::from_utf8_lossy(&others);
    let own = |other: &str| !other.ends_with(' ') || other.trim_end() == name;
    if others.lines().all(own) {
        return Ok(Outcome::Kept(format!(
            "the branch {branch} has commits that no other ref has; merge it, or delete it with \
             git branch -D {branch}"
        )));
    }
    git.run(&["update-ref", "-d", &name, &tip])?;
    Ok(Outcome::Removed)
}

/// Where the data are that a worktree shares with its repository, if there are any.
fn common_of(worktree: &Worktree) -> Option<PathBuf> {
    let own = Path::new(&worktree.git_dir);
    if worktree.is_made() && own.is_dir() {
        return Git::of(own).common_dir().ok();
    }
    // one that git has forgotten has none any more
    let forgotten = worktree.is_made() && fs::symlink_metadata(&worktree.path).is_ok();
    if forgotten || worktree.root.is_empty() {
        return None;
    }
    Git::discovering(Path::new(&worktree.root), false).common_dir().ok()
}
