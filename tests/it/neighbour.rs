//! A neighbour on the machine who is no friend: where others could put something in place of a
//! directory or the log, nothing is read, and nothing is made.

use crate::planted::{failed, run};
use crate::scarce::set_mode;
use crate::support::*;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown, lchown, symlink};
use std::path::Path;

/// A user who is neither the one of the tests nor root.
const NEIGHBOUR: u32 = 65533;

/// Whether this is root, who alone can give files away; says so where it is not.
fn is_root() -> bool {
    let root = fs::metadata("/proc/self").is_ok_and(|status| status.uid() == 0);
    if !root {
        eprintln!("skipped: files cannot be given to another user here");
    }
    root
}

/// A server whose state lies below `state`, past its handshake.
fn server_below<'d>(dir: &'d Dir, state: &Path) -> Server<'d> {
    let mut command = dir.command();
    command.args(["--codex", STANDIN]).env("XDG_STATE_HOME", state);
    for name in ["TASK_DIR", "WORKTREE_DIR", "LOG"] {
        command.env_remove(format!("CODEX_SWARM_{name}"));
    }
    let mut server = Server::spawn(dir, command);
    server.initialize();
    server
}

/// Fails if a state below `state` is used, or not said to be unusable because of `named`.
fn is_refused(dir: &Dir, state: &Path, named: &Path) {
    let mut server = server_below(dir, state);
    let named = named.to_str().unwrap();
    for (tool, args) in [
        ("codex", r#"{"prompt":"x"}"#),
        ("codex_async", r#"{"prompt":"x"}"#),
        ("codex_batch", r#"{"tasks":[{"prompt":"x"}]}"#),
    ] {
        let text = server.refused(tool, args);
        for part in ["cannot use the task directory", named, "belongs to user", "must be writable"]
        {
            assert!(text.contains(part), "{tool}: {part} in {text}");
        }
    }
    server.end();
    assert_eq!(dir.started(), 0);
}

#[test]
fn a_state_that_others_can_replace_is_refused_however_far_above() {
    for (name, mode, refused) in [
        ("world", 0o777, true),
        ("others", 0o757, true),
        ("sticky", 0o1777, false),
        ("plain", 0o755, false),
    ] {
        let dir = Dir::new();
        let open = dir.make(name);
        let state = dir.make(&format!("{name}/a/state"));
        set_mode(&open, mode);
        if refused {
            is_refused(&dir, &state, &open);
            assert_eq!(fs::read_dir(&state).unwrap().count(), 0, "{name}: something was made");
        } else {
            server_below(&dir, &state).ok("codex", r#"{"prompt":"x"}"#);
        }
    }
}

#[test]
fn a_group_of_others_above_the_state_is_refused_and_one_of_the_user_alone_is_not() {
    let dir = Dir::new();
    let open = dir.make("open");
    let state = dir.make("open/state");
    set_mode(&open, 0o775);
    let status = fs::metadata(&open).unwrap();
    if status.uid() == status.gid() && status.uid() != 0 {
        // as the systems do it that give each user a group
        server_below(&dir, &state).ok("codex", r#"{"prompt":"x"}"#);
    } else {
        is_refused(&dir, &state, &open);
    }
    if is_root() {
        chown(&open, None, Some(NEIGHBOUR)).unwrap();
        is_refused(&dir, &state, &open);
    }
}

#[test]
fn a_directory_or_a_link_of_somebody_else_above_the_state_is_refused() {
    if !is_root() {
        return;
    }
    let dir = Dir::new();
    let state = dir.make("theirs/state");
    chown(dir.path("theirs"), Some(NEIGHBOUR), Some(NEIGHBOUR)).unwrap();
    is_refused(&dir, &state, &dir.path("theirs"));
    // their link in a directory where everybody may make one
    set_mode(&dir.make("sticky"), 0o1777);
    let real = dir.make("real");
    symlink(&real, dir.path("sticky/state")).unwrap();
    lchown(dir.path("sticky/state"), Some(NEIGHBOUR), Some(NEIGHBOUR)).unwrap();
    is_refused(&dir, &dir.path("sticky/state"), &dir.path("sticky/state"));
    assert_eq!(fs::read_dir(&real).unwrap().count(), 0, "something was made behind their link");
    // one of the user's own is what the user wants
    symlink(&real, dir.path("mine")).unwrap();
    server_below(&dir, &dir.path("mine")).ok("codex", r#"{"prompt":"x"}"#);
}

#[test]
fn the_commands_do_not_believe_such_a_state_either() {
    let dir = Dir::new();
    let (id, _) = dir.server().run("begin\nsay forged\ndone");
    fs::create_dir_all(dir.path("open/a")).unwrap();
    fs::rename(dir.path("tasks"), dir.path("open/a/tasks")).unwrap();
    set_mode(&dir.path("open"), 0o777);
    for words in [&["ps"][..], &["logs", &id], &["wait", &id], &["cancel", &id], &["gc"]] {
        let mut command = dir.command();
        command.args(words).env("CODEX_SWARM_TASK_DIR", dir.path("open/a/tasks"));
        let output = command.output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{words:?}: {errors}");
        assert!(errors.contains("others can replace it"), "{words:?}: {errors}");
        assert!(output.stdout.is_empty(), "{words:?}");
    }
}

#[test]
fn a_worktree_directory_that_others_can_replace_is_refused_too() {
    let dir = Dir::new();
    let repo = crate::repo::Repo::new(&dir, "repo");
    set_mode(&dir.make("open"), 0o777);
    dir.make("open/a");
    let mut command = dir.command();
    command.args(["--codex", STANDIN]).env("CODEX_SWARM_WORKTREE_DIR", dir.path("open/a/w"));
    let mut server = Server::spawn(&dir, command);
    server.initialize();
    let more = format!(r#""worktree":true,"cwd":{}"#, quoted_path(&repo.path));
    let text = server.refused("codex", &prompt_and("x", &more));
    for part in ["cannot use the worktree directory", "others can replace it", "open"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!dir.path("open/a/w").exists());
    assert_eq!(repo.branches(), [""; 0]);
}

#[test]
fn a_log_that_is_a_link_or_anothers_is_not_written_and_that_is_said() {
    let dir = Dir::new();
    let precious = dir.write("precious", "mine\n");
    symlink(&precious, dir.path("link.log")).unwrap();
    let mut places = vec![dir.path("link.log")];
    if is_root() {
        let theirs = dir.write("theirs.log", "theirs\n");
        chown(&theirs, Some(NEIGHBOUR), Some(NEIGHBOUR)).unwrap();
        places.push(theirs);
    }
    for place in places {
        let before = fs::read(&place).unwrap();
        let mut command = dir.command();
        command.arg("ps").env("CODEX_SWARM_LOG", &place).env("CODEX_SWARM_HOLD", "soon");
        let output = command.output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        let wanted = format!("cannot write the log {}: it is a link, or", place.display());
        assert_eq!(errors.matches(&wanted).count(), 1, "{errors}");
        assert!(errors.contains("name another with CODEX_SWARM_LOG"), "{errors}");
        assert!(output.status.success(), "a log that cannot be written stops nothing");
        assert_eq!(fs::read(&place).unwrap(), before, "{}", place.display());
    }
}

#[test]
fn without_anything_there_commands_make_nothing() {
    let dir = Dir::new();
    assert!(run(&dir, &["ps"]).status.success());
    let (code, error) = failed(&dir, &["logs", "1a2b3c4d"]);
    assert_eq!(code, Some(1), "{error}");
    assert!(!dir.path("tasks").exists());
}
