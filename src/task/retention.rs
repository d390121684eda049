//! What is old enough to go. Only ended tasks go, and nothing goes that holds work.

use super::store::Part;
use super::{Record, Store};
use crate::sys;
use std::fs;
use std::time::{Duration, SystemTime};

/// How often a directory is looked through at most.
const INTERVAL: Duration = Duration::from_secs(600);

/// The file whose time of change says when the directory was last looked through.
const STAMP: &str = ".swept";

/// Removes the files of tasks that ended longer than `max_age` ago, unless somebody looked for them
/// a short while ago. `now` is in milliseconds since 1970.
pub fn sweep(store: &Store, max_age: Duration, now: u64) {
    let stamp = store.directory().join(STAMP);
    if changed_within(&stamp, INTERVAL.min(max_age)) {
        return;
    }
    let touch = |file: fs::File| file.set_modified(SystemTime::now());
    if sys::append_own(&stamp).and_then(touch).is_err() {
        return;
    }
    for id in store.ids(Part::Meta) {
        if store.read(id).is_some_and(|record| expired(&record, max_age, now)) {
            store.remove(id);
        }
    }
    // a prompt without a record: its server ended in between
    for id in store.ids(Part::Prompt) {
        let alone = !store.path(id, Part::Meta).exists();
        if alone && !changed_within(&store.path(id, Part::Prompt), max_age.max(INTERVAL)) {
            store.remove(id);
        }
    }
}

/// Whether a task's files may go. A worktree may hold work: its task stays.
fn expired(record: &Record, max_age: Duration, now: u64) -> bool {
    let age = record.completed.map(|ended| Duration::from_millis(now.saturating_sub(ended)));
    record.status.is_final() && !record.worktree && age.is_some_and(|age| age >= max_age)
}

/// Whether a file was changed less than `span` ago.
fn changed_within(path: &std::path::Path, span: Duration) -> bool {
    let changed = fs::symlink_metadata(path).and_then(|status| status.modified());
    let age = changed.map(|then| SystemTime::now().duration_since(then).unwrap_or_default());
    age.is_ok_and(|age| age < span)
}

#[cfg(test)]
mod tests {
    use super::super::Id;
    use super::*;

    #[test]
    fn only_what_ended_long_ago_and_holds_no_work_expires() {
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
        let worktree = read(r#""status":"failed","completed_at":100,"worktree_path":"/w""#);
        assert!(!expired(&worktree, hour, u64::MAX));
    }
}
