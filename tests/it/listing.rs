//! What tools/list, resources/list and resources/templates/list show.

use crate::json::Value;
use crate::support::*;

const TOOLS: [&str; 7] = [
    "codex",
    "codex_async",
    "codex_batch",
    "codex_cancel",
    "codex_reply",
    "codex_status",
    "codex_wait",
];

/// The parameters that the four tools which start codex share, but for prompt and threadId.
const COMMON: [&str; 13] = [
    "model",
    "sandbox",
    "approval-policy",
    "cwd",
    "profile",
    "config",
    "base-instructions",
    "developer-instructions",
    "compact-prompt",
    "fork",
    "images",
    "output-schema",
    "add-dirs",
];

fn tools(server: &mut Server<'_>) -> Vec<Value<'static>> {
    server.ask("tools/list", "{}").at("result.tools").as_array().unwrap().to_vec()
}

fn tool(server: &mut Server<'_>, name: &str) -> Value<'static> {
    tools(server).into_iter().find(|tool| tool.str_at("name") == name).unwrap()
}

#[test]
fn the_seven_tools_are_listed_in_one_order() {
    let dir = Dir::new();
    let mut server = dir.server();
    let listed = tools(&mut server);
    let mut names: Vec<&str> = listed.iter().map(|tool| tool.str_at("name")).collect();
    names.sort_unstable();
    assert_eq!(names, TOOLS);
    server.ok("codex", r#"{"prompt":"x"}"#);
    assert_eq!(tools(&mut server), listed);
}

#[test]
fn every_tool_has_title_description_annotations_and_a_closed_schema() {
    let dir = Dir::new();
    for flags in [&[][..], &["--structured"][..]] {
        let mut server = dir.server_with(flags);
        let mut bytes = 0;
        for tool in tools(&mut server) {
            let name = tool.str_at("name");
            assert!(!tool.str_at("title").is_empty(), "{name}");
            let schema = tool.at("inputSchema");
            assert_eq!(schema.str_at("type"), "object", "{name}");
            assert_eq!(schema.at("additionalProperties").as_bool(), Some(false), "{name}");
            let read_only = ["codex_status", "codex_wait"].contains(&name);
            let hint = tool.at("annotations").get("readOnlyHint").and_then(Value::as_bool);
            assert_eq!(hint.unwrap_or(false), read_only, "{name}");
            bytes += name.len() + tool.str_at("description").len() + schema.to_json().len();
        }
        assert!(bytes < 7000, "{bytes} bytes of names, descriptions and input schemas");
    }
}

#[test]
fn every_parameter_is_in_its_schema_and_the_required_ones_are_marked() {
    let dir = Dir::new();
    let mut server = dir.server();
    let starting: Vec<&str> = COMMON.into_iter().chain(["prompt", "threadId"]).collect();
    for (name, properties, required) in [
        ("codex", starting.clone(), &["prompt"][..]),
        ("codex_async", starting.clone(), &["prompt"]),
        ("codex_reply", starting, &["prompt", "threadId"]),
        ("codex_batch", vec!["tasks", "defaults"], &["tasks"]),
        ("codex_status", vec!["task_ids"], &[]),
        ("codex_wait", vec!["task_ids", "timeout", "until"], &["task_ids"]),
        ("codex_cancel", vec!["task_id", "task_ids"], &[]),
    ] {
        let tool = tool(&mut server, name);
        let schema = tool.at("inputSchema");
        for property in properties {
            assert!(schema.at("properties").get(property).is_some(), "{name} {property}");
        }
        let marked = schema.get("required").and_then(Value::as_array).unwrap_or_default();
        let mut marked: Vec<&str> = marked.iter().map(|name| name.as_str().unwrap()).collect();
        marked.sort_unstable();
        assert_eq!(marked, required, "{name}");
    }
}

#[test]
fn the_choices_of_a_parameter_are_in_its_schema() {
    let dir = Dir::new();
    let mut server = dir.server();
    for (name, property, choices) in [
        ("codex", "sandbox", r#"["read-only","workspace-write","danger-full-access"]"#),
        ("codex", "approval-policy", r#"["untrusted","on-failure","on-request","never"]"#),
        ("codex_wait", "until", r#"["all","any"]"#),
    ] {
        let tool = tool(&mut server, name);
        let path = format!("inputSchema.properties.{property}.enum");
        assert_eq!(tool.at(&path).to_json(), choices, "{property}");
    }
}

#[test]
fn resources_and_their_template_are_listed() {
    let dir = Dir::new();
    let mut server = dir.server();
    let reply = server.ask("resources/list", "{}");
    for name in ["server-info", "config", "tasks"] {
        let uri = format!("codex-swarm:///{name}");
        let resources = reply.at("result.resources").as_array().unwrap();
        let resource = resources.iter().find(|resource| resource.str_at("uri") == uri).unwrap();
        assert_eq!(resource.str_at("mimeType"), "application/json", "{uri}");
        assert!(!resource.str_at("name").is_empty());
    }
    let reply = server.ask("resources/templates/list", "{}");
    let templates = reply.at("result.resourceTemplates").as_array().unwrap();
    let uris: Vec<&str> = templates.iter().map(|t| t.str_at("uriTemplate")).collect();
    assert!(uris.contains(&"codex-swarm:///tasks/{task_id}"), "{uris:?}");
}

#[test]
fn there_is_no_second_page_and_a_cursor_is_an_error() {
    let dir = Dir::new();
    let mut server = dir.server();
    for method in ["tools/list", "resources/list", "resources/templates/list"] {
        assert!(server.ask(method, "{}").find("result.nextCursor").is_none());
        for cursor in [r#""""#, r#""x""#, "5"] {
            let reply = server.ask(method, &format!(r#"{{"cursor":{cursor}}}"#));
            assert_eq!(code(&reply), -32602, "{method} {cursor}");
        }
    }
}
