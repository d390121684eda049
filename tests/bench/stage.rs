//! What the figures stand on: a directory, the servers to measure, and stand-ins for codex that do
//! as they are told over a socket.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::Result;
use crate::roles;
use crate::stream;

/// How long anything is waited for that must come.
pub const CAP: Duration = Duration::from_secs(30);

/// A server that is measured.
pub struct Subject {
    /// What it is called in the table.
    pub name: String,
    /// Variables for it.
    variables: Vec<(String, String)>,
    /// Its command line.
    words: Vec<String>,
}

impl Subject {
    /// This project's program.
    pub fn ours(binary: &Path) -> Result<Subject> {
        let word = binary.to_str().ok_or("the binary's path is not UTF-8")?.to_owned();
        Ok(Subject { name: "this".to_owned(), variables: Vec::new(), words: vec![word] })
    }

    /// Reads a command: variables, then words, parted by blanks.
    pub fn read(command: &str) -> Result<Subject> {
        let mut words = command.split_whitespace().map(str::to_owned).peekable();
        let mut variables = Vec::new();
        while let Some((name, value)) = words.peek().and_then(|word| word.split_once('=')) {
            variables.push((name.to_owned(), value.to_owned()));
            words.next();
        }
        let words: Vec<String> = words.collect();
        let program = words.first().ok_or("--against has no command")?;
        let name = Path::new(program).file_name().and_then(|name| name.to_str());
        // as many a server has the same name as this one, it is set apart
        let name = format!("other ({})", name.unwrap_or(program));
        Ok(Subject { name, variables, words })
    }

    /// Its command line, variables too.
    pub fn command(&self) -> String {
        let variables = self.variables.iter().map(|(name, value)| format!("{name}={value}"));
        variables.chain(self.words.iter().cloned()).collect::<Vec<_>>().join(" ")
    }
}

/// Where it all takes place.
pub struct Stage {
    /// Its directory.
    pub dir: PathBuf,
    /// The binary of this project that is measured.
    binary: PathBuf,
    /// The servers to measure, ours first.
    pub subjects: Vec<Subject>,
    /// Go on to 1,000 tasks.
    pub large: bool,
    /// The stand-ins, as they connect.
    actors: Receiver<UnixStream>,
    /// Removes the directory, should this process be ended.
    keeper: Child,
}

impl Stage {
    /// Makes the directory and what is in it.
    pub fn set(binary: PathBuf, subjects: Vec<Subject>, large: bool) -> Result<Stage> {
        let base = fs::canonicalize(std::env::temp_dir())?;
        let dir = base.join(format!("codex-swarm-bench-{}", std::process::id()));
        fs::create_dir(&dir).map_err(|why| format!("{}: {why}", dir.display()))?;
        let keeper = roles::command("keep")?.arg(&dir).stdin(Stdio::piped()).spawn()?;
        fs::create_dir(dir.join("bin"))?;
        symlink(std::env::current_exe()?, dir.join("bin/codex"))?;
        let socket = dir.join("socket");
        let listener =
            UnixListener::bind(&socket).map_err(|why| format!("{}: {why}", socket.display()))?;
        let (send, actors) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if send.send(stream).is_err() {
                    return;
                }
            }
        });
        Ok(Stage { dir, binary, subjects, large, actors, keeper })
    }

    /// Leaves nothing behind.
    pub fn strike(mut self) -> Result<()> {
        self.clear();
        drop(self.keeper.stdin.take());
        let kept = self.keeper.wait()?;
        if kept.success() { Ok(()) } else { Err(format!("{} is left", self.dir.display()).into()) }
    }

    /// The binary of this project.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// The other server, if there is one.
    pub fn other(&self) -> Option<&Subject> {
        self.subjects.get(1)
    }

    /// A new directory.
    pub fn room(&self) -> Result<PathBuf> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let room = self.dir.join(MADE.fetch_add(1, Ordering::Relaxed).to_string());
        for name in ["home", "work", "run"] {
            fs::create_dir_all(room.join(name))?;
        }
        Ok(room)
    }

    /// The command of a server, with nothing in its environment but a room of its own and PATH, on
    /// which codex is our stand-in.
    pub fn command(&self, subject: &Subject, room: &Path) -> Result<Command> {
        let (program, words) = subject.words.split_first().ok_or("no command")?;
        let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".to_owned());
        let mut command = Command::new(program);
        command
            .args(words)
            .env_clear()
            .env("PATH", format!("{}:{path}", self.dir.join("bin").display()))
            .env("HOME", room.join("home"))
            .env("TMPDIR", room)
            .env("XDG_STATE_HOME", room.join("state"))
            .env("XDG_RUNTIME_DIR", room.join("run"))
            .env("CODEX_SWARM_TASK_DIR", room.join("tasks"))
            .env("CODEX_SWARM_WORKTREE_DIR", room.join("worktrees"))
            .env("CODEX_SWARM_LOG", room.join("server.log"))
            .env("CODEX_SWARM_MIN_WAIT", "1")
            .envs(subject.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(room.join("work"));
        Ok(command)
    }

    /// The prompt of a task, which tells the stand-in where to ask what to do.
    pub fn prompt(&self) -> String {
        format!("{}{}", roles::MARK, self.dir.join("socket").display())
    }

    /// Dismisses the stand-ins that connected and were not met, because a figure failed.
    pub fn clear(&self) {
        self.actors.try_iter().for_each(drop);
    }

    /// The stand-in that connects next.
    pub fn actor(&self) -> Result<Actor> {
        let stream = self.actors.recv_timeout(CAP).map_err(|_| "no task has started codex")?;
        stream.set_read_timeout(Some(CAP))?;
        let mut actor = Actor { stream: BufReader::new(stream), id: 0, began: 0.0 };
        let (id, began) = actor.word()?;
        actor.id = id;
        actor.began = began;
        Ok(actor)
    }

    /// A file of at least so many bytes of these lines; how many bytes it has, and how many lines.
    pub fn stream(&self, lines: &[Vec<u8>], bytes: usize) -> Result<(PathBuf, u64, usize)> {
        let path = self.dir.join(format!("stream-{bytes}"));
        let (bytes, lines) = stream::write(&path, lines, bytes)?;
        Ok((path, bytes, lines))
    }
}

/// A stand-in for codex that runs. It ends when this does.
pub struct Actor {
    /// The socket between us.
    stream: BufReader<UnixStream>,
    /// Its process id, which its answer has too.
    pub id: u64,
    /// When it began, in milliseconds.
    pub began: f64,
}

impl Actor {
    /// Has it do something.
    pub fn tell(&mut self, words: &str) -> Result<()> {
        Ok(self.stream.get_mut().write_all(format!("{words}\n").as_bytes())?)
    }

    /// Waits until it has done that: its id, and the time, in milliseconds.
    pub fn word(&mut self) -> Result<(u64, f64)> {
        let mut line = String::new();
        self.stream.read_line(&mut line).map_err(|why| format!("the stand-in is silent: {why}"))?;
        let read = line.trim().split_once(' ');
        let read = read.and_then(|(id, time)| Some((id.parse().ok()?, time.parse().ok()?)));
        read.ok_or_else(|| format!("the stand-in ended too early: {line:?}").into())
    }

    /// Has it do something, and waits until it is done.
    pub fn ask(&mut self, words: &str) -> Result<(u64, f64)> {
        self.tell(words)?;
        self.word()
    }

    /// What its answer consists of.
    pub fn answer(&self) -> String {
        roles::answer(self.id)
    }
}

/// The time of day in milliseconds, which means the same to every process.
pub fn clock() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64() * 1e3
}
