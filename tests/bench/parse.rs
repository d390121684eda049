//! The JSON parser, in this process, beside a copy of the same bytes and beside a look at whether
//! they are UTF-8.

use std::hint::black_box;
use std::time::Instant;

use crate::Result;
use crate::json;
use crate::stage::Stage;
use crate::stream;
use crate::table::{Row, Table, median};

/// How much is parsed at a time, at least.
const BYTES: usize = 8_000_000;

/// How often.
const TIMES: usize = 21;

/// Parses what was recorded, and long strings.
pub fn measure(_: &Stage, table: &mut Table) -> Result<()> {
    let recorded = stream::recorded()?;
    let recorded: Vec<Vec<u8>> = {
        let length: usize = recorded.iter().map(Vec::len).sum();
        let times = BYTES / length.max(1) + 1;
        recorded.iter().cycle().take(recorded.len() * times).cloned().collect()
    };
    let prose = "The caller frees what it gets here, and nobody else does. ";
    let code = "    if (n > 0) { return \\\"none\\\"; }\\n";
    for (figure, lines, bar) in [
        ("JSON parse: recorded lines", recorded, Some((">= 500 MB/s", 500.0))),
        ("JSON parse: long strings", message(prose), Some((">= 1000 MB/s", 1000.0))),
        ("JSON parse: long strings with escapes", message(code), None),
    ] {
        let [parsed, copied, checked] = rates(&lines)?;
        let mut row = Row::new(figure, parsed, "MB/s").beside("a check for UTF-8", checked);
        if let Some((text, least)) = bar {
            row = row.bar(text, parsed >= least);
        }
        table.add(row.also("a copy", copied))?;
    }
    Ok(())
}

/// Final messages of half a megabyte, made of this.
fn message(text: &str) -> Vec<Vec<u8>> {
    let long = text.repeat(500_000 / text.len());
    let item = format!(r#"{{"id":"item_1","type":"agent_message","text":"{long}"}}"#);
    let line = format!("{{\"type\":\"item.completed\",\"item\":{item}}}\n").into_bytes();
    vec![line; BYTES / 500_000]
}

/// MB/s of the parser, of a copy, and of the check for UTF-8, done in turn.
fn rates(lines: &[Vec<u8>]) -> Result<[f64; 3]> {
    let bytes: usize = lines.iter().map(Vec::len).sum();
    let mut room = vec![0; lines.iter().map(Vec::len).max().unwrap_or(0)];
    let mut seconds = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..TIMES {
        let began = Instant::now();
        for line in lines {
            let value = json::parse(black_box(line)).map_err(|why| why.to_string())?;
            drop(black_box(value));
        }
        let parsed = Instant::now();
        for line in lines {
            for (to, from) in room.chunks_mut(line.len()).zip([black_box(line)]) {
                if to.len() == from.len() {
                    to.copy_from_slice(from);
                }
            }
            black_box(&room);
        }
        let copied = Instant::now();
        for line in lines {
            let _ = black_box(std::str::from_utf8(black_box(line))?);
        }
        let checked = Instant::now();
        let spans = [parsed - began, copied - parsed, checked - copied];
        for (seconds, span) in seconds.iter_mut().zip(spans) {
            seconds.push(span.as_secs_f64());
        }
    }
    Ok(seconds.map(|seconds| bytes as f64 / 1e6 / median(&seconds)))
}
