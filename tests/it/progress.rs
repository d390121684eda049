//! Progress: only where it was asked for, always growing, never after the reply, and saying what
//! is being done.

use crate::json::Value;
use crate::support::*;
use std::time::{Duration, Instant};

/// The next message, which must be progress under this token; its params.
fn next_progress(server: &mut Server<'_>, token: &str) -> Value<'static> {
    let message = server.next();
    assert_eq!(message.str_at("method"), "notifications/progress", "{message:?}");
    assert!(message.get("id").is_none());
    assert_eq!(message.at("params.progressToken").to_json(), token);
    message.at("params").clone()
}

/// Reads progress until some has this in its message; the numbers must grow on the way.
fn until_it_says(
    server: &mut Server<'_>,
    token: &str,
    words: &str,
    last: &mut f64,
) -> Value<'static> {
    let end = Instant::now() + CAP;
    loop {
        assert!(Instant::now() < end, "no progress said {words:?}");
        let params = next_progress(server, token);
        let number = params.at("progress").as_f64().unwrap();
        assert!(number > *last, "{number} after {last}");
        *last = number;
        if params.str_at("message").contains(words) {
            return params;
        }
    }
}

#[test]
fn a_watched_call_tells_what_is_done_now_and_falls_silent_with_its_reply() {
    let dir = Dir::new();
    let mut server = dir.server();
    for (n, token) in ["7", "\"a-uuid\"", "9007199254740993"].into_iter().enumerate() {
        let lines = format!(
            "begin\nstart /bin/bash -lc 'cargo test'\nwait-for step{n}\nstart cargo build\nwait-for go{n}\nsay built\ndone"
        );
        let call = server.begin_watched("codex", &script(&lines), token);
        let mut last = f64::NEG_INFINITY;
        let params = until_it_says(&mut server, token, "exec_command(cargo test)", &mut last);
        let message = params.str_at("message").to_owned();
        dir.open(&format!("step{n}"));
        until_it_says(&mut server, token, "cargo build", &mut last);
        dir.open(&format!("go{n}"));
        let text = text_of(&server.result(call));
        assert!(message.starts_with(&format!("{} ", task_id(&text))), "{message}");
        for before in server.stash.drain(..) {
            assert!(before.at("params.progress").as_f64().unwrap() > last);
            last = before.at("params.progress").as_f64().unwrap();
        }
        server.silent_about(&[]);
        assert!(server.stash.is_empty(), "after the reply: {:?}", server.stash);
    }
}

#[test]
fn without_a_token_there_is_no_progress() {
    let dir = Dir::new();
    let mut server = dir.server();
    server.ok("codex", &script("begin\nflood 100\nsay x\ndone"));
    let id = server.launch("begin\nflood 100\nsay x\ndone");
    server.wait(&[&id]);
    assert!(server.stash.is_empty(), "{:?}", server.stash);
}

#[test]
fn a_flood_of_events_makes_little_progress() {
    let dir = Dir::new();
    let mut server = dir.server();
    let call = server.begin_watched("codex", &script("begin\nflood 5000\nsay x\ndone"), "1");
    server.result(call);
    // At most two a second; nobody's machine takes half a minute for this.
    assert!(server.stash.len() < 60, "{} messages", server.stash.len());
}

#[test]
fn a_quiet_task_is_heard_of_every_fifteen_seconds() {
    let dir = Dir::new();
    let mut server = dir.server();
    let call = server.begin_watched("codex", &script("begin\nwait-for go\nsay x\ndone"), "1");
    // Its first events may make some progress; what comes long after them comes of itself.
    let mut last = Instant::now();
    while last.elapsed() < Duration::from_secs(5) {
        last = Instant::now();
        next_progress(&mut server, "1");
    }
    assert!(last.elapsed() < Duration::from_secs(20), "{:?}", last.elapsed());
    dir.open("go");
    server.result(call);
}

#[test]
fn progress_on_several_tasks_counts_them() {
    let dir = Dir::new();
    let mut server = dir.server();
    let tasks: Vec<String> = (0..3)
        .map(|n| server.launch(&format!("begin\nrun ls\nwait-for go{n}\nsay x\ndone")))
        .collect();
    let all: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let wait = server.begin_watched("codex_wait", &ids(&all), "1");
    let mut last = f64::NEG_INFINITY;
    let params = until_it_says(&mut server, "1", "", &mut last);
    assert_eq!(params.at("total").as_f64(), Some(3.0));
    for n in 0..3 {
        dir.open(&format!("go{n}"));
    }
    server.result(wait);
    for message in server.stash.drain(..) {
        let number = message.at("params.progress").as_f64().unwrap();
        assert!(number > last && number <= 3.0, "{number} after {last}");
        last = number;
    }
}

#[test]
fn a_plan_gives_the_total_of_a_single_task() {
    let dir = Dir::new();
    let mut server = dir.server();
    let plan = r#"line {"type":"item.started","item":{"id":"p","type":"todo_list","items":[{"text":"a","completed":true},{"text":"b","completed":false},{"text":"c","completed":false}]}}"#;
    let lines = format!("begin\n{plan}\nstart ls\nwait-for go\nsay x\ndone");
    let call = server.begin_watched("codex", &script(&lines), "1");
    let mut last = f64::NEG_INFINITY;
    let params = until_it_says(&mut server, "1", "ls", &mut last);
    assert_eq!(params.at("total").as_f64(), Some(3.0), "{params:?}");
    dir.open("go");
    server.result(call);
}

#[test]
fn a_cancelled_call_makes_no_more_progress() {
    let dir = Dir::new();
    let mut server = dir.server();
    let call =
        server.begin_watched("codex", &script("begin\nrun ls\nmark on\nwait-for never"), "1");
    dir.marked("on");
    server.cancel(call, "user");
    server.silent_about(&[call]);
    server.stash.clear();
    until("the end of it", || {
        server.ok("codex_status", "{}").contains("(CANCELLED after ").then_some(())
    });
    server.silent_about(&[call]);
    assert!(server.stash.is_empty(), "{:?}", server.stash);
}
