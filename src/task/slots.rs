//! At most so many codex at once, over all servers that share a task directory: who waits, in which
//! order, and who runs. No server decides it: what is held is held by the supervisors, and the
//! system takes it back from the dead.
//!
//! Who waits has a FIFO in `queue/`, whose name says when it came, and keeps it open. Who runs has one
//! byte of the file `.running` locked, at the place that its id is. Each of those who wait waits for
//! the FIFO of the one before it to be closed; only the first counts who runs, and nobody else meanwhile.
//!
//! Each launcher has a queue of its own, `queue.NAME/` and `.running.NAME`. Who has its right to run
//! goes on to the queue of all, and never the other way: so nobody in there waits for a launcher, and
//! those who wait for each other make no ring.

use super::{Id, Store};
use crate::files;
use crate::sys::{self, About, Notices};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// The right to run. It ends when this is dropped, or the process ends.
#[derive(Debug, Default)]
pub struct Slot {
    /// The file that a byte of is locked, so that others count us.
    _running: Option<File>,
}

/// Whose turn it is.
#[derive(Debug)]
pub enum Turn {
    /// Ours.
    Ours(Slot),
    /// That of others; what tells when to look again.
    Others(News),
}

/// Becomes readable when it is time to look again.
#[derive(Debug)]
pub enum News {
    /// The one before us leaves the queue.
    Place(File),
    /// One of those who run has ended.
    Running(Notices),
    /// The system cannot tell.
    None,
}

impl News {
    /// What to give to poll(2).
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            News::Place(place) => Some(place.as_fd()),
            News::Running(notices) => Some(notices.fd()),
            News::None => None,
        }
    }
}

/// Gives a task its place in the queue: behind all that were asked for before, and behind those with
/// a lower number in the same millisecond. The place is kept as long as the file is open somewhere;
/// the supervisor gets it as its stderr.
pub fn queue_up(store: &Store, of: &str, id: Id, asked: u64, number: u64) -> io::Result<File> {
    let queue = in_store(store, "queue", of);
    files::private_directory(&queue)?;
    let interim = queue.join(format!(".{id}"));
    // open before anybody can see it, or it would be taken for one that a dead one left
    let place = sys::create_fifo(&interim)?;
    fs::rename(interim, queue.join(format!("{asked:015}-{number:06}-{id}")))?;
    Ok(place)
}

/// Takes the right to run, of this launcher or of all, if it is our turn and fewer than `limit` run; at
/// once where there is no limit, so that others can count us. Our place in the queue is given up then.
pub fn take(
    store: &Store,
    of: &str,
    id: Id,
    limit: Option<u32>,
    place: &mut Option<File>,
) -> io::Result<Turn> {
    let running = in_store(store, ".running", of);
    let ours = || {
        let file = files::append_own(&running)?;
        sys::lock_byte(&file, id.number())?;
        Ok(Turn::Ours(Slot { _running: Some(file) }))
    };
    let Some(limit) = limit else { return ours() };
    if let Some(news) = those_before(store, of, id).iter().rev().find_map(|path| held(path)) {
        return Ok(Turn::Others(news));
    }
    // who comes now from a launcher's queue may be first too, and both would count the same
    let alone = files::append_own(&in_store(store, ".turn", of))?;
    if !locked_soon(&alone) {
        return Ok(Turn::Others(News::None));
    }
    if !running.exists() {
        files::append_own(&running)?;
    }
    // watched before they are counted: who ends in between is told
    let news = Notices::of(About::Release, &running).map_or(News::None, News::Running);
    if count(&files::open_own(&running)?, limit)? >= limit {
        return Ok(Turn::Others(news));
    }
    let turn = ours()?;
    // only now may the next one count
    leave(store, of, id, place);
    Ok(turn)
}

/// Takes a lock that nobody of ours holds for longer than a look. It is not waited for: a task can hold
/// it too, as any on what it can read, and who waits hears of nothing else.
fn locked_soon(file: &File) -> bool {
    (0..100).any(|_| {
        sys::try_lock(file) || {
            thread::sleep(Duration::from_millis(1));
            false
        }
    })
}

/// Leaves the queue, if the task is in there.
pub fn leave(store: &Store, of: &str, id: Id, place: &mut Option<File>) {
    for path in places(store, of).iter().filter(|path| task_of(path) == Some(id)) {
        let _ = fs::remove_file(path);
    }
    // the next one hears that it is closed
    *place = None;
}

/// A name in the task directory, of all or of one launcher: `of` is a dot and its name then.
fn in_store(store: &Store, name: &str, of: &str) -> PathBuf {
    store.directory().join(name.to_owned() + of)
}

/// The task that a file in the queue is of.
fn task_of(path: &Path) -> Option<Id> {
    Id::read(path.file_name()?.to_str()?.rsplit_once('-')?.1)
}

/// The places in the queue, in order.
fn places(store: &Store, of: &str) -> Vec<PathBuf> {
    let (queue, mut places) = (in_store(store, "queue", of), Vec::new());
    files::each_name(&queue, &mut |name| {
        places.extend(Some(queue.join(name)).filter(|path| task_of(path).is_some()));
    });
    places.sort_unstable();
    places
}

/// The places before that of a task. One without a place is before all: nobody waits for it.
fn those_before(store: &Store, of: &str, id: Id) -> Vec<PathBuf> {
    let mut places = places(store, of);
    let own = places.iter().position(|path| task_of(path) == Some(id));
    places.truncate(own.unwrap_or(0));
    places
}

/// What tells that somebody gives up this place; `None` if nobody holds it. Then it is removed:
/// its holder was killed, or leaves just now.
fn held(path: &Path) -> Option<News> {
    let mut place = files::open_at_once(path).ok()?;
    match place.read(&mut [0]) {
        // somebody has it open; nobody ever writes there
        Err(why) if why.kind() == io::ErrorKind::WouldBlock => Some(News::Place(place)),
        _ => {
            let _ = fs::remove_file(path);
            None
        }
    }
}

/// How many run; at most `limit` are counted.
fn count(running: &File, limit: u32) -> io::Result<u32> {
    let mut count = 0;
    let mut ranges = vec![(0, u32::MAX)];
    while let Some((from, to)) = ranges.pop().filter(|_| count < limit) {
        if let Some(at) = sys::locked_byte(running, from, to)? {
            count += 1;
            ranges.extend(at.checked_sub(1).filter(|end| *end >= from).map(|end| (from, end)));
            ranges.extend(at.checked_add(1).filter(|begin| *begin <= to).map(|begin| (begin, to)));
        }
    }
    Ok(count)
}
