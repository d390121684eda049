//! Which process a record means. A pid alone means nothing: it is used again.

use crate::files;
use crate::sys::{self, Pid, Signal};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// A process, told apart from every other that had or will have its pid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The pid, as it was written; not every number can be one.
    pub pid: i64,
    /// When it started, in clock ticks since the boot, where there is /proc.
    pub start: Option<u64>,
    /// Where the pid means it, where there is /proc.
    pub place: Option<Place>,
}

/// Where a pid has its meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The boot (random(4)).
    pub boot: String,
    /// The pid namespace (`pid_namespaces(7)`): a container has its own.
    pub namespace: String,
    /// The name of the machine: after a reboot it is the same, on another machine it is not.
    pub host: String,
}

/// What can be known of a process from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It runs.
    Alive,
    /// It has ended. A zombie has.
    Gone,
    /// It belongs to another machine or container, or it cannot be looked at now.
    Unknown,
}

impl Process {
    /// The process that has this pid now.
    pub fn of(pid: u32) -> Process {
        let start = status(i64::from(pid)).ok().map(|(start, _)| start);
        Process { pid: i64::from(pid), start, place: Place::here() }
    }

    /// Whether it still runs.
    pub fn life(&self) -> Life {
        match self.pid() {
            _ if cfg!(target_os = "linux") => self.compare(Place::here()),
            Some(pid) if sys::exists(pid) => Life::Alive,
            Some(_) | None => Life::Gone,
        }
    }

    /// Compares it with what has its pid `here`, if pids mean the same here.
    fn compare(&self, here: Option<Place>) -> Life {
        let Some(here) = here else { return Life::Unknown };
        // the Python package does not say where: its directory is one machine's
        let place = self.place.as_ref().unwrap_or(&here);
        if place.boot != here.boot {
            return if place.host == here.host { Life::Gone } else { Life::Unknown };
        }
        if place.namespace != here.namespace {
            return Life::Unknown;
        }
        match status(self.pid) {
            Ok((start, state)) if self.start == Some(start) && !matches!(state, 'Z' | 'X') => {
                Life::Alive
            }
            Ok(_) => Life::Gone,
            Err(why) if why.kind() == io::ErrorKind::NotFound => Life::Gone,
            // it ended while it was read
            Err(why) if why.raw_os_error() == Some(sys::NO_SUCH_PROCESS) => Life::Gone,
            Err(_) => Life::Unknown,
        }
    }

    /// Whether it is known to run.
    pub fn alive(&self) -> bool {
        self.life() == Life::Alive
    }

    /// A descriptor that becomes readable when it ends; `None` if it has ended or the system has
    /// no such descriptors.
    pub fn watch(&self) -> Option<OwnedFd> {
        let pid = self.pid()?;
        let handle = sys::open_process(pid).ok()?;
        // compared after it was opened: from here on the descriptor can mean no other
        self.alive().then_some(handle)
    }

    /// Sends a signal to it and to no other. `NotFound` if it is not known to run.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        self.signal_if(true, signal)
    }

    /// The same, where it may turn out to be another one than was meant.
    pub fn signal_if(&self, is_one: bool, signal: Signal) -> io::Result<()> {
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let pid = self.pid().ok_or_else(gone)?;
        let handle = sys::open_process(pid);
        if !is_one || !self.alive() {
            return Err(gone());
        }
        handle.map_or_else(|_| sys::kill(pid, signal), |h| sys::signal_process(&h, signal))
    }

    /// Whether its command line goes on so behind its name, as far as that can be seen here.
    pub fn runs(&self, words: &str) -> bool {
        let line = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        let behind = line.iter().position(|b| *b == 0).and_then(|end| line.get(end + 1..));
        behind.is_some_and(|behind| behind.starts_with(words.as_bytes()))
            || cfg!(not(target_os = "linux"))
    }

    /// Its pid, if that may be signalled.
    fn pid(&self) -> Option<Pid> {
        Pid::new(self.pid)
    }
}

impl Place {
    /// Where this process is.
    fn here() -> Option<Place> {
        let line = |path| fs::read_to_string(path).map(|text| text.trim().to_owned()).ok();
        Some(Place {
            boot: line("/proc/sys/kernel/random/boot_id")?,
            namespace: fs::read_link("/proc/self/ns/pid").ok()?.display().to_string(),
            host: line("/proc/sys/kernel/hostname")?,
        })
    }
}

/// The start time and state of the process that has this pid now.
fn status(pid: i64) -> io::Result<(u64, char)> {
    let line = fs::read(format!("/proc/{pid}/stat"))?;
    start_and_state(&line).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Fields 22 and 3 of a line of /proc/PID/stat (`proc_pid_stat(5)`). They are counted from behind the
/// **last** `)`: a program may be called `a) R (b`.
pub fn start_and_state(line: &[u8]) -> Option<(u64, char)> {
    let behind = line.iter().rposition(|b| *b == b')')? + 1;
    let mut fields = std::str::from_utf8(line.get(behind..)?).ok()?.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((fields.nth(18)?.parse().ok()?, state))
}

/// Who carries a variable in its environment, as far as that can be seen.
pub struct Marked {
    /// The processes, this one not among them.
    pub processes: Vec<Process>,
    /// There is one that has no environment at all: for a moment that is so amid execve(2).
    pub doubtful: bool,
}

/// The processes that carry `NAME=value` in their environment. `None` where there is no /proc to look
/// into.
pub fn marked(variable: &str) -> Option<Marked> {
    let proc = Path::new("/proc");
    let (mut processes, mut doubtful) = (Vec::new(), false);
    files::each_name(proc, &mut |name| {
        let Ok(pid) = name.parse::<u32>() else { return };
        // the process first, its environment after: what is found is then its own
        let process = Process::of(pid);
        let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { return };
        // a thread of the kernel and a zombie have none, and no program either
        doubtful |= environment.is_empty() && fs::read_link(format!("/proc/{pid}/exe")).is_ok();
        let carries = environment.split(|b| *b == 0).any(|entry| entry == variable.as_bytes());
        processes.extend(Some(process).filter(|process| carries && process.alive()));
    });
    proc.join("self").exists().then_some(Marked { processes, doubtful })
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
        if let Some(place) = process.place.clone() {
            let at = |place| Process { place: Some(place), ..process.clone() };
            let later = Process { start: process.start.map(|t| t + 1), ..process.clone() };
            let timeless = Process { start: None, ..process.clone() };
            let rebooted = at(Place { boot: "another".into(), ..place.clone() });
            let contained = at(Place { namespace: "pid:[1]".into(), ..place.clone() });
            let remote = at(Place { boot: "x".into(), host: "y".into(), ..place });
            let placeless = Process { place: None, start: Some(0), ..process.clone() };
            for (stranger, life) in [
                (later, Life::Gone),
                (timeless, Life::Gone),
                (rebooted, Life::Gone),
                (contained, Life::Unknown),
                (remote, Life::Unknown),
                (placeless, Life::Gone),
            ] {
                assert_eq!(stranger.life(), life);
                assert!(stranger.signal(Signal::Kill).is_err());
                assert!(stranger.watch().is_none());
            }
        }
        drop(child.stdin.take());
        assert!(child.wait().is_ok());
        assert!(!process.alive());
        for pid in [0, 1, -1, i64::from(std::process::id())] {
            assert!(!Process { pid, start: None, place: None }.alive());
        }
    }

    #[test]
    fn every_short_name_hides_no_field() {
        let tail = b") S 1 7 7 0 -1 4194304 90 0 0 0 0 0 0 0 20 0 1 0 777 2899968 231 0\n";
        let mut names = vec![Vec::new()];
        for _ in 0..5 {
            let longer = |name: &Vec<u8>| {
                let name = name.clone();
                b"() R7\n\xff".iter().map(move |byte| [&name[..], &[*byte]].concat())
            };
            names = names.iter().flat_map(longer).collect();
            for name in &names {
                let line = [b"7 (", &name[..], tail].concat();
                assert_eq!(start_and_state(&line), Some((777, 'S')), "{name:?}");
                assert_eq!(start_and_state(name), None, "{name:?}");
            }
        }
    }
}
