//! kill -9 of a supervisor at every step of its line: the verdict is true, the repository sound, no
//! lock in the way of the next task, and what the task wrote is still there.

use crate::repo::*;
use crate::support::*;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A `git` that comes first on PATH. It notes each call in `out/calls`; the call whose number is in
/// `out/stop` says so with `out/at` and waits for `out/go`, before or after the real one does it.
/// Two that make or remove worktrees at the same time leave `out/overlap`.
const GIT: &str = r#"#!/bin/sh
out=@OUT@
n=$(cat "$out/count" 2>/dev/null || echo 0)
echo $((n + 1)) > "$out/count"
printf '%s\n' "$*" >> "$out/calls"
hold() {
    : > "$out/at"
    until [ -e "$out/go" ] || [ ! -d "$out" ]; do sleep 0.02; done
    if [ -e "$out/die" ]; then
        rmdir "$out/inside"
        exit 1
    fi
}
case " $* " in
*" worktree add "* | *" worktree remove "*) mkdir "$out/inside" 2> /dev/null || : > "$out/overlap" ;;
esac
case $(cat "$out/stop" 2>/dev/null) in
"$n before") hold ;;
"$n after")
    @GIT@ "$@"
    status=$?
    hold
    rmdir "$out/inside" 2> /dev/null
    exit $status
    ;;
esac
case " $* " in
*" worktree add "* | *" worktree remove "*)
    @GIT@ "$@"
    status=$?
    rmdir "$out/inside" 2> /dev/null
    exit $status
    ;;
esac
exec @GIT@ "$@"
"#;

/// A directory whose servers run that git.
struct Slow {
    dir: Dir,
    repo: Repo,
}

impl Slow {
    fn new() -> Slow {
        let dir = Dir::new();
        let path = std::env::var_os("PATH").unwrap();
        let real =
            std::env::split_paths(&path).map(|p| p.join("git")).find(|p| p.exists()).unwrap();
        let script = GIT.replace("@OUT@", dir.path("out").to_str().unwrap());
        executable(&dir.make("bin").join("git"), &script.replace("@GIT@", real.to_str().unwrap()));
        let repo = Repo::new(&dir, "repo");
        Slow { dir, repo }
    }

    fn server(&self) -> Server<'_> {
        let mut command = self.dir.command();
        let path = std::env::var("PATH").unwrap();
        command.args(["--codex", STANDIN]);
        command.env("PATH", format!("{}:{path}", self.dir.path("bin").display()));
        let mut server = Server::spawn(&self.dir, command);
        server.initialize();
        server
    }

    fn out(&self, name: &str) -> PathBuf {
        self.dir.path("out").join(name)
    }

    /// The next calls of git are counted from 0, and this one stops.
    fn stop(&self, at: &str) {
        for name in ["count", "calls", "at", "go"] {
            let _ = fs::remove_file(self.out(name));
        }
        fs::write(self.out("stop"), at).unwrap();
    }
}

/// Kills every supervisor that was started in this directory, and waits until they are gone.
fn kill_supervisors(dir: &Dir) {
    let marker = dir.marker();
    let find = || -> Vec<PathBuf> {
        let ours = each_process("environ").into_iter().filter(|(_, environ)| {
            environ.split(|b| *b == 0).any(|entry| entry == marker.as_bytes())
        });
        ours.map(|(process, _)| process)
            .filter(|process| {
                let line = fs::read(process.join("cmdline")).unwrap_or_default();
                line.split(|b| *b == 0).nth(1) == Some(b"supervise")
            })
            .collect()
    };
    let found = find();
    assert!(!found.is_empty(), "no supervisor runs");
    for process in found {
        let pid = String::from_utf8(process.file_name().unwrap().as_bytes().to_vec()).unwrap();
        assert!(pid.parse::<u32>().unwrap() > 1);
        assert!(Command::new("/bin/kill").args(["-KILL", &pid]).status().unwrap().success());
    }
    until("the supervisors' end", || find().is_empty().then_some(()));
}

/// The ids of all tasks.
fn known(dir: &Dir) -> Vec<String> {
    let files = walk(&dir.path("tasks")).into_iter();
    let records = files.filter(|path| path.extension() == Some("meta".as_ref()));
    records.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

/// Waits until git has stopped in a task that is not among `before`: the task, and whether it did;
/// if not, the task is over.
fn stopped(slow: &Slow, before: &[String], what: &str, stop: impl Fn() -> bool) -> (String, bool) {
    until(what, || {
        let id = known(&slow.dir).into_iter().find(|id| !before.contains(id))?;
        let record = fs::read_to_string(slow.dir.task_file(&id, "meta")).ok()?;
        let stopped = stop();
        (stopped || record.contains("completed_at")).then_some((id, stopped))
    })
}

/// Whether git runs for somebody here.
fn git_runs(dir: &Dir) -> bool {
    processes_with(&dir.marker()).iter().any(|line| line.contains("/git "))
}

/// After whatever happened, a task in the same repository works.
fn next_one_works(slow: &Slow, server: &mut Server<'_>, what: &str) {
    let next = run(server, &slow.repo.path, &work("echo next > made"));
    assert!(next.told.contains("(completed in "), "{what}: {}", next.told);
    assert_eq!(slow.repo.text(&next.branch, "made"), "next\n", "{what}");
}

/// The task's work is on some ref, or lies where it was written.
fn work_is_there(slow: &Slow, id: &str, content: &str) -> bool {
    let file = slow.dir.path("worktrees").join(id).join("made");
    slow.repo.holds(content) || fs::read(file).is_ok_and(|is| is == content.as_bytes())
}

/// Kills the supervisor before or after its every call of git; what it said and left must be true.
fn killed_at_every_call_of_git(when: &str) {
    let slow = Slow::new();
    let (dir, repo) = (&slow.dir, &slow.repo);
    let before = repo.snapshot();
    slow.stop("none");
    next_one_works(&slow, &mut slow.server(), "first");
    let calls = fs::read_to_string(slow.out("calls")).unwrap();
    let calls: Vec<&str> = calls.lines().collect();
    assert!(calls.len() > 3, "{calls:?}");
    for (n, call) in calls.iter().enumerate() {
        let what = format!("{when} {n}: {call}");
        let mut server = slow.server();
        let content = format!("work {n}\n");
        let lines = work(&format!("printf 'work {n}\\n' > made"));
        slow.stop(&format!("{n} {when}"));
        let tasks = known(dir);
        let begun = server.begin("codex_async", &script_and(&lines, &at(&repo.path, "")));
        let (id, stopped) = stopped(&slow, &tasks, &what, || slow.out("at").exists());
        // There may be fewer calls than there were for the first task.
        if !stopped {
            assert!(n > calls.len() / 2, "{what}");
            server.result(begun);
            break;
        }
        let server_lives = (n % 2 == 0) == (when == "before");
        let written = dir.path("worktrees").join(&id).join("made").exists();
        let server = if server_lives {
            kill_supervisors(dir);
            // Made or not, the call is answered.
            server.result(begun);
            server
        } else {
            server.crash();
            kill_supervisors(dir);
            slow.server()
        };
        // git itself was not killed, and goes on as it does.
        dir.open("go");
        let mut server = server;
        let told = text_of(&server.call("codex_wait", &ids(&[&id])));
        let record = dir.record(&id);
        let ran = dir.task_file(&id, "stdout").metadata().is_ok_and(|stat| stat.len() > 0);
        let verdict = if ran { "completed" } else { "failed" };
        assert!(told.contains(&format!("({verdict} in ")), "{what}: {told}");
        assert_eq!(record.str_at("status"), verdict, "{what}");
        assert_eq!(record.at("inferred").to_json(), "true", "{what}");
        gone(&format!("CODEX_SWARM_TASK={id}"));
        until("git's end", || (!git_runs(dir)).then_some(()));
        slow.stop("none");
        assert!(!written || work_is_there(&slow, &id, &content), "{what}: {told}");
        let brought = repo.holds(&content);
        assert!(
            !written || brought || maybe_field(&told, "Not committed").is_some(),
            "{what}: {told}"
        );
        if n % 3 == 0 {
            next_one_works(&slow, &mut server, &what);
        }
        assert_eq!(repo.snapshot(), before, "{what}");
        assert!(!slow.out("overlap").exists(), "{what}");
    }
    // All that was left in the middle can be cleaned up, and loses nothing.
    gc(dir, &[]);
    let codex_ran: Vec<String> = walk(&dir.path("out"))
        .iter()
        .filter(|path| path.extension() == Some("stdin".as_ref()))
        .filter_map(|path| {
            let script = fs::read_to_string(path).unwrap();
            Some(script.split("printf '").nth(1)?.split("\\n").next()?.to_owned())
        })
        .collect();
    assert!(!codex_ran.is_empty());
    for work in codex_ran {
        assert!(repo.holds(&format!("{work}\n")), "`{work}` is on no branch");
    }
    assert_eq!(repo.snapshot(), before);
    repo.sound();
    let left: Vec<PathBuf> = walk(&dir.path("worktrees"));
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn worktrees_of_a_repository_are_made_and_removed_one_at_a_time_by_all_servers() {
    let slow = Slow::new();
    let mut servers = [slow.server(), slow.server()];
    for round in 0..2 {
        let begun: Vec<(usize, u32)> = (0..16)
            .map(|n| {
                let args = script_and(&work("true"), &at(&slow.repo.path, ""));
                (n % 2, servers[n % 2].begin("codex", &args))
            })
            .collect();
        let mut cleaning = slow.dir.command();
        let path = std::env::join_paths([slow.dir.path("bin"), "/usr/bin".into(), "/bin".into()]);
        cleaning.arg("gc").env("CODEX_SWARM_TASK_MAX_AGE", "0").env("PATH", path.unwrap());
        let mut cleaning = cleaning.spawn().unwrap();
        for (server, call) in begun {
            let result = servers[server].result(call);
            assert!(!is_error(&result), "{}", text_of(&result));
        }
        cleaning.wait().unwrap();
        assert!(!slow.out("overlap").exists(), "{round}");
    }
    gc(&slow.dir, &[]);
    assert!(slow.repo.branches().is_empty());
    slow.repo.sound();
}

#[test]
fn killed_before_each_call_of_git_all_stays_true_and_sound() {
    killed_at_every_call_of_git("before");
}

#[test]
fn killed_after_each_call_of_git_all_stays_true_and_sound() {
    killed_at_every_call_of_git("after");
}

#[test]
fn killed_while_codex_runs_the_verdict_is_the_transcripts_and_the_work_stays() {
    let slow = Slow::new();
    let (dir, repo) = (&slow.dir, &slow.repo);
    let ends = [
        ("say ok\ndone\n", "turn.completed", "completed"),
        ("fail no\n", "turn.failed", "failed"),
        ("", "turn.started", "failed"),
    ];
    for (n, (end, last, verdict)) in ends.iter().enumerate() {
        for server_lives in [true, false] {
            let content = format!("work {n} {server_lives}");
            let mark = format!("on{n}{server_lives}");
            let mut server = slow.server();
            let lines =
                format!("begin\nsh printf '{content}' > made\n{end}mark {mark}\nwait-for never");
            let task = start(&mut server, &repo.path, &lines, "");
            dir.marked(&mark);
            // What is still in the pipe would go with the supervisor.
            until("the transcript", || {
                let transcript = fs::read_to_string(dir.task_file(&task.id, "stdout"));
                transcript.is_ok_and(|text| text.contains(last)).then_some(())
            });
            let mut server = if server_lives {
                kill_supervisors(dir);
                server
            } else {
                server.crash();
                kill_supervisors(dir);
                slow.server()
            };
            let told = server.wait(&[&task.id]);
            assert!(told.contains(&format!("({verdict} in ")), "{end:?}: {told}");
            assert_eq!(field(&told, "Worktree"), task.path.to_str().unwrap());
            assert_eq!(dir.record(&task.id).at("inferred").to_json(), "true");
            gone(&mark_of(&task.id));
            assert!(work_is_there(&slow, &task.id, &content), "{told}");
            // It is told that nobody committed it, or it is committed.
            let brought = repo.content(&task.branch, "made").is_some();
            assert!(brought || maybe_field(&told, "Not committed").is_some(), "{told}");
            // A reply goes on there, and its end brings all of it.
            let thread = format!(r#""threadId":"{}""#, thread_of(&task.id));
            server.ok("codex_reply", &script_and(&work("echo more > more"), &thread));
            assert_eq!(repo.text(&task.branch, "made"), content);
            next_one_works(&slow, &mut server, end);
        }
    }
    repo.sound();
}

/// What git leaves when it is killed while it writes.
fn leave_locks(repo: &Repo, id: &str) -> Vec<PathBuf> {
    let git = repo.path.join(".git");
    let locks = [
        git.join("worktrees").join(id).join("index.lock"),
        git.join("worktrees").join(id).join("HEAD.lock"),
        git.join(format!("refs/heads/codex-swarm/{id}.lock")),
    ];
    for lock in &locks {
        fs::write(lock, "").unwrap();
    }
    locks.into()
}

#[test]
fn locks_that_a_killed_git_left_are_not_in_the_way_for_ever() {
    let slow = Slow::new();
    let (dir, repo) = (&slow.dir, &slow.repo);
    let mut server = slow.server();
    let lines = "begin\nsh printf w > made\nmark on\nwait-for never";
    let task = start(&mut server, &repo.path, lines, "");
    dir.marked("on");
    kill_supervisors(dir);
    server.wait(&[&task.id]);
    gone(&mark_of(&task.id));
    let locks = leave_locks(repo, &task.id);
    next_one_works(&slow, &mut server, "other locks");
    // An hour later they are nobody's.
    for lock in &locks {
        let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
        fs::File::options().write(true).open(lock).unwrap().set_modified(long_ago).unwrap();
    }
    let told = gc(dir, &[]);
    assert_eq!(repo.text(&task.branch, "made"), "w", "{told}");
    assert!(!task.path.exists(), "{told}");
    repo.sound();
}

#[test]
fn what_a_killed_worktree_add_left_is_taken_back() {
    let slow = Slow::new();
    let (dir, repo) = (&slow.dir, &slow.repo);
    slow.stop("none");
    next_one_works(&slow, &mut slow.server(), "first");
    let calls = fs::read_to_string(slow.out("calls")).unwrap();
    let add = calls.lines().position(|call| call.contains(" worktree add ")).unwrap();
    let common = repo.path.join(".git");
    fs::write(slow.out("die"), "").unwrap();
    // What git makes, in its order; it was killed after each.
    for killed_after in 0..=7 {
        let mut server = slow.server();
        slow.stop(&format!("{add} before"));
        let tasks = known(dir);
        let begun = server.begin("codex_async", &script_and(&work("true"), &at(&repo.path, "")));
        let (id, _) = stopped(&slow, &tasks, "the add", || slow.out("at").exists());
        kill_supervisors(dir);
        let (path, own) = (dir.path("worktrees").join(&id), common.join("worktrees").join(&id));
        let back = format!("{}\n", path.join(".git").display());
        let branch = common.join("refs/heads/codex-swarm").join(&id);
        for (file, content) in [
            (branch, repo.sha("main") + "\n"),
            (own.join("locked"), "initializing".into()),
            (own.join("gitdir"), back),
            (path.join(".git"), format!("gitdir: {}\n", own.display())),
            (own.join("HEAD"), "0".repeat(40) + "\n"),
            // begun, and not written: no git makes a worktree beside it
            (own.join("commondir"), String::new()),
            (own.join("commondir"), "../..\n".into()),
        ]
        .into_iter()
        .take(killed_after)
        {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, content).unwrap();
        }
        dir.open("go");
        server.result(begun);
        until("git's end", || (!git_runs(dir)).then_some(()));
        let told = text_of(&server.call("codex_wait", &ids(&[&id])));
        assert!(told.contains("(failed in "), "{killed_after}: {told}");
        slow.stop("none");
        next_one_works(&slow, &mut server, &format!("{killed_after}: {told}"));
        let said = gc(dir, &[]);
        assert!(!path.exists() && !own.exists(), "{killed_after}: {said}");
        assert!(!repo.branches().contains(&format!("codex-swarm/{id}")), "{killed_after}: {said}");
        repo.sound();
    }
}

#[test]
fn a_supervisor_that_is_killed_with_its_git_leaves_a_sound_repository() {
    let slow = Slow::new();
    let (dir, repo) = (&slow.dir, &slow.repo);
    for number in 0..300 {
        fs::write(repo.path.join(format!("f{number}")), number.to_string()).unwrap();
    }
    repo.commit("many");
    let lines = work("for f in f*; do echo more >> $f; done\nprintf w > made");
    next_one_works(&slow, &mut slow.server(), "first");
    for n in 0.. {
        let mut server = slow.server();
        slow.stop("none");
        let tasks = known(dir);
        let begun = server.begin("codex_async", &script_and(&lines, &at(&repo.path, "")));
        // The n-th call, and with it the supervisor, at whatever it is doing then.
        let (id, reached) = stopped(&slow, &tasks, "a call", || {
            let calls = fs::read_to_string(slow.out("calls")).unwrap_or_default();
            calls.lines().count() > n
        });
        if !reached {
            server.result(begun);
            assert!(n > 3, "{n}");
            break;
        }
        for line in processes_with(&dir.marker()) {
            let process = Path::new(line.split(' ').next().unwrap());
            let pid = process.file_name().unwrap().to_str().unwrap();
            let ours = line.contains(" supervise ") || line.contains("git");
            if ours && !line.contains("fixtures") && pid.parse::<u32>().unwrap() > 1 {
                let _ = Command::new("/bin/kill").args(["-KILL", pid]).output();
            }
        }
        server.result(begun);
        let told = text_of(&server.call("codex_wait", &ids(&[&id])));
        if n % 3 == 0 {
            next_one_works(&slow, &mut server, &format!("{n}: {told}"));
        }
        until("git's end", || (!git_runs(dir)).then_some(()));
    }
    let told = gc(dir, &[]);
    assert!(repo.holds("w"), "{told}");
    let left = walk(&dir.path("worktrees"));
    let odd: Vec<&str> = told.lines().filter(|line| !line.contains("no other ref")).collect();
    assert!(left.is_empty(), "{odd:?}: {left:?}");
    repo.sound();
}
