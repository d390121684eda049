//! `codex_status` of a task that has written much, beside one that has written little.

use std::time::{Duration, Instant};

use crate::Result;
use crate::client::Server;
use crate::stage::Stage;
use crate::stream;
use crate::table::{Row, Table, median, worst};

/// What the one writes.
const LITTLE: usize = 1_000;

/// What the other writes.
const MUCH: usize = 100_000_000;

/// How often each is looked at.
const TIMES: usize = 200;

/// For how long at most.
const SPAN: Duration = Duration::from_secs(6);

/// What was measured of one server.
struct Looks {
    /// Of the task with little, in milliseconds.
    little: Vec<f64>,
    /// Of the other.
    much: Vec<f64>,
    /// The first look after all of it was written.
    first: f64,
    /// The most that the server had in memory, in kB.
    most: f64,
}

/// Looks at the tasks in turn.
pub fn measure(stage: &Stage, table: &mut Table) -> Result<()> {
    let looks = stage.subjects.iter().map(|subject| {
        let (mut server, _) = Server::start(stage, subject)?;
        let looks = look(stage, &mut server)?;
        server.end()?;
        Ok(looks)
    });
    let looks: Vec<Looks> = looks.collect::<Result<_>>()?;
    let ours = looks.first().ok_or("nothing measured")?;
    let much = median(&ours.much);
    if let (Some(other), Some(theirs)) = (stage.other(), looks.get(1)) {
        let rows = [
            (
                "codex_status of a task with 1 KB",
                median(&ours.little),
                median(&theirs.little),
                "ms",
            ),
            ("codex_status of a task with 100 MB", much, median(&theirs.much), "ms"),
            ("the most memory meanwhile (RSS)", ours.most, theirs.most, "kB"),
        ];
        for (figure, value, beside, unit) in rows {
            table.add(Row::new(figure, value, unit).beside(&other.name, beside))?;
        }
        return Ok(());
    }
    let row = Row::new("codex_status of a task with 100 MB", much, "ms")
        .beside("of one with 1 KB", median(&ours.little))
        .also("the first look", ours.first)
        .also("then at worst", worst(&ours.much));
    // the same work, but for what two runs of anything differ by
    let held = row.ratio().is_some_and(|ratio| ratio <= 1.25);
    table.add(row.bar("ratio <= 1.25", held))?;
    Ok(())
}

/// Looks at the tasks of one server in turn.
fn look(stage: &Stage, server: &mut Server) -> Result<Looks> {
    let (small, ..) = stage.stream(&stream::of_a_turn()?, LITTLE)?;
    let (large, ..) = stage.stream(&stream::of_a_turn()?, MUCH)?;
    let (little, mut writes_little) = server.run(stage)?;
    let (much, mut writes_much) = server.run(stage)?;
    writes_little.ask(&format!("pour {}", small.display()))?;
    writes_much.ask(&format!("pour {}", large.display()))?;
    std::fs::remove_file(large)?;
    let (little, much) = ([little], [much]);
    let first = server.status(&much)?;
    server.status(&little)?;
    let mut looks = Looks { little: Vec::new(), much: Vec::new(), first, most: 0.0 };
    let began = Instant::now();
    while looks.much.len() < TIMES && began.elapsed() < SPAN {
        looks.little.push(server.status(&little)?);
        looks.much.push(server.status(&much)?);
    }
    looks.most = server.family()?.first().ok_or("no server")?.peak()?;
    Ok(looks)
}
