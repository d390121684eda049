//! Flags and environment as one value: what this server was told once and for all.

use crate::cli::Flags;
use crate::launcher::Launcher;
use crate::log::Level;
use crate::roots;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many seconds a call stays open whose client could look after a task instead. Claude Code
/// (2.1.330) puts a call into the background by itself after 120.
const HOLD: u64 = 75;

/// What holds for every task of this server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The flags.
    pub flags: Flags,
    /// `CODEX_SWARM_TASK_DIR`
    pub task_dir: PathBuf,
    /// `CODEX_SWARM_WORKTREE_DIR`
    pub worktree_dir: PathBuf,
    /// `CODEX_SWARM_LOG`
    pub log: PathBuf,
    /// `CODEX_SWARM_LOG_LEVEL`
    pub log_level: Level,
    /// `CODEX_SWARM_TASK_MAX_AGE`; `None` cleans nothing up.
    pub max_age: Option<Duration>,
    /// `CODEX_SWARM_MIN_WAIT`
    pub min_wait: Duration,
    /// `CODEX_SWARM_HOLD`: for so long a call stays open whose client could look after a task.
    pub hold: Duration,
    /// PATH, where codex is looked up.
    pub path: String,
    /// With `--locked`: the directories below which tasks stay, links resolved. Else empty.
    pub roots: Vec<String>,
}

impl Settings {
    /// Reads the environment through `variable`. What is wrong in it is told in the second value
    /// and replaced by what does no harm: a server that does not start helps nobody.
    pub fn read(
        flags: Flags,
        variable: impl Fn(&str) -> Option<String>,
        here: &Path,
    ) -> (Settings, Vec<String>) {
        let mut wrong = Vec::new();
        let get = |name: &str| variable(name).filter(|value| !value.is_empty());
        // the XDG specification has relative paths ignored
        let absolute = |name: &str| get(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let state = absolute("XDG_STATE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
            .map_or_else(
                || PathBuf::from(format!("/tmp/codex-mcp-swarm-{}", crate::sys::user())),
                |state| state.join("codex-mcp-swarm"),
            );
        let place = |name: &str, default: &str| {
            get(name).map_or_else(|| state.join(default), |value| here.join(value))
        };

        let log_level = get("CODEX_SWARM_LOG_LEVEL").map_or(Level::Warning, |name| {
            Level::named(&name).unwrap_or_else(|| {
                let known = "DEBUG, INFO, WARNING or ERROR was expected; WARNING is used";
                wrong.push(format!("CODEX_SWARM_LOG_LEVEL is {name:?}: {known}"));
                Level::Warning
            })
        });
        let mut seconds = |name: &str, default: Option<u64>, instead: &str| match get(name) {
            None => default.map(Duration::from_secs),
            Some(text) => text.trim().parse().map(Duration::from_secs).map_or_else(
                |_| {
                    wrong.push(format!("{name} is {text:?}: seconds were expected; {instead}"));
                    None
                },
                Some,
            ),
        };
        let max_age = seconds("CODEX_SWARM_TASK_MAX_AGE", Some(86_400), "nothing is cleaned up");
        let min_wait = seconds("CODEX_SWARM_MIN_WAIT", Some(0), "0 is used").unwrap_or_default();
        let hold = seconds("CODEX_SWARM_HOLD", Some(HOLD), "75 is used");

        let settings = Settings {
            flags,
            task_dir: place("CODEX_SWARM_TASK_DIR", "tasks"),
            worktree_dir: place("CODEX_SWARM_WORKTREE_DIR", "worktrees"),
            log: place("CODEX_SWARM_LOG", "server.log"),
            log_level,
            max_age,
            min_wait,
            hold: hold.unwrap_or(Duration::from_secs(HOLD)),
            path: get("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into()),
            roots: Vec::new(),
        };
        (settings, wrong)
    }

    /// Resolves what `--root` names, once and for all: relative to the directory that this was started
    /// in, which is the one root where none is named.
    pub fn resolve_roots(&mut self) -> Result<(), String> {
        if self.flags.locked {
            if self.flags.roots.is_empty() {
                self.flags.roots.push(".".into());
            }
            for name in &self.flags.roots {
                let root = roots::resolved("--root", Path::new(name))?;
                if !Path::new(&root).is_dir() {
                    return Err(format!("--root: {root} is not a directory"));
                }
                self.roots.push(root);
            }
        }
        Ok(())
    }

    /// The launcher of this name.
    pub fn launcher(&self, name: &str) -> Option<&Launcher> {
        self.flags.launchers.iter().find(|launcher| launcher.name == name)
    }

    /// The names of the launchers.
    pub fn launchers(&self) -> Vec<&str> {
        self.flags.launchers.iter().map(|launcher| launcher.name.as_str()).collect()
    }

    /// How long after its end a task is kept at least; `None` keeps it for good. The answer has to be
    /// fetched first, whatever the age is set to.
    pub fn kept(&self) -> Option<Duration> {
        self.max_age.map(|age| age.max(Duration::from_secs(10)))
    }

    /// The last server-wide `-c` value of a key, without the quotes TOML puts around a string.
    pub fn default_of(&self, key: &str) -> Option<&str> {
        self.flags.config.iter().rev().find_map(|word| {
            let (name, value) = word.split_once('=')?;
            (name.trim() == key).then(|| unquoted(value.trim()))
        })
    }
}

/// A value without one pair of quotes around it.
fn unquoted(value: &str) -> &str {
    let inner = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}

/// What a `key=value` word has in it whose value may be a secret.
const SECRET: [&str; 9] =
    ["key", "token", "secret", "passw", "bearer", "authoriz", "credential", "header", ".env"];

/// A `key=value` word as others may see it: a value that may be a secret is hidden.
pub fn shown(word: &str) -> String {
    let lower = word.to_ascii_lowercase();
    // as in https://user:password@host
    let login = lower.split_once("://").is_some_and(|(_, rest)| rest.contains('@'));
    match word.split_once('=') {
        Some((key, _)) if login || SECRET.iter().any(|part| lower.contains(part)) => {
            format!("{key}=***")
        }
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Settings from these variables and `-c` words.
    fn read(variables: &[(&str, &str)], config: &[&str]) -> (Settings, Vec<String>) {
        let config = config.iter().map(|word| (*word).to_owned()).collect();
        let flags = Flags { config, ..Flags::default() };
        let variable = |name: &str| {
            variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
        };
        Settings::read(flags, variable, Path::new("/here"))
    }

    #[test]
    fn state_lies_where_the_xdg_specification_says() {
        let tasks = |variables: &[_]| read(variables, &[]).0.task_dir;
        assert_eq!(
            tasks(&[("HOME", "/home/u"), ("XDG_STATE_HOME", "/s")]),
            Path::new("/s/codex-mcp-swarm/tasks")
        );
        assert_eq!(
            tasks(&[("HOME", "/home/u"), ("XDG_STATE_HOME", "relative")]),
            Path::new("/home/u/.local/state/codex-mcp-swarm/tasks")
        );
        let nobody = tasks(&[]).display().to_string();
        assert!(nobody.starts_with("/tmp/codex-mcp-swarm-"), "{nobody}");
        assert_eq!(tasks(&[("CODEX_SWARM_TASK_DIR", "t")]), Path::new("/here/t"));
    }

    #[test]
    fn a_wrong_variable_is_told_and_does_no_harm() {
        let (settings, wrong) = read(
            &[
                ("CODEX_SWARM_LOG_LEVEL", "loud"),
                ("CODEX_SWARM_TASK_MAX_AGE", "a day"),
                ("CODEX_SWARM_MIN_WAIT", "-1"),
            ],
            &[],
        );
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert_eq!(settings.max_age, None);
        assert_eq!(settings.min_wait, Duration::ZERO);
        let (settings, wrong) = read(&[("CODEX_SWARM_LOG_LEVEL", "debug")], &[]);
        assert_eq!((settings.log_level, wrong.len()), (Level::Debug, 0));
        assert_eq!(settings.max_age, Some(Duration::from_secs(86_400)));
    }

    #[test]
    fn the_last_default_of_a_key_counts_with_or_without_quotes() {
        let (settings, _) = read(&[], &["model=a", "model=\"b\"", "sandbox_mode='read-only'"]);
        assert_eq!(settings.default_of("model"), Some("b"));
        assert_eq!(settings.default_of("sandbox_mode"), Some("read-only"));
        assert_eq!(settings.default_of("profile"), None);
    }

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(shown("model=gpt"), "model=gpt");
        assert_eq!(shown("providers.x.api_Key=abc"), "providers.x.api_Key=***");
        for value in [
            r#"{a={env={TOKEN="x"}}}"#,
            r#"{"a":{"env":{"Api-Key":"x"}}}"#,
            r#"{a={http_headers={Authorization="x"}}}"#,
            r#"{a={url="https://me:x@host/"}}"#,
            r#"["--password", "x"]"#,
        ] {
            assert_eq!(shown(&format!("mcp_servers={value}")), "mcp_servers=***", "{value}");
        }
        for key in ["a.http_headers.x", "mcp_servers.a.env.DSN", "a.CREDENTIAL", "a.bearer"] {
            assert_eq!(shown(&format!("{key}=x=y")), format!("{key}=***"));
        }
        assert_eq!(shown("a=https://host/x"), "a=https://host/x");
    }
}
