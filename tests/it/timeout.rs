//! `--task-timeout`: a task that runs longer has failed, and is told with what it had said.

use crate::many::*;
use crate::support::*;
use std::time::{Duration, Instant};

/// What is said of a task that ran for too long, in a result or a status.
fn told_as_overdue(text: &str, seconds: u32) {
    let cause = format!("it ran for longer than --task-timeout allows, {seconds} s");
    assert_eq!(field(text, "Cause"), cause, "{text}");
    assert_eq!(field(text, "Category"), "timeout (retryable: unknown)", "{text}");
    assert!(field(text, "What to do").contains("codex_reply"), "{text}");
}

#[test]
fn a_task_that_runs_too_long_has_failed_and_is_told_with_what_it_had_said() {
    let dir = Dir::new();
    let mut server = dir.server_with(&["--task-timeout", "2"]);
    let lines = "begin\nrun make\nsay half of it\nleave-sleeper setsid\nwait-for never";
    let begin = Instant::now();
    let id = server.launch(lines);
    let sync = server.begin("codex", &script(lines));
    let told = server.wait(&[&id]);
    let took = begin.elapsed();
    assert!((Duration::from_secs(2)..Duration::from_secs(15)).contains(&took), "{took:?}");
    let part = section(&told, &id);
    assert!(part.contains("(failed in ") && part.contains("\nhalf of it\n"), "{part}");
    assert_eq!(thread_id(part), thread_of(&id));
    told_as_overdue(part, 2);
    let status = server.status(&id);
    assert!(status.contains("(FAILED in "), "{status}");
    assert_eq!(field(&status, "Tools called"), "1");
    told_as_overdue(&status, 2);
    let record = dir.record(&id);
    assert_eq!(record.str_at("status"), "failed");
    assert_eq!(record.at("timed_out").as_bool(), Some(true));
    let result = server.result(sync);
    let text = text_of(&result);
    assert!(is_error(&result) && text.contains("half of it"), "{text}");
    told_as_overdue(&text, 2);
    gone(&mark_of(&id));
    gone(&mark_of(&task_id(&text)));

    // Its thread can be continued, and that has a time of its own.
    let reply = format!(r#""threadId":"{}""#, thread_of(&id));
    let text = server.ok("codex_reply", &script_and("begin\nsay the rest\ndone", &reply));
    assert_eq!(answer(&text), "the rest");
    // Another server tells the same.
    told_as_overdue(&dir.server().wait(&[&id]), 2);
}

#[test]
fn programs_are_told_of_a_timeout_too() {
    let dir = Dir::new();
    let mut server = dir.server_with(&["--task-timeout=2", "--structured"]);
    let result = server.call("codex", &script("begin\nsay so far\nwait-for never"));
    let task = result.at("structuredContent");
    assert_eq!(task.str_at("status"), "failed");
    assert_eq!(task.str_at("failure.category"), "timeout");
    assert_eq!(task.str_at("content"), "so far");
}

#[test]
fn a_codex_that_is_stubborn_is_killed_and_one_that_ends_in_time_is_not_touched() {
    let dir = Dir::new();
    let mut server = dir.server_with(&["--task-timeout", "2"]);
    let begin = Instant::now();
    let stubborn = server.launch("trap-int\nbegin\nleave-sleeper setsid\nsay x\nwait-for never");
    let quick = server.launch("begin\nsay in time\ndone\nexit 0");
    let silent = server.launch("wait-for never");
    let told = server.wait(&[&stubborn, &quick, &silent]);
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    for id in [&stubborn, &silent] {
        told_as_overdue(section(&told, id), 2);
        gone(&mark_of(id));
    }
    assert_eq!(dir.record(&stubborn).at("exit_code").as_i64(), Some(-9));
    let quick = section(&told, &quick);
    assert!(quick.contains("(completed in ") && quick.contains("in time"), "{quick}");
    assert!(maybe_field(quick, "Cause").is_none(), "{quick}");
}

/// A codex that completes its turn when it is asked to end, and not before.
const POLITE: &str = r#"#!/bin/sh
trap asked=yes INT
echo '{"type":"thread.started","thread_id":"01a20000-0000-7000-8000-000000000000"}'
echo '{"type":"turn.started"}'
echo '{"type":"item.completed","item":{"id":"m","type":"agent_message","text":"just so"}}'
until [ "$asked" ]; do sleep 0.05; done
echo '{"type":"turn.completed","usage":{}}'
"#;

#[test]
fn a_codex_that_completes_when_it_is_told_that_its_time_is_over_has_completed() {
    let dir = Dir::new();
    let mut command = dir.command();
    command.arg("--codex").arg(program(&dir, "polite", POLITE)).args(["--task-timeout", "1"]);
    let mut server = Server::spawn(&dir, command);
    server.initialize();
    let id = server.launch("");
    let told = server.wait(&[&id]);
    assert!(told.contains("(completed in ") && told.contains("just so"), "{told}");
    assert!(maybe_field(&told, "Cause").is_none(), "{told}");
    let record = dir.record(&id);
    assert_eq!(record.str_at("status"), "completed");
    assert_eq!(record.find("failure"), None);
}

#[test]
fn time_in_the_queue_does_not_count_and_a_slot_comes_free_when_time_is_over() {
    let dir = Dir::new();
    let mut server = swift_server(&dir, &["--max-parallel", "1", "--task-timeout", "2"]);
    let _never = Gate::new(&dir, "never");
    let overdue: Vec<String> =
        (0..2).map(|_| server.launch_with(&errand("long", 1, "-", "stay"))).collect();
    let last = server.launch_with(&errand("short", 1, "-", "done"));
    let told = server.wait(&[&overdue[0], &overdue[1], &last]);
    for id in &overdue {
        told_as_overdue(section(&told, id), 2);
        let record = dir.record(id);
        let at = |name| record.at(name).as_f64().unwrap();
        let ran = at("completed_at") - at("started_at");
        assert!(ran > 1.9, "{ran} s");
    }
    // It was queued for twice the time that it may run.
    let part = section(&told, &last);
    assert!(part.contains("(completed in ") && part.contains("this is short"), "{part}");
    assert_eq!(order(&dir), [&overdue[0], &overdue[1], &last].map(String::as_str));
}

#[test]
fn a_task_that_is_cancelled_before_its_time_is_over_was_cancelled() {
    let dir = Dir::new();
    let mut server = dir.server_with(&["--task-timeout", "3"]);
    let id = server.launch("begin\nmark on\nwait-for never");
    dir.marked("on");
    server.ok("codex_cancel", &ids(&[&id]));
    assert!(server.wait(&[&id]).contains("(cancelled "));
    assert!(dir.record(&id).find("timed_out").is_none());
}

#[test]
fn a_timeout_is_kept_when_its_server_is_gone_and_there_is_none_unless_it_is_asked_for() {
    let dir = Dir::new();
    let mut other = dir.server();
    let free = other.launch("begin\nmark on\nwait-for go\nsay late\ndone");
    dir.marked("on");
    let mut server = dir.server_with(&["--task-timeout", "1"]);
    let id = server.launch("begin\nsay alone\nwait-for never");
    server.crash();
    told_as_overdue(&other.wait(&[&id]), 1);
    // This one has run for longer.
    assert!(other.status(&free).contains(" elapsed) ==="));
    dir.open("go");
    assert!(other.wait(&[&free]).contains("(completed in "));
    assert!(dir.record(&free).find("timeout").is_none());
}
