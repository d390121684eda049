//! Revision 2026-07-28: no handshake, an envelope in every request, and results that say what they
//! are; and how it shares one pipe with the revisions before it.

use crate::json::Value;
use crate::repo::executable;
use crate::support::*;

/// The version as its key and value.
const VERSION: &str = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;

/// The methods whose results may be kept by a client, with parameters for each.
const CACHEABLE: [(&str, &str); 5] = [
    ("server/discover", "{}"),
    ("tools/list", "{}"),
    ("resources/list", "{}"),
    ("resources/templates/list", "{}"),
    ("resources/read", r#"{"uri":"codex-swarm:///tasks"}"#),
];

/// The members of `_meta` with these values; what is empty is left out.
fn faulty(version: &str, capabilities: &str, level: &str) -> String {
    [("protocolVersion", version), ("clientCapabilities", capabilities), ("logLevel", level)]
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!(r#""io.modelcontextprotocol/{name}":{value}"#))
        .collect::<Vec<_>>()
        .join(",")
}

/// Checks that an error is one and nothing else: no result's members are in it.
fn bare_error(reply: &Value<'static>) -> i64 {
    assert_eq!(keys(reply), ["error", "id", "jsonrpc"], "{reply:?}");
    let members = keys(reply.at("error"));
    let expected = ["code", "data", "message"];
    assert!(members.iter().all(|name| expected.contains(name)), "{reply:?}");
    code(reply)
}

/// Checks that a reply is the refusal of a version.
fn wrong_version(reply: &Value<'static>, requested: &str) {
    assert_eq!(bare_error(reply), -32022, "{requested}");
    assert_eq!(keys(reply.at("error.data")), ["requested", "supported"]);
    assert_eq!(reply.at("error.data.supported").to_json(), r#"["2026-07-28"]"#);
    assert_eq!(reply.at("error.data.requested").to_json(), requested);
}

/// The result of a modern call of a tool, besides `isError`, which need not be there.
fn call_result(reply: &Value<'static>) -> Value<'static> {
    let flag: &[&str] = if reply.find("result.isError").is_some() { &["isError"] } else { &[] };
    complete(reply, &[&["content"], flag].concat())
}

/// Checks that nothing in a result is of a later revision than the legacy ones.
fn legacy_result(reply: &Value<'static>, members: &[&str]) {
    let found = keys(reply.at("result"));
    assert!(found.iter().all(|name| members.contains(name)), "{found:?}");
}

#[test]
fn discover_tells_versions_capabilities_and_instructions_and_nothing_else() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    let members = ["cacheScope", "capabilities", "instructions", "supportedVersions", "ttlMs"];
    let result = complete(&server.ask_as(PLAIN, "server/discover", "{}"), &members);
    assert_eq!(result.at("supportedVersions").to_json(), r#"["2026-07-28"]"#);
    let capabilities = result.at("capabilities");
    assert_eq!(keys(capabilities), ["extensions", "resources", "tools"]);
    assert_eq!(capabilities.at("tools").to_json(), "{}");
    assert_eq!(capabilities.at("resources").to_json(), r#"{"subscribe":true}"#);
    let extensions = capabilities.at("extensions").to_json();
    assert_eq!(extensions, r#"{"io.modelcontextprotocol/tasks":{}}"#);
    let instructions = result.str_at("instructions");
    assert!(!instructions.is_empty() && instructions.len() <= 2048);
    assert!(meta(&result, "serverInfo").unwrap().get("title").is_some());
}

#[test]
fn what_a_client_may_keep_says_for_how_long_and_nothing_else_does() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    for (method, params) in CACHEABLE {
        let reply = server.ask_as(PLAIN, method, params);
        reply.at("result.ttlMs").as_u64().unwrap();
        assert!(["public", "private"].contains(&reply.str_at("result.cacheScope")), "{method}");
        names_the_server(reply.at("result"));
    }
    // What changes while tasks run is not kept at all.
    let read = server.ask_as(PLAIN, "resources/read", CACHEABLE[4].1);
    assert_eq!(read.at("result.ttlMs").as_u64(), Some(0));
    assert_eq!(read.str_at("result.cacheScope"), "private");
    call_result(&server.ask_as(PLAIN, "tools/call", r#"{"name":"codex_status"}"#));
}

#[test]
fn each_fault_of_the_envelope_has_its_error() {
    let good = r#""2026-07-28""#;
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    for session in [false, true] {
        if session {
            server.initialize();
        }
        for method in ["tools/list", "server/discover", "resources/read"] {
            let mut ask = |version: &str, capabilities: &str, level: &str| {
                server.ask(method, &with_meta("{}", &faulty(version, capabilities, level)))
            };
            for version in ["", "5", "null", "true", "{}", r#"["2026-07-28"]"#] {
                let reply = ask(version, "{}", "");
                assert_eq!(bare_error(&reply), -32602, "{version}");
                assert!(reply.str_at("error.message").contains("protocolVersion"), "{reply:?}");
            }
            for version in ["2099-01-01", "2025-11-25", "", "2026-07-28 ", "latest"] {
                wrong_version(&ask(&quoted(version), "{}", ""), &quoted(version));
            }
            for capabilities in ["", "[]", "5", "null", "true", r#""{}""#] {
                let reply = ask(good, capabilities, "");
                assert_eq!(bare_error(&reply), -32602, "{capabilities}");
                assert!(reply.str_at("error.message").contains("clientCapabilities"), "{reply:?}");
            }
            for level in [r#""loud""#, r#""INFO""#, r#""""#, "5", "null", "{}"] {
                assert_eq!(bare_error(&ask(good, "{}", level)), -32602, "{level}");
            }
        }
    }
}

#[test]
fn the_checks_come_in_one_order_whatever_the_method() {
    let good = r#""2026-07-28""#;
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    for (method, last) in [
        ("nope", -32601),
        ("initialize", -32601),
        ("ping", -32601),
        ("resources/subscribe", -32601),
        ("tools/call", -32602),
        ("resources/read", -32602),
        ("subscriptions/listen", -32602),
    ] {
        let mut ask = |version: &str, capabilities: &str, level: &str| {
            server.ask(method, &with_meta("{}", &faulty(version, capabilities, level)))
        };
        for version in ["", "5"] {
            let reply = ask(version, "[]", "5");
            assert_eq!(code(&reply), -32602, "{method}");
            assert!(reply.str_at("error.message").contains("protocolVersion"), "{reply:?}");
        }
        for capabilities in ["", "[]"] {
            wrong_version(&ask(r#""2099-01-01""#, capabilities, "5"), r#""2099-01-01""#);
            let reply = ask(good, capabilities, "5");
            assert_eq!(code(&reply), -32602, "{method}");
            assert!(reply.str_at("error.message").contains("clientCapabilities"), "{reply:?}");
        }
        let reply = ask(good, "{}", "5");
        assert_eq!(code(&reply), -32602, "{method}");
        assert!(reply.str_at("error.message").contains("logLevel"), "{reply:?}");
        assert_eq!(code(&ask(good, "{}", "")), last, "{method}");
    }
}

#[test]
fn a_discover_needs_its_envelope_and_two_keys_make_any_request_modern() {
    let dir = Dir::new();
    let mut server = dir.server();
    for params in ["{}", "null", r#"{"_meta":{}}"#, r#"{"_meta":null}"#, r#"{"_meta":[]}"#] {
        assert_eq!(bare_error(&server.ask("server/discover", params)), -32602, "{params}");
    }
    server.send(r#"{"jsonrpc":"2.0","id":"bare","method":"server/discover"}"#);
    assert_eq!(bare_error(&server.next()), -32602);
    for half in [VERSION, r#""io.modelcontextprotocol/clientCapabilities":{}"#] {
        assert_eq!(bare_error(&server.ask("tools/list", &with_meta("{}", half))), -32602);
    }
    // What else a modern client may send along makes no request a modern one.
    for other in [
        r#""io.modelcontextprotocol/clientInfo":{"name":"it","version":"0"}"#,
        r#""io.modelcontextprotocol/logLevel":"loud""#,
        r#""protocolVersion":"2026-07-28","clientCapabilities":{}"#,
    ] {
        legacy_result(&server.ask("tools/list", &with_meta("{}", other)), &["tools"]);
    }
}

#[test]
fn what_a_modern_client_may_send_along_changes_nothing() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    let plain = server.ask_as(PLAIN, "tools/list", "{}");
    let levels = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]
        .map(|level| format!(r#""io.modelcontextprotocol/logLevel":"{level}""#));
    let others = [
        r#""io.modelcontextprotocol/clientInfo":{"name":"it","version":"0"}"#,
        r#""progressToken":3,"traceparent":"00-0-0-00","tracestate":"","baggage":"""#,
        r#""claudecode/toolUseId":"x","threadId":"y","io.modelcontextprotocol/news":[]"#,
    ];
    for more in levels.iter().map(String::as_str).chain(others) {
        let meta = format!("{},{more}", envelope(r#"{"elicitation":{"form":{}},"x":1}"#));
        let reply = server.ask("tools/list", &with_meta("{}", &meta));
        assert_eq!(reply.at("result"), plain.at("result"), "{more}");
    }
    assert!(server.stash.is_empty(), "{:?}", server.stash);
}

#[test]
fn what_the_revision_has_not_is_unknown_in_it() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    for session in [false, true] {
        if session {
            server.initialize();
        }
        for (method, params) in [
            ("initialize", r#"{"protocolVersion":"2025-11-25","capabilities":{}}"#),
            ("ping", "{}"),
            ("resources/subscribe", r#"{"uri":"codex-swarm:///tasks"}"#),
            ("resources/unsubscribe", r#"{"uri":"codex-swarm:///tasks"}"#),
            ("notifications/initialized", "{}"),
            ("logging/setLevel", r#"{"level":"info"}"#),
            ("prompts/list", "{}"),
            ("completion/complete", "{}"),
            ("roots/list", "{}"),
            ("nope", "{}"),
            ("", "{}"),
        ] {
            assert_eq!(bare_error(&server.ask_as(PLAIN, method, params)), -32601, "{method}");
        }
    }
}

#[test]
fn no_modern_request_opens_a_legacy_session() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    assert_eq!(code(&server.ask("tools/list", "{}")), -32602);
    server.ask_as(PLAIN, "server/discover", "{}").at("result");
    server.ask_as(PLAIN, "initialize", r#"{"protocolVersion":"2025-11-25"}"#).at("error");
    server.ask_as(PLAIN, "tools/list", "{}").at("result");
    for method in ["tools/list", "resources/list", "resources/templates/list"] {
        assert_eq!(code(&server.ask(method, "{}")), -32602, "{method}");
    }
    let call = tool_call("codex", r#"{"prompt":"x"}"#);
    assert_eq!(code(&server.ask("tools/call", &call)), -32602);
    assert_eq!(dir.started(), 0);
}

#[test]
fn the_three_lists_are_the_same_whatever_was_asked_before() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    let cached = ["cacheScope", "ttlMs"];
    let lists = [
        ("tools/list", "tools"),
        ("resources/list", "resources"),
        ("resources/templates/list", "resourceTemplates"),
    ];
    let mut listed = Vec::new();
    for (method, member) in lists {
        let reply = server.ask_as(PLAIN, method, "{}");
        let result = complete(&reply, &[&cached[..], &[member]].concat());
        assert!(!result.at(member).as_array().unwrap().is_empty(), "{method}");
        assert_eq!(server.ask_as(PLAIN, method, r#"{"cursor":null}"#).at("result"), &result);
        listed.push(result);
    }
    server.ask("initialize", r#"{"protocolVersion":"2024-11-05"}"#).at("result");
    let old = server.ask("tools/list", "{}");
    server.ok("codex", r#"{"prompt":"x"}"#);
    for ((method, _), result) in lists.iter().zip(&listed) {
        assert_eq!(server.ask_as(PLAIN, method, "{}").at("result"), result, "{method}");
    }
    let names = |tools: &Value<'static>| -> Vec<String> {
        tools.as_array().unwrap().iter().map(|tool| tool.str_at("name").to_owned()).collect()
    };
    assert_eq!(names(listed[0].at("tools")), names(old.at("result.tools")));
    for tool in listed[0].at("tools").as_array().unwrap() {
        tool.str_at("title");
        tool.at("annotations");
        assert!(tool.get("execution").is_none(), "{tool:?}");
    }
}

#[test]
fn a_cursor_is_an_error_in_both_eras_and_null_is_none() {
    let dir = Dir::new();
    let mut server = dir.server();
    for method in ["tools/list", "resources/list", "resources/templates/list"] {
        assert!(server.ask_as(PLAIN, method, "{}").find("result.nextCursor").is_none());
        server.ask(method, r#"{"cursor":null}"#).at("result");
        for cursor in [r#""""#, r#""x""#, "5", "{}"] {
            let params = format!(r#"{{"cursor":{cursor}}}"#);
            assert_eq!(bare_error(&server.ask_as(PLAIN, method, &params)), -32602, "{cursor}");
            assert_eq!(code(&server.ask(method, &params)), -32602, "{cursor}");
        }
    }
}

#[test]
fn a_tool_call_is_answered_with_its_content_and_a_failure_with_its_flag() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    let params = tool_call("codex", &script("begin\nsay well\ndone"));
    let result = call_result(&server.ask_as(PLAIN, "tools/call", &params));
    assert_eq!(answer(&text_of(&result)), "well");
    assert!(!is_error(&result));
    for args in [script("begin\nfail Quota exceeded.\nexit 1"), "{}".to_owned()] {
        let reply = server.ask_as(PLAIN, "tools/call", &tool_call("codex", &args));
        assert!(is_error(&call_result(&reply)), "{args}");
    }
    for params in [
        r#"{"name":"nope","arguments":{}}"#,
        r#"{"name":5}"#,
        r"{}",
        r#"{"name":"codex","arguments":[]}"#,
        r#"{"name":"codex","arguments":"x"}"#,
    ] {
        assert_eq!(bare_error(&server.ask_as(PLAIN, "tools/call", params)), -32602, "{params}");
    }
    for params in [r#"{"name":"codex_status"}"#, r#"{"name":"codex_status","arguments":null}"#] {
        assert!(!is_error(&call_result(&server.ask_as(PLAIN, "tools/call", params))));
    }
}

#[test]
fn a_watched_modern_call_tells_its_progress_before_its_reply() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    for (n, token) in ["3", r#""a-uuid""#].into_iter().enumerate() {
        let lines = format!("begin\nstart cargo test\nwait-for go{n}\nsay well\ndone");
        let meta = format!(r#"{},"progressToken":{token}"#, envelope(PLAIN));
        let params = with_meta(&tool_call("codex", &script(&lines)), &meta);
        let call = server.request("tools/call", &params);
        let mut last = f64::NEG_INFINITY;
        loop {
            let message = server.next();
            assert_eq!(message.str_at("method"), "notifications/progress");
            assert_eq!(message.at("params.progressToken").to_json(), token);
            let progress = message.at("params.progress").as_f64().unwrap();
            assert!(progress > last, "{progress} after {last}");
            last = progress;
            if message.str_at("params.message").contains("cargo test") {
                break;
            }
        }
        dir.open(&format!("go{n}"));
        call_result(&server.reply(call));
        server.stash.clear();
        server.silent_about(&[call]);
        assert!(server.stash.is_empty(), "after the reply: {:?}", server.stash);
    }
}

#[test]
fn a_cancelled_modern_call_is_never_answered_and_its_task_ends() {
    let dir = Dir::new();
    let mut server = dir.server();
    let lines = "begin\nleave-sleeper setsid\nmark on\nwait-for never";
    let call = server.begin_as(PLAIN, "codex", &script(lines));
    dir.marked("on");
    let id = running_task(&mut server);
    let params = with_meta(&format!(r#"{{"requestId":{call}}}"#), &envelope(PLAIN));
    server.send(&format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{params}}}"#
    ));
    assert!(section(&server.wait(&[&id]), &id).contains("(cancelled "));
    gone(&mark_of(&id));
    server.silent_about(&[call]);
}

#[test]
fn a_resource_is_read_and_one_that_is_not_there_is_named() {
    let dir = Dir::new();
    let mut server = dir.server();
    let id = task_id(&server.ok("codex", &script("begin\nsay read me\ndone")));
    for uri in [
        "codex-swarm:///server-info".to_owned(),
        "codex-swarm:///config".to_owned(),
        "codex-swarm:///tasks".to_owned(),
        format!("codex-swarm:///tasks/{id}"),
        format!("codex-swarm:///tasks/{id}/result"),
    ] {
        let params = format!(r#"{{"uri":"{uri}"}}"#);
        let reply = server.ask_as(PLAIN, "resources/read", &params);
        let result = complete(&reply, &["cacheScope", "contents", "ttlMs"]);
        assert_eq!(result.str_at("contents.0.uri"), uri);
        assert_eq!(result.at("contents").as_array().unwrap().len(), 1);
        let old = server.ask("resources/read", &params);
        legacy_result(&old, &["contents"]);
        assert_eq!(old.str_at("result.contents.0.mimeType"), result.str_at("contents.0.mimeType"));
    }
    for uri in ["codex-swarm:///nope", "codex-swarm:///tasks/deadbeef", "file:///etc/passwd", ""] {
        let params = format!(r#"{{"uri":"{uri}"}}"#);
        let data = format!(r#"{{"uri":"{uri}"}}"#);
        let reply = server.ask_as(PLAIN, "resources/read", &params);
        assert_eq!(bare_error(&reply), -32602, "{uri}");
        assert_eq!(reply.at("error.data").to_json(), data);
        let reply = server.ask("resources/read", &params);
        assert_eq!(bare_error(&reply), -32002, "{uri}");
        assert_eq!(reply.at("error.data").to_json(), data);
    }
    for params in ["{}", r#"{"uri":5}"#, r#"{"uri":null}"#] {
        assert_eq!(bare_error(&server.ask_as(PLAIN, "resources/read", params)), -32602, "{params}");
    }
}

#[test]
fn modern_notifications_are_never_answered_whatever_their_envelope() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    for method in ["tools/list", "server/discover", "notifications/cancelled", "ping", "nope"] {
        for meta in [envelope(PLAIN), faulty("5", "", ""), faulty(r#""2099-01-01""#, "{}", "")] {
            let params = with_meta("{}", &meta);
            server.send(&format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#));
        }
    }
    server.silent_about(&[]);
    assert!(server.stash.is_empty(), "{:?}", server.stash);
}

#[test]
fn a_handshake_that_follows_a_discover_opens_a_legacy_session() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    server.ask_as(PLAIN, "server/discover", "{}").at("result.supportedVersions");
    let reply = server.ask("initialize", r#"{"protocolVersion":"2025-11-25"}"#);
    assert_eq!(reply.str_at("result.protocolVersion"), "2025-11-25");
    let expected = ["capabilities", "instructions", "protocolVersion", "serverInfo"];
    assert_eq!(keys(reply.at("result")), expected);
    legacy_result(&server.ask("tools/list", "{}"), &["tools"]);
    assert_eq!(server.ask("ping", "{}").at("result").to_json(), "{}");
    server.ask_as(PLAIN, "server/discover", "{}").at("result.supportedVersions");
}

#[test]
fn a_discover_that_follows_a_handshake_is_answered_and_ends_no_session() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    let fresh = server.ask_as(PLAIN, "server/discover", "{}").at("result").clone();
    server.initialize();
    assert_eq!(server.ask_as(PLAIN, "server/discover", "{}").at("result"), &fresh);
    legacy_result(&server.ask("tools/list", "{}"), &["tools"]);
    legacy_result(&server.ask("resources/list", "{}"), &["resources"]);
}

#[test]
fn an_old_session_and_modern_requests_take_turns_and_each_gets_what_its_revision_knows() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    server.ask("initialize", r#"{"protocolVersion":"2024-11-05"}"#).at("result");
    for n in 0..5 {
        let old = server.ask("tools/list", "{}");
        legacy_result(&old, &["tools"]);
        for tool in old.at("result.tools").as_array().unwrap() {
            assert_eq!(keys(tool), ["description", "inputSchema", "name"]);
        }
        let new = server.ask_as(TASKS, "tools/list", "{}");
        let new = complete(&new, &["cacheScope", "tools", "ttlMs"]);
        new.at("tools.0.title");
        for resource in
            server.ask("resources/list", "{}").at("result.resources").as_array().unwrap()
        {
            assert!(resource.get("title").is_none() && resource.get("_meta").is_none());
        }
        let args = script(&format!("begin\nsay {n}\ndone"));
        let old = server.ask("tools/call", &tool_call("codex", &args));
        legacy_result(&old, &["content", "isError"]);
        let new = call_result(&server.ask_as(PLAIN, "tools/call", &tool_call("codex", &args)));
        assert_eq!(answer(&text_of(old.at("result"))), answer(&text_of(&new)));
        assert_eq!(server.ask("ping", "{}").at("result").to_json(), "{}");
        assert_eq!(code(&server.ask_as(PLAIN, "ping", "{}")), -32601);
        assert_eq!(code(&server.ask("resources/read", r#"{"uri":"x"}"#)), -32002);
        assert_eq!(code(&server.ask_as(PLAIN, "resources/read", r#"{"uri":"x"}"#)), -32602);
        server.ask_as(PLAIN, "server/discover", "{}").at("result");
    }
}

#[test]
fn a_message_in_progress_is_for_those_revisions_that_know_it() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    server.ask("initialize", r#"{"protocolVersion":"2024-11-05"}"#).at("result");
    let lines = "begin\nstart ls\nwait-for go\nsay x\ndone";
    let meta = format!(r#"{},"progressToken":"new""#, envelope(PLAIN));
    let old = server.begin_watched("codex", &script(lines), "\"old\"");
    let params = with_meta(&tool_call("codex", &script(lines)), &meta);
    let new = server.request("tools/call", &params);
    let mut heard = [false, false];
    while heard != [true, true] {
        let message = server.next();
        let modern = message.str_at("params.progressToken") == "new";
        assert_eq!(message.find("params.message").is_some(), modern, "{message:?}");
        heard[usize::from(modern)] = true;
    }
    dir.open("go");
    server.result(old);
    server.result(new);
}

#[test]
fn the_first_reply_is_there_and_nothing_else_was_done() {
    for method in ["server/discover", "initialize"] {
        let dir = Dir::new();
        let codex = dir.path("work/codex");
        executable(
            &codex,
            &format!("#!/bin/sh\n: > \"$STANDIN_OUT/asked\"\nexec {STANDIN} \"$@\"\n"),
        );
        dir.write("errors", "");
        let before = dir.tree();
        let mut command = dir.command();
        command.arg("--codex").arg(&codex);
        let mut server = Server::spawn(&dir, command);
        if method == "initialize" {
            server.initialize();
        } else {
            server.ask_as(PLAIN, method, "{}").at("result");
        }
        assert_eq!(dir.tree(), before);
        server.end();
        assert_eq!(dir.tree(), before);
    }
}

#[test]
fn tool_calls_in_the_same_write_do_not_keep_the_first_reply_waiting() {
    let dir = Dir::new();
    for legacy in [false, true] {
        let mut server = dir.silent(&[]);
        let wrap = |params: &str| {
            if legacy { params.to_owned() } else { with_meta(params, &envelope(PLAIN)) }
        };
        let line = |id: &str, method: &str, params: &str| {
            let params = wrap(params);
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
        };
        let first = if legacy { "initialize" } else { "server/discover" };
        let calls = (0..8).map(|n| {
            let call = tool_call(["codex", "codex_async"][n % 2], r#"{"prompt":"x"}"#);
            line(&n.to_string(), "tools/call", &call)
        });
        let lines: Vec<String> =
            [line("\"probe\"", first, "{}")].into_iter().chain(calls).collect();
        server.send(&lines.join("\n"));
        let reply = server.next();
        assert_eq!(reply.at("id").to_json(), r#""probe""#, "{reply:?}");
        reply.at("result");
        let tasks: Vec<String> = (0..8).map(|n| task_id(&text_of(&server.result(n)))).collect();
        server.initialize();
        server.wait(&tasks.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

#[test]
fn what_needs_no_task_is_answered_though_tasks_cannot_be_kept() {
    let dir = Dir::new();
    dir.write("tasks", "this is no directory");
    let mut server = dir.silent(&[]);
    for (method, params) in &CACHEABLE[..4] {
        server.ask_as(PLAIN, method, params).at("result");
    }
    server.initialize();
    server.ask("tools/list", "{}").at("result.tools");
    let result = call_result(&server.ask_as(
        TASKS,
        "tools/call",
        &tool_call("codex_async", r#"{"prompt":"x"}"#),
    ));
    assert!(is_error(&result), "{}", text_of(&result));
}
