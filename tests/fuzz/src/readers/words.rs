//! The words of a launcher: what was taken apart can be put together, and comes apart the same.

use crate::launcher::{Launcher, quote, split};

/// Tries a line, and the same as the one word of another.
pub fn hold(data: &[u8]) {
    let line = String::from_utf8_lossy(data);
    assert_eq!(split(&quote(&line)), Some(vec![line.to_string()]));
    if let Some(words) = split(&line) {
        let again: Vec<String> = words.iter().map(|word| quote(word)).collect();
        assert_eq!(split(&again.join(" ")), Some(words));
    }
    if let Ok(launcher) = Launcher::read(&line) {
        assert!(!launcher.words.is_empty() && !launcher.name.contains(['/', '.']));
        let codex = ["codex".to_owned(), line.to_string()];
        let values = [("{task_id}", ""), ("{task_dir}", "/"), ("{cwd}", &*line)];
        let command = launcher.command(&codex, ("M", "1"), values);
        assert!(command.len() >= launcher.words.len() + 2);
        let _ = (launcher.place(&line), launcher.is_own(&line));
    }
}
