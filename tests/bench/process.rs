//! What the kernel tells of processes. Where there is no /proc, these figures fail and say so.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use crate::Result;

/// What /proc/PID/stat counts times in: a hundredth of a second, whatever the kernel's own clock is.
const TICK: Duration = Duration::from_millis(10);

/// A process.
#[derive(Clone, Debug, PartialEq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its program's name.
    name: String,
    /// Its parent's id.
    parent: u32,
    /// It has ended, and its parent has not heard of it.
    is_zombie: bool,
    /// How many threads it has.
    threads: u64,
    /// The processor time it has had, in ticks.
    ticks: u64,
    /// When it started, in ticks since the machine did.
    start: u64,
}

impl Process {
    /// The process with this id.
    pub fn read(pid: u32) -> Option<Process> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // the name may hold anything, parentheses too
        let (head, tail) = text.rsplit_once(") ")?;
        let (_, name) = head.split_once(" (")?;
        let fields: Vec<&str> = tail.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Process {
            pid,
            name: name.to_owned(),
            parent: fields.get(1)?.parse().ok()?,
            is_zombie: fields.first() == Some(&"Z"),
            threads: number(17)?,
            ticks: number(11)? + number(12)?,
            start: number(19)?,
        })
    }

    /// Whether it still runs.
    pub fn runs(&self) -> bool {
        Process::read(self.pid).is_some_and(|now| now.start == self.start && !now.is_zombie)
    }

    /// The processor time it has had.
    pub fn time(&self) -> Duration {
        let now = Process::read(self.pid);
        // to the nanosecond, where the kernel keeps it; but of the first thread alone
        let exact = fs::read_to_string(format!("/proc/{}/schedstat", self.pid)).ok();
        let exact = exact.and_then(|text| text.split(' ').next()?.parse().ok());
        match (now, exact) {
            (Some(now), Some(exact)) if now.threads == 1 => Duration::from_nanos(exact),
            (Some(now), _) => TICK * u32::try_from(now.ticks).unwrap_or(u32::MAX),
            (None, _) => Duration::ZERO,
        }
    }

    /// The number behind `name` in one of its files.
    fn number(&self, file: &str, name: &str) -> Result<f64> {
        let path = format!("/proc/{}/{file}", self.pid);
        let text = fs::read_to_string(&path).map_err(|why| format!("{path}: {why}"))?;
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let value = lines.next().and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        value.ok_or_else(|| format!("{path} says nothing of {name}").into())
    }

    /// How often it went to sleep, and so how often it was woken.
    pub fn sleeps(&self) -> Result<f64> {
        self.number("status", "voluntary_ctxt_switches")
    }

    /// The most it has had in memory so far, in kB.
    pub fn peak(&self) -> Result<f64> {
        self.number("status", "VmHWM")
    }

    /// What it has in memory, in kB.
    pub fn memory(&self) -> Result<Memory> {
        Ok(Memory {
            resident: self.number("status", "VmRSS")?,
            anonymous: self.number("status", "RssAnon")?,
            share: self.number("smaps_rollup", "Pss")?,
            private: self.number("smaps_rollup", "Private_Clean")?
                + self.number("smaps_rollup", "Private_Dirty")?,
        })
    }
}

/// What is in memory, in kB.
#[derive(Clone, Copy, Default)]
pub struct Memory {
    /// All of it, also what others have too.
    pub resident: f64,
    /// What is from no file.
    pub anonymous: f64,
    /// What others have too counts in parts.
    pub share: f64,
    /// What nobody else has.
    pub private: f64,
}

impl Memory {
    /// The sum over processes.
    pub fn of(processes: &[Process]) -> Result<Memory> {
        processes.iter().try_fold(Memory::default(), |sum, process| {
            let one = process.memory()?;
            Ok(Memory {
                resident: sum.resident + one.resident,
                anonymous: sum.anonymous + one.anonymous,
                share: sum.share + one.share,
                private: sum.private + one.private,
            })
        })
    }
}

/// The ids of all processes.
fn pids() -> Result<impl Iterator<Item = u32>> {
    let entries = fs::read_dir("/proc").map_err(|why| format!("/proc: {why}"))?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()))
}

/// Whether there is a process that has this path in its environment.
pub fn is_told_of(path: &Path) -> bool {
    let path = path.as_os_str().as_bytes();
    let has = |pid: u32| {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.windows(path.len()).any(|part| part == path)
    };
    pids().is_ok_and(|mut pids| pids.any(has))
}

/// A process and all that descend from it, but for stand-ins of codex and what is a zombie; the
/// process itself comes first.
pub fn family(pid: u32) -> Result<Vec<Process>> {
    let all: Vec<Process> = pids()?.filter_map(Process::read).collect();
    let mut found: Vec<Process> = all.iter().filter(|one| one.pid == pid).cloned().collect();
    let mut at = 0;
    while let Some(parent) = found.get(at).map(|one| one.pid) {
        let child = |one: &&Process| one.parent == parent && one.name != "codex" && !one.is_zombie;
        found.extend(all.iter().filter(child).cloned());
        at += 1;
    }
    if found.is_empty() { Err(format!("there is no process {pid}").into()) } else { Ok(found) }
}
