//! Tasks that are written by hand, to have exact texts to show; and what is read in what is shown.

use crate::harm;
use crate::support::*;
use crate::terminal::{Screen, Terminal, moves, width};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// What could move a terminal, or turn round what is read, between harmless letters.
pub const HOSTILE: &str = "q\u{1b}[2J\u{1b}]0;t\u{7}\u{1b}[31mr\u{9b}32m\u{85}\u{90}\u{9f}\u{7f}\
                           \u{8}\u{b}\u{c}\u{e}\u{0}\u{202a}\u{202e}\u{2066}\u{2069}\rz";

/// A process that a task may have as its supervisor. It does what it was told to do, or nothing.
pub struct Stand {
    child: Child,
    _stdin: ChildStdin,
}

impl Stand {
    /// One that ends by any signal.
    pub fn new() -> Stand {
        Stand::doing("exec cat")
    }

    /// One that does this in a shell, whose stdin stays open.
    fn doing(what: &str) -> Stand {
        let mut command = Command::new("sh");
        command.args(["-c", what]);
        Stand::start(command)
    }

    /// One that does this in a shell, and passes for the supervisor of this task.
    pub fn supervising(dir: &Dir, id: &str, what: &str) -> Stand {
        dir.write("supervise", what);
        let mut command = Command::new("sh");
        command.args(["supervise", id]).current_dir(dir.path(""));
        Stand::start(command)
    }

    /// Starts it.
    fn start(mut command: Command) -> Stand {
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        Stand { child, _stdin: stdin }
    }

    /// What a record says of its supervisor, as members behind others.
    pub fn members(&self) -> String {
        let line = |path| fs::read_to_string(path).unwrap().trim().to_owned();
        let (pid, namespace) = (self.child.id(), fs::read_link("/proc/self/ns/pid").unwrap());
        format!(
            r#","supervisor_pid":{pid},"supervisor_start_time":{},"boot_id":{},"pid_namespace":{},"host":{}"#,
            harm::start_time(pid),
            quoted(&line("/proc/sys/kernel/random/boot_id")),
            quoted_path(&namespace),
            quoted(&line("/proc/sys/kernel/hostname")),
        )
    }

    /// Whether it has not ended.
    pub fn lives(&self) -> bool {
        harm::lives(self.child.id())
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The members of a record whose supervisor is on another machine.
pub const ELSEWHERE: &str = r#","supervisor_pid":4194000,"supervisor_start_time":7,"boot_id":"another","pid_namespace":"pid:[7]","host":"another""#;

/// A task that is written by hand.
#[derive(Clone)]
pub struct Planted {
    id: String,
    status: String,
    prompt: String,
    stream: String,
    begun: u64,
    took: Option<u64>,
    stamps: Vec<(usize, u64)>,
    more: String,
}

/// One that ended a minute ago, after it had run for five seconds; `running` and its like: that began
/// then.
pub fn task(id: &str, status: &str) -> Planted {
    let took = ["completed", "failed", "cancelled"].contains(&status).then_some(5);
    Planted {
        id: id.to_owned(),
        status: status.to_owned(),
        prompt: format!("task {id}"),
        stream: String::new(),
        begun: 65,
        took,
        stamps: Vec::new(),
        more: String::new(),
    }
}

impl Planted {
    /// What it was asked.
    pub fn prompt(mut self, prompt: &str) -> Planted {
        prompt.clone_into(&mut self.prompt);
        self
    }

    /// It was asked for so many seconds ago.
    pub fn begun(mut self, ago: u64) -> Planted {
        self.begun = ago;
        self
    }

    /// It ran for so many seconds.
    pub fn took(mut self, seconds: u64) -> Planted {
        self.took = Some(seconds);
        self
    }

    /// The next line of its transcript.
    pub fn line(mut self, line: &str) -> Planted {
        let _ = writeln!(self.stream, "{line}");
        self
    }

    /// What follows in its transcript came so many milliseconds after its begin.
    pub fn after(mut self, millis: u64) -> Planted {
        self.stamps.push((self.stream.len(), millis));
        self
    }

    /// More members of its record, a comma before each.
    pub fn with(mut self, members: &str) -> Planted {
        self.more.push_str(members);
        self
    }

    /// Puts it into the task directory.
    pub fn put(&self, dir: &Dir) {
        let tasks = dir.make("tasks");
        fs::set_permissions(tasks, fs::Permissions::from_mode(0o700)).unwrap();
        let Planted { id, status, begun, .. } = self;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let begun = now - begun;
        let ended = self
            .took
            .map_or(String::new(), |took| format!(r#","completed_at":{}.000"#, begun + took));
        // written first: once there is a record, there is a task
        file(dir, &format!("{id}.prompt"), self.prompt.as_bytes());
        file(dir, &format!("{id}.stdout"), self.stream.as_bytes());
        if !self.stamps.is_empty() {
            let stamp = |(at, after): &(usize, u64)| format!("{at} {}\n", begun * 1000 + after);
            let times: String = self.stamps.iter().map(stamp).collect();
            file(dir, &format!("{id}.times"), times.as_bytes());
        }
        let members = if self.more.contains("\"cwd\"") { "" } else { r#","cwd":"/tmp""# };
        let record = format!(
            r#"{{"task_id":"{id}","status":"{status}","attached":false,"command":["codex"]{members},"settings":{{}},"asked_at":{begun}.000,"started_at":{begun}.000{ended}{}}}"#,
            self.more
        );
        plant(dir, id, &record);
    }
}

/// Writes a file of the task directory as the program does.
pub fn file(dir: &Dir, name: &str, content: &[u8]) {
    let path = dir.path("tasks").join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// An `item.KIND` event.
pub fn item(kind: &str, members: &str) -> String {
    format!(r#"{{"type":"item.{kind}","item":{{{members}}}}}"#)
}

/// A message of Codex.
pub fn message(text: &str) -> String {
    item("completed", &format!(r#""id":"m","type":"agent_message","text":{}"#, quoted(text)))
}

/// What it thinks.
pub fn reasoning(text: &str) -> String {
    item("completed", &format!(r#""id":"r","type":"reasoning","text":{}"#, quoted(text)))
}

/// A command that begins.
pub fn begins(id: &str, command: &str) -> String {
    let command = quoted(command);
    item(
        "started",
        &format!(
            r#""id":"{id}","type":"command_execution","command":{command},"aggregated_output":"","exit_code":null,"status":"in_progress""#
        ),
    )
}

/// The same command at its end.
pub fn ends(id: &str, command: &str, output: &str, exit: i32) -> String {
    let (command, output) = (quoted(command), quoted(output));
    let status = if exit == 0 { "completed" } else { "failed" };
    item(
        "completed",
        &format!(
            r#""id":"{id}","type":"command_execution","command":{command},"aggregated_output":{output},"exit_code":{exit},"status":"{status}""#
        ),
    )
}

/// A plan: its steps and whether they are done.
pub fn plan(steps: &[(&str, bool)]) -> String {
    let step =
        |(text, done): &(&str, bool)| format!(r#"{{"text":{},"completed":{done}}}"#, quoted(text));
    let steps = steps.iter().map(step).collect::<Vec<_>>().join(",");
    item("updated", &format!(r#""id":"p","type":"todo_list","items":[{steps}]"#))
}

/// The end of a turn.
pub fn turn_completed(input: u64, cached: u64, output: u64) -> String {
    format!(
        r#"{{"type":"turn.completed","usage":{{"input_tokens":{input},"cached_input_tokens":{cached},"output_tokens":{output},"reasoning_output_tokens":0}}}}"#
    )
}

/// A change of files, `KIND PATH` each.
pub fn changes(id: &str, files: &[&str]) -> String {
    let change = |file: &&str| {
        let (kind, path) = file.split_once(' ').unwrap();
        format!(r#"{{"path":{},"kind":"{kind}"}}"#, quoted(path))
    };
    let files = files.iter().map(change).collect::<Vec<_>>().join(",");
    item(
        "completed",
        &format!(r#""id":"{id}","type":"file_change","changes":[{files}],"status":"completed""#),
    )
}

/// The members of a record whose worktree came to this.
pub fn worktree(branch: &str, [files, insertions, deletions]: [u64; 3]) -> String {
    format!(
        r#","worktree_root":"/r","worktree_path":"/w","worktree_branch":{},"worktree_base":"b","worktree_head":"h","changes":{{"commits":1,"files":{files},"insertions":{insertions},"deletions":{deletions}}}"#,
        quoted(branch)
    )
}

/// Runs the program with no terminal and nothing to read.
pub fn run(dir: &Dir, words: &[&str]) -> Output {
    dir.command().args(words).stdin(Stdio::null()).output().unwrap()
}

/// What it prints when all goes well.
pub fn told(dir: &Dir, words: &[&str]) -> String {
    let output = run(dir, words);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && errors.is_empty(), "{words:?}: {} {errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// What it says when it cannot: one line, and its exit status.
pub fn failed(dir: &Dir, words: &[&str]) -> (Option<i32>, String) {
    let output = run(dir, words);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(errors.lines().count(), 1, "{words:?}: {errors}");
    let error = errors.trim_end().strip_prefix("codex-mcp-swarm: ");
    (output.status.code(), error.unwrap_or_else(|| panic!("{words:?}: {errors}")).to_owned())
}

/// The screen on which the program did this in a terminal, where all went well.
pub fn seen(dir: &Dir, size: (usize, usize), words: &[&str]) -> Screen {
    let mut terminal = Terminal::open(dir, size, words);
    let exit = terminal.ended();
    let printed = terminal.screen.printed().join("\n");
    assert_eq!(exit, Some(0), "{words:?}: {printed}");
    assert_eq!(terminal.screen.violations, [""; 0], "{printed}");
    std::mem::replace(&mut terminal.screen, Screen::new(1, 1))
}

/// Fails if a text has what could move a terminal; `allowed` may be in it.
pub fn tame(text: &str, allowed: &[char]) {
    let found = text.chars().find(|c| moves(*c) && *c != '\n' && !allowed.contains(c));
    assert_eq!(found, None, "{}", abridged(&text.escape_debug().to_string()));
}

/// A table as it stands in lines: the names of its columns with what each row has there.
pub struct Table {
    /// The names, and in which column of the terminal each begins.
    head: Vec<(String, usize)>,
    /// The rows below.
    pub rows: Vec<String>,
}

impl Table {
    /// Reads what begins with the first line whose first word is ID.
    pub fn read<L: AsRef<str>>(lines: &[L]) -> Table {
        let all = || lines.iter().map(AsRef::as_ref).collect::<Vec<_>>().join("\n");
        let is_head = |line: &L| line.as_ref().split(' ').next() == Some("ID");
        let at =
            lines.iter().position(is_head).unwrap_or_else(|| panic!("no header in\n{}", all()));
        let line = lines[at].as_ref();
        let begins =
            |(at, _): &(usize, char)| at.checked_sub(1).is_none_or(|b| line[b..].starts_with(' '));
        let starts = line.char_indices().filter(|(_, c)| *c != ' ').filter(begins);
        let word = |at: usize| line[at..].split(' ').next().unwrap().to_owned();
        let head = starts.map(|(at, _)| (word(at), at)).collect();
        let rows = lines[at + 1..].iter().map(|line| line.as_ref().to_owned());
        Table { head, rows: rows.filter(|row| !row.is_empty()).collect() }
    }

    /// The names of the columns.
    pub fn names(&self) -> Vec<&str> {
        self.head.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The first cells.
    pub fn ids(&self) -> Vec<&str> {
        self.rows.iter().map(|row| row.split(' ').next().unwrap()).collect()
    }

    /// What stands in the row of a task below a name.
    pub fn cell(&self, id: &str, name: &str) -> String {
        let row = self.rows.iter().find(|row| row.starts_with(id));
        let row = row.unwrap_or_else(|| panic!("no {id} in\n{}", self.rows.join("\n")));
        let at = self.head.iter().position(|(head, _)| head == name);
        let at = at.unwrap_or_else(|| panic!("no {name} in {:?}", self.head));
        let from = self.head[at].1;
        let to = self.head.get(at + 1).map_or(usize::MAX, |(_, start)| *start);
        let mut col = 0;
        let mut cell = String::new();
        for c in row.chars() {
            if (from..to).contains(&col) {
                cell.push(c);
            }
            col += width(c);
        }
        cell.trim_end().to_owned()
    }
}
