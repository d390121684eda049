//! Tasks that want more than their worktree: whatever they leave in it, nothing of it is executed
//! by us, nothing outside is touched, and the work is committed or it is told why not.

use crate::repo::*;
use crate::support::*;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Programs that leave a mark when they are executed, and repositories that name them.
struct Trap {
    /// Who was executed.
    marks: PathBuf,
    /// The program.
    evil: PathBuf,
}

impl Trap {
    /// Makes `evil` (a program), `hooks`, `unborn` and `born` (repositories that name it wherever
    /// git takes a program; the second one has a commit).
    fn new(dir: &Dir) -> Trap {
        let trap = Trap { marks: dir.make("marks"), evil: dir.path("evil") };
        executable(&trap.evil, &trap.program("evil"));
        let hooks = dir.make("hooks");
        for name in [
            "pre-commit",
            "commit-msg",
            "prepare-commit-msg",
            "post-commit",
            "post-checkout",
            "pre-auto-gc",
            "post-index-change",
            "reference-transaction",
            "fsmonitor-watchman",
            "post-rewrite",
            "pre-merge-commit",
            "post-merge",
            "applypatch-msg",
        ] {
            executable(&hooks.join(name), &trap.program(name));
        }
        let born = Repo::new(dir, "born");
        born.file(".gitattributes", "* filter=x diff=x merge=x\n");
        born.commit("attributes");
        let unborn = Repo::unborn(dir, &dir.path("unborn"), &[]);
        unborn.file("inside", "inside\n");
        for repo in [&born, &unborn] {
            fs::write(repo.path.join(".git/config"), trap.config(&hooks)).unwrap();
            fs::write(repo.path.join(".git/info/attributes"), "* filter=x diff=x merge=x\n")
                .unwrap();
            for hook in fs::read_dir(&hooks).unwrap().flatten() {
                fs::copy(hook.path(), repo.path.join(".git/hooks").join(hook.file_name())).unwrap();
            }
        }
        trap
    }

    /// A program that leaves a mark of this name.
    fn program(&self, name: &str) -> String {
        format!(
            "#!/bin/sh\n(echo \"$0 $*\"; tr '\\0' ' ' < /proc/$PPID/cmdline) >> '{}/{name}'\ncat 2>/dev/null < /dev/null\n",
            self.marks.display()
        )
    }

    /// A configuration that names the program at every place.
    fn config(&self, hooks: &Path) -> String {
        let evil = self.evil.display();
        let mut out = String::from("[core]\nrepositoryformatversion = 1\nbare = false\n");
        let _ = writeln!(out, "hooksPath = {}", hooks.display());
        for (section, keys) in [
            ("core", "fsmonitor sshCommand pager editor askPass gitProxy alternateRefsCommand"),
            ("diff", "external"),
            ("filter \"x\"", "clean smudge process"),
            ("diff \"x\"", "command textconv"),
            ("merge \"x\"", "driver"),
            ("gpg", "program"),
            ("gpg \"ssh\"", "program defaultKeyCommand"),
            ("sequence", "editor"),
            ("credential", "helper"),
            ("interactive", "diffFilter"),
            ("trailer \"codex-task\"", "command cmd"),
            ("trailer \"codex-thread\"", "command cmd"),
        ] {
            let _ = writeln!(out, "[{section}]");
            for key in keys.split(' ') {
                let _ = writeln!(out, "{key} = {evil}");
            }
        }
        let _ = writeln!(out, "[commit]\ngpgSign = true\n[filter \"x\"]\nrequired = true");
        let _ =
            writeln!(out, "[submodule \"m\"]\nupdate = !{evil}\nurl = ext::{evil}\nactive = true");
        let _ = writeln!(out, "[protocol]\nallow = always\n[extensions]\npartialClone = origin");
        let _ = writeln!(out, "[remote \"origin\"]\nurl = ext::{evil}\npromisor = true");
        out
    }

    /// Fails if anything was executed.
    fn silent(&self, what: &str) {
        let marks: Vec<String> = walk(&self.marks).iter().map(|mark| described(mark)).collect();
        assert!(marks.is_empty(), "{what}: {marks:?}");
    }
}

/// Runs a task that writes `made` and then does this, and all that may follow on a task: a status,
/// a diff, a reply, the clean-up. Nothing is executed or lost, and the repository stays sound.
fn bears(dir: &Dir, server: &mut Server<'_>, trap: &Trap, repo: &Repo, commands: &str) {
    let before = repo.snapshot();
    let made = format!("work of {commands}\n");
    fs::write(dir.path("made"), &made).unwrap();
    let copy = format!("cp {}/made made\n", dir.path("").display());
    let task = run(server, &repo.path, &work(&format!("{copy}{commands}")));
    assert!(task.told.contains("(completed in "), "{commands}: {}", task.told);
    let brought = repo.content(&task.branch, "made").is_some_and(|is| is == made.as_bytes());
    let why = maybe_field(&task.told, "Not committed");
    assert!(brought || why.is_some_and(|why| why.len() > 20), "{commands}: {}", task.told);
    trap.silent(commands);
    server.status(&task.id);
    server.ask("resources/read", &format!(r#"{{"uri":"codex-swarm:///tasks/{}/diff"}}"#, task.id));
    if task.path.is_dir() {
        let reply = format!(r#""threadId":"{}""#, thread_of(&task.id));
        let text =
            text_of(&server.call("codex_reply", &script_and(&work("echo 2 > more"), &reply)));
        assert!(text.contains("Branch: "), "{commands}: {text}");
    }
    trap.silent(commands);
    assert_eq!(repo.snapshot(), before, "{commands}");
    let told = gc(dir, &[]);
    trap.silent(commands);
    assert_eq!(repo.snapshot(), before, "{commands}");
    let is_made = |path: &PathBuf| {
        fs::symlink_metadata(path).is_ok_and(|stat| stat.is_file())
            && fs::read(path).is_ok_and(|is| is == made.as_bytes())
    };
    let stays = walk(&dir.path("worktrees")).iter().any(is_made);
    assert!(stays || repo.holds(&made), "{commands}: lost; {told}");
    repo.sound();
}

#[test]
fn a_worktree_whose_git_file_was_replaced_leads_us_nowhere() {
    let dir = Dir::new();
    let trap = Trap::new(&dir);
    let mut server = dir.server();
    let at = dir.path("");
    let at = at.display();
    for (n, commands) in [
        format!("cp -r {at}unborn .evil; echo gitdir: $PWD/.evil/.git > .git"),
        format!("cp -r {at}born .evil; echo gitdir: $PWD/.evil/.git > .git"),
        format!("cp -r {at}born .evil; echo gitdir: .evil/.git > .git"),
        format!("rm .git; cp -r {at}born/.git .git"),
        format!("rm .git; cp -r {at}unborn/.git .git"),
        format!("rm .git; ln -s {at}born/.git .git"),
        // Its own, with the common directory of the evil one.
        format!(
            "cp -r $(git rev-parse --git-dir) .evil; rm .git; cp -r {at}born/.git .common
             echo $PWD/.common > .evil/commondir; echo gitdir: $PWD/.evil > .git"
        ),
        "rm .git".to_owned(),
        "rm .git; mkdir .git".to_owned(),
        "rm .git; mkfifo .git".to_owned(),
        "echo junk > .git".to_owned(),
    ]
    .iter()
    .enumerate()
    {
        let repo = Repo::new(&dir, &format!("repo{n}"));
        bears(&dir, &mut server, &trap, &repo, commands);
    }
}

#[test]
fn nested_repositories_are_not_run() {
    let dir = Dir::new();
    let trap = Trap::new(&dir);
    let mut server = dir.server();
    let at = dir.path("");
    let at = at.display();
    let modules = "printf '[submodule \"m\"]\\npath = m\\nurl = ext::sh\\nupdate = checkout\\nfetchRecurseSubmodules = true\\n' > .gitmodules";
    for (n, commands) in [
        format!("cp -r {at}unborn nested"),
        format!("cp -r {at}born nested"),
        format!("cp -r {at}born nested; echo dirty > nested/a; echo new > nested/new"),
        format!("mkdir nested; echo gitdir: {at}born/.git > nested/.git; echo x > nested/x"),
        format!("cp -r {at}born nested; cp -r {at}unborn nested/nested"),
        format!("mkdir -p deep/er; cp -r {at}born deep/er/nested"),
        format!("rm -r sub; cp -r {at}born sub"),
        format!("mkdir bare; cp -r {at}born/.git/. bare"),
        format!("cp -r {at}born m\n{modules}"),
        format!("{modules}; mkdir m; echo gitdir: ../../repo/.git/modules/m > m/.git"),
        "mkdir nested; mkfifo nested/.git".to_owned(),
        "mkdir nested; echo junk > nested/.git; echo x > nested/x".to_owned(),
    ]
    .iter()
    .enumerate()
    {
        let repo = Repo::new(&dir, &format!("repo{n}"));
        bears(&dir, &mut server, &trap, &repo, commands);
    }
}

#[test]
fn a_submodule_of_the_repository_that_became_an_evil_one_is_not_run() {
    let dir = Dir::new();
    let trap = Trap::new(&dir);
    let inner = Repo::new(&dir, "inner");
    let repo = Repo::new(&dir, "repo");
    let url = inner.path.to_str().unwrap();
    repo.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", url, "m"]);
    repo.commit("module");
    let mut server = dir.server();
    let at = dir.path("");
    let at = at.display();
    for commands in [
        format!("cp -r {at}born/. m"),
        format!("cp -r {at}unborn/. m"),
        format!("echo gitdir: {at}born/.git > m/.git"),
        format!("rmdir m; ln -s {at}born m"),
        "echo x > m/not-a-repository".to_owned(),
        "rmdir m; echo x > m".to_owned(),
    ] {
        bears(&dir, &mut server, &trap, &repo, &commands);
    }
}

#[test]
fn attributes_of_the_task_run_no_program_of_the_task() {
    let dir = Dir::new();
    let trap = Trap::new(&dir);
    let mut server = dir.server();
    // What users have in their configuration, and where the task can put the program.
    for (n, (key, value)) in [
        ("filter.x.clean", "./clean.sh"),
        ("filter.x.clean", "sh clean.sh"),
        ("filter.x.clean", "python3 -m thing"),
        ("filter.x.clean", "tools/clean %f"),
        ("filter.x.process", "./clean.sh"),
        ("filter.x.smudge", "./clean.sh"),
        ("filter.x.clean", ". ./clean.sh"),
        ("filter.x.clean", "make -s -f clean.mk"),
        ("filter.x.clean", "cd . && ./clean.sh"),
        ("diff.x.textconv", "./clean.sh"),
        ("diff.x.command", "./clean.sh"),
        ("diff.external", "./clean.sh"),
        ("merge.x.driver", "./clean.sh"),
        ("core.fsmonitor", "./clean.sh"),
        ("core.hooksPath", "hooks"),
        ("core.attributesFile", "attributes"),
    ]
    .iter()
    .enumerate()
    {
        for required in ["false", "true"] {
            let repo = Repo::new(&dir, &format!("repo{n}{required}"));
            repo.git(&["config", key, value]);
            repo.git(&["config", "filter.x.required", required]);
            let program = dir.path("program");
            executable(&program, &trap.program("clean"));
            let python = format!("open('{}/python', 'w')", trap.marks.display());
            fs::write(dir.path("thing.py"), python).unwrap();
            fs::write(dir.path("clean.mk"), format!("all:\n\t@sh {}\n", program.display()))
                .unwrap();
            let commands = format!(
                "mkdir -p tools hooks; cp {0} clean.sh; cp {0} tools/clean; cp {1}/thing.py {1}/clean.mk .
                 for h in pre-commit post-commit post-index-change reference-transaction; do cp {0} hooks/$h; done
                 echo '* filter=x diff=x merge=x' > .gitattributes; cp .gitattributes attributes
                 echo other > a; echo \"{key} {value} {required}\" > which",
                program.display(),
                dir.path("").display()
            );
            // The test's own look at the status would run it.
            let before = fs::read(repo.path.join(".git/index")).unwrap();
            let task = run(&mut server, &repo.path, &work(&format!("echo {n} > made\n{commands}")));
            trap.silent(&format!("{key}={value}: {}", task.told));
            let brought = repo.content(&task.branch, "made").is_some();
            let told = maybe_field(&task.told, "Not committed").is_some();
            assert!(brought || told, "{key}={value}: {}", task.told);
            server.ask(
                "resources/read",
                &format!(r#"{{"uri":"codex-swarm:///tasks/{}/diff"}}"#, task.id),
            );
            let said = gc(&dir, &[]);
            trap.silent(&format!("{key}={value}: {said}"));
            let kept = task.path.join("made").exists();
            assert!(kept || repo.content(&task.branch, "made").is_some(), "{key}={value}: {said}");
            // A task whose base has it all.
            if brought {
                let base = format!(r#""worktree-base":{}"#, quoted(&task.branch));
                let args = script_and(&work("echo 3 > a"), &at(&repo.path, &base));
                let text = text_of(&server.call("codex", &args));
                trap.silent(&format!("{key}={value} in the base: {text}"));
            }
            assert_eq!(fs::read(repo.path.join(".git/index")).unwrap(), before);
            repo.sound();
        }
    }
}

#[test]
fn a_filter_that_the_task_cannot_reach_still_works_or_it_is_told() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    repo.file(".gitattributes", "*.up filter=up\n");
    repo.commit("attributes");
    let (clean, smudge) = (dir.path("clean"), dir.path("smudge"));
    executable(&clean, "#!/bin/sh\nexec tr a-z A-Z\n");
    executable(&smudge, "#!/bin/sh\nexec tr A-Z a-z\n");
    repo.git(&["config", "filter.up.clean", clean.to_str().unwrap()]);
    repo.git(&["config", "filter.up.smudge", smudge.to_str().unwrap()]);
    let mut server = dir.server();
    let task = run(&mut server, &repo.path, &work("echo word > x.up"));
    let is = repo.content(&task.branch, "x.up");
    let told = maybe_field(&task.told, "Not committed").is_some();
    assert!(
        told || is.as_deref() == Some(b"WORD\n") || is.as_deref() == Some(b"word\n"),
        "{}",
        task.told
    );
    // What was not touched is no change, filter or not.
    let base = format!(r#""worktree-base":{}"#, quoted(&task.branch));
    let next = run_with(&mut server, &repo.path, &work("true"), &base);
    assert_eq!(field(&next.told, "Changes"), "none", "{}", next.told);
    repo.sound();
}

#[test]
fn links_lead_nothing_out_of_the_worktree_or_into_it() {
    let dir = Dir::new();
    let trap = Trap::new(&dir);
    let far = dir.make("far");
    fs::write(far.join("secret"), "secret\n").unwrap();
    fs::create_dir(far.join(".codex")).unwrap();
    let mut server = dir.server();
    let out = far.display();
    for (n, commands) in [
        format!("rm a; ln -s {out}/secret a; rm -r sub; ln -s {out} sub"),
        format!("ln -s {out} .codex; ln -s {out} .aws; ln -s {out}/.codex .agents"),
        format!("ln -s {out}/secret .gitignore; ln -s {out}/secret .gitattributes"),
        format!("ln -s {out}/secret .gitmodules"),
        format!("ln -s {out}/secret .worktreeinclude"),
        format!("mkdir x; ln -s {out} x/y; ln -s /proc/self/root root"),
    ]
    .iter()
    .enumerate()
    {
        let repo = Repo::new(&dir, &format!("repo{n}"));
        bears(&dir, &mut server, &trap, &repo, commands);
        assert!(!repo.holds("secret\n"), "{commands}");
        assert_eq!(walk(&far), [far.join(".codex"), far.join("secret")], "{commands}");
    }
}

#[test]
fn a_worktree_that_became_something_else_is_not_taken_for_it() {
    let dir = Dir::new();
    let far = dir.make("far");
    fs::write(far.join("secret"), "secret\n").unwrap();
    fs::write(far.join(".git"), "gitdir: /nowhere\n").unwrap();
    fs::create_dir(far.join(".codex")).unwrap();
    let before: Vec<String> = walk(&far).iter().map(|path| described(path)).collect();
    let mut server = dir.server();
    let out = far.display();
    for (n, commands) in [
        format!("w=$PWD; cd ..; mv $w aside-$CODEX_SWARM_TASK; ln -s {out} $w"),
        format!(
            "w=$PWD; cp .git {out}/../git; cd ..; mv $w aside-$CODEX_SWARM_TASK; ln -s {out} $w"
        ),
        "w=$PWD; cd ..; rm -rf $w".to_owned(),
        "w=$PWD; cd ..; mv $w aside-$CODEX_SWARM_TASK; echo file > $w".to_owned(),
        "w=$PWD; cd ..; mv $w aside-$CODEX_SWARM_TASK; mkdir $w; echo other > $w/other".to_owned(),
    ]
    .iter()
    .enumerate()
    {
        let repo = Repo::new(&dir, &format!("repo{n}"));
        let snapshot = repo.snapshot();
        let task = run(&mut server, &repo.path, &work(commands));
        assert!(task.told.contains("(completed in "), "{commands}: {}", task.told);
        gc(&dir, &[]);
        assert!(!repo.holds("secret\n"), "{commands}: {}", task.told);
        let after: Vec<String> = walk(&far).iter().map(|path| described(path)).collect();
        assert_eq!(after, before, "{commands}");
        assert_eq!(repo.snapshot(), snapshot, "{commands}");
        if commands.contains("aside-") {
            let aside = dir.path("worktrees").join(format!("aside-{}", task.id));
            assert_eq!(fs::read_to_string(aside.join("a")).unwrap(), "one\n", "{commands}");
        }
        if commands.contains("/other") {
            let other = task.path.join("other").exists() || repo.holds("other\n");
            assert!(other, "{commands}");
        }
        assert_eq!(repo.git(&["fsck", "--full", "--strict", "--no-dangling", "--no-progress"]), "");
    }
}

#[test]
fn pipes_in_place_of_files_hold_nothing_up() {
    let dir = Dir::new();
    let trap = Trap::new(&dir);
    let mut server = dir.server();
    for (n, commands) in [
        "mkfifo .gitignore",
        "mkfifo .gitattributes",
        "mkfifo .gitmodules sub/.gitattributes sub/.gitignore .mailmap",
        "mkfifo .worktreeinclude; rm a; mkfifo a",
        "mkfifo pipe; ln -s pipe .gitmodules; ln -s pipe .gitignore; ln -s pipe .gitattributes",
        "ln -s /dev/zero .gitmodules; ln -s /dev/zero .gitignore; ln -s /dev/zero .gitattributes",
    ]
    .iter()
    .enumerate()
    {
        let repo = Repo::new(&dir, &format!("repo{n}"));
        bears(&dir, &mut server, &trap, &repo, commands);
    }
}

#[test]
fn a_cwd_that_became_a_link_to_outside_is_no_place_to_go_on_in() {
    let dir = Dir::new();
    let far = dir.make("far");
    fs::create_dir(far.join(".codex")).unwrap();
    let repo = Repo::new(&dir, "repo");
    let mut server = dir.server();
    let lines = work(&format!("cd ..; rm -r sub; ln -s {} sub", far.display()));
    let task = run(&mut server, &repo.path.join("sub"), &lines);
    assert!(far.join(".codex").exists(), "{}", task.told);
    let reply = format!(r#""threadId":"{}""#, thread_of(&task.id));
    let result = server.call("codex_reply", &script_and(&work("echo x > made"), &reply));
    assert!(is_error(&result), "{}", text_of(&result));
    assert_eq!(walk(&far), [far.join(".codex")]);
}

#[test]
fn odd_files_hold_nothing_up() {
    let dir = Dir::new();
    let trap = Trap::new(&dir);
    let mut server = dir.server();
    for (n, commands) in [
        "mkdir .gitignore .gitattributes .gitmodules",
        "mkdir .GIT; echo x > .GIT/config; echo y > 'git~1'",
        "i=0; while [ $i -lt 400 ]; do mkdir long-enough-a-name; cd long-enough-a-name; i=$((i+1)); done; echo x > end",
        "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"socket\")'",
        "head -c 3000000 /dev/zero | tr '\\0' '#' > .gitignore",
        "yes '*.x y' | head -c 6000000 > .gitattributes",
        "touch $(git rev-parse --git-dir)/index.lock",
        "echo 'ref: refs/heads/main' > $(git rev-parse --git-dir)/HEAD",
        "rm -r $(git rev-parse --git-dir)/*",
    ]
    .iter()
    .enumerate()
    {
        let repo = Repo::new(&dir, &format!("repo{n}"));
        if commands.contains("--git-dir") {
            let before = repo.sha("main");
            let task = run(&mut server, &repo.path, &work(&format!("echo w > made\n{commands}")));
            let told = maybe_field(&task.told, "Not committed").is_some();
            assert!(told || repo.content(&task.branch, "made").is_some(), "{}", task.told);
            let said = gc(&dir, &[]);
            assert!(task.path.join("made").exists() || repo.holds("w\n"), "{commands}: {said}");
            assert_eq!(repo.sha("main"), before);
        } else {
            bears(&dir, &mut server, &trap, &repo, commands);
        }
    }
}

#[test]
fn what_a_task_planted_in_the_repository_itself_is_not_run_by_us() {
    let dir = Dir::new();
    let trap = Trap::new(&dir);
    let mut server = dir.server();
    let at = dir.path("");
    let at = at.display();
    let evil = trap.evil.display();
    for (n, commands) in [
        format!("cp {at}hooks/* $(git rev-parse --git-common-dir)/hooks/"),
        format!("git config core.hooksPath {at}hooks; git config core.fsmonitor {evil}"),
        format!("git config diff.external {evil}; git config core.pager {evil}; git config core.sshCommand {evil}"),
        format!("git config diff.x.textconv {evil}; git config diff.x.command {evil}; echo '* diff=x' > .gitattributes"),
        format!("git config gpg.program {evil}; git config commit.gpgSign true; git config alias.add '!{evil}'"),
        format!("git config trailer.codex-task.command {evil}; git config trailer.codex-task.cmd {evil}"),
        format!("git config extensions.worktreeConfig true; git config --worktree core.fsmonitor {evil}; git config --worktree core.hooksPath {at}hooks"),
        format!("git config gc.auto 1; git config maintenance.auto true; cp {at}hooks/pre-auto-gc $(git rev-parse --git-common-dir)/hooks/"),
    ]
    .iter()
    .enumerate()
    {
        let repo = Repo::new(&dir, &format!("repo{n}"));
        fs::create_dir_all(repo.path.join(".git/hooks")).unwrap();
        let config = fs::read(repo.path.join(".git/config")).unwrap();
        let lines = work(&format!("echo w > made; echo other > a\n{commands}"));
        let task = run(&mut server, &repo.path, &lines);
        let told = maybe_field(&task.told, "Not committed").is_some();
        assert!(told || repo.text(&task.branch, "made") == "w\n", "{commands}: {}", task.told);
        server.ask("resources/read", &format!(r#"{{"uri":"codex-swarm:///tasks/{}/diff"}}"#, task.id));
        let text = text_of(&server.call("codex", &script_and(&work("echo v > made"), &crate::repo::at(&repo.path, ""))));
        gc(&dir, &[]);
        trap.silent(&format!("{commands}: {text}"));
        fs::write(repo.path.join(".git/config"), config).unwrap();
        let _ = fs::remove_dir_all(repo.path.join(".git/hooks"));
        repo.sound();
    }
}

#[test]
fn a_path_with_places_in_the_worktree_finds_nothing_there() {
    let dir = Dir::new();
    let trap = Trap::new(&dir);
    let repo = Repo::new(&dir, "repo");
    for key in ["clean", "smudge"] {
        repo.git(&["config", &format!("filter.lfs.{key}"), &format!("git-lfs {key} -- %f")]);
    }
    let mut command = dir.command();
    let path = std::env::var("PATH").unwrap();
    command.args(["--codex", STANDIN]).env("PATH", format!(".:bin::{path}:"));
    let mut server = Server::spawn(&dir, command);
    server.initialize();
    let lines = work(&format!(
        "echo w > made; echo '* filter=lfs' > .gitattributes; mkdir bin
         for p in git git-lfs git-add sh; do cp {0} $p; cp {0} bin/$p; done",
        trap.evil.display()
    ));
    // The shell itself would be found there: all in one go.
    let task = run(&mut server, &repo.path, &lines.replace("\nsh for", "; for"));
    trap.silent(&task.told);
    let told = maybe_field(&task.told, "Not committed").is_some();
    assert!(told || repo.content(&task.branch, "made").is_some(), "{}", task.told);
    let said = gc(&dir, &[]);
    trap.silent(&said);
    repo.sound();
}

#[test]
fn gits_variables_in_the_servers_environment_change_nothing() {
    let dir = Dir::new();
    let trap = Trap::new(&dir);
    let repo = Repo::new(&dir, "repo");
    let far = dir.make("far");
    let (before, evil) = (repo.snapshot(), trap.evil.to_str().unwrap());
    let born = dir.path("born/.git");
    let born_before: Vec<String> = walk(&born).iter().map(|path| described(path)).collect();
    let mut command = dir.command();
    command.args(["--codex", STANDIN]);
    for (key, value) in [
        ("DIR", born.to_str().unwrap()),
        ("COMMON_DIR", born.to_str().unwrap()),
        ("WORK_TREE", far.to_str().unwrap()),
        ("INDEX_FILE", far.join("index").to_str().unwrap()),
        ("OBJECT_DIRECTORY", far.join("objects").to_str().unwrap()),
        ("ALTERNATE_OBJECT_DIRECTORIES", far.to_str().unwrap()),
        ("CONFIG_GLOBAL", born.join("config").to_str().unwrap()),
        ("CONFIG_SYSTEM", born.join("config").to_str().unwrap()),
        ("CONFIG", born.join("config").to_str().unwrap()),
        ("CONFIG_COUNT", "2"),
        ("CONFIG_KEY_0", "core.fsmonitor"),
        ("CONFIG_VALUE_0", evil),
        ("CONFIG_KEY_1", "core.hooksPath"),
        ("CONFIG_VALUE_1", dir.path("hooks").to_str().unwrap()),
        ("CONFIG_PARAMETERS", &format!("'core.fsmonitor'='{evil}'")),
        ("EXTERNAL_DIFF", evil),
        ("EDITOR", evil),
        ("SSH_COMMAND", evil),
        ("TEMPLATE_DIR", born.to_str().unwrap()),
        ("TRACE", far.join("trace").to_str().unwrap()),
        ("TRACE2_EVENT", far.join("trace2").to_str().unwrap()),
        ("NAMESPACE", "elsewhere"),
        ("PREFIX", "sub/"),
        ("CEILING_DIRECTORIES", dir.path("").to_str().unwrap()),
        ("LITERAL_PATHSPECS", "1"),
        ("ICASE_PATHSPECS", "1"),
        ("DEFAULT_HASH", "sha256"),
        ("ATTR_SOURCE", "nowhere"),
        ("REPLACE_REF_BASE", "refs/heads/"),
        ("SHALLOW_FILE", far.join("shallow").to_str().unwrap()),
        ("AUTHOR_DATE", "2001-01-01T00:00:00Z"),
    ] {
        command.env(format!("GIT_{key}"), value);
    }
    let mut server = Server::spawn(&dir, command);
    server.initialize();
    let task = run(&mut server, &repo.path, &work("echo w > made; echo v > a"));
    assert_eq!(repo.text(&task.branch, "made"), "w\n", "{}", task.told);
    assert_eq!(repo.sha(&format!("{}~1", task.branch)), repo.sha("main"));
    let date = repo.git(&["log", "-1", "--format=%as", &task.branch]);
    assert!(!date.starts_with("2001"), "{date}");
    trap.silent("the environment");
    assert_eq!(repo.snapshot(), before);
    assert!(walk(&far).is_empty(), "{:?}", walk(&far));
    let born_after: Vec<String> = walk(&born).iter().map(|path| described(path)).collect();
    assert_eq!(born_after, born_before);
    repo.sound();
}

#[test]
fn a_filter_whose_name_is_no_text_does_not_run() {
    let dir = Dir::new();
    let trap = Trap::new(&dir);
    let repo = Repo::new(&dir, "repo");
    let mut server = dir.server();
    let mut config = fs::read(repo.path.join(".git/config")).unwrap();
    config.extend(b"[filter \"\xff\"]\n");
    for key in ["clean", "smudge", "process"] {
        config.extend(format!("{key} = {}\n", trap.evil.display()).bytes());
    }
    fs::write(repo.path.join(".git/config"), config).unwrap();
    fs::write(repo.path.join(".git/info/attributes"), b"* filter=\xff\n").unwrap();
    let text = server.refused("codex", &script_and(&work("echo w > made"), &at(&repo.path, "")));
    trap.silent(&text);
    assert!(text.contains("has a name that cannot be switched off"), "{text}");
}

/// A server whose git is a script: these lines, and then the real one.
fn server_with_git<'d>(dir: &'d Dir, lines: &str) -> Server<'d> {
    let path = std::env::var("PATH").unwrap();
    let real = std::env::split_paths(&path).map(|directory| directory.join("git"));
    let real = real.into_iter().find(|git| git.is_file()).expect("git");
    let bin = dir.make("gits");
    executable(&bin.join("git"), &format!("#!/bin/sh\n{lines}\nexec {} \"$@\"\n", real.display()));
    let mut command = dir.command();
    command.args(["--codex", STANDIN]).env("PATH", format!("{}:{path}", bin.display()));
    let mut server = Server::spawn(dir, command);
    server.initialize();
    server
}

/// git runs hooks that are in the configuration alone since 2.54, and can be told not to run those of
/// an event since 2.55. An older one takes both for nothing.
#[test]
fn hooks_that_the_configuration_names_are_off_by_event_and_by_name() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    repo.git(&["config", "hook.mine.event", "post-index-change"]);
    repo.git(&["config", "hook.mine.command", "./lint.sh"]);
    let calls = dir.path("calls");
    let mut server = server_with_git(&dir, &format!("echo $* >> '{}'", calls.display()));
    let task = run(&mut server, &repo.path, &work("echo w > made"));
    assert_eq!(repo.text(&task.branch, "made"), "w\n", "{}", task.told);
    let calls = fs::read_to_string(calls).unwrap();
    for event in ["post-checkout", "post-index-change", "reference-transaction"] {
        let off = format!(" hook.{event}.enabled=false ");
        assert!(calls.lines().all(|call| call.contains(&off)), "{event}: {calls}");
    }
    // These run in the directory of the task.
    let by_name =
        |call: &&str| [" read-tree ", " add --all "].iter().any(|verb| call.contains(verb));
    let mut by_name = calls.lines().filter(by_name).peekable();
    assert!(by_name.peek().is_some(), "{calls}");
    assert!(by_name.all(|call| call.contains(" hook.mine.enabled=false ")), "{calls}");
}

/// git knows since 2.44 that it may not fetch what is missing.
#[test]
fn a_git_that_fetches_what_is_missing_runs_no_command_for_it() {
    let dir = Dir::new();
    let trap = Trap::new(&dir);
    let repo = Repo::new(&dir, "repo");
    let blob = repo.git(&["rev-parse", "HEAD:a"]);
    let blob = blob.trim();
    fs::remove_file(repo.path.join(".git/objects").join(&blob[..2]).join(&blob[2..])).unwrap();
    for (key, value) in [
        ("extensions.partialClone", "origin"),
        ("remote.origin.promisor", "true"),
        ("remote.origin.url", &format!("ext::{}", trap.evil.display())),
        ("protocol.ext.allow", "always"),
    ] {
        repo.git(&["config", key, value]);
    }
    let mut server = server_with_git(&dir, "unset GIT_NO_LAZY_FETCH");
    let text = server.refused("codex", &script_and(&work("echo w > made"), &at(&repo.path, "")));
    trap.silent(&text);
    assert!(text.contains("Cause: git: "), "{text}");
}

#[test]
fn filters_that_cannot_all_be_listed_do_not_run() {
    let dir = Dir::new();
    let trap = Trap::new(&dir);
    let repo = Repo::new(&dir, "repo");
    let mut config = fs::read_to_string(repo.path.join(".git/config")).unwrap();
    let _ = writeln!(config, "[filter \"x\"]\nsmudge = {}", trap.evil.display());
    fs::write(repo.path.join(".git/config"), config).unwrap();
    fs::write(repo.path.join(".git/info/attributes"), "* filter=x\n").unwrap();
    let lines = "case \"$*\" in *' config --null '*) exec cat /dev/zero ;; esac";
    let mut server = server_with_git(&dir, lines);
    let text = server.refused("codex", &script_and(&work("echo w > made"), &at(&repo.path, "")));
    trap.silent(&text);
    assert!(text.contains("cannot run git"), "{text}");
}
