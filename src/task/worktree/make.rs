//! How a worktree is made: the repository found, branch and directory made, files checked out and
//! copied in. What was half made is taken back.

use super::{Worktree, lock};
use crate::files;
use crate::roots;
use crate::task::Id;
use crate::task::git::{self, Git};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// How often git's `worktree add` is tried: it can fail because of another worktree that is half
/// made, by somebody who does not hold our lock.
const TRIES: u32 = 5;

/// The repository that a directory belongs to.
pub struct Repository {
    /// The top directory of the checkout.
    top: PathBuf,
    /// The data that all its worktrees share.
    common: PathBuf,
    /// The data of this checkout.
    git_dir: PathBuf,
    /// The way from the top to the directory.
    prefix: PathBuf,
}

impl Repository {
    /// Finds the repository of a directory, or says why a worktree cannot be made of it. `ours` is
    /// where the worktrees of tasks are: nothing in there is asked where its repository is. If there are
    /// roots, all of the repository must lie below them.
    pub fn find(directory: &Path, ours: &Path, roots: &[String]) -> Result<Repository, String> {
        git::check_version()?;
        let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if real(directory).starts_with(real(ours)) {
            return Err(format!(
                "{} lies in the worktree of another task; name the repository itself as cwd, and \
                 that task's branch as worktree-base",
                directory.display()
            ));
        }
        let git = Git::discovering(directory, !roots.is_empty());
        let path = |what: &str| {
            git.line(&["rev-parse", "--path-format=absolute", what]).map(PathBuf::from)
        };
        let no_repository = |why| format!("{} is in no git repository: {why}", directory.display());
        let common = git.common_dir().map_err(no_repository)?;
        if git.word(&["rev-parse", "--is-inside-work-tree"]).as_deref() != Ok("true") {
            return Err(format!(
                "{} is in a bare repository, or inside of its data; name a checkout as cwd",
                directory.display()
            ));
        }
        let (top, git_dir) = (path("--show-toplevel")?, path("--absolute-git-dir")?);
        roots::hold_all(roots, "worktree", &[&top, &common, &git_dir])?;
        super::be_root(roots, &top, &common)?;
        let prefix = PathBuf::from(git.line(&["rev-parse", "--show-prefix"])?);
        Ok(Repository { top, common, git_dir, prefix })
    }

    /// Fills in what a worktree of this repository begins with.
    pub fn plan(&self, worktree: &mut Worktree) -> Result<(), String> {
        let git = Git::of(&self.git_dir);
        let object =
            |name: &str| git.word(&["rev-parse", "--verify", "--quiet", "--end-of-options", name]);
        // in two steps: a name such as `:/words` takes all that follows it for words
        let commit = |name: &str| object(&format!("{}^{{commit}}", object(name)?));
        worktree.base = match (commit(&worktree.base), worktree.base.as_str()) {
            (Ok(base), _) => base,
            (Err(_), "HEAD") => {
                return Err(format!(
                    "{} has no commit yet; make one, or do without worktree",
                    self.top.display()
                ));
            }
            (Err(_), base) => {
                return Err(format!("worktree-base: {base:?} is no commit that is known here"));
            }
        };
        worktree.root = utf8(&self.top)?;
        Ok(())
    }

    /// Makes the worktree, and gives the directory in it to work in. What was half made is taken
    /// back if it fails.
    pub fn make(&self, worktree: &mut Worktree) -> Result<String, String> {
        let path = PathBuf::from(&worktree.path);
        let parent = path.parent().unwrap_or(Path::new("/"));
        files::private_directory(parent).map_err(|why| {
            format!("cannot use the worktree directory {}: {why}", parent.display())
        })?;
        self.add(worktree)?;
        let made = self.fill(worktree, &path);
        if made.is_err() {
            self.unmake(worktree);
        }
        made
    }

    /// Takes back a worktree in which no task has run.
    pub fn unmake(&self, worktree: &Worktree) {
        if let Ok(lock) = self.lock() {
            let _ = self.take_back(&lock, worktree);
        }
    }

    /// Has git make the branch and the worktree, still without files.
    fn add(&self, worktree: &Worktree) -> Result<(), String> {
        let lock = self.lock()?;
        let git = Git::of(&self.common).holding(&lock);
        let branch = format!("refs/heads/{}", worktree.branch);
        if git.run(&["show-ref", "--verify", "--quiet", &branch]).is_ok() {
            return Err(format!("the branch {} is there already", worktree.branch));
        }
        if fs::symlink_metadata(&worktree.path).is_ok() {
            return Err(format!("{} is there already", worktree.path));
        }
        let mut failure = String::new();
        for _ in 0..TRIES {
            let words = [
                "worktree",
                "add",
                "--quiet",
                "--no-checkout",
                "-b",
                &worktree.branch,
                "--",
                &worktree.path,
                &worktree.base,
            ];
            match git.run(&words) {
                Ok(_) => return Ok(()),
                Err(why) => failure = why,
            }
            self.take_back(&lock, worktree)?;
            self.remove_broken();
        }
        Err(format!("git worktree add: {failure}"))
    }

    /// Removes what a git that was killed has left half made of a task's worktree: no git makes another
    /// worktree beside that. The lock is held, so nobody is making it.
    fn remove_broken(&self) {
        let all = self.common.join("worktrees");
        files::each_name(&all, &mut |name| {
            let path = all.join(name);
            let whole = fs::read(path.join("commondir")).is_ok_and(|to| !to.is_empty());
            if Id::read(name).is_some() && !whole {
                let _ = files::remove_tree(&path);
            }
        });
    }

    /// Checks the files out, copies what `.worktreeinclude` names, and gives the directory to work
    /// in. No lock is held: other worktrees are not touched.
    fn fill(&self, worktree: &mut Worktree, path: &Path) -> Result<String, String> {
        let found =
            fs::read(path.join(".git")).map_err(|why| format!("{}: {why}", worktree.path))?;
        let git_dir = found.strip_prefix(b"gitdir: ").and_then(|rest| rest.strip_suffix(b"\n"));
        let git_dir = git_dir.ok_or("git has made a worktree whose .git names no directory")?;
        // git 2.48 can be told to write it as seen from the worktree
        let git_dir = path.join(OsStr::from_bytes(git_dir));
        worktree.git_dir = utf8(&git_dir)?;
        let git = Git::of(&git_dir).with_tree(path).without_filters(false)?;
        git.run(&["read-tree", "--reset", "-u", "HEAD"]).map_err(|why| {
            // whose commands a fetch would run is not known: the directory may be a task's making
            let partial = why.contains("promisor");
            let cure = "; this is a partial clone, and nothing is fetched here: check it out once";
            format!("git: {why}{}", if partial { cure } else { "" })
        })?;
        // Files that have the index's own time of change are compared anew at each look, and through
        // their filters. So the index is made a little newer; the kernel's clock ticks every few
        // milliseconds.
        std::thread::sleep(Duration::from_millis(10));
        let index = File::options().write(true).open(git_dir.join("index"));
        let touched = index.and_then(|index| index.set_modified(SystemTime::now()));
        touched.map_err(|why| format!("{}: {why}", git_dir.display()))?;
        self.include(path).map_err(|why| format!(".worktreeinclude: {why}"))?;
        let directory: PathBuf = path.join(&self.prefix).components().collect();
        match make_way(path, &self.prefix) {
            Ok(true) => utf8(&directory),
            Ok(false) => Err(format!(
                "{} is no directory in the commit that the worktree begins with",
                self.prefix.display()
            )),
            Err(why) => Err(format!("cannot make {}: {why}", directory.display())),
        }
    }

    /// Copies the files that git ignores and `.worktreeinclude` names, from the main checkout.
    fn include(&self, path: &Path) -> Result<(), String> {
        let list = self.top.join(".worktreeinclude");
        if !list.is_file() {
            return Ok(());
        }
        let git = Git::of(&self.git_dir).with_tree(&self.top);
        let files =
            |more: &OsStr| git.run_on(&["ls-files", "-z", "--others", "--ignored"], &[more]);
        let mut named = OsString::from("--exclude-from=");
        named.push(&list);
        let named = files(&named)?;
        let ignored = files(OsStr::new("--exclude-standard"))?;
        let mut ignored: Vec<&[u8]> = ignored.split(|b| *b == 0).collect();
        ignored.sort_unstable();
        for name in named.split(|b| *b == 0) {
            let relative = Path::new(OsStr::from_bytes(name));
            let plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
            if name.is_empty() || !plain || ignored.binary_search(&name).is_err() {
                continue;
            }
            let from = self.top.join(relative);
            copy(&from, path, relative)
                .map_err(|why| format!("cannot copy {}: {why}", from.display()))?;
        }
        Ok(())
    }

    /// Removes a worktree in which no task ran, and its branch.
    fn take_back(&self, lock: &Rc<File>, worktree: &Worktree) -> Result<(), String> {
        let git = self.take_back_directory(lock, worktree);
        let branch = format!("refs/heads/{}", worktree.branch);
        if git.run(&["show-ref", "--verify", "--quiet", &branch]).is_ok() {
            git.run(&["update-ref", "-d", &branch, &worktree.base])?;
        }
        Ok(())
    }

    /// Removes a worktree in which no task ran, and leaves its branch to the git that it gives.
    pub(super) fn take_back_directory(&self, lock: &Rc<File>, worktree: &Worktree) -> Git {
        let git = Git::of(&self.common).holding(lock);
        let _ = files::remove_tree(Path::new(&worktree.path));
        let remove = ["worktree", "remove", "--force", "--force", "--", &worktree.path];
        let _ = git.run(&remove);
        // a git that was killed so early that no git knows what it began
        let path = Path::new(&worktree.path);
        let begun = self.common.join("worktrees").join(path.file_name().unwrap_or_default());
        let back = path.join(".git").into_os_string().into_vec();
        let other = |to: Vec<u8>| !to.is_empty() && to.trim_ascii_end() != back;
        if path.file_name().is_some() && !fs::read(begun.join("gitdir")).is_ok_and(other) {
            let _ = files::remove_tree(&begun);
        }
        git
    }

    /// Waits for the lock on this repository's worktrees.
    fn lock(&self) -> Result<Rc<File>, String> {
        lock(&self.common)
    }

    /// The repository with these data, where no checkout of it matters.
    pub(super) fn at(common: &Path) -> Repository {
        let common = common.to_owned();
        Repository { top: PathBuf::new(), git_dir: common.clone(), common, prefix: PathBuf::new() }
    }
}

/// Makes a directory below `top`, and those on the way to it. `false`: something else is in the way,
/// such as a link that would lead out.
fn make_way(top: &Path, relative: &Path) -> io::Result<bool> {
    let mut way = top.to_owned();
    for directory in relative.components() {
        way.push(directory);
        match fs::symlink_metadata(&way) {
            Ok(status) if status.is_dir() => {}
            Ok(_) => return Ok(false),
            Err(_) => fs::create_dir(&way)?,
        }
    }
    Ok(true)
}

/// Copies one file below `top`: a link as a link, the mode kept. What is there already stays, and
/// nothing is copied through a link that the base may have in place of a directory.
fn copy(from: &Path, top: &Path, relative: &Path) -> io::Result<()> {
    let to = top.join(relative);
    let open = make_way(top, relative.parent().unwrap_or(Path::new("")))?;
    if !open || fs::symlink_metadata(&to).is_ok() {
        return Ok(());
    }
    let status = fs::symlink_metadata(from)?;
    if status.is_symlink() {
        symlink(fs::read_link(from)?, to)
    } else if status.is_file() {
        files::copy(from, &to)
    } else {
        Ok(())
    }
}

/// A path as text.
fn utf8(path: &Path) -> Result<String, String> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| format!("{} is not UTF-8, and has to go into JSON", path.display()))
}
