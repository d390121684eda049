//! What a person does at a terminal. All of it works on the task directory, with or without a server.

pub mod gc;
pub mod wait;

use std::io::{self, Write};

/// Prints a text on stdout, and says whether that went well. A reader that has seen enough is no
/// failure.
pub fn print(text: &str) -> bool {
    match io::stdout().write_all(text.as_bytes()) {
        Err(why) => why.kind() == io::ErrorKind::BrokenPipe,
        Ok(()) => true,
    }
}
