//! A small MCP client that has one server run three Codex tasks at once, and then two that write, and
//! shows what happens. `tests/demo` builds what it needs and starts it:
//!
//!     demo SERVER CODEX [MODEL]
//!
//! MODEL is the stand-in for the model behind Codex; without it Codex is the user's own, as it is.

#[path = "../../src/json/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the program's own JSON, of which this needs a part")]
mod json;
mod worktrees;

use std::env;
use std::error::Error;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::Instant;

use json::{Object, Value};

/// The files that the tasks are asked about, and how long each task's command dawdles, in seconds.
const TASKS: [(&str, u32); 3] =
    [("src/main.rs", 3), ("src/supervisor/mod.rs", 2), ("src/sys.rs", 3)];

/// The longest that all tasks together may take, in seconds.
const PATIENCE: u32 = 600;

/// What can go wrong is told, not handled.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match show() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            let _ = writeln!(io::stderr(), "demo: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Shows it all, in a directory that is gone afterwards.
fn show() -> Result<()> {
    let words: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let (server, codex, model) = match words.as_slice() {
        [server, codex] => (server, codex, None),
        [server, codex, model] => (server, codex, Some(model)),
        _ => return Err("usage: demo SERVER CODEX [MODEL]".into()),
    };
    let codex = fs::canonicalize(codex).map_err(|e| format!("{}: {e}", codex.display()))?;
    let scratch = Scratch::new()?;
    let mut command = Command::new(server);
    command
        .args(["--structured", "--skip-git-repo-check", "--codex"])
        .arg(&codex)
        .env("CODEX_SWARM_TASK_DIR", scratch.0.join("tasks"))
        .env("CODEX_SWARM_WORKTREE_DIR", scratch.0.join("worktrees"))
        .env("CODEX_SWARM_LOG", scratch.0.join("server.log"));
    // it ends when its stdin does, and that ends when this process does
    let model = model.map(|model| Model::start(model, &scratch.0)).transpose()?;
    if model.is_some() {
        command.env("HOME", &scratch.0).env("CODEX_HOME", &scratch.0);
    }

    let version = Command::new(&codex).arg("--version").output()?.stdout;
    say(&format!(
        "Three tasks on {}{}.\n",
        String::from_utf8_lossy(&version).trim(),
        if model.is_some() { ", with a stand-in for the model" } else { "" }
    ))?;
    let mut client = Client::start(command)?;
    let mut board = Board { started: Instant::now(), rows: Vec::new() };
    let scripted = model.is_some();
    let shown = run(&mut client, &mut board, scripted)
        .and_then(|()| worktrees::run(&mut client, &mut board, &scratch.0, scripted));
    if shown.is_err() {
        // a task outlives its server unless it is told not to
        let ids: Vec<String> = board.rows.iter().map(|row| row.id.clone()).collect();
        let call = client.call("codex_cancel", |o| task_ids(o, &ids));
        let _ = call.and_then(|id| client.reply(id));
    }
    client.end()?;
    shown
}

/// Starts the tasks, waits for them and tells what came of it.
fn run(client: &mut Client, board: &mut Board, scripted: bool) -> Result<()> {
    for (file, seconds) in TASKS {
        let question = format!("How many lines has {file}? Answer with the number alone.");
        // to the stand-in for a model, a prompt is a script
        let script = format!("\nrun: sleep {seconds}; wc -l < {file}\nsay-output");
        let prompt = format!("{question}{}", if scripted { &script } else { "" });
        let id = client.call("codex_async", |o| {
            o.str("prompt", &prompt).str("sandbox", "read-only");
        })?;
        let reply = client.reply(id)?;
        let task = read(&reply)?;
        let id = text(structured(&task)?, "taskId");
        board.tell(&format!("codex_async  {id}  {question}"))?;
        board.rows.push(Row { id: id.to_owned(), doing: String::new() });
    }
    let ids: Vec<String> = board.rows.iter().map(|row| row.id.clone()).collect();
    board.tell("codex_wait   all of them, in one call\n")?;
    let results = board.wait(client, &ids, || Ok(()))?;
    let took = board.started.elapsed().as_secs_f64();
    let message = read(&results)?;
    say("")?;
    let mut sum = 0;
    for (task, (file, _)) in tasks(&message)?.iter().zip(TASKS) {
        let id = text(task, "taskId");
        // the stand-in repeats all that its tool put out, of which the number is the last line
        let answer = text(task, "content").trim().lines().last().unwrap_or_default();
        say(&format!("         {id}  {file}: {answer}"))?;
        let lines = fs::read_to_string(file)?.lines().count();
        if text(task, "status") != "completed" || !answer.contains(&lines.to_string()) {
            return Err(format!("{lines} was expected of task {id}: {}", task.to_json()).into());
        }
        sum += task.get("elapsedSeconds").and_then(Value::as_u64).unwrap_or(0);
    }
    say(&format!(
        "\nAll {} were done in {took:.1} s, side by side; their own times add up to {sum} s.",
        TASKS.len()
    ))
}

/// What is known of the tasks, and shown when it changes.
struct Board {
    /// When the first task was started.
    started: Instant,
    /// The tasks, in that order.
    rows: Vec<Row>,
}

/// A task.
struct Row {
    /// Its id.
    id: String,
    /// What it was shown to do.
    doing: String,
}

impl Board {
    /// Shows one line behind the time.
    fn tell(&self, line: &str) -> Result<()> {
        say(&format!("{:5.1} s  {line}", self.started.elapsed().as_secs_f64()))
    }

    /// Waits for tasks, shows meanwhile what they do, and gives the reply. `each` is done at each
    /// word from the server.
    fn wait(
        &mut self,
        client: &mut Client,
        ids: &[String],
        mut each: impl FnMut() -> Result<()>,
    ) -> Result<String> {
        let wait = client.call("codex_wait", |o| {
            task_ids(o, ids);
            o.int("timeout", PATIENCE);
        })?;
        // each word of progress is a reason to look at all tasks: the server answers while it waits
        let mut look = None;
        loop {
            let line = client.next()?;
            each()?;
            let message = read(&line)?;
            let answers = message.get("id").and_then(Value::as_u64);
            if answers == Some(wait) {
                self.show(&message)?;
                return Ok(line);
            } else if answers.is_some() && answers == look {
                self.show(&message)?;
                look = None;
            } else if look.is_none() {
                look = Some(client.call("codex_status", |o| task_ids(o, ids))?);
            }
        }
    }

    /// Shows what has changed with the tasks in a result.
    fn show(&mut self, message: &Value<'_>) -> Result<()> {
        for task in tasks(message)? {
            let doing = match (text(task, "status"), text(task, "lastTool")) {
                ("running", tool) if !tool.is_empty() => tool,
                (status, _) => status,
            };
            let same_id = |row: &&mut Row| row.id == text(task, "taskId");
            let Some(row) = self.rows.iter_mut().find(same_id) else { continue };
            if row.doing != doing {
                doing.clone_into(&mut row.doing);
                let line = format!("{}  {doing}", row.id);
                self.tell(&line)?;
            }
        }
        Ok(())
    }
}

/// A server and the client's side of its pipes.
struct Client {
    /// The server's process.
    server: Child,
    /// Where it reads.
    stdin: ChildStdin,
    /// Where it writes.
    stdout: BufReader<ChildStdout>,
    /// The id of the last request.
    asked: u64,
}

impl Client {
    /// Starts a server and shakes hands.
    fn start(mut command: Command) -> Result<Client> {
        let mut server = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(stdin), Some(stdout)) = (server.stdin.take(), server.stdout.take()) else {
            return Err("the server has no pipes".into());
        };
        let mut client = Client { server, stdin, stdout: BufReader::new(stdout), asked: 0 };
        let hello = client.ask("initialize", |o| {
            o.str("protocolVersion", "2025-11-25").object("capabilities", |_| {});
            o.object("clientInfo", |o| {
                o.str("name", "demo").str("version", "1");
            });
        })?;
        client.reply(hello)?;
        client.write(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)?;
        Ok(client)
    }

    /// Writes a line.
    fn write(&mut self, line: &str) -> Result<()> {
        Ok(writeln!(self.stdin, "{line}").and_then(|()| self.stdin.flush())?)
    }

    /// Sends a request, and gives its id.
    fn ask(&mut self, method: &str, params: impl FnOnce(&mut Object<'_>)) -> Result<u64> {
        self.asked += 1;
        let mut line = String::new();
        json::object(&mut line, |o| {
            o.str("jsonrpc", "2.0").int("id", self.asked).str("method", method);
            o.object("params", params);
        });
        self.write(&line)?;
        Ok(self.asked)
    }

    /// Calls a tool and asks to be told of its progress; gives the request's id.
    fn call(&mut self, tool: &str, arguments: impl FnOnce(&mut Object<'_>)) -> Result<u64> {
        let token = self.asked + 1;
        self.ask("tools/call", |o| {
            o.str("name", tool).object("arguments", arguments);
            o.object("_meta", |o| {
                o.int("progressToken", token);
            });
        })
    }

    /// The server's next line.
    fn next(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.stdout.read_line(&mut line)? {
            0 => Err("the server is gone".into()),
            _ => Ok(line),
        }
    }

    /// The reply to a request. What comes before it is of no interest.
    fn reply(&mut self, id: u64) -> Result<String> {
        loop {
            let line = self.next()?;
            if read(&line)?.get("id").and_then(Value::as_u64) == Some(id) {
                return Ok(line);
            }
        }
    }

    /// Ends the server as clients do: by closing its stdin.
    fn end(mut self) -> Result<()> {
        drop(self.stdin);
        let status = self.server.wait()?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("the server ended with {status}").into())
        }
    }
}

/// The stand-in for the model behind Codex.
struct Model(Child);

impl Model {
    /// Starts it, and writes the configuration that leads Codex to it.
    fn start(program: &Path, codex_home: &Path) -> Result<Model> {
        let mut model = Command::new(program)
            .arg("--until-stdin-closes")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let stdout = model.stdout.take().ok_or("the model has no stdout")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let port = line.trim().strip_prefix("PORT=").ok_or("the model did not start")?;
        // whoever interrupts this leaves tasks behind: without a model they are to give up at once
        let config = format!(
            "model = \"gpt-5.5\"\nmodel_provider = \"standin\"\n\n[model_providers.standin]\n\
             name = \"standin\"\nbase_url = \"http://127.0.0.1:{port}/v1\"\n\
             wire_api = \"responses\"\nrequest_max_retries = 0\nstream_max_retries = 0\n\n\
             [features]\nunbounded_connection_retries = false\nplugins = false\n"
        );
        fs::write(codex_home.join("config.toml"), config)?;
        Ok(Model(model))
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// A directory that is gone at the end.
struct Scratch(PathBuf);

impl Scratch {
    /// Makes it.
    fn new() -> Result<Scratch> {
        let path = env::temp_dir().join(format!("codex-mcp-swarm-demo-{}", std::process::id()));
        fs::create_dir(&path).map_err(|e| format!("cannot make {}: {e}", path.display()))?;
        Ok(Scratch(fs::canonicalize(path)?))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Shows a line.
fn say(line: &str) -> Result<()> {
    Ok(writeln!(io::stdout(), "{line}")?)
}

/// Reads a message.
fn read(line: &str) -> Result<Value<'_>> {
    json::parse(line.as_bytes()).map_err(|e| format!("{e} in {line}").into())
}

/// Writes the argument that names tasks.
fn task_ids(o: &mut Object<'_>, ids: &[String]) {
    o.array("task_ids", |a| {
        for id in ids {
            a.str(id);
        }
    });
}

/// What a tool answered, as JSON.
fn structured<'m, 'a>(message: &'m Value<'a>) -> Result<&'m Value<'a>> {
    let structured = message.get("result").and_then(|result| result.get("structuredContent"));
    structured.ok_or_else(|| message.to_json().into())
}

/// The tasks that a tool answered with.
fn tasks<'m, 'a>(message: &'m Value<'a>) -> Result<&'m [Value<'a>]> {
    let tasks = structured(message)?.get("tasks").and_then(Value::as_array);
    tasks.ok_or_else(|| message.to_json().into())
}

/// A string member, empty where there is none.
fn text<'m>(object: &'m Value<'_>, key: &str) -> &'m str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}
