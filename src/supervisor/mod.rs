//! One task, start to end: start codex, keep what it writes, end it if told to, write the verdict.
//!
//! A supervisor is a process of its own, in a session of its own, so that a task outlives the server
//! that started it and nothing it does can hold that server up. It may block as it likes. What it
//! knows of the server is one socket, which is its stdin and stdout: what it says there only wakes
//! the server (the truth stands in the task directory), and a server that is gone is no event,
//! unless the task was to end with it.

mod far;
mod server;

use crate::codex::command::MARK;
use crate::codex::failure::NO_LAUNCHER;
use crate::files;
use crate::relay::Relay;
use crate::roots;
use crate::settings::Settings;
use crate::sys::{self, Child, PollFd, Program, Signal, Signals};
use crate::task::identity::{self, Process};
use crate::task::retention::{self, Sweep};
use crate::task::slots::{self, Slot, Turn};
use crate::task::store::Part;
use crate::task::worktree::{self, Repository};
use crate::task::{Id, Record, Status, Store, Worktree};
use crate::{clock, log};
pub use server::{CANCEL, DETACH, MORE_OUTPUT, NEW_RECORD};
use server::{Heard, Server};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often to look at the queue where the system cannot tell that it has moved.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long codex has to end by itself after it was asked to.
const GRACE: Duration = Duration::from_secs(2);

/// The same for what a launcher has started: an engine takes seconds to end a task elsewhere.
const FAR_GRACE: Duration = Duration::from_secs(10);

/// When to ask that a second time, by SIGTERM: srun takes the first SIGINT for a question.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How often to look for what a task has left, where a process may not have shown what it is.
const DOUBT: u32 = 5;

/// How long a grandchild may hold stdout open after codex ended.
const DRAIN: Duration = Duration::from_millis(500);

/// Starts this very program, even where its file was replaced since, as the supervisor of a task.
/// One that has a supervisor already, or had one, gets none: what it left is ended.
pub fn spawn(id: Id, task_dir: &Path, streams: [BorrowedFd<'_>; 3]) -> io::Result<Child> {
    spawn_for(id, task_dir, None, streams)
}

/// Starts it for a task whose supervisor was killed, to end what that has left; nobody listens.
/// `launcher` has the words of the task's launcher, if this process has them from its own flags.
pub fn spawn_to_end(id: Id, task_dir: &Path, launcher: &[String]) -> io::Result<Child> {
    let nothing = sys::nothing()?;
    spawn_for(id, task_dir, Some(launcher), [nothing.as_fd(); 3])
}

/// Starts it to supervise, or to end what is left.
fn spawn_for(
    id: Id,
    task_dir: &Path,
    left_by: Option<&[String]>,
    streams: [BorrowedFd<'_>; 3],
) -> io::Result<Child> {
    let myself = Path::new("/proc/self/exe");
    let program = if myself.exists() { myself.into() } else { std::env::current_exe()? };
    let id = id.to_string();
    let mut words = Vec::from(["codex-mcp-swarm", "supervise", &id].map(OsStr::new));
    words.push(task_dir.as_os_str());
    if let Some(launcher) = left_by {
        words.push(OsStr::new("end"));
        words.extend(launcher.iter().map(OsStr::new));
    }
    Program::new(program.as_os_str(), &words)?.start(streams)
}

/// Runs a task whose record the server has written. What fails is in the record and the log.
/// `place` is its place in the queue, if it has to wait for its turn.
pub fn run(settings: &Settings, store: &Store, id: Id, mut place: Option<File>) {
    sys::new_session();
    let caught = [Signal::Interrupt, Signal::Terminate, Signal::HangUp, Signal::Child];
    let mut signals = match Signals::catch(&caught) {
        Ok(signals) => signals,
        Err(why) => return log::warning(&format!("task {id}: cannot catch signals: {why}")),
    };
    let Some(mut record) = store.read(id) else {
        return log::warning(&format!("task {id}: its record cannot be read"));
    };
    if record.status != Status::Queued || record.supervisor.is_some() {
        // the supervisor it had is gone; what that had started must not go on without one, and
        // nothing is done a second time
        return end_leftovers(settings, store, &record, &[]);
    }
    record.supervisor = Some(Process::of(std::process::id()));
    let mut server = Server::connect();
    let ready = store
        .reserve(&record)
        .map_err(|why| format!("cannot write its files in {}: {why}", store.directory().display()));
    let turn =
        ready.and_then(|()| await_turns(store, &mut record, &mut signals, &mut server, &mut place));
    match turn {
        Err(why) => fail(&mut record, why),
        Ok(None) => record.status = Status::Cancelled,
        Ok(Some(slots)) => run_codex(settings, store, &mut record, signals, &mut server, slots),
    }
    record.completed = Some(clock::wall());
    keep(store, &record, &mut server);
    remove_temporary(store, id);
    if let Some(max_age) = settings.kept() {
        let (worktrees, now) = (settings.worktree_dir.as_path(), clock::wall());
        let sweep = Sweep { store, worktrees, max_age, now, dry: false, brief: true };
        sweep.now_and_then(&mut |what| log::warning(&what));
    }
}

/// Ends what a supervisor that was killed has left of its task. `launcher` has the words of its
/// launcher, if they are the server's own.
pub fn end_leftovers_of(settings: &Settings, store: &Store, id: Id, launcher: &[String]) {
    sys::new_session();
    if let Some(record) = store.read(id) {
        end_leftovers(settings, store, &record, launcher);
    }
}

/// Puts into the record that the task failed, and why.
fn fail(record: &mut Record, why: String) {
    record.status = Status::Failed;
    record.failure = Some(why);
}

/// Waits until fewer run than the server allows, first of those with the task's launcher and then of
/// all, if it allows only so many. `None`: the task was told to end before.
fn await_turns(
    store: &Store,
    record: &mut Record,
    signals: &mut Signals,
    server: &mut Server,
    place: &mut Option<File>,
) -> Result<Option<Vec<Slot>>, String> {
    let cannot = |why| format!("cannot wait for its turn in the queue: {why}");
    let (mut waits, mut slots) = (false, Vec::new());
    for (of, limit) in record.lines() {
        if of.is_empty() && limit.is_some() && place.is_none() {
            // it stood in nobody's way there as long as it could not have begun
            let queued = slots::queue_up(store, &of, record.id, clock::wall(), 0);
            *place = Some(queued.map_err(cannot)?);
        }
        loop {
            let news = match slots::take(store, &of, record.id, limit, place) {
                Ok(Turn::Ours(slot)) => {
                    slots.push(slot);
                    break;
                }
                // nobody has to wait for us, and we for nobody
                Err(_) if limit.is_none() => break,
                Err(why) => return Err(cannot(why)),
                Ok(Turn::Others(news)) => news,
            };
            if !std::mem::replace(&mut waits, true) {
                keep(store, record, server);
            }
            let timeout = news.fd().is_none().then_some(LOOK_AGAIN);
            let (_, word) = wait(signals, news.fd(), server, timeout);
            if told_to_end(signals, server, word, record) {
                slots::leave(store, &of, record.id, place);
                return Ok(None);
            }
        }
    }
    Ok(Some(slots))
}

/// Makes things ready, runs codex, and puts what came of it into the record.
fn run_codex(
    settings: &Settings,
    store: &Store,
    record: &mut Record,
    signals: Signals,
    server: &mut Server,
    slots: Vec<Slot>,
) {
    record.status = Status::Preparing;
    // what nobody can be told of is not begun
    let told = store.write(record).map_err(|why| why.to_string());
    server.tell(NEW_RECORD);
    let prepared = told.and_then(|()| prepare(settings, store, record, server));
    match prepared.and_then(|in_use| Ok((start(settings, store, record)?, in_use))) {
        Err(why) => fail(record, why),
        Ok((child, _in_use)) => {
            let residue = worktree::residue(Path::new(&record.cwd));
            supervise(settings, store, record, child, signals, server);
            drop(slots);
            finish_worktree(store, record, &residue);
        }
    }
}

/// Whether a signal came or the server said that the task is to end; takes in what else it said.
fn told_to_end(
    signals: &mut Signals,
    server: &mut Server,
    word: bool,
    record: &mut Record,
) -> bool {
    let ends = |signal: &Signal| matches!(signal, Signal::Interrupt | Signal::Terminate);
    let signalled = signals.take().iter().any(ends);
    let told = word
        && match server.hear() {
            Heard::Cancel => true,
            Heard::Gone => record.attached,
            Heard::Nothing => false,
            Heard::Detach => {
                record.attached = false;
                false
            }
        };
    signalled || told
}

/// Waits until a signal came, or there is something to read, or the server said a word; tells of the
/// latter two.
fn wait(
    signals: &Signals,
    input: Option<BorrowedFd<'_>>,
    server: &Server,
    timeout: Option<Duration>,
) -> (bool, bool) {
    let mut fds = vec![PollFd::reading(signals.fd())];
    fds.extend(input.map(PollFd::reading));
    fds.extend(server.reading.as_ref().map(|socket| PollFd::reading(socket.as_fd())));
    if let Err(why) = sys::poll(&mut fds, timeout) {
        log::warning(&format!("poll failed: {why}"));
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut ready = fds.iter().skip(1).map(PollFd::ready);
    let read = input.is_some() && ready.next().unwrap_or(false);
    (read, ready.next().unwrap_or(false))
}

/// Ends what is left of a task that has got its verdict from somebody else. `launcher` has the words
/// that may be run for it.
fn end_leftovers(settings: &Settings, store: &Store, record: &Record, launcher: &[String]) {
    // a record that others have written could name any process of the user's
    let marked = identity::marked(&mark(record.id));
    let is_one = |codex: &&Process| {
        marked.as_ref().is_none_or(|marked| marked.processes.iter().any(|one| one.pid == codex.pid))
    };
    // to srun one SIGINT says nothing, and what it has started outlives it if it is killed
    let (signal, grace) = match record.launcher {
        Some(_) => (Signal::Terminate, FAR_GRACE),
        None => (Signal::Interrupt, GRACE),
    };
    let asked = |codex: &&Process| codex.signal(signal).is_ok();
    if let Some(codex) = record.codex.as_ref().filter(is_one).filter(asked) {
        let asked = Instant::now();
        while codex.alive() && asked.elapsed() < grace {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    // for the same reason its words are run only if somebody else has said them
    let own = record.launcher.as_ref().is_some_and(|recorded| recorded.words == launcher);
    let left_far = far::end(settings, store, record, own);
    if !sweep(record.id) || left_far.is_some() {
        let left = left_far.as_deref().unwrap_or("some of its processes may be left");
        log::warning(&format!("task {}: {left}", record.id));
    }
    // nobody here sees the log of what has been left elsewhere; the verdict stands
    let concluded = store.read(record.id).filter(|record| record.status.is_final());
    if let (Some(note), Some(mut record)) = (left_far, concluded) {
        record.note = Some(note);
        if let Err(why) = store.write(&record) {
            log::warning(&format!("task {}: {why}", record.id));
        }
    }
    remove_temporary(store, record.id);
}

/// Removes what the task has left where its temporary files were. The clean-up takes what is left.
fn remove_temporary(store: &Store, id: Id) {
    if let Err(why) = store.remove_temporary(id) {
        log::warning(&format!("task {id}: {why}"));
    }
}

/// Makes the worktree, if the task is to have one that is not there yet. Gives what says that the
/// worktree is in use, for as long as it is kept.
fn prepare(
    settings: &Settings,
    store: &Store,
    record: &mut Record,
    server: &mut Server,
) -> Result<Option<File>, String> {
    let cwd = PathBuf::from(&record.cwd);
    let Some(worktree) = &mut record.worktree else { return Ok(None) };
    if worktree.is_made() {
        if worktree::owner_of(worktree, &settings.worktree_dir).is_none() {
            return Err(format!("{} is not the worktree of a task", worktree.path));
        }
        worktree.stay_below(&record.roots)?;
        let in_use = worktree.occupy()?;
        // it may have been cleaned up while we waited for it
        let there = worktree.holds(&cwd);
        return there.then_some(Some(in_use)).ok_or_else(|| format!("{} is gone", cwd.display()));
    }
    let planned = Repository::find(&cwd, &settings.worktree_dir, &record.roots)
        .and_then(|repository| repository.plan(worktree).map(|()| repository));
    // written before anything is made, so that whoever comes after a kill finds what to take back
    keep(store, record, server);
    let made = planned.and_then(|repository| make(&repository, store, record));
    made.map(Some).inspect_err(|_| record.worktree = None)
}

/// Makes the worktree, and sees to it that the record says so before anything can be done in there.
fn make(repository: &Repository, store: &Store, record: &mut Record) -> Result<File, String> {
    let worktree = record.worktree.as_mut().ok_or("it has no worktree")?;
    let directory = repository.make(worktree)?;
    let in_use = worktree.occupy();
    record.enter(&directory);
    let written = store.write(record).map_err(|why| why.to_string());
    if let (Err(_), Some(worktree)) = (&written, &record.worktree) {
        repository.unmake(worktree);
    }
    written.and(in_use)
}

/// Commits what the task left in its worktree. A cancelled task's stays as it lies.
fn finish_worktree(store: &Store, record: &mut Record, residue: &[PathBuf]) {
    let message = retention::message(store, record);
    let Some(worktree) = &mut record.worktree else { return };
    if worktree.holds(Path::new(&record.cwd)) {
        worktree::remove_residue(Path::new(&record.cwd), residue);
    }
    worktree.trouble = if record.status == Status::Cancelled {
        Some("the task was cancelled".into())
    } else {
        worktree::commit(worktree, &message).err()
    };
    if let Err(why) = write_diff(store, record.id, worktree) {
        log::warning(&format!("task {}: cannot keep its diff: {why}", record.id));
    }
}

/// Keeps what the worktree's branch has that its base has not, for those who ask.
fn write_diff(store: &Store, id: Id, worktree: &Worktree) -> Result<(), String> {
    if worktree.changes.is_none() {
        return Ok(());
    }
    let file = files::create_own(&store.path(id, Part::Diff)).map_err(|why| why.to_string())?;
    worktree::write_diff(worktree, &file)
}

/// Writes the record and tells the server so.
fn keep(store: &Store, record: &Record, server: &mut Server) {
    if let Err(why) = store.write(record) {
        log::warning(&format!("task {}: {why}", record.id));
    }
    server.tell(NEW_RECORD);
}

/// The directory to start codex in. Under a lock it has no link on it: those on the way to the worktrees
/// are the user's, and are resolved; in a worktree, and anywhere else, there may be none.
fn place(record: &Record) -> Result<String, String> {
    let worktree = record.worktree.as_ref().filter(|_| !record.roots.is_empty());
    let ours = worktree.and_then(|worktree| worktree.path.rsplit_once('/')).map(|(ours, _)| ours);
    match ours.and_then(|ours| Some((ours, record.cwd.strip_prefix(ours)?))) {
        Some((ours, below)) => Ok(roots::resolved("worktree", Path::new(ours))? + below),
        None => Ok(record.cwd.clone()),
    }
}

/// Whether no other task writes where this one does. Codex (0.169) keeps in its TMPDIR which of the
/// empty directories that close its sandbox, such as `.codex`, others still need. Two that share a
/// directory and not the TMPDIR open each other's.
fn works_alone(record: &Record) -> bool {
    record.worktree.is_some() && !record.command.iter().any(|word| word.starts_with("--add-dir="))
}

/// Starts codex, or says why it cannot be started.
fn start(settings: &Settings, store: &Store, record: &Record) -> Result<(Child, File), String> {
    let file = |part, open: fn(&Path) -> io::Result<File>| {
        let path = store.path(record.id, part);
        open(&path).map_err(|why| format!("cannot open {}: {why}", path.display()))
    };
    if !record.roots.is_empty() {
        for word in &record.command {
            if let Some((option @ ("--add-dir" | "--image"), path)) = word.split_once('=') {
                roots::still_resolved(option, path)?;
            }
        }
    }
    let place = place(record)?;
    let mut program = far::program(settings, store, record, &record.command)?;
    let prompt = file(Part::Prompt, files::open_own)?;
    let stderr = file(Part::Stderr, files::append_own)?;
    let temporary = works_alone(record).then(|| store.make_temporary(record.id)).transpose()?;
    let mut start = || {
        program.set(OsStr::new(MARK), OsStr::new(&record.id.to_string()))?;
        if let Some(temporary) = &temporary {
            program.set(OsStr::new("TMPDIR"), temporary.as_os_str())?;
        }
        program.work_in(Path::new(&place), !record.roots.is_empty())?;
        program.lead_group();
        program.end_with_us();
        let (output, stdout) = sys::pipe()?;
        Ok((program.start([prompt.as_fd(), stdout.as_fd(), stderr.as_fd()])?, output))
    };
    let (what, words) = match &record.launcher {
        Some(launcher) => (NO_LAUNCHER, &launcher.words),
        None => ("cannot start ", &record.command),
    };
    let name = words.first().map_or("", String::as_str);
    start().map_err(|why: io::Error| format!("{what}{name} in {}: {why}", record.cwd))
}

/// What stands in the environment of every process of a task.
fn mark(id: Id) -> String {
    format!("{MARK}={id}")
}

/// Stays with codex until it has ended, and puts into the record how that came about.
fn supervise(
    settings: &Settings,
    store: &Store,
    record: &mut Record,
    (mut child, output): (Child, File),
    signals: Signals,
    server: &mut Server,
) {
    record.codex = Some(Process::of(child.id()));
    record.status = Status::Running;
    record.started = clock::wall();
    keep(store, record, server);

    let mut relay = Relay::open(store, record.id);
    let mut run = Run {
        stdout: Some(output),
        ended: None,
        asked_to_end: None,
        killed: false,
        grace: if record.launcher.is_some() { FAR_GRACE } else { GRACE },
        asks_again: record.launcher.is_some(),
        signals,
        overtime: record.timeout.map(|seconds| Duration::from_secs(seconds.into())),
        began: Instant::now(),
    };
    while run.stdout.is_some() || run.ended.is_none() {
        run.turn(&mut child, record, &mut relay, server);
        if record.thread != relay.said.thread && relay.said.thread.is_some() {
            record.thread.clone_from(&relay.said.thread);
            keep(store, record, server);
        }
    }
    let status = child.wait();
    record.exit = status.ok().and_then(|status| status.code().or(status.signal().map(|s| -s)));
    relay.finish();
    record.usage = relay.said.usage.or(record.usage);
    record.note = relay.trouble.take().or(record.note.take());

    let mut verdict = relay.said.verdict(record.exit);
    if record.launcher.is_some() && !relay.said.completed {
        // its status is not codex's: srun ends with 0 when it has lost the machine
        verdict.status = Status::Failed;
    }
    let natural = verdict.status == Status::Completed && relay.said.completed;
    let cancelled = run.asked_to_end.is_some() && !natural;
    // a codex that was killed, by whomever, could not end what it had started; nor could one that
    // nobody hears any more, and behind a launcher that may be so after its turn too
    let unsaid = relay.said.failed.is_none() && !relay.said.completed;
    let cut = record.launcher.as_ref().is_some_and(|launcher| {
        unsaid || run.asked_to_end.is_some() || launcher.has_lost(record.exit)
    });
    if cancelled || cut || record.exit.is_some_and(|exit| exit < 0) {
        let left_far = far::end(settings, store, record, true);
        let swept = sweep(record.id);
        let left = "some of its processes may be left: they could not be found, or not be killed";
        record.note = (!swept).then(|| left.into()).or(left_far).or(record.note.take());
    }
    record.timed_out &= cancelled;
    if !record.timed_out {
        record.failure = None;
    }
    record.status = match (cancelled, record.timed_out) {
        (true, true) => Status::Failed,
        (true, false) => Status::Cancelled,
        (false, _) => verdict.status,
    };
    record.inferred = verdict.inferred;
}

/// codex while it runs.
struct Run {
    /// Its output, until it is at its end.
    stdout: Option<File>,
    /// When it ended; it is not reaped, so that its pid and its group mean nobody else.
    ended: Option<Instant>,
    /// When it was first asked to end.
    asked_to_end: Option<Instant>,
    /// Its group was killed because it did not end when asked to.
    killed: bool,
    /// How long it has to end when asked to.
    grace: Duration,
    /// It is to be asked a second time.
    asks_again: bool,
    /// What came for this process.
    signals: Signals,
    /// How long it may run, as long as that is not over.
    overtime: Option<Duration>,
    /// When it began.
    began: Instant,
}

impl Run {
    /// Waits for the next thing to happen, and deals with it.
    fn turn(
        &mut self,
        child: &mut Child,
        record: &mut Record,
        relay: &mut Relay,
        server: &mut Server,
    ) {
        let stdout = self.stdout.as_ref().map(AsFd::as_fd);
        let (output, word) = wait(&self.signals, stdout, server, self.timeout(relay));
        let mut end = told_to_end(&mut self.signals, server, word, record);
        if output && self.stdout.as_mut().is_some_and(|stdout| !relay.pass_on(stdout)) {
            self.stdout = None;
        }
        if relay.has_news() {
            server.tell(MORE_OUTPUT);
        }
        if self.ended.is_none() && child.has_ended() {
            self.ended = Some(Instant::now());
            // what is left of its group may hold the pipe open
            signal_group(child, Signal::Kill);
        }
        let late = self.overtime.take_if(|span| self.began.elapsed() >= *span);
        if let (Some(span), None, None) = (late, self.asked_to_end, self.ended) {
            // what it is told now was not the user's will
            end = true;
            record.timed_out = true;
            let seconds = span.as_secs();
            let why = format!("it ran for longer than --task-timeout allows, {seconds} s");
            record.failure = Some(why);
        }
        if end && self.asked_to_end.is_none() && self.ended.is_none() {
            self.asked_to_end = Some(Instant::now());
            ask_to_end(child, relay.turn_began, record.launcher.is_some());
        }
        let asked = self.asked_to_end.filter(|_| self.ended.is_none());
        if self.asks_again && asked.is_some_and(|asked| asked.elapsed() >= ASK_AGAIN) {
            self.asks_again = false;
            signal_group(child, Signal::Terminate);
        }
        if self.ended.is_some_and(|ended| ended.elapsed() >= DRAIN) {
            self.stdout = None;
        }
        if self.ended.is_none() && !self.killed && self.overdue() {
            self.killed = true;
            signal_group(child, Signal::Kill);
        }
    }

    /// Whether codex has had its time to end.
    fn overdue(&self) -> bool {
        self.asked_to_end.is_some_and(|asked| asked.elapsed() >= self.grace)
    }

    /// How long nothing may happen until there is something to do.
    fn timeout(&self, relay: &Relay) -> Option<Duration> {
        let rest = |since: Instant, span: Duration| span.saturating_sub(since.elapsed());
        let overtime = || self.overtime.map(|span| rest(self.began, span));
        let due = match (self.ended, self.asked_to_end, self.killed) {
            (Some(ended), ..) => Some(rest(ended, DRAIN)),
            (None, Some(asked), _) if self.asks_again => Some(rest(asked, ASK_AGAIN)),
            (None, Some(asked), false) => Some(rest(asked, self.grace)),
            (None, Some(_), true) => None,
            (None, None, _) => overtime(),
        };
        due.into_iter().chain(relay.rest()).min()
    }
}

/// Asks codex to end. In a turn SIGINT makes it end its commands too, in every sandbox mode; before
/// the turn there are none, and a SIGINT in the first tenth of a second is lost for good (Codex
/// 0.169), so SIGTERM it is. A launcher is asked with all its group, where it may have others that
/// pass signals on.
fn ask_to_end(child: &Child, turn_began: bool, launched: bool) {
    let signal = if turn_began { Signal::Interrupt } else { Signal::Terminate };
    if launched {
        return signal_group(child, signal);
    }
    if let Some(pid) = child.pid() {
        let _ = sys::kill(pid, signal);
    }
}

/// Sends a signal to codex and whatever shares its group. It is not reaped yet.
fn signal_group(child: &Child, signal: Signal) {
    if let Some(leader) = child.pid() {
        let _ = sys::kill_group(leader, signal);
    }
}

/// Kills every process that carries the task's mark: codex puts each command into a session of its
/// own, where no group signal reaches it. Looks again until none is left, for they may have forked,
/// and a few times more where one may have hidden; `false` if some are left, or cannot be found on
/// this system.
fn sweep(id: Id) -> bool {
    let mark = mark(id);
    for look in 0..50 {
        let Some(left) = identity::marked(&mark) else { return false };
        if left.processes.is_empty() && (!left.doubtful || look >= DOUBT) {
            return true;
        }
        for process in left.processes {
            let _ = process.signal(Signal::Kill);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}
