//! Cancelling: it is quick, it is thorough, and it rewrites no history.

use crate::scarce::set_mode;
use crate::support::*;
use std::process::Command;
use std::time::{Duration, Instant};

/// A codex that runs until it is ended; the test waits for the mark.
const STUCK: &str = "begin\nrun cargo test\nmark stuck\nwait-for never";

/// Cancels a task and waits for its end, which is told as such everywhere.
fn cancelled(server: &mut Server<'_>, id: &str) {
    let text = server.ok("codex_cancel", &format!(r#"{{"task_id":"{id}"}}"#));
    assert!(text.contains(id) && text.to_lowercase().contains("cancel"), "{text}");
    let waited = server.wait(&[id]);
    assert!(section(&waited, id).contains("(cancelled "), "{waited}");
    let status = server.status(id);
    assert!(status.contains("(CANCELLED after "), "{status}");
    assert_eq!(server.dir.record(id).str_at("status"), "cancelled");
}

#[test]
fn a_cancelled_task_is_told_as_cancelled_and_keeps_its_thread() {
    let dir = Dir::new();
    let mut server = dir.server();
    let id = server.launch(STUCK);
    dir.marked("stuck");
    cancelled(&mut server, &id);
    gone(&mark_of(&id));
    let status = server.status(&id);
    assert_eq!(thread_id(&status), thread_of(&id));
    assert_eq!(field(&status, "Tools called"), "1");
}

#[test]
fn a_codex_that_ignores_the_interrupt_is_killed_in_about_three_seconds() {
    let dir = Dir::new();
    let mut server = dir.server();
    let id = server.launch(&format!("trap-int\n{STUCK}"));
    dir.marked("stuck");
    let begin = Instant::now();
    cancelled(&mut server, &id);
    // Three, and what a busy machine adds.
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
    gone(&mark_of(&id));
}

#[test]
fn nothing_that_a_cancelled_task_left_running_lives_on() {
    let dir = Dir::new();
    let mut server = dir.server();
    let leavers = [
        "leave-sleeper",
        "leave-sleeper setsid",
        "trap-int\nleave-sleeper setsid",
        "hold-stdout never\nleave-sleeper\nleave-sleeper setsid",
    ];
    let tasks: Vec<String> = leavers
        .iter()
        .map(|lines| server.launch(&format!("begin\n{lines}\nmark on\nwait-for never")))
        .collect();
    for id in &tasks {
        until("codex and what it left", || (processes_with(&mark_of(id)).len() >= 2).then_some(()));
    }
    let all: Vec<&str> = tasks.iter().map(String::as_str).collect();
    server.ok("codex_cancel", &ids(&all));
    let waited = server.wait(&all);
    for id in all {
        assert!(section(&waited, id).contains("(cancelled "), "{waited}");
        gone(&mark_of(id));
    }
}

#[test]
fn a_grandchild_that_holds_stdout_open_does_not_hold_up_the_result() {
    let dir = Dir::new();
    let mut server = dir.server();
    let begin = Instant::now();
    let text = server.ok("codex", &script("begin\nhold-stdout go\nsay over\ndone\nexit 0"));
    let took = begin.elapsed();
    assert_eq!(answer(&text), "over");
    assert!(took < Duration::from_secs(5), "{took:?}");
    dir.open("go");
}

#[test]
fn a_task_that_is_over_stays_what_it_was() {
    let dir = Dir::new();
    let mut server = dir.server();
    for (lines, verdict) in [("begin\nsay kept\ndone", "completed"), ("begin\nexit 3", "failed")] {
        // Nobody looks at it before it is cancelled.
        let id = server.launch(lines);
        until("its end", || (dir.record(&id).str_at("status") == verdict).then_some(()));
        let result = server.call("codex_cancel", &format!(r#"{{"task_id":"{id}"}}"#));
        let text = text_of(&result);
        assert!(text.contains("already") && text.contains(verdict), "{text}");
        let waited = server.wait(&[&id]);
        assert!(waited.contains(&format!("({verdict} in ")), "{waited}");
        assert_eq!(dir.record(&id).str_at("status"), verdict);
    }
}

#[test]
fn those_who_wait_for_a_cancelled_task_are_told_that_it_was_cancelled() {
    let dir = Dir::new();
    let mut server = dir.server();
    let tasks: Vec<String> =
        (0..10).map(|n| server.launch(&format!("begin\nmark on{n}\nwait-for never"))).collect();
    for n in 0..10 {
        dir.marked(&format!("on{n}"));
    }
    let waits: Vec<u32> = tasks.iter().map(|id| server.begin("codex_wait", &ids(&[id]))).collect();
    // Twice each: the second cancel meets one that is under way, or over.
    for id in tasks.iter().chain(&tasks) {
        server.call("codex_cancel", &format!(r#"{{"task_id":"{id}"}}"#));
    }
    for (wait, id) in waits.into_iter().zip(&tasks) {
        let text = text_of(&server.result(wait));
        assert!(section(&text, id).contains("(cancelled "), "{text}");
    }
}

#[test]
fn several_tasks_are_cancelled_in_one_call_and_an_unknown_one_spoils_nothing() {
    let dir = Dir::new();
    let mut server = dir.server();
    let (one, two) = (server.launch(STUCK), server.launch(STUCK));
    dir.received(&two);
    dir.received(&one);
    let result = server.call("codex_cancel", &ids(&[&one, "deadbeef", &two]));
    assert!(text_of(&result).contains("deadbeef"));
    let waited = server.wait(&[&one, &two]);
    for id in [&one, &two] {
        assert!(section(&waited, id).contains("(cancelled "), "{waited}");
    }
}

#[test]
fn a_sync_task_can_be_cancelled_by_its_id_and_its_call_then_fails() {
    let dir = Dir::new();
    let mut server = dir.server();
    let call = server.begin("codex", &script(STUCK));
    dir.marked("stuck");
    let id = running_task(&mut server);
    cancelled(&mut server, &id);
    let result = server.result(call);
    assert!(is_error(&result), "{}", text_of(&result));
    assert!(text_of(&result).to_lowercase().contains("cancelled"), "{}", text_of(&result));
}

#[test]
fn the_server_answers_at_once_while_a_stubborn_codex_is_being_ended() {
    let dir = Dir::new();
    let mut server = dir.server();
    let call = server.begin("codex", &script(&format!("trap-int\n{STUCK}")));
    dir.marked("stuck");
    let id = running_task(&mut server);
    server.cancel(call, "AbortError: user-cancel");
    server.silent_about(&[call]);
    // It takes two seconds to end this one; the ping was not held up by that.
    assert!(!processes_with(&mark_of(&id)).is_empty(), "codex was still there");
    let waited = server.wait(&[&id]);
    assert!(section(&waited, &id).contains("(cancelled "), "{waited}");
    gone(&mark_of(&id));
    server.silent_about(&[call]);
}

#[test]
fn a_record_that_names_a_stranger_never_leads_to_a_signal() {
    let dir = Dir::new();
    let mut server = dir.server();
    let call = server.begin("codex", &script("begin\nmark on\nwait-for go\nsay x\ndone"));
    dir.marked("on");
    let id = running_task(&mut server);
    let real = dir.record(&id);
    dir.open("go");
    server.result(call);

    let mut stranger = Command::new("sleep").arg("60").spawn().unwrap();
    // The record of a task that runs, with another's pid wherever it has one; and an older one.
    let forged = with_process(&real, stranger.id(), None).to_json().replace(&id, "0000000a");
    let older = format!(
        r#"{{"task_id":"0000000b","status":"running","pid":{},"pid_start_time":12345,"command":["codex"],"started_at":1.5,"completed_at":null,"exit_code":null,"thread_id":null}}"#,
        stranger.id()
    );
    for (id, record) in [("0000000a", forged), ("0000000b", older)] {
        plant(&dir, id, &record);
        server.call("codex_cancel", &format!(r#"{{"task_id":"{id}"}}"#));
        server.call("codex_status", &ids(&[id]));
    }
    server.end();
    assert!(stranger.try_wait().unwrap().is_none(), "the stranger was signalled");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn what_turns_into_another_program_all_the_time_is_ended_too() {
    let dir = Dir::new();
    let mut server = dir.server();
    let again = dir.write("work/again", "#!/bin/sh\nexec \"$0\"\n");
    set_mode(&again, 0o755);
    let start = "sh setsid ./again < /dev/null > /dev/null 2>&1 3<&- &";
    for number in 0..25 {
        let id = server.launch(&format!("begin\n{start}\nmark on{number}\nwait-for never"));
        dir.marked(&format!("on{number}"));
        server.ok("codex_cancel", &format!(r#"{{"task_id":"{id}"}}"#));
        // amid an exec(2) a process has no environment, here either
        for _ in 0..30 {
            gone(&mark_of(&id));
        }
    }
}
