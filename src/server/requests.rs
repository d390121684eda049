//! From a line of the client to its answer, or to a call that waits: which methods there are, and in
//! which revision each is answered.

use super::core::{Action, Server};
use super::open::{Asked, Batch, Call, Outcome, Progress};
use super::resources::uri_of;
use crate::json::{Object, Value};
use crate::log;
use crate::mcp::tool::Tool;
use crate::mcp::{self, Client, Kind, Revision, ToolResult};
use crate::rpc::{self, Error, Message};

/// The answers of a batch have at most so many bytes together, but for errors. The SDKs cut the
/// connection at 10 MiB.
const BATCH_LIMIT: usize = 4 << 20;

/// For how long an answer is good that this version of the program gives always; milliseconds.
const FOR_GOOD: u64 = 3_600_000;

impl Server {
    /// Deals with a line of the client.
    pub(super) fn message(&mut self, line: &[u8]) {
        match Message::read(line) {
            None => {}
            Some(Message::Batch(messages)) if self.session == Some(Revision::V2025_03_26) => {
                self.batch(messages);
            }
            Some(Message::Batch(_)) => {
                let error = Error::invalid_request("only sessions of 2025-03-26 have batches");
                self.send(rpc::error(None, &error));
            }
            Some(message) => self.one(message, None),
        }
        self.tell_listeners();
    }

    /// Deals with several messages, and answers them in one line.
    fn batch(&mut self, messages: Vec<Message<'_>>) {
        let answered = |message: &&Message<'_>| {
            matches!(message, Message::Request { .. } | Message::Broken(..))
        };
        let missing = messages.iter().filter(answered).count();
        let number = self.batches.last().map_or(0, |last| last.number.wrapping_add(1));
        self.batches.push(Batch { number, missing, answers: Vec::new() });
        for message in messages {
            self.one(message, Some(number));
        }
        self.close_batch(number, 0);
    }

    /// Takes in that a batch waits for so many answers less, and answers it if that was all.
    fn close_batch(&mut self, number: u32, less: usize) {
        let Some(at) = self.batches.iter().position(|batch| batch.number == number) else { return };
        let Some(batch) = self.batches.get_mut(at) else { return };
        batch.missing = batch.missing.saturating_sub(less);
        if batch.missing == 0 {
            let batch = self.batches.remove(at);
            if !batch.answers.is_empty() {
                self.send(rpc::batch(&batch.answers));
            }
        }
    }

    /// Deals with one message.
    fn one(&mut self, message: Message<'_>, batch: Option<u32>) {
        match message {
            Message::Response | Message::Batch(_) => {}
            Message::Broken(id, error) => {
                self.answer_line(id.as_ref(), rpc::error(id.as_ref(), &error), batch);
            }
            Message::Notification { method, params } => {
                if method == "notifications/cancelled" {
                    self.cancelled(params.as_ref());
                }
            }
            Message::Request { id, method, params } => {
                let params = params.unwrap_or(Value::Object(Vec::new()));
                if let Err(error) = self.request(&id, &method, &params, batch) {
                    self.answer_line(Some(&id), rpc::error(Some(&id), &error), batch);
                }
            }
        }
    }

    /// Sends the answer to the request of this id, or puts it to those of its batch, if that does not
    /// get too long by it.
    pub(super) fn answer_line(&mut self, id: Option<&rpc::Id>, line: String, batch: Option<u32>) {
        let Some(number) = batch else { return self.send(line) };
        if let Some(batch) = self.batches.iter_mut().find(|batch| batch.number == number) {
            let length: usize = batch.answers.iter().map(String::len).sum();
            batch.answers.push(if length + line.len() <= BATCH_LIMIT {
                line
            } else {
                let what =
                    "the answers of this batch are too long together; ask for this one alone";
                rpc::error(id, &Error::new(Error::INTERNAL, what))
            });
        }
        self.close_batch(number, 1);
    }

    /// Answers a request with what `fill` writes.
    pub(super) fn reply(&mut self, asked: &Asked, kind: Kind<'_>, fill: &dyn Fn(&mut Object<'_>)) {
        self.answer_line(Some(&asked.id), asked.result(kind, fill), asked.batch);
    }

    /// Deals with a request: answers it, or keeps it open, or gives the error to answer with.
    fn request(
        &mut self,
        id: &rpc::Id,
        method: &str,
        params: &Value<'_>,
        batch: Option<u32>,
    ) -> Result<(), Error> {
        let (id, client) = (id.clone(), Client::read(method, params)?);
        match (client, method) {
            (Some(_), _) if batch.is_some() => {
                let what = format!("{} has no batches", Revision::V2026_07_28.name());
                Err(Error::invalid_request(what))
            }
            (Some(client), _) => self.request_alone(&Asked { id, client, batch }, method, params),
            (None, "initialize") if batch.is_some() => {
                Err(Error::invalid_request("initialize stands alone, not in a batch"))
            }
            (None, "initialize") => {
                let wanted = params.get("protocolVersion").and_then(Value::as_str);
                let revision = Revision::negotiate(wanted);
                self.session = Some(revision);
                self.end_session();
                let asked = Asked { id, client: Client::in_session(revision), batch };
                self.reply(&asked, Kind::Answer, &|o| mcp::write_initialize(o, revision));
                Ok(())
            }
            (None, _) => {
                let client = Client::in_session(self.session.unwrap_or(Revision::V2025_11_25));
                self.request_in_session(&Asked { id, client, batch }, method, params)
            }
        }
    }

    /// Deals with a request that says itself which revision it is in.
    fn request_alone(
        &mut self,
        asked: &Asked,
        method: &str,
        params: &Value<'_>,
    ) -> Result<(), Error> {
        match method {
            "server/discover" => {
                self.reply(asked, Kind::Cached(FOR_GOOD), &|o| {
                    mcp::write_discover(o, asked.client);
                });
                Ok(())
            }
            "subscriptions/listen" => self.listen(asked, params),
            "tasks/get" | "tasks/update" | "tasks/cancel" => self.on_task(asked, method, params),
            _ => self.request_of_any_time(asked, method, params),
        }
    }

    /// Deals with a request of a session.
    fn request_in_session(
        &mut self,
        asked: &Asked,
        method: &str,
        params: &Value<'_>,
    ) -> Result<(), Error> {
        match method {
            "ping" => {
                self.reply(asked, Kind::Answer, &|_| {});
                Ok(())
            }
            _ if self.session.is_none() => Err(Error::invalid_params(
                "initialize comes first, or params._meta must name the protocol version",
            )),
            "resources/subscribe" => self.subscribe(asked, params, true),
            "resources/unsubscribe" => self.subscribe(asked, params, false),
            _ => self.request_of_any_time(asked, method, params),
        }
    }

    /// Deals with a request that all revisions have.
    fn request_of_any_time(
        &mut self,
        asked: &Asked,
        method: &str,
        params: &Value<'_>,
    ) -> Result<(), Error> {
        let client = asked.client;
        let cursor = params.get("cursor").is_some_and(|cursor| *cursor != Value::Null);
        let structured = self.settings.flags.structured;
        match method {
            "tools/list" | "resources/list" | "resources/templates/list" if cursor => {
                return Err(Error::invalid_params("there is one page, and no cursor"));
            }
            "tools/list" => {
                let flags = self.settings.flags.launchers.clone();
                let launchers: Vec<&str> = flags.iter().map(|own| own.name.as_str()).collect();
                self.reply(asked, Kind::Cached(FOR_GOOD), &|o| {
                    mcp::schema::write_list(o, client, structured, &launchers);
                });
            }
            "resources/list" => self.reply(asked, Kind::Cached(FOR_GOOD), &|o| {
                mcp::write_resources(o, "resources", "uri", &mcp::RESOURCES);
            }),
            "resources/templates/list" => self.reply(asked, Kind::Cached(FOR_GOOD), &|o| {
                mcp::write_resources(o, "resourceTemplates", "uriTemplate", &mcp::TEMPLATES);
            }),
            "resources/read" => {
                let contents = self.read_resource(uri_of(params)?, client.revision)?;
                self.reply(asked, Kind::Cached(0), &|o| contents.write(o));
            }
            "tools/call" => return self.call(asked, params),
            _ => return Err(Error::no_method(method)),
        }
        Ok(())
    }

    /// Deals with `tools/call`.
    fn call(&mut self, asked: &Asked, params: &Value<'_>) -> Result<(), Error> {
        let name = params.get("name").and_then(Value::as_str);
        let name = name.ok_or_else(|| Error::invalid_params("name is missing"))?;
        let unknown = || Error::new(Error::INVALID_PARAMS, format!("Unknown tool: {name}"));
        let tool = Tool::named(name).ok_or_else(unknown)?;
        let none = Value::Object(Vec::new());
        let arguments = match params.get("arguments") {
            None | Some(Value::Null) => &none,
            Some(arguments) if arguments.as_object().is_some() => arguments,
            Some(other) => {
                let what = format!("arguments must be an object, not {}", other.kind());
                return Err(Error::invalid_params(what));
            }
        };
        let usable = self.store.check().map_err(|why| why.to_string());
        let outcome = match tool.check(arguments).and(usable) {
            Err(why) => Outcome::Now(ToolResult::refusal(why)),
            Ok(()) => self.use_tool(tool, arguments),
        };
        match outcome {
            Outcome::Now(result) => self.give(asked, &result),
            Outcome::Later(awaits) => {
                let token = params.get("_meta").and_then(|meta| meta.get("progressToken"));
                let progress = token.and_then(rpc::Id::read);
                let progress = progress.map(|token| Progress::new(&token, self.now.steady));
                let looks_after = asked.client.takes_tasks && awaits.may_last();
                let late = self.now.steady.saturating_add(self.settings.hold);
                let hand_out = looks_after.then_some(late);
                self.await_it(Call { asked: asked.clone(), awaits, progress, hand_out });
            }
        }
        Ok(())
    }

    /// Answers a call.
    pub(super) fn give(&mut self, asked: &Asked, result: &ToolResult) {
        let revision = asked.client.revision;
        self.reply(asked, Kind::Answer, &|o| result.write(o, revision));
    }

    /// The client takes a request back. A client that only lost patience gets its task back: it goes
    /// on and can be waited for.
    fn cancelled(&mut self, params: Option<&Value<'_>>) {
        let Some(params) = params else { return };
        let Some(id) = params.get("requestId").and_then(rpc::Id::read) else { return };
        self.end_listening(&id);
        let Some(at) = self.calls.iter().position(|call| call.asked.id == id) else { return };
        let call = self.calls.remove(at);
        let reason = params.get("reason").and_then(Value::as_str).unwrap_or_default();
        let timed_out = reason.to_ascii_lowercase().contains("timed out");
        for id in call.awaits.own_tasks() {
            if timed_out {
                log::info(&format!("task {id}: its client timed out; the task goes on"));
                self.act(Action::Detach(*id));
            } else {
                self.act(Action::Cancel(*id));
            }
        }
        if let Some(number) = call.asked.batch {
            self.close_batch(number, 1);
        }
    }
}
