//! Records of tasks and of groups: written once more they say the same, and no process that they name
//! is one that a signal must not reach.

use crate::clock;
use crate::json::parse;
use crate::sys::Pid;
use crate::task::{Group, Id, LongId, Record};

/// Tries the text of a record.
pub fn hold(text: &[u8]) {
    let long_id = LongId::read("1a2b3c4d00000000ffffffff01234567").expect("a long id");
    if let Some(group) = Group::read(long_id, text) {
        assert_eq!(Group::read(long_id, group.write().as_bytes()), Some(group));
    }
    let Some(record) = Record::read(long_id.short(), text) else { return };
    let written = record.write();
    parse(written.as_bytes()).expect("a record is JSON");
    // one that was written is one of ours
    let ours = Record { ours: true, ..record.clone() };
    assert_eq!(Record::read(long_id.short(), written.as_bytes()), Some(ours));
    assert!(Record::read(Id::read("00c0ffee").expect("an id"), text).is_none());
    assert!(record.long_id.is_none_or(|id| id.short() == record.id));
    for process in [&record.server, &record.supervisor, &record.codex].into_iter().flatten() {
        assert!(Pid::new(process.pid).is_none() || (2..1 << 22).contains(&process.pid));
    }
    for moment in [Some(record.asked), Some(record.started), record.completed].into_iter().flatten()
    {
        assert_eq!(clock::utc(moment).len(), clock::utc(0).len());
    }
    let _ = record.elapsed(0);
}
