//! How often processes wake up while nothing happens.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::client::Server;
use crate::process::Process;
use crate::stage::{CAP, Stage};
use crate::table::{Row, Table};

/// How many tasks are quiet.
const TASKS: usize = 100;

/// For how long it is looked.
const SPAN: Duration = Duration::from_secs(4);

/// Without tasks and with many, beside a `cat` with nothing to read.
pub fn measure(stage: &Stage, table: &mut Table) -> Result<()> {
    let mut cat = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    let measured = measure_beside(stage, table, &cat);
    drop(cat.stdin.take());
    cat.wait()?;
    measured
}

/// The same, with that `cat`.
fn measure_beside(stage: &Stage, table: &mut Table, cat: &Child) -> Result<()> {
    let subject = stage.subjects.first().ok_or("nothing to measure")?;
    let cat = [Process::read(cat.id()).ok_or("cat is gone")?];
    let (mut server, _) = Server::start(stage, subject)?;
    let mut actors = Vec::new();
    for tasks in [0, TASKS] {
        while actors.len() < tasks {
            actors.push(server.run(stage)?.1);
        }
        let family = server.family()?;
        settle(&family)?;
        let (before, beside) = (sleeps(&family)?, sleeps(&cat)?);
        let began = Instant::now();
        thread::sleep(SPAN);
        let seconds = began.elapsed().as_secs_f64();
        let woken = (sleeps(&family)? - before) / seconds;
        let beside = (sleeps(&cat)? - beside) / seconds;
        let row = Row::new(format!("idle with {tasks} quiet tasks: wake-ups"), woken, "/s");
        let row = row.beside("cat", beside).bar("0", woken <= 0.0);
        table.add(row)?;
    }
    drop(actors);
    server.end()
}

/// How often all of them have gone to sleep so far.
fn sleeps(processes: &[Process]) -> Result<f64> {
    processes.iter().map(Process::sleeps).sum()
}

/// Waits until what has begun is over.
fn settle(processes: &[Process]) -> Result<()> {
    let end = Instant::now() + CAP / 4;
    let mut seen = sleeps(processes)?;
    while Instant::now() < end {
        thread::sleep(Duration::from_millis(500));
        let now = sleeps(processes)?;
        if (now - seen).abs() < 0.5 {
            return Ok(());
        }
        seen = now;
    }
    Ok(())
}
