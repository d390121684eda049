//! One task directory for several servers and a terminal: all of them tell the same of every task.

use crate::json::{self, Value};
use crate::many::*;
use crate::support::*;
use std::collections::HashMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// How a task ends, what is said of it then, and its exit status.
const ENDS: [(&str, &str, i64); 5] = [
    ("done", "completed", 0),
    ("fail", "failed", 1),
    ("7", "failed", 7),
    ("kill", "failed", -9),
    ("stay", "cancelled", -2),
];

/// How task number `n` ends.
fn end_of(n: usize) -> (&'static str, &'static str, i64) {
    ENDS[n % ENDS.len()]
}

/// Waits for tasks at a terminal.
fn wait_at_terminal(dir: &Dir, tasks: &[&str]) -> Child {
    let mut command: Command = dir.command();
    command.arg("wait").args(tasks).stdin(Stdio::null()).stdout(Stdio::piped());
    command.spawn().unwrap()
}

/// What it printed, and its exit status.
fn told_at_terminal(child: Child) -> (String, Option<i32>) {
    let output = child.wait_with_output().unwrap();
    (String::from_utf8(output.stdout).unwrap(), output.status.code())
}

/// How far a status is; none may go back.
fn stage(status: &str) -> usize {
    ["", "queued", "preparing", "running"].iter().position(|name| *name == status).unwrap_or(4)
}

/// Reads all records over and over until it is told to stop; each must be whole and say no less than
/// before. Gives how many were read.
fn read_all_the_time(dir: &Dir, stop: &AtomicBool) -> usize {
    let mut seen: HashMap<String, String> = HashMap::new();
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        for (id, text) in records(dir) {
            let record = json::parse(text.as_bytes());
            let record = record.unwrap_or_else(|e| panic!("{id}: {e} in {}", abridged(&text)));
            let string = |key| record.get(key).and_then(Value::as_str).unwrap_or_default();
            assert_eq!(string("task_id"), id);
            let now = string("status");
            let before = seen.insert(id, now.to_owned()).unwrap_or_default();
            assert!(stage(&before) < stage(now) || before == now, "{now} after {before}");
            count += 1;
        }
    }
    count
}

/// Reads all records until this is dropped.
struct Reading<'a>(&'a AtomicBool);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The words that a result has in a task's first line.
fn head_of(verdict: &str) -> String {
    if verdict == "cancelled" { "(cancelled after ".into() } else { format!("({verdict} in ") }
}

/// Those of the tasks that end like this.
fn ending<'t>(tasks: &[&'t str], end: &str) -> Vec<&'t str> {
    (0..tasks.len()).filter(|n| end_of(*n).0 == end).map(|n| tasks[n]).collect()
}

/// Starts the tasks at two servers at once; they wait at the gate.
fn start_by_both(servers: &mut [Server<'_>; 2], count: usize) -> Vec<String> {
    let calls: Vec<u32> = (0..count)
        .map(|n| {
            let (end, ..) = end_of(n);
            let errand = errand(&format!("number-{n}"), 3, "gate", end);
            servers[n % 2].begin("codex_async", &errand)
        })
        .collect();
    let each = calls.iter().enumerate();
    each.map(|(n, call)| task_id(&text_of(&servers[n % 2].result(*call)))).collect()
}

/// Has every task waited for by the server that did not start it, and by a terminal; then they may
/// end, and those that would stay are cancelled by the other server. Gives what the waits told.
fn end_all(dir: &Dir, servers: &mut [Server<'_>; 2], tasks: &[&str], gate: Gate) -> [String; 3] {
    let of = |server: usize| -> Vec<&str> {
        (0..tasks.len()).filter(|n| n % 2 == server).map(|n| tasks[n]).collect()
    };
    let terminal = wait_at_terminal(dir, tasks);
    let waits = [0, 1].map(|n| servers[n].begin("codex_wait", &ids(&of(1 - n))));
    for (server, wait) in servers.iter_mut().zip(waits) {
        server.silent_about(&[wait]);
    }
    drop(gate);
    let stuck = ending(tasks, "stay");
    for id in &stuck {
        let said = || fs::read_to_string(dir.task_file(id, "stdout")).unwrap();
        until("its words", || said().contains("this is").then_some(()));
    }
    for (n, server) in servers.iter_mut().enumerate() {
        let theirs: Vec<&str> = stuck.iter().copied().filter(|id| !of(n).contains(id)).collect();
        server.ok("codex_cancel", &ids(&theirs));
    }
    let [one, two] = [0, 1].map(|n| text_of(&servers[n].result(waits[n])));
    let (printed, exit) = told_at_terminal(terminal);
    assert_eq!(exit, Some(1), "not all of them completed");
    [two, one, printed]
}

#[test]
fn two_servers_and_a_terminal_tell_the_same_of_two_hundred_tasks_and_read_no_broken_record() {
    let dir = Dir::new();
    let mut servers = [swift_server(&dir, &[]), swift_server(&dir, &[])];
    let (gate, never) = (Gate::new(&dir, "gate"), Gate::new(&dir, "never"));
    let stop = AtomicBool::new(false);
    let (tasks, waited, count) = thread::scope(|scope| {
        let reader = scope.spawn(|| read_all_the_time(&dir, &stop));
        let reading = Reading(&stop);
        let tasks = start_by_both(&mut servers, 200);
        let all: Vec<&str> = tasks.iter().map(String::as_str).collect();
        let waited = end_all(&dir, &mut servers, &all, gate);
        drop(reading);
        (tasks, waited, reader.join().unwrap())
    });
    assert!(count > 1000, "only {count} records were read");
    let tasks: Vec<&str> = tasks.iter().map(String::as_str).collect();

    // Now and whoever is asked, it is the same to the letter.
    let [one, two] = &mut servers;
    let told = one.wait(&tasks);
    assert_eq!(told, two.wait(&tasks));
    assert_eq!(told, waited[2]);
    let status = one.ok("codex_status", &ids(&tasks));
    assert_eq!(status, two.ok("codex_status", &ids(&tasks)));
    for (n, id) in tasks.iter().enumerate() {
        let ((end, verdict, exit), part) = (end_of(n), section(&told, id));
        assert!(part.contains(&head_of(verdict)), "{n} {end}: {part}");
        assert!(part.contains(&format!("this is number-{n}\n")), "{n} {end}: {part}");
        let first = |text: &str| section(text, id).lines().next().map(str::to_owned);
        assert_eq!(first(&waited[n % 2]), first(&told));
        assert!(section(&status, id).contains(&format!("({} ", verdict.to_uppercase())), "{n}");
        let record = dir.record(id);
        assert_eq!(record.str_at("status"), verdict);
        assert_eq!(record.at("exit_code").as_i64(), Some(exit), "{n} {end}");
        assert!(record.find("inferred").is_none(), "{n} {end}");
    }
    let (_, exit) = told_at_terminal(wait_at_terminal(&dir, &ending(&tasks, "done")));
    assert_eq!(exit, Some(0));
    drop(never);
    no_interim_files(&dir);
}

/// Whoever replaced a record has left nothing else behind.
fn no_interim_files(dir: &Dir) {
    let names = fs::read_dir(dir.path("tasks")).unwrap().flatten();
    let names = names.map(|entry| entry.file_name().into_string().unwrap());
    let left: Vec<String> = names.filter(|name| name.starts_with('.')).collect();
    assert!(left.iter().all(|name| name == ".running" || name == ".swept"), "{left:?}");
}

#[test]
fn a_server_that_waits_for_more_tasks_of_another_than_it_has_descriptors_waits_for_all_of_them() {
    let dir = Dir::new();
    let mut one = swift_server(&dir, &[]);
    let gate = Gate::new(&dir, "gate");
    let mut command = dir.command();
    command.arg("--codex").arg(swift(&dir));
    let mut two = Server::spawn(&dir, limited(&command, "ulimit -n 40"));
    two.initialize();
    let ask = |n: u32| errand(&format!("number-{n}"), 1, "gate", "done");
    let tasks: Vec<String> = (0..60).map(|n| one.launch_with(&ask(n))).collect();
    let all: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let wait = two.begin("codex_wait", &ids(&all));
    two.silent_about(&[wait]);
    // It can still do everything else.
    let late = one.launch_with(&ask(60));
    let status = two.call("codex_status", &ids(&[&late]));
    assert!(text_of(&status).contains(" elapsed) ==="), "{}", text_of(&status));
    let own = two.launch_with(&errand("own", 1, "-", "done"));
    assert!(two.wait(&[&own]).contains("this is own"));
    drop(gate);
    let told = text_of(&two.result(wait));
    for id in &all {
        assert!(section(&told, id).contains("(completed in "), "{told}");
    }
    one.wait(&[&late]);
}
