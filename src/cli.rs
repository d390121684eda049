//! What was typed: the command line as a value, and the words of `--help`.

use std::fmt;

/// What the program was asked to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Role {
    /// An MCP server on stdin and stdout.
    Serve(Flags),
    /// The supervisor of one task: its id and the task directory. Started by a server only.
    Supervise(String, String),
    /// Clean up what is old; or only say what would be done.
    Gc {
        /// Only say it.
        dry_run: bool,
    },
    /// Wait for these tasks and print their results.
    Wait(Vec<String>),
    /// Print the help.
    Help,
    /// Print the version.
    Version,
}

/// The server's flags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// The values of `-c`, as typed: `key=value`.
    pub config: Vec<String>,
    /// `--skip-git-repo-check`
    pub skip_git_repo_check: bool,
    /// `--ephemeral`
    pub ephemeral: bool,
    /// `--codex`
    pub codex: Option<String>,
    /// `--structured`
    pub structured: bool,
    /// `--max-parallel`
    pub max_parallel: Option<u32>,
    /// `--task-timeout`, in seconds
    pub task_timeout: Option<u32>,
}

/// What was wrong with the command line.
#[derive(Debug, PartialEq, Eq)]
pub struct Usage(String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; try 'codex-mcp-swarm --help'", self.0)
    }
}

/// Reads the words after the program's name.
pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Role, Usage> {
    let mut words = words.into_iter();
    let mut flags = Flags::default();
    let mut first = true;
    while let Some(word) = words.next() {
        // --name=value is --name value
        let (name, mut joined) = match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => {
                (name.to_owned(), Some(value.to_owned()))
            }
            _ => (word.clone(), None),
        };
        let mut value = |what: &str| {
            let value = joined.take().or_else(|| words.next());
            value.ok_or_else(|| Usage(format!("{name} needs {what} after it")))
        };
        match name.as_str() {
            "-h" | "--help" => return Ok(Role::Help),
            "-V" | "--version" => return Ok(Role::Version),
            "-c" | "--config" => flags.config.push(config(value("key=value")?)?),
            "--codex" => flags.codex = Some(value("a path")?),
            "--skip-git-repo-check" => flags.skip_git_repo_check = true,
            "--ephemeral" => flags.ephemeral = true,
            "--structured" => flags.structured = true,
            "--max-parallel" => {
                flags.max_parallel = Some(number(&name, &value("a number of tasks")?)?);
            }
            "--task-timeout" => {
                flags.task_timeout = Some(number(&name, &value("seconds")?)?);
            }
            "supervise" if first => {
                let id = value("a task id")?;
                return Ok(Role::Supervise(id, value("a directory")?));
            }
            "gc" if first => return gc(words),
            "wait" if first => return ids("wait", words).map(Role::Wait),
            _ if name.starts_with("-c") && !name.starts_with("--") => {
                // -ckey=value, and -c=key=value, which Codex takes too
                let (_, joined) = word.split_at(2);
                flags.config.push(config(joined.trim_start_matches('=').to_owned())?);
            }
            _ => return Err(Usage(format!("unknown argument '{word}'"))),
        }
        if joined.is_some() {
            return Err(Usage(format!("{name} takes no value")));
        }
        first = false;
    }
    Ok(Role::Serve(flags))
}

/// Reads the words behind `gc`.
fn gc(words: impl Iterator<Item = String>) -> Result<Role, Usage> {
    let mut dry_run = false;
    for word in words {
        match word.as_str() {
            "--dry-run" => dry_run = true,
            "-h" | "--help" => return Ok(Role::Help),
            _ => return Err(Usage(format!("gc takes --dry-run, not '{word}'"))),
        }
    }
    Ok(Role::Gc { dry_run })
}

/// Reads the ids behind a command.
fn ids(command: &str, words: impl Iterator<Item = String>) -> Result<Vec<String>, Usage> {
    let ids: Vec<String> = words.collect();
    if let Some(word) = ids.iter().find(|word| word.starts_with('-')) {
        return Err(Usage(format!("{command} takes task ids, not '{word}'")));
    }
    if ids.is_empty() {
        return Err(Usage(format!("{command} needs a task id after it")));
    }
    Ok(ids)
}

/// Reads a number that is not 0.
fn number(name: &str, text: &str) -> Result<u32, Usage> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| Usage(format!("{name} needs a number above 0, this is '{text}'")))
}

/// Checks a `-c` value: the key is what codex splits off at the first `=`.
fn config(word: String) -> Result<String, Usage> {
    match word.split_once('=') {
        Some((key, _)) if !key.trim().is_empty() && !key.starts_with('-') => Ok(word),
        _ => Err(Usage(format!("-c needs key=value, this is '{word}'"))),
    }
}

/// The text of `--help`. The man page has the same words in the same order.
pub const HELP: &str = "\
usage: codex-mcp-swarm [-c key=value]... [--skip-git-repo-check] [--ephemeral]
                       [--codex path] [--max-parallel n] [--task-timeout seconds]
                       [--structured]
       codex-mcp-swarm wait id...
       codex-mcp-swarm gc [--dry-run]
       codex-mcp-swarm --help | --version

An MCP server on stdin and stdout that runs many OpenAI Codex CLI tasks at once.

  -c, --config key=value  a Codex configuration default, repeatable, passed on as typed
  --skip-git-repo-check   let Codex work outside of a git repository
  --ephemeral             keep no Codex sessions; then nothing can be resumed
  --codex path            the Codex CLI to run (default: codex on PATH)
  --max-parallel n        run at most n tasks at once, over all servers of a task directory
  --task-timeout seconds  end a task that runs longer; it has failed then
  --structured            give every tool an output schema and structured content
  wait id...              wait for tasks, print their results; exit 0 if all completed
  gc [--dry-run]          remove old tasks and worktrees now; no work is destroyed
  -h, --help              print this and exit
  -V, --version           print the version and exit

environment: CODEX_SWARM_TASK_DIR, CODEX_SWARM_WORKTREE_DIR, CODEX_SWARM_LOG,
  CODEX_SWARM_LOG_LEVEL, CODEX_SWARM_TASK_MAX_AGE, CODEX_SWARM_MIN_WAIT,
  CODEX_SWARM_HOLD
see also: man codex-mcp-swarm
";

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses words that are split at blanks.
    fn typed(line: &str) -> Result<Role, Usage> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn flags_are_read_in_every_common_form() {
        let flags = Flags {
            config: vec!["model=gpt".into(), "a.b=\"x=y\"".into(), "c=".into(), "d=1".into()],
            skip_git_repo_check: true,
            ephemeral: true,
            codex: Some("/opt/codex".into()),
            structured: true,
            max_parallel: Some(8),
            task_timeout: Some(3600),
        };
        let line = "-c=model=gpt --config a.b=\"x=y\" --config=c= -cd=1 --skip-git-repo-check \
                    --ephemeral --codex=/opt/codex --structured --max-parallel 8 \
                    --task-timeout=3600";
        assert_eq!(typed(line), Ok(Role::Serve(flags)));
        assert_eq!(typed(""), Ok(Role::Serve(Flags::default())));
        assert_eq!(typed("--ephemeral --help"), Ok(Role::Help));
        assert_eq!(typed("-V"), Ok(Role::Version));
        assert_eq!(typed("gc"), Ok(Role::Gc { dry_run: false }));
        assert_eq!(typed("gc --dry-run"), Ok(Role::Gc { dry_run: true }));
        assert_eq!(typed("wait a b"), Ok(Role::Wait(vec!["a".into(), "b".into()])));
        assert_eq!(
            typed("supervise 00c0ffee /d"),
            Ok(Role::Supervise("00c0ffee".into(), "/d".into()))
        );
    }

    #[test]
    fn a_wrong_word_is_named() {
        for (line, part) in [
            ("-c", "-c needs key=value"),
            ("--max-parallel 0", "--max-parallel needs a number above 0, this is '0'"),
            ("--task-timeout 1h", "'1h'"),
            ("--task-timeout", "--task-timeout needs seconds"),
            ("-c model", "'model'"),
            ("wait", "wait needs a task id"),
            ("wait 1a2b3c4d -x", "wait takes task ids, not '-x'"),
            ("-c =x", "'=x'"),
            ("-c --x=1", "'--x=1'"),
            ("--codex", "--codex needs a path"),
            ("--ephemeral=yes", "--ephemeral takes no value"),
            ("--frobnicate", "'--frobnicate'"),
            ("serve", "'serve'"),
            ("--ephemeral supervise 1 2", "'supervise'"),
            ("supervise 1", "supervise needs a directory"),
            ("gc all", "'all'"),
        ] {
            let why = typed(line).expect_err(line).to_string();
            assert!(why.contains(part) && why.ends_with("--help'"), "{line}: {why}");
        }
    }
}
