//! What every test stands on: a directory of its own, the server in it, and a look at the machine.

pub use crate::look::*;

use crate::json::Value;
use crate::recorded::{Recording, ToServer};
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for what must come. Nothing is ever waited for less, or slept through.
pub const CAP: Duration = Duration::from_secs(120);

/// The scripted stand-in for codex.
pub const STANDIN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/codex");

/// Looks every few milliseconds until there is something to see.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + CAP;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < end, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The thread that the stand-in begins for a task.
pub fn thread_of(id: &str) -> String {
    format!("01a20000-0000-7000-8000-0000{id}")
}

/// What every process of a task has in its environment.
pub fn mark_of(id: &str) -> String {
    format!("CODEX_SWARM_TASK={id}")
}

/// The command lines of the processes that have `entry` in their environment. The dead have none.
pub fn processes_with(entry: &str) -> Vec<String> {
    let has = |environ: &[u8]| environ.split(|b| *b == 0).any(|e| e == entry.as_bytes());
    each_process("environ")
        .into_iter()
        .filter(|(_, environ)| has(environ))
        .map(|(process, _)| {
            let line = fs::read(process.join("cmdline")).unwrap_or_default();
            format!("{} {}", process.display(), String::from_utf8_lossy(&line).replace('\0', " "))
        })
        .collect()
}

/// The program that is tested: the one that cargo has built, or another that a variable names.
pub fn tested_program() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let built = env!("CARGO_BIN_EXE_codex-mcp-swarm").to_owned();
        std::env::var("CODEX_SWARM_TEST_PROGRAM").unwrap_or(built)
    })
}

/// One file of every process that lets us read it.
pub fn each_process(file: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let all = fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| {
        let path = entry.ok()?.path();
        path.file_name()?.to_str()?.parse::<u32>().ok()?;
        let content = fs::read(path.join(file)).ok()?;
        Some((path, content))
    });
    all.collect()
}

/// Waits until no process has `entry` in its environment.
pub fn gone(entry: &str) {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let left = processes_with(entry);
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < end, "still there with {entry}:\n{}", left.join("\n"));
        thread::sleep(Duration::from_millis(20));
    }
}

/// The id of the one task that runs.
pub fn running_task(server: &mut Server<'_>) -> String {
    let text = server.ok("codex_status", "{}");
    let heads: Vec<&str> = text.lines().filter(|l| l.ends_with(" elapsed) ===")).collect();
    assert_eq!(heads.len(), 1, "{text}");
    heads[0].split(' ').nth(2).unwrap().to_owned()
}

/// Puts a record into the task directory, as another program might.
pub fn plant(dir: &Dir, id: &str, record: &str) {
    let path = dir.write(&format!("tasks/{id}.meta"), record);
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A directory of the test's own. At the end of a test that passed nothing that was started in it
/// may still run, and it is removed; after a failure it stays to be looked at.
pub struct Dir {
    /// Where it is, links resolved.
    path: PathBuf,
}

impl Dir {
    /// Makes `home`, `work` (the server's cwd) and `out` (the stand-in's) in a new directory.
    pub fn new() -> Dir {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let base = fs::canonicalize(std::env::temp_dir()).unwrap();
        let path = base.join(format!("codex-swarm-it-{}-{number}", std::process::id()));
        for name in ["home", "work", "out"] {
            fs::create_dir_all(path.join(name)).unwrap();
        }
        Dir { path }
    }

    /// A name in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes a directory in it.
    pub fn make(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// Writes a file in it.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// Every path below it, sorted, relative to it.
    pub fn tree(&self) -> Vec<String> {
        fn walk(at: &Path, out: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(at).unwrap() {
                let entry = entry.unwrap();
                out.push(entry.path());
                if entry.file_type().unwrap().is_dir() {
                    walk(&entry.path(), out);
                }
            }
        }
        let mut all = Vec::new();
        walk(&self.path, &mut all);
        let mut all: Vec<String> = all
            .iter()
            .map(|path| path.strip_prefix(&self.path).unwrap().to_str().unwrap().to_owned())
            .collect();
        all.sort();
        all
    }

    /// Opens a gate of the stand-in: `wait-for NAME` goes on.
    pub fn open(&self, gate: &str) {
        fs::write(self.path("out").join(gate), "").unwrap();
    }

    /// Waits until the stand-in made a mark.
    pub fn marked(&self, mark: &str) {
        let path = self.path("out").join(mark);
        until(mark, || path.exists().then_some(()));
    }

    /// One of a task's files.
    pub fn task_file(&self, id: &str, kind: &str) -> PathBuf {
        self.path("tasks").join(format!("{id}.{kind}"))
    }

    /// A task's record.
    pub fn record(&self, id: &str) -> Value<'static> {
        read_json(&fs::read_to_string(self.task_file(id, "meta")).unwrap())
    }

    /// What the stand-in was given for this task, once it has noted all of it.
    pub fn received(&self, id: &str) -> Received {
        let out = self.path("out");
        let file = |kind: &str| out.join(format!("{id}.{kind}"));
        until("the stand-in's notes", || file("stdin").exists().then_some(()));
        let text = |kind: &str| fs::read_to_string(file(kind)).unwrap_or_default();
        Received {
            argv: text("argv").split_terminator('\0').map(str::to_owned).collect(),
            cwd: text("cwd").trim_end().into(),
            env: text("env"),
            stat: text("stat"),
            stdin_is: text("fd0").trim_end().into(),
            stdin: fs::read(file("stdin")).unwrap(),
        }
    }

    /// How many tasks reached the stand-in.
    pub fn started(&self) -> usize {
        self.tree()
            .iter()
            .filter_map(|name| name.strip_prefix("out/")?.strip_suffix(".argv"))
            .count()
    }

    /// What every process that was started in here has in its environment.
    pub fn marker(&self) -> String {
        format!("STANDIN_OUT={}", self.path("out").display())
    }

    /// The program, with nothing in its environment but this directory and PATH.
    pub fn command(&self) -> Command {
        let mut command = Command::new(tested_program());
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.path("home"))
            .env("CODEX_SWARM_TASK_DIR", self.path("tasks"))
            .env("CODEX_SWARM_WORKTREE_DIR", self.path("worktrees"))
            .env("CODEX_SWARM_LOG", self.path("server.log"))
            .env("STANDIN_OUT", self.path("out"))
            .current_dir(self.path("work"));
        command
    }

    /// A server on the stand-in with these variables, that was told nothing yet.
    pub fn silent(&self, variables: &[(&str, &str)]) -> Server<'_> {
        let mut command = self.command();
        command.args(["--codex", STANDIN]).envs(variables.iter().copied());
        Server::spawn(self, command)
    }

    /// A server on the stand-in, past its handshake.
    pub fn server(&self) -> Server<'_> {
        self.server_with(&[])
    }

    /// The same with flags.
    pub fn server_with(&self, flags: &[&str]) -> Server<'_> {
        let mut command = self.command();
        command.args(["--codex", STANDIN]).args(flags);
        let mut server = Server::spawn(self, command);
        server.initialize();
        server
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("kept: {}", self.path.display());
            return;
        }
        gone(&self.marker());
        fs::remove_dir_all(&self.path).unwrap();
    }
}

/// What a run of the stand-in was given.
pub struct Received {
    /// The words after the program's name.
    pub argv: Vec<String>,
    /// The working directory, links resolved.
    pub cwd: PathBuf,
    /// The environment, a line each.
    pub env: String,
    /// Its /proc/PID/stat.
    pub stat: String,
    /// What its descriptor 0 is.
    pub stdin_is: PathBuf,
    /// All that came on it.
    pub stdin: Vec<u8>,
}

impl Received {
    /// The values of `-c` and `--config`, in order.
    pub fn configs(&self) -> Vec<&str> {
        let mut words = self.argv.iter();
        let mut configs = Vec::new();
        while let Some(word) = words.next() {
            if word == "-c" || word == "--config" {
                configs.extend(words.next().map(String::as_str));
            } else if let Some(value) = word.strip_prefix("--config=") {
                configs.push(value);
            }
        }
        configs
    }

    /// The value of the last `-c KEY=…`.
    pub fn config(&self, key: &str) -> Option<&str> {
        self.configs()
            .into_iter()
            .rev()
            .find_map(|config| config.strip_prefix(key)?.strip_prefix('='))
    }

    /// The values of `--NAME=…`, in order.
    pub fn options(&self, name: &str) -> Vec<&str> {
        let flag = format!("--{name}=");
        self.argv.iter().filter_map(|word| word.strip_prefix(flag.as_str())).collect()
    }

    /// Whether the word stands in the argv by itself.
    pub fn has(&self, word: &str) -> bool {
        self.argv.iter().any(|w| w == word)
    }
}

/// A running server and the client's side of its pipes.
pub struct Server<'d> {
    /// Where it runs.
    pub dir: &'d Dir,
    /// Its process.
    child: Child,
    /// Its stdin, until that is closed.
    stdin: Option<ToServer>,
    /// Its lines, as a thread reads them.
    lines: Receiver<Vec<u8>>,
    /// What came and was not asked for: progress, and replies to later questions.
    pub stash: Vec<Value<'static>>,
    /// The id of the last request.
    last_id: u32,
}

impl<'d> Server<'d> {
    /// Starts the command; says nothing to it yet.
    pub fn spawn(dir: &'d Dir, mut command: Command) -> Server<'d> {
        let errors =
            fs::File::options().create(true).append(true).open(dir.path("errors")).unwrap();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .expect("the server starts");
        let recording = Recording::begin();
        let stdin = child.stdin.take().map(|pipe| ToServer::new(pipe, recording.clone()));
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = channel();
        thread::spawn(move || {
            let mut line = Vec::new();
            while stdout.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                recording.server_said(&line);
                if send.send(std::mem::take(&mut line)).is_err() {
                    return;
                }
            }
        });
        Server { dir, child, stdin, lines, stash: Vec::new(), last_id: 0 }
    }

    /// The handshake of the newest revision that has one.
    pub fn initialize(&mut self) -> Value<'static> {
        let params = r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"it","version":"0"}}"#;
        let reply = self.ask("initialize", params);
        self.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        reply
    }

    /// Writes bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        stdin.write_all(bytes).and_then(|()| stdin.flush()).expect("the server reads");
    }

    /// Writes one line.
    pub fn send(&mut self, line: &str) {
        self.write(format!("{line}\n").as_bytes());
    }

    /// The next line, which must be a whole one.
    pub fn line(&mut self) -> String {
        let line = self.lines.recv_timeout(CAP).unwrap_or_else(|e| {
            let errors = fs::read_to_string(self.dir.path("errors")).unwrap_or_default();
            panic!("no message: {e}; stderr: {errors}")
        });
        let mut line = String::from_utf8(line).expect("UTF-8");
        assert_eq!(line.pop(), Some('\n'), "a whole line");
        assert!(!line.ends_with('\r') && !line.starts_with('\u{feff}'), "{line:?}");
        line
    }

    /// A line that came before the server ended, which it has.
    pub fn last_line(&mut self) -> Option<String> {
        let line = self.lines.recv_timeout(CAP).ok()?;
        Some(String::from_utf8(line).expect("UTF-8"))
    }

    /// The next message, which must be JSON-RPC.
    pub fn next(&mut self) -> Value<'static> {
        let message = read_json(&self.line());
        assert_eq!(message.str_at("jsonrpc"), "2.0");
        message
    }

    /// Sends a request, and gives its id.
    pub fn request(&mut self, method: &str, params: &str) -> u32 {
        self.last_id += 1;
        let id = self.last_id;
        self.send(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#
        ));
        id
    }

    /// The reply to a request; what comes before it goes to the stash.
    pub fn reply(&mut self, id: u32) -> Value<'static> {
        let is = |message: &Value<'static>| {
            message.get("method").is_none()
                && message.get("id").and_then(Value::as_u64) == Some(id.into())
        };
        if let Some(at) = self.stash.iter().position(is) {
            return self.stash.remove(at);
        }
        let end = Instant::now() + 2 * CAP;
        loop {
            assert!(Instant::now() < end, "no reply to {id} for all that came");
            let message = self.next();
            if is(&message) {
                return message;
            }
            self.stash.push(message);
        }
    }

    /// A request and its reply.
    pub fn ask(&mut self, method: &str, params: &str) -> Value<'static> {
        let id = self.request(method, params);
        self.reply(id)
    }

    /// A request of revision 2026-07-28, whose client declares these capabilities, and its reply.
    pub fn ask_as(&mut self, capabilities: &str, method: &str, params: &str) -> Value<'static> {
        self.ask(method, &with_meta(params, &envelope(capabilities)))
    }

    /// Begins a tool call, and gives its id.
    pub fn begin(&mut self, tool: &str, args: &str) -> u32 {
        self.request("tools/call", &tool_call(tool, args))
    }

    /// Begins one of revision 2026-07-28.
    pub fn begin_as(&mut self, capabilities: &str, tool: &str, args: &str) -> u32 {
        self.request("tools/call", &with_meta(&tool_call(tool, args), &envelope(capabilities)))
    }

    /// Begins a tool call that wants to hear of its progress under this token.
    pub fn begin_watched(&mut self, tool: &str, args: &str, token: &str) -> u32 {
        let meta = format!(r#""progressToken":{token}"#);
        self.request("tools/call", &with_meta(&tool_call(tool, args), &meta))
    }

    /// The result of a call that began.
    pub fn result(&mut self, id: u32) -> Value<'static> {
        self.reply(id).at("result").clone()
    }

    /// A tool call and its result.
    pub fn call(&mut self, tool: &str, args: &str) -> Value<'static> {
        let id = self.begin(tool, args);
        self.result(id)
    }

    /// A tool call of revision 2026-07-28 and its result.
    pub fn call_as(&mut self, capabilities: &str, tool: &str, args: &str) -> Value<'static> {
        let id = self.begin_as(capabilities, tool, args);
        self.result(id)
    }

    /// The text of a call that must not fail.
    pub fn ok(&mut self, tool: &str, args: &str) -> String {
        let result = self.call(tool, args);
        let text = text_of(&result);
        assert!(!is_error(&result), "{tool} {}: {}", abridged(args), abridged(&text));
        text
    }

    /// The text of a call that must answer `isError`.
    pub fn refused(&mut self, tool: &str, args: &str) -> String {
        let result = self.call(tool, args);
        let text = text_of(&result);
        assert!(is_error(&result), "{tool} {} was accepted: {}", abridged(args), abridged(&text));
        text
    }

    /// Starts an asynchronous task with this script, and gives its id.
    pub fn launch(&mut self, lines: &str) -> String {
        self.launch_with(&script(lines))
    }

    /// The same with these arguments.
    pub fn launch_with(&mut self, args: &str) -> String {
        task_id(&self.ok("codex_async", args))
    }

    /// Runs a script to its end with `codex_async` and `codex_wait`: its id and its section.
    pub fn run(&mut self, lines: &str) -> (String, String) {
        let id = self.launch(lines);
        let text = self.wait(&[&id]);
        (id.clone(), section(&text, &id).to_owned())
    }

    /// Waits for all these tasks.
    pub fn wait(&mut self, tasks: &[&str]) -> String {
        self.ok("codex_wait", &ids(tasks))
    }

    /// How this task stands.
    pub fn status(&mut self, task: &str) -> String {
        let text = self.ok("codex_status", &ids(&[task]));
        section(&text, task).to_owned()
    }

    /// The text of a resource.
    pub fn read(&mut self, uri: &str) -> String {
        let reply = self.ask("resources/read", &format!(r#"{{"uri":"{uri}"}}"#));
        reply.str_at("result.contents.0.text").to_owned()
    }

    /// Says that a request is not wanted any more.
    pub fn cancel(&mut self, id: u32, reason: &str) {
        self.send(&format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id},"reason":{}}}}}"#,
            quoted(reason)
        ));
    }

    /// Asks a ping, so that all that was sent before is read, and fails if one of `ids` had a reply.
    pub fn silent_about(&mut self, ids: &[u32]) {
        let reply = self.ask("ping", "{}");
        assert_eq!(reply.at("result").to_json(), "{}");
        let mut spoken = String::new();
        for message in &self.stash {
            if message
                .get("id")
                .and_then(Value::as_u64)
                .is_some_and(|id| ids.iter().any(|i| id == u64::from(*i)))
            {
                let _ = writeln!(spoken, "{}", message.to_json());
            }
        }
        assert_eq!(spoken, "");
    }

    /// The process's id, for /proc.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends the server a signal.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("/bin/kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Kills the server as a crash would.
    pub fn crash(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its stdin, for another thread to write; when that is dropped the server ends.
    pub fn take_stdin(&mut self) -> ToServer {
        self.stdin.take().expect("stdin is open")
    }

    /// Closes its stdin.
    pub fn hang_up(&mut self) {
        self.stdin = None;
    }

    /// Waits for it to end by itself.
    pub fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        until("the server's end", || child.try_wait().unwrap())
    }

    /// Closes its stdin and checks that it ends well.
    pub fn end(mut self) {
        self.hang_up();
        assert_eq!(self.ended().code(), Some(0));
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        self.hang_up();
        let end = Instant::now() + Duration::from_secs(5);
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > end {
                let _ = self.child.kill();
                let _ = self.child.wait();
                assert!(thread::panicking(), "the server did not end when its stdin did");
                return;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}
