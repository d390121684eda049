//! What `completions` prints makes real shells complete the words: each shell that is there.
//! Where one is not there these tests say so and pass, unless `CODEX_SWARM_REQUIRE_SHELLS` is set.

use crate::support::*;
use crate::tidy::flags_and_commands;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The shells.
const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

/// What the stand-in for the program prints: tasks whose texts would do harm where they are expanded.
const TABLE: &str = r#"ID        STATUS     TIME  TASK  NOW
1a2b3c4d  running    5s    say 'it' "so" $(touch "$OUT/evil") %F{red} 50% \n *  `touch "$OUT/evil"`
1a99ffee  queued     1s    ~ ; touch "$OUT/evil" & {a,b} [a-z]?  it's !! <(touch "$OUT/evil")
2b000001  preparing  1s    漢字: é | ${OUT} #  "half a quote
2b000002  completed  1m    done  fine
3c000003  failed     1m    `  \
4d000004  cancelled  1m    -rf  --
"#;

/// Those tasks, and the latest; and those of them that have not ended.
const ALL: &[&str] = &["-", "1a2b3c4d", "1a99ffee", "2b000001", "2b000002", "3c000003", "4d000004"];
const GOING: &[&str] = &["-", "1a2b3c4d", "1a99ffee", "2b000001"];

/// Makes bash complete `"$@"`.
const BASH: &str = r#"source "$SCRIPT"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
[[ $(complete -p codex-mcp-swarm) == *'-F _codex_mcp_swarm '* ]] || exit 9
_codex_mcp_swarm "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
((${#COMPREPLY[@]} == 0)) || printf '%s\n' "${COMPREPLY[@]}""#;

/// The same with zsh. What exists only while it completes prints what it is given.
const ZSH: &str = r#"compadd() {
    local -a offered named
    while [[ $1 == -?* && $1 != -- ]]; do
        case $1 in
            -a) named=(yes) ;;
            -d | -V | -S) shift ;;
        esac
        shift
    done
    shift
    offered=("$@")
    (($#named)) && offered=("${(@P)1}")
    for one in "${offered[@]}"; do
        [[ $one == ${(b)words[CURRENT]}* ]] && print -r -- "$one"
    done
    true
}
compset() { words[CURRENT]=${words[CURRENT]#${~2}} }
compdef() { [[ $1 == _$2 ]] }
_files() { print -r -- files }
source "$SCRIPT"
words=("$@") CURRENT=$#
_codex-mcp-swarm"#;

/// The same with fish.
const FISH: &str = r#"source "$SCRIPT"
complete -C "$argv" | string replace -r '\t.*' ''"#;

/// A directory with the stand-in, and another program of that name on PATH, which is not to be run.
fn stage(standin: &str) -> (Dir, PathBuf) {
    let dir = Dir::new();
    dir.make("bin");
    dir.make("home/here");
    let decoy = dir.write("bin/codex-mcp-swarm", "#!/bin/sh\ntouch \"$OUT/decoy\"\n");
    let standin = dir.write("home/here/codex-mcp-swarm", standin);
    for program in [&decoy, &standin] {
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    dir.write("table", TABLE);
    (dir, standin)
}

/// What a shell offers for the last of these words. `None` if there is no such shell.
fn offered(dir: &Dir, shell: &str, words: &[&str]) -> Option<Vec<String>> {
    let script = dir.command().args(["completions", shell]).output().unwrap();
    assert!(script.status.success() && script.stderr.is_empty());
    let script = dir.write(shell, std::str::from_utf8(&script.stdout).unwrap());
    let mut command = Command::new(shell);
    match shell {
        "bash" => {
            command.args(["--noprofile", "--norc", "-c", BASH, "bash"]);
            // as bash itself splits what was typed
            let split = words.iter().flat_map(|word| match word.split_once('=') {
                Some((key, "")) => vec![key, "="],
                Some((key, value)) => vec![key, "=", value],
                None => vec![*word],
            });
            command.args(split);
        }
        "zsh" => drop(command.args(["-f", "-c", ZSH, "zsh"]).args(words)),
        _ => drop(command.args(["--no-config", "-c", FISH]).arg(words.join(" "))),
    }
    let path = format!("{}:{}", dir.path("bin").display(), std::env::var("PATH").unwrap());
    command.current_dir(dir.path("work")).stdin(Stdio::null());
    command.env("PATH", path).env("HOME", dir.path("home")).env("OUT", dir.path("out"));
    command.env("SCRIPT", script).env("TABLE", dir.path("table")).env("LC_ALL", "C.UTF-8");
    let output = match command.output() {
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => {
            assert!(std::env::var_os("CODEX_SWARM_REQUIRE_SHELLS").is_none(), "no {shell} here");
            eprintln!("skipped: there is no {shell} here");
            return None;
        }
        output => output.unwrap(),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.is_empty() && output.status.code() != Some(9), "{shell} {words:?}: {said}");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut offered: Vec<String> = text.lines().map(str::to_owned).collect();
    offered.sort();
    Some(offered)
}

#[test]
fn every_shell_offers_the_words_that_fit() {
    let (dir, standin) = stage("#!/bin/sh\n[ \"$*\" = 'ps --all' ] && cat \"$TABLE\"\n");
    let commands = ["cancel", "check", "completions", "gc", "logs", "man", "ps", "wait"];
    let modes = ["danger-full-access", "read-only", "workspace-write"];
    let cases: &[(&[&str], &[&str])] = &[
        (&[""], &commands),
        (&["p"], &["ps"]),
        (&["--ephemeral", "p"], &[]),
        (&["--ephemeral", "--str"], &["--structured"]),
        (&["--max-parallel", ""], &[]),
        (
            &["-c", "mode"],
            &[
                "model=",
                "model_reasoning_effort=high",
                "model_reasoning_effort=low",
                "model_reasoning_effort=medium",
            ],
        ),
        (&["-c", "sandbox_mode="], &modes),
        (&["--config", "sandbox_mode=r"], &["read-only"]),
        (&["ps", ""], &[]),
        (&["ps", "--q"], &["--quiet"]),
        (&["ps", "--all", "--w"], &["--watch"]),
        (&["logs", ""], ALL),
        (&["logs", "1a"], &["1a2b3c4d", "1a99ffee"]),
        (&["logs", "--follow", "2b"], &["2b000001", "2b000002"]),
        (&["logs", "1a2b3c4d", ""], &[]),
        (&["logs", "-", ""], &[]),
        (&["logs", "1a2b3c4d", "--fo"], &["--follow"]),
        (&["wait", ""], ALL),
        (&["wait", "1a2b3c4d", "-", "3"], &["3c000003"]),
        (&["cancel", ""], GOING),
        (&["cancel", "1a2b3c4d", ""], GOING),
        (&["cancel", "2"], &["2b000001"]),
        (&["gc", "--d"], &["--dry-run"]),
        (&["check", ""], &[]),
        (&["completions", ""], &["bash", "fish", "zsh"]),
        (&["completions", "zsh", ""], &[]),
        (&["man", ""], &[]),
    ];
    for shell in SHELLS {
        for program in [standin.to_str().unwrap(), "~/here/codex-mcp-swarm"] {
            for (words, expected) in cases {
                if program.starts_with('~') && *expected != GOING {
                    continue;
                }
                let words = [&[program], *words].concat();
                let Some(mut offered) = offered(&dir, shell, &words) else { break };
                // whether the part before the = is offered again is the shell's affair
                for word in &mut offered {
                    *word = word.strip_prefix("sandbox_mode=").unwrap_or(word).to_owned();
                }
                assert_eq!(offered, *expected, "{shell} {words:?}");
            }
        }
    }
    assert!(!dir.tree().iter().any(|name| name.starts_with("out/")), "{:?}", dir.tree());
}

#[test]
fn every_shell_offers_exactly_the_flags_and_commands_that_there_are() {
    let (dir, standin) = stage("#!/bin/sh\n");
    let program = standin.to_str().unwrap();
    let known = flags_and_commands();
    for shell in SHELLS {
        let Some(commands) = offered(&dir, shell, &[program, ""]) else { continue };
        assert!(commands.iter().eq(known.keys().filter(|name| !name.is_empty())), "{shell}");
        for (command, switches) in &known {
            let words = [program, command, "-"].into_iter().filter(|word| !word.is_empty());
            let offered = offered(&dir, shell, &words.collect::<Vec<_>>()).unwrap();
            let offered = offered.into_iter().filter(|word| word != "-");
            let offered: BTreeSet<String> = offered.collect();
            assert_eq!(offered, *switches, "{shell} {command}");
        }
    }
}

#[test]
fn a_program_that_fails_is_passed_over_in_silence() {
    let (dir, standin) = stage("#!/bin/sh\necho 'no such word' >&2\nexit 2\n");
    let gone = dir.path("home/gone/codex-mcp-swarm");
    for shell in SHELLS {
        for program in [&standin, &gone] {
            let Some(mut offered) = offered(&dir, shell, &[program.to_str().unwrap(), "wait", ""])
            else {
                break;
            };
            offered.retain(|word| word != "-");
            assert_eq!(offered, [""; 0], "{shell}");
        }
    }
}

#[test]
fn codex_is_looked_for_among_the_files() {
    let (dir, standin) = stage("#!/bin/sh\n");
    dir.write("work/my-codex", "");
    let standin = standin.to_str().unwrap();
    for shell in SHELLS {
        for words in [&[standin, "--codex", "my"][..], &[standin, "--codex=my"]] {
            let Some(offered) = offered(&dir, shell, words) else { break };
            let expected: &[&str] = match shell {
                // which takes files where nothing is offered
                "bash" => &[],
                "zsh" => &["files"],
                _ if words.len() == 3 => &["my-codex"],
                _ => &["--codex=my-codex"],
            };
            assert_eq!(offered, expected, "{shell} {words:?}");
        }
    }
}
