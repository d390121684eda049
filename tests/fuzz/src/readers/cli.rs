//! The command line: what was understood can be said again in one way, and is understood the same.

use crate::cli::{Flags, Role, parse};
use crate::launcher::quote;
use crate::settings::{Settings, shown};
use std::path::Path;

/// Tries words, a line each.
pub fn hold(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let words = text.split('\n').map(str::to_owned);
    match parse(words.clone()) {
        Err(why) => assert!(why.to_string().ends_with("--help'")),
        Ok(Role::Serve(flags)) => {
            assert_eq!(parse(said(&flags)), Ok(Role::Serve(flags.clone())));
            assert!(flags.max_parallel != Some(0) && flags.task_timeout != Some(0));
            for word in &flags.config {
                assert!(word.contains('=') && !word.starts_with(['=', '-']), "{word}");
                let _ = shown(word);
            }
            // the words may as well be the values of variables
            let variable = |name: &str| words.clone().nth(name.len() % 5);
            let (settings, _) = Settings::read(flags, variable, Path::new("/here"));
            assert!(settings.task_dir.is_absolute() && settings.log.is_absolute());
            let _ = (settings.kept(), settings.default_of("model"));
        }
        Ok(Role::Supervise(..)) => assert_eq!(words.clone().next().as_deref(), Some("supervise")),
        Ok(Role::Command(_) | Role::Help | Role::Version) => {}
    }
}

/// The words that mean these flags.
fn said(flags: &Flags) -> Vec<String> {
    // a flag that is new has to be said too
    let Flags {
        config,
        skip_git_repo_check,
        ephemeral,
        codex,
        structured,
        launchers,
        max_parallel,
        task_timeout,
        locked,
        roots,
    } = flags;
    let mut words = Vec::new();
    for word in config {
        words.extend(["-c".to_owned(), word.clone()]);
    }
    let switches = [
        ("--skip-git-repo-check", skip_git_repo_check),
        ("--ephemeral", ephemeral),
        ("--structured", structured),
        ("--locked", locked),
    ];
    words.extend(switches.iter().filter(|(_, on)| **on).map(|(name, _)| (*name).to_owned()));
    words.extend(codex.iter().map(|path| format!("--codex={path}")));
    for launcher in launchers {
        let line: Vec<String> = launcher.words.iter().map(|word| quote(word)).collect();
        words.push(format!("--launcher={}={}", launcher.name, line.join(" ")));
        let limit = launcher.max_parallel.iter();
        words.extend(limit.map(|n| format!("--max-parallel={}={n}", launcher.name)));
    }
    words.extend(max_parallel.iter().map(|n| format!("--max-parallel={n}")));
    words.extend(task_timeout.iter().map(|n| format!("--task-timeout={n}")));
    words.extend(roots.iter().map(|root| format!("--root={root}")));
    words
}
