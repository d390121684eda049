//! How what a task left is committed. Codex cannot do it in a linked worktree from inside of its
//! sandbox (0.169).
//!
//! An index of our own is used: a kill in the middle leaves no lock in anybody's way, and the
//! worktree's own index is replaced when all is done. No porcelain runs that would run a hook, and git
//! is kept out of every repository that the task may have made.

use super::{Changes, Worktree, lock};
use crate::files;
use crate::task::git::Git;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file of our own index, beside the worktree's.
const INDEX: &str = "codex-swarm-index";

/// Commits what a task left in its worktree to its branch, and finds out how the branch differs from
/// its base. Commits of the task's own stay as they are. `message` is the commit's.
pub fn commit(worktree: &mut Worktree, message: &[String]) -> Result<(), String> {
    let path = Path::new(&worktree.path);
    if !fs::symlink_metadata(path).is_ok_and(|status| status.is_dir()) {
        return Err(format!("{} is not there any more", path.display()));
    }
    let git_dir = Path::new(&worktree.git_dir);
    // held by each git that is started: where we were killed, none of them runs on once it is ours
    let lock = lock(git_dir)?;
    let (own, index) = (git_dir.join("index"), git_dir.join(INDEX));
    copy_index(&own, &index).map_err(|why| format!("cannot copy {}: {why}", own.display()))?;
    let plain = git_on(worktree).holding(&lock);
    let git = plain.clone().with_index(&index).without_filters(true)?;

    look_everywhere(&git)?;
    let submodules = submodules(&git)?;
    let nested = foreign(path, &submodules)?;
    // git itself stays out of what it ignores, and refuses to be told so
    let ignored = |path: &PathBuf| {
        plain.run_on(&["check-ignore", "--quiet", "--"], &[path.as_os_str()]).is_ok()
    };
    let nested: Vec<PathBuf> = nested.into_iter().filter(|path| !ignored(path)).collect();
    let mut excluded = Vec::new();
    for directory in nested.iter().chain(&submodules) {
        let mut exclude = OsString::from(":(exclude,top,literal)");
        exclude.push(directory);
        excluded.push(exclude);
    }
    let excluded: Vec<&OsStr> = excluded.iter().map(OsString::as_os_str).collect();
    git.run_on(&["add", "--all", "--sparse", "--", "."], &excluded)
        .map_err(|why| format!("git add: {why}"))?;
    let tree = git.word(&["write-tree"])?;

    let branch = format!("refs/heads/{}", worktree.branch);
    let head = plain
        .word(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])
        .map_err(|_| "the task left the worktree without a commit to stand on")?;
    let tip = plain.word(&["rev-parse", "--verify", "--quiet", &branch]).ok();
    let mut new = head.clone();
    let contains = |commit: &str, other: &str| {
        plain.run(&["merge-base", "--is-ancestor", other, commit]).is_ok()
    };
    // a task that changed the branch it stands on has commits that only its HEAD knows
    let apart = tip.clone().filter(|tip| !contains(&head, tip));
    if tree != plain.word(&["rev-parse", "HEAD^{tree}"])? || apart.is_some() {
        let mut words = vec!["commit-tree", &tree, "-p", &head];
        words.extend(apart.iter().flat_map(|tip| ["-p", tip]));
        words.extend(message.iter().flat_map(|part| ["-m", part]));
        new = identified(&plain).word(&words).map_err(|why| format!("git commit-tree: {why}"))?;
    }
    if tip.as_ref() != Some(&new) {
        let old = tip.as_deref().unwrap_or_default();
        // as seen from the repository: from here git would lock the worktree's HEAD as well
        let common = plain.common_dir()?;
        remove_left_lock(&common.join(format!("{branch}.lock")));
        let words = ["update-ref", "-m", "codex-swarm: what the task left", &branch, &new, old];
        let git = Git::of(&common).holding(&lock);
        git.run(&words).map_err(|why| format!("git update-ref: {why}"))?;
    }
    // from here on all is in the branch; what follows only tells of it
    let _ = fs::rename(&index, &own);
    worktree.head = new;
    worktree.changes = Some(changes(worktree)?);
    left_out(&nested)
}

/// Removes the lock of our branch, where a git was killed that held it. Nobody of ours runs now, nobody
/// else has a reason to move this branch, and whoever does has a second.
fn remove_left_lock(lock: &Path) {
    let changed = || fs::symlink_metadata(lock).and_then(|status| status.modified()).ok();
    if let Some(before) = changed() {
        std::thread::sleep(Duration::from_secs(1));
        if changed() == Some(before) {
            let _ = fs::remove_file(lock);
        }
    }
}

/// Copies an index, with its time of change: git compares that with the files' own, to see which may
/// have changed so soon after that their size and time do not tell.
fn copy_index(own: &Path, index: &Path) -> io::Result<()> {
    // left where git was killed with the index open
    let _ = fs::remove_file(index.with_extension("lock"));
    files::copy(own, index)?;
    File::options().write(true).open(index)?.set_modified(fs::metadata(own)?.modified()?)
}

/// Takes from an index the marks that keep git from looking at files: what a task has changed behind
/// them would neither be committed nor told.
fn look_everywhere(git: &Git) -> Result<(), String> {
    let sparse = git.word(&["config", "--type=bool", "--get", "core.sparseCheckout"]);
    let sparse = sparse.as_deref() == Ok("true");
    let listed = git.run(&["ls-files", "-z", "-v"])?;
    let marked: Vec<&OsStr> = listed
        .split(|b| *b == 0)
        .filter_map(|entry| entry.split_at_checked(2))
        .filter(|(tag, _)| {
            // a small letter: assumed unchanged; S: left out, as in a sparse checkout
            tag.first().is_some_and(|tag| tag.is_ascii_lowercase() || (*tag == b'S' && !sparse))
        })
        .map(|(_, name)| OsStr::from_bytes(name))
        .collect();
    for names in marked.chunks(500) {
        for mark in ["--no-assume-unchanged", "--no-skip-worktree"] {
            if mark == "--no-skip-worktree" && sparse {
                continue;
            }
            git.run_on(&["update-index", mark, "--"], names)?;
        }
    }
    Ok(())
}

/// Says which repositories inside of a worktree are not committed, if there are any.
fn left_out(nested: &[PathBuf]) -> Result<(), String> {
    if nested.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = nested.iter().map(|path| path.display().to_string()).collect();
    let names = names.join(", ");
    Err(format!("{names} has a repository of its own, or stands for one, and is not committed"))
}

/// The submodules that an index names, as seen from the top.
fn submodules(git: &Git) -> Result<Vec<PathBuf>, String> {
    let listed = git.run(&["ls-files", "-z", "--stage"])?;
    let links = listed.split(|b| *b == 0).filter(|entry| entry.starts_with(b"160000 "));
    let names = links.filter_map(|entry| entry.splitn(2, |b| *b == b'\t').nth(1));
    Ok(names.map(|name| PathBuf::from(OsString::from_vec(name.to_owned()))).collect())
}

/// The directories below a worktree's top that git must be kept out of, as seen from the top: those
/// that a task made a repository of, and submodules with anything in them. git would start itself in
/// there, and do what *their* configuration says. An error if git could not even look.
fn foreign(top: &Path, submodules: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(directory) = open.pop() {
        let cannot = |why| format!("cannot read {}: {why}", directory.display());
        for entry in fs::read_dir(top.join(&directory)).map_err(cannot)? {
            let entry = entry.map_err(cannot)?;
            let (name, below) = (entry.file_name(), directory.join(entry.file_name()));
            let kind = entry.file_type().map_err(cannot)?;
            if kind.is_dir() {
                let inside = |name: &str| fs::symlink_metadata(top.join(&below).join(name)).is_ok();
                let filled =
                    || fs::read_dir(top.join(&below)).is_ok_and(|mut d| d.next().is_some());
                if inside(".git") || (submodules.contains(&below) && filled()) {
                    found.push(below);
                } else if name != ".git" {
                    open.push(below);
                }
            } else if submodules.contains(&below) {
                found.push(below);
            } else if !kind.is_file() && !kind.is_symlink() && name.as_bytes().starts_with(b".git")
            {
                // git opens these by their names, and a pipe would hold it for ever
                return Err(format!("{} is no file; git cannot read it", below.display()));
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// git with somebody to name as the author, where the user has set nobody.
fn identified(git: &Git) -> Git {
    let mut git = git.clone();
    for (key, value) in
        [("user.name", "codex-mcp-swarm"), ("user.email", "codex-mcp-swarm@localhost")]
    {
        if git.run(&["config", "--get", key]).is_err() {
            git = git.with_config(&format!("{key}={value}"));
        }
    }
    git
}

/// How the branch differs from its base.
fn changes(worktree: &Worktree) -> Result<Changes, String> {
    let git = git_on(worktree);
    let range = format!("{}..{}", worktree.base, worktree.head);
    let commits = git.word(&["rev-list", "--count", &range])?.parse().unwrap_or(0);
    let words = [
        "diff",
        "--numstat",
        "-z",
        "--no-renames",
        "--no-ext-diff",
        "--no-textconv",
        "--submodule=short",
        &worktree.base,
        &worktree.head,
    ];
    let listed = git.run(&words)?;
    let mut changes = Changes { commits, ..Changes::default() };
    for entry in listed.split(|b| *b == 0).filter(|entry| !entry.is_empty()) {
        // a binary file has dashes in place of numbers
        let mut counts = entry.split(|b| *b == b'\t').map(|field| {
            std::str::from_utf8(field).ok().and_then(|count| count.parse().ok()).unwrap_or(0)
        });
        changes.files += 1;
        changes.insertions += counts.next().unwrap_or(0);
        changes.deletions += counts.next().unwrap_or(0);
    }
    Ok(changes)
}

/// Writes the branch's difference from its base into a file.
pub fn write_diff(worktree: &Worktree, file: &File) -> Result<(), String> {
    let words = [
        "diff",
        "--no-ext-diff",
        "--no-textconv",
        "--no-color",
        "--src-prefix=a/",
        "--dst-prefix=b/",
        &worktree.base,
        &worktree.head,
    ];
    git_on(worktree).run_into(file, &words)
}

/// git on a worktree, after a task ran in it.
fn git_on(worktree: &Worktree) -> Git {
    Git::of(Path::new(&worktree.git_dir)).with_tree(Path::new(&worktree.path))
}
