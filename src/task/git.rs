//! git, started directly and told everything outright, so that nothing a task wrote is run by it.
//!
//! A repository's own configuration and the user's are obeyed; a task cannot write them. What git
//! would otherwise take from places that a task can write (hooks, a file system monitor, the
//! `.git` of a directory it is asked about) or from the environment is switched off here.

use crate::sys::{self, PollFd, Signal};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The oldest git that understands all that is asked of it here (`add --sparse`).
const OLDEST: (u32, u32) = (2, 34);

/// How long git may take for one thing. A large repository takes minutes to check out.
const PATIENCE: Duration = Duration::from_secs(600);

/// What holds for every call.
const CONFIG: [&str; 12] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "commit.gpgSign=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "diff.ignoreSubmodules=all",
    "submodule.recurse=false",
    "core.quotePath=false",
    "advice.detachedHead=false",
    // a partial clone would fetch what it has not got, by the commands of its configuration
    "protocol.allow=never",
    "core.sshCommand=false",
    "core.gitProxy=",
];

/// The filter drivers that may run: programs of their own that take nothing from the directory they
/// run in. Any other may be a script there (`./clean.sh`), or load one (`python3 -m tool`).
const FILTERS: [&str; 2] = ["git-lfs", "git-crypt"];

/// One way to call git.
#[derive(Clone, Debug)]
pub struct Git {
    /// The directory git is started in.
    here: PathBuf,
    /// Options before the command's name.
    options: Vec<OsString>,
    /// The index to use in place of the worktree's own.
    index: Option<PathBuf>,
    /// A lock that git keeps for as long as it runs, whatever becomes of us.
    lock: Option<Rc<File>>,
}

impl Git {
    /// git in a directory, where it finds the repository by itself.
    pub fn discovering(here: &Path) -> Git {
        let config = CONFIG.iter().flat_map(|word| ["-c", word]).map(OsString::from);
        Git { here: here.to_owned(), options: config.collect(), index: None, lock: None }
    }

    /// git on the repository, or the linked worktree, whose data lie in `directory`.
    pub fn of(directory: &Path) -> Git {
        let mut git = Git::discovering(Path::new("/"));
        git.options.push(joined("--git-dir=", directory.as_os_str()));
        git
    }

    /// The same, for the files below `tree`.
    pub fn with_tree(mut self, tree: &Path) -> Git {
        self.options.push(joined("--work-tree=", tree.as_os_str()));
        self.here = tree.into();
        self
    }

    /// The same, with an index of its own.
    pub fn with_index(mut self, index: &Path) -> Git {
        self.index = Some(index.into());
        self
    }

    /// The same, with a configuration value more.
    pub fn with_config(mut self, word: &str) -> Git {
        self.options.extend(["-c".into(), word.into()]);
        self
    }

    /// The same, keeping a lock.
    pub fn holding(mut self, lock: &Rc<File>) -> Git {
        self.lock = Some(Rc::clone(lock));
        self
    }

    /// The same, with every filter driver off that is not known to be harmless. `required`: a file
    /// that would need one is refused then, else it is taken as it is.
    pub fn without_filters(self, required: bool) -> Result<Git, String> {
        let pattern = r"^filter\..*\.(clean|smudge|process)$";
        let listed = self.run(["config", "--null", "--get-regexp", pattern]).unwrap_or_default();
        let mut git = self;
        for entry in listed.split(|b| *b == 0) {
            let entry = String::from_utf8_lossy(entry);
            let Some((key, command)) = entry.split_once('\n') else { continue };
            let Some((driver, _)) = key.rsplit_once('.') else { continue };
            if is_harmless(command) {
                continue;
            }
            if driver.contains('=') {
                return Err(format!(
                    "the filter {driver:?} has a name that cannot be switched off"
                ));
            }
            for off in ["clean=", "smudge=", "process="] {
                git = git.with_config(&format!("{driver}.{off}"));
            }
            git = git.with_config(&format!("{driver}.required={required}"));
        }
        Ok(git)
    }

    /// Runs a command of git and gives what it printed, or git's own words on why it failed.
    pub fn run<W: AsRef<OsStr>>(
        &self,
        words: impl IntoIterator<Item = W>,
    ) -> Result<Vec<u8>, String> {
        let mut command = self.command(words);
        // a lock lives as long as any descriptor of it: git has it as its stdin
        let lock = self.lock.as_ref().map(|lock| lock.try_clone()).transpose();
        let lock = lock.map_err(|why| cannot_run(&why))?;
        command.stdin(lock.map_or_else(Stdio::null, Stdio::from));
        finish(command.stdout(Stdio::piped()))
    }

    /// As [`Git::run`], with what it prints going into a file.
    pub fn run_into<W: AsRef<OsStr>>(
        &self,
        file: File,
        words: impl IntoIterator<Item = W>,
    ) -> Result<(), String> {
        finish(self.command(words).stdin(Stdio::null()).stdout(file)).map(drop)
    }

    /// Runs a command that prints one line, and gives that without its end.
    pub fn line<W: AsRef<OsStr>>(
        &self,
        words: impl IntoIterator<Item = W>,
    ) -> Result<OsString, String> {
        let mut line = self.run(words)?;
        // exactly one line end: a path may itself end with one
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        Ok(OsString::from_vec(line))
    }

    /// Where the data are that all worktrees of the repository share.
    pub fn common_dir(&self) -> Result<PathBuf, String> {
        self.line(["rev-parse", "--path-format=absolute", "--git-common-dir"]).map(PathBuf::from)
    }

    /// As [`Git::line`], for what is ASCII: ids, counts.
    pub fn word<W: AsRef<OsStr>>(
        &self,
        words: impl IntoIterator<Item = W>,
    ) -> Result<String, String> {
        self.line(words).map(|line| line.to_string_lossy().into_owned())
    }

    /// The command line, and the environment it runs in.
    fn command<W: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = W>) -> Command {
        let (program, path) = program();
        let mut command = Command::new(program);
        command.args(&self.options).args(words).current_dir(&self.here);
        for (name, _) in std::env::vars_os() {
            if name.as_bytes().starts_with(b"GIT_") {
                command.env_remove(name);
            }
        }
        command.env("PATH", path).env("LC_ALL", "C");
        command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_NO_LAZY_FETCH", "1");
        command.env("GIT_NO_REPLACE_OBJECTS", "1");
        if let Some(index) = &self.index {
            command.env("GIT_INDEX_FILE", index);
        }
        command
    }
}

/// Where git is, and the PATH it gets: without entries that mean a place in the directory it runs in,
/// which is a task's.
fn program() -> (PathBuf, OsString) {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let absolute = |directory: &PathBuf| directory.is_absolute();
    let directories: Vec<PathBuf> = std::env::split_paths(&path).filter(absolute).collect();
    let found = directories.iter().map(|directory| directory.join("git")).find(|git| git.is_file());
    let path = std::env::join_paths(&directories).unwrap_or_default();
    (found.unwrap_or_else(|| "/nowhere/git".into()), path)
}

/// Starts git and waits for it, but not for ever: what a task left may take hours to read. Gives what
/// it printed, or its own words on why it failed.
fn finish(command: &mut Command) -> Result<Vec<u8>, String> {
    let mut child =
        command.stderr(Stdio::piped()).process_group(0).spawn().map_err(|why| cannot_run(&why))?;
    let began = Instant::now();
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let (mut printed, mut said) = (Vec::new(), Vec::new());
    while out.is_some() || err.is_some() {
        let mut fds: Vec<PollFd<'_>> = Vec::new();
        fds.extend(out.as_ref().map(|out| PollFd::reading(out.as_fd())));
        fds.extend(err.as_ref().map(|err| PollFd::reading(err.as_fd())));
        let rest = PATIENCE.saturating_sub(began.elapsed());
        let polled = sys::poll(&mut fds, Some(rest));
        let mut ready = fds.iter().map(PollFd::ready);
        let is_out = out.is_some() && ready.next().unwrap_or(false);
        let is_err = err.is_some() && ready.next().unwrap_or(false);
        if is_out && !take_from(out.as_mut(), &mut printed) {
            out = None;
        }
        if is_err && !take_from(err.as_mut(), &mut said) {
            err = None;
        }
        if polled.is_err() || began.elapsed() >= PATIENCE {
            if let Some(leader) = sys::Pid::of(&child) {
                let _ = sys::kill_group(leader, Signal::Kill);
            }
            let _ = child.wait();
            return Err(format!("git took longer than {} minutes", PATIENCE.as_secs() / 60));
        }
    }
    let status = child.wait().map_err(|why| cannot_run(&why))?;
    if status.success() { Ok(printed) } else { Err(words_of(&said, status)) }
}

/// Reads what is there; `false` at the end.
fn take_from(pipe: Option<&mut impl Read>, into: &mut Vec<u8>) -> bool {
    let mut piece = [0; 16 << 10];
    match pipe.map(|pipe| pipe.read(&mut piece)) {
        Some(Ok(count @ 1..)) => {
            into.extend_from_slice(piece.get(..count).unwrap_or_default());
            true
        }
        Some(Err(why)) => why.kind() == io::ErrorKind::Interrupted,
        Some(Ok(_)) | None => false,
    }
}

/// What git said when it failed, on one line.
fn words_of(said: &[u8], status: ExitStatus) -> String {
    let said = String::from_utf8_lossy(said);
    let lines: Vec<&str> = said
        .lines()
        .map(|line| line.trim_start_matches("fatal: ").trim_start_matches("error: ").trim())
        .filter(|line| !line.is_empty() && !line.starts_with("hint:"))
        .collect();
    if lines.is_empty() { format!("git ended with {status}") } else { lines.join("; ") }
}

/// Whether this machine's git can do all that is asked of it here.
pub fn check_version() -> Result<(), String> {
    let said = Git::discovering(Path::new("/")).word(["version"])?;
    match version(&said) {
        Some(version) if version >= OLDEST => Ok(()),
        _ => Err(format!("{said:?} is too old; git {}.{} or newer is needed", OLDEST.0, OLDEST.1)),
    }
}

/// The first two numbers of what `git version` prints.
fn version(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.split_ascii_whitespace().nth(2)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Whether the command of a filter driver is one of those that may run.
fn is_harmless(command: &str) -> bool {
    let word = command.split_ascii_whitespace().next().unwrap_or_default();
    FILTERS.contains(&word.trim_matches(['"', '\'']))
        && !command.contains([';', '&', '|', '`', '$', '<', '>', '\n'])
}

/// An option and its value in one word.
fn joined(option: &str, value: &OsStr) -> OsString {
    let mut word = OsString::from(option);
    word.push(value);
    word
}

/// git itself could not be started.
fn cannot_run(why: &io::Error) -> String {
    format!("cannot run git: {why}; install git, or do without worktree")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_filters_are_harmless() {
        assert!(is_harmless("git-lfs clean -- %f"));
        assert!(is_harmless("git-lfs filter-process"));
        assert!(is_harmless("\"git-crypt\" clean"));
        for command in [
            "./clean.sh",
            "sh clean.sh",
            "python3 -m nbstripout",
            "git-lfs clean; ./x",
            "git-lfs $(./x)",
            "./git-lfs clean",
            "",
        ] {
            assert!(!is_harmless(command), "{command}");
        }
    }

    #[test]
    fn versions_of_all_kinds_are_read() {
        assert_eq!(version("git version 2.47.3"), Some((2, 47)));
        assert_eq!(version("git version 2.39.5 (Apple Git-154)"), Some((2, 39)));
        assert_eq!(version("git version 2.34.GIT"), Some((2, 34)));
        assert_eq!(version("git"), None);
    }
}
