//! The MCP server: what clients ask, and the tasks they ask about.
//!
//! `core` decides what is done about what happens to tasks, and touches no descriptor. `requests`
//! takes a client's line to its answer or to a call that waits; `open` is what is not answered yet,
//! `waiting` answers it, `handles` where the client looks after it as a task, `updates` tells those
//! who listen. `tools` and `resources` are the answers to the two kinds of question, `watched`
//! and `report` what is known and told of a task, `known` all of them; `run` is the loop around all,
//! which decides nothing.

mod core;
mod handles;
mod known;
mod open;
pub mod report;
mod requests;
mod resources;
pub mod run;
mod tools;
mod updates;
mod waiting;
pub mod watched;
