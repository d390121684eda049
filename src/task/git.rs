//! git, started directly and told everything outright, so that nothing a task wrote is run by it.
//!
//! A repository's own configuration and the user's are obeyed; a task cannot write them. What git
//! would otherwise take from places that a task can write (hooks, a file system monitor, the
//! `.git` of a directory it is asked about) or from the environment is switched off here.

use crate::program;
use crate::sys::{self, Program};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::rc::Rc;
use std::time::Duration;

/// The oldest git that understands all that is asked of it here (`add --sparse`).
const OLDEST: (u32, u32) = (2, 34);

/// How long git may take for one thing. A large repository takes minutes to check out.
const PATIENCE: Duration = Duration::from_secs(600);

/// What holds for every call.
const CONFIG: [&str; 13] = [
    "core.hooksPath=/dev/null",
    // hooks may stand in the configuration alone, since git 2.54
    "hook.post-checkout.enabled=false",
    "hook.post-index-change.enabled=false",
    "hook.reference-transaction.enabled=false",
    "core.fsmonitor=false",
    "commit.gpgSign=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "diff.ignoreSubmodules=all",
    "submodule.recurse=false",
    "core.quotePath=false",
    "advice.detachedHead=false",
    // git-lfs would obey it
    "core.sshCommand=false",
];

/// The variables that hold for every call. Nobody is there to answer a question.
const ENVIRONMENT: [(&str, &str); 5] = [
    ("LC_ALL", "C"),
    ("GIT_TERMINAL_PROMPT", "0"),
    // a partial clone would fetch what it has not got, by the commands of its configuration; a git
    // before 2.44 does so whatever the first says, and the second goes before what a repository allows
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_ALLOW_PROTOCOL", ""),
    ("GIT_NO_REPLACE_OBJECTS", "1"),
];

/// The filter drivers that may run: programs of their own that take nothing from the directory they
/// run in. Any other may be a script there (`./clean.sh`), or load one (`python3 -m tool`).
const FILTERS: [&str; 2] = ["git-lfs", "git-crypt"];

/// One way to call git.
#[derive(Clone, Debug)]
pub struct Git {
    /// The directory git is started in.
    here: PathBuf,
    /// No link may be on the way there.
    resolved: bool,
    /// Options before the command's name.
    options: Vec<OsString>,
    /// The index to use in place of the worktree's own.
    index: Option<PathBuf>,
    /// A lock that git keeps for as long as it runs, whatever becomes of us.
    lock: Option<Rc<File>>,
}

impl Git {
    /// git in a directory, where it finds the repository by itself. `resolved`: no link may be on the
    /// way there.
    pub fn discovering(here: &Path, resolved: bool) -> Git {
        let config = CONFIG.iter().flat_map(|word| ["-c", word]).map(OsString::from);
        let (here, options) = (here.to_owned(), config.collect());
        Git { here, resolved, options, index: None, lock: None }
    }

    /// git on the repository, or the linked worktree, whose data lie in `directory`.
    pub fn of(directory: &Path) -> Git {
        let mut git = Git::discovering(Path::new("/"), false);
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

    /// The same, with every filter driver off that is not known to be harmless, and every hook that the
    /// configuration names: git 2.54 knows no other way. `required`: a file that would need a filter is
    /// refused then, else it is taken as it is.
    pub fn without_filters(self, required: bool) -> Result<Git, String> {
        // all of it, for only then a failure is not taken for "there are none"
        let listed = self.run(&["config", "--null", "--list"])?;
        let mut git = self;
        for entry in listed.split(|b| *b == 0) {
            let entry = String::from_utf8_lossy(entry);
            let Some((key, command)) = entry.split_once('\n') else { continue };
            let Some((driver, last)) = key.rsplit_once('.') else { continue };
            let hook = driver.starts_with("hook.") && last == "command";
            let filter = driver.starts_with("filter.")
                && ["clean", "smudge", "process"].contains(&last)
                && !is_harmless(command);
            if !hook && !filter {
                continue;
            }
            // one that is no text cannot be named as it is
            if driver.contains(['=', char::REPLACEMENT_CHARACTER]) {
                return Err(format!("{driver:?} has a name that cannot be switched off"));
            }
            let required = if required { "required=true" } else { "required=false" };
            let off = ["clean=", "smudge=", "process=", required];
            for off in if hook { &["enabled=false"][..] } else { &off } {
                git = git.with_config(&format!("{driver}.{off}"));
            }
        }
        Ok(git)
    }

    /// Runs a command of git and gives what it printed, or git's own words on why it failed.
    pub fn run(&self, words: &[&str]) -> Result<Vec<u8>, String> {
        self.run_on(words, &[])
    }

    /// As [`Git::run`], with words behind the others that need not be UTF-8: paths.
    pub fn run_on(&self, words: &[&str], paths: &[&OsStr]) -> Result<Vec<u8>, String> {
        self.finish(words, paths, None)
    }

    /// As [`Git::run`], with what it prints going into a file.
    pub fn run_into(&self, file: &File, words: &[&str]) -> Result<(), String> {
        self.finish(words, &[], Some(file)).map(drop)
    }

    /// Runs a command that prints one line, and gives that without its end.
    pub fn line(&self, words: &[&str]) -> Result<OsString, String> {
        let mut line = self.run(words)?;
        // exactly one line end: a path may itself end with one
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        Ok(OsString::from_vec(line))
    }

    /// Where the data are that all worktrees of the repository share.
    pub fn common_dir(&self) -> Result<PathBuf, String> {
        self.line(&["rev-parse", "--path-format=absolute", "--git-common-dir"]).map(PathBuf::from)
    }

    /// As [`Git::line`], for what is ASCII: ids, counts.
    pub fn word(&self, words: &[&str]) -> Result<String, String> {
        self.line(words).map(|line| line.to_string_lossy().into_owned())
    }

    /// Starts git and waits for it, but not for ever: what a task left may take hours to read. Gives
    /// what it printed, or its own words on why it failed.
    fn finish(
        &self,
        words: &[&str],
        paths: &[&OsStr],
        into: Option<&File>,
    ) -> Result<Vec<u8>, String> {
        let run = || {
            let mut program = self.program(words, paths)?;
            // a lock lives as long as any descriptor of it: git has it as its stdin
            let nothing = sys::nothing()?;
            let stdin = self.lock.as_deref().unwrap_or(&nothing);
            program::finish(&mut program, stdin.as_fd(), into, PATIENCE)
        };
        let ended = run().map_err(|why| match why.kind() {
            io::ErrorKind::TimedOut => {
                format!("git took longer than {} minutes", PATIENCE.as_secs() / 60)
            }
            io::ErrorKind::StaleNetworkFileHandle => why.to_string(),
            _ => cannot_run(&why),
        })?;
        if ended.status.success() {
            Ok(ended.printed)
        } else {
            Err(words_of(&ended.said, ended.status))
        }
    }

    /// The command line, and the environment it runs in.
    fn program(&self, words: &[&str], paths: &[&OsStr]) -> io::Result<Program> {
        let (git, path) = program();
        let options = self.options.iter().map(OsString::as_os_str);
        let words = options.chain(words.iter().map(OsStr::new)).chain(paths.iter().copied());
        let words: Vec<&OsStr> = [OsStr::new("git")].into_iter().chain(words).collect();
        let mut program = Program::new(git.as_os_str(), &words)?;
        program.work_in(&self.here, self.resolved)?;
        program.forget(b"GIT_");
        program.set(OsStr::new("PATH"), &path)?;
        for (name, value) in ENVIRONMENT {
            program.set(OsStr::new(name), OsStr::new(value))?;
        }
        if let Some(index) = &self.index {
            program.set(OsStr::new("GIT_INDEX_FILE"), index.as_os_str())?;
        }
        Ok(program)
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

/// What this machine's git calls itself, if it can do all that is asked of it here.
pub fn check_version() -> Result<String, String> {
    let said = Git::discovering(Path::new("/"), false).word(&["version"])?;
    match version(&said) {
        Some(version) if version >= OLDEST => Ok(said),
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
