//! The README as its readers try it: each command in it is run, each registration started, each message
//! sent, and what it says a command or a tool prints is what that prints.
//!
//! Every code block is fenced and says by its language what is done with it:
//!
//! - `sh`: each command is run, and must do well;
//! - `console`: what stands behind `$` is run, and what stands below that is what it prints;
//! - `json TOOL`: the tool is called with each of the lines; `text` is what it answers, of several
//!   calls the first;
//! - `json` and `toml`: a registration, whose server is started;
//! - `jsonl`: messages for a server that somebody types.
//!
//! The blocks of a chapter are played in order, with a HOME of the chapter's own and a PATH on which
//! there is nothing but what a reader needs: git, the tools of POSIX, this program, and stand-ins for
//! the rest, each of which writes down what it was called with. What differs from run to run (ids,
//! times, versions) may differ from what the README says, but the same id is the same task all through
//! a chapter. A line `…` stands for any lines.

use crate::support::*;
use crate::tidy::{quotes, read, root, rows, sources};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

/// The program's own reader of command lines.
#[path = "../../src/cli.rs"]
#[allow(dead_code, reason = "only its verdict is of interest here")]
mod cli;

/// What of the system a reader may use, and the stand-in for codex.
const TOOLS: [&str; 25] = [
    "awk", "cat", "cp", "dirname", "env", "git", "grep", "head", "install", "ln", "ls", "mkdir",
    "mv", "readlink", "rm", "sed", "setsid", "sh", "sleep", "tail", "tee", "tr", "true", "uname",
    "wc",
];

/// What is played by a stand-in that only writes down what it was called with.
const STANDINS: [&str; 9] =
    ["cargo", "claude", "code", "man", "npm", "pip", "rustup", "tests/demo", "tests/fuzz/run"];

/// What a stand-in does at last.
const NOTE: &str = "{ printf '%s\\0' $name \"$@\"; printf '\\1'; } >> $STANDIN_OUT/said\n";

/// What cargo leaves. Whether it is called well is looked at afterwards.
const CARGO: &str = concat!(
    "case \"$*\" in\n*--target*) where=target/$4/release ;;\n*build*) where=target/release ;;\nesac\n",
    "[ -z \"$where\" ] || { mkdir -p $where && ln -sf ",
    env!("CARGO_BIN_EXE_codex-mcp-swarm"),
    " $where/; }\n"
);

/// What Codex does: it takes the script that there is for a prompt. What does not concern a task it
/// notes as all do.
const CODEX: &str = concat!(
    "standin=",
    env!("CARGO_MANIFEST_DIR"),
    r#"/tests/fixtures/codex
case "$1 $2" in
--version*) exec $standin "$1" ;;
'login status') echo 'Logged in using ChatGPT'; exit ;;
'mcp list') echo '[]'; exit ;;
exec*)
    script=$STANDIN_OUT/$CODEX_SWARM_TASK.script
    prompt=$(head -n 1 | tr -c 'A-Za-z0-9\n' _)
    sed "s|@CWD@|$PWD|g" "$STANDIN_OUT/../scripts/$prompt" > "$script"
    exec $standin "$@" < "$script" ;;
esac
"#
);

/// The chapters that are read in a checkout of this project; all others in a repository `shop`.
const AT_HOME: [&str; 2] = ["See it run", "Install"];

/// The home directory of the README's user, and their repository.
const HOME: &str = "/home/ada";

/// The file that tasks work on.
const CART: &str = "\
/// What all of it costs, in cents.
pub fn total(prices: &[u64]) -> u64 {
    prices.iter().sum()
}
";

/// A task of the README: its prompt, and what Codex does about it, as the stand-in's script. Behind the
/// gate `go` is what it does when somebody waits for it.
const TASKS: [(&str, &str); 7] = [
    (
        "Write tests for src/cart.rs",
        r#"begin
line {"type":"item.started","item":{"id":"item_0","type":"todo_list","items":[{"text":"Read src/cart.rs","completed":true},{"text":"Write tests/cart.rs","completed":true},{"text":"Run the tests","completed":false}]}}
sh mkdir tests; printf 'use shop::cart::total;\n\n#[test]\nfn an_empty_cart_costs_nothing() {\n    assert_eq!(total(&[]), 0);\n}\n' > tests/cart.rs
line {"type":"item.completed","item":{"id":"item_1","type":"file_change","changes":[{"path":"@CWD@/tests/cart.rs","kind":"add"}],"status":"completed"}}
line {"type":"item.started","item":{"id":"item_2","type":"command_execution","command":"cargo test","aggregated_output":"","exit_code":null,"status":"in_progress"}}
wait-for go
line {"type":"item.completed","item":{"id":"item_2","type":"command_execution","command":"cargo test","aggregated_output":"test an_empty_cart_costs_nothing ... ok\n","exit_code":0,"status":"completed"}}
line {"type":"item.updated","item":{"id":"item_0","type":"todo_list","items":[{"text":"Read src/cart.rs","completed":true},{"text":"Write tests/cart.rs","completed":true},{"text":"Run the tests","completed":true}]}}
say tests/cart.rs has a test for the empty cart, and it passes.
done 48120 39424 812
"#,
    ),
    (
        "Document src/cart.rs",
        r#"begin
line {"type":"item.completed","item":{"id":"item_0","type":"reasoning","text":"What does an empty cart cost?"}}
line {"type":"item.started","item":{"id":"item_1","type":"command_execution","command":"cat src/cart.rs","aggregated_output":"","exit_code":null,"status":"in_progress"}}
wait-for go
line {"type":"item.completed","item":{"id":"item_1","type":"command_execution","command":"cat src/cart.rs","aggregated_output":"","exit_code":0,"status":"completed"}}
sh sed -i '1a\\/// An empty cart costs nothing.' src/cart.rs
say total() says now what an empty cart costs.
done 21480 18304 240
"#,
    ),
    (
        "Tell overflow in src/cart.rs",
        r#"begin
line {"type":"item.started","item":{"id":"item_0","type":"command_execution","command":"grep -rn total src","aggregated_output":"","exit_code":null,"status":"in_progress"}}
wait-for go
line {"type":"item.completed","item":{"id":"item_0","type":"command_execution","command":"grep -rn total src","aggregated_output":"","exit_code":0,"status":"completed"}}
sh sed -i 's/-> u64/-> Option<u64>/; s/sum()/try_fold(0, |sum: u64, price| sum.checked_add(*price))/' src/cart.rs
say total() answers None now where the sum is too large.
done 30512 25600 655
"#,
    ),
    (
        "Resolve the conflict in src/cart.rs; keep what both sides wanted.",
        r"begin
sh sed -i '/^[<=>]\{7\}/d; /-> u64/d' src/cart.rs
say Both are in src/cart.rs: the sentence on the empty cart, and the Option.
done 9120 4096 310
",
    ),
    (
        "Port the shop to the new API",
        r#"begin
line {"type":"item.started","item":{"id":"item_0","type":"todo_list","items":[{"text":"Find the callers","completed":true},{"text":"Change them","completed":true},{"text":"Build","completed":false},{"text":"Run the tests","completed":false}]}}
line {"type":"item.completed","item":{"id":"item_1","type":"file_change","changes":[{"path":"@CWD@/src/cart.rs","kind":"update"}],"status":"completed"}}
line {"type":"item.started","item":{"id":"item_2","type":"command_execution","command":"cargo build","aggregated_output":"","exit_code":null,"status":"in_progress"}}
wait-for never
"#,
    ),
    (
        "Find dead code",
        r#"begin
line {"type":"item.started","item":{"id":"item_0","type":"command_execution","command":"grep -rn total src","aggregated_output":"","exit_code":null,"status":"in_progress"}}
line {"type":"item.completed","item":{"id":"item_0","type":"command_execution","command":"grep -rn total src","aggregated_output":"src/cart.rs:2:pub fn total(prices: &[u64]) -> u64 {\n","exit_code":0,"status":"completed"}}
say total() is never called.
done 12040 9216 96
"#,
    ),
    ("Review the error handling", "begin\nfail Selected model is at capacity.\nexit 1\n"),
];

/// The tasks that are there at the beginning of a chapter: prompts, and what else they are given.
const STAGED: [(&str, &[(&str, &str)]); 1] = [(
    "At the terminal",
    &[
        ("Port the shop to the new API", r#""worktree":true,"sandbox":"workspace-write""#),
        ("Review the error handling", ""),
        ("Find dead code", r#""sandbox":"read-only""#),
    ],
)];

/// A code block.
struct Block {
    /// The chapter it stands in.
    chapter: String,
    /// The words behind the fence.
    info: Vec<String>,
    /// What is in it.
    lines: Vec<String>,
    /// The number of its first line.
    at: usize,
}

/// The code blocks of a Markdown text. None is marked by blanks: those could not say what they are.
fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let (mut chapter, mut open) = (String::new(), false);
    for (at, line) in (1..).zip(text.lines()) {
        match line.strip_prefix("```") {
            Some(_) if open => open = false,
            Some(info) => {
                open = true;
                let info = info.split_whitespace().map(str::to_owned).collect();
                blocks.push(Block { chapter: chapter.clone(), info, lines: vec![], at: at + 1 });
            }
            None if open => blocks.last_mut().unwrap().lines.push(line.to_owned()),
            None => {
                assert!(!line.starts_with("    "), "line {at} is code without a language");
                assert!(!line.trim_start().starts_with("```"), "line {at}: a fence begins a line");
                if let Some(title) = line.strip_prefix("## ") {
                    title.clone_into(&mut chapter);
                }
            }
        }
    }
    assert!(!open, "the last block has no end");
    blocks
}

/// The commands in some lines: those that end in a backslash go on.
fn commands(lines: &[String]) -> Vec<String> {
    let joined = lines.join("\n").replace("\\\n", " ");
    let commands = joined.lines().map(|line| line.trim().to_owned());
    commands.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// The words of a command, without its comment, as a shell takes them where nothing is to be expanded.
fn shell_words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    assert!(quote.is_none(), "a quote that does not end: {line}");
    words.extend(word);
    words
}

/// Whether a word is an id, a commit or a part of one.
fn is_hex(word: &str) -> bool {
    word.len() > 6 && word.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a word is a time, such as `5s`, or a part of one.
fn is_time(word: &str) -> bool {
    let number = word.trim_end_matches(['h', 'm', 's']);
    number.len() + 1 == word.len() && is_number(number)
}

/// Whether a word is digits and dots.
fn is_number(word: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    word.split('.').all(digits)
}

/// A line without what differs from run to run, and the ids in it.
fn normal(line: &str) -> (String, Vec<String>) {
    let (mut out, mut ids) = (String::new(), Vec::new());
    let in_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.' || c == '_';
    let mut rest = line.trim_end();
    while let Some(first) = rest.chars().next() {
        let length = match rest.find(|c| !in_word(c)) {
            Some(0) => first.len_utf8(),
            length => length.unwrap_or(rest.len()),
        };
        let (whole, behind) = rest.split_at(length);
        let word = whole.trim_end_matches('.');
        rest = behind;
        // git puts two dots between two commits
        let parts: Vec<&str> = word.split("..").collect();
        if word.is_empty() {
            out.push_str(whole);
        } else if parts.iter().all(|part| is_hex(part)) {
            ids.extend(parts.iter().map(|part| (*part).to_owned()));
            out.push_str("ID");
        } else if word.len() == 36
            && word.split('-').all(|part| part.len() > 3 && is_hex(&part.repeat(2)))
        {
            out.push_str("UUID");
        } else if is_time(word) {
            // `1m 05s` is one time
            let before = out.trim_end_matches(' ').len();
            if out[..before].ends_with("TIME") && out.len() == before + 1 {
                out.truncate(before);
            } else {
                out.push_str("TIME");
            }
        } else if word.contains('.') && is_number(word) {
            out.push_str("VERSION");
        } else {
            out.push_str(word);
        }
        if !word.is_empty() {
            out.push_str(&whole[word.len()..]);
        }
    }
    // how wide a column is depends on what is in it
    while out.contains("   ") {
        out = out.replace("   ", "  ");
    }
    (out, ids)
}

/// Which id of the README is which task of this run.
type Names = BTreeMap<String, String>;

/// Compares what the README says with what was said. What differs is an error; ids that are met for the
/// first time are learnt.
fn same(told: &[String], said: &str, names: &mut Names) -> Result<(), String> {
    let mut known = names.clone();
    let mut real = said.lines();
    let mut any = false;
    for line in told {
        if line.trim() == "…" {
            any = true;
            continue;
        }
        let (text, ids) = normal(line);
        let mut agrees = |other: &str| {
            let (other_text, other_ids) = normal(other);
            let mut new = known.clone();
            let pairs = ids.iter().zip(&other_ids);
            let fits = pairs.into_iter().all(|(told, real)| {
                new.entry(told.clone()).or_insert_with(|| real.clone()) == real
            });
            let yes = text == other_text && ids.len() == other_ids.len() && fits;
            if yes {
                known = new;
            }
            yes
        };
        let found = if any { real.any(&mut agrees) } else { real.next().is_some_and(&mut agrees) };
        if !found {
            return Err(format!("not so: {line}\n   as: {text}\n\n{said}"));
        }
        any = false;
    }
    match real.next() {
        Some(more) if !any => return Err(format!("not told: {more}\n\n{said}")),
        _ => {}
    }
    *names = known;
    Ok(())
}

/// A machine on which somebody reads a chapter.
struct Machine {
    dir: Dir,
    /// Where commands are typed.
    cwd: String,
}

impl Machine {
    /// Makes it.
    fn new(chapter: &str) -> Machine {
        let dir = Dir::new();
        let shop = dir.make("home/shop");
        let project = dir.make("home/codex-mcp-swarm");
        let at_home = AT_HOME.contains(&chapter);
        let cwd = if at_home { &project } else { &shop }.to_str().unwrap().to_owned();
        let machine = Machine { dir, cwd };
        machine.furnish(&project);
        if !at_home {
            let ours = Path::new(tested_program());
            let installed = machine.dir.path("home/.local/bin/codex-mcp-swarm");
            // a program knows its place, which a symbolic link would not be
            let linked = fs::hard_link(ours, &installed);
            linked.or_else(|_| fs::copy(ours, &installed).map(drop)).unwrap();
            machine.dir.make("home/shop/src");
            machine.dir.write("home/shop/src/cart.rs", CART);
            machine.dir.write("home/.gitconfig", "[user]\nname = Ada\nemail = ada@example.org\n");
            for line in ["git init -q -b main", "git add src", "git commit -q -m 'A cart'"] {
                machine.run(line).unwrap();
            }
        }
        machine
    }

    /// Puts programs where PATH leads.
    fn furnish(&self, project: &Path) {
        let bin = self.dir.make("bin");
        let path = std::env::var_os("PATH").unwrap();
        for tool in TOOLS {
            let mut there = std::env::split_paths(&path).map(|directory| directory.join(tool));
            let there = there.find(|file| file.is_file()).unwrap_or_else(|| panic!("no {tool}"));
            symlink(there, bin.join(tool)).unwrap();
        }
        symlink(root("man"), project.join("man")).unwrap();
        fs::create_dir_all(project.join("tests/fuzz")).unwrap();
        for name in STANDINS {
            let file = if name.contains('/') { project.join(name) } else { bin.join(name) };
            self.program(&file, &format!("{}{NOTE}", if name == "cargo" { CARGO } else { "" }));
        }
        // who has fish has this
        self.dir.make("home/.config/fish/completions");
        self.program(&self.dir.make("home/.local/bin").join("codex"), &format!("{CODEX}{NOTE}"));
        self.dir.make("scripts");
        for (prompt, script) in TASKS {
            let name: String =
                prompt.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
            self.dir.write(&format!("scripts/{name}"), &format!("#standin\n{script}"));
        }
    }

    /// Writes a program for the shell, which knows its name.
    fn program(&self, file: &Path, text: &str) {
        let name = file.strip_prefix(self.dir.path("")).unwrap();
        let name = name.strip_prefix("home/codex-mcp-swarm").or(name.strip_prefix("bin"));
        let name = name.unwrap_or(Path::new("codex")).display();
        fs::write(file, format!("#!/bin/sh\nname={name}\n{text}")).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A command that knows this machine and nothing of the real one.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        let home = self.dir.path("home");
        let path = [home.join(".local/bin"), self.dir.path("bin")];
        command
            .env_clear()
            .env("PATH", std::env::join_paths(path).unwrap())
            .env("HOME", home)
            .env("STANDIN_OUT", self.dir.path("out"))
            .env("TMPDIR", self.dir.make("tmp"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .current_dir(&self.cwd);
        command
    }

    /// The server as a client starts it with these words.
    fn server(&self, words: &[String]) -> Server<'_> {
        let mut command = self.command(&self.dir.path("home/.local/bin/codex-mcp-swarm"));
        command.args(words);
        Server::spawn(&self.dir, command)
    }

    /// Runs a command as a shell does. What it prints, on both ways; if it fails, as an error.
    fn run(&self, line: &str) -> Result<String, String> {
        let mut command = self.command(&self.dir.path("bin/sh"));
        command.args(["-c", &format!("{{ {line}\n}} 2>&1")]).stdin(Stdio::null());
        let output = command.output().unwrap();
        let home = self.dir.path("home");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let text = text.replace(home.to_str().unwrap(), HOME);
        if output.status.success() { Ok(text) } else { Err(text) }
    }

    /// Starts a server with these words; it must answer.
    fn starts_a_server(&self, words: &[String]) {
        assert!(words.len() > 1, "{words:?}");
        let mut server = self.server(words);
        server.initialize();
        server.end();
        let errors = fs::read_to_string(self.dir.path("errors")).unwrap();
        assert_eq!(errors, "", "{words:?}");
    }

    /// Looks what the stand-ins were called with since the last time.
    fn look_at_standins(&self) {
        let path = self.dir.path("out/said");
        let Ok(said) = fs::read_to_string(&path) else { return };
        fs::remove_file(path).unwrap();
        for call in said.split_terminator('\u{1}') {
            let words: Vec<String> = call.split_terminator('\0').map(str::to_owned).collect();
            self.is_sensible(&words);
        }
    }

    /// What was called with these words must know them.
    fn is_sensible(&self, words: &[String]) {
        let call: Vec<&str> = words.iter().map(String::as_str).collect();
        match call[..] {
            [
                "claude",
                "mcp",
                "add",
                "codex-swarm",
                "--scope",
                "user",
                "--",
                "codex-mcp-swarm",
                ..,
            ] => {
                self.starts_a_server(&words[8..]);
            }
            ["code", "--add-mcp", json] => {
                let server = read_json(json);
                assert_eq!(server.str_at("name"), "codex-swarm");
                self.starts_a_registered(&server);
            }
            ["claude", "mcp", "remove", "codex-swarm"]
            | ["claude", "mcp", "list"]
            | ["codex", "login"]
            | ["npm", "install", "-g", "@openai/codex"]
            | ["pip", "uninstall", "codex-mcp-swarm"]
            | ["man", .., "codex-mcp-swarm"] => {}
            ["man", .., file] => assert!(Path::new(file).extension().is_some_and(|end| end == "1")),
            // what is said to readers is what is checked for them
            ["tests/demo"] => assert!(read(".ci/run").contains(" tests/demo\n")),
            ["tests/fuzz/run", _] => assert!(read(".ci/run").contains(" tests/fuzz/run ")),
            ["cargo", ..] => assert!(cargo_knows(&call), "{words:?}"),
            ["rustup", "target", "add", triple] => {
                assert!(read(".ci/static").contains("rustup target list"));
                assert_eq!(triple, "x86_64-unknown-linux-musl");
            }
            _ => panic!("nobody has said what this should be: {words:?}"),
        }
    }

    /// Starts the server of a registration as JSON has it.
    fn starts_a_registered(&self, server: &crate::json::Value<'static>) {
        assert_eq!(server.str_at("command"), "codex-mcp-swarm");
        self.starts_a_server(&listed_words(&server.at("args").to_json()));
    }
}

/// Whether one of our scripts calls cargo so, but for what is of no weight.
fn cargo_knows(words: &[&str]) -> bool {
    let plain = |word: &&str| !matches!(*word, "--quiet" | "--bin" | "codex-mcp-swarm");
    let (ci, demo) = (read(".ci/run") + &read(".ci/static"), read("tests/demo"));
    let mut calls = ci.lines().chain(demo.lines()).filter_map(|line| {
        let (_, behind) = line.split_once("cargo ")?;
        let words = behind.split_whitespace().filter(plain);
        Some(words.map(|word| word.replace("\"$triple\"", "x86_64-unknown-linux-musl")).collect())
    });
    calls.any(|call: Vec<String>| call == words[1..])
}

/// The registration with Codex in the README.
pub fn registration_lines() -> Vec<String> {
    let blocks = blocks(&read("README.md"));
    let mut all = blocks.into_iter().filter(|block| block.info == ["toml"]);
    let block = all.next().expect("a registration with Codex");
    assert!(all.next().is_none());
    block.lines
}

/// Its keys, and their values as TOML has them.
pub fn registration() -> BTreeMap<String, String> {
    let lines = registration_lines();
    assert_eq!(lines[0], "[mcp_servers.codex-swarm]");
    let keys = lines[1..].iter().map(|line| line.split_once(" = ").expect("a key and its value"));
    keys.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// The words in a list, as JSON and TOML have it.
pub fn listed_words(list: &str) -> Vec<String> {
    let list = read_json(list);
    let words = list.as_array().expect("a list").iter();
    words.map(|word| word.as_str().expect("a string").to_owned()).collect()
}

/// A chapter that is being read.
struct Reading<'m> {
    machine: &'m Machine,
    /// The client's server, from the first call on.
    server: Option<Server<'m>>,
    names: Names,
    /// What the tool answered that was called last.
    answer: String,
}

impl<'m> Reading<'m> {
    /// The server that the client has started in the repository.
    fn server(&mut self) -> &mut Server<'m> {
        let machine = self.machine;
        self.server.get_or_insert_with(|| {
            let mut server = machine.server(&[]);
            server.initialize();
            server
        })
    }

    /// Calls a tool. Tasks go on when somebody waits for them.
    fn call(&mut self, tool: &str, arguments: &str) -> String {
        if tool != "codex_async" {
            self.machine.dir.open("go");
        }
        let arguments = self.real(arguments);
        let text = self.server().ok(tool, &arguments);
        if tool == "codex_async" {
            self.settle(&task_id(&text), &arguments);
        }
        text.replace(self.machine.dir.path("home").to_str().unwrap(), HOME)
    }

    /// Waits until a task has ended, or has come to its gate.
    fn settle(&mut self, id: &str, arguments: &str) {
        let arguments = read_json(arguments);
        let prompt = arguments.str_at("prompt");
        let (_, script) = TASKS.iter().find(|task| task.0 == prompt).expect("a script");
        let gated = script.contains("\nwait-for ");
        let server = self.server();
        until("a task that works or has ended", || {
            let status = server.status(id);
            let ended = ["completed", "failed"].contains(&field(&status, "Phase"));
            let works = maybe_field(&status, "Tools running").is_some();
            (if gated { works } else { ended }).then_some(())
        });
    }

    /// A text of the README with the ids of this run.
    fn real(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (told, real)| text.replace(told, real))
    }

    /// Does what stands in a block.
    fn play(&mut self, block: &Block) {
        let info: Vec<&str> = block.info.iter().map(String::as_str).collect();
        let at = format!("README.md:{}", block.at);
        match info[..] {
            ["sh"] => {
                for line in commands(&block.lines) {
                    let line = self.real(&line);
                    if let Err(said) = self.machine.run(&line) {
                        panic!("{at}: {line}\n{said}");
                    }
                    self.machine.look_at_standins();
                }
            }
            ["console"] => self.play_console(block, &at),
            ["json", tool] => {
                let answers = block.lines.iter().map(|line| self.call(tool, line));
                let answers: Vec<String> = answers.collect();
                answers.first().expect("a call").clone_into(&mut self.answer);
            }
            ["text"] => {
                let told = same(&block.lines, self.answer.trim_end(), &mut self.names);
                told.unwrap_or_else(|why| panic!("{at}: {why}"));
            }
            ["json"] => {
                let json = read_json(&block.lines.join("\n"));
                let servers = json.find("mcpServers").or(json.find("servers")).expect("servers");
                self.machine.starts_a_registered(servers.at("codex-swarm"));
            }
            ["toml"] => {
                let keys = registration();
                assert_eq!(keys["command"], "\"codex-mcp-swarm\"");
                self.machine.starts_a_server(&listed_words(&keys["args"]));
            }
            ["jsonl"] => self.play_messages(block),
            _ => panic!("{at}: nobody has said what is to be done with {info:?}"),
        }
    }

    /// Runs commands and compares what they print.
    fn play_console(&mut self, block: &Block, at: &str) {
        let mut lines = block.lines.iter().peekable();
        while let Some(line) = lines.next() {
            let line = line.strip_prefix("$ ").unwrap_or_else(|| panic!("{at}: no $ in {line}"));
            let mut told: Vec<String> = Vec::new();
            while let Some(line) = lines.next_if(|line| !line.starts_with("$ ")) {
                told.push(line.clone());
            }
            let line = self.real(line);
            let said = self.machine.run(&line);
            // what fails may do so where it is told what it says
            assert!(said.is_ok() || !told.is_empty(), "{at}: {line}\n{said:?}");
            let said = said.unwrap_or_else(|said| said);
            same(&told, said.trim_end(), &mut self.names)
                .unwrap_or_else(|why| panic!("{at}: {line}\n{why}"));
            self.machine.look_at_standins();
        }
    }

    /// Sends messages as somebody who types them.
    fn play_messages(&mut self, block: &Block) {
        self.machine
            .dir
            .write("scripts/What_is_in_this_directory_", "#standin\nbegin\nsay A cart.\ndone\n");
        let machine = self.machine;
        let mut server = machine.server(&[]);
        let mut last = None;
        for line in &block.lines {
            let id = read_json(line).find("id").and_then(crate::json::Value::as_u64);
            server.send(line);
            if let Some(id) = id {
                last = Some(server.reply(id.try_into().unwrap()));
            }
        }
        let last = last.expect("a request");
        let result = last.at("result");
        assert!(!is_error(result), "{result:?}");
        assert_eq!(answer(&text_of(result)), "A cart.");
        server.end();
    }
}

/// Reads a chapter from its first block to its last.
fn read_chapter(chapter: &str) {
    let all = blocks(&read("README.md"));
    let all: Vec<&Block> = all.iter().filter(|block| block.chapter == chapter).collect();
    assert!(!all.is_empty(), "{chapter} has no code");
    let machine = Machine::new(chapter);
    let names = Names::new();
    let mut reading = Reading { machine: &machine, server: None, names, answer: String::new() };
    let staged = STAGED.iter().filter(|(name, _)| *name == chapter).flat_map(|(_, tasks)| *tasks);
    for (prompt, more) in staged.clone() {
        reading.call("codex_async", &prompt_and(prompt, more));
    }
    for block in all {
        reading.play(block);
    }
    drop(reading);
    if staged.count() > 0 {
        // one of them has nobody to end it but the README
        machine.run("codex-mcp-swarm cancel $(codex-mcp-swarm ps --quiet)").unwrap();
    }
}

/// The chapters that have code.
const CHAPTERS: [&str; 8] = [
    "See it run",
    "Install",
    "Register it",
    "Three tasks, three branches",
    "At the terminal",
    "Figures",
    "Coming from another server",
    "Uninstall",
];

#[test]
fn each_chapter_that_has_code_is_read() {
    let blocks = blocks(&read("README.md"));
    let found: BTreeSet<&str> = blocks.iter().map(|block| block.chapter.as_str()).collect();
    assert_eq!(found, CHAPTERS.into());
}

#[test]
fn what_shows_the_project_is_what_is_checked() {
    read_chapter("See it run");
    let readme = read("README.md");
    let blocks = blocks(&readme);
    let block = blocks.iter().find(|block| block.chapter == "See it run").unwrap();
    let commands = commands(&block.lines);
    let words: Vec<String> = commands.iter().map(|line| shell_words(line).join(" ")).collect();
    assert_eq!(words, ["tests/demo", "cargo test", "tests/fuzz/run 60"]);
    for script in ["tests/demo", "tests/fuzz/run", ".ci/run"] {
        let mode = fs::metadata(root(script)).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{script} cannot be run");
    }
    assert!(readme.contains("`tests/demo --real`") && read("tests/demo").contains("--real"));
    assert!(read("LICENSE").contains("MIT License"));
}

#[test]
fn it_can_be_installed_as_told() {
    read_chapter("Install");
}

#[test]
fn the_registrations_start_a_server_and_the_messages_by_hand_are_answered() {
    read_chapter("Register it");
}

#[test]
fn three_tasks_are_merged_as_told() {
    read_chapter("Three tasks, three branches");
}

#[test]
fn the_commands_at_the_terminal_print_what_is_told() {
    read_chapter("At the terminal");
}

#[test]
fn the_figures_are_made_as_told() {
    read_chapter("Figures");
}

#[test]
fn who_comes_from_another_server_finds_the_commands_for_it() {
    read_chapter("Coming from another server");
}

#[test]
fn it_can_be_removed_as_told() {
    read_chapter("Uninstall");
}

#[test]
fn each_command_in_the_text_is_one_that_the_program_takes() {
    let readme = read("README.md");
    let prose: String = readme.split("```").step_by(2).collect();
    let mut seen = 0;
    for quote in quotes(&prose) {
        let words = shell_words(&quote);
        let mut words = words.into_iter().skip_while(|word| word.starts_with("CODEX_"));
        if words.next().as_deref() != Some("codex-mcp-swarm") {
            continue;
        }
        seen += 1;
        let words: Vec<String> = words.collect();
        if let Err(why) = cli::parse(words.clone()) {
            panic!("{words:?}: {why}");
        }
    }
    assert!(seen > 5, "only {seen} were found");
}

/// What a heading is called in a link, as GitHub does it.
fn anchor(title: &str) -> String {
    let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn each_link_leads_somewhere() {
    let readme = read("README.md");
    let heads = readme.lines().filter(|line| line.starts_with('#'));
    let heads: BTreeSet<String> =
        heads.map(|line| anchor(line.trim_start_matches('#').trim())).collect();
    let targets: Vec<&str> = readme
        .split("](")
        .skip(1)
        .map(|behind| behind.split_once(')').expect("the end of a link").0)
        .collect();
    assert!(targets.len() > 5, "{targets:?}");
    for target in targets {
        match target.strip_prefix('#') {
            Some(name) => assert!(heads.contains(name), "there is no heading {name}"),
            None => assert!(root(target).is_file(), "there is no file {target}"),
        }
    }
}

#[test]
fn each_row_of_a_table_is_as_wide_as_its_head() {
    let mut width = None;
    for (at, line) in (1..).zip(read("README.md").lines()) {
        let cells = line.starts_with('|').then(|| line.matches('|').count());
        assert!(width.is_none() || cells.is_none() || width == cells, "line {at}: {line}");
        width = cells;
    }
}

/// Words by which a reader knows that something is wrong, and which others say.
const NOT_OURS: [&str; 5] =
    ["CONNECTION_CLOSED", "git merge", "Already up to date", ".env", "node_modules"];

#[test]
fn what_one_sees_when_something_is_wrong_is_what_is_said() {
    let readme = read("README.md");
    let (_, chapter) = readme.split_once("\n## When something is wrong\n").expect("a chapter");
    let (chapter, _) = chapter.split_once("\n## ").expect("its end");
    let seen = rows(chapter).into_iter().flat_map(|row| quotes(row[0]));
    let seen: Vec<String> = seen.filter(|quote| !NOT_OURS.contains(&quote.as_str())).collect();
    assert!(seen.len() > 7, "{seen:?}");
    let mut said = read("man/codex-mcp-swarm.1");
    said.extend(sources().into_iter().map(|(_, text)| text));
    for quote in seen {
        assert!(said.contains(&quote), "who says {quote}?");
    }
}

#[test]
fn what_differs_from_run_to_run_may_differ_and_nothing_else() {
    let normal = |line: &str| normal(line).0;
    assert_eq!(
        normal("=== Task 1a2b3c4d (completed in 1m 05s) ==="),
        "=== Task ID (completed in TIME) ==="
    );
    assert_eq!(normal("Updating 1a2b3c4..5e6f7a8"), "Updating ID");
    assert_eq!(normal("Thread ID: 01a20000-0000-7000-8000-00001a2b3c4d"), "Thread ID: UUID");
    assert_eq!(normal("exit 0, 1.2s"), "exit 0, TIME");
    assert_eq!(normal("git 2.47.3, codex-cli 0.169.0."), "git VERSION, codex-cli VERSION.");
    let told = |lines: &[&str], said| {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        same(&lines, said, &mut Names::new())
    };
    assert!(told(&["a", "…", "z"], "a\nb\nc\nz").is_ok());
    assert!(told(&["a", "…"], "a\nb").is_ok() && told(&["a"], "a\nb").is_err());
    assert!(told(&["a", "b"], "a").is_err() && told(&["…", "b"], "a").is_err());
    // one id is one task
    assert!(told(&["1a2b3c4d 1a2b3c4d"], "00000001 00000001").is_ok());
    assert!(told(&["1a2b3c4d 1a2b3c4d"], "00000001 00000002").is_err());
}
