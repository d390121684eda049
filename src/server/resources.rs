//! What `resources/read` shows.

use super::core::Server;
use super::open::Subject;
use super::report::{self, View};
use super::watched;
use crate::files;
use crate::json::{self, Object, Value};
use crate::mcp::tool::Tool;
use crate::mcp::{self, RESOURCES, Revision};
use crate::rpc::Error;
use crate::settings;
use crate::task::store::Part;
use crate::task::{Id, Store};
use std::fmt::Write;
use std::io::Read;

/// The most bytes of a file that one reply holds. The SDKs cut the connection at 10 MiB.
const PART_LIMIT: u64 = 1 << 20;

/// The most characters of an answer that one reply holds.
const ANSWER_LIMIT: usize = 1 << 20;

/// The resource that all tasks are, and all of one task begin with.
const ALL_TASKS: &str = "codex-swarm:///tasks";

/// One resource, read.
pub struct Contents {
    /// The URI that was asked for.
    uri: String,
    /// Its media type.
    media: &'static str,
    /// What is in it.
    text: String,
}

impl Contents {
    /// Writes the result of `resources/read`.
    pub fn write(&self, o: &mut Object<'_>) {
        o.array("contents", |a| {
            a.object(|o| {
                o.str("uri", &self.uri).str("mimeType", self.media).str("text", &self.text);
            });
        });
    }
}

impl Server {
    /// Reads a resource.
    pub(super) fn read_resource(
        &mut self,
        uri: &str,
        revision: Revision,
    ) -> Result<Contents, Error> {
        if uri.starts_with(ALL_TASKS) {
            self.usable()?;
        }
        let known = RESOURCES.iter().find(|resource| resource.uri == uri);
        let found = match known.map(|resource| resource.name) {
            Some("server-info") => Some((self.server_info(), "application/json")),
            Some("config") => Some((self.config(), "application/json")),
            Some("tasks") => Some((self.all_tasks(), "application/json")),
            _ => uri
                .strip_prefix(ALL_TASKS)
                .and_then(|rest| rest.strip_prefix('/'))
                .and_then(|rest| self.task_part(rest)),
        };
        let (text, media) = found.ok_or_else(|| no_resource(uri, revision))?;
        Ok(Contents { uri: uri.to_owned(), media, text })
    }

    /// Refuses what has to do with tasks where others could have written their records.
    pub(super) fn usable(&self) -> Result<(), Error> {
        self.store.check().map_err(|why| Error::new(Error::INTERNAL, why.to_string()))
    }

    /// What a resource is about, if there is such a resource.
    pub(super) fn subject(&mut self, uri: &str) -> Option<Subject> {
        if RESOURCES.iter().any(|resource| resource.uri == uri) {
            let all = uri == ALL_TASKS;
            return Some(if all { Subject::All } else { Subject::Nothing });
        }
        let (name, part) = part_of(uri.strip_prefix(ALL_TASKS)?.strip_prefix('/')?);
        let id = self.one_named(name)?;
        let worktree = self.look(id)?.record.worktree.is_some();
        let known = ["", "result", "events", "stderr"].contains(&part);
        (known || (part == "diff" && worktree)).then_some(Subject::One(id))
    }

    /// What this server is and where it keeps things.
    fn server_info(&self) -> String {
        let settings = &self.settings;
        let path = |path: &std::path::Path| path.display().to_string();
        let mut out = String::new();
        json::object(&mut out, |o| {
            o.str("name", "codex-mcp-swarm").str("version", mcp::VERSION);
            o.strs("tools", Tool::ALL.map(Tool::name));
            o.object("capabilities", |o| {
                o.bool("structured", settings.flags.structured);
                o.bool("resume", !settings.flags.ephemeral);
            });
            o.str("taskDirectory", &path(&settings.task_dir));
            o.str("worktreeDirectory", &path(&settings.worktree_dir));
            match settings.max_age {
                Some(age) => o.int("retentionSeconds", age.as_secs()),
                None => o.raw("retentionSeconds", "null"),
            };
            o.int("minimumWaitSeconds", settings.min_wait.as_secs());
            o.str("logFile", &path(&settings.log)).str("logLevel", settings.log_level.name());
            let codex = settings.flags.codex.as_deref();
            match crate::codex::command::find(codex, &settings.path, &self.here) {
                Ok(codex) => o.str("codex", &codex),
                Err(why) => o.raw("codex", "null").str("codexMissing", &why),
            };
        });
        out
    }

    /// What this server gives to every task.
    fn config(&self) -> String {
        let flags = &self.settings.flags;
        let mut out = String::new();
        json::object(&mut out, |o| {
            o.strs("config", flags.config.iter().map(|word| settings::shown(word)));
            o.bool("skip-git-repo-check", flags.skip_git_repo_check);
            o.bool("ephemeral", flags.ephemeral).bool("structured", flags.structured);
            o.bool("locked", flags.locked).strs("roots", &self.settings.roots);
            o.maybe_str("codex", flags.codex.as_deref());
            // their words may hold secrets
            o.object("launchers", |o| {
                for launcher in &flags.launchers {
                    let limit = launcher.max_parallel.map(|limit| limit.to_string());
                    o.raw(&launcher.name, limit.as_deref().unwrap_or("null"));
                }
            });
            for (name, limit) in
                [("max-parallel", flags.max_parallel), ("task-timeout", flags.task_timeout)]
            {
                if let Some(limit) = limit {
                    o.int(name, limit);
                }
            }
            o.str("defaultCwd", &self.here.display().to_string());
        });
        out
    }

    /// All known tasks, without their answers.
    fn all_tasks(&mut self) -> String {
        let ids = self.look_at_all();
        for id in &ids {
            if let Some(task) = self.tasks.get_mut(*id) {
                task.catch_up();
            }
        }
        let views: Vec<View<'_>> = ids.iter().filter_map(|id| self.view(*id)).collect();
        report::tasks_json(&views, false)
    }

    /// What a task's branch has changed, as its supervisor has written it down.
    fn diff(&self, id: Id) -> String {
        // a task that has not ended, or was not committed, has none
        beginning(&self.store, id, Part::Diff, PART_LIMIT).unwrap_or_default()
    }

    /// A task, or a part of it: what stands behind `tasks/` in the URI.
    fn task_part(&mut self, rest: &str) -> Option<(String, &'static str)> {
        let (name, part) = part_of(rest);
        let id = self.one_named(name)?;
        self.look(id)?.catch_up();
        let view = self.view(id)?;
        Some(match part {
            "" => (view.json(), "application/json"),
            "result" => (whole_answer(&view), "text/plain"),
            "events" => {
                (watched::tail(&self.store, id, Part::Stdout, PART_LIMIT), "application/jsonl")
            }
            "stderr" => (watched::tail(&self.store, id, Part::Stderr, PART_LIMIT), "text/plain"),
            "diff" if view.task.record.worktree.is_some() => (self.diff(id), "text/x-diff"),
            _ => return None,
        })
    }
}

/// The task and the part of it that stand behind `tasks/` in a URI.
fn part_of(rest: &str) -> (&str, &str) {
    rest.split_once('/').unwrap_or((rest, ""))
}

/// The URI that a request is about.
pub(super) fn uri_of<'a>(params: &'a Value<'_>) -> Result<&'a str, Error> {
    let uri = params.get("uri").and_then(Value::as_str);
    uri.ok_or_else(|| Error::invalid_params("uri is missing"))
}

/// There is no resource of this URI, as the revision has it.
pub(super) fn no_resource(uri: &str, revision: Revision) -> Error {
    let code =
        if revision.is_stateless() { Error::INVALID_PARAMS } else { Error::RESOURCE_NOT_FOUND };
    Error::new(code, format!("Resource not found: {uri}")).with(|o| {
        o.str("uri", uri);
    })
}

/// The beginning of a file of a task, at most `limit` bytes.
fn beginning(store: &Store, id: Id, part: Part, limit: u64) -> std::io::Result<String> {
    let file = files::open_own(&store.path(id, part))?;
    let whole = file.metadata()?.len() <= limit;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if !whole {
        let _ = write!(text, "\n[… the rest is in {} …]\n", store.path(id, part).display());
    }
    Ok(text)
}

/// The answer of a task, whole unless it is so long that the client would hang up.
fn whole_answer(view: &View<'_>) -> String {
    if !view.task.is_final() {
        return format!(
            "Task {} is still running; codex_wait waits for its answer.",
            view.task.id()
        );
    }
    let answer = view.task.answer().unwrap_or_default();
    match report::halves(&answer, ANSWER_LIMIT) {
        None => answer,
        Some((head, tail, left_out)) => {
            let file = view.store.path(view.task.id(), Part::Answer);
            let _ = view.store.replace(view.task.id(), Part::Answer, answer.as_bytes(), false);
            let file = file.display();
            format!("{head}\n\n[… {left_out} characters left out; the whole is {file} …]\n\n{tail}")
        }
    }
}
