//! Recordings of what a test and a server say to each other, for a check of every message by other
//! means afterwards: tests/client/schemas.py.
//!
//! Each server has a file of its own, named after the test. A line of it is `> ` and a line to the
//! server, or `< ` and a line from it, in the order in which they were seen: no answer stands above
//! its question. What is not UTF-8 stands behind `>?` or `<?`, as well as it can be said in UTF-8,
//! and a line from the server that was cut off behind `<~`.

use std::borrow::Cow;
use std::env;
use std::fs::{self, File};
use std::io::{ErrorKind, Result, Write};
use std::mem;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, id};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// The environment variable that names the directory for recordings. Without it nothing is recorded.
const VARIABLE: &str = "CODEX_SWARM_RECORD";

/// The recording of one server, if anybody wants it.
#[derive(Clone)]
pub struct Recording(Option<Arc<Mutex<File>>>);

impl Recording {
    /// Begins a recording of its own.
    pub fn begin() -> Recording {
        let directory = env::var_os(VARIABLE).map(PathBuf::from);
        Recording(directory.map(|path| Arc::new(Mutex::new(new_file(&path)))))
    }

    /// Notes a line that came from the server, with its end.
    pub fn server_said(&self, line: &[u8]) {
        match line.strip_suffix(b"\n") {
            Some(line) => self.note('<', ' ', line),
            None => self.note('<', '~', line),
        }
    }

    /// Notes one line, without its end.
    fn note(&self, who: char, how: char, line: &[u8]) {
        let Some(file) = &self.0 else { return };
        let text = String::from_utf8_lossy(line);
        let how = if matches!(text, Cow::Borrowed(_)) { how } else { '?' };
        let line = format!("{who}{how}{text}\n");
        file.lock().unwrap().write_all(line.as_bytes()).expect("the recording grows");
    }
}

/// A new file in this directory, named after the test that runs.
fn new_file(dir: &Path) -> File {
    static MADE: AtomicU32 = AtomicU32::new(0);
    fs::create_dir_all(dir).unwrap();
    let test = thread::current().name().unwrap_or("unnamed").replace("::", ".");
    loop {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        match File::create_new(dir.join(format!("{test}-{}-{number}", id()))) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            file => return file.expect("a new recording"),
        }
    }
}

/// The client's end of a server's stdin.
pub struct ToServer {
    /// The pipe.
    stdin: ChildStdin,
    /// Where each line is noted before the server has all of it.
    recording: Recording,
    /// The line of which the end was not yet written, if there is a recording.
    begun: Vec<u8>,
}

impl ToServer {
    /// Notes in this recording what is written to this pipe.
    pub fn new(stdin: ChildStdin, recording: Recording) -> ToServer {
        ToServer { stdin, recording, begun: Vec::new() }
    }

    /// Notes the lines that end in these bytes, and keeps the rest.
    fn note(&mut self, bytes: &[u8]) {
        if self.recording.0.is_none() {
            return;
        }
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(part.strip_suffix(b"\n").unwrap_or(part));
            if part.ends_with(b"\n") {
                self.recording.note('>', ' ', &mem::take(&mut self.begun));
            }
        }
    }
}

impl Write for ToServer {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.note(bytes);
        self.stdin.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        self.stdin.flush()
    }
}

impl Drop for ToServer {
    /// The end of the input ends the last line too.
    fn drop(&mut self) {
        if !self.begun.is_empty() {
            self.recording.note('>', ' ', &mem::take(&mut self.begun));
        }
    }
}
