//! Codex's events as lines for a person to read. Knows neither colours nor the clock.
//!
//! What Codex repeats (a plan that has not changed, the command at its end) is told once. Texts are
//! as Codex gave them: who shows them has to see to it that they do no harm.

use super::event::{Event, Item, as_text, beginning, excerpt, script};
use super::transcript::BEGUN;
use crate::json::Value;
use crate::lines::Line;
use crate::task::Usage;

/// How many lines of a command's output are told, its last ones.
const OUTPUT: usize = 10;

/// The longest line of such an output, in characters.
const LINE: usize = 400;

/// What kind of line it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// What Codex says.
    Message,
    /// What it thinks, and what is of little weight.
    Aside,
    /// What it does.
    Deed,
    /// That something went well.
    Good,
    /// That something went wrong.
    Bad,
    /// What it warns of.
    Notice,
}

/// What was told of a transcript so far.
#[derive(Debug, Default)]
pub struct Story {
    /// What has begun and not ended: item ids, and when that was.
    begun: Vec<(String, Option<u64>)>,
    /// The item that was told last.
    last: String,
    /// The plan, as it was told last.
    plan: String,
    /// What the thread had used before.
    before: Usage,
}

impl Story {
    /// The story of a turn, where the thread had used so much before.
    pub fn new(before: Usage) -> Story {
        Story { before, ..Story::default() }
    }

    /// Tells a line of the transcript, which came at the moment `when`, in milliseconds.
    pub fn tell(&mut self, line: Line<'_>, when: Option<u64>) -> Vec<(Tone, String)> {
        let bytes = match line {
            Line::Whole(bytes) => bytes,
            Line::Overlong(length) => {
                return vec![(Tone::Notice, format!("a line of {length} bytes is left out"))];
            }
        };
        let text = as_text(bytes);
        let told = Event::read(&text).and_then(|event| self.event(&event, when));
        told.unwrap_or_else(|| match text.trim() {
            "" => Vec::new(),
            text => vec![(Tone::Aside, excerpt(text))],
        })
    }

    /// Tells an event. `None`: it is none that is known.
    fn event(&mut self, event: &Event<'_>, when: Option<u64>) -> Option<Vec<(Tone, String)>> {
        let one = |tone, text| Some(vec![(tone, text)]);
        match &*event.kind.text() {
            "thread.started" => one(Tone::Aside, format!("thread {}", event.thread_id.string()?)),
            "turn.started" => Some(Vec::new()),
            "turn.completed" => {
                let usage = Usage::read(&event.usage.there()?.value()).since(self.before);
                let Usage { input, cached, output, .. } = usage;
                one(Tone::Aside, format!("tokens: in {input}, cached {cached}, out {output}"))
            }
            "turn.failed" => {
                let error = event.error.value();
                let cause = error.get("message").and_then(Value::as_str)?;
                one(Tone::Bad, format!("failed: {cause}"))
            }
            "error" => one(Tone::Notice, format!("notice: {}", event.message.string()?)),
            "item.started" | "item.updated" => self.item(&event.item, false, when),
            "item.completed" => self.item(&event.item, true, when),
            _ => None,
        }
    }

    /// Tells an item that has begun, changed or ended.
    fn item(
        &mut self,
        item: &Item<'_>,
        ended: bool,
        when: Option<u64>,
    ) -> Option<Vec<(Tone, String)>> {
        let kind = &*item.kind.text();
        if matches!(kind, "agent_message" | "reasoning" | "error" | "todo_list") {
            self.last.clear();
        }
        let one = |tone, text: String| Some(if ended { vec![(tone, text)] } else { Vec::new() });
        match kind {
            "agent_message" => return one(Tone::Message, item.text.text().into_owned()),
            "reasoning" => return one(Tone::Aside, item.text.text().into_owned()),
            "error" => return one(Tone::Notice, format!("warning: {}", item.message.text())),
            "todo_list" => return Some(self.plan(item)),
            _ => {}
        }
        let label = item.label()?;
        let id = &*item.id.text();
        let begun = self.begun.iter().position(|(begun, _)| begun == id);
        let mut told = Vec::new();
        // which files it changes is known at its end; of the others it is said what they are, at the
        // end once more if something else was told in between
        if kind != "file_change" && (begun.is_none() || ended && self.last != id) {
            told.push((
                Tone::Deed,
                match kind {
                    "command_execution" => format!("$ {}", script(&item.command.text())),
                    _ => label,
                },
            ));
        }
        if !told.is_empty() {
            id.clone_into(&mut self.last);
        }
        if ended {
            let since = begun.and_then(|at| self.begun.remove(at).1);
            let took = since.zip(when).map(|(since, when)| when.saturating_sub(since));
            told.extend(outcome(kind, item, took));
        } else if begun.is_none() {
            if self.begun.len() == BEGUN {
                self.begun.remove(0);
            }
            self.begun.push((id.to_owned(), when));
        }
        Some(told)
    }

    /// Tells the plan, if it is another one than before.
    fn plan(&mut self, item: &Item<'_>) -> Vec<(Tone, String)> {
        let steps = item.steps.value();
        let steps = steps.as_array().unwrap_or_default();
        let (mut plan, mut done) = (String::new(), 0);
        for step in steps {
            let over = step.get("completed") == Some(&Value::Bool(true));
            done += u32::from(over);
            let text = step.get("text").and_then(Value::as_str).unwrap_or_default();
            plan.push_str(if over { "\n[x] " } else { "\n[ ] " });
            plan.push_str(&excerpt(text));
        }
        if plan == self.plan {
            return Vec::new();
        }
        let told = format!("plan {done}/{}{plan}", steps.len());
        self.plan = plan;
        vec![(Tone::Deed, told)]
    }
}

/// Tells how an item ended, and how long that took.
fn outcome(kind: &str, item: &Item<'_>, took: Option<u64>) -> Vec<(Tone, String)> {
    let status = item.status.text();
    let mut told = Vec::new();
    match kind {
        "command_execution" => {
            told.extend(output(&item.output.text()).map(|text| (Tone::Aside, text)));
            let exit = item.exit_code.value().as_i64();
            let how = exit.map_or_else(|| status.into_owned(), |exit| format!("exit {exit}"));
            let took = took.map(|took| format!(", {}.{}s", took / 1000, took / 100 % 10));
            let tone = if exit == Some(0) { Tone::Good } else { Tone::Bad };
            told.push((tone, how + &took.unwrap_or_default()));
        }
        "file_change" => {
            let changes = item.changes.value();
            for change in changes.as_array().unwrap_or_default() {
                let text = |key| change.get(key).and_then(Value::as_str).unwrap_or_default();
                told.push((Tone::Deed, format!("{} {}", text("kind"), text("path"))));
            }
            if status != "completed" {
                told.push((Tone::Bad, status.into_owned()));
            }
        }
        "mcp_tool_call" => {
            let (error, result) = (item.error.value(), item.result.value());
            let error = error.get("message");
            // a tool may also fail by what it answers
            let answer = || result.get("content")?.as_array()?.first()?.get("text");
            told.push(if error.is_some() || status == "failed" {
                let why = error.or_else(answer).and_then(Value::as_str).unwrap_or("failed");
                (Tone::Bad, why.to_owned())
            } else {
                (Tone::Good, "ok".into())
            });
        }
        _ => {}
    }
    told
}

/// The end of what a command printed.
fn output(text: &str) -> Option<String> {
    let text = text.trim_end();
    let count = text.lines().count();
    let left_out = count.saturating_sub(OUTPUT);
    let last = text.lines().skip(left_out).map(|line| beginning(line, LINE));
    let mut lines: Vec<String> = last.collect();
    if left_out > 0 {
        lines.insert(0, format!("… {left_out} lines before"));
    }
    (count > 0).then(|| lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tells a stream whose lines came a second apart.
    fn tell(stream: &str) -> Vec<(Tone, String)> {
        let mut story = Story::new(Usage { input: 100, cached: 0, output: 1, reasoning: 0 });
        let lines = stream.lines().zip(0..);
        lines
            .flat_map(|(line, at)| story.tell(Line::Whole(line.as_bytes()), Some(at * 1000)))
            .collect()
    }

    #[test]
    fn every_kind_of_event_is_told() {
        let stream = r#"{"type":"thread.started","thread_id":"t-1"}
{"type":"turn.started"}
{"type":"item.completed","item":{"id":"i0","type":"reasoning","text":"**Look** first"}}
{"type":"item.started","item":{"id":"i1","type":"command_execution","command":"/bin/bash -lc 'cargo test'","status":"in_progress"}}
{"type":"item.started","item":{"id":"i2","type":"mcp_tool_call","server":"s","tool":"t","arguments":{"a":1}}}
{"type":"item.completed","item":{"id":"i1","type":"command_execution","command":"/bin/bash -lc 'cargo test'","aggregated_output":"a\nb\n","exit_code":101,"status":"failed"}}
{"type":"item.completed","item":{"id":"i2","type":"mcp_tool_call","server":"s","tool":"t","arguments":{"a":1},"error":{"message":"no"}}}
{"type":"item.completed","item":{"id":"i3","type":"file_change","changes":[{"path":"/a","kind":"add"},{"path":"/b","kind":"update"}],"status":"completed"}}
{"type":"item.started","item":{"id":"i4","type":"todo_list","items":[{"text":"one","completed":true},{"text":"two","completed":false}]}}
{"type":"item.completed","item":{"id":"i4","type":"todo_list","items":[{"text":"one","completed":true},{"text":"two","completed":false}]}}
{"type":"item.completed","item":{"id":"i5","type":"web_search","id":"x","query":"rust"}}
{"type":"error","message":"Reconnecting... 1/5"}
{"type":"item.completed","item":{"id":"i6","type":"error","message":"careful"}}
{"type":"item.completed","item":{"id":"i7","type":"agent_message","text":"All\ndone"}}
{"type":"turn.completed","usage":{"input_tokens":300,"cached_input_tokens":20,"output_tokens":8}}
{"type":"turn.failed","error":{"message":"why"}}
{"type":"unheard.of"}
{"type":"turn.completed"}
{"type":"error","message":5}
no json
"#;
        let expected = [
            (Tone::Aside, "thread t-1"),
            (Tone::Aside, "**Look** first"),
            (Tone::Deed, "$ cargo test"),
            (Tone::Deed, "s.t({\"a\":1})"),
            (Tone::Deed, "$ cargo test"),
            (Tone::Aside, "a\nb"),
            (Tone::Bad, "exit 101, 2.0s"),
            (Tone::Deed, "s.t({\"a\":1})"),
            (Tone::Bad, "no"),
            (Tone::Deed, "add /a"),
            (Tone::Deed, "update /b"),
            (Tone::Deed, "plan 1/2\n[x] one\n[ ] two"),
            (Tone::Deed, "web_search(rust)"),
            (Tone::Notice, "notice: Reconnecting... 1/5"),
            (Tone::Notice, "warning: careful"),
            (Tone::Message, "All\ndone"),
            (Tone::Aside, "tokens: in 200, cached 20, out 7"),
            (Tone::Bad, "failed: why"),
            (Tone::Aside, "{\"type\":\"unheard.of\"}"),
            (Tone::Aside, "{\"type\":\"turn.completed\"}"),
            (Tone::Aside, "{\"type\":\"error\",\"message\":5}"),
            (Tone::Aside, "no json"),
        ];
        let told = tell(stream);
        let told: Vec<(Tone, &str)> =
            told.iter().map(|(tone, text)| (*tone, text.as_str())).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn of_a_long_output_the_end_is_told() {
        let long = (1..=30).map(|n| format!("line {n}\n")).collect::<Vec<_>>().concat();
        let told = output(&long).expect("an output");
        assert!(told.starts_with("… 20 lines before\nline 21\n") && told.ends_with("\nline 30"));
        assert_eq!(output("\n \n"), None);
        assert_eq!(output(&"x".repeat(1000)).map(|told| told.chars().count()), Some(LINE + 1));
        let story = Story::default().tell(Line::Overlong(1 << 30), None);
        assert_eq!(story[0].1, "a line of 1073741824 bytes is left out");
    }
}
