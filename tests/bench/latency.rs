//! How soon a client hears of the end of a task, and how soon a call has codex run.

use std::io::{Read as _, Write as _};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::client::Server;
use crate::roles;
use crate::stage::{Stage, clock};
use crate::startup::spawn_true;
use crate::table::{Row, Table, best, median, worst};

/// How many tasks are waited for.
const TIMES: usize = 40;

/// Over how long the tasks' ends are spread, where another server is measured too.
const SPREAD: Duration = Duration::from_secs(2);

/// Multiples of it, less their whole part, fill the space between 0 and 1 evenly.
const GOLDEN: f64 = 0.618_034;

/// A process that gives back each byte.
struct Echo(Child);

impl Echo {
    /// Starts it.
    fn start() -> Result<Echo> {
        let mut command = roles::command("echo")?;
        Ok(Echo(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?))
    }

    /// Sends some bytes there and back, one by one: adds how long each took, in milliseconds.
    fn trips(&mut self, times: &mut Vec<f64>) -> Result<()> {
        let (stdin, stdout) = (self.0.stdin.as_mut(), self.0.stdout.as_mut());
        let (stdin, stdout) = (stdin.ok_or("no stdin")?, stdout.ok_or("no stdout")?);
        for _ in 0..20 {
            let began = Instant::now();
            stdin.write_all(b"x")?;
            stdout.read_exact(&mut [0])?;
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        Ok(())
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// From codex's exit to the answer to `codex_wait`.
pub fn measure_wait(stage: &Stage, table: &mut Table) -> Result<()> {
    let (waits, trips) = waits(stage)?;
    let ours = waits.first().ok_or("nothing measured")?;
    let value = median(ours);
    let figure = "codex's exit to codex_wait's reply";
    let mut row = Row::new(figure, value, "ms").also("best", best(ours)).also("worst", worst(ours));
    row = match (stage.other(), waits.get(1)) {
        (Some(other), Some(theirs)) => row.beside(&other.name, median(theirs)),
        _ => row.beside("round trip over pipes", median(&trips)).bar("<= 5 ms", value <= 5.0),
    };
    Ok(table.add(row)?)
}

/// Waits for tasks of each server in turn, and sends bytes around in between: all times.
fn waits(stage: &Stage) -> Result<(Vec<Vec<f64>>, Vec<f64>)> {
    let mut servers = Server::each(stage)?;
    let mut times: Vec<Vec<f64>> = servers.iter().map(|_| Vec::new()).collect();
    let (mut echo, mut trips) = (Echo::start()?, Vec::new());
    // a server that only looks from time to time shall not always be met just after a look
    let (count, spread) =
        if stage.other().is_some() { (TIMES / 3, SPREAD) } else { (TIMES, Duration::ZERO) };
    for n in 0..count {
        let pause = spread.mul_f64((n as f64 * GOLDEN).fract());
        for (server, times) in servers.iter_mut().zip(&mut times) {
            let (id, mut actor) = server.run(stage)?;
            let wait = server.begin_about("codex_wait", &[id])?;
            server.ask("ping")?;
            thread::sleep(pause);
            let (_, ended) = actor.ask("end")?;
            let reply = server.reply(wait)?;
            reply.text()?;
            times.push(reply.at - ended);
        }
        echo.trips(&mut trips)?;
    }
    servers.into_iter().try_for_each(Server::end)?;
    Ok((times, trips))
}

/// A task of `codex`: from the call to codex, and from codex's exit to the answer.
pub fn measure_codex(stage: &Stage, table: &mut Table) -> Result<()> {
    let mut servers = Server::each(stage)?;
    let mut begins: Vec<Vec<f64>> = servers.iter().map(|_| Vec::new()).collect();
    let mut ends = begins.clone();
    let (mut echo, mut trips, mut spawns) = (Echo::start()?, Vec::new(), Vec::new());
    for _ in 0..TIMES / 2 {
        for (server, (begins, ends)) in servers.iter_mut().zip(begins.iter_mut().zip(&mut ends)) {
            let prompt = stage.prompt();
            let began = clock();
            let call = server.begin("codex", |o| {
                o.str("prompt", &prompt);
            })?;
            let mut actor = stage.actor()?;
            begins.push(actor.began - began);
            let (_, ended) = actor.ask("end")?;
            let reply = server.reply(call)?;
            reply.text()?;
            ends.push(reply.at - ended);
        }
        echo.trips(&mut trips)?;
        // as many processes as it takes here: a supervisor and codex
        spawns.push(spawn_true()? + spawn_true()?);
    }
    servers.into_iter().try_for_each(Server::end)?;
    for (figure, times, reference) in [
        ("codex: its call until codex runs", begins, ("/bin/true, twice", spawns)),
        ("codex: codex's exit to its reply", ends, ("round trip over pipes", trips)),
    ] {
        let ours = times.first().ok_or("nothing measured")?;
        let mut row = Row::new(figure, median(ours), "ms");
        row = row.also("best", best(ours)).also("worst", worst(ours));
        row = match (stage.other(), times.get(1)) {
            (Some(other), Some(theirs)) => row.beside(&other.name, median(theirs)),
            _ => row.beside(reference.0, median(&reference.1)),
        };
        table.add(row)?;
    }
    Ok(())
}
