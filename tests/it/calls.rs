//! Sync calls: they block nothing, are tasks like any other, and end when the client says so.

use crate::support::*;

#[test]
fn many_sync_calls_run_at_once_and_each_is_answered_when_it_ends() {
    let dir = Dir::new();
    let mut server = dir.server();
    let calls: Vec<u32> = (0..8)
        .map(|n| {
            server.begin(
                "codex",
                &script(&format!("begin\nmark on{n}\nwait-for go{n}\nsay {n}\ndone")),
            )
        })
        .collect();
    for n in 0..8 {
        dir.marked(&format!("on{n}"));
    }
    server.silent_about(&calls);
    server.ask("tools/list", "{}").at("result.tools");
    assert_eq!(answer(&server.ok("codex", r#"{"prompt":"x"}"#)), "done");
    for (n, call) in calls.iter().enumerate().rev() {
        dir.open(&format!("go{n}"));
        let text = text_of(&server.result(*call));
        assert_eq!(answer(&text), n.to_string());
    }
}

#[test]
fn thirty_tasks_started_at_once_all_come_back() {
    let dir = Dir::new();
    let mut server = dir.server();
    let calls: Vec<u32> = (0..30)
        .map(|n| server.begin("codex_async", &script(&format!("begin\nsay number {n}\ndone"))))
        .collect();
    let tasks: Vec<String> =
        calls.into_iter().map(|call| task_id(&text_of(&server.result(call)))).collect();
    let all: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let text = server.wait(&all);
    for (n, id) in all.iter().enumerate() {
        let part = section(&text, id);
        assert!(part.contains("(completed in ") && part.contains(&format!("number {n}")), "{part}");
    }
}

#[test]
fn the_answer_of_a_sync_call_is_followed_by_thread_and_task() {
    let dir = Dir::new();
    let mut server = dir.server();
    let text = server.ok("codex", &script("begin\nsay line one\\nline two\ndone"));
    assert_eq!(answer(&text), "line one\nline two");
    let id = task_id(&text);
    assert_eq!(thread_id(&text), thread_of(&id));
    assert!(text.contains("codex_reply"), "how to go on: {text}");
    assert!(server.status(&id).contains("(COMPLETED in "));
}

#[test]
fn the_start_of_an_async_task_is_told_with_its_id_and_how_to_wait() {
    let dir = Dir::new();
    let mut server = dir.server();
    let text = server.ok("codex_async", &script("begin\nwait-for go"));
    assert_eq!(text.lines().next().unwrap(), format!("Task ID: {}", task_id(&text)));
    assert!(text.contains("codex_wait"), "{text}");
    dir.open("go");
    server.wait(&[&task_id(&text)]);
}

#[test]
fn a_cancelled_call_ends_its_task_and_is_never_answered() {
    let dir = Dir::new();
    let mut server = dir.server();
    for reason in ["AbortError: user-cancel", ""] {
        let call =
            server.begin("codex", &script("begin\nleave-sleeper setsid\nmark on\nwait-for never"));
        dir.marked("on");
        let id = running_task(&mut server);
        server.cancel(call, reason);
        let waited = server.wait(&[&id]);
        assert!(section(&waited, &id).contains("(cancelled "), "{waited}");
        gone(&mark_of(&id));
        server.silent_about(&[call]);
        std::fs::remove_file(dir.path("out/on")).unwrap();
    }
}

#[test]
fn a_call_whose_client_timed_out_goes_on_as_an_async_task() {
    let dir = Dir::new();
    let mut server = dir.server();
    for (n, reason) in
        ["McpError: Request timed out", "MCP error -32001: Request timed out after 60s"]
            .into_iter()
            .enumerate()
    {
        let lines = format!("begin\nmark on{n}\nwait-for go{n}\nsay rescued\ndone");
        let call = server.begin("codex", &script(&lines));
        dir.marked(&format!("on{n}"));
        let id = running_task(&mut server);
        server.cancel(call, reason);
        server.silent_about(&[call]);
        assert!(server.status(&id).contains(" elapsed)"));
        dir.open(&format!("go{n}"));
        let waited = server.wait(&[&id]);
        assert!(waited.contains("(completed in ") && waited.contains("rescued"), "{waited}");
        server.silent_about(&[call]);
    }
}

#[test]
fn a_detached_call_outlives_the_server_as_an_async_task_does() {
    let dir = Dir::new();
    let mut server = dir.server();
    let call = server.begin("codex", &script("begin\nmark on\nwait-for go\nsay rescued\ndone"));
    dir.marked("on");
    let id = running_task(&mut server);
    server.cancel(call, "Request timed out");
    server.silent_about(&[call]);
    server.end();
    let mut next = dir.server();
    assert!(next.status(&id).contains(" elapsed)"));
    dir.open("go");
    assert!(next.wait(&[&id]).contains("rescued"));
}

#[test]
fn a_cancel_hits_only_the_request_with_just_that_id() {
    let dir = Dir::new();
    let mut server = dir.server();
    let call = server.begin("codex", &script("begin\nmark on\nwait-for go\nsay unharmed\ndone"));
    dir.marked("on");
    for id in [
        format!("\"{call}\""),
        format!("{call}.0"),
        "true".to_owned(),
        "null".to_owned(),
        "999".to_owned(),
    ] {
        server.send(&format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
        ));
    }
    // An id that was cancelled before it was used is as good as any other.
    server.send(
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"later"}}"#,
    );
    server.send(r#"{"jsonrpc":"2.0","id":"later","method":"ping"}"#);
    assert_eq!(server.next().str_at("id"), "later");
    dir.open("go");
    let text = text_of(&server.result(call));
    assert_eq!(answer(&text), "unharmed");
    // Nor does it matter once the answer is out.
    server.cancel(call, "late");
    server.silent_about(&[call]);
}

#[test]
fn a_wait_that_is_cancelled_is_not_answered_and_harms_no_task() {
    let dir = Dir::new();
    let mut server = dir.server();
    let id = server.launch("begin\nmark on\nwait-for go\nsay unharmed\ndone");
    dir.marked("on");
    let wait = server.begin("codex_wait", &ids(&[&id]));
    server.cancel(wait, "user");
    server.silent_about(&[wait]);
    assert!(server.status(&id).contains(" elapsed)"));
    dir.open("go");
    assert!(server.wait(&[&id]).contains("unharmed"));
    server.silent_about(&[wait]);
}

#[test]
fn a_cancelled_batch_ends_all_its_tasks() {
    let dir = Dir::new();
    let mut server = dir.server();
    let task = |n: u32| script(&format!("begin\nmark on{n}\nwait-for never"));
    let call = server.begin("codex_batch", &format!(r#"{{"tasks":[{},{}]}}"#, task(1), task(2)));
    dir.marked("on1");
    dir.marked("on2");
    server.cancel(call, "user");
    server.silent_about(&[call]);
    until("the end of both", || {
        let text = server.ok("codex_status", "{}");
        (text.matches("(CANCELLED after ").count() == 2).then_some(())
    });
    server.silent_about(&[call]);
}
