//! The readers, and what has to hold of each whatever it is given.

mod cli;
mod json;
mod proc;
mod record;
mod request;
mod rpc;
mod story;
mod text;
mod toml;
mod transcript;
mod words;

/// What panics where something does not hold.
pub type Reader = fn(&[u8]);

/// All of them, with their names.
pub const ALL: [(&str, Reader); 11] = [
    ("json", json::hold),
    ("rpc", rpc::hold),
    ("transcript", transcript::hold),
    ("story", story::hold),
    ("record", record::hold),
    ("proc", proc::hold),
    ("toml", toml::hold),
    ("request", request::hold),
    ("cli", cli::hold),
    ("words", words::hold),
    ("text", text::hold),
];
