//! A handle is good for as long as its task is kept: other servers answer for it, and so do those
//! that come after one that was killed.

use crate::handles::*;
use crate::json::Value;
use crate::repo::gc;
use crate::support::*;

#[test]
fn what_two_servers_share_either_can_be_asked_about() {
    let dir = Dir::new();
    let mut one = at_once(&dir);
    let mut two = at_once(&dir);
    let id = handle(&mut one, "codex", &script("begin\nmark on\nwait-for go\nsay x\ndone"));
    let stuck = handle(&mut one, "codex_batch", &batch(&["begin\nmark stuck\nwait-for never"]));
    dir.marked("on");
    dir.marked("stuck");
    works(&mut two, &id);
    let wait = handle(&mut two, "codex_wait", &ids(&[short(&id)]));
    works(&mut one, &wait);
    cancel(&mut two, &stuck);
    for server in [&mut one, &mut two] {
        assert_eq!(ended(server, &stuck).str_at("status"), "cancelled");
    }
    gone(&mark_of(short(&stuck)));
    dir.open("go");
    for id in [&id, &wait] {
        let (first, second) = (text_at_end(&mut one, id), text_at_end(&mut two, id));
        assert_eq!(first, second);
        assert!(first.contains('x'));
    }
}

#[test]
fn a_new_server_answers_for_every_handle_of_one_that_was_killed() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let first = server.ok("codex", r#"{"prompt":"x"}"#);
    let stays = |n: u32| format!("begin\nmark on{n}\nwait-for go\nsay answer {n}\ndone");
    let reply = format!(r#""threadId":"{}""#, thread_id(&first));
    let sync = handle(&mut server, "codex", &script(&stays(0)));
    let background = handle(&mut server, "codex_async", &script(&stays(1)));
    let reply = handle(&mut server, "codex_reply", &script_and(&stays(2), &reply));
    let batch = handle(&mut server, "codex_batch", &batch(&[&stays(3), &stays(4)]));
    let wait = handle(&mut server, "codex_wait", &ids(&[short(&sync), short(&background)]));
    for n in 0..5 {
        dir.marked(&format!("on{n}"));
    }
    server.crash();
    let mut next = at_once(&dir);
    for id in [&sync, &background, &reply, &batch, &wait] {
        works(&mut next, id);
    }
    // Killed once more, without having been asked for anything else.
    next.crash();
    dir.open("go");
    let mut next = at_once(&dir);
    for (id, answers) in [
        (&sync, &[0][..]),
        (&background, &[1]),
        (&reply, &[2]),
        (&batch, &[3, 4]),
        (&wait, &[0, 1]),
    ] {
        let text = text_at_end(&mut next, id);
        for n in 0..5 {
            let told = text.contains(&format!("answer {n}"));
            assert_eq!(told, answers.contains(&n), "{n} in: {text}");
        }
    }
    let text = text_at_end(&mut next, &sync);
    assert_eq!((answer(&text), task_id(&text).as_str()), ("answer 0", short(&sync)));
    let all = ids(&[short(&sync), short(&background)]);
    assert_eq!(text_at_end(&mut next, &wait), next.ok("codex_wait", &all));
}

#[test]
fn a_handle_holds_though_the_server_is_killed_the_moment_it_is_out() {
    let dir = Dir::new();
    let reply = {
        let first = dir.server().ok("codex", r#"{"prompt":"x"}"#);
        format!(r#""threadId":"{}""#, thread_id(&first))
    };
    for round in 0..3 {
        for tool in ["codex", "codex_async", "codex_reply", "codex_batch"] {
            let gate = format!("go-{round}-{tool}");
            let lines = format!("begin\nwait-for {gate}\nsay all is well\ndone");
            let args = match tool {
                "codex_reply" => script_and(&lines, &reply),
                "codex_batch" => batch(&[&lines, &lines, &lines]),
                _ => script(&lines),
            };
            if round > 0 {
                // The task may even be over before the server is killed.
                dir.open(&gate);
            }
            let mut server = at_once(&dir);
            let id = handle(&mut server, tool, &args);
            let wait = (round == 0).then(|| handle(&mut server, "codex_wait", &ids(&[short(&id)])));
            server.crash();
            dir.open(&gate);
            let mut next = at_once(&dir);
            let text = text_at_end(&mut next, &id);
            let count = if tool == "codex_batch" { 3 } else { 1 };
            assert_eq!(text.matches("all is well").count(), count, "{tool}: {text}");
            if let Some(wait) = wait {
                assert!(text_at_end(&mut next, &wait).contains("all is well"), "{tool}");
            }
        }
    }
}

#[test]
fn a_new_server_keeps_the_time_of_a_wait_and_knows_what_it_was_for() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let quick = server.launch("begin\nwait-for quick\nsay I was first\ndone");
    let slow = server.launch("begin\nwait-for slow\nsay x\ndone");
    let args = |more: &str| format!(r#"{{"task_ids":{},{more}}}"#, list(&[&slow, &quick]));
    let timed = handle(&mut server, "codex_wait", &args(r#""timeout":2"#));
    let long = handle(&mut server, "codex_wait", &args(r#""timeout":1000"#));
    let any = handle(&mut server, "codex_wait", &args(r#""until":"any""#));
    server.crash();
    let mut next = at_once(&dir);
    let text = text_at_end(&mut next, &timed);
    assert_eq!(text.matches("STILL RUNNING").count(), 2, "{text}");
    works(&mut next, &long);
    works(&mut next, &any);
    dir.open("quick");
    let text = text_at_end(&mut next, &any);
    assert!(section(&text, &quick).contains("I was first"), "{text}");
    assert!(section(&text, &slow).contains("STILL RUNNING"), "{text}");
    works(&mut next, &long);
    dir.open("slow");
    let text = text_at_end(&mut next, &long);
    assert!(!text.contains("STILL RUNNING"), "{text}");
}

#[test]
fn a_new_server_can_cancel_what_an_old_one_started() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let stuck = |n: u32| format!("begin\nleave-sleeper setsid\nmark on{n}\nwait-for never");
    let one = handle(&mut server, "codex", &script(&stuck(0)));
    let both = handle(&mut server, "codex_batch", &batch(&[&stuck(1), &stuck(2)]));
    let kept = handle(&mut server, "codex_async", &script("begin\nmark on3\nwait-for go\ndone"));
    let wait = handle(&mut server, "codex_wait", &ids(&[short(&kept)]));
    for n in 0..4 {
        dir.marked(&format!("on{n}"));
    }
    server.crash();
    let mut next = at_once(&dir);
    for id in [&one, &both, &wait] {
        cancel(&mut next, id);
        cancel(&mut next, id);
        assert_eq!(ended(&mut next, id).str_at("status"), "cancelled");
    }
    works(&mut next, &kept);
    for id in recorded(&dir).iter().filter(|id| *id != short(&kept)) {
        gone(&mark_of(id));
    }
    dir.open("go");
    completed(&mut next, &kept);
}

#[test]
fn a_cancel_that_was_acknowledged_holds_though_the_server_is_killed_at_once() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let stuck = |n: u32| format!("begin\nleave-sleeper setsid\nmark on{n}\nwait-for never");
    let one = handle(&mut server, "codex", &script(&stuck(0)));
    let both = handle(&mut server, "codex_batch", &batch(&[&stuck(1), &stuck(2)]));
    let kept = handle(&mut server, "codex_async", &script("begin\nmark on3\nwait-for go\ndone"));
    let wait = handle(&mut server, "codex_wait", &ids(&[short(&kept)]));
    for n in 0..4 {
        dir.marked(&format!("on{n}"));
    }
    for id in [&one, &both, &wait] {
        cancel(&mut server, id);
    }
    server.crash();
    let mut next = at_once(&dir);
    for id in [&one, &both, &wait] {
        assert_eq!(ended(&mut next, id).str_at("status"), "cancelled");
    }
    for id in recorded(&dir).iter().filter(|id| *id != short(&kept)) {
        gone(&mark_of(id));
    }
    dir.open("go");
    completed(&mut next, &kept);
}

#[test]
fn what_was_over_before_the_server_was_killed_is_told_as_it_was() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let well = handle(&mut server, "codex", &script("begin\nsay kept\ndone"));
    let failed = handle(&mut server, "codex_async", &script("begin\nfail Quota exceeded.\nexit 1"));
    let stuck = handle(&mut server, "codex", &script("begin\nmark on\nwait-for never"));
    let go = handle(&mut server, "codex_async", &script("begin\nmark on2\nwait-for go\ndone"));
    let wait = handle(&mut server, "codex_wait", &ids(&[short(&go)]));
    let both = handle(&mut server, "codex_batch", &batch(&["begin\nsay x\ndone", "exit 3"]));
    dir.marked("on");
    dir.marked("on2");
    cancel(&mut server, &stuck);
    cancel(&mut server, &wait);
    let all = [&well, &failed, &stuck, &wait, &both];
    let before: Vec<Value<'static>> = all.iter().map(|id| ended(&mut server, id)).collect();
    let status: Vec<&str> = before.iter().map(|state| state.str_at("status")).collect();
    assert_eq!(status, ["completed", "completed", "cancelled", "cancelled", "completed"]);
    server.crash();
    let mut next = at_once(&dir);
    for (id, before) in all.iter().zip(&before) {
        let after = ended(&mut next, id);
        for member in ["status", "result", "createdAt"] {
            assert_eq!(after.get(member), before.get(member), "{member}");
        }
        cancel(&mut next, id);
        assert_eq!(verdict(&get(&mut next, id)), verdict(&after));
    }
    dir.open("go");
    completed(&mut next, &go);
}

#[test]
fn a_call_that_is_still_held_ends_with_the_server() {
    let dir = Dir::new();
    let mut server = holding(&dir, "75");
    let stuck = |n: u32| format!("begin\nmark on{n}\nwait-for never");
    let kept = handle(&mut server, "codex_async", &script("begin\nwait-for go\nsay x\ndone"));
    let calls = [
        server.begin_as(TASKS, "codex", &script(&stuck(0))),
        server.begin_as(TASKS, "codex_batch", &batch(&[&stuck(1), &stuck(2)])),
    ];
    for n in 0..3 {
        dir.marked(&format!("on{n}"));
    }
    server.silent_about(&calls);
    let tasks: Vec<String> = recorded(&dir).into_iter().filter(|id| id != short(&kept)).collect();
    assert_eq!(tasks.len(), 3);
    server.crash();
    for id in &tasks {
        gone(&mark_of(id));
    }
    let mut next = holding(&dir, "75");
    works(&mut next, &kept);
    let all: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let text = next.wait(&all);
    assert!(!text.contains("STILL RUNNING") && !text.contains("(completed in "), "{text}");
    dir.open("go");
    assert!(text_at_end(&mut next, &kept).contains('x'));
}

#[test]
fn a_good_end_of_the_server_ends_no_task_whose_handle_is_out() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let lines = "begin\nmark on\nwait-for go\nsay x\ndone";
    let id = handle(&mut server, "codex", &script(lines));
    dir.marked("on");
    server.end();
    let mut next = at_once(&dir);
    works(&mut next, &id);
    dir.open("go");
    assert_eq!(answer(&text_at_end(&mut next, &id)), "x");
}

#[test]
fn what_is_cleaned_up_is_unknown_and_leaves_no_file() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let kept = handle(&mut server, "codex_async", &script("begin\nwait-for go\nsay x\ndone"));
    let one = handle(&mut server, "codex", &script("begin\nsay x\ndone"));
    let two = handle(&mut server, "codex_async", &script("begin\nexit 3"));
    let both = handle(&mut server, "codex_batch", &batch(&["begin\nsay x\ndone", "exit 3"]));
    let wait = handle(&mut server, "codex_wait", &ids(&[short(&kept)]));
    cancel(&mut server, &wait);
    for id in [&one, &two, &both, &wait] {
        ended(&mut server, id);
    }
    server.end();
    gc(&dir, &[]);
    let mut server = at_once(&dir);
    for id in [&one, &two, &both] {
        for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
            let params = format!(r#"{{"taskId":"{id}","inputResponses":{{}}}}"#);
            assert_eq!(code(&server.ask_as(TASKS, method, &params)), -32602, "{method}");
        }
    }
    works(&mut server, &kept);
    assert_eq!(get(&mut server, &wait).str_at("status"), "cancelled");
    dir.open("go");
    completed(&mut server, &kept);
    server.end();
    gc(&dir, &[]);
    let all = [&kept, &one, &two, &both, &wait];
    let of_tasks = |name: &String| all.iter().any(|id| name.contains(&format!("/{}", short(id))));
    let left: Vec<String> = dir.tree().into_iter().filter(|n| n.starts_with("tasks/")).collect();
    assert!(!left.iter().any(of_tasks), "{left:?}");
}
