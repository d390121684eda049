//! The tools as `tools/list` shows them: JSON Schema, written from the table of the tools.

use super::Revision;
use super::tool::{Kind, Parameter, Tool};
use crate::json::Object;

/// Writes the result of `tools/list`.
pub fn write_list(o: &mut Object<'_>, revision: Revision, structured: bool) {
    o.array("tools", |a| {
        for tool in Tool::ALL {
            a.object(|o| write_tool(o, tool, revision, structured));
        }
    });
}

/// Writes one tool. The members that cost every session are written by the first two lines.
fn write_tool(o: &mut Object<'_>, tool: Tool, revision: Revision, structured: bool) {
    o.str("name", tool.name()).str("description", tool.about());
    o.object("inputSchema", |o| write_input(o, tool));
    if revision.has_structure() {
        o.str("title", tool.title());
        if structured {
            o.object("outputSchema", |o| write_output(o, tool));
        }
    }
    if revision >= Revision::V2025_03_26 {
        o.object("annotations", |o| {
            o.str("title", tool.title()).bool("readOnlyHint", tool.is_read_only());
            if tool.is_read_only() {
                o.bool("idempotentHint", true).bool("openWorldHint", false);
            }
        });
    }
}

/// Writes the schema of a tool's arguments.
fn write_input(o: &mut Object<'_>, tool: Tool) {
    o.str("type", "object");
    // a reply is told by its description that it takes what codex takes
    let known_from_codex = tool == Tool::Reply;
    o.object("properties", |o| {
        for parameter in tool.parameters() {
            let about = if known_from_codex { "" } else { parameter.about };
            o.object(parameter.name, |o| write_parameter(o, parameter, about));
        }
    });
    if !tool.required().is_empty() {
        write_strings(o, "required", tool.required());
    }
    o.bool("additionalProperties", false);
}

/// Writes the schema of one parameter.
fn write_parameter(o: &mut Object<'_>, parameter: &Parameter, about: &str) {
    match parameter.kind {
        Kind::Text => o.str("type", "string"),
        Kind::Choice(choices) => {
            o.str("type", "string");
            write_strings(o, "enum", choices);
            &mut *o
        }
        Kind::Flag => o.str("type", "boolean"),
        Kind::Seconds => o.str("type", "number").int("minimum", 0),
        Kind::Texts => o.str("type", "array").object("items", |o| {
            o.str("type", "string");
        }),
        Kind::Object | Kind::Defaults => o.str("type", "object"),
        Kind::Tasks => o.str("type", "array").object("items", |o| {
            o.str("type", "object");
            write_strings(o, "required", &["prompt"]);
        }),
    };
    if !about.is_empty() {
        o.str("description", about);
    }
}

/// Writes the schema of a tool's structured content.
fn write_output(o: &mut Object<'_>, tool: Tool) {
    o.str("type", "object");
    let required: &[&str] = match tool {
        // the two that OpenAI's own server promised
        Tool::Codex | Tool::Reply => &["threadId", "content"],
        Tool::Async => &["taskId", "status"],
        Tool::Batch | Tool::Status | Tool::Wait | Tool::Cancel => &["tasks"],
    };
    o.object("properties", |o| match tool {
        Tool::Codex | Tool::Reply | Tool::Async => write_task(o),
        Tool::Batch | Tool::Status | Tool::Wait | Tool::Cancel => {
            o.object("tasks", |o| {
                o.str("type", "array").object("items", |o| {
                    o.str("type", "object").object("properties", write_task);
                    write_strings(o, "required", &["taskId", "status"]);
                });
            });
        }
    });
    write_strings(o, "required", required);
}

/// Writes the properties of a task, as `server::report` writes them.
fn write_task(o: &mut Object<'_>) {
    let mut property = |name: &str, kind: &str| {
        o.object(name, |o| {
            o.str("type", kind);
        });
    };
    for name in [
        "taskId",
        "status",
        "threadId",
        "content",
        "startedAt",
        "completedAt",
        "cwd",
        "model",
        "sandbox",
        "lastTool",
        "output",
        "warning",
    ] {
        property(name, "string");
    }
    property("files", "array");
    for name in ["elapsedSeconds", "exitCode", "toolsCalled", "quietSeconds"] {
        property(name, "integer");
    }
    for name in ["plan", "usage", "failure", "worktree"] {
        property(name, "object");
    }
    property("inferred", "boolean");
}

/// Writes an array of strings.
fn write_strings(o: &mut Object<'_>, key: &str, strings: &[&str]) {
    o.array(key, |a| {
        for string in strings {
            a.str(string);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{self, Value};

    /// The list as a client of this revision gets it.
    fn list(revision: Revision, structured: bool) -> String {
        let mut out = String::new();
        json::object(&mut out, |o| write_list(o, revision, structured));
        out
    }

    #[test]
    fn what_every_session_pays_for_stays_small() {
        let list = list(Revision::V2025_11_25, false);
        let list = json::parse(list.as_bytes()).expect("JSON");
        let tools = list.get("tools").and_then(Value::as_array).expect("tools");
        let paid: usize = tools
            .iter()
            .flat_map(|tool| ["name", "description", "inputSchema"].map(|key| tool.get(key)))
            .map(|value| value.expect("it is there").to_json().len())
            .sum();
        assert!(paid < 7_000, "{paid} bytes");
    }

    #[test]
    fn no_revision_gets_a_member_it_does_not_know() {
        let old = list(Revision::V2024_11_05, true);
        assert!(!old.contains("\"title\"") && !old.contains("annotations"));
        assert!(!old.contains("outputSchema"));
        assert!(!list(Revision::V2025_03_26, true).contains("outputSchema"));
        assert!(!list(Revision::V2025_11_25, false).contains("outputSchema"));
        assert!(list(Revision::V2025_06_18, true).contains("outputSchema"));
    }
}
