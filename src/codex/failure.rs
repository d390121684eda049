//! Why a run failed, in words and as a category. Pure: from what Codex said to what to do.
//!
//! The cause is taken from Codex's own events. stderr is noisy on success too and never the cause,
//! with one exception: Codex that ended before its first event has its cause in an `Error:` line.

use crate::launcher::Launcher;

/// How the words begin that tell of a launcher which could not be started.
pub const NO_LAUNCHER: &str = "cannot start the launcher ";

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Not logged in, or the key is refused.
    Authentication,
    /// Too many requests in a short while.
    RateLimit,
    /// The provider has no room.
    ProviderCapacity,
    /// The provider had an error of its own.
    Provider5xx,
    /// The connection could not be made or broke.
    Transport,
    /// What was asked for cannot be done.
    InvalidRequest,
    /// The conversation is too long for the model.
    ContextLength,
    /// The account has no more to spend.
    Quota,
    /// It ran for longer than it was allowed to.
    Timeout,
    /// The program that was to start Codex, here or elsewhere, could not, or lost it.
    Launcher,
    /// Codex ended without saying why, or was never started.
    ProcessCrash,
    /// None of these is recognized.
    Unknown,
}

impl Category {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Category::Authentication => "authentication",
            Category::RateLimit => "rate_limit",
            Category::ProviderCapacity => "provider_capacity",
            Category::Provider5xx => "provider_5xx",
            Category::Transport => "transport",
            Category::InvalidRequest => "invalid_request",
            Category::ContextLength => "context_length",
            Category::Quota => "quota",
            Category::Timeout => "timeout",
            Category::Launcher => "launcher",
            Category::ProcessCrash => "process_crash",
            Category::Unknown => "unknown",
        }
    }

    /// Whether the same call may well succeed later: `yes`, `no` or `unknown`.
    pub fn retryable(self) -> &'static str {
        match self {
            Category::RateLimit
            | Category::ProviderCapacity
            | Category::Provider5xx
            | Category::Transport => "yes",
            Category::Authentication
            | Category::InvalidRequest
            | Category::ContextLength
            | Category::Quota => "no",
            Category::Timeout | Category::Launcher | Category::ProcessCrash | Category::Unknown => {
                "unknown"
            }
        }
    }

    /// What to do about it.
    fn advice(self) -> &'static str {
        match self {
            Category::Authentication => {
                "log in with `codex login`, or set CODEX_API_KEY for this server (codex exec does \
                 not read OPENAI_API_KEY)"
            }
            Category::RateLimit => "wait a minute and try again, with fewer tasks at once",
            Category::ProviderCapacity => "try again in a few minutes, or with another model",
            Category::Provider5xx => "try again; the provider had an error of its own",
            Category::Transport => "check the network and the provider's address, then try again",
            Category::InvalidRequest => "change what the cause names, then try again",
            Category::ContextLength => "start a new thread, or ask for less at once",
            Category::Quota => "check the plan and its limits; until then nothing will run",
            Category::Timeout => {
                "ask for less at once, or start this server with a larger --task-timeout; codex_reply \
                 goes on with the thread"
            }
            Category::Launcher => {
                "type the words of --launcher in a shell, with codex behind them; cwd, worktrees and \
                 CODEX_HOME must be there under the same names"
            }
            Category::ProcessCrash => "look at the stderr below; try again if that says nothing",
            Category::Unknown => "look at the cause and the stderr below",
        }
    }
}

/// Why a run failed.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// The cause, in Codex's own words where it had any.
    pub cause: String,
    /// What kind it is.
    pub category: Category,
}

/// What is known of a run that failed.
#[derive(Debug, Default)]
pub struct Evidence<'a> {
    /// What the record says went wrong: codex could not be started, or its supervisor died.
    pub own: Option<&'a str>,
    /// It ran for longer than it was allowed to, and that is what went wrong.
    pub timed_out: bool,
    /// codex was started.
    pub started: bool,
    /// What was to start it, if that was not left to us.
    pub launcher: Option<&'a Launcher>,
    /// The message of `turn.failed`, else of the last `error` event.
    pub event: Option<&'a str>,
    /// Events came at all, so stderr is no evidence.
    pub any_events: bool,
    /// The end of stderr.
    pub stderr: &'a str,
    /// The exit status, a signal as a negative number.
    pub exit: Option<i32>,
}

impl Failure {
    /// What to do about it.
    pub fn advice(&self) -> &'static str {
        if self.cause.contains("--skip-git-repo-check") {
            return "name a cwd inside of a git repository, or start this server with \
                    --skip-git-repo-check";
        }
        self.category.advice()
    }

    /// Finds the cause and what kind it is.
    pub fn of(evidence: &Evidence<'_>) -> Failure {
        if let (Some(own), true) = (evidence.own, evidence.timed_out) {
            return Failure { cause: own.to_owned(), category: Category::Timeout };
        }
        if let (Some(own), None) = (evidence.own, evidence.event) {
            // what kept it from starting is in what was asked for, or on this machine
            let category = if own.starts_with(NO_LAUNCHER) {
                Category::Launcher
            } else if evidence.started {
                Category::ProcessCrash
            } else {
                Category::InvalidRequest
            };
            return Failure { cause: own.to_owned(), category };
        }
        // a message too long is refused after the thread has begun, and only stderr says so
        let turn = || evidence.stderr.lines().rev().find(|line| line.starts_with("Error: turn/"));
        let said = if evidence.any_events {
            turn().map(str::to_owned)
        } else {
            last_words(evidence.stderr)
        };
        if let Some(cause) = evidence.launchers_own() {
            return Failure { cause, category: Category::Launcher };
        }
        if let Some(cause) = evidence.event.map(str::to_owned).or(said) {
            let cause = unwrapped(cause.trim_start_matches("Error: "));
            let before = evidence.event.is_none();
            // all that Codex (0.169) says where its --cd is not there; what it is started in here, is
            let is_elsewhere = evidence.launcher.is_some() && before;
            let category = if is_elsewhere && cause.starts_with("No such file") {
                Category::Launcher
            } else {
                categorize(&cause, before)
            };
            return Failure { cause, category };
        }
        let (who, category) = match evidence.launcher.filter(|_| !evidence.any_events) {
            Some(_) => ("the launcher", Category::Launcher),
            None => ("codex", Category::ProcessCrash),
        };
        let cause = match evidence.exit {
            Some(signal) if signal < 0 => {
                format!("{who} was killed by signal {}", signal.unsigned_abs())
            }
            Some(0) => format!("{who} ended without finishing its turn"),
            Some(status) => format!("{who} ended with status {status} and did not say why"),
            None => format!("{who} is gone and nobody saw how it ended"),
        };
        Failure { cause, category }
    }
}

impl Evidence<'_> {
    /// What the launcher says where it failed itself: before codex had said anything, where that
    /// has left no error of its own, or later by a status or words that are no codex's.
    fn launchers_own(&self) -> Option<String> {
        let launcher = self.launcher.filter(|_| self.event.is_none())?;
        let lines = spoken(self.stderr);
        let lost = launcher.has_lost(self.exit);
        let is_error = |line: &str| line.starts_with("Error");
        if !lost && lines.iter().any(|line| is_error(line) && !launcher.is_own(line)) {
            return None;
        }
        // docker has a word of advice behind it
        let is_its = |line: &&&str| launcher.is_own(line) || (lost && is_error(line));
        let own = lines.iter().rev().find(is_its);
        let cause = own.or(lines.last().filter(|_| lost || !self.any_events))?;
        Some(cause.trim_start_matches("Error: ").to_owned())
    }
}

/// The message inside of an error that is still the provider's JSON.
fn unwrapped(cause: &str) -> String {
    crate::json::parse(cause.as_bytes())
        .ok()
        .and_then(|json| Some(json.get("error")?.get("message")?.as_str()?.to_owned()))
        .unwrap_or_else(|| cause.to_owned())
}

/// What stderr ends with, for a codex that never came to its first event: from the last line that
/// begins with `Error`, else the last line that is no chatter.
fn last_words(stderr: &str) -> Option<String> {
    let lines = spoken(stderr);
    let error = lines.iter().rposition(|line| line.starts_with("Error"));
    let from = error.or(lines.len().checked_sub(1))?;
    // where RUST_BACKTRACE is set
    let trace = lines.iter().position(|line| *line == "Stack backtrace:").filter(|at| *at > from);
    Some(lines.get(from..trace.unwrap_or(lines.len()))?.join(" "))
}

/// The lines of stderr that are no chatter.
fn spoken(stderr: &str) -> Vec<&str> {
    let chatter = ["Reading prompt from stdin", "Reading additional input", "WARNING", "warning"];
    let speaks = |line: &&str| !chatter.iter().any(|start| line.starts_with(start));
    stderr.lines().map(str::trim).filter(|line| !line.is_empty()).filter(speaks).collect()
}

/// The kind of failure that a cause speaks of. `before` says that codex ended before its first
/// event, and then it is about what it was given, unless it says otherwise.
fn categorize(cause: &str, before: bool) -> Category {
    let lower = cause.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if says(&["401 unauthorized", "403 forbidden", "not logged in", "api key", "log in again"]) {
        Category::Authentication
    } else if says(&["quota", "usage limit", "billing", "402 payment"]) {
        Category::Quota
    } else if says(&["context window", "context_length", "context length"]) {
        Category::ContextLength
    } else if says(&["429 too many", "rate limit", "rate_limit"]) {
        Category::RateLimit
    } else if says(&["at capacity", "overloaded", "high demand", "503 service"]) {
        Category::ProviderCapacity
    } else if says(&["500 internal", "502 bad gateway", "504 gateway", "server had an error"]) {
        Category::Provider5xx
    } else if says(&[
        "stream disconnected",
        "connection",
        "timeout",
        "timed out",
        "transport",
        "dns",
    ]) {
        Category::Transport
    } else if before
        || says(&["400 bad request", "404 not found", "invalid", "bad request", "unsupported"])
    {
        Category::InvalidRequest
    } else {
        Category::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_in_an_event_has_its_category() {
        for (event, category) in [
            ("unexpected status 401 Unauthorized: Incorrect API key", Category::Authentication),
            ("exceeded retry limit, last status: 429 Too Many Requests", Category::RateLimit),
            ("We’re currently experiencing high demand, which may", Category::ProviderCapacity),
            ("unexpected status 502 Bad Gateway", Category::Provider5xx),
            ("Connection failed: error sending request", Category::Transport),
            ("stream disconnected before completion: idle timeout", Category::Transport),
            ("Codex ran out of room in the model's context window.", Category::ContextLength),
            ("Quota exceeded. Check your plan and billing details.", Category::Quota),
            (r#"{"error":{"message":"Bad request from x"}}"#, Category::InvalidRequest),
            ("the file has 512 tokens", Category::Unknown),
        ] {
            let failure = Failure::of(&Evidence {
                event: Some(event),
                any_events: true,
                stderr: "Error: something else",
                exit: Some(1),
                ..Evidence::default()
            });
            assert_eq!(failure.category, category, "{event}");
            assert!(!failure.cause.contains('{'), "{}", failure.cause);
        }
    }

    /// How a run through a launcher of these words failed.
    fn through(words: &str, any_events: bool, stderr: &str, exit: i32) -> Failure {
        let launcher = &Launcher::read(words).expect(words);
        let (launcher, exit) = (Some(launcher), Some(exit));
        Failure::of(&Evidence { launcher, any_events, stderr, exit, ..Evidence::default() })
    }

    #[test]
    fn a_launcher_that_fails_says_why_in_a_line_of_its_own() {
        let docker =
            "docker: Cannot connect to the Docker daemon.\n\nRun 'docker run --help' for more\n";
        let srun = "a warning\nsrun: error: Node failure on vm\nsomething of codex\n";
        let kubectl = "E1123 memcache.go\nThe connection to the server was refused\n";
        for (words, any_events, stderr, exit, cause) in [
            (
                "/usr/bin/docker run image",
                false,
                docker,
                125,
                "docker: Cannot connect to the Docker daemon.",
            ),
            ("srun -n1", true, srun, 0, "srun: error: Node failure on vm"),
            ("kubectl exec pod --", false, kubectl, 1, "The connection to the server was refused"),
            (
                "ssh host",
                true,
                "noise\nConnection to host closed.\r\n",
                255,
                "Connection to host closed.",
            ),
        ] {
            let failure = through(words, any_events, stderr, exit);
            assert_eq!((failure.cause.as_str(), failure.category), (cause, Category::Launcher));
        }
        // what codex leaves on stderr in a turn is none of it
        let failure = through("ssh host", true, "something of codex\n", 1);
        assert_eq!(failure.category, Category::ProcessCrash);
    }

    #[test]
    fn stderr_is_the_cause_only_where_no_event_came() {
        let stderr = "Reading prompt from stdin...\nError: no rollout found for thread id 0\n";
        let of = |any_events, stderr, exit| {
            Failure::of(&Evidence { any_events, stderr, exit, ..Evidence::default() })
        };
        let early = of(false, stderr, Some(1));
        assert_eq!(early.cause, "no rollout found for thread id 0");
        assert_eq!(early.category, Category::InvalidRequest);
        let late = of(true, stderr, Some(-9));
        assert_eq!(late.cause, "codex was killed by signal 9");
        assert_eq!(late.category, Category::ProcessCrash);
        let long = "Error: turn/start: turn/start failed: Input exceeds the maximum length";
        assert!(of(true, long, Some(1)).cause.contains("maximum length"));
        let bare = of(false, "Not inside a trusted directory and\n\n", Some(1));
        assert_eq!(bare.cause, "Not inside a trusted directory and");
        let config = "Error loading config.toml: invalid transport\nin `mcp_servers.x`\n";
        let cause = of(false, config, Some(1)).cause;
        assert_eq!(cause, "Error loading config.toml: invalid transport in `mcp_servers.x`");
        let traced =
            "Error: No such file or directory (os error 2)\n\nStack backtrace:\n   0: <unknown>\n";
        assert_eq!(of(false, traced, Some(1)).cause, "No such file or directory (os error 2)");
        let elsewhere = Failure::of(&Evidence {
            launcher: Some(&Launcher::default()),
            stderr: traced,
            exit: Some(1),
            ..Evidence::default()
        });
        assert_eq!(elsewhere.category, Category::Launcher);
        assert!(of(false, "", Some(3)).cause.contains("status 3"));
        assert!(of(false, "", None).cause.contains("nobody saw"));
    }

    #[test]
    fn what_starts_containers_has_words_and_statuses_of_its_own() {
        for (line, stderr, exit, cause) in [
            (
                "podman exec box",
                "Error: no container \"box\" found\n",
                125,
                "no container \"box\" found",
            ),
            ("docker exec box", "Error response from daemon: No such container: box\n", 1, ""),
            (
                "kubectl exec pod --",
                "Error from server (NotFound): pods \"pod\" not found\n",
                1,
                "",
            ),
            (
                "docker run i",
                "docker: no such image\n\nRun 'docker run --help'\n",
                125,
                "docker: no such image",
            ),
        ] {
            let expected = if cause.is_empty() { stderr.trim_end() } else { cause };
            let failure = through(line, false, stderr, exit);
            assert_eq!(failure.cause, expected, "{line}");
            assert_eq!(failure.category, Category::Launcher, "{line}");
        }
        // codex has that of its own, wherever it runs
        let codex = "Error: no rollout found for thread id 0\n";
        for (line, exit) in [("podman exec box", 1), ("ssh host", 125), ("srun", 127)] {
            let failure = through(line, false, codex, exit);
            assert_ne!(failure.category, Category::Launcher, "{line}");
        }
        let failure = through("docker run i", true, "Error: x\n", 137);
        assert!(failure.cause.contains("status 137"));
    }
}
