//! A real Slurm of one node as the launcher: its queue, its jobs, what a cancel does to them, and a
//! node that goes away. Where Debian's slurm-wlm and munge are not there these tests say so and pass,
//! unless `CODEX_SWARM_REQUIRE_ENGINES` is set.

use crate::engines::*;
use crate::harm::signal;
use crate::many::{Gate, errand, program, swift};
use crate::real::Real;
use crate::received::toml_string;
use crate::support::*;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// A cluster of this machine alone, for two tasks at a time.
struct Slurm {
    /// Its configuration, by which its commands find it.
    conf: PathBuf,
    /// munged, slurmctld and slurmd.
    _daemons: Daemons,
}

impl Slurm {
    /// Starts it in the test's directory.
    fn start(dir: &Dir) -> Option<Slurm> {
        let [munged, controller, node_daemon, ..] =
            programs(["munged", "slurmctld", "slurmd", "srun", "squeue", "scontrol", "scancel"])?;
        let place = private(dir, "slurm");
        // munged wants its socket to be reached by everybody
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
        let at = |name: &str| place.join(name).display().to_string();
        let key = dir.write("slurm/key", &format!("{:064}", std::process::id()));
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let hostname = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let host = hostname.trim_end().split('.').next().unwrap();
        let user = output(Command::new("id").arg("-un"));
        let (control, node) = (port(), port());
        let conf = dir.write(
            "slurm/slurm.conf",
            &format!(
                "ClusterName=it\nSlurmctldHost={host}(127.0.0.1)\nSlurmUser={user}\nSlurmdUser={user}\n\
                 AuthType=auth/munge\nAuthInfo=socket={}\nCredType=cred/munge\n\
                 SlurmctldPort={control}\nSlurmdPort={node}\nStateSaveLocation={}\nSlurmdSpoolDir={}\n\
                 SlurmctldPidFile={}\nSlurmdPidFile={}\nReturnToService=2\nMailProg=/bin/true\n\
                 ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nMpiDefault=none\n\
                 SelectType=select/cons_tres\nSelectTypeParameters=CR_CPU\n\
                 JobAcctGatherType=jobacct_gather/none\nAccountingStorageType=accounting_storage/none\n\
                 SchedulerType=sched/builtin\nSchedulerParameters=sched_interval=1\nSlurmdParameters=config_overrides\n\
                 NodeName=far NodeHostname={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN\n\
                 PartitionName=all Nodes=far Default=YES State=UP MaxTime=INFINITE\n",
                at("munge"),
                at("state"),
                at("spool"),
                at("control.pid"),
                at("node.pid"),
            ),
        );
        for name in ["state", "spool"] {
            private(dir, &format!("slurm/{name}"));
        }
        let mut daemons = Daemons::new(dir);
        let munge = [
            ("--socket", "munge"),
            ("--key-file", "key"),
            ("--pid-file", "munged.pid"),
            ("--seed-file", "seed"),
        ];
        let munge = munge.map(|(flag, name)| format!("{flag}={}", at(name)));
        daemons.start(&munged, &[&["--foreground".to_owned()], &munge[..]].concat());
        daemons.ready(|| place.join("munge").exists());
        daemons.start(&controller, &[Path::new("-Dcf"), &conf]);
        daemons.start(&node_daemon, &[Path::new("-Df"), &conf]);
        let slurm = Slurm { conf, _daemons: daemons };
        slurm.comes_up();
        Some(slurm)
    }

    /// One of its commands.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).env("SLURM_CONF", &self.conf);
        command
    }

    /// Waits until the node takes jobs.
    fn comes_up(&self) {
        until("the node", || {
            let output = self.command(&["sinfo", "-h", "-o", "%T"]).output().unwrap();
            (output.stdout == b"idle\n").then_some(())
        });
    }

    /// The ids of the jobs in this state.
    fn jobs(&self, state: &str) -> Vec<String> {
        let mut command = self.command(&["squeue", "-h", "-o", "%i", "-t", state]);
        output(&mut command).lines().map(str::to_owned).collect()
    }

    /// Waits until so many jobs run and wait.
    fn has(&self, running: usize, pending: usize) {
        until("the jobs", || {
            let now = (self.jobs("RUNNING").len(), self.jobs("PENDING").len());
            (now == (running, pending)).then_some(())
        });
    }

    /// Takes the node away with all that runs on it, or gives it back.
    fn set(&self, state: &str) {
        let state = format!("state={state}");
        let words = ["scontrol", "update", "nodename=far", &state, "reason=rack on fire"];
        output(&mut self.command(&words));
    }

    /// A server whose tasks it runs.
    fn server<'d>(&self, dir: &'d Dir, codex: &Path) -> Server<'d> {
        self.server_with(dir, codex, "srun -n1")
    }

    /// The same with another launcher.
    fn server_with<'d>(&self, dir: &'d Dir, codex: &Path, launcher: &str) -> Server<'d> {
        server_apart(dir, codex, &["--launcher", launcher], &[("SLURM_CONF", &self.conf)])
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        // what is left of a job or a step would outlive the daemons
        let end = Instant::now() + Duration::from_secs(20);
        let states = "PENDING,RUNNING,COMPLETING";
        loop {
            let left = self.command(&["squeue", "-h", "-t", states]).output();
            let none_left = left.is_ok_and(|left| left.stdout.is_empty());
            // each has a socket there that is named after the node, the job and the step
            let mut spool = fs::read_dir(self.conf.with_file_name("spool")).unwrap().flatten();
            let is_step = |entry: fs::DirEntry| entry.file_name().as_bytes().starts_with(b"far_");
            if (none_left && !spool.any(is_step)) || Instant::now() > end {
                return;
            }
            if thread::panicking() {
                let _ = self.command(&["scancel", "--signal=KILL", "--state=RUNNING"]).status();
                let _ = self.command(&["scancel", "--state=PENDING"]).status();
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn twenty_tasks_on_two_slots_all_come_to_their_end_by_the_queue_of_slurm() {
    let dir = Dir::new();
    let Some(slurm) = Slurm::start(&dir) else { return };
    let mut server = slurm.server(&dir, &swift(&dir));
    dir.write("out/tickets", "1 2\n");
    let gate = Gate::new(&dir, "go");
    let tasks: Vec<String> = (0..20)
        .map(|n| server.launch_with(&errand(&format!("number-{n}"), 2, "go", "done")))
        .collect();
    slurm.has(2, 18);
    drop(gate);
    let all: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let told = server.wait(&all);
    for (n, id) in all.iter().enumerate() {
        let part = section(&told, id);
        let right =
            part.contains("(completed in ") && part.contains(&format!("this is number-{n}\n"));
        assert!(right, "{part}");
    }
    let too_many = fs::read_to_string(dir.path("out/too-many"));
    assert!(too_many.is_err(), "{too_many:?} was one too many");
}

#[test]
fn what_is_said_to_codex_and_what_it_says_pass_through_slurm_whole() {
    let dir = Dir::new();
    let Some(slurm) = Slurm::start(&dir) else { return };
    let mut server = slurm.server(&dir, Path::new(STANDIN));
    let long = "x".repeat(300_000);
    let lines = format!("begin\nbig 1000000 y\n# {long} 'é' \"$(date)\" \\\ndone");
    let value = "two  words, a \"quote\", a 'tick', $HOME `date` \\ and é";
    let more = format!(r#""config":{{"own":{}}}"#, quoted(value));
    let text = server.ok("codex", &script_and(&lines, &more));
    assert!(answer(&text).contains(&"y".repeat(1000)), "{}", abridged(&text));
    let id = task_id(&text);
    let received = dir.received(&id);
    assert_eq!(received.stdin, format!("#standin\n{lines}").as_bytes());
    assert_eq!(toml_string(received.config("own").unwrap()), value);
    assert!(received.env.lines().any(|line| line.starts_with("SLURM_JOB_ID=")), "it ran there");
    // A failure is told as here, with the exit status of codex.
    let failed = server.call("codex", &script("begin\nstderr Error: out of paper\nexit 7"));
    assert!(text_of(&failed).contains("out of paper"), "{}", text_of(&failed));
    assert!(is_error(&failed));
}

#[test]
fn the_real_codex_works_behind_slurm() {
    let Some(real) = Real::new() else { return };
    let Some(slurm) = Slurm::start(&real.dir) else { return };
    let home = real.dir.path("codex-home");
    let more = [("SLURM_CONF", &*slurm.conf), ("CODEX_HOME", &home)];
    let flags = ["--launcher", "srun -n1", "--skip-git-repo-check"];
    the_real_codex_works(&real, &mut server_apart(&real.dir, &real.codex, &flags, &more));
    slurm.has(0, 0);
}

#[test]
fn a_cancel_takes_the_job_out_of_slurm_whether_it_runs_or_waits() {
    let dir = Dir::new();
    let Some(slurm) = Slurm::start(&dir) else { return };
    let mut server = slurm.server(&dir, Path::new(STANDIN));
    let plain = stuck(&mut server, "");
    let stubborn = stuck(&mut server, "trap-int\nleave-sleeper setsid\n");
    let queued = server.launch(STUCK);
    slurm.has(2, 1);
    let [job] = slurm.jobs("PENDING").try_into().unwrap();
    let status = server.status(&queued);
    let waits = format!("default (job {job}), codex has not begun yet");
    assert_eq!(field(&status, "Launcher"), waits, "{status}");
    let running: BTreeSet<String> = slurm.jobs("RUNNING").into_iter().collect();
    // The one that waits goes, and the others do not notice.
    for (id, left) in [(&queued, 2), (&plain, 1), (&stubborn, 0)] {
        server.ok("codex_cancel", &ids(&[id]));
        let told = server.wait(&[id]);
        assert!(section(&told, id).contains("(cancelled "), "{told}");
        gone(&mark_of(id));
        slurm.has(left, 0);
        assert!(slurm.jobs("RUNNING").iter().all(|job| running.contains(job)));
    }
    assert!(!dir.path("out").join(format!("{queued}.argv")).exists(), "it was never started");
    // There is room again.
    let (_, part) = server.run("begin\nsay here\ndone");
    assert!(part.contains("(completed in ") && part.contains("here"), "{part}");
}

#[test]
fn a_cancel_takes_the_job_out_of_slurm_whatever_starts_srun() {
    let dir = Dir::new();
    let Some(slurm) = Slurm::start(&dir) else { return };
    let wrapper = program(&dir, "wrapper", "#!/bin/sh\nexec srun -n1 \"$@\"\n");
    for launcher in ["nice srun -n1", wrapper.to_str().unwrap()] {
        let mut server = slurm.server_with(&dir, Path::new(STANDIN), launcher);
        let id = stuck(&mut server, "");
        server.ok("codex_cancel", &ids(&[&id]));
        let told = server.wait(&[&id]);
        assert!(section(&told, &id).contains("(cancelled "), "{told}");
        gone(&mark_of(&id));
        slurm.has(0, 0);
    }
}

#[test]
fn a_cancel_takes_the_job_out_of_slurm_also_when_srun_was_asleep() {
    let dir = Dir::new();
    let Some(slurm) = Slurm::start(&dir) else { return };
    let mut server = slurm.server(&dir, Path::new(STANDIN));
    let id = stuck(&mut server, "");
    let srun = launchers(&id, "srun");
    signal("STOP", &srun);
    let call = server.begin("codex_cancel", &ids(&[&id]));
    // of two of a kind only one would be left when it wakes up, and one SIGINT is a question to it
    until("SIGTERM", || {
        let status = fs::read_to_string(format!("/proc/{}/status", srun[0])).unwrap();
        let pending = u64::from_str_radix(field(&status, "ShdPnd"), 16).unwrap();
        (pending & 1 << 14 != 0).then_some(())
    });
    signal("CONT", &srun);
    server.result(call);
    let told = server.wait(&[&id]);
    assert!(section(&told, &id).contains("(cancelled "), "{told}");
    gone(&mark_of(&id));
    slurm.has(0, 0);
}

#[test]
fn tasks_that_are_cancelled_while_they_start_leave_no_job() {
    let dir = Dir::new();
    let Some(slurm) = Slurm::start(&dir) else { return };
    let mut server = slurm.server(&dir, Path::new(STANDIN));
    for count in 1..6 {
        let tasks: Vec<String> = (0..count).map(|_| server.launch(STUCK)).collect();
        let all: Vec<&str> = tasks.iter().map(String::as_str).collect();
        server.ok("codex_cancel", &ids(&all));
        assert_eq!(server.wait(&all).matches("(cancelled ").count(), count);
        slurm.has(0, 0);
        for id in all {
            gone(&mark_of(id));
        }
    }
}

#[test]
fn a_supervisor_that_is_killed_leaves_no_job() {
    let dir = Dir::new();
    let Some(slurm) = Slurm::start(&dir) else { return };
    let mut server = slurm.server(&dir, Path::new(STANDIN));
    let id = stuck(&mut server, "");
    let srun = launchers(&id, "srun");
    signal("KILL", &[parent(srun[0])]);
    let told = server.wait(&[&id]);
    assert!(section(&told, &id).contains("(failed in "), "{told}");
    gone(&mark_of(&id));
    slurm.has(0, 0);
}

#[test]
fn a_call_that_its_client_gives_up_leaves_no_job() {
    let dir = Dir::new();
    let Some(slurm) = Slurm::start(&dir) else { return };
    let mut server = slurm.server(&dir, Path::new(STANDIN));
    let call = server.begin("codex", &script(STUCK));
    dir.marked("stuck");
    let id = running_task(&mut server);
    server.cancel(call, "the user has changed their mind");
    gone(&mark_of(&id));
    slurm.has(0, 0);
    server.silent_about(&[call]);
}

#[test]
fn a_node_that_goes_down_fails_the_task_with_the_reason() {
    let dir = Dir::new();
    let Some(slurm) = Slurm::start(&dir) else { return };
    let mut server = slurm.server(&dir, Path::new(STANDIN));
    let id = stuck(&mut server, "");
    slurm.set("down");
    let told = server.wait(&[&id]);
    let part = section(&told, &id);
    assert!(part.contains("(failed in ") && part.contains("Node failure on far"), "{part}");
    gone(&mark_of(&id));
    slurm.has(0, 0);
    slurm.comes_up();
    let (_, part) = server.run("begin\nsay back\ndone");
    assert!(part.contains("(completed in ") && part.contains("back"), "{part}");
}
