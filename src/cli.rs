//! What was typed: the command line as a value, and the words of `--help`.

use crate::launcher::Launcher;
use std::fmt;

/// What the program was asked to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Role {
    /// An MCP server on stdin and stdout.
    Serve(Flags),
    /// The supervisor of one task: its id and the task directory. Started by a server only. With words,
    /// or none, of its launcher it only ends what another has left.
    Supervise(String, String, Option<Vec<String>>),
    /// What a person does at a terminal.
    Command(Command),
    /// Print the help.
    Help,
    /// Print the version.
    Version,
}

/// What a person does at a terminal. Where no task is named, the latest is meant.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Show tasks.
    Ps {
        /// Those too that ended long ago.
        all: bool,
        /// In this way.
        form: Form,
    },
    /// Show what a task did.
    Logs {
        /// Which task.
        task: Option<String>,
        /// Until it has ended.
        follow: bool,
        /// As Codex wrote it.
        raw: bool,
    },
    /// Wait for these tasks and print their results.
    Wait(Vec<String>),
    /// End these tasks.
    Cancel(Vec<String>),
    /// Clean up what is old; or only say what would be done.
    Gc {
        /// Only say it.
        dry_run: bool,
    },
    /// Look whether all is there that a task needs.
    Check,
    /// Print what makes this shell complete our words.
    Completions(Shell),
    /// Print the manual.
    Man,
}

/// How tasks are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A table.
    Table,
    /// A table that is kept up to date.
    Watch,
    /// JSON.
    Json,
    /// Ids, a line each.
    Quiet,
}

/// A shell whose completions there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// bash
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

/// A command: its name, its switches in their long and short forms, and how many words it takes
/// besides.
struct Shape {
    /// What it is called.
    name: &'static str,
    /// Long and short; a short one may be missing.
    switches: &'static [(&'static str, &'static str)],
    /// How many words may follow.
    words: usize,
}

/// The commands.
const COMMANDS: [Shape; 8] = [
    Shape {
        name: "ps",
        switches: &[("--all", "-a"), ("--watch", "-w"), ("--json", ""), ("--quiet", "-q")],
        words: 0,
    },
    Shape { name: "logs", switches: &[("--follow", "-f"), ("--raw", "")], words: 1 },
    Shape { name: "wait", switches: &[], words: usize::MAX },
    Shape { name: "cancel", switches: &[], words: usize::MAX },
    Shape { name: "gc", switches: &[("--dry-run", "")], words: 0 },
    Shape { name: "check", switches: &[], words: 0 },
    Shape { name: "completions", switches: &[], words: 1 },
    Shape { name: "man", switches: &[], words: 0 },
];

/// The server's flags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "switches that have nothing to do with each other"
)]
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
    /// The values of `--launcher`, and of those of `--max-parallel` that name one.
    pub launchers: Vec<Launcher>,
    /// `--max-parallel`
    pub max_parallel: Option<u32>,
    /// `--task-timeout`, in seconds
    pub task_timeout: Option<u32>,
    /// `--locked`
    pub locked: bool,
    /// The values of `--root`, as typed.
    pub roots: Vec<String>,
}

impl Flags {
    /// The launcher of this name.
    fn launcher(&mut self, name: &str) -> Option<&mut Launcher> {
        self.launchers.iter_mut().find(|launcher| launcher.name == name)
    }
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
            "--launcher" => {
                let mut launcher = Launcher::read(&value("words")?).map_err(Usage)?;
                // of two with one name the words of the later count, and the limit of the name stays
                launcher.max_parallel =
                    flags.launcher(&launcher.name).and_then(|other| other.max_parallel);
                flags.launchers.retain(|other| other.name != launcher.name);
                flags.launchers.push(launcher);
            }
            "--max-parallel" => {
                let limit = value("a number of tasks")?;
                let (launcher, limit) = limit.split_once('=').unwrap_or(("", &limit));
                let limit = Some(number(&name, limit)?);
                if launcher.is_empty() {
                    flags.max_parallel = limit;
                } else if let Some(launcher) = flags.launcher(launcher) {
                    launcher.max_parallel = limit;
                } else {
                    return Err(Usage(format!("{name} names no --launcher before it: {launcher}")));
                }
            }
            "--task-timeout" => {
                flags.task_timeout = Some(number(&name, &value("seconds")?)?);
            }
            "--locked" => flags.locked = true,
            "--root" => flags.roots.push(value("a directory")?),
            "supervise" if first => {
                let (id, directory) = (value("a task id")?, value("a directory")?);
                let launcher = words.next().map(|_| words.collect());
                return Ok(Role::Supervise(id, directory, launcher));
            }
            _ if first && COMMANDS.iter().any(|shape| shape.name == name) => {
                return command(&name, words);
            }
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
    if !flags.locked && !flags.roots.is_empty() {
        return Err(Usage("--root needs --locked beside it".into()));
    }
    Ok(Role::Serve(flags))
}

/// Reads the words behind the name of a command.
fn command(name: &str, words: impl Iterator<Item = String>) -> Result<Role, Usage> {
    let Some(shape) = COMMANDS.iter().find(|shape| shape.name == name) else {
        return Err(Usage(format!("unknown argument '{name}'")));
    };
    let (mut on, mut rest) = (Vec::new(), Vec::new());
    for word in words {
        if matches!(word.as_str(), "-h" | "--help") {
            return Ok(Role::Help);
        }
        let switch = shape.switches.iter().find(|(long, short)| word == *long || word == *short);
        match switch {
            Some((long, _)) => on.push(*long),
            // a lone - is the latest task
            None if rest.len() < shape.words && (word == "-" || !word.starts_with('-')) => {
                rest.push(word);
            }
            None => return Err(Usage(format!("{name} takes {}, not '{word}'", taken(shape)))),
        }
    }
    let is_on = |long: &str| on.contains(&long);
    let first = || rest.first().cloned();
    Ok(Role::Command(match name {
        "ps" => Command::Ps { all: is_on("--all"), form: form(&on)? },
        "logs" => Command::Logs { task: first(), follow: is_on("--follow"), raw: is_on("--raw") },
        "wait" => Command::Wait(rest),
        "cancel" => Command::Cancel(rest),
        "gc" => Command::Gc { dry_run: is_on("--dry-run") },
        "check" => Command::Check,
        "completions" => Command::Completions(shell(first().as_deref())?),
        _ => Command::Man,
    }))
}

/// What a command takes, in words.
fn taken(shape: &Shape) -> String {
    let mut taken: Vec<&str> = shape.switches.iter().map(|(long, _)| *long).collect();
    taken.extend(match (shape.name, shape.words) {
        ("completions", _) => Some("bash, zsh or fish"),
        (_, 0) => None,
        (_, 1) => Some("a task id"),
        _ => Some("task ids"),
    });
    if taken.is_empty() { "nothing".into() } else { taken.join(", ") }
}

/// The form that these switches of `ps` ask for.
fn form(on: &[&str]) -> Result<Form, Usage> {
    let forms = [("--watch", Form::Watch), ("--json", Form::Json), ("--quiet", Form::Quiet)];
    let mut asked = forms.into_iter().filter(|(name, _)| on.contains(name));
    match (asked.next(), asked.next()) {
        (None, _) => Ok(Form::Table),
        (Some((_, form)), None) => Ok(form),
        (Some((one, _)), Some((other, _))) => {
            Err(Usage(format!("ps takes {one} or {other}, not both")))
        }
    }
}

/// The shell of this name.
fn shell(name: Option<&str>) -> Result<Shell, Usage> {
    match name {
        Some("bash") => Ok(Shell::Bash),
        Some("zsh") => Ok(Shell::Zsh),
        Some("fish") => Ok(Shell::Fish),
        name => {
            let name = name.unwrap_or_default();
            Err(Usage(format!("completions needs bash, zsh or fish after it, not '{name}'")))
        }
    }
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
                       [--codex path] [--launcher [name=]words]...
                       [--max-parallel [name=]n] [--task-timeout seconds]
                       [--structured] [--locked [--root dir]...]
       codex-mcp-swarm ps [-a] [-w | --json | -q]
       codex-mcp-swarm logs [-f] [--raw] [id]
       codex-mcp-swarm wait [id...]
       codex-mcp-swarm cancel [id...]
       codex-mcp-swarm gc [--dry-run]
       codex-mcp-swarm check
       codex-mcp-swarm completions bash | zsh | fish
       codex-mcp-swarm man
       codex-mcp-swarm --help | --version

An MCP server on stdin and stdout that runs many OpenAI Codex CLI tasks at once.

  -c, --config key=value  a Codex configuration default, repeatable, passed on as typed
  --skip-git-repo-check   let Codex work outside of a git repository
  --ephemeral             keep no Codex sessions; then nothing can be resumed
  --codex path            the Codex CLI to run (default: codex on PATH)
  --launcher words        start codex with these words before it; name=words: callers name it
  --max-parallel n        run at most n tasks at once, over all servers of a task directory
  --task-timeout seconds  end a task that runs longer; it has failed then
  --structured            give every tool an output schema and structured content
  --locked                let callers narrow what these options allow, and never widen it
  --root dir              tasks stay below dir, repeatable (default: the cwd); with --locked
  ps [-a] [-w]            show tasks and what they do; -a also old ones, -w until you end it
  logs [-f] [id]          show what a task did; -f goes on until it has ended
  wait [id...]            wait for tasks, print their results; exit 0 if all completed
  cancel [id...]          end tasks and every process they started
  gc [--dry-run]          remove old tasks and worktrees now; no work is destroyed
  check                   say what is missing or wrong, and how to register this program
  completions shell       print what makes bash, zsh or fish complete these words
  man                     show the manual; its source, where stdout is no terminal
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
            launchers: vec![
                Launcher::read("srun").expect("words"),
                Launcher { max_parallel: Some(2), ..Launcher::read("g=ssh").expect("words") },
            ],
            max_parallel: Some(8),
            task_timeout: Some(3600),
            locked: true,
            roots: vec!["/a".into(), "b".into()],
        };
        let line = "-c=model=gpt --config a.b=\"x=y\" --config=c= -cd=1 --skip-git-repo-check \
                    --ephemeral --codex=/opt/codex --structured --max-parallel 8 \
                    --launcher=srun --launcher g=x --max-parallel=g=2 --launcher g=ssh \
                    --task-timeout=3600 --root=/a --locked --root b";
        assert_eq!(typed(line), Ok(Role::Serve(flags)));
        assert_eq!(typed(""), Ok(Role::Serve(Flags::default())));
        assert_eq!(typed("--ephemeral --help"), Ok(Role::Help));
        assert_eq!(typed("-V"), Ok(Role::Version));
        assert_eq!(
            typed("supervise 00c0ffee /d"),
            Ok(Role::Supervise("00c0ffee".into(), "/d".into(), None))
        );
        for (line, words) in [("", &[][..]), (" ssh -T --help", &["ssh", "-T", "--help"])] {
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(
                typed(&format!("supervise 00c0ffee /d end{line}")),
                Ok(Role::Supervise("00c0ffee".into(), "/d".into(), Some(words)))
            );
        }
    }

    #[test]
    fn commands_take_their_switches_anywhere_behind_them() {
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        let logs = |task: Option<&str>, follow, raw| Command::Logs {
            task: task.map(str::to_owned),
            follow,
            raw,
        };
        for (line, command) in [
            ("ps", Command::Ps { all: false, form: Form::Table }),
            ("ps -a --watch", Command::Ps { all: true, form: Form::Watch }),
            ("ps -w", Command::Ps { all: false, form: Form::Watch }),
            ("ps --json --all", Command::Ps { all: true, form: Form::Json }),
            ("ps -q", Command::Ps { all: false, form: Form::Quiet }),
            ("logs", logs(None, false, false)),
            ("logs - -f", logs(Some("-"), true, false)),
            ("logs --raw 1a --follow", logs(Some("1a"), true, true)),
            ("wait", Command::Wait(Vec::new())),
            ("wait a -", Command::Wait(ids(&["a", "-"]))),
            ("cancel a b", Command::Cancel(ids(&["a", "b"]))),
            ("gc", Command::Gc { dry_run: false }),
            ("gc --dry-run", Command::Gc { dry_run: true }),
            ("check", Command::Check),
            ("completions zsh", Command::Completions(Shell::Zsh)),
            ("man", Command::Man),
        ] {
            assert_eq!(typed(line), Ok(Role::Command(command)), "{line}");
        }
        assert_eq!(typed("logs 1a --help"), Ok(Role::Help));
    }

    #[test]
    fn a_wrong_word_is_named() {
        for (line, part) in [
            ("-c", "-c needs key=value"),
            ("--max-parallel 0", "--max-parallel needs a number above 0, this is '0'"),
            ("--task-timeout 1h", "'1h'"),
            ("--task-timeout", "--task-timeout needs seconds"),
            ("-c model", "'model'"),
            ("wait 1a2b3c4d -x", "wait takes task ids, not '-x'"),
            ("ps 1a2b3c4d", "ps takes --all, --watch, --json, --quiet, not '1a2b3c4d'"),
            ("ps --json -w", "ps takes --watch or --json, not both"),
            ("logs a b", "logs takes --follow, --raw, a task id, not 'b'"),
            ("check now", "check takes nothing, not 'now'"),
            ("completions", "completions needs bash, zsh or fish after it"),
            ("completions csh", "not 'csh'"),
            ("completions zsh bash", "completions takes bash, zsh or fish, not 'bash'"),
            ("-c =x", "'=x'"),
            ("-c --x=1", "'--x=1'"),
            ("--codex", "--codex needs a path"),
            ("--ephemeral=yes", "--ephemeral takes no value"),
            ("--root /a", "--root needs --locked"),
            ("--locked --root", "--root needs a directory"),
            ("--locked=yes", "--locked takes no value"),
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

    #[test]
    fn whatever_words_mean_flags_can_be_said_in_one_way() {
        let words = [
            "-c",
            "a=b",
            "--config=c=d",
            "-ce=1",
            "=",
            "-c=",
            "--codex",
            "--codex=",
            "--max-parallel",
            "--task-timeout=9",
            "5",
            "0",
            "--ephemeral",
            "--structured=",
            "--skip-git-repo-check",
            "ps",
            "-w",
            "-",
            "--",
            "",
            "-h",
        ];
        let mut lines = vec![Vec::new()];
        let mut served = 0;
        for _ in 0..4 {
            let longer = |line: &Vec<&'static str>| {
                let line = line.clone();
                words.iter().map(move |word| [&line[..], &[*word]].concat())
            };
            lines = lines.iter().flat_map(longer).collect();
            for line in &lines {
                let Ok(Role::Serve(flags)) = parse(line.iter().map(|word| (*word).into())) else {
                    continue;
                };
                served += 1;
                assert!(flags.config.iter().all(|word| word.find('=') > Some(0)), "{line:?}");
                assert!(!line.contains(&"ps") || line.contains(&"--codex"), "{line:?}");
                let said = |on: bool, word: &str| on.then(|| word.to_owned());
                let again = flags.config.iter().map(|word| format!("-c{word}"));
                let again = again.chain(flags.codex.iter().map(|path| format!("--codex={path}")));
                let again = again.chain(flags.max_parallel.map(|n| format!("--max-parallel={n}")));
                let again = again.chain(flags.task_timeout.map(|n| format!("--task-timeout={n}")));
                let again = again.chain(said(flags.ephemeral, "--ephemeral"));
                let again = again.chain(said(flags.structured, "--structured"));
                let again = again.chain(said(flags.skip_git_repo_check, "--skip-git-repo-check"));
                assert_eq!(parse(again.collect::<Vec<_>>()), Ok(Role::Serve(flags)), "{line:?}");
            }
        }
        assert!(served > 1000, "{served}");
    }
}
