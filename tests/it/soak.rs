//! Servers and supervisors die at random while tasks of all kinds are started, waited for, replied to
//! and cancelled by several servers. In the end every task has one verdict, and the true one.

use crate::json::{self, Value};
use crate::many::*;
use crate::support::*;
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Numbers by chance, the same ones for the same seed.
struct Chance(u64);

impl Chance {
    /// A number below this one: xorshift64*.
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % limit
    }

    /// One of these.
    fn of<'t, T>(&mut self, all: &'t [T]) -> &'t T {
        &all[self.below(all.len())]
    }

    /// Some of these, at most so many.
    fn some<T: Clone>(&mut self, all: &[T], most: usize) -> Vec<T> {
        let count = 1 + self.below(most);
        (0..count).map(|_| self.of(all).clone()).collect()
    }
}

/// How tasks end that are left alone, the verdict, and the exit status.
const ENDS: [(&str, &str, i64); 6] = [
    ("done", "completed", 0),
    ("linger", "completed", 0),
    ("fail", "failed", 1),
    ("7", "failed", 7),
    ("kill", "failed", -9),
    ("stay", "", 0),
];

/// For how many seconds they wait before.
const GATES: [&str; 6] = ["-", "-", "0.05", "0.3", "1", "3"];

/// A task that was asked for.
#[derive(Default)]
struct Asked {
    /// How it ends if it is left alone: an index of [`ENDS`].
    end: usize,
    /// Its id, if the client was told.
    id: Option<String>,
    /// Somebody asked for its end, or its server died while somebody waited for its answer.
    may_be_cancelled: bool,
    /// Its supervisor was killed.
    orphaned: bool,
    /// Its server died while somebody waited for its answer: it has to end without being told to.
    unwanted: bool,
}

/// A call that is not answered yet.
enum Call {
    /// It starts these tasks, and waits for their ends or not.
    Start { tasks: Vec<usize>, waits: bool },
    /// It tells of tasks.
    Tell,
}

/// A server, and what it owes.
struct Client<'d> {
    server: Server<'d>,
    open: BTreeMap<u32, Call>,
}

/// All of it.
struct Soak<'d> {
    dir: &'d Dir,
    chance: Chance,
    clients: Vec<Client<'d>>,
    terminals: Vec<Child>,
    asked: Vec<Asked>,
    /// The verdict that was told of a task first; it is its last.
    verdicts: BTreeMap<String, String>,
    /// How often what was done.
    done: BTreeMap<&'static str, u32>,
}

/// The tasks that a text is about, and the verdict of each that has one.
fn heads(text: &str) -> Vec<(&str, Option<String>)> {
    let heads = text.lines().filter_map(|line| line.strip_prefix("=== Task ")?.split_at_checked(8));
    let read = |(id, how): (&'_ str, &str)| {
        assert!(!how.contains("NOT FOUND"), "{id}: {how}");
        let word = how.strip_prefix(" (")?.split(' ').next()?.to_lowercase();
        ["completed", "failed", "cancelled"].contains(&word.as_str()).then_some(word)
    };
    heads.map(|(id, how)| (id, read((id, how)))).collect()
}

impl<'d> Soak<'d> {
    /// Three servers, and nothing asked yet.
    fn new(dir: &'d Dir, seed: u64) -> Soak<'d> {
        let (chance, asked) = (Chance(seed | 1), Vec::new());
        let mut soak = Soak {
            dir,
            chance,
            clients: Vec::new(),
            terminals: Vec::new(),
            asked,
            verdicts: BTreeMap::new(),
            done: BTreeMap::new(),
        };
        for _ in 0..3 {
            let client = soak.new_client();
            soak.clients.push(client);
        }
        soak
    }

    /// A new server, with a limit or without.
    fn new_client(&mut self) -> Client<'d> {
        let flags: [&[&str]; 4] = [&[], &[], &["--max-parallel", "6"], &["--max-parallel", "12"]];
        let flags = *self.chance.of(&flags);
        Client { server: swift_server(self.dir, flags), open: BTreeMap::new() }
    }

    /// Notes that something was done.
    fn note(&mut self, what: &'static str) {
        *self.done.entry(what).or_default() += 1;
    }

    /// What a new task is told.
    fn errand(&mut self) -> (usize, String) {
        let number = self.asked.len();
        let end = self.chance.below(ENDS.len());
        let gate = *self.chance.of(&GATES);
        self.asked.push(Asked { end, ..Asked::default() });
        let name = match ENDS[end].0 {
            "stay" if self.chance.below(3) == 0 => "stubborn",
            name => name,
        };
        (number, errand(&format!("number-{number}"), 3, gate, name))
    }

    /// The task that a prompt is of.
    fn number(&self, id: &str) -> usize {
        let prompt = fs::read_to_string(self.dir.task_file(id, "prompt")).unwrap();
        let number = prompt.strip_prefix("number-").and_then(|rest| rest.split(' ').next());
        number.unwrap().parse().unwrap()
    }

    /// Whether a task has to be told to end.
    fn is_stuck(&self, id: &str) -> bool {
        let asked = &self.asked[self.number(id)];
        ENDS[asked.end].0 == "stay" && !asked.unwanted
    }

    /// The tasks that have not ended; the verdicts of the others are looked at.
    fn living(&mut self) -> Vec<String> {
        let mut ids = ids_on_disk(self.dir);
        ids.retain(|id| !self.verdicts.contains_key(id));
        ids.retain(|id| match verdict_on_disk(self.dir, id) {
            Some(verdict) => {
                self.check(id, &verdict);
                false
            }
            None => true,
        });
        ids
    }

    /// The tasks that clients were told of.
    fn known(&self) -> Vec<String> {
        self.asked.iter().filter_map(|asked| asked.id.clone()).collect()
    }

    /// Does one thing by chance.
    fn step(&mut self) {
        let at = self.chance.below(self.clients.len());
        let living = self.living();
        let known = self.known();
        let recent: Vec<String> = known.iter().rev().take(50).cloned().collect();
        let crowded = living.len() > 30;
        match self.chance.below(100) {
            0..22 if !crowded => self.start(at, "codex_async"),
            22..32 if !crowded => self.start(at, "codex"),
            32..38 if !crowded => self.start_batch(at),
            38..44 if !crowded && !known.is_empty() => self.reply(at, &known),
            44..50 if !known.is_empty() => self.status(at, &recent),
            50..54 if !known.is_empty() => self.wait_at_terminal(&recent),
            54..57 => self.take_back(at),
            57..62 if !living.is_empty() => self.kill_supervisor(&living),
            62..66 => self.kill_server(at),
            66..77 if !living.is_empty() => self.cancel(at, &living),
            _ if !known.is_empty() => self.wait(at, &recent),
            _ => {}
        }
        let at = self.chance.below(self.clients.len());
        self.hear(at);
    }

    /// Begins a call.
    fn begin(&mut self, at: usize, tool: &'static str, args: &str, call: Call) {
        self.note(tool);
        let client = &mut self.clients[at];
        let id = client.server.begin(tool, args);
        client.open.insert(id, call);
    }

    /// Asks for a task.
    fn start(&mut self, at: usize, tool: &'static str) {
        let (number, errand) = self.errand();
        self.begin(at, tool, &errand, Call::Start { tasks: vec![number], waits: tool == "codex" });
    }

    /// Asks for up to three tasks in one call.
    fn start_batch(&mut self, at: usize) {
        let count = 1 + self.chance.below(3);
        let (tasks, errands): (Vec<usize>, Vec<String>) = (0..count).map(|_| self.errand()).unzip();
        let args = format!(r#"{{"tasks":[{}]}}"#, errands.join(","));
        self.begin(at, "codex_batch", &args, Call::Start { tasks, waits: true });
    }

    /// Asks for a task on the thread of another, which may be refused.
    fn reply(&mut self, at: usize, known: &[String]) {
        let last: &String = self.chance.of(known);
        let thread = thread_of(last);
        let (number, errand) = self.errand();
        let args = errand.replacen('{', &format!(r#"{{"threadId":"{thread}","#), 1);
        self.begin(at, "codex_reply", &args, Call::Start { tasks: vec![number], waits: true });
    }

    /// Waits for some tasks, not for long.
    fn wait(&mut self, at: usize, known: &[String]) {
        let tasks = self.chance.some(known, 5);
        let timeout = *self.chance.of(&["0", "0.5", "3"]);
        let until = *self.chance.of(&["any", "all"]);
        let tasks = list(&tasks.iter().map(String::as_str).collect::<Vec<_>>());
        let args = format!(r#"{{"task_ids":{tasks},"timeout":{timeout},"until":"{until}"}}"#);
        self.begin(at, "codex_wait", &args, Call::Tell);
    }

    /// Asks how some tasks are.
    fn status(&mut self, at: usize, known: &[String]) {
        let tasks = self.chance.some(known, 5);
        let args = ids(&tasks.iter().map(String::as_str).collect::<Vec<_>>());
        self.begin(at, "codex_status", &args, Call::Tell);
    }

    /// Waits for some tasks at a terminal.
    fn wait_at_terminal(&mut self, known: &[String]) {
        self.note("wait at a terminal");
        let tasks = self.chance.some(known, 3);
        let mut command = self.dir.command();
        command.arg("wait").args(tasks).stdin(Stdio::null()).stdout(Stdio::piped());
        self.terminals.push(command.spawn().unwrap());
    }

    /// Cancels up to three tasks, mostly such as would not end by themselves.
    fn cancel(&mut self, at: usize, living: &[String]) {
        let mut stuck = living.to_vec();
        stuck.retain(|id| self.is_stuck(id));
        let any = stuck.is_empty() || self.chance.below(4) == 0;
        let tasks = self.chance.some(if any { living } else { &stuck }, 3);
        for id in &tasks {
            let number = self.number(id);
            self.asked[number].may_be_cancelled = true;
        }
        let args = ids(&tasks.iter().map(String::as_str).collect::<Vec<_>>());
        self.begin(at, "codex_cancel", &args, Call::Tell);
    }

    /// Takes back a call that is open.
    fn take_back(&mut self, at: usize) {
        let open: Vec<u32> = self.clients[at].open.keys().copied().collect();
        if open.is_empty() {
            return;
        }
        self.note("take back a call");
        let id = *self.chance.of(&open);
        let reason = *self.chance.of(&["the user", "request timed out"]);
        self.clients[at].server.cancel(id, reason);
        // It may have been answered before.
        if let Some(Call::Start { tasks, .. }) = self.clients[at].open.remove(&id) {
            for number in tasks {
                self.asked[number].may_be_cancelled = true;
            }
        }
    }

    /// Kills the supervisor of a task that has not ended.
    fn kill_supervisor(&mut self, living: &[String]) {
        let id = self.chance.of(living).clone();
        if kill_supervisor(self.dir, &id) {
            self.note("kill a supervisor");
            let number = self.number(&id);
            self.asked[number].orphaned = true;
        }
    }

    /// Ends a server in one of three ways, and starts another one.
    fn kill_server(&mut self, at: usize) {
        let client = self.new_client();
        let Client { mut server, open } = std::mem::replace(&mut self.clients[at], client);
        for call in open.into_values() {
            if let Call::Start { tasks, waits: true } = call {
                for number in tasks {
                    self.asked[number].may_be_cancelled = true;
                    self.asked[number].unwanted = true;
                }
            }
        }
        match self.chance.below(3) {
            0 => {
                self.note("kill a server");
                server.crash();
            }
            1 => {
                self.note("SIGTERM to a server");
                server.signal("TERM");
                assert_eq!(server.ended().code(), Some(0));
            }
            _ => {
                self.note("end a server");
                server.end();
            }
        }
    }

    /// Takes in what a server has said so far, and what terminals have printed.
    fn hear(&mut self, at: usize) {
        self.clients[at].server.ask("ping", "{}");
        for message in std::mem::take(&mut self.clients[at].server.stash) {
            let id = message.at("id").as_u64().and_then(|id| u32::try_from(id).ok()).unwrap();
            // None: it was taken back.
            if let Some(call) = self.clients[at].open.remove(&id) {
                self.told(&call, message.at("result"));
            }
        }
        for mut terminal in std::mem::take(&mut self.terminals) {
            if terminal.try_wait().unwrap().is_none() {
                self.terminals.push(terminal);
                continue;
            }
            let output = terminal.wait_with_output().unwrap();
            let printed = String::from_utf8(output.stdout).unwrap();
            let told = heads(&printed);
            assert!(!told.is_empty(), "a terminal that has nothing to tell");
            let all = told.iter().all(|(_, verdict)| verdict.as_deref() == Some("completed"));
            assert_eq!(output.status.code(), Some(i32::from(!all)), "{printed}");
            self.check_all(&printed);
        }
    }

    /// Takes in an answer.
    fn told(&mut self, call: &Call, result: &Value<'static>) {
        let text = text_of(result);
        match call {
            Call::Tell => self.check_all(&text),
            Call::Start { tasks, waits } if tasks.len() == 1 && !text.starts_with("=== Task ") => {
                // What was refused is no task.
                let Some(id) = maybe_field(&text, "Task ID") else {
                    return assert!(is_error(result), "{text}");
                };
                self.is(id, tasks[0]);
                if *waits && !is_error(result) {
                    assert!(text.contains(&format!("this is number-{}\n", tasks[0])), "{text}");
                    self.check(id, "completed");
                }
            }
            Call::Start { tasks, .. } => {
                let told: Vec<&str> = heads(&text).into_iter().map(|(id, _)| id).collect();
                assert_eq!(told.len(), tasks.len(), "{text}");
                for (id, number) in told.into_iter().zip(tasks) {
                    self.is(id, *number);
                }
                self.check_all(&text);
            }
        }
    }

    /// The client was told that this task has this id.
    fn is(&mut self, id: &str, number: usize) {
        assert_eq!(self.number(id), number);
        self.asked[number].id = Some(id.to_owned());
    }

    /// All verdicts in a text are those that were told before, if any were.
    fn check_all(&mut self, text: &str) {
        for (id, verdict) in heads(text) {
            if let Some(verdict) = verdict {
                self.check(id, &verdict);
            }
        }
    }

    /// The same for one verdict.
    fn check(&mut self, id: &str, verdict: &str) {
        let first = self.verdicts.entry(id.to_owned()).or_insert_with(|| verdict.to_owned());
        assert_eq!(first, verdict, "of {id}");
    }

    /// Ends all that would not end by itself, waits for the rest, and takes in what is owed.
    fn finish(&mut self) {
        at_last("the end of all tasks", || {
            let living = self.living();
            let (stuck, others): (Vec<&str>, Vec<&str>) =
                living.iter().map(String::as_str).partition(|id| self.is_stuck(id));
            for id in &stuck {
                let number = self.number(id);
                self.asked[number].may_be_cancelled = true;
            }
            let server = &mut self.clients[0].server;
            for (tool, tasks) in [("codex_cancel", &stuck), ("codex_wait", &others)] {
                if !tasks.is_empty() {
                    let args = format!(r#"{{"task_ids":{},"timeout":1}}"#, list(tasks));
                    let args = if tool == "codex_wait" { args } else { ids(tasks) };
                    server.call(tool, &args);
                }
            }
            living.is_empty().then_some(())
        });
        for at in 0..self.clients.len() {
            at_last("what is owed", || {
                self.hear(at);
                self.clients[at].open.is_empty().then_some(())
            });
        }
        at_last("the end of those at terminals", || {
            self.hear(0);
            self.terminals.is_empty().then_some(())
        });
        for client in std::mem::take(&mut self.clients) {
            client.server.end();
        }
    }

    /// Asks everybody of all tasks, and compares what is told with what must be.
    fn account(&mut self) {
        let all = ids_on_disk(self.dir);
        for asked in self.asked.iter().filter_map(|asked| asked.id.as_ref()) {
            assert!(all.contains(asked), "{asked} was told of and is not there");
        }
        let (mut one, mut two) = (self.dir.server(), self.dir.server());
        let mut numbers = BTreeSet::new();
        for some in all.chunks(100) {
            let some: Vec<&str> = some.iter().map(String::as_str).collect();
            let told = one.wait(&some);
            assert_eq!(told, two.wait(&some));
            let status = two.ok("codex_status", &ids(&some));
            assert_eq!(status, one.ok("codex_status", &ids(&some)));
            let mut terminal = self.dir.command();
            let printed = terminal.arg("wait").args(&some).output().unwrap();
            assert_eq!(told, String::from_utf8(printed.stdout).unwrap());
            self.check_all(&told);
            self.check_all(&status);
            assert_eq!(heads(&status).len(), some.len());
            for id in some {
                let number = self.number(id);
                assert!(numbers.insert(number), "number {number} was started twice");
                self.account_for(id, &self.asked[number], section(&told, id), number);
            }
        }
    }

    /// Compares what is told of a task with what must be.
    fn account_for(&self, id: &str, asked: &Asked, told: &str, number: usize) {
        let text = fs::read_to_string(self.dir.task_file(id, "meta")).unwrap();
        let record = json::parse(text.as_bytes()).unwrap();
        let status = record.get("status").and_then(Value::as_str).unwrap();
        let what = format!("number {number}: {told}{text}");
        assert_eq!(Some(status), self.verdicts.get(id).map(String::as_str), "{what}");
        assert!(told.contains(&format!("({status} ")), "{what}");
        let stdout = fs::read_to_string(self.dir.task_file(id, "stdout")).unwrap_or_default();
        let said = stdout.contains("turn.completed");
        assert_eq!(status == "completed", said, "{what}{stdout}");
        assert!(!said || told.contains(&format!("this is number-{number}\n")), "{what}");

        let (_, verdict, exit) = ENDS[asked.end];
        let exited = record.get("exit_code").and_then(Value::as_i64);
        let inferred = record.get("inferred").is_some();
        // It may have been told to end after its last word.
        let exited = exited == Some(exit) || (said && asked.may_be_cancelled);
        let natural = status == verdict && exited && !inferred;
        let cancelled = status == "cancelled" && !inferred && asked.may_be_cancelled;
        // Its server had died before there was a supervisor, and before anybody was told of it.
        let unborn = asked.id.is_none() && record.get("supervisor_pid").is_none();
        let lost = inferred && (asked.orphaned || unborn);
        assert!(natural || cancelled || lost, "{what}");
    }

    /// No file is left half made, but by those who were killed while they made it.
    fn account_for_files(&self) {
        let killed = ["kill a supervisor", "kill a server"].map(|what| self.done.get(what));
        let killed: u32 = killed.into_iter().flatten().sum();
        let names = fs::read_dir(self.dir.path("tasks")).unwrap().flatten();
        let (mut interim, mut alone) = (Vec::new(), Vec::new());
        for name in names.map(|entry| entry.file_name().into_string().unwrap()) {
            match name.split_once('.') {
                Some((id, "prompt" | "stdout" | "times" | "stderr" | "answer")) => {
                    if !self.dir.task_file(id, "meta").exists() {
                        alone.push(name);
                    }
                }
                Some((_, "meta" | "running" | "swept")) => {}
                _ if name == "queue" => {}
                _ => interim.push(name),
            }
        }
        eprintln!("left by the killed: {interim:?} {alone:?}");
        let left = u32::try_from(interim.len() + alone.len()).unwrap();
        assert!(left <= killed, "{interim:?} {alone:?}");
        // The next one in the queue takes the places of the dead away.
        let mut server = swift_server(self.dir, &["--max-parallel", "1"]);
        server.ok("codex", &errand("last", 1, "-", "done"));
        let queue = fs::read_dir(self.dir.path("tasks/queue")).unwrap().flatten();
        let places = queue.map(|entry| entry.file_name().into_string().unwrap());
        let places: Vec<String> = places.filter(|name| !name.starts_with('.')).collect();
        assert!(places.is_empty(), "{places:?}");
    }
}

/// The ids of all tasks that have a record.
fn ids_on_disk(dir: &Dir) -> Vec<String> {
    let names = fs::read_dir(dir.path("tasks")).into_iter().flatten().flatten();
    let id = |name: &str| name.strip_suffix(".meta").map(str::to_owned);
    names.filter_map(|entry| id(entry.file_name().to_str()?)).collect()
}

/// The verdict in a task's record, which must be whole.
fn verdict_on_disk(dir: &Dir, id: &str) -> Option<String> {
    let text = fs::read_to_string(dir.task_file(id, "meta")).unwrap();
    let record = json::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{id}: {e}: {text}"));
    let status = record.get("status").and_then(Value::as_str).unwrap();
    ["completed", "failed", "cancelled"].contains(&status).then(|| status.to_owned())
}

/// Lets it go on for so long.
fn soak(span: Duration) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let seed = env::var("CODEX_SWARM_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::try_from(now % 1_000_000_007).unwrap());
    eprintln!("CODEX_SWARM_TEST_SEED={seed}");
    let dir = Dir::new();
    let _never = Gate::new(&dir, "never");
    let mut soak = Soak::new(&dir, seed);
    let begin = Instant::now();
    while begin.elapsed() < span {
        soak.step();
    }
    soak.finish();
    soak.account();
    soak.account_for_files();
    let mut count = BTreeMap::new();
    for verdict in soak.verdicts.values() {
        *count.entry(verdict.as_str()).or_insert(0) += 1;
    }
    eprintln!("{:?}: {:?}; {} tasks: {count:?}", begin.elapsed(), soak.done, soak.verdicts.len());
}

#[test]
fn some_seconds_of_random_deaths_leave_every_task_with_one_true_verdict() {
    soak(Duration::from_secs(3));
}

#[test]
#[ignore = "takes ten minutes, or CODEX_SWARM_SOAK_SECONDS"]
fn soak_of_random_deaths_leaves_every_task_with_one_true_verdict() {
    let seconds = env::var("CODEX_SWARM_SOAK_SECONDS").ok().and_then(|s| s.parse().ok());
    soak(Duration::from_secs(seconds.unwrap_or(600)));
}
