//! A server is killed while its tasks run: all go on, and the next server knows them, waits for them
//! and tells of each how it truly ended.

use crate::harm::*;
use crate::real::Real;
use crate::support::*;
use std::fs;

/// How a task ends, what it has said by then, and the verdict.
const ENDS: [(&str, &str, i64); 6] = [
    ("say made it\ndone\nexit 0", "completed", 0),
    ("say no\nexit 3", "failed", 3),
    ("fail it could not\nexit 1", "failed", 1),
    ("kill-self KILL", "failed", -9),
    ("kill-self TERM", "failed", -15),
    ("say made it\ndone\nexit 101", "completed", 101),
];

/// How often a process has given up its processor to wait for something.
fn waits(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    field(&status, "voluntary_ctxt_switches").parse().unwrap()
}

#[test]
fn twenty_tasks_outlive_a_killed_server_and_each_is_told_as_it_truly_ended() {
    let dir = Dir::new();
    let gates = [Gate::shut(&dir, "early"), Gate::shut(&dir, "late")];
    let mut server = dir.server();
    let tasks: Vec<String> = (0..20)
        .map(|n| {
            let gate = gates[n % 2].wait();
            let end = ENDS[n % ENDS.len()].0;
            server.launch(&format!("begin\nrun one\nmark on{n}\n{gate}\n{end}"))
        })
        .collect();
    all_marked(&dir, (0..20).map(|n| format!("on{n}")));
    server.crash();

    // Half of them end while there is no server.
    let [early, late] = gates;
    early.open();
    for id in tasks.iter().step_by(2) {
        until("an end without a server", || dir.record(id).find("completed_at").map(drop));
    }
    let mut next = dir.server();
    let all: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let status = next.ok("codex_status", "{}");
    for id in all.iter().skip(1).step_by(2) {
        let part = section(&status, id);
        assert!(part.contains(" elapsed) ==="), "{part}");
        assert_eq!(field(part, "Phase"), "running");
        assert_eq!(field(part, "Tools called"), "1");
        assert_eq!(thread_id(part), thread_of(id));
    }
    let wait = next.begin("codex_wait", &ids(&all));
    next.silent_about(&[wait]);
    late.open();
    next.result(wait);
    let verdicts = agreed(&dir, &mut [&mut next], &all);
    for (n, verdict) in verdicts.iter().enumerate() {
        let (end, status, exit) = ENDS[n % ENDS.len()];
        assert_eq!(*verdict, Verdict::seen(status, exit), "{end}");
        assert_eq!(dir.record(all[n]).at("exit_code").as_i64(), Some(exit), "{end}");
    }
}

#[test]
fn a_server_that_waits_for_the_tasks_of_another_sleeps_until_one_of_them_ends() {
    let dir = Dir::new();
    let gate = Gate::shut(&dir, "gate");
    let mut server = dir.server();
    let tasks: Vec<String> =
        (0..3).map(|_| server.launch(&format!("begin\n{}\ndone", gate.wait()))).collect();
    server.crash();
    let all: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let mut next = dir.server();
    let wait = next.begin("codex_wait", &ids(&all));
    next.silent_about(&[wait]);
    let mut held = held_by(next.pid());
    let mut supervisors: Vec<u32> =
        all.iter().map(|id| pid_in(&dir.record(id), "supervisor_pid")).collect();
    held.sort_unstable();
    supervisors.sort_unstable();
    assert_eq!(held, supervisors);

    // Three seconds go by, by the clock of a third server. Who looks every second has looked thrice.
    let mut clock = dir.server();
    let before = waits(next.pid());
    clock.ok("codex_wait", &format!(r#"{{"task_ids":["{}"],"timeout":3}}"#, all[0]));
    let looked = waits(next.pid()) - before;
    assert!(looked < 2, "it woke up {looked} times");
    gate.open();
    assert_eq!(text_of(&next.result(wait)).matches("(completed in ").count(), 3);
    assert!(held_by(next.pid()).is_empty());
}

#[test]
fn twenty_real_tasks_outlive_a_killed_server_and_each_is_told_as_it_truly_ended() {
    let Some(real) = Real::new() else { return };
    let dir = &real.dir;
    let gate = Gate::shut(dir, "gate");
    let mut server = real.server();
    let ends =
        [("say: made it", "completed", 0), ("fail 429", "failed", 1), ("say: x", "failed", -9)];
    let calls: Vec<u32> = (0..20)
        .map(|n| {
            // a command in the read-only sandbox may take a lock all the same
            let script = format!("run: {}\n{}", gate.pass(), ends[n % 3].0);
            server.begin("codex_async", &prompt_and(&script, ""))
        })
        .collect();
    let tasks: Vec<String> =
        calls.into_iter().map(|call| task_id(&text_of(&server.result(call)))).collect();
    for id in &tasks {
        until("its command", || {
            let begun = fs::read_to_string(dir.task_file(id, "stdout")).ok()?;
            begun.contains("command_execution").then_some(())
        });
    }
    server.crash();

    let mut next = real.server();
    let all: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let status = next.ok("codex_status", "{}");
    for id in &all {
        assert_eq!(field(section(&status, id), "Phase"), "running");
        assert_eq!(field(section(&status, id), "Tools running"), "1");
    }
    let wait = next.begin("codex_wait", &ids(&all));
    next.silent_about(&[wait]);
    for id in all.iter().skip(2).step_by(3) {
        signal("KILL", &[pid_in(&dir.record(id), "pid")]);
    }
    gate.open();
    next.result(wait);
    let verdicts = agreed(dir, &mut [&mut next], &all);
    for (n, verdict) in verdicts.iter().enumerate() {
        let (end, status, exit) = ends[n % 3];
        assert_eq!(*verdict, Verdict::seen(status, exit), "{end}: {}", next.status(all[n]));
    }
}
