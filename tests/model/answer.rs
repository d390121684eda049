//! Plays a script: one request's part of it, as one answer.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::events::Events;
use crate::http;
use crate::json;
use crate::script::{Action, ShellOptions, ToolCall, Usage};
use crate::turn::{self, Call, Place, Session, Turn};

/// How long a shell call waits before it goes on in the background, if the script does not say.
const YIELD_MS: u64 = 30_000;

/// How long a poll waits for a command's end.
const POLL_MS: u64 = 120_000;

/// What becomes of a connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Connection {
    /// Another request may follow.
    Keep,
    /// It is of no more use.
    Close,
}

/// How often each step with `xN` has failed so far.
#[derive(Default)]
pub struct Failures(Mutex<HashMap<u64, u64>>);

impl Failures {
    /// Counts one more time of the step `key`; whether it still is one of the first `times`.
    fn again(&self, key: u64, times: Option<u64>) -> bool {
        let Some(times) = times else { return true };
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key).or_default();
        *count = count.saturating_add(1);
        *count <= times
    }
}

/// An answer to one request.
pub struct Reply<'a> {
    /// The connection.
    stream: &'a TcpStream,
    /// The answer's id, unlike that of any other answer.
    id: &'a str,
    /// The request.
    turn: &'a Turn<'a>,
    /// The conversation it belongs to.
    thread: Option<&'a str>,
    /// What the steps with `xN` share.
    failures: &'a Failures,
    /// What was written so far.
    events: Events<'a>,
    /// The step that is played.
    step: usize,
    /// There was a message.
    spoken: bool,
    /// The tokens the answer will count.
    usage: Usage,
}

/// What follows on a step.
enum Next {
    /// The next step.
    Step,
    /// The end of the answer, for the client to run a tool.
    Tool,
    /// Nothing: all that will be written is written.
    Over(Connection),
}

impl<'a> Reply<'a> {
    /// An answer of which nothing is written yet.
    pub fn new(
        stream: &'a TcpStream,
        id: &'a str,
        turn: &'a Turn<'a>,
        thread: Option<&'a str>,
        failures: &'a Failures,
    ) -> Self {
        let events = Events::new(stream, id);
        let (step, spoken, usage) = (turn.place.step(), false, Usage::default());
        Self { stream, id, turn, thread, failures, events, step, spoken, usage }
    }

    /// Plays the steps up to the first that needs a tool, or to the end.
    pub fn play(mut self) -> io::Result<Connection> {
        if let Place::Running(_, sessions) = &self.turn.place {
            self.poll(sessions)?;
            return self.complete();
        }
        while let Some(step) = self.turn.steps.get(self.step) {
            match self.play_step(&step.action)? {
                Next::Step => self.step += 1,
                Next::Tool => return self.complete(),
                Next::Over(connection) => return Ok(connection),
            }
        }
        if !self.spoken {
            let text = self.default_text();
            self.events.message(&text)?;
        }
        self.complete()
    }

    /// Plays one step.
    fn play_step(&mut self, action: &Action) -> io::Result<Next> {
        match action {
            Action::Say(text) => self.say(text),
            Action::SayOutput => {
                let text = self.turn.outputs.last();
                self.say(text.map_or("(no output)", |output| &output.text))
            }
            Action::Think(text) => self.events.reasoning(text).map(|()| Next::Step),
            Action::Search(query) => self.events.web_search(query).map(|()| Next::Step),
            Action::Sleep(pause) => {
                self.events.begin()?;
                thread::sleep(*pause);
                Ok(Next::Step)
            }
            Action::Usage(usage) => {
                self.usage = *usage;
                Ok(Next::Step)
            }
            Action::Shell(commands, options) => self.shell(commands, options),
            Action::Patch(patch) => {
                let call = self.call_id(0);
                self.events.custom_call(&call, "apply_patch", patch).map(|()| Next::Tool)
            }
            Action::Call(calls) => self.tools(calls),
            Action::Find(query) => {
                let call = self.call_id(0);
                self.events.tool_search(&call, query).map(|()| Next::Tool)
            }
            Action::JavaScript(code) => {
                let call = self.call_id(0);
                self.events.custom_call(&call, "exec", code).map(|()| Next::Tool)
            }
            Action::Plan { steps, done } => self.plan(steps, *done),
            Action::Hang => self.hang(),
            Action::Fail { status, times, retry_after } if self.fails(*times) => {
                self.fail(*status, *retry_after)
            }
            Action::Cut { times } if self.fails(*times) => {
                self.events.half_message("half a ")?;
                self.cut()
            }
            Action::Fail { .. } | Action::Cut { .. } => Ok(Next::Step),
            Action::Failed { code, message } => {
                self.events.failed(code, message)?;
                Ok(Next::Over(Connection::Keep))
            }
        }
    }

    /// Ends an answer to which nothing happened.
    fn complete(mut self) -> io::Result<Connection> {
        self.events.completed(self.usage)?;
        Ok(Connection::Keep)
    }

    /// A message.
    fn say(&mut self, text: &str) -> io::Result<Next> {
        self.spoken = true;
        self.events.message(text)?;
        Ok(Next::Step)
    }

    /// What is said where the script says nothing.
    fn default_text(&self) -> String {
        match self.turn.schema {
            Some(schema) => turn::example(schema),
            None if self.turn.steps.is_empty() => {
                let start: String = self.turn.prompt.chars().take(80).collect();
                format!("ok: {start}")
            }
            None => "done".to_owned(),
        }
    }

    /// The id for a call of the step that is played.
    fn call_id(&self, part: usize) -> String {
        Call { step: self.step, part }.id(self.id)
    }

    /// Calls the shell, once for each command.
    fn shell(&mut self, commands: &[String], options: &ShellOptions) -> io::Result<Next> {
        for (part, command) in commands.iter().enumerate() {
            let mut arguments = String::new();
            json::object(&mut arguments, |o| {
                o.str("cmd", command);
                o.int("yield_time_ms", options.yield_ms.unwrap_or(YIELD_MS));
                o.maybe_str("workdir", options.workdir.as_deref());
                if let Some(tokens) = options.max_tokens {
                    o.int("max_output_tokens", tokens);
                }
                if options.escalated {
                    o.str("sandbox_permissions", "require_escalated");
                    o.str("justification", "the script asks for it");
                }
            });
            let call = self.call_id(part);
            self.events.function_call(&call, None, "exec_command", &arguments)?;
        }
        Ok(Next::Tool)
    }

    /// Calls tools by their names.
    fn tools(&mut self, calls: &[ToolCall]) -> io::Result<Next> {
        for (part, tool) in calls.iter().enumerate() {
            let arguments = self.turn.fill_in(&tool.arguments);
            let call = self.call_id(part);
            let namespace = tool.namespace.as_deref();
            self.events.function_call(&call, namespace, &tool.name, &arguments)?;
        }
        Ok(Next::Tool)
    }

    /// Asks after commands that still run.
    fn poll(&mut self, sessions: &[Session]) -> io::Result<()> {
        for session in sessions {
            let mut arguments = String::new();
            json::object(&mut arguments, |o| {
                o.int("session_id", session.id).str("chars", "").int("yield_time_ms", POLL_MS);
            });
            let call = self.call_id(session.part);
            self.events.function_call(&call, None, "write_stdin", &arguments)?;
        }
        Ok(())
    }

    /// Shows a to-do list.
    fn plan(&mut self, steps: &[String], done: usize) -> io::Result<Next> {
        let mut arguments = String::new();
        json::object(&mut arguments, |o| {
            o.array("plan", |a| {
                for (number, step) in steps.iter().enumerate() {
                    let status = match number.cmp(&done) {
                        std::cmp::Ordering::Less => "completed",
                        std::cmp::Ordering::Equal => "in_progress",
                        std::cmp::Ordering::Greater => "pending",
                    };
                    a.object(|o| {
                        o.str("step", step).str("status", status);
                    });
                }
            });
        });
        let call = self.call_id(0);
        self.events.function_call(&call, None, "update_plan", &arguments).map(|()| Next::Tool)
    }

    /// Says nothing more until the client goes away.
    fn hang(&mut self) -> io::Result<Next> {
        self.events.begin()?;
        io::copy(&mut { self.stream }, &mut io::sink())?;
        Ok(Next::Over(Connection::Close))
    }

    /// Counts one more time of the step that is played; whether it fails this time.
    fn fails(&self, times: Option<u64>) -> bool {
        // the same script later in the same conversation is another one: hence the position
        let mut hasher = DefaultHasher::new();
        (self.thread, self.turn.position, &self.turn.prompt, self.step).hash(&mut hasher);
        self.failures.again(hasher.finish(), times)
    }

    /// Answers with an HTTP error. Behind a head that is written already, the one way left to fail
    /// is to drop the connection.
    fn fail(&mut self, status: u16, retry_after: Option<u64>) -> io::Result<Next> {
        if self.events.begun {
            return self.cut();
        }
        let (code, message) = match status {
            400 => ("invalid_request_error", "Bad request, says the script"),
            401 => ("invalid_api_key", "Incorrect API key provided, says the script"),
            429 => ("rate_limit_exceeded", "Rate limit reached, says the script"),
            _ => ("server_error", "The server had an error, says the script"),
        };
        let retry_after = retry_after.map(|seconds| seconds.to_string());
        let headers = retry_after.as_deref().map(|seconds| ("retry-after", seconds));
        http::write_json(self.stream, status, headers.as_slice(), &error_body(code, message))?;
        Ok(Next::Over(Connection::Keep))
    }

    /// Drops the connection in the middle of the answer.
    fn cut(&mut self) -> io::Result<Next> {
        self.stream.shutdown(Shutdown::Both)?;
        Ok(Next::Over(Connection::Close))
    }
}

/// Answers with an HTTP error that is not in the script.
pub fn error(stream: &TcpStream, status: u16, code: &str, message: &str) -> io::Result<Connection> {
    http::write_json(stream, status, &[], &error_body(code, message))?;
    Ok(Connection::Keep)
}

/// The body of an HTTP error.
fn error_body(code: &str, message: &str) -> String {
    let mut body = String::new();
    json::object(&mut body, |o| {
        o.object("error", |o| {
            o.str("message", message).str("type", code).str("code", code);
        });
    });
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_fails_as_often_as_it_says_and_no_other_counts() {
        let failures = Failures::default();
        assert!(failures.again(1, Some(2)));
        assert!(failures.again(1, Some(2)));
        assert!(failures.again(2, Some(1)));
        assert!(!failures.again(1, Some(2)));
        assert!(!failures.again(3, Some(0)));
        assert!(failures.again(1, None));
    }
}
