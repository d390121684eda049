//! `initialize`, what may come before it, and what the server is before anything is asked of it.

use crate::support::*;

#[test]
fn each_revision_with_a_handshake_is_answered_with_itself_and_any_other_with_the_newest() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    for (asked, answered) in [
        (r#""2024-11-05""#, "2024-11-05"),
        (r#""2025-03-26""#, "2025-03-26"),
        (r#""2025-06-18""#, "2025-06-18"),
        (r#""2025-11-25""#, "2025-11-25"),
        (r#""2026-07-28""#, "2025-11-25"),
        (r#""2020-01-01""#, "2025-11-25"),
        (r#""""#, "2025-11-25"),
        ("5", "2025-11-25"),
        ("null", "2025-11-25"),
    ] {
        let params = format!(r#"{{"protocolVersion":{asked},"capabilities":{{}}}}"#);
        let reply = server.ask("initialize", &params);
        assert_eq!(reply.str_at("result.protocolVersion"), answered, "{asked}");
    }
    let reply = server.ask("initialize", "{}");
    assert_eq!(reply.str_at("result.protocolVersion"), "2025-11-25");
}

#[test]
fn the_handshake_tells_name_version_capabilities_and_short_instructions() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    let reply = server.initialize();
    assert_eq!(reply.str_at("result.serverInfo.name"), "codex-mcp-swarm");
    assert_eq!(reply.str_at("result.serverInfo.version"), env!("CARGO_PKG_VERSION"));
    reply.at("result.serverInfo.title");
    reply.at("result.capabilities.tools");
    reply.at("result.capabilities.resources");
    assert!(reply.find("result.capabilities.prompts").is_none());
    assert!(reply.find("result.capabilities.logging").is_none());
    assert!(reply.str_at("result.instructions").len() <= 2048);
}

#[test]
fn a_title_is_told_only_to_revisions_that_know_it() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    for (revision, has) in
        [("2024-11-05", false), ("2025-03-26", false), ("2025-06-18", true), ("2025-11-25", true)]
    {
        let reply = server.ask("initialize", &format!(r#"{{"protocolVersion":"{revision}"}}"#));
        assert_eq!(reply.find("result.serverInfo.title").is_some(), has, "{revision}");
    }
}

#[test]
fn before_the_handshake_ping_is_answered_and_the_rest_is_refused() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    assert_eq!(server.ask("ping", "{}").at("result").to_json(), "{}");
    for method in ["tools/list", "resources/list"] {
        assert_eq!(code(&server.ask(method, "{}")), -32602, "{method}");
    }
    let call = r#"{"name":"codex","arguments":{"prompt":"x"}}"#;
    assert_eq!(code(&server.ask("tools/call", call)), -32602);
    // The probe of clients that speak the next revision; what they need is any error at all, fast.
    assert!(code(&server.ask("server/discover", "{}")) < 0);
    server.initialize();
    server.ask("tools/list", "{}").at("result.tools");
    assert_eq!(dir.started(), 0);
}

#[test]
fn serving_does_not_wait_for_the_initialized_notification() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    server.ask("initialize", r#"{"protocolVersion":"2025-06-18"}"#);
    server.ask("tools/list", "{}").at("result.tools");
}

#[test]
fn start_up_and_questions_leave_no_trace_on_the_disk() {
    let dir = Dir::new();
    let mut server = dir.server();
    let before = dir.tree();
    for (method, params) in [
        ("tools/list", "{}"),
        ("resources/list", "{}"),
        ("resources/templates/list", "{}"),
        ("resources/read", r#"{"uri":"codex-swarm:///server-info"}"#),
        ("resources/read", r#"{"uri":"codex-swarm:///config"}"#),
        ("resources/read", r#"{"uri":"codex-swarm:///tasks"}"#),
    ] {
        server.ask(method, params).at("result");
    }
    server.ok("codex_status", "{}");
    server.refused("codex", "{}");
    server.refused("codex_async", r#"{"prompt":"x","cwd":"/no/such/directory"}"#);
    server.end();
    assert_eq!(dir.tree(), before);
    assert!(!dir.path("tasks").exists());
}

#[test]
fn the_end_of_stdin_before_any_message_is_a_good_end() {
    let dir = Dir::new();
    dir.silent(&[]).end();
}

#[test]
fn a_last_line_without_a_line_end_is_still_answered() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    server.write(br#"{"jsonrpc":"2.0","id":"last","method":"ping"}"#);
    server.hang_up();
    assert_eq!(server.next().str_at("id"), "last");
    assert_eq!(server.ended().code(), Some(0));
}
