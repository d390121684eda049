//! What the server does about what happens: events in, actions out. Nothing here waits, and nothing
//! is written but to the task directory, whose small files are read and written on the spot.

use super::report::View;
use super::watched::Watched;
use crate::clock::Now;
use crate::json::Value;
use crate::log;
use crate::mcp::tool::Tool;
use crate::mcp::{self, Revision, ToolResult};
use crate::rpc::{self, Error, Message};
use crate::settings::Settings;
use crate::task::store::Part;
use crate::task::{Id, Store};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

/// Something happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// The client wrote a line.
    Message(&'a [u8]),
    /// The client wrote a line of so many bytes, which is too long.
    Overlong(u64),
    /// A task of ours wrote something.
    Output(Id),
    /// A task of ours has a new record.
    Changed(Id),
    /// The supervisor of a task is gone.
    Gone(Id),
    /// The supervisor of a task could not be started.
    NotLaunched(Id, String),
    /// A moment that somebody waits for may have come.
    Tick,
}

/// Something to be done.
#[derive(Debug)]
pub enum Action {
    /// Write a line to the client.
    Send(String),
    /// Write a line to the client, unless it has fallen behind: another will come.
    Progress(String),
    /// Start the supervisor of a task.
    Launch(Id),
    /// Tell the supervisor of a task of ours to end it.
    Cancel(Id),
    /// Tell the supervisor of a task of ours that the task goes on without this server.
    Detach(Id),
    /// End what is left of a task whose supervisor was killed.
    EndLeftovers(Id),
    /// Tell us when this process is gone: the supervisor of a task that is not ours.
    Watch(Id, OwnedFd),
}

/// At most so often is progress told.
const PROGRESS_REST: Duration = Duration::from_millis(500);

/// At least so often is progress told.
const PROGRESS_BEAT: Duration = Duration::from_secs(15);

/// Progress is counted in millionths.
const MILLION: u64 = 1_000_000;

/// How often a task that is not ours is looked at where the system cannot tell of its end.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The server.
pub struct Server {
    /// What it was told at the start.
    pub(super) settings: Settings,
    /// The directory it was started in.
    pub(super) here: PathBuf,
    /// Where tasks are kept.
    pub(super) store: Store,
    /// The tasks it started or was asked about.
    pub(super) tasks: BTreeMap<Id, Watched>,
    /// The revision agreed on, once there was an `initialize`.
    revision: Option<Revision>,
    /// The calls that wait for something.
    calls: Vec<Call>,
    /// When to look at tasks again that a call waits for and whose end the system cannot tell.
    look_again: Option<Duration>,
    /// The moment of the event that is being handled.
    pub(super) now: Now,
    /// What is to be done about it.
    actions: Vec<Action>,
}

/// A tool call that is not answered yet.
struct Call {
    /// The request to answer.
    id: rpc::Id,
    /// What it waits for.
    awaits: Awaits,
    /// Where to tell progress, if the client wants any.
    progress: Option<Progress>,
}

/// What comes of a tool call.
pub(super) enum Outcome {
    /// It is answered at once.
    Now(ToolResult),
    /// It is answered when something has come.
    Later(Awaits),
}

/// What a call waits for.
#[derive(Debug)]
pub(super) enum Awaits {
    /// That the task has begun.
    Start(Id),
    /// That the task has ended; its answer is the result.
    Answer(Id),
    /// That all have ended. They were started by the call.
    All(Vec<Id>),
    /// What `codex_wait` waits for.
    Wait {
        /// The tasks there are.
        ids: Vec<Id>,
        /// The ids that mean no task.
        unknown: Vec<String>,
        /// One is enough.
        any: bool,
        /// When to answer at the latest.
        deadline: Duration,
    },
    /// That all have ended, since they were told to; the ids that mean no task; the latest moment.
    Cancelled(Vec<Id>, Vec<String>, Duration),
}

impl Awaits {
    /// The tasks it is about.
    fn tasks(&self) -> &[Id] {
        match self {
            Awaits::Start(id) | Awaits::Answer(id) => std::slice::from_ref(id),
            Awaits::All(ids) | Awaits::Wait { ids, .. } | Awaits::Cancelled(ids, ..) => ids,
        }
    }

    /// The tasks that were started for this call alone.
    fn own_tasks(&self) -> &[Id] {
        match self {
            Awaits::Start(_) | Awaits::Answer(_) | Awaits::All(_) => self.tasks(),
            Awaits::Wait { .. } | Awaits::Cancelled(..) => &[],
        }
    }

    /// When it is answered whether or not what it waits for has come.
    fn deadline(&self) -> Option<Duration> {
        match self {
            Awaits::Wait { deadline, .. } | Awaits::Cancelled(_, _, deadline) => Some(*deadline),
            Awaits::Start(_) | Awaits::Answer(_) | Awaits::All(_) => None,
        }
    }
}

/// The progress of a call.
struct Progress {
    /// The client's token, as JSON text.
    token: String,
    /// When it was told last.
    told: Duration,
    /// The task that did something since.
    news: Option<Id>,
    /// How often it was told.
    count: u32,
    /// The number that was told last, in millionths. It must grow.
    number: u64,
}

impl Server {
    /// A server that has heard nothing yet, started in the directory `here`.
    pub fn new(settings: Settings, here: PathBuf) -> Server {
        Server {
            store: Store::new(&settings.task_dir),
            settings,
            here,
            tasks: BTreeMap::new(),
            revision: None,
            calls: Vec::new(),
            look_again: None,
            now: Now { steady: Duration::ZERO, wall: 0 },
            actions: Vec::new(),
        }
    }

    /// Deals with an event, and gives what is to be done about it, in order.
    pub fn handle(&mut self, event: Event<'_>, now: Now) -> Vec<Action> {
        self.now = now;
        match event {
            Event::Message(line) => self.message(line),
            Event::Overlong(length) => {
                let message = format!("Parse error: a line of {length} bytes is too long");
                self.send(rpc::error(None, &Error::new(Error::PARSE, message)));
            }
            Event::Output(id) => self.output(id),
            Event::Changed(id) => {
                if let Some(task) = self.tasks.get_mut(&id) {
                    task.reread(&self.store);
                }
                self.output(id);
                self.settle(id);
            }
            Event::Gone(id) => self.gone(id, None),
            Event::NotLaunched(id, why) => self.gone(id, Some(why)),
            Event::Tick => self.tick(),
        }
        std::mem::take(&mut self.actions)
    }

    /// When the next `Tick` is due, in steady time.
    pub fn deadline(&self) -> Option<Duration> {
        let calls = self.calls.iter().filter_map(|call| call.awaits.deadline());
        let progress =
            self.calls.iter().filter_map(|call| call.progress.as_ref().map(Progress::due));
        calls.chain(progress).chain(self.look_again).min()
    }

    /// Does an action.
    pub(super) fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    /// Writes a line to the client.
    fn send(&mut self, line: String) {
        self.act(Action::Send(line));
    }

    /// The revision that is spoken.
    fn revision(&self) -> Revision {
        self.revision.unwrap_or(Revision::V2025_11_25)
    }

    /// Deals with a line of the client.
    fn message(&mut self, line: &[u8]) {
        match Message::read(line) {
            None | Some(Message::Response) => {}
            Some(Message::Broken(id, error)) => self.send(rpc::error(id.as_ref(), &error)),
            Some(Message::Notification { method, params }) => {
                if method == "notifications/cancelled" {
                    self.cancelled(params.as_ref());
                }
            }
            Some(Message::Request { id, method, params }) => {
                let params = params.unwrap_or(Value::Object(Vec::new()));
                if let Err(error) = self.request(&id, &method, &params) {
                    self.send(rpc::error(Some(&id), &error));
                }
            }
        }
    }

    /// Deals with a request: answers it, or keeps it as a call, or gives the error to answer with.
    fn request(&mut self, id: &rpc::Id, method: &str, params: &Value<'_>) -> Result<(), Error> {
        let known = matches!(
            method,
            "tools/list"
                | "tools/call"
                | "resources/list"
                | "resources/templates/list"
                | "resources/read"
        );
        if known && self.revision.is_none() {
            let message = "Invalid params: initialize comes first";
            return Err(Error::new(Error::INVALID_PARAMS, message));
        }
        if known
            && method.ends_with("/list")
            && params.get("cursor").is_some_and(|c| *c != Value::Null)
        {
            let message = "Invalid cursor: there is one page, without a cursor";
            return Err(Error::new(Error::INVALID_PARAMS, message));
        }
        let revision = self.revision();
        let line = match method {
            "initialize" => {
                let wanted = params.get("protocolVersion").and_then(Value::as_str);
                let revision = Revision::negotiate(wanted);
                self.revision = Some(revision);
                rpc::result(id, |o| mcp::write_initialize(o, revision))
            }
            "ping" => rpc::result(id, |_| {}),
            "tools/list" => {
                let structured = self.settings.flags.structured;
                rpc::result(id, |o| mcp::schema::write_list(o, revision, structured))
            }
            "tools/call" => return self.call(id, params),
            "resources/list" => rpc::result(id, |o| {
                o.array("resources", |a| {
                    for resource in &mcp::RESOURCES {
                        a.object(|o| resource.write(o, "uri"));
                    }
                });
            }),
            "resources/templates/list" => rpc::result(id, |o| {
                o.array("resourceTemplates", |a| {
                    for template in &mcp::TEMPLATES {
                        a.object(|o| template.write(o, "uriTemplate"));
                    }
                });
            }),
            "resources/read" => {
                let uri = params.get("uri").and_then(Value::as_str);
                let missing =
                    || Error::new(Error::INVALID_PARAMS, "Invalid params: uri is missing");
                let contents = self.read_resource(uri.ok_or_else(missing)?)?;
                rpc::result(id, |o| contents.write(o))
            }
            _ => {
                let message = format!("Method not found: {method}");
                return Err(Error::new(Error::METHOD_NOT_FOUND, message));
            }
        };
        self.send(line);
        Ok(())
    }

    /// Deals with `tools/call`.
    fn call(&mut self, id: &rpc::Id, params: &Value<'_>) -> Result<(), Error> {
        let invalid = |message: String| Error::new(Error::INVALID_PARAMS, message);
        let name = params.get("name").and_then(Value::as_str);
        let name = name.ok_or_else(|| invalid("Invalid params: name is missing".into()))?;
        let tool = Tool::named(name).ok_or_else(|| invalid(format!("Unknown tool: {name}")))?;
        let none = Value::Object(Vec::new());
        let arguments = match params.get("arguments") {
            None | Some(Value::Null) => &none,
            Some(arguments) if arguments.as_object().is_some() => arguments,
            Some(other) => {
                let kind = other.kind();
                return Err(invalid(format!(
                    "Invalid params: arguments must be an object, not {kind}"
                )));
            }
        };
        let usable = self.store.check().map_err(|why| why.to_string());
        let outcome = match tool.check(arguments).and(usable) {
            Err(why) => Outcome::Now(ToolResult::refusal(why)),
            Ok(()) => self.use_tool(tool, arguments),
        };
        match outcome {
            Outcome::Now(result) => self.reply(id, &result),
            Outcome::Later(awaits) => {
                let token = params.get("_meta").and_then(|meta| meta.get("progressToken"));
                let progress = token.and_then(rpc::Id::read).map(|token| Progress {
                    token: token.json().to_owned(),
                    told: self.now.steady,
                    news: None,
                    count: 0,
                    number: 0,
                });
                let call = Call { id: id.clone(), awaits, progress };
                // first, because a task that cannot be watched may turn out to have ended
                self.watch(call.awaits.tasks().to_vec());
                if self.is_done(&call.awaits) {
                    self.finish(&call);
                } else {
                    self.calls.push(call);
                }
            }
        }
        Ok(())
    }

    /// Answers a call.
    fn reply(&mut self, id: &rpc::Id, result: &ToolResult) {
        let revision = self.revision();
        self.send(rpc::result(id, |o| result.write(o, revision)));
    }

    /// Whether what a call waits for has come.
    fn is_done(&self, awaits: &Awaits) -> bool {
        let begun = |id: &Id| {
            self.tasks.get(id).is_none_or(|task| task.is_final() || task.record.codex.is_some())
        };
        let ended = |id: &Id| self.tasks.get(id).is_none_or(Watched::is_final);
        let late = awaits.deadline().is_some_and(|deadline| self.now.steady >= deadline);
        match awaits {
            Awaits::Start(id) => begun(id),
            Awaits::Wait { ids, any: true, .. } => late || ids.is_empty() || ids.iter().any(ended),
            _ => late || awaits.tasks().iter().all(ended),
        }
    }

    /// Answers a call whose time has come.
    fn finish(&mut self, call: &Call) {
        for id in call.awaits.tasks() {
            if let Some(task) = self.tasks.get_mut(id) {
                task.catch_up();
            }
        }
        let result = self.answer(&call.awaits);
        self.reply(&call.id, &result);
    }

    /// Answers the calls that waited for this task, as far as their time has come.
    fn settle(&mut self, id: Id) {
        self.answer_calls(|call| call.awaits.tasks().contains(&id));
    }

    /// Answers those of the calls that `concern` chooses whose time has come.
    fn answer_calls(&mut self, concern: impl Fn(&Call) -> bool) {
        let calls = std::mem::take(&mut self.calls);
        let (done, open): (Vec<_>, Vec<_>) =
            calls.into_iter().partition(|call| concern(call) && self.is_done(&call.awaits));
        self.calls = open;
        for call in done {
            self.finish(&call);
        }
    }

    /// The supervisor of a task is gone, or could not be started.
    fn gone(&mut self, id: Id, why: Option<String>) {
        if let Some(task) = self.tasks.get_mut(&id) {
            task.ours = false;
            task.awaited = false;
            task.reread(&self.store);
            if !task.is_final() {
                self.conclude(id, why);
            }
        }
        self.settle(id);
    }

    /// Gives the verdict of a task whose supervisor is gone without one, and has ended what it left.
    fn conclude(&mut self, id: Id, why: Option<String>) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.conclude(&self.store, self.now.wall, why);
        if task.record.ours && task.record.supervisor.is_some() {
            self.act(Action::EndLeftovers(id));
        }
    }

    /// A task wrote something.
    fn output(&mut self, id: Id) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.catch_up();
        for call in &mut self.calls {
            if let Some(progress) = &mut call.progress {
                if call.awaits.tasks().contains(&id) {
                    progress.news = Some(id);
                }
            }
        }
        self.tell_progress();
    }

    /// The client takes a request back. A client that only lost patience gets its task back: it goes
    /// on and can be waited for.
    fn cancelled(&mut self, params: Option<&Value<'_>>) {
        let Some(params) = params else { return };
        let Some(id) = params.get("requestId").and_then(rpc::Id::read) else { return };
        let Some(at) = self.calls.iter().position(|call| call.id == id) else { return };
        let call = self.calls.remove(at);
        let reason = params.get("reason").and_then(Value::as_str).unwrap_or_default();
        let timed_out = reason.to_ascii_lowercase().contains("timed out");
        for id in call.awaits.own_tasks() {
            if timed_out {
                log::info(&format!("task {id}: its client timed out; the task goes on"));
                self.act(Action::Detach(*id));
            } else {
                self.act(Action::Cancel(*id));
            }
        }
    }

    /// Looks what is due.
    fn tick(&mut self) {
        if self.look_again.take_if(|due| *due <= self.now.steady).is_some() {
            let awaited = self.calls.iter().flat_map(|call| call.awaits.tasks().iter().copied());
            self.watch(awaited.collect());
        }
        self.answer_calls(|_| true);
        self.tell_progress();
    }

    /// Sees to it that the end of tasks that are not ours is told.
    fn watch(&mut self, ids: Vec<Id>) {
        for id in ids {
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            if task.ours || task.awaited || task.is_final() {
                continue;
            }
            let handle = task
                .record
                .supervisor
                .as_ref()
                .and_then(super::super::task::identity::Process::watch);
            if let Some(handle) = handle {
                task.awaited = true;
                self.actions.push(Action::Watch(id, handle));
            } else {
                self.look(id);
                let open = self.tasks.get(&id).is_some_and(|task| !task.is_final());
                self.look_again = self.look_again.or(open.then(|| self.now.steady + LOOK_AGAIN));
            }
        }
    }

    /// Tells progress where it is due.
    fn tell_progress(&mut self) {
        let (now, wall) = (self.now.steady, self.now.wall);
        let revision = self.revision();
        let mut lines = Vec::new();
        for call in &mut self.calls {
            let Some(progress) = call.progress.as_mut().filter(|p| p.due() <= now) else {
                continue;
            };
            let ids = call.awaits.tasks();
            let running = |id: &Id| self.tasks.get(id).is_some_and(|task| !task.is_final());
            let about = progress.news.filter(running).or(ids.iter().copied().find(running));
            let done = ids.iter().filter(|id| !running(id)).count();
            let Some(id) = about.or(ids.first().copied()) else { continue };
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            if !task.ours {
                task.reread(&self.store);
                task.catch_up();
            }
            let view = View { task, store: &self.store, now: wall };
            let doing = format!(
                "{id} {}: {}",
                crate::clock::span(view.task.record.elapsed(wall)),
                view.doing()
            );
            let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
            let (steps, message) = if ids.len() > 1 {
                let message = format!("{done} of {} done; {doing}", ids.len());
                (Some((count(done), count(ids.len()))), message)
            } else {
                (view.task.transcript.plan, doing)
            };
            let steps = steps.filter(|(done, all)| done < all);
            progress.step(steps.map(|(done, _)| done), now);
            // a plan that came late, or lost steps, may have fewer than were counted
            let total = steps.map(|(_, all)| all).filter(|all| progress.is_within(*all));
            lines.push(rpc::notification("notifications/progress", |o| {
                o.raw("progressToken", &progress.token);
                o.raw("progress", &progress.number());
                if let Some(total) = total {
                    o.int("total", total);
                }
                if revision >= Revision::V2025_03_26 {
                    o.str("message", &message);
                }
            }));
        }
        for line in lines {
            self.act(Action::Progress(line));
        }
    }

    /// The task of this id, as it stands now. `None` if there is no such task.
    pub(super) fn look(&mut self, id: Id) -> Option<&mut Watched> {
        if !self.tasks.contains_key(&id) {
            let record = self.store.read(id)?;
            self.tasks.insert(id, Watched::new(&self.store, record, false));
        }
        let (store, wall) = (&self.store, self.now.wall);
        if self.tasks.get_mut(&id)?.refresh(store, wall) {
            self.conclude(id, None);
        }
        self.tasks.get_mut(&id)
    }

    /// All tasks there are. Those whose files are gone are forgotten, unless they run or a call is
    /// about them.
    pub(super) fn look_at_all(&mut self) -> Vec<Id> {
        let there = self.store.ids(Part::Meta);
        let calls = &self.calls;
        let asked = |id: &Id| calls.iter().any(|call| call.awaits.tasks().contains(id));
        self.tasks
            .retain(|id, task| !task.is_final() || there.binary_search(id).is_ok() || asked(id));
        for id in there {
            self.look(id);
        }
        self.tasks.keys().copied().collect()
    }

    /// What it takes to tell of a task.
    pub(super) fn view(&self, id: Id) -> Option<View<'_>> {
        let task = self.tasks.get(&id)?;
        Some(View { task, store: &self.store, now: self.now.wall })
    }
}

impl Progress {
    /// When it is to be told next.
    fn due(&self) -> Duration {
        self.told + if self.news.is_some() { PROGRESS_REST } else { PROGRESS_BEAT }
    }

    /// Whether the number that was told last is not above this one.
    fn is_within(&self, total: u64) -> bool {
        self.number <= total.saturating_mul(MILLION)
    }

    /// Steps on to the next number. With steps it lies between the ones done and the next one.
    fn step(&mut self, done: Option<u64>, now: Duration) {
        self.told = now;
        self.news = None;
        self.count += 1;
        let count = u64::from(self.count);
        let number = done.map_or(count.saturating_mul(MILLION), |done| {
            done.saturating_mul(MILLION).saturating_add(MILLION * count / (count + 1))
        });
        // a plan may lose steps that were done
        self.number = number.max(self.number + 1);
    }

    /// The number as JSON.
    fn number(&self) -> String {
        format!("{}.{:06}", self.number / MILLION, self.number % MILLION)
    }
}
