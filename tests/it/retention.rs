//! The clean-up of old tasks: what goes, what stays and why; never a byte that is nowhere else.

use crate::repo::*;
use crate::support::*;
use std::fs;
use std::path::Path;

/// Runs git in a directory; it must not fail.
fn git_in(repo: &Repo, at: &Path, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    repo.git_at(at, &words).unwrap_or_else(|e| panic!("{e}"))
}

/// Whether a file somewhere below the test's directory has this content; task files and the
/// repository's own checkout do not count.
fn lies_somewhere(dir: &Dir, content: &str) -> bool {
    ["worktrees", "elsewhere"].iter().flat_map(|name| walk(&dir.path(name))).any(|path| {
        fs::symlink_metadata(&path).is_ok_and(|stat| stat.is_file())
            && fs::read(&path).unwrap() == content.as_bytes()
    })
}

/// All that a dry run must leave as it is.
fn all_of(dir: &Dir, repo: &Repo, places: &[&str]) -> Vec<String> {
    let mut all = repo.snapshot();
    all.push(repo.git(&["for-each-ref"]));
    for name in places {
        // What is no task's is the servers' own, who may write it at any time; and what a task has had
        // for a time goes behind its end.
        let walked = walk(&dir.path(name)).into_iter();
        let for_a_time = dir.path("tasks/tmp");
        let is_task = |path: &Path| {
            let is_named = path.file_stem().is_some_and(|stem| stem.len() == 8);
            is_named && !path.starts_with(&for_a_time)
        };
        let files = walked.filter(|path| *name != "tasks" || is_task(path));
        all.extend(files.map(|path| described(&path)));
    }
    all
}

/// A worktree after its task, and what has to become of it.
struct Case {
    name: &'static str,
    /// What the task does.
    task: &'static str,
    /// What is done then in the main checkout, `P` and `B` being the worktree's path and branch.
    main: &'static str,
    /// What is done then in the worktree.
    inside: &'static str,
    /// Whether directory and branch are there afterwards; `None` if both is right.
    stays: (Option<bool>, Option<bool>),
    /// What must still be somewhere.
    held: &'static [&'static str],
}

/// What becomes of a worktree where nothing was done.
const PLAIN: Case = Case {
    name: "",
    task: "printf w > made",
    main: "",
    inside: "",
    stays: (Some(false), Some(true)),
    held: &["w"],
};

/// Where both may stay, if only nothing is lost.
const EITHER: (Option<bool>, Option<bool>) = (None, None);

const CASES: &[Case] = &[
    Case { name: "unmerged", ..PLAIN },
    Case {
        name: "nothing done",
        task: "true",
        stays: (Some(false), Some(false)),
        held: &[],
        ..PLAIN
    },
    Case { name: "merged", main: "git merge -q B", stays: (Some(false), Some(false)), ..PLAIN },
    Case {
        name: "merged into another branch",
        main: "git branch other B",
        stays: (Some(false), Some(false)),
        ..PLAIN
    },
    Case { name: "tagged", main: "git tag -am t t B", stays: (Some(false), Some(false)), ..PLAIN },
    Case {
        name: "pushed",
        main: "git update-ref refs/remotes/origin/x B",
        stays: (Some(false), Some(false)),
        ..PLAIN
    },
    Case {
        name: "merged but for the last commit",
        main: "git merge -q B",
        inside: "printf 2 > a; git commit -qam 2",
        held: &["w", "2"],
        ..PLAIN
    },
    Case { name: "uncommitted", inside: "printf late > a", held: &["w", "late"], ..PLAIN },
    Case {
        name: "staged",
        inside: "printf late > a; git add a; printf later > a",
        held: &["w", "later"],
        ..PLAIN
    },
    Case {
        name: "untracked",
        inside: "mkdir -p n/e; printf late > n/e/w",
        held: &["w", "late"],
        ..PLAIN
    },
    Case {
        name: "merged, then uncommitted",
        main: "git merge -q B",
        inside: "printf late > a",
        held: &["w", "late"],
        ..PLAIN
    },
    Case { name: "a change of mode", main: "git merge -q B", inside: "chmod +x a", ..PLAIN },
    Case {
        name: "ignored only",
        task: "printf i > x.o; mkdir build.o; printf j > build.o/k",
        stays: (Some(false), Some(false)),
        held: &[],
        ..PLAIN
    },
    Case { name: "deleted only", task: "rm a", inside: "rm -r sub", held: &["one\n"], ..PLAIN },
    Case {
        name: "stashed",
        main: "git merge -q B",
        inside: "printf s > a; git stash -q",
        stays: (Some(false), Some(false)),
        held: &["w", "s"],
        ..PLAIN
    },
    Case { name: "directory gone, unmerged", main: "rm -rf P", ..PLAIN },
    Case {
        name: "directory gone, merged",
        main: "git merge -q B; rm -rf P",
        stays: (Some(false), Some(false)),
        ..PLAIN
    },
    Case { name: "removed by git", main: "git worktree remove P", ..PLAIN },
    Case {
        name: "removed with its branch",
        main: "git merge -q B; git worktree remove P; git branch -qD B",
        stays: (Some(false), Some(false)),
        ..PLAIN
    },
    Case { name: "branch renamed", main: "git branch -m B mine", stays: EITHER, ..PLAIN },
    Case {
        name: "locked",
        main: "git worktree lock --reason mine P",
        stays: (Some(true), Some(true)),
        ..PLAIN
    },
    Case {
        name: "checked out elsewhere",
        main: "git worktree remove P; git worktree add -q ../elsewhere B; git merge -q B; printf e > ../elsewhere/a",
        held: &["w", "e"],
        ..PLAIN
    },
    Case {
        name: "checked out in the main checkout, too",
        main: "git checkout -q --ignore-other-worktrees B; git branch other B",
        stays: (None, Some(true)),
        ..PLAIN
    },
    Case {
        name: "checked out in the main checkout, and more work",
        main: "git checkout -q --ignore-other-worktrees B",
        inside: "printf late > a",
        stays: (None, Some(true)),
        held: &["w", "late"],
        ..PLAIN
    },
    Case {
        name: "moved by the user",
        main: "git worktree move P ../elsewhere; git branch other B; printf e > ../elsewhere/a",
        stays: (Some(false), Some(true)),
        held: &["w", "e"],
        ..PLAIN
    },
    Case {
        name: "another one in its place",
        main: "git worktree remove P; git worktree add -q -b foreign P; printf f > P/foreign",
        stays: EITHER,
        held: &["w", "f"],
        ..PLAIN
    },
    Case {
        name: "switched",
        inside: "git checkout -q -b mine; printf late > a",
        stays: EITHER,
        held: &["w", "late"],
        ..PLAIN
    },
    Case {
        name: "detached",
        inside: "git checkout -q --detach; printf d > a; git commit -qam d",
        stays: EITHER,
        held: &["w", "d"],
        ..PLAIN
    },
    Case {
        name: "detached, merged",
        main: "git merge -q B",
        inside: "git checkout -q --detach; printf d > a; git commit -qam d; printf e > a",
        stays: EITHER,
        held: &["w", "d", "e"],
        ..PLAIN
    },
    Case {
        name: "an alias of the branch",
        main: "git symbolic-ref refs/heads/alias refs/heads/B",
        ..PLAIN
    },
    Case {
        name: "a ref of the worktree's own",
        inside: "git update-ref refs/worktree/mine HEAD; git update-ref refs/bisect/good HEAD",
        stays: EITHER,
        ..PLAIN
    },
    Case {
        name: "a ref of the worktree's own to something else",
        main: "git merge -q B",
        inside: "printf r > a; git commit -qam r; git update-ref refs/worktree/mine HEAD; git reset -q --hard HEAD~1",
        stays: EITHER,
        held: &["w", "r"],
        ..PLAIN
    },
    Case {
        name: "in the middle of a merge",
        main: "printf m > a; git commit -qam m",
        inside: "printf n > a; git commit -qam n; git merge -q main || true",
        stays: EITHER,
        held: &["w", "m", "n"],
        ..PLAIN
    },
    Case {
        name: "in the middle of a rebase",
        main: "git merge -q B; printf m > a; git commit -qam m",
        inside: "printf n > b; git add b; git commit -qm 1; printf o > a; git commit -qam 2; git rebase -q main || true",
        stays: EITHER,
        held: &["w", "m", "n", "o"],
        ..PLAIN
    },
    Case {
        name: "a nested repository",
        main: "git merge -q B",
        inside: "git init -q nested; cd nested; printf x > x; git add x; git commit -qm x; printf y > y",
        stays: EITHER,
        held: &["w", "y"],
        ..PLAIN
    },
    Case {
        name: "a nested repository with an older commit",
        main: "git merge -q B",
        inside: "git init -q nested; cd nested; printf x > x; git add x; git commit -qm x; printf z > x; git commit -qam z",
        stays: (Some(true), None),
        held: &["w", "z"],
        ..PLAIN
    },
    Case {
        name: "a nested repository without a commit",
        main: "git merge -q B",
        inside: "git init -q nested; printf y > nested/y",
        stays: EITHER,
        held: &["w", "y"],
        ..PLAIN
    },
    Case {
        name: "a nested repository, committed as a link",
        task: "git init -q nested; cd nested; printf x > x; git add x; git commit -qm x; cd ..; git add nested; git commit -qm link",
        main: "git merge -q B",
        stays: EITHER,
        held: &["x"],
        ..PLAIN
    },
    Case {
        name: "assume-unchanged",
        main: "git merge -q B",
        inside: "git update-index --assume-unchanged a; printf late > a",
        stays: EITHER,
        held: &["w", "late"],
        ..PLAIN
    },
    Case {
        name: "skip-worktree",
        main: "git merge -q B",
        inside: "git update-index --skip-worktree a; printf late > a",
        stays: EITHER,
        held: &["w", "late"],
        ..PLAIN
    },
    Case {
        name: "locked index",
        main: "git merge -q B",
        inside: "printf late > a; touch $(git rev-parse --git-path index.lock)",
        stays: EITHER,
        held: &["w", "late"],
        ..PLAIN
    },
    Case {
        name: "git file gone",
        main: "git merge -q B",
        inside: "printf late > a; rm .git",
        stays: EITHER,
        held: &["w", "late"],
        ..PLAIN
    },
    Case {
        name: "administration gone",
        main: "git merge -q B",
        inside: "printf late > a; rm -r $(git rev-parse --git-dir)",
        stays: EITHER,
        held: &["w", "late"],
        ..PLAIN
    },
];

#[test]
fn whatever_became_of_a_worktree_no_byte_is_lost_and_what_stays_is_told() {
    let mut faults = Vec::new();
    for case in CASES {
        let dir = Dir::new();
        dir.write("home/.gitconfig", "[user]\nname = U\nemail = u@example.org\n");
        let repo = Repo::new(&dir, "repo");
        repo.file(".gitignore", "*.o\n");
        repo.commit("ignore");
        let mut server = dir.server();
        let task = run(&mut server, &repo.path, &work(case.task));
        let sh = |at: &Path, line: &str| {
            let line = line.replace('P', task.path.to_str().unwrap()).replace('B', &task.branch);
            let mut command = git(&dir.path("home"), at);
            let path = std::env::var("PATH").unwrap();
            let shell = std::process::Command::new("sh")
                .args(["-ec", &line])
                .env_clear()
                .envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))))
                .env("PATH", path)
                .current_dir(at)
                .output()
                .unwrap();
            command.current_dir(at);
            assert!(shell.status.success(), "{}: {shell:?}", case.name);
        };
        sh(&repo.path, case.main);
        if !case.inside.is_empty() {
            sh(&task.path, case.inside);
        }
        let places = ["worktrees", "tasks", "repo/.git/worktrees", "elsewhere"];
        let before = all_of(&dir, &repo, &places);
        let planned = gc(&dir, &["--dry-run"]);
        if all_of(&dir, &repo, &places) != before {
            faults.push(format!("{}: the dry run changed something", case.name));
        }
        let main = repo.snapshot();
        let listed = server.read("codex-swarm:///tasks");
        let told = gc(&dir, &[]);
        let list = server.read("codex-swarm:///tasks");
        let mut fault = |what: &str| {
            faults.push(format!("{}: {what}; told: {told}planned: {planned}", case.name));
        };
        if repo.snapshot() != main {
            fault("the main checkout was touched");
        }
        for content in case.held {
            if !repo.holds(content) && !lies_somewhere(&dir, content) {
                fault(&format!("`{content}` is lost"));
            }
        }
        let there = (task.path.exists(), repo.branches().contains(&task.branch));
        for (is, should, what) in
            [(there.0, case.stays.0, "directory"), (there.1, case.stays.1, "branch")]
        {
            if should.is_some_and(|should| should != is) {
                fault(&format!("the {what} is there: {is}"));
            }
        }
        let kept = there.0 || there.1;
        if kept && (!told.contains(&task.id) || !planned.contains(&task.id)) {
            fault("what stays is not told");
        }
        let names = [task.path.to_str().unwrap(), &task.branch];
        for (is, name) in [there.0, there.1].into_iter().zip(names) {
            if is && !list.contains(name) {
                fault(&format!("{name} stays and is not listed: {list}"));
            }
        }
        if kept && list == listed && !list.contains("notCommitted") {
            fault("the listing says nothing of why it stays");
        }
        // A second time says the same of what stays.
        let again = gc(&dir, &[]);
        if kept && !again.contains(&task.id) {
            fault(&format!("the second time says {again}"));
        }
        if case.name != "administration gone" && case.name != "locked index" {
            let sound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| repo.sound()));
            if sound.is_err() {
                fault("the repository is not sound");
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_cancelled_tasks_work_is_committed_when_it_is_cleaned_up() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    let mut server = dir.server();
    let lines = "begin\nsh printf w > made; printf v > a\nmark on\nwait-for never";
    let task = start(&mut server, &repo.path, lines, "");
    dir.marked("on");
    server.ok("codex_cancel", &format!(r#"{{"task_id":"{}"}}"#, task.id));
    server.wait(&[&task.id]);
    gc(&dir, &[]);
    assert!(!task.path.exists());
    assert_eq!(repo.text(&task.branch, "made") + &repo.text(&task.branch, "a"), "wv");
    repo.sound();
}

#[test]
fn only_what_ended_long_enough_ago_is_cleaned_up() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    let mut server = dir.server();
    let ended = run(&mut server, &repo.path, &work("true"));
    let running =
        start(&mut server, &repo.path, "begin\nsh printf r > made\nmark on\nwait-for go\ndone", "");
    dir.marked("on");
    let before = all_of(&dir, &repo, &["worktrees"]);
    for age in [None, Some("3600"), Some("nonsense"), Some("-1"), Some("")] {
        let mut command = dir.command();
        command.arg("gc");
        age.map(|age| command.env("CODEX_SWARM_TASK_MAX_AGE", age));
        command.output().unwrap();
        assert!(all_of(&dir, &repo, &["worktrees"]) == before, "{age:?}");
    }
    assert!(ended.path.exists());
    let told = gc(&dir, &[]);
    assert!(!ended.path.exists() && running.path.join("made").exists(), "{told}");
    assert!(repo.branches() == [running.branch.as_str()], "{told}");
    dir.open("go");
    let waited = server.wait(&[&running.id]);
    assert!(waited.contains("(completed in "), "{waited}");
    assert_eq!(repo.text(&running.branch, "made"), "r");
    repo.sound();
}

#[test]
fn a_worktree_in_which_another_task_goes_on_is_left_alone() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    let mut server = dir.server();
    let first = run(&mut server, &repo.path, &work("true"));
    let thread = format!(r#""threadId":"{}""#, thread_of(&first.id));
    let lines = "begin\nsh printf r > made\nmark on\nwait-for go\nsh printf s > a\ndone";
    let second = task_id(&server.ok("codex_async", &script_and(lines, &thread)));
    dir.marked("on");
    let told = gc(&dir, &[]);
    assert!(first.path.join("made").exists(), "{told}");
    assert_eq!(repo.branches(), [first.branch.as_str()], "{told}");
    dir.open("go");
    let waited = server.wait(&[&second]);
    assert!(waited.contains("(completed in "), "{waited}");
    assert_eq!(repo.text(&first.branch, "made") + &repo.text(&first.branch, "a"), "rs");
    let told = gc(&dir, &[]);
    assert!(!first.path.exists(), "{told}");
    assert_eq!(repo.text(&first.branch, "made"), "r", "{told}");
    repo.sound();
}

#[test]
fn of_two_branches_with_the_same_commit_one_stays() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    let mut server = dir.server();
    let first = run(&mut server, &repo.path, &work("printf w > made"));
    let base = format!(r#""worktree-base":{}"#, quoted(&first.branch));
    let second = run_with(&mut server, &repo.path, &work("true"), &base);
    let third = run_with(&mut server, &repo.path, &work("printf v > a"), &base);
    repo.git(&["branch", "-f", "holder", "main"]);
    let told = [gc(&dir, &[]), gc(&dir, &[])].concat();
    assert!(repo.holds("w") && repo.holds("v"), "{told}");
    assert!(repo.branches().contains(&third.branch), "{told}");
    repo.git(&["branch", "-D", &third.branch]);
    for task in [&first, &second, &third] {
        assert!(!task.path.exists(), "{told}");
    }
    repo.sound();
}

#[test]
fn without_its_repository_a_worktree_stays() {
    let dir = Dir::new();
    for how in ["removed", "moved", "emptied"] {
        let repo = Repo::new(&dir, how);
        let mut server = dir.server();
        let task = run(&mut server, &repo.path, &work("printf w > made"));
        match how {
            "removed" => fs::remove_dir_all(&repo.path).unwrap(),
            "moved" => fs::rename(&repo.path, dir.path("aside")).unwrap(),
            _ => {
                fs::remove_dir_all(repo.path.join(".git")).unwrap();
                repo.git(&["init", "-q"]);
            }
        }
        let told = gc(&dir, &[]);
        assert_eq!(fs::read_to_string(task.path.join("made")).unwrap(), "w", "{how}: {told}");
        assert!(told.contains(&task.id), "{how}: {told}");
        let list = server.read("codex-swarm:///tasks");
        assert!(list.contains(task.path.to_str().unwrap()), "{how}: {list}");
        if how == "moved" {
            let moved = dir.path("aside");
            let branch = git_in(&repo, &moved, &format!("show {}:made", task.branch));
            assert_eq!(branch, "w");
        }
    }
}

/// A record of a task that ended long ago and says that this is its worktree.
fn record(id: &str, root: &Path, path: &Path, branch: &str, more: &str) -> String {
    let commit = "0123456789012345678901234567890123456789";
    format!(
        r#"{{"task_id":"{id}","status":"completed","command":["codex"],"cwd":{path},"started_at":1000000000.0,"completed_at":1000000001.0,"exit_code":0,"worktree_root":{root},"worktree_path":{path},"worktree_branch":{branch},"worktree_base":"{commit}","worktree_head":"{commit}",{more}"changes":{{"commits":0,"files":0,"insertions":0,"deletions":0}}}}"#,
        path = quoted_path(path),
        root = quoted_path(root),
        branch = quoted(branch),
    )
}

#[test]
fn a_record_cannot_make_us_touch_what_is_not_ours() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    let mut server = dir.server();
    run(&mut server, &repo.path, &work("true"));
    gc(&dir, &[]);
    // The user's own: a linked worktree outside, and some that look very much like ours.
    let mine = dir.path("mine");
    let ours = dir.path("worktrees");
    for (path, branch) in [
        (mine.clone(), "mine"),
        (ours.join("00000003"), "mine-too"),
        (ours.join("deadbeef"), "codex-swarm/deadbeef"),
    ] {
        repo.git(&["worktree", "add", "-q", "-b", branch, path.to_str().unwrap()]);
        fs::write(path.join("untracked"), "mine\n").unwrap();
    }
    repo.git(&["branch", "codex-swarm/00000002"]);
    repo.git(&["branch", "codex-swarm/00000009"]);
    fs::create_dir(ours.join("00000004")).unwrap();
    fs::write(ours.join("00000004/file"), "mine\n").unwrap();
    std::os::unix::fs::symlink(&mine, ours.join("00000005")).unwrap();
    let far = dir.make("far");
    fs::write(far.join("file"), "mine\n").unwrap();
    let admin = |name: &str| repo.path.join(".git/worktrees").join(name);
    let up = |name: &str| ours.join("..").join(name);
    for (id, path, branch, git_dir) in [
        ("00000001", mine.clone(), "codex-swarm/00000001", admin("mine")),
        ("00000002", mine.clone(), "main", admin("mine")),
        ("00000003", ours.join("00000003"), "codex-swarm/00000003", admin("00000003")),
        ("00000004", ours.join("00000004"), "codex-swarm/00000004", admin("00000004")),
        ("00000005", ours.join("00000005"), "codex-swarm/00000005", admin("mine")),
        ("00000006", ours.join("deadbeef"), "codex-swarm/deadbeef", admin("deadbeef")),
        ("00000007", repo.path.clone(), "codex-swarm/00000007", repo.path.join(".git")),
        ("00000008", up("far"), "codex-swarm/00000008", admin("00000008")),
        ("00000009", ours.join("00000009/../../far"), "mine", admin("mine")),
        ("0000000a", ours.clone(), "HEAD", admin("mine")),
        ("0000000b", far.clone(), "--all", far.clone()),
    ] {
        // Like one of this program's, and like one of the Python package's.
        let git_dir = format!(r#""attached":false,"worktree_git_dir":{},"#, quoted_path(&git_dir));
        for (first, more) in [("0", git_dir.as_str()), ("1", "")] {
            let id = format!("{first}{}", &id[1..]);
            plant(&dir, &id, &record(&id, &repo.path, &path, branch, more));
        }
    }
    let look = || {
        let mut all = repo.snapshot();
        all.push(repo.git(&["for-each-ref", "--format=%(refname) %(objectname)"]));
        all.extend(repo.worktrees());
        let places = [&mine, &far, &ours];
        all.extend(places.iter().flat_map(|place| walk(place)).map(|path| described(&path)));
        all
    };
    let before = look();
    let told = gc(&dir, &[]);
    let after = look();
    let new: Vec<&String> = after.iter().filter(|line| !before.contains(line)).collect();
    assert!(after == before, "{told}: {new:?}");
    repo.sound();
}

#[test]
fn two_clean_ups_at_once_and_one_with_tasks_do_no_harm() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    let mut server = dir.server();
    let old: Vec<Task> = (0..8)
        .map(|n| start(&mut server, &repo.path, &work(&format!("printf {n} > made")), ""))
        .collect();
    let ids: Vec<&str> = old.iter().map(|task| task.id.as_str()).collect();
    server.wait(&ids);
    let calls: Vec<u32> = (0..8)
        .map(|_| {
            server.begin("codex", &script_and(&work("printf new > made"), &at(&repo.path, "")))
        })
        .collect();
    let running: Vec<_> = (0..3)
        .map(|_| {
            let mut command = dir.command();
            command.arg("gc").env("CODEX_SWARM_TASK_MAX_AGE", "0").spawn().unwrap()
        })
        .collect();
    for mut child in running {
        assert!(child.wait().unwrap().success());
    }
    for call in calls {
        let result = server.result(call);
        assert!(!is_error(&result), "{}", text_of(&result));
        let id = task_id(&text_of(&result));
        assert_eq!(repo.text(&format!("codex-swarm/{id}"), "made"), "new");
    }
    let told = gc(&dir, &[]);
    for (n, task) in old.iter().enumerate() {
        assert_eq!(repo.text(&task.branch, "made"), n.to_string());
        assert!(!task.path.exists(), "{told}");
    }
    repo.sound();
}

#[test]
fn a_server_cleans_up_by_itself_and_the_log_says_what_stays() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    let mut command = dir.command();
    command.args(["--codex", STANDIN]).env("CODEX_SWARM_TASK_MAX_AGE", "0");
    let mut server = Server::spawn(&dir, command);
    server.initialize();
    let task = run(&mut server, &repo.path, &work("printf w > made"));
    // A sweep comes at most every few minutes, and with a task; this one may have been too early.
    until("the worktree is gone, by this server or the next", || {
        if task.path.exists() {
            server.call("codex", r#"{"prompt":"x"}"#);
            return None;
        }
        Some(())
    });
    assert_eq!(repo.text(&task.branch, "made"), "w");
    until("the log tells of the branch that stays", || {
        let log = fs::read_to_string(dir.path("server.log")).unwrap_or_default();
        log.contains(&task.branch).then_some(())
    });
    repo.sound();
}
