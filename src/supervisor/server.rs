//! The server that started a supervisor, as that sees it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

/// Told to the server: there is more in the transcript.
pub const MORE_OUTPUT: u8 = b'o';
/// Told to the server: the record was replaced.
pub const NEW_RECORD: u8 = b'r';
/// Told by the server: end the task.
pub const CANCEL: u8 = b'c';
/// Told by the server: the task is to go on without it.
pub const DETACH: u8 = b'd';

/// The server at the other end of stdin and stdout, which are one socket.
pub struct Server {
    /// Where it is heard; `None` once it is gone.
    pub reading: Option<File>,
    /// Where it is told.
    writing: Option<File>,
}

/// What the server said.
pub enum Heard {
    /// [`CANCEL`]
    Cancel,
    /// [`DETACH`]
    Detach,
    /// It is gone.
    Gone,
    /// Nothing, or nothing we know.
    Nothing,
}

impl Server {
    /// Takes stdin and stdout. The socket does not block; the server has seen to that.
    pub fn connect() -> Server {
        let reading = io::stdin().as_fd().try_clone_to_owned().ok().map(File::from);
        let writing = io::stdout().as_fd().try_clone_to_owned().ok().map(File::from);
        Server { reading, writing }
    }

    /// Wakes the server. Where it is gone, or asleep with a full socket, nothing is lost by it.
    pub fn tell(&mut self, word: u8) {
        if let Some(socket) = &mut self.writing {
            let _ = socket.write(&[word]);
        }
    }

    /// Takes the next word.
    pub fn hear(&mut self) -> Heard {
        let mut word = [0];
        let Some(socket) = &mut self.reading else { return Heard::Nothing };
        match socket.read(&mut word) {
            Ok(1) if word == [CANCEL] => Heard::Cancel,
            Ok(1) if word == [DETACH] => Heard::Detach,
            Ok(1) => Heard::Nothing,
            Err(e)
                if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) =>
            {
                Heard::Nothing
            }
            Ok(_) | Err(_) => {
                self.reading = None;
                Heard::Gone
            }
        }
    }
}
