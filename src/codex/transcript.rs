//! The JSONL stream of `codex exec --json`, folded line by line into what is worth knowing.
//!
//! The fold keeps no text but short excerpts: where the answer stands in the stream is enough to
//! read it again, and so a thousand tasks with long answers cost next to nothing.

use crate::json::{self, Value};
use crate::lines::Line;
use crate::task::{Status, Usage};
use std::borrow::Cow;

/// The longest excerpt that is kept of anything, in characters.
const EXCERPT: usize = 200;

/// The longest beginning of an error message that is kept, in characters.
const CAUSE: usize = 2000;

/// How many items are known that have begun and not ended. Codex runs a few at a time; a stream of
/// nothing but beginnings must not take ever longer.
pub(super) const BEGUN: usize = 256;

/// How many warnings are kept; they tend to repeat.
const WARNINGS: usize = 5;

/// What can be long in an item and is of no interest here.
const UNREAD: [&str; 2] = ["aggregated_output", "result"];

/// What a transcript says up to the last line that was folded.
#[derive(Debug, Default, PartialEq)]
pub struct Transcript {
    /// The thread's id.
    pub thread: Option<String>,
    /// How many lines were events.
    pub events: u64,
    /// How many tools were called.
    pub tools: u64,
    /// The tool that was called last.
    pub last_tool: Option<String>,
    /// What was done last, in one line.
    latest: Option<String>,
    /// What has begun and not ended: item ids and labels.
    pub running: Vec<(String, String)>,
    /// The beginning of the last message.
    pub output: Option<String>,
    /// The beginning of the last reasoning.
    pub thinking: Option<String>,
    /// Steps of the plan that are done, and all of them.
    pub plan: Option<(u64, u64)>,
    /// The files that were changed, sorted.
    pub files: Vec<String>,
    /// The thread's tokens.
    pub usage: Option<Usage>,
    /// A line was too long to be read.
    pub missed: bool,
    /// What Codex warned of.
    pub warnings: Vec<String>,
    /// The last `error` event: a notice of a retry, or the cause of the failure that follows.
    pub notice: Option<String>,
    /// `turn.completed` came.
    pub completed: bool,
    /// `turn.failed` came, with this message.
    pub failed: Option<String>,
    /// The place and length of the line that holds the last message.
    answer: Option<(u64, u64)>,
}

/// What a transcript and an exit status say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How the task ended.
    pub status: Status,
    /// Nothing said so; it is the worst that can be taken for granted.
    pub inferred: bool,
}

impl Transcript {
    /// Takes in the next line of the stream, which stands at byte `at`.
    pub fn fold(&mut self, at: u64, line: Line<'_>) {
        let bytes = match line {
            Line::Whole(bytes) => bytes,
            Line::Overlong(length) => {
                self.missed = true;
                return self.warn(&format!("a line of {length} bytes was too long to be read"));
            }
        };
        let text = as_text(bytes);
        let Ok(event) = json::parse_but(&text, &UNREAD) else {
            // Codex prints JSON only; what else stands there is from what it runs, or cut off
            return;
        };
        let Some(kind) = event.get("type").and_then(Value::as_str) else { return };
        self.events += 1;
        let message = || event.get("message").and_then(Value::as_str).unwrap_or_default();
        match kind {
            "thread.started" => {
                self.thread = event.get("thread_id").and_then(Value::as_str).map(str::to_owned);
            }
            "turn.completed" => {
                self.completed = true;
                self.notice = None;
                self.running.clear();
                self.usage = event.get("usage").map(Usage::read);
            }
            "turn.failed" => {
                let error = event.get("error").and_then(|error| error.get("message"));
                let cause = error.and_then(Value::as_str).unwrap_or("no reason was given");
                self.failed = Some(beginning(cause, CAUSE));
                self.running.clear();
            }
            "error" => self.notice = Some(beginning(message(), CAUSE)),
            "item.started" | "item.updated" | "item.completed" => {
                if let Some(item) = event.get("item") {
                    let length = bytes.len().try_into().unwrap_or(u64::MAX);
                    self.item(kind == "item.completed", item, (at, length));
                }
            }
            _ => {}
        }
    }

    /// Takes in an item that began, changed or ended.
    fn item(&mut self, ended: bool, item: &Value<'_>, place: (u64, u64)) {
        // it goes on: what was tried again has worked
        self.notice = None;
        let text = |key| item.get(key).and_then(Value::as_str).unwrap_or_default();
        match text("type") {
            "agent_message" if ended && item.get("text").is_some() => {
                self.output = Some(excerpt(text("text")));
                self.latest.clone_from(&self.output);
                self.answer = Some(place);
            }
            "reasoning" if ended => {
                self.thinking = Some(excerpt(text("text")));
                self.latest.clone_from(&self.thinking);
            }
            "error" => self.warn(text("message")),
            "todo_list" => {
                let steps = item.get("items").and_then(Value::as_array).unwrap_or_default();
                let done = |s: &&Value<'_>| s.get("completed") == Some(&Value::Bool(true));
                let count = |n: usize| n.try_into().unwrap_or(u64::MAX);
                self.plan = Some((count(steps.iter().filter(done).count()), count(steps.len())));
            }
            kind => {
                if let Some(label) = label(kind, item) {
                    self.tool(ended, first_id(item), label);
                }
                if kind == "file_change" && ended && text("status") == "completed" {
                    let changes = item.get("changes").and_then(Value::as_array).unwrap_or_default();
                    for path in changes.iter().filter_map(|c| c.get("path")?.as_str()) {
                        if let Err(at) = self.files.binary_search_by(|file| file.as_str().cmp(path))
                        {
                            self.files.insert(at, path.to_owned());
                        }
                    }
                }
            }
        }
    }

    /// Takes in a tool that began or ended. Some begin without a word, some never end.
    fn tool(&mut self, ended: bool, id: &str, label: String) {
        let begun = self.running.iter().position(|(running, _)| running == id);
        if begun.is_none() {
            self.tools += 1;
        }
        match (begun, ended) {
            (Some(at), true) => drop(self.running.remove(at)),
            (None, false) => {
                if self.running.len() == BEGUN {
                    self.running.remove(0);
                }
                self.running.push((id.to_owned(), label.clone()));
            }
            _ => {}
        }
        self.last_tool = Some(label);
        self.latest.clone_from(&self.last_tool);
    }

    /// Keeps a warning, unless it was given before.
    fn warn(&mut self, text: &str) {
        let text = excerpt(text);
        if self.warnings.len() < WARNINGS && !self.warnings.contains(&text) {
            self.warnings.push(text);
        }
    }

    /// What is being done: the running tool that began last, else what was done last.
    pub fn doing(&self) -> Option<&str> {
        let running = self.running.last().map(|(_, label)| label.as_str());
        running.or(self.latest.as_deref())
    }

    /// The place and length of the line that holds the answer.
    pub fn answer(&self) -> Option<(u64, u64)> {
        self.answer
    }

    /// The words of the answer, out of the line that stands at [`Transcript::answer`].
    pub fn message_in(line: &[u8]) -> Option<String> {
        let line = as_text(line);
        let event = json::parse_but(&line, &UNREAD).ok()?;
        Some(event.get("item")?.get("text")?.as_str()?.to_owned())
    }

    /// How the task ended: by an unambiguous terminal event, else by the exit status, where a
    /// signal is a negative number, else as a failure that nobody saw.
    pub fn verdict(&self, exit: Option<i32>) -> Verdict {
        let (status, inferred) = match (self.completed, &self.failed, exit) {
            (true, None, _) | (true, Some(_), Some(0)) | (false, None, Some(0)) => {
                (Status::Completed, exit.is_none())
            }
            (_, _, exit) => (Status::Failed, exit.is_none()),
        };
        Verdict { status, inferred }
    }
}

/// A line as text. Bytes that are no UTF-8 must not cost the line; they become U+FFFD.
pub(super) fn as_text(line: &[u8]) -> Cow<'_, str> {
    // std's lossy reading goes byte by byte also where nothing is wrong
    std::str::from_utf8(line).map_or_else(|_| String::from_utf8_lossy(line), Cow::Borrowed)
}

/// Whether a line can only be an item. Codex writes an event's type first, and an item is no
/// terminal event: who looks only for those need not read it.
pub fn is_item(line: &[u8]) -> bool {
    line.starts_with(br#"{"type":"item."#)
}

/// The id of an item. A `web_search` has two, and only the first one is Codex's own numbering.
pub(super) fn first_id<'a>(item: &'a Value<'_>) -> &'a str {
    let members = item.as_object().unwrap_or_default();
    members.iter().find(|(key, _)| key == "id").and_then(|(_, id)| id.as_str()).unwrap_or_default()
}

/// What a tool call is called in one line, or nothing if the item is no tool call.
pub(super) fn label(kind: &str, item: &Value<'_>) -> Option<String> {
    let text = |key| item.get(key).and_then(Value::as_str).unwrap_or_default();
    let (name, what) = match kind {
        "command_execution" => (Cow::Borrowed("exec_command"), inner_command(text("command"))),
        "file_change" => {
            let changes = item.get("changes").and_then(Value::as_array).unwrap_or_default();
            let paths: Vec<&str> = changes.iter().filter_map(|c| c.get("path")?.as_str()).collect();
            (Cow::Borrowed("apply_patch"), paths.join(", "))
        }
        "mcp_tool_call" => {
            let arguments = item.get("arguments").map(Value::to_json).unwrap_or_default();
            (Cow::Owned(format!("{}.{}", text("server"), text("tool"))), arguments)
        }
        "collab_tool_call" => (Cow::Borrowed(text("tool")), text("prompt").to_owned()),
        "web_search" => (Cow::Borrowed("web_search"), text("query").to_owned()),
        _ => return None,
    };
    Some(format!("{name}({})", excerpt(&what)))
}

/// The command inside of `/bin/bash -lc '…'`, which is how Codex writes every one.
pub(super) fn inner_command(command: &str) -> String {
    let shell = command.split_once(" -lc ").or_else(|| command.split_once(" -c "));
    let Some((_, script)) = shell.filter(|(shell, _)| !shell.contains(' ')) else {
        return command.to_owned();
    };
    let inside = |quote| script.strip_prefix(quote)?.strip_suffix(quote);
    if let Some(script) = inside('\'') {
        script.replace("'\\''", "'")
    } else if let Some(script) = inside('"') {
        script.replace("\\\"", "\"").replace("\\\\", "\\")
    } else {
        script.to_owned()
    }
}

/// The beginning of a text, on one line.
pub fn excerpt(text: &str) -> String {
    let mut short = beginning(text, EXCERPT);
    if short.chars().any(char::is_control) {
        short = short.chars().map(visible).collect();
    }
    let words = short.trim();
    if words.len() < short.len() { words.to_owned() } else { short }
}

/// The first characters of a text, and a sign that there are more.
pub(super) fn beginning(text: &str, limit: usize) -> String {
    // no text has more characters than bytes
    let more = if text.len() > limit { text.char_indices().nth(limit) } else { None };
    match more {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// A character that moves no cursor.
fn visible(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Folds a whole stream.
    fn fold(stream: &str) -> Transcript {
        let mut transcript = Transcript::default();
        let mut lines = crate::lines::Lines::new(1 << 20);
        lines.feed(stream.as_bytes(), |at, line| transcript.fold(at, line));
        lines.finish(|at, line| transcript.fold(at, line));
        transcript
    }

    /// An `item.KIND` line.
    fn item(kind: &str, item: &str) -> String {
        format!("{{\"type\":\"item.{kind}\",\"item\":{{{item}}}}}\n")
    }

    #[test]
    fn tools_are_counted_once_each_whether_they_begin_end_or_both() {
        let command =
            r#""id":"i0","type":"command_execution","command":"/bin/bash -lc 'echo '\\''a'\\'''""#;
        let stream = item("started", command)
            + &item("updated", command)
            + &item("completed", command)
            + &item(
                "completed",
                r#""id":"i1","type":"mcp_tool_call","server":"s","tool":"t","arguments":{"a":1}"#,
            )
            + &item("started", r#""id":"i2","type":"web_search","id":"x","query":"rust""#)
            + &item("completed", r#""id":"i2","type":"web_search","id":"y","query":"rust""#)
            + &item(
                "started",
                r#""id":"i3","type":"command_execution","command":"/bin/sh -c \"ls \\\"b\\\"\"""#,
            );
        let transcript = fold(&stream);
        assert_eq!(transcript.tools, 4);
        assert_eq!(transcript.doing(), Some("exec_command(ls \"b\")"));
        assert_eq!(transcript.last_tool.as_deref(), Some("exec_command(ls \"b\")"));
        let ended = fold(&(stream + "{\"type\":\"turn.completed\"}"));
        assert_eq!(ended.running, []);
    }

    #[test]
    fn of_what_never_ends_not_all_is_kept() {
        let begun = |number: usize| {
            item("started", &format!(r#""id":"i{number}","type":"web_search","query":"q{number}""#))
        };
        let transcript = fold(&(0..1000).map(begun).collect::<Vec<_>>().concat());
        assert_eq!((transcript.tools, transcript.running.len()), (1000, BEGUN));
        assert_eq!(transcript.doing(), Some("web_search(q999)"));
    }

    #[test]
    fn labels_say_what_is_done() {
        for (json, expected) in [
            (
                r#"{"type":"command_execution","command":"/bin/bash -lc 'echo '\\''a'\\'''"}"#,
                "exec_command(echo 'a')",
            ),
            (r#"{"type":"command_execution","command":"bash -lc ls"}"#, "exec_command(ls)"),
            (
                r#"{"type":"command_execution","command":"git commit -c x"}"#,
                "exec_command(git commit -c x)",
            ),
            (
                r#"{"type":"file_change","changes":[{"path":"/a"},{"path":"/b"}]}"#,
                "apply_patch(/a, /b)",
            ),
            (
                r#"{"type":"mcp_tool_call","server":"s","tool":"t","arguments":{"a":1}}"#,
                r#"s.t({"a":1})"#,
            ),
            (r#"{"type":"collab_tool_call","tool":"wait","prompt":null}"#, "wait()"),
            (r#"{"type":"web_search","query":"q\u001b[2J"}"#, "web_search(q [2J)"),
        ] {
            let value = json::parse(json.as_bytes()).expect(json);
            let kind = value.get("type").and_then(Value::as_str).expect("a type");
            assert_eq!(label(kind, &value).as_deref(), Some(expected));
        }
    }

    #[test]
    fn the_answer_is_the_last_message_and_is_found_again() {
        let message = |text: &str| {
            item("completed", &format!(r#""id":"i","type":"agent_message","text":"{text}""#))
        };
        let stream = message("first") + "garbage\n" + &message("l\\u2028\\ud800ast");
        let transcript = fold(&stream);
        let (at, length) = transcript.answer().expect("an answer");
        let (at, length) = (usize::try_from(at).unwrap(), usize::try_from(length).unwrap());
        let answer = Transcript::message_in(&stream.as_bytes()[at..at + length]);
        assert_eq!(answer.as_deref(), Some("l\u{2028}\u{fffd}ast"));
        assert_eq!(transcript.events, 2);
    }

    #[test]
    fn the_verdict_is_the_terminal_event_then_the_exit_status_then_a_guess_that_says_so() {
        let done = "{\"type\":\"turn.completed\"}\n";
        let failed = "{\"type\":\"turn.failed\",\"error\":{\"message\":\"m\"}}\n";
        let retry = "{\"type\":\"error\",\"message\":\"Reconnecting... 1/5\"}\n";
        let both = done.to_owned() + failed;
        let (ok, bad) = (Status::Completed, Status::Failed);
        for (stream, exit, status, inferred) in [
            (done, Some(0), ok, false),
            (done, Some(101), ok, false),
            (done, Some(-9), ok, false),
            (done, None, ok, true),
            (failed, Some(0), bad, false),
            (failed, Some(1), bad, false),
            (failed, None, bad, true),
            (&both, Some(0), ok, false),
            (&both, Some(1), bad, false),
            (&both, None, bad, true),
            (retry, Some(0), ok, false),
            (retry, Some(1), bad, false),
            ("", Some(0), ok, false),
            ("", Some(-15), bad, false),
            ("", None, bad, true),
        ] {
            let verdict = fold(stream).verdict(exit);
            assert_eq!(verdict, Verdict { status, inferred }, "{stream} {exit:?}");
        }
    }

    #[test]
    fn what_is_broken_costs_no_more_than_itself() {
        let mut transcript = Transcript::default();
        transcript.fold(0, Line::Whole(b"{\"type\":\"error\",\"message\":\"a\xffb\"}"));
        assert_eq!(transcript.notice.as_deref(), Some("a\u{fffd}b"));
        for line in ["", "5", "[]", "{}", "{\"type\":5}", "{\"type\":\"new.event\"}", "{\"ty"] {
            transcript.fold(0, Line::Whole(line.as_bytes()));
        }
        transcript.fold(0, Line::Overlong(1 << 30));
        assert_eq!(transcript.warnings.len(), 1);
        assert_eq!(transcript.events, 2);
    }
}
