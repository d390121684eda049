//! `--structured`: every tool has an outputSchema, and every result the facts that match it.

use crate::json::Value;
use crate::support::*;

/// What is wrong with a value by a schema; of JSON Schema the part that output schemas use.
fn faults(value: &Value<'static>, schema: &Value<'static>, at: &str, out: &mut Vec<String>) {
    let is = |kind: &str| match kind {
        "object" => value.as_object().is_some(),
        "array" => value.as_array().is_some(),
        "string" => value.as_str().is_some(),
        "integer" => value.as_i64().is_some(),
        "number" => value.as_f64().is_some(),
        "boolean" => value.as_bool().is_some(),
        "null" => *value == Value::Null,
        other => panic!("no type {other}"),
    };
    let fits = match schema.get("type") {
        None => true,
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| is(kind.as_str().unwrap())),
        Some(kind) => is(kind.as_str().unwrap()),
    };
    if !fits {
        out.push(format!("{at} is {}", value.kind()));
    }
    if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
        if !choices.contains(value) {
            out.push(format!("{at} is {}", value.to_json()));
        }
    }
    for name in schema.get("required").and_then(Value::as_array).unwrap_or_default() {
        if value.get(name.as_str().unwrap()).is_none() {
            out.push(format!("{at} has no {}", name.to_json()));
        }
    }
    for (name, member) in value.as_object().unwrap_or_default() {
        let at = format!("{at}.{name}");
        match schema.find("properties").and_then(|properties| properties.get(name)) {
            Some(schema) => faults(member, schema, &at, out),
            None if schema.get("additionalProperties").and_then(Value::as_bool) == Some(false) => {
                out.push(format!("{at} is not in the schema"));
            }
            None => {}
        }
    }
    if let Some(schema) = schema.get("items") {
        for (n, item) in value.as_array().unwrap_or_default().iter().enumerate() {
            faults(item, schema, &format!("{at}[{n}]"), out);
        }
    }
}

/// The output schema of a tool.
fn schema(server: &mut Server<'_>, tool: &str) -> Value<'static> {
    let reply = server.ask("tools/list", "{}");
    let tools = reply.at("result.tools").as_array().unwrap();
    let tool = tools.iter().find(|listed| listed.str_at("name") == tool).unwrap();
    tool.at("outputSchema").clone()
}

/// Calls a tool and holds its structured content against its schema.
fn checked(server: &mut Server<'_>, tool: &str, args: &str) -> Value<'static> {
    let schema = schema(server, tool);
    assert_eq!(schema.str_at("type"), "object", "{tool}");
    let result = server.call(tool, args);
    if is_error(&result) && result.find("structuredContent").is_none() {
        return result;
    }
    let mut found = Vec::new();
    faults(result.at("structuredContent"), &schema, tool, &mut found);
    assert!(found.is_empty(), "{tool} {args}: {found:?} in {}", result.to_json());
    assert!(!text_of(&result).is_empty(), "the text is there all the same");
    result
}

#[test]
fn without_the_flag_there_is_no_schema_and_no_structure() {
    let dir = Dir::new();
    let mut server = dir.server();
    let reply = server.ask("tools/list", "{}");
    for tool in reply.at("result.tools").as_array().unwrap() {
        assert!(tool.get("outputSchema").is_none(), "{}", tool.str_at("name"));
    }
    for (tool, args) in [("codex", r#"{"prompt":"x"}"#), ("codex_status", "{}")] {
        assert!(server.call(tool, args).find("structuredContent").is_none(), "{tool}");
    }
}

#[test]
fn with_the_flag_every_result_matches_the_schema_of_its_tool() {
    let dir = Dir::new();
    let mut server = dir.server_with(&["--structured"]);
    let good = script("begin\nrun ls\nsay the answer\ndone");
    let result = checked(&mut server, "codex", &good);
    let id = task_id(&text_of(&result));
    let content = result.at("structuredContent");
    assert_eq!(content.str_at("threadId"), thread_of(&id));
    assert_eq!(content.str_at("content"), "the answer");

    let reply = format!(r#""threadId":"{}""#, thread_of(&id));
    let result = checked(&mut server, "codex_reply", &script_and("begin\nsay again\ndone", &reply));
    assert_eq!(result.str_at("structuredContent.content"), "again");

    for lines in ["begin\nfail Quota exceeded.\nexit 1", "exit 2", "begin\nkill-self KILL"] {
        let result = checked(&mut server, "codex", &script(lines));
        assert!(is_error(&result), "{lines}");
    }

    let launched = checked(&mut server, "codex_async", &script("begin\nmark on\nwait-for never"));
    let running = task_id(&text_of(&launched));
    assert!(launched.at("structuredContent").to_json().contains(&running));
    dir.marked("on");
    let failed = server.launch("begin\nexit 3");
    server.wait(&[&failed]);
    for (tool, args) in [
        ("codex_status", "{}".to_owned()),
        ("codex_status", ids(&[&id, &running, &failed, "deadbeef"])),
        (
            "codex_wait",
            format!(
                r#"{{"task_ids":{},"timeout":0}}"#,
                list(&[&id, &running, &failed, "deadbeef"])
            ),
        ),
        ("codex_batch", format!(r#"{{"tasks":[{good},{}]}}"#, script("exit 3"))),
        ("codex_cancel", ids(&[&running])),
        ("codex_cancel", ids(&[&id])),
    ] {
        let result = checked(&mut server, tool, &args);
        let told = result.at("structuredContent").to_json();
        for id in [&id, &running, &failed] {
            assert!(!args.contains(id.as_str()) || told.contains(id.as_str()), "{tool}: {told}");
        }
    }
    server.wait(&[&running]);
}

#[test]
fn a_refused_call_carries_no_structure_that_would_not_match() {
    let dir = Dir::new();
    let mut server = dir.server_with(&["--structured"]);
    for (tool, args) in
        [("codex", "{}"), ("codex_wait", "{}"), ("codex_cancel", r#"{"task_id":"deadbeef"}"#)]
    {
        assert!(is_error(&checked(&mut server, tool, args)), "{tool}");
    }
}
