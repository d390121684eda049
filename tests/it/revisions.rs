//! Each revision with a handshake, through all that it has: none is told of what came after it.

use crate::json::Value;
use crate::support::*;

/// A revision, and what it knows.
struct Revision {
    /// Its name on the wire.
    name: &'static str,
    /// Annotations of tools, and messages in progress notifications.
    annotations: bool,
    /// Titles, and structured content with its schemas.
    structure: bool,
}

/// All revisions with a handshake.
const ALL: [Revision; 4] = [
    Revision { name: "2024-11-05", annotations: false, structure: false },
    Revision { name: "2025-03-26", annotations: true, structure: false },
    Revision { name: "2025-06-18", annotations: true, structure: true },
    Revision { name: "2025-11-25", annotations: true, structure: true },
];

/// A server of this revision, with these flags.
fn server_of<'d>(dir: &'d Dir, revision: &Revision, flags: &[&str]) -> Server<'d> {
    let mut server = dir.server_with(flags);
    let params = format!(r#"{{"protocolVersion":"{}","capabilities":{{}}}}"#, revision.name);
    let reply = server.ask("initialize", &params);
    assert_eq!(reply.str_at("result.protocolVersion"), revision.name);
    server
}

/// A list that the server has, of which every entry must have this member, or none may.
fn each_has(list: &Value<'static>, member: &str, has: bool) {
    let entries = list.as_array().unwrap();
    assert!(!entries.is_empty());
    for entry in entries {
        assert_eq!(entry.get(member).is_some(), has, "{member} in {}", entry.to_json());
    }
}

/// The next progress; other messages that come before it are forgotten.
fn next_progress(server: &mut Server<'_>) -> Value<'static> {
    loop {
        let message = server.next();
        if message.get("method").is_some() {
            return message.at("params").clone();
        }
    }
}

#[test]
fn tools_are_listed_with_what_the_revision_knows() {
    let dir = Dir::new();
    for revision in &ALL {
        for structured in [false, true] {
            let flags: &[&str] = if structured { &["--structured"] } else { &[] };
            let mut server = server_of(&dir, revision, flags);
            let reply = server.ask("tools/list", "{}");
            let tools = reply.at("result.tools");
            each_has(tools, "title", revision.structure);
            each_has(tools, "annotations", revision.annotations);
            each_has(tools, "outputSchema", revision.structure && structured);
            server.end();
        }
    }
}

#[test]
fn tools_are_called_with_what_the_revision_knows() {
    let dir = Dir::new();
    for revision in &ALL {
        for structured in [false, true] {
            let flags: &[&str] = if structured { &["--structured"] } else { &[] };
            let mut server = server_of(&dir, revision, flags);
            let gate = format!("{}-{structured}", revision.name);
            let lines = format!("begin\nstart make\nwait-for {gate}\nsay made\ndone");
            let call = server.begin_watched("codex", &script(&lines), "7");
            let progress = next_progress(&mut server);
            assert_eq!(progress.get("message").is_some(), revision.annotations, "{progress:?}");
            dir.open(&gate);
            let result = server.result(call);
            assert!(!is_error(&result));
            let has = result.get("structuredContent").is_some();
            assert_eq!(has, revision.structure && structured, "{}", revision.name);
            server.refused("codex", &script("begin\nfail no\nexit 1"));
            server.refused("codex_async", r#"{"prompt":"x","sandbox":"none"}"#);
            assert_eq!(code(&server.ask("tools/call", r#"{"name":"nope"}"#)), -32602);
            server.end();
        }
    }
}

#[test]
fn resources_are_listed_and_read_in_each_revision() {
    let dir = Dir::new();
    for revision in &ALL {
        let mut server = server_of(&dir, revision, &[]);
        let id = server.run("begin\nsay made\ndone").0;
        assert_eq!(server.ask("ping", "{}").at("result").to_json(), "{}");
        let reply = server.ask("resources/list", "{}");
        each_has(reply.at("result.resources"), "uri", true);
        let reply = server.ask("resources/templates/list", "{}");
        each_has(reply.at("result.resourceTemplates"), "uriTemplate", true);
        assert_eq!(server.read(&format!("codex-swarm:///tasks/{id}/result")), "made");
        read_json(&server.read("codex-swarm:///tasks"));
        let reply = server.ask("resources/read", r#"{"uri":"codex-swarm:///nope"}"#);
        assert_eq!(code(&reply), -32002);
        assert_eq!(code(&server.ask("resources/frobnicate", "{}")), -32601);
        server.send("nonsense");
        assert_eq!(code(&server.next()), -32700);
        server.end();
    }
}
