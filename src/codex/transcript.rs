//! The JSONL stream of `codex exec --json`, folded line by line into what is worth knowing.
//!
//! The fold keeps no text but short excerpts: where the answer stands in the stream is enough to
//! read it again, and so a thousand tasks with long answers cost next to nothing.

use super::event::{Event, Item, as_text, beginning, excerpt};
use crate::json::Value;
use crate::lines::Line;
use crate::task::{Status, Usage};
use std::borrow::Cow;

/// The longest beginning of an error message that is kept, in characters.
const CAUSE: usize = 2000;

/// How many items are known that have begun and not ended. Codex runs a few at a time; a stream of
/// nothing but beginnings must not take ever longer.
pub(super) const BEGUN: usize = 256;

/// How many warnings are kept; they tend to repeat.
const WARNINGS: usize = 5;

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
    /// What was done last.
    latest: Latest,
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

/// What was done last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Latest {
    /// A tool was called.
    #[default]
    Tool,
    /// Something was said.
    Output,
    /// Something was thought.
    Thinking,
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
        let Some(event) = Event::glance(&text) else { return };
        self.events += 1;
        let kind = event.kind.text();
        match &*kind {
            "thread.started" => self.thread = event.thread_id.string().map(|id| excerpt(&id)),
            "turn.completed" => {
                self.completed = true;
                self.notice = None;
                self.running.clear();
                self.usage = event.usage.there().map(|usage| Usage::read(&usage.value()));
            }
            "turn.failed" => {
                let error = event.error.value();
                let cause = error.get("message").and_then(Value::as_str);
                self.failed = Some(beginning(cause.unwrap_or("no reason was given"), CAUSE));
                self.running.clear();
            }
            "error" => self.notice = Some(beginning(&event.message.text(), CAUSE)),
            "item.started" | "item.updated" | "item.completed" => {
                let length = bytes.len().try_into().unwrap_or(u64::MAX);
                self.item(&*kind == "item.completed", &event.item, (at, length));
            }
            _ => {}
        }
    }

    /// Takes in an item that began, changed or ended.
    fn item(&mut self, ended: bool, item: &Item<'_>, place: (u64, u64)) {
        // it goes on: what was tried again has worked
        self.notice = None;
        match &*item.kind.text() {
            "agent_message" if ended && !item.text.is_none() => {
                self.output = Some(excerpt(&item.text.text()));
                self.latest = Latest::Output;
                self.answer = Some(place);
            }
            "reasoning" if ended => {
                self.thinking = Some(excerpt(&item.text.text()));
                self.latest = Latest::Thinking;
            }
            "error" => self.warn(&item.message.text()),
            "todo_list" => {
                let steps = item.steps.value();
                let steps = steps.as_array().unwrap_or_default();
                let done = |s: &&Value<'_>| s.get("completed") == Some(&Value::Bool(true));
                let count = |n: usize| n.try_into().unwrap_or(u64::MAX);
                self.plan = Some((count(steps.iter().filter(done).count()), count(steps.len())));
            }
            kind => {
                if let Some(label) = item.label() {
                    self.tool(ended, excerpt(&item.id.text()), label);
                }
                if kind == "file_change" && ended && item.status.text() == "completed" {
                    for path in item.paths() {
                        if let Err(at) = self.files.binary_search(&path) {
                            self.files.insert(at, path);
                        }
                    }
                }
            }
        }
    }

    /// Takes in a tool that began or ended. Some begin without a word, some never end.
    fn tool(&mut self, ended: bool, id: String, label: String) {
        let begun = self.running.iter().position(|(running, _)| *running == id);
        if begun.is_none() {
            self.tools += 1;
        }
        match (begun, ended) {
            (Some(at), true) => drop(self.running.remove(at)),
            (None, false) => {
                if self.running.len() == BEGUN {
                    self.running.remove(0);
                }
                self.running.push((id, label.clone()));
            }
            _ => {}
        }
        self.last_tool = Some(label);
        self.latest = Latest::Tool;
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
        let latest = match self.latest {
            Latest::Tool => &self.last_tool,
            Latest::Output => &self.output,
            Latest::Thinking => &self.thinking,
        };
        running.or(latest.as_deref())
    }

    /// The place and length of the line that holds the answer.
    pub fn answer(&self) -> Option<(u64, u64)> {
        self.answer
    }

    /// The words of the answer, out of the line that stands at [`Transcript::answer`].
    pub fn message_in(line: &[u8]) -> Option<String> {
        let line = as_text(line);
        Event::glance(&line)?.item.text.string().map(Cow::into_owned)
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

#[cfg(test)]
mod tests {
    use super::super::event::EXCERPT;
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
    fn what_is_kept_of_a_call_is_short_and_on_one_line() {
        let long = "a\\n\\u001b[2J".repeat(2000);
        let item = |item: &str| item.replace("LONG", &long);
        let stream = self::item(
            "started",
            &item(r#""id":"LONG","type":"mcp_tool_call","server":"LONG","tool":"LONG""#),
        ) + &self::item(
            "started",
            &item(r#""id":"2 LONG","type":"collab_tool_call","tool":"LONG""#),
        ) + &format!("{{\"type\":\"thread.started\",\"thread_id\":\"{long}\"}}");
        let transcript = fold(&stream);
        let kept = transcript.running.iter().flat_map(|(id, label)| [id, label]);
        for text in kept.chain(&transcript.last_tool).chain(&transcript.thread) {
            assert!(text.chars().count() < 2 * EXCERPT + 9, "{}", text.len());
            assert!(!text.contains(char::is_control), "{text:?}");
        }
        assert!(transcript.thread.is_some() && transcript.tools == 2);
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
        let nameless =
            "{\"type\":\"thread.started\"}\n{\"type\":\"thread.started\",\"thread_id\":5}";
        assert_eq!(fold(nameless).thread, None);
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
