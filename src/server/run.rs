//! The loop: waits for the client, the supervisors and the signals, tells the core, and carries out
//! what it says. Nothing here blocks but poll(2), and nothing here is decided.

use super::core::{Action, Event, Server};
use crate::clock::Now;
use crate::lines::{Line, Lines};
use crate::log;
use crate::settings::Settings;
use crate::supervisor;
use crate::sys::{self, About, Child, Notices, PIPE_BUF, PollFd, Signal, Signals};
use crate::task::{Id, Store};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The longest line that a client may write: twelve times the longest prompt would be longer, but
/// no client escapes every character of it.
const LINE_LIMIT: usize = 16_000_000 - 1;

/// While more than this waits to be written, the client is not read: it shall read first.
const OUTBOX_LIMIT: usize = 16 << 20;

/// While more than this waits to be written, progress is not told.
const PROGRESS_LIMIT: usize = 64 << 10;

/// For so long supervisors are started in one go.
const LAUNCHING: Duration = Duration::from_millis(10);

/// How long a client that has closed its end is given to take the next piece of what it is owed.
const FAREWELL: Duration = Duration::from_secs(1);

/// The same where a signal told us to end.
const HASTE: Duration = Duration::from_millis(50);

/// Serves until the client is gone or a signal says so.
pub fn serve(settings: Settings, here: PathBuf) -> io::Result<()> {
    let caught = [Signal::Interrupt, Signal::Terminate, Signal::HangUp, Signal::Child];
    let mut run = Run {
        start: Instant::now(),
        signals: Signals::catch(&caught)?,
        // not through `Stdin` and `Stdout`: their buffers would hide from poll(2) what is in them
        client: [own(&io::stdin())?, own(&io::stdout())?],
        unread: Vec::new(),
        all_read: false,
        input: Lines::new(LINE_LIMIT),
        outbox: VecDeque::new(),
        supervisors: Vec::new(),
        watches: Vec::new(),
        records: None,
        launches: VecDeque::new(),
        children: Vec::new(),
        task_dir: settings.task_dir.clone(),
        client_gone: false,
        farewell: FAREWELL,
    };
    let mut core = Server::new(settings, here);
    while !run.client_gone {
        run.turn(&mut core);
    }
    // what was asked for before the end goes on after it
    run.launch_some(&mut core, Duration::MAX);
    run.say_farewell();
    Ok(())
}

/// A standard stream as a plain file.
fn own(stream: &impl AsFd) -> io::Result<File> {
    stream.as_fd().try_clone_to_owned().map(File::from)
}

/// The descriptors of a server.
struct Run {
    /// Steady time counts from here.
    start: Instant,
    /// What came for this process.
    signals: Signals,
    /// Where the client writes, and where it reads.
    client: [File; 2],
    /// What the client wrote and nobody has looked at.
    unread: Vec<u8>,
    /// Nothing more will come from the client.
    all_read: bool,
    /// The client's line that has begun.
    input: Lines,
    /// What the client has not taken yet.
    outbox: VecDeque<u8>,
    /// The sockets to the supervisors that this server started.
    supervisors: Vec<(Id, UnixStream)>,
    /// The supervisors of other servers whose end somebody waits for.
    watches: Vec<(Id, OwnedFd)>,
    /// Tells of the records that others write, while somebody wants to hear of them.
    records: Option<Notices>,
    /// The tasks whose supervisors are to be started.
    launches: VecDeque<(Id, Option<File>)>,
    /// The supervisors to reap.
    children: Vec<Child>,
    /// Where they find their tasks.
    task_dir: PathBuf,
    /// The client hung up, or a signal told us to end.
    client_gone: bool,
    /// How long it is given to take the next piece of what it is owed.
    farewell: Duration,
}

/// What is ready.
struct Ready {
    /// A signal came.
    signals: bool,
    /// The client wrote; it can be written to; either also when it hung up.
    client: [bool; 2],
    /// Supervisors of ours that said something.
    supervisors: Vec<Id>,
    /// Supervisors of others that ended.
    watches: Vec<Id>,
    /// Records were written.
    records: bool,
}

impl Run {
    /// Waits for something to happen and deals with it. The client comes last, so that its question
    /// meets what is known by now.
    fn turn(&mut self, core: &mut Server) {
        let ready = self.wait(core.deadline());
        if ready.signals {
            self.on_signals();
        }
        for id in ready.supervisors {
            self.hear(core, id);
        }
        for id in ready.watches {
            self.watches.retain(|(watched, _)| *watched != id);
            self.tell(core, Event::Gone(id));
        }
        if ready.records {
            for name in self.records.as_mut().map(Notices::take).unwrap_or_default() {
                match Store::recorded(&name) {
                    Some(id) => self.tell(core, Event::Recorded(id)),
                    // too many at once, or the directory is gone: not about any file
                    None if name.is_empty() => self.tell(core, Event::RecordsLost),
                    None => {}
                }
            }
        }
        if core.deadline().is_some_and(|due| due <= self.start.elapsed()) {
            self.tell(core, Event::Tick);
        }
        self.launch_some(core, LAUNCHING);
        let [input, output] = ready.client;
        if input && self.is_full() {
            // it hung up, and reads what it is owed or does not
            self.make_room();
        } else if input && self.reads() {
            self.read();
        }
        self.take_lines(core);
        if output {
            self.write();
        }
    }

    /// Waits until something is ready, or until the deadline.
    fn wait(&self, deadline: Option<Duration>) -> Ready {
        let [stdin, stdout] = &self.client;
        let writes = !self.outbox.is_empty();
        let mut fds = vec![
            PollFd::reading(self.signals.fd()),
            if self.reads() {
                PollFd::reading(stdin.as_fd())
            } else {
                PollFd::watching(stdin.as_fd())
            },
            if writes { PollFd::writing(stdout.as_fd()) } else { PollFd::watching(stdout.as_fd()) },
        ];
        fds.extend(self.supervisors.iter().map(|(_, socket)| PollFd::reading(socket.as_fd())));
        fds.extend(self.watches.iter().map(|(_, process)| PollFd::reading(process.as_fd())));
        fds.extend(self.records.iter().map(|records| PollFd::reading(records.fd())));
        let due = deadline.map(|due| due.saturating_sub(self.start.elapsed()));
        let at_once = !self.launches.is_empty() || self.has_lines();
        let timeout = if at_once { Some(Duration::ZERO) } else { due };
        if let Err(why) = sys::poll(&mut fds, timeout) {
            log::warning(&format!("poll failed: {why}"));
            std::thread::sleep(Duration::from_millis(100));
        }
        let mut answers = fds.iter().map(PollFd::ready);
        let mut next = || answers.next().unwrap_or(false);
        Ready {
            signals: next(),
            client: [next(), next()],
            supervisors: self.supervisors.iter().filter(|_| next()).map(|(id, _)| *id).collect(),
            watches: self.watches.iter().filter(|_| next()).map(|(id, _)| *id).collect(),
            records: next(),
        }
    }

    /// Gives the core an event, and carries out what it says.
    fn tell(&mut self, core: &mut Server, event: Event<'_>) {
        let actions = core.handle(event, Now::read(self.start));
        for action in actions {
            match action {
                Action::Send(line) => {
                    self.outbox.extend(line.as_bytes());
                    self.outbox.push_back(b'\n');
                }
                Action::Progress(line) => {
                    if self.outbox.len() < PROGRESS_LIMIT {
                        self.outbox.extend(line.as_bytes());
                        self.outbox.push_back(b'\n');
                    }
                }
                Action::EndLeftovers(id, launcher) => {
                    match supervisor::spawn_to_end(id, &self.task_dir, &launcher) {
                        Ok(child) => self.children.push(child),
                        Err(why) => {
                            log::warning(&format!("task {id}: cannot end what it left: {why}"));
                        }
                    }
                }
                Action::Launch(id, place) => self.launches.push_back((id, place)),
                Action::Cancel(id) => self.word(core, id, supervisor::CANCEL),
                Action::Detach(id) => self.word(core, id, supervisor::DETACH),
                Action::Watch(id, process) => self.watches.push((id, process)),
                Action::WatchRecords(true) => {
                    let watched = Notices::of(About::Arrivals, &self.task_dir);
                    let unheard = |why: &io::Error| {
                        log::info(&format!("only tasks of this server are told of: {why}"));
                    };
                    self.records = watched.inspect_err(unheard).ok();
                    self.tell(core, Event::RecordsWatched);
                }
                Action::WatchRecords(false) => self.records = None,
            }
        }
    }

    /// Starts the supervisors that are to be started, and stops after a while: a client that asks
    /// something else meanwhile shall not have to wait for a thousand of them.
    fn launch_some(&mut self, core: &mut Server, span: Duration) {
        let began = Instant::now();
        while !self.launches.is_empty() && began.elapsed() < span {
            self.launch_at(core, 0);
        }
    }

    /// Starts one of the supervisors that are to be started.
    fn launch_at(&mut self, core: &mut Server, at: usize) {
        let Some((id, place)) = self.launches.remove(at) else { return };
        if let Err(why) = self.launch(id, place) {
            let why = format!("its supervisor could not be started: {why}");
            self.tell(core, Event::NotLaunched(id, why));
        }
    }

    /// Starts the supervisor of a task, with a socket between us.
    fn launch(&mut self, id: Id, place: Option<File>) -> io::Result<()> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        theirs.set_nonblocking(true)?;
        let place = place.map_or_else(sys::nothing, Ok)?;
        let streams = [theirs.as_fd(), theirs.as_fd(), place.as_fd()];
        self.children.push(supervisor::spawn(id, &self.task_dir, streams)?);
        self.supervisors.push((id, ours));
        Ok(())
    }

    /// The socket to a supervisor.
    fn socket(&mut self, id: Id) -> Option<&mut UnixStream> {
        self.supervisors.iter_mut().find(|(other, _)| *other == id).map(|(_, socket)| socket)
    }

    /// Says a word to a supervisor. One that is gone has ended its task.
    fn word(&mut self, core: &mut Server, id: Id, word: u8) {
        if let Some(at) = self.launches.iter().position(|(other, _)| *other == id) {
            // it is for the supervisor to do as it is told, and to write down what came of it
            self.launch_at(core, at);
        }
        if let Some(socket) = self.socket(id) {
            let _ = socket.write(&[word]);
        }
    }

    /// Hears what a supervisor says, and says it to the core once, however often it was said.
    fn hear(&mut self, core: &mut Server, id: Id) {
        let Some(socket) = self.socket(id) else { return };
        let mut words = [0; 4096];
        match socket.read(&mut words) {
            Ok(count @ 1..) => {
                let words = words.get(..count).unwrap_or_default();
                let changed = words.contains(&supervisor::NEW_RECORD);
                let event = if changed { Event::Changed(id) } else { Event::Output(id) };
                self.tell(core, event);
            }
            Err(e)
                if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Ok(_) | Err(_) => {
                self.supervisors.retain(|(other, _)| *other != id);
                self.tell(core, Event::Gone(id));
            }
        }
    }

    /// Deals with the signals that came.
    fn on_signals(&mut self) {
        for signal in self.signals.take() {
            if signal == Signal::Child {
                let gone = |child: &mut Child| matches!(child.try_wait(), Ok(Some(_)) | Err(_));
                self.children.retain_mut(|child| !gone(child));
            } else {
                self.client_gone = true;
                self.farewell = HASTE;
            }
        }
    }

    /// Reads once from the client, which does not block after poll(2) said that there is something.
    fn read(&mut self) {
        let mut piece = [0; 64 << 10];
        let [stdin, _] = &mut self.client;
        match stdin.read(&mut piece) {
            Ok(count @ 1..) => self.unread.extend(piece.get(..count).unwrap_or_default()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => self.all_read = true,
        }
    }

    /// Gives the core every line that is complete, until the client is owed too much: it shall read
    /// before it asks more. The end of stdin ends the last line.
    fn take_lines(&mut self, core: &mut Server) {
        let mut input = std::mem::replace(&mut self.input, Lines::new(LINE_LIMIT));
        let unread = std::mem::take(&mut self.unread);
        let mut rest = unread.as_slice();
        while !rest.is_empty() && !self.is_full() {
            let end = rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |end| end + 1);
            let (line, behind) = rest.split_at(end);
            input.feed(line, |at, line| self.take(core, at, line));
            rest = behind;
        }
        if rest.is_empty() && self.all_read {
            input.finish(|at, line| self.take(core, at, line));
            self.client_gone = true;
        }
        self.unread = rest.to_vec();
        self.input = input;
    }

    /// Gives the core a line of the client.
    fn take(&mut self, core: &mut Server, at: u64, line: Line<'_>) {
        match line {
            Line::Whole(mut bytes) => {
                if at == 0 {
                    bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
                }
                self.tell(core, Event::Message(bytes));
            }
            Line::Overlong(length) => self.tell(core, Event::Overlong(length)),
        }
    }

    /// Whether there is something of the client's to be dealt with.
    fn has_lines(&self) -> bool {
        !self.is_full() && (self.all_read || !self.unread.is_empty())
    }

    /// Whether the client is to be read.
    fn reads(&self) -> bool {
        !self.is_full() && !self.all_read && self.unread.is_empty()
    }

    /// The client has to take something before it is read again.
    fn is_full(&self) -> bool {
        self.outbox.len() >= OUTBOX_LIMIT
    }

    /// Gives a client that has closed its end some of what it is owed, if it takes it.
    fn make_room(&mut self) {
        while self.is_full() && !self.client_gone {
            self.client_gone = !self.gives();
        }
    }

    /// Writes to the client what surely does not block.
    fn write(&mut self) {
        let [_, stdout] = &mut self.client;
        let (head, _) = self.outbox.as_slices();
        let piece = head.get(..PIPE_BUF).unwrap_or(head);
        // ready without a byte to write: the other end is gone
        match stdout.write(piece) {
            Ok(0) => self.client_gone = true,
            Ok(count) => {
                self.outbox.drain(..count);
                if self.outbox.is_empty() {
                    // what one long answer took is given back
                    self.outbox = VecDeque::new();
                }
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => {
                self.outbox.clear();
                self.client_gone = true;
            }
        }
    }

    /// Gives the client what it is owed, as long as it takes it.
    fn say_farewell(&mut self) {
        while !self.outbox.is_empty() && self.gives() {}
    }

    /// Gives the client a piece of what it is owed; `false` if it does not take it.
    fn gives(&mut self) -> bool {
        let [_, stdout] = &self.client;
        let mut fds = [PollFd::writing(stdout.as_fd())];
        let waited = sys::poll(&mut fds, Some(self.farewell));
        let takes = waited.is_ok() && fds.iter().any(PollFd::ready);
        if takes {
            self.write();
        }
        takes
    }
}
