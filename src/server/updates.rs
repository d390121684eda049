//! Those who listen: what a client wants to hear of, and what it is told when that changes. It is
//! told when a task starts, changes its state or ends, not of each thing that it does.

use super::core::{Action, Server};
use super::handles::{Held, State};
use super::open::{Asked, Listener, LookedAfter, Subject};
use super::resources::{no_resource, uri_of};
use crate::json::{Object, Value};
use crate::log;
use crate::mcp::Kind;
use crate::rpc::{self, Error};
use crate::task::{Id, LongId};
use std::collections::BTreeSet;

impl Server {
    /// Deals with `resources/subscribe` and `resources/unsubscribe`: what a session wants to hear of.
    pub(super) fn subscribe(
        &mut self,
        asked: &Asked,
        params: &Value<'_>,
        begin: bool,
    ) -> Result<(), Error> {
        let uri = uri_of(params)?;
        let subject = if begin { self.subject(uri) } else { None };
        if begin && subject.is_none() {
            return Err(no_resource(uri, asked.client.revision));
        }
        let wanted = subject.map(|subject| (uri.to_owned(), subject));
        self.change_listeners(|listeners| {
            let at = listeners.iter().position(|listener| listener.asked.is_none());
            let mut resources = at.map_or_else(Vec::new, |at| listeners.remove(at).resources);
            resources.retain(|(other, _)| other != uri);
            resources.extend(wanted);
            if !resources.is_empty() {
                listeners.push(Listener { asked: None, resources, tasks: Vec::new() });
            }
        });
        self.reply(asked, Kind::Answer, |_| {});
        Ok(())
    }

    /// Deals with `subscriptions/listen`: says what will be told, and keeps the request open.
    pub(super) fn listen(&mut self, asked: &Asked, params: &Value<'_>) -> Result<(), Error> {
        let wanted = params.get("notifications").filter(|wanted| wanted.as_object().is_some());
        let wanted = wanted.ok_or_else(|| Error::invalid_params("notifications is no object"))?;
        let uris = strings(wanted, "resourceSubscriptions")?;
        let names = strings(wanted, "taskIds")?;
        if names.is_some() {
            asked.client.must_take_tasks()?;
        }
        let subject = |uri: &str| Some((uri.to_owned(), self.subject(uri)?));
        let resources: Vec<(String, Subject)> =
            uris.iter().flatten().copied().filter_map(subject).collect();
        let held: Vec<Held> = names.iter().flatten().filter_map(|name| self.held(name)).collect();

        self.send(rpc::notification("notifications/subscriptions/acknowledged", |o| {
            write_subscription(o, Some(asked));
            o.object("notifications", |o| {
                if uris.is_some() {
                    o.strs("resourceSubscriptions", resources.iter().map(|(uri, _)| uri));
                }
                if names.is_some() {
                    o.strs("taskIds", held.iter().map(|held| held.id().to_string()));
                }
            });
        }));
        let mut tasks = Vec::new();
        for held in held {
            // what has ended will not change: now is the time to tell
            if !self.tell_state(&held, asked, true) {
                let (id, deadline) = (held.id(), self.end_of(&held));
                tasks.push(LookedAfter { id, tasks: held.tasks().to_vec(), deadline });
            }
        }
        let listener = Listener { asked: Some(asked.clone()), resources, tasks };
        self.change_listeners(|listeners| listeners.push(listener));
        Ok(())
    }

    /// Changes who listens to what, and sees to it that there is something to hear, and no more.
    fn change_listeners(&mut self, change: impl FnOnce(&mut Vec<Listener>)) {
        if self.listeners.is_empty() {
            for task in self.tasks.values_mut() {
                task.told = Some(task.record.status);
            }
        }
        let before = self.hears_records();
        change(&mut self.listeners);
        let named: Vec<Id> = self.listeners.iter().flat_map(Listener::subjects).collect();
        self.watch(&named);
        match (before, self.hears_records()) {
            (false, true) => {
                if let Err(why) = self.store.open() {
                    log::warning(&why.to_string());
                }
                // those that run already end without a word if they are killed
                let all = self.look_at_all();
                self.watch(&all);
                self.act(Action::WatchRecords(true));
            }
            (true, false) => self.act(Action::WatchRecords(false)),
            _ => {}
        }
    }

    /// Whether somebody wants to hear of tasks that others may have started.
    fn hears_records(&self) -> bool {
        let mut resources = self.listeners.iter().flat_map(|listener| &listener.resources);
        resources.any(|(_, subject)| *subject != Subject::Nothing)
    }

    /// The session has begun anew: what it wanted to hear before is forgotten.
    pub(super) fn end_session(&mut self) {
        self.end_those(|listener| listener.asked.is_none());
    }

    /// The client does not want to hear any more what it asked for under this id.
    pub(super) fn end_listening(&mut self, id: &rpc::Id) {
        self.end_those(|listener| listener.asked.as_ref().is_some_and(|asked| asked.id == *id));
    }

    /// Forgets some listeners.
    fn end_those(&mut self, those: impl Fn(&Listener) -> bool) {
        if self.listeners.iter().any(&those) {
            self.change_listeners(|all| all.retain(|listener| !those(listener)));
        }
    }

    /// Tells those who listen what has changed.
    pub(super) fn tell_listeners(&mut self) {
        if self.listeners.is_empty() {
            return;
        }
        let mut changed = Vec::new();
        for (id, task) in &mut self.tasks {
            if task.told.replace(task.record.status) != Some(task.record.status) {
                changed.push(*id);
            }
        }
        let now = self.now.steady;
        let mut listeners = std::mem::take(&mut self.listeners);
        for listener in &mut listeners {
            for (uri, subject) in &listener.resources {
                let concerns = match subject {
                    Subject::All => !changed.is_empty(),
                    Subject::One(id) => changed.contains(id),
                    Subject::Nothing => false,
                };
                if concerns {
                    self.send(rpc::notification("notifications/resources/updated", |o| {
                        write_subscription(o, listener.asked.as_ref());
                        o.str("uri", uri);
                    }));
                }
            }
            let Some(asked) = &listener.asked else { continue };
            listener.tasks.retain_mut(|task| {
                let due = task.deadline.take_if(|deadline| *deadline <= now).is_some();
                let concerns = due || task.tasks.iter().any(|id| changed.contains(id));
                !concerns || !self.tell_state_of(task.id, asked)
            });
        }
        self.listeners = listeners;
    }

    /// Tells how a task that the client looks after stands, and gives whether it has ended.
    fn tell_state_of(&mut self, id: LongId, asked: &Asked) -> bool {
        let Some(held) = self.held(&id.to_string()) else { return true };
        self.tell_state(&held, asked, false)
    }

    /// The same, where it is known already; `only_end`: nothing is told as long as it goes on.
    fn tell_state(&mut self, held: &Held, asked: &Asked, only_end: bool) -> bool {
        let state = self.state(held);
        let ended = !matches!(state, State::Working);
        if ended || !only_end {
            let line = rpc::notification("notifications/tasks", |o| {
                write_subscription(o, Some(asked));
                self.write_state(o, held, &state);
            });
            self.send(line);
        }
        ended
    }
}

/// Writes to which request a notification belongs.
fn write_subscription(o: &mut Object<'_>, asked: Option<&Asked>) {
    if let Some(asked) = asked {
        o.object("_meta", |o| {
            o.raw("io.modelcontextprotocol/subscriptionId", asked.id.json());
        });
    }
}

/// The strings in a member that is an array of them, each once, if it is there.
fn strings<'a>(of: &'a Value<'_>, key: &str) -> Result<Option<BTreeSet<&'a str>>, Error> {
    let Some(value) = of.get(key).filter(|value| **value != Value::Null) else { return Ok(None) };
    let strings = value.as_array().and_then(|items| items.iter().map(Value::as_str).collect());
    let wrong = || Error::invalid_params(format!("notifications.{key} is no array of strings"));
    let strings: BTreeSet<&str> = strings.ok_or_else(wrong)?;
    Ok(Some(strings))
}
