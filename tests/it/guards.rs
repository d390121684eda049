//! What must not get by the tasks extension and the updates: a directory that others can write to,
//! odd settings, tasks out of reach, and results that are asked for late.

use crate::handles::*;
use crate::json::Value;
use crate::repo::gc;
use crate::support::*;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

/// A long id that begins with this id.
fn long(id: &str) -> String {
    format!("{id}000000000000000000000000")
}

#[test]
fn records_that_others_could_have_written_are_not_believed_by_any_method() {
    let dir = Dir::new();
    let mut server = dir.server();
    let (id, _) = server.run("begin\ndone");
    let long_id = dir.record(&id).str_at("mcp_task_id").to_owned();
    fs::set_permissions(dir.path("tasks"), fs::Permissions::from_mode(0o777)).unwrap();
    let task = format!(r#"{{"taskId":"{long_id}","inputResponses":{{}}}}"#);
    let listen = r#"{"notifications":{"resourceSubscriptions":["codex-swarm:///tasks"]}}"#;
    for (method, params) in [
        ("tasks/get", task.as_str()),
        ("tasks/update", &task),
        ("tasks/cancel", &task),
        ("subscriptions/listen", listen),
    ] {
        let reply = server.ask_as(TASKS, method, params);
        assert_eq!(code(&reply), -32603, "{method}");
        assert!(reply.str_at("error.message").contains("chmod 700"), "{method}");
    }
    let reply = server.ask("resources/subscribe", r#"{"uri":"codex-swarm:///tasks"}"#);
    assert_eq!(code(&reply), -32603);
    fs::set_permissions(dir.path("tasks"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(server.ask_as(TASKS, "tasks/get", &task).str_at("result.status"), "completed");
}

#[test]
fn a_pipe_in_place_of_a_record_holds_nobody_up() {
    let dir = Dir::new();
    let mut server = dir.server();
    server.run("begin\ndone");
    let pipe = dir.task_file("1a2b3c4d", "meta");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert_eq!(code(&ask(&mut server, "tasks/get", &long("1a2b3c4d"))), -32602);
    server.ok("codex_status", "{}");
    server.silent_about(&[]);
}

#[test]
fn a_call_may_be_held_for_ever() {
    let dir = Dir::new();
    let mut server = holding(&dir, &u64::MAX.to_string());
    let result = server.call_as(TASKS, "codex", &script("begin\nsay x\ndone"));
    assert_eq!(result.str_at("resultType"), "complete");
    assert!(text_of(&result).contains('x'));
}

#[test]
fn what_is_out_of_reach_is_not_called_cancelled() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let batch = handle(&mut server, "codex_batch", &batch(&["begin\nmark on\nwait-for go\ndone"]));
    dir.marked("on");
    let id = short(&batch);
    let record = fs::read_to_string(dir.task_file(id, "meta")).unwrap();
    let boot = dir.record(id).str_at("boot_id").to_owned();
    let elsewhere = record.replace(&boot, "00000000-0000-0000-0000-000000000000");
    let host = dir.record(id).str_at("host").to_owned();
    let elsewhere = elsewhere.replace(&format!("\"host\":\"{host}\""), "\"host\":\"elsewhere\"");
    let mut other = dir.server();
    plant(&dir, id, &elsewhere);
    let reply = ask(&mut other, "tasks/cancel", &batch);
    assert_eq!(code(&reply), -32603);
    assert!(reply.str_at("error.message").contains("another machine"));
    works(&mut other, &batch);
    plant(&dir, id, &record);
    dir.open("go");
    completed(&mut server, &batch);
}

#[test]
fn an_answer_is_kept_as_long_as_a_call_may_be_asked_about_it() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let stays = "begin\nmark on\nwait-for go\nsay late\ndone";
    let id = handle(&mut server, "codex_batch", &batch(&["begin\nsay early\ndone", stays]));
    dir.marked("on");
    server.wait(&[short(&id)]);
    gc(&dir, &[]);
    assert!(dir.task_file(short(&id), "meta").exists(), "its batch goes on");
    dir.open("go");
    let text = text_at_end(&mut dir.server(), &id);
    assert!(text.contains("early") && text.contains("late"), "{text}");
    gc(&dir, &[]);
    assert_eq!(code(&ask(&mut server, "tasks/get", &id)), -32602);
}

#[test]
fn what_was_told_of_a_wait_that_timed_out_does_not_change() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let task = server.launch("begin\nwait-for go\nsay x\ndone");
    let args = format!(r#"{{"task_ids":["{task}"],"timeout":1}}"#);
    let id = handle(&mut server, "codex_wait", &args);
    let first = completed(&mut server, &id);
    assert!(text_of(&first).contains("STILL RUNNING"));
    dir.open("go");
    server.wait(&[&task]);
    for server in [&mut server, &mut dir.server()] {
        assert_eq!(completed(server, &id), first);
    }
}

#[test]
fn who_listens_to_a_wait_hears_that_it_was_taken_back() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let task = server.launch("begin\nwait-for go\ndone");
    let id = handle(&mut server, "codex_wait", &ids(&[&task]));
    let params = format!(r#"{{"notifications":{{"taskIds":["{id}"]}}}}"#);
    server.request("subscriptions/listen", &with_meta(&params, &envelope(TASKS)));
    cancel(&mut server, &id);
    server.silent_about(&[]);
    let told = |message: &&Value<'static>| {
        message.get("method").and_then(Value::as_str) == Some("notifications/tasks")
    };
    let told: Vec<&str> =
        server.stash.iter().filter(told).map(|message| message.str_at("params.status")).collect();
    assert_eq!(told, ["cancelled"]);
    dir.open("go");
    server.wait(&[&task]);
}

#[test]
fn a_task_of_another_server_is_news_even_if_it_was_asked_about_first() {
    let dir = Dir::new();
    let mut server = dir.server();
    let mut other = dir.server();
    server.ask("resources/subscribe", r#"{"uri":"codex-swarm:///tasks"}"#).at("result");
    let task = other.launch("begin\nwait-for go\ndone");
    // whether its record or the question is seen first is chance
    server.status(&task);
    let is = |message: &Value<'static>| message.get("method").is_some();
    until("an update", || {
        server.silent_about(&[]);
        server.stash.iter().any(is).then_some(())
    });
    dir.open("go");
    other.wait(&[&task]);
}

#[test]
fn the_word_to_the_model_says_first_what_to_do_however_many_tasks_there_are() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let result = server.call_as(TASKS, "codex_batch", &batch(&["begin\nwait-for go\ndone"; 60]));
    let id = handle_in(&result);
    let text = told_at_once(&result);
    assert!(text.starts_with("They run in the background"), "{text}");
    assert!(text.len() < 1000 && text.matches(", ").count() >= 59, "{text}");
    dir.open("go");
    completed(&mut server, &id);
}

#[test]
fn a_batch_with_answers_that_no_client_would_read_is_answered_with_what_fits() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    server.ask("initialize", r#"{"protocolVersion":"2025-03-26"}"#);
    let (id, _) = server.run("begin\nbig 1200000 x\ndone");
    let uri = format!("codex-swarm:///tasks/{id}/result");
    let read = |n| {
        format!(
            r#"{{"jsonrpc":"2.0","id":{n},"method":"resources/read","params":{{"uri":"{uri}"}}}}"#
        )
    };
    let reads: Vec<String> = (0..20).map(read).collect();
    server.send(&format!("[{}]", reads.join(",")));
    let line = server.line();
    assert!(line.len() < 5 << 20, "{}", line.len());
    let answers = read_json(&line);
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), 20);
    let errors = answers.iter().filter(|answer| answer.get("error").is_some());
    assert!((1..20).contains(&errors.clone().count()));
    assert!(errors.clone().all(|answer| code(answer) == -32603));
}
