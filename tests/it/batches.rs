//! JSON-RPC batches, which only revision 2025-03-26 has: an array of messages in one line, answered
//! by an array of replies in one line.

use crate::json::Value;
use crate::support::*;

/// The one revision that has batches.
const BATCHES: &str = r#"{"protocolVersion":"2025-03-26"}"#;

/// A request without parameters.
fn bare(id: &str, method: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}"}}"#)
}

/// A call of codex or the like.
fn call(id: &str, tool: &str, args: &str) -> String {
    let params = tool_call(tool, args);
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{params}}}"#)
}

/// The notification that a request is not wanted any more.
fn cancelled(id: &str) -> String {
    let params = format!(r#"{{"requestId":{id},"reason":"user"}}"#);
    format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{params}}}"#)
}

/// Sends messages as one array.
fn send(server: &mut Server<'_>, messages: &[String]) {
    server.send(&format!("[{}]", messages.join(",")));
}

/// The next line, which must be an array of replies that is not empty.
fn replies(server: &mut Server<'_>) -> Vec<Value<'static>> {
    let line = read_json(&server.line());
    let replies = line.as_array().unwrap_or_else(|| panic!("no array: {line:?}")).to_vec();
    assert!(!replies.is_empty());
    for reply in &replies {
        assert_eq!(reply.str_at("jsonrpc"), "2.0");
        assert!(reply.get("method").is_none(), "{reply:?}");
    }
    replies
}

/// The ids of replies as JSON, sorted; of one that has none, `-`.
fn ids_of(replies: &[Value<'static>]) -> Vec<String> {
    let id = |reply: &Value<'static>| reply.get("id").map_or("-".to_owned(), Value::to_json);
    let mut all: Vec<String> = replies.iter().map(id).collect();
    all.sort();
    all
}

/// The reply with this id.
fn reply_to<'r>(replies: &'r [Value<'static>], id: &str) -> &'r Value<'static> {
    let is = |reply: &&Value<'static>| reply.get("id").is_some_and(|found| found.to_json() == id);
    replies.iter().find(is).unwrap_or_else(|| panic!("no reply to {id} in {replies:?}"))
}

/// A server whose session has batches.
fn server(dir: &Dir) -> Server<'_> {
    let mut server = dir.silent(&[]);
    server.ask("initialize", BATCHES).at("result");
    server
}

/// Checks that a line is refused as a whole, with one error that has no id.
fn refused(server: &mut Server<'_>, line: &str) {
    server.send(line);
    let reply = server.next();
    assert_eq!(code(&reply), -32600, "{line}");
    assert!(reply.get("id").is_none(), "{reply:?}");
    server.silent_about(&[]);
    assert!(server.stash.is_empty(), "{line}: {:?}", server.stash);
}

#[test]
fn every_request_of_a_batch_has_its_reply_in_one_array() {
    let dir = Dir::new();
    let mut server = server(&dir);
    send(
        &mut server,
        &[
            bare("1", "ping"),
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned(),
            bare("\"1\"", "tools/list"),
            bare("9007199254740993", "nope"),
            r#"{"jsonrpc":"2.0","id":77,"result":{}}"#.to_owned(),
            r#"{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"nope"}}"#.to_owned(),
        ],
    );
    let all = replies(&mut server);
    assert_eq!(ids_of(&all), ["\"1\"", "1", "4", "9007199254740993"]);
    assert_eq!(reply_to(&all, "1").at("result").to_json(), "{}");
    reply_to(&all, "\"1\"").at("result.tools");
    assert_eq!(code(reply_to(&all, "9007199254740993")), -32601);
    assert_eq!(code(reply_to(&all, "4")), -32602);
    // A batch of one is a batch.
    send(&mut server, &[bare("5", "ping")]);
    assert_eq!(ids_of(&replies(&mut server)), ["5"]);
    server.silent_about(&[]);
    assert!(server.stash.is_empty(), "{:?}", server.stash);
}

#[test]
fn a_batch_without_requests_is_not_answered() {
    let dir = Dir::new();
    let mut server = server(&dir);
    let told = r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#;
    let answered = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    for batch in [told, answered, &format!("{told},{told}"), &format!("{told},{answered}")] {
        server.send(&format!("[{batch}]"));
        server.silent_about(&[]);
        assert!(server.stash.is_empty(), "{:?}", server.stash);
    }
}

#[test]
fn an_empty_batch_is_refused() {
    let dir = Dir::new();
    let mut server = server(&dir);
    for line in ["[]", " [ ] "] {
        refused(&mut server, line);
    }
}

#[test]
fn what_is_no_request_in_a_batch_has_an_error_of_its_own_and_spoils_nothing() {
    let dir = Dir::new();
    let mut server = server(&dir);
    let members = [
        "5",
        "null",
        r#""ping""#,
        "[]",
        "[{}]",
        "{}",
        r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":2}"#,
        r#"{"jsonrpc":"1.0","id":3,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":4,"method":"ping","params":[]}"#,
        &bare("7", "ping"),
    ];
    server.send(&format!("[{}]", members.join(",")));
    let all = replies(&mut server);
    assert_eq!(ids_of(&all), ["-", "-", "-", "-", "-", "-", "-", "-", "2", "3", "4", "7"]);
    for reply in all.iter().filter(|reply| reply.get("id").is_none()) {
        assert_eq!(code(reply), -32600, "{reply:?}");
    }
    for (id, expected) in [("2", -32600), ("3", -32600), ("4", -32602)] {
        assert_eq!(code(reply_to(&all, id)), expected, "{id}");
    }
    reply_to(&all, "7").at("result");
    // Only nonsense is answered too.
    server.send("[1,2,3]");
    let all = replies(&mut server);
    assert_eq!(ids_of(&all), ["-", "-", "-"]);
    assert!(all.iter().all(|reply| code(reply) == -32600), "{all:?}");
}

#[test]
fn a_batch_that_is_no_json_is_one_error() {
    let dir = Dir::new();
    let mut server = server(&dir);
    for line in [format!("[{}", bare("1", "ping")), format!("[{},]", bare("1", "ping"))] {
        server.send(&line);
        let reply = server.next();
        assert_eq!(code(&reply), -32700, "{line}");
        assert!(reply.get("id").is_none());
    }
    server.silent_about(&[]);
    assert!(server.stash.is_empty(), "{:?}", server.stash);
}

#[test]
fn a_handshake_has_no_place_in_a_batch() {
    let dir = Dir::new();
    let mut server = server(&dir);
    let handshake = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#;
    for _ in 0..2 {
        // The session is as it was, so that there may be a second batch.
        send(&mut server, &[handshake.to_owned(), bare("2", "ping")]);
        let all = replies(&mut server);
        assert_eq!(ids_of(&all), ["1", "2"]);
        assert_eq!(code(reply_to(&all, "1")), -32600);
        reply_to(&all, "2").at("result");
    }
}

#[test]
fn a_modern_request_in_a_batch_has_one_reply_and_holds_up_nothing() {
    let dir = Dir::new();
    let mut server = server(&dir);
    let modern = |id: &str, method: &str, params: &str| {
        let params = with_meta(params, &envelope(PLAIN));
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
    };
    let filter = r#"{"notifications":{"resourceSubscriptions":["codex-swarm:///tasks"]}}"#;
    let discover = modern("1", "server/discover", "{}");
    let listen = modern("2", "subscriptions/listen", filter);
    // It knows no batches: whether it is answered or refused in one is all the same.
    send(&mut server, &[discover, listen, bare("3", "ping")]);
    let all = replies(&mut server);
    assert_eq!(ids_of(&all), ["1", "2", "3"]);
    reply_to(&all, "2").at("error");
    reply_to(&all, "3").at("result");
    server.silent_about(&[]);
    assert!(server.stash.is_empty(), "{:?}", server.stash);
}

#[test]
fn there_are_batches_in_no_other_revision() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    let batch = format!("[{},{}]", bare("1", "ping"), bare("2", "ping"));
    let empty = "[]".to_owned();
    let told = r#"[{"jsonrpc":"2.0","method":"notifications/initialized"}]"#.to_owned();
    let lines = [batch.clone(), empty, told];
    let all_refused = |server: &mut Server<'_>| {
        for line in &lines {
            refused(server, line);
        }
    };
    all_refused(&mut server);
    server.ask_as(PLAIN, "server/discover", "{}").at("result");
    all_refused(&mut server);
    for revision in ["2024-11-05", "2025-06-18", "2025-11-25", "2026-07-28", ""] {
        server.ask("initialize", &format!(r#"{{"protocolVersion":"{revision}"}}"#)).at("result");
        all_refused(&mut server);
        // The next handshake is the one that counts.
        server.ask("initialize", BATCHES).at("result");
        server.send(&batch);
        assert_eq!(ids_of(&replies(&mut server)), ["1", "2"], "{revision}");
    }
    // And no modern request changes it.
    server.ask_as(PLAIN, "tools/list", "{}").at("result");
    server.send(&batch);
    assert_eq!(ids_of(&replies(&mut server)), ["1", "2"]);
}

#[test]
fn the_array_comes_when_its_last_reply_is_there_and_holds_up_nothing() {
    let dir = Dir::new();
    let mut server = server(&dir);
    let slow = |n: u32| script(&format!("begin\nmark on{n}\nwait-for go{n}\nsay slow {n}\ndone"));
    send(
        &mut server,
        &[
            bare("\"a\"", "ping"),
            call("\"b\"", "codex", &slow(1)),
            call("\"c\"", "codex", &slow(2)),
            call("\"d\"", "codex_async", &script("begin\nsay x\ndone")),
        ],
    );
    dir.marked("on1");
    dir.marked("on2");
    // Others are answered meanwhile, another batch among them.
    server.silent_about(&[]);
    send(&mut server, &[bare("\"e\"", "ping"), bare("\"f\"", "tools/list")]);
    assert_eq!(ids_of(&replies(&mut server)), ["\"e\"", "\"f\""]);
    dir.open("go2");
    until("the end of the second", || {
        server.ok("codex_status", "{}").contains("slow 2").then_some(())
    });
    assert!(server.stash.is_empty(), "{:?}", server.stash);
    dir.open("go1");
    let all = replies(&mut server);
    assert_eq!(ids_of(&all), ["\"a\"", "\"b\"", "\"c\"", "\"d\""]);
    let text = |id: &str| text_of(reply_to(&all, id).at("result"));
    assert_eq!(answer(&text("\"b\"")), "slow 1");
    assert_eq!(answer(&text("\"c\"")), "slow 2");
    server.wait(&[&task_id(&text("\"d\""))]);
}

#[test]
fn a_cancelled_request_of_a_batch_is_left_out_of_its_array() {
    let dir = Dir::new();
    let mut server = server(&dir);
    let stuck = script("begin\nmark on\nwait-for never");
    send(&mut server, &[bare("\"a\"", "ping"), call("\"b\"", "codex", &stuck)]);
    dir.marked("on");
    server.silent_about(&[]);
    assert!(server.stash.is_empty(), "{:?}", server.stash);
    let id = running_task(&mut server);
    server.send(&cancelled("\"b\""));
    assert_eq!(ids_of(&replies(&mut server)), ["\"a\""]);
    assert!(section(&server.wait(&[&id]), &id).contains("(cancelled "));
    gone(&mark_of(&id));
    server.silent_about(&[]);
    assert!(server.stash.is_empty(), "{:?}", server.stash);
}

#[test]
fn a_batch_whose_every_request_is_cancelled_is_not_answered() {
    let dir = Dir::new();
    let mut server = server(&dir);
    let stuck = |n: u32| script(&format!("begin\nmark on{n}\nwait-for never"));
    send(&mut server, &[call("\"b\"", "codex", &stuck(1)), call("\"c\"", "codex", &stuck(2))]);
    dir.marked("on1");
    dir.marked("on2");
    // A batch may be what cancels.
    send(&mut server, &[cancelled("\"c\""), cancelled("\"b\""), bare("\"d\"", "ping")]);
    assert_eq!(ids_of(&replies(&mut server)), ["\"d\""]);
    until("the end of both", || {
        let text = server.ok("codex_status", "{}");
        (text.matches("(CANCELLED after ").count() == 2).then_some(())
    });
    server.silent_about(&[]);
    assert!(server.stash.is_empty(), "{:?}", server.stash);
}

#[test]
fn the_progress_of_a_call_in_a_batch_comes_by_itself() {
    let dir = Dir::new();
    let mut server = server(&dir);
    let args = script("begin\nstart cargo test\nwait-for go\nsay x\ndone");
    let params = with_meta(&tool_call("codex", &args), r#""progressToken":"p""#);
    let watched =
        format!(r#"{{"jsonrpc":"2.0","id":"w","method":"tools/call","params":{params}}}"#);
    send(&mut server, &[bare("\"a\"", "ping"), watched]);
    loop {
        let message = server.next();
        assert_eq!(message.str_at("method"), "notifications/progress");
        assert_eq!(message.str_at("params.progressToken"), "p");
        if message.str_at("params.message").contains("cargo test") {
            break;
        }
    }
    dir.open("go");
    let line =
        until("the array", || Some(read_json(&server.line())).filter(|l| l.as_array().is_some()));
    assert_eq!(ids_of(line.as_array().unwrap()), ["\"a\"", "\"w\""]);
    server.silent_about(&[]);
    assert!(server.stash.is_empty(), "{:?}", server.stash);
}

#[test]
fn a_thousand_requests_in_one_batch_are_answered_in_one_line() {
    let dir = Dir::new();
    let mut server = server(&dir);
    let many: Vec<String> = (0..1000).map(|n| bare(&format!("{}", 10_000 + n), "ping")).collect();
    send(&mut server, &many);
    let all = replies(&mut server);
    let expected: Vec<String> = (0..1000).map(|n| (10_000 + n).to_string()).collect();
    assert_eq!(ids_of(&all), expected);
}
