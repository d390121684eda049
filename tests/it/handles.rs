//! MCP's tasks as a client of revision 2026-07-28 has them: the handle that answers a call, and what
//! is asked and told under it.

use crate::json::Value;
use crate::support::*;

/// What every handle and every look at a task tells.
pub const STATE: [&str; 7] =
    ["createdAt", "lastUpdatedAt", "pollIntervalMs", "status", "statusMessage", "taskId", "ttlMs"];

/// A server that gives out handles after so many seconds.
pub fn holding<'d>(dir: &'d Dir, seconds: &str) -> Server<'d> {
    let mut server = dir.silent(&[("CODEX_SWARM_HOLD", seconds)]);
    server.initialize();
    server
}

/// One that gives them out at once.
pub fn at_once(dir: &Dir) -> Server<'_> {
    holding(dir, "0")
}

/// Whether a text is a task's id as the extension has it.
pub fn is_task_id(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a text is a time such as `2026-11-22T07:48:52.577Z`; the fraction may be left out.
pub fn is_time(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let fraction = shape.strip_prefix("0000-00-00T00:00:00").and_then(|s| s.strip_suffix('Z'));
    fraction.is_some_and(|f| f.is_empty() || f.len() > 1 && f.trim_end_matches('0') == ".")
}

/// Checks what every handle and every look has in common.
pub fn check_state(state: &Value<'static>) {
    assert!(is_task_id(state.str_at("taskId")), "{state:?}");
    let (created, updated) = (state.str_at("createdAt"), state.str_at("lastUpdatedAt"));
    assert!(is_time(created) && is_time(updated) && created <= updated, "{created} {updated}");
    assert_eq!(state.at("pollIntervalMs").as_u64(), Some(1000));
}

/// The id in a result that must be a handle of a task that runs.
pub fn handle_in(result: &Value<'static>) -> String {
    let mut expected = [&STATE[..], &["_meta", "resultType"]].concat();
    expected.sort_unstable();
    assert_eq!(keys(result), expected, "{}", abridged(&result.to_json()));
    assert_eq!(result.str_at("resultType"), "task");
    assert_eq!(result.str_at("status"), "working");
    names_the_server(result);
    check_state(result);
    result.str_at("taskId").to_owned()
}

/// What the model is told at once, in a handle.
pub fn told_at_once<'v>(handle: &'v Value<'static>) -> &'v str {
    let meta = handle.at("_meta").get("com.anthropic/agent-task").expect("a word to the model");
    meta.str_at("modelImmediateResponse")
}

/// A tool call that must be answered with a handle; its task id.
pub fn handle(server: &mut Server<'_>, tool: &str, args: &str) -> String {
    let result = server.call_as(TASKS, tool, args);
    handle_in(&result)
}

/// The id by which everything else knows a handle's task, or the first of its tasks.
pub fn short(task_id: &str) -> &str {
    &task_id[..8]
}

/// A request about a task, from a client that declares the extension.
pub fn ask(server: &mut Server<'_>, method: &str, task_id: &str) -> Value<'static> {
    server.ask_as(TASKS, method, &format!(r#"{{"taskId":{}}}"#, quoted(task_id)))
}

/// How a task stands. What it does is said of one that works, and need not be of others.
pub fn get(server: &mut Server<'_>, task_id: &str) -> Value<'static> {
    let reply = ask(server, "tasks/get", task_id);
    let status = reply.str_at("result.status").to_owned();
    assert!(["working", "completed", "cancelled"].contains(&status.as_str()), "{status}");
    let message = status == "working" || reply.find("result.statusMessage").is_some();
    let mut members: Vec<&str> =
        STATE.into_iter().filter(|name| message || *name != "statusMessage").collect();
    members.extend((status == "completed").then_some("result"));
    let state = complete(&reply, &members);
    check_state(&state);
    assert_eq!(state.str_at("taskId"), task_id);
    state
}

/// What of a task's state can never change once it is over, whatever is said about it.
pub fn verdict(state: &Value<'static>) -> Vec<(String, String)> {
    let free = ["_meta", "lastUpdatedAt", "resultType", "statusMessage"];
    let members = state.as_object().unwrap().iter();
    let mut members: Vec<(String, String)> = members
        .filter(|(name, _)| !free.contains(&name.as_ref()))
        .map(|(name, value)| (name.to_string(), value.to_json()))
        .collect();
    members.sort();
    members
}

/// Waits for a task's end; how it stands then, which is for good.
pub fn ended(server: &mut Server<'_>, task_id: &str) -> Value<'static> {
    let state = until("the end of a task", || {
        Some(get(server, task_id)).filter(|state| state.str_at("status") != "working")
    });
    assert_eq!(verdict(&get(server, task_id)), verdict(&state));
    state
}

/// Waits until a task has completed; its result.
pub fn completed(server: &mut Server<'_>, task_id: &str) -> Value<'static> {
    let state = ended(server, task_id);
    assert_eq!(state.str_at("status"), "completed", "{state:?}");
    let result = state.at("result").clone();
    assert_eq!(result.str_at("resultType"), "complete");
    let related = meta(&result, "related-task");
    assert!(related.is_none(), "{related:?}");
    result
}

/// The text of a completed task that is no error.
pub fn text_at_end(server: &mut Server<'_>, task_id: &str) -> String {
    let result = completed(server, task_id);
    assert!(!is_error(&result), "{result:?}");
    text_of(&result)
}

/// Checks that a task is told as still being worked on.
pub fn works(server: &mut Server<'_>, task_id: &str) {
    assert_eq!(get(server, task_id).str_at("status"), "working");
}

/// Sends a cancel, which must be acknowledged with nothing but that.
pub fn cancel(server: &mut Server<'_>, task_id: &str) {
    complete(&ask(server, "tasks/cancel", task_id), &[]);
}

/// A text without ids and figures, which differ from task to task.
pub fn apart_from(text: &str, ids: &[&str]) -> String {
    let text = ids.iter().fold(text.to_owned(), |text, id| text.replace(id, "ID"));
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// The ids of the sections of a wait or a batch.
pub fn sections(text: &str) -> Vec<String> {
    text.split("=== Task ").skip(1).map(|part| part[..8].to_owned()).collect()
}

/// The arguments of a batch of these scripts.
pub fn batch(scripts: &[&str]) -> String {
    let tasks: Vec<String> = scripts.iter().map(|lines| script(lines)).collect();
    format!(r#"{{"tasks":[{}]}}"#, tasks.join(","))
}

/// Waits until so many codex have noted that they were started.
pub fn started(dir: &Dir, count: usize) {
    until("as many tasks", || (dir.started() == count).then_some(()));
}

/// The ids of the tasks that have a record.
pub fn recorded(dir: &Dir) -> Vec<String> {
    let tree = dir.tree().into_iter();
    tree.filter_map(|name| Some(name.strip_prefix("tasks/")?.strip_suffix(".meta")?.to_owned()))
        .filter(|id| id.len() == 8)
        .collect()
}
