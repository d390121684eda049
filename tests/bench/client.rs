//! A server that runs, and the client's side of its pipes.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::json::{self, Object, Value, object};
use crate::process::{self, Process};
use crate::stage::{Actor, CAP, Stage, Subject, clock};

/// What a reply consists of.
pub struct Reply {
    /// When it was there, in milliseconds.
    pub at: f64,
    /// How long it took since it was asked for, in milliseconds.
    pub took: f64,
    /// The whole line.
    pub line: String,
}

impl Reply {
    /// The text of a tool's result, which must be none of failure.
    pub fn text(&self) -> Result<String> {
        let message = json::parse(self.line.as_bytes()).map_err(|why| why.to_string())?;
        let Some(result) = message.get("result") else {
            let line: String = self.line.chars().take(300).collect();
            return Err(format!("refused: {}", line.trim()).into());
        };
        let content = result.get("content").and_then(Value::as_array).unwrap_or_default();
        let blocks = content.iter().filter_map(|block| block.get("text")?.as_str());
        let text = blocks.collect::<Vec<_>>().join("\n");
        if result.get("isError").and_then(Value::as_bool) == Some(true) {
            return Err(text.into());
        }
        Ok(text)
    }
}

/// A server.
pub struct Server {
    /// Its process.
    child: Child,
    /// Its stdin, until that is closed.
    stdin: Option<ChildStdin>,
    /// Its lines, and when they came.
    lines: Receiver<(Instant, f64, String)>,
    /// Its directory.
    pub room: PathBuf,
    /// When it was started.
    began: Instant,
    /// The requests that have no reply yet, and when they were sent.
    asked: Vec<(u64, Instant)>,
    /// The replies that nobody has asked for yet.
    replies: Vec<(u64, Reply)>,
    /// The id of the last request.
    last: u64,
}

impl Server {
    /// Starts one in a room of its own. Nothing is said to it.
    fn spawn(stage: &Stage, subject: &Subject) -> Result<Server> {
        let room = stage.room()?;
        let mut command = stage.command(subject, &room)?;
        let errors = fs::File::create(room.join("errors"))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
        let began = Instant::now();
        let mut child = command.spawn().map_err(|why| format!("{}: {why}", subject.command()))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().ok_or("no stdout")?;
        let (send, lines) = channel();
        thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            let mut line = String::new();
            while stdout.read_line(&mut line).is_ok_and(|count| count > 0) {
                let line = std::mem::take(&mut line);
                if send.send((Instant::now(), clock(), line)).is_err() {
                    return;
                }
            }
        });
        let (asked, replies) = (Vec::new(), Vec::new());
        Ok(Server { child, stdin, lines, room, began, asked, replies, last: 0 })
    }

    /// Starts one; gives how many milliseconds passed until it had answered `initialize`, too.
    pub fn start(stage: &Stage, subject: &Subject) -> Result<(Server, f64)> {
        let mut server = Server::spawn(stage, subject)?;
        let began = server.began;
        let id = server.request("initialize", |o| {
            o.str("protocolVersion", "2025-06-18").raw("capabilities", "{}");
            o.raw("clientInfo", r#"{"name":"bench","version":"0"}"#);
        })?;
        if let Some((_, since)) = server.asked.first_mut() {
            *since = began;
        }
        let reply = server.reply(id).map_err(|why| format!("{}: {why}", subject.name))?;
        server.write("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n")?;
        Ok((server, reply.took))
    }

    /// Starts one of each that is to be measured.
    pub fn each(stage: &Stage) -> Result<Vec<Server>> {
        let start = |subject| Ok(Server::start(stage, subject)?.0);
        stage.subjects.iter().map(start).collect()
    }

    /// Writes to it.
    fn write(&mut self, text: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().ok_or("the server's stdin is closed")?;
        stdin
            .write_all(text.as_bytes())
            .map_err(|why| format!("the server reads no more: {why}"))?;
        Ok(())
    }

    /// Sends a request, and gives its id.
    pub fn request(&mut self, method: &str, params: impl FnOnce(&mut Object<'_>)) -> Result<u64> {
        self.last += 1;
        let id = self.last;
        let mut line = String::new();
        object(&mut line, |o| {
            o.str("jsonrpc", "2.0").int("id", id).str("method", method).object("params", params);
        });
        line.push('\n');
        self.asked.push((id, Instant::now()));
        self.write(&line)?;
        Ok(id)
    }

    /// The reply to a request.
    pub fn reply(&mut self, id: u64) -> Result<Reply> {
        loop {
            if let Some(at) = self.replies.iter().position(|(other, _)| *other == id) {
                return Ok(self.replies.swap_remove(at).1);
            }
            let (now, at, line) = self.lines.recv_timeout(CAP).map_err(|_| {
                let errors = fs::read_to_string(self.room.join("errors")).unwrap_or_default();
                format!("the server does not answer {}", errors.trim())
            })?;
            let message = json::parse(line.as_bytes()).map_err(|why| why.to_string())?;
            let answers = message.get("id").and_then(Value::as_u64);
            let answers = answers.filter(|_| message.get("method").is_none());
            let Some(asked) = self.asked.iter().position(|(id, _)| Some(*id) == answers) else {
                continue;
            };
            let (answered, since) = self.asked.swap_remove(asked);
            let took = (now - since).as_secs_f64() * 1e3;
            self.replies.push((answered, Reply { at, took, line }));
        }
    }

    /// A request and its reply.
    pub fn ask(&mut self, method: &str) -> Result<Reply> {
        let id = self.request(method, |_| {})?;
        self.reply(id)
    }

    /// Begins a tool call that wants to hear of its progress.
    pub fn begin(&mut self, tool: &str, args: impl FnOnce(&mut Object<'_>)) -> Result<u64> {
        let token = self.last + 1;
        self.request("tools/call", |o| {
            o.str("name", tool).object("arguments", args);
            o.object("_meta", |o| {
                o.int("progressToken", token);
            });
        })
    }

    /// Begins a call that is about these tasks.
    pub fn begin_about(&mut self, tool: &str, ids: &[String]) -> Result<u64> {
        self.begin(tool, |o| {
            o.strs("task_ids", ids);
            if tool == "codex_wait" {
                o.int("timeout", 900);
            }
        })
    }

    /// Looks at how these tasks stand: how long that took, in milliseconds.
    pub fn status(&mut self, ids: &[String]) -> Result<f64> {
        let id = self.begin_about("codex_status", ids)?;
        let reply = self.reply(id)?;
        reply.text()?;
        Ok(reply.took)
    }

    /// Starts a task in the background: its id, and how long the call took.
    pub fn launch(&mut self, stage: &Stage) -> Result<(String, f64)> {
        let prompt = stage.prompt();
        let call = self.begin("codex_async", |o| {
            o.str("prompt", &prompt);
        })?;
        let reply = self.reply(call)?;
        let id = task_id(&reply.text()?).ok_or("codex_async names no task id")?;
        Ok((id, reply.took))
    }

    /// The same, until its codex runs: the id, and the stand-in.
    pub fn run(&mut self, stage: &Stage) -> Result<(String, Actor)> {
        let (id, _) = self.launch(stage)?;
        Ok((id, stage.actor()?))
    }

    /// The server and its helpers, itself first.
    pub fn family(&self) -> Result<Vec<Process>> {
        process::family(self.child.id())
    }

    /// Ends it, and waits until none of its processes is left. What its stand-ins are told by must be
    /// closed before.
    pub fn end(mut self) -> Result<()> {
        let family = self.family().unwrap_or_default();
        drop(self.stdin.take());
        let end = Instant::now() + CAP;
        while self.child.try_wait()?.is_none() && Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
        }
        while family.iter().any(Process::runs) && Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
        }
        fs::remove_dir_all(&self.room)?;
        let left: Vec<u32> =
            family.iter().filter(|process| process.runs()).map(|process| process.pid).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("still there: {left:?}").into()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stdin.take());
        for _ in 0..1000 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The id of a task in the words of a server: eight hex digits behind the word task.
fn task_id(text: &str) -> Option<String> {
    let is_id = |word: &&str| word.len() == 8 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.find(is_id).map(str::to_owned)
}
