//! A task as a server sees it: its record, and its transcript as far as it was read.

use crate::codex::failure::Evidence;
use crate::codex::{Failure, Transcript};
use crate::files;
use crate::log;
use crate::sys::Signal;
use crate::task::identity::{Life, Process};
use crate::task::spool::Spool;
use crate::task::store::Part;
use crate::task::{Id, Record, Status, Store, Usage};
use std::io::{Read, Seek, SeekFrom};
use std::time::{Duration, SystemTime};

/// How long a task may be queued without a supervisor until it counts as lost: its server has
/// written the record and was killed before it could start one. In milliseconds.
const BIRTH: u64 = 10_000;

/// A task that ended so long ago is no recent one; milliseconds.
const RECENT: u64 = 3_600_000;

/// A task that this server started or was asked about.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "facts that have nothing to do with each other")]
pub struct Watched {
    /// The record, as last read.
    pub record: Record,
    /// What the transcript says, as far as it was read.
    pub transcript: Transcript,
    /// How far it was read.
    spool: Spool,
    /// It was read to its end, and nothing will be added.
    whole: bool,
    /// This server started it and hears from its supervisor.
    pub ours: bool,
    /// This server told it to end.
    pub told_to_end: bool,
    /// Its end will be told, though it is not ours.
    pub awaited: bool,
    /// How it stood when those who listen were told last.
    pub told: Option<Status>,
    /// The verdict that was given while its record could not be read or not be written.
    blind: Option<Status>,
}

impl Watched {
    /// A task of which nothing but the record is known.
    pub fn new(store: &Store, record: Record, ours: bool) -> Watched {
        let spool = Spool::new(store.path(record.id, Part::Stdout));
        let transcript = Transcript::default();
        Watched {
            record,
            transcript,
            spool,
            whole: false,
            ours,
            told_to_end: false,
            awaited: false,
            told: None,
            blind: None,
        }
    }

    /// The id.
    pub fn id(&self) -> Id {
        self.record.id
    }

    /// Nothing changes any more.
    pub fn is_final(&self) -> bool {
        self.record.status.is_final()
    }

    /// It runs, or waits for its turn in the hands of its supervisor; or that is over.
    pub fn has_begun(&self) -> bool {
        let record = &self.record;
        let waits = record.status == Status::Queued && record.supervisor.is_some();
        self.is_final() || record.codex.is_some() || waits
    }

    /// It has not ended, or only a short while ago.
    pub fn is_recent(&self, now: u64) -> bool {
        self.record.completed.is_none_or(|ended| ended >= now.saturating_sub(RECENT))
    }

    /// Reads the record again, if it can have changed. `true`: its supervisor is gone and left no
    /// verdict.
    pub fn refresh(&mut self, store: &Store, now: u64) -> bool {
        if self.is_final() && (self.record.worktree.is_some() || self.blind.is_some()) {
            // what became of its worktree since is in there; or the truth, that could not be read
            self.whole &= self.blind.is_none();
            self.reread(store);
        }
        if self.ours || self.is_final() {
            return false;
        }
        // looked at before the record is read: what it wrote before it ended is then in there
        let supervisor = self.record.supervisor.clone();
        let life = match (&supervisor, &self.record.codex) {
            (Some(supervisor), _) => supervisor.life(),
            // the Python package has no supervisors
            (None, Some(codex)) => codex.life(),
            // its server may have others to start first
            (None, None) => match self.record.server.as_ref().map(Process::life) {
                Some(life @ (Life::Alive | Life::Unknown)) => life,
                _ if self.record.elapsed(now) >= BIRTH => Life::Gone,
                _ => Life::Unknown,
            },
        };
        let known = self.reread(store);
        known && life == Life::Gone && !self.is_final() && self.record.supervisor == supervisor
    }

    /// Reads the record again. One that is none is as if it had not changed. `false`: it cannot be read
    /// at the moment, so what it says is not known.
    pub fn reread(&mut self, store: &Store) -> bool {
        let read = store.read_now(self.id());
        let known = read.is_ok();
        if let Ok(Some(record)) = read {
            let had_supervisor = self.record.supervisor.is_some();
            self.record = record;
            if self.is_final() {
                self.blind = None;
            }
            if self.told_to_end && !had_supervisor && !self.ours {
                self.tell_to_end();
            }
        }
        known
    }

    /// It runs on another machine or in another container, where no signal from here gets to it.
    pub fn is_out_of_reach(&self) -> bool {
        let supervisor = self.record.supervisor.as_ref().filter(|_| !self.ours && !self.is_final());
        supervisor.is_some_and(|process| process.life() == Life::Unknown)
    }

    /// It has a launcher, and codex has said nothing yet: it may stand in the queue of an engine.
    pub fn waits_for_launcher(&self) -> bool {
        self.record.launcher.is_some() && self.transcript.events == 0
    }

    /// What it is doing, if that is known.
    pub fn doing(&self) -> Option<&str> {
        let waits = self.waits_for_launcher();
        if waits { Some("waits for its launcher") } else { self.transcript.doing() }
    }

    /// How long it may take to end once it is told to. A supervisor takes less: it gives codex two
    /// seconds, and a launcher ten, and ten more to end what that has started elsewhere.
    pub fn time_to_end(&self) -> Duration {
        Duration::from_secs(if self.record.launcher.is_some() { 30 } else { 10 })
    }

    /// Tells the supervisor, which is not ours, that the task is to end. Where there is none yet, it
    /// is told once it is there.
    pub fn tell_to_end(&self) {
        let Some(supervisor) = self.record.supervisor.as_ref().filter(|_| !self.is_final()) else {
            return;
        };
        // a record that others have written could name any process of the user's
        let id = self.id();
        let is_one = supervisor.runs(&format!("supervise\0{id}\0"));
        if let Err(why) = supervisor.signal_if(is_one, Signal::Terminate) {
            log::warning(&format!("task {id}: cannot signal its supervisor: {why}"));
        }
    }

    /// Gives the verdict of a task whose supervisor cannot: what the transcript says, else failed.
    /// A record that is not ours is judged, and left as it is.
    pub fn conclude(&mut self, store: &Store, now: u64, why: Option<String>) {
        self.catch_up();
        let mut verdict = self.transcript.verdict(None);
        let inferred = verdict.status == Status::Failed && self.transcript.failed.is_none();
        if inferred && self.blind == Some(Status::Cancelled) {
            // it was told so
            verdict.status = Status::Cancelled;
        }
        self.record.status = verdict.status;
        self.record.inferred = true;
        // it ended when it was last heard of, not when somebody looked
        self.record.completed = Some(self.heard(store, now));
        self.record.thread = self.thread().map(str::to_owned);
        self.record.usage = self.transcript.usage.or(self.record.usage);
        if verdict.status == Status::Failed {
            let directory = store.directory().display();
            let why = why.unwrap_or_else(|| {
                format!("its supervisor was killed, or could not write to {directory}")
            });
            self.record.failure = Some(why);
        }
        if !self.record.ours {
            return;
        }
        // what cannot be read may hold another verdict, and one that is there counts
        let there = store.read(self.id());
        if let Some(verdict) = there.as_ref().filter(|record| record.status.is_final()) {
            self.record = verdict.clone();
            self.blind = None;
            return;
        }
        let there = there.ok_or_else(|| "its record cannot be read".to_owned());
        let written = there.and_then(|_| store.write(&self.record).map_err(|why| why.to_string()));
        self.blind = None;
        if let Err(why) = written {
            log::warning(&format!("task {}: {why}", self.id()));
            // only here, where nobody else can learn of it, what we know besides counts
            if self.told_to_end && inferred {
                self.record.status = Status::Cancelled;
                self.record.failure = None;
            }
            self.blind = Some(self.record.status);
        }
    }

    /// Reads what was added to the transcript since the last time.
    pub fn catch_up(&mut self) {
        if self.whole {
            return;
        }
        let transcript = &mut self.transcript;
        let each = |at, line: crate::lines::Line<'_>| transcript.fold(at, line);
        let ended = self.record.status.is_final();
        let result = if ended { self.spool.finish(each) } else { self.spool.read(each) };
        self.whole = ended && result.is_ok();
        if let Err(why) = result {
            log::warning(&format!("task {}: cannot read its transcript: {why}", self.id()));
        }
    }

    /// The thread, as far as it is known.
    pub fn thread(&self) -> Option<&str> {
        self.transcript.thread.as_deref().or(self.record.thread.as_deref())
    }

    /// The answer, read from where it stands in the transcript.
    pub fn answer(&self) -> Option<String> {
        let (at, length) = self.transcript.answer()?;
        Transcript::message_in(&self.spool.span(at, length).ok()?)
    }

    /// The tokens of this turn, as far as they are known. Codex counts those of the whole thread.
    pub fn usage(&self) -> Option<Usage> {
        let thread = self.transcript.usage.or(self.record.usage)?;
        Some(thread.since(self.record.usage_before.unwrap_or_default()))
    }

    /// Why it failed.
    pub fn failure(&self, store: &Store) -> Failure {
        // who was killed while Codex tried again was not ended by that
        let launcher = self.record.launcher.as_ref();
        let lost = launcher.is_some_and(|launcher| launcher.has_lost(self.record.exit));
        let killed = self.record.exit.is_none_or(|exit| exit < 0) || lost;
        let notice = self.transcript.notice.as_deref().filter(|_| !killed);
        Failure::of(&Evidence {
            own: self.record.failure.as_deref(),
            timed_out: self.record.timed_out,
            // whose supervisor died before was not kept from starting by what was asked for
            started: self.record.codex.is_some() || self.record.inferred,
            launcher,
            event: self.transcript.failed.as_deref().or(notice),
            any_events: self.transcript.events > 0,
            stderr: &tail(store, self.id(), Part::Stderr, 4096),
            exit: self.record.exit,
        })
    }

    /// When it was last heard of; milliseconds since 1970.
    pub fn heard(&self, store: &Store, now: u64) -> u64 {
        let quiet = self.quiet(store).map(|quiet| now.saturating_sub(quiet));
        self.record.completed.or(quiet).unwrap_or(self.record.started).max(self.record.started)
    }

    /// How long it has said nothing, in milliseconds.
    pub fn quiet(&self, store: &Store) -> Option<u64> {
        let status = std::fs::symlink_metadata(store.path(self.id(), Part::Stdout)).ok()?;
        let silence = SystemTime::now().duration_since(status.modified().ok()?).ok()?;
        silence.as_millis().try_into().ok()
    }
}

/// The beginning of one of a task's files, at most `limit` bytes.
pub fn head(store: &Store, id: Id, part: Part, limit: u64) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = files::open_own(&store.path(id, part)) {
        // what cannot be read is not there
        let _ = file.take(limit).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The end of one of a task's files, at most `limit` bytes, from the start of a line if it is cut.
pub fn tail(store: &Store, id: Id, part: Part, limit: u64) -> String {
    let read = || {
        let mut file = files::open_own(&store.path(id, part))?;
        let from = file.metadata()?.len().saturating_sub(limit);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes)?;
        if from > 0 {
            // unless that is all there is: half of a long line is better than nothing
            let begun = bytes.iter().position(|b| *b == b'\n').map_or(0, |end| end + 1);
            bytes.drain(..if begun < bytes.len() { begun } else { 0 });
        }
        std::io::Result::Ok(bytes)
    };
    // a file that is not there has nothing in it
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}
