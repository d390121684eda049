//! Which process a record means. A pid alone means nothing: it is used again.

use crate::sys::{self, Pid, Signal};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;

/// A process, told apart from every other that had or will have its pid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The pid, as it was written; not every number can be one.
    pub pid: i64,
    /// When it started, in clock ticks since the boot, where there is /proc.
    pub start: Option<u64>,
    /// The boot it lived in, where there is /proc.
    pub boot: Option<String>,
}

impl Process {
    /// The process that has this pid now.
    pub fn of(pid: u32) -> Process {
        let start = status(i64::from(pid)).map(|(start, _)| start);
        Process { pid: i64::from(pid), start, boot: boot() }
    }

    /// Whether it still runs. A zombie does not.
    pub fn alive(&self) -> bool {
        match self.pid() {
            None => false,
            Some(pid) => same(self, pid.number()),
        }
    }

    /// A descriptor that becomes readable when it ends; `None` if it has ended or the system has
    /// no such descriptors.
    pub fn watch(&self) -> Option<OwnedFd> {
        let pid = self.pid()?;
        let handle = sys::open_process(pid).ok()?;
        // compared after it was opened: from here on the descriptor can mean no other
        self.alive().then_some(handle)
    }

    /// Sends a signal to it and to no other. `NotFound` if it has ended.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let pid = self.pid().ok_or_else(gone)?;
        let handle = sys::open_process(pid);
        if !self.alive() {
            return Err(gone());
        }
        handle.map_or_else(|_| sys::kill(pid, signal), |h| sys::signal_process(&h, signal))
    }

    /// Its pid, if that may be signalled.
    fn pid(&self) -> Option<Pid> {
        Pid::new(self.pid)
    }
}

/// Whether `process` is what has this pid now.
#[cfg(target_os = "linux")]
fn same(process: &Process, pid: i64) -> bool {
    match status(pid) {
        Some((start, state)) => {
            !matches!(state, 'Z' | 'X') && process.start == Some(start) && process.boot == boot()
        }
        None => false,
    }
}

/// Without /proc the pid has to do.
#[cfg(not(target_os = "linux"))]
fn same(_: &Process, pid: i64) -> bool {
    Pid::new(pid).is_some_and(sys::exists)
}

/// The start time and state of the process that has this pid now.
fn status(pid: i64) -> Option<(u64, char)> {
    start_and_state(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// Fields 22 and 3 of a line of /proc/PID/stat (`proc_pid_stat(5)`). They are counted from behind the
/// **last** `)`: a program may be called `a) R (b`.
fn start_and_state(line: &[u8]) -> Option<(u64, char)> {
    let behind = line.iter().rposition(|b| *b == b')')? + 1;
    let mut fields = std::str::from_utf8(line.get(behind..)?).ok()?.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((fields.nth(18)?.parse().ok()?, state))
}

/// The id of this boot (random(4)).
fn boot() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}

/// The processes that carry `NAME=value` in their environment, this one not among them. Empty
/// where there is no /proc.
pub fn marked(variable: &str) -> Vec<Process> {
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|b| *b == 0).any(|entry| entry == variable.as_bytes())
    })
    .map(Process::of)
    .filter(Process::alive)
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_and_state_are_found_behind_any_name() {
        let tail = "S 1 348601 348601 0 -1 4194304 90 0 0 0 0 0 0 0 20 0 1 0 777 2899968 231 0";
        for name in ["cat", "a) R (b", ") ) )", "two words", ""] {
            let line = format!("348601 ({name}) {tail}");
            assert_eq!(start_and_state(line.as_bytes()), Some((777, 'S')), "{name}");
        }
        for line in ["", "1", "1 (cat", "1 (cat)", "1 (cat) S 1 2", "1 (cat) S x y"] {
            assert_eq!(start_and_state(line.as_bytes()), None, "{line}");
        }
        assert_eq!(
            start_and_state(b"1 (\xff) Z 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 9 0"),
            Some((9, 'Z'))
        );
    }

    #[test]
    fn another_process_with_the_same_pid_is_a_stranger() {
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("cat starts");
        let process = Process::of(child.id());
        assert!(process.alive());
        if cfg!(target_os = "linux") {
            let later = Process { start: process.start.map(|t| t + 1), ..process.clone() };
            let rebooted = Process { boot: Some("another".into()), ..process.clone() };
            let unknown = Process { start: None, ..process.clone() };
            for stranger in [later, rebooted, unknown] {
                assert!(!stranger.alive());
                assert!(stranger.signal(Signal::Kill).is_err());
                assert!(stranger.watch().is_none());
            }
        }
        drop(child.stdin.take());
        assert!(child.wait().is_ok());
        assert!(!process.alive());
        for pid in [0, 1, -1, i64::from(std::process::id())] {
            assert!(!Process { pid, start: None, boot: None }.alive());
        }
    }
}
