//! A prompt reaches codex whole, whatever it is, and stands nowhere else.

use crate::support::*;
use std::fs;

/// Runs codex with this prompt and compares what arrived, byte for byte.
fn arrives(server: &mut Server<'_>, prompt: &str) {
    let text = server.ok("codex", &prompt_and(prompt, ""));
    let received = server.dir.received(&task_id(&text));
    let same = received.stdin == prompt.as_bytes();
    assert!(same, "{:?} arrived otherwise", abridged(prompt));
    assert_eq!(received.argv.last().unwrap(), "-");
}

#[test]
fn prompts_that_look_like_something_else_are_prompts() {
    let dir = Dir::new();
    let mut server = dir.server();
    for prompt in [
        "--help",
        "-",
        "--",
        "resume",
        "review",
        "fork",
        "help",
        "--dangerously-bypass-approvals-and-sandbox",
        "-o/tmp/x",
        "\nan empty line first",
        " blanks around \n",
        "no line end",
        "line end\n",
        r#""double", 'single', `back`, $HOME $(id) \n \ %s"#,
        "tab\tbell\u{7}escape\u{1b}delete\u{7f}",
        "\u{feff}a byte order mark",
        "é 😀 \u{2028}\u{2029}\u{85} \u{202e}",
        "@/etc/passwd",
        "/status",
    ] {
        arrives(&mut server, prompt);
    }
}

#[test]
fn a_prompt_may_have_a_million_characters() {
    let dir = Dir::new();
    let mut server = dir.server();
    for (unit, times) in [("x", 131_071), ("x", 131_072), ("x", 1_000_000), ("é", 1_000_000)] {
        arrives(&mut server, &unit.repeat(times));
    }
}

#[test]
fn a_lone_surrogate_costs_one_character_and_not_the_prompt() {
    let dir = Dir::new();
    let mut server = dir.server();
    let text = server.ok("codex", r#"{"prompt":"a\ud800b\udc00c"}"#);
    let received = dir.received(&task_id(&text));
    assert_eq!(String::from_utf8(received.stdin).unwrap(), "a\u{fffd}b\u{fffd}c");
}

#[test]
fn no_prompt_can_be_seen_in_the_process_list_or_in_the_record() {
    let dir = Dir::new();
    let mut server = dir.server();
    let secret = format!("secret-{}", dir.path("").display());
    let lines = format!("begin\n# {secret}\nmark here\nwait-for go\ndone");
    let sync = server.begin("codex", &script(&lines));
    dir.marked("here");
    let id = server.launch(&lines);
    dir.received(&id);
    for file in ["cmdline", "environ"] {
        for (process, content) in each_process(file) {
            let seen = content.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!seen, "in {}/{file}", process.display());
        }
    }
    dir.open("go");
    server.result(sync);
    server.wait(&[&id]);
    for name in dir.tree() {
        let in_prompt = name.ends_with(".prompt") || name.starts_with("out/");
        if dir.path(&name).is_file() && !in_prompt {
            let content = String::from_utf8_lossy(&fs::read(dir.path(&name)).unwrap()).into_owned();
            assert!(!content.contains(&secret), "in {name}");
        }
    }
    assert!(fs::read_to_string(dir.task_file(&id, "prompt")).unwrap().contains(&secret));
}
