//! What codex writes on its way through supervisor and server, beside the same through `cat`.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::client::Server;
use crate::process::Process;
use crate::roles;
use crate::stage::{CAP, Stage};
use crate::stream;
use crate::table::{Row, Table, median};

/// How much is poured through.
const BYTES: usize = 200_000_000;

/// How much comes line by line.
const DRIPPED: usize = 600_000;

/// How many microseconds pass from line to line.
const PAUSE: u32 = 400;

/// How often each of the two is done.
const TIMES: usize = 3;

/// What one run came to.
struct Run {
    /// How long it took, in seconds.
    took: f64,
    /// How long until all of it was in the file.
    written: f64,
    /// The processor time of the server, or of `cat`, in seconds.
    server: f64,
    /// That of the supervisor.
    supervisor: f64,
}

/// Pours long streams through: what commands print, where it is bytes that count, and what was recorded,
/// most of it short, where it is events.
pub fn measure(stage: &Stage, table: &mut Table) -> Result<()> {
    let (ours, cats, poured) = pour(stage, &stream::talkative())?;
    let rate = |runs: &[Run]| poured.bytes as f64 / 1e6 / middle(runs, |run| run.took);
    let (value, beside) = (rate(&ours), rate(&cats));
    let row = Row::new("relay of commands with 4 KB each", value, "MB/s");
    let row = row.beside(CAT, beside).bar("ratio >= 0.7", value >= 0.7 * beside);
    let written = poured.bytes as f64 / 1e6 / middle(&ours, |run| run.written);
    table.add(row.also("into the file", written))?;
    table.add(processor("processor time per 1,000 of them", &ours, &cats, poured.lines))?;

    let (ours, cats, poured) = pour(stage, &stream::of_a_turn()?)?;
    let rate = |runs: &[Run]| poured.lines as f64 / middle(runs, |run| run.took);
    let (value, beside) = (rate(&ours), rate(&cats));
    let row = Row::new("relay of recorded events", value, "a second");
    table.add(row.beside(CAT, beside).bar(">= 100,000 a second", value >= 100_000.0))?;
    table.add(processor("processor time per 1,000 of them", &ours, &cats, poured.lines))?;
    Ok(())
}

/// What the relay is measured beside.
const CAT: &str = "cat < pipe > file";

/// How much was poured.
struct Poured {
    /// So many bytes.
    bytes: u64,
    /// So many lines.
    lines: usize,
}

/// Pours a stream of these lines through, both ways.
fn pour(stage: &Stage, lines: &[Vec<u8>]) -> Result<(Vec<Run>, Vec<Run>, Poured)> {
    let (stream, bytes, lines) = stage.stream(lines, BYTES)?;
    let (ours, cats) = in_turn(stage, &stream, bytes, TIMES, 0)?;
    fs::remove_file(stream)?;
    Ok((ours, cats, Poured { bytes, lines }))
}

/// Drips some lines through.
pub fn measure_one_by_one(stage: &Stage, table: &mut Table) -> Result<()> {
    let (stream, bytes, lines) = stage.stream(&stream::of_a_turn()?, DRIPPED)?;
    let (ours, cats) = in_turn(stage, &stream, bytes, 1, PAUSE)?;
    let figure = "processor time per 1,000 events, one by one";
    table.add(processor(figure, &ours, &cats, lines)).map_err(Into::into)
}

/// The row for processor time.
fn processor(figure: &str, ours: &[Run], cats: &[Run], lines: usize) -> Row {
    let each = |seconds: f64| seconds * 1e6 / lines as f64;
    let server = each(middle(ours, |run| run.server));
    let both = each(middle(ours, |run| run.server + run.supervisor));
    let row = Row::new(figure, both, "ms").beside("cat", each(middle(cats, |run| run.server)));
    row.also("the server alone", server)
}

/// The middle of something over runs.
fn middle(runs: &[Run], of: impl Fn(&Run) -> f64) -> f64 {
    median(&runs.iter().map(of).collect::<Vec<_>>())
}

/// Both ways in turn, so often each.
fn in_turn(
    stage: &Stage,
    stream: &Path,
    bytes: u64,
    times: usize,
    pause: u32,
) -> Result<(Vec<Run>, Vec<Run>)> {
    let (mut ours, mut cats) = (Vec::new(), Vec::new());
    for _ in 0..times {
        cats.push(through_cat(stage, stream, bytes, pause)?);
        ours.push(through_server(stage, stream, bytes, pause)?);
    }
    Ok((ours, cats))
}

/// Through supervisor and server, until a wait for the task was answered.
fn through_server(stage: &Stage, stream: &Path, bytes: u64, pause: u32) -> Result<Run> {
    let subject = stage.subjects.first().ok_or("nothing to measure")?;
    let (mut server, _) = Server::start(stage, subject)?;
    let (id, mut actor) = server.run(stage)?;
    let transcript = server.room.join("tasks").join(format!("{id}.stdout"));
    let wait = server.begin_about("codex_wait", &[id])?;
    server.ask("ping")?;
    let family = server.family()?;
    let first: u64 = roles::head(actor.id).len().try_into()?;
    until_whole(&transcript, first)?;
    let [own, helpers @ ..] = family.as_slice() else { return Err("no server".into()) };
    let had = (own.time(), time(helpers));
    let began = Instant::now();
    let path = stream.display();
    actor.tell(&match pause {
        0 => format!("pour {path}"),
        _ => format!("drip {path} {pause}"),
    })?;
    actor.word()?;
    until_whole(&transcript, first + bytes)?;
    let written = began.elapsed().as_secs_f64();
    server.ask("ping")?;
    let supervisor = time(helpers) - had.1;
    actor.ask("end")?;
    let reply = server.reply(wait)?;
    let took = began.elapsed().as_secs_f64();
    // it may put off what it has to read until somebody asks
    let server_time = own.time().saturating_sub(had.0).as_secs_f64();
    if !reply.text()?.contains(&actor.answer()) {
        return Err("the task has lost its answer".into());
    }
    drop(actor);
    server.end()?;
    Ok(Run { took, written, server: server_time, supervisor })
}

/// From a pipe to a file.
fn through_cat(stage: &Stage, stream: &Path, bytes: u64, pause: u32) -> Result<Run> {
    let copy = stage.dir.join("copy");
    let mut source =
        roles::command("pour")?.arg(stream).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let pipe = source.stdout.take().ok_or("no stdout")?;
    let cat = Command::new("cat").stdin(pipe).stdout(File::create(&copy)?).spawn();
    let mut cat = cat.map_err(|why| format!("cat: {why}"))?;
    let run = pour_into(&mut source, &mut cat, &copy, bytes, pause);
    drop(source.stdin.take());
    source.wait()?;
    cat.wait()?;
    fs::remove_file(copy)?;
    run
}

/// Has the source pour, and waits until all of it is in the file.
fn pour_into(
    source: &mut Child,
    cat: &mut Child,
    copy: &Path,
    bytes: u64,
    pause: u32,
) -> Result<Run> {
    let process = Process::read(cat.id()).ok_or("cat is gone")?;
    let had = process.time();
    let began = Instant::now();
    let mut stdin = source.stdin.take().ok_or("no stdin")?;
    writeln!(stdin, "{pause}")?;
    until_whole(copy, bytes)?;
    let written = began.elapsed().as_secs_f64();
    let server = process.time().saturating_sub(had).as_secs_f64();
    drop(stdin);
    cat.wait()?;
    Ok(Run { took: began.elapsed().as_secs_f64(), written, server, supervisor: 0.0 })
}

/// Waits until a file is that long. Looks rarely, to take nothing from those who write it.
fn until_whole(path: &Path, bytes: u64) -> Result<()> {
    let mut end = Instant::now() + CAP;
    let mut length = 0;
    while length < bytes {
        thread::sleep(Duration::from_millis(1));
        // it may be about to be made
        let now = fs::metadata(path).map_or(0, |file| file.len());
        if now > length {
            end = Instant::now() + CAP;
        }
        length = now;
        if Instant::now() > end {
            return Err(format!("{} stays at {length} of {bytes} bytes", path.display()).into());
        }
    }
    Ok(())
}

/// The processor time of all, in seconds.
fn time(processes: &[Process]) -> f64 {
    processes.iter().map(|process| process.time().as_secs_f64()).sum()
}
