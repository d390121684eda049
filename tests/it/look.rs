//! JSON and the texts of results: how tests write them and find their way in them.

use crate::json::{self, Value};
use std::borrow::Cow;
use std::path::Path;

/// Reads JSON and keeps the text for good: a test is short, and its values may go anywhere.
pub fn read_json(text: &str) -> Value<'static> {
    let text: &'static str = Box::leak(Box::from(text));
    json::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{e} in: {}", abridged(text)))
}

/// `text` as a JSON string.
pub fn quoted(text: &str) -> String {
    let mut out = String::new();
    json::quote(&mut out, text);
    out
}

/// A path as a JSON string.
pub fn quoted_path(path: &Path) -> String {
    quoted(path.to_str().unwrap())
}

/// The arguments of a call whose prompt is this script for the stand-in.
pub fn script(lines: &str) -> String {
    script_and(lines, "")
}

/// The same, with more members as they stand in JSON.
pub fn script_and(lines: &str, more: &str) -> String {
    prompt_and(&format!("#standin\n{lines}"), more)
}

/// The arguments of a call with a plain prompt and more members.
pub fn prompt_and(prompt: &str, more: &str) -> String {
    let comma = if more.is_empty() { "" } else { "," };
    format!("{{\"prompt\":{}{comma}{more}}}", quoted(prompt))
}

/// `{"task_ids":[…]}`
pub fn ids(ids: &[&str]) -> String {
    format!("{{\"task_ids\":{}}}", list(ids))
}

/// Words as a JSON array.
pub fn list(words: &[&str]) -> String {
    format!("[{}]", words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(","))
}

/// As much of a text as a failure message bears.
pub fn abridged(text: &str) -> String {
    text.chars().take(2000).collect()
}

/// Ways into a JSON value that say what was not there.
pub trait Look {
    /// The value at a path such as `result.content.0.text`.
    fn at(&self, path: &str) -> &Value<'static>;
    /// The string there.
    fn str_at(&self, path: &str) -> &str;
    /// What is there, if anything is.
    fn find(&self, path: &str) -> Option<&Value<'static>>;
}

impl Look for Value<'static> {
    fn at(&self, path: &str) -> &Value<'static> {
        self.find(path).unwrap_or_else(|| panic!("no {path} in {}", abridged(&self.to_json())))
    }

    fn str_at(&self, path: &str) -> &str {
        self.at(path).as_str().unwrap_or_else(|| panic!("{path} is no string in {self:?}"))
    }

    fn find(&self, path: &str) -> Option<&Value<'static>> {
        path.split('.').try_fold(self, |value, step| match value {
            Value::Array(items) => items.get(step.parse::<usize>().ok()?),
            _ => value.get(step),
        })
    }
}

/// The text blocks of a tool's result, a line end between them.
pub fn text_of(result: &Value<'static>) -> String {
    let blocks = result.at("content").as_array().unwrap();
    blocks.iter().map(|block| block.str_at("text")).collect::<Vec<_>>().join("\n")
}

/// Whether a tool's result says that the call failed.
pub fn is_error(result: &Value<'static>) -> bool {
    result.find("isError").and_then(Value::as_bool).unwrap_or(false)
}

/// The task's id in the answer to a tool call: eight lower-case hex digits.
pub fn task_id(text: &str) -> String {
    let id: String = field(text, "Task ID").chars().take_while(|c| *c != ' ').collect();
    assert!(id.len() == 8 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{id:?}");
    id
}

/// What stands after `NAME: ` at the beginning of a line.
pub fn field<'t>(text: &'t str, name: &str) -> &'t str {
    maybe_field(text, name).unwrap_or_else(|| panic!("no line `{name}: …` in:\n{}", abridged(text)))
}

/// The same where the line need not be there.
pub fn maybe_field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// One task's part of a status or a wait.
pub fn section<'t>(text: &'t str, id: &str) -> &'t str {
    let head = format!("=== Task {id}");
    let from = text.find(&head).unwrap_or_else(|| panic!("no {head} in:\n{}", abridged(text)));
    let part = &text[from..];
    part[head.len()..].find("\n=== Task ").map_or(part, |end| &part[..head.len() + end])
}

/// The answer in the text of `codex` or `codex_reply`: what stands above the line `---`.
pub fn answer(text: &str) -> &str {
    text.rsplit_once("\n---\n")
        .unwrap_or_else(|| panic!("no line --- in:\n{text}"))
        .0
        .trim_end_matches('\n')
}

/// The thread that a result names.
pub fn thread_id(text: &str) -> &str {
    field(text, "Thread ID").split(' ').next().unwrap()
}

/// A record with another process wherever it names one: another pid, and its start time if given.
pub fn with_process(record: &Value<'static>, pid: u32, start: Option<&str>) -> Value<'static> {
    let Value::Object(members) = record else { return record.clone() };
    let with = |(key, value): &(Cow<'static, str>, Value<'static>)| {
        let value = match start {
            _ if key.ends_with("pid") && value.as_u64().is_some() => read_json(&pid.to_string()),
            Some(start) if key.ends_with("start_time") => read_json(start),
            _ => with_process(value, pid, start),
        };
        (key.clone(), value)
    };
    Value::Object(members.iter().map(with).collect())
}

/// The code of a reply that is an error.
pub fn code(reply: &Value<'static>) -> i64 {
    assert!(!reply.str_at("error.message").is_empty());
    reply.at("error.code").as_i64().unwrap()
}

/// What a client of revision 2026-07-28 declares that knows no extension.
pub const PLAIN: &str = "{}";

/// What one declares that knows MCP's tasks.
pub const TASKS: &str = r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;

/// The members of `_meta` that make a request one of revision 2026-07-28.
pub fn envelope(capabilities: &str) -> String {
    format!(
        r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{capabilities}"#
    )
}

/// An object of parameters with these members in its `_meta`.
pub fn with_meta(params: &str, meta: &str) -> String {
    let start = params.strip_suffix('}').expect("an object");
    let comma = if start.ends_with('{') { "" } else { "," };
    format!(r#"{start}{comma}"_meta":{{{meta}}}}}"#)
}

/// The parameters of a tool call.
pub fn tool_call(tool: &str, args: &str) -> String {
    format!(r#"{{"name":"{tool}","arguments":{args}}}"#)
}

/// A member of a value's `_meta`, by the second half of MCP's name for it.
pub fn meta<'v>(value: &'v Value<'static>, name: &str) -> Option<&'v Value<'static>> {
    value.get("_meta")?.get(&format!("io.modelcontextprotocol/{name}"))
}

/// The names of an object's members, sorted.
pub fn keys<'v>(value: &'v Value<'static>) -> Vec<&'v str> {
    let members = value.as_object().unwrap_or_else(|| panic!("{value:?} is no object"));
    let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_ref()).collect();
    names.sort_unstable();
    names
}

/// The result of a reply of revision 2026-07-28: complete, with the server's name, and with these
/// members and no others.
pub fn complete(reply: &Value<'static>, members: &[&str]) -> Value<'static> {
    let result = reply.at("result");
    let mut expected = [members, &["_meta", "resultType"]].concat();
    expected.sort_unstable();
    assert_eq!(keys(result), expected, "{}", abridged(&result.to_json()));
    assert_eq!(result.str_at("resultType"), "complete");
    names_the_server(result);
    result.clone()
}

/// Checks that a result of revision 2026-07-28 says whose it is.
pub fn names_the_server(result: &Value<'static>) {
    let server = meta(result, "serverInfo").expect("serverInfo");
    assert_eq!(server.str_at("name"), "codex-mcp-swarm");
    assert_eq!(server.str_at("version"), env!("CARGO_PKG_VERSION"));
}

/// Checks that a reply refuses a request because its client did not declare MCP's tasks.
pub fn wants_tasks(reply: &Value<'static>) {
    assert_eq!(code(reply), -32021);
    let data = reply.at("error.data").to_json();
    assert_eq!(data, format!(r#"{{"requiredCapabilities":{TASKS}}}"#));
}
