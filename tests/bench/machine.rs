//! Where and what is measured: a figure without that says nothing.

use std::fs;
use std::thread;

use crate::Result;
use crate::size;
use crate::stage::Stage;

/// The profile that everything here is built with stands there.
const MANIFEST: &str = include_str!("../../Cargo.toml");

/// The lines above the table.
pub fn describe(stage: &Stage) -> Result<Vec<(&'static str, String)>> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let model = read("/proc/cpuinfo")
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, model)| model.to_owned());
    let kernel =
        format!("{} {}", read("/proc/sys/kernel/ostype"), read("/proc/sys/kernel/osrelease"));
    let binary = stage.binary();
    let kind = if size::is_static(binary)? { "static" } else { "dynamic" };
    let level = MANIFEST.lines().find_map(|line| line.strip_prefix("opt-level = "));
    let mut lines = vec![
        ("machine", format!("{processors} x {model}, {kernel}")),
        ("load", load()),
        ("binary", format!("{} ({kind})", binary.display())),
        (
            "parser",
            format!("built in here: {}, opt-level {}", profile(), level.unwrap_or("unknown")),
        ),
    ];
    if let Some(other) = stage.other() {
        lines.push(("against", other.command()));
    }
    Ok(lines)
}

/// How busy the machine is: over 1, 5 and 15 minutes.
pub fn load() -> String {
    read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// What this was built as.
fn profile() -> &'static str {
    if cfg!(debug_assertions) { "debug: these figures mean nothing" } else { "release" }
}

/// A small file of the kernel's, or nothing.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}
