//! `man`: the manual of this very program, on a terminal as `man` shows it, else as its source.

use super::{show, texts};
use crate::settings::Settings;
use crate::sys::Program;
use crate::{log, program};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What shows a manual that it reads on stdin: man-db's and mandoc's `man`, and where `man` takes no
/// file, as on macOS and FreeBSD, mandoc itself. The first that is there.
const READERS: [&[&str]; 2] = [&["man", "-l", "/dev/stdin"], &["mandoc", "-a"]];

/// Shows the manual, or prints it.
pub fn run(settings: &Settings) -> Result<bool, String> {
    let page = texts::manual();
    if io::stdout().is_terminal() {
        let why = become_reader(&page, settings);
        log::say(&format!("cannot show the manual, this is its source: {why}"));
    }
    show(&page).map(|_| true)
}

/// Turns into a program that shows the page. Comes back only if there is none, with the reason.
fn become_reader(page: &str, settings: &Settings) -> io::Error {
    let mut readers = READERS;
    if cfg!(any(target_os = "macos", target_os = "freebsd")) {
        readers.reverse();
    }
    let found = |words: &'static [&'static str]| {
        program::find(words.first()?, &settings.path, Path::new("/")).map(|path| (path, words))
    };
    let Some((path, words)) = readers.into_iter().find_map(found) else {
        return io::ErrorKind::NotFound.into();
    };
    let turn = || -> io::Result<io::Error> {
        let words: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
        let program = Program::new(path.as_os_str(), &words)?;
        let page = nameless(page)?;
        Ok(program.take_over([page.as_fd(), io::stdout().as_fd(), io::stderr().as_fd()]))
    };
    turn().unwrap_or_else(|why| why)
}

/// A file with this text that has no name any more, so that nobody has to remove it.
fn nameless(text: &str) -> io::Result<File> {
    let name = format!("codex-mcp-swarm-{}.1", std::process::id());
    let path = std::env::temp_dir().join(name);
    let mut file =
        File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
}
