//! What lies on the disk: names, contents, and who may read them.

use crate::json::Value;
use crate::support::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// The permission bits of a path.
fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Sets them.
fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn files_are_for_the_user_alone_whatever_the_umask() {
    let dir = Dir::new();
    let inner = dir.command();
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", "umask 0; exec \"$0\" \"$@\""]).arg(inner.get_program());
    command.args(["--codex", STANDIN]).current_dir(dir.path("work")).env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut server = Server::spawn(&dir, command);
    server.initialize();
    let more = r#""base-instructions":"a","output-schema":{"type":"object"}"#;
    let id = task_id(&server.ok("codex", &script_and("begin\nstderr x\nsay x\ndone", more)));
    server.end();
    assert_eq!(mode(&dir.path("tasks")), 0o700);
    let mut kinds = Vec::new();
    for entry in fs::read_dir(dir.path("tasks")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&path), expected, "{name}");
        kinds.extend(name.strip_prefix(&format!("{id}.")).map(str::to_owned));
    }
    for kind in ["meta", "prompt", "stdout", "stderr"] {
        assert!(kinds.iter().any(|k| k == kind), "{kind} in {kinds:?}");
    }
}

#[test]
fn the_directory_is_made_with_all_above_it() {
    let dir = Dir::new();
    let mut command = dir.command();
    let deep = dir.path("tasks/not/yet/there");
    command.args(["--codex", STANDIN]).env("CODEX_SWARM_TASK_DIR", &deep);
    let mut server = Server::spawn(&dir, command);
    server.initialize();
    let id = task_id(&server.ok("codex", r#"{"prompt":"x"}"#));
    assert!(deep.join(format!("{id}.meta")).exists());
}

#[test]
fn a_task_directory_that_others_could_write_is_refused_with_its_name() {
    for fault in ["world", "group", "link", "file"] {
        let dir = Dir::new();
        let tasks = dir.path("tasks");
        match fault {
            "link" => symlink(dir.make("elsewhere"), &tasks).unwrap(),
            "file" => drop(dir.write("tasks", "")),
            who => {
                dir.make("tasks");
                set_mode(&tasks, if who == "world" { 0o707 } else { 0o770 });
            }
        }
        let mut server = dir.server();
        for tool in ["codex", "codex_async"] {
            let text = server.refused(tool, r#"{"prompt":"x"}"#);
            assert!(text.contains(tasks.to_str().unwrap()), "{fault}: {text}");
        }
        assert_eq!(dir.started(), 0, "{fault}");
    }
}

#[test]
fn the_record_has_the_names_and_types_that_the_python_package_gave_it() {
    let dir = Dir::new();
    let mut server = dir.server();
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let before = now();
    let id = server.launch("begin\nmark on\nwait-for go\nsay x\ndone\nexit 0");
    dir.marked("on");
    let record = dir.record(&id);
    assert_eq!(record.str_at("task_id"), id);
    assert_eq!(record.str_at("status"), "running");
    assert!(record.at("pid").as_u64().is_some_and(|pid| pid > 1));
    record.at("pid_start_time");
    let started = record.at("started_at").as_f64().unwrap();
    assert!(before <= started && started <= now(), "{started}");
    for unset in ["completed_at", "exit_code"] {
        assert!(record.find(unset).is_none_or(|value| *value == Value::Null), "{unset}");
    }
    dir.open("go");
    server.wait(&[&id]);
    let record = dir.record(&id);
    assert_eq!(record.str_at("status"), "completed");
    assert_eq!(record.at("exit_code").as_i64(), Some(0));
    assert_eq!(record.str_at("thread_id"), thread_of(&id));
    let completed = record.at("completed_at").as_f64().unwrap();
    assert!(started <= completed && completed <= now(), "{completed}");
    for name in ["worktree_root", "worktree_path", "worktree_branch"] {
        assert!(record.find(name).is_none_or(|value| *value == Value::Null), "{name}");
    }
}

#[test]
fn prompt_and_streams_are_kept_verbatim() {
    let dir = Dir::new();
    let mut server = dir.server();
    let lines =
        "begin\nline not JSON\nbytes \\0377\\n\nstderr to stderr\nsay x\ndone\nbytes no end";
    let id = task_id(&server.ok("codex", &script(lines)));
    let read = |kind: &str| fs::read(dir.task_file(&id, kind)).unwrap();
    assert_eq!(read("prompt"), format!("#standin\n{lines}").into_bytes());
    let stdout = read("stdout");
    assert!(stdout.starts_with(b"{\"type\":\"thread.started\"") && stdout.ends_with(b"no end"));
    assert!(stdout.contains(&0xff));
    assert_eq!(read("stderr"), b"Reading prompt from stdin...\nto stderr\n");
}

#[test]
fn a_link_in_the_place_of_a_file_is_not_followed() {
    let dir = Dir::new();
    let mut server = dir.server();
    let id = task_id(&server.ok("codex", &script("begin\nstderr x\nsay fine\ndone")));
    server.end();
    let record = fs::read_to_string(dir.task_file(&id, "meta")).unwrap();
    let stream =
        r#"{"type":"item.completed","item":{"id":"m","type":"agent_message","text":"precious"}}"#;
    for (kind, of, content) in [
        ("meta", "0000000a", record.replace(&id, "0000000a")),
        ("stdout", &id, format!("{stream}\n")),
        ("stderr", &id, "precious".to_owned()),
    ] {
        let target = dir.write(&format!("linked.{kind}"), &content);
        set_mode(&target, 0o600);
        let file = dir.task_file(of, kind);
        let _ = fs::remove_file(&file);
        symlink(&target, file).unwrap();

        let mut next = dir.server();
        let told = text_of(&next.call("codex_wait", &ids(&["0000000a"])));
        assert!(!told.contains("(completed in "), "a record was read through a link: {told}");
        next.call("codex_cancel", &ids(&["0000000a"]));
        let mut told = next.wait(&[&id]) + &next.status(&id);
        for below in ["result", "events", "stderr"] {
            let uri = format!(r#"{{"uri":"codex-swarm:///tasks/{id}/{below}"}}"#);
            told += &next.ask("resources/read", &uri).to_json();
        }
        assert!(!told.contains("precious"), "{kind} was read through a link: {told}");
        assert_eq!(fs::read_to_string(target).unwrap(), content, "{kind} was written");
    }
}

#[test]
fn a_record_of_the_python_package_reads() {
    let dir = Dir::new();
    let mut server = dir.server();
    server.ok("codex", r#"{"prompt":"x"}"#);
    let (id, thread) = ("0000000a", thread_of("0000000a"));
    let record = format!(
        r#"{{"task_id": "{id}", "pid": 4194301, "pid_start_time": 777, "command": ["codex", "exec", "--json", "old prompt"], "started_at": 1795000000.25, "status": "failed", "completed_at": 1795000012.25, "exit_code": 3, "worktree_root": null, "worktree_path": null, "worktree_branch": null, "thread_id": "{thread}"}}"#
    );
    plant(&dir, id, &record);
    let status = server.status(id);
    assert!(status.contains("(FAILED in 12s, exit 3)"), "{status}");
    assert_eq!(thread_id(&status), thread);
}
