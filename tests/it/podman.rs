//! Real containers as the place where codex runs: podman's own client, and docker's where that is there,
//! speak to a podman that serves both. What arrives there, what a cancel does there, and a client that
//! is killed. Where podman is not there these tests say so and pass, unless
//! `CODEX_SWARM_REQUIRE_ENGINES` is set; they do too where it cannot start even `true`.

use crate::engines::*;
use crate::harm::signal;
use crate::many::program;
use crate::received::toml_string;
use crate::support::*;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Runs its words in namespaces whose mounts end with them, and so all that the engine keeps and all that
/// it runs. crun knows either kind of control groups and no mixture; the containers here are in none.
const APART: &str = "umount /sys/fs/cgroup/unified 2> /dev/null; \
    for place in /run /dev/shm /var/lib /var/cache; do mount -t tmpfs none $place || exit 1; done; \"$@\"; exit $?";

/// Says why there is no engine: not every machine lets one start a container.
fn none(why: &str) -> Option<Podman> {
    eprintln!("skipped: podman starts nothing here: {}", why.trim_end());
    None
}

/// An engine with one image, which has nothing but names for what is mounted there.
struct Podman {
    /// The engine, and all that it starts.
    daemons: Daemons,
    /// Where it listens.
    socket: String,
    /// What every container gets.
    options: String,
    /// The codex of the containers.
    codex: PathBuf,
    /// docker's client is there too.
    has_docker: bool,
}

impl Podman {
    /// Starts it in the test's directory.
    fn start(dir: &Dir) -> Option<Podman> {
        let [unshare, ..] = programs(["unshare", "podman", "crun", "conmon", "catatonit", "tar"])?;
        let place = private(dir, "podman");
        let at = |name: &str| place.join(name).display().to_string();
        dir.write(
            "podman/containers",
            "[containers]\ndefault_ulimits=[\"nofile=1000:1000\",\"nproc=20000:20000\"]\n\
             cgroups=\"disabled\"\n[engine]\ncgroup_manager=\"cgroupfs\"\nevents_logger=\"none\"\n\
             runtime=\"crun\"\n",
        );
        let storage =
            "[storage]\ndriver=\"vfs\"\ngraphroot=\"/run/images\"\nrunroot=\"/run/running\"\n";
        dir.write("podman/storage", storage);
        let socket = format!("unix://{}", at("socket"));
        let mut words = vec!["--mount", "--pid", "--fork", "--mount-proc", "--kill-child"];
        if output(Command::new("id").arg("-u")) != "0" {
            words.extend(["--user", "--map-root-user"]);
        }
        words.extend(["sh", "-c", APART, "sh", "env"]);
        let variables = [
            ("HOME", ""),
            ("CONTAINERS_CONF", "containers"),
            ("CONTAINERS_STORAGE_CONF", "storage"),
        ];
        let variables = variables.map(|(name, file)| format!("{name}={}", at(file)));
        words.extend(variables.iter().map(String::as_str));
        words.push("podman");
        let mut info = Command::new(&unshare);
        info.args(&words).arg("info").env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        let info = info.output().unwrap();
        if !info.status.success() {
            return none(&String::from_utf8_lossy(&info.stderr));
        }
        words.extend(["system", "service", "--time=0", &socket]);
        let mut daemons = Daemons::new(dir);
        daemons.start(&unshare, &words);

        for name in ["usr", "tmp"] {
            dir.make(&format!("podman/root/{name}"));
        }
        for name in ["bin", "sbin", "lib", "lib64"] {
            symlink(format!("usr/{name}"), place.join("root").join(name)).unwrap();
        }
        let (root, image) = (at("root"), at("image"));
        output(Command::new("tar").args([
            "-C",
            &root,
            "--owner=0",
            "--group=0",
            "-cf",
            &image,
            ".",
        ]));

        let built = Path::new(STANDIN).parent().unwrap().display();
        let own = dir.path("").display().to_string();
        let own = own.trim_end_matches('/');
        let options = format!(
            "--init --network=none -v /usr:/usr:ro -v {built}:{built}:ro -v {own}:{own} \
             -e STANDIN_OUT={}",
            dir.path("out").display()
        );
        let text = format!("#!/bin/sh\nexec {STANDIN} \"$@\"\n");
        let codex = program(dir, "codex in there", &text);
        let path = std::env::var("PATH").unwrap();
        let has_docker = path.split(':').any(|place| Path::new(place).join("docker").is_file());
        let listens = place.join("socket");
        daemons.ready(|| UnixStream::connect(&listens).is_ok());
        let engine = Podman { daemons, socket, options, codex, has_docker };
        let tried = engine
            .say(&format!("import {image} box"))
            .and_then(|_| engine.say(&format!("run --rm {} box true", engine.options)));
        if let Err(why) = tried {
            return none(&why);
        }
        let started = engine.say(&format!("run -d --name there {} box sleep inf", engine.options));
        started.unwrap();
        Some(engine)
    }

    /// What one of its own commands prints, or says where it fails.
    fn say(&self, words: &str) -> Result<String, String> {
        let mut command = Command::new("podman");
        command.args(["--remote", "--url", &self.socket]).args(words.split(' '));
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = |text| String::from_utf8(text).unwrap().trim_end().to_owned();
        if output.status.success() { Ok(said(output.stdout)) } else { Err(said(output.stderr)) }
    }

    /// The clients that are there, up to their first word.
    fn clients(&self) -> Vec<String> {
        let mut all = vec![format!("podman --remote --url {}", self.socket)];
        if self.has_docker {
            all.push(format!("docker -H {}", self.socket));
        } else {
            eprintln!("skipped for docker: there is no client of it here");
        }
        all
    }

    /// The words that make a client start a container for each task, which carries its mark.
    fn run(&self, client: &str) -> String {
        format!(
            "{client} run -i --rm {} --name=t-{{task_id}} -e CODEX_SWARM_TASK={{task_id}} -w {{cwd}} box",
            self.options
        )
    }

    /// A server whose tasks these words start.
    fn server<'d>(&self, dir: &'d Dir, launcher: &str) -> Server<'d> {
        server_apart(dir, &self.codex, &["--launcher", launcher], &[])
    }

    /// Waits until no container is left but the one that was there.
    fn alone(&self) {
        until("the containers' end", || {
            let names = self.say("ps --all --format {{.Names}}").unwrap();
            (names == "there").then_some(())
        });
    }
}

/// The words that make a client start a task in the container that is there.
fn exec(client: &str) -> String {
    format!("{client} exec -i -w {{cwd}} there")
}

#[test]
fn what_is_said_to_codex_and_what_it_says_pass_into_a_container_whole() {
    let dir = Dir::new();
    let Some(mut engine) = Podman::start(&dir) else { return };
    let values = [
        "a \"quote\", a 'tick', both '\"'\"",
        "$HOME ${HOME} $(date) `date` !! * ? [a-z] ~ # ; & | < > ( ) { }",
        "\\ and \\\\ and \\n",
        "a line\nand another\tand é 漢",
        "",
    ];
    for client in engine.clients() {
        for (launcher, place) in [(engine.run(&client), ""), (exec(&client), " (there)")] {
            let mut server = engine.server(&dir, &launcher);
            let lines = values.join("\n").replace('\n', "\n# ");
            let lines = format!("begin\nbig 300000 y\n# {lines}\ndone");
            let own: Vec<String> = (0..)
                .zip(values)
                .map(|(n, value)| format!(r#""v{n}":{}"#, quoted(value)))
                .collect();
            let more = format!(r#""config":{{{}}}"#, own.join(","));
            let text = server.ok("codex", &script_and(&lines, &more));
            let id = task_id(&text);
            let said = fs::read_to_string(dir.path(&format!("tasks/{id}.stdout"))).unwrap();
            assert!(said.contains(&"y".repeat(300_000)), "{}", abridged(&said));
            let received = dir.received(&id);
            for (n, value) in (0..).zip(values) {
                assert_eq!(toml_string(received.config(&format!("v{n}")).unwrap()), value);
            }
            assert_eq!(received.stdin, format!("#standin\n{lines}").as_bytes());
            assert_eq!(received.cwd, dir.path("work"));
            assert!(received.env.lines().any(|line| line == mark_of(&id)));
            let status = server.status(&id);
            assert_eq!(field(&status, "Launcher"), format!("default{place}"));
            // A failure is told as here.
            let lines = "begin\nstderr Error: out of paper\nexit 7";
            let text = server.refused("codex", &script(lines));
            assert!(text.contains("out of paper"), "{text}");
        }
    }
    engine.alone();
    engine.daemons.ready(|| true);
}

#[test]
fn a_cancel_ends_what_runs_in_a_container() {
    let dir = Dir::new();
    let Some(engine) = Podman::start(&dir) else { return };
    for client in engine.clients() {
        for launcher in [engine.run(&client), exec(&client)] {
            let mut server = engine.server(&dir, &launcher);
            let tasks = ["", "leave-sleeper setsid\n", "trap-int\n"];
            // what stays until it is killed takes two seconds each
            let tasks = if client.starts_with("podman") { &tasks[..] } else { &tasks[..1] };
            let tasks: Vec<String> =
                tasks.iter().map(|before| stuck(&mut server, before)).collect();
            let all: Vec<&str> = tasks.iter().map(String::as_str).collect();
            server.ok("codex_cancel", &ids(&all));
            let told = server.wait(&all);
            assert_eq!(told.matches("(cancelled ").count(), all.len(), "{told}");
            assert!(!told.contains("may be left"), "{told}");
            for id in all {
                gone(&mark_of(id));
            }
            engine.alone();
        }
    }
}

#[test]
fn tasks_that_are_cancelled_while_they_start_leave_nothing_in_a_container() {
    let dir = Dir::new();
    let Some(engine) = Podman::start(&dir) else { return };
    for client in engine.clients() {
        for launcher in [engine.run(&client), exec(&client)] {
            let mut server = engine.server(&dir, &launcher);
            let tasks = [(); 3].map(|()| server.launch(STUCK));
            let all = tasks.each_ref().map(String::as_str);
            server.ok("codex_cancel", &ids(&all));
            let told = server.wait(&all);
            assert_eq!(told.matches("(cancelled ").count(), 3, "{told}");
            assert!(!told.contains("may be left"), "{told}");
            for id in all {
                gone(&mark_of(id));
            }
        }
    }
}

#[test]
fn a_supervisor_that_is_killed_leaves_nothing_running_in_a_container() {
    let dir = Dir::new();
    let Some(engine) = Podman::start(&dir) else { return };
    for client in engine.clients() {
        for launcher in [engine.run(&client), exec(&client)] {
            let mut server = engine.server(&dir, &launcher);
            let id = stuck(&mut server, "");
            let name = client.split(' ').next().unwrap();
            signal("KILL", &[parent(launchers(&id, name)[0])]);
            let told = server.wait(&[&id]);
            assert!(section(&told, &id).contains("(failed in "), "{told}");
            gone(&mark_of(&id));
            engine.alone();
        }
    }
}

#[test]
fn a_client_that_is_killed_leaves_nothing_running_behind_an_exec_and_is_told_of_else() {
    let dir = Dir::new();
    let Some(engine) = Podman::start(&dir) else { return };
    for client in engine.clients() {
        let name = client.split(' ').next().unwrap();
        for launcher in [exec(&client), engine.run(&client)] {
            let mut server = engine.server(&dir, &launcher);
            let id = stuck(&mut server, "");
            let runs = launcher.contains(" run ");
            signal("KILL", &launchers(&id, name));
            let told = server.wait(&[&id]);
            let part = section(&told, &id);
            assert!(part.contains("(failed in "), "{part}");
            assert_eq!(part.contains("may be left"), runs, "{part}");
            if runs {
                engine.say(&format!("rm --force --time 0 t-{id}")).unwrap();
            }
            gone(&mark_of(&id));
            engine.alone();
        }
    }
}

#[test]
fn a_container_that_is_not_there_fails_the_task_as_one_of_the_launcher() {
    let dir = Dir::new();
    let Some(engine) = Podman::start(&dir) else { return };
    for client in engine.clients() {
        for (launcher, codex, part) in [
            (exec(&client).replace("there", "gone"), engine.codex.as_path(), "no such container"),
            // podman's service does not always get its words for that to the client
            (exec(&client), Path::new("no-codex"), ""),
            (
                engine.run(&client).replace("--init", "--network=x"),
                engine.codex.as_path(),
                "network",
            ),
        ] {
            let mut server = server_apart(&dir, codex, &["--launcher", &launcher], &[]);
            let (_, told) = server.run("begin\nsay never\ndone");
            assert!(told.contains("(failed in ") && told.contains(part), "{told}");
            assert!(field(&told, "Category").starts_with("launcher"), "{launcher}: {told}");
        }
    }
}
