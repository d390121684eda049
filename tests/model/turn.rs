//! What a request says: its script, what the tools have put out since, and so the step to go on at.

use std::fmt;

use crate::json::{self, Value};
use crate::script::{self, Action, Step};

/// How texts begin that codex sends in the user's name and the user did not write.
const CONTEXT: [&str; 12] = [
    "# AGENTS.md",
    "<INSTRUCTIONS",
    "<apps",
    "<collaboration",
    "<environment_context",
    "<permissions",
    "<plugins",
    "<skills",
    "<subagent",
    "<turn_aborted",
    "<user_instructions",
    "<user_shell",
];

/// A request, understood.
pub struct Turn<'a> {
    /// The last message of the user.
    pub prompt: String,
    /// Where in the conversation that message stands.
    pub position: usize,
    /// The prompt's steps.
    pub steps: Vec<Step>,
    /// Where in the steps this request is.
    pub place: Place,
    /// What tools have put out since the prompt, in order.
    pub outputs: Vec<Output>,
    /// The JSON schema that the answer has to have.
    pub schema: Option<&'a Value<'a>>,
}

/// Where in its steps a request is.
#[derive(Debug, PartialEq)]
pub enum Place {
    /// Before this step.
    Before(usize),
    /// At a step whose commands still run.
    Running(usize, Vec<Session>),
}

/// A shell command that still runs.
#[derive(Debug, PartialEq)]
pub struct Session {
    /// Which of the step's commands it is.
    pub part: usize,
    /// Codex's number for it.
    pub id: u64,
}

/// What a tool put out.
pub struct Output {
    /// The call, if it is one of ours.
    call: Option<Call>,
    /// The text.
    pub text: String,
}

/// A call of a tool, as its id names it: all the state there is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Call {
    /// The step that made it.
    pub step: usize,
    /// Which of the step's calls it is.
    pub part: usize,
}

impl<'a> Turn<'a> {
    /// Reads a request's body.
    pub fn new(body: &'a Value<'a>) -> Self {
        let input = body.get("input");
        let items = input.and_then(Value::as_array).unwrap_or_default();
        let messages = items.iter().enumerate();
        let (position, prompt) = messages
            .rev()
            .find_map(|(at, item)| Some((at, user_text(item)?)))
            // the API also takes a bare text
            .unwrap_or_else(|| (0, input.and_then(Value::as_str).unwrap_or_default().to_owned()));
        let since = items.get(position..).unwrap_or_default();
        let outputs: Vec<Output> = since.iter().filter_map(tool_output).collect();
        let steps = script::parse(&prompt);
        let place = Place::find(&steps, &outputs);
        let format = body.get("text").and_then(|text| text.get("format"));
        let schema = format.and_then(|format| format.get("schema"));
        Self { prompt, position, steps, place, outputs, schema }
    }

    /// The text with each `<<LABEL>>` made a list of JSON strings: all that the tools' outputs have
    /// behind `LABEL: ` at the beginning of a line.
    pub fn fill_in(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, (label, behind))) =
            rest.split_once("<<").and_then(|(before, from)| Some((before, from.split_once(">>")?)))
        {
            out.push_str(before);
            for (number, value) in self.values(label).enumerate() {
                if number > 0 {
                    out.push(',');
                }
                json::quote(&mut out, value);
            }
            rest = behind;
        }
        out + rest
    }

    /// What stands behind `LABEL: ` at the beginning of a line of the tools' outputs.
    fn values(&self, label: &str) -> impl Iterator<Item = &str> {
        let lines = self.outputs.iter().flat_map(|output| output.text.lines());
        lines.filter_map(move |line| line.strip_prefix(label)?.strip_prefix(": "))
    }
}

impl Place {
    /// Finds the place from the calls that were answered.
    fn find(steps: &[Step], outputs: &[Output]) -> Self {
        let Some(step) = outputs.iter().rev().find_map(|output| output.call).map(|call| call.step)
        else {
            return Self::Before(0);
        };
        let waits = match steps.get(step).map(|step| &step.action) {
            Some(Action::Shell(_, options)) => !options.no_poll,
            _ => false,
        };
        let sessions = if waits { running(step, outputs) } else { Vec::new() };
        if sessions.is_empty() {
            Self::Before(step.saturating_add(1))
        } else {
            Self::Running(step, sessions)
        }
    }

    /// The step it is at or before.
    pub fn step(&self) -> usize {
        let (Self::Before(step) | Self::Running(step, _)) = self;
        *step
    }

    /// A command still runs.
    pub fn is_poll(&self) -> bool {
        matches!(self, Self::Running(..))
    }
}

/// The commands of a step that still ran when last asked.
fn running(step: usize, outputs: &[Output]) -> Vec<Session> {
    let mut sessions: Vec<Session> = Vec::new();
    for output in outputs {
        let Some(call) = output.call.filter(|call| call.step == step) else { continue };
        sessions.retain(|session| session.part != call.part);
        sessions.extend(session(&output.text).map(|id| Session { part: call.part, id }));
    }
    sessions
}

/// The session that a shell call's output says to go on. Only the lines before the command's own
/// output are codex's.
fn session(output: &str) -> Option<u64> {
    let mut head = output.lines().take_while(|line| *line != "Output:");
    head.find_map(|line| line.strip_prefix("Process running with session ID ")?.parse().ok())
}

/// What the user wrote in a message, if the item is one and there is anything.
fn user_text(item: &Value<'_>) -> Option<String> {
    let kind = item.get("type").and_then(Value::as_str).unwrap_or("message");
    if kind != "message" || item.get("role").and_then(Value::as_str) != Some("user") {
        return None;
    }
    let mut texts = texts(item.get("content")?);
    texts.retain(|text| !CONTEXT.iter().any(|start| text.trim_start().starts_with(start)));
    (!texts.is_empty()).then(|| texts.join("\n"))
}

/// The call and the text of a tool's output, if the item is one.
fn tool_output(item: &Value<'_>) -> Option<Output> {
    item.get("type").and_then(Value::as_str).filter(|kind| kind.ends_with("_output"))?;
    let call = item.get("call_id").and_then(Value::as_str).and_then(Call::from_id);
    let text = item.get("output").map(|output| texts(output).join("\n")).unwrap_or_default();
    Some(Output { call, text })
}

/// The texts of a content, which is one text or a list of parts.
fn texts<'a>(content: &'a Value<'_>) -> Vec<&'a str> {
    let parts = content.as_array().unwrap_or_default();
    let texts = parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str));
    content.as_str().into_iter().chain(texts).collect()
}

impl Call {
    /// Reads an id that [`Call::id`] made.
    fn from_id(id: &str) -> Option<Self> {
        let (step, behind) = id.strip_prefix("call_s")?.split_once('_')?;
        let (part, _) = behind.split_once('_')?;
        Some(Self { step: step.parse().ok()?, part: part.parse().ok()? })
    }

    /// The id for this call in the answer `answer`.
    pub fn id(self, answer: impl fmt::Display) -> String {
        format!("call_s{}_{}_{answer}", self.step, self.part)
    }
}

/// An example of what a JSON schema describes, as JSON text.
pub fn example(schema: &Value<'_>) -> String {
    let mut out = String::new();
    write_example(schema, &mut out);
    out
}

/// Appends an example of what a JSON schema describes. No deeper than the schema itself, whose
/// depth the parser limits.
fn write_example(schema: &Value<'_>, out: &mut String) {
    let choices = schema.get("enum").and_then(Value::as_array).and_then(<[_]>::first);
    if let Some(value) = schema.get("const").or(choices) {
        return value.write(out);
    }
    let kind = schema.get("type");
    // of several types the first will do
    let kind = kind.and_then(Value::as_array).and_then(<[_]>::first).or(kind);
    let properties = schema.get("properties").and_then(Value::as_object);
    match (kind.and_then(Value::as_str), properties) {
        (Some("object"), _) | (None, Some(_)) => json::object(out, |o| {
            for (name, property) in properties.unwrap_or_default() {
                o.raw(name, &example(property));
            }
        }),
        (Some("array"), _) => out.push_str("[]"),
        (Some("integer"), _) => out.push('1'),
        (Some("number"), _) => out.push_str("1.5"),
        (Some("boolean"), _) => out.push_str("true"),
        (Some("null"), _) => out.push_str("null"),
        _ => json::quote(out, "x"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls `check` with the turn of a request with these input items.
    fn with_turn(items: &str, check: impl FnOnce(&Turn<'_>)) {
        let body = format!("{{\"input\":{items}}}");
        check(&Turn::new(&json::parse(body.as_bytes()).unwrap()));
    }

    /// The input item of a user message.
    fn user(text: &str) -> String {
        let mut item = String::from(r#"{"type":"message","role":"user","content":[{"text":"#);
        json::quote(&mut item, text);
        item + "}]}"
    }

    /// The input item of a shell call's output.
    fn output(id: &str, text: &str) -> String {
        let mut item = String::new();
        json::object(&mut item, |o| {
            o.str("type", "function_call_output").str("call_id", id).str("output", text);
        });
        item
    }

    /// What codex puts out for a command that goes on.
    const RUNS: &str = "Wall time: 1\nProcess running with session ID 7\nOutput:\nx";

    #[test]
    fn the_prompt_is_the_last_thing_the_user_wrote() {
        let items = [user("say: a"), user("say: b"), user("<environment_context>say: c")];
        with_turn(&format!("[{}]", items.join(",")), |turn| {
            assert_eq!((&*turn.prompt, turn.position), ("say: b", 1));
            assert_eq!(turn.place, Place::Before(0));
        });
        with_turn("\"say: d\"", |turn| assert_eq!(turn.prompt, "say: d"));
        with_turn("[1,null,{}]", |turn| assert_eq!(turn.prompt, ""));
    }

    #[test]
    fn the_place_is_behind_the_last_call_that_was_answered() {
        let place = |script: &str, outputs: &[(&str, &str)]| {
            let outputs = outputs.iter().map(|(id, text)| output(id, text));
            let items: Vec<String> = [user(script)].into_iter().chain(outputs).collect();
            let mut found = Place::Before(99);
            with_turn(&format!("[{}]", items.join(",")), |turn| {
                found = Place::Before(turn.place.step());
                if let Place::Running(step, sessions) = &turn.place {
                    let sessions = sessions.iter().map(|s| Session { part: s.part, id: s.id });
                    found = Place::Running(*step, sessions.collect());
                }
            });
            found
        };
        let session = |part| Session { part, id: 7 };
        assert_eq!(place("run: a", &[("call_s0_0_z", "x")]), Place::Before(1));
        assert_eq!(place("run: a", &[("call_9", "x")]), Place::Before(0));
        assert_eq!(place("run: a", &[("call_s0_0_z", RUNS)]), Place::Running(0, vec![session(0)]));
        assert_eq!(place("run[nopoll]: a", &[("call_s0_0_z", RUNS)]), Place::Before(1));
        assert_eq!(
            place("run: a", &[("call_s0_0_z", RUNS), ("call_s0_0_z", "Output:\ny")]),
            Place::Before(1)
        );
        assert_eq!(
            place("par: a ||| b", &[("call_s0_0_z", RUNS), ("call_s0_1_z", RUNS)]),
            Place::Running(0, vec![session(0), session(1)])
        );
        let echo = "Output:\nProcess running with session ID 7";
        assert_eq!(place("run: a", &[("call_s0_0_z", echo)]), Place::Before(1));
        let huge = format!("call_s{}_0_z", usize::MAX);
        assert_eq!(place("run: a", &[(&huge, "x")]), Place::Before(usize::MAX));
    }

    #[test]
    fn what_tools_have_put_out_goes_into_a_blank() {
        let items = [
            user("call: a {}"),
            output("call_s0_0_z", "Id: 1\nNo Id: 2\nOther: x"),
            r#"{"type":"function_call_output","call_id":"call_s0_1_z",
                "output":[{"text":"Output:"},{"text":"Id: \"3\"\n"}]}"#
                .to_owned(),
        ];
        with_turn(&format!("[{}]", items.join(",")), |turn| {
            assert_eq!(turn.fill_in(r"[<<Id>>] <<None>>"), r#"["1","\"3\""] "#);
            assert_eq!(turn.fill_in("<<Other>><<Other>>"), r#""x""x""#);
            assert_eq!(turn.fill_in("a << b"), "a << b");
        });
    }

    #[test]
    fn call_ids_come_back() {
        let call = Call { step: 12, part: 3 };
        assert_eq!(Call::from_id(&call.id("resp_1")), Some(call));
        assert_eq!(Call::from_id("call_s1_2"), None);
    }

    #[test]
    fn an_example_fits_its_schema() {
        let schema = r#"{"type":"object","properties":{"s":{"type":"string"},"i":{"type":"integer"},
            "o":{"properties":{"b":{"type":["boolean","null"]}}},"a":{"type":"array"},
            "e":{"enum":["one","two"]},"c":{"const":[1]}}}"#;
        let schema = json::parse(schema.as_bytes()).unwrap();
        assert_eq!(example(&schema), r#"{"s":"x","i":1,"o":{"b":true},"a":[],"e":"one","c":[1]}"#);
    }
}
