//! Records that somebody has forged, with the best that can be known: whatever stands in one, no
//! process is signalled that is no task's, nothing outside of the task's own is touched, and no branch
//! is lost.

use crate::harm;
use crate::many::program;
use crate::planted::{Stand, run as by_hand, task};
use crate::repo::*;
use crate::support::*;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

/// The members of a record whose codex is this bystander, and whose supervisor has ended.
fn codex_is(bystander: &Stand) -> String {
    let members = bystander.members();
    let codex = members.replace("\"supervisor_pid\"", "\"pid\"");
    let codex = codex.replace("\"supervisor_start_time\"", "\"pid_start_time\"");
    format!(r#","supervisor_pid":4194000,"supervisor_start_time":7{codex}"#)
}

#[test]
fn a_process_that_is_no_supervisor_is_not_told_to_end_though_its_identity_is_right() {
    let dir = Dir::new();
    let bystander = Stand::new();
    let real = Stand::supervising(&dir, "0000000b", "read -r never");
    for (id, stand) in [("0000000a", &bystander), ("0000000b", &real)] {
        task(id, "running").with(&stand.members()).put(&dir);
    }
    let mut server = dir.server();
    let call = server.begin("codex_cancel", &ids(&["0000000a"]));
    // the same for the one that is right shows that a signal would have come by now
    server.ok("codex_cancel", &ids(&["0000000b"]));
    assert!(!real.lives() && bystander.lives());
    server.result(call);
    assert!(bystander.lives());
    let output = by_hand(&dir, &["cancel", "0000000a"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(bystander.lives());
}

#[test]
fn a_process_that_is_no_codex_is_not_ended_with_what_a_dead_supervisor_left() {
    let dir = Dir::new();
    let bystander = Stand::new();
    for id in ["0000000a", "0000000b"] {
        task(id, "running").with(&codex_is(&bystander)).put(&dir);
    }
    let mut server = dir.server();
    assert!(server.status("0000000a").contains("(FAILED in "));
    server.end();
    assert!(by_hand(&dir, &["wait", "0000000b"]).status.code().is_some());
    gone(&dir.marker());
    assert!(bystander.lives());
}

#[test]
fn no_words_of_a_record_are_run() {
    let dir = Dir::new();
    let touch = dir.path("out/evil").display().to_string();
    let evil = program(&dir, "ssh", &format!("#!/bin/sh\ntouch {touch}\nexec env >> {touch}\n"));
    let words =
        format!(r#","launcher":"default","launcher_words":[{},"host"]"#, quoted_path(&evil));
    let members = format!(r#","supervisor_pid":4194000,"supervisor_start_time":7{words}"#);
    // whoever looks at it, and whatever its flags are
    for (id, flags) in [("0000000a", &[][..]), ("0000000b", &["--launcher", "ssh -T host"])] {
        task(id, "running").with(&members).put(&dir);
        let mut server = dir.server_with(flags);
        assert!(server.status(id).contains("(FAILED in "));
        server.end();
        gone(&dir.marker());
    }
    task("0000000c", "running").with(&members).put(&dir);
    assert!(by_hand(&dir, &["wait", "0000000c"]).status.code().is_some());
    gone(&dir.marker());
    assert!(!dir.path("out/evil").exists());
    // the same words are run where the server has them
    let line = format!("{} host", evil.display());
    task("0000000d", "running").with(&members).put(&dir);
    let mut server = dir.server_with(&["--launcher", &line]);
    assert!(server.status("0000000d").contains("(FAILED in "));
    dir.marked("evil");
    server.end();
    gone(&dir.marker());
}

#[test]
fn the_mark_of_one_task_is_none_of_another() {
    let dir = Dir::new();
    let mut server = dir.server();
    let id = server.launch("begin\nmark on\nwait-for go\ndone");
    dir.marked("on");
    let own = dir.record(&id);
    let value = |key: &str| own.at(key).to_json();
    // a record that claims the codex of another task for its own
    let members = format!(
        r#","supervisor_pid":4194000,"supervisor_start_time":7,"pid":{},"pid_start_time":{},"boot_id":{},"pid_namespace":{},"host":{}"#,
        value("pid"),
        value("pid_start_time"),
        value("boot_id"),
        value("pid_namespace"),
        value("host"),
    );
    task("0000000a", "running").with(&members).put(&dir);
    let mut other = dir.server();
    assert!(other.status("0000000a").contains("(FAILED in "));
    other.end();
    let of_other = |line: &String| line.contains(" supervise 0000000a");
    until("the end of its supervisor", || {
        (!processes_with(&dir.marker()).iter().any(of_other)).then_some(())
    });
    assert!(harm::lives(harm::pid_in(&own, "pid")));
    dir.open("go");
    assert!(server.wait(&[&id]).contains("(completed in "));
}

/// The record of a task that ended long ago on a thread of its own, and says that this is its worktree.
fn record(id: &str, cwd: &str, members: &str) -> String {
    format!(
        r#"{{"task_id":"{id}","status":"completed","attached":false,"command":["codex"],"cwd":{cwd},"settings":{{"cwd":{cwd}}},"started_at":1000000000.0,"completed_at":1000000001.0,"exit_code":0,"thread_id":{},{members}}}"#,
        quoted(&thread_of(id)),
    )
}

#[test]
fn a_reply_works_in_no_worktree_that_a_record_makes_up() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    let mine = dir.path("mine");
    repo.git(&["worktree", "add", "-q", "-b", "feature", mine.to_str().unwrap()]);
    fs::write(mine.join("untracked"), "mine\n").unwrap();
    let mut server = dir.server();
    let real = run(&mut server, &repo.path, &work("echo 1 > made"));
    let head = repo.sha("HEAD");
    let git = repo.path.join(".git");
    let output = dir.path("written");
    let option = format!("--output={}", output.display());
    for (n, (path, branch, git_dir, base)) in [
        (&repo.path, "main", git.clone(), head.as_str()),
        (&mine, "feature", git.join("worktrees/mine"), &head),
        (&mine, "codex-swarm/0000000c", git.join("worktrees/mine"), &head),
        (&real.path, "main", git.join("worktrees").join(&real.id), &head),
        (&real.path, &real.branch, git.clone(), &head),
        (&real.path, &real.branch, git.join("worktrees/mine"), &head),
        (&real.path, &real.branch, git.join("worktrees").join(&real.id), &option),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("0000000{}", n + 1);
        let members = format!(
            r#""worktree_root":{},"worktree_path":{},"worktree_branch":{},"worktree_base":{},"worktree_git_dir":{},"worktree_head":"{head}""#,
            quoted_path(&repo.path),
            quoted_path(path),
            quoted(branch),
            quoted(base),
            quoted_path(&git_dir),
        );
        // a recent one: what is old may go at the end of any task
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let record = record(&id, &quoted_path(path), &members);
        plant(&dir, &id, &record.replace("100000000", &(now / 10).to_string()));
        let before = (repo.snapshot(), repo.git(&["for-each-ref"]), walk(&git).len());
        let reply = format!(r#""threadId":"{}""#, thread_of(&id));
        let text = server.refused("codex_reply", &script_and(&work("echo 2 > more"), &reply));
        assert!(text.contains("give worktree: true with worktree-base"), "{id}: {text}");
        let after = (repo.snapshot(), repo.git(&["for-each-ref"]), walk(&git).len());
        assert_eq!(after, before, "{id}");
        assert!(!output.exists() && !mine.join("more").exists(), "{id}");
    }
    // the one that is true goes on
    let reply = format!(r#""threadId":"{}""#, thread_of(&real.id));
    let text = server.ok("codex_reply", &script_and(&work("echo 2 > more"), &reply));
    assert!(text.contains(&real.branch), "{text}");
}

#[test]
fn a_branch_with_work_stays_whatever_a_record_calls_its_base() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    let mut server = dir.server();
    for base in ["", "BRANCH", "TIP", "HEAD"] {
        let real = run(&mut server, &repo.path, &work("echo precious > made"));
        repo.git(&["worktree", "remove", "--force", real.path.to_str().unwrap()]);
        let base = base.replace("BRANCH", &real.branch).replace("TIP", &repo.sha(&real.branch));
        let members = format!(
            r#""worktree_root":{},"worktree_path":{},"worktree_branch":{},"worktree_base":{},"worktree_git_dir":"","worktree_head":"""#,
            quoted_path(&repo.path),
            quoted_path(&real.path),
            quoted(&real.branch),
            quoted(&base),
        );
        plant(&dir, &real.id, &record(&real.id, &quoted_path(&repo.path), &members));
        let told = gc(&dir, &[]);
        assert_eq!(repo.text(&real.branch, "made"), "precious\n", "{base}: {told}");
        assert!(told.contains("no other ref has"), "{base}: {told}");
    }
}

#[test]
fn the_clean_up_touches_no_data_of_git_that_are_not_of_the_worktree() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    let mut server = dir.server();
    let real = run(&mut server, &repo.path, &work("echo 1 > made"));
    let git = repo.path.join(".git");
    let members = format!(
        r#""worktree_root":{},"worktree_path":{},"worktree_branch":{},"worktree_base":"{}","worktree_git_dir":{},"worktree_head":"""#,
        quoted_path(&repo.path),
        quoted_path(&real.path),
        quoted(&real.branch),
        repo.sha("HEAD"),
        quoted_path(&git),
    );
    plant(&dir, &real.id, &record(&real.id, &quoted_path(&real.path), &members));
    let before = (walk(&git).len(), repo.git(&["for-each-ref"]));
    let told = gc(&dir, &[]);
    assert!(told.contains("and stays"), "{told}");
    assert_eq!((walk(&git).len(), repo.git(&["for-each-ref"])), before, "{told}");
    assert!(real.path.join("made").exists());
}
