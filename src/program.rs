//! Another program: where it is, and run to its end. Knows nothing of what it is run for.

use crate::sys::{self, PollFd, Program, Signal};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

/// How often to look for the end of a program where the system cannot tell of it.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The most that is taken of what a program prints. A list of all files of the largest repositories is
/// a tenth of it; what prints more will not end by itself.
const MOST: usize = 256 << 20;

/// How a program ended, and what it wrote.
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// Its stdout, if that went into no file.
    pub printed: Vec<u8>,
    /// Its stderr.
    pub said: Vec<u8>,
}

/// Whether there is a program in a place.
pub fn is_program(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|s| s.is_file() && s.permissions().mode() & 0o111 != 0)
}

/// The first program of this name on a PATH, whose relative entries are meant from `here`.
pub fn find(name: &str, path: &str, here: &Path) -> Option<PathBuf> {
    // an empty entry would mean the directory that the caller happens to work in
    let directories = path.split(':').filter(|directory| !directory.is_empty());
    directories.map(|directory| here.join(directory).join(name)).find(|file| is_program(file))
}

/// The program that a name or a path means: what has no slash is looked up on PATH, the rest from `here`.
pub fn locate(name: &str, path: &str, here: &Path) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(here.join(name)).filter(|file| is_program(file));
    }
    find(name, path, here)
}

/// Starts a program and waits until it has ended and nobody holds its output open, but not for ever:
/// when `patience` is over it is killed with all its group, and the error is `TimedOut`; so it is when it
/// prints without end, and the error is `FileTooLarge`. What it prints goes into a file if one is given.
pub fn finish(
    program: &mut Program,
    stdin: BorrowedFd<'_>,
    stdout: Option<&File>,
    patience: Duration,
) -> io::Result<Ended> {
    program.lead_group();
    let (printed, to_print) = sys::pipe()?;
    let (said, to_say) = sys::pipe()?;
    let streams = [stdin, stdout.unwrap_or(&to_print).as_fd(), to_say.as_fd()];
    let mut child = program.start(streams)?;
    drop((to_print, to_say));
    let began = Instant::now();
    let end = child.pid().and_then(|pid| sys::open_process(pid).ok());
    let mut pipes = [Some(printed), Some(said)];
    let mut taken = [Vec::new(), Vec::new()];
    loop {
        let open = pipes.iter().any(Option::is_some);
        if !open && child.has_ended() {
            break;
        }
        let mut fds: Vec<PollFd<'_>> =
            pipes.iter().flatten().map(|pipe| PollFd::reading(pipe.as_fd())).collect();
        if !open {
            fds.extend(end.iter().map(|end| PollFd::reading(end.as_fd())));
        }
        let rest = patience.saturating_sub(began.elapsed());
        let wait = if fds.is_empty() { rest.min(LOOK_AGAIN) } else { rest };
        let polled = sys::poll(&mut fds, Some(wait));
        let mut ready = fds.iter().map(PollFd::ready).collect::<Vec<bool>>().into_iter();
        for (pipe, taken) in pipes.iter_mut().zip(&mut taken) {
            let is_over = |pipe: &mut File| ready.next() == Some(true) && !take_from(pipe, taken);
            if pipe.as_mut().is_some_and(is_over) {
                *pipe = None;
            }
        }
        let endless = taken.iter().any(|taken| taken.len() > MOST);
        if polled.is_err() || endless || began.elapsed() >= patience {
            if let Some(leader) = child.pid() {
                let _ = sys::kill_group(leader, Signal::Kill);
            }
            let _ = child.wait();
            let why = if endless { io::ErrorKind::FileTooLarge } else { io::ErrorKind::TimedOut };
            return Err(why.into());
        }
    }
    let status = child.wait()?;
    let [printed, said] = taken;
    Ok(Ended { status, printed, said })
}

/// Reads what is there; `false` at the end.
fn take_from(pipe: &mut File, into: &mut Vec<u8>) -> bool {
    let mut piece = [0; 16 << 10];
    match pipe.read(&mut piece) {
        Ok(count @ 1..) => {
            into.extend_from_slice(piece.get(..count).unwrap_or_default());
            true
        }
        Err(why) => why.kind() == io::ErrorKind::Interrupted,
        Ok(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    /// Runs a line of sh.
    fn run(line: &str, patience: Duration) -> io::Result<Ended> {
        let words = ["sh", "-c", line].map(OsStr::new);
        let nothing = sys::nothing()?;
        finish(&mut Program::new(OsStr::new("/bin/sh"), &words)?, nothing.as_fd(), None, patience)
    }

    #[test]
    fn both_streams_are_taken_to_their_end() {
        let line = "yes out | head -n 50000; yes err | head -n 50000 >&2; exit 3";
        let ended = run(line, Duration::from_secs(120)).expect("it ends");
        assert_eq!(ended.status.code(), Some(3));
        assert_eq!(ended.printed, b"out\n".repeat(50_000));
        assert_eq!(ended.said, b"err\n".repeat(50_000));
    }

    #[test]
    fn what_does_not_end_is_killed_though_it_says_nothing_or_has_closed_its_streams() {
        for line in
            ["while :; do echo x; done", "trap '' TERM; sleep 600", "exec >&- 2>&-; sleep 600"]
        {
            let why = run(line, Duration::from_millis(200)).err().expect(line);
            assert_eq!(why.kind(), io::ErrorKind::TimedOut, "{line}");
        }
    }

    #[test]
    fn what_prints_without_end_is_killed() {
        let why = run("exec cat /dev/zero", Duration::from_secs(120)).err().expect("no end");
        assert_eq!(why.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn only_a_program_is_found_on_the_path() {
        let find = |path| find("sh", path, Path::new("/usr"));
        assert_eq!(find("/nowhere::/bin"), Some("/bin/sh".into()));
        assert_eq!(find("bin"), Some("/usr/bin/sh".into()));
        assert_eq!(find(""), None);
        assert!(!is_program(Path::new("/bin")) && !is_program(Path::new("/etc/passwd")));
    }
}
