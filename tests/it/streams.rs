//! Every recorded stream of the real codex folds to the right verdict, answer and facts.

use crate::support::*;
use std::fs;

/// The streams of one Codex version, as they were recorded.
const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/codex-0.169");

/// A recorded turn that went well, and what must be seen of it.
struct Good {
    /// The file, without its ending.
    name: &'static str,
    /// The whole answer, or its first words if it ends in `…`.
    answer: &'static str,
    /// How many tools were called.
    tools: u32,
    /// Tokens in, cached, out.
    tokens: [u32; 3],
    /// What else the status has to show.
    shown: &'static [&'static str],
}

/// The short form of one.
const fn good(
    name: &'static str,
    answer: &'static str,
    tools: u32,
    tokens: [u32; 3],
    shown: &'static [&'static str],
) -> Good {
    Good { name, answer, tools, tokens, shown }
}

const ONE: [u32; 3] = [1000, 200, 50];
const TWO: [u32; 3] = [2000, 400, 100];
const THREE: [u32; 3] = [3000, 600, 150];
const FOUR: [u32; 3] = [4000, 800, 200];
const FIVE: [u32; 3] = [5000, 1000, 250];
const NO_METADATA: &str = "Model metadata for `gpt-5` not found";

const GOOD: [Good; 25] = [
    good("success", "hi", 0, ONE, &[]),
    good("background_command", "leaving it behind", 1, TWO, &["sleep 30; echo late"]),
    good("collab_spawn", "end", 1, FOUR, &[NO_METADATA, "spawn_agent"]),
    good("collab_tool_call", "end", 4, FIVE, &[NO_METADATA, "close_agent"]),
    good("command", "done", 1, TWO, &["Last tool: exec_command(", "echo hello; ls"]),
    good("command_fail", "done", 1, TWO, &["Last tool: exec_command(", "exit 7"]),
    good("ephemeral", "eph", 0, ONE, &[]),
    good("file_change", "patched", 3, FIVE, &["Files changed:"]),
    good("file_change_denied", "end", 0, THREE, &[]),
    good("file_change_denied_ww", "end", 0, THREE, &[]),
    good("garbage", "ok after garbage", 0, ONE, &[]),
    good("mcp_server_broken", "x", 0, ONE, &[]),
    good("mcp_tool_call", "end", 2, FOUR, &[NO_METADATA, "boom"]),
    good("multi", "final", 4, THREE, &["Thinking: t"]),
    good("output_schema", r#"{"answer": "x", "n": 1}"#, 0, ONE, &[]),
    good("reasoning", "answer", 0, ONE, &["Thinking:", "Plan"]),
    good("resume_turn1", "one", 0, [100, 10, 5], &[]),
    good("retry_500_then_ok", "recovered", 0, ONE, &[]),
    good("retry_cut_then_ok", "recovered", 0, ONE, &[]),
    good("slow_command", "end", 1, TWO, &["echo tick"]),
    good("todo_list", "end", 0, THREE, &["Plan", "2 of 3"]),
    good("usage", "usage", 0, [123_456, 65_536, 789], &[]),
    good("web_search", "found", 1, ONE, &["rust mcp"]),
    good(
        "worktree_flag",
        "Chunk ID: ea82c1\nWall time: 0.1543 seconds…",
        3,
        FOUR,
        &["Files changed:"],
    ),
    // The second turn of a thread of which this directory knows no first: all of it is this turn's.
    good("resume_turn2", "turn 2", 0, [200, 20, 10], &[]),
];

/// A recorded turn that failed.
struct Bad {
    /// The file, without its ending.
    name: &'static str,
    /// The stand-in's last line.
    end: &'static str,
    /// The categories it may be given.
    categories: &'static [&'static str],
    /// Whether it may be tried again.
    retryable: &'static str,
    /// Words of the cause.
    cause: &'static str,
}

/// The short form of one.
const fn bad(
    name: &'static str,
    categories: &'static [&'static str],
    retryable: &'static str,
    cause: &'static str,
) -> Bad {
    Bad { name, end: "exit 1", categories, retryable, cause }
}

const BUSY: &str = "currently experiencing high demand";
const CUT: &str = "stream disconnected before completion";
const TOO_MANY: &str = "429 Too Many Requests";

const BAD: [Bad; 14] = [
    bad("fail_400", &["invalid_request"], "no", "Bad request from the script"),
    bad("fail_401", &["authentication"], "no", "401 Unauthorized: Incorrect API key provided"),
    bad("fail_429", &["rate_limit"], "yes", TOO_MANY),
    bad("fail_429_retry_after", &["rate_limit"], "yes", TOO_MANY),
    bad("retry_429_then_ok", &["rate_limit"], "yes", TOO_MANY),
    bad("fail_500", &["provider_capacity", "provider_5xx"], "yes", BUSY),
    bad("fail_500_retries", &["provider_capacity", "provider_5xx"], "yes", BUSY),
    bad("failed_context", &["context_length"], "no", "ran out of room"),
    bad("failed_quota", &["quota"], "no", "Quota exceeded"),
    bad("conn_refused_bounded", &["transport"], "yes", "Connection failed: error sending request"),
    bad("retry_cut_exhausted", &["transport"], "yes", CUT),
    bad("hang_idle", &["transport"], "yes", "idle timeout waiting for SSE"),
    bad("killed_SIGINT", &["process_crash", "unknown"], "", "1"),
    Bad {
        name: "killed_SIGTERM",
        end: "kill-self TERM",
        categories: &["process_crash"],
        retryable: "",
        cause: "15",
    },
];

/// The thread a recorded stream begins with.
fn recorded_thread(stream: &str) -> String {
    let first = stream.lines().next().unwrap();
    read_json(first).str_at("thread_id").to_owned()
}

/// A line of figures without the marks that part thousands.
fn plain_figures(line: &str) -> Vec<u32> {
    let bare: String = line.chars().filter(|c| *c != ',' && *c != '_').collect();
    bare.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn the_tables_leave_no_recorded_stream_out() {
    let mut recorded: Vec<String> = fs::read_dir(RECORDED)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    recorded.sort();
    let names = GOOD.iter().map(|good| good.name).chain(BAD.iter().map(|bad| bad.name));
    let mut listed: Vec<String> = names.map(|name| format!("{name}.jsonl")).collect();
    listed.sort();
    assert_eq!(recorded, listed);
}

/// Plays these streams, all at once, and looks at what is made of each.
fn check(cases: &[&Good]) {
    let dir = Dir::new();
    let mut server = dir.server();
    let tasks: Vec<String> = cases
        .iter()
        .map(|good| server.launch(&format!("print {}.jsonl\nexit 0", good.name)))
        .collect();
    let ids: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let waited = server.wait(&ids);
    for (good, id) in cases.iter().zip(&tasks) {
        let name = good.name;
        let stream = fs::read(format!("{RECORDED}/{name}.jsonl")).unwrap();
        assert_eq!(fs::read(dir.task_file(id, "stdout")).unwrap(), stream, "{name} verbatim");
        let thread = recorded_thread(&String::from_utf8(stream).unwrap());
        let part = section(&waited, id);
        assert!(part.contains("(completed in "), "{name}: {part}");
        assert_eq!(thread_id(part), thread, "{name}");
        let (answer, cut) =
            good.answer.split_once('…').map_or((good.answer, false), |(a, _)| (a, true));
        assert!(part.contains(answer), "{name}: {part}");
        let whole = server.read(&format!("codex-swarm:///tasks/{id}/result"));
        assert!(whole == answer || cut && whole.starts_with(answer), "{name}: {whole}");

        let status = server.status(id);
        assert!(status.contains("(COMPLETED in "), "{name}: {status}");
        assert_eq!(field(&status, "Tools called"), good.tools.to_string(), "{name}: {status}");
        let figures = plain_figures(field(&status, "Tokens"));
        assert_eq!(&figures[..3], good.tokens, "{name}: {status}");
        for shown in good.shown {
            assert!(status.contains(shown), "{name}: {shown} in: {status}");
        }
        let warned = good.shown.contains(&NO_METADATA);
        assert!(!warned || field(&status, "Warning").contains(NO_METADATA), "{name}: {status}");
        let record = dir.record(id);
        assert_eq!(record.str_at("status"), "completed", "{name}");
        assert_eq!(record.str_at("thread_id"), thread, "{name}");
        assert_eq!(record.at("exit_code").as_i64(), Some(0), "{name}");
    }
}

#[test]
fn turns_that_went_well_show_answer_thread_tools_tokens_and_warnings() {
    // The two turns of one thread would be taken as such in one directory.
    let (second, others): (Vec<_>, Vec<_>) =
        GOOD.iter().partition(|good| good.name == "resume_turn2");
    check(&others);
    check(&second);
}

#[test]
fn turns_that_failed_show_cause_category_and_whether_to_try_again() {
    let dir = Dir::new();
    let mut server = dir.server();
    let tasks: Vec<String> = BAD
        .iter()
        .map(|bad| server.launch(&format!("print {}.jsonl\n{}", bad.name, bad.end)))
        .collect();
    let ids: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let waited = server.wait(&ids);
    for (bad, id) in BAD.iter().zip(&tasks) {
        let name = bad.name;
        let part = section(&waited, id);
        assert!(part.contains("(failed in "), "{name}: {part}");
        assert!(part.contains(bad.cause), "{name}: {} in: {part}", bad.cause);
        let named = bad.categories.iter().any(|category| part.contains(category));
        assert!(named, "{name}: {:?} in: {part}", bad.categories);
        let after = part.to_lowercase();
        let after = after.split_once("retryable").unwrap_or_else(|| panic!("{name}: {part}")).1;
        let word: String = after
            .trim_start_matches([':', ' ', '='])
            .chars()
            .take_while(|c| c.is_alphabetic())
            .collect();
        assert!(["yes", "no", "unknown"].contains(&word.as_str()), "{name}: {part}");
        assert!(bad.retryable.is_empty() || word == bad.retryable, "{name}: {part}");
        let stream = fs::read_to_string(format!("{RECORDED}/{name}.jsonl")).unwrap();
        assert_eq!(thread_id(part), recorded_thread(&stream), "{name}");
        let status = server.status(id);
        assert!(status.contains("(FAILED in "), "{name}: {status}");
        let record = dir.record(id);
        assert_eq!(record.str_at("status"), "failed", "{name}");
        let exit = if bad.end == "exit 1" { 1 } else { -15 };
        assert_eq!(record.at("exit_code").as_i64(), Some(exit), "{name}");
        assert!(exit != 1 || status.contains("exit 1)"), "{name}: {status}");
    }
}

#[test]
fn a_failed_turn_is_an_error_of_codex_and_of_codex_reply_but_not_of_waiting() {
    let dir = Dir::new();
    let mut server = dir.server();
    let fails = "print fail_429.jsonl\nexit 1";
    let text = server.refused("codex", &script(fails));
    assert!(text.contains("rate_limit") && text.contains(TOO_MANY), "{text}");
    task_id(&text);
    let thread = thread_id(&text).to_owned();
    server.refused("codex_reply", &script_and(fails, &format!(r#""threadId":"{thread}""#)));
    let id = server.launch(fails);
    server.wait(&[&id]);
    server.ok("codex_status", &ids(&[&id]));
    server.ok("codex_batch", &format!(r#"{{"tasks":[{}]}}"#, script(fails)));
}

#[test]
fn a_resumed_turn_shows_its_own_tokens_and_not_the_threads() {
    let dir = Dir::new();
    let mut server = dir.server();
    let first = server.ok("codex", &script("print resume_turn1.jsonl"));
    let thread = thread_id(&first).to_owned();
    let args = script_and("print resume_turn2.jsonl", &format!(r#""threadId":"{thread}""#));
    let second = server.ok("codex_reply", &args);
    let status = server.status(&task_id(&second));
    let figures = plain_figures(field(&status, "Tokens"));
    assert_eq!(&figures[..3], [100, 10, 5], "{status}");
}
