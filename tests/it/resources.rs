//! The resources: what a client can read besides tool results.

use crate::json::Value;
use crate::support::*;

/// Every object in a value, however deep.
fn objects<'v>(value: &'v Value<'static>, out: &mut Vec<&'v Value<'static>>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| objects(item, out)),
        Value::Object(members) => {
            out.push(value);
            for (_, member) in members {
                objects(member, out);
            }
        }
        _ => {}
    }
}

/// The object about this task in a JSON text.
fn about(text: &str, id: &str) -> Value<'static> {
    let value = read_json(text);
    let mut all = Vec::new();
    objects(&value, &mut all);
    let is = |object: &&&Value<'static>| {
        ["task_id", "taskId", "id"]
            .iter()
            .any(|key| object.get(key).and_then(Value::as_str) == Some(id))
    };
    all.iter()
        .find(is)
        .map_or_else(|| panic!("nothing on {id} in {text}"), |found| (**found).clone())
}

#[test]
fn server_info_tells_what_runs_here_and_where_its_files_are() {
    let dir = Dir::new();
    let mut server = dir.server();
    let text = server.read("codex-swarm:///server-info");
    let info = read_json(&text);
    assert!(info.as_object().is_some());
    let tasks = dir.path("tasks");
    for part in [
        "codex-mcp-swarm",
        env!("CARGO_PKG_VERSION"),
        tasks.to_str().unwrap(),
        dir.path("worktrees").to_str().unwrap(),
        dir.path("server.log").to_str().unwrap(),
        "86400",
        "WARNING",
        "codex_batch",
        STANDIN,
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn config_tells_the_defaults_but_no_secret() {
    let dir = Dir::new();
    let mut server = dir.server_with(&[
        "--skip-git-repo-check",
        "-c",
        "model_reasoning_effort=high",
        "-c",
        "model_providers.x.api_key=hunter1",
        "-c",
        "mcp_servers.y.env.GITHUB_TOKEN=hunter2",
        "-c",
        "z.client_secret=\"hunter3\"",
        "-c",
        "db.Password=hunter4",
        "-c",
        "model_providers.w={ name = \"w\", experimental_bearer_token = \"hunter5\" }",
    ]);
    let config = server.read("codex-swarm:///config");
    assert!(read_json(&config).as_object().is_some());
    for shown in ["model_reasoning_effort", "high", "api_key", "***"] {
        assert!(config.contains(shown), "{shown} in {config}");
    }
    assert!(config.to_lowercase().contains("skip"), "{config}");
    let info = server.read("codex-swarm:///server-info");
    server.ok("codex", r#"{"prompt":"x"}"#);
    let tasks = server.read("codex-swarm:///tasks");
    for text in [config, info, tasks] {
        assert!(!text.contains("hunter"), "{text}");
    }
}

#[test]
fn tasks_tells_of_every_task_and_how_it_stands() {
    let dir = Dir::new();
    let mut server = dir.server();
    read_json(&server.read("codex-swarm:///tasks"));
    let sync = task_id(&server.ok("codex", r#"{"prompt":"x"}"#));
    let failed = server.launch("exit 3");
    server.wait(&[&failed]);
    let call = server.begin("codex", &script("begin\nmark on\nwait-for go\nsay x\ndone"));
    dir.marked("on");
    let runs = running_task(&mut server);
    let text = server.read("codex-swarm:///tasks");
    for (id, status) in [(&sync, "completed"), (&failed, "failed"), (&runs, "running")] {
        assert_eq!(about(&text, id).str_at("status"), status);
        let one = server.read(&format!("codex-swarm:///tasks/{id}"));
        assert!(one.contains(id.as_str()) && one.contains(status), "{one}");
    }
    dir.open("go");
    server.result(call);
}

#[test]
fn below_a_task_lie_its_result_its_events_and_its_stderr() {
    let dir = Dir::new();
    let mut server = dir.server();
    let lines = "begin\nstderr a warning\nrun ls -l\nsay the whole\\nanswer\ndone";
    let id = task_id(&server.ok("codex", &script(lines)));
    assert_eq!(server.read(&format!("codex-swarm:///tasks/{id}/result")), "the whole\nanswer");
    let events = server.read(&format!("codex-swarm:///tasks/{id}/events"));
    assert!(events.contains("ls -l") && events.contains("turn.completed"), "{events}");
    assert!(server.read(&format!("codex-swarm:///tasks/{id}/stderr")).contains("a warning"));
    let uri = format!("codex-swarm:///tasks/{id}/result");
    let reply = server.ask("resources/read", &format!(r#"{{"uri":"{uri}"}}"#));
    assert_eq!(reply.str_at("result.contents.0.uri"), uri);
    reply.str_at("result.contents.0.mimeType");
}

#[test]
fn what_does_not_exist_is_not_found_and_is_no_way_out_of_the_directory() {
    let dir = Dir::new();
    let mut server = dir.server();
    let id = task_id(&server.ok("codex", r#"{"prompt":"x"}"#));
    dir.write("secret.stderr", "secret");
    for uri in [
        "codex-swarm:///nope".to_owned(),
        "codex-swarm:///".to_owned(),
        "codex-swarm:///tasks/".to_owned(),
        "codex-swarm:///tasks/deadbeef".to_owned(),
        "codex-swarm:///tasks/deadbeef/result".to_owned(),
        format!("codex-swarm:///tasks/{id}/nope"),
        format!("codex-swarm:///tasks/{id}/result/more"),
        format!("codex-swarm:///tasks/{id}/prompt"),
        "codex-swarm:///tasks/../secret/stderr".to_owned(),
        "codex-swarm:///tasks/..%2Fsecret/stderr".to_owned(),
        "codex-swarm://host/tasks".to_owned(),
        "file:///etc/passwd".to_owned(),
        "tasks".to_owned(),
        String::new(),
    ] {
        let reply = server.ask("resources/read", &format!(r#"{{"uri":"{uri}"}}"#));
        assert_eq!(code(&reply), -32002, "{uri}");
        assert_eq!(reply.str_at("error.data.uri"), uri);
    }
    for params in ["{}", r#"{"uri":5}"#, r#"{"uri":null}"#] {
        assert_eq!(code(&server.ask("resources/read", params)), -32602, "{params}");
    }
}
