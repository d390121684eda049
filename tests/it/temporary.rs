//! The directory for temporary files of a task that has a worktree to itself: made before codex starts, gone when it has ended, and
//! whatever lies in it, nothing else is touched and nobody is held up.

use crate::harm;
use crate::planted::task;
use crate::real::{Real, body};
use crate::repo::{Repo, gc};
use crate::scarce::Somebody;
use crate::support::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

/// Starts a task in a worktree of its own.
fn launch(server: &mut Server<'_>, lines: &str) -> String {
    let repo = server.dir.path("repo");
    if !repo.exists() {
        Repo::new(server.dir, "repo");
    }
    let more = format!(r#""worktree":true,"cwd":{}"#, quoted_path(&repo));
    server.launch_with(&script_and(lines, &more))
}

/// Where a task has its temporary files.
fn of(dir: &Dir, id: &str) -> PathBuf {
    dir.path("tasks/tmp").join(id)
}

/// Waits until a task's directory is gone.
fn until_gone(dir: &Dir, id: &str) {
    let path = of(dir, id);
    until("the end of its directory", || fs::symlink_metadata(&path).is_err().then_some(()));
}

#[test]
fn each_task_has_one_of_its_own_as_long_as_it_runs() {
    let dir = Dir::new();
    let mut server = dir.server();
    let script = |n| {
        format!(
            "begin\nsh cd \"${{TMPDIR:?}}\" && : > file && mktemp -d > /dev/null\nmark {n}\nwait-for go\ndone"
        )
    };
    let tasks = ["a", "b"].map(|n| launch(&mut server, &script(n)));
    harm::all_marked(&dir, ["a", "b"].map(str::to_owned));
    for id in &tasks {
        let path = of(&dir, id);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o700);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 2, "the file, and what mktemp made");
    }
    // what lies there is no task
    let text = server.ok("codex_status", "{}");
    assert_eq!(text.matches("=== Task ").count(), 2, "{text}");
    dir.open("go");
    server.wait(&[&tasks[0], &tasks[1]]);
    for id in &tasks {
        until_gone(&dir, id);
    }
    assert!(dir.record(&tasks[0]).str_at("status") == "completed");
}

#[test]
fn it_goes_however_the_task_ends() {
    let dir = Dir::new();
    let mut server = dir.server();
    for end in ["done", "fail x", "exit 3", "kill-self KILL", "kill-supervisor"] {
        let id = launch(
            &mut server,
            &format!("begin\nsh cd \"${{TMPDIR:?}}\" && mkdir -p a/b && : > a/b/c\n{end}"),
        );
        let told = server.wait(&[&id]);
        assert!(!told.contains("exit 95"), "it had none: {told}");
        until_gone(&dir, &id);
    }
    let id = launch(&mut server, "begin\nsh cd \"${TMPDIR:?}\" && : > x\nmark on\nwait-for never");
    dir.marked("on");
    server.ok("codex_cancel", &ids(&[&id]));
    until_gone(&dir, &id);
}

#[test]
fn a_task_that_may_share_a_directory_with_others_has_that_of_the_server() {
    let dir = Dir::new();
    let mut command = dir.command();
    command.args(["--codex", STANDIN]).env("TMPDIR", "/elsewhere");
    let mut server = Server::spawn(&dir, command);
    server.initialize();
    let repo = Repo::new(&dir, "repo");
    let (repo, added) = (quoted_path(&repo.path), quoted_path(&dir.make("added")));
    for (more, own) in [
        (r#""worktree":false"#.to_owned(), false),
        (format!(r#""worktree":true,"cwd":{repo},"add-dirs":[{added}]"#), false),
        (format!(r#""worktree":true,"cwd":{repo}"#), true),
    ] {
        let id = task_id(&server.ok("codex", &script_and("begin\ndone", &more)));
        let expected =
            if own { of(&dir, &id).to_str().unwrap().to_owned() } else { "/elsewhere".to_owned() };
        let env = dir.received(&id).env;
        let line = format!("TMPDIR={expected}");
        assert!(env.lines().any(|entry| entry == line), "{more}: {env}");
    }
}

/// What a task may leave: links to what is precious, closed directories, a depth that no recursion
/// bears, many entries, a FIFO, names that are in the way.
const HOSTILE: &str = "mkdir -p real closed/in/side; ln -s PRECIOUS link; ln -s PRECIOUS closed/in/link; \
    ln -s / root; ln -s .. up; mkfifo pipe closed/pipe; : > -rf; : > '*'; mkdir .1 .2; : > .1/x; \
    i=0; while [ $i -lt 300 ]; do : > real/$i; i=$((i+1)); done; \
    way=d; i=0; while [ $i -lt 200 ]; do way=$way/d; i=$((i+1)); done; \
    (mkdir deep; cd -P deep; i=0; while [ $i -lt 15 ]; do mkdir -p $way; : > f; cd -P $way || exit; i=$((i+1)); done); \
    chmod 000 closed/in/side; chmod 000 closed/in; chmod 000 closed; chmod 500 real";

#[test]
fn whatever_a_task_leaves_in_it_goes_and_nothing_else() {
    let dir = Dir::new();
    dir.make("precious/inside");
    dir.write("precious/inside/file", "mine\n");
    let precious = dir.path("precious");
    let hostile = HOSTILE.replace("PRECIOUS", precious.to_str().unwrap());
    dir.write("hostile.sh", &format!("cd -P \"${{TMPDIR:?}}\" || exit 1\n{hostile}\n"));
    Repo::new(&dir, "repo");
    // modes bind everybody but root
    let Some(somebody) = Somebody::own(&dir) else { return };
    let mut server = somebody.server(&dir);
    let script = format!("begin\nsh sh {}\nsay x\ndone", dir.path("hostile.sh").display());
    let id = launch(&mut server, &script);
    let told = server.wait(&[&id]);
    assert!(told.contains("(completed in "), "{told}");
    until_gone(&dir, &id);
    assert_eq!(fs::read_to_string(precious.join("inside/file")).unwrap(), "mine\n");
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(precious), 0o755);
    assert_eq!(mode(dir.path("tasks/tmp")), 0o700);
    server.end();
}

#[test]
fn a_link_in_its_place_or_in_place_of_all_is_not_followed() {
    let dir = Dir::new();
    let mut server = dir.server();
    let id = launch(&mut server, "begin\ndone");
    server.wait(&[&id]);
    until_gone(&dir, &id);
    dir.make("precious/0000000a");
    dir.write("precious/0000000a/file", "mine\n");
    let precious = || dir.path("precious/0000000a/file").exists();
    task("0000000a", "completed").begun(10_000_000).put(&dir);
    // in its place: it is not a directory, and stays where it is or goes
    symlink(dir.path("precious/0000000a"), of(&dir, "0000000a")).unwrap();
    gc(&dir, &[]);
    assert!(precious());
    let _ = fs::remove_file(of(&dir, "0000000a"));
    // in place of all
    fs::remove_dir_all(dir.path("tasks/tmp")).unwrap();
    symlink(dir.path("precious"), dir.path("tasks/tmp")).unwrap();
    gc(&dir, &[]);
    assert!(precious());
    // and no task is begun there
    let more = format!(r#""worktree":true,"cwd":{}"#, quoted_path(&dir.path("repo")));
    let text = server.refused("codex", &script_and("begin\ndone", &more));
    assert!(text.contains("tasks/tmp") && text.contains("link"), "{text}");
    assert!(precious());
}

#[test]
fn the_clean_up_takes_what_was_left_and_nothing_of_a_task_that_runs() {
    let dir = Dir::new();
    let mut server = dir.server();
    let id = launch(&mut server, "begin\nmark on\nwait-for go\ndone");
    dir.marked("on");
    for left in ["0000000a", "0000000b"] {
        fs::create_dir_all(of(&dir, left).join("deep/er")).unwrap();
    }
    fs::create_dir_all(dir.path("tasks/tmp/no-task")).unwrap();
    // one has a record that says it ended, the other has none
    task("0000000a", "completed").put(&dir);
    let mut command = dir.command();
    command.args(["gc", "--dry-run"]);
    assert!(command.status().unwrap().success());
    assert!(of(&dir, "0000000a").exists() && of(&dir, "0000000b").exists());
    assert!(dir.command().arg("gc").status().unwrap().success());
    assert!(!of(&dir, "0000000a").exists() && !of(&dir, "0000000b").exists());
    assert!(of(&dir, &id).exists(), "it runs");
    assert!(dir.path("tasks/tmp/no-task").exists(), "not of ours");
    dir.open("go");
    server.wait(&[&id]);
    until_gone(&dir, &id);
}

#[test]
fn codex_in_its_sandbox_may_write_there_and_nowhere_else_in_the_task_directory() {
    let Some(real) = Real::new() else { return };
    // else all of /tmp may be written to, and the tests lie there
    let mut server = real.server_with(&["-c", "sandbox_workspace_write.exclude_slash_tmp=true"]);
    let commands = "cd ${TMPDIR:?} && : > here && echo made here; \
                    for at in ../other ../../forged.meta; do : > $at && echo wrote $at; done; echo over";
    let repo = Repo::new(&real.dir, "repo");
    let cwd = quoted_path(&repo.path);
    let more = format!(r#""sandbox":"workspace-write","worktree":true,"cwd":{cwd}"#);
    let text = server.ok("codex", &prompt_and(&format!("run: {commands}"), &more));
    let body = real.last_sent(thread_id(&text));
    let output = body::outputs(&body).join("\n");
    if output.contains("bwrap:") || output.contains("sandbox denied") {
        eprintln!("skipped: Codex's sandbox does not work here");
        return;
    }
    assert!(output.contains("made here") && output.contains("over"), "{output}");
    assert!(!output.contains("wrote"), "{output}");
    assert!(!real.dir.path("tasks/forged.meta").exists());
    until_gone(&real.dir, &task_id(&text));
}

#[test]
fn the_sandbox_of_a_task_stays_closed_when_another_one_ends_in_the_same_directory() {
    let Some(real) = Real::new() else { return };
    let mut server = real.server_with(&["-c", "sandbox_workspace_write.exclude_slash_tmp=true"]);
    let mut begin = |commands: &str| {
        let prompt = format!("run: {commands} ;; say-output");
        server.launch_with(&prompt_and(&prompt, r#""sandbox":"workspace-write""#))
    };
    let gate = |name: &str| format!("until [ -e out-{name} ]; do sleep 0.1; done");
    // the first one makes what closes the directory, the second one finds it there
    let first = begin(&format!(": > in-first; {}", gate("first")));
    let there = |name: &str| real.dir.path("work").join(name).exists().then_some(());
    until("the first", || there("in-first"));
    let second = begin(&format!(
        ": > in-second; {}; mkdir .codex && echo made; : > .codex/x && echo wrote; echo over",
        gate("second")
    ));
    until("the second", || there("in-second"));
    real.dir.write("work/out-first", "");
    server.wait(&[&first]);
    real.dir.write("work/out-second", "");
    let text = server.wait(&[&second]);
    assert!(text.contains("over"), "{text}");
    assert!(!text.contains("made\n") && !text.contains("wrote"), "{text}");
    assert!(!real.dir.path("work/.codex/x").exists());
}
