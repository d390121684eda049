//! The command line: what it prints, what it refuses, and how its flags reach codex.

use crate::support::*;
use std::process::{Output, Stdio};

/// Runs the program with these words and an empty stdin.
fn run(dir: &Dir, words: &[&str]) -> Output {
    dir.command().args(words).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn help_and_version_go_to_stdout_and_exit_0() {
    let dir = Dir::new();
    let before = dir.tree();
    let help = run(&dir, &["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let text = String::from_utf8(help.stdout).unwrap();
    for flag in [
        "-c",
        "--config",
        "--skip-git-repo-check",
        "--ephemeral",
        "--codex",
        "--structured",
        " ps ",
        " logs ",
        " wait ",
        " cancel ",
        " gc ",
        "--help",
        "--version",
    ] {
        assert!(text.contains(flag), "{flag} in:\n{text}");
    }
    assert!(help.stderr.is_empty());
    let version = run(&dir, &["--version"]);
    assert_eq!(version.status.code(), Some(0));
    let line = format!("codex-mcp-swarm {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8(version.stdout).unwrap(), line);
    assert_eq!(dir.tree(), before);
}

#[test]
fn a_usage_error_says_what_and_points_to_help_and_exits_2() {
    let dir = Dir::new();
    for (words, named) in [
        (&["--nope"][..], "--nope"),
        (&["-x"], "-x"),
        (&["-c"], "-c"),
        (&["-c", "model"], "model"),
        (&["--config"], "--config"),
        (&["--config", "model"], "model"),
        (&["--codex"], "--codex"),
        (&["--ephemeral=1"], "--ephemeral"),
        (&["surplus"], "surplus"),
        (&["--structured", "--nope"], "--nope"),
        (&["ps", "1a2b3c4d"], "1a2b3c4d"),
        (&["ps", "-w", "--json"], "--json"),
        (&["logs", "-x"], "-x"),
        (&["cancel", "--all"], "--all"),
    ] {
        let output = run(&dir, words);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {errors}");
        assert!(output.stdout.is_empty(), "{words:?}");
        assert!(errors.contains(named), "{words:?}: {errors}");
        assert!(errors.contains("try 'codex-mcp-swarm --help'"), "{words:?}: {errors}");
        assert!(errors.lines().count() <= 2, "{words:?}: {errors}");
    }
}

#[test]
fn config_flags_reach_codex_as_typed_and_before_the_calls_own() {
    let dir = Dir::new();
    let mut server = dir.server_with(&[
        "-c",
        "model=\"gpt 5\"",
        "--config",
        "sandbox_workspace_write.network_access=true",
        "-c",
        "plain=word with = and 'quotes'",
        "-c",
        "twice=1",
    ]);
    let id = server.launch_with(r#"{"prompt":"x","config":{"twice":2}}"#);
    server.wait(&[&id]);
    let received = dir.received(&id);
    let configs = received.configs();
    for typed in [
        "model=\"gpt 5\"",
        "sandbox_workspace_write.network_access=true",
        "plain=word with = and 'quotes'",
    ] {
        assert!(configs.contains(&typed), "{typed} in {configs:?}");
    }
    let place = |config: &str| configs.iter().position(|c| *c == config).unwrap();
    assert!(place("twice=1") < place("twice=2"));
    assert!(!received.has("--ephemeral") && !received.has("--skip-git-repo-check"));
}

#[test]
fn plain_flags_reach_codex() {
    let dir = Dir::new();
    let mut server = dir.server_with(&["--skip-git-repo-check", "--ephemeral"]);
    let id = server.launch_with(r#"{"prompt":"x"}"#);
    server.wait(&[&id]);
    let received = dir.received(&id);
    assert!(received.has("--ephemeral") && received.has("--skip-git-repo-check"));
}

#[test]
fn an_ephemeral_server_has_nothing_to_resume() {
    let dir = Dir::new();
    let mut server = dir.server_with(&["--ephemeral"]);
    let thread = thread_of("00000001");
    let args = format!(r#"{{"prompt":"x","threadId":"{thread}"}}"#);
    for tool in ["codex", "codex_async", "codex_reply", "codex-reply"] {
        let text = server.refused(tool, &args);
        assert!(text.contains("ephemeral") && text.contains("resume"), "{tool}: {text}");
    }
    assert_eq!(dir.started(), 0);
}

#[test]
fn a_codex_that_cannot_be_started_is_named_with_the_cure() {
    let dir = Dir::new();
    let not_executable = dir.write("work/not-executable", "#!/bin/sh\n");
    let directory = dir.make("work/directory");
    for path in ["/no/such/codex", not_executable.to_str().unwrap(), directory.to_str().unwrap()] {
        let mut command = dir.command();
        command.args(["--codex", path]);
        let mut server = Server::spawn(&dir, command);
        server.initialize();
        let text = server.refused("codex", r#"{"prompt":"x"}"#);
        assert!(text.contains(path) && text.contains("--codex"), "{path}: {text}");
    }
}

#[test]
fn codex_is_looked_up_on_the_path_at_each_start_of_a_task() {
    let dir = Dir::new();
    let bin = dir.make("bin");
    let mut command = dir.command();
    let path = std::env::var("PATH").unwrap();
    // What else the stand-in needs comes after: should there be a real codex, the test is void.
    command.env("PATH", format!("{}:{path}", bin.display()));
    let mut server = Server::spawn(&dir, command);
    server.initialize();
    if !path.split(':').any(|dir| std::path::Path::new(dir).join("codex").exists()) {
        let text = server.refused("codex", r#"{"prompt":"x"}"#);
        assert!(text.contains("codex") && text.contains("PATH"), "{text}");
    }
    std::os::unix::fs::symlink(STANDIN, bin.join("codex")).unwrap();
    let text = server.ok("codex", r#"{"prompt":"x"}"#);
    assert_eq!(answer(&text), "done");
    // An entry of PATH that is not executable, or a directory, is passed over.
    std::fs::remove_file(bin.join("codex")).unwrap();
    std::fs::create_dir(bin.join("codex")).unwrap();
}

#[test]
fn settings_that_make_no_sense_do_not_stop_the_server() {
    let dir = Dir::new();
    let mut command = dir.command();
    command
        .args(["--codex", STANDIN])
        .env("CODEX_SWARM_MIN_WAIT", "abc")
        .env("CODEX_SWARM_TASK_MAX_AGE", "-5")
        .env("CODEX_SWARM_LOG_LEVEL", "LOUD")
        .env("CODEX_SWARM_LOG", "/dev/null/server.log");
    let mut server = Server::spawn(&dir, command);
    server.initialize();
    assert_eq!(answer(&server.ok("codex", r#"{"prompt":"x"}"#)), "done");
}

#[test]
fn without_variables_the_state_lies_below_home() {
    let dir = Dir::new();
    let mut command = dir.command();
    command
        .args(["--codex", STANDIN])
        .env_remove("CODEX_SWARM_TASK_DIR")
        .env_remove("CODEX_SWARM_WORKTREE_DIR")
        .env_remove("CODEX_SWARM_LOG");
    let mut server = Server::spawn(&dir, command);
    server.initialize();
    let id = task_id(&server.ok("codex", r#"{"prompt":"x"}"#));
    let record = format!("home/.local/state/codex-mcp-swarm/tasks/{id}.meta");
    assert!(dir.path(&record).exists(), "{:?}", dir.tree());
    let list = server.read("codex-swarm:///server-info");
    assert!(
        list.contains(dir.path("home/.local/state/codex-mcp-swarm").to_str().unwrap()),
        "{list}"
    );
}
