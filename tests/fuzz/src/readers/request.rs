//! A call's arguments as the command line of codex: none of them becomes an option that was not meant.

use super::toml;
use crate::cli::Flags;
use crate::codex::Request;
use crate::codex::command::Task;
use crate::json::{Value, parse};
use crate::mcp::tool::Tool;
use crate::settings::Settings;
use crate::task::Id;
use std::path::Path;

/// The options that a request may become.
const OPTIONS: [&str; 7] =
    ["--model=", "--sandbox=", "--cd=", "--profile=", "--add-dir=", "--output-schema=", "--image="];

/// Tries the arguments of a call.
pub fn hold(data: &[u8]) {
    let Ok(arguments) = parse(data) else { return };
    if Tool::Codex.check(&arguments).is_err() {
        return;
    }
    let here = Path::new("/usr");
    let Ok(request) = Request::read(&arguments, here) else { return };
    let (settings, _) = Settings::read(Flags::default(), |_| None, here);
    let task = Task {
        id: Id::read("1a2b3c4d").expect("an id"),
        instructions: request.base_instructions.is_some().then(|| "/i".into()),
        schema: request.output_schema.is_some().then(|| "/s".into()),
    };
    if let Ok(words) = request.words(&settings, &task) {
        harmless(&words, &request);
    }
    let lasting = request.lasting(&settings, &request.cwd);
    parse(lasting.as_bytes()).expect("what lasts is JSON");
    for (key, value) in arguments.get("config").and_then(Value::as_object).unwrap_or_default() {
        let (_, written) = request.config.1.iter().rfind(|(k, _)| k == key).expect(key);
        if arguments.get("config").and_then(|config| config.get(key)) == Some(value) {
            toml::same(value, &toml::read(written));
        }
    }
}

/// Every word is what it was meant to be.
fn harmless(words: &[String], request: &Request) {
    assert!(words.iter().all(|word| !word.contains('\0')));
    let mut words = words.iter().map(String::as_str);
    assert_eq!((words.next(), words.next()), (Some("exec"), Some("--json")));
    while let Some(word) = words.next() {
        match word {
            "-c" => {
                let (key, value) = words.next().and_then(|w| w.split_once('=')).expect("key=value");
                let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
                assert!(key.chars().all(plain) && !key.is_empty() && !key.starts_with('-'));
                toml::read(value);
            }
            "resume" | "fork" => {
                assert_eq!(word == "fork", request.fork);
                let thread = words.next().expect("a thread");
                assert_eq!(Some(thread), request.thread.as_deref());
                assert!(thread.len() == 36 && !thread.starts_with('-'));
            }
            "-" => {
                assert_eq!(words.next(), None);
                return;
            }
            word => assert!(OPTIONS.iter().any(|option| word.starts_with(option)), "{word}"),
        }
    }
    panic!("the prompt is not read from stdin");
}
