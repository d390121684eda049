//! MCP's tasks, as the extension `io.modelcontextprotocol/tasks` has them: who gets a handle, and
//! what is told under it.

use crate::handles::*;
use crate::json::Value;
use crate::support::*;

#[test]
fn codex_async_answers_at_once_with_a_handle_that_is_good_everywhere_from_then_on() {
    let dir = Dir::new();
    let mut server = dir.server();
    let other = &mut dir.server();
    let result = server.call_as(TASKS, "codex_async", &script("begin\nwait-for go\nsay x\ndone"));
    let id = handle_in(&result);
    assert!(dir.task_file(short(&id), "meta").exists(), "it was there before the handle was");
    assert_eq!(result.at("ttlMs").as_u64(), Some(86_400_000));
    works(other, &id);
    works(&mut server, &id);
    dir.open("go");
    assert!(text_at_end(&mut server, &id).contains('x'));
    completed(other, &id);
}

#[test]
fn the_word_to_the_model_names_the_task_and_how_to_peek_but_no_wait() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let plain = script("begin\nwait-for go\ndone");
    let first = server.call_as(TASKS, "codex_async", &plain);
    let id = handle_in(&first);
    let mut handles = vec![first];
    for (tool, args) in [
        ("codex", plain.clone()),
        ("codex_batch", batch(&["begin\nwait-for go\ndone", "begin\nwait-for go\ndone"])),
        ("codex_wait", ids(&[short(&id)])),
    ] {
        handles.push(server.call_as(TASKS, tool, &args));
    }
    for handle in &handles {
        let id = handle_in(handle);
        let text = told_at_once(handle);
        assert!(text.contains("Task ID") && text.contains(short(&id)), "{text}");
        assert!(text.contains("codex_status"), "{text}");
        assert!(!text.contains("codex_wait"), "{text}");
        assert!(text.chars().count() <= 2000, "{text}");
    }
    // Others are told how to wait.
    let text = text_of(&server.call_as(PLAIN, "codex_async", &plain));
    assert!(text.contains("codex_wait"), "{text}");
    let other = server.ok("codex_async", &plain);
    assert!(other.contains("codex_wait"), "{other}");
    dir.open("go");
    for id in recorded(&dir) {
        server.wait(&[&id]);
    }
}

#[test]
fn no_handle_goes_to_a_request_that_does_not_declare_the_extension() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    // This one does, which says nothing about the next.
    let id = handle(&mut server, "codex", r#"{"prompt":"x"}"#);
    completed(&mut server, &id);
    for capabilities in [
        PLAIN,
        r#"{"extensions":{}}"#,
        r#"{"extensions":{"io.modelcontextprotocol/other":{}}}"#,
        r#"{"tasks":{"requests":{"tools":{"call":{}}}}}"#,
        r#"{"experimental":{"io.modelcontextprotocol/tasks":{}}}"#,
        r#"{"io.modelcontextprotocol/tasks":{}}"#,
    ] {
        let result = server.call_as(capabilities, "codex", r#"{"prompt":"x"}"#);
        assert_eq!(result.str_at("resultType"), "complete", "{capabilities}");
        assert_eq!(answer(&text_of(&result)), "done");
        let result = server.call_as(capabilities, "codex_async", r#"{"prompt":"x"}"#);
        assert_eq!(result.str_at("resultType"), "complete", "{capabilities}");
        let id = task_id(&text_of(&result));
        let result = server.call_as(capabilities, "codex_wait", &ids(&[&id]));
        assert!(text_of(&result).contains("(completed in "), "{result:?}");
    }
    // Nor to the legacy revisions, whatever they say at their handshake.
    let handshake = format!(r#"{{"protocolVersion":"2025-11-25","capabilities":{TASKS}}}"#);
    server.ask("initialize", &handshake).at("result");
    assert_eq!(answer(&server.ok("codex", r#"{"prompt":"x"}"#)), "done");
    let text = server.ok("codex_async", r#"{"prompt":"x"}"#);
    server.wait(&[&task_id(&text)]);
}

#[test]
fn a_task_wish_of_2025_11_25_is_read_over() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let params = r#"{"name":"codex","arguments":{"prompt":"x"},"task":{"ttl":3600000}}"#;
    let reply = server.ask("tools/call", params);
    assert_eq!(answer(&text_of(reply.at("result"))), "done");
    assert!(reply.find("result.task").is_none());
    let reply = server.ask_as(PLAIN, "tools/call", params);
    assert_eq!(answer(&text_of(reply.at("result"))), "done");
    let reply = server.ask_as(TASKS, "tools/call", params);
    let id = handle_in(reply.at("result"));
    assert_eq!(answer(&text_at_end(&mut server, &id)), "done");
}

#[test]
fn tools_that_take_no_time_and_calls_that_are_refused_give_no_handle() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let done = task_id(&server.ok("codex", r#"{"prompt":"x"}"#));
    for (tool, args, refused) in [
        ("codex_status", "{}".to_owned(), false),
        ("codex_status", ids(&[&done]), false),
        ("codex_cancel", ids(&[&done]), false),
        ("codex", "{}".to_owned(), true),
        ("codex_async", r#"{"prompt":"x","cwd":"/no/such"}"#.to_owned(), true),
        ("codex_reply", r#"{"prompt":"x"}"#.to_owned(), true),
        ("codex_batch", r#"{"tasks":[{"prompt":5}]}"#.to_owned(), true),
        ("codex_wait", r#"{"task_ids":"x"}"#.to_owned(), true),
        ("codex_wait", ids(&["deadbeef"]), true),
    ] {
        let result = server.call_as(TASKS, tool, &args);
        assert_eq!(result.str_at("resultType"), "complete", "{tool} {args}");
        assert!(!refused || is_error(&result), "{tool} {args}: {result:?}");
    }
    assert_eq!(code(&server.ask_as(TASKS, "tools/call", r#"{"name":"nope"}"#)), -32602);
    assert_eq!(dir.started(), 1);
}

#[test]
fn a_call_whose_task_ends_while_it_is_held_is_answered_as_ever() {
    let dir = Dir::new();
    for seconds in ["75", "3600", "", "soon"] {
        let mut server = holding(&dir, seconds);
        let result = server.call_as(TASKS, "codex", &script("begin\nsay soon\ndone"));
        assert_eq!(result.str_at("resultType"), "complete");
        let text = text_of(&result);
        assert_eq!(answer(&text), "soon");
        let args =
            script_and("begin\nsay again\ndone", &format!(r#""threadId":"{}""#, thread_id(&text)));
        let result = server.call_as(TASKS, "codex_reply", &args);
        assert_eq!(answer(&text_of(&result)), "again");
        let result = server.call_as(TASKS, "codex_batch", &batch(&["begin\nsay one\ndone"]));
        assert!(text_of(&result).contains("one"));
        let id = server.launch("begin\nsay waited\ndone");
        let result = server.call_as(TASKS, "codex_wait", &ids(&[&id]));
        assert!(text_of(&result).contains("waited"));
        let id = server.launch(&format!("begin\nwait-for go{seconds}\ndone"));
        let args = format!(r#"{{"task_ids":["{id}"],"timeout":0}}"#);
        let result = server.call_as(TASKS, "codex_wait", &args);
        assert_eq!(result.str_at("resultType"), "complete");
        assert!(text_of(&result).contains("STILL RUNNING"), "{result:?}");
        dir.open(&format!("go{seconds}"));
        server.wait(&[&id]);
        let result = server.call_as(TASKS, "codex", &script("begin\nfail no\nexit 1"));
        assert!(is_error(&result));
        assert_eq!(result.str_at("resultType"), "complete");
    }
}

/// Begins a tool call that is watched under this token.
fn begin_watched(server: &mut Server<'_>, tool: &str, args: &str, token: &str) -> u32 {
    let meta = format!(r#"{},"progressToken":"{token}""#, envelope(TASKS));
    server.request("tools/call", &with_meta(&tool_call(tool, args), &meta))
}

#[test]
fn a_held_call_tells_its_progress_until_the_handle_and_not_after() {
    let dir = Dir::new();
    let mut server = holding(&dir, "3");
    let lines =
        "begin\nstart cargo test\nwait-for go\nflood 50\nstart last one\nwait-for end\nsay x\ndone";
    let quick = begin_watched(&mut server, "codex_async", &script(lines), "async");
    let id = handle_in(&server.result(quick));
    server.stash.clear();
    let calls = [
        begin_watched(&mut server, "codex", &script(lines), "codex"),
        begin_watched(&mut server, "codex_batch", &batch(&[lines, lines]), "batch"),
        begin_watched(&mut server, "codex_wait", &ids(&[short(&id)]), "wait"),
    ];
    let tasks = calls.map(|call| handle_in(&server.result(call)));
    let told = |token: &str, server: &Server<'_>| {
        server.stash.iter().any(|message| message.str_at("params.progressToken") == token)
    };
    for token in ["codex", "batch", "wait"] {
        assert!(told(token, &server), "{token}: three seconds are enough for some progress");
    }
    assert!(!told("async", &server), "{:?}", server.stash);
    server.stash.clear();
    dir.open("go");
    until("the last tool in the state of one", || {
        get(&mut server, &tasks[0]).str_at("statusMessage").contains("last one").then_some(())
    });
    for id in tasks.iter().chain([&id]) {
        works(&mut server, id);
    }
    dir.open("end");
    for id in tasks.iter().chain([&id]) {
        completed(&mut server, id);
    }
    assert!(server.stash.is_empty(), "after the handles: {:?}", server.stash);
}

#[test]
fn the_state_of_a_task_stays_short_however_long_what_it_does() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let lines = format!("begin\nstart {}\nwait-for go\ndone", "very long ".repeat(10_000));
    let id = handle(&mut server, "codex", &script(&lines));
    let state = until("what it does", || {
        let state = get(&mut server, &id);
        state.str_at("statusMessage").contains("very long").then_some(state)
    });
    assert!(state.str_at("statusMessage").chars().count() < 1000);
    dir.open("go");
    completed(&mut server, &id);
}

#[test]
fn the_state_of_a_task_says_what_it_does_and_when_that_changed() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let lines =
        "begin\nstart cargo build\nwait-for go\nstart cargo test\nwait-for end\nsay x\ndone";
    let id = handle(&mut server, "codex", &script(lines));
    let says = |word: &str, server: &mut Server<'_>| {
        until(word, || {
            Some(get(server, &id)).filter(|state| state.str_at("statusMessage").contains(word))
        })
    };
    let first = says("cargo build", &mut server);
    dir.open("go");
    let second = says("cargo test", &mut server);
    assert_eq!(first.at("createdAt"), second.at("createdAt"));
    assert!(first.str_at("lastUpdatedAt") <= second.str_at("lastUpdatedAt"));
    dir.open("end");
    let last = ended(&mut server, &id);
    assert_eq!(first.at("createdAt"), last.at("createdAt"));
    assert!(second.str_at("lastUpdatedAt") <= last.str_at("lastUpdatedAt"));
}

#[test]
fn the_result_of_codex_and_of_codex_reply_is_what_the_plain_tool_answers() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    for (lines, wrong) in [
        ("begin\nrun ls\nsay two\\nlines\ndone", false),
        ("begin\nfail Quota exceeded.\nexit 1", true),
    ] {
        let plain = server.call("codex", &script(lines));
        let plain_id = task_id(&text_of(&plain));
        let id = handle(&mut server, "codex", &script(lines));
        let result = completed(&mut server, &id);
        assert_eq!((is_error(&result), is_error(&plain)), (wrong, wrong));
        let same = apart_from(&text_of(&plain), &[&plain_id]);
        assert_eq!(apart_from(&text_of(&result), &[short(&id)]), same);

        let reply =
            |thread: &str| script_and(lines, &format!(r#""threadId":"{}""#, thread_of(thread)));
        let plain_reply = server.call("codex_reply", &reply(&plain_id));
        let plain_reply_id = task_id(&text_of(&plain_reply));
        let reply_id = handle(&mut server, "codex_reply", &reply(short(&id)));
        let result = completed(&mut server, &reply_id);
        assert_eq!((is_error(&result), is_error(&plain_reply)), (wrong, wrong));
        let same = apart_from(&text_of(&plain_reply), &[&plain_id, &plain_reply_id]);
        assert_eq!(apart_from(&text_of(&result), &[short(&id), short(&reply_id)]), same);
    }
}

#[test]
fn the_result_of_codex_batch_and_of_codex_wait_is_what_the_plain_tool_answers() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let scripts = ["begin\nsay well\ndone", "begin\nfail Quota exceeded.\nexit 1"];
    let plain = server.ok("codex_batch", &batch(&scripts));
    let id = handle(&mut server, "codex_batch", &batch(&scripts));
    let text = text_at_end(&mut server, &id);
    let (mine, others) = (sections(&text), sections(&plain));
    assert_eq!(mine[0], short(&id), "{text}");
    let bare = |text: &str, ids: &[String]| {
        apart_from(text, &ids.iter().map(String::as_str).collect::<Vec<_>>())
    };
    assert_eq!(bare(&text, &mine), bare(&plain, &others));

    let tasks = [
        server.launch("begin\nwait-for go\nsay one\ndone"),
        server.launch("begin\nwait-for go\nfail two\nexit 1"),
    ];
    let all = ids(&[&tasks[0], &tasks[1]]);
    let wait = handle(&mut server, "codex_wait", &all);
    assert_eq!(short(&wait), tasks[0]);
    works(&mut server, &wait);
    dir.open("go");
    let text = text_at_end(&mut server, &wait);
    assert_eq!(text, server.ok("codex_wait", &all));
}

#[test]
fn the_result_of_an_async_task_tells_its_answer_thread_and_failure() {
    let dir = Dir::new();
    let mut server = dir.server();
    let id = handle(&mut server, "codex_async", &script("begin\nsay the answer\ndone"));
    let text = text_at_end(&mut server, &id);
    assert!(text.contains("the answer"), "{text}");
    assert_eq!(thread_id(&text), thread_of(short(&id)));
    let id = handle(&mut server, "codex_async", &script("begin\nfail Quota exceeded.\nexit 1"));
    let result = completed(&mut server, &id);
    assert!(is_error(&result), "{result:?}");
    assert!(text_of(&result).contains("Quota exceeded."), "{result:?}");
}

#[test]
fn a_wait_under_a_handle_ends_with_its_timeout_or_with_the_first_of_any() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let quick = server.launch("begin\nwait-for quick\nsay I was first\ndone");
    let slow = server.launch("begin\nwait-for slow\nsay x\ndone");
    let args = |more: &str| format!(r#"{{"task_ids":{},{more}}}"#, list(&[&slow, &quick]));
    let timed = handle(&mut server, "codex_wait", &args(r#""timeout":1"#));
    let any = handle(&mut server, "codex_wait", &args(r#""until":"any""#));
    let all = handle(&mut server, "codex_wait", &args(r#""until":"all""#));
    assert_ne!(any, all);
    let text = text_at_end(&mut server, &timed);
    assert_eq!(text.matches("STILL RUNNING").count(), 2, "{text}");
    works(&mut server, &any);
    dir.open("quick");
    let text = text_at_end(&mut server, &any);
    assert!(section(&text, &quick).contains("I was first"), "{text}");
    assert!(section(&text, &slow).contains("STILL RUNNING"), "{text}");
    works(&mut server, &all);
    dir.open("slow");
    let text = text_at_end(&mut server, &all);
    assert!(!text.contains("STILL RUNNING"), "{text}");
}

#[test]
fn ids_cannot_be_guessed_from_one_another() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let one = handle(&mut server, "codex_async", &script("begin\nwait-for go\ndone"));
    let waits: Vec<String> =
        (0..5).map(|_| handle(&mut server, "codex_wait", &ids(&[short(&one)]))).collect();
    let mut rests: Vec<&str> = waits.iter().chain([&one]).map(|id| &id[8..]).collect();
    for wait in &waits {
        assert_eq!(short(wait), short(&one));
    }
    rests.sort_unstable();
    rests.dedup();
    assert_eq!(rests.len(), 6, "{rests:?}");
    dir.open("go");
    completed(&mut server, &one);
    for wait in &waits {
        completed(&mut server, wait);
    }
}

#[test]
fn a_cancelled_task_ends_with_all_its_processes_and_stays_cancelled() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let thread = thread_id(&server.ok("codex", r#"{"prompt":"x"}"#)).to_owned();
    let stuck = |n: u32| format!("begin\nleave-sleeper setsid\nmark on{n}\nwait-for never");
    for (n, (tool, args)) in [
        ("codex", script(&stuck(0))),
        ("codex_async", script(&stuck(1))),
        ("codex_reply", script_and(&stuck(2), &format!(r#""threadId":"{thread}""#))),
        ("codex_batch", batch(&[&stuck(3), &stuck(4)])),
    ]
    .into_iter()
    .enumerate()
    {
        let before = recorded(&dir);
        let id = handle(&mut server, tool, &args);
        dir.marked(&format!("on{n}"));
        if tool == "codex_batch" {
            dir.marked("on4");
        }
        let mine: Vec<String> =
            recorded(&dir).into_iter().filter(|id| !before.contains(id)).collect();
        cancel(&mut server, &id);
        cancel(&mut server, &id);
        let state = ended(&mut server, &id);
        assert_eq!(state.str_at("status"), "cancelled", "{tool}");
        assert_eq!(mine.len(), if tool == "codex_batch" { 2 } else { 1 });
        for task in &mine {
            gone(&mark_of(task));
            assert!(section(&server.wait(&[task]), task).contains("(cancelled "), "{tool}");
        }
        cancel(&mut server, &id);
        assert_eq!(verdict(&get(&mut server, &id)), verdict(&state));
    }
}

#[test]
fn a_task_that_is_cancelled_in_its_first_moment_leaves_nothing() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let stuck = "begin\nleave-sleeper setsid\nwait-for never";
    let tasks: Vec<String> = (0..9)
        .map(|n| {
            let (tool, args) = match n % 3 {
                0 => ("codex", script(stuck)),
                1 => ("codex_async", script(stuck)),
                _ => ("codex_batch", batch(&[stuck, stuck])),
            };
            let id = handle(&mut server, tool, &args);
            cancel(&mut server, &id);
            id
        })
        .collect();
    for id in &tasks {
        assert_eq!(ended(&mut server, id).str_at("status"), "cancelled");
    }
    let all = recorded(&dir);
    assert_eq!(all.len(), 12);
    for id in &all {
        gone(&mark_of(id));
        assert!(section(&server.wait(&[id]), id).contains("(cancelled "));
    }
}

#[test]
fn what_a_cancelled_batch_had_done_stays_done() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let scripts = ["begin\nsay well\ndone", "begin\nmark on\nwait-for never"];
    let id = handle(&mut server, "codex_batch", &batch(&scripts));
    dir.marked("on");
    let text = server.wait(&[short(&id)]);
    assert!(section(&text, short(&id)).contains("(completed in "), "{text}");
    cancel(&mut server, &id);
    assert_eq!(ended(&mut server, &id).str_at("status"), "cancelled");
    for task in recorded(&dir) {
        let text = server.wait(&[&task]);
        let verdict = if task == short(&id) { "(completed in " } else { "(cancelled " };
        assert!(section(&text, &task).contains(verdict), "{text}");
    }
}

#[test]
fn a_task_whose_supervisor_died_has_failed_and_that_is_a_result() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    for tool in ["codex", "codex_async"] {
        let id =
            handle(&mut server, tool, &script("begin\nsay x\nkill-supervisor\nwait-for never"));
        let result = completed(&mut server, &id);
        assert!(is_error(&result), "{result:?}");
        gone(&mark_of(short(&id)));
    }
}

#[test]
fn a_cancelled_wait_leaves_its_tasks_running() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let id =
        handle(&mut server, "codex_async", &script("begin\nmark on\nwait-for go\nsay x\ndone"));
    dir.marked("on");
    let wait = handle(&mut server, "codex_wait", &ids(&[short(&id)]));
    let other = handle(&mut server, "codex_wait", &ids(&[short(&id)]));
    cancel(&mut server, &wait);
    cancel(&mut server, &wait);
    let state = ended(&mut server, &wait);
    assert_eq!(state.str_at("status"), "cancelled");
    works(&mut server, &id);
    works(&mut server, &other);
    assert!(server.status(short(&id)).contains(" elapsed)"));
    dir.open("go");
    assert!(text_at_end(&mut server, &id).contains('x'));
    assert!(text_at_end(&mut server, &other).contains('x'));
    assert_eq!(verdict(&get(&mut server, &wait)), verdict(&state));
}

#[test]
fn a_cancel_changes_nothing_that_is_over() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let well = handle(&mut server, "codex", &script("begin\nsay kept\ndone"));
    let failed = handle(&mut server, "codex_async", &script("begin\nexit 3"));
    let both = handle(&mut server, "codex_batch", &batch(&["begin\nsay x\ndone", "exit 3"]));
    for id in [&well, &failed, &both] {
        let before = ended(&mut server, id);
        assert_eq!(before.str_at("status"), "completed");
        cancel(&mut server, id);
        cancel(&mut server, id);
        assert_eq!(verdict(&get(&mut server, id)), verdict(&before));
    }
    assert_eq!(answer(&text_at_end(&mut server, &well)), "kept");
}

#[test]
fn all_that_is_told_of_a_cancelled_task_is_final() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let stuck = |n: u32| format!("trap-int\nbegin\nmark on{n}\nwait-for never");
    let both = handle(&mut server, "codex_batch", &batch(&[&stuck(0), &stuck(1)]));
    let kept = handle(&mut server, "codex_async", &script("begin\nwait-for go\ndone"));
    let wait = handle(&mut server, "codex_wait", &ids(&[short(&kept)]));
    dir.marked("on0");
    dir.marked("on1");
    cancel(&mut server, &both);
    cancel(&mut server, &wait);
    let before = [ended(&mut server, &both), ended(&mut server, &wait)];
    dir.open("go");
    completed(&mut server, &kept);
    let all = recorded(&dir);
    server.wait(&all.iter().map(String::as_str).collect::<Vec<_>>());
    // The one waited for has completed and the others are gone, and no word of that is in here.
    assert_eq!(get(&mut server, &both), before[0]);
    assert_eq!(get(&mut server, &wait), before[1]);
}

#[test]
fn a_task_that_is_cancelled_by_the_tool_is_told_as_cancelled() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let stuck = |n: u32| script(&format!("begin\nmark on{n}\nwait-for never"));
    let one = handle(&mut server, "codex", &stuck(0));
    let two = handle(&mut server, "codex_async", &stuck(1));
    let wait = handle(&mut server, "codex_wait", &ids(&[short(&one), short(&two)]));
    dir.marked("on0");
    dir.marked("on1");
    server.ok("codex_cancel", &ids(&[short(&one), short(&two)]));
    for id in [&one, &two] {
        assert_eq!(ended(&mut server, id).str_at("status"), "cancelled");
    }
    // Who waited for them was not cancelled, and is told.
    let text = text_at_end(&mut server, &wait);
    assert_eq!(text.matches("(cancelled ").count(), 2, "{text}");
}

#[test]
fn a_held_call_that_is_taken_back_ends_its_task_and_gets_no_handle() {
    let dir = Dir::new();
    let mut server = holding(&dir, "1");
    let call = server.begin_as(TASKS, "codex", &script("begin\nmark on\nwait-for never"));
    server.cancel(call, "AbortError: user-cancel");
    until("its end", || {
        server.ok("codex_status", "{}").contains("(CANCELLED after ").then_some(())
    });
    // One that began later is held no longer than the first would have been.
    let later = handle(&mut server, "codex", &script("begin\nwait-for go\nsay x\ndone"));
    server.silent_about(&[call]);
    dir.open("go");
    completed(&mut server, &later);
}

#[test]
fn once_the_handle_is_out_the_request_cannot_be_taken_back() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let call = server.begin_as(TASKS, "codex", &script("begin\nmark on\nwait-for go\nsay x\ndone"));
    let id = handle_in(&server.result(call));
    dir.marked("on");
    server.cancel(call, "AbortError: user-cancel");
    server.silent_about(&[call]);
    works(&mut server, &id);
    dir.open("go");
    assert_eq!(answer(&text_at_end(&mut server, &id)), "x");
}

#[test]
fn an_update_is_acknowledged_and_changes_nothing() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let id = handle(&mut server, "codex", &script("begin\nwait-for go\nsay x\ndone"));
    let params = |answers: &str| format!(r#"{{"taskId":"{id}","inputResponses":{answers}}}"#);
    let answers = ["{}", r#"{"approve-1":{"action":"accept","content":{"decision":"approve"}}}"#];
    for answers in answers {
        complete(&server.ask_as(TASKS, "tasks/update", &params(answers)), &[]);
    }
    works(&mut server, &id);
    dir.open("go");
    let state = ended(&mut server, &id);
    complete(&server.ask_as(TASKS, "tasks/update", &params("{}")), &[]);
    assert_eq!(verdict(&get(&mut server, &id)), verdict(&state));
}

#[test]
fn an_id_that_is_nobodys_is_unknown() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let id = handle(&mut server, "codex", &script("begin\nmark on\nwait-for go\nsay x\ndone"));
    dir.marked("on");
    dir.write("secret.meta", r#"{"task_id":"secret"}"#);
    let last = if id.ends_with('0') { '1' } else { '0' };
    let mut unknown = vec![
        "0".repeat(32),
        "f".repeat(32),
        String::new(),
        short(&id).to_owned(),
        format!("{}{}", short(&id), "0".repeat(24)),
        format!("{}{last}", &id[..31]),
        id[..31].to_owned(),
        format!("{id}0"),
        format!("{id} "),
        format!(" {id}"),
        format!("{id}\0"),
        format!("{}g", &id[..31]),
        format!("{}/../{}", short(&id), short(&id)),
        format!("{}/{}", short(&id), &id[8..]),
        "../secret".to_owned(),
        format!("../../{:0>26}", "etc/passwd"),
        "x".repeat(100_000),
    ];
    let upper = id.to_uppercase();
    unknown.extend((upper != id).then_some(upper));
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        for id in &unknown {
            let params = format!(r#"{{"taskId":{},"inputResponses":{{}}}}"#, quoted(id));
            let reply = server.ask_as(TASKS, method, &params);
            assert_eq!(code(&reply), -32602, "{method} {}", abridged(id));
        }
        for params in ["{}", r#"{"taskId":5}"#, r#"{"taskId":null}"#, r#"{"taskId":["x"]}"#] {
            assert_eq!(code(&server.ask_as(TASKS, method, params)), -32602, "{method} {params}");
        }
    }
    works(&mut server, &id);
    dir.open("go");
    completed(&mut server, &id);
}

#[test]
fn who_does_not_declare_the_extension_cannot_ask_about_tasks() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let id = handle(&mut server, "codex", r#"{"prompt":"x"}"#);
    completed(&mut server, &id);
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        for id in [&id, &"0".repeat(32)] {
            let params = format!(r#"{{"taskId":"{id}","inputResponses":{{}}}}"#);
            for capabilities in [PLAIN, r#"{"extensions":{}}"#, r#"{"tasks":{}}"#] {
                wants_tasks(&server.ask_as(capabilities, method, &params));
            }
            // The legacy revisions have no such methods.
            assert_eq!(code(&server.ask(method, &params)), -32601);
        }
    }
    for method in ["tasks/list", "tasks/result"] {
        for capabilities in [TASKS, PLAIN] {
            let params = format!(r#"{{"taskId":"{id}"}}"#);
            assert_eq!(code(&server.ask_as(capabilities, method, &params)), -32601, "{method}");
        }
    }
}

#[test]
fn how_long_a_task_is_kept_is_told_in_milliseconds_or_not_at_all() {
    for (age, told) in [("3600", "3600000"), ("86400", "86400000"), ("for ever", "null")] {
        let dir = Dir::new();
        let mut server =
            dir.silent(&[("CODEX_SWARM_TASK_MAX_AGE", age), ("CODEX_SWARM_HOLD", "0")]);
        let result = server.call_as(TASKS, "codex", r#"{"prompt":"x"}"#);
        assert_eq!(result.at("ttlMs").to_json(), told, "{age}");
        let state = ended(&mut server, &handle_in(&result));
        assert_eq!(state.at("ttlMs").to_json(), told, "{age}");
    }
}

#[test]
fn every_tool_takes_the_long_id_as_well_as_the_short_one() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let id = handle(&mut server, "codex", &script("begin\nmark on\nwait-for go\nsay long\ndone"));
    let stuck = handle(&mut server, "codex_async", &script("begin\nmark stuck\nwait-for never"));
    dir.marked("on");
    dir.marked("stuck");
    let text = server.ok("codex_status", &ids(&[&id]));
    assert!(section(&text, short(&id)).contains(" elapsed)"), "{text}");
    // One that only begins like it is nobody's.
    let wrong = format!("{}{}", short(&stuck), "0".repeat(24));
    let text = text_of(&server.call("codex_cancel", &ids(&[&wrong])));
    assert!(text.contains(&wrong), "{text}");
    works(&mut server, &stuck);
    let text = server.ok("codex_cancel", &format!(r#"{{"task_id":"{stuck}"}}"#));
    assert!(text.contains(short(&stuck)), "{text}");
    assert_eq!(ended(&mut server, &stuck).str_at("status"), "cancelled");
    dir.open("go");
    for list in [ids(&[&id]), ids(&[&id, short(&stuck)]), ids(&[short(&id), &stuck])] {
        let text = server.ok("codex_wait", &list);
        assert!(section(&text, short(&id)).contains("long"), "{text}");
    }
    // From a client that knows no tasks just the same.
    let text = text_of(&server.call_as(PLAIN, "codex_status", &ids(&[&id])));
    assert!(section(&text, short(&id)).contains("(COMPLETED in "), "{text}");
}

#[test]
fn a_wait_for_a_batch_by_its_long_id_is_for_all_its_tasks() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let scripts =
        ["begin\nsay one\ndone", "begin\nwait-for go\nsay two\ndone", "begin\nsay three\ndone"];
    let id = handle(&mut server, "codex_batch", &batch(&scripts));
    let wait = server.begin("codex_wait", &ids(&[&id]));
    until("the end of the others", || {
        (server.ok("codex_status", "{}").matches("(COMPLETED in ").count() == 2).then_some(())
    });
    server.silent_about(&[wait]);
    dir.open("go");
    let text = text_of(&server.result(wait));
    assert_eq!(sections(&text).len(), 3, "{text}");
    for word in ["one", "two", "three"] {
        assert!(text.contains(word), "{text}");
    }
    assert_eq!(sections(&text_at_end(&mut server, &id)), sections(&text));
}

#[test]
fn many_tasks_are_told_apart() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let tasks: Vec<String> = (0..12)
        .map(|n| {
            handle(
                &mut server,
                ["codex", "codex_async"][n % 2],
                &script(&format!("begin\nsay number {n}.\ndone")),
            )
        })
        .collect();
    started(&dir, 12);
    for (n, id) in tasks.iter().enumerate().rev() {
        assert!(text_at_end(&mut server, id).contains(&format!("number {n}.")));
    }
}

#[test]
fn with_structure_the_result_under_a_handle_has_it_too() {
    let dir = Dir::new();
    let mut command = dir.command();
    command.args(["--codex", STANDIN, "--structured"]).env("CODEX_SWARM_HOLD", "0");
    let mut server = Server::spawn(&dir, command);
    server.initialize();
    let plain = server.call("codex", &script("begin\nsay x\ndone"));
    let id = handle(&mut server, "codex", &script("begin\nsay x\ndone"));
    let result = completed(&mut server, &id);
    let names = |result: &Value<'static>| -> Vec<String> {
        keys(result.at("structuredContent")).into_iter().map(str::to_owned).collect()
    };
    assert_eq!(names(&result), names(&plain));
    assert_eq!(result.at("structuredContent.content"), plain.at("structuredContent.content"));
}
