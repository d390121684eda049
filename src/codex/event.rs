//! A line of `codex exec --json` as an event, and short words for it. Knows no line but this one.

use crate::json::{self, Raw};
use std::borrow::Cow;

/// The longest excerpt that is kept of anything, in characters.
pub(super) const EXCERPT: usize = 200;

/// An event: its members, as they stand in the line. Of duplicates the first counts: a `web_search` has
/// two ids, and the first one is Codex's own numbering.
#[derive(Debug, Default)]
pub struct Event<'a> {
    /// What kind of event it is, as `item.started`.
    pub kind: Raw<'a>,
    /// The thread's id.
    pub thread_id: Raw<'a>,
    /// The message of a notice.
    pub message: Raw<'a>,
    /// Why the turn failed.
    pub error: Raw<'a>,
    /// The tokens of the thread.
    pub usage: Raw<'a>,
    /// What it is about.
    pub item: Item<'a>,
}

/// What an event of a turn is about. Each kind has members of its own.
#[derive(Debug, Default)]
pub struct Item<'a> {
    /// Its id.
    pub id: Raw<'a>,
    /// What kind of item it is, as `command_execution`.
    pub kind: Raw<'a>,
    /// The words of a message, or of a thought.
    pub text: Raw<'a>,
    /// The words of a warning.
    pub message: Raw<'a>,
    /// The steps of a plan.
    pub steps: Raw<'a>,
    /// A command, with the shell that runs it.
    pub command: Raw<'a>,
    /// What the command printed.
    pub output: Raw<'a>,
    /// The command's exit status.
    pub exit_code: Raw<'a>,
    /// How far it is.
    pub status: Raw<'a>,
    /// The files that are changed.
    pub changes: Raw<'a>,
    /// The server of a tool.
    server: Raw<'a>,
    /// The tool.
    tool: Raw<'a>,
    /// What the tool is given.
    arguments: Raw<'a>,
    /// What the tool answered.
    pub result: Raw<'a>,
    /// Why the tool failed.
    pub error: Raw<'a>,
    /// What another thread is told.
    prompt: Raw<'a>,
    /// What is searched for.
    query: Raw<'a>,
}

impl<'a> Event<'a> {
    /// Reads a line. `None`: Codex prints JSON objects only; what else stands there is from what it
    /// runs, or cut off.
    pub fn read(line: &'a str) -> Option<Event<'a>> {
        Event::until(&[], line)
    }

    /// As [`Event::read`], but of a command and a tool it reads only what they are, up to what came of
    /// them: that can be long, and stands behind it.
    pub fn glance(line: &'a str) -> Option<Event<'a>> {
        Event::until(&["aggregated_output", "result"], line)
    }

    /// Reads a line up to one of these members of its item.
    fn until(last: &[&str], line: &'a str) -> Option<Event<'a>> {
        let mut event = Event::default();
        let read = json::pick(line, "item", last, &mut |depth, name, raw| {
            let Event { kind, thread_id, message, error, usage, item } = &mut event;
            let place = match (depth, name) {
                (1, "type") => kind,
                (1, "thread_id") => thread_id,
                (1, "message") => message,
                (1, "error") => error,
                (1, "usage") => usage,
                (2, "id") => &mut item.id,
                (2, "type") => &mut item.kind,
                (2, "text") => &mut item.text,
                (2, "message") => &mut item.message,
                (2, "items") => &mut item.steps,
                (2, "command") => &mut item.command,
                (2, "aggregated_output") => &mut item.output,
                (2, "exit_code") => &mut item.exit_code,
                (2, "status") => &mut item.status,
                (2, "changes") => &mut item.changes,
                (2, "server") => &mut item.server,
                (2, "tool") => &mut item.tool,
                (2, "arguments") => &mut item.arguments,
                (2, "result") => &mut item.result,
                (2, "error") => &mut item.error,
                (2, "prompt") => &mut item.prompt,
                (2, "query") => &mut item.query,
                _ => return,
            };
            if place.is_none() {
                *place = raw;
            }
        });
        (read.is_ok() && event.kind.text() != "").then_some(event)
    }
}

impl Item<'_> {
    /// The paths of the files that are changed.
    pub fn paths(&self) -> Vec<String> {
        let changes = self.changes.value();
        let changes = changes.as_array().unwrap_or_default();
        changes.iter().filter_map(|change| Some(change.get("path")?.as_str()?.to_owned())).collect()
    }

    /// What a tool call is called in one line, or nothing if it is no tool call.
    pub fn label(&self) -> Option<String> {
        Some(match &*self.kind.text() {
            "command_execution" => labelled("exec_command", &script(&self.command.text())),
            "file_change" => labelled("apply_patch", &self.paths().join(", ")),
            "mcp_tool_call" => {
                let name = [self.server.text(), ".".into(), self.tool.text()].concat();
                let given = self.arguments.there().map(|given| given.value().to_json());
                labelled(&name, &given.unwrap_or_default())
            }
            "collab_tool_call" => labelled(&self.tool.text(), &self.prompt.text()),
            "web_search" => labelled("web_search", &self.query.text()),
            _ => return None,
        })
    }
}

/// A tool and what it is used on.
fn labelled(name: &str, what: &str) -> String {
    let mut label = String::with_capacity(name.len().min(EXCERPT) + what.len().min(EXCERPT) + 2);
    add_excerpt(&mut label, name);
    label.push('(');
    add_excerpt(&mut label, what);
    label.push(')');
    label
}

/// The command inside of `/bin/bash -lc '…'`, which is how Codex writes every one.
pub fn script(command: &str) -> Cow<'_, str> {
    let shell = command.split_once(" -lc ").or_else(|| command.split_once(" -c "));
    let Some((_, script)) = shell.filter(|(shell, _)| !shell.contains(' ')) else {
        return command.into();
    };
    let inside = |quote| script.strip_prefix(quote)?.strip_suffix(quote);
    let (text, escaped) = match (inside('\''), inside('"')) {
        (Some(text), _) => (text, "'\\''"),
        (None, Some(text)) => (text, "\\"),
        (None, None) => return script.into(),
    };
    if !text.contains(escaped) {
        text.into()
    } else if escaped == "\\" {
        text.replace("\\\"", "\"").replace("\\\\", "\\").into()
    } else {
        text.replace(escaped, "'").into()
    }
}

/// The beginning of a text, on one line.
pub fn excerpt(text: &str) -> String {
    let mut short = String::new();
    add_excerpt(&mut short, text);
    short
}

/// Adds the beginning of a text, on one line.
fn add_excerpt(out: &mut String, text: &str) {
    let end = end_of(text, EXCERPT);
    let blank = |c: char| c.is_whitespace() || c.is_control();
    let mut short = text.get(..end.unwrap_or(text.len())).unwrap_or_default();
    short = short.trim_start_matches(blank);
    if end.is_none() {
        short = short.trim_end_matches(blank);
    }
    if short.bytes().all(|b| matches!(b, b' '..=b'~')) {
        out.push_str(short);
    } else {
        // a control character would move the cursor
        out.extend(short.chars().map(|c| if c.is_control() { ' ' } else { c }));
    }
    if end.is_some() {
        out.push('…');
    }
}

/// The first characters of a text, and a sign that there are more.
pub fn beginning(text: &str, limit: usize) -> String {
    let end = end_of(text, limit);
    let mut short = text.get(..end.unwrap_or(text.len())).unwrap_or_default().to_owned();
    if end.is_some() {
        short.push('…');
    }
    short
}

/// Where the first characters of a text end, if it has more.
fn end_of(text: &str, limit: usize) -> Option<usize> {
    // no text has more characters than bytes, and mostly it has as many
    if text.as_bytes().get(..limit)?.is_ascii() {
        return (text.len() > limit).then_some(limit);
    }
    text.char_indices().nth(limit).map(|(end, _)| end)
}

/// A line as text. Bytes that are no UTF-8 must not cost the line; they become U+FFFD.
pub fn as_text(line: &[u8]) -> Cow<'_, str> {
    // std's lossy reading goes byte by byte also where nothing is wrong
    std::str::from_utf8(line).map_or_else(|_| String::from_utf8_lossy(line), Cow::Borrowed)
}

/// Whether a line can only be an item. Codex writes an event's type first, and an item is no
/// terminal event: who looks only for those need not read it.
pub fn is_item(line: &[u8]) -> bool {
    line.starts_with(br#"{"type":"item."#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_say_what_is_done() {
        for (item, expected) in [
            (
                r#"{"type":"command_execution","command":"/bin/bash -lc 'echo '\\''a'\\'''"}"#,
                Some("exec_command(echo 'a')"),
            ),
            (r#"{"type":"command_execution","command":"bash -lc ls"}"#, Some("exec_command(ls)")),
            (
                r#"{"type":"command_execution","command":"/bin/sh -c \"ls \\\"b\\\\\\\"\""}"#,
                Some(r#"exec_command(ls "b\")"#),
            ),
            (
                r#"{"type":"command_execution","command":"git commit -c x"}"#,
                Some("exec_command(git commit -c x)"),
            ),
            (
                r#"{"type":"file_change","changes":[{"path":"/a"},{"path":"/b"}]}"#,
                Some("apply_patch(/a, /b)"),
            ),
            (
                r#"{"type":"mcp_tool_call","server":"s","tool":"t","arguments":{"a":1}}"#,
                Some(r#"s.t({"a":1})"#),
            ),
            (r#"{"type":"collab_tool_call","tool":"wait","prompt":null}"#, Some("wait()")),
            (r#"{"type":"web_search","query":"q\u001b[2J"}"#, Some("web_search(q [2J)")),
            (r#"{"type":"agent_message","text":"x"}"#, None),
        ] {
            let line = format!("{{\"type\":\"item.started\",\"item\":{item}}}");
            let label = Event::read(&line).and_then(|event| event.item.label());
            assert_eq!(label.as_deref(), expected, "{item}");
        }
    }

    #[test]
    fn an_excerpt_is_one_short_line() {
        let long = "é".repeat(EXCERPT);
        for (text, short) in [
            ("", String::new()),
            (" \n\u{1b} ", String::new()),
            ("\u{85} a\tb\n", "a b".to_owned()),
            (&"x".repeat(EXCERPT), "x".repeat(EXCERPT)),
            (&"x".repeat(EXCERPT + 1), "x".repeat(EXCERPT) + "…"),
            (&long, long.clone()),
            (&(long.clone() + "e"), long.clone() + "…"),
            (&("x ".repeat(EXCERPT)), "x ".repeat(EXCERPT / 2) + "…"),
        ] {
            assert_eq!(excerpt(text), short, "{text:?}");
        }
        assert_eq!(beginning("a\nbcd", 3), "a\nb…");
    }
}
