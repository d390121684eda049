//! `man`: the manual of the program itself, as its source and as the system's `man` shows it.

use crate::support::*;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};

/// The manual's source.
const PAGE: &str = include_str!("../../man/codex-mcp-swarm.1");

/// Runs `codex-mcp-swarm man` on a terminal, where PATH has these programs only.
fn on_a_terminal(dir: &Dir, programs: &[(&str, &str)]) -> Output {
    let bin = dir.make("bin");
    for (name, text) in programs {
        let path = dir.write(&format!("bin/{name}"), text);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let line = format!("env PATH={} {} man", bin.display(), tested_program());
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).stdin(Stdio::null());
    script.env("TMPDIR", dir.path("out")).env("SHELL", "/bin/sh").env("HOME", dir.path("home"));
    script.output().unwrap()
}

/// A stand-in for a program that shows what it reads: it says what it was called with, and copies.
fn reader(name: &str) -> String {
    format!("#!/bin/sh\necho \"{name} $*\"\nexec /bin/cat\n")
}

/// The lines that came through a terminal.
fn lines(output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| line.trim_end_matches('\r').to_owned()).collect()
}

#[test]
fn elsewhere_than_on_a_terminal_it_is_the_source() {
    let dir = Dir::new();
    let output = dir.command().arg("man").stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    assert!(output.stdout == PAGE.as_bytes());
}

#[test]
fn on_a_terminal_the_first_reader_shows_it() {
    let dir = Dir::new();
    let (man, mandoc) = (reader("man"), reader("mandoc"));
    let with_man = on_a_terminal(&dir, &[("man", &man), ("mandoc", &mandoc)]);
    let seen = lines(&with_man);
    assert_eq!(seen[0], "man -l /dev/stdin");
    assert!(seen[1..].iter().eq(PAGE.lines()), "{seen:?}");
    assert!(with_man.status.success());
    fs::remove_file(dir.path("bin/man")).unwrap();
    let seen = lines(&on_a_terminal(&dir, &[]));
    assert_eq!(seen[0], "mandoc -a");
    assert!(seen[1..].iter().eq(PAGE.lines()), "{seen:?}");
    // nothing is left of it
    assert!(!dir.tree().iter().any(|name| name.starts_with("out/")), "{:?}", dir.tree());
}

#[test]
fn its_exit_status_is_that_of_the_reader() {
    let dir = Dir::new();
    let output = on_a_terminal(&dir, &[("man", "#!/bin/sh\nexit 3\n")]);
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn without_a_reader_it_is_the_source_on_a_terminal_too() {
    let dir = Dir::new();
    let output = on_a_terminal(&dir, &[]);
    let seen = lines(&output);
    assert!(seen[0].contains("cannot show the manual"), "{}", seen[0]);
    assert!(seen[1..].iter().eq(PAGE.lines()), "{seen:?}");
    assert!(output.status.success());
}
