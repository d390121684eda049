//! What codex writes: the lines that were recorded of the real one.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use crate::Result;

/// Where the recordings are.
const RECORDINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/codex-0.169");

/// Every recorded line that is JSON, each with its end.
pub fn recorded() -> Result<Vec<Vec<u8>>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(RECORDINGS).map_err(|why| format!("{RECORDINGS}: {why}"))? {
        paths.push(entry?.path());
    }
    paths.sort();
    let mut lines = Vec::new();
    for path in paths {
        let text = fs::read(path)?;
        let whole = text.split_inclusive(|b| *b == b'\n');
        lines.extend(whole.filter(|line| line.starts_with(b"{")).map(<[u8]>::to_vec));
    }
    Ok(lines)
}

/// Those of them that can stand in the middle of a turn.
pub fn of_a_turn() -> Result<Vec<Vec<u8>>> {
    let mut lines = recorded()?;
    lines.retain(|line| line.starts_with(b"{\"type\":\"item."));
    Ok(lines)
}

/// A command with some pages of output: no recording has one that says much.
pub fn talkative() -> Vec<Vec<u8>> {
    let output = "src/cart.rs:42:    let total = items.iter().map(price).sum();\\n".repeat(70);
    let item = |event, output, exit, status| {
        format!(
            "{{\"type\":\"item.{event}\",\"item\":{{\"id\":\"item_1\",\"type\":\"command_execution\",\"command\":\"/bin/bash -lc 'rg -n total'\",\"aggregated_output\":\"{output}\",\"exit_code\":{exit},\"status\":\"{status}\"}}}}\n"
        )
    };
    let begun = item("started", "", "null", "in_progress");
    vec![begun.into_bytes(), item("completed", &output, "0", "completed").into_bytes()]
}

/// Writes a file of at least so many bytes of these: how many bytes and lines it has.
pub fn write(path: &Path, lines: &[Vec<u8>], bytes: usize) -> Result<(u64, usize)> {
    let mut file = BufWriter::new(fs::File::create(path)?);
    let (mut written, mut count) = (0, 0);
    for line in lines.iter().cycle() {
        if written >= bytes {
            break;
        }
        file.write_all(line)?;
        written += line.len();
        count += 1;
    }
    file.flush()?;
    Ok((written.try_into()?, count))
}
