//! A task's record: all that is known of it besides its transcript, as one JSON object.
//!
//! The names are those of the Python package, so that its records can be read; what it did not
//! have is ours. A record is read as what it is: input.

use super::Id;
use super::Worktree;
use super::id::LongId;
use super::identity::{Place, Process};
use crate::json::{self, Object, Value};
use crate::launcher::{self, Launcher};

/// How far a task is. The server writes `Queued`; from there on its supervisor moves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Its supervisor has not begun.
    Queued,
    /// Its supervisor gets things ready for codex.
    Preparing,
    /// codex runs.
    Running,
    /// codex finished its turn.
    Completed,
    /// codex ended in any other way, or never started.
    Failed,
    /// Somebody cancelled it.
    Cancelled,
}

impl Status {
    /// All of them, with their names.
    const NAMES: [(&'static str, Status); 6] = [
        ("queued", Status::Queued),
        ("preparing", Status::Preparing),
        ("running", Status::Running),
        ("completed", Status::Completed),
        ("failed", Status::Failed),
        ("cancelled", Status::Cancelled),
    ];

    /// The word for it.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, status)| *status == self).map_or("", |(name, _)| name)
    }

    /// The status that a word means.
    fn named(name: &str) -> Option<Status> {
        Self::NAMES.iter().find(|(n, _)| *n == name).map(|(_, status)| *status)
    }

    /// Nothing changes any more.
    pub fn is_final(self) -> bool {
        matches!(self, Status::Completed | Status::Failed | Status::Cancelled)
    }
}

/// Tokens, as Codex counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Read by the model, cached ones included.
    pub input: u64,
    /// Of the input, those that were cached.
    pub cached: u64,
    /// Written by the model, reasoning included.
    pub output: u64,
    /// Of the output, reasoning.
    pub reasoning: u64,
}

impl Usage {
    /// What came on top of `before`.
    pub fn since(self, before: Usage) -> Usage {
        Usage {
            input: self.input.saturating_sub(before.input),
            cached: self.cached.saturating_sub(before.cached),
            output: self.output.saturating_sub(before.output),
            reasoning: self.reasoning.saturating_sub(before.reasoning),
        }
    }

    /// Writes the counts.
    pub fn write(self, o: &mut Object<'_>) {
        o.int("input_tokens", self.input)
            .int("cached_input_tokens", self.cached)
            .int("output_tokens", self.output)
            .int("reasoning_output_tokens", self.reasoning);
    }

    /// Reads the counts, in our records and in Codex's events.
    pub fn read(value: &Value<'_>) -> Usage {
        let count = |key| value.get(key).and_then(Value::as_u64).unwrap_or(0);
        Usage {
            input: count("input_tokens"),
            cached: count("cached_input_tokens"),
            output: count("output_tokens"),
            reasoning: count("reasoning_output_tokens"),
        }
    }
}

/// All that is known of a task besides its transcript.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::struct_excessive_bools, reason = "facts that have nothing to do with each other")]
pub struct Record {
    /// Its name.
    pub id: Id,
    /// Its name among the tasks of MCP's extension. Records of other programs have none.
    pub long_id: Option<LongId>,
    /// How far it is.
    pub status: Status,
    /// It ends with the server that started it: somebody waits for the reply to the very call.
    pub attached: bool,
    /// What is run: the path of codex and its arguments. The prompt is not among them.
    pub command: Vec<String>,
    /// The directory it runs in.
    pub cwd: String,
    /// Where the server was locked: the directories below which the task stays. All paths that were
    /// given for it have their links resolved then. Empty: it may work anywhere.
    pub roots: Vec<String>,
    /// The arguments that a reply on the same thread takes over, as a JSON object.
    pub settings: String,
    /// The model asked for, if any was.
    pub model: Option<String>,
    /// The sandbox mode asked for, if any was.
    pub sandbox: Option<String>,
    /// The Codex thread, once it is known.
    pub thread: Option<String>,
    /// The thread's tokens before this task: Codex counts per thread, not per turn.
    pub usage_before: Option<Usage>,
    /// The thread's tokens after this task.
    pub usage: Option<Usage>,
    /// When it was asked for; milliseconds since 1970.
    pub asked: u64,
    /// The same, and from when on codex was started that.
    pub started: u64,
    /// When it ended.
    pub completed: Option<u64>,
    /// The program that starts codex, if any is to.
    pub launcher: Option<Launcher>,
    /// It may begin only while fewer than so many run.
    pub max_parallel: Option<u32>,
    /// It may run for so many seconds.
    pub timeout: Option<u32>,
    /// It ran for longer.
    pub timed_out: bool,
    /// The server that is to start its supervisor.
    pub server: Option<Process>,
    /// Its supervisor.
    pub supervisor: Option<Process>,
    /// Its codex.
    pub codex: Option<Process>,
    /// codex's exit status; a signal as a negative number.
    pub exit: Option<i32>,
    /// What went wrong that the transcript cannot know of.
    pub failure: Option<String>,
    /// The verdict was not witnessed: the supervisor was gone before it could write one.
    pub inferred: bool,
    /// What else is to be told.
    pub note: Option<String>,
    /// A record of ours, not one of the Python package's.
    pub ours: bool,
    /// The worktree it is to have, or has.
    pub worktree: Option<Worktree>,
}

impl Record {
    /// The record as JSON text.
    pub fn write(&self) -> String {
        let mut out = String::new();
        json::object(&mut out, |o| {
            o.str("task_id", &self.id.to_string()).str("status", self.status.name());
            if let Some(long_id) = self.long_id {
                o.str("mcp_task_id", &long_id.to_string());
            }
            o.bool("attached", self.attached);
            o.strs("command", &self.command);
            o.str("cwd", &self.cwd).raw("settings", &self.settings);
            if !self.roots.is_empty() {
                o.strs("roots", &self.roots);
            }
            o.maybe_str("model", self.model.as_deref());
            o.maybe_str("sandbox", self.sandbox.as_deref());
            o.maybe_str("thread_id", self.thread.as_deref());
            for (key, usage) in [("usage_before", self.usage_before), ("usage", self.usage)] {
                if let Some(usage) = usage {
                    o.object(key, |o| usage.write(o));
                }
            }
            o.raw("asked_at", &seconds(self.asked)).raw("started_at", &seconds(self.started));
            if let Some(completed) = self.completed {
                o.raw("completed_at", &seconds(completed));
            }
            if let Some(launcher) = &self.launcher {
                o.str("launcher", &launcher.name).strs("launcher_words", &launcher.words);
            }
            let of_launcher = self.launcher.as_ref().and_then(|launcher| launcher.max_parallel);
            for (key, limit) in [
                ("launcher_max_parallel", of_launcher),
                ("max_parallel", self.max_parallel),
                ("timeout", self.timeout),
            ] {
                if let Some(limit) = limit {
                    o.int(key, limit);
                }
            }
            if self.timed_out {
                o.bool("timed_out", true);
            }
            process(o, ["server_pid", "server_start_time"], self.server.as_ref());
            process(o, ["supervisor_pid", "supervisor_start_time"], self.supervisor.as_ref());
            process(o, ["pid", "pid_start_time"], self.codex.as_ref());
            let known = [&self.supervisor, &self.codex, &self.server];
            let process = known.into_iter().flatten().next();
            if let Some(place) = process.and_then(|process| process.place.as_ref()) {
                o.str("boot_id", &place.boot).str("pid_namespace", &place.namespace);
                o.str("host", &place.host);
            }
            if let Some(exit) = self.exit {
                o.int("exit_code", exit);
            }
            o.maybe_str("failure", self.failure.as_deref());
            o.maybe_str("note", self.note.as_deref());
            if self.inferred {
                o.bool("inferred", true);
            }
            if let Some(worktree) = &self.worktree {
                worktree.write(o);
            }
        });
        out
    }

    /// Reads a record of the task `id`. One that names another task is none.
    pub fn read(id: Id, text: &[u8]) -> Option<Record> {
        let value = json::parse(text).ok()?;
        let string = |key| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let usage = |key| value.get(key).map(Usage::read);
        let place = || {
            let (boot, namespace) = (string("boot_id")?, string("pid_namespace")?);
            Some(Place { boot, namespace, host: string("host")? })
        };
        let process = |pid, start| {
            Some(Process {
                pid: value.get(pid).and_then(Value::as_i64)?,
                start: value.get(start).and_then(ticks),
                place: place(),
            })
        };
        let is = |key| value.get(key).and_then(Value::as_bool).unwrap_or(false);
        let limit = |key| {
            value.get(key).and_then(Value::as_u64).and_then(|limit| u32::try_from(limit).ok())
        };
        if string("task_id")? != id.to_string() {
            return None;
        }
        let strings = |key| -> Vec<String> {
            let items = value.get(key).and_then(Value::as_array).unwrap_or_default();
            items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        // its name is part of a path
        let launcher = string("launcher").filter(|name| launcher::is_name(name)).map(|name| {
            let max_parallel = limit("launcher_max_parallel");
            Launcher { name, words: strings("launcher_words"), max_parallel }
        });
        let command = match value.get("command") {
            // the Python package's: one string, for people to read
            Some(Value::String(line)) => vec![line.clone().into_owned()],
            _ => strings("command"),
        };
        let started = value.get("started_at").and_then(millis)?;
        let long_id = string("mcp_task_id").as_deref().and_then(LongId::read);
        Some(Record {
            id,
            long_id: long_id.filter(|long_id| long_id.short() == id),
            status: Status::named(&string("status")?)?,
            attached: is("attached"),
            command,
            cwd: string("cwd").unwrap_or_default(),
            roots: strings("roots"),
            settings: value
                .get("settings")
                .filter(|settings| settings.as_object().is_some())
                .map_or_else(|| "{}".into(), Value::to_json),
            model: string("model"),
            sandbox: string("sandbox"),
            thread: string("thread_id"),
            usage_before: usage("usage_before"),
            usage: usage("usage"),
            asked: value.get("asked_at").and_then(millis).unwrap_or(started),
            started,
            completed: value.get("completed_at").and_then(millis),
            launcher,
            max_parallel: limit("max_parallel"),
            timeout: limit("timeout"),
            timed_out: is("timed_out"),
            server: process("server_pid", "server_start_time"),
            supervisor: process("supervisor_pid", "supervisor_start_time"),
            codex: process("pid", "pid_start_time"),
            exit: value
                .get("exit_code")
                .and_then(Value::as_i64)
                .and_then(|exit| i32::try_from(exit).ok()),
            failure: string("failure"),
            note: string("note"),
            ours: value.get("attached").is_some(),
            inferred: is("inferred"),
            worktree: Worktree::read(&value),
        })
    }

    /// Moves the task to another directory: the one it runs in, and the one that codex is told.
    pub fn enter(&mut self, directory: &str) {
        self.cwd = directory.into();
        for word in self.command.iter_mut().filter(|word| word.starts_with("--cd=")) {
            *word = format!("--cd={directory}");
        }
    }

    /// The lines that it stands in one after the other, its launcher's and that of all: what their files
    /// have behind their names, and how many may run.
    pub fn lines(&self) -> Vec<(String, Option<u32>)> {
        let mut lines = Vec::new();
        if let Some(launcher) = &self.launcher {
            lines.push((format!(".{}", launcher.name), launcher.max_parallel));
        }
        lines.push((String::new(), self.max_parallel));
        lines
    }

    /// How long it ran, or has run by `now`; milliseconds.
    pub fn elapsed(&self, now: u64) -> u64 {
        self.completed.unwrap_or(now).saturating_sub(self.started)
    }
}

/// Writes what tells a process apart, but for the boot.
fn process(o: &mut Object<'_>, keys: [&str; 2], process: Option<&Process>) {
    let [pid, start] = keys;
    if let Some(process) = process {
        o.int(pid, process.pid);
        if let Some(ticks) = process.start {
            o.int(start, ticks);
        }
    }
}

/// Milliseconds as the seconds that the Python package writes.
pub fn seconds(millis: u64) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

/// The end of the year 9999: no later moment can be written down.
const END_OF_TIME: u64 = 253_402_300_799_000;

/// Seconds as milliseconds.
pub fn millis(value: &Value<'_>) -> Option<u64> {
    value.as_thousandths().map(|millis| millis.min(END_OF_TIME))
}

/// Clock ticks; the Python package writes them as a float.
fn ticks(value: &Value<'_>) -> Option<u64> {
    value.as_u64().or_else(|| millis(value).map(|millis| millis / 1000))
}

#[cfg(test)]
mod tests {
    use super::super::worktree::Changes;
    use super::*;
    use std::path::Path;

    #[test]
    fn a_record_reads_as_it_was_written() {
        let id = Id::read("1a2b3c4d").expect("an id");
        let place = Place { boot: "b".into(), namespace: "pid:[7]".into(), host: "h".into() };
        let process = |pid| Process { pid, start: Some(99), place: Some(place.clone()) };
        let full = Record {
            id,
            long_id: LongId::read("1a2b3c4d00000000ffffffff01234567"),
            status: Status::Failed,
            attached: true,
            command: vec!["/bin/codex".into(), "exec".into()],
            cwd: "/home/ü".into(),
            roots: vec!["/home".into()],
            settings: r#"{"model":"m"}"#.into(),
            model: Some("m".into()),
            sandbox: Some("read-only".into()),
            thread: Some("t".into()),
            usage_before: Some(Usage { input: 1, cached: 2, output: 3, reasoning: 4 }),
            usage: Some(Usage::default()),
            asked: 1_795_436_999_000,
            started: 1_795_437_000_123,
            completed: Some(1_795_437_001_000),
            launcher: Some(Launcher {
                name: "gpu".into(),
                words: vec!["srun".into(), "-n1".into()],
                max_parallel: Some(2),
            }),
            max_parallel: Some(4),
            timeout: Some(60),
            timed_out: true,
            server: Some(process(69)),
            supervisor: Some(process(70)),
            codex: Some(process(71)),
            exit: Some(-9),
            failure: Some("why".into()),
            note: Some("also".into()),
            ours: true,
            inferred: true,
            worktree: Some(Worktree {
                root: "/r".into(),
                git_dir: "/r/.git/worktrees/1a2b3c4d".into(),
                head: "abc".into(),
                changes: Some(Changes { commits: 1, files: 2, insertions: 3, deletions: 4 }),
                trouble: Some("left".into()),
                kept: Some("kept".into()),
                ..Worktree::planned(Path::new("/w"), id, "HEAD")
            }),
        };
        assert_eq!(Record::read(id, full.write().as_bytes()), Some(full.clone()));
        let bare = Record {
            long_id: None,
            attached: false,
            model: None,
            sandbox: None,
            thread: None,
            usage_before: None,
            usage: None,
            completed: None,
            max_parallel: None,
            timeout: None,
            timed_out: false,
            server: None,
            supervisor: None,
            codex: None,
            exit: None,
            failure: None,
            note: None,
            inferred: false,
            worktree: None,
            ..full.clone()
        };
        assert_eq!(Record::read(id, bare.write().as_bytes()), Some(bare));
        assert_eq!(full.elapsed(0), 877);
    }

    #[test]
    fn a_record_of_the_python_package_reads() {
        let id = Id::read("1a2b3c4d").expect("an id");
        let text = br#"{"task_id": "1a2b3c4d", "pid": 4711, "pid_start_time": 12345.0,
            "status": "completed", "command": "codex exec --json go", "started_at": 1795437000.25,
            "completed_at": 1795437012.5, "exit_code": 0, "worktree_path": "/tmp/w"}"#;
        let record = Record::read(id, text).expect("it reads");
        assert_eq!((record.started, record.elapsed(0)), (1_795_437_000_250, 12_250));
        assert_eq!(record.codex.and_then(|process| process.start), Some(12_345));
        assert!(!record.ours);
        assert_eq!(record.worktree.map(|worktree| worktree.path), Some("/tmp/w".into()));
    }

    #[test]
    fn what_is_no_record_is_none() {
        let id = Id::read("1a2b3c4d").expect("an id");
        for text in [
            "",
            "{}",
            "[]",
            r#"{"task_id":"1a2b3c4d","status":"running"}"#,
            r#"{"task_id":"1a2b3c4d","status":"odd","started_at":1}"#,
            r#"{"task_id":"ffffffff","status":"running","started_at":1}"#,
        ] {
            assert_eq!(Record::read(id, text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn whatever_stands_in_a_member_the_record_reads_as_it_is_written_then() {
        let id = Id::read("1a2b3c4d").expect("an id");
        let text = r#"{"task_id":"1a2b3c4d","status":"running","started_at":1.5,"attached":true,
            "mcp_task_id":"1a2b3c4d00000000ffffffff01234567","command":[],"cwd":"/","settings":{},
            "model":"m","sandbox":"s","thread_id":"t","usage_before":{},"usage":{"input_tokens":1},
            "asked_at":1,"completed_at":2,"max_parallel":1,"timeout":1,"timed_out":true,
            "server_pid":2,"server_start_time":3,"supervisor_pid":4,"supervisor_start_time":5,
            "pid":6,"pid_start_time":7,"boot_id":"b","pid_namespace":"n","host":"h","exit_code":1,
            "failure":"f","note":"n","inferred":true,"worktree_path":"/w","changes":{"files":1}}"#;
        let Ok(Value::Object(members)) = json::parse(text.as_bytes()) else { panic!("an object") };
        let odd = [
            "null",
            "true",
            "0",
            "-0",
            "1",
            "-1",
            "1.5",
            "-1.5",
            "1e400",
            "\"\"",
            "\"x\"",
            "[]",
            "[1]",
            "{}",
            "2147483648",
            "4294967296",
            "18446744073709551615",
            "18446744073709551616",
            "-9223372036854775808",
            "\"1a2b3c4d\"",
            "\"\\ud800\\u0000\"",
            "[\"a\",[]]",
            "{\"x\":{}}",
        ];
        let mut read = 0;
        for (at, value) in (0..members.len()).flat_map(|at| odd.map(|value| (at, value))) {
            let mut members = members.clone();
            members[at].1 = json::parse(value.as_bytes()).expect(value);
            let text = Value::Object(members).to_json();
            let Some(record) = Record::read(id, text.as_bytes()) else { continue };
            read += 1;
            let written = record.write();
            assert_eq!(Record::read(id, written.as_bytes()), Some(record.clone()), "{text}");
            for process in [record.server, record.supervisor, record.codex].iter().flatten() {
                let pid = crate::sys::Pid::new(process.pid);
                assert_eq!(pid.is_some(), (2..1 << 31).contains(&process.pid), "{text}");
            }
        }
        assert!(read > 600, "{read}");
    }
}
