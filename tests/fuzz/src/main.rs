//! The readers of the program, each given what libFuzzer makes up: `FUZZ_TARGET` says which one.
//!
//! What has to hold of a reader stands in `readers`; a panic is a find. The modules are the program's
//! own files, in the places where they look for each other.

#![no_main]
#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "the program uses more of its modules than is tried here"
)]

#[path = "../../../src/cli.rs"]
mod cli;
#[path = "../../../src/clock.rs"]
mod clock;
#[path = "../../../src/codex/mod.rs"]
mod codex;
#[path = "../../../src/files/mod.rs"]
mod files;
#[path = "../../../src/json/mod.rs"]
mod json;
#[path = "../../../src/launcher.rs"]
mod launcher;
#[path = "../../../src/lines.rs"]
mod lines;
#[path = "../../../src/log.rs"]
mod log;
#[path = "../../../src/mcp/mod.rs"]
mod mcp;
#[path = "../../../src/program.rs"]
mod program;
#[path = "../../../src/roots.rs"]
mod roots;
#[path = "../../../src/rpc.rs"]
mod rpc;
#[path = "../../../src/settings.rs"]
mod settings;
#[path = "../../../src/sys.rs"]
mod sys;
#[path = "../../../src/task/mod.rs"]
mod task;
#[path = "../../../src/console/text.rs"]
mod text;

mod readers;

use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

/// The reader that is tried.
static READER: OnceLock<readers::Reader> = OnceLock::new();

fuzz_target!(
    init: {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        let known = readers::ALL.into_iter().find(|(known, _)| *known == name);
        let names = readers::ALL.map(|(name, _)| name).join(" ");
        let (_, reader) = known.unwrap_or_else(|| panic!("FUZZ_TARGET must be one of: {names}"));
        READER.get_or_init(|| reader);
    },
    |data: &[u8]| READER.get().expect("it was chosen")(data)
);
