//! A call about several tasks that its client looks after as one task of MCP's: what lies on disk of
//! it, so that a later server can answer for it.

use super::record::{millis, seconds};
use super::{Id, LongId};
use crate::json::{self, Value};

/// Tasks that one call started, or waits for.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its name. It begins with the id of the first task.
    pub id: LongId,
    /// The tasks.
    pub tasks: Vec<Id>,
    /// The ids that the caller gave and that mean no task.
    pub unknown: Vec<String>,
    /// The call started them: they end with it.
    pub own: bool,
    /// It has ended when one of them has.
    pub any: bool,
    /// It has ended then, whether or not they have; milliseconds since 1970.
    pub deadline: Option<u64>,
    /// When it was made; milliseconds since 1970.
    pub created: u64,
    /// When it had ended or was taken back, if it has; milliseconds since 1970.
    pub ended: Option<u64>,
    /// What it came to, as JSON text: what was told of it once does not change with its tasks. None if
    /// it was taken back.
    pub result: Option<String>,
}

impl Group {
    /// The group as JSON text.
    pub fn write(&self) -> String {
        let mut out = String::new();
        json::object(&mut out, |o| {
            o.str("mcp_task_id", &self.id.to_string());
            o.strs("tasks", self.tasks.iter().map(Id::to_string)).strs("unknown", &self.unknown);
            o.bool("own", self.own).bool("any", self.any);
            o.raw("created_at", &seconds(self.created));
            for (key, moment) in [("deadline", self.deadline), ("ended_at", self.ended)] {
                if let Some(moment) = moment {
                    o.raw(key, &seconds(moment));
                }
            }
            if let Some(result) = &self.result {
                o.raw("result", result);
            }
        });
        out
    }

    /// Reads the group `id`. One that names another, or no task, is none.
    pub fn read(id: LongId, text: &[u8]) -> Option<Group> {
        let value = json::parse(text).ok()?;
        let words = |key| value.get(key).and_then(Value::as_array).unwrap_or_default().iter();
        let moment = |key| value.get(key).and_then(millis);
        let is = |key| value.get(key).and_then(Value::as_bool);
        let tasks =
            words("tasks").map(|word| Id::read(word.as_str()?)).collect::<Option<Vec<_>>>()?;
        let named = value.get("mcp_task_id").and_then(Value::as_str).and_then(LongId::read);
        if named != Some(id) || tasks.first() != Some(&id.short()) {
            return None;
        }
        Some(Group {
            id,
            tasks,
            unknown: words("unknown").filter_map(Value::as_str).map(str::to_owned).collect(),
            own: is("own")?,
            any: is("any")?,
            deadline: moment("deadline"),
            created: moment("created_at")?,
            ended: moment("ended_at"),
            result: value.get("result").filter(|r| r.as_object().is_some()).map(Value::to_json),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_reads_as_it_was_written_and_what_is_none_does_not() {
        let id = LongId::read("1a2b3c4d00000000ffffffff01234567").expect("a long id");
        let full = Group {
            id,
            tasks: vec![id.short(), Id::read("00c0ffee").expect("an id")],
            unknown: vec!["no \"id\"".into()],
            own: true,
            any: false,
            deadline: Some(1_795_437_000_123),
            created: 1_795_437_000_000,
            ended: Some(1_795_437_000_999),
            result: Some(r#"{"isError":false}"#.into()),
        };
        assert_eq!(Group::read(id, full.write().as_bytes()), Some(full.clone()));
        let bare =
            Group { unknown: vec![], deadline: None, ended: None, result: None, any: true, ..full };
        let text = bare.write();
        assert_eq!(Group::read(id, text.as_bytes()), Some(bare));
        for (from, to) in [("ffffffff", "fffffff0"), ("00c0ffee", "../../.."), ("\"own\"", "\"\"")]
        {
            assert_eq!(Group::read(id, text.replace(from, to).as_bytes()), None, "{from}");
        }
        let other = text.replace("[\"1a2b3c4d\",", "[");
        assert_eq!(Group::read(id, other.as_bytes()), None);
    }
}
