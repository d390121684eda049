//! What the server does about what happens: events in, actions out. Nothing here waits, and nothing
//! is written but to the task directory, whose small files are read and written on the spot.

use super::known::Known;
use super::open::{Batch, Call, Listener, Progress};
use super::report::View;
use super::watched::Watched;
use crate::clock::Now;
use crate::mcp::Revision;
use crate::rpc::{self, Error};
use crate::settings::Settings;
use crate::task::identity::Process;
use crate::task::store::Part;
use crate::task::{Id, Ids, LongId, Store};
use std::fs::File;
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
    /// Somebody, perhaps another server, has written the record of a task.
    Recorded(Id),
    /// From now on that is told.
    RecordsWatched,
    /// Some of it was not told.
    RecordsLost,
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
    /// Start the supervisor of a task, with its place in the queue if it has to wait for its turn.
    Launch(Id, Option<File>),
    /// Tell the supervisor of a task of ours to end it.
    Cancel(Id),
    /// Tell the supervisor of a task of ours that the task goes on without this server.
    Detach(Id),
    /// End what is left of a task whose supervisor was killed, by these words if they are its
    /// launcher's.
    EndLeftovers(Id, Vec<String>),
    /// Tell us when this process is gone: the supervisor of a task that is not ours.
    Watch(Id, OwnedFd),
    /// Tell us of the records that others write, or do so no longer.
    WatchRecords(bool),
}

/// How often a task that is not ours is looked at where the system cannot tell of its end.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// So many tasks that have ended are remembered at least, if there were as many.
const REMEMBERED: usize = 256;

/// The server.
pub struct Server {
    /// What it was told at the start.
    pub(super) settings: Settings,
    /// The directory it was started in.
    pub(super) here: PathBuf,
    /// Where tasks are kept.
    pub(super) store: Store,
    /// The tasks it started or was asked about.
    pub(super) tasks: Known,
    /// The revision agreed on, once there was an `initialize`.
    pub(super) session: Option<Revision>,
    /// How many tasks it has put into the queue.
    pub(super) launched: u64,
    /// The calls that wait for something.
    pub(super) calls: Vec<Call>,
    /// The batches that are not answered yet.
    pub(super) batches: Vec<Batch>,
    /// Who wants to hear of what.
    pub(super) listeners: Vec<Listener>,
    /// What a client looked after and took back just now.
    pub(super) taken_back: Vec<LongId>,
    /// The tasks there were when somebody began to listen are known.
    pub(super) surveyed: bool,
    /// When to look at tasks again that somebody waits for and whose end the system cannot tell.
    look_again: Option<Duration>,
    /// The moment of the event that is being handled.
    pub(super) now: Now,
    /// What is to be done about it.
    actions: Vec<Action>,
}

impl Server {
    /// A server that has heard nothing yet, started in the directory `here`.
    pub fn new(settings: Settings, here: PathBuf) -> Server {
        Server {
            store: Store::new(&settings.task_dir),
            settings,
            here,
            tasks: Known::default(),
            session: None,
            launched: 0,
            calls: Vec::new(),
            batches: Vec::new(),
            listeners: Vec::new(),
            taken_back: Vec::new(),
            surveyed: false,
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
                if let Some(task) = self.tasks.get_mut(id) {
                    task.reread(&self.store);
                }
                self.output(id);
                self.settle(id);
                self.tell_listeners();
            }
            Event::Recorded(id) => self.recorded(id),
            Event::RecordsWatched => self.survey(),
            Event::RecordsLost => self.watch_records(true),
            Event::Gone(id) => self.gone(id, None),
            Event::NotLaunched(id, why) => self.gone(id, Some(why)),
            Event::Tick => self.tick(),
        }
        self.forget();
        std::mem::take(&mut self.actions)
    }

    /// When the next `Tick` is due, in steady time.
    pub fn deadline(&self) -> Option<Duration> {
        let calls = self.calls.iter().flat_map(|call| {
            let progress = call.progress.as_ref().map(Progress::due);
            [call.awaits.deadline(), call.hand_out, progress].into_iter().flatten()
        });
        let held = self.listeners.iter().flat_map(|listener| &listener.tasks);
        let listeners = held.filter_map(|held| self.end_of(held));
        calls.chain(listeners).chain(self.look_again).min()
    }

    /// Does an action.
    pub(super) fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    /// Writes a line to the client.
    pub(super) fn send(&mut self, line: String) {
        self.act(Action::Send(line));
    }

    /// The supervisor of a task is gone, or could not be started.
    fn gone(&mut self, id: Id, why: Option<String>) {
        if let Some(task) = self.tasks.get_mut(id) {
            task.ours = false;
            task.awaited = false;
            let known = task.reread(&self.store);
            match task.is_final() {
                // whoever has given the verdict in our place may not have our launcher's words
                true if task.record.inferred && task.record.launcher.is_some() => {
                    self.end_leftovers(id);
                }
                true => {}
                false if known => self.conclude(id, why),
                // whoever waits for it has to wait until it can be told
                false => self.look_again = Some(self.now.steady + LOOK_AGAIN),
            }
        }
        self.settle(id);
        self.tell_listeners();
    }

    /// Gives the verdict of a task whose supervisor is gone without one, and has what it left ended.
    fn conclude(&mut self, id: Id, why: Option<String>) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        task.conclude(&self.store, self.now.wall, why);
        self.end_leftovers(id);
    }

    /// Has what is left of a task ended whose supervisor is gone.
    fn end_leftovers(&mut self, id: Id) {
        let Some(task) = self.tasks.get(id) else { return };
        if task.record.ours && task.record.supervisor.is_some() {
            // what stands in a record may be anybody's; our flags are not
            let recorded = task.record.launcher.as_ref();
            let own = recorded.and_then(|launcher| self.settings.launcher(&launcher.name));
            let words = own.map(|own| own.words.clone()).unwrap_or_default();
            self.act(Action::EndLeftovers(id, words));
        }
    }

    /// A task wrote something.
    fn output(&mut self, id: Id) {
        let Some(task) = self.tasks.get_mut(id) else { return };
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

    /// Somebody has written the record of a task. Of our own we hear from their supervisors.
    fn recorded(&mut self, id: Id) {
        if self.tasks.get(id).is_some_and(|task| task.ours) {
            return;
        }
        self.look(id);
        self.tell_listeners();
    }

    /// Looks what is due.
    fn tick(&mut self) {
        if self.look_again.take_if(|due| *due <= self.now.steady).is_some() {
            let awaited: Vec<Id> = self.awaited().collect();
            self.watch(&awaited);
        }
        self.answer_calls(|_| true);
        self.tell_progress();
        self.tell_listeners();
    }

    /// Sees to it that the end of tasks that are not ours is told.
    pub(super) fn watch(&mut self, ids: &[Id]) {
        for &id in ids {
            let Some(task) = self.tasks.get_mut(id) else { continue };
            if task.ours || task.awaited || task.is_final() {
                continue;
            }
            let supervisor = task.record.supervisor.as_ref();
            if let Some(handle) = supervisor.and_then(Process::watch) {
                task.awaited = true;
                self.actions.push(Action::Watch(id, handle));
            } else {
                self.look(id);
                let open = self.tasks.get(id).is_some_and(|task| !task.is_final());
                self.look_again = self.look_again.or(open.then(|| self.now.steady + LOOK_AGAIN));
            }
        }
    }

    /// The task of this id, as it stands now. `None` if there is no such task.
    pub(super) fn look(&mut self, id: Id) -> Option<&mut Watched> {
        if !self.tasks.has(id) {
            let record = self.store.read(id)?;
            let mut task = Watched::new(&self.store, record, false);
            // who listens has not heard of it, unless it was there before
            task.told = (!self.surveyed).then_some(task.record.status);
            self.tasks.add(task);
        }
        let (store, wall) = (&self.store, self.now.wall);
        if self.tasks.get_mut(id)?.refresh(store, wall) {
            self.conclude(id, None);
        }
        self.tasks.get_mut(id)
    }

    /// All tasks there are. Those whose files are gone are forgotten, unless they run or somebody
    /// waits for them.
    pub(super) fn look_at_all(&mut self) -> Vec<Id> {
        let there = self.store.ids(Part::Meta);
        let awaited = Ids::from(self.awaited().collect::<Vec<_>>());
        self.tasks.retain(|task| {
            let id = task.id();
            !task.is_final() || there.binary_search(&id).is_ok() || awaited.contains(id)
        });
        for id in there {
            self.look(id);
        }
        self.tasks.iter().map(Watched::id).collect()
    }

    /// Forgets the tasks that ended longest ago, if it knows many and nobody waits for them. What is
    /// to be told of them can be read again.
    fn forget(&mut self) {
        if self.tasks.len() < 2 * REMEMBERED {
            return;
        }
        let awaited = Ids::from(self.awaited().collect::<Vec<_>>());
        let idle = |task: &Watched| {
            let ended = task.record.completed.filter(|_| task.is_final())?;
            (!awaited.contains(task.id())).then_some((ended, task.id()))
        };
        let mut idle: Vec<(u64, Id)> = self.tasks.iter().filter_map(idle).collect();
        idle.sort_unstable();
        let longest = idle.iter().rev().skip(REMEMBERED).map(|(_, id)| *id);
        let longest = Ids::from(longest.collect::<Vec<_>>());
        self.tasks.retain(|task| !longest.contains(task.id()));
    }

    /// The tasks that somebody waits for or listens to by name.
    fn awaited(&self) -> impl Iterator<Item = Id> {
        let calls = self.calls.iter().flat_map(|call| call.awaits.tasks().iter().copied());
        calls.chain(self.listeners.iter().flat_map(Listener::subjects))
    }

    /// What it takes to tell of a task.
    pub(super) fn view(&self, id: Id) -> Option<View<'_>> {
        let task = self.tasks.get(id)?;
        Some(View { task, store: &self.store, now: self.now.wall })
    }
}
