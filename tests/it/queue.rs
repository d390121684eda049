//! `--max-parallel`: never more than so many codex at once, over all servers of a directory; who
//! asked first runs first; and no death of anybody holds the others up.

use crate::many::*;
use crate::support::*;
use std::fs;
use std::process::{Command, Stdio};

/// An errand that waits at the gate of this name, or at none.
fn wait_at(gate: &str) -> String {
    errand("queued", 1, gate, "done")
}

/// The tasks in the queue's own directory, in order.
fn queued(dir: &Dir) -> Vec<String> {
    let names = fs::read_dir(dir.path("tasks/queue")).unwrap().flatten();
    let mut names: Vec<String> =
        names.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    let id = |name: &String| name.rsplit_once('-').map(|(_, id)| id.to_owned());
    names.iter().filter_map(id).collect()
}

/// A task's status must be that it is queued.
fn is_queued(server: &mut Server<'_>, id: &str) {
    let status = server.status(id);
    assert_eq!(field(&status, "Phase"), "queued", "{status}");
}

/// One task that runs until the gate `go` is dropped, and so many behind it.
fn one_and_its_queue(server: &mut Server<'_>, count: usize) -> (String, Vec<String>) {
    let first = server.launch_with(&wait_at("go"));
    begun(server.dir, &first);
    let others = (0..count).map(|_| server.launch_with(&wait_at("-"))).collect();
    (first, others)
}

/// Waits on the disk, without any server, until a task has ended like this.
fn has_ended(dir: &Dir, id: &str, verdict: &str) {
    until(verdict, || (dir.record(id).str_at("status") == verdict).then_some(()));
}

/// There was a ticket for each codex.
fn nobody_was_one_too_many(dir: &Dir) {
    let too_many = fs::read_to_string(dir.path("out/too-many"));
    assert!(too_many.is_err(), "{too_many:?} was one too many");
}

#[test]
fn two_servers_together_never_run_more_than_so_many_at_once() {
    let dir = Dir::new();
    let flags = ["--max-parallel", "3"];
    let mut servers = [swift_server(&dir, &flags), swift_server(&dir, &flags)];
    dir.write("out/tickets", "1 2 3\n");
    let calls: Vec<u32> = (0..120)
        .map(|n| {
            let end = ["done", "fail", "7"][n % 3];
            servers[n % 2].begin("codex_async", &errand(&format!("number-{n}"), 5, "0.03", end))
        })
        .collect();
    let each = calls.into_iter().enumerate();
    let tasks: Vec<String> =
        each.map(|(n, call)| task_id(&text_of(&servers[n % 2].result(call)))).collect();
    let all: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let told = servers[0].wait(&all);
    for (n, id) in all.iter().enumerate() {
        let head = ["(completed in ", "(failed in ", "(failed in "][n % 3];
        let part = section(&told, id);
        assert!(part.contains(head) && part.contains(&format!("this is number-{n}\n")), "{part}");
    }
    nobody_was_one_too_many(&dir);
    assert_eq!(order(&dir).len(), 120);
    assert!(queued(&dir).is_empty());
}

#[test]
fn as_many_run_at_once_as_may_and_each_that_ends_makes_room_for_one() {
    let dir = Dir::new();
    let mut server = swift_server(&dir, &["--max-parallel", "3"]);
    let gates = [0, 1, 2, 3, 4, 5].map(|n| Gate::new(&dir, &format!("go{n}")));
    let tasks = [0, 1, 2, 3, 4, 5].map(|n| server.launch_with(&wait_at(&format!("go{n}"))));
    for (n, gate) in gates.into_iter().enumerate() {
        let running = &tasks[n..6.min(n + 3)];
        for id in running {
            begun(&dir, id);
        }
        assert_eq!(order(&dir), tasks[..6.min(n + 3)]);
        assert_eq!(queued(&dir), tasks[6.min(n + 3)..]);
        if n == 1 {
            server.ok("codex_cancel", &ids(&[&tasks[n]]));
        }
        drop(gate);
        server.wait(&[&tasks[n]]);
    }
}

#[test]
fn who_asked_first_runs_first_whichever_server_was_asked() {
    let dir = Dir::new();
    let flags = ["--max-parallel", "1"];
    let (mut one, mut two) = (swift_server(&dir, &flags), swift_server(&dir, &flags));
    let gate = Gate::new(&dir, "go");
    let (first, mut tasks) = one_and_its_queue(&mut one, 1);
    tasks.insert(0, first);
    for n in 0..4 {
        let server = if n % 2 == 0 { &mut two } else { &mut one };
        let told = server.ok("codex_async", &wait_at("-"));
        assert!(told.contains("queued: at most 1 run at once"), "{told}");
        tasks.push(task_id(&told));
    }
    // Many in one moment.
    let calls: Vec<u32> = (0..8).map(|_| two.begin("codex_async", &wait_at("-"))).collect();
    tasks.extend(calls.into_iter().map(|call| task_id(&text_of(&two.result(call)))));
    for id in &tasks[1..] {
        is_queued(&mut one, id);
        is_queued(&mut two, id);
    }
    assert_eq!(queued(&dir), tasks[1..]);
    assert_eq!(order(&dir), tasks[..1]);
    drop(gate);
    let all: Vec<&str> = tasks.iter().map(String::as_str).collect();
    assert_eq!(one.wait(&all).matches("(completed in ").count(), all.len());
    assert_eq!(order(&dir), tasks);
    let more = format!(r#"{{"tasks":[{}]}}"#, vec![wait_at("-"); 6].join(","));
    let told = one.ok("codex_batch", &more);
    let batch: Vec<&str> =
        told.lines().filter_map(|line| line.strip_prefix("=== Task ")?.get(..8)).collect();
    assert_eq!(order(&dir)[tasks.len()..], batch);
}

#[test]
fn a_queued_task_can_be_cancelled_wherever_it_stands_and_by_whomever_and_is_never_started() {
    let dir = Dir::new();
    let flags = ["--max-parallel", "1"];
    let (mut one, mut two) = (swift_server(&dir, &flags), swift_server(&dir, &flags));
    let gate = Gate::new(&dir, "go");
    let (first, tasks) = one_and_its_queue(&mut one, 6);
    let sync = one.begin("codex", &wait_at("-"));
    let last = until("the sync one", || queued(&dir).get(6).cloned());
    // The head, one in the middle, and the last one but the sync one.
    for (n, id) in [&tasks[0], &tasks[3], &tasks[5]].into_iter().enumerate() {
        let server = if n == 1 { &mut two } else { &mut one };
        server.ok("codex_cancel", &ids(&[id]));
        for server in [&mut one, &mut two] {
            assert!(section(&server.wait(&[id]), id).contains("(cancelled "), "{n}");
            assert!(server.status(id).contains("(CANCELLED after "), "{n}");
        }
        assert_eq!(dir.record(id).str_at("status"), "cancelled");
    }
    one.cancel(sync, "the user has changed their mind");
    one.silent_about(&[sync]);
    has_ended(&dir, &last, "cancelled");
    assert_eq!(queued(&dir), [&tasks[1], &tasks[2], &tasks[4]].map(String::as_str));
    drop(gate);
    let left = [&first, &tasks[1], &tasks[2], &tasks[4]].map(String::as_str);
    assert_eq!(two.wait(&left).matches("(completed in ").count(), 4);
    assert_eq!(order(&dir), left);
}

#[test]
fn a_queue_survives_the_death_of_the_server_that_filled_it() {
    for way in ["KILL", "TERM", "EOF"] {
        let dir = Dir::new();
        let mut one = swift_server(&dir, &["--max-parallel", "1"]);
        let gate = Gate::new(&dir, "go");
        let (first, tasks) = one_and_its_queue(&mut one, 3);
        one.begin("codex", &wait_at("-"));
        let sync = until("the sync one", || queued(&dir).get(3).cloned());
        let last = one.launch_with(&wait_at("-"));
        match way {
            "KILL" => one.crash(),
            "TERM" => {
                one.signal("TERM");
                assert_eq!(one.ended().code(), Some(0));
            }
            _ => one.end(),
        }
        // Nobody is left to answer it.
        has_ended(&dir, &sync, "cancelled");
        let mut two = swift_server(&dir, &["--max-parallel", "1"]);
        let new = two.launch_with(&wait_at("-"));
        let all = [&tasks[0], &tasks[1], &tasks[2], &last, &new];
        for id in all {
            is_queued(&mut two, id);
        }
        drop(two);
        drop(gate);
        // No server is there, and it goes on.
        has_ended(&dir, &new, "completed");
        assert_eq!(
            order(&dir),
            [&[&first], &all[..]].concat().into_iter().cloned().collect::<Vec<_>>()
        );
        let all = all.map(String::as_str);
        assert_eq!(dir.server().wait(&all).matches("(completed in ").count(), 5, "{way}");
    }
}

/// Kills supervisors at the head of the queue, in the middle of it and of what runs.
fn the_dead_hold_nobody_up(server_lives: bool) {
    let dir = Dir::new();
    let flags = ["--max-parallel", "1"];
    let mut one = swift_server(&dir, &flags);
    let (_gate, _never) = (Gate::new(&dir, "go"), Gate::new(&dir, "never"));
    let (first, tasks) = one_and_its_queue(&mut one, 7);
    let more: Vec<String> = (0..2).map(|_| one.launch_with(&wait_at("-"))).collect();
    let one = if server_lives {
        Some(one)
    } else {
        one.crash();
        None
    };
    // In the middle, two in a row, the head, and the new head.
    let dead = [&tasks[3], &tasks[4], &tasks[0], &tasks[1]];
    for id in dead {
        assert!(kill_supervisor(&dir, id));
        assert_eq!(order(&dir), [first.as_str()], "nobody's turn has come");
    }
    assert!(kill_supervisor(&dir, &first));
    let living = [&tasks[2], &tasks[5], &tasks[6], &more[0], &more[1]];
    has_ended(&dir, &more[1], "completed");
    let all = [&[&first], &living[..]].concat();
    assert_eq!(order(&dir), all.into_iter().cloned().collect::<Vec<_>>());
    let mut server = one.unwrap_or_else(|| swift_server(&dir, &flags));
    let told = server.wait(&living.map(String::as_str));
    assert_eq!(told.matches("(completed in ").count(), 5, "{told}");
    for id in dead.into_iter().chain([&first]) {
        let told = server.wait(&[id]);
        assert!(told.contains("(failed in "), "{told}");
        assert_eq!(dir.record(id).at("inferred").as_bool(), Some(true));
        gone(&mark_of(id));
    }
    assert!(queued(&dir).is_empty());
}

#[test]
fn the_slots_and_places_of_the_dead_come_free() {
    the_dead_hold_nobody_up(true);
}

#[test]
fn the_slots_and_places_of_the_dead_come_free_without_any_server() {
    the_dead_hold_nobody_up(false);
}

#[test]
fn who_runs_counts_whichever_server_was_asked_and_the_limit_is_that_of_ones_own() {
    let dir = Dir::new();
    let (mut limited, mut free) =
        (swift_server(&dir, &["--max-parallel", "2"]), swift_server(&dir, &[]));
    let gates = [1, 2, 3].map(|n| Gate::new(&dir, &format!("go{n}")));
    let [a, b] = [1, 2].map(|n| free.launch_with(&wait_at(&format!("go{n}"))));
    let queued = limited.launch_with(&wait_at("-"));
    is_queued(&mut limited, &queued);
    // Who has no limit waits for nobody.
    let c = free.launch_with(&wait_at("go3"));
    begun(&dir, &c);
    let [one, two, three] = gates;
    drop(one);
    free.wait(&[&a]);
    is_queued(&mut limited, &queued);
    drop(two);
    free.wait(&[&b]);
    limited.wait(&[&queued]);
    assert!(dir.record(&c).str_at("status") == "running");
    drop(three);
    free.wait(&[&c]);
}

#[test]
fn what_supervisors_have_to_say_does_not_disturb_the_queue() {
    let dir = Dir::new();
    let mut command = dir.command();
    // Each of them complains of these on its stderr.
    command.env("CODEX_SWARM_LOG_LEVEL", "loud").env("CODEX_SWARM_TASK_MAX_AGE", "1d");
    command.arg("--codex").arg(swift(&dir)).args(["--max-parallel", "1"]);
    let mut server = Server::spawn(&dir, command);
    server.initialize();
    dir.write("out/tickets", "1\n");
    let gate = Gate::new(&dir, "go");
    let (first, mut tasks) = one_and_its_queue(&mut server, 5);
    tasks.extend((0..5).map(|_| server.launch_with(&wait_at("0.03"))));
    assert_eq!(queued(&dir), tasks);
    drop(gate);
    let all: Vec<&str> = tasks.iter().map(String::as_str).collect();
    server.wait(&all);
    nobody_was_one_too_many(&dir);
    assert_eq!(order(&dir), [&[first], &tasks[..]].concat());
}

#[test]
fn a_lock_that_a_stranger_holds_keeps_tasks_from_beginning_and_no_cancel_waiting() {
    let dir = Dir::new();
    let mut server = dir.server_with(&["--max-parallel", "1"]);
    server.run("begin\ndone");
    let turn = dir.path("tasks/.turn");
    let mut stranger =
        Command::new("flock").arg(&turn).arg("cat").stdin(Stdio::piped()).spawn().unwrap();
    until("the lock", || {
        let tried = Command::new("flock").arg("-n").arg(&turn).arg("true").status().unwrap();
        (!tried.success()).then_some(())
    });
    let id = server.launch("begin\ndone");
    let text = server.ok("codex_cancel", &ids(&[&id]));
    assert!(text.contains(&format!("Task {id} is cancelled")), "{text}");
    let id = server.launch("begin\nsay at last\ndone");
    drop(stranger.stdin.take());
    stranger.wait().unwrap();
    assert!(server.wait(&[&id]).contains("at last"));
}
