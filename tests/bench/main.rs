//! `cargo bench`: what the program costs, each figure beside a reference that is measured in the same
//! run, and beside what it was meant to cost. `help.txt` describes the command line.
#![allow(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "a figure is a float, and no count here is so large that it would matter"
)]

mod client;
mod idle;
#[path = "../../src/json/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    clippy::missing_docs_in_private_items,
    reason = "the program's own JSON, tests and all: its parser is measured here"
)]
mod json;
mod latency;
mod machine;
mod options;
mod parse;
mod process;
mod relay;
mod roles;
mod size;
mod stage;
mod startup;
mod status;
mod stream;
mod table;
mod tasks;

use std::error::Error;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use client::Server;
use options::Options;
use stage::{Stage, Subject};
use table::Table;

/// What can go wrong is told, not handled.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Measures something, and puts it into the table.
type Measure = fn(&Stage, &mut Table) -> Result<()>;

/// Whether a figure is of the protocol, so that it can be measured on another server too.
#[derive(Clone, Copy, PartialEq)]
enum Of {
    /// It is.
    Protocol,
    /// It has to do with how this program is built.
    Program,
}

/// What can be measured. The short names come first, and `--only` looks for its word in them.
const FIGURES: [(&str, Of, Measure); 10] = [
    ("start-up", Of::Protocol, startup::measure),
    ("relay and processor time", Of::Program, relay::measure),
    ("processor time one by one", Of::Program, relay::measure_one_by_one),
    ("json parse", Of::Program, parse::measure),
    ("wait latency", Of::Protocol, latency::measure_wait),
    ("codex latency", Of::Protocol, latency::measure_codex),
    ("status", Of::Protocol, status::measure),
    ("memory, launch and end of tasks", Of::Protocol, tasks::measure),
    ("idle wake-ups", Of::Program, idle::measure),
    ("size", Of::Program, size::measure),
];

fn main() -> ExitCode {
    let result = roles::play().unwrap_or_else(bench);
    result.unwrap_or_else(|why| {
        let _ = writeln!(io::stderr(), "bench: {why}");
        ExitCode::FAILURE
    })
}

/// Runs the figures that are asked for.
fn bench() -> Result<ExitCode> {
    let Some(options) = Options::from_args(std::env::args().skip(1))? else {
        io::stdout().write_all(options::HELP.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    };
    let built = PathBuf::from(env!("CARGO_BIN_EXE_codex-mcp-swarm"));
    let binary = options.binary.unwrap_or(built);
    let binary = binary.canonicalize().map_err(|why| format!("{}: {why}", binary.display()))?;
    let mut subjects = vec![Subject::ours(&binary)?];
    if let Some(command) = &options.against {
        subjects.push(Subject::read(command)?);
    }
    let all = subjects.len() == 1;
    let stage = Stage::set(binary, subjects, options.large)?;
    // who cannot be started at all is told of at once, and once
    Server::each(&stage)?.into_iter().try_for_each(Server::end)?;
    let mut table = Table::begin(machine::describe(&stage)?)?;
    for (name, of, measure) in FIGURES {
        if !(all || of == Of::Protocol) || !name.contains(options.only.as_str()) {
            continue;
        }
        stage.clear();
        if let Err(why) = measure(&stage, &mut table) {
            table.failed(name, &why.to_string())?;
        }
    }
    let clean = table.end(&machine::load())?;
    if let Some(file) = options.json {
        std::fs::write(&file, table.to_json())
            .map_err(|why| format!("{}: {why}", file.display()))?;
    }
    stage.strike()?;
    Ok(if clean || !options.strict { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
