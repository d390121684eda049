//! Whoever of a task's processes dies, by whatever cause: what must end ends, what must go on goes on,
//! and the verdict says what happened.

use crate::harm::*;
use crate::json::Value;
use crate::real::Real;
use crate::support::*;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A codex that leaves processes behind: in its own session, in one of its own, and one that holds its
/// stdout open.
const LEAVES: &str = "leave-sleeper\nleave-sleeper setsid\nhold-stdout never";

/// What is told of a task whose supervisor was killed.
const KILLED: &str = "its supervisor was killed, or could not write to ";

/// Waits until a task's transcript has these words.
fn until_said(dir: &Dir, id: &str, words: &str) {
    until(words, || {
        let said = fs::read(dir.task_file(id, "stdout")).ok()?;
        String::from_utf8_lossy(&said).contains(words).then_some(())
    });
}

/// Kills the supervisors of a task that yields and of one that does not, which both have left processes
/// behind, as soon as `watch` has somebody who will look after them; `look` makes that one look. Gives
/// how long the first one's processes were there.
fn supervisors_die<W>(
    dir: &Dir,
    tasks: [&str; 2],
    watch: impl FnOnce() -> W,
    look: impl FnOnce(W),
) -> Duration {
    for id in tasks {
        until("codex and what it left", || (processes_with(&mark_of(id)).len() >= 5).then_some(()));
    }
    let watcher = watch();
    let begin = Instant::now();
    for id in tasks {
        kill_supervisor(dir, id);
    }
    look(watcher);
    gone(&mark_of(tasks[0]));
    begin.elapsed()
}

/// A task that yields to SIGINT, and one that does not.
fn yielding_and_stubborn(server: &mut Server<'_>) -> [String; 2] {
    ["", "trap-int\n"]
        .map(|trap| server.launch(&format!("{trap}begin\nsay half\n{LEAVES}\nwait-for never")))
}

#[test]
fn with_its_supervisor_codex_ends_and_all_its_descendants_and_the_verdict_says_why() {
    let dir = Dir::new();
    let mut took = Vec::new();
    let mut all = Vec::new();
    for who in ["its server", "another server", "a terminal", "a later server"] {
        let mut server = dir.server();
        let tasks = yielding_and_stubborn(&mut server);
        let names = [tasks[0].as_str(), tasks[1].as_str()];
        took.push(match who {
            "its server" => supervisors_die(&dir, names, || (), |()| ()),
            "another server" => {
                let watch = || {
                    server.crash();
                    let mut other = dir.server();
                    let wait = other.begin("codex_wait", &ids(&names));
                    other.silent_about(&[wait]);
                    (other, wait)
                };
                supervisors_die(&dir, names, watch, |(mut other, wait)| {
                    assert_eq!(text_of(&other.result(wait)).matches("(failed in ").count(), 2);
                })
            }
            "a terminal" => {
                let watch = || {
                    server.crash();
                    let terminal = Terminal::begin(&dir, &names);
                    until("its wait", || held_by(terminal.pid()).first().copied());
                    terminal
                };
                supervisors_die(&dir, names, watch, |terminal| {
                    assert_eq!(terminal.end().0, Some(1));
                })
            }
            _ => {
                server.crash();
                supervisors_die(
                    &dir,
                    names,
                    || dir.server(),
                    |mut later| {
                        let status = later.ok("codex_status", &ids(&names));
                        // it may still be ending, and then that is told
                        assert!(!status.contains("(COMPLETED"), "{status}");
                        later.wait(&names);
                    },
                )
            }
        });
        all.extend(tasks);
    }
    // Two seconds at most, and what a busy machine adds to each of them.
    assert!(took.iter().min() < Some(&Duration::from_secs(4)), "{took:?}");
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let (mut one, mut two) = (dir.server(), dir.server());
    for verdict in agreed(&dir, &mut [&mut one, &mut two], &all) {
        assert_eq!(verdict, Verdict::new("failed", None, true));
    }
    let text = one.wait(&all);
    for id in all {
        let part = section(&text, id);
        assert!(field(part, "Cause").starts_with(KILLED), "{part}");
        assert!(field(part, "Category").starts_with("process_crash "), "{part}");
        gone(&mark_of(id));
    }
}

#[test]
fn without_its_supervisor_a_task_is_judged_by_its_last_word() {
    let dir = Dir::new();
    let mut server = dir.server();
    let ends = [
        ("begin\nsay half", "half", "failed", KILLED),
        ("begin\nsay all\ndone", "turn.completed", "completed", ""),
        ("begin\nfail the model went away", "turn.failed", "failed", "the model went away"),
        ("stderr nothing yet", "", "failed", KILLED),
        ("begin\nsay x\ndone\nfail both", "turn.failed", "failed", "both"),
    ];
    let tasks: Vec<String> = (0..ends.len())
        .map(|n| server.launch(&format!("{}\nmark on{n}\nwait-for never", ends[n].0)))
        .collect();
    all_marked(&dir, (0..ends.len()).map(|n| format!("on{n}")));
    for (id, (_, last, ..)) in tasks.iter().zip(&ends) {
        // What is still in the pipe would go with the supervisor.
        until_said(&dir, id, last);
        kill_supervisor(&dir, id);
    }
    let all: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let text = server.wait(&all);
    let verdicts = agreed(&dir, &mut [&mut server, &mut dir.server()], &all);
    for ((id, verdict), (_, _, status, cause)) in all.iter().zip(verdicts).zip(&ends) {
        assert_eq!(verdict, Verdict::new(status, None, true));
        let part = section(&text, id);
        assert_eq!(maybe_field(part, "Cause").is_some(), *status == "failed", "{part}");
        assert!(maybe_field(part, "Cause").unwrap_or("").starts_with(cause), "{part}");
        gone(&mark_of(id));
    }
    assert!(section(&text, all[0]).ends_with("\nhalf\n"), "{text}");
    assert!(section(&text, all[1]).trim_end().ends_with("\nall"), "{text}");
}

#[test]
fn a_task_whose_supervisor_dies_in_the_queue_has_failed_and_nobody_is_blamed_for_it() {
    let dir = Dir::new();
    let mut server = dir.server_with(&["--max-parallel", "1"]);
    let first = server.launch("begin\nmark on\nwait-for go\nsay x\ndone");
    dir.marked("on");
    let queued = server.launch("mark never");
    kill_supervisor(&dir, &queued);
    let text = server.wait(&[&queued]);
    assert_eq!(Verdict::told(&text, &queued), Verdict::new("failed", None, true));
    assert!(field(&text, "Cause").starts_with(KILLED), "{text}");
    // There is nothing wrong with what was asked for.
    let category = field(&text, "Category");
    assert!(category.starts_with("process_crash "), "{text}");
    dir.open("go");
    agreed(&dir, &mut [&mut server], &[&first, &queued]);
    assert_eq!(Verdict::recorded(&dir, &first).status, "completed");
    assert!(!dir.path("out/never").exists());
}

#[test]
fn a_killed_codex_is_told_with_its_signal_and_nothing_of_it_lives_on() {
    let dir = Dir::new();
    let mut server = dir.server();
    let deaths = [
        ("KILL", "say half", Verdict::seen("failed", -9)),
        ("SEGV", "say half", Verdict::seen("failed", -11)),
        ("TERM", "say half", Verdict::seen("failed", -15)),
        ("KILL", "say all\ndone", Verdict::seen("completed", -9)),
        ("KILL", "fail it could not", Verdict::seen("failed", -9)),
    ];
    let tasks: Vec<String> = (0..deaths.len())
        .map(|n| {
            let lines = format!("begin\n{}\n{LEAVES}\nmark on{n}\nwait-for never", deaths[n].1);
            server.launch(&lines)
        })
        .collect();
    let sync = server.begin("codex", &script("begin\nmark sync\nwait-for never"));
    all_marked(&dir, (0..deaths.len()).map(|n| format!("on{n}")));
    for (id, (name, ..)) in tasks.iter().zip(&deaths) {
        signal(name, &[pid_in(&dir.record(id), "pid")]);
    }
    let all: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let text = server.wait(&all);
    for id in &all {
        gone(&mark_of(id));
    }
    let verdicts = agreed(&dir, &mut [&mut server, &mut dir.server()], &all);
    for (verdict, (.., expected)) in verdicts.iter().zip(&deaths) {
        assert_eq!(verdict, expected);
    }
    assert_eq!(field(section(&text, all[4]), "Cause"), "it could not");
    dir.marked("sync");
    let id = running_task(&mut server);
    signal("KILL", &[pid_in(&dir.record(&id), "pid")]);
    let result = server.result(sync);
    assert!(is_error(&result) && text_of(&result).contains("exit -9"), "{}", text_of(&result));
}

#[test]
fn a_killed_real_codex_takes_its_commands_along_and_its_thread_goes_on() {
    let Some(real) = Real::new() else { return };
    let dir = &real.dir;
    let gate = Gate::shut(dir, "gate");
    let mut server = real.server();
    let command = format!("setsid {0} & {0}", gate.pass());
    let script = format!("run: {command}\nsay: never");
    let sandboxes = ["read-only", "danger-full-access"];
    let calls: Vec<u32> = [0, 1, 0, 1]
        .iter()
        .map(|n| format!(r#""sandbox":"{}""#, sandboxes[*n]))
        .map(|more| server.begin("codex_async", &prompt_and(&script, &more)))
        .collect();
    let tasks: Vec<String> =
        calls.into_iter().map(|call| task_id(&text_of(&server.result(call)))).collect();
    for (n, id) in tasks.iter().enumerate() {
        until("both commands", || {
            let commands = processes_with(&mark_of(id));
            (commands.iter().filter(|line| line.contains(" flock -s ")).count() >= 2).then_some(())
        });
        // what the supervisor started may itself only have started Codex
        let own = pid_in(&dir.record(id), "pid");
        let inner = pids_where(|fields| fields.get(1) == Some(&own.to_string()));
        let victim = inner.first().copied().filter(|_| n < 2).unwrap_or(own);
        signal("KILL", &[victim]);
    }
    let all: Vec<&str> = tasks.iter().map(String::as_str).collect();
    server.wait(&all);
    for id in &all {
        gone(&mark_of(id));
    }
    for verdict in agreed(dir, &mut [&mut server], &all) {
        assert_eq!(verdict, Verdict::seen("failed", -9));
    }
    let thread = thread_id(&server.status(all[0])).to_owned();
    let args = prompt_and("say: back", &format!(r#""threadId":"{thread}""#));
    assert_eq!(answer(&server.ok("codex_reply", &args)), "back");
}

/// A client that holds each end of its pipes itself, and whose server has a process group of its own.
struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<BufReader<ChildStdout>>,
}

impl Client {
    /// Starts a server, past its handshake.
    fn start(mut command: Command) -> Client {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("the server starts");
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().map(BufReader::new));
        let mut client = Client { child, stdin, stdout };
        let params = r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"it","version":"0"}}"#;
        client.send(&format!("{}\n", request(1, "initialize", params)));
        client.reply(1);
        client
    }

    /// Writes a text as it is.
    fn send(&mut self, text: &str) {
        self.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// The next line, which must answer this request.
    fn reply(&mut self, id: u64) -> Value<'static> {
        let mut line = String::new();
        self.stdout.as_mut().unwrap().read_line(&mut line).unwrap();
        let reply = read_json(&line);
        assert_eq!(reply.at("id").as_u64(), Some(id), "{line}");
        reply
    }

    /// The processes of its server's group.
    fn group(&self) -> Vec<u32> {
        let group = self.child.id().to_string();
        pids_where(|fields| fields.get(2) == Some(&group))
    }

    /// Leaves its server in one of the ways there are; half of a request may still come before.
    fn leave(&mut self, how: &str, half: &str) {
        match how {
            "half a request" => {
                self.send(half);
                self.stdin = None;
            }
            "deaf" => self.stdout = None,
            "group killed" => signal("KILL", &self.group()),
            "group interrupted" => signal("INT", &self.group()),
            name => signal(name, &[self.child.id()]),
        }
    }

    /// Waits for the end of its server.
    fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        until("the server's end", || child.try_wait().unwrap())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // after a failure it may be there still
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A request as it is written.
fn request(id: u64, method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
}

/// A tool call as it is written.
fn call(id: u64, tool: &str, args: &str) -> String {
    request(id, "tools/call", &format!(r#"{{"name":"{tool}","arguments":{args}}}"#))
}

/// Starts a task that somebody waits for and one in the background, lets the client leave in this way,
/// and checks how the server ends. Both tasks say `said` when they run; gives their ids.
fn client_leaves(
    dir: &Dir,
    command: Command,
    [sync, background]: [&str; 2],
    said: &str,
    how: &str,
) -> [String; 2] {
    let before = known(dir);
    let mut client = Client::start(command);
    client.send(&format!("{}\n", call(2, "codex", sync)));
    let new = || known(dir).difference(&before).next().cloned();
    let waited_for = until("the record of the call's task", new);
    client.send(&format!("{}\n", call(3, "codex_async", background)));
    let goes_on = task_id(&text_of(client.reply(3).at("result")));
    for id in [&waited_for, &goes_on] {
        until_said(dir, id, said);
    }
    let tasks = known(dir);
    let whole = call(4, "codex_async", &script("mark never"));
    // The server ends at once: it cannot have waited for one who does nothing meanwhile.
    let supervisor = pid_in(&dir.record(&waited_for), "supervisor_pid");
    signal("STOP", &[supervisor]);
    client.leave(how, &whole[..whole.len() / 2]);
    let status = client.ended();
    assert!(!processes_with(&mark_of(&waited_for)).is_empty());
    signal("CONT", &[supervisor]);
    let killed = how == "group killed";
    assert_eq!(
        (status.code(), status.signal()),
        if killed { (None, Some(9)) } else { (Some(0), None) }
    );
    if how == "half a request" {
        let mut last = String::new();
        client.stdout.as_mut().unwrap().read_line(&mut last).unwrap();
        assert_eq!(code(&read_json(&last)), -32700, "{last}");
    }
    assert_eq!(known(dir), tasks, "{how}");
    [waited_for, goes_on]
}

/// What is left of the tasks of clients that have left: nothing of those that somebody waited for; the
/// others complete.
fn only_the_background_goes_on(dir: &Dir, mut next: Server<'_>, tasks: &[[String; 2]], gate: Gate) {
    for [waited_for, goes_on] in tasks {
        gone(&mark_of(waited_for));
        assert_eq!(field(&next.status(goes_on), "Phase"), "running");
    }
    gate.open();
    let all: Vec<&str> = tasks.iter().flatten().map(String::as_str).collect();
    next.wait(&all);
    let verdicts = agreed(dir, &mut [&mut next], &all);
    for pair in verdicts.chunks(2) {
        assert_eq!(pair, [Verdict::seen("cancelled", 0), Verdict::seen("completed", 0)]);
    }
}

#[test]
fn however_a_client_leaves_its_server_ends_at_once_and_only_tasks_in_the_background_go_on() {
    let dir = Dir::new();
    let gate = Gate::shut(&dir, "gate");
    let sync = script("leave-sleeper setsid\nbegin\nwait-for never");
    let background = script(&format!("begin\n{}\ndone", gate.wait()));
    let ways = ["half a request", "deaf", "HUP", "TERM", "group interrupted", "group killed"];
    let tasks = ways.map(|how| {
        let mut command = dir.command();
        command.args(["--codex", STANDIN]);
        client_leaves(&dir, command, [&sync, &background], "turn.started", how)
    });
    only_the_background_goes_on(&dir, dir.server(), &tasks, gate);
    assert!(!dir.path("out/never").exists());
}

#[test]
fn however_a_client_leaves_its_server_only_real_tasks_in_the_background_go_on() {
    let Some(real) = Real::new() else { return };
    let dir = &real.dir;
    let gate = Gate::shut(dir, "gate");
    let sync = prompt_and(&format!("run: setsid {0} & {0}\nsay: never", gate.pass()), "");
    let background = prompt_and(&format!("run: {}\nsay: made it", gate.pass()), "");
    let tasks = ["half a request", "deaf", "TERM", "group killed"].map(|how| {
        let mut command = dir.command();
        command
            .env("CODEX_HOME", dir.path("codex-home"))
            .args(["--skip-git-repo-check", "--codex"])
            .arg(&real.codex);
        client_leaves(dir, command, [&sync, &background], "command_execution", how)
    });
    only_the_background_goes_on(dir, real.server(), &tasks, gate);
}

#[test]
fn what_a_client_asked_for_last_is_done_though_nobody_hears_of_it() {
    let dir = Dir::new();
    for (end, deaf) in [("\n", true), ("", false)] {
        let before = known(&dir);
        let mut command = dir.command();
        command.args(["--codex", STANDIN]);
        let mut client = Client::start(command);
        client.send(&(call(2, "codex_async", &script("begin\nsay made it\ndone")) + end));
        if deaf {
            client.stdout = None;
        }
        client.stdin = None;
        assert_eq!(client.ended().code(), Some(0));
        let id = known(&dir).difference(&before).next().cloned().expect("a task");
        assert!(dir.server().wait(&[&id]).contains("(completed in "));
        assert_eq!(Verdict::recorded(&dir, &id), Verdict::seen("completed", 0));
    }
}

#[test]
fn a_verdict_that_was_given_blindly_gives_way_to_the_record() {
    let dir = Dir::new();
    let mut server = dir.server();
    let ends = [("one", "say made it\ndone"), ("two", "say half\nkill-supervisor\nwait-for never")];
    let tasks =
        ends.map(|(mark, end)| server.launch(&format!("begin\nmark {mark}\nwait-for go\n{end}")));
    all_marked(&dir, ["one".to_owned(), "two".to_owned()]);
    let both = [tasks[0].as_str(), &tasks[1]];
    let wait = server.begin("codex_wait", &ids(&both));
    server.silent_about(&[wait]);
    // The server sleeps while its tasks come to their ends, and wakes up without a task directory.
    signal("STOP", &[server.pid()]);
    dir.open("go");
    until_alone(&dir, &[server.pid()]);
    fs::rename(dir.path("tasks"), dir.path("away")).unwrap();
    signal("CONT", &[server.pid()]);
    assert!(!text_of(&server.result(wait)).contains("STILL RUNNING"));
    fs::rename(dir.path("away"), dir.path("tasks")).unwrap();
    let verdicts = agreed(&dir, &mut [&mut server, &mut dir.server()], &both);
    assert_eq!(verdicts, [Verdict::seen("completed", 0), Verdict::new("failed", None, true)]);
    let text = server.wait(&both);
    assert!(section(&text, both[0]).trim_end().ends_with("\nmade it"), "{text}");
    assert!(section(&text, both[1]).trim_end().ends_with("\nhalf"), "{text}");
}
