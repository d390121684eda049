//! Very many tasks: none is lost, none is mixed up with another, and the server stays small and quick.

use crate::json::Value;
use crate::many::*;
use crate::support::*;
use std::time::Instant;

/// Most systems give a program so many descriptors.
const USUAL: &str = "ulimit -n 1024";

/// A server that has not more descriptors than usual.
fn usual_server(dir: &Dir) -> Server<'_> {
    let mut command = dir.command();
    command.arg("--codex").arg(swift(dir));
    let mut server = Server::spawn(dir, limited(&command, USUAL));
    server.initialize();
    server
}

/// What task number `n` is told to do: it waits at the gate, and then has 40 events in all.
fn numbered(n: usize) -> String {
    errand(&format!("number-{n}"), 18, "gate", "done")
}

/// Starts the tasks with these numbers, some at a time, pings meanwhile, and gives their ids.
fn start(
    server: &mut Server<'_>,
    numbers: std::ops::Range<usize>,
    pings: &mut Pings,
) -> Vec<String> {
    let mut tasks = Vec::new();
    for wave in numbers.collect::<Vec<usize>>().chunks(50) {
        let calls: Vec<u32> =
            wave.iter().map(|n| server.begin("codex_async", &numbered(*n))).collect();
        for call in calls {
            pings.ask(server);
            tasks.push(task_id(&text_of(&server.result(call))));
        }
    }
    tasks
}

/// The text of a call, for which it is waited with pings.
fn ping_until_told(server: &mut Server<'_>, call: u32, pings: &mut Pings) -> String {
    let is = |message: &Value<'_>| message.get("id").and_then(Value::as_u64) == Some(call.into());
    at_last("the answer", || {
        pings.ask(server);
        server.stash.iter().any(is).then_some(())
    });
    text_of(&server.result(call))
}

#[test]
fn a_thousand_tasks_at_once_each_have_their_own_result_and_the_server_stays_small_and_quick() {
    let dir = Dir::new();
    let mut server = usual_server(&dir);
    let (pid, gate, mut pings) = (server.pid(), Gate::new(&dir, "gate"), Pings::default());
    server.ok("codex", &errand("first", 1, "-", "done"));
    let open = descriptors(pid);

    let mut tasks = start(&mut server, 0..256, &mut pings);
    let of_256 = kilobytes(pid, "VmHWM");
    assert!(of_256 < 10_000, "{of_256} kB with 256 tasks");
    tasks.extend(start(&mut server, 256..1000, &mut pings));
    let all: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let wait = server.begin("codex_wait", &ids(&all));
    // all of them run at this moment
    server.silent_about(&[wait]);
    drop(gate);
    let told = ping_until_told(&mut server, wait, &mut pings);
    let status = server.begin("codex_status", &ids(&all));
    let status = ping_until_told(&mut server, status, &mut pings);
    for (n, id) in all.iter().enumerate() {
        let part = section(&told, id);
        let result = format!("\nthis is number-{n}\n");
        assert!(part.contains("(completed in ") && part.ends_with(&result), "{n}: {part}");
        let part = section(&status, id);
        assert_eq!(field(part, "Tools called"), "18", "{n}");
        assert_eq!(field(part, "Last tool"), format!("exec_command(number-{n})"));
    }

    let of_1000 = kilobytes(pid, "VmHWM");
    assert!(of_1000 < 16_000, "{of_1000} kB with 1000 tasks");
    pings.were_quick();
    until("as many descriptors as before", || (descriptors(pid) <= open).then_some(()));
    until("no zombie", || (zombies(pid) == 0).then_some(()));
    eprintln!("{of_256} kB with 256 tasks, {of_1000} kB with 1000; pings: {pings}");
}

/// Runs short tasks with these numbers at once, half of them in the background.
fn run(server: &mut Server<'_>, numbers: &[usize]) {
    let end =
        |n: usize| if n % 3 == 2 { ("fail", "(failed in ") } else { ("done", "(completed in ") };
    let calls: Vec<(usize, u32)> = numbers
        .iter()
        .map(|n| {
            let tool = if n % 2 == 0 { "codex" } else { "codex_async" };
            (*n, server.begin(tool, &errand(&format!("number-{n}"), 1, "-", end(*n).0)))
        })
        .collect();
    for (n, call) in calls {
        let (said, result) = (format!("\nthis is number-{n}\n"), server.result(call));
        let text = text_of(&result);
        if n % 2 == 0 {
            assert!(format!("\n{text}").contains(&said), "{text}");
            assert_eq!(is_error(&result), end(n).0 == "fail");
        } else {
            let told = server.wait(&[&task_id(&text)]);
            assert!(told.contains(&said) && told.contains(end(n).1), "{told}");
        }
    }
}

/// Runs so many short tasks, some at a time; the server must be after the last as it was after the
/// first ones, but for this growth in kB.
fn many_short_ones(at_a_time: usize, first: usize, last: usize, growth: u64) {
    let dir = Dir::new();
    let mut server = usual_server(&dir);
    let (pid, begin) = (server.pid(), Instant::now());
    let numbers: Vec<usize> = (0..last).collect();
    for wave in numbers[..first].chunks(at_a_time) {
        run(&mut server, wave);
    }
    let (before, open) = (kilobytes(pid, "RssAnon"), descriptors(pid));
    for wave in numbers[first..].chunks(at_a_time) {
        run(&mut server, wave);
    }
    let (after, peak) = (kilobytes(pid, "RssAnon"), kilobytes(pid, "VmHWM"));
    eprintln!("{before} kB after {first} tasks, {after} after {last}, at most {peak}");
    assert!(after < before + growth, "{before} kB after {first} tasks, {after} after {last}");
    assert!(peak < 10_000, "{peak} kB");
    until("as many descriptors as before", || (descriptors(pid) <= open).then_some(()));
    until("no zombie", || (zombies(pid) == 0).then_some(()));
    eprintln!("{:?} each", begin.elapsed() / u32::try_from(last).unwrap());

    // It can still tell of all of them.
    let mut pings = Pings::default();
    let status = server.begin("codex_status", "{}");
    pings.ask(&mut server);
    let told = text_of(&server.result(status));
    assert!(told.contains("(COMPLETED in "));
    pings.cost_little();
    eprintln!("{} bytes of status; pings: {pings}", told.len());
}

#[test]
fn a_thousand_short_tasks_leave_the_server_as_it_was() {
    // of the last 512 it may remember something
    many_short_ones(8, 50, 1200, 2800);
}

#[test]
#[ignore = "takes some minutes"]
fn ten_thousand_tasks_one_after_the_other_leave_the_server_as_it_was() {
    many_short_ones(1, 1000, 10_000, 500);
}
