//! The tools as `tools/list` shows them: JSON Schema, written from the table of the tools.

use super::tool::{Kind, Parameter, Tool};
use super::{Client, Revision};
use crate::json::Object;

/// The longest result that Claude Code shows as it is; what is longer it puts into a file, unless
/// the tool says otherwise. Ours are cut by themselves, with a few words for each task on top.
const RESULT_CHARACTERS: u64 = 200_000;

/// Writes the result of `tools/list`; `launchers` are the names of the server's.
pub fn write_list(o: &mut Object<'_>, client: Client, structured: bool, launchers: &[&str]) {
    o.array("tools", |a| {
        for tool in Tool::ALL {
            a.object(|o| write_tool(o, tool, client, structured, launchers));
        }
    });
}

/// Writes one tool. The members that cost every session are written by the first two lines.
fn write_tool(
    o: &mut Object<'_>,
    tool: Tool,
    client: Client,
    structured: bool,
    launchers: &[&str],
) {
    let revision = client.revision;
    o.str("name", tool.name()).str("description", tool.about(client.takes_tasks));
    o.object("inputSchema", |o| write_input(o, tool, launchers));
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
    if revision.has_structure() && tool.gives_much() {
        o.object("_meta", |o| {
            o.int("anthropic/maxResultSizeChars", RESULT_CHARACTERS);
        });
    }
}

/// Writes the schema of a tool's arguments.
fn write_input(o: &mut Object<'_>, tool: Tool, launchers: &[&str]) {
    o.str("type", "object");
    // a reply is told by its description that it takes what codex takes
    let known_from_codex = tool == Tool::Reply;
    o.object("properties", |o| {
        for parameter in tool.parameters() {
            let about = if known_from_codex { "" } else { parameter.about };
            if !matches!(parameter.kind, Kind::Launcher) || !launchers.is_empty() {
                o.object(parameter.name, |o| write_parameter(o, parameter, about, launchers));
            }
        }
    });
    if !tool.required().is_empty() {
        o.strs("required", tool.required());
    }
    o.bool("additionalProperties", false);
}

/// Writes the schema of one parameter.
fn write_parameter(o: &mut Object<'_>, parameter: &Parameter, about: &str, launchers: &[&str]) {
    match parameter.kind {
        Kind::Text => o.str("type", "string"),
        Kind::Launcher => o.str("type", "string").strs("enum", launchers),
        Kind::Choice(choices) => o.str("type", "string").strs("enum", choices),
        Kind::Flag => o.str("type", "boolean"),
        Kind::Seconds => o.str("type", "number").int("minimum", 0),
        Kind::Texts => o.str("type", "array").object("items", |o| {
            o.str("type", "string");
        }),
        Kind::Object | Kind::Defaults => o.str("type", "object"),
        Kind::Tasks => o.str("type", "array").object("items", |o| {
            o.str("type", "object");
            o.strs("required", ["prompt"]);
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
                    o.strs("required", ["taskId", "status"]);
                });
            });
        }
    });
    o.strs("required", required);
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
        "launcher",
        "far",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{self, Value};

    /// The list as this client gets it.
    fn list_for(client: Client, structured: bool) -> String {
        let mut out = String::new();
        json::object(&mut out, |o| write_list(o, client, structured, &[]));
        out
    }

    /// The list as a client of this revision gets it.
    fn list(revision: Revision, structured: bool) -> String {
        list_for(Client::in_session(revision), structured)
    }

    #[test]
    fn what_every_session_pays_for_stays_small() {
        for takes_tasks in [false, true] {
            let list = list_for(Client { revision: Revision::V2026_07_28, takes_tasks }, false);
            let list = json::parse(list.as_bytes()).expect("JSON");
            let tools = list.get("tools").and_then(Value::as_array).expect("tools");
            let paid: usize = tools
                .iter()
                .flat_map(|tool| ["name", "description", "inputSchema"].map(|key| tool.get(key)))
                .map(|value| value.expect("it is there").to_json().len())
                .sum();
            assert!(paid < 7_000, "{paid} bytes");
        }
    }

    #[test]
    fn no_revision_gets_a_member_it_does_not_know() {
        let old = list(Revision::V2024_11_05, true);
        assert!(!old.contains("\"title\"") && !old.contains("annotations"));
        assert!(!old.contains("outputSchema") && !old.contains("_meta"));
        assert!(!list(Revision::V2025_03_26, true).contains("outputSchema"));
        assert!(!list(Revision::V2025_11_25, false).contains("outputSchema"));
        assert!(list(Revision::V2025_06_18, true).contains("outputSchema"));
    }
}
