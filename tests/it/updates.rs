//! What is told unasked of resources and tasks that change: `resources/subscribe` of the legacy
//! revisions, and `subscriptions/listen` of 2026-07-28.

use crate::handles::*;
use crate::json::Value;
use crate::support::*;

/// The resource that tells of all tasks.
const TASKS_URI: &str = "codex-swarm:///tasks";

/// The resource of one task.
fn uri_of(id: &str) -> String {
    format!("{TASKS_URI}/{id}")
}

/// `{"uri":…}`
fn uri_params(uri: &str) -> String {
    format!(r#"{{"uri":{}}}"#, quoted(uri))
}

/// Subscribes as the legacy revisions do.
fn subscribe(server: &mut Server<'_>, uri: &str) {
    let reply = server.ask("resources/subscribe", &uri_params(uri));
    assert_eq!(reply.at("result").to_json(), "{}");
}

/// Takes it back.
fn unsubscribe(server: &mut Server<'_>, uri: &str) {
    let reply = server.ask("resources/unsubscribe", &uri_params(uri));
    assert_eq!(reply.at("result").to_json(), "{}");
}

/// Listens for what `filter` asks for, and gives what is honoured of it.
fn listen(server: &mut Server<'_>, id: &str, filter: &str) -> Value<'static> {
    listen_as(server, id, PLAIN, filter)
}

/// The same for a client with these capabilities.
fn listen_as(
    server: &mut Server<'_>,
    id: &str,
    capabilities: &str,
    filter: &str,
) -> Value<'static> {
    let params = with_meta(&format!(r#"{{"notifications":{filter}}}"#), &envelope(capabilities));
    server.send(&format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"subscriptions/listen","params":{params}}}"#
    ));
    let first = loop {
        let message = server.next();
        assert!(message.get("error").is_none(), "{message:?}");
        if tag(&message) == Some(id.to_owned()) {
            break message;
        }
        server.stash.push(message);
    };
    assert_eq!(first.str_at("method"), "notifications/subscriptions/acknowledged");
    assert_eq!(keys(&first), ["jsonrpc", "method", "params"]);
    assert_eq!(keys(first.at("params")), ["_meta", "notifications"]);
    first.at("params.notifications").clone()
}

/// Listens for these resources, all of which there are.
fn listen_for(server: &mut Server<'_>, id: &str, uris: &[&str]) {
    let filter = format!(r#"{{"resourceSubscriptions":{}}}"#, list(uris));
    let honoured = listen(server, id, &filter);
    assert_eq!(honoured.to_json(), filter);
}

/// Says that a stream is not wanted any more.
fn stop_listening(server: &mut Server<'_>, id: &str) {
    let params = with_meta(&format!(r#"{{"requestId":{id}}}"#), &envelope(PLAIN));
    server.send(&format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{params}}}"#
    ));
}

/// The stream that a message is on, as JSON; none for one of the legacy revisions.
fn tag(message: &Value<'static>) -> Option<String> {
    meta(message.get("params")?, "subscriptionId").map(Value::to_json)
}

/// Whether a message tells that a resource changed.
fn is_update(message: &Value<'static>) -> bool {
    message.get("method").and_then(Value::as_str) == Some("notifications/resources/updated")
}

/// The next update, whatever else comes before it; its stream and its resource.
fn next_update(server: &mut Server<'_>) -> (Option<String>, String) {
    let message = match server.stash.iter().position(is_update) {
        Some(at) => server.stash.remove(at),
        None => loop {
            let message = server.next();
            if is_update(&message) {
                break message;
            }
            server.stash.push(message);
        },
    };
    assert_eq!(keys(&message), ["jsonrpc", "method", "params"]);
    let tag = tag(&message);
    let expected: &[&str] = if tag.is_some() { &["_meta", "uri"] } else { &["uri"] };
    assert_eq!(keys(message.at("params")), expected, "{message:?}");
    (tag, message.str_at("params.uri").to_owned())
}

/// The updates that have come until now.
fn updates(server: &mut Server<'_>) -> Vec<(Option<String>, String)> {
    server.silent_about(&[]);
    let mut all = Vec::new();
    while server.stash.iter().any(is_update) {
        all.push(next_update(server));
    }
    all
}

/// Waits for updates on `uri` in this stream until one has come at which `uri` reads `word`; how
/// many there were.
fn told_until(server: &mut Server<'_>, stream: Option<&str>, uri: &str, word: &str) -> usize {
    let mut count = 0;
    loop {
        let (tag, of) = next_update(server);
        assert_eq!((tag.as_deref(), of.as_str()), (stream, uri));
        count += 1;
        if read(server, uri).contains(word) {
            return count;
        }
    }
}

/// What a resource tells now, whatever revisions the client knows.
fn read(server: &mut Server<'_>, uri: &str) -> String {
    let reply = server.ask_as(PLAIN, "resources/read", &uri_params(uri));
    reply.str_at("result.contents.0.text").to_owned()
}

/// How often a stream is among updates.
fn count(updates: &[(Option<String>, String)], stream: Option<&str>) -> usize {
    updates.iter().filter(|(tag, _)| tag.as_deref() == stream).count()
}

#[test]
fn every_handshake_offers_subscriptions_and_keeps_its_word() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    for revision in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let reply = server.ask("initialize", &format!(r#"{{"protocolVersion":"{revision}"}}"#));
        let capabilities = reply.at("result.capabilities");
        assert_eq!(keys(capabilities), ["resources", "tools"]);
        assert_eq!(capabilities.at("tools").to_json(), "{}");
        assert_eq!(capabilities.at("resources").to_json(), r#"{"subscribe":true}"#);
        subscribe(&mut server, TASKS_URI);
        let (id, _) = server.run("begin\nsay x\ndone");
        told_until(&mut server, None, TASKS_URI, &id);
        unsubscribe(&mut server, TASKS_URI);
        updates(&mut server);
    }
}

#[test]
fn a_subscriber_is_told_when_a_task_starts_runs_and_ends() {
    let dir = Dir::new();
    let mut server = dir.server();
    subscribe(&mut server, TASKS_URI);
    let id = server.launch("begin\nwait-for go\nsay x\ndone");
    let begun = told_until(&mut server, None, TASKS_URI, "running");
    assert!(read(&mut server, TASKS_URI).contains(&id));
    dir.open("go");
    let ended = told_until(&mut server, None, TASKS_URI, "completed");
    server.wait(&[&id]);
    let rest = updates(&mut server).len();
    // queued, preparing, running, and how it ended
    assert!(begun + ended + rest <= 4, "{begun} + {ended} + {rest} updates");
}

#[test]
fn a_task_that_makes_many_events_is_not_told_of_at_each() {
    let dir = Dir::new();
    let mut server = dir.server();
    subscribe(&mut server, TASKS_URI);
    listen_for(&mut server, "\"s\"", &[TASKS_URI]);
    let lines = "begin\nmark on\nwait-for flood\nflood 20\nwait-for go\nsay x\ndone";
    let id = server.launch(lines);
    dir.marked("on");
    until("the thread", || server.status(&id).contains(&thread_of(&id)).then_some(()));
    until("that it runs", || read(&mut server, TASKS_URI).contains("running").then_some(()));
    let begun = updates(&mut server);
    dir.open("flood");
    // Forty events, as many as twenty tools make.
    until("all events", || {
        (maybe_field(&server.status(&id), "Tools called") == Some("20")).then_some(())
    });
    let during = updates(&mut server);
    dir.open("go");
    server.wait(&[&id]);
    let mut ended = Vec::new();
    until("the end of it", || {
        ended.extend(updates(&mut server));
        (ended.len() > 1).then_some(())
    });
    for stream in [None, Some("\"s\"")] {
        assert!((1..=3).contains(&count(&begun, stream)), "{begun:?}");
        assert_eq!(count(&during, stream), 0, "{during:?}");
        assert_eq!(count(&ended, stream), 1, "{ended:?}");
    }
}

#[test]
fn sync_failed_and_cancelled_tasks_are_told_of_too() {
    let dir = Dir::new();
    let mut server = dir.server();
    subscribe(&mut server, TASKS_URI);
    server.ok("codex", r#"{"prompt":"x"}"#);
    told_until(&mut server, None, TASKS_URI, "completed");
    updates(&mut server);
    server.refused("codex", &script("begin\nfail no\nexit 1"));
    told_until(&mut server, None, TASKS_URI, "failed");
    updates(&mut server);
    let id = server.launch("begin\nmark on\nwait-for never");
    dir.marked("on");
    told_until(&mut server, None, TASKS_URI, "running");
    server.ok("codex_cancel", &ids(&[&id]));
    told_until(&mut server, None, TASKS_URI, "cancelled");
}

#[test]
fn who_subscribes_to_one_task_hears_of_that_one_alone() {
    let dir = Dir::new();
    let mut server = dir.server();
    let one = server.launch("begin\nmark one\nwait-for go1\nsay x\ndone");
    let two = server.launch("begin\nmark two\nwait-for go2\nsay x\ndone");
    dir.marked("one");
    dir.marked("two");
    until("that both run", || {
        let threads = server.ok("codex_status", "{}").matches("Thread ID").count();
        let running = read(&mut server, TASKS_URI).matches("running").count();
        (threads == 2 && running == 2).then_some(())
    });
    subscribe(&mut server, &uri_of(&one));
    listen_for(&mut server, "1007", &[&uri_of(&two)]);
    dir.open("go1");
    told_until(&mut server, None, &uri_of(&one), "completed");
    server.wait(&[&one]);
    assert_eq!(updates(&mut server), []);
    dir.open("go2");
    told_until(&mut server, Some("1007"), &uri_of(&two), "completed");
    server.wait(&[&two]);
    assert_eq!(updates(&mut server), []);
}

#[test]
fn whoever_unsubscribes_hears_no_more() {
    let dir = Dir::new();
    let mut server = dir.server();
    // Twice is as good as once.
    subscribe(&mut server, TASKS_URI);
    subscribe(&mut server, TASKS_URI);
    server.run("begin\nsay x\ndone");
    let first = until("updates", || Some(updates(&mut server)).filter(|u| !u.is_empty()));
    assert!(first.len() <= 4, "{first:?}");
    unsubscribe(&mut server, TASKS_URI);
    updates(&mut server);
    server.run("begin\nsay x\ndone");
    server.run("begin\nsay x\ndone");
    assert_eq!(updates(&mut server), []);
    // And may come back.
    subscribe(&mut server, TASKS_URI);
    server.run("begin\nsay x\ndone");
    told_until(&mut server, None, TASKS_URI, "completed");
}

#[test]
fn what_does_not_exist_cannot_be_subscribed_to() {
    let dir = Dir::new();
    let mut server = dir.server();
    server.ok("codex", r#"{"prompt":"x"}"#);
    for uri in [
        "codex-swarm:///nope",
        "codex-swarm:///tasks/deadbeef",
        "codex-swarm:///tasks/",
        "codex-swarm:///tasks/../secret",
        "file:///etc/passwd",
        "",
    ] {
        let reply = server.ask("resources/subscribe", &uri_params(uri));
        assert_eq!(code(&reply), -32002, "{uri}");
        assert_eq!(reply.at("error.data").to_json(), uri_params(uri));
    }
    for params in ["{}", r#"{"uri":5}"#, r#"{"uri":null}"#, r#"{"uri":["x"]}"#] {
        assert_eq!(code(&server.ask("resources/subscribe", params)), -32602, "{params}");
        assert_eq!(code(&server.ask("resources/unsubscribe", params)), -32602, "{params}");
    }
}

#[test]
fn a_subscription_needs_a_session() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    for method in ["resources/subscribe", "resources/unsubscribe"] {
        assert_eq!(code(&server.ask(method, &uri_params(TASKS_URI))), -32602, "{method}");
    }
    server.initialize();
    server.run("begin\nsay x\ndone");
    assert_eq!(updates(&mut server), []);
}

#[test]
fn a_stream_is_acknowledged_first_under_the_very_id_of_its_request() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    for id in ["1001", "\"1001\"", "\"listen:0\"", "9007199254740993", "-7", r#""é \" \\""#] {
        listen_for(&mut server, id, &[TASKS_URI]);
    }
    server.silent_about(&[]);
    assert!(server.stash.is_empty(), "no stream has an answer: {:?}", server.stash);
    for id in ["1001", "\"1001\"", "\"listen:0\"", "9007199254740993", "-7", r#""é \" \\""#] {
        stop_listening(&mut server, id);
    }
    server.silent_about(&[]);
    assert!(server.stash.is_empty(), "nor has its end: {:?}", server.stash);
}

#[test]
fn only_what_will_be_told_is_acknowledged() {
    let dir = Dir::new();
    let mut server = dir.server();
    let id = task_id(&server.ok("codex", r#"{"prompt":"x"}"#));
    let all = r#""toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true,"news":true"#;
    for filter in ["{}".to_owned(), format!("{{{all}}}")] {
        assert_eq!(listen(&mut server, "1001", &filter).to_json(), "{}", "{filter}");
        stop_listening(&mut server, "1001");
    }
    let uris = list(&["codex-swarm:///nope", TASKS_URI, &uri_of("deadbeef"), &uri_of(&id), "x"]);
    let filter = format!(r#"{{{all},"resourceSubscriptions":{uris}}}"#);
    let honoured = listen(&mut server, "1002", &filter);
    let expected = list(&[TASKS_URI, &uri_of(&id)]);
    assert_eq!(honoured.to_json(), format!(r#"{{"resourceSubscriptions":{expected}}}"#));
    // Where nothing is left, that may be said by an empty list or by none.
    for uris in ["[]", r#"["codex-swarm:///nope"]"#] {
        let honoured =
            listen(&mut server, "1003", &format!(r#"{{"resourceSubscriptions":{uris}}}"#));
        let said = honoured.to_json();
        assert!(["{}", r#"{"resourceSubscriptions":[]}"#].contains(&said.as_str()), "{said}");
        stop_listening(&mut server, "1003");
    }
}

#[test]
fn a_request_to_listen_says_what_for() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    for params in [
        "{}",
        r#"{"notifications":null}"#,
        r#"{"notifications":[]}"#,
        r#"{"notifications":"all"}"#,
        r#"{"notifications":true}"#,
    ] {
        let reply = server.ask_as(PLAIN, "subscriptions/listen", params);
        assert_eq!(code(&reply), -32602, "{params}");
    }
    server.silent_about(&[]);
    assert!(server.stash.is_empty(), "{:?}", server.stash);
}

#[test]
fn to_hear_of_tasks_by_their_ids_wants_the_extension() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    let params = format!(
        r#"{{"notifications":{{"resourceSubscriptions":["{TASKS_URI}"],"taskIds":["{}"]}}}}"#,
        "0".repeat(32)
    );
    for capabilities in [PLAIN, r#"{"extensions":{}}"#, r#"{"tasks":{}}"#] {
        wants_tasks(&server.ask_as(capabilities, "subscriptions/listen", &params));
    }
    server.silent_about(&[]);
    assert!(server.stash.is_empty(), "{:?}", server.stash);
}

#[test]
fn every_open_stream_gets_each_change_once_and_only_it() {
    let dir = Dir::new();
    let mut server = dir.server();
    let streams = ["1001", "\"1001\"", "\"listen:0\""];
    for stream in streams {
        listen_for(&mut server, stream, &[TASKS_URI]);
    }
    listen(&mut server, "\"deaf\"", "{}");
    let id = server.launch("begin\nsay x\ndone");
    server.wait(&[&id]);
    let mut all = Vec::new();
    until("the end on all streams", || {
        all.extend(updates(&mut server));
        streams.iter().all(|stream| count(&all, Some(stream)) > 1).then_some(())
    });
    let each = count(&all, Some("1001"));
    assert!(each <= 4, "{all:?}");
    for stream in streams {
        assert_eq!(count(&all, Some(stream)), each, "{all:?}");
    }
    // Nobody subscribed as in the legacy revisions.
    assert_eq!(all.len(), 3 * each, "{all:?}");

    // One of them ends, and it is the one with just that id.
    stop_listening(&mut server, "1001");
    subscribe(&mut server, TASKS_URI);
    updates(&mut server);
    server.run("begin\nsay x\ndone");
    let mut all = Vec::new();
    until("the end on those that are left", || {
        all.extend(updates(&mut server));
        [None, Some("\"1001\""), Some("\"listen:0\"")]
            .iter()
            .all(|stream| count(&all, *stream) > 1)
            .then_some(())
    });
    assert_eq!(count(&all, Some("1001")), 0, "{all:?}");
    assert_eq!(all.len(), 3 * count(&all, None), "{all:?}");
    assert!(server.stash.is_empty(), "{:?}", server.stash);
}

#[test]
fn a_resource_that_is_named_twice_is_told_of_once() {
    let dir = Dir::new();
    let mut server = dir.server();
    let filter = format!(r#"{{"resourceSubscriptions":{}}}"#, list(&[TASKS_URI, TASKS_URI]));
    listen(&mut server, "1001", &filter);
    listen_for(&mut server, "1002", &[TASKS_URI]);
    server.run("begin\nsay x\ndone");
    let mut all = Vec::new();
    until("some updates", || {
        all.extend(updates(&mut server));
        (count(&all, Some("1002")) > 1).then_some(())
    });
    assert_eq!(count(&all, Some("1001")), count(&all, Some("1002")), "{all:?}");
}

#[test]
fn an_id_whose_stream_has_ended_may_be_used_again() {
    let dir = Dir::new();
    let mut server = dir.server();
    for _ in 0..3 {
        listen_for(&mut server, "\"s\"", &[TASKS_URI]);
        server.run("begin\nsay x\ndone");
        told_until(&mut server, Some("\"s\""), TASKS_URI, "completed");
        stop_listening(&mut server, "\"s\"");
        updates(&mut server);
        server.run("begin\nsay x\ndone");
        assert_eq!(updates(&mut server), []);
    }
}

#[test]
fn who_only_listens_gets_no_word_without_a_stream() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    listen_for(&mut server, "\"s\"", &[TASKS_URI]);
    server.call_as(PLAIN, "codex", r#"{"prompt":"x"}"#);
    told_until(&mut server, Some("\"s\""), TASKS_URI, "completed");
    for update in updates(&mut server) {
        assert_eq!(update.0.as_deref(), Some("\"s\""));
    }
    assert!(server.stash.is_empty(), "{:?}", server.stash);
}

#[test]
fn at_the_end_of_stdin_a_stream_says_at_most_that_it_is_over() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    listen_for(&mut server, "1001", &[TASKS_URI]);
    server.hang_up();
    assert_eq!(server.ended().code(), Some(0));
    while let Some(line) = server.last_line() {
        let reply = read_json(&line);
        assert_eq!(reply.at("id").to_json(), "1001");
        assert_eq!(reply.str_at("result.resultType"), "complete");
        assert_eq!(meta(reply.at("result"), "subscriptionId").unwrap().to_json(), "1001");
    }
}

#[test]
fn a_task_of_another_server_that_ran_before_is_told_of() {
    let dir = Dir::new();
    let mut other = dir.server();
    let id = other.launch("begin\nmark on\nwait-for go\nsay x\ndone");
    dir.marked("on");
    until("that it runs", || other.status(&id).contains(&thread_of(&id)).then_some(()));
    let mut server = dir.server();
    subscribe(&mut server, TASKS_URI);
    listen_for(&mut server, "\"s\"", &[&uri_of(&id)]);
    dir.open("go");
    let mut heard = [false, false];
    while heard != [true, true] {
        let (tag, uri) = next_update(&mut server);
        let modern = tag.is_some();
        assert_eq!(uri, if modern { uri_of(&id) } else { TASKS_URI.to_owned() });
        heard[usize::from(modern)] = read(&mut server, &uri).contains("completed");
    }
    other.wait(&[&id]);
    other.end();
}

#[test]
fn a_task_that_another_server_starts_later_is_told_of() {
    let dir = Dir::new();
    let mut server = dir.server();
    // There is not even a directory yet.
    subscribe(&mut server, TASKS_URI);
    let mut other = dir.server();
    let id = other.launch("begin\nmark on\nwait-for go\nsay x\ndone");
    told_until(&mut server, None, TASKS_URI, &id);
    dir.marked("on");
    told_until_running(&mut server, &id);
    dir.open("go");
    told_until(&mut server, None, TASKS_URI, "completed");
    // The next one too, now that all is there.
    updates(&mut server);
    let next = other.launch("begin\nwait-for go2\nsay x\ndone");
    told_until(&mut server, None, TASKS_URI, &next);
    dir.open("go2");
    other.wait(&[&next]);
    until("its end", || {
        next_update(&mut server);
        (read(&mut server, TASKS_URI).matches("completed").count() >= 2).then_some(())
    });
}

/// Waits until the task is told as running, if it was not before.
fn told_until_running(server: &mut Server<'_>, id: &str) {
    while !read(server, &uri_of(id)).contains("running") {
        next_update(server);
    }
}

#[test]
fn a_stream_hears_of_a_task_that_another_server_starts_later() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    listen_for(&mut server, "1005", &[TASKS_URI]);
    let mut other = dir.server();
    let id = other.launch("begin\nwait-for go\nsay x\ndone");
    told_until(&mut server, Some("1005"), TASKS_URI, &id);
    dir.open("go");
    other.wait(&[&id]);
    told_until(&mut server, Some("1005"), TASKS_URI, "completed");
}

/// Listens for tasks; the ids that are honoured, sorted.
fn listen_for_tasks(server: &mut Server<'_>, stream: &str, tasks: &[&str]) -> Vec<String> {
    let filter = format!(r#"{{"taskIds":{}}}"#, list(tasks));
    let honoured = listen_as(server, stream, TASKS, &filter);
    assert!(keys(&honoured).iter().all(|name| *name == "taskIds"), "{honoured:?}");
    let honoured = honoured.get("taskIds").and_then(Value::as_array).unwrap_or_default();
    let mut honoured: Vec<String> =
        honoured.iter().map(|id| id.as_str().unwrap().to_owned()).collect();
    honoured.sort();
    honoured
}

/// The next word on a task; its stream and the state it tells.
fn next_state(server: &mut Server<'_>) -> (String, Value<'static>) {
    let is = |message: &Value<'static>| {
        message.get("method").and_then(Value::as_str) == Some("notifications/tasks")
    };
    let message = match server.stash.iter().position(is) {
        Some(at) => server.stash.remove(at),
        None => server.next(),
    };
    assert!(is(&message), "{message:?}");
    let stream = tag(&message).expect("a stream");
    check_state(message.at("params"));
    (stream, message.at("params").clone())
}

/// Waits until one stream tells that one of its tasks is over; its last state.
fn next_end(server: &mut Server<'_>, stream: &str) -> Value<'static> {
    loop {
        let (of, state) = next_state(server);
        assert_eq!(of, stream);
        if state.str_at("status") != "working" {
            return state;
        }
    }
}

/// The members of a state that a stream and a look have in common.
fn common(state: &Value<'static>) -> Vec<(String, String)> {
    let mut members: Vec<(String, String)> = state
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| !["_meta", "resultType"].contains(&name.as_ref()))
        .map(|(name, value)| (name.to_string(), value.to_json()))
        .collect();
    members.sort();
    members
}

#[test]
fn a_stream_tells_of_the_tasks_it_was_opened_for_in_full() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let go = |n: u32| script(&format!("begin\nmark on{n}\nwait-for go{n}\nsay answer {n}\ndone"));
    let one = handle(&mut server, "codex", &go(1));
    let two = handle(&mut server, "codex_async", &go(2));
    let other = handle(&mut server, "codex", &go(3));
    let wait = handle(&mut server, "codex_wait", &ids(&[short(&two)]));
    for n in 1..4 {
        dir.marked(&format!("on{n}"));
    }
    let unknown = "0".repeat(32);
    let mut expected = vec![one.clone(), two.clone(), wait.clone()];
    expected.sort();
    let asked = [&one[..], &unknown, &two, &wait, "../x", short(&one)];
    assert_eq!(listen_for_tasks(&mut server, "\"s\"", &asked), expected);
    dir.open("go3");
    completed(&mut server, &other);
    dir.open("go1");
    let told = next_end(&mut server, "\"s\"");
    assert_eq!(told.str_at("taskId"), one);
    assert_eq!(told.str_at("status"), "completed");
    assert_eq!(common(&told), common(&get(&mut server, &one)));
    // The next two end together, in whichever order.
    dir.open("go2");
    let ends = [next_end(&mut server, "\"s\""), next_end(&mut server, "\"s\"")];
    for id in [&two, &wait] {
        let told = ends.iter().find(|state| state.str_at("taskId") == id).unwrap();
        assert_eq!(common(told), common(&get(&mut server, id)));
    }
}

#[test]
fn a_stream_tells_that_a_task_was_cancelled_and_ends_when_it_is_told_to() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let stuck = |n: u32| script(&format!("begin\nmark on{n}\nwait-for never"));
    let one = handle(&mut server, "codex", &stuck(1));
    let two = handle(&mut server, "codex", &stuck(2));
    dir.marked("on1");
    dir.marked("on2");
    assert_eq!(listen_for_tasks(&mut server, "1005", &[&one]).concat(), one);
    cancel(&mut server, &one);
    let told = next_end(&mut server, "1005");
    assert_eq!((told.str_at("taskId"), told.str_at("status")), (&one[..], "cancelled"));
    assert!(told.get("result").is_none());
    assert_eq!(listen_for_tasks(&mut server, "\"1005\"", &[&two]).concat(), two);
    stop_listening(&mut server, "\"1005\"");
    server.silent_about(&[]);
    server.stash.clear();
    cancel(&mut server, &two);
    ended(&mut server, &two);
    server.silent_about(&[]);
    for message in &server.stash {
        assert_eq!(tag(message).as_deref(), Some("1005"), "{message:?}");
    }
}

#[test]
fn a_stream_tells_of_tasks_that_another_server_started() {
    let dir = Dir::new();
    let mut other = at_once(&dir);
    let go = script("begin\nmark on\nwait-for go\nsay x\ndone");
    let id = handle(&mut other, "codex", &go);
    let wait = handle(&mut other, "codex_wait", &ids(&[short(&id)]));
    dir.marked("on");
    let mut server = dir.silent(&[]);
    let mut expected = [id.clone(), wait.clone()];
    expected.sort();
    assert_eq!(listen_for_tasks(&mut server, "1001", &[&id, &wait]), expected);
    other.crash();
    dir.open("go");
    for _ in 0..2 {
        let told = next_end(&mut server, "1001");
        assert_eq!(told.str_at("status"), "completed");
        let id = told.str_at("taskId").to_owned();
        assert_eq!(common(&told), common(&get(&mut server, &id)));
    }
}

#[test]
fn one_stream_may_tell_of_resources_and_of_tasks() {
    let dir = Dir::new();
    let mut server = at_once(&dir);
    let id = handle(&mut server, "codex", &script("begin\nmark on\nwait-for go\nsay x\ndone"));
    dir.marked("on");
    let filter = format!(r#"{{"resourceSubscriptions":["{TASKS_URI}"],"taskIds":["{id}"]}}"#);
    let honoured = listen_as(&mut server, "1001", TASKS, &filter);
    assert_eq!(keys(&honoured), ["resourceSubscriptions", "taskIds"]);
    dir.open("go");
    let mut heard = [false, false];
    while heard != [true, true] {
        let message = server.next();
        assert_eq!(tag(&message).as_deref(), Some("1001"), "{message:?}");
        if is_update(&message) {
            heard[0] = true;
        } else {
            heard[1] = message.str_at("params.status") == "completed";
        }
    }
}
