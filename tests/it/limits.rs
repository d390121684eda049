//! Much of everything: long texts, many tasks, odd moments. Nothing grows, leaks or falls over.

use crate::support::*;
use std::fs;

/// A file with one event whose text is `unit`, many times over.
fn long_event(dir: &Dir, name: &str, start: &str, unit: &str, times: usize, end: &str) -> String {
    let path = dir.write(name, &format!("{start}{}{end}\n", unit.repeat(times)));
    format!("print {}", path.display())
}

#[test]
fn no_message_is_longer_than_clients_read() {
    let dir = Dir::new();
    let mut server = dir.server();
    // Escaped, each of these is six characters: as long as it gets.
    let start = r#"{"type":"item.completed","item":{"id":"m","type":"agent_message","text":""#;
    let escapes = long_event(&dir, "escapes", start, "\\u0001", 3_000_000, "\"}}");
    let noise = dir.write("noise", &"noise on stderr\n".repeat(700_000));
    let lines = format!("begin\nstderr-file {}\n{escapes}\ndone", noise.display());
    let text = server.ok("codex", &script(&lines));
    assert!(text.chars().count() < 50_000);
    let id = task_id(&text);
    for (method, params) in [
        ("tools/call", format!(r#"{{"name":"codex_wait","arguments":{}}}"#, ids(&[&id]))),
        ("tools/call", format!(r#"{{"name":"codex_status","arguments":{}}}"#, ids(&[&id]))),
        ("resources/read", r#"{"uri":"codex-swarm:///tasks"}"#.to_owned()),
        ("resources/read", format!(r#"{{"uri":"codex-swarm:///tasks/{id}"}}"#)),
        ("resources/read", format!(r#"{{"uri":"codex-swarm:///tasks/{id}/result"}}"#)),
        ("resources/read", format!(r#"{{"uri":"codex-swarm:///tasks/{id}/events"}}"#)),
        ("resources/read", format!(r#"{{"uri":"codex-swarm:///tasks/{id}/stderr"}}"#)),
    ] {
        let reply = server.ask(method, &params);
        // TypeScript's SDK hangs up at 10 MiB.
        let size = reply.at("result").to_json().len();
        assert!(size < 10 << 20, "{size} bytes for {params}");
    }
}

#[test]
fn a_status_stays_short_however_long_what_it_tells_of() {
    let dir = Dir::new();
    let mut server = dir.server();
    let word = "very long ";
    let item =
        |kind: &str| format!(r#"{{"type":"item.started","item":{{"id":"{kind}","type":"{kind}","#);
    let done = |kind: &str| item(kind).replace("started", "completed");
    let command = item("command_execution") + r#""status":"in_progress","command":""#;
    let message = done("agent_message") + r#""text":""#;
    let thought = done("reasoning") + r#""text":""#;
    let warning = done("error") + r#""message":""#;
    let files = done("file_change") + r#""status":"completed","changes":["#;
    let steps = item("todo_list") + r#""items":["#;
    let lines = [
        "begin".to_owned(),
        long_event(&dir, "message", &message, word, 100_000, "\"}}"),
        long_event(&dir, "thought", &thought, word, 100_000, "\"}}"),
        long_event(&dir, "warning", &warning, word, 100_000, "\"}}"),
        long_event(
            &dir,
            "files",
            &files,
            r#"{"path":"/a/very/long/path","kind":"add"},"#,
            9999,
            r#"{"path":"/b","kind":"add"}]}}"#,
        ),
        long_event(
            &dir,
            "steps",
            &steps,
            r#"{"text":"step","completed":true},"#,
            9999,
            r#"{"text":"last","completed":false}]}}"#,
        ),
        long_event(&dir, "command", &command, word, 100_000, "\"}}"),
        "wait-for go\ndone".to_owned(),
    ];
    let call = server.begin_watched("codex", &script(&lines.join("\n")), "1");
    let id = loop {
        let message = server.next();
        let text = message.str_at("params.message");
        assert!(text.chars().count() < 1000, "{} characters", text.chars().count());
        if text.contains("very long") {
            break text[..8].to_owned();
        }
    };
    let status = server.status(&id);
    assert!(status.chars().count() < 5000, "{} characters", status.chars().count());
    assert!(status.contains("9999 of 10000"), "{}", abridged(&status));
    dir.open("go");
    server.result(call);
}

#[test]
fn a_failure_stays_short_however_long_its_cause() {
    let dir = Dir::new();
    let mut server = dir.server();
    let start = r#"{"type":"turn.failed","error":{"message":"the cause is "#;
    let failure = long_event(&dir, "failure", start, "very long ", 100_000, "\"}}");
    let noise = dir.write("noise", &"noise on stderr\n".repeat(100_000));
    let lines = format!("begin\nstderr-file {}\n{failure}\nexit 1", noise.display());
    let text = server.refused("codex", &script(&lines));
    assert!(text.chars().count() < 50_000, "{} characters", text.chars().count());
    assert!(text.contains("the cause is very long"), "{}", abridged(&text));
}

#[test]
fn tasks_that_ended_leave_neither_descriptors_nor_zombies_in_the_server() {
    let dir = Dir::new();
    let mut server = dir.server();
    server.ok("codex", r#"{"prompt":"x"}"#);
    let of_server = format!("/proc/{}/fd", server.pid());
    let open = || fs::read_dir(&of_server).map_or(0, Iterator::count);
    let before = open();
    let tasks: Vec<String> = (0..20).map(|_| server.launch("begin\nsay x\ndone")).collect();
    let all: Vec<&str> = tasks.iter().map(String::as_str).collect();
    server.wait(&all);
    until("as many descriptors as before", || (open() <= before).then_some(()));
    let parent = server.pid().to_string();
    until("no zombie", || {
        let zombies = each_process("stat").into_iter().filter(|(_, stat)| {
            let stat = String::from_utf8_lossy(stat).into_owned();
            let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
            after_name.starts_with(&format!("Z {parent} "))
        });
        (zombies.count() == 0).then_some(())
    });
}

#[test]
fn a_task_cancelled_in_its_first_moment_is_cancelled_and_leaves_nothing() {
    let dir = Dir::new();
    let mut server = dir.server();
    let tasks: Vec<String> = (0..15)
        .map(|_| {
            let id = server.launch("begin\nleave-sleeper setsid\nwait-for never");
            server.ok("codex_cancel", &ids(&[&id]));
            id
        })
        .collect();
    let all: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let text = server.wait(&all);
    for id in all {
        assert!(section(&text, id).contains("(cancelled "), "{text}");
        gone(&mark_of(id));
        assert_eq!(dir.record(id).str_at("status"), "cancelled");
    }
}

#[test]
fn a_grandchild_that_never_stops_printing_does_not_hold_up_the_result() {
    let dir = Dir::new();
    let mut server = dir.server();
    let text = server.ok("codex", &script("begin\nsay over\ndone\nleave-flooder\nexit 0"));
    assert_eq!(answer(&text), "over");
}

#[test]
fn a_task_directory_that_is_taken_away_does_not_take_the_server_along() {
    let dir = Dir::new();
    let mut server = dir.server();
    let id = server.launch("begin\nmark on\nwait-for go\ndone");
    dir.marked("on");
    fs::rename(dir.path("tasks"), dir.path("taken")).unwrap();
    for (tool, args) in [("codex_status", "{}".to_owned()), ("codex_status", ids(&[&id]))] {
        server.call(tool, &args);
    }
    server.silent_about(&[]);
    dir.open("go");
    gone(&mark_of(&id));
    server.call("codex_wait", &ids(&[&id]));
    assert_eq!(answer(&server.ok("codex", r#"{"prompt":"x"}"#)), "done");
}

#[test]
fn whatever_a_client_sends_along_the_server_stays() {
    let dir = Dir::new();
    let mut server = dir.server();
    for params in [
        r#"{"name":"codex_status","_meta":null}"#,
        r#"{"name":"codex_status","_meta":{"progressToken":{}}}"#,
        r#"{"name":"codex_status","_meta":{"progressToken":1.5}}"#,
        r#"{"name":"codex_status","_meta":{"claudecode/toolUseId":"x","threadId":"y"}}"#,
        r#"{"name":"codex_status","arguments":{},"surplus":[1]}"#,
        r#"{"name":"codex_wait","arguments":{"task_ids":["deadbeef"],"timeout":0.5}}"#,
        r#"{"name":"codex_wait","arguments":{"task_ids":["deadbeef"],"timeout":1e18}}"#,
        r#"{"name":"codex_wait","arguments":{"task_ids":["deadbeef"],"timeout":18446744073709551616}}"#,
        r#"{"name":"codex","arguments":{"prompt":"x","cwd":""}}"#,
        r#"{"name":"codex","arguments":{"prompt":"x","model":""}}"#,
        r#"{"name":"codex","arguments":{"prompt":""}}"#,
        r#"{"name":"codex","arguments":{"prompt":"x","config":{"":1}}}"#,
        r#"{"name":"codex","arguments":{"prompt":"x","config":{"a=b":1}}}"#,
        r#"{"name":"codex","arguments":{"prompt":"x","config":{"a\nb":1e400}}}"#,
        r#"{"name":"codex","arguments":{"prompt":"x","prompt":"y"}}"#,
    ] {
        let reply = server.ask("tools/call", params);
        assert!(reply.find("result").is_some() || code(&reply) == -32602, "{params}: {reply:?}");
    }
    let deep = format!("{}1{}", r#"{"a":"#.repeat(100), "}".repeat(100));
    server.call("codex", &prompt_and("x", &format!(r#""config":{{"deep":{deep}}}"#)));
    server.silent_about(&[]);
}
