//! `check`: each fault that it can find, set up and found with its cure, and nothing changed by it.

use crate::harm::{pid_in, signal};
use crate::readme::registration;
use crate::real::Real;
use crate::scarce::{Small, Somebody, set_mode};
use crate::support::*;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

/// A codex with which all is well.
const WELL: &str = "case \"$*\" in\n--version) echo codex-cli 0.169.0;;\nlogin\\ status) ;;\n\
                    mcp\\ list\\ --json) echo '[]';;\n*) exit 9;;\nesac";

/// What a check has told.
struct Told {
    /// All of it.
    text: String,
    /// What it has said on stderr.
    errors: String,
    /// Its exit status.
    exit: Option<i32>,
    /// The program that was run.
    program: String,
}

impl Told {
    /// What it has told of a matter: a line each, `word: text`, with the cure behind ` | `.
    fn of(&self, matter: &str) -> Vec<String> {
        let (head, _) = self.text.split_once("\n\n").expect("a registration");
        let mut lines = head.lines().peekable();
        let mut found = Vec::new();
        while let Some(line) = lines.next() {
            let (word, rest) = line.split_once(' ').expect("a word and its matter");
            let cure = lines.next_if(|line| line.starts_with("        "));
            assert_eq!(cure.is_some(), word != "ok", "a cure where one is needed: {line}");
            assert!(["ok", "warning", "wrong"].contains(&word), "{line}");
            if let Some(text) = rest.trim_start().strip_prefix(&format!("{matter}: ")) {
                let cure = cure.map(|cure| format!(" | {}", cure.trim_start()));
                found.push(format!("{word}: {text}{}", cure.unwrap_or_default()));
            }
        }
        found
    }

    /// Checks that one line about a matter has all these parts, that nothing else is told of it, and
    /// that the exit status fits the word.
    fn one(&self, matter: &str, parts: &[&str]) {
        let told = self.of(matter);
        assert_eq!(told.len(), 1, "{matter}: {}", self.text);
        for part in parts {
            assert!(told[0].contains(part), "{part:?} in {}", told[0]);
        }
        if told[0].starts_with("wrong: ") {
            assert_eq!(self.exit, Some(1), "{}", self.text);
        }
    }
}

/// Puts a program into the only directory on PATH.
fn put(dir: &Dir, name: &str, script: &str) {
    dir.make("bin");
    let path = dir.write(&format!("bin/{name}"), &format!("#!/bin/sh\n{script}\n"));
    set_mode(&path, 0o755);
}

/// The program with the word `check`, on a machine that has git and this codex, and where no other
/// of these is on PATH.
fn command(dir: &Dir, codex: &str) -> Command {
    put(dir, "codex", codex);
    // what these tests themselves run is looked up there too
    for name in ["git", "setpriv", "script"] {
        let path = std::env::var_os("PATH").unwrap();
        let tool = std::env::split_paths(&path).map(|directory| directory.join(name));
        let link = dir.path("bin").join(name);
        if let Some(tool) = tool.into_iter().find(|tool| tool.is_file() && !link.exists()) {
            symlink(tool, link).unwrap();
        }
    }
    let mut command = dir.command();
    command.arg("check").env("PATH", dir.path("bin")).stdin(Stdio::null());
    command
}

/// Runs a check, which must leave all as it was and say nothing that moves a terminal.
fn run(dir: &Dir, mut command: Command) -> Told {
    // a supervisor may be about to replace a record
    let tree = || dir.tree().into_iter().filter(|name| !name.starts_with("tasks/.")).collect();
    let before: Vec<String> = tree();
    let program = command.get_program().to_str().unwrap().to_owned();
    let output = command.output().unwrap();
    assert_eq!(tree(), before, "something was made or is gone");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    let errors = String::from_utf8(output.stderr).unwrap();
    let told = Told { text, errors, exit: output.status.code(), program };
    let wrong = told.text.lines().any(|line| line.starts_with("wrong"));
    assert_eq!(told.exit, Some(wrong.into()), "{}", told.text);
    told
}

/// A check on a machine with this codex.
fn check(dir: &Dir, codex: &str) -> Told {
    run(dir, command(dir, codex))
}

/// The same with these variables.
fn check_with(dir: &Dir, codex: &str, variables: &[(&str, &str)]) -> Told {
    let mut command = command(dir, codex);
    command.envs(variables.iter().copied());
    run(dir, command)
}

/// A codex that logs in, and whose MCP servers are these.
fn with_servers(servers: &str) -> String {
    WELL.replace("'[]'", &format!("'{servers}'"))
}

/// A codex whose `login status` does this.
fn with_login(line: &str) -> String {
    WELL.replace("login\\ status) ;;", &format!("login\\ status) {line};;"))
}

#[test]
fn where_all_is_well_it_says_so_and_exits_0() {
    let dir = Dir::new();
    // a task's sandbox leaves /tmp writable, where the tests' own directory lies
    let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("check-{}", std::process::id()));
    fs::create_dir_all(&base).unwrap();
    let mut command = command(&dir, WELL);
    for (name, place) in [("TASK_DIR", "a/tasks"), ("WORKTREE_DIR", "worktrees"), ("LOG", "log")] {
        command.env(format!("CODEX_SWARM_{name}"), base.join(place));
    }
    let told = run(&dir, command);
    assert_eq!(fs::read_dir(&base).unwrap().count(), 0, "something was made");
    fs::remove_dir(&base).unwrap();
    assert_eq!((told.exit, told.errors.as_str()), (Some(0), ""), "{}", told.text);
    told.one("codex-mcp-swarm", &["ok: ", env!("CARGO_PKG_VERSION"), &told.program]);
    told.one("codex", &["ok: codex-cli 0.169.0, ", dir.path("bin/codex").to_str().unwrap()]);
    told.one("login", &["ok: "]);
    told.one("codex mcp", &["ok: "]);
    told.one("git", &["ok: git version "]);
    told.one("environment", &["ok: "]);
    if base.starts_with("/tmp") {
        eprintln!("skipped: no directory outside of /tmp");
        return;
    }
    assert!(!told.text.contains("warning"), "{}", told.text);
    for matter in ["task directory", "worktree directory", "log file"] {
        told.one(matter, &["ok: ", base.to_str().unwrap(), " is made by the first task"]);
    }
}

#[test]
fn a_codex_that_is_not_there_or_cannot_be_run_is_told_with_the_cure() {
    let dir = Dir::new();
    let told = {
        let command = command(&dir, WELL);
        fs::remove_file(dir.path("bin/codex")).unwrap();
        run(&dir, command)
    };
    told.one("codex", &["wrong: cannot find codex on PATH", "npm install -g @openai/codex"]);
    assert!(told.of("login").is_empty() && told.of("codex mcp").is_empty(), "{}", told.text);

    for (script, parts) in [
        ("exit 3", &["--version: ", "exit status: 3", "npm install"][..]),
        ("printf '\\033[2Jno \\302\\233luck\\342\\200\\256\\n' >&2; exit 1", &["no ", "luck"]),
        ("kill -9 $$", &["signal: 9"]),
        (
            "echo '  throw new Error(' >&2; echo >&2\n\
             echo 'Error: Missing optional dependency @openai/codex-linux-x64. Reinstall Codex: \
             npm install -g @openai/codex@latest' >&2\necho Node.js v20.20.2 >&2; exit 1",
            &["Missing optional dependency @openai/codex-linux-x64", "| ", "npm install -g"],
        ),
    ] {
        let told = check(&dir, script);
        told.one("codex", &[&["wrong: "], parts].concat());
        assert!(told.of("login").is_empty(), "{}", told.text);
    }

    let command = command(&dir, WELL);
    let codex = dir.write("bin/codex", "#!/nowhere/node\n");
    set_mode(&codex, 0o755);
    run(&dir, command).one("codex", &["wrong: ", codex.to_str().unwrap(), "No such file"]);
}

#[test]
fn a_codex_that_hangs_is_given_up_and_nothing_of_it_is_left() {
    let dir = Dir::new();
    let told = check(&dir, "trap '' TERM INT HUP\n/bin/sleep 600 &\n/bin/sleep 600");
    told.one("codex", &["wrong: ", "--version: no end after 10 seconds"]);
    gone(&dir.marker());
    let told = check(&dir, &with_login("exec >&- 2>&-; /bin/sleep 600"));
    told.one("login", &["wrong: ", "login status: no end after 10 seconds"]);
    told.one("codex", &["ok: "]);
    gone(&dir.marker());
}

#[test]
fn a_codex_of_another_version_is_told() {
    let dir = Dir::new();
    for (version, parts) in [
        ("codex-cli 0.98.0", ["wrong: ", "too old", "npm install"]),
        ("codex-cli 0.99.0", ["warning: ", "older than the 0.169", "cannot fork"]),
        ("codex-cli 0.168.9", ["warning: ", "older than the 0.169", "npm install"]),
        ("codex-cli 0.169.3", ["ok: ", "0.169.3", ""]),
        ("codex-cli 0.170.0-alpha.2", ["warning: ", "newer", "codex-mcp-swarm"]),
        ("a codex of another kind", ["warning: ", "no Codex CLI", "see what it is"]),
    ] {
        let told = check(&dir, &WELL.replace("codex-cli 0.169.0", version));
        told.one("codex", &parts);
        told.one("login", &["ok: "]);
    }
}

#[test]
fn whom_codex_works_for_is_told() {
    let dir = Dir::new();
    let out = with_login("echo WARNING: something else >&2; echo Not logged in >&2; exit 1");
    check(&dir, &out)
        .one("login", &["wrong: codex is not logged in | codex login", "CODEX_API_KEY"]);
    let told = check_with(&dir, &out, &[("OPENAI_API_KEY", "x")]);
    told.one("login", &["wrong: ", "does not read OPENAI_API_KEY | ", "CODEX_API_KEY"]);
    let both = [("OPENAI_API_KEY", "x"), ("CODEX_API_KEY", "y")];
    check_with(&dir, &out, &both).one("login", &["ok: CODEX_API_KEY is set"]);
    check_with(&dir, &out, &[("CODEX_API_KEY", "")]).one("login", &["wrong: "]);
    check_with(&dir, WELL, &both).one("login", &["ok: codex is logged in"]);

    dir.make("codex-home");
    dir.write("codex-home/config.toml", "model = \"m\"\nmodel_provider = \"local\"\n");
    let home = dir.path("codex-home");
    let told = check_with(&dir, &out, &[("CODEX_HOME", home.to_str().unwrap())]);
    told.one("login", &["warning: ", "names a model provider", "codex login"]);

    let config = home.join("config.toml");
    fs::rename(&config, home.join("elsewhere")).unwrap();
    symlink("elsewhere", &config).unwrap();
    let told = check_with(&dir, &out, &[("CODEX_HOME", home.to_str().unwrap())]);
    told.one("login", &["warning: ", "names a model provider"]);
    fs::remove_file(&config).unwrap();
    assert!(Command::new("mkfifo").arg(&config).status().unwrap().success());
    let told = check_with(&dir, &out, &[("CODEX_HOME", home.to_str().unwrap())]);
    told.one("login", &["wrong: codex is not logged in"]);

    let broken = with_login("echo 'Error loading configuration: /c.toml:1:1: no' >&2; exit 1");
    let told = check_with(&dir, &broken, &both);
    told.one("login", &["wrong: ", "/c.toml:1:1: no", "mend"]);
    assert!(told.of("codex mcp").is_empty(), "{}", told.text);
}

#[test]
fn servers_of_codexs_own_that_harm_workers_are_told() {
    let dir = Dir::new();
    let entry = |name: &str, enabled: bool, command: &str, args: &str| {
        format!(
            r#"{{"name":"{name}","enabled":{enabled},"transport":{{"type":"stdio","command":"{command}","args":{args}}}}}"#
        )
    };
    let off = r#"["-c","mcp_servers.swarm.enabled=false"]"#;
    let fine = [
        entry("swarm", true, "/x y/codex-mcp-swarm", off),
        entry("b", false, "codex-mcp-swarm", "[]"),
        entry("c", true, "npx", "[]"),
        r#"{"name":"w","enabled":true,"transport":{"type":"streamable_http","url":"u"}}"#.into(),
    ]
    .join(",");
    let told = check(&dir, &with_servers(&format!("[{fine}]")));
    told.one("codex mcp", &["ok: "]);
    // what other clients start has workers too, and these read the same configuration
    let switch = "mcp_servers.swarm.enabled=false";
    let line = |start: &str| {
        let line = told.text.lines().find(|line| line.starts_with(start));
        line.unwrap_or_else(|| panic!("{}", told.text)).to_owned()
    };
    for start in ["claude mcp add", "{\"mcpServers\"", "code --add-mcp"] {
        assert!(line(start).contains(switch), "{}", told.text);
        assert!(!check(&dir, WELL).text.contains(switch));
    }

    let harm = [
        entry("a", true, "codex-mcp-swarm", "[]"),
        entry("b", true, "codex-mcp-swarm", off),
        entry("old", true, "/bin/codex", r#"["mcp-server"]"#),
    ]
    .join(",");
    let told = check(&dir, &with_servers(&format!("[{fine},{harm}]"))).of("codex mcp");
    assert_eq!(told.len(), 3, "{told:?}");
    for (told, parts) in told.iter().zip([
        ["starts this program again", "\"mcp_servers.a.enabled=false\""],
        ["starts this program again", "\"mcp_servers.b.enabled=false\""],
        ["the server old is", "in place of it"],
    ]) {
        assert!(told.starts_with("warning: "), "{told}");
        assert!(parts.iter().all(|part| told.contains(part)), "{told}");
    }

    // Codex would refuse to run if it were told to switch that off
    let dotted = entry("a.b", true, "codex-mcp-swarm", "[]");
    let told = check(&dir, &with_servers(&format!("[{dotted}]")));
    told.one("codex mcp", &["warning: every task starts", "| give it a name without a dot"]);
    assert!(!told.text.contains("mcp_servers.a.b"), "{}", told.text);

    let told = check(&dir, &WELL.replace("echo '[]'", "echo Error: no >&2; exit 1"));
    told.one("codex mcp", &["warning: ", "Error: no", "switched off"]);
}

#[test]
fn a_git_that_is_missing_or_old_is_told() {
    let dir = Dir::new();
    let run_with = |git: Option<&str>| {
        let command = command(&dir, WELL);
        fs::remove_file(dir.path("bin/git")).unwrap();
        if let Some(script) = git {
            put(&dir, "git", script);
        }
        run(&dir, command)
    };
    run_with(None).one("git", &["warning: cannot run git", "| install git"]);
    run_with(Some("echo git version 2.33.8"))
        .one("git", &["warning: ", "2.33.8", "git 2.34 or newer"]);
    run_with(Some("echo fatal: odd >&2; exit 1")).one("git", &["warning: odd | "]);
    run_with(Some("echo git version 2.34.0")).one("git", &["ok: git version 2.34.0"]);
}

#[test]
fn directories_that_cannot_be_used_are_told() {
    let dir = Dir::new();
    for (matter, name, word) in [
        ("task directory", "TASK_DIR", "wrong: "),
        ("worktree directory", "WORKTREE_DIR", "wrong: "),
        ("log file", "LOG", "warning: "),
    ] {
        let variable = format!("CODEX_SWARM_{name}");
        let told = |place: &Path| check_with(&dir, WELL, &[(&variable, place.to_str().unwrap())]);
        let refused = |place: &Path, parts: &[&str]| {
            told(place).one(matter, &[&[word, place.to_str().unwrap()], parts].concat());
        };
        dir.write("file", "");
        refused(&dir.path("file/x"), &[]);
        fs::remove_file(dir.path("file")).unwrap();
        refused(Path::new("/proc/nowhere"), &["no room"]);
        symlink(dir.path("nowhere"), dir.path("link")).unwrap();
        refused(&dir.path("link"), &["link"]);
        fs::remove_file(dir.path("link")).unwrap();
        told(&dir.path("to/be/made")).one(matter, &[dir.path("to").to_str().unwrap()]);
        if name == "LOG" {
            continue;
        }
        let open = dir.make("open");
        set_mode(&open, 0o755);
        refused(&open, &["others can get at it (mode 755) | chmod 700 it"]);
        set_mode(&open, 0o777);
        // one that is there, and one that is to be made
        set_mode(&dir.make("open/own"), 0o700);
        for place in ["open/own", "open/new"] {
            refused(&dir.path(place), &["others can replace it", &variable]);
        }
        fs::remove_dir_all(open).unwrap();
    }
}

#[test]
fn what_this_user_may_not_use_is_told() {
    let dir = Dir::new();
    for name in ["closed", "tasks", "foreign"] {
        set_mode(&dir.make(name), 0o700);
    }
    dir.write("foreign.log", "");
    let command = command(&dir, WELL);
    let Some(somebody) = Somebody::own(&dir) else { return };
    set_mode(&dir.path("closed"), 0o500);
    set_mode(&dir.path("tasks"), 0o500);
    let told = |name: &str, place: &str| {
        let mut command = somebody.wrap(copy(&command));
        command.env(name, dir.path(place));
        run(&dir, command)
    };
    let denied = ["wrong: ", "cannot write to ", "Permission denied"];
    told("CODEX_SWARM_TASK_DIR", "tasks").one("task directory", &denied);
    told("CODEX_SWARM_TASK_DIR", "closed/a/b").one("task directory", &denied);
    let told_of_log = told("CODEX_SWARM_LOG", "closed/log");
    told_of_log.one("log file", &["warning: ", "Permission denied"]);
    let root = std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").unwrap()) == 0;
    if root {
        for name in ["foreign", "foreign.log"] {
            std::os::unix::fs::chown(dir.path(name), Some(0), Some(0)).unwrap();
        }
        let told_of_log = told("CODEX_SWARM_LOG", "foreign.log");
        told_of_log.one("log file", &["warning: ", "another user"]);
        set_mode(&dir.path("foreign"), 0o755);
        let told = told("CODEX_SWARM_TASK_DIR", "foreign");
        told.one("task directory", &["wrong: ", "it belongs to user 0", "CODEX_SWARM_TASK_DIR"]);
    }
    set_mode(&dir.path("closed"), 0o700);
}

/// Another command of the same kind.
fn copy(command: &Command) -> Command {
    let mut copy = Command::new(command.get_program());
    copy.args(command.get_args()).env_clear().stdin(Stdio::null());
    copy.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    copy.current_dir(command.get_current_dir().unwrap());
    copy
}

#[test]
fn a_file_system_without_room_is_told() {
    let dir = Dir::new();
    let mount = |options: &str| Small::mount(dir.path("tasks"), options);
    let task_dir = || check(&dir, WELL).of("task directory");
    {
        let Some(small) = mount("mode=700,size=20m") else { return };
        let told = task_dir();
        assert!(told[0].starts_with("warning: ") && told[0].contains("100 MB"), "{told:?}");
        small.fill();
        let told = task_dir();
        assert_eq!(told.len(), 1, "{told:?}");
        let parts =
            ["wrong: ", "no room is left", "| choose another place with CODEX_SWARM_TASK_DIR"];
        assert!(parts.iter().all(|part| told[0].contains(part)), "{told:?}");
    }
    {
        let _small = mount("mode=700,size=200m,nr_inodes=1").unwrap();
        let told = task_dir();
        assert!(told[0].starts_with("wrong: ") && told[0].contains("no room"), "{told:?}");
    }
    let _small = mount("mode=700,size=200m,ro").unwrap();
    let told = task_dir();
    let parts = ["wrong: ", "cannot write to ", "Read-only file system"];
    assert!(parts.iter().all(|part| told[0].contains(part)), "{told:?}");
}

#[test]
fn a_place_that_tasks_can_write_to_is_told() {
    let dir = Dir::new();
    let places = [
        ("task directory", "CODEX_SWARM_TASK_DIR"),
        ("worktree directory", "CODEX_SWARM_WORKTREE_DIR"),
        ("log file", "CODEX_SWARM_LOG"),
    ];
    // tasks have a TMPDIR of their own, whatever it is here
    let more = [("TMPDIR", "/")];
    let there = places.map(|(_, variable)| (variable, "/tmp/codex-swarm-nowhere"));
    let told = check_with(&dir, WELL, &[there.as_slice(), &more].concat());
    for (matter, variable) in places {
        told.one(matter, &["warning: ", "where tasks in Codex's sandbox can write | ", variable]);
    }
    assert_eq!(told.exit, Some(0), "{}", told.text);
}

#[test]
fn wrong_variables_are_told_once_and_logged_by_nobody() {
    let dir = Dir::new();
    let wrong = [("CODEX_SWARM_HOLD", "soon"), ("CODEX_SWARM_LOG_LEVEL", "\u{1b}[2J")];
    let told = check_with(&dir, WELL, &wrong);
    assert_eq!(told.errors, "");
    let lines = told.of("environment");
    assert_eq!(lines.len(), 2, "{lines:?}");
    for name in ["CODEX_SWARM_HOLD is ", "CODEX_SWARM_LOG_LEVEL is "] {
        let line = lines.iter().find(|line| line.contains(name)).unwrap();
        assert!(line.starts_with("wrong: ") && line.contains("| correct it"), "{line}");
    }
    assert_eq!(told.exit, Some(1));
}

#[test]
fn tasks_that_are_silent_or_lost_are_told_with_what_to_do() {
    let dir = Dir::new();
    let mut server = dir.server();
    assert!(check(&dir, WELL).of("tasks").is_empty(), "there is no directory yet");
    let done = server.launch("done");
    server.wait(&[&done]);
    let id = server.launch("begin\nmark on\nwait-for go\ndone");
    dir.marked("on");
    check(&dir, WELL).one("tasks", &["ok: 2 there, 1 of them not ended"]);

    let transcript = fs::File::open(dir.task_file(&id, "stdout")).unwrap();
    transcript.set_modified(SystemTime::now() - Duration::from_secs(660)).unwrap();
    let told = check(&dir, WELL).of("tasks");
    assert_eq!(told.len(), 2, "{told:?}");
    let silent = format!("warning: {id} runs and has said nothing for 11m ");
    assert!(told[0].starts_with(&silent), "{told:?}");
    assert!(told[0].ends_with(&format!(" | codex-mcp-swarm logs {id}")), "{told:?}");

    // with the server, which would give the verdict itself
    server.crash();
    signal("KILL", &[pid_in(&dir.record(&id), "supervisor_pid")]);
    let told = until("the supervisor is gone", || {
        let told = check(&dir, WELL).of("tasks");
        told[0].contains("supervisor").then_some(told)
    });
    let cure = format!("codex-mcp-swarm wait {id}");
    let lost = format!("warning: the supervisor of {id} is gone and has left no verdict | {cure}");
    assert_eq!(told[0], lost);
    assert!(dir.record(&id).str_at("status") == "running", "a verdict was given");
    let output = dir.command().args(["wait", &id]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    check(&dir, WELL).one("tasks", &["ok: 2 there, 0 of them not ended"]);

    plant(&dir, "00000bad", "{");
    plant(&dir, "00000bae", "\u{1b}[2J");
    let told = check(&dir, WELL).of("tasks");
    assert!(told[0].starts_with("warning: 2 records cannot be read, as "), "{told:?}");
    assert!(told[0].contains("00000bad.meta | "), "{told:?}");
    assert!(told[1].starts_with("ok: 4 there"), "{told:?}");
}

#[test]
fn another_program_of_the_name_on_path_is_told() {
    let dir = Dir::new();
    put(&dir, "codex-mcp-swarm", "exit 1");
    let told = check(&dir, WELL);
    let other = dir.path("bin/codex-mcp-swarm");
    let parts = ["warning: this is ", &told.program, other.to_str().unwrap(), "| remove"];
    told.one("codex-mcp-swarm", &parts);
    assert_eq!(told.exit, Some(0));
    fs::remove_file(&other).unwrap();
    symlink(tested_program(), &other).unwrap();
    check(&dir, WELL).one("codex-mcp-swarm", &["ok: "]);
}

/// The words that a line of sh runs the program `name` with.
fn pasted(dir: &Dir, name: &str, line: &str) -> Vec<String> {
    put(dir, name, "printf '%s\\0' \"$@\"");
    let output = Command::new("/bin/sh")
        .args(["-c", line])
        .env("PATH", dir.path("bin"))
        .output()
        .expect("a shell");
    let words = String::from_utf8(output.stdout).unwrap();
    words.split_terminator('\0').map(str::to_owned).collect()
}

#[test]
fn the_registrations_hold_for_any_path_when_pasted() {
    let dir = Dir::new();
    let place = dir.make("it's \"here\" $HOME \\ & so");
    let program = place.join("codex-mcp-swarm");
    fs::copy(tested_program(), &program).unwrap();
    let plain = command(&dir, WELL);
    let mut command = Command::new(&program);
    command.arg("check").env_clear().stdin(Stdio::null()).current_dir(dir.path("work"));
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let told = run(&dir, command);
    let program = program.to_str().unwrap();
    let line = |start: &str| told.text.lines().find(|line| line.starts_with(start)).expect(start);

    let words = pasted(&dir, "claude", line("claude "));
    let expected = ["mcp", "add", "codex-swarm", "--scope", "user", "--", program, "-c"];
    assert_eq!(words[..8], expected);
    assert_eq!(words[8..], ["sandbox_mode=workspace-write"]);

    let words = pasted(&dir, "code", line("code "));
    assert_eq!(words[0], "--add-mcp");
    let server = read_json(&words[1]);
    assert_eq!((server.str_at("name"), server.str_at("command")), ("codex-swarm", program));
    let cursor = read_json(line("{\"mcpServers\""));
    let cursor = cursor.at("mcpServers.codex-swarm");
    assert_eq!(cursor.str_at("command"), program);
    for args in [server.at("args"), cursor.at("args")] {
        assert_eq!(args.to_json(), r#"["-c","sandbox_mode=workspace-write"]"#);
    }

    // the README's, but for the path
    let (_, block) = told.text.split_once("[mcp_servers.codex-swarm]\n").expect("a block");
    let (block, _) = block.split_once("\n\n").expect("its end");
    let mut keys = registration();
    // a string in TOML has the escapes that one in JSON has
    keys.insert("command".into(), quoted(program));
    assert_eq!(block.lines().count(), keys.len());
    for line in block.lines() {
        let (key, value) = line.split_once(" = ").unwrap();
        assert_eq!(keys.get(key).map(String::as_str), Some(value), "{key}");
    }
    assert!(told.text.contains(&format!("With Codex, in {}", dir.path("home/.codex").display())));
}

#[test]
fn words_have_colours_only_on_a_terminal_that_has_them() {
    let dir = Dir::new();
    let on_terminal = |variables: &[(&str, &str)]| {
        let plain = command(&dir, WELL);
        let mut command = Command::new("script");
        let line = format!("{} check", tested_program());
        command.args(["-qec", &line, "/dev/null"]).env_clear().stdin(Stdio::null());
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("SHELL", "/bin/sh").envs(variables.iter().copied());
        let output = command.output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let Some(text) = on_terminal(&[("TERM", "xterm")]).filter(|text| text.contains("codex-cli"))
    else {
        eprintln!("skipped: there is no script(1)");
        return;
    };
    assert!(text.contains("\x1b[32mok     \x1b[0m codex: codex-cli 0.169.0"), "{text:?}");
    for variables in [[("TERM", "dumb"), ("X", "")], [("TERM", "xterm"), ("NO_COLOR", "1")]] {
        let text = on_terminal(&variables).unwrap();
        assert!(text.contains("ok      codex: ") && !text.contains('\x1b'), "{text:?}");
    }
    assert!(on_terminal(&[("TERM", "xterm"), ("NO_COLOR", "")]).unwrap().contains('\x1b'));
}

#[test]
fn the_real_codex_is_understood() {
    let Some(real) = Real::new() else { return };
    let dir = &real.dir;
    let told = |config: &str| {
        dir.write("codex-home/config.toml", config);
        let mut command = dir.command();
        let bin = real.codex.parent().unwrap().display().to_string();
        let path = std::env::var("PATH").unwrap();
        command.arg("check").env("PATH", format!("{bin}:{path}")).stdin(Stdio::null());
        command.env("CODEX_HOME", dir.path("codex-home"));
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let program = String::new();
        Told { text, errors: String::new(), exit: output.status.code(), program }
    };
    let plain = told("");
    plain.one("codex", &["ok: codex-cli 0.169."]);
    plain.one("login", &["wrong: codex is not logged in"]);
    plain.one("codex mcp", &["ok: "]);
    told("model_provider = \"x\"\n[model_providers.x]\nname = \"x\"\nbase_url = \"http://127.0.0.1:9\"\n")
        .one("login", &["warning: ", "model provider"]);
    told("x = [").one("login", &["wrong: ", "config.toml:1:"]);

    let keys = registration();
    let block = |args: bool| {
        let lines = keys.iter().filter(|(key, _)| args || *key != "args");
        let lines: Vec<String> = lines.map(|(key, value)| format!("{key} = {value}")).collect();
        format!("[mcp_servers.codex-swarm]\n{}\n", lines.join("\n"))
    };
    let told_of = told(&block(true));
    told_of.one("codex mcp", &["ok: "]);
    assert!(told_of.text.contains("workspace-write -c mcp_servers.codex-swarm.enabled=false\n"));
    told(&block(false))
        .one("codex mcp", &["warning: ", "\"mcp_servers.codex-swarm.enabled=false\""]);
    told("[mcp_servers.old]\ncommand = \"codex\"\nargs = [\"mcp-server\"]\n")
        .one("codex mcp", &["warning: the server old is `codex mcp-server`"]);

    let mut login = Command::new(&real.codex);
    login.args(["login", "--with-api-key"]).env("CODEX_HOME", dir.path("codex-home"));
    let key = dir.write("key", "sk-000000000000000000000000\n");
    login.stdin(fs::File::open(key).unwrap()).stderr(Stdio::null());
    assert!(login.status().unwrap().success());
    told("").one("login", &["ok: codex is logged in"]);
}

#[test]
fn the_tested_codex_is_the_one_of_the_readme() {
    let read =
        |name: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
    let source = read("src/console/check.rs");
    let (_, tested) = source.split_once("const TESTED: (u32, u32) = (").expect("a constant");
    let tested = tested.split(')').next().unwrap().replace(", ", ".");
    assert!(read("README.md").contains(&format!("tested with {tested}.")), "{tested}");
    assert!(read(".ci/run").contains(&format!("codex_version={tested}.")), "{tested}");
}

#[test]
fn whoever_starts_it_without_care_for_children_gets_the_same_answers() {
    let dir = Dir::new();
    let well = command(&dir, WELL);
    // coreutils
    let mut careless = Command::new("/usr/bin/env");
    careless.arg("--ignore-signal=CHLD").arg(well.get_program()).arg("check");
    careless.env_clear().envs(well.get_envs().filter_map(|(name, value)| Some((name, value?))));
    careless.current_dir(well.get_current_dir().unwrap()).stdin(Stdio::null());
    let told = String::from_utf8(careless.output().unwrap().stdout).unwrap();
    for line in ["ok      codex: codex-cli 0.169.0", "ok      git: git version"] {
        assert!(told.contains(line), "{told}");
    }
}
