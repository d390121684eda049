//! `--locked` and `--root`: a caller can narrow what the server's flags allow and never widen it,
//! whichever tool and whatever way it takes.

use crate::many::Gate;
use crate::repo::*;
use crate::support::*;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

/// A thread on which no task has run.
const UNKNOWN: &str = "01a20206-2485-7772-b99d-37d7abc7d134";

/// A locked server with `work`, where it is started, as its root.
fn locked<'d>(dir: &'d Dir, flags: &[&str]) -> Server<'d> {
    dir.server_with(&[&["--locked"], flags].concat())
}

/// One that lets its tasks write.
fn writing(dir: &Dir) -> Server<'_> {
    locked(dir, &["-c", "sandbox_mode=workspace-write"])
}

/// A member whose value is a path.
fn member(name: &str, path: &Path) -> String {
    format!(r#""{name}":{}"#, quoted_path(path))
}

/// A member whose value is an array of one path.
fn members(name: &str, path: &Path) -> String {
    format!(r#""{name}":[{}]"#, quoted_path(path))
}

/// Runs a task with these members to its end, and gives what codex was given.
fn given(server: &mut Server<'_>, more: &str) -> Received {
    let text = server.ok("codex", &prompt_and("x", more));
    server.dir.received(&task_id(&text))
}

/// Every way to ask for a task must be refused with all these words; nothing may be started.
fn refused(server: &mut Server<'_>, more: &str, words: &[&str]) {
    let before = server.dir.started();
    let one = prompt_and("x", more);
    for (tool, args) in [
        ("codex", one.clone()),
        ("codex_async", one.clone()),
        ("codex_batch", format!(r#"{{"tasks":[{one},{{"prompt":"fine"}}]}}"#)),
        ("codex_batch", format!(r#"{{"tasks":[{{"prompt":"x"}}],"defaults":{{{more}}}}}"#)),
    ] {
        let text = server.refused(tool, &args);
        for word in words {
            assert!(text.contains(word), "{tool} {more}: {word} in {text}");
        }
    }
    assert_eq!(server.dir.started(), before, "{more}");
}

#[test]
fn what_is_wider_than_the_flags_is_refused_by_every_tool_with_the_name_of_the_flag() {
    let dir = Dir::new();
    let mut server = locked(&dir, &["-c", "approval_policy=on-request"]);
    fs::create_dir(dir.path("work/sub")).unwrap();
    dir.make("worker");
    dir.write("picture.png", "");
    symlink("..", dir.path("work/up")).unwrap();
    symlink("/etc", dir.path("work/sub/etc")).unwrap();
    symlink(dir.path("picture.png"), dir.path("work/picture.png")).unwrap();
    dir.write("work/a,b.png", "");
    symlink("a,b.png", dir.path("work/comma.png")).unwrap();
    for (more, words) in [
        (r#""sandbox":"workspace-write""#, &["sandbox: workspace-write", "read-only"][..]),
        (r#""sandbox":"danger-full-access""#, &["sandbox: danger-full-access", "read-only"]),
        (r#""approval-policy":"on-failure""#, &["approval-policy: on-failure", "never"]),
        (r#""approval-policy":"untrusted""#, &["approval-policy: untrusted", "never"]),
        (r#""profile":"mine""#, &["profile: mine"]),
        (r#""config":{"sandbox_mode":"danger-full-access"}"#, &["config: sandbox_mode"]),
        (r#""config":{"sandbox_workspace_write":{"network_access":true}}"#, &["config: sandbox_"]),
        (r#""config":{"model_verbosity":"low","notify":["sh"]}"#, &["config: notify"]),
        (r#""config":{"model_verbosity":{"a":1}}"#, &["config: model_verbosity", "strings"]),
        (r#""config":{"model_verbosity":true}"#, &["config: model_verbosity", "strings"]),
        (r#""config":{"model_verbosity":"a","model_verbosity":[1]}"#, &["config: model_verb"]),
        (r#""config":{"model_reasoning_effort.a":"b"}"#, &["config: model_reasoning_effort.a"]),
        (r#""cwd":"/""#, &["cwd: / ", "--root"]),
        (r#""cwd":"..""#, &["cwd: ", "--root"]),
        (r#""cwd":"../worker""#, &["cwd: ", "/worker is", "--root"]),
        (r#""cwd":"sub/../../worker""#, &["cwd: ", "/worker is", "--root"]),
        (r#""cwd":"sub/../up/worker""#, &["cwd: ", "/worker is", "--root"]),
        (r#""cwd":"sub/etc""#, &["cwd: /etc is", "--root"]),
        (r#""cwd":"sub/etc/../usr""#, &["cwd: /usr is", "--root"]),
        (r#""cwd":"/proc/self/cwd/..""#, &["cwd: ", "--root"]),
        (r#""add-dirs":["sub","/usr"]"#, &["add-dirs: /usr is", "--root"]),
        (r#""cwd":"sub","add-dirs":["etc"]"#, &["add-dirs: /etc is", "--root"]),
        (r#""images":["/etc/passwd"]"#, &["images: /etc/passwd is", "--root"]),
        (r#""images":["picture.png"]"#, &["images: ", "picture.png is", "--root"]),
        (r#""images":["sub/etc/passwd"]"#, &["images: /etc/passwd is", "--root"]),
    ] {
        refused(&mut server, more, &[words, &["--locked"]].concat());
    }
    refused(&mut server, r#""images":["comma.png"]"#, &["images: ", "/a,b.png has a comma"]);
    refused(&mut server, r#""config":{"model_verbosity":null}"#, &["config: ", "null"]);
    refused(&mut server, r#""config":{"\"model_verbosity\"":"low"}"#, &["config: ", "no key"]);
    assert_eq!(dir.started(), 0);
}

#[test]
fn what_is_narrower_or_harmless_is_passed_on_and_the_rest_is_said_outright() {
    let dir = Dir::new();
    let mut server = writing(&dir);
    let work = dir.path("work");
    fs::create_dir_all(work.join("real/deep")).unwrap();
    symlink("real", work.join("link")).unwrap();
    dir.write("work/real/p.png", "");
    let received = given(&mut server, "");
    assert_eq!(received.cwd, work);
    assert_eq!(received.options("sandbox"), ["workspace-write"]);
    assert_eq!(received.config("approval_policy"), Some("\"never\""));
    assert_eq!(received.config("approvals_reviewer"), Some("\"user\""));
    assert!(received.options("cd").is_empty(), "it would be looked up once more");

    let more = r#""cwd":"link/deep/..","sandbox":"read-only","approval-policy":"never","model":"-m",
        "add-dirs":["../link/deep"],"images":["../link/p.png"],"output-schema":{},"config":
        {"model_reasoning_effort":"high","model_reasoning_summary":"none","model_verbosity":"low"},
        "base-instructions":"-b","developer-instructions":"-d","compact-prompt":"-c""#;
    let received = given(&mut server, &more.replace('\n', ""));
    assert_eq!(received.cwd, work.join("real"));
    assert_eq!(received.options("sandbox"), ["read-only"]);
    assert_eq!(received.options("model"), ["-m"]);
    assert_eq!(received.options("add-dir"), [work.join("real/deep").to_str().unwrap()]);
    assert_eq!(received.options("image"), [work.join("real/p.png").to_str().unwrap()]);
    assert_eq!(received.options("output-schema").len(), 1);
    assert_eq!(received.config("model_reasoning_effort"), Some("\"high\""));
    assert_eq!(received.config("model_reasoning_summary"), Some("\"none\""));
    assert_eq!(received.config("model_verbosity"), Some("\"low\""));
    assert_eq!(received.config("developer_instructions"), Some("\"-d\""));
    assert_eq!(received.config("compact_prompt"), Some("\"-c\""));
    assert!(received.config("model_instructions_file").is_some());

    let id = server.launch("begin\nwait-for never");
    let record = dir.record(&id);
    assert_eq!(record.str_at("cwd"), work.to_str().unwrap());
    assert_eq!(record.at("roots").to_json(), list(&[work.to_str().unwrap()]));
    assert!(server.status(&id).contains("Phase: running"));
    server.ok("codex_cancel", &ids(&[&id]));
    assert!(server.wait(&[&id]).contains("(cancelled "));
}

#[test]
fn the_flags_of_the_server_itself_may_say_anything() {
    let dir = Dir::new();
    let mut server = locked(
        &dir,
        &["-c", "sandbox_mode='danger-full-access'", "-c", "profile=p", "-c", "a.b={c=[1]}"],
    );
    for mode in ["read-only", "workspace-write", "danger-full-access"] {
        let received = given(&mut server, &format!(r#""sandbox":"{mode}""#));
        assert_eq!(received.options("sandbox"), [mode]);
        assert_eq!(
            received.configs()[..3],
            ["sandbox_mode='danger-full-access'", "profile=p", "a.b={c=[1]}"]
        );
        assert_eq!(received.config("approvals_reviewer"), Some("\"user\""));
    }
    assert_eq!(given(&mut server, "").options("sandbox"), ["danger-full-access"]);
    let mut asks = locked(&dir, &["-c", "approval_policy=on-request"]);
    let received = given(&mut asks, r#""approval-policy":"on-request""#);
    assert_eq!(received.config("approval_policy"), Some("\"on-request\""));
    assert_eq!(given(&mut asks, "").config("approval_policy"), Some("on-request"));
}

#[test]
fn roots_are_resolved_once_at_the_start_and_told() {
    let dir = Dir::new();
    let (a, b) = (dir.make("a"), dir.make("b/deep"));
    dir.make("ab");
    symlink(&a, dir.path("work/to-a")).unwrap();
    let mut server = locked(&dir, &["--root", "to-a", "--root=../b"]);
    let roots = list(&[a.to_str().unwrap(), dir.path("b").to_str().unwrap()]);
    let config = read_json(&server.read("codex-swarm:///config"));
    assert_eq!(config.at("roots").to_json(), roots);
    assert_eq!(config.at("locked").as_bool(), Some(true));
    // the directory that it was started in is no root now, nor are others of a like name
    refused(&mut server, "", &["cwd: ", "/work is not below a --root"]);
    refused(&mut server, &member("cwd", &dir.path("ab")), &["cwd: ", "/ab is not below"]);
    fs::remove_file(dir.path("work/to-a")).unwrap();
    symlink("/", dir.path("work/to-a")).unwrap();
    refused(&mut server, r#""cwd":"to-a/usr""#, &["cwd: /usr is not below"]);
    assert_eq!(given(&mut server, &member("cwd", &a)).cwd, a);
    assert_eq!(given(&mut server, &member("cwd", &b)).cwd, b);

    let mut open = dir.server();
    let config = read_json(&open.read("codex-swarm:///config"));
    assert_eq!(config.at("locked").as_bool(), Some(false));
    assert_eq!(config.at("roots").to_json(), "[]");
}

#[test]
fn a_root_that_cannot_be_one_ends_the_server_before_it_serves() {
    let dir = Dir::new();
    dir.write("work/file", "");
    for (words, status, part) in [
        (&["--root", "."][..], 2, "--root needs --locked"),
        (&["--locked", "--root"], 2, "--root needs a directory"),
        (&["--locked", "--root", ".", "--root", "none"], 1, "--root: cannot use none: No such"),
        (&["--locked", "--root="], 1, "--root: cannot use : No such"),
        (&["--locked", "--root", "file"], 1, "/file is not a directory"),
    ] {
        let output = dir.command().args(words).stdin(Stdio::null()).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{words:?}: {errors}");
        assert!(errors.contains(part) && errors.lines().count() == 1, "{words:?}: {errors}");
        assert!(output.stdout.is_empty());
    }
    // a directory that is gone must not pass for the root of all
    let gone = dir.make("gone");
    let mut shell = Command::new("sh");
    shell.args(["-c", "rmdir \"$PWD\" && exec \"$0\" --locked"]).arg(tested_program());
    let output = shell.current_dir(gone).env("HOME", dir.path("home")).stdin(Stdio::null());
    let output = output.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--root: cannot use ."));
}

#[test]
fn no_task_may_write_to_the_records_of_tasks() {
    let dir = Dir::new();
    let mut server = locked(&dir, &["--root", "..", "-c", "sandbox_mode=workspace-write"]);
    symlink("../tasks", dir.path("work/link")).unwrap();
    // before there is any task
    refused(&mut server, r#""cwd":"..""#, &["cwd: ", "neither holds the task"]);
    dir.make("tasks/queue");
    for cwd in ["..", "../tasks", "link", "../tasks/queue"] {
        let told = "neither holds the task directory nor lies in it";
        refused(&mut server, &format!(r#""cwd":"{cwd}""#), &["cwd: ", told]);
        let more = format!(r#""cwd":"../out","add-dirs":["../work/{cwd}"]"#);
        refused(&mut server, &more, &["add-dirs: ", told]);
        let more = format!(r#""cwd":"{cwd}","sandbox":"read-only""#);
        assert_eq!(given(&mut server, &more).options("sandbox"), ["read-only"]);
    }
    assert_eq!(given(&mut server, "").options("sandbox"), ["workspace-write"]);
}

#[test]
fn no_task_may_write_to_the_place_of_all_worktrees() {
    let dir = Dir::new();
    let mut command = dir.command();
    let flags =
        ["--locked", "--root", "..", "--codex", STANDIN, "-c", "sandbox_mode=workspace-write"];
    command.env("CODEX_SWARM_WORKTREE_DIR", dir.path("out/trees")).args(flags);
    let mut server = Server::spawn(&dir, command);
    server.initialize();
    dir.make("out");
    symlink("../out", dir.path("work/link")).unwrap();
    let told = "neither holds the worktree directory nor lies in it";
    // before there is any worktree
    refused(&mut server, r#""cwd":"../out""#, &["cwd: ", told]);
    for cwd in ["../out", "../out/trees", "link", "link/trees"] {
        refused(&mut server, &format!(r#""cwd":"{cwd}""#), &["cwd: ", told]);
        refused(&mut server, &format!(r#""add-dirs":["{cwd}"]"#), &["add-dirs: ", told]);
        let more = format!(r#""cwd":"{cwd}","sandbox":"read-only""#);
        assert_eq!(given(&mut server, &more).options("sandbox"), ["read-only"]);
    }
}

#[test]
fn a_repository_whose_git_directory_tasks_may_write_to_gets_no_worktree() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "work/repo");
    let bare = Repo::new(&dir, "work/bare");
    fs::rename(bare.path.join(".git"), bare.path.join("data")).unwrap();
    fs::write(bare.path.join(".git"), "gitdir: data\n").unwrap();
    let writes = ["-c", "sandbox_mode=workspace-write"];
    for (roots, cwd, made) in [
        (&[][..], &repo, false),
        (&["--root", ".", "--root", "repo"], &repo, false),
        (&["--root", "repo"], &repo, true),
        (&["--root", "bare", "--root", "repo"], &repo, true),
        (&["--root", "bare"], &bare, false),
    ] {
        let mut server = locked(&dir, &[roots, &writes].concat());
        let more = at(&cwd.path, "");
        let text = text_of(&server.call("codex", &script_and(&work("echo w > made"), &more)));
        let refused = text.contains("worktree: tasks may write to the git directory ");
        assert_eq!((refused, text.contains("Branch: ")), (!made, made), "{roots:?}: {text}");
    }
}

#[test]
fn a_thread_is_one_that_ran_here_and_what_it_had_is_checked_like_what_is_given() {
    let dir = Dir::new();
    let outside = dir.make("outside");
    let mut open = dir.server();
    let mut server = writing(&dir);
    let unknown = format!(r#""threadId":"{UNKNOWN}""#);
    refused(&mut server, &unknown, &["threadId: ", "--locked"]);
    refused(&mut server, &format!(r#"{unknown},"fork":true"#), &["threadId: ", "--locked"]);
    let conversation = format!(r#"{{"prompt":"x","conversationId":"{UNKNOWN}"}}"#);
    for tool in ["codex_reply", "codex-reply"] {
        assert!(server.refused(tool, &conversation).contains("threadId: "));
    }

    let cwd = dir.path("work");
    for (wide, word, cure) in [
        (member("cwd", &outside), "cwd: ", member("cwd", &cwd)),
        (
            r#""sandbox":"danger-full-access""#.into(),
            "sandbox: ",
            r#""sandbox":"read-only""#.into(),
        ),
        (
            r#""approval-policy":"on-request""#.into(),
            "approval-policy: ",
            r#""approval-policy":"never""#.into(),
        ),
        (r#""config":{"a":1}"#.into(), "config: a ", String::new()),
        (r#""profile":"p""#.into(), "profile: p ", String::new()),
        (members("add-dirs", &outside), "add-dirs: ", r#""add-dirs":[]"#.into()),
    ] {
        let thread = thread_id(&open.ok("codex", &prompt_and("x", &wide))).to_owned();
        let on_thread = format!(r#""threadId":"{thread}""#);
        refused(&mut server, &on_thread, &[word, "--locked"]);
        refused(&mut server, &format!(r#"{on_thread},"fork":true"#), &[word, "--locked"]);
        for (tool, name) in [("codex_reply", "threadId"), ("codex-reply", "conversationId")] {
            let args = format!(r#"{{"prompt":"x","{name}":"{thread}"}}"#);
            let text = server.refused(tool, &args);
            assert!(text.contains(word) && text.contains("--locked"), "{tool}: {text}");
        }
        if !cure.is_empty() {
            let received = given(&mut server, &format!("{on_thread},{cure}"));
            assert!(received.argv.ends_with(&["resume".into(), thread, "-".into()]), "{cure}");
            assert_eq!(received.cwd, cwd);
        }
    }

    // a thread of its own goes on with what it had, and may be widened up to the flags again
    let first = server.ok("codex", &prompt_and("x", r#""sandbox":"read-only""#));
    let on_thread = format!(r#""threadId":"{}""#, thread_id(&first));
    assert_eq!(given(&mut server, &on_thread).options("sandbox"), ["read-only"]);
    let wider = format!(r#"{on_thread},"sandbox":"workspace-write""#);
    assert_eq!(given(&mut server, &wider).options("sandbox"), ["workspace-write"]);
    let fork = format!(r#"{on_thread},"fork":true"#);
    assert!(given(&mut server, &fork).has("fork"));
}

#[test]
fn a_worktree_is_made_and_gone_on_with_where_all_of_its_repository_is_below_a_root() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "work/repo");
    // the way to the worktrees is the user's own, and may have links
    dir.make("real");
    symlink(dir.path("real"), dir.path("state")).unwrap();
    let server_of = |flags: &[&str]| {
        let mut command = dir.command();
        command.env("CODEX_SWARM_WORKTREE_DIR", dir.path("state/worktrees")).args(flags);
        command.args(["--codex", STANDIN, "--locked", "-c", "sandbox_mode=workspace-write"]);
        let mut server = Server::spawn(&dir, command);
        server.initialize();
        server
    };
    let mut server = server_of(&["--root", "repo"]);
    let more = at(&repo.path.join("sub"), "");
    let text = server.ok("codex", &script_and(&work("echo 1 > made"), &more));
    let (first, thread) = (task_id(&text), thread_id(&text).to_owned());
    let worktree = dir.path("real/worktrees").join(&first);
    assert_eq!(dir.received(&first).cwd, worktree.join("sub"));
    assert!(dir.received(&first).options("cd").is_empty());
    let branch = format!("codex-swarm/{first}");
    assert_eq!(repo.text(&branch, "sub/made"), "1\n");

    let on_thread = format!(r#""threadId":"{thread}""#);
    let text = server.ok("codex_reply", &script_and(&work("echo 2 >> made"), &on_thread));
    assert_eq!(dir.received(&task_id(&text)).cwd, worktree.join("sub"));
    assert_eq!(repo.text(&branch, "sub/made"), "1\n2\n");
    let fork = format!(r#"{on_thread},"fork":true"#);
    let text = server.ok("codex", &script_and(&work("echo 3 >> made"), &fork));
    let fork = task_id(&text);
    assert_eq!(repo.text(&format!("codex-swarm/{fork}"), "sub/made"), "1\n2\n3\n");

    // a server with a narrower root has no part in it, nor has one that makes its own elsewhere
    let mut narrow = locked(&dir, &["--root", "repo/sub", "-c", "sandbox_mode=workspace-write"]);
    let mut other = writing(&dir);
    let named = |tool: &str, server: &mut Server<'_>, path: &Path| {
        let text = server.refused(tool, &prompt_and("x", &on_thread));
        let path = path.display();
        assert!(text.starts_with(&format!("worktree: {path} is not below a --root")), "{text}");
    };
    named("codex_reply", &mut other, &dir.path("state/worktrees").join(&first));
    named("codex", &mut server_of(&["--root", "repo/sub"]), &repo.path);
    let text = narrow.refused("codex", &prompt_and("x", &more));
    assert!(text.contains("worktree: ") && text.contains("/repo is not below"), "{text}");
    repo.sound();
}

#[test]
fn a_repository_that_lies_elsewhere_gets_no_worktree_however_it_is_hidden() {
    let dir = Dir::new();
    let secret = Repo::new(&dir, "secret");
    let data = secret.path.join(".git");
    let plain = dir.make("work/file");
    fs::write(plain.join(".git"), format!("gitdir: {}\n", data.display())).unwrap();
    symlink(&data, dir.make("work/link").join(".git")).unwrap();
    let common = Repo::new(&dir, "work/common");
    fs::write(common.path.join(".git/commondir"), format!("{}\n", data.display())).unwrap();
    let tree = Repo::new(&dir, "work/tree");
    tree.git(&["config", "core.worktree", secret.path.to_str().unwrap()]);
    let linked = dir.path("work/linked");
    secret.git(&["worktree", "add", "-q", linked.to_str().unwrap()]);
    // the data of a checkout that stand elsewhere, with the shared ones where they may be
    let data = dir.make("fake");
    let shared = Repo::new(&dir, "work/shared").path.join(".git");
    fs::write(data.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    fs::write(data.join("commondir"), format!("{}\n", shared.display())).unwrap();
    fs::write(dir.make("work/apart").join(".git"), format!("gitdir: {}\n", data.display()))
        .unwrap();
    let before = secret.snapshot();
    let mut server = writing(&dir);
    for name in ["file", "link", "common", "tree", "linked", "apart"] {
        let more = at(&dir.path("work").join(name), "");
        let text = server.refused("codex", &prompt_and("x", &more));
        let told = text.contains("worktree: ") && text.contains("is not below a --root");
        // git itself does not take this one for a checkout
        assert!(
            told || name == "tree" && text.contains("is in a bare repository"),
            "{name}: {text}"
        );
    }
    assert_eq!(dir.started(), 0);
    assert_eq!(secret.snapshot(), before);

    // nor does one that a server without a lock has made
    let mut open = dir.server();
    let text = open.ok("codex", &prompt_and("x", &at(&secret.path, "")));
    let thread = format!(r#""threadId":"{}""#, thread_id(&text));
    let home = member("cwd", &dir.path("work"));
    refused(&mut server, &thread, &["cwd: ", "--root"]);
    assert!(given(&mut server, &format!("{thread},{home}")).cwd == dir.path("work"));
}

/// What somebody does to the directory `work/a` while a task waits for its turn.
type Swap = fn(&Dir);

/// The same where it has to do with a task that has ended.
type SwapOf = fn(&Dir, &Task);

/// Puts a link to `secret` in the place of `work/a`.
fn to_secret(dir: &Dir) {
    fs::rename(dir.path("work/a"), dir.path("work/b")).unwrap();
    symlink(dir.path("secret"), dir.path("work/a")).unwrap();
}

#[test]
fn what_is_swapped_between_the_check_and_the_start_is_not_entered() {
    let swaps: [(&str, Swap, &str, &str); 6] = [
        (r#""cwd":"a""#, to_secret, "the directory was replaced, or a link", ""),
        (r#""cwd":"a/deep""#, to_secret, "the directory was replaced, or a link", ""),
        (r#""cwd":"a/deep","worktree":true"#, to_secret, "a/deep is in no git", "was replaced"),
        (r#""add-dirs":["a/deep"]"#, to_secret, "/a/deep was replaced, or a link", ""),
        (r#""images":["a/deep/p.png"]"#, to_secret, "/a/deep/p.png was replaced, or a link", ""),
        (
            r#""cwd":"a""#,
            |dir| fs::rename(dir.path("work/a"), dir.path("work/b")).unwrap(),
            "No such file or directory",
            "",
        ),
    ];
    for (more, swap, reason, second) in swaps {
        let dir = Dir::new();
        let repo = Repo::new(&dir, "work/a");
        let secret = Repo::new(&dir, "secret");
        for top in [&repo, &secret] {
            top.file("deep/p.png", "");
            top.commit("deep");
        }
        let mut server =
            locked(&dir, &["-c", "sandbox_mode=workspace-write", "--max-parallel", "1"]);
        let gate = Gate::new(&dir, "go");
        let first = server.launch("begin\nsh read -r opened < \"$STANDIN_OUT/go\"\ndone");
        let text = server.ok("codex_async", &prompt_and("x", more));
        let queued = task_id(&text);
        assert!(text.contains("It is queued"), "{text}");
        swap(&dir);
        drop(gate);
        let told = server.wait(&[&first, &queued]);
        let told = section(&told, &queued);
        assert!(told.contains("(failed in "), "{more}: {told}");
        assert!(told.contains(reason) && told.contains(second), "{more}: {told}");
        assert_eq!(dir.started(), 1, "{more}");
        assert!(secret.branches().is_empty(), "{more}");
    }
}

#[test]
fn a_reply_does_not_enter_what_its_worktree_or_repository_was_swapped_for() {
    let swaps: [(&str, SwapOf); 2] = [
        ("sub is gone", |dir, task| {
            fs::remove_dir_all(task.path.join("sub")).unwrap();
            symlink(dir.path("secret"), task.path.join("sub")).unwrap();
        }),
        ("worktree: ", |dir, _| {
            fs::rename(dir.path("work/repo"), dir.path("secret/repo")).unwrap();
            symlink(dir.path("secret/repo"), dir.path("work/repo")).unwrap();
        }),
    ];
    for (reason, swap) in swaps {
        let dir = Dir::new();
        let repo = Repo::new(&dir, "work/repo");
        dir.make("secret");
        let flags = ["--root", "repo", "-c", "sandbox_mode=workspace-write", "--max-parallel", "1"];
        let mut server = locked(&dir, &flags);
        let task = run(&mut server, &repo.path.join("sub"), &work("true"));
        let gate = Gate::new(&dir, "go");
        let lines = "begin\nsh read -r opened < \"$STANDIN_OUT/go\"\ndone";
        let first = server.launch_with(&script_and(lines, &member("cwd", &repo.path)));
        let thread = format!(r#""threadId":"{}""#, thread_of(&task.id));
        let queued = server.launch_with(&prompt_and("x", &thread));
        swap(&dir, &task);
        drop(gate);
        let told = server.wait(&[&first, &queued]);
        let told = section(&told, &queued);
        assert!(told.contains("(failed in ") && told.contains(reason), "{told}");
        assert_eq!(dir.started(), 2);
    }
}
