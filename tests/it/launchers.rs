//! `--launcher`: what starts codex in our place, here and elsewhere.
//!
//! No engine is needed here: `nice` and `prlimit` are real, and the others are stand-ins that note
//! their words and do with the rest what the engine would.

use crate::engines::launchers;
use crate::harm;
use crate::many::*;
use crate::planted::{run as by_hand, task};
use crate::support::*;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A codex that runs until it is ended; the test waits for the mark.
const STUCK: &str = "begin\nmark stuck\nwait-for never";

/// An engine that notes its words and its runs, and starts what stands behind the word `--`.
const ENGINE: &str = r#"#!/bin/sh
printf '%s\0' "$@" >> "$STANDIN_OUT/engine"
printf '\n' >> "$STANDIN_OUT/engine"
while [ "$1" != -- ]; do shift; done
shift
PATH=$FAR_PATH exec "$@"
"#;

/// An ssh that notes its words and does with them what sshd does: all that stand behind the host are
/// one line for a shell, which is in a session of its own, has no variable of the client's and does not
/// end with it. SIGUSR1 cuts the connection.
const SSH: &str = r#"#!/bin/sh
printf '%s\0' "$@" >> "$STANDIN_OUT/engine"
printf '\n' >> "$STANDIN_OUT/engine"
[ ! -e "$STANDIN_OUT/unreachable" ] || { echo "ssh: connect to host $2 port 22: refused" >&2; exit 255; }
host=$2
trap 'echo "Connection to $host closed by remote host." >&2; exit 255' USR1
[ -e "$STANDIN_OUT/ssh.pid" ] || echo $$ > "$STANDIN_OUT/ssh.pid"
shift 2
exec 3<&0
setsid env --default-signal=INT -i PATH="$FAR_PATH" HOME="$HOME" STANDIN_OUT="$STANDIN_OUT" \
    sh -c "$*" <&3 3<&- &
exec 3<&-
wait $!
"#;

/// A srun that takes one SIGINT for a question and ends its task at a SIGTERM.
const SRUN: &str = r#"#!/bin/sh
echo 'srun: job 29 queued and waiting for resources' >&2
trap ': > "$STANDIN_OUT/asked"' INT
trap 'kill -KILL $far; exit 137' TERM
trap 'echo "srun: error: Node failure on vm" >&2; kill -KILL $far; exit 0' USR1
echo $$ > "$STANDIN_OUT/srun.pid"
shift
exec 3<&0
setsid "$@" <&3 3<&- &
far=$!
exec 3<&-
wait $far
while kill -0 $far 2> /dev/null; do wait $far; done
"#;

/// A docker or kubectl: `run` passes signals on to what it has started, as docker does; `exec` passes on
/// neither signals nor variables, and what it has started lives on without it.
const CONTAINERS: &str = r#"#!/bin/sh
printf '%s\0' "$@" >> "$STANDIN_OUT/engine"
printf '\n' >> "$STANDIN_OUT/engine"
[ ! -e "$STANDIN_OUT/unreachable" ] || { echo "error: no such pod" >&2; exit 1; }
variables="CODEX_SWARM_TASK=$CODEX_SWARM_TASK"
[ "$1" = run ] || variables=SOME=1
until [ "$1" = box ]; do
    if [ "$1" = run ]; then
        trap ': > "$STANDIN_OUT/passed-on"; kill -INT $far' INT
        trap 'kill -TERM $far' TERM
    fi
    shift
done
shift
[ "$1" != -- ] || shift
exec 3<&0
setsid env --default-signal=INT,TERM -i PATH="$FAR_PATH" HOME="$HOME" STANDIN_OUT="$STANDIN_OUT" \
    "$variables" "$@" <&3 3<&- &
far=$!
exec 3<&-
wait $far
status=$?
while kill -0 $far 2> /dev/null; do wait $far; status=$?; done
exit $status
"#;

/// What a codex runs so that it is left where no signal of ours gets to, and tells of a SIGINT.
const FAR: &str = r#"begin
sh setsid sh -c 'trap "touch $STANDIN_OUT/interrupted; exit" INT; touch $STANDIN_OUT/stuck; while :; do sleep 0.05; done'"#;

/// Makes an engine of this name; gives its path.
fn engine(dir: &Dir, name: &str, text: &str) -> String {
    dir.make("bin");
    program(dir, &format!("bin/{name}"), text).display().to_string()
}

/// The words of each of its runs.
fn runs(dir: &Dir) -> Vec<Vec<String>> {
    let noted = fs::read_to_string(dir.path("out/engine")).unwrap_or_default();
    let runs = noted.split_terminator("\0\n");
    runs.map(|run| run.split('\0').map(str::to_owned).collect()).collect()
}

/// A server with this PATH before the usual one and these flags, and no `--codex`.
fn server<'d>(dir: &'d Dir, flags: &[&str]) -> Server<'d> {
    let mut command = dir.command();
    let usual = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{usual}", dir.make("bin").display()));
    // where the far side's codex is
    let far = Path::new(STANDIN).parent().unwrap();
    command.env("FAR_PATH", format!("{}:{usual}", far.display()));
    command.args(flags);
    let mut server = Server::spawn(dir, command);
    server.initialize();
    server
}

/// Sends a signal to the process whose pid is in a file.
fn signal(dir: &Dir, file: &str, name: &str) {
    let pid = fs::read_to_string(dir.path(file)).unwrap();
    let pid: u32 = pid.trim().parse().unwrap();
    assert!(pid > 1);
    let pid = pid.to_string();
    assert!(Command::new("/bin/kill").args(["-s", name, &pid]).status().unwrap().success());
}

#[test]
fn a_launcher_gets_its_words_and_codex_gets_its_own() {
    let dir = Dir::new();
    engine(&dir, "docker", ENGINE);
    let line = r#"docker run '-v {cwd}:/w x' "--name=t-{task_id}" {task_dir} {other} --"#;
    let mut server = server(&dir, &["--launcher", line, "-c", "a=\"b c\""]);
    let (id, text) = server.run("begin\nsay done it\ndone");
    assert!(text.contains("done it") && text.contains("(completed in "), "{text}");
    let [run] = &runs(&dir)[..] else { panic!("one run") };
    let (own, codex) = run.split_at(7);
    let work = dir.path("work").display().to_string();
    let tasks = dir.path("tasks").display().to_string();
    let volume = format!("-v {work}:/w x");
    let name = format!("--name=t-{id}");
    assert_eq!(own, ["run", &volume, &name, &tasks, "{other}", "--", "codex"]);
    let received = dir.received(&id);
    assert_eq!(codex, received.argv);
    assert_eq!(received.options("cd"), [work.as_str()]);
    assert!(received.configs().contains(&"a=\"b c\""));
    let status = server.status(&id);
    assert_eq!(field(&status, "Launcher"), "default");
    assert_eq!(dir.record(&id).str_at("launcher_words.0"), "docker");
}

#[test]
fn a_launcher_that_is_there_is_one_like_any_other() {
    let dir = Dir::new();
    let mut nice = Vec::new();
    // a scope of systemd's is made, and then it is what was to be started
    let scope = engine(&dir, "systemd-run", "#!/bin/sh\nshift 2\nexec \"$@\"\n");
    let scope = format!("{scope} --user --scope");
    for line in ["prlimit --nofile=200", "nice -n 3", "/usr/bin/env -u HOME", &scope] {
        let mut server = dir.server_with(&["--launcher", line]);
        let (id, text) = server.run("begin\nsay done it\ndone");
        assert!(text.contains("done it"), "{line}: {text}");
        let received = dir.received(&id);
        assert_eq!(received.cwd, dir.path("work"), "{line}");
        let fields = received.stat.rsplit(") ").next().unwrap();
        nice.push(fields.split(' ').nth(16).unwrap().parse::<i32>().unwrap());
        let id = server.launch(STUCK);
        dir.marked("stuck");
        fs::remove_file(dir.path("out/stuck")).unwrap();
        let text = server.ok("codex_cancel", &ids(&[&id]));
        assert!(text.contains("is cancelled"), "{line}: {text}");
        gone(&mark_of(&id));
    }
    assert!(nice[1] > nice[0] && nice[2] == nice[0], "{nice:?}");
}

#[test]
fn through_ssh_all_words_arrive_whole_and_the_task_is_marked_there() {
    let dir = Dir::new();
    engine(&dir, "ssh", SSH);
    let mut server =
        server(&dir, &["--launcher", "far=ssh -T host", "-c", "a=\"it's $HOME `b` \\\\\""]);
    let odd = "$(touch x) 'one' \"two\" \\n * ~ # & ; é";
    let more = format!(
        r#""launcher":"far","developer-instructions":{0},"config":{{"k":{0}}},"cwd":"a b $(touch y)""#,
        quoted(odd)
    );
    fs::create_dir(dir.path("work/a b $(touch y)")).unwrap();
    let text = server.ok("codex", &script_and("begin\nsay done it\ndone", &more));
    assert_eq!(answer(&text), "done it");
    let id = task_id(&text);
    let received = dir.received(&id);
    assert!(received.env.lines().any(|line| line == mark_of(&id)), "{}", received.env);
    assert_eq!(received.configs()[0], "a=\"it's $HOME `b` \\\\\"");
    let toml = received.config("k").unwrap();
    assert_eq!(received.config("developer_instructions"), Some(toml));
    assert_eq!(read_json(toml).as_str(), Some(odd));
    let cwd = dir.path("work/a b $(touch y)").display().to_string();
    assert_eq!(received.options("cd"), [cwd.as_str()]);
    let [run] = &runs(&dir)[..] else { panic!("one run") };
    assert_eq!(run[..5], ["-T", "host", "env", &mark_of(&id), "codex"]);
    assert_eq!(field(&server.status(&id), "Launcher"), "far (host)");
}

#[test]
fn a_launcher_that_is_missing_or_fails_is_the_cause_in_its_own_words() {
    let dir = Dir::new();
    engine(&dir, "ssh", SSH);
    dir.open("unreachable");
    engine(&dir, "silent", "#!/bin/sh\nexit 7\n");
    engine(&dir, "mute", "#!/bin/sh\nexec \"$@\"\n");
    let mut server = server(
        &dir,
        &[
            "--codex",
            STANDIN,
            "--launcher",
            "none=no-such-engine -x",
            "--launcher",
            "path=bin/no-such",
            "--launcher",
            "far=ssh -T host",
            "--launcher",
            "silent=silent",
            "--launcher",
            "mute=mute",
        ],
    );
    for (name, category, parts) in [
        ("none", "launcher", ["cannot start the launcher no-such-engine: there", "PATH ("]),
        ("path", "launcher", ["cannot start the launcher bin/no-such: there", "PATH ("]),
        ("far", "launcher", ["Cause: ssh: connect to host host port 22: refused", "refused"]),
        ("silent", "launcher", ["Cause: the launcher ended with status 7", "did not say why"]),
        ("mute", "invalid_request", ["Cause: no such thread", "no such"]),
    ] {
        let lines = "stderr Error: no such thread\nexit 1";
        let text = server.refused("codex", &script_and(lines, &format!(r#""launcher":"{name}""#)));
        assert!(parts.iter().all(|part| text.contains(part)), "{name}: {text}");
        assert!(field(&text, "Category").starts_with(category), "{name}: {text}");
    }
    let text = server.refused("codex_async", &script_and("done", r#""launcher":"none""#));
    assert!(text.contains("was not started: cannot start the launcher"), "{text}");
}

#[test]
fn what_ssh_has_started_is_ended_there_when_the_task_is_cancelled() {
    let dir = Dir::new();
    engine(&dir, "ssh", SSH);
    let mut server = server(&dir, &["--launcher", "ssh -T host"]);
    let id = server.launch(FAR);
    dir.marked("stuck");
    let text = server.ok("codex_cancel", &ids(&[&id]));
    assert!(
        text.contains("is cancelled") && text.contains("none of its processes is left"),
        "{text}"
    );
    // what would have been killed here, had it not been ended there, hears no SIGINT
    dir.marked("interrupted");
    gone(&mark_of(&id));
    let [_, end] = &runs(&dir)[..] else { panic!("two runs") };
    assert_eq!(end[..4], ["-T", "host", "sh", "-c"]);
    assert_eq!(end[5], id);
}

#[test]
fn what_an_exec_has_started_in_a_container_is_ended_by_another() {
    let dir = Dir::new();
    for (name, line) in [
        ("docker", "docker exec -i -w {cwd} box"),
        ("podman", "podman exec -i box"),
        ("kubectl", "kubectl -n ns exec -i -c app box --"),
    ] {
        engine(&dir, name, CONTAINERS);
        let mut server = server(&dir, &["--launcher", line]);
        let (id, text) = server.run("begin\nsay done it\ndone");
        assert!(text.contains("done it"), "{text}");
        let [run] = &runs(&dir)[..] else { panic!("one run") };
        let mark = mark_of(&id);
        assert!(run.windows(3).any(|words| words == ["env", &mark, "codex"]), "{run:?}");
        assert_eq!(
            run.split_last_chunk::<1>().map(|(_, last)| last),
            dir.received(&id).argv.last_chunk()
        );
        assert_eq!(field(&server.status(&id), "Launcher"), "default (box)");

        let id = server.launch(FAR);
        dir.marked("stuck");
        let text = server.ok("codex_cancel", &ids(&[&id]));
        assert!(text.contains("none of its processes is left"), "{text}");
        dir.marked("interrupted");
        gone(&mark_of(&id));
        let [_, _, end] = &runs(&dir)[..] else { panic!("three runs") };
        let [.., shell, option, _, task] = &end[..] else { panic!("{end:?}") };
        assert_eq!((shell.as_str(), option.as_str(), task), ("sh", "-c", &id));

        // one that is lost cannot be told by its status from a codex that failed
        fs::remove_file(dir.path("out/stuck")).unwrap();
        let id = server.launch("begin\nsh touch $STANDIN_OUT/stuck\nwait-for never");
        dir.marked("stuck");
        harm::signal("KILL", &launchers(&id, "sh"));
        let text = server.wait(&[&id]);
        assert!(text.contains("(failed in ") && !text.contains("may be left"), "{text}");
        gone(&mark_of(&id));
        assert_eq!(runs(&dir).len(), 5, "it was ended there");
        for name in ["stuck", "interrupted", "engine"] {
            fs::remove_file(dir.path("out").join(name)).unwrap();
        }
    }
}

#[test]
fn docker_passes_on_the_signal_that_ends_a_container() {
    let dir = Dir::new();
    engine(&dir, "docker", CONTAINERS);
    let mut server = server(&dir, &["--launcher", "docker run -i --rm --init -v {cwd}:{cwd} box"]);
    let id = server.launch(STUCK);
    dir.marked("stuck");
    let text = server.ok("codex_cancel", &ids(&[&id]));
    assert!(text.contains("none of its processes is left"), "{text}");
    dir.marked("passed-on");
    assert_eq!(dir.record(&id).at("exit_code").as_i64(), Some(1), "it was not killed");
    let [run] = &runs(&dir)[..] else { panic!("one run") };
    let volume = format!("-v|{0}:{0}", dir.path("work").display());
    assert_eq!(run[..7].join("|"), format!("run|-i|--rm|--init|{volume}|box"));

    // a client that is killed leaves its container, and what runs in a real one cannot be seen
    fs::remove_file(dir.path("out/stuck")).unwrap();
    let id = server.launch(STUCK);
    dir.marked("stuck");
    harm::signal("KILL", &launchers(&id, "sh")[..1]);
    let text = server.wait(&[&id]);
    let note = "something may be left on the far side: it could not be ended there";
    assert!(text.contains("(failed in ") && text.contains(note), "{text}");
    gone(&mark_of(&id));
}

#[test]
fn the_choice_of_launchers_is_offered_where_there_is_one() {
    let dir = Dir::new();
    let of = |server: &mut Server<'_>| server.ask("tools/list", "{}").to_json();
    assert!(!of(&mut dir.server()).contains("launcher"));
    let flags = ["--launcher", "gpu=nice", "--launcher", "env", "--launcher", "gpu=env -u X"];
    let listed = of(&mut dir.server_with(&flags));
    // of two with one name the later counts
    let expected = r#""launcher":{"type":"string","enum":["default","gpu"],"description":"#;
    assert_eq!(listed.matches(expected).count(), 2, "{listed}");
    let bare = r#""launcher":{"type":"string","enum":["default","gpu"]}"#;
    assert_eq!(listed.matches(bare).count(), 1, "{listed}");
}

#[test]
fn the_configuration_has_names_and_limits_of_launchers_and_no_words() {
    let dir = Dir::new();
    let flags =
        ["--launcher", "gpu=env TOKEN=x nice", "--launcher", "nice", "--max-parallel", "gpu=2"];
    let config = dir.server_with(&flags).read("codex-swarm:///config");
    assert_eq!(read_json(&config).at("launchers").to_json(), r#"{"gpu":2,"default":null}"#);
    assert!(!config.contains("TOKEN"), "{config}");
}

#[test]
fn what_cannot_be_ended_there_is_told() {
    let dir = Dir::new();
    engine(&dir, "ssh", SSH);
    let mut server = server(&dir, &["--launcher", "ssh -T host"]);
    let id = server.launch(STUCK);
    dir.marked("stuck");
    dir.open("unreachable");
    let text = server.ok("codex_cancel", &ids(&[&id]));
    assert!(text.contains("something may be left on host: it could not be ended there"), "{text}");
    let text = server.status(&id);
    assert!(field(&text, "Note").starts_with("something may be left on host"), "{text}");
}

#[test]
fn a_connection_that_is_cut_is_the_cause_and_leaves_nothing_running() {
    let dir = Dir::new();
    engine(&dir, "ssh", SSH);
    let mut server = server(&dir, &["--launcher", "ssh -T host"]);
    let retry = r#"line {"type":"error","message":"Reconnecting... 1/5"}"#;
    let id = server.launch(&format!("begin\n{retry}\nmark stuck\nwait-for never"));
    dir.marked("stuck");
    signal(&dir, "out/ssh.pid", "USR1");
    let text = server.wait(&[&id]);
    assert!(text.contains("(failed in ") && text.contains(", exit 255)"), "{text}");
    assert_eq!(field(&text, "Cause"), "Connection to host closed by remote host.");
    assert!(field(&text, "Category").starts_with("launcher (retryable: unknown)"), "{text}");
    gone(&mark_of(&id));
    assert_eq!(runs(&dir).len(), 2, "it was ended there");
}

#[test]
fn srun_is_asked_a_second_time_and_says_which_job_it_is() {
    let dir = Dir::new();
    engine(&dir, "srun", SRUN);
    let mut server = server(&dir, &["--codex", STANDIN, "--launcher", "gpu=srun -n1"]);
    // what codex says there after it is much
    let noise =
        dir.write("noise", &"a warning of some length\n".repeat(10_000)).display().to_string();
    let script = format!("trap-int\nbegin\nstderr-file {noise}\nmark stuck\nwait-for never");
    let id = server.launch_with(&script_and(&script, r#""launcher":"gpu""#));
    dir.marked("stuck");
    assert_eq!(field(&server.status(&id), "Launcher"), "gpu (job 29)");
    let text = server.ok("codex_cancel", &ids(&[&id]));
    assert!(text.contains("is cancelled"), "{text}");
    dir.marked("asked");
    assert_eq!(dir.record(&id).at("exit_code").as_i64(), Some(137), "it was not killed");
    let listed = server.read(&format!("codex-swarm:///tasks/{id}"));
    assert_eq!(read_json(&listed).str_at("far"), "job 29");
    gone(&mark_of(&id));
}

#[test]
fn a_machine_that_srun_loses_is_a_failure_whatever_its_status() {
    let dir = Dir::new();
    engine(&dir, "srun", SRUN);
    let mut server = server(&dir, &["--codex", STANDIN, "--launcher", "srun -n1"]);
    let id = server.launch(STUCK);
    dir.marked("stuck");
    signal(&dir, "out/srun.pid", "USR1");
    let text = server.wait(&[&id]);
    assert!(text.contains("(failed in ") && text.contains(", exit 0)"), "{text}");
    assert!(field(&text, "Cause").contains("srun: error: Node failure on vm"), "{text}");
    assert!(field(&text, "Category").starts_with("launcher"), "{text}");
}

#[test]
fn a_call_names_a_launcher_of_the_flags_and_nothing_else() {
    let dir = Dir::new();
    let refused = |server: &mut Server<'_>, known: &str| {
        for name in ["x", "gpu ", "", "nice -n3", "../x"] {
            let more = format!(r#""launcher":{}"#, quoted(name));
            let text = server.refused("codex_async", &prompt_and("p", &more));
            let expected =
                format!("launcher is {name:?}; this server's --launcher options have: {known}");
            assert_eq!(text, expected);
        }
    };
    refused(&mut dir.server(), "none");
    let flags = ["--launcher", "gpu=nice -n 3", "--launcher", "env", "--locked"];
    let mut locked = dir.server_with(&flags);
    refused(&mut locked, "gpu, default");
    let text = locked.refused("codex_async", r#"{"prompt":"p","launcher":["nice"]}"#);
    assert!(text.contains("launcher must be a string"), "{text}");
    assert_eq!(dir.started(), 0);
    // one that is locked lets its callers choose too, and says the directory outright
    for name in ["gpu", "default"] {
        let more = format!(r#""launcher":"{name}""#);
        let id = task_id(&locked.ok("codex", &script_and("begin\ndone", &more)));
        assert_eq!(dir.record(&id).str_at("launcher"), name);
        let work = dir.path("work").display().to_string();
        assert_eq!(dir.received(&id).options("cd"), [work.as_str()]);
    }
}

#[test]
fn a_reply_goes_through_the_launcher_of_its_thread() {
    let dir = Dir::new();
    let mut one = dir.server_with(&["--launcher", "gpu=nice", "--launcher", "cpu=env"]);
    let text = one.ok("codex", &script_and("begin\nsay a\ndone", r#""launcher":"gpu""#));
    let thread = thread_id(&text).to_owned();
    let reply = format!(r##"{{"threadId":"{thread}","prompt":"#standin\nbegin\nsay b\ndone"}}"##);
    let id = task_id(&one.ok("codex_reply", &reply));
    assert_eq!(dir.record(&id).str_at("launcher_words.0"), "nice");
    let other = reply.replacen('{', r#"{"launcher":"cpu","#, 1);
    let id = task_id(&one.ok("codex_reply", &other));
    assert_eq!(dir.record(&id).str_at("launcher"), "cpu");
    drop(one);
    let mut two = dir.server_with(&["--launcher", "nice"]);
    let text = two.refused("codex_reply", &reply);
    assert!(
        text.contains("launcher is \"cpu\"; this server's --launcher options have: default"),
        "{text}"
    );
    let text = two.ok("codex_reply", &reply.replacen('{', r#"{"launcher":"default","#, 1));
    assert_eq!(dir.record(&task_id(&text)).str_at("launcher_words.0"), "nice");
    drop(two);
    // one without a name is each server's own, or none
    for (flags, words) in [(&["--launcher", "env"][..], Some("env")), (&[], None)] {
        let id = task_id(&dir.server_with(flags).ok("codex_reply", &reply));
        let record = dir.record(&id);
        assert_eq!(record.get("launcher_words").map(|_| record.str_at("launcher_words.0")), words);
    }
}

#[test]
fn words_that_are_none_are_told_at_the_start() {
    let dir = Dir::new();
    for (flags, part) in [
        (&["--launcher", ""][..], "--launcher needs words with every quote closed, this is ''"),
        (&["--launcher", "gpu='srun"], "this is ''srun'"),
        (&["--launcher"], "--launcher needs words after it"),
        (&["--max-parallel", "gpu=2"], "--max-parallel names no --launcher before it: gpu"),
        (
            &["--launcher", "gpu=x", "--max-parallel", "gpu=0"],
            "needs a number above 0, this is '0'",
        ),
    ] {
        let output = dir.command().args(flags).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(part) && output.status.code() == Some(2), "{flags:?}: {said}");
    }
}

/// An errand for a launcher that waits at this gate.
fn wait_at(gate: &str, launcher: &str) -> String {
    let more = if launcher.is_empty() { "" } else { &format!(r#""launcher":"{launcher}""#) };
    prompt_and(&format!("queued 1 {gate} done\n"), more)
}

#[test]
fn each_launcher_has_its_limit_and_who_waits_for_it_holds_up_no_other() {
    let dir = Dir::new();
    let flags = [
        "--launcher",
        "a=nice",
        "--launcher",
        "b=env",
        "--max-parallel",
        "a=1",
        "--max-parallel",
        "3",
    ];
    let (mut one, mut two) = (swift_server(&dir, &flags), swift_server(&dir, &flags));
    let gates = ["a", "b"].map(|name| Gate::new(&dir, name));
    let first = one.launch_with(&wait_at("a", "a"));
    begun(&dir, &first);
    let told = one.ok("codex_async", &wait_at("-", "a"));
    assert!(told.contains("queued: at most 1 run at once"), "{told}");
    let second = task_id(&told);
    let third = two.launch_with(&wait_at("-", "a"));
    // there is room for two among all, and who waits for a is not before them there
    let others = ["b", ""].map(|name| two.launch_with(&wait_at("b", name)));
    for id in &others {
        begun(&dir, id);
    }
    let last = two.launch_with(&wait_at("-", "b"));
    for id in [&second, &third, &last] {
        assert_eq!(field(&one.status(id), "Phase"), "queued");
    }
    // one in the middle of the launcher's queue can be cancelled
    one.ok("codex_cancel", &ids(&[&second]));
    let [a, b] = gates;
    drop(a);
    let done = one.wait(&[&first, &third, &last]);
    assert_eq!(done.matches("(completed in ").count(), 3, "{done}");
    drop(b);
    one.wait(&others.each_ref().map(String::as_str));
    let mut expected = vec![first];
    expected.extend(others);
    assert_eq!(order(&dir)[..3], expected[..]);
    for queue in ["queue", "queue.a"] {
        assert_eq!(
            fs::read_dir(dir.path(&format!("tasks/{queue}"))).unwrap().count(),
            0,
            "{queue}"
        );
    }
    assert!(!dir.path("tasks/queue.b").exists());
}

#[test]
fn many_tasks_keep_both_limits_and_all_of_them_run() {
    let dir = Dir::new();
    let flags = ["--launcher", "a=nice", "--launcher", "b=env", "--max-parallel", "a=2"];
    let flags = [&flags[..], &["--max-parallel", "b=2", "--max-parallel", "3"]].concat();
    let mut server = swift_server(&dir, &flags);
    dir.write("out/tickets", "1 2 3\n");
    let calls: Vec<u32> = (0..30)
        .map(|n| server.begin("codex_async", &wait_at("0.02", ["a", "b", ""][n % 3])))
        .collect();
    let tasks: Vec<String> =
        calls.into_iter().map(|call| task_id(&text_of(&server.result(call)))).collect();
    let all: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let told = server.wait(&all);
    assert_eq!(told.matches("(completed in ").count(), 30, "{told}");
    assert!(!dir.path("out/too-many").exists());
}

#[test]
fn a_launcher_that_is_there_and_cannot_be_run_is_the_cause() {
    let dir = Dir::new();
    let broken = engine(&dir, "broken", "#!/no/such/interpreter\n");
    let mut server = dir.server_with(&["--launcher", &format!("{broken} -x")]);
    let text = server.refused("codex", &script("done"));
    let cause = format!("cannot start the launcher {broken} in {}: ", dir.path("work").display());
    assert!(field(&text, "Cause").starts_with(&cause), "{text}");
    assert!(field(&text, "Category").starts_with("launcher"), "{text}");
}

#[test]
fn where_a_task_is_stays_known_whatever_codex_says_on_stderr() {
    let dir = Dir::new();
    engine(&dir, "srun", SRUN);
    let mut server = server(&dir, &["--codex", STANDIN, "--launcher", "srun -n1"]);
    let (id, _) = server.run("begin\nsh yes noise | head -n 20000\nsay x\ndone");
    assert_eq!(field(&server.status(&id), "Launcher"), "default (job 29)");
}

#[test]
fn what_may_be_left_is_told_where_no_launcher_says_where_it_is() {
    let dir = Dir::new();
    engine(&dir, "kubectl", CONTAINERS);
    let mut server = server(&dir, &["--launcher", "kubectl exec -i --container app box --"]);
    let id = server.launch(STUCK);
    dir.marked("stuck");
    dir.open("unreachable");
    let text = server.ok("codex_cancel", &ids(&[&id]));
    assert!(text.contains("may be left on the far side: it could"), "{text}");
}

#[test]
fn what_a_command_by_hand_cannot_end_elsewhere_stays_told() {
    let dir = Dir::new();
    let words = r#""launcher":"default","launcher_words":["ssh","host"]"#;
    let members = format!(r#","supervisor_pid":4194000,"supervisor_start_time":7,{words}"#);
    task("0000000a", "running").with(&members).put(&dir);
    by_hand(&dir, &["wait", "0000000a"]);
    gone(&dir.marker());
    let text = dir.server().status("0000000a");
    assert!(text.contains("(FAILED in "), "{text}");
    assert!(field(&text, "Note").starts_with("something may be left on host"), "{text}");
}

#[test]
fn those_who_come_from_their_launchers_at_once_keep_the_limit_of_all() {
    let dir = Dir::new();
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let values: Vec<String> = names
        .iter()
        .flat_map(|name| {
            [
                "--launcher".into(),
                format!("{name}=env"),
                "--max-parallel".into(),
                format!("{name}=1"),
            ]
        })
        .collect();
    let flags: Vec<&str> = values.iter().map(String::as_str).collect();
    let mut free = swift_server(&dir, &flags);
    let mut server = swift_server(&dir, &[&flags[..], &["--max-parallel", "1"]].concat());
    for round in 0..5 {
        let _ = fs::remove_file(dir.path("out/tickets"));
        let name = format!("gate-{round}");
        let gate = Gate::new(&dir, &name);
        // each has its launcher to itself, and the next one waits for it
        let first = names.map(|launcher| free.launch_with(&wait_at(&name, launcher)));
        for id in &first {
            begun(&dir, id);
        }
        dir.write("out/tickets", "1\n");
        let next = names.map(|launcher| server.launch_with(&wait_at("0.02", launcher)));
        until("the queues", || {
            let waits = |name: &&str| {
                fs::read_dir(dir.path(&format!("tasks/queue.{name}")))
                    .is_ok_and(|queue| queue.count() == 1)
            };
            names.iter().all(waits).then_some(())
        });
        drop(gate);
        let told = server.wait(&next.each_ref().map(String::as_str));
        assert_eq!(told.matches("(completed in ").count(), names.len(), "{told}");
        assert!(!dir.path("out/too-many").exists(), "round {round}");
    }
}

#[test]
fn what_a_dead_supervisor_has_left_elsewhere_is_ended_though_somebody_else_saw_it_first() {
    let dir = Dir::new();
    engine(&dir, "ssh", SSH);
    let mut server = server(&dir, &["--launcher", "ssh -T host"]);
    let id = server.launch(STUCK);
    dir.marked("stuck");
    let itself = [server.pid()];
    harm::signal("STOP", &itself);
    harm::kill_supervisor(&dir, &id);
    by_hand(&dir, &["wait", &id]);
    harm::signal("CONT", &itself);
    until("its end there", || runs(&dir).iter().any(|run| run[2] == "sh").then_some(()));
    server.end();
    gone(&dir.marker());
}

#[test]
fn one_in_the_queue_of_all_can_be_cancelled_or_die_and_holds_up_nobody() {
    let dir = Dir::new();
    let flags = ["--launcher", "a=env", "--max-parallel", "a=3", "--max-parallel", "1"];
    let mut server = swift_server(&dir, &flags);
    let gate = Gate::new(&dir, "go");
    let first = server.launch_with(&wait_at("go", ""));
    begun(&dir, &first);
    let [cancelled, killed, last] = ["-"; 3].map(|gate| {
        let id = server.launch_with(&wait_at(gate, "a"));
        until("the queue of all", || {
            let mut places = fs::read_dir(dir.path("tasks/queue")).ok()?.flatten();
            places.any(|place| place.file_name().to_str().unwrap().ends_with(&id)).then_some(())
        });
        id
    });
    for id in [&cancelled, &killed, &last] {
        assert_eq!(field(&server.status(id), "Phase"), "queued");
    }
    let text = server.ok("codex_cancel", &ids(&[&cancelled]));
    assert!(text.contains("is cancelled"), "{text}");
    harm::kill_supervisor(&dir, &killed);
    assert!(server.wait(&[&killed]).contains("(failed in "));
    // and what they held of their launcher is free
    let more = ["-"; 2].map(|gate| server.launch_with(&wait_at(gate, "a")));
    drop(gate);
    let told = server.wait(&[&first, &last, &more[0], &more[1]]);
    assert_eq!(told.matches("(completed in ").count(), 4, "{told}");
    assert_eq!(fs::read_dir(dir.path("tasks/queue")).unwrap().count(), 0);
}
