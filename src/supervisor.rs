//! One task, start to end: start codex, keep what it writes, end it if told to, write the verdict.
//!
//! A supervisor is a process of its own, in a session of its own, so that a task outlives the server
//! that started it and nothing it does can hold that server up. It may block as it likes. What it
//! knows of the server is one socket, which is its stdin and stdout: what it says there only wakes
//! the server (the truth stands in the task directory), and a server that is gone is no event,
//! unless the task was to end with it.

use crate::codex::command::MARK;
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
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Told to the server: there is more in the transcript.
pub const MORE_OUTPUT: u8 = b'o';
/// Told to the server: the record was replaced.
pub const NEW_RECORD: u8 = b'r';
/// Told by the server: end the task.
pub const CANCEL: u8 = b'c';
/// Told by the server: the task is to go on without it.
pub const DETACH: u8 = b'd';

/// How often to look at the queue where the system cannot tell that it has moved.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long codex has to end by itself after it was asked to.
const GRACE: Duration = Duration::from_secs(2);

/// How often to look for what a task has left, where a process may not have shown what it is.
const DOUBT: u32 = 5;

/// How long a grandchild may hold stdout open after codex ended.
const DRAIN: Duration = Duration::from_millis(500);

/// Starts this very program, even where its file was replaced since, as the supervisor of a task.
/// One that has a supervisor already, or had one, gets none: what it left is ended.
pub fn spawn(id: Id, task_dir: &Path, streams: [BorrowedFd<'_>; 3]) -> io::Result<Child> {
    let myself = Path::new("/proc/self/exe");
    let program = if myself.exists() { myself.into() } else { std::env::current_exe()? };
    let id = id.to_string();
    let words = ["codex-mcp-swarm", "supervise", &id].map(OsStr::new);
    let [name, verb, id] = words;
    Program::new(program.as_os_str(), &[name, verb, id, task_dir.as_os_str()])?.start(streams)
}

/// The same for a task whose supervisor was killed, where nobody listens.
pub fn spawn_unheard(id: Id, task_dir: &Path) -> io::Result<Child> {
    let nothing = sys::nothing()?;
    spawn(id, task_dir, [nothing.as_fd(); 3])
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
        return end_leftovers(store, &record);
    }
    record.supervisor = Some(Process::of(std::process::id()));
    let mut server = Server::connect();
    let ready = store
        .reserve(&record)
        .map_err(|why| format!("cannot write its files in {}: {why}", store.directory().display()));
    let turn =
        ready.and_then(|()| await_turn(store, &mut record, &mut signals, &mut server, &mut place));
    match turn {
        Err(why) => fail(&mut record, why),
        Ok(None) => record.status = Status::Cancelled,
        Ok(Some(slot)) => run_codex(settings, store, &mut record, signals, &mut server, slot),
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

/// Puts into the record that the task failed, and why.
fn fail(record: &mut Record, why: String) {
    record.status = Status::Failed;
    record.failure = Some(why);
}

/// Waits until fewer run than the server allows, if it allows only so many. `None`: the task was told
/// to end before.
fn await_turn(
    store: &Store,
    record: &mut Record,
    signals: &mut Signals,
    server: &mut Server,
    place: &mut Option<File>,
) -> Result<Option<Slot>, String> {
    let limit = record.max_parallel;
    let mut waits = false;
    loop {
        let news = match slots::take(store, record.id, limit, place) {
            Ok(Turn::Ours(slot)) => return Ok(Some(slot)),
            // nobody has to wait for us, and we for nobody
            Err(_) if limit.is_none() => return Ok(Some(Slot::default())),
            Err(why) => return Err(format!("cannot wait for its turn in the queue: {why}")),
            Ok(Turn::Others(news)) => news,
        };
        if !std::mem::replace(&mut waits, true) {
            keep(store, record, server);
        }
        let timeout = news.fd().is_none().then_some(LOOK_AGAIN);
        let (_, word) = wait(signals, news.fd(), server, timeout);
        if told_to_end(signals, server, word, record) {
            slots::leave(store, record.id, place);
            return Ok(None);
        }
    }
}

/// Makes things ready, runs codex, and puts what came of it into the record.
fn run_codex(
    settings: &Settings,
    store: &Store,
    record: &mut Record,
    signals: Signals,
    server: &mut Server,
    slot: Slot,
) {
    record.status = Status::Preparing;
    // what nobody can be told of is not begun
    let told = store.write(record).map_err(|why| why.to_string());
    server.tell(NEW_RECORD);
    let prepared = told.and_then(|()| prepare(settings, store, record, server));
    match prepared.and_then(|in_use| Ok((start(store, record)?, in_use))) {
        Err(why) => fail(record, why),
        Ok((child, _in_use)) => {
            let residue = worktree::residue(Path::new(&record.cwd));
            supervise(store, record, child, signals, server);
            drop(slot);
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

/// Ends what is left of a task that has got its verdict from somebody else.
fn end_leftovers(store: &Store, record: &Record) {
    // a record that others have written could name any process of the user's
    let marked = identity::marked(&format!("{MARK}={}", record.id));
    let is_one = |codex: &&Process| {
        marked.as_ref().is_none_or(|marked| marked.processes.iter().any(|one| one.pid == codex.pid))
    };
    let asked = |codex: &&Process| codex.signal(Signal::Interrupt).is_ok();
    if let Some(codex) = record.codex.as_ref().filter(is_one).filter(asked) {
        let asked = Instant::now();
        while codex.alive() && asked.elapsed() < GRACE {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    if !sweep(record.id) {
        log::warning(&format!("task {}: some of its processes may be left", record.id));
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
fn start(store: &Store, record: &Record) -> Result<(Child, File), String> {
    let name = record.command.first().ok_or("the record names no command")?;
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
    let prompt = file(Part::Prompt, files::open_own)?;
    let stderr = file(Part::Stderr, files::append_own)?;
    let temporary = works_alone(record).then(|| store.make_temporary(record.id)).transpose()?;
    let start = || {
        let words: Vec<&OsStr> = record.command.iter().map(OsStr::new).collect();
        let mut program = Program::new(OsStr::new(name), &words)?;
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
    start().map_err(|why: io::Error| format!("cannot start {name} in {}: {why}", record.cwd))
}

/// Stays with codex until it has ended, and puts into the record how that came about.
fn supervise(
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

    let verdict = relay.said.verdict(record.exit);
    let natural = verdict.status == Status::Completed && relay.said.completed;
    let cancelled = run.asked_to_end.is_some() && !natural;
    // a codex that was killed, by whomever, could not end what it had started
    if cancelled || record.exit.is_some_and(|exit| exit < 0) {
        let swept = sweep(record.id);
        let left = "some of its processes may be left: they could not be found, or not be killed";
        record.note = (!swept).then(|| left.into()).or(record.note.take());
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
            ask_to_end(child, relay.turn_began);
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
        self.asked_to_end.is_some_and(|asked| asked.elapsed() >= GRACE)
    }

    /// How long nothing may happen until there is something to do.
    fn timeout(&self, relay: &Relay) -> Option<Duration> {
        let rest = |since: Instant, span: Duration| span.saturating_sub(since.elapsed());
        let overtime = || self.overtime.map(|span| rest(self.began, span));
        let due = match (self.ended, self.asked_to_end, self.killed) {
            (Some(ended), ..) => Some(rest(ended, DRAIN)),
            (None, Some(asked), false) => Some(rest(asked, GRACE)),
            (None, Some(_), true) => None,
            (None, None, _) => overtime(),
        };
        due.into_iter().chain(relay.rest()).min()
    }
}

/// Asks codex to end. In a turn SIGINT makes it end its commands too, in every sandbox mode; before
/// the turn there are none, and a SIGINT in the first tenth of a second is lost for good (Codex
/// 0.169), so SIGTERM it is.
fn ask_to_end(child: &Child, turn_began: bool) {
    let signal = if turn_began { Signal::Interrupt } else { Signal::Terminate };
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
    let mark = format!("{MARK}={id}");
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

/// The server at the other end of stdin and stdout, which are one socket.
struct Server {
    /// Where it is heard; `None` once it is gone.
    reading: Option<File>,
    /// Where it is told.
    writing: Option<File>,
}

/// What the server said.
enum Heard {
    /// [`CANCEL`]
    Cancel,
    /// [`DETACH`]
    Detach,
    /// It is gone.
    Gone,
    /// Nothing, or nothing we know.
    Nothing,
}

impl Server {
    /// Takes stdin and stdout. The socket does not block; the server has seen to that.
    fn connect() -> Server {
        let reading = io::stdin().as_fd().try_clone_to_owned().ok().map(File::from);
        let writing = io::stdout().as_fd().try_clone_to_owned().ok().map(File::from);
        Server { reading, writing }
    }

    /// Wakes the server. Where it is gone, or asleep with a full socket, nothing is lost by it.
    fn tell(&mut self, word: u8) {
        if let Some(socket) = &mut self.writing {
            let _ = socket.write(&[word]);
        }
    }

    /// Takes the next word.
    fn hear(&mut self) -> Heard {
        let mut word = [0];
        let Some(socket) = &mut self.reading else { return Heard::Nothing };
        match socket.read(&mut word) {
            Ok(1) if word == [CANCEL] => Heard::Cancel,
            Ok(1) if word == [DETACH] => Heard::Detach,
            Ok(1) => Heard::Nothing,
            Err(e)
                if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) =>
            {
                Heard::Nothing
            }
            Ok(_) | Err(_) => {
                self.reading = None;
                Heard::Gone
            }
        }
    }
}
