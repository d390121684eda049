//! From the start of the process to its first answers.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Result;
use crate::client::Server;
use crate::stage::Stage;
use crate::table::{Row, Table, median};

/// How often each is started.
const TIMES: usize = 60;

/// Starts servers and /bin/true in turn.
pub fn measure(stage: &Stage, table: &mut Table) -> Result<()> {
    let mut nothing = Vec::new();
    let mut first: Vec<Vec<f64>> = stage.subjects.iter().map(|_| Vec::new()).collect();
    let mut tools = first.clone();
    let (mut bytes, mut pings) = (Vec::new(), Vec::new());
    let times = if stage.other().is_some() { TIMES / 3 } else { TIMES };
    for _ in 0..times {
        nothing.push(spawn_true()?);
        bytes.clear();
        for (subject, (first, tools)) in stage.subjects.iter().zip(first.iter_mut().zip(&mut tools))
        {
            let (mut server, took) = Server::start(stage, subject)?;
            first.push(took);
            let reply = server.ask("tools/list")?;
            tools.push(reply.took);
            bytes.push(reply.line.len() as f64);
            pings.push(server.ask("ping")?.took);
            server.end()?;
        }
    }
    let rows = [
        ("start-up: spawn to initialize's reply", "ms", medians(&first)),
        ("tools/list: its round trip", "ms", medians(&tools)),
        ("tools/list: its size", "bytes", bytes),
    ];
    for (at, (figure, unit, values)) in rows.into_iter().enumerate() {
        let mut row = Row::new(figure, value(&values, 0), unit);
        if let Some(other) = stage.other() {
            row = row.beside(&other.name, value(&values, 1));
        } else if at == 0 {
            row = row.beside("/bin/true, spawn to end", median(&nothing));
            let held = row.ratio().is_some_and(|ratio| ratio <= 2.0);
            row = row.bar("ratio <= 2", held);
        } else if at == 1 {
            row = row.beside("ping", median(&pings));
        }
        table.add(row)?;
    }
    Ok(())
}

/// How long a process takes that does nothing, in milliseconds; with pipes, as a server has them.
pub fn spawn_true() -> Result<f64> {
    let mut command = Command::new("/bin/true");
    command.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped());
    let began = Instant::now();
    let mut child = command.spawn().map_err(|why| format!("/bin/true: {why}"))?;
    child.wait()?;
    Ok(began.elapsed().as_secs_f64() * 1e3)
}

/// The middle of each.
fn medians(of: &[Vec<f64>]) -> Vec<f64> {
    of.iter().map(|values| median(values)).collect()
}

/// One of them.
fn value(values: &[f64], at: usize) -> f64 {
    values.get(at).copied().unwrap_or(f64::NAN)
}
