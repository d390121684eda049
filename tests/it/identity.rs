//! A process id alone means nothing: it is given to others. Who is not surely the process that a record
//! means is never signalled and never taken for it, whatever it is called.

use crate::harm::*;
use crate::json::Value;
use crate::support::*;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

/// Where the next process id can be chosen, by root.
const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";

/// A name that is taken for another state by whoever stops at the first parenthesis.
const ODD_NAME: &str = "a) R (b";

/// A process of the test that has nothing to do with any task. Every signal ends it that could be sent.
struct Stranger(Child);

impl Stranger {
    /// Starts the program `sleep` under this name.
    fn start(program: &Path) -> Stranger {
        let child = Command::new(program).arg0("sleep").arg("600").spawn().expect("it starts");
        let name = program.file_name().unwrap().to_str().unwrap();
        // it has its name a moment after it has begun
        until("its name", || (name_of(child.id()) == name).then_some(()));
        Stranger(child)
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Ends it, and leaves it a zombie.
    fn kill(&mut self) {
        self.0.kill().unwrap();
        let pid = self.pid();
        until("its end", || (!lives(pid)).then_some(()));
    }

    /// Fails if somebody has sent it a signal.
    fn unharmed(&mut self) {
        assert!(self.0.try_wait().unwrap().is_none(), "the stranger was signalled");
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the system calls a process.
fn name_of(pid: u32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim_end_matches('\n').to_owned()
}

/// The program `sleep` under this name.
fn sleep_as(dir: &Dir, name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let real = std::env::split_paths(&path).map(|p| p.join("sleep")).find(|p| p.exists()).unwrap();
    let link = dir.make("bin").join(name);
    symlink(real, &link).unwrap();
    link
}

/// Starts a stranger that has this process id. `None`, and a word about it, where nobody can.
fn with_pid(pid: u32, program: &Path) -> Option<Stranger> {
    let end = Instant::now() + CAP;
    // it is free when init has reaped its process, and all of its session
    while Instant::now() < end {
        if let Err(why) = fs::write(LAST_PID, (pid - 1).to_string()) {
            eprintln!("skipped: process ids cannot be chosen here: {LAST_PID}: {why}");
            return None;
        }
        let stranger = Stranger::start(program);
        if stranger.pid() == pid {
            return Some(stranger);
        }
        thread::sleep(Duration::from_millis(5));
    }
    eprintln!("skipped: the process id {pid} does not become free");
    None
}

/// Puts the record of a task that runs under another id, with other values, and its transcript too.
fn forge(dir: &Dir, id: &str, real: &Value<'static>, values: &[(&str, &str)]) {
    let own = real.str_at("task_id");
    let record = with_values(real, values).to_json().replace(own, id);
    fs::copy(dir.task_file(own, "stdout"), dir.task_file(id, "stdout")).unwrap();
    plant(dir, id, &record);
}

/// A task that ran and is over: its record from when it ran.
fn record_of_a_running_task(dir: &Dir, server: &mut Server<'_>) -> Value<'static> {
    let id = server.launch("begin\nsay half\nmark on\nwait-for go\nexit 0");
    dir.marked("on");
    until("its thread in the record", || dir.record(&id).find("thread_id").map(drop));
    let record = dir.record(&id);
    dir.open("go");
    server.wait(&[&id]);
    record
}

/// Asks all that can be asked of a task that runs no more, as far as its record may be believed; nothing
/// of it may be told as running.
fn asked_everything(dir: &Dir, id: &str, stranger: &mut Stranger) {
    let mut server = dir.server();
    let status = server.status(id);
    assert!(status.contains("(FAILED in "), "{status}");
    let text = server.call("codex_cancel", &ids(&[id]));
    assert!(text_of(&text).contains("had already failed"), "{}", text_of(&text));
    let verdicts = agreed(dir, &mut [&mut server], &[id]);
    assert_eq!(verdicts, [Verdict::new("failed", None, true)]);
    let gc = dir.command().arg("gc").status().unwrap();
    assert!(gc.success());
    // Nor does it keep its thread from others.
    let args = prompt_and("x", &format!(r#""threadId":"{}""#, thread_id(&status)));
    server.ok("codex_reply", &args);
    server.end();
    // Who ends what such a task has left has ended, too.
    gone(&dir.marker());
    stranger.unharmed();
}

#[test]
fn a_process_that_was_given_the_id_of_a_dead_one_is_no_task() {
    let dir = Dir::new();
    let program = sleep_as(&dir, ODD_NAME);
    let mut server = dir.server();
    let id = server.launch("begin\nsay half\nmark on\nwait-for never");
    dir.marked("on");
    until("its thread in the record", || dir.record(&id).find("thread_id").map(drop));
    let running = dir.record(&id);
    kill_supervisor(&dir, &id);
    // its own server sees that, and sees to it that nothing is left
    server.wait(&[&id]);
    gone(&mark_of(&id));
    server.end();
    for key in ["supervisor_pid", "pid"] {
        let Some(mut stranger) = with_pid(pid_in(&running, key), &program) else { return };
        // as if nobody had looked until now
        plant(&dir, &id, &running.to_json());
        asked_everything(&dir, &id, &mut stranger);
        plant(&dir, &id, &running.to_json());
        assert_eq!(Verdict::told(&Terminal::begin(&dir, &[&id]).end().1, &id).status, "failed");
        gone(&dir.marker());
        stranger.unharmed();
    }
}

#[test]
fn a_process_of_another_start_or_another_boot_is_no_task() {
    let dir = Dir::new();
    let mut server = dir.server();
    let real = record_of_a_running_task(&dir, &mut server);
    server.end();
    let mut stranger = Stranger::start(&sleep_as(&dir, "sleep"));
    let pid = stranger.pid().to_string();
    let start = start_time(stranger.pid());
    let later = (start.parse::<u64>().unwrap() + 1).to_string();
    let who = |start: &str, boot: &str| {
        let mut values = vec![("supervisor_pid", pid.clone()), ("pid", pid.clone())];
        values
            .extend(["supervisor_start_time", "pid_start_time"].map(|key| (key, start.to_owned())));
        values.extend((!boot.is_empty()).then(|| ("boot_id", quoted(boot))));
        values
    };
    for (n, values) in [
        who(&later, ""),
        who("null", ""),
        who("0", ""),
        who(&start, "00000000-0000-0000-0000-000000000000"),
        who(&later, "00000000-0000-0000-0000-000000000000"),
    ]
    .iter()
    .enumerate()
    {
        let id = format!("0000000{n}");
        let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
        forge(&dir, &id, &real, &values);
        asked_everything(&dir, &id, &mut stranger);
    }
}

#[test]
fn a_task_of_another_machine_gets_no_verdict_and_no_signal() {
    let dir = Dir::new();
    let mut server = dir.server();
    let real = record_of_a_running_task(&dir, &mut server);
    let mut stranger = Stranger::start(&sleep_as(&dir, "sleep"));
    let pid = stranger.pid().to_string();
    let start = start_time(stranger.pid());
    let who = [("supervisor_pid", pid.as_str()), ("pid", &pid), ("supervisor_start_time", &start)];
    let elsewhere = [
        [("boot_id", "\"another\""), ("host", "\"another\"")].as_slice(),
        &[("pid_namespace", "\"pid:[1]\"")],
    ];
    for (n, place) in elsewhere.iter().enumerate() {
        let id = format!("0000000{n}");
        forge(&dir, &id, &real, &[&who, *place].concat());
        let before = fs::read(dir.task_file(&id, "meta")).unwrap();
        assert_eq!(field(&server.status(&id), "Phase"), "running");
        let text = server.ok("codex_wait", &format!(r#"{{"task_ids":["{id}"],"timeout":0}}"#));
        assert!(text.contains("STILL RUNNING"), "{text}");
        let text = server.refused("codex_cancel", &ids(&[&id]));
        assert!(text.contains("another machine or in another container"), "{text}");
        assert!(dir.command().arg("gc").status().unwrap().success());
        assert_eq!(fs::read(dir.task_file(&id, "meta")).unwrap(), before);
    }
    server.end();
    gone(&dir.marker());
    stranger.unharmed();
}

#[test]
fn a_supervisor_with_an_odd_name_is_known_alive_dead_and_as_a_zombie() {
    let dir = Dir::new();
    let mut server = dir.server();
    let real = record_of_a_running_task(&dir, &mut server);
    let mut stranger = Stranger::start(&sleep_as(&dir, ODD_NAME));
    let (pid, start) = (stranger.pid().to_string(), start_time(stranger.pid()));
    let who =
        [("supervisor_pid", pid.as_str()), ("supervisor_start_time", &start), ("pid", "null")];
    for id in ["0000000a", "0000000b"] {
        forge(&dir, id, &real, &who);
        assert_eq!(field(&server.status(id), "Phase"), "running");
    }
    let wait = server.begin("codex_wait", &ids(&["0000000a"]));
    server.silent_about(&[wait]);
    stranger.kill();
    // one is waited for; the other is looked at when its supervisor is a zombie already
    let text = text_of(&server.result(wait));
    assert!(text.contains("(failed in "), "{text}");
    agreed(&dir, &mut [&mut server, &mut dir.server()], &["0000000a", "0000000b"]);
}

#[test]
fn a_codex_with_an_odd_name_is_ended_like_any_other() {
    let dir = Dir::new();
    let program = dir.make("bin").join(ODD_NAME);
    symlink(STANDIN, &program).unwrap();
    let mut command = dir.command();
    command.arg("--codex").arg(&program);
    let mut server = Server::spawn(&dir, command);
    server.initialize();
    let tasks = ["one", "two"].map(|mark| {
        let id = server.launch(&format!("trap-int\nbegin\nmark {mark}\nwait-for never"));
        dir.marked(mark);
        let codex = pid_in(&dir.record(&id), "pid");
        assert_eq!(name_of(codex), ODD_NAME);
        id
    });
    kill_supervisor(&dir, &tasks[0]);
    server.ok("codex_cancel", &ids(&[&tasks[1]]));
    let all = [tasks[0].as_str(), &tasks[1]];
    server.wait(&all);
    for id in all {
        gone(&mark_of(id));
    }
    let verdicts = agreed(&dir, &mut [&mut server], &all);
    assert_eq!(verdicts, [Verdict::new("failed", None, true), Verdict::seen("cancelled", 0)]);
}
