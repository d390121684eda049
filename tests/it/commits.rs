//! The end of a task with a worktree: what is committed, as what, and how that is told.

use crate::json::Value;
use crate::repo::*;
use crate::support::*;
use std::fs;

/// The branch has these commits of its own, the newest first, by their subjects.
fn subjects(repo: &Repo, task: &Task) -> Vec<String> {
    let log = repo.git(&["log", "--format=%s", &format!("main..{}", task.branch)]);
    log.lines().map(str::to_owned).collect()
}

#[test]
fn completed_and_failed_work_is_committed_and_cancelled_work_stays_as_it_lies() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    let mut server = dir.server();
    for (end, verdict) in [
        ("say ok\ndone", "completed in "),
        ("fail Quota exceeded.\nexit 1", "failed in "),
        ("exit 3", "failed in "),
        ("kill-self KILL", "failed in "),
        ("exit 0", " in "),
    ] {
        let task = run(&mut server, &repo.path, &format!("begin\nsh echo w > made\n{end}"));
        assert!(task.told.contains(verdict), "{end}: {}", task.told);
        assert_eq!(repo.text(&task.branch, "made"), "w\n", "{end}");
        assert_eq!(repo.git_at(&task.path, &["status", "--porcelain"]).unwrap(), "", "{end}");
        assert!(field(&task.told, "Changes").contains("+1"), "{end}: {}", task.told);
    }
    let lines = "begin\nsh echo w > made; echo x > a\nmark on\nwait-for never\ndone";
    let task = start(&mut server, &repo.path, lines, "");
    dir.marked("on");
    server.call("codex_cancel", &format!(r#"{{"task_id":"{}"}}"#, task.id));
    let told = server.wait(&[&task.id]);
    assert!(told.contains("cancelled"), "{told}");
    assert_eq!(field(&told, "Worktree"), task.path.to_str().unwrap());
    assert_eq!(repo.sha(&task.branch), repo.sha("main"));
    let status = repo.git_at(&task.path, &["status", "--porcelain"]).unwrap();
    assert_eq!(status, " M a\n?? made");
    repo.sound();
}

#[test]
fn the_message_has_the_prompts_first_line_and_the_task_and_its_thread() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    // What would change messages of the user's own.
    repo.git(&["config", "commit.cleanup", "strip"]);
    repo.git(&["config", "commit.template", "/nowhere"]);
    repo.git(&["config", "core.commentChar", "s"]);
    let mut server = dir.server();
    let long = format!("#standin {}", "long ".repeat(2000));
    for first in [
        "#standin Mend \"it\" and 'that' é $(id) `id` \\n %s",
        "#standin: --amend -m x",
        "#standin Signed-off-by: nobody",
        &long,
    ] {
        let prompt = format!("{first}\nbegin\nsh date > made\ndone\n# last: line");
        let args = prompt_and(&prompt, &at(&repo.path, ""));
        let id = task_id(&server.ok("codex", &args));
        let branch = format!("codex-swarm/{id}");
        let show = |format: &str| repo.git(&["log", "-1", &format!("--format={format}"), &branch]);
        let subject = show("%s");
        let ellipsis = subject.trim_end_matches(['.', '…', ' ']);
        assert!(first == subject || (first == long && first.starts_with(ellipsis)), "{subject}");
        assert!(ellipsis.len() > 20, "{subject}");
        for (key, value) in [("Codex-Task", id.clone()), ("Codex-Thread", thread_of(&id))] {
            assert_eq!(show(&format!("%(trailers:key={key},valueonly)")), value);
        }
        assert!(!show("%B").contains("# last"), "{}", show("%B"));
    }
}

#[test]
fn a_prompt_cannot_pass_for_the_trailers_and_needs_no_first_line() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    // Another stand-in, for prompts that are no script.
    let other = dir.path("other");
    executable(&other, &format!("#!/bin/sh\ndate > made\nexec {STANDIN} \"$@\"\n"));
    let mut command = dir.command();
    command.arg("--codex").arg(&other);
    let mut server = Server::spawn(&dir, command);
    server.initialize();
    for prompt in
        ["Codex-Task: deadbeef", "\n\n  \nthe first line\nnext", "#", "\u{1b}[31mred\u{7}", "a\rb"]
    {
        let id = task_id(&server.ok("codex", &prompt_and(prompt, &at(&repo.path, ""))));
        let branch = format!("codex-swarm/{id}");
        let show = |format: &str| repo.git(&["log", "-1", &format!("--format={format}"), &branch]);
        assert_eq!(show("%(trailers:key=Codex-Task,valueonly)"), id, "{prompt:?}");
        let subject = show("%s");
        assert!(!subject.is_empty() && !subject.contains(char::is_control), "{subject:?}");
        assert!(!prompt.contains("first") || subject == "the first line", "{subject}");
    }
    repo.sound();
}

#[test]
fn the_author_is_the_user_or_else_the_program() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    let authors = |server: &mut Server<'_>| {
        let task = run(server, &repo.path, &work("date > made"));
        repo.git(&["log", "-1", "--format=%an <%ae> %cn <%ce>", &task.branch])
    };
    let mut command = dir.command();
    command.args(["--codex", STANDIN]).env("GIT_CONFIG_GLOBAL", "/dev/null");
    for who in ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "EMAIL"] {
        command.env(who, "of@the.environment");
    }
    let mut server = Server::spawn(&dir, command);
    server.initialize();
    let ours = authors(&mut server);
    assert!(ours.contains("codex") && !ours.contains("environment"), "{ours}");
    repo.git(&["config", "user.useConfigOnly", "true"]);
    assert_eq!(authors(&mut server), ours);
    repo.git(&["config", "user.name", "Home Body"]);
    let half = authors(&mut server);
    assert!(half.starts_with("Home Body <") && !half.contains("<>"), "{half}");
    repo.git(&["config", "--unset", "user.name"]);
    dir.write("home/.gitconfig", "[user]\nname = Gl Öbal\nemail = g@example.org\n");
    let global = "Gl Öbal <g@example.org> Gl Öbal <g@example.org>";
    assert_eq!(authors(&mut server), global);
    repo.git(&["config", "user.name", "Local"]);
    assert!(authors(&mut server).starts_with("Local <g@example.org>"));
    // And nothing of the user's wishes for commits stops ours.
    for (key, value) in
        [("commit.gpgSign", "true"), ("gpg.program", "/nowhere"), ("core.editor", "/no")]
    {
        repo.git(&["config", key, value]);
    }
    let hook = repo.path.join(".git/hooks/pre-commit");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    for name in ["pre-commit", "commit-msg", "post-checkout", "reference-transaction"] {
        executable(&hook.with_file_name(name), "#!/bin/sh\nexit 1\n");
    }
    assert!(authors(&mut server).starts_with("Local <"));
}

#[test]
fn a_run_that_changes_nothing_makes_no_commit() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    repo.file(".gitignore", "*.o\n");
    repo.commit("ignore");
    let mut server = dir.server();
    for commands in [
        "true",
        "touch a; touch -d 2001-01-01 sub/b",
        "echo x > y; rm y",
        "echo x > y.o",
        "mkdir -p empty/er",
        "mv a x; cp x a; rm x",
        "mkdir -p .codex .agents .aws",
    ] {
        let task = run(&mut server, &repo.path, &work(commands));
        assert_eq!(repo.sha(&task.branch), repo.sha("main"), "{commands}");
        assert_eq!(field(&task.told, "Changes"), "none", "{commands}");
        assert_eq!(
            server.read(&format!("codex-swarm:///tasks/{}/diff", task.id)),
            "",
            "{commands}"
        );
        for name in [".codex", ".agents", ".aws"] {
            assert!(!task.path.join(name).exists(), "{name}");
        }
    }
    let kept = run(&mut server, &repo.path, &work("mkdir .codex .agents\necho x > .codex/c"));
    assert_eq!(repo.text(&kept.branch, ".codex/c"), "x\n");
    assert!(!kept.path.join(".agents").exists());
    repo.sound();
}

#[test]
fn folders_that_were_there_before_stay() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    repo.file(".gitignore", ".aws\n");
    repo.file(".worktreeinclude", ".aws\n");
    repo.file(".codex/config.toml", "");
    repo.commit("codex");
    repo.file(".aws/credentials", "k\n");
    let mut server = dir.server();
    let task = run(&mut server, &repo.path, &work("rm .aws/credentials .codex/config.toml"));
    assert!(task.path.join(".aws").is_dir() && task.path.join(".codex").is_dir());
}

#[test]
fn commits_of_the_task_stay_as_they_are_and_the_rest_comes_on_top() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    dir.write("home/.gitconfig", "[user]\nname = U\nemail = u@example.org\n");
    let mut server = dir.server();
    let own = "echo 1 > x; git add x; git commit -qm 'own 1'
               echo 2 > y; git add y; git commit -qm 'own 2'
               git rev-parse HEAD > ../own";
    let clean = run(&mut server, &repo.path, &work(own));
    let head = fs::read_to_string(dir.path("worktrees/own")).unwrap();
    assert_eq!(repo.sha(&clean.branch), head.trim());
    assert!(field(&clean.told, "Changes").contains("2 commits"), "{}", clean.told);
    let more = format!("{own}\necho 3 > z\necho 4 >> x\ngit add x");
    let dirty = run(&mut server, &repo.path, &work(&more));
    assert_eq!(subjects(&repo, &dirty), ["#standin", "own 2", "own 1"]);
    assert_eq!(
        (repo.text(&dirty.branch, "z"), repo.text(&dirty.branch, "x")),
        ("3\n".into(), "1\n4\n".into())
    );
    let changes = dir.record(&dirty.id).at("changes").clone();
    let count = |key: &str| changes.at(key).as_u64().unwrap();
    assert_eq!((count("commits"), count("files"), count("insertions")), (3, 3, 4));
    repo.sound();
}

#[test]
fn whatever_a_task_does_with_its_head_its_branch_brings_the_work_or_it_is_told() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    repo.file("a", "second\n");
    repo.commit("second");
    repo.git(&["branch", "shared"]);
    dir.write("home/.gitconfig", "[user]\nname = U\nemail = u@example.org\n");
    let mut server = dir.server();
    for commands in [
        "git checkout -q -b own-branch\necho w > made",
        "git checkout -q -b own-branch-2\necho w > made; git add made; git commit -qm own",
        "git checkout -q --detach\necho w > made",
        "git checkout -q --detach\necho w > made; git add made; git commit -qm own",
        "git checkout -q shared\necho w > made",
        "git reset -q --hard HEAD~1\necho w > made",
        "git branch -m renamed\necho w > made",
        "git checkout -q --orphan nothing\necho w > made",
        "git checkout -q --detach\ngit branch -D codex-swarm/$CODEX_SWARM_TASK\necho w > made",
        "echo w > made; git stash -qu; git stash pop -q",
        "echo w > made; git checkout -q -b side HEAD~1; git checkout -q -",
    ] {
        let task = run(&mut server, &repo.path, &work(commands));
        let brought = repo.content(&task.branch, "made").as_deref() == Some(b"w\n");
        let told = maybe_field(&task.told, "Not committed").is_some();
        assert!(brought || told, "{commands}: {}", task.told);
        // In the branch, or at least where the task left it.
        let there = fs::read_to_string(task.path.join("made")).unwrap();
        assert_eq!(there, "w\n", "{commands}");
        assert!(repo.git_at(&repo.path, &["show", "shared:made"]).is_err(), "{commands}");
        repo.sound();
    }
    assert_eq!(repo.git(&["rev-parse", "shared"]), repo.sha("main"));
}

#[test]
fn work_that_was_left_in_the_middle_of_something_is_committed_or_it_is_told() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    repo.git(&["checkout", "-q", "-b", "clash"]);
    repo.file("a", "clash\n");
    repo.commit("clash");
    repo.git(&["checkout", "-q", "main"]);
    dir.write("home/.gitconfig", "[user]\nname = U\nemail = u@example.org\n");
    let mut server = dir.server();
    let mine = "echo mine > a; git commit -qam mine; echo w > made";
    let mut lost = Vec::new();
    for commands in [
        "git merge -q clash || true",
        "git cherry-pick clash > /dev/null || true",
        "git rebase -q clash || true",
        "touch $(git rev-parse --git-path index.lock)",
        "rm $(git rev-parse --git-path index)",
        "echo junk > $(git rev-parse --git-path index)",
        "git update-index --assume-unchanged sub/b; echo w > sub/b",
        "git update-index --skip-worktree sub/b; echo w > sub/b",
        "git config extensions.worktreeConfig true; git config --worktree core.sparseCheckout true",
    ] {
        let task = run(&mut server, &repo.path, &work(&format!("{mine}\n{commands}")));
        let brought = repo.content(&task.branch, "made").as_deref() == Some(b"w\n");
        let why = maybe_field(&task.told, "Not committed");
        assert!(brought || why.is_some(), "{commands}: {}", task.told);
        assert_eq!(fs::read_to_string(task.path.join("made")).unwrap(), "w\n", "{commands}");
        if why.is_none() && commands.contains("sub/b") && repo.text(&task.branch, "sub/b") != "w\n"
        {
            lost.push(commands);
        }
    }
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn every_kind_of_change_is_brought() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    for name in ["gone", "moved", "mode", "kind", "tree/x", "normal"] {
        repo.file(name, &format!("{name}\n1\n2\n3\n4\n"));
    }
    repo.commit("more");
    let mut server = dir.server();
    let task = run(
        &mut server,
        &repo.path,
        &work(
            r#"rm gone; mv moved sub/moved; chmod +x mode; rm kind; ln -s nowhere kind
               rm -r tree; echo t > tree; rm a; mkdir a; echo f > a/f
               printf '\000\001\377' > binary; : > empty; printf 'no end' > "no end"
               printf 'b' > "a  b"; printf 'n' > "$(printf 'new\nline')"; printf 'e' > é; printf 'd' > -dash
               printf 'q' > '"q"	\'; printf 'l' > "$(printf 'latin\351')"; printf 'g' > ':(glob)*'
               ln -s /etc/passwd out; ln -s . loop; mkdir -p deep/er; printf 'd' > deep/er/.hidden
               printf 'a\r\nb\r\n' > crlf; printf 'ig' > .gitignore; mkfifo pipe"#,
        ),
    );
    assert!(maybe_field(&task.told, "Not committed").is_none(), "{}", task.told);
    let raw = repo.git(&["ls-tree", "-r", "-z", &task.branch]);
    let mode = |name: &str| {
        let entry =
            raw.split_terminator('\0').find(|entry| entry.split_once('\t').unwrap().1 == name);
        entry.map(|entry| entry.split(' ').next().unwrap().to_owned())
    };
    for (name, is) in [
        ("gone", None),
        ("moved", None),
        ("sub/moved", Some("100644")),
        ("mode", Some("100755")),
        ("kind", Some("120000")),
        ("tree", Some("100644")),
        ("a/f", Some("100644")),
        ("out", Some("120000")),
        ("loop", Some("120000")),
        ("pipe", None),
        ("normal", Some("100644")),
    ] {
        assert_eq!(mode(name).as_deref(), is, "{name}");
    }
    for (name, content) in [
        ("binary", &b"\x00\x01\xff"[..]),
        ("empty", b""),
        ("no end", b"no end"),
        ("a  b", b"b"),
        ("new\nline", b"n"),
        ("é", b"e"),
        ("-dash", b"d"),
        ("\"q\"\t\\", b"q"),
        (":(glob)*", b"g"),
        ("deep/er/.hidden", b"d"),
        ("crlf", b"a\r\nb\r\n"),
        ("out", b"/etc/passwd"),
        ("sub/moved", b"moved\n1\n2\n3\n4\n"),
    ] {
        let spec = format!("./{name}");
        let is = repo.content(&task.branch, name).or_else(|| repo.content(&task.branch, &spec));
        assert_eq!(is.as_deref(), Some(content), "{name:?}");
    }
    assert_eq!(raw.split('\0').filter(|entry| entry.contains("latin")).count(), 1);
    let diff = server.read(&format!("codex-swarm:///tasks/{}/diff", task.id));
    assert!(diff.contains("sub/moved") && diff.contains("+no end"), "{diff}");
    repo.sound();
}

#[test]
fn the_changes_are_told_everywhere_and_are_the_same() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    repo.git(&["config", "diff.external", "/nowhere"]);
    repo.git(&["config", "diff.noprefix", "true"]);
    repo.git(&["config", "color.ui", "always"]);
    let base = repo.sha("main");
    let mut server = dir.server_with(&["--structured"]);
    let commands = "printf '1\\n2\\n' > made; echo other > a; printf '\\0' > binary";
    let result = server.call("codex", &script_and(&work(commands), &at(&repo.path, "")));
    let text = text_of(&result);
    let id = task_id(&text);
    let head = repo.sha(&format!("codex-swarm/{id}"));
    // Three files, a line lost, three new ones: the same in every place.
    let counts = [("commits", 1), ("files", 3), ("insertions", 3), ("deletions", 1)];
    let sync = result.at("structuredContent.worktree").clone();
    let waited = server.call("codex_wait", &ids(&[&id]));
    let stood = server.call("codex_status", &ids(&[&id]));
    for (found, place) in [(&waited, "codex_wait"), (&stood, "codex_status")] {
        let worktree = found.at("structuredContent.tasks.0.worktree");
        assert_eq!(worktree.to_json(), sync.to_json(), "{place}");
    }
    assert_eq!((sync.str_at("base"), sync.str_at("head")), (base.as_str(), head.as_str()));
    let record = dir.record(&id);
    assert_eq!(record.str_at("worktree_base"), base);
    assert_eq!(record.str_at("worktree_head"), head);
    for (key, count) in counts {
        for place in [sync.at("changes"), record.at("changes")] {
            assert_eq!(place.at(key).as_u64(), Some(count), "{key}");
        }
    }
    for text in [text, text_of(&waited), text_of(&stood)] {
        let changes = field(&text, "Changes");
        for word in ["3 files", "+3", "-1", "1 commit"] {
            assert!(changes.contains(word), "{word} in {changes}");
        }
    }
    let diff = server.read(&format!("codex-swarm:///tasks/{id}/diff"));
    for line in ["diff --git a/made b/made", "+1", "+2", "-one", "+other"] {
        assert!(diff.lines().any(|l| l == line), "{line} in {diff}");
    }
    // The diff can be applied as it is, and is still there when the worktree is not.
    let patch = dir.write("patch", &diff);
    repo.git(&["config", "--unset", "diff.noprefix"]);
    repo.git(&["apply", "--check", "--exclude=binary", patch.to_str().unwrap()]);
    repo.git(&["worktree", "remove", "--force", dir.path("worktrees").join(&id).to_str().unwrap()]);
    let mut next = dir.server();
    assert_eq!(next.read(&format!("codex-swarm:///tasks/{id}/diff")), diff);
    let list = read_json(&next.read("codex-swarm:///tasks")).to_json();
    assert!(list.contains(&format!("codex-swarm/{id}")), "{list}");
}

#[test]
fn a_batch_gives_each_task_its_own_worktree() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    let mut server = dir.server_with(&["--structured"]);
    let tasks: Vec<String> = (0..3).map(|n| script(&work(&format!("echo {n} > made")))).collect();
    let args =
        format!(r#"{{"tasks":[{}],"defaults":{{{}}}}}"#, tasks.join(","), at(&repo.path, ""));
    let result = server.call("codex_batch", &args);
    let told = result.at("structuredContent.tasks").as_array().unwrap();
    for (n, task) in told.iter().enumerate() {
        let branch = task.str_at("worktree.branch");
        assert_eq!(repo.text(branch, "made"), format!("{n}\n"));
        assert_eq!(task.find("worktree.changes.files").and_then(Value::as_u64), Some(1));
    }
    assert_eq!(told.len(), 3);
    repo.sound();
}
