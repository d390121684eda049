//! What `resources/read` shows.

use super::core::Server;
use super::report::{self, View};
use super::watched;
use crate::json::{self, Object};
use crate::mcp::tool::Tool;
use crate::mcp::{self, RESOURCES};
use crate::rpc::Error;
use crate::settings;
use crate::sys;
use crate::task::store::Part;
use crate::task::{Id, Store};
use std::fmt::Write;
use std::io::Read;

/// The most bytes of a file that one reply holds. The SDKs cut the connection at 10 MiB.
const PART_LIMIT: u64 = 1 << 20;

/// The most characters of an answer that one reply holds.
const ANSWER_LIMIT: usize = 1 << 20;

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
    pub(super) fn read_resource(&mut self, uri: &str) -> Result<Contents, Error> {
        if uri.starts_with("codex-swarm:///tasks") {
            let internal = |why: std::io::Error| Error::new(Error::INTERNAL, why.to_string());
            self.store.check().map_err(internal)?;
        }
        let known = RESOURCES.iter().find(|resource| resource.uri == uri);
        let found = match known.map(|resource| resource.name) {
            Some("server-info") => Some((self.server_info(), "application/json")),
            Some("config") => Some((self.config(), "application/json")),
            Some("tasks") => Some((self.all_tasks(), "application/json")),
            _ => uri.strip_prefix("codex-swarm:///tasks/").and_then(|rest| self.task_part(rest)),
        };
        let (text, media) = found.ok_or_else(|| {
            let mut data = String::new();
            json::object(&mut data, |o| {
                o.str("uri", uri);
            });
            let message = format!("Resource not found: {uri}");
            Error { data: Some(data), ..Error::new(Error::RESOURCE_NOT_FOUND, message) }
        })?;
        Ok(Contents { uri: uri.to_owned(), media, text })
    }

    /// What this server is and where it keeps things.
    fn server_info(&self) -> String {
        let settings = &self.settings;
        let path = |path: &std::path::Path| path.display().to_string();
        let mut out = String::new();
        json::object(&mut out, |o| {
            o.str("name", "codex-mcp-swarm").str("version", mcp::VERSION);
            o.array("tools", |a| {
                for tool in Tool::ALL {
                    a.str(tool.name());
                }
            });
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
            match super::tools::find_codex(codex, &settings.path, &self.here) {
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
            o.array("config", |a| {
                for word in &flags.config {
                    a.str(&settings::shown(word));
                }
            });
            o.bool("skip-git-repo-check", flags.skip_git_repo_check);
            o.bool("ephemeral", flags.ephemeral).bool("structured", flags.structured);
            o.maybe_str("codex", flags.codex.as_deref());
            o.str("defaultCwd", &self.here.display().to_string());
        });
        out
    }

    /// All known tasks, without their answers.
    fn all_tasks(&mut self) -> String {
        let ids = self.look_at_all();
        for id in &ids {
            if let Some(task) = self.tasks.get_mut(id) {
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
        let (name, part) = rest.split_once('/').unwrap_or((rest, ""));
        let id = Id::read(name)?;
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

/// The beginning of a file of a task, at most `limit` bytes.
fn beginning(store: &Store, id: Id, part: Part, limit: u64) -> std::io::Result<String> {
    let file = sys::open_own(&store.path(id, part))?;
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
