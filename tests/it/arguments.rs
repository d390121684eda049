//! Arguments that are wrong: an `isError` that names the argument, the fault and the cure, and
//! nothing is started.

use crate::support::*;

/// Calls each tool with each of the arguments, and wants every one of the words in the refusal.
fn all_refused(cases: &[(&str, &str, &[&str])]) {
    let dir = Dir::new();
    let mut server = dir.server();
    let mut accepted = Vec::new();
    for (tool, args, words) in cases {
        let result = server.call(tool, args);
        let text = text_of(&result);
        let lower = text.to_lowercase();
        let missing: Vec<_> = words.iter().filter(|w| !lower.contains(&w.to_lowercase())).collect();
        if !is_error(&result) {
            accepted.push(format!("{tool} {args} is accepted: {text}"));
        } else if !missing.is_empty() {
            accepted.push(format!("{tool} {args}: {missing:?} not in: {text}"));
        }
    }
    assert!(accepted.is_empty(), "{}", accepted.join("\n"));
    assert_eq!(dir.started(), 0);
    assert!(!dir.path("tasks").exists());
}

#[test]
fn the_parameters_of_codex_are_checked_one_by_one() {
    all_refused(&[
        ("codex", r"{}", &["prompt", "required"]),
        ("codex", r"null", &["prompt"]),
        ("codex", r#"{"prompt":5}"#, &["prompt", "string", "number"]),
        ("codex", r#"{"prompt":null}"#, &["prompt"]),
        ("codex", r#"{"prompt":["x"]}"#, &["prompt", "string", "array"]),
        ("codex", r#"{"promt":"x"}"#, &["promt"]),
        ("codex", r#"{"prompt":"x","cwdd":"/tmp"}"#, &["cwdd"]),
        ("codex", r#"{"prompt":"x","model":5}"#, &["model", "string"]),
        ("codex", r#"{"prompt":"x","sandbox":"full"}"#, &["sandbox", "full", "workspace-write"]),
        ("codex", r#"{"prompt":"x","sandbox":true}"#, &["sandbox", "read-only"]),
        (
            "codex",
            r#"{"prompt":"x","approval-policy":"always"}"#,
            &["approval-policy", "always", "on-request"],
        ),
        ("codex", r#"{"prompt":"x","cwd":5}"#, &["cwd", "string"]),
        ("codex", r#"{"prompt":"x","cwd":"/no/such/directory"}"#, &["cwd", "/no/such/directory"]),
        ("codex", r#"{"prompt":"x","cwd":"/etc/passwd"}"#, &["cwd", "/etc/passwd", "directory"]),
        ("codex", r#"{"prompt":"x","profile":[]}"#, &["profile", "string"]),
        ("codex", r#"{"prompt":"x","config":[]}"#, &["config", "object"]),
        ("codex", r#"{"prompt":"x","config":"a=1"}"#, &["config", "object"]),
        ("codex", r#"{"prompt":"x","config":{"a":null}}"#, &["config", "a", "null"]),
        ("codex", r#"{"prompt":"x","config":{"a":{"b":[1,null]}}}"#, &["config", "a", "null"]),
        ("codex", r#"{"prompt":"x","base-instructions":5}"#, &["base-instructions", "string"]),
        (
            "codex",
            r#"{"prompt":"x","developer-instructions":true}"#,
            &["developer-instructions", "string"],
        ),
        ("codex", r#"{"prompt":"x","compact-prompt":{}}"#, &["compact-prompt", "string"]),
        ("codex", r#"{"prompt":"x","threadId":5}"#, &["threadId", "string"]),
        ("codex", r#"{"prompt":"x","fork":true}"#, &["fork", "threadId"]),
        ("codex", r#"{"prompt":"x","fork":"yes"}"#, &["fork", "true or false"]),
        ("codex", r#"{"prompt":"x","images":"a.png"}"#, &["images", "array"]),
        ("codex", r#"{"prompt":"x","images":[5]}"#, &["images", "string"]),
        ("codex", r#"{"prompt":"x","output-schema":"x"}"#, &["output-schema", "object"]),
        ("codex", r#"{"prompt":"x","output-schema":[]}"#, &["output-schema", "object"]),
        ("codex", r#"{"prompt":"x","add-dirs":"/tmp"}"#, &["add-dirs", "array"]),
        ("codex", r#"{"prompt":"x","add-dirs":[{}]}"#, &["add-dirs", "string"]),
        ("codex", r#"{"prompt":"x","add-dirs":["/no/such"]}"#, &["add-dirs", "/no/such"]),
        // Not yet, and not silently.
        ("codex", r#"{"prompt":"x","worktree":"false"}"#, &["worktree"]),
        ("codex", r#"{"prompt":"x","worktree-base":"main"}"#, &["worktree-base"]),
    ]);
}

#[test]
fn the_other_tools_that_start_codex_check_the_same() {
    all_refused(&[
        ("codex_async", r"{}", &["prompt"]),
        ("codex_async", r#"{"prompt":"x","sandbox":"full"}"#, &["sandbox", "workspace-write"]),
        ("codex_async", r#"{"prompt":"x","cwd":"/no/such"}"#, &["cwd", "/no/such"]),
        ("codex_async", r#"{"prompt":"x","nope":1}"#, &["nope"]),
        ("codex_reply", r#"{"prompt":"x"}"#, &["threadId"]),
        (
            "codex_reply",
            r#"{"threadId":"01a20206-2485-7772-b99d-37d7abc7d134"}"#,
            &["prompt", "required"],
        ),
        ("codex-reply", r#"{"prompt":"x"}"#, &["threadId"]),
        ("codex_batch", r"{}", &["tasks"]),
        ("codex_batch", r#"{"tasks":{}}"#, &["tasks", "array"]),
        ("codex_batch", r#"{"tasks":[]}"#, &["tasks"]),
        ("codex_batch", r#"{"tasks":["x"]}"#, &["tasks", "object"]),
        ("codex_batch", r#"{"tasks":[{"prompt":"x"}],"defaults":5}"#, &["defaults", "object"]),
        ("codex_batch", r#"{"tasks":[{"prompt":"x"}],"more":5}"#, &["more"]),
        (
            "codex_batch",
            r#"{"tasks":[{"prompt":"x"}],"defaults":{"prompt":"y"}}"#,
            &["defaults", "prompt"],
        ),
        (
            "codex_batch",
            r#"{"tasks":[{"prompt":"x"}],"defaults":{"sandbox":"full"}}"#,
            &["sandbox", "full"],
        ),
        // One bad task, and none is started.
        (
            "codex_batch",
            r#"{"tasks":[{"prompt":"x"},{"prompt":"y"},{"prompt":5}]}"#,
            &["tasks", "2", "prompt", "string"],
        ),
        ("codex_batch", r#"{"tasks":[{"prompt":"x"},{"cwd":"/"}]}"#, &["tasks", "1", "prompt"]),
        (
            "codex_batch",
            r#"{"tasks":[{"prompt":"x"},{"prompt":"y","cwd":"/no/such"}]}"#,
            &["cwd", "/no/such"],
        ),
    ]);
}

#[test]
fn the_parameters_of_status_wait_and_cancel_are_checked() {
    all_refused(&[
        ("codex_status", r#"{"task_ids":"deadbeef"}"#, &["task_ids", "array"]),
        ("codex_status", r#"{"task_ids":[5]}"#, &["task_ids", "string"]),
        ("codex_status", r#"{"task_id":"deadbeef"}"#, &["task_id"]),
        ("codex_wait", r"{}", &["task_ids"]),
        ("codex_wait", r#"{"task_ids":"deadbeef"}"#, &["task_ids", "array"]),
        ("codex_wait", r#"{"task_ids":[null]}"#, &["task_ids", "string"]),
        ("codex_wait", r#"{"task_ids":["deadbeef"],"timeout":"5"}"#, &["timeout", "number"]),
        ("codex_wait", r#"{"task_ids":["deadbeef"],"timeout":-1}"#, &["timeout", "-1"]),
        ("codex_wait", r#"{"task_ids":["deadbeef"],"timeout":1e999}"#, &["timeout"]),
        ("codex_wait", r#"{"task_ids":["deadbeef"],"until":"some"}"#, &["until", "all", "any"]),
        ("codex_wait", r#"{"task_ids":["deadbeef"],"wait":1}"#, &["wait"]),
        ("codex_cancel", r"{}", &["task_id"]),
        ("codex_cancel", r#"{"task_id":5}"#, &["task_id", "string"]),
        ("codex_cancel", r#"{"task_ids":"deadbeef"}"#, &["task_ids", "array"]),
        ("codex_cancel", r#"{"task_id":"deadbeef"}"#, &["deadbeef"]),
        ("codex_cancel", r#"{"task_id":"../../etc/passwd"}"#, &["passwd"]),
        ("codex_cancel", r#"{"task_id":"deadbeef","force":true}"#, &["force"]),
    ]);
}

#[test]
fn a_thread_id_is_a_uuid_and_nothing_else() {
    let dir = Dir::new();
    let mut server = dir.server();
    for id in [
        "--last",
        "",
        "-",
        "last",
        "my thread",
        "../../sessions",
        "01a20206-2485-7772-b99d-37d7abc7d13",
        "01a20206-2485-7772-b99d-37d7abc7d134 ",
        "01a20206-2485-7772-b99d-37d7abc7d1345",
        "01a20206x2485-7772-b99d-37d7abc7d134",
        "g1a20206-2485-7772-b99d-37d7abc7d134",
        "01a20206-2485-7772-b99d-37d7abc7d134\n",
    ] {
        for tool in ["codex", "codex_async", "codex_reply"] {
            let args = prompt_and("x", &format!(r#""threadId":{}"#, quoted(id)));
            let text = server.refused(tool, &args);
            assert!(text.contains("threadId") && text.contains("UUID"), "{tool} {id:?}: {text}");
        }
    }
    assert_eq!(dir.started(), 0);
}

#[test]
fn a_nul_cannot_be_handed_to_a_program_and_is_refused_with_its_place() {
    let dir = Dir::new();
    let mut server = dir.server();
    for (args, name) in [
        (r#"{"prompt":"a\u0000b"}"#, "prompt"),
        (r#"{"prompt":"x","model":"a\u0000b"}"#, "model"),
        (r#"{"prompt":"x","profile":"a\u0000b"}"#, "profile"),
        (r#"{"prompt":"x","cwd":"/tmp\u0000"}"#, "cwd"),
        (r#"{"prompt":"x","add-dirs":["/tmp\u0000"]}"#, "add-dirs"),
        (r#"{"prompt":"x","images":["/tmp/a\u0000.png"]}"#, "images"),
    ] {
        let text = server.refused("codex", args);
        assert!(text.contains(name) && text.to_uppercase().contains("NUL"), "{args}: {text}");
    }
    assert_eq!(dir.started(), 0);
}

#[test]
fn arguments_that_are_no_object_and_names_that_are_no_tool_are_protocol_errors() {
    let dir = Dir::new();
    let mut server = dir.server();
    for params in [
        r#"{"name":"codex","arguments":"x"}"#,
        r#"{"name":"codex","arguments":[]}"#,
        r#"{"name":"codex","arguments":5}"#,
        r#"{"name":"nope","arguments":{}}"#,
        r#"{"name":"Codex","arguments":{"prompt":"x"}}"#,
        r#"{"name":"","arguments":{}}"#,
        r#"{"name":5,"arguments":{}}"#,
        r#"{"arguments":{"prompt":"x"}}"#,
        r"{}",
    ] {
        assert_eq!(code(&server.ask("tools/call", params)), -32602, "{params}");
    }
    let reply = server.ask("tools/call", r#"{"name":"nope"}"#);
    assert!(reply.str_at("error.message").contains("nope"));
    // No arguments are as good as none.
    for params in [r#"{"name":"codex_status"}"#, r#"{"name":"codex_status","arguments":null}"#] {
        assert!(!is_error(server.ask("tools/call", params).at("result")), "{params}");
    }
    assert_eq!(dir.started(), 0);
}

#[test]
fn a_text_too_long_for_an_argv_is_delivered_or_refused_by_name() {
    let dir = Dir::new();
    let mut server = dir.server();
    let long = "long ".repeat(60_000);
    for name in ["developer-instructions", "compact-prompt", "model"] {
        let args = prompt_and("x", &format!(r#""{name}":{}"#, quoted(&long)));
        let result = server.call("codex", &args);
        assert!(!is_error(&result) || text_of(&result).contains(name), "{}", text_of(&result));
    }
}
