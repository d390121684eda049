//! The operating system: all `unsafe` and all of `libc` stand here. Knows nothing of tasks.
//!
//! Everything is a thin cover over one call, so that what is decided elsewhere is decided in plain
//! values. Facts are from the Linux man pages of the calls named; other Unix systems lack pidfds
//! and parent-death signals, and do without.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

/// The most bytes that a write to a pipe takes whole, and so without blocking once poll(2) said
/// that it is writable (pipe(7)).
pub const PIPE_BUF: usize = libc::PIPE_BUF;

/// For open(2): a link in the last place is refused.
pub const NO_LINK: i32 = libc::O_NOFOLLOW;

/// For open(2): nothing is waited for, as the other end of a pipe.
pub const AT_ONCE: i32 = libc::O_NONBLOCK;

/// For open(2): what is no directory is refused.
pub const A_DIRECTORY: i32 = libc::O_DIRECTORY;

/// For open(2): only the place is meant, whoever may read it.
#[cfg(target_os = "linux")]
pub const A_PLACE: i32 = libc::O_PATH;

/// Whether something could not be opened because it is a link, or no directory.
pub fn is_of_another_kind(why: &io::Error) -> bool {
    matches!(why.raw_os_error(), Some(libc::ELOOP | libc::ENOTDIR))
}

/// The signals this program sends or catches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: the one signal that makes Codex end all its commands in every sandbox mode.
    Interrupt,
    /// SIGTERM: a supervisor cancels its task, a server ends.
    Terminate,
    /// SIGHUP: the terminal went away.
    HangUp,
    /// SIGCHLD: a child ended.
    Child,
    /// SIGKILL.
    Kill,
    /// SIGWINCH: the terminal has another size.
    Resize,
    /// SIGTSTP: the person at the terminal wants it back for a while.
    Pause,
    /// SIGQUIT: Ctrl-\ at the terminal.
    Quit,
}

impl Signal {
    /// Every signal that can be caught here.
    const CATCHABLE: [Signal; 7] = [
        Signal::Interrupt,
        Signal::Terminate,
        Signal::HangUp,
        Signal::Child,
        Signal::Resize,
        Signal::Pause,
        Signal::Quit,
    ];

    /// The number that the system knows it by.
    fn number(self) -> libc::c_int {
        match self {
            Signal::Interrupt => libc::SIGINT,
            Signal::Terminate => libc::SIGTERM,
            Signal::HangUp => libc::SIGHUP,
            Signal::Child => libc::SIGCHLD,
            Signal::Kill => libc::SIGKILL,
            Signal::Resize => libc::SIGWINCH,
            Signal::Pause => libc::SIGTSTP,
            Signal::Quit => libc::SIGQUIT,
        }
    }
}

/// The id of a process that may be signalled: never 0, 1 or negative, nor one of ours: this process,
/// its parent or the leader of its group.
///
/// kill(2) gives 0 and negative numbers the meaning "a group" or "all processes there are". No
/// number that was read from anywhere reaches it except as a value of this type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pid(libc::pid_t);

/// No system gives out this number or one beyond: the limit of Linux (proc(5)), and the highest.
const PID_END: i64 = 1 << 22;

impl Pid {
    /// The process `number`, if that may be signalled.
    pub fn new(number: i64) -> Option<Pid> {
        // SAFETY: getppid(2) takes nothing and always succeeds.
        let parent = unsafe { libc::getppid() };
        // SAFETY: and so does getpgrp(2).
        let group = unsafe { libc::getpgrp() };
        Pid::unless(number, [std::process::id().into(), parent.into(), group.into()])
    }

    /// The decision of [`Pid::new`], where `ours` must not be met.
    fn unless(number: i64, ours: [i64; 3]) -> Option<Pid> {
        let is_one = (2..PID_END).contains(&number) && !ours.contains(&number);
        number.try_into().ok().filter(|_| is_one).map(Pid)
    }
}

/// Turns -1 into the error that stands in errno.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Sends a signal to one process. Whoever calls has made sure that the id means that process.
pub fn kill(pid: Pid, signal: Signal) -> io::Result<()> {
    // SAFETY: kill(2) takes two integers and touches no memory of ours.
    check(unsafe { libc::kill(pid.0, signal.number()) }).map(drop)
}

/// Sends a signal to the process group that `leader` leads. The leader must be a child that is not
/// reaped yet: that keeps the number from meaning another group.
pub fn kill_group(leader: Pid, signal: Signal) -> io::Result<()> {
    // SAFETY: as in `kill`; a `Pid` is above 1, so the negated number names one group.
    check(unsafe { libc::kill(-leader.0, signal.number()) }).map(drop)
}

/// The error of a call on a process that has ended: ESRCH.
pub const NO_SUCH_PROCESS: i32 = libc::ESRCH;

/// Whether there is a process with this id, a zombie included.
pub fn exists(pid: Pid) -> bool {
    // SAFETY: signal 0 sends nothing (kill(2)).
    let result = check(unsafe { libc::kill(pid.0, 0) });
    !matches!(result, Err(e) if e.raw_os_error() == Some(NO_SUCH_PROCESS))
}

/// A descriptor that means one process and no later one with the same id (`pidfd_open(2)`, Linux
/// 5.3). It becomes readable when the process ends. An error where the system has no such thing.
#[cfg(target_os = "linux")]
pub fn open_process(pid: Pid) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open(2) takes two integers; the result is an error or a descriptor that
    // nobody else owns.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.0, 0) };
    let fd = libc::c_int::try_from(result).map_err(io::Error::other).and_then(check)?;
    // SAFETY: the call above has just made this descriptor for us alone.
    let process = unsafe { OwnedFd::from_raw_fd(fd) };
    // who waits for very many processes must be able to open a file as well
    if u64::try_from(fd).is_ok_and(|fd| fd > descriptor_limit() / 2) {
        return Err(io::Error::from_raw_os_error(libc::EMFILE));
    }
    Ok(process)
}

/// How many descriptors this process may have.
#[cfg(target_os = "linux")]
fn descriptor_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: `limit` lives through the call, which writes one rlimit there (getrlimit(2)).
    let _ = check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) });
    limit.rlim_cur
}

/// As on Linux, where it is there.
#[cfg(not(target_os = "linux"))]
pub fn open_process(_: Pid) -> io::Result<OwnedFd> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Sends a signal to the process that `process` means, or fails with ESRCH if that has ended.
#[cfg(target_os = "linux")]
pub fn signal_process(process: &OwnedFd, signal: Signal) -> io::Result<()> {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: pidfd_send_signal(2) takes a descriptor, integers and a pointer that may be null.
    let result = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), signal.number(), none, 0)
    };
    libc::c_int::try_from(result).map_err(io::Error::other).and_then(check).map(drop)
}

/// As on Linux, where it is there.
#[cfg(not(target_os = "linux"))]
pub fn signal_process(_: &OwnedFd, _: Signal) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Makes this process the leader of a session of its own, out of reach of the terminal's hang-up
/// and of a signal to its starter's process group. Fails only where that is so already.
pub fn new_session() {
    // SAFETY: setsid(2) takes nothing and touches no memory.
    let _ = check(unsafe { libc::setsid() });
}

/// A program to be started, and what it is given. Everything is taken as it stands: no shell and no
/// PATH has a say in it.
pub struct Program {
    /// Its file.
    path: CString,
    /// Its name, and the words behind it.
    words: Vec<CString>,
    /// Its environment: `NAME=value`.
    environment: Vec<CString>,
    /// The directory it works in, if it is not this process's.
    directory: Option<CString>,
    /// It is started only if that is the directory's own path, with no link on the way.
    resolved: bool,
    /// It leads a process group of its own.
    leads_group: bool,
    /// It gets SIGINT when this process ends, where the system has such a thing.
    ends_with_us: bool,
}

impl Program {
    /// A program with this process's environment. Its first word is its name.
    pub fn new(path: &OsStr, words: &[&OsStr]) -> io::Result<Program> {
        let c = |text: &OsStr| CString::new(text.as_bytes());
        let entry = |(name, value): (OsString, OsString)| {
            CString::new([name.as_bytes(), b"=", value.as_bytes()].concat())
        };
        Ok(Program {
            path: c(path)?,
            words: words.iter().map(|word| c(word)).collect::<Result<_, _>>()?,
            environment: std::env::vars_os().map(entry).collect::<Result<_, _>>()?,
            directory: None,
            resolved: false,
            leads_group: false,
            ends_with_us: false,
        })
    }

    /// Gives it a variable, in place of one that has this name.
    pub fn set(&mut self, name: &OsStr, value: &OsStr) -> io::Result<()> {
        let mut entry = name.as_bytes().to_vec();
        entry.push(b'=');
        self.forget(&entry);
        entry.extend(value.as_bytes());
        self.environment.push(CString::new(entry)?);
        Ok(())
    }

    /// Takes away every variable that begins so.
    pub fn forget(&mut self, beginning: &[u8]) {
        self.environment.retain(|entry| !entry.as_bytes().starts_with(beginning));
    }

    /// Starts it in this directory. `resolved`: only if no link is on the way there, so that nobody who
    /// has put one there since the path was looked at has it started elsewhere.
    pub fn work_in(&mut self, directory: &Path, resolved: bool) -> io::Result<()> {
        self.directory = Some(CString::new(directory.as_os_str().as_bytes())?);
        self.resolved = resolved;
        Ok(())
    }

    /// Lets it lead a process group of its own.
    pub fn lead_group(&mut self) {
        self.leads_group = true;
    }

    /// Lets it get SIGINT when this process ends.
    pub fn end_with_us(&mut self) {
        self.ends_with_us = true;
    }

    /// Starts it with these three streams; it gets no other descriptor but those that are meant to
    /// outlive an exec. An error is the system's, of whichever step.
    pub fn start(&self, streams: [BorrowedFd<'_>; 3]) -> io::Result<Child> {
        let (words, environment) = (pointers(&self.words), pointers(&self.environment));
        let streams = duplicates(streams)?;
        let (mut why, tell) = pipe()?;
        let us = std::process::id();
        // a signal that finds the child before its exec must not be taken for one of ours
        let mask = block_signals()?;
        // SAFETY: between fork and exec the child makes only async-signal-safe calls and allocates
        // nothing (signal-safety(7)); no other thread can hold a lock.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let failed = self.become_it(&words, &environment, &streams, us);
            let number = failed.raw_os_error().unwrap_or(0).to_ne_bytes();
            // SAFETY: four bytes are read from a local variable.
            unsafe { libc::write(tell.as_raw_fd(), number.as_ptr().cast(), number.len()) };
            // SAFETY: takes an integer and does not return.
            unsafe { libc::_exit(127) };
        }
        let started = check(pid);
        set_signals(&mask);
        let mut child = Child { pid: started?, status: None };
        drop(tell);
        let mut number = [0; 4];
        if io::Read::read_exact(&mut why, &mut number).is_err() {
            // exec has closed it
            return Ok(child);
        }
        let _ = child.wait();
        Err(match i32::from_ne_bytes(number) {
            libc::ESTALE => io::Error::new(
                io::ErrorKind::StaleNetworkFileHandle,
                "the directory was replaced, or a link was put on the way to it",
            ),
            number => io::Error::from_raw_os_error(number),
        })
    }

    /// Turns this process into the program. Returns only if that fails.
    pub fn take_over(&self, streams: [BorrowedFd<'_>; 3]) -> io::Error {
        let (words, environment) = (pointers(&self.words), pointers(&self.environment));
        match duplicates(streams) {
            Ok(streams) => self.become_it(&words, &environment, &streams, std::process::id()),
            Err(why) => why,
        }
    }

    /// Turns this process, which is the child as a rule, into the program. Returns only if that
    /// fails.
    fn become_it(
        &self,
        words: &[*const libc::c_char],
        environment: &[*const libc::c_char],
        streams: &[OwnedFd; 3],
        parent: u32,
    ) -> io::Error {
        let prepare = || {
            for (stream, number) in streams.iter().zip(0..) {
                // SAFETY: takes two integers; nothing in the child keeps what the number meant.
                check(unsafe { libc::dup2(stream.as_raw_fd(), number) })?;
            }
            if self.leads_group {
                // SAFETY: takes two integers and touches no memory.
                check(unsafe { libc::setpgid(0, 0) })?;
            }
            if self.ends_with_us {
                interrupt_with(parent)?;
            }
            if let Some(directory) = &self.directory {
                // SAFETY: a string with its NUL, which lives through the call.
                check(unsafe { libc::chdir(directory.as_ptr()) })?;
                if self.resolved && !is_in(directory) {
                    return Err(io::Error::from_raw_os_error(libc::ESTALE));
                }
            }
            // handlers do not survive exec, but what is ignored stays so: Rust ignores SIGPIPE
            for number in [libc::SIGPIPE].into_iter().chain(Signal::CATCHABLE.map(Signal::number)) {
                // SAFETY: the default action is no code of ours.
                unsafe { libc::signal(number, libc::SIG_DFL) };
            }
            set_signals(&no_signals());
            // SAFETY: the strings and both lists, which end with a null, live through the call.
            check(unsafe { libc::execve(self.path.as_ptr(), words.as_ptr(), environment.as_ptr()) })
        };
        match prepare() {
            Err(why) => why,
            Ok(_) => io::Error::from_raw_os_error(0),
        }
    }
}

/// Whether this is the path that the system itself has for the directory this process works in: that
/// has no link on it.
fn is_in(directory: &CStr) -> bool {
    let mut path = [0; 4096];
    // SAFETY: `path` lives through the call, which writes at most its length there (getcwd(3)).
    let own = unsafe { libc::getcwd(path.as_mut_ptr(), path.len()) };
    // SAFETY: what is not null is `path`, and a string with its NUL.
    !own.is_null() && unsafe { CStr::from_ptr(own) } == directory
}

/// Lets this process, a child of `parent`, get SIGINT when the thread that started it ends.
#[cfg(target_os = "linux")]
fn interrupt_with(parent: u32) -> io::Result<()> {
    // SAFETY: prctl(2) with PR_SET_PDEATHSIG takes an integer and touches no memory.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGINT) })?;
    // SAFETY: getppid(2) takes nothing and always succeeds.
    let now = unsafe { libc::getppid() };
    // the parent may have ended before the line above took effect
    if u32::try_from(now) == Ok(parent) {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(NO_SUCH_PROCESS))
    }
}

/// As on Linux, where it is there.
#[cfg(not(target_os = "linux"))]
fn interrupt_with(_: u32) -> io::Result<()> {
    Ok(())
}

/// A program that was started. Nobody else reaps it.
#[derive(Debug)]
pub struct Child {
    /// Its pid, which means it until it is reaped.
    pid: libc::pid_t,
    /// How it ended, once it is reaped.
    status: Option<ExitStatus>,
}

impl Child {
    /// The number it was given.
    pub fn id(&self) -> u32 {
        self.pid.unsigned_abs()
    }

    /// Its pid, as long as that means it.
    pub fn pid(&self) -> Option<Pid> {
        Pid::new(self.pid.into()).filter(|_| self.status.is_none())
    }

    /// Waits for its end, and reaps it.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        loop {
            match self.reap(0) {
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Ok(Some(status)) => return Ok(status),
                Ok(None) => {}
                Err(why) => return Err(why),
            }
        }
    }

    /// Reaps it, if it has ended.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.reap(libc::WNOHANG)
    }

    /// Asks the system: waitpid(2).
    fn reap(&mut self, options: libc::c_int) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none() {
            let mut status = 0;
            // SAFETY: `status` lives through the call, which writes one integer there.
            let pid = check(unsafe { libc::waitpid(self.pid, &raw mut status, options) })?;
            self.status = (pid == self.pid).then(|| ExitStatus::from_raw(status));
        }
        Ok(self.status)
    }

    /// Whether it has ended. It stays a zombie: its pid and its group's number are still taken.
    pub fn has_ended(&self) -> bool {
        let Some(pid) = self.pid() else { return true };
        let id = libc::id_t::try_from(pid.0).unwrap_or_default();
        // SAFETY: siginfo_t is plain integers and pointers, for which zero is a value.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        // SAFETY: `info` lives through the call, which writes one siginfo_t there (waitid(2)).
        let result = unsafe { libc::waitid(libc::P_PID, id, &raw mut info, flags) };
        // ECHILD means that it is reaped; a running child leaves the structure zero
        result == -1 || info.si_signo != 0
    }
}

/// The texts as C has a list of them: pointers, and a null behind. They last as long as the texts.
fn pointers(texts: &[CString]) -> Vec<*const libc::c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
}

/// Streams out of the way of the numbers that they are to get.
fn duplicates(streams: [BorrowedFd<'_>; 3]) -> io::Result<[OwnedFd; 3]> {
    let [stdin, stdout, stderr] = streams.map(|stream| duplicate(stream.as_raw_fd()));
    Ok([stdin?, stdout?, stderr?])
}

/// A descriptor for the same, above those of the three streams, that does not survive exec.
fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: takes integers and touches no memory.
    let fd = check(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) })?;
    // SAFETY: `fd` was just made and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A pipe: its reading and its writing end, neither of which survives exec.
pub fn pipe() -> io::Result<(File, File)> {
    let mut ends = [0; 2];
    // SAFETY: `ends` lives through the call, which writes two integers there (pipe(2)).
    check(unsafe { libc::pipe(ends.as_mut_ptr()) })?;
    // SAFETY: both were just made and belong to nobody else.
    let ends = ends.map(|end| unsafe { File::from_raw_fd(end) });
    for end in &ends {
        // SAFETY: takes integers and touches no memory.
        check(unsafe { libc::fcntl(end.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) })?;
    }
    let [reading, writing] = ends;
    Ok((reading, writing))
}

/// Gives a pipe room for so many bytes, if the system lets it have them (pipe(7)).
#[cfg(target_os = "linux")]
pub fn widen(pipe: &File, bytes: i32) {
    // SAFETY: takes integers and touches no memory.
    unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_SETPIPE_SZ, bytes) };
}

/// Pipes are as they are here.
#[cfg(not(target_os = "linux"))]
pub fn widen(_: &File, _: i32) {}

/// Makes an empty file one with another's content, sharing its blocks (`FICLONE`). `false`: their
/// file systems cannot do that.
#[cfg(target_os = "linux")]
pub fn clone_file(from: &File, to: &File) -> bool {
    // SAFETY: takes integers and touches no memory.
    unsafe { libc::ioctl(to.as_raw_fd(), libc::FICLONE, from.as_raw_fd()) == 0 }
}

/// Blocks are not shared here.
#[cfg(not(target_os = "linux"))]
pub fn clone_file(_: &File, _: &File) -> bool {
    false
}

/// Where nothing is read and nothing kept.
pub fn nothing() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/null")
}

/// A set of signals that has none.
fn no_signals() -> libc::sigset_t {
    // SAFETY: sigset_t is plain integers, for which zero is a value.
    let mut none: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `none` lives through the call, which writes it.
    unsafe { libc::sigemptyset(&raw mut none) };
    none
}

/// Holds all signals back, and gives the set of those that were held back before.
fn block_signals() -> io::Result<libc::sigset_t> {
    let (mut all, mut before) = (no_signals(), no_signals());
    // SAFETY: `all` lives through the call, which writes it.
    unsafe { libc::sigfillset(&raw mut all) };
    // SAFETY: both live through the call, which reads the first and writes the second.
    check(unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const all, &raw mut before) })?;
    Ok(before)
}

/// Holds these signals back from now on, and no others.
fn set_signals(held_back: &libc::sigset_t) {
    // SAFETY: the set lives through the call, which reads it.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, held_back, std::ptr::null_mut()) };
}

/// Makes a function of ours what the system starts, in place of std's own start: that brings what finds
/// an overflown stack, and with it trees and threads, a hundredth of the static program. The function is
/// given the words of the command line, and gives the exit status.
macro_rules! starts_with {
    ($function:path) => {
        // SAFETY: nothing else in this program is called so; a test has a start of its own.
        #[allow(unsafe_code)]
        #[cfg_attr(not(test), unsafe(no_mangle))]
        extern "C" fn main(
            count: std::ffi::c_int,
            words: *const *const std::ffi::c_char,
        ) -> std::ffi::c_int {
            // SAFETY: this is what the system gives to `main`.
            $function(unsafe { $crate::sys::begin(count, words) }).into()
        }
    };
}
pub(crate) use starts_with;

/// Sees to what has to be seen to before anything else, and gives the words of the command line.
///
/// # Safety
/// `words` points to so many strings, as the system gives them to `main`.
pub unsafe fn begin(count: libc::c_int, words: *const *const libc::c_char) -> Vec<OsString> {
    for fd in 0..3 {
        // SAFETY: fcntl(2) takes integers here.
        while unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
            // a file that got the place of a stream would be read, or written to
            match nothing() {
                Ok(stream) => drop(stream.into_raw_fd()),
                Err(_) => break,
            }
        }
    }
    keep_descriptors();
    // what is ignored stays so through exec: nobody could wait for a child then
    // SAFETY: the default action is no code of ours.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    // who writes to a pipe that nobody reads is told so by the call
    // SAFETY: nothing is done then.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    let count = usize::try_from(count).unwrap_or(0);
    // SAFETY: the caller sees to it.
    let words = unsafe { std::slice::from_raw_parts(words, count) };
    // SAFETY: here too; they live as long as the process.
    let word = |word: &*const libc::c_char| unsafe { CStr::from_ptr(*word) };
    words.iter().map(|at| OsStr::from_bytes(word(at).to_bytes()).to_owned()).collect()
}

/// Keeps what this process was given besides its three streams from all that it starts: whoever
/// started it may have left files or locks open.
fn keep_descriptors() {
    #[cfg(target_os = "linux")]
    {
        let (from, to, flags) = (3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
        // SAFETY: close_range(2) takes three integers and touches no memory.
        if unsafe { libc::syscall(libc::SYS_close_range, from, to, flags) } == 0 {
            return;
        }
    }
    for fd in 3..1024 {
        // SAFETY: takes integers and touches no memory; of a number that is none it says so.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

/// Stops this process until somebody lets it go on, as SIGTSTP does that nobody catches: not at all
/// where there is no shell that could.
pub fn pause() {
    // SAFETY: the default action is no code of ours.
    let caught = unsafe { libc::signal(libc::SIGTSTP, libc::SIG_DFL) };
    // SAFETY: raise(3) takes an integer; a stop leaves all memory as it is.
    let _ = check(unsafe { libc::raise(libc::SIGTSTP) });
    // SAFETY: what caught it before may do so again.
    unsafe { libc::signal(libc::SIGTSTP, caught) };
}

/// The columns and rows of a terminal; `None` where there is none, or none that knows.
pub fn terminal_size(terminal: BorrowedFd<'_>) -> Option<(usize, usize)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: `size` lives through the call, which writes one winsize there (TIOCGWINSZ(2const)).
    check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) }).ok()?;
    let size = (usize::from(size.ws_col), usize::from(size.ws_row));
    (size.0 > 0 && size.1 > 0).then_some(size)
}

/// How a terminal passes on what is typed: termios(3).
pub struct TerminalModes {
    /// As it was found.
    found: libc::termios,
}

impl TerminalModes {
    /// How it is now; `None` where there is no terminal.
    pub fn of(terminal: BorrowedFd<'_>) -> Option<TerminalModes> {
        // SAFETY: termios is plain integers, for which zero is a value.
        let mut found: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: `found` lives through the call, which writes one termios there.
        check(unsafe { libc::tcgetattr(terminal.as_raw_fd(), &raw mut found) }).ok()?;
        Some(TerminalModes { found })
    }

    /// Lets every key be read at once, and shows none.
    pub fn set_keys(&self, terminal: BorrowedFd<'_>) {
        let mut modes = self.found;
        modes.c_lflag &= !(libc::ICANON | libc::ECHO);
        // SAFETY: `modes` lives through the call, which reads it.
        let _ = check(unsafe {
            libc::tcsetattr(terminal.as_raw_fd(), libc::TCSANOW, &raw const modes)
        });
    }

    /// Makes it as it was.
    pub fn restore(&self, terminal: BorrowedFd<'_>) {
        let modes = &raw const self.found;
        // SAFETY: as above.
        let _ = check(unsafe { libc::tcsetattr(terminal.as_raw_fd(), libc::TCSANOW, modes) });
    }
}

/// The user whom this process acts for.
pub fn user() -> u32 {
    // SAFETY: geteuid(2) takes nothing and always succeeds.
    unsafe { libc::geteuid() }
}

/// Waits until nobody else holds the lock on a file, and takes it. It is held as long as any copy of
/// this descriptor is open, in whichever process (flock(2)).
pub fn lock(file: &File) -> io::Result<()> {
    loop {
        // SAFETY: flock(2) takes two integers; the descriptor is open as long as `file` lives.
        match check(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) }) {
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            result => return result.map(drop),
        }
    }
}

/// As [`lock`], but `false` if somebody else holds it.
pub fn try_lock(file: &File) -> bool {
    // SAFETY: as in `lock`.
    check(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }).is_ok()
}

/// A write lock on one byte of a file, which need not be there: `fcntl_locking(2)`.
fn byte_lock(at: u32, count: u32) -> libc::flock {
    // SAFETY: flock is plain integers, for which zero is a value.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::c_short::try_from(libc::F_WRLCK).unwrap_or_default();
    lock.l_whence = libc::c_short::try_from(libc::SEEK_SET).unwrap_or_default();
    lock.l_start = at.into();
    lock.l_len = count.into();
    lock
}

/// Locks one byte of a file, if nobody else has. It is held until this process closes the file, by
/// whichever of its descriptors, or ends.
pub fn lock_byte(file: &File, at: u32) -> io::Result<()> {
    let lock = byte_lock(at, 1);
    // SAFETY: `lock` lives through the call, which reads it; the descriptor is open.
    check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &raw const lock) }).map(drop)
}

/// A byte that another process has locked, among these; which of them is not said.
pub fn locked_byte(file: &File, from: u32, to: u32) -> io::Result<Option<u32>> {
    // a length of 0 means all there are
    let count = to.wrapping_sub(from).wrapping_add(1);
    let mut lock = byte_lock(from, count);
    // SAFETY: `lock` lives through the call, which reads and writes it; the descriptor is open.
    check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &raw mut lock) })?;
    let free = libc::c_short::try_from(libc::F_UNLCK).unwrap_or_default();
    let at = u32::try_from(lock.l_start).unwrap_or(from);
    Ok((lock.l_type != free).then_some(at.clamp(from, to)))
}

/// Whether something failed only because this process, or the machine, has not enough of something
/// at the moment.
pub fn is_shortage(why: &io::Error) -> bool {
    matches!(why.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM))
}

/// Makes a FIFO for the user alone, where nothing was before, and opens it for both ends: fifo(7).
pub fn create_fifo(path: &Path) -> io::Result<File> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: `name` ends with a NUL and lives through the call.
    check(unsafe { libc::mkfifo(name.as_ptr(), 0o600) })?;
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)
}

/// Takes the file that this process was given as its third stream; stderr leads nowhere from now on.
pub fn take_third_stream() -> io::Result<File> {
    let nothing = nothing()?;
    let file = File::from(duplicate(libc::STDERR_FILENO)?);
    // SAFETY: both descriptors are open, and nothing here keeps what stderr was before.
    check(unsafe { libc::dup2(nothing.as_raw_fd(), libc::STDERR_FILENO) })?;
    Ok(file)
}

/// What poll(2) is asked about one descriptor, and what it said.
#[repr(transparent)]
pub struct PollFd<'fd> {
    /// The system's own structure.
    raw: libc::pollfd,
    /// The descriptor stays open as long as it is asked about.
    borrowed: PhantomData<BorrowedFd<'fd>>,
}

impl<'fd> PollFd<'fd> {
    /// Asks for `events`.
    fn new(fd: BorrowedFd<'fd>, events: libc::c_short) -> PollFd<'fd> {
        let raw = libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 };
        PollFd { raw, borrowed: PhantomData }
    }

    /// Asks whether there is something to read.
    pub fn reading(fd: BorrowedFd<'fd>) -> PollFd<'fd> {
        PollFd::new(fd, libc::POLLIN)
    }

    /// Asks whether there is room to write.
    pub fn writing(fd: BorrowedFd<'fd>) -> PollFd<'fd> {
        PollFd::new(fd, libc::POLLOUT)
    }

    /// Asks only whether the other end is gone, which poll(2) always tells.
    pub fn watching(fd: BorrowedFd<'fd>) -> PollFd<'fd> {
        PollFd::new(fd, 0)
    }

    /// There is something to do: data, room, the other end gone, or an error that the next call
    /// on the descriptor will name.
    pub fn ready(&self) -> bool {
        self.raw.revents != 0
    }
}

/// Waits until one of `fds` is ready, for at most `timeout`. A signal ends the wait early.
pub fn poll(fds: &mut [PollFd<'_>], timeout: Option<Duration>) -> io::Result<()> {
    // rounded up, so that a timer that is due in less than a millisecond does not spin
    let millis = timeout.map_or(-1, |t| {
        libc::c_int::try_from(t.as_micros().div_ceil(1000)).unwrap_or(libc::c_int::MAX)
    });
    let count = libc::nfds_t::try_from(fds.len()).map_err(io::Error::other)?;
    // SAFETY: `PollFd` is a transparent pollfd, and the slice holds `count` of them.
    match check(unsafe { libc::poll(fds.as_mut_ptr().cast(), count, millis) }) {
        Err(e) if e.kind() != io::ErrorKind::Interrupted => Err(e),
        _ => Ok(()),
    }
}

/// Tells what happens to files: inotify(7). There is none but on Linux.
#[derive(Debug)]
pub struct Notices {
    /// The inotify instance.
    file: File,
}

/// What to tell.
#[derive(Clone, Copy, Debug)]
pub enum About {
    /// The names of the files that are moved into a directory.
    Arrivals,
    /// That somebody who could write to a file closes or unlinks it.
    Release,
    /// That something was written to a file.
    Growth,
}

impl Notices {
    /// Watches a file or a directory from now on.
    #[cfg(target_os = "linux")]
    pub fn of(about: About, path: &Path) -> io::Result<Notices> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        // SAFETY: takes no pointer.
        let fd = check(unsafe { libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC) })?;
        // SAFETY: `fd` was just made and belongs to nobody else.
        let file = unsafe { File::from_raw_fd(fd) };
        let what = libc::IN_DONT_FOLLOW
            | match about {
                About::Arrivals => libc::IN_MOVED_TO | libc::IN_ONLYDIR,
                About::Release => libc::IN_CLOSE_WRITE | libc::IN_ATTRIB | libc::IN_DELETE_SELF,
                About::Growth => libc::IN_MODIFY,
            };
        // SAFETY: `path` ends with a NUL and lives through the call; `fd` is open.
        check(unsafe { libc::inotify_add_watch(fd, path.as_ptr(), what) })?;
        Ok(Notices { file })
    }

    /// Watches a file or a directory from now on.
    #[cfg(not(target_os = "linux"))]
    pub fn of(_: About, _: &Path) -> io::Result<Notices> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// What to give to poll(2).
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// The names of the files of some notices since the last call, one for each; there may be more.
    pub fn take(&mut self) -> Vec<String> {
        // the least that one event with the longest name needs is 272
        let mut events = [0; 16 << 10];
        let count = io::Read::read(&mut self.file, &mut events).unwrap_or(0);
        names(events.get(..count).unwrap_or_default())
    }
}

/// The names in a row of inotify events: three numbers and the length of the name in 16 bytes, then
/// the name, filled up with NULs.
fn names(mut events: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    while let Some((head, rest)) = events.split_first_chunk::<16>() {
        let [.., a, b, c, d] = *head;
        let length = usize::try_from(u32::from_ne_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        let Some((name, rest)) = rest.split_at_checked(length) else { break };
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        names.push(String::from_utf8_lossy(name).into_owned());
        events = rest;
    }
    names
}

/// The end of the signal pipe that the handler writes to; -1 before there is one.
static SIGNAL_PIPE: AtomicI32 = AtomicI32::new(-1);

/// Writes the number of the signal into the pipe. All it calls is async-signal-safe.
extern "C" fn on_signal(number: libc::c_int) {
    let byte = u8::try_from(number).unwrap_or(0);
    let fd = SIGNAL_PIPE.load(Ordering::Relaxed);
    // SAFETY: the location of errno is valid in every thread; nothing else uses the reference.
    let errno = unsafe { &mut *errno_location() };
    let saved = *errno;
    // SAFETY: one byte is read from a local variable. A full pipe loses the byte, and that is
    // harmless: the reader has not drained it yet and looks at everything when it does.
    unsafe { libc::write(fd, (&raw const byte).cast(), 1) };
    *errno = saved;
}

/// Where this thread's errno is.
#[cfg(any(target_os = "linux", target_os = "openbsd", target_os = "netbsd"))]
fn errno_location() -> *mut libc::c_int {
    #[cfg(target_os = "linux")]
    // SAFETY: takes nothing and returns a valid pointer.
    return unsafe { libc::__errno_location() };
    #[cfg(not(target_os = "linux"))]
    // SAFETY: as above.
    return unsafe { libc::__errno() };
}

/// Where this thread's errno is.
#[cfg(not(any(target_os = "linux", target_os = "openbsd", target_os = "netbsd")))]
fn errno_location() -> *mut libc::c_int {
    // SAFETY: takes nothing and returns a valid pointer.
    unsafe { libc::__error() }
}

/// Caught signals, as something that poll(2) can wait for. A child that is started later gets the
/// default dispositions back, because a handler does not survive exec.
pub struct Signals {
    /// The reading end of the pipe.
    pipe: UnixStream,
}

impl Signals {
    /// Catches `signals`. There is one such value in a process.
    pub fn catch(signals: &[Signal]) -> io::Result<Signals> {
        let (reading, writing) = UnixStream::pair()?;
        reading.set_nonblocking(true)?;
        writing.set_nonblocking(true)?;
        SIGNAL_PIPE.store(writing.into_raw_fd(), Ordering::Relaxed);
        for signal in signals {
            // SAFETY: sigaction is plain data, for which zero is a value: no flags, empty mask.
            let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
            let handler: extern "C" fn(libc::c_int) = on_signal;
            #[allow(clippy::as_conversions)] // how libc wants a handler
            {
                action.sa_sigaction = handler as libc::sighandler_t;
            }
            action.sa_flags = libc::SA_RESTART | libc::SA_NOCLDSTOP;
            // SAFETY: `action` lives through the call; the handler is async-signal-safe.
            check(unsafe {
                libc::sigaction(signal.number(), &raw const action, std::ptr::null_mut())
            })?;
        }
        Ok(Signals { pipe: reading })
    }

    /// What to give to poll(2).
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }

    /// The signals that came since the last call.
    pub fn take(&mut self) -> Vec<Signal> {
        let mut taken = Vec::new();
        let mut bytes = [0; 64];
        while let Ok(count @ 1..) = io::Read::read(&mut self.pipe, &mut bytes) {
            for byte in bytes.iter().take(count) {
                let number = libc::c_int::from(*byte);
                taken.extend(Signal::CATCHABLE.into_iter().filter(|s| s.number() == number));
            }
        }
        taken
    }
}

/// Whether this process may write to a file, or make files in a directory (access(2)).
pub fn check_writable(path: &Path) -> io::Result<()> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    let mode = if path.is_dir() { libc::W_OK | libc::X_OK } else { libc::W_OK };
    // SAFETY: `name` ends with a NUL and lives through the call.
    check(unsafe { libc::access(name.as_ptr(), mode) }).map(drop)
}

/// What is left on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes.
    pub bytes: u64,
    /// Whether another file can be made.
    pub file: bool,
}

/// What is left on the file system of a file (statvfs(3)).
#[allow(clippy::useless_conversion, reason = "these numbers have other types elsewhere")]
pub fn room(path: &Path) -> io::Result<Room> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: statvfs is plain integers, for which zero is a value.
    let mut left: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: `name` ends with a NUL, and both live through the call, which writes one statvfs.
    check(unsafe { libc::statvfs(name.as_ptr(), &raw mut left) })?;
    let bytes = u64::from(left.f_bavail).saturating_mul(left.f_frsize.into());
    // a file system that makes inodes as it needs them says that it has none at all
    Ok(Room { bytes, file: left.f_files == 0 || left.f_favail > 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_other_process_can_be_meant_by_a_pid() {
        let ours = [4321, 99, 4300];
        let limits = [i64::MIN, i64::from(i32::MIN), i64::from(i32::MAX), i64::MAX];
        let wrapped = [PID_END, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 32) + 1, (1 << 32) + 7];
        for number in (-9..2).chain(ours).chain(limits).chain(wrapped) {
            assert_eq!(Pid::unless(number, ours), None, "{number}");
        }
        for number in [2, 98, 100, 4299, 4301, 4320, 4322, PID_END - 1] {
            assert_eq!(Pid::unless(number, ours).map(|pid| pid.0.into()), Some(number));
            assert_eq!(Pid::unless(-number, ours), None, "the group of {number}");
        }
        // SAFETY: takes nothing and always succeeds.
        let parent = i64::from(unsafe { libc::getppid() });
        assert_eq!(Pid::new(parent), None, "who started us");
        assert_eq!(Pid::new(std::process::id().into()), None, "ourselves");
    }

    /// Starts a program of the system with these words and streams.
    fn start(words: &[&str], streams: [BorrowedFd<'_>; 3]) -> io::Result<Child> {
        let words: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
        Program::new(words[0], &words)?.start(streams)
    }

    #[test]
    fn a_child_that_ended_is_told_from_one_that_runs_and_stays_to_be_reaped() {
        let (reading, writing) = pipe().expect("a pipe");
        let nothing = nothing().expect("/dev/null");
        let streams = [reading.as_fd(), nothing.as_fd(), nothing.as_fd()];
        let mut child = start(&["/bin/cat"], streams).expect("cat starts");
        assert!(!child.has_ended() && child.try_wait().is_ok_and(|status| status.is_none()));
        drop(writing);
        while !child.has_ended() {
            std::thread::yield_now();
        }
        assert!(child.pid().is_some());
        assert!(child.wait().is_ok_and(|status| status.success()));
        assert_eq!(child.pid(), None);
        assert!(child.wait().is_ok_and(|status| status.success()), "as it was told before");
    }

    #[test]
    fn a_program_gets_its_words_its_variables_its_directory_and_its_streams() {
        let nothing = nothing().expect("/dev/null");
        let script =
            "printf '%s|' \"$@\" \"$A\" \"$(pwd)\" \"${HOME-none}\"; echo said >&2; exit 7";
        let words = ["sh", "-c", script, "name", "a b", ""].map(OsStr::new);
        let mut program = Program::new(OsStr::new("/bin/sh"), &words).expect("no NUL");
        program.set(OsStr::new("A"), OsStr::new("first")).expect("no NUL");
        program.set(OsStr::new("A"), OsStr::new("x=y")).expect("no NUL");
        program.forget(b"HOME=");
        program.work_in(Path::new("/usr"), true).expect("no NUL");
        program.lead_group();
        let (mut out, to_out) = pipe().expect("a pipe");
        let (mut err, to_err) = pipe().expect("a pipe");
        let streams = [nothing.as_fd(), to_out.as_fd(), to_err.as_fd()];
        let mut child = program.start(streams).expect("it starts");
        drop((to_out, to_err));
        let mut said = [String::new(), String::new()];
        io::Read::read_to_string(&mut out, &mut said[0]).expect("text");
        io::Read::read_to_string(&mut err, &mut said[1]).expect("text");
        assert_eq!(said, ["a b||x=y|/usr|none|", "said\n"]);
        assert_eq!(child.wait().expect("it is ours").code(), Some(7));
        // the numbers of the streams may themselves be among those that are given
        let crossed =
            [nothing.as_fd(), io::stderr().as_fd(), io::stdout().as_fd()].map(|fd| fd.as_raw_fd());
        assert!(crossed.iter().all(|fd| duplicate(*fd).is_ok_and(|fd| fd.as_raw_fd() > 2)));
    }

    #[test]
    fn what_cannot_be_started_says_why_and_leaves_no_child() {
        let nothing = nothing().expect("/dev/null");
        let streams = || [nothing.as_fd(); 3];
        for (path, number) in
            [("/no/such", libc::ENOENT), ("/etc", libc::EACCES), ("/dev/null/x", libc::ENOTDIR)]
        {
            let why = start(&[path], streams()).expect_err(path);
            assert_eq!(why.raw_os_error(), Some(number), "{path}");
        }
        let mut program =
            Program::new(OsStr::new("/bin/true"), &[OsStr::new("true")]).expect("no NUL");
        program.work_in(Path::new("/no/such"), false).expect("no NUL");
        let why = program.start(streams()).expect_err("no directory");
        assert_eq!(why.raw_os_error(), Some(libc::ENOENT));
        assert!(Program::new(OsStr::new("/bin/true"), &[OsStr::new("a\0b")]).is_err());
    }

    #[test]
    fn a_lock_on_a_byte_is_no_lock_on_another_and_ones_own_is_not_seen() {
        let path = std::env::temp_dir().join(format!("swarm-bytes-{}", std::process::id()));
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).open(&path).expect("it is made");
        for at in [0, 7, u32::MAX] {
            lock_byte(&file, at).expect("nobody else has it");
            assert_eq!(locked_byte(&file, 0, u32::MAX).expect("it can be asked"), None);
        }
        std::fs::remove_file(path).expect("cleaned up");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_happens_to_files_is_told() {
        let base = std::env::temp_dir().join(format!("swarm-arrivals-{}", std::process::id()));
        std::fs::create_dir_all(&base).expect("it is made");
        let mut arrivals = Notices::of(About::Arrivals, &base).expect("it is watched");
        assert!(arrivals.take().is_empty());
        let moved = |name: &str| {
            std::fs::write(base.join(".new"), "").expect("a file");
            std::fs::rename(base.join(".new"), base.join(name)).expect("a rename");
        };
        moved("1a2b3c4d.meta");
        moved(&"n".repeat(255));
        moved("1a2b3c4d.meta");
        let arrived = arrivals.take();
        assert_eq!(arrived, ["1a2b3c4d.meta", &"n".repeat(255), "1a2b3c4d.meta"]);
        assert!(Notices::of(About::Arrivals, &base.join("nothing")).is_err());

        let path = base.join("1a2b3c4d.meta");
        let mut release = Notices::of(About::Release, &path).expect("it is watched");
        drop(File::open(&path).expect("it is opened"));
        assert!(release.take().is_empty(), "a reader");
        drop(OpenOptions::new().append(true).open(&path).expect("it is opened"));
        assert!(!release.take().is_empty(), "a writer");
        std::fs::remove_file(&path).expect("it is removed");
        assert!(!release.take().is_empty(), "its name is gone");
        std::fs::remove_dir_all(base).expect("cleaned up");
        assert_eq!(names(&[0; 16]), [""]);
        assert!(names(&[1; 40]).is_empty() && names(&[0; 15]).is_empty());
    }

    #[test]
    fn what_is_left_on_a_file_system_is_told() {
        let base = std::env::temp_dir();
        assert!(room(&base).is_ok_and(|left| left.bytes > 0 && left.file));
        assert!(room(Path::new("/proc")).is_ok_and(|left| left == Room { bytes: 0, file: true }));
        assert!(check_writable(&base).is_ok());
        for path in ["/nowhere", "/nowhere\0"] {
            assert!(room(Path::new(path)).is_err() && check_writable(Path::new(path)).is_err());
        }
    }
}
