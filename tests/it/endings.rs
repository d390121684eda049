//! How the server ends, what goes on without it, and what a later server makes of that.

use crate::support::*;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The three ways in which a client ends a server.
fn tell_to_end(server: &mut Server<'_>, how: &str) {
    match how {
        "EOF" => server.hang_up(),
        signal => server.signal(signal),
    }
}

/// Starts a stubborn sync task and an async one, ends the server, and looks at what is left.
fn sync_tasks_end_and_async_ones_go_on(how: &str) {
    let dir = Dir::new();
    let mut server = dir.server();
    server.begin(
        "codex",
        &script("trap-int\nbegin\nleave-sleeper setsid\nmark sync\nwait-for never"),
    );
    dir.marked("sync");
    let sync = running_task(&mut server);
    let other =
        server.launch("begin\nsay before\nmark async\nwait-for go\nsay after\ndone\nexit 0");
    dir.marked("async");
    let begin = Instant::now();
    tell_to_end(&mut server, how);
    assert_eq!(server.ended().code(), Some(0));
    // It does not stay for the two seconds that the stubborn one takes.
    assert!(begin.elapsed() < Duration::from_millis(1500), "{:?}", begin.elapsed());
    gone(&mark_of(&sync));

    let mut next = dir.server();
    until("the record of the sync one", || {
        (dir.record(&sync).str_at("status") == "cancelled").then_some(())
    });
    assert!(next.status(&sync).contains("(CANCELLED after "));
    let status = next.status(&other);
    assert!(status.contains(" elapsed)"), "{status}");
    dir.open("go");
    let waited = next.wait(&[&other]);
    assert!(waited.contains("(completed in ") && waited.contains("after"), "{waited}");
}

#[test]
fn at_the_end_of_stdin_sync_tasks_end_and_async_ones_go_on() {
    sync_tasks_end_and_async_ones_go_on("EOF");
}

#[test]
fn at_sigint_sync_tasks_end_and_async_ones_go_on() {
    sync_tasks_end_and_async_ones_go_on("INT");
}

#[test]
fn at_sigterm_sync_tasks_end_and_async_ones_go_on() {
    sync_tasks_end_and_async_ones_go_on("TERM");
}

#[test]
fn at_the_end_of_stdin_the_tasks_of_a_batch_end() {
    let dir = Dir::new();
    let mut server = dir.server();
    let task = |n: u32| script(&format!("begin\nmark on{n}\nwait-for never"));
    server.begin("codex_batch", &format!(r#"{{"tasks":[{},{}]}}"#, task(1), task(2)));
    dir.marked("on1");
    dir.marked("on2");
    server.end();
    gone(&dir.marker());
    let status = dir.server().ok("codex_status", "{}");
    assert_eq!(status.matches("(CANCELLED after ").count(), 2, "{status}");
}

#[test]
fn a_crash_of_the_server_ends_its_sync_tasks_too() {
    let dir = Dir::new();
    let mut server = dir.server();
    server
        .begin("codex", &script("trap-int\nbegin\nleave-sleeper setsid\nmark on\nwait-for never"));
    dir.marked("on");
    let id = running_task(&mut server);
    server.crash();
    gone(&mark_of(&id));
    assert!(dir.server().wait(&[&id]).contains("(cancelled "));
}

#[test]
fn an_idle_server_ends_at_once_and_well_however_it_is_told() {
    let dir = Dir::new();
    for how in ["EOF", "INT", "TERM"] {
        let mut server = dir.server();
        tell_to_end(&mut server, how);
        assert_eq!(server.ended().code(), Some(0));
    }
}

#[test]
fn a_client_that_reads_no_more_ends_the_server_well() {
    let dir = Dir::new();
    let mut command = dir.command();
    let mut child = command
        .args(["--codex", STANDIN])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    let ping = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n";
    std::io::Write::write_all(&mut stdin, ping.as_bytes()).unwrap();
    let status = until("the server's end", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_task_outlives_a_crashed_server_and_the_next_one_gets_its_true_exit_status() {
    let dir = Dir::new();
    for (lines, verdict, exit) in [
        ("begin\nsay late\nexit 3", "failed", 3),
        ("begin\nsay late\ndone\nexit 0", "completed", 0),
        ("kill-self KILL", "failed", -9),
    ] {
        let mut server = dir.server();
        let gate = format!("go{exit}");
        let id = server.launch(&format!("run one\nmark on{exit}\nwait-for {gate}\n{lines}"));
        dir.marked(&format!("on{exit}"));
        server.crash();

        let mut next = dir.server();
        until("the task and its tool in the status", || {
            let status = next.status(&id);
            assert!(status.contains(" elapsed)"), "{status}");
            (field(&status, "Tools called") == "1").then_some(())
        });
        let text = next.ok("codex_wait", &format!(r#"{{"task_ids":["{id}"],"timeout":0}}"#));
        assert!(text.contains("STILL RUNNING"), "{text}");
        let wait = next.begin("codex_wait", &ids(&[&id]));
        next.silent_about(&[wait]);
        dir.open(&gate);
        let text = text_of(&next.result(wait));
        assert!(section(&text, &id).contains(&format!("({verdict} in ")), "{text}");
        let record = dir.record(&id);
        assert_eq!(record.at("exit_code").as_i64(), Some(exit));
        assert!(record.find("inferred").is_none_or(|inferred| inferred.as_bool() != Some(true)));
    }
}

#[test]
fn a_task_that_ended_while_no_server_ran_is_told_by_the_next_one() {
    let dir = Dir::new();
    let mut server = dir.server();
    let id = server.launch("begin\nmark on\nwait-for go\nsay alone\ndone\nexit 0");
    dir.marked("on");
    server.end();
    dir.open("go");
    until("its end", || (dir.record(&id).str_at("status") == "completed").then_some(()));
    let mut next = dir.server();
    assert!(next.wait(&[&id]).contains("alone"));
}

#[test]
fn a_task_of_another_server_can_be_waited_for_and_cancelled() {
    let dir = Dir::new();
    let (mut one, mut two) = (dir.server(), dir.server());
    let ends = one.launch("begin\nmark on\nwait-for go\nexit 3");
    let stuck = one.launch("trap-int\nbegin\nmark stuck\nleave-sleeper setsid\nwait-for never");
    dir.marked("on");
    dir.marked("stuck");
    let wait = two.begin("codex_wait", &ids(&[&ends]));
    two.silent_about(&[wait]);
    dir.open("go");
    let text = text_of(&two.result(wait));
    assert!(text.contains("(failed in ") && text.contains('3'), "{text}");
    assert!(one.wait(&[&ends]).contains("(failed in "));
    two.ok("codex_cancel", &format!(r#"{{"task_id":"{stuck}"}}"#));
    for server in [&mut one, &mut two] {
        assert!(section(&server.wait(&[&stuck]), &stuck).contains("(cancelled "));
    }
    gone(&mark_of(&stuck));
}

#[test]
fn a_record_whose_supervisor_is_gone_gets_an_inferred_verdict() {
    // of an earlier boot of this machine, so that nothing of it can live
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let ours = format!(
        r#","attached":false,"supervisor_pid":4194302,"supervisor_start_time":1,"boot_id":"x","pid_namespace":"y","host":"{}""#,
        host.trim()
    );
    verdict_on_a_lost_task(&ours, true);
}

#[test]
fn a_record_of_the_python_package_is_judged_and_left_as_it_is() {
    verdict_on_a_lost_task("", false);
}

/// Plants records of tasks that nobody supervises any more, with more members, and has them judged.
/// `written`: the verdict stands in the record afterwards.
fn verdict_on_a_lost_task(more: &str, written: bool) {
    let dir = Dir::new();
    let mut server = dir.server();
    server.ok("codex", r#"{"prompt":"x"}"#);
    let completed = "{\"type\":\"turn.started\"}\n{\"type\":\"item.completed\",\"item\":{\"id\":\"item_0\",\"type\":\"agent_message\",\"text\":\"left behind\"}}\n{\"type\":\"turn.completed\",\"usage\":{}}\n";
    for (id, stdout, verdict) in [
        ("0000000a", completed, "completed"),
        ("0000000b", "{\"type\":\"turn.started\"}\n", "failed"),
        ("0000000c", "", "failed"),
    ] {
        dir.write(&format!("tasks/{id}.stdout"), stdout);
        let record = format!(
            r#"{{"task_id":"{id}","status":"running","pid":4194301,"pid_start_time":1,"command":["codex","exec"],"started_at":1795000000.5,"completed_at":null,"exit_code":null,"worktree_root":null,"worktree_path":null,"worktree_branch":null,"thread_id":null{more}}}"#
        );
        plant(&dir, id, &record);
        let text = server.wait(&[id]);
        assert!(text.contains(&format!("({verdict} ")), "{text}");
        assert!(verdict != "completed" || text.contains("left behind"), "{text}");
        let record = dir.record(id);
        assert_eq!(record.str_at("status"), if written { verdict } else { "running" });
        let inferred = record.find("inferred").and_then(crate::json::Value::as_bool);
        assert_eq!(inferred, written.then_some(true));
    }
}

#[test]
fn a_supervisor_that_is_killed_takes_codex_along_and_every_call_is_answered() {
    let dir = Dir::new();
    let mut server = dir.server();
    let lines = "begin\nsay half an answer\nwait-for go\nkill-supervisor\nwait-for never";
    let call = server.begin("codex", &script(lines));
    let sync = running_task(&mut server);
    let other = server.launch(lines);
    let wait = server.begin("codex_wait", &ids(&[&other, &sync]));
    for id in [&sync, &other] {
        until("what it said", || maybe_field(&server.status(id), "Output").map(drop));
    }
    dir.open("go");
    let waited = text_of(&server.result(wait));
    assert!(is_error(&server.result(call)));
    for id in [&sync, &other] {
        assert!(section(&waited, id).contains("(failed "), "{waited}");
        assert_eq!(dir.record(id).at("inferred").as_bool(), Some(true));
        gone(&mark_of(id));
    }
}

#[test]
fn a_wait_is_answered_even_if_the_supervisor_dies_the_moment_it_begins() {
    let dir = Dir::new();
    let mut server = dir.server();
    let id = server.launch("begin\nmark on\nwait-for go\nsay x\ndone");
    dir.marked("on");
    let real = dir.record(&id);
    for n in 0..400 {
        // A supervisor of our own, as far as a record tells, whose end we can time.
        let mut supervisor = Command::new("sleep").arg("60").spawn().unwrap();
        let line = fs::read_to_string(format!("/proc/{}/stat", supervisor.id())).unwrap();
        let start = line.rsplit_once(") ").unwrap().1.split(' ').nth(19).unwrap();
        let forged = format!("{n:08x}");
        let record = with_process(&real, supervisor.id(), Some(start)).to_json();
        plant(&dir, &forged, &record.replace(&id, &forged));
        let wait = server.begin("codex_wait", &ids(&[&forged]));
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_micros(8 * n) {
            std::hint::spin_loop();
        }
        supervisor.kill().unwrap();
        supervisor.wait().unwrap();
        let text = text_of(&server.result(wait));
        assert!(text.contains("(failed "), "{text}");
    }
    dir.open("go");
    server.wait(&[&id]);
}

#[test]
fn a_record_that_cannot_be_read_is_told_and_spoils_nothing_else() {
    let dir = Dir::new();
    let mut server = dir.server();
    let good = task_id(&server.ok("codex", r#"{"prompt":"x"}"#));
    for (id, record) in
        [("0000000a", ""), ("0000000b", "{\"task_id\":"), ("0000000c", "[]"), ("0000000d", "{}")]
    {
        plant(&dir, id, record);
        let text =
            server.ok("codex_wait", &format!(r#"{{"task_ids":["{id}","{good}"],"timeout":1}}"#));
        assert!(text.contains(id) && section(&text, &good).contains("(completed in "), "{text}");
    }
    let text = server.ok("codex_status", "{}");
    assert!(text.contains(&good), "{text}");
    read_json(&server.read("codex-swarm:///tasks"));
}
