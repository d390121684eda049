//! What tests of engines share that start tasks elsewhere: daemons of a test's own on loopback, with
//! all that they write in the test's directory, and a server that has no view of their processes.

use crate::harm::fields;
use crate::look::quoted_path;
use crate::real::{Real, a_sleep, body, sleepers};
use crate::repo::Repo;
use crate::support::*;
use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;

/// What an engine's own processes have in their environment, with the test's directory behind it.
const MARK: &str = "ENGINE_OF=";

/// The programs of these names, unless one of them is not there: the test is skipped then.
pub fn programs<const N: usize>(names: [&str; N]) -> Option<[PathBuf; N]> {
    let path = std::env::var("PATH").unwrap() + ":/usr/local/sbin:/usr/sbin:/sbin";
    let find = |name: &&str| {
        let mut all = path.split(':').map(|place| Path::new(place).join(name));
        all.find(|program| program.is_file())
    };
    let found = names.each_ref().map(find);
    if let Some(at) = found.iter().position(Option::is_none) {
        let name = names[at];
        assert!(std::env::var_os("CODEX_SWARM_REQUIRE_ENGINES").is_none(), "no {name} here");
        eprintln!("skipped: there is no {name} here");
        return None;
    }
    Some(found.map(Option::unwrap))
}

/// What a command prints, which must end well.
pub fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// A port of loopback that nobody has. It is below those that the kernel gives out by itself, so that
/// it is still free when the daemon takes it.
pub fn port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // the tests of another run begin elsewhere
    let first = u16::try_from(std::process::id() % 2000).unwrap() * 10;
    until("a free port", || {
        let port = 10_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        TcpListener::bind(("127.0.0.1", port)).is_ok().then_some(port)
    })
}

/// A directory of the user's alone.
pub fn private(dir: &Dir, name: &str) -> PathBuf {
    let path = dir.path(name);
    fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
    path
}

/// The daemons of an engine; they end with this.
pub struct Daemons {
    /// In the order in which they were started.
    children: Vec<Child>,
    /// Where they say what they do.
    log: PathBuf,
    /// What they and what they have started have in their environment.
    mark: String,
}

impl Daemons {
    /// None yet.
    pub fn new(dir: &Dir) -> Daemons {
        let mark = format!("{MARK}{}", dir.path("").display());
        Daemons { children: Vec::new(), log: dir.path("daemons"), mark }
    }

    /// Starts one, which stays in the foreground.
    pub fn start<S: AsRef<OsStr>>(&mut self, program: &Path, words: &[S]) -> u32 {
        let log = fs::File::options().create(true).append(true).open(&self.log).unwrap();
        let (name, value) = self.mark.split_once('=').unwrap();
        let mut command = Command::new(program);
        command.args(words).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env(name, value).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap();
        let pid = child.id();
        self.children.push(child);
        pid
    }

    /// Waits until they do what they are for.
    pub fn ready(&mut self, mut look: impl FnMut() -> bool) {
        until("the engine", || {
            for child in &mut self.children {
                let ended = child.try_wait().unwrap();
                let said = || fs::read_to_string(&self.log).unwrap_or_default();
                assert!(ended.is_none(), "a daemon has ended: {}", said());
            }
            look().then_some(())
        });
    }
}

impl Drop for Daemons {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if !thread::panicking() {
            gone(&self.mark);
        }
    }
}

/// A codex that says nothing more and reads nothing, so that it does not notice that nobody listens,
/// and runs until it is ended.
pub const STUCK: &str = "begin\nrun cargo test\nmark stuck\nwait-for never";

/// Starts one, perhaps after more lines, and waits until it is stuck and all it has said is known.
pub fn stuck(server: &mut Server<'_>, before: &str) -> String {
    let id = server.launch(&format!("{before}{STUCK}"));
    server.dir.marked("stuck");
    until("what it has said", || {
        (maybe_field(&server.status(&id), "Tools called") == Some("1")).then_some(())
    });
    fs::remove_file(server.dir.path("out/stuck")).unwrap();
    id
}

/// Has the real Codex do there what it does here: work in a worktree, go on with a thread, and end with
/// all that it has started.
pub fn the_real_codex_works(real: &Real, server: &mut Server<'_>) {
    let dir = &real.dir;
    let repo = Repo::new(dir, "repo");
    let cwd = quoted_path(&repo.path);
    let more = format!(r#""cwd":{cwd},"worktree":true,"sandbox":"workspace-write""#);
    let text = server.ok("codex", &prompt_and("run: echo there > made\nsay: one", &more));
    assert_eq!(answer(&text), "one");
    let branch = format!("codex-swarm/{}", task_id(&text));
    assert_eq!(repo.text(&branch, "made"), "there\n");

    let reply = prompt_and("say: two", &format!(r#""threadId":"{}""#, thread_id(&text)));
    let text = server.ok("codex_reply", &reply);
    assert_eq!(answer(&text), "two");
    let sent = real.last_sent(thread_id(&text));
    assert!(body::has(&sent, "assistant", "one"));
    assert_eq!(body::turn(&sent).str_at("sandbox_mode"), "workspace-write");

    let length = a_sleep(std::process::id());
    let script = format!("run: sleep {length} & setsid sleep {length} & sleep {length}");
    let id = server.launch_with(&prompt_and(&script, r#""sandbox":"danger-full-access""#));
    until("all sleepers", || (sleepers(&length) == 3).then_some(()));
    let text = server.ok("codex_cancel", &ids(&[&id]));
    assert!(text.contains(&format!("Task {id} is cancelled")), "{text}");
    assert!(!text.contains("may be left"), "{text}");
    until("their end", || (sleepers(&length) == 0).then_some(()));
    gone(&mark_of(&id));
}

/// The processes of this name that carry the task's mark.
pub fn launchers(id: &str, name: &str) -> Vec<u32> {
    let pid = |line: String| {
        let (process, words) = line.strip_prefix("/proc/")?.split_once(' ')?;
        let program = words.split(' ').next()?;
        (program.rsplit('/').next()? == name).then(|| process.parse().ok())?
    };
    let found: Vec<u32> = processes_with(&mark_of(id)).into_iter().filter_map(pid).collect();
    assert!(!found.is_empty(), "{id} has no {name}");
    found
}

/// Who has started a process.
pub fn parent(of: u32) -> u32 {
    fields(&fs::read(format!("/proc/{of}/stat")).unwrap())[1].parse().unwrap()
}

/// The processes that this process has started, and those in turn.
pub fn descendants(of: u32) -> Vec<u32> {
    let all: Vec<(u32, u32)> = each_process("stat")
        .into_iter()
        .filter_map(|(path, stat)| {
            let pid = path.file_name()?.to_str()?.parse().ok()?;
            Some((pid, fields(&stat).get(1)?.parse().ok()?))
        })
        .collect();
    let mut found = vec![of];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(all.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| pid));
        at += 1;
    }
    found.split_off(1)
}

/// A server with these flags that sees no processes but its own, as if the engine's were on another
/// machine: it can end nothing there by itself. Where that cannot be had the test goes on without.
pub fn server_apart<'d>(
    dir: &'d Dir,
    codex: &Path,
    flags: &[&str],
    more: &[(&str, &Path)],
) -> Server<'d> {
    // The shell takes in what is left behind by its parent, as pid 1 has to.
    let words = ["--user", "--map-current-user", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let tried = Command::new("unshare").args(words).arg("true").output();
    let apart = tried.is_ok_and(|tried| tried.status.success());
    let plain = dir.command();
    let mut command = Command::new(if apart { "unshare" } else { "/bin/sh" });
    if apart {
        command.args(words).arg("/bin/sh");
    } else {
        eprintln!("the server of this test sees all processes: there is no unshare(1) that works");
    }
    command.args(["-c", "\"$@\"; exit $?", "sh"]);
    command.arg(plain.get_program()).arg("--codex").arg(codex).args(flags).env_clear();
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.envs(more.iter().copied()).current_dir(plain.get_current_dir().unwrap());
    let mut server = Server::spawn(dir, command);
    server.initialize();
    server
}
