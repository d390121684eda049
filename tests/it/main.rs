//! Drives the real binary from outside, with a scripted stand-in for codex: a second reading of
//! what the program promises. A module per concern; `support` is the floor they stand on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that meets what it did not expect has to fail, and to say so"
)]
#![allow(clippy::missing_docs_in_private_items, reason = "a test's name says what holds")]

#[path = "../../src/json/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the program's own reader, of which tests need a part")]
mod json;

#[path = "../../src/launcher.rs"]
#[allow(dead_code, reason = "the reader of command lines knows it")]
mod launcher;

mod engines;
mod handles;
mod harm;
mod look;
mod many;
mod planted;
mod recorded;
mod repo;
mod scarce;
mod support;
mod terminal;

mod arguments;
mod backpressure;
mod batch;
mod batches;
mod broken;
mod calls;
mod cancel;
mod cancel_by_hand;
mod check;
mod cli;
mod client;
mod clock;
mod commits;
mod completions;
mod crash;
mod deaths;
mod endings;
mod exhausted;
mod extension;
mod files;
mod forged;
mod guards;
mod handshake;
mod hostile;
mod identity;
mod inherited;
mod launchers;
mod limits;
mod listing;
mod locked;
mod logs;
mod manual;
mod modern;
mod neighbour;
mod outlived;
mod output;
mod picture;
mod podman;
mod progress;
mod prompts;
mod ps;
mod queue;
mod races;
mod random;
mod readme;
mod real;
mod received;
mod redteam;
mod resources;
mod retention;
mod revisions;
mod rpc;
mod scale;
mod secrets;
mod shared;
mod slurm;
mod soak;
mod ssh;
mod streams;
mod structured;
mod survival;
mod syntax;
mod temporary;
mod threads;
mod tidy;
mod timeout;
mod updates;
mod waiting;
mod worktree;
