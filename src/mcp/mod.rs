//! The words of the Model Context Protocol: its revisions, who asks in which, what this server
//! offers, the shapes of its results. Knows neither tasks nor Codex's output.

pub mod client;
pub mod revision;
pub mod schema;
pub mod tool;

pub use client::Client;
pub use revision::Revision;

use crate::json::Object;

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How every model is told what this is. With what follows Claude Code cuts it at 2 KB.
const WHAT: &str = "\
Runs OpenAI Codex CLI tasks, many at once, each a process of its own that outlives this session.

";

/// How a model gets its results that has to fetch them.
const FETCHING: &str = "\
Fan out: call codex_async once per task (it returns a Task ID at once), then codex_wait once with \
all ids; codex_wait is what brings results back. Do not poll. codex_batch does both in one call. \
For one short task use codex. codex_status shows what tasks are doing right now. codex_reply goes \
on with the thread of an earlier task. A wait that times out, or a client that does, kills \
nothing: call codex_wait again with the same ids.";

/// How a model gets its results whose client looks after tasks.
const TOLD: &str = "\
Fan out: call codex_async once per task; you are told when each ends, with its result. Go on with \
other work meanwhile, and neither poll nor wait. codex_batch gives several results in one. codex \
and codex_reply answer at once if they are done soon, else you are told later too. codex_status \
shows what tasks are doing right now. codex_reply goes on with the thread of an earlier task.";

/// What every model has to know to use it well.
const ADVICE: &str = "

A task knows only its prompt and the files in cwd: give it all it needs, and say what to answer. \
Tasks that write to the same directory disturb each other: give each worktree: true, and git merge \
the branch codex-swarm/ID when it has ended.";

/// Writes the result of `initialize`.
pub fn write_initialize(o: &mut Object<'_>, revision: Revision) {
    o.str("protocolVersion", revision.name());
    write_offer(o, Client::in_session(revision));
    o.object("serverInfo", |o| write_server(o, revision));
}

/// Writes the body of the result of `server/discover`.
pub fn write_discover(o: &mut Object<'_>, client: Client) {
    o.strs("supportedVersions", [Revision::V2026_07_28.name()]);
    write_offer(o, client);
}

/// Writes what this server can do and how a model is to use it.
fn write_offer(o: &mut Object<'_>, client: Client) {
    o.object("capabilities", |o| {
        o.object("tools", |_| {}).object("resources", |o| {
            o.bool("subscribe", true);
        });
        if client.revision.is_stateless() {
            o.object("extensions", |o| {
                o.object(client::TASKS, |_| {});
            });
        }
    });
    let how = if client.takes_tasks { TOLD } else { FETCHING };
    o.str("instructions", &[WHAT, how, ADVICE].concat());
}

/// Writes which server this is.
fn write_server(o: &mut Object<'_>, revision: Revision) {
    o.str("name", "codex-mcp-swarm");
    if revision >= Revision::V2025_06_18 {
        o.str("title", "Codex Swarm");
    }
    o.str("version", VERSION);
}

/// What kind of result it is, to revisions that want to know.
#[derive(Clone, Copy, Debug)]
pub enum Kind<'a> {
    /// What was asked for, made for this request.
    Answer,
    /// What was asked for; it is good for so many milliseconds, for this client alone.
    Cached(u64),
    /// A task that the client looks after from now on, and what its model is told meanwhile.
    Task(&'a str),
}

/// Writes a result: what `fill` writes, and around it what the revision wants.
pub fn write_result(
    o: &mut Object<'_>,
    revision: Revision,
    kind: Kind<'_>,
    fill: &dyn Fn(&mut Object<'_>),
) {
    if !revision.is_stateless() {
        return fill(o);
    }
    o.str("resultType", if let Kind::Task(_) = kind { "task" } else { "complete" });
    fill(o);
    if let Kind::Cached(millis) = kind {
        o.int("ttlMs", millis).str("cacheScope", "private");
    }
    o.object("_meta", |o| {
        o.object("io.modelcontextprotocol/serverInfo", |o| write_server(o, revision));
        if let Kind::Task(meanwhile) = kind {
            // Claude Code shows it to the model in place of the result
            o.object("com.anthropic/agent-task", |o| {
                o.str("modelImmediateResponse", meanwhile);
            });
        }
    });
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

/// Writes a list of resources; `key` is `uri` or `uriTemplate`.
pub fn write_resources(o: &mut Object<'_>, list: &str, key: &str, resources: &[Resource]) {
    o.array(list, |a| {
        for resource in resources {
            a.object(|o| {
                o.str(key, resource.uri).str("name", resource.name);
                o.str("description", resource.about).str("mimeType", resource.media);
            });
        }
    });
}
