//! Repositories for the tests of worktrees: how they are made, looked into and found sound.

use crate::support::*;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A repository with one commit on `main`: the files `a` and `sub/b`.
pub struct Repo {
    /// Its main checkout, or itself where it is bare.
    pub path: PathBuf,
    home: PathBuf,
}

/// git with nothing of the test's own environment but PATH.
pub fn git(home: &Path, at: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", home)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .current_dir(at);
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "Tester");
        command.env(format!("GIT_{who}_EMAIL"), "tester@example.org");
    }
    command
}

impl Repo {
    /// Makes it as `NAME` in the test's directory.
    pub fn new(dir: &Dir, name: &str) -> Repo {
        Repo::with(dir, &dir.path(name), &[])
    }

    /// Makes it at a path, with flags for `git init`.
    pub fn with(dir: &Dir, path: &Path, flags: &[&str]) -> Repo {
        let repo = Repo::unborn(dir, path, flags);
        fs::create_dir(path.join("sub")).unwrap();
        repo.file("a", "one\n");
        repo.file("sub/b", "two\n");
        repo.commit("first");
        repo
    }

    /// Makes one that has no commit yet.
    pub fn unborn(dir: &Dir, path: &Path, flags: &[&str]) -> Repo {
        fs::create_dir_all(path).unwrap();
        let repo = Repo::at(dir, path);
        repo.git(&[&["init", "-q", "-b", "main"], flags].concat());
        repo
    }

    /// Takes the one that is there.
    pub fn at(dir: &Dir, path: &Path) -> Repo {
        Repo { path: path.to_owned(), home: dir.path("home") }
    }

    /// Writes a file of the main checkout.
    pub fn file(&self, name: &str, content: &str) {
        let path = self.path.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Commits all that is in the main checkout, and gives the commit.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// What git says, without the last line end; it must not fail.
    pub fn git<W: AsRef<OsStr>>(&self, words: &[W]) -> String {
        self.git_at(&self.path, words).unwrap_or_else(|e| panic!("{e}"))
    }

    /// What git says in another directory, or all it says when it fails.
    pub fn git_at<W: AsRef<OsStr>>(&self, at: &Path, words: &[W]) -> Result<String, String> {
        let output = git(&self.home, at).args(words).output().map_err(|e| e.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        let words: Vec<&OsStr> = words.iter().map(AsRef::as_ref).collect();
        output.status.success().then_some(text).ok_or(format!("git {words:?}: {errors}"))
    }

    /// A file as it is in a commit, byte for byte; nothing if it is not.
    pub fn content(&self, commit: &str, name: &str) -> Option<Vec<u8>> {
        let spec = format!("{commit}:{name}");
        let output = git(&self.home, &self.path).args(["cat-file", "blob", &spec]).output();
        output.ok().filter(|output| output.status.success()).map(|output| output.stdout)
    }

    /// A text file as it is in a commit.
    pub fn text(&self, commit: &str, name: &str) -> String {
        let content = self.content(commit, name);
        String::from_utf8(content.unwrap_or_else(|| panic!("no {name} in {commit}"))).unwrap()
    }

    /// The commit that a name means.
    pub fn sha(&self, name: &str) -> String {
        self.git(&["rev-parse", "--verify", &format!("{name}^{{commit}}")])
    }

    /// The branches of tasks.
    pub fn branches(&self) -> Vec<String> {
        let all =
            self.git(&["for-each-ref", "--format=%(refname:short)", "refs/heads/codex-swarm"]);
        all.lines().map(str::to_owned).collect()
    }

    /// The paths of its worktrees, the main one first.
    pub fn worktrees(&self) -> Vec<String> {
        let all = self.git(&["worktree", "list", "--porcelain", "-z"]);
        all.split('\0')
            .filter_map(|line| line.strip_prefix("worktree "))
            .map(str::to_owned)
            .collect()
    }

    /// Whether some ref reaches a blob with this content; a worktree has some of its own.
    pub fn holds(&self, content: &str) -> bool {
        let probe = self.path.join(".git/holds-probe");
        fs::write(&probe, content).unwrap();
        let blob = self.git(&["hash-object", "--no-filters", ".git/holds-probe"]);
        fs::remove_file(probe).unwrap();
        let words = ["rev-list", "--objects", "--all"];
        let reached = |at: &String| self.git_at(Path::new(at), &words).unwrap_or_default();
        self.worktrees().iter().any(|at| reached(at).lines().any(|line| line.starts_with(&blob)))
    }

    /// Fails unless every object is whole, every worktree stands, and no lock is left.
    pub fn sound(&self) {
        assert_eq!(self.git(&["fsck", "--full", "--strict", "--no-dangling", "--no-progress"]), "");
        let common =
            PathBuf::from(self.git(&["rev-parse", "--path-format=absolute", "--git-common-dir"]));
        let list = self.git(&["worktree", "list", "--porcelain", "-z"]);
        assert!(!list.contains("\0prunable"), "{list}");
        let known = fs::read_dir(common.join("worktrees")).map_or(0, Iterator::count);
        assert_eq!(self.worktrees().len(), known + 1, "{list}");
        for path in self.worktrees() {
            assert!(Path::new(&path).is_dir(), "{path} in {list}");
        }
        // Ours is no lock by being there, but by being locked.
        let is_lock = |path: &PathBuf| {
            path.extension() == Some("lock".as_ref()) && !path.ends_with("codex-swarm.lock")
        };
        let locks: Vec<PathBuf> = walk(&common).into_iter().filter(is_lock).collect();
        assert!(locks.is_empty(), "{locks:?}");
    }

    /// All there is of the main checkout: HEAD, index, configuration, status, and each file's
    /// mode, time and content.
    pub fn snapshot(&self) -> Vec<String> {
        let status = ["status", "--porcelain=v2", "--branch", "--ignored"];
        let mut all = vec![self.git_at(&self.path, &status).unwrap_or_default()];
        for name in ["HEAD", "index", "config"] {
            all.push(format!("{:?}", fs::read(self.path.join(".git").join(name)).unwrap()));
        }
        let files = walk(&self.path).into_iter().filter(|p| !p.starts_with(self.path.join(".git")));
        all.extend(files.map(|path| described(&path)));
        all
    }
}

/// A path with its mode, time and content.
pub fn described(path: &Path) -> String {
    let stat = path.symlink_metadata().unwrap();
    let content = if stat.is_symlink() {
        fs::read_link(path).unwrap().into_os_string().into_encoded_bytes()
    } else if stat.is_file() {
        fs::read(path).unwrap()
    } else {
        Vec::new()
    };
    let time = if stat.is_dir() { 0 } else { stat.mtime_nsec() };
    format!("{} {:o} {time} {}", path.display(), stat.mode(), String::from_utf8_lossy(&content))
}

/// Every path below one, links not followed, sorted.
pub fn walk(at: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut left = vec![at.to_owned()];
    while let Some(path) = left.pop() {
        for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
            all.push(entry.path());
            if entry.file_type().unwrap().is_dir() {
                left.push(entry.path());
            }
        }
    }
    all.sort();
    all
}

/// Writes a script that can be executed.
pub fn executable(path: &Path, content: &str) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The script of a task that runs these commands and ends well.
pub fn work(commands: &str) -> String {
    let lines: Vec<String> = commands.lines().map(|line| format!("sh {}\n", line.trim())).collect();
    format!("begin\n{}say ok\ndone", lines.concat())
}

/// The members of a call that is to have a worktree of the repository at `cwd`.
pub fn at(cwd: &Path, more: &str) -> String {
    let comma = if more.is_empty() { "" } else { "," };
    format!(r#""cwd":{},"worktree":true{comma}{more}"#, quoted_path(cwd))
}

/// A task with a worktree.
pub struct Task {
    pub id: String,
    /// Its worktree, as `codex_async` named it.
    pub path: PathBuf,
    pub branch: String,
    /// Its section of `codex_wait`, once it was waited for.
    pub told: String,
}

/// Starts a task with a worktree; what `codex_async` says of it has to be where it is.
pub fn start(server: &mut Server<'_>, cwd: &Path, lines: &str, more: &str) -> Task {
    let text = server.ok("codex_async", &script_and(lines, &at(cwd, more)));
    let id = task_id(&text);
    let path = server.dir.path("worktrees").join(&id);
    assert_eq!(field(&text, "Worktree Path"), path.to_str().unwrap());
    assert_eq!(field(&text, "Worktree Branch"), format!("codex-swarm/{id}"));
    Task { branch: format!("codex-swarm/{id}"), id, path, told: String::new() }
}

/// The same to its end.
pub fn run(server: &mut Server<'_>, cwd: &Path, lines: &str) -> Task {
    run_with(server, cwd, lines, "")
}

/// The same with more members.
pub fn run_with(server: &mut Server<'_>, cwd: &Path, lines: &str, more: &str) -> Task {
    let mut task = start(server, cwd, lines, more);
    let text = server.wait(&[&task.id]);
    section(&text, &task.id).clone_into(&mut task.told);
    task
}

/// Runs `gc` on all that ended, and gives what it says. A server may be at it just now.
pub fn gc(dir: &Dir, words: &[&str]) -> String {
    until("nobody else cleans up", || {
        let mut command = dir.command();
        command.arg("gc").args(words).env("CODEX_SWARM_TASK_MAX_AGE", "0");
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        let told = String::from_utf8(output.stdout).unwrap();
        let busy = told.contains("somebody else") || errors.contains("somebody else");
        assert!(busy || output.status.success(), "{errors}");
        (!busy).then_some(told)
    })
}
