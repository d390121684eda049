//! `codex_wait` and `codex_status`: when they answer, and what they tell.

use crate::support::*;
use std::time::{Duration, Instant};

/// The arguments of a wait for these tasks with more members.
fn wait_args(tasks: &[&str], more: &str) -> String {
    format!(r#"{{"task_ids":{},{more}}}"#, list(tasks))
}

#[test]
fn a_wait_of_no_seconds_looks_once_and_kills_nothing() {
    let dir = Dir::new();
    let mut server = dir.server();
    let id = server.launch("begin\nmark on\nwait-for go\nsay unharmed\ndone");
    dir.marked("on");
    let text = server.ok("codex_wait", &wait_args(&[&id], r#""timeout":0"#));
    let part = section(&text, &id);
    assert!(part.contains("STILL RUNNING") && part.contains("NOT killed"), "{part}");
    dir.open("go");
    assert!(server.wait(&[&id]).contains("unharmed"));
    // What is over needs no time.
    let text = server.ok("codex_wait", &wait_args(&[&id], r#""timeout":0"#));
    assert!(section(&text, &id).contains("(completed in "), "{text}");
}

#[test]
fn a_wait_of_one_second_takes_one_second() {
    let dir = Dir::new();
    let mut server = dir.server();
    let id = server.launch("begin\nwait-for go\ndone");
    for timeout in ["1", "1.0"] {
        let begin = Instant::now();
        let text = server.ok("codex_wait", &wait_args(&[&id], &format!(r#""timeout":{timeout}"#)));
        let took = begin.elapsed();
        assert!(section(&text, &id).contains("STILL RUNNING"), "{text}");
        assert!((Duration::from_millis(900)..Duration::from_secs(10)).contains(&took), "{took:?}");
    }
    dir.open("go");
    server.wait(&[&id]);
}

#[test]
fn the_floor_of_waits_is_a_setting() {
    let dir = Dir::new();
    let mut command = dir.command();
    command.args(["--codex", STANDIN]).env("CODEX_SWARM_MIN_WAIT", "1");
    let mut server = Server::spawn(&dir, command);
    server.initialize();
    let id = server.launch("begin\nwait-for go\ndone");
    let begin = Instant::now();
    server.ok("codex_wait", &wait_args(&[&id], r#""timeout":0"#));
    assert!(begin.elapsed() >= Duration::from_millis(900), "{:?}", begin.elapsed());
    dir.open("go");
    server.wait(&[&id]);
}

#[test]
fn a_wait_for_any_answers_at_the_first_end() {
    let dir = Dir::new();
    let mut server = dir.server();
    let quick = server.launch("begin\nwait-for quick\nsay I was first\ndone");
    let slow = server.launch("begin\nwait-for slow\nsay I was second\ndone");
    let wait = server.begin("codex_wait", &wait_args(&[&slow, &quick], r#""until":"any""#));
    server.silent_about(&[wait]);
    dir.open("quick");
    let text = text_of(&server.result(wait));
    assert!(section(&text, &quick).contains("I was first"), "{text}");
    assert!(section(&text, &slow).contains("STILL RUNNING"), "{text}");
    // One is over already.
    let text = server.ok("codex_wait", &wait_args(&[&slow, &quick], r#""until":"any""#));
    assert!(section(&text, &slow).contains("STILL RUNNING"), "{text}");
    let wait = server.begin("codex_wait", &wait_args(&[&slow, &quick], r#""until":"all""#));
    server.silent_about(&[wait]);
    dir.open("slow");
    assert!(text_of(&server.result(wait)).contains("I was second"));
}

#[test]
fn an_unknown_id_says_so_and_does_not_spoil_the_rest() {
    let dir = Dir::new();
    let mut server = dir.server();
    let id = server.launch("begin\nsay known\ndone");
    for unknown in ["deadbeef", "DEADBEEF", "nope", "", "../x", "a b", "deadbeefdeadbeef"] {
        let text = server.wait(&[unknown, &id]);
        assert!(section(&text, &id).contains("known"), "{text}");
        assert!(text.contains(unknown), "{text}");
        let said = text.to_lowercase();
        assert!(
            ["unknown", "no such", "not found", "no task"].iter().any(|w| said.contains(w)),
            "{text}"
        );
        let text = server.ok("codex_status", &ids(&[unknown, &id]));
        assert!(section(&text, &id).contains("(COMPLETED in "), "{text}");
    }
}

#[test]
fn an_id_given_twice_is_told_and_waited_for_all_the_same() {
    let dir = Dir::new();
    let mut server = dir.server();
    let id = server.launch("begin\nsay once\ndone");
    assert!(section(&server.wait(&[&id, &id]), &id).contains("once"));
}

#[test]
fn several_waits_for_one_task_are_all_answered() {
    let dir = Dir::new();
    let mut server = dir.server();
    let id = server.launch("begin\nwait-for go\nsay for all\ndone");
    let waits: Vec<u32> = (0..5).map(|_| server.begin("codex_wait", &ids(&[&id]))).collect();
    server.silent_about(&waits);
    dir.open("go");
    for wait in waits {
        assert!(text_of(&server.result(wait)).contains("for all"));
    }
}

#[test]
fn a_status_shows_what_a_running_task_does() {
    let dir = Dir::new();
    let mut server = dir.server();
    let command = r#"start /bin/bash -lc 'grep -rn \"handleError\" src/'"#;
    let plan = r#"line {"type":"item.started","item":{"id":"p","type":"todo_list","items":[{"text":"a","completed":true},{"text":"b","completed":true},{"text":"c","completed":false},{"text":"d","completed":false},{"text":"e","completed":false}]}}"#;
    let thought = r#"line {"type":"item.completed","item":{"id":"r","type":"reasoning","text":"**Looking** at errors"}}"#;
    let lines = format!(
        "begin\nrun ls\n{thought}\nsay Analyzing error handling\n{plan}\n{command}\nwait-for go\ndone"
    );
    let id = server.launch(&lines);
    let status = until("all of it in the status", || {
        let status = server.status(&id);
        (maybe_field(&status, "Tools called") == Some("2")).then_some(status)
    });
    assert!(status.contains("s elapsed) ==="), "{status}");
    assert_eq!(field(&status, "Phase"), "running");
    let tool = r#"exec_command(grep -rn "handleError" src/)"#;
    assert!(field(&status, "Last tool").starts_with(tool), "{status}");
    assert_eq!(field(&status, "Output"), "Analyzing error handling");
    assert_eq!(thread_id(&status), thread_of(&id));
    assert!(field(&status, "Thinking").contains("Looking"), "{status}");
    assert!(status.lines().any(|l| l.starts_with("Plan") && l.contains("2 of 5")), "{status}");
    until("how long nothing was heard of it", || {
        maybe_field(&server.status(&id), "Quiet").map(drop)
    });
    dir.open("go");
    server.wait(&[&id]);
}

#[test]
fn a_status_of_nothing_in_particular_tells_of_what_runs_and_what_just_ended() {
    let dir = Dir::new();
    let mut server = dir.server();
    assert!(!server.ok("codex_status", "{}").contains("=== Task"));
    let sync = task_id(&server.ok("codex", r#"{"prompt":"x"}"#));
    let failed = server.launch("exit 3");
    server.wait(&[&failed]);
    let runs = server.launch("begin\nwait-for go\ndone");
    let cancelled = server.launch("begin\nwait-for never");
    server.ok("codex_cancel", &ids(&[&cancelled]));
    server.wait(&[&cancelled]);
    let text = server.ok("codex_status", "{}");
    for (id, head) in [
        (&sync, "(COMPLETED in "),
        (&failed, "(FAILED in "),
        (&runs, "s elapsed)"),
        (&cancelled, "(CANCELLED after "),
    ] {
        let first = section(&text, id).lines().next().unwrap();
        assert!(first.contains(head), "{head}: {text}");
    }
    assert!(section(&text, &failed).contains("exit 3)"), "{text}");
    dir.open("go");
    server.wait(&[&runs]);
}

#[test]
fn what_ended_more_than_an_hour_ago_is_told_only_when_asked_for() {
    let dir = Dir::new();
    let mut server = dir.server();
    server.ok("codex", r#"{"prompt":"x"}"#);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for (id, ago, shown) in [("0000000a", 4000, false), ("0000000b", 3000, true)] {
        let end = now - ago;
        let record = format!(
            r#"{{"task_id":"{id}","status":"completed","pid":null,"pid_start_time":null,"command":["codex"],"started_at":{end}.0,"completed_at":{end}.5,"exit_code":0,"thread_id":null}}"#
        );
        plant(&dir, id, &record);
        assert_eq!(server.ok("codex_status", "{}").contains(id), shown, "{ago} s ago");
        assert!(server.status(id).contains("(COMPLETED in "));
    }
}
