//! What codex is given by whoever started the server, and what not: no descriptor and no lock, the
//! signals as they are by default, the umask as it was.

use crate::harm;
use crate::support::*;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A server that a shell starts after it did this, on a codex that is this script.
fn server_after<'d>(dir: &'d Dir, before: &str, codex: &str) -> Server<'d> {
    let program = dir.path("codex");
    crate::repo::executable(&program, codex);
    let inner = dir.command();
    let mut shell = Command::new("bash");
    shell.args(["-c", &format!("{before}\nexec \"$0\" \"$@\"")]).arg(inner.get_program());
    shell.arg("--codex").arg(&program).current_dir(dir.path("work")).env_clear();
    shell.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut server = Server::spawn(dir, shell);
    server.initialize();
    server
}

/// A line of /proc/PID/status, or of a copy of it.
fn line<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {status}")).trim()
}

/// A script that plays a turn after it did this, and waits for a file `go`.
fn plays(what: &str) -> String {
    format!(
        "#!/bin/sh\n{what}\ncat > /dev/null\necho '{{\"type\":\"thread.started\",\"thread_id\":\"{}\"}}'\n\
         echo '{{\"type\":\"turn.started\"}}'\n: > \"$STANDIN_OUT/on\"\n\
         until [ -e \"$STANDIN_OUT/go\" ]; do sleep 0.05; done\n\
         echo '{{\"type\":\"turn.completed\",\"usage\":{{}}}}'\n",
        thread_of("0000000a")
    )
}

/// What the descriptors of a process lead to, by their numbers.
fn descriptors(of: &str) -> Vec<(u32, String)> {
    let entries = fs::read_dir(format!("/proc/{of}/fd")).unwrap().flatten();
    let number = |path: &Path| path.file_name()?.to_str()?.parse().ok();
    let mut all: Vec<(u32, String)> = entries
        .filter_map(|entry| {
            let to = fs::read_link(entry.path()).ok()?;
            Some((number(&entry.path())?, to.to_str()?.to_owned()))
        })
        .collect();
    all.sort();
    all
}

#[test]
fn a_task_gets_three_descriptors_and_no_lock_that_the_server_was_started_with() {
    let dir = Dir::new();
    let secret = dir.write("secret", "");
    let before = format!("exec 7<{0} 63<>{0} 900<{0}; flock 63", secret.display());
    // what the shell holds itself goes with the exec
    let codex = plays("( exec ls -l /proc/self/fd > \"$STANDIN_OUT/fds\" )");
    let mut server = server_after(&dir, &before, &codex);
    assert_eq!(
        descriptors(&server.pid().to_string())
            .iter()
            .filter(|(_, to)| to == secret.to_str().unwrap())
            .count(),
        3
    );
    let id = server.launch("x");
    dir.marked("on");
    let listed = fs::read_to_string(dir.path("out/fds")).unwrap();
    let numbers: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.split_once(" -> "))
        .filter(|(_, to)| !to.starts_with("/proc/"))
        .filter_map(|(head, _)| head.rsplit(' ').next())
        .collect();
    assert_eq!(numbers, ["0", "1", "2"], "{listed}");
    let supervisor = harm::pid_in(&dir.record(&id), "supervisor_pid");
    let leaked = descriptors(&supervisor.to_string());
    assert!(leaked.iter().all(|(_, to)| to != secret.to_str().unwrap()), "{leaked:?}");
    // the lock ends with the server though its task lives on
    server.end();
    let free = || {
        let lock = Command::new("flock").args(["-n", secret.to_str().unwrap(), "true"]).status();
        lock.unwrap().success().then_some(())
    };
    until("the lock", free);
    dir.open("go");
    assert!(dir.server().wait(&[&id]).contains("(completed in "));
}

#[test]
fn what_a_task_leaves_running_holds_no_slot_and_no_worktree() {
    let dir = Dir::new();
    let repo = crate::repo::Repo::new(&dir, "repo");
    let mut server = dir.server_with(&["--max-parallel", "1"]);
    let first = crate::repo::run(
        &mut server,
        &repo.path,
        "sh setsid sh -c ': > $STANDIN_OUT/left; exec sleep 120' > /dev/null 2>&1 &\n\
         wait-for left\nbegin\nsay x\ndone",
    );
    assert!(!processes_with(&mark_of(&first.id)).is_empty(), "it has left something");
    // the next one has the slot, and the worktree
    let reply = format!(r#""threadId":"{}""#, thread_of(&first.id));
    server.ok("codex_reply", &script_and("begin\nsay y\ndone", &reply));
    dir.open("go");
    server.end();
    let left = harm::pids_where(|_| true).into_iter().filter(|pid| {
        let marked = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        marked.split(|b| *b == 0).any(|entry| entry == mark_of(&first.id).as_bytes())
    });
    harm::signal("KILL", &left.collect::<Vec<_>>());
}

#[test]
fn a_task_has_the_signals_by_default_and_the_umask_as_it_was() {
    let dir = Dir::new();
    let before = "umask 027; trap '' PIPE INT QUIT HUP TERM CHLD TSTP";
    let codex = plays("cat /proc/self/status > \"$STANDIN_OUT/status\"");
    let mut server = server_after(&dir, before, &codex);
    let id = server.launch("x");
    dir.marked("on");
    let status = fs::read_to_string(dir.path("out/status")).unwrap();
    assert_eq!(line(&status, "SigBlk"), "0000000000000000", "{status}");
    // others may be ignored where the tests are run; that is none of ours
    let ignored = u64::from_str_radix(line(&status, "SigIgn"), 16).unwrap();
    for number in [1, 2, 3, 13, 15, 17, 20] {
        assert_eq!(ignored >> (number - 1) & 1, 0, "{number}: {status}");
    }
    assert_eq!(line(&status, "Umask"), "0027", "{status}");
    dir.open("go");
    server.wait(&[&id]);
}

#[test]
fn codex_gets_the_environment_of_the_server_and_one_variable_more() {
    let dir = Dir::new();
    let mut command = dir.command();
    command
        .args(["--codex", STANDIN])
        .env("TMPDIR", "/elsewhere")
        .env("CODEX_SWARM_TASK", "forged");
    let given: Vec<String> = command
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_str()?, value?.to_str()?)))
        .filter(|(name, _)| *name != "CODEX_SWARM_TASK")
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut server = Server::spawn(&dir, command);
    server.initialize();
    let id = task_id(&server.ok("codex", &script("begin\ndone")));
    let text = dir.received(&id).env;
    let own = [mark_of(&id)];
    let expected: Vec<&String> = given.iter().chain(&own).collect();
    // what a shell sets by itself
    let of_shell = ["PWD=", "OLDPWD=", "SHLVL=", "_="];
    let mut got: Vec<&str> =
        text.lines().filter(|l| !of_shell.iter().any(|name| l.starts_with(name))).collect();
    got.sort_unstable();
    let mut expected: Vec<&str> = expected.into_iter().map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(got, expected);
}

#[test]
fn nothing_but_the_loop_and_the_commands_writes_to_stdout() {
    for (name, text) in crate::tidy::sources() {
        let program = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        // the loop's, the commands', and the supervisor's socket to its server
        let may = ["server/run.rs", "console/mod.rs", "supervisor/server.rs"];
        let writes = ["stdout()", "STDOUT_FILENO", "print!", "println!"];
        let found: Vec<&str> = writes.into_iter().filter(|word| program.contains(word)).collect();
        let plain = found.is_empty() || (found == ["stdout()"] && may.contains(&name.as_str()));
        let looks = name.starts_with("console/") && found == ["stdout()"];
        assert!(plain || looks, "{name}: {found:?}");
    }
}
