//! Scarcity made to order: a small file system, few descriptors, few processes, a directory that is
//! closed. Each is taken back at the end, also of a test that failed.

use crate::support::*;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a file system of this kind gives out at least.
pub const PAGE: u64 = 4096;

/// A small file system, if this machine lets us have one.
pub struct Small(PathBuf);

impl Small {
    /// Mounts it, or says that the test is skipped.
    pub fn mount(at: PathBuf, options: &str) -> Option<Small> {
        fs::create_dir_all(&at).unwrap();
        fs::set_permissions(&at, fs::Permissions::from_mode(0o700)).unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", options, "none"]).arg(&at);
        let made = command.output().is_ok_and(|output| output.status.success());
        if !made {
            eprintln!("skipped: no file system can be mounted here");
        }
        made.then_some(Small(at))
    }

    /// The file that takes up the room.
    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Leaves room for so many pages and no more.
    pub fn fill_but(&self, pages: u64) {
        let mut filler = fs::File::create(self.filler()).unwrap();
        while filler.write_all(&[1; 4096]).is_ok() {}
        let length = filler.metadata().unwrap().len() / PAGE;
        filler.set_len((length - pages) * PAGE).unwrap();
    }

    /// Leaves no room.
    pub fn fill(&self) {
        self.fill_but(0);
    }

    /// Gives all the room back.
    pub fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    /// The names of the files in it that take no room of ours.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != "filler").collect()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Lets a running process, and what it starts from now on, have only so many of what `prlimit` calls
/// `what`; `None` gives them back. `false` if this machine cannot do that.
pub fn limit(pid: u32, what: &str, most: Option<u64>) -> bool {
    Somebody(None).limit(pid, what, most)
}

/// How many descriptors a process has open.
pub fn descriptors(pid: u32) -> u64 {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count().try_into().unwrap()
}

/// Somebody whom modes and limits bind: another user where the tests are run by root. No other
/// process is that user's.
pub struct Somebody(Option<u32>);

impl Somebody {
    /// Gives a directory and all that is in it to that user.
    pub fn own(dir: &Dir) -> Option<Somebody> {
        let root = fs::metadata("/proc/self")
            .is_ok_and(|status| std::os::unix::fs::MetadataExt::uid(&status) == 0);
        if !root {
            return Some(Somebody(None));
        }
        let user = 100_000 + std::process::id() % 1_000_000;
        for name in std::iter::once(String::new()).chain(dir.tree()) {
            chown(dir.path(&name), Some(user), Some(user)).unwrap();
        }
        let somebody = Somebody(Some(user));
        let program = tested_program();
        let mut trial = somebody.wrap(Command::new(program));
        let can = trial.arg("--version").output().is_ok_and(|output| output.status.success());
        if !can {
            eprintln!("skipped: no other user can run {program}");
        }
        can.then_some(somebody)
    }

    /// The command, run by that user.
    pub fn wrap(&self, inner: Command) -> Command {
        let Some(user) = self.0 else { return inner };
        let user = user.to_string();
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--"]);
        command.arg(inner.get_program()).args(inner.get_args()).env_clear();
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(here) = inner.get_current_dir() {
            command.current_dir(here);
        }
        command
    }

    /// As [`limit`], for a process of that user's.
    pub fn limit(&self, pid: u32, what: &str, most: Option<u64>) -> bool {
        // only the soft limit is set, so that it can be raised again
        let most = most.map_or_else(|| hard_limit(pid, what), |most| most.to_string());
        let mut command = Command::new("prlimit");
        command.args(["--pid", &pid.to_string(), &format!("--{what}={most}:")]);
        command.env("PATH", std::env::var_os("PATH").unwrap());
        let done = self.wrap(command).output().is_ok_and(|output| output.status.success());
        if !done {
            eprintln!("skipped: the limit {what} cannot be set to {most} here");
        }
        done
    }

    /// A server of that user's, past its handshake.
    pub fn server<'d>(&self, dir: &'d Dir) -> Server<'d> {
        let mut command = dir.command();
        command.args(["--codex", STANDIN]);
        let mut server = Server::spawn(dir, self.wrap(command));
        server.initialize();
        server
    }
}

/// Sets a directory's mode.
pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The highest limit that a process may set itself.
fn hard_limit(pid: u32, what: &str) -> String {
    let row = if what == "nproc" { "Max processes" } else { "Max open files" };
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let row = limits.lines().find_map(|line| line.strip_prefix(row)).unwrap();
    row.split_whitespace().nth(1).unwrap().to_owned()
}
