//! A real sshd on loopback as the launcher, with keys made for the test: what arrives there, what a
//! cancel does there, and a connection that is cut. Where OpenSSH is not there these tests say so and
//! pass, unless `CODEX_SWARM_REQUIRE_ENGINES` is set.

use crate::engines::*;
use crate::harm::{lives, signal};
use crate::many::program;
use crate::real::Real;
use crate::received::toml_string;
use crate::support::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A host to log in to without any question.
struct Sshd {
    /// What lets in.
    daemons: Daemons,
    /// The process that listens.
    pid: u32,
    /// The words of the launcher.
    launcher: String,
    /// The codex of that host.
    codex: PathBuf,
}

impl Sshd {
    /// Starts it in the test's directory.
    fn start(dir: &Dir) -> Option<Sshd> {
        let [sshd, keygen, ..] = programs(["sshd", "ssh-keygen", "ssh"])?;
        let place = private(dir, "ssh");
        let at = |name: &str| place.join(name).display().to_string();
        for name in ["host", "key"] {
            let words = ["-q", "-t", "ed25519", "-N", "", "-f", &at(name)];
            output(Command::new(&keygen).args(words));
        }
        let number = port();
        dir.write(
            "ssh/config",
            &format!(
                "ListenAddress 127.0.0.1:{number}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
                 UsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin yes\n\
                 KbdInteractiveAuthentication no\nMaxStartups 100\n",
                at("host"),
                at("key.pub"),
            ),
        );
        let host = fs::read_to_string(place.join("host.pub")).unwrap();
        let known = dir.write("ssh/known", &format!("[127.0.0.1]:{number} {host}"));
        if output(Command::new("id").arg("-u")) == "0" {
            // where root's sshd shuts itself in; what starts Debian's makes it too
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let mut daemons = Daemons::new(dir);
        let pid = daemons.start(&sshd, &["-D", "-e", "-f", &at("config")]);
        daemons.ready(|| std::net::TcpStream::connect(("127.0.0.1", number)).is_ok());
        let launcher = format!(
            "ssh -F /dev/null -o StrictHostKeyChecking=yes -o UserKnownHostsFile={} \
             -o BatchMode=yes -i {} -p {number} -T 127.0.0.1",
            known.display(),
            at("key"),
        );
        // Of the environment here nothing gets there.
        let out = dir.path("out").display().to_string();
        let text = format!("#!/bin/sh\nSTANDIN_OUT={out} exec {STANDIN} \"$@\"\n");
        let codex = program(dir, "codex over there", &text);
        Some(Sshd { daemons, pid, launcher, codex })
    }

    /// A server whose tasks run on that host.
    fn server<'d>(&self, dir: &'d Dir) -> Server<'d> {
        self.server_with(dir, "")
    }

    /// The same with more words for that host before codex.
    fn server_with<'d>(&self, dir: &'d Dir, more: &str) -> Server<'d> {
        let launcher = format!("{} {more}", self.launcher);
        server_apart(dir, &self.codex, &["--launcher", &launcher], &[])
    }

    /// Lets nobody in any more.
    fn close(&self) {
        signal("KILL", &[self.pid]);
        until("its end", || (!lives(self.pid)).then_some(()));
    }

    /// The processes that serve a connection.
    fn connections(&self) -> Vec<u32> {
        let found: Vec<u32> =
            descendants(self.pid).into_iter().filter(|pid| serves(*pid)).collect();
        assert!(!found.is_empty(), "there is no connection");
        found
    }
}

/// Whether a process serves a connection.
fn serves(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"sshd: "))
}

/// Cuts connections; what was started through them stays.
fn cut(connections: Vec<u32>) {
    let serving: Vec<u32> = connections.into_iter().filter(|pid| serves(*pid)).collect();
    signal("KILL", &serving);
}

#[test]
fn what_is_said_to_codex_and_what_it_says_pass_through_ssh_whole() {
    let dir = Dir::new();
    let Some(mut host) = Sshd::start(&dir) else { return };
    let mut server = host.server(&dir);
    let values = [
        "two  words",
        "a \"quote\", a 'tick', both '\"'\"",
        "$HOME ${HOME} $(date) `date` !! * ? [a-z] ~ # ; & | < > ( ) { }",
        "\\ and \\\\ and \\n",
        "a line\nand another\tand é 漢",
        " ",
        "",
    ];
    for value in values {
        let lines = format!("begin\nbig 300000 y\n# {}\ndone", value.replace('\n', "\n# "));
        let more = format!(r#""config":{{"own":{}}}"#, quoted(value));
        let text = server.ok("codex", &script_and(&lines, &more));
        assert!(answer(&text).contains(&"y".repeat(1000)), "{}", abridged(&text));
        let received = dir.received(&task_id(&text));
        assert_eq!(toml_string(received.config("own").unwrap()), value);
        assert_eq!(received.stdin, format!("#standin\n{lines}").as_bytes());
        assert_eq!(received.options("cd"), [dir.path("work").to_str().unwrap()]);
        assert!(received.env.lines().any(|line| line.starts_with("SSH_CONNECTION=")));
    }
    // A failure is told as here.
    let failed = server.call("codex", &script("begin\nstderr Error: out of paper\nexit 7"));
    assert!(is_error(&failed) && text_of(&failed).contains("out of paper"), "{}", text_of(&failed));
    host.daemons.ready(|| true);
}

#[test]
fn the_real_codex_works_behind_ssh() {
    let Some(real) = Real::new() else { return };
    let Some(host) = Sshd::start(&real.dir) else { return };
    // nothing of the environment here gets there
    let home = real.dir.path("codex-home");
    let path = std::env::var("PATH").unwrap();
    let launcher = format!("{} env CODEX_HOME={} PATH={path}", host.launcher, home.display());
    let flags = ["--launcher", &launcher, "--skip-git-repo-check"];
    the_real_codex_works(&real, &mut server_apart(&real.dir, &real.codex, &flags, &[]));
}

#[test]
fn a_cancel_reaches_what_runs_behind_ssh() {
    let dir = Dir::new();
    let Some(host) = Sshd::start(&dir) else { return };
    let mut server = host.server(&dir);
    // what is left behind is not in its session
    for before in ["", "leave-sleeper setsid\n", "trap-int\n"] {
        let id = stuck(&mut server, before);
        let bystander = server.launch("begin\nmark on\nwait-for go\nsay unharmed\ndone");
        dir.marked("on");
        server.ok("codex_cancel", &ids(&[&id]));
        let told = server.wait(&[&id]);
        assert!(section(&told, &id).contains("(cancelled "), "{told}");
        assert!(!told.contains("may be left"), "{told}");
        gone(&mark_of(&id));
        dir.open("go");
        let told = server.wait(&[&bystander]);
        assert!(told.contains("(completed in ") && told.contains("unharmed"), "{told}");
        for name in ["on", "go"] {
            fs::remove_file(dir.path("out").join(name)).unwrap();
        }
    }
}

#[test]
fn a_connection_that_is_cut_fails_the_task_and_leaves_nothing_running() {
    let dir = Dir::new();
    let Some(host) = Sshd::start(&dir) else { return };
    let mut server = host.server(&dir);
    let id = stuck(&mut server, "leave-sleeper setsid\n");
    cut(host.connections());
    let told = server.wait(&[&id]);
    let part = section(&told, &id);
    assert!(part.contains("(failed in ") && part.contains("closed by remote host"), "{part}");
    assert_eq!(dir.record(&id).str_at("status"), "failed");
    gone(&mark_of(&id));
    let (_, part) = server.run("begin\nsay back\ndone");
    assert!(part.contains("(completed in ") && part.contains("back"), "{part}");
}

#[test]
fn a_supervisor_that_is_killed_leaves_nothing_running_behind_ssh() {
    let dir = Dir::new();
    let Some(host) = Sshd::start(&dir) else { return };
    let mut server = host.server(&dir);
    let id = stuck(&mut server, "");
    signal("KILL", &[parent(launchers(&id, "ssh")[0])]);
    let told = server.wait(&[&id]);
    assert!(section(&told, &id).contains("(failed in "), "{told}");
    gone(&mark_of(&id));
}

#[test]
fn tasks_that_are_cancelled_while_they_start_leave_nothing_behind_ssh() {
    let dir = Dir::new();
    let Some(host) = Sshd::start(&dir) else { return };
    let mut server = host.server(&dir);
    for count in 1..4 {
        let tasks: Vec<String> = (0..count).map(|_| server.launch(STUCK)).collect();
        let all: Vec<&str> = tasks.iter().map(String::as_str).collect();
        server.ok("codex_cancel", &ids(&all));
        assert_eq!(server.wait(&all).matches("(cancelled ").count(), count);
        for id in all {
            gone(&mark_of(id));
        }
    }
}

#[test]
fn what_can_not_be_ended_behind_ssh_is_told() {
    let dir = Dir::new();
    let Some(host) = Sshd::start(&dir) else { return };
    let mut server = host.server(&dir);
    let cancelled = stuck(&mut server, "");
    let lost = server.launch("begin\nmark on\nwait-for never");
    dir.marked("on");
    let connections = host.connections();
    host.close();
    server.ok("codex_cancel", &ids(&[&cancelled]));
    cut(connections);
    let told = server.wait(&[&cancelled, &lost]);
    for (id, verdict) in [(cancelled, "(cancelled "), (lost, "(failed in ")] {
        let part = section(&told, &id);
        assert!(part.contains(verdict), "{part}");
        assert!(part.contains("something may be left on 127.0.0.1"), "{part}");
        let pid = |line: String| line.strip_prefix("/proc/")?.split(' ').next()?.parse().ok();
        let left: Vec<u32> = processes_with(&mark_of(&id)).into_iter().filter_map(pid).collect();
        signal("KILL", &left);
    }
}

#[test]
fn words_for_the_host_may_name_the_directory() {
    let dir = Dir::new();
    let Some(host) = Sshd::start(&dir) else { return };
    let mut server = host.server_with(&dir, "cd {cwd} '&&'");
    let cwd = dir.make("work/it's \"over\" $there");
    let text = server.ok("codex", &prompt_and("x", &format!(r#""cwd":{}"#, quoted_path(&cwd))));
    let id = task_id(&text);
    assert_eq!(dir.received(&id).cwd, cwd);
    let status = server.status(&id);
    assert_eq!(field(&status, "Launcher"), "default (127.0.0.1)", "{status}");
}

#[test]
fn a_host_that_does_not_let_in_fails_the_task_in_the_words_of_ssh() {
    let dir = Dir::new();
    let Some(host) = Sshd::start(&dir) else { return };
    let mut server = host.server(&dir);
    dir.write("ssh/key.pub", "");
    let (id, part) = server.run("begin\nsay never\ndone");
    assert!(part.contains("(failed in ") && part.contains("Permission denied"), "{part}");
    assert!(!Path::new(&dir.path("out").join(format!("{id}.argv"))).exists());
}

#[test]
fn a_codex_that_does_not_end_after_its_turn_is_ended_there_too() {
    let dir = Dir::new();
    let Some(host) = Sshd::start(&dir) else { return };
    let mut server = host.server(&dir);
    let after = ["begin\nsay done it\ndone", "begin\nfail out of paper"];
    for (verdict, lines) in ["(completed in ", "(failed in "].into_iter().zip(after) {
        for is_cut in [false, true] {
            let id = server.launch(&format!("{lines}\nmark stuck\nwait-for never"));
            dir.marked("stuck");
            until("its last event", || {
                let said = fs::read_to_string(dir.path(&format!("tasks/{id}.stdout")));
                let last = said.ok()?.lines().last()?.to_owned();
                (last.contains("turn.completed") || last.contains("turn.failed")).then_some(())
            });
            if is_cut {
                cut(host.connections());
            } else {
                server.ok("codex_cancel", &ids(&[&id]));
            }
            let told = server.wait(&[&id]);
            let verdict = if is_cut || verdict != "(failed in " { verdict } else { "(cancelled " };
            assert!(section(&told, &id).contains(verdict), "{told}");
            gone(&mark_of(&id));
            fs::remove_file(dir.path("out/stuck")).unwrap();
        }
    }
}

#[test]
fn what_starts_ssh_changes_nothing_there() {
    let dir = Dir::new();
    let Some(host) = Sshd::start(&dir) else { return };
    let launcher = format!("nice -n 3 {}", host.launcher);
    let mut server = server_apart(&dir, &host.codex, &["--launcher", &launcher], &[]);
    let value = "two words; $(touch $STANDIN_OUT/run)";
    let more = format!(r#""config":{{"own":{}}}"#, quoted(value));
    let id = task_id(&server.ok("codex", &script_and("begin\ndone", &more)));
    assert_eq!(toml_string(dir.received(&id).config("own").unwrap()), value);
    assert!(!dir.path("out/run").exists());
    let id = stuck(&mut server, "");
    let told = server.ok("codex_cancel", &ids(&[&id]));
    assert!(told.contains("none of its processes is left"), "{told}");
    gone(&mark_of(&id));
    assert_eq!(field(&server.status(&id), "Launcher"), "default (127.0.0.1)");
}
