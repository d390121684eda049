//! More and more tasks in one server: what they cost to start, in memory, to look at and to end.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Result;
use crate::client::Server;
use crate::process::{Memory, Process};
use crate::size;
use crate::stage::{Actor, Stage};
use crate::startup::spawn_true;
use crate::table::{Row, Table, median};

/// How many tasks run at the same time, one stage after the other.
const LEVELS: [usize; 4] = [0, 1, 64, 256];

/// The same for those who have the time.
const LARGE: usize = 1000;

/// How often all are looked at.
const LOOKS: usize = 15;

/// A part of what is in memory.
type Part = fn(&Memory) -> f64;

/// What is compared of the memory of a server and its helpers.
const PARTS: [(&str, Part); 2] =
    [("resident (RSS)", |memory| memory.resident), ("share of it (PSS)", |memory| memory.share)];

/// A time that was measured of a server.
type Time = fn(&Level) -> f64;

/// What is told of each stage, in milliseconds.
const TIMES: [(&str, Time); 3] = [
    ("codex_async, each", |level| level.launch),
    ("launched until all run", |level| level.until_all_run),
    ("codex_status of all", |level| level.status),
];

/// A server and its tasks.
struct Crowd {
    /// The server.
    server: Server,
    /// The ids of its tasks.
    ids: Vec<String>,
    /// Their stand-ins.
    actors: Vec<Actor>,
}

/// What was measured of a server at one stage.
#[derive(Clone, Copy)]
struct Level {
    /// How long a call of `codex_async` took, in milliseconds.
    launch: f64,
    /// How long until all that were started had their codex, and 0 if that was one.
    until_all_run: f64,
    /// How many these were.
    started: f64,
    /// How long two processes take that do nothing.
    spawn: f64,
    /// How long a status of all tasks took.
    status: f64,
    /// How long a ping took in between.
    ping: f64,
    /// What the server itself has in memory.
    server: Memory,
    /// What its helpers have, all together.
    helpers: Memory,
    /// How many these are.
    count: usize,
}

/// Goes through the stages with each server in turn, and ends all at once.
pub fn measure(stage: &Stage, table: &mut Table) -> Result<()> {
    let crowd = |server| Crowd { server, ids: Vec::new(), actors: Vec::new() };
    let mut crowds: Vec<Crowd> = Server::each(stage)?.into_iter().map(crowd).collect();
    let cat = idle_cat()?;
    let mut most = 0;
    for level in LEVELS.into_iter().chain(stage.large.then_some(LARGE)) {
        let levels: Vec<Level> =
            crowds.iter_mut().map(|crowd| crowd.grow(stage, level)).collect::<Result<_>>()?;
        let [ours, rest @ ..] = levels.as_slice() else { return Err("nothing measured".into()) };
        match (stage.other(), rest) {
            (Some(other), [theirs]) => compare(table, level, *ours, *theirs, &other.name)?,
            _ => tell(stage, table, level, *ours, cat)?,
        }
        most = level;
    }
    let ends: Vec<f64> = crowds.into_iter().map(Crowd::end).collect::<Result<_>>()?;
    let figure = format!("{most} tasks: the last exit to codex_wait's reply");
    let mut row = Row::new(figure, ends.first().copied().unwrap_or(f64::NAN), "ms");
    if let (Some(other), Some(theirs)) = (stage.other(), ends.get(1)) {
        row = row.beside(&other.name, *theirs);
    }
    Ok(table.add(row.bar("none lost", true))?)
}

/// What a `cat` has in memory that waits for something to read.
fn idle_cat() -> Result<Memory> {
    let mut cat = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut through = || {
        cat.stdin.as_mut().ok_or("no stdin")?.write_all(b"x")?;
        // what it has read it has written: so it is where it waits
        cat.stdout.as_mut().ok_or("no stdout")?.read_exact(&mut [0])?;
        Memory::of(&[Process::read(cat.id()).ok_or("cat is gone")?])
    };
    let memory = through();
    drop(cat.stdin.take());
    cat.wait()?;
    memory
}

/// The rows of a stage, for this program alone.
fn tell(stage: &Stage, table: &mut Table, level: usize, of: Level, cat: Memory) -> Result<()> {
    // what is meant of the static build is not asked of another
    let is_static = size::is_static(stage.binary())?;
    let mut row = Row::new(format!("{level} tasks: server, resident"), of.server.resident, "kB")
        .beside("cat", cat.resident)
        .also("anonymous", of.server.anonymous)
        .also("private", of.server.private)
        .also("PSS", of.server.share);
    if is_static && level == 0 {
        row = row.bar("<= 1 MB", of.server.resident <= 1024.0);
    }
    if is_static && level == 256 {
        row = row.bar("<= 10 MB", of.server.resident <= 10_240.0);
    }
    table.add(row)?;
    if level == 0 {
        return Ok(());
    }
    let each = |all: f64| all / of.count.max(1) as f64;
    let private = each(of.helpers.private);
    let mut row = Row::new(format!("{level} tasks: a supervisor, private"), private, "kB")
        .beside("cat", cat.private)
        .also("resident", each(of.helpers.resident))
        .also("PSS", each(of.helpers.share));
    if is_static {
        row = row.bar("<= 300 kB", private <= 300.0);
    }
    table.add(row)?;
    let references = [
        ("/bin/true, twice", of.spawn),
        ("/bin/true, twice each", of.spawn * of.started),
        ("ping", of.ping),
    ];
    for ((what, time), (reference, beside)) in TIMES.into_iter().zip(references) {
        // one task has no others to be launched with
        if time(&of) > 0.0 {
            let row = Row::new(format!("{level} tasks: {what}"), time(&of), "ms");
            table.add(row.beside(reference, beside))?;
        }
    }
    Ok(())
}

/// The rows of a stage, for two servers.
fn compare(table: &mut Table, level: usize, ours: Level, theirs: Level, name: &str) -> Result<()> {
    let all = |of: Level, part: Part| part(&of.server) + part(&of.helpers);
    for (what, part) in PARTS {
        let row = Row::new(format!("{level} tasks: memory, {what}"), all(ours, part), "kB");
        table.add(row.beside(name, all(theirs, part)))?;
    }
    if level > 0 {
        for (what, time) in TIMES.into_iter().filter(|(_, time)| time(&ours) > 0.0) {
            let row = Row::new(format!("{level} tasks: {what}"), time(&ours), "ms");
            table.add(row.beside(name, time(&theirs)))?;
        }
    }
    Ok(())
}

impl Crowd {
    /// Starts tasks until there are so many, and measures.
    fn grow(&mut self, stage: &Stage, level: usize) -> Result<Level> {
        let mut launches = Vec::new();
        let began = Instant::now();
        while self.ids.len() < level {
            let (id, took) = self.server.launch(stage)?;
            self.ids.push(id);
            launches.push(took);
        }
        for _ in &launches {
            self.actors.push(stage.actor()?);
        }
        let until_all_run = began.elapsed().as_secs_f64() * 1e3;
        let (mut spawns, mut looks, mut pings) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..if level == 0 { 0 } else { LOOKS } {
            spawns.push(spawn_true()? + spawn_true()?);
            pings.push(self.server.ask("ping")?.took);
            looks.push(self.server.status(&self.ids)?);
        }
        let family = self.server.family()?;
        let (server, helpers) = family.split_at(1);
        Ok(Level {
            launch: median(&launches),
            until_all_run: if launches.len() > 1 { until_all_run } else { 0.0 },
            started: launches.len() as f64,
            spawn: median(&spawns),
            status: median(&looks),
            ping: median(&pings),
            server: Memory::of(server)?,
            helpers: Memory::of(helpers)?,
            count: helpers.len(),
        })
    }

    /// Waits for all while they end: how long it took from the last exit to the answer.
    fn end(mut self) -> Result<f64> {
        let wait = self.server.begin_about("codex_wait", &self.ids)?;
        self.server.ask("ping")?;
        for actor in &mut self.actors {
            actor.tell("end")?;
        }
        let mut last = f64::NAN;
        for actor in &mut self.actors {
            last = actor.word()?.1.max(last);
        }
        let reply = self.server.reply(wait)?;
        let text = reply.text()?;
        let missing = self.actors.iter().filter(|actor| !text.contains(&actor.answer())).count();
        if missing > 0 {
            return Err(format!("{missing} of {} answers are lost", self.actors.len()).into());
        }
        self.actors.clear();
        self.server.end()?;
        Ok(reply.at - last)
    }
}
