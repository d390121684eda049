//! The tasks that a person names, looked at until they have ended.

use crate::server::watched::Watched;
use crate::sys::{self, PollFd};
use crate::task::identity::Process;
use crate::task::store::Part;
use crate::task::{Id, LongId, Store};
use crate::{clock, log, supervisor};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// How often to look at a task at least: the system may not tell of its supervisor's end, and that may
/// clean up for minutes once it has written the verdict.
pub const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The tasks that these words mean, each once; without a word, the latest one.
pub fn named(store: &Store, words: &[String]) -> Result<Vec<Watched>, String> {
    let latest = ["-".to_owned()];
    let words = if words.is_empty() { &latest } else { words };
    let there = store.ids(Part::Meta);
    let mut tasks: Vec<Watched> = Vec::new();
    for word in words {
        let ids = match LongId::read(word) {
            _ if word == "-" => latest_of(store, &there).into_iter().collect(),
            Some(id) => looked_after(store, id),
            None => meant(&there, word)?.into_iter().collect(),
        };
        if ids.is_empty() {
            let what = if word == "-" { String::new() } else { format!(" {word:?}") };
            return Err(format!("there is no task{what} in {}", store.directory().display()));
        }
        for id in ids {
            if tasks.iter().any(|task| task.id() == id) {
                continue;
            }
            let record = store.read(id);
            let record = record.ok_or_else(|| format!("the record of task {id} cannot be read"))?;
            tasks.push(Watched::new(store, record, false));
        }
    }
    Ok(tasks)
}

/// The tasks behind an id that a client got which looks after tasks itself.
fn looked_after(store: &Store, id: LongId) -> Vec<Id> {
    let of_record = store.read(id.short()).filter(|record| record.long_id == Some(id));
    let one = of_record.map(|record| vec![record.id]);
    one.or_else(|| store.read_group(id).map(|group| group.tasks)).unwrap_or_default()
}

/// The task that was asked for last.
fn latest_of(store: &Store, there: &[Id]) -> Option<Id> {
    let records = there.iter().filter_map(|id| store.read(*id));
    records.max_by_key(|record| record.asked).map(|record| record.id)
}

/// The task whose id begins so.
fn meant(there: &[Id], word: &str) -> Result<Option<Id>, String> {
    // a variable of a script that is not set means no task, not the only one there is
    let begins = |id: &String| !word.is_empty() && id.starts_with(word);
    let written = || there.iter().map(Id::to_string).filter(begins);
    match written().count() {
        0 | 1 => Ok(written().next().as_deref().and_then(Id::read)),
        _ => {
            let some: Vec<String> = written().take(5).collect();
            Err(format!("task id {word:?} is not unique: {}", some.join(", ")))
        }
    }
}

/// Looks at a task, and gives the verdict if its supervisor is gone and left none; what it left
/// running is ended then.
pub fn look(store: &Store, task: &mut Watched) {
    let supervised = task.record.supervisor.is_some();
    if task.refresh(store, clock::wall()) {
        task.conclude(store, clock::wall(), None);
        if task.record.ours && supervised {
            end_leftovers(store, task.id());
        }
    }
}

/// Ends what is left of a task whose supervisor was killed.
fn end_leftovers(store: &Store, id: Id) {
    if let Err(why) = supervisor::spawn_to_end(id, store.directory(), &[]) {
        log::warning(&format!("task {id}: cannot end what it left: {why}"));
    }
}

/// Waits until a task may have ended, or `other` has something to read.
pub fn await_change(task: &Watched, other: Option<BorrowedFd<'_>>) {
    let end = task.record.supervisor.as_ref().and_then(Process::watch);
    let mut fds: Vec<PollFd<'_>> = end.iter().map(|end| PollFd::reading(end.as_fd())).collect();
    fds.extend(other.map(PollFd::reading));
    let _ = sys::poll(&mut fds, Some(LOOK_AGAIN));
}

/// Waits until a task has ended, but not beyond a moment. `false`: it has not.
pub fn await_end(store: &Store, task: &mut Watched, until: Option<Instant>) -> bool {
    loop {
        // opened before the record is read: an end that comes between the two is heard
        let end = task.record.supervisor.as_ref().and_then(Process::watch);
        look(store, task);
        if task.is_final() {
            task.catch_up();
            return true;
        }
        let rest = until.map(|until| until.saturating_duration_since(Instant::now()));
        if rest.is_some_and(|rest| rest.is_zero()) {
            return false;
        }
        let mut fds: Vec<PollFd<'_>> = end.iter().map(|end| PollFd::reading(end.as_fd())).collect();
        let _ = sys::poll(&mut fds, Some(rest.map_or(LOOK_AGAIN, |rest| rest.min(LOOK_AGAIN))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_may_be_cut_to_what_is_unique() {
        let there: Vec<Id> =
            ["1a2b3c4d", "1a99ffee", "2b000000"].iter().filter_map(|id| Id::read(id)).collect();
        let meant = |word| meant(&there, word).map(|id| id.map(|id| id.to_string()));
        for (word, id) in [
            ("1a2b3c4d", Some("1a2b3c4d")),
            ("1a2", Some("1a2b3c4d")),
            ("2", Some("2b000000")),
            ("2b0000001", None),
            ("A", None),
            ("../x", None),
            ("", None),
        ] {
            assert_eq!(meant(word), Ok(id.map(str::to_owned)), "{word}");
        }
        let why = "task id \"1a\" is not unique: 1a2b3c4d, 1a99ffee";
        assert_eq!(meant("1a"), Err(why.to_owned()));
    }
}
