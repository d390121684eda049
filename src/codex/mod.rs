//! The Codex CLI: how a request becomes its command line, and what its output means. All facts are
//! those of Codex 0.169. Knows nothing of MCP.

pub mod bounds;
pub mod command;
pub mod event;
pub mod failure;
pub mod story;
pub mod toml;
pub mod transcript;

pub use command::Request;
pub use failure::Failure;
pub use transcript::Transcript;
