//! `cancel` at a terminal: tasks are told to end, whoever started them, and what became of each is said.

use crate::handles;
use crate::harm::{self, Verdict};
use crate::planted::*;
use crate::support::*;
use std::process::{Command, Output, Stdio};

/// How many seconds a line such as `1a2b3c4d cancelled after 5s` names; it must be one.
fn cancelled_after(line: &str, id: &str) -> u64 {
    let time = line.strip_prefix(id).and_then(|rest| rest.strip_prefix(" cancelled after "));
    let seconds = time.and_then(|time| time.strip_suffix('s')?.parse().ok());
    seconds.unwrap_or_else(|| panic!("{id}: {line}"))
}

/// Fails unless the lines say that exactly these tasks were cancelled.
fn all_cancelled(text: &str, ids: &[&str]) {
    assert_eq!(text.lines().count(), ids.len(), "{text}");
    for id in ids {
        let line = text.lines().find(|line| line.starts_with(id));
        cancelled_after(line.unwrap_or_else(|| panic!("{id} in {text}")), id);
    }
}

/// Fails unless these tasks are cancelled and nothing is left of them.
fn over(dir: &Dir, ids: &[&str]) {
    for id in ids {
        assert_eq!(dir.record(id).str_at("status"), "cancelled");
        gone(&mark_of(id));
    }
}

/// `cancel` with these words, while other things go on.
fn begin(dir: &Dir, words: &[&str]) -> std::process::Child {
    let mut command = dir.command();
    command.arg("cancel").args(words).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What became of it: its exit status, its output and its errors.
fn outcome(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_task_that_runs_is_cancelled_and_its_server_tells_so() {
    let dir = Dir::new();
    let mut server = dir.server();
    let id = server.launch("begin\nsay I began\nmark on\nwait-for never");
    dir.marked("on");
    all_cancelled(&told(&dir, &["cancel", &id]), &[&id]);
    over(&dir, &[&id]);
    let text = server.wait(&[&id]);
    assert_eq!(Verdict::told(&text, &id), Verdict::new("cancelled", None, false));
    // once more is no error
    assert_eq!(told(&dir, &["cancel", &id]), format!("{id} had been cancelled\n"));
}

#[test]
fn the_latest_is_meant_where_none_is_named() {
    let dir = Dir::new();
    let mut server = dir.server();
    let first = server.launch("begin\nmark one\nwait-for go\ndone");
    dir.marked("one");
    let second = server.launch("begin\nmark two\nwait-for never");
    dir.marked("two");
    all_cancelled(&told(&dir, &["cancel"]), &[&second]);
    assert_eq!(told(&dir, &["cancel", "-"]), format!("{second} had been cancelled\n"));
    assert_eq!(dir.record(&first).str_at("status"), "running");
    dir.open("go");
    server.wait(&[&first]);
    over(&dir, &[&second]);
}

#[test]
fn several_are_told_at_once_and_each_has_its_line() {
    let dir = Dir::new();
    let mut server = dir.server();
    let running: Vec<String> = (0..3)
        .map(|n| server.launch(&format!("begin\ntrap-int\nmark on{n}\nwait-for never")))
        .collect();
    let completed = server.run("begin\nsay x\ndone").0;
    let failed = server.run("begin\nfail no").0;
    for n in 0..3 {
        dir.marked(&format!("on{n}"));
    }
    let mut words = vec!["cancel", &completed];
    words.extend(running.iter().map(String::as_str));
    words.push(&failed);
    let text = told(&dir, &words);
    let mut others: Vec<&str> = text.lines().filter(|line| line.contains(" had ")).collect();
    others.sort_unstable();
    let mut expected = [format!("{completed} had completed"), format!("{failed} had failed")];
    expected.sort_unstable();
    assert_eq!(others, expected);
    for id in &running {
        let line = text.lines().find(|line| line.starts_with(id.as_str()));
        cancelled_after(line.unwrap_or_else(|| panic!("{id} in {text}")), id);
    }
    assert_eq!(text.lines().count(), 5, "{text}");
    over(&dir, &running.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn a_codex_that_does_not_listen_is_ended_all_the_same() {
    let dir = Dir::new();
    let mut server = dir.server();
    let id = server.launch("begin\ntrap-int\nleave-sleeper setsid\nmark on\nwait-for never");
    dir.marked("on");
    all_cancelled(&told(&dir, &["cancel", &id[..7]]), &[&id]);
    over(&dir, &[&id]);
}

#[test]
fn what_has_ended_is_said_to_have() {
    let dir = Dir::new();
    for (status, words) in [
        ("completed", "had completed"),
        ("failed", "had failed"),
        ("cancelled", "had been cancelled"),
    ] {
        task("0000000a", status).put(&dir);
        assert_eq!(told(&dir, &["cancel", "0000000a"]), format!("0000000a {words}\n"));
    }
}

#[test]
fn a_task_of_a_server_that_was_killed_is_cancelled() {
    let dir = Dir::new();
    let mut server = dir.server();
    let id = server.launch("begin\nmark on\nwait-for never");
    dir.marked("on");
    server.crash();
    all_cancelled(&told(&dir, &["cancel", &id]), &[&id]);
    over(&dir, &[&id]);
}

#[test]
fn a_task_whose_supervisor_was_killed_had_failed_and_nothing_of_it_lives_on() {
    let dir = Dir::new();
    let mut server = dir.server();
    let id = server.launch("begin\ntrap-int\nleave-sleeper setsid\nmark on\nwait-for never");
    dir.marked("on");
    server.crash();
    harm::kill_supervisor(&dir, &id);
    assert_eq!(told(&dir, &["cancel", &id]), format!("{id} had failed\n"));
    gone(&mark_of(&id));
}

#[test]
fn a_task_that_waits_for_its_turn_never_begins() {
    let dir = Dir::new();
    let mut server = dir.server_with(&["--max-parallel", "1"]);
    let first = server.launch("begin\nmark on\nwait-for go\ndone");
    dir.marked("on");
    let second = server.launch("begin\nmark late\ndone");
    until("its supervisor", || dir.record(&second).find("supervisor_pid").map(drop));
    all_cancelled(&told(&dir, &["cancel", &second]), &[&second]);
    dir.open("go");
    server.wait(&[&first, &second]);
    over(&dir, &[&second]);
    assert!(!dir.path("out/late").exists());
    assert_eq!(dir.record(&first).str_at("status"), "completed");
}

#[test]
fn a_task_out_of_reach_is_an_error_and_none_is_told() {
    let dir = Dir::new();
    let mut server = dir.server();
    let id = server.launch("begin\nmark on\nwait-for go\ndone");
    dir.marked("on");
    task("0000000a", "running").with(ELSEWHERE).put(&dir);
    for words in [&["0000000a"][..], &[&id, "0000000a"], &["0000000a", &id]] {
        let (code, text, errors) = outcome(begin(&dir, words).wait_with_output().unwrap());
        assert_eq!((code, text.as_str()), (Some(1), ""), "{words:?}: {errors}");
        assert!(errors.starts_with("codex-mcp-swarm: ") && errors.contains("0000000a"), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
    // a name that is none is an error as well, before anything is done
    let (code, text, _) = outcome(begin(&dir, &[&id, "zz"]).wait_with_output().unwrap());
    assert_eq!((code, text.as_str()), (Some(1), ""));
    dir.open("go");
    assert_eq!(Verdict::told(&server.wait(&[&id]), &id).status, "completed");
    assert_eq!(dir.record("0000000a").str_at("status"), "running");
}

#[test]
fn a_supervisor_that_does_not_end_within_ten_seconds_is_told_of() {
    let dir = Dir::new();
    let told = dir.path("told");
    // of the signals it hears, this one alone is what a supervisor is told with
    let script = format!(
        "trap ': > {0}' TERM; : > {0}-ready; while :; do read -r never; done",
        told.display()
    );
    let stand = Stand::supervising(&dir, "0000000a", &script);
    until("the trap", || dir.path("told-ready").exists().then_some(()));
    task("0000000a", "running").with(&stand.members()).put(&dir);
    task("0000000b", "completed").put(&dir);
    // one whose server lives and has not started a supervisor yet
    let server = stand.members().replace("supervisor_", "server_");
    task("0000000c", "queued").with(&server).put(&dir);
    let ids = ["cancel", "0000000b", "0000000a", "0000000c"];
    let (code, text, errors) = outcome(run(&dir, &ids));
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    let stays = "0000000a was told to end and has not ended yet";
    let untold = "0000000c has no supervisor that could be told to end; try again";
    assert_eq!(lines, [stays, "0000000b had completed", untold]);
    assert_eq!((code, errors.as_str()), (Some(1), ""));
    assert!(told.exists() && stand.lives());
}

#[test]
fn the_tasks_that_a_client_has_one_handle_for_are_cancelled_together() {
    let dir = Dir::new();
    let mut server = handles::at_once(&dir);
    let scripts = ["begin\nmark a\nwait-for never", "begin\nmark b\nwait-for never"];
    let both = handles::handle(&mut server, "codex_batch", &handles::batch(&scripts));
    let one = handles::handle(&mut server, "codex", &script("begin\nmark c\nwait-for go\ndone"));
    harm::all_marked(&dir, ["a", "b", "c"].map(str::to_owned));
    let ids: Vec<String> = handles::recorded(&dir);
    let ids: Vec<&str> =
        ids.iter().map(String::as_str).filter(|id| *id != handles::short(&one)).collect();
    assert_eq!(ids.len(), 2);
    all_cancelled(&told(&dir, &["cancel", &both]), &ids);
    over(&dir, &ids);
    dir.open("go");
    let text = told(&dir, &["wait", &one]);
    assert_eq!(handles::sections(&text), [handles::short(&one)]);
}

#[test]
fn two_may_cancel_the_same_task() {
    let dir = Dir::new();
    let mut server = dir.server();
    let id = server.launch("begin\ntrap-int\nmark on\nwait-for never");
    dir.marked("on");
    let both = [begin(&dir, &[&id]), begin(&dir, &[&id, &id])];
    for child in both {
        let (code, text, errors) = outcome(child.wait_with_output().unwrap());
        assert_eq!((code, errors.as_str()), (Some(0), ""), "{text}");
        for line in text.lines() {
            assert!(line == format!("{id} had been cancelled") || cancelled_after(line, &id) < 100);
        }
        assert!(!text.is_empty());
    }
    over(&dir, &[&id]);
}

#[test]
fn pids_that_could_hit_others_are_no_supervisors() {
    let dir = Dir::new();
    let bystander = Stand::new();
    let members = bystander.members();
    let pid = harm_pid(&members);
    let place = members
        .split_once(",\"boot_id\"")
        .map(|(_, place)| format!(",\"boot_id\"{place}"))
        .unwrap();
    for wrong in ["-1".to_owned(), "0".to_owned(), "1".to_owned(), format!("-{pid}"), pid.clone()] {
        task("0000000a", "running")
            .with(&format!(r#","supervisor_pid":{wrong},"supervisor_start_time":7{place}"#))
            .put(&dir);
        assert_eq!(told(&dir, &["cancel", "0000000a"]), "0000000a had failed\n", "{wrong}");
        assert!(bystander.lives(), "{wrong}");
    }
}

/// The pid in the members of a record.
fn harm_pid(members: &str) -> String {
    let digits = members.split_once("\"supervisor_pid\":").unwrap().1;
    digits.chars().take_while(char::is_ascii_digit).collect()
}

#[test]
fn a_reader_that_is_gone_keeps_no_task_alive() {
    let dir = Dir::new();
    let mut server = dir.server();
    let id = server.launch("begin\nmark on\nwait-for never");
    dir.marked("on");
    let inner = dir.command();
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" cancel > /dev/full 2> /dev/null"]).arg(inner.get_program());
    shell.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let _ = shell.status().unwrap();
    server.wait(&[&id]);
    over(&dir, &[&id]);
}
