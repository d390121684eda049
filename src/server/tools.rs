//! What each tool does, and what it answers.

use super::core::{Action, Server};
use super::open::{Awaits, Outcome};
use super::report::{self, View};
use super::watched::Watched;
use crate::codex::command::{self, Task};
use crate::codex::{Request, bounds};
use crate::files;
use crate::json::{self, Value};
use crate::launcher::Launcher;
use crate::log;
use crate::mcp::ToolResult;
use crate::mcp::tool::Tool;
use crate::task::identity::Process;
use crate::task::slots;
use crate::task::store::Part;
use crate::task::{Id, LongId, Record, Status, Usage, Worktree, worktree};
use std::borrow::Cow;
use std::fmt::Write;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long `codex_wait` waits unless it is told otherwise.
const WAIT: Duration = Duration::from_secs(1800);

/// What a task is to be started with.
struct Order {
    /// What the caller asks.
    request: Request,
    /// The directory that a later reply goes by: not the worktree's, where there is one.
    home: String,
    /// The tokens its thread has used before, if that is known.
    usage_before: Option<Usage>,
    /// The worktree of the thread's last task, if this one goes on there.
    worktree: Option<Worktree>,
    /// What the caller is to know about it.
    note: Option<String>,
}

impl Server {
    /// Does what a tool does, or begins to. Names and types of the arguments are checked.
    pub(super) fn use_tool(&mut self, tool: Tool, arguments: &Value<'_>) -> Outcome {
        let started = match tool {
            Tool::Codex | Tool::Reply => self.start(arguments, true).map(Awaits::Answer),
            Tool::Async => self.start(arguments, false).map(Awaits::Start),
            Tool::Batch => self.start_all(arguments).map(Awaits::All),
            Tool::Status => return Outcome::Now(self.status(arguments)),
            Tool::Wait => self.wait(arguments),
            Tool::Cancel => self.cancel(arguments),
        };
        match started {
            Ok(awaits) => Outcome::Later(awaits),
            Err(why) => Outcome::Now(ToolResult::refusal(why)),
        }
    }

    /// The answer to a call whose time has come.
    pub(super) fn answer(&self, awaits: &Awaits) -> ToolResult {
        match awaits {
            Awaits::Start(id) => self.started(*id),
            Awaits::Answer(id) => self.answered(*id),
            Awaits::All(ids) => self.results(ids, &[], false),
            Awaits::Wait { ids, unknown, any, .. } => self.results(ids, unknown, *any),
            Awaits::Cancelled(ids, unknown, _) => self.ended(ids, unknown),
        }
    }

    /// A result, with the structured form if this server gives it.
    fn result(
        &self,
        text: String,
        is_error: bool,
        structured: impl FnOnce() -> String,
    ) -> ToolResult {
        let structured = self.settings.flags.structured.then(structured);
        ToolResult { text, structured, is_error }
    }

    /// Starts a task. `attached`: somebody waits for the answer to this very call.
    fn start(&mut self, arguments: &Value<'_>, attached: bool) -> Result<Id, String> {
        let order = self.order(arguments)?;
        self.launch(&order, attached)
    }

    /// Starts all tasks of a batch, or none if one of them is wrong.
    fn start_all(&mut self, arguments: &Value<'_>) -> Result<Vec<Id>, String> {
        let none = Value::Object(Vec::new());
        let defaults = arguments.get("defaults").filter(|d| **d != Value::Null).unwrap_or(&none);
        let tasks = arguments.get("tasks").and_then(Value::as_array).unwrap_or_default();
        let mut orders = Vec::new();
        for (at, task) in tasks.iter().enumerate() {
            let order = self.order(&overlaid(defaults, task));
            orders.push(order.map_err(|why| format!("tasks[{at}]: {why}"))?);
        }
        let mut ids = Vec::new();
        for order in orders {
            match self.launch(&order, true) {
                Ok(id) => ids.push(id),
                Err(why) => {
                    let why = format!("{why}; the tasks that had been started are ended");
                    for id in ids {
                        self.act(Action::Cancel(id));
                    }
                    return Err(why);
                }
            }
        }
        Ok(ids)
    }

    /// What arguments ask for, with what they leave out taken from the thread's last task.
    fn order(&mut self, arguments: &Value<'_>) -> Result<Order, String> {
        // null is as good as leaving it out
        let arguments = &overlaid(&Value::Null, arguments);
        let text = |name: &str| arguments.get(name).and_then(Value::as_str);
        let thread = text("threadId").or_else(|| text("conversationId"));
        let thread = thread.map(str::to_ascii_lowercase);
        let thread = thread.as_deref();
        if thread.is_some() && self.settings.flags.ephemeral {
            return Err(
                "threadId: this server runs with --ephemeral, so Codex keeps no sessions and \
                        there is nothing to resume; leave threadId out and give the context in the \
                        prompt"
                    .into(),
            );
        }
        let locked = self.settings.flags.locked;
        let Some(last) = thread.and_then(|thread| self.last_on(thread)) else {
            let new = thread.is_none();
            if locked && !new {
                let cure = "that of a task that has run here, or leave it out";
                return Err(bounds::refusal("threadId", thread.unwrap_or_default(), cure));
            }
            let mut request = self.allowed(arguments)?;
            let usage_before = new.then(Usage::default);
            let note = (!new).then(|| self.narrow(&mut request));
            let home = request.cwd.clone();
            return Ok(Order { request, home, usage_before, worktree: None, note });
        };
        let (id, record) = (last.id(), last.record.clone());
        let forks = arguments.get("fork") == Some(&Value::Bool(true));
        if !last.is_final() && !forks {
            return Err(format!(
                "threadId: task {id} is running on this thread; wait for it with codex_wait, or give \
                 fork: true"
            ));
        }
        let on_thread = self.tasks.iter().filter(|task| task.thread() == thread);
        let usage_before =
            on_thread.filter_map(|task| task.record.usage).max_by_key(|usage| usage.input);
        let lasting = json::parse(record.settings.as_bytes()).unwrap_or(Value::Null);
        let merged = inherited(&lasting, arguments);
        let elsewhere = arguments.get("cwd").is_some() || arguments.get("worktree").is_some();
        let mut request = self.allowed(&merged)?;
        let home = request.cwd.clone();
        let mut worktree = record.worktree.filter(|worktree| worktree.is_made() && !elsewhere);
        if let Some(worktree) = worktree.as_ref().filter(|_| locked) {
            bounds::check_worktree(worktree, &self.settings)?;
        }
        if let Some(worktree) = worktree.take_if(|_| forks) {
            // two threads in one directory would disturb each other
            request.worktree = Some(worktree.branch);
        }
        if let Some(worktree) = &worktree {
            let owner = worktree::owner_of(worktree, &self.settings.worktree_dir);
            if owner.is_none() || !worktree.holds(Path::new(&record.cwd)) {
                return Err(format!(
                    "threadId: the worktree of task {id} was removed or replaced; give worktree: true with \
                     worktree-base: {:?} to go on with its branch in a new one, or cwd",
                    worktree.branch
                ));
            }
            request.cwd = record.cwd;
        }
        Ok(Order { request, home, usage_before, worktree, note: None })
    }

    /// The request that arguments make, if this server allows all of it.
    fn allowed(&self, arguments: &Value<'_>) -> Result<Request, String> {
        let mut request = Request::read(arguments, &self.here)?;
        request.launcher(&self.settings)?;
        if self.settings.flags.locked {
            self.store.open().map_err(|why| why.to_string())?;
            // where none can be made no task gets a worktree
            let _ = files::private_directory(&self.settings.worktree_dir);
            bounds::confine(&mut request, &self.settings)?;
        }
        Ok(request)
    }

    /// Makes sure that a thread of which nothing is known here gets no wider sandbox than it had:
    /// read-only, unless somebody says otherwise. Gives the words to say so.
    fn narrow(&self, request: &mut Request) -> String {
        let nothing = "no task here has run on this thread, so nothing was taken over";
        if request.effective_sandbox(&self.settings).is_some() {
            return nothing.into();
        }
        request.sandbox = Some("read-only".into());
        format!(
            "{nothing}, and the sandbox is read-only; give cwd, sandbox and model to change that"
        )
    }

    /// The task that was started last on a thread, if any here was.
    fn last_on(&mut self, thread: &str) -> Option<&Watched> {
        let ids = self.look_at_all();
        let tasks = ids.iter().filter_map(|id| self.tasks.get(*id));
        tasks.filter(|task| task.thread() == Some(thread)).max_by_key(|task| task.record.started)
    }

    /// Writes the files of a task and has its supervisor started.
    fn launch(&mut self, order: &Order, attached: bool) -> Result<Id, String> {
        let launcher = order.request.launcher(&self.settings)?;
        let given = self.settings.flags.codex.as_deref();
        let codex = if launcher.is_some_and(Launcher::has_other_files) {
            given.unwrap_or("codex").to_owned()
        } else {
            command::find(given, &self.settings.path, &self.here)?
        };
        self.store.open().map_err(|why| why.to_string())?;
        let id = self.store.claim(&order.request.prompt).map_err(|why| self.cannot_write(&why))?;
        let record = self.write_files(id, order, codex, attached);
        let place = record.and_then(|record| Ok((self.queue_up(&record)?, record)));
        let (place, record) = place.inspect_err(|_| self.store.remove(id))?;
        log::info(&format!("task {id}: started in {}", record.cwd));
        self.tasks.add(Watched::new(&self.store, record, true));
        self.act(Action::Launch(id, place));
        Ok(id)
    }

    /// Gives a task its place in the queue, if it has to wait for its turn.
    fn queue_up(&mut self, record: &Record) -> Result<Option<File>, String> {
        let mut lines = record.lines().into_iter();
        let Some((of, _)) = lines.find(|(_, limit)| limit.is_some()) else { return Ok(None) };
        self.launched += 1;
        let place = slots::queue_up(&self.store, &of, record.id, record.asked, self.launched);
        place.map(Some).map_err(|why| self.cannot_write(&why))
    }

    /// Writes the files that a task needs besides its prompt.
    fn write_files(
        &self,
        id: Id,
        order: &Order,
        codex: String,
        attached: bool,
    ) -> Result<Record, String> {
        let request = &order.request;
        let worktree = match (&order.worktree, &request.worktree) {
            // what the last task came to there is not what this one will
            (Some(last), _) => Some(Worktree { changes: None, trouble: None, ..last.clone() }),
            (None, Some(base)) => Some(Worktree::planned(&self.settings.worktree_dir, id, base)),
            (None, None) => None,
        };
        let file = |part, text: Option<&String>| -> Result<Option<PathBuf>, String> {
            let Some(text) = text else { return Ok(None) };
            let written = self.store.create(id, part, text.as_bytes());
            written.map_err(|why| self.cannot_write(&why))?;
            Ok(Some(self.store.path(id, part)))
        };
        let task = Task {
            id,
            instructions: file(Part::Instructions, request.base_instructions.as_ref())?,
            schema: file(Part::Schema, request.output_schema.as_ref())?,
        };
        let mut command = vec![codex];
        command.extend(request.words(&self.settings, &task)?);
        let long_id = LongId::random(id).map_err(|why| self.cannot_write(&why))?;
        let record = Record {
            id,
            long_id: Some(long_id),
            status: Status::Queued,
            attached,
            command,
            cwd: request.cwd.clone(),
            roots: self.settings.roots.clone(),
            settings: request.lasting(&self.settings, &order.home),
            model: request.effective_model(&self.settings),
            sandbox: request.effective_sandbox(&self.settings),
            thread: request.thread.clone().filter(|_| !request.fork),
            usage_before: order.usage_before,
            usage: None,
            asked: self.now.wall,
            started: self.now.wall,
            completed: None,
            launcher: request.launcher(&self.settings)?.cloned(),
            max_parallel: self.settings.flags.max_parallel,
            timeout: self.settings.flags.task_timeout,
            timed_out: false,
            server: Some(Process::of(std::process::id())),
            supervisor: None,
            codex: None,
            exit: None,
            failure: None,
            note: order.note.clone(),
            ours: true,
            inferred: false,
            worktree,
        };
        self.store.write(&record).map_err(|why| why.to_string())?;
        Ok(record)
    }

    /// Why a task's files cannot be made.
    fn cannot_write(&self, why: &std::io::Error) -> String {
        let directory = self.store.directory().display();
        format!("cannot write the task's files in {directory}: {why}")
    }

    /// The answer of `codex_async`.
    fn started(&self, id: Id) -> ToolResult {
        let Some(view) = self.view(id) else { return gone(id) };
        let record = &view.task.record;
        if record.codex.is_none() && record.status.is_final() {
            let cause = view.task.failure(&self.store).cause;
            return match record.status {
                Status::Cancelled => ToolResult::refusal(format!("task {id} was cancelled")),
                _ => ToolResult::refusal(format!("task {id} was not started: {cause}")),
            };
        }
        let mut text = String::new();
        view.brief(&mut text);
        let limit = record.lines().into_iter().filter_map(|(_, limit)| limit).min();
        if let (Status::Queued, Some(limit)) = (record.status, limit) {
            let _ = writeln!(text, "It is queued: at most {limit} run at once.");
        }
        let _ = write!(
            text,
            "\nIt runs in the background. When you have started all you need, call \
             codex_wait with task_ids [\"{id}\", …]: nothing else brings the result back."
        );
        self.result(text, false, || {
            let mut out = String::new();
            json::object(&mut out, |o| view.write(o, None));
            out
        })
    }

    /// The answer of `codex` and `codex_reply`.
    fn answered(&self, id: Id) -> ToolResult {
        let Some(view) = self.view(id) else { return gone(id) };
        let text = view.reply(self.settings.flags.ephemeral);
        let failed = view.task.record.status != Status::Completed;
        self.result(text, failed, || view.reply_json())
    }

    /// The answer of `codex_wait` and `codex_batch`: what the tasks have come to so far.
    fn results(&self, ids: &[Id], unknown: &[String], any: bool) -> ToolResult {
        let views = self.views(ids);
        let mut text = report::results(&views, any);
        // a task may have been cleaned up before the last of the others has ended
        let gone = ids.iter().filter(|id| !self.tasks.has(**id)).map(Id::to_string);
        append_unknown(&mut text, &[unknown, &gone.collect::<Vec<_>>()].concat());
        let none = views.is_empty();
        self.result(text, none, || report::tasks_json(&views, true))
    }

    /// What it takes to tell of these tasks.
    pub(super) fn views(&self, ids: &[Id]) -> Vec<View<'_>> {
        ids.iter().filter_map(|id| self.view(*id)).collect()
    }

    /// Does `codex_status`.
    fn status(&mut self, arguments: &Value<'_>) -> ToolResult {
        let (asked, unknown) = self.tasks_named(arguments.get("task_ids"), None);
        let all = asked.is_empty() && unknown.is_empty();
        let ids = if all { self.recent() } else { asked };
        for id in &ids {
            if let Some(task) = self.tasks.get_mut(*id) {
                task.catch_up();
            }
        }
        let views = self.views(&ids);
        let mut text = views.iter().map(View::status).collect::<Vec<_>>().join("\n");
        append_unknown(&mut text, &unknown);
        if text.is_empty() {
            text.push_str("No task is running, and none ended in the last hour.\n");
        }
        let none_there = ids.is_empty() && !unknown.is_empty();
        self.result(text, none_there, || report::tasks_json(&views, false))
    }

    /// The tasks that run or ended a short while ago, in the order they were started in.
    fn recent(&mut self) -> Vec<Id> {
        let ids = self.look_at_all();
        let recent = |task: &&Watched| task.is_recent(self.now.wall);
        let mut recent: Vec<&Watched> =
            ids.iter().filter_map(|id| self.tasks.get(*id)).filter(recent).collect();
        recent.sort_by_key(|task| task.record.started);
        recent.into_iter().map(Watched::id).collect()
    }

    /// Does `codex_wait`.
    fn wait(&mut self, arguments: &Value<'_>) -> Result<Awaits, String> {
        let (ids, unknown) = self.tasks_named(arguments.get("task_ids"), None);
        if ids.is_empty() && unknown.is_empty() {
            return Err("task_ids is empty; give the ids that codex_async returned".into());
        }
        let given = arguments.get("timeout").and_then(Value::as_thousandths);
        let timeout = given.map_or(WAIT, Duration::from_millis).max(self.settings.min_wait);
        Ok(Awaits::Wait {
            ids,
            unknown,
            any: arguments.get("until").and_then(Value::as_str) == Some("any"),
            deadline: self.now.steady.saturating_add(timeout),
        })
    }

    /// Does `codex_cancel`.
    fn cancel(&mut self, arguments: &Value<'_>) -> Result<Awaits, String> {
        let (ids, unknown) = self.tasks_named(arguments.get("task_ids"), arguments.get("task_id"));
        if ids.is_empty() && unknown.is_empty() {
            return Err("task_id is missing; give the id of a task, or several as task_ids".into());
        }
        self.end(&ids)?;
        let tasks = ids.iter().filter_map(|id| self.tasks.get(*id));
        let most = tasks.map(Watched::time_to_end).max().unwrap_or_default();
        Ok(Awaits::Cancelled(ids, unknown, self.now.steady + most))
    }

    /// Tells these tasks to end, as far as they have not; none if one of them is out of reach.
    pub(super) fn end(&mut self, ids: &[Id]) -> Result<(), String> {
        for id in ids {
            if self.tasks.get(*id).is_some_and(Watched::is_out_of_reach) {
                return Err(format!(
                    "task {id} runs on another machine or in another container, out of reach; \
                     cancel it there"
                ));
            }
        }
        for id in ids {
            let Some(task) = self.tasks.get_mut(*id).filter(|task| !task.is_final()) else {
                continue;
            };
            task.told_to_end = true;
            if task.ours {
                self.act(Action::Cancel(*id));
            } else {
                task.tell_to_end();
            }
        }
        Ok(())
    }

    /// The answer of `codex_cancel`.
    fn ended(&self, ids: &[Id], unknown: &[String]) -> ToolResult {
        let views = self.views(ids);
        let mut text = String::new();
        let mut failed = ids.is_empty();
        for view in &views {
            let (id, record) = (view.task.id(), &view.task.record);
            let elapsed = crate::clock::span(record.elapsed(view.now));
            let _ = match record.status {
                Status::Cancelled => {
                    let left = record.note.as_deref().unwrap_or("none of its processes is left");
                    writeln!(text, "Task {id} is cancelled, after {elapsed}; {left}.")
                }
                Status::Completed | Status::Failed => writeln!(
                    text,
                    "Task {id} had already {} in {elapsed}; nothing was changed.",
                    record.status.name()
                ),
                _ => {
                    failed = true;
                    writeln!(text, "Task {id} was told to end and has not ended yet; ask again.")
                }
            };
            if let Some(thread) = view.task.thread() {
                let _ = writeln!(text, "Thread ID: {thread} (codex_reply can go on with it)");
            }
        }
        append_unknown(&mut text, unknown);
        self.result(text, failed, || report::tasks_json(&views, false))
    }

    /// The tasks that arguments name, each once, as they stand now; and the ids that mean none.
    fn tasks_named(
        &mut self,
        many: Option<&Value<'_>>,
        one: Option<&Value<'_>>,
    ) -> (Vec<Id>, Vec<String>) {
        let many = many.and_then(Value::as_array).unwrap_or_default();
        let (mut ids, mut unknown) = (Vec::new(), Vec::new());
        for name in many.iter().chain(one).filter_map(Value::as_str) {
            let named = self.named(name);
            if named.is_empty() {
                unknown.push(name.to_owned());
            }
            for id in named {
                if !ids.contains(&id) {
                    ids.push(id);
                }
            }
        }
        (ids, unknown)
    }

    /// The tasks that an id names, in either of its forms.
    fn named(&mut self, name: &str) -> Vec<Id> {
        let mut named = match Id::read(name) {
            Some(id) => vec![id],
            None => self.held(name).map_or(Vec::new(), |held| held.tasks().to_vec()),
        };
        named.retain(|id| self.look(*id).is_some());
        named
    }

    /// The one task that an id names, in either of its forms.
    pub(super) fn one_named(&mut self, name: &str) -> Option<Id> {
        match self.named(name)[..] {
            [id] => Some(id),
            _ => None,
        }
    }
}

/// The answer about a task that is no more.
fn gone(id: Id) -> ToolResult {
    ToolResult::refusal(format!("task {id} is not known any more"))
}

/// Adds a line for each id that means no task.
fn append_unknown(text: &mut String, unknown: &[String]) {
    for name in unknown {
        let _ = writeln!(
            text,
            "=== Task {} === NOT FOUND (no such task here; its files may have been cleaned up)",
            crate::codex::event::excerpt(name)
        );
    }
}

/// The members of `under` that `over` has not got, and behind them those of `over`: where two keys of
/// `config` are about the same thing, Codex takes the later one.
fn overlaid<'a>(under: &Value<'a>, over: &Value<'a>) -> Value<'a> {
    let given = |value: &Value<'a>| -> Vec<(Cow<'a, str>, Value<'a>)> {
        let members = value.as_object().unwrap_or_default().iter();
        members.filter(|(_, value)| *value != Value::Null).cloned().collect()
    };
    let over = given(over);
    let mut members = given(under);
    members.retain(|(key, _)| !over.iter().any(|(name, _)| name == key));
    members.extend(over);
    Value::Object(members)
}

/// The arguments of a reply, with what the thread's last task was told. `config` is taken over key
/// by key, and what it says in the reply itself of model or sandbox is not overruled by what lasts.
fn inherited<'a>(lasting: &Value<'a>, reply: &Value<'a>) -> Value<'a> {
    let config = |of: &Value<'a>| of.get("config").cloned().unwrap_or(Value::Null);
    let own = config(reply);
    let mut kept = lasting.as_object().unwrap_or_default().to_vec();
    for (parameter, key) in [("model", "model"), ("sandbox", "sandbox_mode")] {
        if own.get(key).is_some() {
            kept.retain(|(name, _)| name != parameter);
        }
    }
    let both = overlaid(&config(lasting), &own);
    let mut all = overlaid(&Value::Object(kept), reply);
    if let (Value::Object(members), true) = (&mut all, both != Value::Object(Vec::new())) {
        members.retain(|(name, _)| name != "config");
        members.push(("config".into(), both));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_changes_what_it_names_and_keeps_the_rest() {
        for (lasting, reply, expected) in [
            (
                r#"{"cwd":"/a","sandbox":"read-only"}"#,
                r#"{"prompt":"p","cwd":"/b","sandbox":null}"#,
                r#"{"sandbox":"read-only","prompt":"p","cwd":"/b"}"#,
            ),
            (
                r#"{"config":{"a":1,"b":2}}"#,
                r#"{"prompt":"p","config":{"b":3}}"#,
                r#"{"prompt":"p","config":{"a":1,"b":3}}"#,
            ),
            (
                r#"{"sandbox":"read-only","model":"m"}"#,
                r#"{"prompt":"p","config":{"sandbox_mode":"workspace-write"}}"#,
                r#"{"model":"m","prompt":"p","config":{"sandbox_mode":"workspace-write"}}"#,
            ),
        ] {
            let parse = |text: &'static str| json::parse(text.as_bytes()).expect(text);
            assert_eq!(inherited(&parse(lasting), &parse(reply)).to_json(), expected);
        }
    }
}
