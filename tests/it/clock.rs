//! A clock that jumps while tasks run: no timer goes by it, no outcome changes, nothing is lost.

use crate::support::*;
use std::fs;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// A wrong clock, as C.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/clock.c");

const DAY: i64 = 86_400;

/// A server whose clock can be set, and whose tasks' supervisors go by the same one. `None` where
/// that cannot be had.
fn server_with_clock<'d>(dir: &'d Dir, flags: &[&str]) -> Option<Server<'d>> {
    let library = dir.path("clock.so");
    if !library.exists() {
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]).args([library.as_os_str(), SOURCE.as_ref()]);
        if !compiler.output().is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: no C compiler for the wrong clock");
            return None;
        }
        set_clock(dir, 0);
    }
    let mut command = dir.command();
    command.env("LD_PRELOAD", library).env("CLOCK_OFFSET", dir.path("offset"));
    command.args(["--codex", STANDIN]).args(flags);
    let mut server = Server::spawn(dir, command);
    server.initialize();
    Some(server)
}

/// Sets the clock of all those servers: so many seconds from the right time.
fn set_clock(dir: &Dir, seconds: i64) {
    dir.write("offset.part", &seconds.to_string());
    fs::rename(dir.path("offset.part"), dir.path("offset")).unwrap();
}

/// How far a moment in a task's record is from the right time, in seconds.
fn deviation(dir: &Dir, id: &str, moment: &str) -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    dir.record(id).at(moment).as_f64().unwrap() - now
}

/// Whether this machine's programs can be given a wrong clock at all: not those linked statically.
fn takes_effect(dir: &Dir, server: &mut Server<'_>) -> bool {
    set_clock(dir, DAY);
    let id = task_id(&server.ok("codex", r#"{"prompt":"x"}"#));
    let wrong = deviation(dir, &id, "started_at");
    set_clock(dir, 0);
    if wrong < 3600.0 {
        eprintln!("skipped: the clock cannot be made wrong here");
    }
    wrong > 3600.0
}

#[test]
fn a_clock_that_jumps_ends_no_wait_and_no_task_and_hides_none() {
    let dir = Dir::new();
    let flags = ["--task-timeout", "3600", "--max-parallel", "1"];
    let Some(mut server) = server_with_clock(&dir, &flags) else { return };
    if !takes_effect(&dir, &mut server) {
        return;
    }
    let mut number = 0;
    for jump in [400 * DAY, -400 * DAY, -80 * 365 * DAY] {
        number += 1;
        set_clock(&dir, 0);
        let lines = format!(
            "begin\nmark on{number}\nwait-for go{number}\nrun ls\nwait-for end{number}\nsay x\ndone"
        );
        let runs = server.launch(&lines);
        dir.marked(&format!("on{number}"));
        let queued = server.launch("begin\nsay y\ndone");
        let wait = format!(r#"{{"task_ids":["{runs}","{queued}"],"timeout":3600}}"#);
        let wait = server.begin("codex_wait", &wait);
        server.silent_about(&[wait]);
        set_clock(&dir, jump);
        let later = server.launch("begin\nsay z\ndone");
        let mut second = server_with_clock(&dir, &flags).unwrap();
        for server in [&mut server, &mut second] {
            let status = server.status(&runs);
            assert!(field(&status, "Phase") == "running", "{jump}: {status}");
            let status = server.status(&queued);
            assert!(field(&status, "Phase") == "queued", "{jump}: {status}");
        }
        server.silent_about(&[wait]);
        // its supervisor has something to do while the clock is wrong
        dir.open(&format!("go{number}"));
        until("what it did", || field(&server.status(&runs), "Tools called").eq("1").then_some(()));
        dir.open(&format!("end{number}"));
        let text = text_of(&server.result(wait));
        let all = [(&runs, "\nx\n"), (&queued, "\ny\n")];
        for (id, said) in all {
            let part = section(&text, id);
            assert!(part.contains("(completed in ") && part.contains(said), "{jump}: {part}");
        }
        let text = server.wait(&[&later]);
        assert!(text.contains("(completed in ") && text.contains("\nz\n"), "{jump}: {text}");
        // what just ended is told of, and by any server in the same way
        for server in [&mut server, &mut second] {
            let text = server.ok("codex_status", "{}");
            for id in [&runs, &queued, &later] {
                assert!(section(&text, id).contains("(COMPLETED in "), "{jump}: {text}");
            }
        }
    }
}

#[test]
fn records_of_any_time_are_told_of_and_none_is_cleaned_up_before_its_time() {
    let dir = Dir::new();
    let mut server = dir.server();
    let good = task_id(&server.ok("codex", r#"{"prompt":"x"}"#));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut planted = Vec::new();
    for (number, started, ended) in [
        // all of it in the future; ended before it began; as far away as can be
        (1, now + 1_000_000, now + 1_000_060),
        (2, now - 60, now - 1_000_000),
        (3, now + 1_000_000, now - 1),
        (4, 253_402_300_799, u64::MAX),
    ] {
        let id = format!("0000000{number}");
        let record = format!(
            r#"{{"task_id":"{id}","status":"completed","attached":false,"command":["codex"],"cwd":"/","settings":{{}},"started_at":{started},"completed_at":{ended},"exit_code":0}}"#
        );
        plant(&dir, &id, &record);
        planted.push(id);
    }
    let mut every: Vec<&str> = planted.iter().map(String::as_str).collect();
    every.push(&good);
    let text = server.wait(&every);
    let status = server.ok("codex_status", &ids(&every));
    for id in &every {
        assert!(section(&text, id).contains("(completed in "), "{text}");
        assert!(section(&status, id).contains("(COMPLETED in "), "{status}");
    }
    read_json(&server.read("codex-swarm:///tasks"));
    let mut clean_up = dir.command();
    let output = clean_up.arg("gc").output().unwrap();
    assert!(output.status.success());
    for id in every.iter().filter(|id| **id != "00000002") {
        assert!(dir.task_file(id, "meta").exists(), "{id} was cleaned up");
    }
}
