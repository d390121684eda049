//! The harm that tests do, and what must be true after it: signals to processes, each named by its own
//! id; gates that hold any number of tasks up at no cost; and the verdict on a task, as it is told
//! everywhere.

use crate::json::Value;
use crate::support::*;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The ids of all tasks.
pub fn known(dir: &Dir) -> BTreeSet<String> {
    let entries = fs::read_dir(dir.path("tasks")).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| Some(name.strip_suffix(".meta")?.to_owned())).collect()
}

/// A record with other values in place of its own.
pub fn with_values(record: &Value<'static>, values: &[(&str, &str)]) -> Value<'static> {
    let members = record.as_object().unwrap().iter().map(|(key, value)| {
        let other = values.iter().find(|(name, _)| name == key);
        let value = other.map_or_else(|| value.clone(), |(_, value)| read_json(value));
        (key.clone(), value)
    });
    Value::Object(members.collect())
}

/// Sends a signal to processes, to each by its own id: never to a group, to init, or to this one.
pub fn signal(name: &str, pids: &[u32]) {
    for pid in pids {
        assert!(*pid > 1 && *pid != std::process::id(), "{pid} is not to be signalled");
        let number = pid.to_string();
        // one that has just ended is no fault of the test
        let _ =
            Command::new("/bin/kill").args(["-s", name, &number]).stderr(Stdio::null()).status();
    }
}

/// A process id that stands in a task's record: `supervisor_pid`, or `pid` for codex.
pub fn pid_in(record: &Value<'static>, key: &str) -> u32 {
    record.at(key).as_u64().and_then(|pid| u32::try_from(pid).ok()).unwrap()
}

/// Kills the supervisor of a task as a crash would.
pub fn kill_supervisor(dir: &Dir, id: &str) {
    let pid = pid_in(&dir.record(id), "supervisor_pid");
    signal("KILL", &[pid]);
    until("its end", || (!lives(pid)).then_some(()));
}

/// The fields of a line of /proc/PID/stat behind the name: state, parent, group, session and so on.
pub fn fields(stat: &[u8]) -> Vec<String> {
    let line = String::from_utf8_lossy(stat);
    let behind = line.rsplit_once(')').map_or("", |(_, behind)| behind);
    behind.split_ascii_whitespace().map(str::to_owned).collect()
}

/// When a process started, in clock ticks since the boot.
pub fn start_time(pid: u32) -> String {
    fields(&fs::read(format!("/proc/{pid}/stat")).unwrap())[19].clone()
}

/// The ids of the processes whose fields of /proc/PID/stat are as asked for.
pub fn pids_where(fits: impl Fn(&[String]) -> bool) -> Vec<u32> {
    let all = each_process("stat").into_iter().filter(|(_, stat)| fits(&fields(stat)));
    all.map(|(process, _)| process.file_name().unwrap().to_str().unwrap().parse().unwrap())
        .collect()
}

/// Whether a process is there and has not ended.
pub fn lives(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !matches!(fields(&stat).first().map(String::as_str), None | Some("Z" | "X"))
    })
}

/// Waits until nothing that was started in this directory runs but these processes.
pub fn until_alone(dir: &Dir, pids: &[u32]) {
    until("the end of all others", || {
        let left = processes_with(&dir.marker());
        let ours =
            |line: &String| pids.iter().any(|pid| line.starts_with(&format!("/proc/{pid} ")));
        left.iter().all(ours).then_some(())
    });
}

/// The processes that a process holds a pidfd of.
pub fn held_by(pid: u32) -> Vec<u32> {
    let all = fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten();
    let infos = all.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
    infos.filter_map(|info| maybe_field(&info, "Pid")?.parse().ok()).collect()
}

/// Waits until all these marks are there.
pub fn all_marked(dir: &Dir, marks: impl IntoIterator<Item = String>) {
    for mark in marks {
        dir.marked(&mark);
    }
}

/// A gate that any number of stand-ins wait at without a look in between: a lock that another process
/// holds for us.
pub struct Gate {
    path: PathBuf,
    holder: Child,
}

impl Gate {
    /// Makes one that is shut.
    pub fn shut(dir: &Dir, name: &str) -> Gate {
        let path = dir.path("out").join(name);
        let mut holder = Command::new("flock")
            .arg(&path)
            .args(["sh", "-c", "echo shut; cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("flock starts");
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "shut\n");
        Gate { path, holder }
    }

    /// The command with which a shell waits until it is open.
    pub fn pass(&self) -> String {
        format!("flock -s {} true", self.path.display())
    }

    /// The line of a script with which a stand-in waits until it is open.
    pub fn wait(&self) -> String {
        format!("sh {}", self.pass())
    }

    /// Opens it, for good.
    pub fn open(self) {
        drop(self);
    }

    /// Sees to it that it will be open in a moment.
    pub fn begin_to_open(&mut self) {
        drop(self.holder.stdin.take());
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.begin_to_open();
        let _ = self.holder.wait();
    }
}

/// How a task ended, in one of the forms in which that is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// `completed`, `failed` or `cancelled`.
    pub status: String,
    /// The exit status of one that failed, where it is known; the others are told without.
    pub exit: Option<i64>,
    /// Nobody saw it.
    pub inferred: bool,
}

impl Verdict {
    /// Makes one.
    pub fn new(status: &str, exit: Option<i64>, inferred: bool) -> Verdict {
        let exit = exit.filter(|_| status == "failed");
        Verdict { status: status.to_owned(), exit, inferred }
    }

    /// A verdict that was seen.
    pub fn seen(status: &str, exit: i64) -> Verdict {
        Verdict::new(status, Some(exit), false)
    }

    /// As it stands in the record, or in the resource of the task.
    fn of_json(value: &Value<'static>, exit: &str) -> Verdict {
        let inferred = value.find("inferred").and_then(Value::as_bool).unwrap_or(false);
        let exit = value.find(exit).and_then(Value::as_i64);
        Verdict::new(value.str_at("status"), exit, inferred)
    }

    /// As it stands in the record.
    pub fn recorded(dir: &Dir, id: &str) -> Verdict {
        Verdict::of_json(&dir.record(id), "exit_code")
    }

    /// As the resource of the task tells it.
    pub fn of_resource(server: &mut Server<'_>, id: &str) -> Verdict {
        let text = server.read(&format!("codex-swarm:///tasks/{id}"));
        Verdict::of_json(&read_json(&text), "exitCode")
    }

    /// As the section of a status or a wait tells it.
    pub fn told(text: &str, id: &str) -> Verdict {
        let part = section(text, id);
        let head = part.lines().next().unwrap();
        let words = head.split_once('(').map_or("", |(_, words)| words).to_lowercase();
        let exit = words.split_once(", exit ").and_then(|(_, exit)| exit.split(')').next());
        let status = words.split(' ').next().unwrap();
        let inferred =
            part.contains("\nWarning: the supervisor was gone; this verdict is inferred");
        Verdict::new(status, exit.map(|exit| exit.parse().unwrap()), inferred)
    }
}

/// `codex-mcp-swarm wait` on some tasks, in a terminal of its own.
pub struct Terminal {
    child: Child,
    output: PathBuf,
}

impl Terminal {
    /// Begins to wait for these tasks.
    pub fn begin(dir: &Dir, tasks: &[&str]) -> Terminal {
        let output = dir.path("terminal");
        let mut command = dir.command();
        command.arg("wait").args(tasks).stdout(fs::File::create(&output).unwrap());
        Terminal { child: command.spawn().expect("it starts"), output }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has ended: its exit status and what it has printed.
    pub fn end(mut self) -> (Option<i32>, String) {
        let child = &mut self.child;
        let status = until("the end of the wait", || child.try_wait().unwrap());
        (status.code(), fs::read_to_string(&self.output).unwrap())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // it is over, or it would wait for ever
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The one verdict on each of these tasks, which have ended: it is the same in the record, in what each
/// server tells in every way it has, and in a terminal.
pub fn agreed(dir: &Dir, servers: &mut [&mut Server<'_>], tasks: &[&str]) -> Vec<Verdict> {
    let mut texts = vec![Terminal::begin(dir, tasks).end().1];
    for server in servers.iter_mut() {
        texts.push(server.wait(tasks));
        texts.push(server.ok("codex_status", &ids(tasks)));
    }
    let verdict = |id: &&str| {
        let recorded = Verdict::recorded(dir, id);
        for text in &texts {
            assert_eq!(Verdict::told(text, id), recorded, "{}", section(text, id));
        }
        for server in servers.iter_mut() {
            assert_eq!(Verdict::of_resource(server, id), recorded, "{id}");
        }
        recorded
    };
    tasks.iter().map(verdict).collect()
}
