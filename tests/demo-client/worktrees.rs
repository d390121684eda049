//! The second act: two tasks that write to one repository at the same time, each in a worktree of its
//! own, and the merge that brings home what both have written.

use crate::json::Value;
use crate::{Board, Client, Result, Row, read, say, structured, tasks, text};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// The files that the tasks are asked for, and what shall stand in each.
const FILES: [(&str, &str); 2] = [("one.txt", "1"), ("two.txt", "2")];

/// A repository with a commit, whose checkout nobody but its user may change.
struct Repository {
    /// Its directory.
    path: PathBuf,
    /// The commit it is on.
    head: String,
    /// How often it was looked at.
    looks: u32,
}

impl Repository {
    /// Makes it.
    fn new(path: PathBuf) -> Result<Repository> {
        fs::create_dir(&path)?;
        let mut repository = Repository { path, head: String::new(), looks: 0 };
        fs::write(repository.path.join("README.md"), "A repository of the demo.\n")?;
        repository.git(&["init", "--quiet"])?;
        repository.git(&["add", "."])?;
        repository.git(&["commit", "--quiet", "--message=The first commit"])?;
        repository.head = repository.git(&["rev-parse", "HEAD"])?;
        Ok(repository)
    }

    /// Runs git as nobody in particular, and gives what it printed on stdout.
    fn git(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=Demo", "-c", "user.email=demo@localhost"]);
        // a hook that runs this may have told its git where to work
        for (name, _) in env::vars_os().filter(|(n, _)| n.to_string_lossy().starts_with("GIT_")) {
            command.env_remove(name);
        }
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        let output = command.current_dir(&self.path).args(words).output()?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
        } else {
            let why = String::from_utf8_lossy(&output.stderr);
            Err(format!("git {}: {}", words.join(" "), why.trim_end()).into())
        }
    }

    /// Looks whether the checkout is as it was.
    fn look(&mut self) -> Result<()> {
        self.looks += 1;
        let (status, head) = (self.git(&["status", "--porcelain"])?, self.head()?);
        if !status.is_empty() || head != self.head {
            let was = &self.head;
            return Err(format!("the checkout changed: {status:?}, on {head}, was {was}").into());
        }
        Ok(())
    }

    /// The commit it is on now.
    fn head(&self) -> Result<String> {
        self.git(&["rev-parse", "HEAD"])
    }
}

/// Starts the tasks, waits for them, merges their branches and checks all of it.
pub fn run(client: &mut Client, board: &mut Board, scratch: &Path, scripted: bool) -> Result<()> {
    let mut repository = Repository::new(scratch.join("repository"))?;
    say("\nTwo tasks that write, at once and in one repository, with worktree: true.\n")?;
    board.started = Instant::now();
    repository.look()?;
    let mut ids = Vec::new();
    for (file, content) in FILES {
        let id = start(client, &repository.path, file, content, scripted)?;
        board.tell(&format!("codex_async  {id}  {}", wish(file, content)))?;
        board.rows.push(Row { id: id.clone(), doing: String::new() });
        ids.push(id);
        repository.look()?;
    }
    board.tell("codex_wait   both of them, in one call\n")?;
    let results = board.wait(client, &ids, || repository.look())?;
    repository.look()?;

    let message = read(&results)?;
    say("")?;
    let mut branches = Vec::new();
    for task in tasks(&message)? {
        let branch = outcome(task)?;
        branches.push(branch.to_owned());
    }
    let looks = repository.looks;
    say(&format!("         the checkout: clean and on its commit, at {looks} looks\n"))?;
    merge(&repository, &branches)
}

/// What a task is asked for.
fn wish(file: &str, content: &str) -> String {
    format!("Write {content} into a new file {file}.")
}

/// Starts a task that writes a file, and gives its id.
fn start(
    client: &mut Client,
    cwd: &Path,
    file: &str,
    content: &str,
    scripted: bool,
) -> Result<String> {
    // to the stand-in for a model, a prompt is a script
    let script = format!("\nrun: sleep 2\nwrite: {file} = {content}\nsay: {file} is written.");
    let prompt = format!("{}{}", wish(file, content), if scripted { &script } else { "" });
    let id = client.call("codex_async", |o| {
        o.str("prompt", &prompt).str("sandbox", "workspace-write");
        o.str("cwd", &cwd.to_string_lossy()).bool("worktree", true);
    })?;
    let reply = client.reply(id)?;
    Ok(text(structured(&read(&reply)?)?, "taskId").to_owned())
}

/// Shows what a task has come to, and gives its branch.
fn outcome<'m>(task: &'m Value<'_>) -> Result<&'m str> {
    let worktree = task.get("worktree").ok_or("a task has no worktree")?;
    let changes = worktree.get("changes").ok_or("a task has no changes")?;
    let count = |name| changes.get(name).and_then(Value::as_u64).unwrap_or(0);
    let [commits, files, lines] = ["commits", "files", "insertions"].map(count);
    let left_out = worktree.get("notCommitted").is_some();
    if text(task, "status") != "completed" || [commits, files, lines] != [1; 3] || left_out {
        return Err(format!("a commit of one line in one file was expected: {task:?}").into());
    }
    let (id, branch) = (text(task, "taskId"), text(worktree, "branch"));
    say(&format!("         {id}  1 file, +1 -0, 1 commit on {branch}"))?;
    Ok(branch)
}

/// Merges the branches, and checks that the work of all tasks is there then.
fn merge(repository: &Repository, branches: &[String]) -> Result<()> {
    for branch in branches {
        say(&format!("         $ git merge {branch}"))?;
        repository.git(&["merge", "--quiet", "--no-edit", branch])?;
    }
    let files = repository.git(&["ls-files"])?;
    say(&format!("         $ git ls-files\n         {}", files.replace('\n', "  ")))?;
    for (file, content) in FILES {
        let found = fs::read_to_string(repository.path.join(file))?;
        if found.trim_end() != content || !files.lines().any(|name| name == file) {
            return Err(format!("{content:?} was expected in {file}, not {found:?}").into());
        }
    }
    let status = repository.git(&["status", "--porcelain"])?;
    let damage = repository.git(&["fsck", "--full", "--strict"])?;
    if !status.is_empty() || !damage.is_empty() || repository.head()? == repository.head {
        return Err(format!("after the merge: git status {status:?}, git fsck {damage:?}").into());
    }
    say("\nBoth files are there: what each task left was committed to its branch.")
}
