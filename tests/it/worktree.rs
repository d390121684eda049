//! `worktree: true`: where a task gets its worktree, from what, and why not.

use crate::repo::*;
use crate::scarce::Small;
use crate::support::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// How many tasks are started at once in one repository.
const MANY: usize = 200;

#[test]
fn codex_runs_in_the_worktree_that_the_answer_names_on_its_branch_from_head() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    repo.file("a", "not committed\n");
    let before = repo.snapshot();
    let mut server = dir.server();
    let task = start(&mut server, &repo.path, "begin\nmark on\nwait-for go\ndone", "");
    dir.marked("on");
    assert_eq!(dir.received(&task.id).cwd, task.path);
    let told = |words: &[&str]| repo.git_at(&task.path, words).unwrap();
    assert_eq!(told(&["symbolic-ref", "HEAD"]), format!("refs/heads/{}", task.branch));
    assert_eq!(told(&["rev-parse", "HEAD"]), repo.sha("main"));
    assert_eq!(told(&["status", "--porcelain", "--ignored"]), "");
    assert_eq!(fs::read_to_string(task.path.join("a")).unwrap(), "one\n");
    let status = server.status(&task.id);
    assert_eq!(field(&status, "Worktree"), task.path.to_str().unwrap());
    assert_eq!(field(&status, "Branch"), task.branch);
    dir.open("go");
    server.wait(&[&task.id]);
    assert_eq!(repo.snapshot(), before);
    repo.sound();
}

#[test]
fn the_cwd_is_the_same_sub_directory_and_is_made_where_it_is_not_tracked() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    repo.file("old/here", "gone from HEAD\n");
    let mut server = dir.server();
    for below in ["sub", "new", "new/deep é"] {
        fs::create_dir_all(repo.path.join(below)).unwrap();
        let task = run(&mut server, &repo.path.join(below), &work("echo x > made"));
        assert_eq!(dir.received(&task.id).cwd, task.path.join(below));
        assert_eq!(repo.text(&task.branch, &format!("{below}/made")), "x\n");
    }
    repo.sound();
}

#[test]
fn the_base_is_any_name_of_a_commit() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    let first = repo.sha("HEAD");
    repo.git(&["tag", "light"]);
    repo.git(&["tag", "-a", "-m", "t", "heavy"]);
    repo.git(&["branch", "side/line"]);
    repo.file("a", "second\n");
    repo.commit("second");
    let mut server = dir.server();
    let other = run(&mut server, &repo.path, &work("echo third > a"));
    for (base, a) in [
        ("light", "one\n"),
        ("heavy", "one\n"),
        ("side/line", "one\n"),
        ("refs/heads/side/line", "one\n"),
        (&first, "one\n"),
        (&first[..8], "one\n"),
        ("HEAD~1", "one\n"),
        (":/first", "one\n"),
        ("HEAD", "second\n"),
        ("main", "second\n"),
        (&other.branch, "third\n"),
    ] {
        let more = format!(r#""worktree-base":{}"#, quoted(base));
        let task = run_with(&mut server, &repo.path, &work("cp a seen"), &more);
        assert_eq!(repo.text(&task.branch, "seen"), a, "{base}");
        let parent = repo.sha(&format!("{}~1", task.branch));
        assert_eq!(parent, repo.sha(&repo.git(&["rev-parse", base])), "{base}");
        assert_eq!(dir.record(&task.id).str_at("worktree_base"), parent, "{base}");
    }
    repo.sound();
}

/// Asks for a worktree in every way; each must be refused with these words and leave nothing.
fn refused_with(server: &mut Server<'_>, repo: Option<&Repo>, args: &str, words: &[&str]) {
    for tool in ["codex_async", "codex"] {
        let text = server.refused(tool, &prompt_and("x", args));
        for word in words {
            let told = word.split('|').any(|word| text.contains(word));
            assert!(told, "{args}: no `{word}` in {text}");
        }
    }
    assert_eq!(server.dir.started(), 0, "{args}");
    let left = fs::read_dir(server.dir.path("worktrees")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "{args}");
    if let Some(repo) = repo {
        assert!(repo.branches().is_empty(), "{args}: {:?}", repo.branches());
        repo.sound();
    }
}

#[test]
fn what_cannot_be_is_refused_with_gits_reason_and_leaves_nothing() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    let unborn = Repo::unborn(&dir, &dir.path("unborn"), &[]);
    let bare = dir.path("bare.git");
    repo.git(&["clone", "-q", "--bare", ".", bare.to_str().unwrap()]);
    let empty = Repo::unborn(&dir, &dir.path("empty.git"), &["--bare"]);
    let taken = Repo::new(&dir, "taken");
    taken.git(&["branch", "codex-swarm"]);
    let mut server = dir.server();
    let based = |base: &str| at(&repo.path, &format!(r#""worktree-base":{}"#, quoted(base)));
    let blob = repo.git(&["rev-parse", "HEAD:a"]);
    for (args, words) in [
        (at(&dir.path("work"), ""), &["not a git repository"][..]),
        (at(&unborn.path, ""), &["no commit"]),
        (at(&bare, ""), &["bare"]),
        (at(&empty.path, ""), &["bare"]),
        (at(&repo.path.join(".git"), ""), &["inside"]),
        (based("nosuch"), &["nosuch"]),
        (based("nosuch~3"), &["nosuch~3"]),
        (based(&blob), &[&blob]),
        (based("main:a"), &["main:a"]),
        (based("main..HEAD"), &["main..HEAD"]),
        (based("--detach"), &["--detach"]),
        (based("-b"), &["-b"]),
        (based(""), &["worktree-base"]),
        (based("a\nb"), &["worktree-base"]),
        (based("main b"), &["main b"]),
    ] {
        refused_with(&mut server, Some(&repo), &args, words);
    }
    refused_with(&mut server, None, &at(&taken.path, ""), &["refs/heads/codex-swarm"]);
    assert_eq!(taken.branches(), ["codex-swarm"]);
    taken.sound();
    for args in [
        format!(r#""cwd":{},"worktree-base":"main""#, quoted_path(&repo.path)),
        format!(r#""cwd":{},"worktree":false,"worktree-base":"main""#, quoted_path(&repo.path)),
        at(&repo.path, r#""worktree-base":5"#),
    ] {
        refused_with(&mut server, Some(&repo), &args, &["worktree-base"]);
    }
}

#[test]
fn a_worktree_directory_that_cannot_take_it_is_named_and_leaves_nothing() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    let file = dir.write("file", "");
    for (place, word) in [
        (file.clone(), file.to_str().unwrap()),
        (file.join("below"), file.to_str().unwrap()),
        (PathBuf::from("/proc/nowhere/wt"), "/proc/nowhere"),
    ] {
        let mut command = dir.command();
        command.args(["--codex", STANDIN]).env("CODEX_SWARM_WORKTREE_DIR", &place);
        let mut server = Server::spawn(&dir, command);
        server.initialize();
        refused_with(&mut server, Some(&repo), &at(&repo.path, ""), &[word]);
    }
}

#[test]
fn a_full_or_read_only_file_system_is_a_reason_and_leaves_nothing() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    repo.file("big", &"x".repeat(300_000));
    repo.commit("big");
    for (options, reason) in [
        ("mode=700,size=128k", "No space left|unable to write file"),
        ("mode=700,ro", "Read-only file system"),
    ] {
        let Some(small) = Small::mount(dir.path("worktrees"), options) else { return };
        let mut server = dir.server();
        refused_with(&mut server, Some(&repo), &at(&repo.path, ""), &[reason]);
        drop(small);
    }
    // The repository itself: what git wants to write there does not fit.
    let Some(_small) = Small::mount(dir.path("small"), "size=256k") else { return };
    let tight = Repo::with(&dir, &dir.path("small/repo"), &[]);
    let mut rest = fs::File::create(dir.path("small/rest")).unwrap();
    while std::io::Write::write_all(&mut rest, &[0; 4096]).is_ok() {}
    let mut server = dir.server();
    refused_with(
        &mut server,
        Some(&tight),
        &at(&tight.path, ""),
        &["No space left|couldn't write|unable to write"],
    );
}

#[test]
fn without_git_the_answer_says_so() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    let mut command = dir.command();
    command.args(["--codex", STANDIN]).env("PATH", dir.make("empty"));
    let mut server = Server::spawn(&dir, command);
    server.initialize();
    refused_with(&mut server, Some(&repo), &at(&repo.path, ""), &["git", "install"]);
}

#[test]
fn many_at_once_through_two_servers_all_get_theirs() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    let before = repo.snapshot();
    let mut servers = [dir.server(), dir.server()];
    let begun: Vec<(usize, u32)> = (0..MANY)
        .map(|n| {
            let lines = format!("begin\nsh echo {n} > result\nsay n{n}\ndone");
            (n % 2, servers[n % 2].begin("codex_async", &script_and(&lines, &at(&repo.path, ""))))
        })
        .collect();
    let ids: Vec<String> = begun
        .iter()
        .map(|(server, call)| task_id(&text_of(&servers[*server].result(*call))))
        .collect();
    for (n, id) in ids.iter().enumerate() {
        // Each is asked of the other server.
        let told = servers[(n + 1) % 2].wait(&[id]);
        assert!(told.contains("(completed in ") && told.contains(&format!("\nn{n}")), "{told}");
        assert_eq!(repo.text(&format!("codex-swarm/{id}"), "result"), format!("{n}\n"));
    }
    assert_eq!((repo.branches().len(), repo.worktrees().len()), (MANY, MANY + 1));
    assert_eq!(repo.snapshot(), before);
    repo.sound();
}

#[test]
fn the_merge_of_two_branches_brings_the_work_of_both() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    let mut server = dir.server();
    let left = start(&mut server, &repo.path, &work("echo l > left"), "");
    let right = start(&mut server, &repo.path, &work("echo r > sub/right\necho 2 > sub/b"), "");
    server.wait(&[&left.id, &right.id]);
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
    for task in [&left, &right] {
        repo.git(&["merge", "-q", "--no-edit", &task.branch]);
    }
    for (name, content) in [("left", "l\n"), ("sub/right", "r\n"), ("sub/b", "2\n")] {
        assert_eq!(fs::read_to_string(repo.path.join(name)).unwrap(), content);
    }
    repo.sound();
}

#[test]
fn ignored_files_that_worktreeinclude_names_are_copied_and_no_others() {
    let dir = Dir::new();
    let outside = dir.write("outside.env", "secret outside\n");
    let far = dir.make("far");
    fs::write(far.join("x.env"), "far\n").unwrap();
    let repo = Repo::new(&dir, "repo");
    repo.file(".gitignore", "*.env\n/build/\nlink-*\nlocal/*\n!local/kept\n/tool\n");
    let include = format!(
        "# a comment\n\n*.env\n!no.env\n/build/\nlink-*\nnot-ignored\n/local/\n/tool\n../outside.env\n{}\n/../*\n",
        outside.display()
    );
    repo.file(".worktreeinclude", &include);
    repo.commit("include");
    for name in ["x.env", "no.env", "sub/y z.env", "sub/é\n.env", "build/deep/er/o", "local/one"] {
        repo.file(name, &format!("copy of {name}\n"));
    }
    repo.file("not-ignored", "stays\n");
    executable(&repo.path.join("tool"), "#!/bin/sh\n");
    fs::set_permissions(repo.path.join("x.env"), fs::Permissions::from_mode(0o600)).unwrap();
    for (name, to) in [("link-in", "x.env"), ("link-broken", "nowhere")] {
        symlink(to, repo.path.join(name)).unwrap();
    }
    symlink(&far, repo.path.join("link-out")).unwrap();
    let before = repo.snapshot();
    let mut server = dir.server();
    let task = start(&mut server, &repo.path, "begin\nmark on\nwait-for go\ndone", "");
    dir.marked("on");
    for name in ["x.env", "sub/y z.env", "sub/é\n.env", "build/deep/er/o", "local/one"] {
        let content = fs::read_to_string(task.path.join(name)).unwrap_or_else(|_| name.to_owned());
        assert_eq!(content, format!("copy of {name}\n"));
    }
    let mode = |name: &str| task.path.join(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("x.env"), mode("tool")), (0o600, 0o755));
    let links = [("link-in", Path::new("x.env")), ("link-broken", Path::new("nowhere"))];
    for (name, to) in links.into_iter().chain([("link-out", far.as_path())]) {
        assert_eq!(fs::read_link(task.path.join(name)).unwrap(), to);
    }
    for name in ["no.env", "not-ignored", "outside.env", "far"] {
        assert!(!task.path.join(name).exists(), "{name}");
    }
    let beside: Vec<String> =
        walk(&dir.path("worktrees")).iter().map(|path| path.display().to_string()).collect();
    assert!(!beside.iter().any(|path| path.contains("outside.env")), "{beside:?}");
    dir.open("go");
    server.wait(&[&task.id]);
    assert_eq!(repo.sha(&task.branch), repo.sha("main"), "what is ignored is not committed");
    assert_eq!(repo.snapshot(), before);
}

#[test]
fn a_copy_never_goes_through_a_link_of_the_base_to_outside() {
    let dir = Dir::new();
    let far = dir.make("far");
    let repo = Repo::new(&dir, "repo");
    for name in ["into", "sub/x.env"] {
        symlink(&far, repo.path.join(name)).unwrap();
    }
    fs::write(far.join("own"), "own\n").unwrap();
    symlink(far.join("own"), repo.path.join("file.env")).unwrap();
    repo.commit("links");
    repo.git(&["checkout", "-q", "-b", "plain"]);
    repo.git(&["rm", "-q", "into", "sub/x.env", "file.env"]);
    repo.file(".gitignore", "*.env\ninto/\n");
    repo.file(".worktreeinclude", "*.env\ninto/\n");
    repo.commit("plain");
    for name in ["into/y.env", "sub/x.env", "file.env"] {
        repo.file(name, "copied\n");
    }
    let mut server = dir.server();
    let more = r#""worktree-base":"main""#;
    let text = text_of(&server.call("codex", &script_and(&work("true"), &at(&repo.path, more))));
    assert_eq!(walk(&far), [far.join("own")], "{text}");
    assert_eq!(fs::read_to_string(far.join("own")).unwrap(), "own\n", "{text}");
    repo.sound();
}

/// A task writes a file in a worktree of what lies at `cwd`, and it is on its branch.
fn works(server: &mut Server<'_>, repo: &Repo, cwd: &Path, what: &str) -> Task {
    let before = repo.snapshot();
    let task = run(server, cwd, &work("echo new > made\ntest -e a"));
    assert!(task.told.contains("(completed in "), "{what}: {}", task.told);
    assert_eq!(
        repo.content(&task.branch, "made").as_deref(),
        Some(&b"new\n"[..]),
        "{what}: {}",
        task.told
    );
    let parent = repo.git_at(cwd, &["rev-parse", "HEAD"]).unwrap();
    assert_eq!(repo.sha(&format!("{}~1", task.branch)), parent, "{what}");
    let changed = repo.git(&["diff", "--name-only", &parent, &task.branch]);
    assert_eq!(changed, "made", "{what}");
    assert_eq!(repo.snapshot(), before, "{what}");
    repo.sound();
    task
}

#[test]
fn repositories_in_odd_places_and_states_work() {
    let dir = Dir::new();
    let mut server = dir.server();

    let odd = Repo::with(&dir, &dir.path("a b\n'é\" $x"), &[]);
    works(&mut server, &odd, &odd.path, "an odd path");
    let link = dir.path("link");
    symlink(&odd.path, &link).unwrap();
    works(&mut server, &odd, &link, "a link");

    let long = Repo::with(&dir, &dir.path("sha256"), &["--object-format=sha256"]);
    let task = works(&mut server, &long, &long.path, "SHA-256");
    assert_eq!(dir.record(&task.id).str_at("worktree_head").len(), 64);

    let refs = Repo::with(&dir, &dir.path("reftable"), &["--ref-format=reftable"]);
    works(&mut server, &refs, &refs.path, "reftable");

    let repo = Repo::new(&dir, "repo");
    repo.git(&["checkout", "-q", "--detach"]);
    repo.file("a", "detached\n");
    repo.commit("on no branch");
    works(&mut server, &repo, &repo.path, "a detached HEAD");

    let linked = dir.path("linked");
    repo.git(&["worktree", "add", "-q", "-b", "mine", linked.to_str().unwrap(), "main"]);
    fs::write(linked.join("b"), "mine\n").unwrap();
    repo.git_at(&linked, &["add", "-A"]).unwrap();
    repo.git_at(&linked, &["commit", "-q", "-m", "mine"]).unwrap();
    fs::write(linked.join("dirty"), "stays\n").unwrap();
    let task = works(&mut server, &repo, &linked, "a linked worktree of the user's");
    assert_eq!(repo.text(&task.branch, "b"), "mine\n");
    assert_eq!(repo.git_at(&linked, &["status", "--porcelain"]).unwrap(), "?? dirty");

    // A merge that the user has not ended.
    repo.git(&["checkout", "-q", "main"]);
    repo.file("a", "main's\n");
    repo.commit("main's");
    repo.git(&["checkout", "-q", "-b", "clash", "HEAD~1"]);
    repo.file("a", "clash's\n");
    repo.commit("clash's");
    assert!(repo.git_at(&repo.path, &["merge", "-q", "main"]).is_err());
    works(&mut server, &repo, &repo.path, "an unfinished merge");

    let apart = Repo::with(
        &dir,
        &dir.path("apart"),
        &["--separate-git-dir", dir.path("apart.git").to_str().unwrap()],
    );
    let task = run(&mut server, &apart.path, &work("echo new > made"));
    assert_eq!(apart.text(&task.branch, "made"), "new\n");
    apart.sound();
}

#[test]
fn a_shallow_clone_works_and_a_partial_one_too_or_it_is_told_what_is_missing() {
    let dir = Dir::new();
    let origin = Repo::new(&dir, "origin");
    origin.git(&["config", "uploadpack.allowFilter", "true"]);
    origin.file("a", "second\n");
    origin.commit("second");
    let mut server = dir.server();
    for (name, flag) in [("partial", "--filter=blob:none"), ("shallow", "--depth=2")] {
        let path = dir.path(name);
        let url = format!("file://{}", origin.path.display());
        origin.git(&["clone", "-q", flag, &url, path.to_str().unwrap()]);
        let repo = Repo::at(&dir, &path);
        for (base, a) in [("HEAD", "second\n"), ("HEAD~1", "one\n")] {
            let more = format!(r#""worktree-base":"{base}""#);
            let args = script_and(&work("cat a > made"), &at(&path, &more));
            let result = server.call("codex", &args);
            let text = text_of(&result);
            if is_error(&result) {
                assert!((name, base) == ("partial", "HEAD~1") && text.contains("fetch"), "{text}");
                assert_eq!(repo.branches().len(), 1, "{name}: {text}");
            } else {
                let branch = format!("codex-swarm/{}", task_id(&text));
                assert_eq!(repo.text(&branch, "made"), a, "{name}: {text}");
                assert!(field(&text, "Changes").starts_with("1 file"), "{name}: {text}");
            }
        }
    }
}

#[test]
fn a_repository_of_somebody_else_or_at_an_unspeakable_path_is_refused() {
    use std::os::unix::ffi::OsStrExt as _;
    let dir = Dir::new();
    let elsewhere = Dir::new();
    let odd = elsewhere.path("x").with_file_name(std::ffi::OsStr::from_bytes(b"latin\xe9"));
    let repo = Repo::with(&dir, &odd, &[]);
    symlink(&odd, dir.path("link")).unwrap();
    let mut server = dir.server();
    refused_with(&mut server, None, &at(&dir.path("link"), ""), &["UTF-8"]);
    assert!(repo.branches().is_empty());
    let theirs = Repo::new(&dir, "theirs");
    if std::os::unix::fs::chown(&theirs.path, Some(12345), None).is_err() {
        eprintln!("skipped: files cannot be given away here");
        return;
    }
    refused_with(&mut server, None, &at(&theirs.path, ""), &["ownership"]);
}

#[test]
fn a_submodule_is_not_checked_out_and_its_pointer_stays() {
    let dir = Dir::new();
    let inner = Repo::new(&dir, "inner");
    let repo = Repo::new(&dir, "repo");
    let url = inner.path.to_str().unwrap();
    repo.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", url, "module"]);
    repo.commit("module");
    let pointer = repo.git(&["ls-tree", "main", "module"]);
    let mut server = dir.server();
    let task = works(&mut server, &repo, &repo.path, "a submodule");
    assert!(task.path.join("module").is_dir() && !task.path.join("module/a").exists());
    assert_eq!(repo.git(&["ls-tree", &task.branch, "module"]), pointer);
    // From within the submodule's checkout it is the submodule's own repository.
    let below = run(&mut server, &repo.path.join("module"), &work("echo new > made"));
    let at_module = repo.path.join("module");
    assert!(repo.git_at(&at_module, &["show", &format!("{}:made", below.branch)]).is_ok());
    assert!(!repo.branches().contains(&below.branch));
    repo.sound();
}

#[test]
fn a_sparse_checkout_loses_nothing_that_is_not_checked_out() {
    for (cone, kept) in [("--cone", "sub"), ("--no-cone", "/sub")] {
        let dir = Dir::new();
        let repo = Repo::new(&dir, "repo");
        repo.file("away/c", "three\n");
        repo.commit("more");
        repo.git(&["sparse-checkout", "set", cone, kept]);
        repo.file("a", "one\n");
        let mut server = dir.server();
        let commands = "echo new > sub/made; mkdir -p away; echo new > away/made";
        let task = run(&mut server, &repo.path, &work(commands));
        let changed = repo.git(&["diff", "--name-only", "main", &task.branch]);
        assert_eq!(changed, "away/made\nsub/made", "{cone}: {}", task.told);
        repo.sound();
    }
}

#[test]
fn pointers_of_a_filter_that_is_not_installed_stay_as_they_are() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    repo.file(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
    repo.file("x.bin", pointer);
    repo.commit("pointer");
    for (key, value) in [
        ("clean", "git-lfs-of-nobody clean -- %f"),
        ("smudge", "git-lfs-of-nobody smudge -- %f"),
        ("process", "git-lfs-of-nobody filter-process"),
        ("required", "true"),
    ] {
        repo.git(&["config", &format!("filter.lfs.{key}"), value]);
    }
    let mut server = dir.server();
    let task = run(&mut server, &repo.path, &work("echo new > made"));
    assert_eq!(fs::read_to_string(task.path.join("x.bin")).unwrap(), pointer);
    assert_eq!(fs::read_to_string(task.path.join("made")).unwrap(), "new\n");
    assert_eq!(repo.text(&task.branch, "x.bin"), pointer);
    if let Some(why) = maybe_field(&task.told, "Not committed") {
        assert!(why.contains("lfs"), "{why}");
    } else {
        assert_eq!(repo.git(&["diff", "--name-only", "main", &task.branch]), "made");
    }
    repo.sound();
}

#[test]
fn a_reply_goes_on_in_the_worktree_and_on_its_branch() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    let mut server = dir.server();
    let first = run(&mut server, &repo.path.join("sub"), &work("echo 1 > made\necho i > x.o"));
    let before = repo.sha(&first.branch);
    let thread = format!(r#""threadId":"{}""#, thread_of(&first.id));
    for (tool, line) in [("codex_reply", "echo 2 >> made"), ("codex_async", "echo 3 >> made")] {
        let text = server.ok(tool, &script_and(&work(line), &thread));
        let id = task_id(&text);
        let told = server.wait(&[&id]);
        assert_eq!(dir.received(&id).cwd, first.path.join("sub"), "{tool}");
        assert_eq!(field(&told, "Branch"), first.branch, "{tool}");
        assert_ne!(field(&told, "Changes"), "none", "{tool}");
    }
    assert_eq!(repo.text(&first.branch, "sub/made"), "1\n2\n3\n");
    assert_eq!(repo.sha(&format!("{}~2", first.branch)), before);
    assert_eq!(repo.branches(), [first.branch.as_str()]);

    repo.git(&["worktree", "remove", "--force", first.path.to_str().unwrap()]);
    let text = server.refused("codex_reply", &script_and(&work("true"), &thread));
    for word in ["worktree-base", &first.branch] {
        assert!(text.contains(word), "{word} in {text}");
    }
    let more = format!(
        r#"{thread},"worktree":true,"worktree-base":{},"cwd":{}"#,
        quoted(&first.branch),
        quoted_path(&repo.path)
    );
    let text = server.ok("codex_reply", &script_and(&work("echo 4 >> sub/made"), &more));
    let again = format!("codex-swarm/{}", task_id(&text));
    assert_eq!(repo.text(&again, "sub/made"), "1\n2\n3\n4\n");
    assert_eq!(thread_id(&text), thread_of(&first.id));
    repo.sound();
}
