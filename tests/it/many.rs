//! What tests of many tasks share: a codex that starts no other process, and looks at processes.

use crate::json::{self, Value};
use crate::support::*;
use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// A codex of one process: a thousand of them start in some seconds. Its prompt is one line: what to
/// call itself, how many commands to run, the gate to wait at before them (or `-`, or so many seconds
/// to sleep), how to end.
///
/// It adds its task to the file `order`. Where there is a file `tickets`, it holds one of the tickets
/// that are listed in there while it runs, and makes the file `too-many` if none is free.
const SWIFT: &str = r#"#!/bin/sh
cd "$STANDIN_OUT" || exit 95
read -r name commands gate end
echo "$CODEX_SWARM_TASK" >> order
ticket=
if [ -e tickets ]; then
    read -r tickets < tickets
    set -C
    for n in $tickets; do
        if true 2> /dev/null > "ticket-$n"; then
            ticket=ticket-$n
            break
        fi
    done
    if [ -z "$ticket" ]; then
        echo "$name" >| too-many
    fi
fi
printf '{"type":"thread.started","thread_id":"01a20000-0000-7000-8000-0000%s"}\n' "$CODEX_SWARM_TASK"
printf '{"type":"turn.started"}\n'
case $gate in
-) ;;
[0-9]*) sleep "$gate" ;;
*) read -r opened < "$gate" ;;
esac
item() {
    printf '{"type":"item.%s","item":{"id":"item_%s","type":"command_execution","command":"%s","aggregated_output":"","exit_code":%s,"status":"%s"}}\n' \
        "$1" "$n" "$name" "$2" "$3"
}
n=0
while [ "$n" -lt "$commands" ]; do
    item started null in_progress
    item completed 0 completed
    n=$((n + 1))
done
printf '{"type":"item.completed","item":{"id":"answer","type":"agent_message","text":"this is %s"}}\n' "$name"
if [ -n "$ticket" ]; then
    rm "$ticket"
fi
case $end in
done | linger)
    printf '{"type":"turn.completed","usage":{"input_tokens":1000,"cached_input_tokens":200,"output_tokens":50}}\n'
    if [ "$end" = linger ]; then
        sleep 0.3
    fi
    ;;
fail) printf '{"type":"turn.failed","error":{"message":"%s has failed"}}\n' "$name"; exit 1 ;;
kill) kill -KILL $$ ;;
stay) read -r never < never ;;
stubborn)
    trap '' INT
    setsid sleep 600 > /dev/null 2>&1 &
    read -r never < never
    ;;
*) exit "$end" ;;
esac
"#;

/// Puts it into the test's directory, and gives its path.
pub fn swift(dir: &Dir) -> PathBuf {
    program(dir, "swift", SWIFT)
}

/// Puts a program into the test's directory, unless it is there, and gives its path.
pub fn program(dir: &Dir, name: &str, text: &str) -> PathBuf {
    let path = dir.path(name);
    if !path.exists() {
        // what is being written cannot be run
        let interim = dir.write(&format!("{name}.new"), text);
        fs::set_permissions(&interim, fs::Permissions::from_mode(0o700)).unwrap();
        fs::rename(interim, &path).unwrap();
    }
    path
}

/// A server that runs it, with more flags.
pub fn swift_server<'d>(dir: &'d Dir, flags: &[&str]) -> Server<'d> {
    let mut command = dir.command();
    command.arg("--codex").arg(swift(dir)).args(flags);
    let mut server = Server::spawn(dir, command);
    server.initialize();
    server
}

/// The same command, started by a shell that sets limits before.
pub fn limited(command: &Command, limits: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("{limits} && exec \"$0\" \"$@\"")]);
    shell.arg(command.get_program()).args(command.get_args()).env_clear();
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(command.get_current_dir().unwrap());
    shell
}

/// What it is to be told to do.
pub fn errand(name: &str, commands: u32, gate: &str, end: &str) -> String {
    prompt_and(&format!("{name} {commands} {gate} {end}\n"), "")
}

/// A gate at which any number of tasks wait without a look at a clock, until this is dropped.
pub struct Gate {
    /// Where it is.
    path: PathBuf,
    /// The pipe that they read, held open for writing.
    _pipe: File,
}

impl Gate {
    /// Makes it, closed.
    pub fn new(dir: &Dir, name: &str) -> Gate {
        let path = dir.path("out").join(name);
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let pipe = File::options().read(true).write(true).open(&path).unwrap();
        Gate { path, _pipe: pipe }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // whoever comes later finds it open
        let open = self.path.with_extension("open");
        if fs::write(&open, "").is_ok() {
            let _ = fs::rename(open, &self.path);
        }
    }
}

/// As [`until`], with more patience: it is about very many tasks.
pub fn at_last<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + 4 * CAP;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < end, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The tasks there are, and their records as they stand.
pub fn records(dir: &Dir) -> Vec<(String, String)> {
    let names = fs::read_dir(dir.path("tasks")).into_iter().flatten().flatten();
    let records = names.filter_map(|entry| {
        let id = entry.file_name().to_str()?.strip_suffix(".meta")?.to_owned();
        Some((id, fs::read_to_string(entry.path()).ok()?))
    });
    records.collect()
}

/// The tasks whose codex has begun, in the order in which they did.
pub fn order(dir: &Dir) -> Vec<String> {
    let order = fs::read_to_string(dir.path("out/order")).unwrap_or_default();
    order.lines().map(str::to_owned).collect()
}

/// Waits until a task's codex has begun.
pub fn begun(dir: &Dir, id: &str) {
    until("codex", || order(dir).iter().any(|begun| begun == id).then_some(()));
}

/// The supervisor that a task has now, if it has one.
pub fn supervisor(dir: &Dir, id: &str) -> Option<u32> {
    let text = fs::read_to_string(dir.task_file(id, "meta")).ok()?;
    let record = json::parse(text.as_bytes()).ok()?;
    let pid = record.get("supervisor_pid").and_then(Value::as_u64)?;
    let pid = u32::try_from(pid).ok().filter(|pid| *pid > 1)?;
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mut words = line.split(|b| *b == 0).skip(1);
    let is = words.next() == Some(b"supervise") && words.next() == Some(id.as_bytes());
    is.then_some(pid)
}

/// Kills a task's supervisor as a crash would, and waits until it is gone; `false` if there is none.
pub fn kill_supervisor(dir: &Dir, id: &str) -> bool {
    let Some(pid) = supervisor(dir, id) else { return false };
    let kill = Command::new("/bin/kill").args(["-KILL", &pid.to_string()]).output().unwrap();
    until("the supervisor's end", || supervisor(dir, id).is_none().then_some(()));
    kill.status.success()
}

/// A number of kilobytes in /proc/PID/status. 0 where there is no /proc, as in all that follows.
pub fn kilobytes(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    maybe_field(&status, name).map_or(0, |value| value.trim_end_matches(" kB").parse().unwrap())
}

/// How many descriptors a process has open.
pub fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// How many children a process has that have ended and that it has not reaped.
pub fn zombies(pid: u32) -> usize {
    let is = |stat: &[u8]| {
        let stat = String::from_utf8_lossy(stat).into_owned();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(&format!("Z {pid} ")))
    };
    each_process("stat").iter().filter(|(_, stat)| is(stat)).count()
}

/// For how long a process of one thread has worked, whatever else the machine had to do meanwhile.
pub fn worked(pid: u32) -> Duration {
    let times = fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
    let nanos = times.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// Whether a process waits for something, and not for a processor.
pub fn sleeps(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('S'))
}

/// How long pings took.
#[derive(Default)]
pub struct Pings {
    /// By the clock.
    waited: Vec<Duration>,
    /// Of that, what the server has worked.
    worked: Vec<Duration>,
}

impl Pings {
    /// Asks one.
    pub fn ask(&mut self, server: &mut Server<'_>) {
        let (begin, before) = (Instant::now(), worked(server.pid()));
        server.ask("ping", "{}");
        self.waited.push(begin.elapsed());
        self.worked.push(worked(server.pid()).saturating_sub(before));
    }

    /// The median and the longest of all that were asked, and the longest work.
    fn summary(&self) -> [Duration; 3] {
        let mut waited = self.waited.clone();
        waited.sort_unstable();
        let longest = |of: &[Duration]| of.iter().max().copied().unwrap_or_default();
        [waited[waited.len() / 2], longest(&waited), longest(&self.worked)]
    }

    /// Fails if the server was slow. On a machine that is busy with a thousand other processes the
    /// clock tells little of one ping.
    pub fn were_quick(&self) {
        let [median, ..] = self.summary();
        assert!(median < Duration::from_millis(500), "{self}");
        self.cost_little();
    }

    /// Fails if the server had much to do before it answered.
    pub fn cost_little(&self) {
        let [.., work] = self.summary();
        let most = if cfg!(debug_assertions) { 5000 } else { 1000 };
        assert!(work < Duration::from_millis(most), "{self}");
    }
}

impl fmt::Display for Pings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([median, longest, work], count) = (self.summary(), self.waited.len());
        write!(f, "{count} in {median:?}, one in {longest:?}, one after {work:?} of work")
    }
}
