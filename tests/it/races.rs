//! Several who look after the same tasks at the same time: each task has one verdict, it is given once,
//! and all tell the same.

use crate::harm::*;
use crate::json;
use crate::support::*;
use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The states of a task, in the order in which they may follow each other.
const STATES: [&str; 6] = ["queued", "preparing", "running", "completed", "failed", "cancelled"];

/// Somebody who reads every record again and again.
#[derive(Default)]
struct Reader {
    /// The last state that was seen of each task, and the record that said so.
    states: BTreeMap<String, (usize, Vec<u8>)>,
    /// How often a record was read.
    reads: u64,
}

impl Reader {
    /// Reads every record there is. None may be broken, go backwards, or change its verdict.
    fn read_all(&mut self, dir: &Dir) {
        for id in known(dir) {
            let record = fs::read(dir.task_file(&id, "meta")).expect("a record");
            self.reads += 1;
            if self.states.get(&id).is_none_or(|(_, before)| *before != record) {
                self.take(id, record);
            }
        }
    }

    /// Takes in a record that says something new.
    fn take(&mut self, id: String, record: Vec<u8>) {
        let text = String::from_utf8_lossy(&record).into_owned();
        let value = json::parse(&record).unwrap_or_else(|why| panic!("{id}: {why}: {text}"));
        let string = |key| value.get(key).and_then(json::Value::as_str);
        assert_eq!(string("task_id"), Some(id.as_str()), "{text}");
        let state = STATES.iter().position(|state| string("status") == Some(state));
        let state = state.unwrap_or_else(|| panic!("{id} has no state: {text}"));
        let before = self.states.get(&id).map_or(0, |(before, _)| *before);
        assert!(before <= state && (before < 3 || before == state), "{id} was {before}: {text}");
        self.states.insert(id, (state, record));
    }
}

/// Does something while somebody reads all records; gives what came of it and the
/// states that were seen last.
fn watched<T>(dir: &Dir, act: impl FnOnce() -> T) -> (T, BTreeMap<String, usize>) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reader = Reader::default();
            while !over.load(Ordering::Relaxed) {
                reader.read_all(dir);
                thread::sleep(Duration::from_millis(5));
            }
            reader.read_all(dir);
            reader
        });
        // so that a failure ends it, too
        let end = Ends(&over);
        let result = act();
        drop(end);
        let reader = reader.join().unwrap();
        assert!(reader.reads > 1000, "{} records were read", reader.reads);
        let states = reader.states.into_iter().map(|(id, (state, _))| (id, state));
        (result, states.collect())
    })
}

/// Says that it is over when it goes.
struct Ends<'o>(&'o AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Cancels these tasks one after the other, with a pause of its own between any two of them, while their
/// natural end comes near; each by one server or the other, every fifth by both. Gives the calls.
fn cancel_each(
    servers: &mut [Server<'_>; 2],
    tasks: &[String],
    pause: Duration,
) -> Vec<(usize, u32)> {
    let mut calls = Vec::new();
    for (n, id) in tasks.iter().enumerate() {
        let begin = Instant::now();
        for s in if n % 5 == 0 { vec![0, 1] } else { vec![n % 2] } {
            calls.push((s, servers[s].begin("codex_cancel", &ids(&[id]))));
        }
        while begin.elapsed() < pause {
            std::hint::spin_loop();
        }
    }
    calls
}

/// Checks what is told of a task that was cancelled while it came to its end, wherever it is told.
fn one_outcome(dir: &Dir, id: &str, verdict: &Verdict, answers: &str, last_state: usize) {
    let completed = verdict.status == "completed";
    assert!(completed || verdict.status == "cancelled", "{id}: {verdict:?}");
    assert_eq!(STATES[last_state], verdict.status);
    let said = fs::read_to_string(dir.task_file(id, "stdout")).unwrap();
    // it is completed if Codex said so, and else cancelled
    assert_eq!(said.contains("turn.completed"), completed, "{id}: {said}");
    let expected = if completed { "had already completed" } else { "is cancelled, after" };
    let mut told = answers.lines().filter(|line| line.starts_with(&format!("Task {id} ")));
    // on a machine that is very busy it may be that the answer does not wait for the end
    let fits = |line: &str| line.contains(expected) || line.contains("has not ended yet");
    assert!(told.clone().count() > 0 && told.all(fits), "{id} {verdict:?}: {answers}");
}

#[test]
fn a_cancel_that_meets_the_natural_end_has_one_outcome_and_all_tell_it() {
    const ROUND: usize = 20;
    let dir = Dir::new();
    let mut servers = [dir.server(), dir.server()];
    let ((tasks, answers), states) = watched(&dir, || {
        let (mut tasks, mut answers) = (Vec::new(), String::new());
        for round in 0..10_u32 {
            let mut gate = Gate::shut(&dir, &format!("gate{round}"));
            let calls: Vec<u32> = (0..ROUND)
                .map(|n| {
                    // the real one does not end with its last word either, but a moment later
                    let moment = "\nsh true".repeat(n % 4);
                    let lines = format!("{}\ndone{moment}", gate.wait());
                    let lines = format!("begin\nsay x\nmark on{round}.{n}\n{lines}");
                    servers[0].begin("codex_async", &script(&lines))
                })
                .collect();
            let some: Vec<String> =
                calls.iter().map(|call| task_id(&text_of(&servers[0].result(*call)))).collect();
            all_marked(&dir, (0..ROUND).map(|n| format!("on{round}.{n}")));
            let all: Vec<&str> = some.iter().map(String::as_str).collect();
            let wait = servers[1].begin("codex_wait", &ids(&all));
            servers[1].silent_about(&[wait]);
            // The first surely comes before the end, the last after it.
            let (first, last) = (&some[..1], &some[ROUND - 1..]);
            let mut calls = cancel_each(&mut servers, first, Duration::ZERO);
            gate.begin_to_open();
            let pause = Duration::from_micros(100 * u64::from(round));
            calls.extend(cancel_each(&mut servers, &some[1..ROUND - 1], pause));
            until("the end of the last", || dir.record(&last[0]).find("completed_at").map(drop));
            calls.extend(cancel_each(&mut servers, last, Duration::ZERO));
            for (s, call) in calls {
                answers += &text_of(&servers[s].result(call));
                answers.push('\n');
            }
            servers[1].result(wait);
            tasks.extend(some);
        }
        (tasks, answers)
    });
    assert_eq!(tasks.len(), 200);
    let [one, two] = &mut servers;
    let all: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let verdicts = agreed(&dir, &mut [one, two], &all);
    for (id, verdict) in all.iter().zip(&verdicts) {
        one_outcome(&dir, id, verdict, &answers, states[*id]);
    }
    let completed = verdicts.iter().filter(|verdict| verdict.status == "completed").count();
    // both ways there must have been a race
    assert!((15..186).contains(&completed), "{completed} of 200 completed");

    // Cancelling once more changes nothing.
    let record = |id: &&str| fs::read(dir.task_file(id, "meta")).unwrap();
    let before: Vec<Vec<u8>> = all.iter().map(record).collect();
    for server in &mut servers {
        server.ok("codex_cancel", &ids(&all));
    }
    assert!(all.iter().map(record).collect::<Vec<_>>() == before);
}

#[test]
fn a_cancel_of_what_has_ended_changes_nothing_however_it_ended() {
    let dir = Dir::new();
    let mut server = dir.server();
    let ends = [
        ("begin\nsay x\ndone", "completed"),
        ("begin\nexit 3", "failed"),
        ("begin\nkill-self KILL", "failed"),
        ("begin\nsay x\nkill-supervisor\nwait-for never", "failed"),
    ];
    let tasks: Vec<String> = ends.iter().map(|(lines, _)| server.launch(lines)).collect();
    let all: Vec<&str> = tasks.iter().map(String::as_str).collect();
    server.wait(&all);
    let before = agreed(&dir, &mut [&mut server], &all);
    let records: Vec<Vec<u8>> =
        all.iter().map(|id| fs::read(dir.task_file(id, "meta")).unwrap()).collect();
    let mut other = dir.server();
    let mut later = dir.server();
    for canceller in [&mut server, &mut other, &mut later] {
        for ((id, (_, status)), record) in all.iter().zip(ends).zip(&records) {
            let text = canceller.ok("codex_cancel", &ids(&[id]));
            assert!(text.contains(&format!("had already {status}")), "{text}");
            assert!(fs::read(dir.task_file(id, "meta")).unwrap() == *record, "{status}");
        }
    }
    assert_eq!(agreed(&dir, &mut [&mut server, &mut other, &mut later], &all), before);
}

#[test]
fn a_task_can_be_cancelled_by_another_server_before_its_supervisor_has_begun() {
    let dir = Dir::new();
    let (mut one, mut two) = (dir.server(), dir.server());
    // All records are written before the first supervisor is started.
    let tasks = vec![script("begin\nwait-for never"); 30].join(",");
    let batch = one.begin("codex_batch", &format!(r#"{{"tasks":[{tasks}]}}"#));
    let all = until("all records", || Some(known(&dir)).filter(|all| all.len() == 30));
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    two.call("codex_cancel", &ids(&all));
    one.result(batch);
    for verdict in agreed(&dir, &mut [&mut one, &mut two], &all) {
        assert_eq!(verdict, Verdict::seen("cancelled", 0));
    }
}

#[test]
fn a_task_whose_server_takes_its_time_to_start_it_is_not_given_up_by_another() {
    let dir = Dir::new();
    let (mut one, mut two) = (dir.server(), dir.server());
    let tasks = vec![script("begin\nsay x\ndone"); 30].join(",");
    let batch = one.begin("codex_batch", &format!(r#"{{"tasks":[{tasks}]}}"#));
    let all = until("all records", || Some(known(&dir)).filter(|all| all.len() == 30));
    signal("STOP", &[one.pid()]);
    // What has begun goes on, and comes to its end.
    until_alone(&dir, &[one.pid(), two.pid()]);
    let waiting: Vec<&str> = all
        .iter()
        .map(String::as_str)
        .filter(|id| dir.record(id).str_at("status") == "queued")
        .collect();
    for id in &waiting {
        // so that a minute has gone by
        let asked = dir.record(id).at("asked_at").to_json();
        let (seconds, rest) = asked.split_once('.').unwrap();
        let ago = format!("{}.{rest}", seconds.parse::<u64>().unwrap() - 60);
        let values = [("asked_at", ago.as_str()), ("started_at", &ago)];
        plant(&dir, id, &with_values(&dir.record(id), &values).to_json());
        assert_eq!(field(&two.status(id), "Phase"), "queued");
    }
    signal("CONT", &[one.pid()]);
    one.result(batch);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    for verdict in agreed(&dir, &mut [&mut one, &mut two], &all) {
        assert_eq!(verdict, Verdict::seen("completed", 0));
    }
}
