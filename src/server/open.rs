//! What the client has asked for and is not done: calls that wait, batches, and what it wants to
//! hear of. Decides nothing about tasks.

use crate::json::Object;
use crate::mcp::{self, Client, Kind, ToolResult};
use crate::rpc;
use crate::task::{Group, Id, LongId};
use std::time::Duration;

/// At most so often is progress told.
const PROGRESS_REST: Duration = Duration::from_millis(500);

/// At least so often is progress told.
const PROGRESS_BEAT: Duration = Duration::from_secs(15);

/// Progress is counted in millionths.
const MILLION: u64 = 1_000_000;

/// A request that is to be answered.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The id to answer under.
    pub id: rpc::Id,
    /// Who asks.
    pub client: Client,
    /// The batch that it came in.
    pub batch: Option<u32>,
}

impl Asked {
    /// The line that answers it: what `fill` writes, and what the revision wants around it.
    pub fn result(&self, kind: Kind<'_>, fill: &dyn Fn(&mut Object<'_>)) -> String {
        rpc::result(&self.id, |o| mcp::write_result(o, self.client.revision, kind, fill))
    }
}

/// A batch: it is answered in one line.
#[derive(Debug)]
pub struct Batch {
    /// Its number.
    pub number: u32,
    /// How many answers are missing.
    pub missing: usize,
    /// The answers there are.
    pub answers: Vec<String>,
}

/// What comes of a tool call.
pub enum Outcome {
    /// It is answered at once.
    Now(ToolResult),
    /// It is answered when something has come.
    Later(Awaits),
}

/// A tool call that is not answered yet.
#[derive(Debug)]
pub struct Call {
    /// The request to answer.
    pub asked: Asked,
    /// What it waits for.
    pub awaits: Awaits,
    /// Where to tell progress, if the client wants any.
    pub progress: Option<Progress>,
    /// When the client gets a task to look after in place of the result.
    pub hand_out: Option<Duration>,
}

/// What a call waits for.
#[derive(Debug)]
pub enum Awaits {
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
    pub fn tasks(&self) -> &[Id] {
        match self {
            Awaits::Start(id) | Awaits::Answer(id) => std::slice::from_ref(id),
            Awaits::All(ids) | Awaits::Wait { ids, .. } | Awaits::Cancelled(ids, ..) => ids,
        }
    }

    /// The tasks that were started for this call alone.
    pub fn own_tasks(&self) -> &[Id] {
        match self {
            Awaits::Start(_) | Awaits::Answer(_) | Awaits::All(_) => self.tasks(),
            Awaits::Wait { .. } | Awaits::Cancelled(..) => &[],
        }
    }

    /// When it is answered whether or not what it waits for has come.
    pub fn deadline(&self) -> Option<Duration> {
        match self {
            Awaits::Wait { deadline, .. } | Awaits::Cancelled(_, _, deadline) => Some(*deadline),
            Awaits::Start(_) | Awaits::Answer(_) | Awaits::All(_) => None,
        }
    }

    /// Whether it may last so long that a client would rather look after a task.
    pub fn may_last(&self) -> bool {
        !matches!(self, Awaits::Start(_) | Awaits::Cancelled(..))
    }
}

/// The progress of a call.
#[derive(Debug)]
pub struct Progress {
    /// The client's token, as JSON text.
    pub token: String,
    /// When it was told last.
    told: Duration,
    /// The task that did something since.
    pub news: Option<Id>,
    /// How often it was told.
    count: u32,
    /// The number that was told last, in millionths. It must grow.
    number: u64,
}

impl Progress {
    /// None yet; the client's token for it.
    pub fn new(token: &rpc::Id, now: Duration) -> Progress {
        Progress { token: token.json().to_owned(), told: now, news: None, count: 0, number: 0 }
    }

    /// When it is to be told next.
    pub fn due(&self) -> Duration {
        self.told + if self.news.is_some() { PROGRESS_REST } else { PROGRESS_BEAT }
    }

    /// Whether the number that was told last is not above this one.
    pub fn is_within(&self, total: u64) -> bool {
        self.number <= total.saturating_mul(MILLION)
    }

    /// Steps on to the next number. With steps it lies between the ones done and the next one.
    pub fn step(&mut self, done: Option<u64>, now: Duration) {
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
    pub fn number(&self) -> String {
        format!("{}.{:06}", self.number / MILLION, self.number % MILLION)
    }
}

/// What a listener may want to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// All tasks.
    All,
    /// One task.
    One(Id),
    /// Something that never changes.
    Nothing,
}

/// A client that wants to hear when something changes.
#[derive(Debug)]
pub struct Listener {
    /// The request that stays open for it, whose id stands in all that it is told. `None`: a session,
    /// which is told without.
    pub asked: Option<Asked>,
    /// The URIs of the resources it wants to hear of, and what they are about.
    pub resources: Vec<(String, Subject)>,
    /// The tasks it looks after.
    pub tasks: Vec<Held>,
}

impl Listener {
    /// The tasks of ours that it wants to hear of by name.
    pub fn subjects(&self) -> impl Iterator<Item = Id> {
        let named = self.resources.iter().filter_map(|(_, subject)| match subject {
            Subject::One(id) => Some(*id),
            Subject::All | Subject::Nothing => None,
        });
        named.chain(self.tasks.iter().flat_map(|held| held.tasks().iter().copied()))
    }
}

/// A task that a client looks after.
#[derive(Debug)]
pub enum Held {
    /// One task of ours, the result is its answer: of `codex`, `codex_async` and `codex_reply`.
    Task(LongId, Id),
    /// Several: of `codex_batch` and `codex_wait`.
    Group(Group),
}

impl Held {
    /// Its name.
    pub fn id(&self) -> LongId {
        match self {
            Held::Task(long_id, _) => *long_id,
            Held::Group(group) => group.id,
        }
    }

    /// The tasks of ours that it is made of.
    pub fn tasks(&self) -> &[Id] {
        match self {
            Held::Task(_, id) => std::slice::from_ref(id),
            Held::Group(group) => &group.tasks,
        }
    }

    /// When it ends whether or not its tasks have; milliseconds since 1970.
    pub fn deadline(&self) -> Option<u64> {
        match self {
            Held::Task(..) => None,
            Held::Group(group) => group.deadline.filter(|_| group.ended.is_none()),
        }
    }
}
