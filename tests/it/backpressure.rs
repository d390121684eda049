//! A client that asks for much and reads nothing: it costs little memory and no task, and it gets all
//! that it is owed once it reads.

use crate::many::*;
use crate::support::*;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

/// A client that reads only when it is told to.
struct Deaf {
    server: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Deaf {
    /// Starts a server, and says hello.
    fn new(dir: &Dir) -> Deaf {
        let mut command = dir.command();
        command.args(["--codex", STANDIN]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut server = command.spawn().unwrap();
        let (stdin, stdout) = (server.stdin.take().unwrap(), server.stdout.take().unwrap());
        let mut client = Deaf { server, stdin, stdout: BufReader::new(stdout) };
        client.ask(0, "initialize", r#"{"protocolVersion":"2025-11-25"}"#);
        client.read();
        client
    }

    /// Sends a request.
    fn ask(&mut self, id: u32, method: &str, params: &str) {
        let line =
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#);
        writeln!(self.stdin, "{line}").unwrap();
    }

    /// Begins a tool call.
    fn call(&mut self, id: u32, tool: &str, args: &str) {
        self.ask(id, "tools/call", &format!(r#"{{"name":"{tool}","arguments":{args}}}"#));
    }

    /// The next line.
    fn read(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "cut off: {}", abridged(&line));
        line
    }

    /// The id of an answer, and what stands behind it.
    fn answer(&mut self) -> (u32, String) {
        let line = self.read();
        let rest = line.strip_prefix(r#"{"jsonrpc":"2.0","id":"#).unwrap();
        let (id, rest) = rest.split_once(',').unwrap();
        (id.parse().unwrap(), rest.to_owned())
    }

    /// Waits until the server has stood still for a moment: it has done all that it can.
    fn settled(&self) {
        let mut seen = (Duration::ZERO, Instant::now());
        at_last("a server that stands still", || {
            let now = worked(self.server.id());
            if now != seen.0 || !sleeps(self.server.id()) {
                seen = (now, Instant::now());
            }
            (seen.1.elapsed() > Duration::from_millis(300)).then_some(())
        });
    }

    /// Hangs up, and gives the server's exit status.
    fn end(self) -> Option<i32> {
        let Deaf { mut server, stdin, stdout } = self;
        drop(stdin);
        let status = at_last("its end", || server.try_wait().unwrap());
        drop(stdout);
        status.code()
    }
}

/// A task whose transcript is longer than one answer may be: the request to read that, and the answer.
fn long_answer(client: &mut Deaf) -> (String, String) {
    client.call(1, "codex", &script("begin\nflood 4500\nsay x\ndone"));
    let id = task_id(&text_in(&client.answer().1));
    let request = format!(r#"{{"uri":"codex-swarm:///tasks/{id}/events"}}"#);
    client.ask(2, "resources/read", &request);
    let (_, whole) = client.answer();
    assert!(whole.len() > 1 << 20, "{} bytes", whole.len());
    (request, whole)
}

/// The text of a tool's result, as it stands behind the id.
fn text_in(answer: &str) -> String {
    text_of(read_json(&format!("{{{answer}")).at("result"))
}

/// The task whose answer somebody waits for; there is one.
fn attached(dir: &Dir) -> String {
    let attached = |(id, record): (String, String)| {
        (record.contains(r#""attached":true"#) && record.contains(r#""running""#)).then_some(id)
    };
    let mut all: Vec<String> = records(dir).into_iter().filter_map(attached).collect();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[test]
fn a_client_that_does_not_read_is_owed_a_hundred_megabytes_and_harms_nobody() {
    /// So many times the longest answer there is.
    const MANY: u32 = 110;
    let dir = Dir::new();
    let mut client = Deaf::new(&dir);
    let (request, whole) = long_answer(&mut client);
    let lines = "begin\nflood 2000\nmark on@\nwait-for go\nflood 2000\nsay unharmed\ndone";
    client.call(3, "codex_async", &script(&lines.replace('@', "1")));
    let apart = task_id(&text_in(&client.answer().1));
    client.call(4, "codex", &script(&lines.replace('@', "2")));
    client.call(5, "codex_wait", &ids(&[&apart]));
    dir.marked("on1");
    dir.marked("on2");
    let waited_for = attached(&dir);

    // From here on nothing is read.
    for id in 0..MANY {
        client.ask(100 + id, "resources/read", &request);
    }
    client.settled();
    dir.open("go");
    for id in [&apart, &waited_for] {
        at_last("its end", || (dir.record(id).str_at("status") == "completed").then_some(()));
    }
    client.settled();
    let pid = client.server.id();
    let peak = kilobytes(pid, "VmHWM");
    assert!(peak < 64_000, "{peak} kB while {MANY} times {} bytes are owed", whole.len());

    // And now all is.
    let (mut next, mut calls) = (100, Vec::new());
    for _ in 0..MANY + 2 {
        let (id, rest) = client.answer();
        if id >= 100 {
            assert_eq!(id, next, "in order");
            assert!(rest == whole, "the answer to {id} is another one");
            next += 1;
        } else {
            assert!(rest.contains("unharmed"), "{}", abridged(&rest));
            calls.push(id);
        }
    }
    calls.sort_unstable();
    assert_eq!(calls, [4, 5]);
    client.ask(6, "ping", "{}");
    assert_eq!(client.answer(), (6, "\"result\":{}}\n".to_owned()));
    let peak = kilobytes(pid, "VmHWM");
    assert!(peak < 64_000, "{peak} kB");
    at_last("what it took is given back", || (kilobytes(pid, "RssAnon") < 10_000).then_some(()));
    assert_eq!(client.end(), Some(0));
    eprintln!("{peak} kB at most");
}

#[test]
fn a_client_that_hangs_up_and_then_reads_gets_all_that_it_is_owed() {
    const MANY: u32 = 30;
    let dir = Dir::new();
    let mut client = Deaf::new(&dir);
    let (request, whole) = long_answer(&mut client);
    for id in 0..MANY {
        client.ask(100 + id, "resources/read", &request);
    }
    let Deaf { mut server, stdin, stdout } = client;
    drop(stdin);
    let mut lines = stdout.lines();
    for id in 0..MANY {
        let line = lines.next().unwrap().unwrap();
        let wanted = format!(r#"{{"jsonrpc":"2.0","id":{},"#, 100 + id);
        assert!(line.strip_prefix(&wanted) == Some(whole.trim_end()), "{}", abridged(&line));
    }
    assert!(lines.next().is_none());
    assert_eq!(at_last("its end", || server.try_wait().unwrap()).code(), Some(0));
}

#[test]
fn a_client_that_hangs_up_and_never_reads_ends_the_server_and_its_sync_task_but_no_other() {
    let dir = Dir::new();
    let mut client = Deaf::new(&dir);
    let (request, _) = long_answer(&mut client);
    client.call(3, "codex_async", &script("begin\nmark on1\nwait-for go\nsay x\ndone"));
    let apart = task_id(&text_in(&client.answer().1));
    client.call(4, "codex", &script("begin\nmark on2\nwait-for never"));
    dir.marked("on1");
    dir.marked("on2");
    let waited_for = attached(&dir);
    for id in 0..30 {
        client.ask(100 + id, "resources/read", &request);
    }
    client.settled();
    let Deaf { mut server, stdin, stdout } = client;
    drop(stdin);
    assert_eq!(at_last("its end", || server.try_wait().unwrap()).code(), Some(0));
    at_last("its end", || (dir.record(&waited_for).str_at("status") == "cancelled").then_some(()));
    gone(&mark_of(&waited_for));
    dir.open("go");
    assert!(dir.server().wait(&[&apart]).contains("(completed in "));
    drop(stdout);
}
