//! `check`: looks whether all is there that a task needs, and says what is wrong and what helps. It
//! changes nothing.

use super::text::{Look, Paint, clean};
use super::{registration, show};
use crate::files;
use crate::json::{self, Value};
use crate::program::{self, Ended};
use crate::server::watched::Watched;
use crate::settings::Settings;
use crate::sys::{self, Program};
use crate::task::store::Part;
use crate::task::{Status, Store, worktree};
use crate::{clock, codex, mcp};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The version of Codex that this program is tested with.
const TESTED: (u32, u32) = (0, 169);

/// The first version whose `exec` takes every option that a task can need (`--ephemeral` is the
/// youngest), and writes these events.
const OLDEST: (u32, u32) = (0, 99);

/// The first version that has `exec fork`.
const FORKS: (u32, u32) = (0, 148);

/// How long Codex may take to tell something of itself: a tenth of a second where all is well.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a task may say nothing until that is told, in milliseconds. A long command is silent too.
const SILENCE: u64 = 600_000;

/// Where less room is left than this nothing can be done.
const NO_ROOM: u64 = 1_000_000;

/// Where less room is left than this there may soon be none.
const LITTLE_ROOM: u64 = 100_000_000;

/// What helps against most that is wrong with a codex.
const INSTALL: &str = "npm install -g @openai/codex";

/// How it stands with a matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// As it should be.
    Ok,
    /// Something may go wrong.
    Warning,
    /// Something does go wrong.
    Wrong,
}

/// What is told, line by line, as it is found out.
struct Report {
    /// Words have colours.
    paint: Paint,
    /// Something was wrong.
    wrong: bool,
    /// Why a line could not be printed.
    lost: Option<String>,
}

impl Report {
    /// Tells how it stands with a matter, and what helps.
    fn tell(&mut self, word: Word, matter: &str, text: &str, cure: &str) {
        self.wrong |= word == Word::Wrong;
        let (name, look) = match word {
            Word::Ok => ("ok     ", Look::Green),
            Word::Warning => ("warning", Look::Yellow),
            Word::Wrong => ("wrong  ", Look::Red),
        };
        let mut line = String::new();
        self.paint.add(&mut line, look, name);
        let indent = if cure.is_empty() { "" } else { "\n        " };
        for part in [" ", matter, ": ", &one_line(text), indent, &one_line(cure), "\n"] {
            line.push_str(part);
        }
        self.lost = self.lost.take().or(show(&line).err());
    }

    /// That a matter is as it should be.
    fn ok(&mut self, matter: &str, text: &str) {
        self.tell(Word::Ok, matter, text, "");
    }

    /// What is not as it should be, where the words come from elsewhere. They have the cure behind a
    /// semicolon, if they have one.
    fn repeat(&mut self, word: Word, matter: &str, why: &str, cure: &str) {
        let (text, cure) = why.split_once("; ").unwrap_or((why, cure));
        self.tell(word, matter, text, cure);
    }
}

/// A text without whatever a terminal would obey, on one line.
fn one_line(text: &str) -> String {
    clean(&text.replace(['\n', '\t'], " "))
}

/// The value of a variable that is set to something.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Looks at everything. `false` if something is wrong. `wrong` is what is wrong with the environment.
pub fn run(settings: &Settings, wrong: &[String], store: &Store) -> Result<bool, String> {
    let mut report = Report { paint: Paint::of_stdout(), wrong: false, lost: None };
    let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
    let home = variable("CODEX_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&variable("HOME")?).join(".codex")));
    let config = home.unwrap_or_default().join("config.toml");

    let program = check_program(&mut report, settings, &here);
    for text in wrong {
        report.tell(
            Word::Wrong,
            "environment",
            text,
            "correct it where the server is registered, or in your shell",
        );
    }
    if wrong.is_empty() {
        report.ok("environment", "no variable is wrong");
    }
    let servers = check_codex(&mut report, settings, &here, &config);
    match worktree::check_git() {
        Ok(version) => report.ok("git", &version),
        Err(why) => report.repeat(Word::Warning, "git", &why, "mend it, or do without worktree"),
    }
    check_place(
        &mut report,
        "worktree directory",
        &settings.worktree_dir,
        "CODEX_SWARM_WORKTREE_DIR",
    );
    check_place(&mut report, LOG, &settings.log, "CODEX_SWARM_LOG");
    check_place(&mut report, "task directory", &settings.task_dir, "CODEX_SWARM_TASK_DIR");
    if files::check_private(&settings.task_dir).is_ok() {
        check_tasks(&mut report, store);
    }
    let config = one_line(&config.display().to_string());
    show(&registration::text(&one_line(&program), &servers, &config))?;
    report.lost.map_or(Ok(!report.wrong), Err)
}

/// Whether the program that a client would find is this one. Gives the path of this one.
fn check_program(report: &mut Report, settings: &Settings, here: &Path) -> String {
    let this = std::env::current_exe().unwrap_or_default().display().to_string();
    let this = this.strip_suffix(" (deleted)").unwrap_or(&this).to_owned();
    let matter = "codex-mcp-swarm";
    let file = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    let other = program::find(matter, &settings.path, here);
    match other.filter(|other| file(other) != file(Path::new(&this))) {
        Some(other) => report.tell(
            Word::Warning,
            matter,
            &format!("this is {this}, and the first on PATH is {}", other.display()),
            "remove the one that you do not mean, or register the whole path as below",
        ),
        None => report.ok(matter, &[mcp::VERSION, ", ", &this].concat()),
    }
    this
}

/// Whether there is a Codex that tasks can run with. Gives the words that switch this very program off
/// in the workers, where they would start it.
fn check_codex(
    report: &mut Report,
    settings: &Settings,
    here: &Path,
    config: &Path,
) -> Vec<String> {
    let matter = "codex";
    let path = match codex::command::find(None, &settings.path, here) {
        Ok(path) => path,
        Err(why) => {
            report.repeat(Word::Wrong, matter, &why, INSTALL);
            return Vec::new();
        }
    };
    let said = match ask(&path, &["--version"]) {
        Ok(said) => said,
        Err(why) => {
            report.tell(
                Word::Wrong,
                matter,
                &why,
                "see that it runs in a shell, or install it anew: npm install -g @openai/codex",
            );
            return Vec::new();
        }
    };
    let (word, what, cure) = stand(said.trim());
    report.tell(word, matter, &[said.trim(), ", ", &path, what].concat(), cure);
    if check_login(report, &path, config) { check_servers(report, &path) } else { Vec::new() }
}

/// How it stands with a codex that calls itself so: the word, what is the case, and what helps.
fn stand(said: &str) -> (Word, &'static str, &'static str) {
    let mut numbers = said.rsplit(' ').next().unwrap_or_default().split('.');
    let mut number = || numbers.next()?.parse::<u32>().ok();
    match number().zip(number()) {
        None => (Word::Warning, ", is no Codex CLI that is known", "see what it is"),
        Some(version) if version < OLDEST => {
            (Word::Wrong, ", is too old: 0.99 or newer is needed", INSTALL)
        }
        Some(version) if version < FORKS => {
            (Word::Warning, ", is older than the 0.169 that is tested, and cannot fork", INSTALL)
        }
        Some(version) if version < TESTED => {
            (Word::Warning, ", is older than the 0.169 that is tested", INSTALL)
        }
        Some(version) if version > TESTED => {
            let cure = "if tasks fail, look for a newer codex-mcp-swarm";
            (Word::Warning, ", is newer than the 0.169 that is tested, and not known here", cure)
        }
        Some(_) => (Word::Ok, "", ""),
    }
}

/// What codex prints, or why it does not: its own words, if it has any.
fn ask(codex: &str, words: &[&str]) -> Result<String, String> {
    let run = || {
        let mut all = vec![OsStr::new(codex)];
        all.extend(words.iter().map(OsStr::new));
        let mut program = Program::new(OsStr::new(codex), &all)?;
        program.end_with_us();
        program::finish(&mut program, sys::nothing()?.as_fd(), None, PATIENCE)
    };
    let line = words.join(" ");
    let why = match run() {
        Ok(Ended { status, printed, .. }) if status.success() => {
            return Ok(String::from_utf8_lossy(&printed).into_owned());
        }
        Ok(Ended { status, said, .. }) => {
            let said = String::from_utf8_lossy(&said);
            let mut lines = said.lines().filter(|line| !line.is_empty());
            let why = lines.clone().find(|line| line.starts_with("Error"));
            let why = why.or_else(|| lines.next_back()).unwrap_or_default();
            format!("{why} ({status})")
        }
        Err(why) if why.kind() == io::ErrorKind::TimedOut => "no end after 10 seconds".into(),
        Err(why) => why.to_string(),
    };
    Err([codex, " ", &line, ": ", &why].concat())
}

/// Whether Codex knows whom to work for. `false`: it can read its configuration as little as a task
/// can.
fn check_login(report: &mut Report, codex: &str, config: &Path) -> bool {
    let matter = "login";
    let cure = "codex login; or set CODEX_API_KEY where the server is registered";
    let Err(why) = ask(codex, &["login", "status"]) else {
        report.ok(matter, "codex is logged in");
        return true;
    };
    // whatever else it says is a fault that every task would meet
    if !why.contains("Not logged in") {
        report.tell(Word::Wrong, matter, &why, "mend what it names; tasks fail of it");
        return false;
    }
    if variable("CODEX_API_KEY").is_some() {
        report.ok(matter, "CODEX_API_KEY is set; the server must have it in its environment too");
    } else if beginning(config).is_ok_and(|text| names_provider(&text)) {
        let text = "codex is not logged in; its configuration names a model provider";
        report.tell(Word::Warning, matter, text, "if that one wants a login: codex login");
    } else if variable("OPENAI_API_KEY").is_some() {
        let text = "codex is not logged in, and `codex exec` does not read OPENAI_API_KEY";
        report.tell(Word::Wrong, matter, text, cure);
    } else {
        report.tell(Word::Wrong, matter, "codex is not logged in", cure);
    }
    true
}

/// The beginning of Codex's configuration. It may be a link or a long file, and a pipe in its place
/// must not hold us up.
fn beginning(config: &Path) -> io::Result<String> {
    let mut text = Vec::new();
    files::open_own(&fs::canonicalize(config)?)?.take(1 << 20).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Whether a Codex configuration names a model provider: it may be one that needs no login.
fn names_provider(config: &str) -> bool {
    let mut lines = config.lines().map(str::trim).take_while(|line| !line.starts_with('['));
    lines.any(|line| {
        let value =
            line.strip_prefix("model_provider").and_then(|l| l.trim_start().strip_prefix('='));
        value.is_some_and(|value| value.trim() != "\"openai\"")
    })
}

/// Whether Codex's own MCP servers are such as a worker can bear. Gives the words that switch this very
/// program off.
fn check_servers(report: &mut Report, codex: &str) -> Vec<String> {
    let matter = "codex mcp";
    let listed = match ask(codex, &["mcp", "list", "--json"]) {
        Ok(listed) => listed,
        Err(why) => {
            let cure = "see that this server is switched off in its own workers";
            report.tell(Word::Warning, matter, &why, cure);
            return Vec::new();
        }
    };
    let listed = json::parse(listed.as_bytes());
    let servers = listed.as_ref().ok().and_then(Value::as_array).unwrap_or_default();
    let mut off = Vec::new();
    let mut fine = true;
    for server in servers {
        match Server::of(server) {
            Some(Server::Swarm { word, is_off }) => {
                let cure = match &word {
                    Some(word) => ["add to its args there: \"-c\", \"", word, "\""].concat(),
                    None => {
                        "give it a name without a dot there: this one cannot be switched off".into()
                    }
                };
                if !is_off {
                    fine = false;
                    let text =
                        "every task starts this program again, as Codex's configuration says";
                    report.tell(Word::Warning, matter, text, &cure);
                }
                off.extend(word);
            }
            Some(Server::Removed(name)) => {
                fine = false;
                report.tell(
                    Word::Warning,
                    matter,
                    &format!(
                        "the server {name} is `codex mcp-server`, removed from Codex in 0.154"
                    ),
                    "register codex-mcp-swarm in place of it, as below",
                );
            }
            None => {}
        }
    }
    if fine {
        report.ok(matter, "no server of Codex's own stands in the way of tasks");
    }
    off
}

/// A server in the list of `codex mcp list --json` (0.169) that matters here.
#[derive(Debug, PartialEq, Eq)]
enum Server {
    /// This program.
    Swarm {
        /// What switches it off. Codex cuts a name with a dot in two, and then refuses to run.
        word: Option<String>,
        /// It is told that for the workers that it starts.
        is_off: bool,
    },
    /// `codex mcp-server`, by this name.
    Removed(String),
}

impl Server {
    /// The server that an entry means, if it matters and is started at all.
    fn of(entry: &Value<'_>) -> Option<Server> {
        let name = one_line(entry.get("name")?.as_str()?);
        entry.get("enabled")?.as_bool().filter(|enabled| *enabled)?;
        let transport = entry.get("transport")?;
        let command = Path::new(transport.get("command")?.as_str()?).file_name()?.to_str()?;
        let args = transport.get("args").and_then(Value::as_array).unwrap_or_default();
        let mut args = args.iter().filter_map(Value::as_str);
        match command {
            "codex-mcp-swarm" => {
                let word = ["mcp_servers.", &name, ".enabled=false"].concat();
                let word = (!name.contains('.')).then_some(word);
                // -c WORD, -cWORD, --config=WORD
                let is_off = word.as_ref().is_some_and(|word| args.any(|arg| arg.ends_with(word)));
                Some(Server::Swarm { word, is_off })
            }
            "codex" if args.any(|arg| arg == "mcp-server") => Some(Server::Removed(name)),
            _ => None,
        }
    }
}

/// What the log is called.
const LOG: &str = "log file";

/// Whether a directory, or the log, can be used, or made where it is not there yet. A variable of this
/// name says where it is.
fn check_place(report: &mut Report, matter: &str, path: &Path, name: &str) {
    let cure = ["choose another place with ", name].concat();
    let shown = path.display().to_string();
    // what is not written costs nobody a task
    let bad = if matter == LOG { Word::Warning } else { Word::Wrong };
    let near = match nearest(matter, path) {
        Ok(near) => near,
        Err(why) => return report.repeat(bad, matter, &[&shown, ": ", &why].concat(), &cure),
    };
    let mut tell = |word, text: &str| report.tell(word, matter, &[&shown, text].concat(), &cure);
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.into());
    let open = real(&near).starts_with(real(Path::new("/tmp")));
    let room = sys::room(&near).unwrap_or(sys::Room { bytes: u64::MAX, file: true });
    if room.bytes < NO_ROOM || !room.file {
        return tell(bad, ": no room is left on its file system");
    }
    if room.bytes < LITTLE_ROOM {
        tell(Word::Warning, ": less than 100 MB are left on its file system");
    }
    if open {
        tell(Word::Warning, " is in /tmp, where tasks in Codex's sandbox can write");
    } else if room.bytes >= LITTLE_ROOM {
        let later = if path.exists() { "" } else { " is made by the first task" };
        report.ok(matter, &[&shown, later].concat());
    }
}

/// What there is of a place: itself, or the nearest directory above, where it would be made. Or why it
/// cannot be used.
fn nearest(matter: &str, path: &Path) -> Result<PathBuf, String> {
    let there = if matter == LOG {
        fs::symlink_metadata(path).and_then(|file| {
            let fit = !file.is_symlink() && file.uid() == sys::user();
            if fit {
                Ok(())
            } else {
                Err(io::Error::other("it is a link, or belongs to another user"))
            }
        })
    } else {
        files::check_private(path)
    };
    let mut near = path;
    match there {
        Err(why) if why.kind() == io::ErrorKind::NotFound => {
            while fs::symlink_metadata(near).is_err() {
                near = near.parent().ok_or("it is nowhere")?;
            }
            if !near.is_dir() {
                return Err(format!("{} is no directory", near.display()));
            }
            if matter != LOG {
                files::check_parents(path).map_err(|why| why.to_string())?;
            }
        }
        there => there.map_err(|why| why.to_string())?,
    }
    match sys::check_writable(near) {
        Ok(()) => Ok(near.into()),
        Err(why) => Err(format!("cannot write to {}: {why}", near.display())),
    }
}

/// What is to be told of tasks.
fn check_tasks(report: &mut Report, store: &Store) {
    let (matter, now) = ("tasks", clock::wall());
    let ids = store.ids(Part::Meta);
    let (mut open, mut unread) = (0_u32, Vec::new());
    for id in &ids {
        let Some(record) = store.read(*id) else {
            unread.push(store.path(*id, Part::Meta));
            continue;
        };
        let mut task = Watched::new(store, record, false);
        let gone = task.refresh(store, now);
        if task.is_final() {
            continue;
        }
        open += 1;
        let quiet = task.quiet(store).filter(|_| task.record.status == Status::Running);
        if gone && task.record.ours {
            report.tell(
                Word::Warning,
                matter,
                &format!("the supervisor of {id} is gone and has left no verdict"),
                &format!("codex-mcp-swarm wait {id}"),
            );
        } else if let Some(quiet) = quiet.filter(|quiet| !gone && *quiet >= SILENCE) {
            report.tell(
                Word::Warning,
                matter,
                &format!("{id} runs and has said nothing for {}", clock::span(quiet)),
                &format!("codex-mcp-swarm logs {id}"),
            );
        }
    }
    if let Some(first) = unread.first() {
        report.tell(
            Word::Warning,
            matter,
            &format!("{} records cannot be read, as {}", unread.len(), first.display()),
            "look at them, and delete what is of no use",
        );
    }
    report.ok(matter, &format!("{} there, {open} of them not ended", ids.len()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_apart() {
        for (said, word, part) in [
            ("codex-cli 0.169.0", Word::Ok, ""),
            ("codex-cli 0.169.7-alpha.1", Word::Ok, ""),
            ("codex-cli 0.168.0", Word::Warning, "older than the 0.169"),
            ("codex-cli 0.147.9", Word::Warning, "cannot fork"),
            ("codex-cli 0.99.0", Word::Warning, "older"),
            ("codex-cli 0.98.0", Word::Wrong, "too old"),
            ("codex-cli 0.170.0", Word::Warning, "newer"),
            ("codex-cli 1.0.0", Word::Warning, "newer"),
            ("codex 3", Word::Warning, "no Codex"),
            ("", Word::Warning, "no Codex"),
        ] {
            let (told, text, cure) = stand(said);
            assert!(told == word && text.contains(part), "{said}: {told:?} {text}");
            assert_eq!(cure.is_empty(), word == Word::Ok, "{said}");
        }
        assert!(stand("0.1.1").1.contains(&format!("{}.{} ", OLDEST.0, OLDEST.1)));
        assert!(stand("0.168.1").1.contains(&format!("{}.{} ", TESTED.0, TESTED.1)));
    }

    #[test]
    fn a_server_matters_if_it_is_started_and_is_this_program_or_the_removed_one() {
        let of = |name: &str, enabled: bool, command: &str, args: &str| {
            let entry = format!(
                r#"{{"name":"{name}","enabled":{enabled},"transport":{{"type":"stdio",
                "command":"{command}","args":{args}}}}}"#
            );
            Server::of(&json::parse(entry.as_bytes()).expect("JSON"))
        };
        let swarm = |name: &str, is_off| {
            let word = Some(format!("mcp_servers.{name}.enabled=false"));
            Some(Server::Swarm { word, is_off })
        };
        assert_eq!(of("s", true, "/a b/codex-mcp-swarm", "[]"), swarm("s", false));
        let off = r#"["-c","mcp_servers.s.enabled=false"]"#;
        assert_eq!(of("s", true, "codex-mcp-swarm", off), swarm("s", true));
        assert_eq!(of("t", true, "codex-mcp-swarm", off), swarm("t", false));
        let joined = r#"["--config=mcp_servers.s.enabled=false"]"#;
        assert_eq!(of("s", true, "codex-mcp-swarm", joined), swarm("s", true));
        assert_eq!(of("s", false, "codex-mcp-swarm", "[]"), None);
        assert_eq!(of("a\\nb", true, "codex-mcp-swarm", "[]"), swarm("a b", false));
        let dotted =
            of("a.b", true, "codex-mcp-swarm", r#"["-c","mcp_servers.a.b.enabled=false"]"#);
        assert_eq!(dotted, Some(Server::Swarm { word: None, is_off: false }));
        let removed = of("o", true, "/bin/codex", r#"["-c","model=x","mcp-server"]"#);
        assert_eq!(removed, Some(Server::Removed("o".into())));
        assert_eq!(of("o", true, "codex", r#"["app-server"]"#), None);
        let web = br#"{"name":"w","enabled":true,"transport":{"url":"https://localhost/mcp"}}"#;
        assert_eq!(Server::of(&json::parse(web).expect("JSON")), None);
    }

    #[test]
    fn a_provider_is_named_by_a_key_of_its_own() {
        assert!(names_provider("model = \"x\"\nmodel_provider = \"local\"\n"));
        for config in [
            "",
            "model_provider = \"openai\"",
            "# model_provider = \"x\"",
            "[profiles.a]\nmodel_provider = \"x\"",
            "model_providers = {}",
        ] {
            assert!(!names_provider(config), "{config}");
        }
    }
}
