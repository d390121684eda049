//! What is old enough to go. Only ended tasks go, and nothing goes that holds work.

use super::store::Part;
use super::worktree::{self, Outcome};
use super::{Id, Ids, Record, Status, Store, Worktree};
use crate::files;
use crate::sys;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// How often a directory is looked through at most, unless somebody asks for it.
const INTERVAL: Duration = Duration::from_secs(300);

/// The file whose time of change says when the directory was last looked through, and which is
/// locked meanwhile.
const STAMP: &str = ".swept";

/// How to look through a task directory.
pub struct Sweep<'a> {
    /// The tasks.
    pub store: &'a Store,
    /// Where their worktrees are.
    pub worktrees: &'a Path,
    /// How long after its end a task is kept.
    pub max_age: Duration,
    /// Milliseconds since 1970.
    pub now: u64,
    /// Only say what would be done.
    pub dry: bool,
    /// Say only what is new.
    pub brief: bool,
}

impl Sweep<'_> {
    /// Looks the directory through, unless somebody did or does so. Says what was done, and why.
    pub fn now_and_then(&self, tell: &mut dyn FnMut(String)) {
        let stamp = self.store.directory().join(STAMP);
        if !changed_within(&stamp, INTERVAL.min(self.max_age)) {
            self.sweep(tell);
        }
    }

    /// Looks the directory through, unless somebody else does so. Says what was done, and why.
    pub fn sweep(&self, tell: &mut dyn FnMut(String)) {
        let Ok(stamp) = files::append_own(&self.store.directory().join(STAMP)) else { return };
        if !sys::try_lock(&stamp) {
            return tell("somebody else is cleaning up".into());
        }
        if !self.dry && stamp.set_modified(SystemTime::now()).is_err() {
            return;
        }
        let ids = self.store.ids(Part::Meta);
        let records: Vec<Record> = ids.into_iter().filter_map(|id| self.store.read(id)).collect();
        let awaited = self.remove_groups(tell);
        for record in records.iter().filter(|record| record.ours) {
            if expired(record, self.max_age, self.now) && !awaited.contains(record.id) {
                self.remove(record, tell);
            }
        }
        for path in self.store.interim() {
            // whoever wrote it was killed
            if !changed_within(&path, self.max_age.max(INTERVAL)) && !self.dry {
                let _ = std::fs::remove_file(path);
            }
        }
        // its supervisor was killed, or lost its patience
        for id in self.store.temporary() {
            let over = self.store.read(id).is_none_or(|record| record.status.is_final());
            if let Err(why) =
                if over && !self.dry { self.store.remove_temporary(id) } else { Ok(()) }
            {
                tell(format!("task {id}: {why}"));
            }
        }
        // a prompt without a record: its server ended in between
        for id in self.store.ids(Part::Prompt) {
            let path = self.store.path(id, Part::Prompt);
            let alone = !self.store.path(id, Part::Meta).exists();
            if alone && !changed_within(&path, self.max_age.max(INTERVAL)) {
                self.remove_files(id, "was never started", tell);
            }
        }
    }

    /// Removes the groups that are old, as all their tasks are. Gives the tasks of the others: their
    /// answers may still be asked for.
    fn remove_groups(&self, tell: &mut dyn FnMut(String)) -> Ids {
        let gone = |id: &Id| {
            self.store.read(*id).is_none_or(|record| expired(&record, self.max_age, self.now))
        };
        let mut awaited = Vec::new();
        for id in self.store.groups() {
            let group = self.store.read_group(id);
            let created = group.as_ref().map_or(0, |group| group.created);
            let age = Duration::from_millis(self.now.saturating_sub(created));
            let tasks = group.map(|group| group.tasks).unwrap_or_default();
            if age < self.max_age || !tasks.iter().all(gone) {
                awaited.extend(tasks);
            } else if self.dry {
                tell(format!("call {id}: is old; would remove its file"));
            } else if let Err(why) = self.store.remove_group(id) {
                tell(format!("call {id}: is old; cannot remove its file: {why}"));
            }
        }
        awaited.into()
    }

    /// Removes an expired task, as far as nothing is lost by it.
    fn remove(&self, record: &Record, tell: &mut dyn FnMut(String)) {
        let id = record.id;
        // a reply works in the worktree of the task that began the thread: that one has to care
        let own = record.worktree.as_ref().filter(|w| w.branch == worktree::branch_of(id));
        let Some(own) = own else {
            return self.remove_files(id, "is old", tell);
        };
        if !worktree::is_ours(own, self.worktrees, id) {
            let here = self.worktrees.display();
            return tell(format!("task {id}: is old; {} is not in {here} and stays", own.path));
        }
        if let Some(other) = self.user_of(own, id) {
            return tell(format!("task {id}: is old; task {other} works in its worktree"));
        }
        if self.dry {
            return tell(format!(
                "task {id}: is old; would commit what is left in {}, remove that, and {} if another ref \
                 has all of it; what would be lost stays",
                own.path, own.branch
            ));
        }
        let mut own = own.clone();
        match worktree::remove(&mut own, &message(self.store, record)) {
            Outcome::Removed => self.remove_files(id, "is old, its worktree holds nothing", tell),
            Outcome::Kept(why) if self.brief && own.kept.as_ref() == Some(&why) => {}
            Outcome::Kept(why) => {
                let path = if Path::new(&own.path).exists() { &own.path } else { "no directory" };
                tell(format!("task {id}: is old; {why} (kept: {path}, branch {})", own.branch));
                self.store.remove_all_but_record(id);
                own.kept = Some(why);
                let record = Record { worktree: Some(own), ..record.clone() };
                if let Err(why) = self.store.write(&record) {
                    tell(format!("task {id}: {why}"));
                }
            }
        }
    }

    /// A task that is not old and works in a worktree of another one. The records are read anew: one
    /// may have begun since.
    fn user_of(&self, worktree: &Worktree, owner: Id) -> Option<Id> {
        let ids = self.store.ids(Part::Meta).into_iter().filter(|id| *id != owner);
        let mut records = ids.filter_map(|id| self.store.read(id));
        let user = records.find(|record| {
            let within = Path::new(&record.cwd).starts_with(&worktree.path);
            let same = record.worktree.as_ref().is_some_and(|w| w.path == worktree.path);
            (within || same) && !expired(record, self.max_age, self.now)
        });
        user.map(|record| record.id)
    }

    /// Removes the files of a task.
    fn remove_files(&self, id: Id, why: &str, tell: &mut dyn FnMut(String)) {
        if self.dry {
            return tell(format!("task {id}: {why}; would remove its files"));
        }
        self.store.remove(id);
        tell(format!("task {id}: {why}; its files are removed"));
    }
}

/// The message of the commit that holds what a task left: the first line of its prompt, and which
/// task and thread it was.
pub fn message(store: &Store, record: &Record) -> Vec<String> {
    let title = store.title(record.id);
    let title = title.as_deref().unwrap_or("What a Codex task left");
    let mut subject: String = title.chars().take(72).collect();
    subject.retain(|c| !c.is_control() && c != char::REPLACEMENT_CHARACTER);
    if record.status == Status::Failed {
        subject.push_str(" (failed)");
    }
    let mut trailers = format!("Codex-Task: {}", record.id);
    if let Some(thread) = &record.thread {
        trailers.push_str("\nCodex-Thread: ");
        trailers.push_str(thread);
    }
    vec![subject, trailers]
}

/// Whether a task ended long enough ago.
fn expired(record: &Record, max_age: Duration, now: u64) -> bool {
    let age = record.completed.map(|ended| Duration::from_millis(now.saturating_sub(ended)));
    record.status.is_final() && age.is_some_and(|age| age >= max_age)
}

/// Whether a file was changed less than `span` ago.
fn changed_within(path: &Path, span: Duration) -> bool {
    let changed = std::fs::symlink_metadata(path).and_then(|status| status.modified()).ok();
    // one in the future tells nothing: the clock was set since
    let age = changed.and_then(|then| SystemTime::now().duration_since(then).ok());
    age.is_some_and(|age| age < span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ended_long_ago_expires() {
        let id = Id::read("1a2b3c4d").expect("an id");
        let read = |more: &str| {
            let text = format!(r#"{{"task_id":"1a2b3c4d","started_at":1,{more}}}"#);
            Record::read(id, text.as_bytes()).expect("a record")
        };
        let hour = Duration::from_secs(3600);
        let ended = read(r#""status":"failed","completed_at":100"#);
        assert!(!expired(&ended, hour, 3_699_999));
        assert!(expired(&ended, hour, 3_700_000));
        assert!(!expired(&ended, hour, 0), "a clock that went back");
        let running = read(r#""status":"running""#);
        assert!(!expired(&running, hour, u64::MAX));
    }
}
