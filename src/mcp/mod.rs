//! The words of the Model Context Protocol: its revisions, what this server offers, the shapes of
//! its results. Knows neither tasks nor Codex's output.

pub mod revision;
pub mod schema;
pub mod tool;

pub use revision::Revision;

use crate::json::Object;

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What every model that uses the server is told. Claude Code cuts it at 2 KB.
pub const INSTRUCTIONS: &str = "\
Runs OpenAI Codex CLI tasks, many at once, each a process of its own that outlives this session.

Fan out: call codex_async once per task (it returns a Task ID at once), then codex_wait once with \
all ids; codex_wait is what brings results back. Do not poll. codex_batch does both in one call. \
For one short task use codex. codex_status shows what tasks are doing right now. codex_reply goes \
on with the thread of an earlier task. A wait that times out, or a client that does, kills \
nothing: call codex_wait again with the same ids.

A task knows only its prompt and the files in cwd: give it all it needs, and say what to answer. \
Tasks that write \
to the same directory disturb each other: give each worktree: true, and git merge the branch \
codex-swarm/ID when it has ended.";

/// Writes the result of `initialize`.
pub fn write_initialize(o: &mut Object<'_>, revision: Revision) {
    o.str("protocolVersion", revision.name());
    o.object("capabilities", |o| {
        o.object("tools", |_| {}).object("resources", |_| {});
    });
    o.object("serverInfo", |o| {
        o.str("name", "codex-mcp-swarm");
        if revision >= Revision::V2025_06_18 {
            o.str("title", "Codex Swarm");
        }
        o.str("version", VERSION);
    });
    o.str("instructions", INSTRUCTIONS);
}

/// What a tool answers.
#[derive(Debug, Default)]
pub struct ToolResult {
    /// The text that the model reads.
    pub text: String,
    /// The same facts as a JSON object, where they are wanted.
    pub structured: Option<String>,
    /// What was asked for failed.
    pub is_error: bool,
}

impl ToolResult {
    /// A refusal: nothing was done, and the text says why and what would do.
    pub fn refusal(text: impl Into<String>) -> ToolResult {
        ToolResult { text: text.into(), structured: None, is_error: true }
    }

    /// Writes the result of `tools/call`.
    pub fn write(&self, o: &mut Object<'_>, revision: Revision) {
        o.array("content", |a| {
            a.object(|o| {
                o.str("type", "text").str("text", &self.text);
            });
        });
        if let Some(json) = self.structured.as_deref().filter(|_| revision.has_structure()) {
            o.raw("structuredContent", json);
        }
        o.bool("isError", self.is_error);
    }
}

/// Something that `resources/list` or `resources/templates/list` names.
pub struct Resource {
    /// The URI, or the URI template.
    pub uri: &'static str,
    /// A short name.
    pub name: &'static str,
    /// What is in it.
    pub about: &'static str,
    /// Its media type.
    pub media: &'static str,
}

/// The resources that are always there.
pub const RESOURCES: [Resource; 3] = [
    Resource {
        uri: "codex-swarm:///server-info",
        name: "server-info",
        about: "Version, tools, directories, retention, log, and the Codex CLI that was found",
        media: "application/json",
    },
    Resource {
        uri: "codex-swarm:///config",
        name: "config",
        about: "The defaults and flags that this server gives to every task",
        media: "application/json",
    },
    Resource {
        uri: "codex-swarm:///tasks",
        name: "tasks",
        about: "All known tasks and their current state",
        media: "application/json",
    },
];

/// The resources that each task has.
pub const TEMPLATES: [Resource; 5] = [
    Resource {
        uri: "codex-swarm:///tasks/{task_id}",
        name: "task",
        about: "One task: its state, usage, plan, changes",
        media: "application/json",
    },
    Resource {
        uri: "codex-swarm:///tasks/{task_id}/result",
        name: "task-result",
        about: "The task's answer, whole",
        media: "text/plain",
    },
    Resource {
        uri: "codex-swarm:///tasks/{task_id}/events",
        name: "task-events",
        about: "The task's transcript: Codex's own JSONL; of a long one the end",
        media: "application/jsonl",
    },
    Resource {
        uri: "codex-swarm:///tasks/{task_id}/stderr",
        name: "task-stderr",
        about: "What Codex wrote to stderr; of a long one the end",
        media: "text/plain",
    },
    Resource {
        uri: "codex-swarm:///tasks/{task_id}/diff",
        name: "task-diff",
        about: "What the branch of the task's worktree has that its base has not",
        media: "text/x-diff",
    },
];

impl Resource {
    /// Writes its entry in a list; `key` is `uri` or `uriTemplate`.
    pub fn write(&self, o: &mut Object<'_>, key: &str) {
        o.str(key, self.uri).str("name", self.name);
        o.str("description", self.about).str("mimeType", self.media);
    }
}
