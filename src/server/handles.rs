//! MCP's tasks extension: a call whose client gets a task to look after in place of the result. It is
//! written down before the client hears of it, and any later server answers for it.

use super::core::{Action, Server};
use super::open::{Asked, Awaits, Call, Held};
use crate::clock;
use crate::json::{self, Object, Value};
use crate::log;
use crate::mcp::{Kind, Revision};
use crate::rpc::Error;
use crate::task::{Group, Id, LongId, Status};
use std::fmt::Write;
use std::time::Duration;

/// How often a client is to ask how a task stands; milliseconds. Claude Code takes it at its word.
const POLL: u64 = 1000;

/// Of so many tasks more is told than their ids.
const FEW: usize = 8;

/// How far it is.
pub(super) enum State {
    /// It goes on.
    Working,
    /// It has ended with this result, as JSON text.
    Completed(String),
    /// It was taken back.
    Cancelled,
}

impl Server {
    /// What a client looks after under this name.
    pub(super) fn held(&mut self, name: &str) -> Option<Held> {
        self.held_as(LongId::read(name)?)
    }

    /// What a client looks after under this id.
    pub(super) fn held_as(&mut self, long_id: LongId) -> Option<Held> {
        let id = long_id.short();
        if self.look(id).is_some_and(|task| task.record.long_id == Some(long_id)) {
            return Some(Held::Task(long_id, id));
        }
        let group = self.store.read_group(long_id)?;
        for id in &group.tasks {
            self.look(*id);
        }
        Some(Held::Group(group))
    }

    /// What it waits for, as the call did that it comes from.
    fn awaits(&self, held: &Held) -> Awaits {
        match held {
            Held::Task(_, id) => Awaits::Answer(*id),
            Held::Group(group) if group.own => Awaits::All(group.tasks.clone()),
            Held::Group(group) => Awaits::Wait {
                ids: group.tasks.clone(),
                unknown: group.unknown.clone(),
                any: group.any,
                deadline: self.end_of(held).unwrap_or(Duration::MAX),
            },
        }
    }

    /// When it ends whether or not its tasks have, in steady time.
    pub(super) fn end_of(&self, held: &Held) -> Option<Duration> {
        let ahead = Duration::from_millis(held.deadline()?.saturating_sub(self.now.wall));
        Some(self.now.steady.saturating_add(ahead))
    }

    /// Whether it has ended or was taken back, as far as that is known without reading anything.
    pub(super) fn is_over(&self, held: &Held) -> bool {
        let taken_back = self.taken_back.contains(&held.id());
        taken_back || self.is_done(&self.awaits(held))
    }

    /// How it stands. What has ended once stays as it ended.
    pub(super) fn state(&mut self, held: &mut Held) -> State {
        for id in held.tasks() {
            if let Some(task) = self.tasks.get_mut(*id) {
                task.catch_up();
            }
        }
        let awaits = self.awaits(held);
        let done = self.is_done(&awaits);
        match held {
            Held::Task(_, id) => match self.tasks.get(*id).map(|task| task.record.status) {
                Some(Status::Cancelled) => State::Cancelled,
                _ if done => State::Completed(self.result_of(&awaits)),
                _ => State::Working,
            },
            Held::Group(group) => {
                if group.ended.is_none() && done {
                    group.ended = Some(self.now.wall);
                    group.result = Some(self.result_of(&awaits));
                    if let Err(why) = self.store.write_group(group) {
                        log::warning(&why.to_string());
                    }
                }
                match (group.ended, &group.result) {
                    (None, _) => State::Working,
                    (Some(_), Some(result)) => State::Completed(result.clone()),
                    (Some(_), None) => State::Cancelled,
                }
            }
        }
    }

    /// The result of a call whose time has come, as JSON text.
    fn result_of(&self, awaits: &Awaits) -> String {
        let mut out = String::new();
        json::object(&mut out, |o| {
            o.str("resultType", "complete");
            self.answer(awaits).write(o, Revision::V2026_07_28);
        });
        out
    }

    /// When it was made and when it was last heard of; milliseconds since 1970.
    fn moments(&self, held: &Held) -> [u64; 2] {
        let now = self.now.wall;
        let heard = |id: &Id| self.tasks.get(*id).map(|task| task.heard(&self.store, now));
        let heard = held.tasks().iter().filter_map(heard).max();
        let (made, heard) = match held {
            Held::Task(_, id) => (self.tasks.get(*id).map_or(now, |task| task.record.asked), heard),
            Held::Group(group) => (group.created, group.ended.or(heard)),
        };
        [made, heard.unwrap_or(made).max(made)]
    }

    /// Writes how it stands.
    pub(super) fn write_state(&self, o: &mut Object<'_>, held: &Held, state: &State) {
        let name = match state {
            State::Working => "working",
            State::Completed(_) => "completed",
            State::Cancelled => "cancelled",
        };
        o.str("taskId", &held.id().to_string()).str("status", name);
        // what its tasks do once it is over is not its own doing
        let busy = self.busy(held.tasks(), None).filter(|_| matches!(state, State::Working));
        let doing = busy.map(|busy| self.doing(held.tasks(), busy));
        o.str("statusMessage", doing.as_deref().unwrap_or(name));
        let [made, heard] = self.moments(held).map(clock::utc);
        o.str("createdAt", &made).str("lastUpdatedAt", &heard);
        match self.settings.kept().map(|kept| u64::try_from(kept.as_millis())) {
            Some(kept) => o.int("ttlMs", kept.unwrap_or(u64::MAX >> 11)),
            None => o.raw("ttlMs", "null"),
        };
        o.int("pollIntervalMs", POLL);
        if let State::Completed(result) = state {
            o.raw("result", result);
        }
    }

    /// Deals with `tasks/get`, `tasks/update` and `tasks/cancel`.
    pub(super) fn on_task(
        &mut self,
        asked: &Asked,
        method: &str,
        params: &Value<'_>,
    ) -> Result<(), Error> {
        asked.client.must_take_tasks()?;
        let name = params.get("taskId").and_then(Value::as_str);
        let name = name.ok_or_else(|| Error::invalid_params("taskId is missing"))?;
        self.usable()?;
        let unknown = || Error::invalid_params(format!("there is no task {name:?}"));
        let mut held = self.held(name).ok_or_else(unknown)?;
        match method {
            "tasks/get" => {
                let state = self.state(&mut held);
                let line = asked.result(Kind::Answer, &|o| self.write_state(o, &held, &state));
                self.answer_line(Some(&asked.id), line, asked.batch);
                return Ok(());
            }
            "tasks/cancel" => self.take_back(held)?,
            // no task here ever asks for input, so there is nothing that could be answered
            _ if params.get("inputResponses").and_then(Value::as_object).is_none() => {
                return Err(Error::invalid_params("inputResponses must be an object"));
            }
            _ => {}
        }
        self.reply(asked, Kind::Answer, &|_| {});
        Ok(())
    }

    /// The client does not want it any more. What it had only waited for goes on.
    fn take_back(&mut self, mut held: Held) -> Result<(), Error> {
        if !matches!(self.state(&mut held), State::Working) {
            return Ok(());
        }
        let internal = |why: String| Error::new(Error::INTERNAL, why);
        match held {
            Held::Task(_, id) => self.end(&[id]).map_err(internal),
            Held::Group(mut group) => {
                if group.own {
                    self.end(&group.tasks).map_err(internal)?;
                }
                group.ended = Some(self.now.wall);
                self.taken_back.push(group.id);
                self.store.write_group(&group).map_err(|why| internal(why.to_string()))
            }
        }
    }

    /// Gives the client a task to look after in place of the result of a call that goes on. `false`:
    /// it could not be written down, and the call waits as if the client took no tasks.
    pub(super) fn hand_out(&mut self, call: &Call) -> bool {
        let held = match self.hold(&call.awaits) {
            Ok(Some(held)) => held,
            Ok(None) => return false,
            Err(why) => {
                log::warning(&format!("a call stays open, and does not become a task: {why}"));
                return false;
            }
        };
        for id in call.awaits.own_tasks() {
            self.act(Action::Detach(*id));
        }
        self.hand(&call.asked, &held);
        true
    }

    /// Gives the client of `codex_async` a task to look after. `false`: it was not started, and the
    /// result says why.
    pub(super) fn hand_out_started(&mut self, call: &Call) -> bool {
        let Awaits::Start(id) = call.awaits else { return false };
        let begun = self
            .tasks
            .get(id)
            .filter(|task| task.has_begun() && (task.record.codex.is_some() || !task.is_final()));
        let Some(long_id) = begun.and_then(|task| task.record.long_id) else { return false };
        self.hand(&call.asked, &Held::Task(long_id, id));
        true
    }

    /// Writes down what a call waits for, where its tasks do not say it.
    fn hold(&self, awaits: &Awaits) -> std::io::Result<Option<Held>> {
        let ids = awaits.tasks();
        let Some(first) = ids.first() else { return Ok(None) };
        let mut group = Group {
            id: LongId::random(*first)?,
            tasks: ids.to_vec(),
            unknown: Vec::new(),
            own: true,
            any: false,
            deadline: None,
            created: self.now.wall,
            ended: None,
            result: None,
        };
        match awaits {
            Awaits::Start(_) | Awaits::Cancelled(..) => return Ok(None),
            Awaits::Answer(id) => {
                let long_id = self.tasks.get(*id).and_then(|task| task.record.long_id);
                return Ok(long_id.map(|long_id| Held::Task(long_id, *id)));
            }
            Awaits::All(_) => {}
            Awaits::Wait { unknown, any, deadline, .. } => {
                let ahead = deadline.saturating_sub(self.now.steady).as_millis();
                let ahead = u64::try_from(ahead).unwrap_or(u64::MAX);
                group.unknown.clone_from(unknown);
                (group.own, group.any) = (false, *any);
                group.deadline = Some(self.now.wall.saturating_add(ahead));
            }
        }
        self.store.write_group(&group)?;
        Ok(Some(Held::Group(group)))
    }

    /// Answers a call with a task to look after.
    fn hand(&mut self, asked: &Asked, held: &Held) {
        let meanwhile = self.meanwhile(held);
        // it may have ended by now: the client asks how it stands in any case, and hears it then
        let kind = Kind::Task(&meanwhile);
        let line = asked.result(kind, &|o| self.write_state(o, held, &State::Working));
        self.answer_line(Some(&asked.id), line, asked.batch);
    }

    /// What a model is told in place of the result. Clients may cut it at 2,000 characters.
    fn meanwhile(&self, held: &Held) -> String {
        let ids = held.tasks();
        let (runs, ends) =
            if ids.len() > 1 { ("They run", "all have") } else { ("It runs", "it has") };
        let mut text = format!(
            "{runs} in the background. When {ends} ended you are told, with the result: go on with other \
             work, and neither wait nor poll. codex_status shows what is being done right now.\n\n"
        );
        if ids.len() > FEW {
            let ids: Vec<String> = ids.iter().map(Id::to_string).collect();
            let _ = writeln!(text, "Task IDs: {}", ids.join(", "));
            return text;
        }
        for view in self.views(ids) {
            view.brief(&mut text);
            if view.task.thread().is_none() {
                text.push_str("Thread ID: not known yet; codex_status tells it\n");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::core::Event;
    use super::*;
    use crate::cli::Flags;
    use crate::clock::Now;
    use crate::settings::Settings;
    use std::path::{Path, PathBuf};

    /// A server whose tasks lie in a directory of their own and whose clock is made up.
    struct Bench {
        /// The server.
        server: Server,
        /// Where its tasks lie.
        directory: PathBuf,
    }

    impl Bench {
        /// A server that has heard nothing yet. Its codex is never run.
        fn new(name: &str) -> Bench {
            let directory =
                std::env::temp_dir().join(format!("swarm-{name}-{}", std::process::id()));
            let flags = Flags { codex: Some("/bin/sh".into()), ..Flags::default() };
            let variable = |name: &str| {
                (name == "CODEX_SWARM_TASK_DIR").then(|| directory.display().to_string())
            };
            let (settings, _) = Settings::read(flags, variable, Path::new("/"));
            Bench { server: Server::new(settings, "/".into()), directory }
        }

        /// What comes of an event at a moment in microseconds.
        fn at(&mut self, micros: u64, event: Event<'_>) -> Vec<String> {
            let steady = Duration::from_micros(micros);
            let actions = self.server.handle(event, Now { steady, wall: 1_795_437_000_000 });
            actions.iter().map(|action| format!("{action:?}").replace('\\', "")).collect()
        }

        /// What comes of a call of a client that takes tasks.
        fn call(&mut self, tool: &str, arguments: &str) -> Vec<String> {
            let line = format!(
                r#"{{"jsonrpc":"2.0","id":"{tool}","method":"tools/call","params":{{"name":"{tool}",
                "arguments":{arguments},"_meta":{{
                "io.modelcontextprotocol/protocolVersion":"2026-07-28",
                "io.modelcontextprotocol/clientCapabilities":
                {{"extensions":{{"io.modelcontextprotocol/tasks":{{}}}}}}}}}}}}"#
            );
            self.at(0, Event::Message(line.as_bytes()))
        }
    }

    impl Drop for Bench {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }

    /// Whether these are so many actions that begin like this.
    fn are(actions: &[String], beginnings: &[&str]) -> bool {
        let mut pairs = actions.iter().zip(beginnings);
        actions.len() == beginnings.len() && pairs.all(|(action, begin)| action.starts_with(begin))
    }

    #[test]
    fn a_call_becomes_a_task_when_it_was_held_for_its_time_and_not_before() {
        let mut bench = Bench::new("held");
        assert!(are(&bench.call("codex", r#"{"prompt":"p"}"#), &["Launch("]));
        assert_eq!(bench.server.deadline(), Some(Duration::from_secs(75)));
        assert_eq!(bench.at(74_999_999, Event::Tick), [""; 0]);
        let actions = bench.at(75_000_000, Event::Tick);
        assert!(are(&actions, &["Detach(", "Send("]), "{actions:?}");
        assert!(actions.concat().contains(r#""resultType":"task""#), "{actions:?}");
        assert_eq!(bench.server.deadline(), None);
        assert_eq!(bench.at(500_000_000, Event::Tick), [""; 0]);
    }

    #[test]
    fn what_waits_for_several_tasks_is_written_down_before_the_client_hears_of_it() {
        let mut bench = Bench::new("several");
        let launched = bench.call("codex_batch", r#"{"tasks":[{"prompt":"a"},{"prompt":"b"}]}"#);
        assert!(are(&launched, &["Launch(", "Launch("]), "{launched:?}");
        let ids = bench.server.store.ids(crate::task::store::Part::Meta);
        let ids = ids.iter().map(|id| format!("\"{id}\"")).collect::<Vec<_>>().join(",");
        let waiting = format!(r#"{{"task_ids":[{ids}],"until":"any","timeout":80.5}}"#);
        assert_eq!(bench.call("codex_wait", &waiting), [""; 0]);
        let actions = bench.at(75_000_000, Event::Tick);
        assert!(are(&actions, &["Detach(", "Detach(", "Send(", "Send("]), "{actions:?}");
        let groups = bench.server.store.groups();
        let groups: Vec<Group> =
            groups.into_iter().filter_map(|id| bench.server.store.read_group(id)).collect();
        assert_eq!(groups.len(), 2, "{groups:?}");
        assert!(groups.iter().all(|group| actions.concat().contains(&group.id.to_string())));
        let wait = groups.iter().find(|group| !group.own).expect("the group of the wait");
        // the clock on the wall stood still
        assert_eq!((wait.any, wait.deadline), (true, Some(1_795_437_005_500)));
        assert!(groups.iter().any(|group| group.own && group.deadline.is_none()));
    }

    #[test]
    fn a_call_stays_open_where_its_task_cannot_be_written_down() {
        let mut bench = Bench::new("unwritten");
        bench.call("codex_batch", r#"{"tasks":[{"prompt":"a"}]}"#);
        std::fs::remove_dir_all(&bench.directory).expect("it was there");
        assert_eq!(bench.at(75_000_000, Event::Tick), [""; 0]);
        assert_eq!(bench.server.deadline(), None);
    }
}
