//! Those who listen: what a client wants to hear of, and what it is told when that changes. It is
//! told when a task starts, changes its state or ends, not of each thing that it does.

use super::core::{Action, Server};
use super::handles::State;
use super::open::{Asked, Held, Listener, Subject};
use super::resources::{no_resource, uri_of};
use crate::json::{Object, Value};
use crate::log;
use crate::mcp::Kind;
use crate::rpc::{self, Error};
use crate::task::{Id, LongId};

impl Server {
    /// Deals with `resources/subscribe` and `resources/unsubscribe`: what a session wants to hear of.
    pub(super) fn subscribe(
        &mut self,
        asked: &Asked,
        params: &Value<'_>,
        begin: bool,
    ) -> Result<(), Error> {
        let uri = uri_of(params)?;
        self.usable()?;
        let subject = if begin { self.subject(uri) } else { None };
        if begin && subject.is_none() {
            return Err(no_resource(uri, asked.client.revision));
        }
        self.reply(asked, Kind::Answer, &|_| {});
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
        self.usable()?;
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
        // what has ended will not change: now is the time to tell
        let (over, tasks): (Vec<Held>, Vec<Held>) =
            held.into_iter().partition(|held| self.is_over(held));
        for held in over {
            self.tell_state(held.id(), asked);
        }
        let listener = Listener { asked: Some(asked.clone()), resources, tasks };
        self.change_listeners(|listeners| listeners.push(listener));
        Ok(())
    }

    /// Changes who listens to what, and sees to it that there is something to hear, and no more.
    fn change_listeners(&mut self, change: impl FnOnce(&mut Vec<Listener>)) {
        if self.listeners.is_empty() {
            self.take_for_told();
        }
        let before = self.hears_records();
        change(&mut self.listeners);
        let named: Vec<Id> = self.listeners.iter().flat_map(Listener::subjects).collect();
        self.watch(&named);
        let after = self.hears_records();
        if after != before {
            self.surveyed = false;
            self.watch_records(after);
        }
    }

    /// Sees to it that what others record is told, from now on or no longer.
    pub(super) fn watch_records(&mut self, watch: bool) {
        // a directory that is not there yet cannot be watched
        let there = if watch { self.store.open() } else { Ok(()) };
        if let Err(why) = there {
            log::warning(&why.to_string());
        }
        self.act(Action::WatchRecords(watch));
    }

    /// What there is of tasks now is no news to those who begin to listen.
    fn take_for_told(&mut self) {
        for task in self.tasks.iter_mut() {
            task.told = Some(task.record.status);
        }
    }

    /// Looks at all tasks, because from now on it is told what others record, or because some of it
    /// was not told.
    pub(super) fn survey(&mut self) {
        self.look_at_all();
        if !std::mem::replace(&mut self.surveyed, true) {
            self.take_for_told();
        }
        self.tell_listeners();
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
            return self.taken_back.clear();
        }
        let mut changed = Vec::new();
        for task in self.tasks.iter_mut() {
            if task.told.replace(task.record.status) != Some(task.record.status) {
                changed.push(task.id());
            }
        }
        let mut listeners = std::mem::take(&mut self.listeners);
        for listener in &mut listeners {
            for (uri, subject) in &listener.resources {
                let concerns = match subject {
                    Subject::All => !changed.is_empty(),
                    Subject::One(id) => changed.binary_search(id).is_ok(),
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
            listener.tasks.retain(|held| {
                let tell = match held {
                    Held::Task(_, id) => changed.binary_search(id).is_ok(),
                    // of each of a thousand steps nobody wants to hear
                    Held::Group(_) => self.is_over(held),
                };
                !tell || !self.tell_state(held.id(), asked)
            });
        }
        self.listeners = listeners;
        self.taken_back.clear();
    }

    /// Tells how a task that the client looks after stands, and gives whether it has ended.
    fn tell_state(&mut self, id: LongId, asked: &Asked) -> bool {
        let Some(mut held) = self.held_as(id) else { return true };
        let state = self.state(&mut held);
        let line = rpc::notification("notifications/tasks", |o| {
            write_subscription(o, Some(asked));
            self.write_state(o, &held, &state);
        });
        self.send(line);
        !matches!(state, State::Working)
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
fn strings<'a>(of: &'a Value<'_>, key: &str) -> Result<Option<Vec<&'a str>>, Error> {
    let Some(value) = of.get(key).filter(|value| **value != Value::Null) else { return Ok(None) };
    let strings = value.as_array().and_then(|items| items.iter().map(Value::as_str).collect());
    let wrong = || Error::invalid_params(format!("notifications.{key} is no array of strings"));
    let mut strings: Vec<&str> = strings.ok_or_else(wrong)?;
    strings.sort_unstable();
    strings.dedup();
    Ok(Some(strings))
}
