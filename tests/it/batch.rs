//! `codex_batch`: many tasks in one call, all at once, each with its own verdict.

use crate::support::*;

/// The arguments of a batch of these tasks with more members.
fn batch(tasks: &[String], more: &str) -> String {
    format!(r#"{{"tasks":[{}]{more}}}"#, tasks.join(","))
}

/// The ids of the sections, in order.
fn told(text: &str) -> Vec<String> {
    text.split("=== Task ").skip(1).map(|part| part[..8].to_owned()).collect()
}

#[test]
fn the_tasks_of_a_batch_run_at_once_and_are_told_in_the_order_given() {
    let dir = Dir::new();
    let mut server = dir.server();
    let tasks: Vec<String> = (0..5)
        .map(|n| script(&format!("begin\nmark on{n}\nwait-for go{n}\nsay answer {n}\ndone")))
        .collect();
    let call = server.begin("codex_batch", &batch(&tasks, ""));
    for n in 0..5 {
        dir.marked(&format!("on{n}"));
    }
    for n in (0..5).rev() {
        server.silent_about(&[call]);
        dir.open(&format!("go{n}"));
    }
    let text = text_of(&server.result(call));
    let all = told(&text);
    assert_eq!(all.len(), 5, "{text}");
    for (n, id) in all.iter().enumerate() {
        let part = section(&text, id);
        assert!(part.contains("(completed in ") && part.contains(&format!("answer {n}")), "{part}");
        assert_eq!(thread_id(part), thread_of(id));
    }
}

#[test]
fn a_failed_task_of_a_batch_says_it_for_itself() {
    let dir = Dir::new();
    let mut server = dir.server();
    let tasks = [script("begin\nsay well\ndone"), script("begin\nfail Quota exceeded.\nexit 1")];
    let text = server.ok("codex_batch", &batch(&tasks, ""));
    let all = told(&text);
    assert!(section(&text, &all[0]).contains("(completed in "), "{text}");
    let failed = section(&text, &all[1]);
    assert!(failed.contains("(failed in ") && failed.contains("Quota exceeded."), "{text}");
}

#[test]
fn defaults_hold_where_a_task_says_nothing_itself() {
    let dir = Dir::new();
    let mut server = dir.server();
    let (one, two) = (dir.make("one"), dir.make("two"));
    let tasks = [
        prompt_and("x", ""),
        prompt_and("x", &format!(r#""cwd":{},"sandbox":"workspace-write""#, quoted_path(&two))),
    ];
    let defaults =
        format!(r#","defaults":{{"cwd":{},"sandbox":"read-only","model":"m"}}"#, quoted_path(&one));
    let text = server.ok("codex_batch", &batch(&tasks, &defaults));
    let all = told(&text);
    for (id, cwd, sandbox) in [(&all[0], one, "read-only"), (&all[1], two, "workspace-write")] {
        let received = dir.received(id);
        assert_eq!(received.cwd, cwd);
        assert_eq!(received.options("sandbox"), [sandbox]);
        assert_eq!(received.options("model"), ["m"]);
    }
}

#[test]
fn progress_counts_the_finished_tasks_of_all() {
    let dir = Dir::new();
    let mut server = dir.server();
    let tasks =
        [script("begin\nrun ls\nsay x\ndone"), script("begin\nrun ls\nwait-for go\nsay x\ndone")];
    let call = server.begin_watched("codex_batch", &batch(&tasks, ""), "\"b\"");
    let mut last = f64::NEG_INFINITY;
    loop {
        let message = server.next();
        assert_eq!(message.at("params.total").as_f64(), Some(2.0));
        let progress = message.at("params.progress").as_f64().unwrap();
        assert!(progress > last, "{progress} after {last}");
        last = progress;
        if progress >= 1.0 {
            break;
        }
    }
    assert!(last < 2.0, "the second one still runs");
    dir.open("go");
    server.result(call);
}
