//! The MCP server: what clients ask, and the tasks they ask about.
//!
//! `core` decides and touches no descriptor; `tools` and `resources` are its answers to the two
//! kinds of question, `watched` and `report` what it knows and tells of a task; `run` is the loop
//! around it, which decides nothing.

mod core;
mod report;
mod resources;
pub mod run;
mod tools;
mod watched;
