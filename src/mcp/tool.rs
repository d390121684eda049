//! The tools: what each is called, what it says of itself, what it takes. One table, from which the
//! schemas are written and by which arguments are checked.

use crate::json::Value;

/// A tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// Run a task and answer with its result.
    Codex,
    /// Start a task and answer with its id.
    Async,
    /// Start many tasks and answer with all their results.
    Batch,
    /// Go on with a thread and answer with the result.
    Reply,
    /// Say what tasks are doing.
    Status,
    /// Wait for tasks and answer with their results.
    Wait,
    /// Cancel tasks.
    Cancel,
}

/// What kind of value a parameter takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A string.
    Text,
    /// The name of one of the server's launchers; without any there is no such parameter.
    Launcher,
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// A boolean.
    Flag,
    /// A number of seconds, fractions too, not below zero.
    Seconds,
    /// An array of strings.
    Texts,
    /// An object of any shape.
    Object,
    /// An object of task parameters, `prompt` not needed.
    Defaults,
    /// An array of objects of task parameters.
    Tasks,
}

/// A parameter of a tool.
#[derive(Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What it means, where the name does not say it. Every client pays for each word.
    pub about: &'static str,
}

/// A parameter, in one line of a table.
const fn p(name: &'static str, kind: Kind, about: &'static str) -> Parameter {
    Parameter { name, kind, about }
}

/// What a task can be told.
const TASK: &[Parameter] = &[
    p("prompt", Kind::Text, ""),
    p("model", Kind::Text, ""),
    p("sandbox", Kind::Choice(&["read-only", "workspace-write", "danger-full-access"]), ""),
    p("approval-policy", Kind::Choice(&["untrusted", "on-failure", "on-request", "never"]), ""),
    p("cwd", Kind::Text, "Directory to work in; default: the server's"),
    p("profile", Kind::Text, ""),
    p("worktree", Kind::Flag, "Work in a git worktree of its own, on branch codex-swarm/ID"),
    p("worktree-base", Kind::Text, "Commit to begin with; default HEAD"),
    p("config", Kind::Object, "Codex config keys, as with codex -c"),
    p("base-instructions", Kind::Text, "Replaces Codex's own"),
    p("developer-instructions", Kind::Text, ""),
    p("compact-prompt", Kind::Text, ""),
    p("threadId", Kind::Text, "Go on with this thread"),
    p("fork", Kind::Flag, "A new thread that starts with threadId's context"),
    p("images", Kind::Texts, "Paths"),
    p("output-schema", Kind::Object, "JSON Schema of the answer"),
    p("add-dirs", Kind::Texts, "More directories to write in"),
    p("launcher", Kind::Launcher, "What to run it with"),
];

/// What `codex_batch` takes.
const BATCH: &[Parameter] = &[
    p("tasks", Kind::Tasks, "Each with the parameters of codex_async"),
    p("defaults", Kind::Defaults, "Parameters for all tasks that do not give them"),
];

/// What `codex_status` takes.
const STATUS: &[Parameter] = &[p("task_ids", Kind::Texts, "")];

/// What `codex_wait` takes.
const WAIT: &[Parameter] = &[
    p("task_ids", Kind::Texts, ""),
    p("timeout", Kind::Seconds, "Default 1800"),
    p("until", Kind::Choice(&["all", "any"]), "any: return when the first one ends"),
];

/// What `codex_cancel` takes.
const CANCEL: &[Parameter] = &[p("task_id", Kind::Text, ""), p("task_ids", Kind::Texts, "")];

impl Tool {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Tool; 7] = [
        Tool::Codex,
        Tool::Async,
        Tool::Batch,
        Tool::Reply,
        Tool::Status,
        Tool::Wait,
        Tool::Cancel,
    ];

    /// The tool of this name. `codex-reply` is what `OpenAI`'s own server called it.
    pub fn named(name: &str) -> Option<Tool> {
        let name = if name == "codex-reply" { "codex_reply" } else { name };
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Tool::Codex => "codex",
            Tool::Async => "codex_async",
            Tool::Batch => "codex_batch",
            Tool::Reply => "codex_reply",
            Tool::Status => "codex_status",
            Tool::Wait => "codex_wait",
            Tool::Cancel => "codex_cancel",
        }
    }

    /// Its title, for people.
    pub fn title(self) -> &'static str {
        match self {
            Tool::Codex => "Run Codex",
            Tool::Async => "Start a Codex task",
            Tool::Batch => "Run many Codex tasks",
            Tool::Reply => "Continue a Codex thread",
            Tool::Status => "Look at Codex tasks",
            Tool::Wait => "Wait for Codex tasks",
            Tool::Cancel => "Cancel Codex tasks",
        }
    }

    /// When to use it, for models. `told`: the client tells its model when a task has ended.
    pub fn about(self, told: bool) -> &'static str {
        match self {
            Tool::Codex if told => {
                "Run one Codex task and answer with its result; if that takes long, you are told \
                 later. For several tasks, or long ones, use codex_async or codex_batch."
            }
            Tool::Codex => {
                "Run one Codex task and wait for its answer. For a single short task; for several, \
                 or long ones, use codex_async and codex_wait, or codex_batch."
            }
            Tool::Async if told => {
                "Start a Codex task in the background; you are told when it ends, with its result. \
                 Start all you need and go on with other work. Tasks run in parallel and outlive \
                 this call."
            }
            Tool::Async => {
                "Start a Codex task in the background; returns its Task ID at once. Start all you \
                 need, then call codex_wait once with all the ids: that is what brings the results \
                 back. Tasks run in parallel and outlive this call."
            }
            Tool::Batch => {
                "Start several Codex tasks at once, wait for all, return all answers: a fan-out in \
                 one call."
            }
            Tool::Reply => {
                "Give the Codex thread of an earlier task another prompt and wait for the answer. \
                 It keeps its context, cwd, sandbox, model and config; what is given here changes \
                 them. Parameters as codex has them."
            }
            Tool::Status => {
                "What tasks are doing right now: phase, last tool, output, plan, tokens. Without \
                 task_ids: all that run or ended in the last hour. Brings no results and is not \
                 for polling: use codex_wait."
            }
            Tool::Wait => {
                "Wait for tasks and return their results. One call for all ids. A timeout kills \
                 nothing: call again."
            }
            Tool::Cancel => {
                "End tasks and all processes they started. Their threads can still be continued."
            }
        }
    }

    /// It changes nothing. Clients run tools that do not say so one after the other.
    pub fn is_read_only(self) -> bool {
        matches!(self, Tool::Status | Tool::Wait)
    }

    /// Its results can be long.
    pub fn gives_much(self) -> bool {
        !matches!(self, Tool::Async | Tool::Cancel)
    }

    /// What it takes.
    pub fn parameters(self) -> &'static [Parameter] {
        match self {
            Tool::Codex | Tool::Async | Tool::Reply => TASK,
            Tool::Batch => BATCH,
            Tool::Status => STATUS,
            Tool::Wait => WAIT,
            Tool::Cancel => CANCEL,
        }
    }

    /// The parameters that must be there.
    pub fn required(self) -> &'static [&'static str] {
        match self {
            Tool::Codex | Tool::Async => &["prompt"],
            Tool::Reply => &["threadId", "prompt"],
            Tool::Batch => &["tasks"],
            Tool::Wait => &["task_ids"],
            Tool::Status | Tool::Cancel => &[],
        }
    }

    /// Checks names and types of arguments, and says what is wrong with the first that is.
    pub fn check(self, arguments: &Value<'_>) -> Result<(), String> {
        check_object(arguments, "", self.parameters(), self.required())
    }
}

/// Checks an object of arguments; `place` stands before their names.
fn check_object(
    arguments: &Value<'_>,
    place: &str,
    parameters: &[Parameter],
    required: &[&str],
) -> Result<(), String> {
    let members = arguments.as_object().unwrap_or_default();
    // what OpenAI's own server called it before
    let old_name = p("conversationId", Kind::Text, "");
    let known = || parameters.iter().chain(takes_tasks(parameters).then_some(&old_name));
    if let Some((name, _)) = members.iter().find(|(name, _)| known().all(|k| k.name != name)) {
        let names: Vec<&str> = parameters.iter().map(|p| p.name).collect();
        return Err(format!("{place}{name} is not known; there are: {}", names.join(", ")));
    }
    for parameter in known() {
        // of one name the last counts
        if let Some(value) = arguments.get(parameter.name) {
            check_value(value, place, parameter)?;
        }
    }
    for name in required {
        let there = arguments.get(name).is_some_and(|value| *value != Value::Null);
        let other_name = *name == "threadId" && arguments.get("conversationId").is_some();
        if !there && !other_name {
            return Err(format!("{place}{name} is missing; it is required"));
        }
    }
    Ok(())
}

/// Whether these are the parameters of a task.
fn takes_tasks(parameters: &[Parameter]) -> bool {
    parameters.first().is_some_and(|first| first.name == "prompt")
}

/// Checks one value. null is as good as leaving it out.
fn check_value(value: &Value<'_>, place: &str, parameter: &Parameter) -> Result<(), String> {
    let name = format!("{place}{}", parameter.name);
    let wrong =
        |expected: &str| Err(format!("{name} must be {expected}, this is {}", value.kind()));
    match (parameter.kind, value) {
        (_, Value::Null)
        | (Kind::Text | Kind::Launcher, Value::String(_))
        | (Kind::Flag, Value::Bool(_))
        | (Kind::Object, Value::Object(_)) => Ok(()),
        (Kind::Text | Kind::Launcher, _) => wrong("a string"),
        (Kind::Flag, _) => wrong("true or false"),
        (Kind::Defaults, Value::Object(_)) => {
            let parameters = TASK.get(1..).unwrap_or_default();
            if value.get("prompt").is_some() {
                return Err(format!("{name}.prompt is not allowed; give each task its own"));
            }
            check_object(value, &format!("{name}."), parameters, &[])
        }
        (Kind::Object | Kind::Defaults, _) => wrong("an object"),
        (Kind::Choice(choices), _) => match value.as_str() {
            Some(text) if choices.contains(&text) => Ok(()),
            Some(text) => Err(format!("{name} is {text:?}; it must be {}", choices.join(", "))),
            None => wrong(&format!("one of the strings {}", choices.join(", "))),
        },
        (Kind::Seconds, Value::Number(text)) => match value.as_thousandths() {
            Some(0..=1_000_000_000_000) => Ok(()),
            _ => Err(format!("{name} is {text}; seconds from 0 to 1000000000 were expected")),
        },
        (Kind::Seconds, _) => wrong("a number of seconds"),
        (Kind::Texts, Value::Array(items)) => {
            match items.iter().position(|item| item.as_str().is_none()) {
                None => Ok(()),
                Some(at) => Err(format!("{name}[{at}] must be a string")),
            }
        }
        (Kind::Texts, _) => wrong("an array of strings"),
        (Kind::Tasks, Value::Array(items)) => {
            if items.is_empty() {
                return Err(format!("{name} is empty; give at least one task"));
            }
            items.iter().enumerate().try_for_each(|(at, item)| {
                if item.as_object().is_none() {
                    return Err(format!("{name}[{at}] must be an object, this is {}", item.kind()));
                }
                check_object(item, &format!("{name}[{at}]."), TASK, &["prompt"])
            })
        }
        (Kind::Tasks, _) => wrong("an array of objects"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks a tool's arguments, given as JSON.
    fn check(tool: Tool, json: &str) -> Result<(), String> {
        tool.check(&crate::json::parse(json.as_bytes()).expect(json))
    }

    #[test]
    fn good_arguments_pass() {
        for (tool, json) in [
            (Tool::Codex, r#"{"prompt":"p","config":{"a":1},"images":["x"],"fork":false}"#),
            (Tool::Async, r#"{"prompt":"p","model":null,"sandbox":"read-only"}"#),
            (Tool::Reply, r#"{"prompt":"p","conversationId":"t"}"#),
            (Tool::Batch, r#"{"tasks":[{"prompt":"a"},{"prompt":"b"}],"defaults":{"model":"m"}}"#),
            (Tool::Status, "{}"),
            (Tool::Wait, r#"{"task_ids":["a"],"timeout":0.5,"until":"any"}"#),
            (Tool::Cancel, r#"{"task_id":"a"}"#),
        ] {
            assert_eq!(check(tool, json), Ok(()), "{json}");
        }
    }

    #[test]
    fn a_wrong_argument_is_named_with_its_fault_and_what_would_do() {
        for (tool, json, parts) in [
            (Tool::Codex, "{}", ["prompt", "missing"]),
            (Tool::Codex, r#"{"prompt":null}"#, ["prompt", "missing"]),
            (Tool::Codex, r#"{"prompt":5}"#, ["prompt must be a string", "a number"]),
            (Tool::Codex, r#"{"prompt":"p","colour":1}"#, ["colour is not known", "sandbox"]),
            (Tool::Codex, r#"{"prompt":"p","sandbox":"off"}"#, ["sandbox is \"off\"", "read-only"]),
            (Tool::Codex, r#"{"prompt":"p","sandbox":1}"#, ["sandbox must be one", "a number"]),
            (
                Tool::Codex,
                r#"{"prompt":"p","config":"x"}"#,
                ["config must be an object", "a string"],
            ),
            (
                Tool::Codex,
                r#"{"prompt":"p","fork":"no"}"#,
                ["fork must be true or false", "a string"],
            ),
            (
                Tool::Codex,
                r#"{"prompt":"p","images":"x"}"#,
                ["images must be an array", "a string"],
            ),
            (Tool::Codex, r#"{"prompt":"p","images":[1]}"#, ["images[0]", "must be a string"]),
            (Tool::Codex, r#"{"prompt":"p","worktree":"false"}"#, ["worktree must be", "a string"]),
            (Tool::Reply, r#"{"prompt":"p"}"#, ["threadId", "missing"]),
            (Tool::Batch, r#"{"tasks":[]}"#, ["tasks is empty", "at least one"]),
            (Tool::Batch, r#"{"tasks":{}}"#, ["tasks must be an array", "an object"]),
            (Tool::Batch, r#"{"tasks":["x"]}"#, ["tasks[0] must be an object", "a string"]),
            (Tool::Batch, r#"{"tasks":[{"prompt":"p"},{}]}"#, ["tasks[1].prompt", "missing"]),
            (Tool::Batch, r#"{"tasks":[{"prompt":"p","x":1}]}"#, ["tasks[0].x", "not known"]),
            (
                Tool::Batch,
                r#"{"tasks":[{"prompt":"p"}],"defaults":{"prompt":"p"}}"#,
                ["defaults.prompt", "not allowed"],
            ),
            (
                Tool::Batch,
                r#"{"tasks":[{"prompt":"p"}],"defaults":{"cwd":1}}"#,
                ["defaults.cwd must be a string", "a number"],
            ),
            (Tool::Wait, "{}", ["task_ids", "missing"]),
            (Tool::Wait, r#"{"task_ids":"abc"}"#, ["task_ids must be an array", "a string"]),
            (
                Tool::Wait,
                r#"{"task_ids":[],"timeout":"5"}"#,
                ["timeout must be a number", "string"],
            ),
            (Tool::Wait, r#"{"task_ids":[],"timeout":-1}"#, ["timeout is -1", "from 0"]),
            (Tool::Wait, r#"{"task_ids":[],"timeout":1e400}"#, ["timeout is 1e400", "from 0"]),
            (Tool::Wait, r#"{"task_ids":[],"until":"some"}"#, ["until is \"some\"", "all, any"]),
        ] {
            let why = check(tool, json).expect_err(json);
            assert!(parts.iter().all(|part| why.contains(part)), "{json}: {why}");
        }
    }
}
