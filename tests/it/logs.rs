//! `logs`: what a task did, as a person reads it; and how tasks are named at a terminal.

use crate::harm;
use crate::many::{kilobytes, sleeps};
use crate::planted::*;
use crate::support::*;
use crate::terminal::{Terminal, plain, width_of};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};

/// What `logs` says of a task where there is no terminal.
fn logs(dir: &Dir, id: &str) -> String {
    told(dir, &["logs", id])
}

/// The same of one that has only these lines in its transcript.
fn logs_of(dir: &Dir, lines: &[String]) -> String {
    let planted = task("0000000a", "completed").took(12);
    lines.iter().fold(planted, |task, line| task.line(line)).put(dir);
    logs(dir, "0000000a")
}

/// The only line of a text that has this in it.
fn line_with<'t>(text: &'t str, part: &str) -> &'t str {
    let found: Vec<&str> = text.lines().filter(|line| line.contains(part)).collect();
    assert_eq!(found.len(), 1, "{part} in:\n{}", abridged(text));
    found[0]
}

/// Whether all these stand in a text, each behind the one before.
fn in_order(text: &str, parts: &[&str]) {
    let mut at = 0;
    for part in parts {
        let found = text[at..].find(part);
        at += found.unwrap_or_else(|| panic!("{part} at its place in:\n{text}")) + part.len();
    }
}

#[test]
fn the_head_says_what_was_asked_and_of_whom() {
    let dir = Dir::new();
    task("0000000a", "completed")
        .prompt("Mend the parser.\nTell nobody.")
        .with(r#","cwd":"/some/where","model":"gpt-9","sandbox":"read-only""#)
        .with(&worktree("codex-swarm/0000000a", [1, 2, 3]))
        .line(&message("It is done."))
        .put(&dir);
    let text = logs(&dir, "0000000a");
    let head = text.split("It is done.").next().unwrap();
    for part in [
        "0000000a",
        "completed",
        "/some/where",
        "gpt-9",
        "read-only",
        "codex-swarm/0000000a",
        "Mend the parser.",
        "Tell nobody.",
    ] {
        assert!(head.contains(part), "{part} in:\n{text}");
    }
}

#[test]
fn messages_are_whole() {
    let dir = Dir::new();
    let long =
        (0..500).map(|n| format!("line {n} of it\tand a tab\n")).collect::<Vec<_>>().concat();
    let broad = "wide ".repeat(1_000_000);
    let text = logs_of(
        &dir,
        &[message("first"), message(&long), message(&broad), reasoning("I think\nso")],
    );
    in_order(
        &text,
        &["first", "line 0 of it\tand a tab", "line 499 of it\tand a tab", "I think", "so"],
    );
    assert_eq!(text.matches(" of it\tand a tab\n").count(), 500);
    assert_eq!(text.matches("wide ").count() + usize::from(!text.contains("wide  ")), 1_000_001);
}

#[test]
fn what_codex_thinks_and_what_nobody_understands_is_dim() {
    let dir = Dir::new();
    task("0000000a", "completed")
        .line(&message("bright words"))
        .line(&reasoning("dim thoughts"))
        .line("no JSON at all")
        .line(r#"{"type":"of.tomorrow","what":1}"#)
        .line(r#"{"no":"type"}"#)
        .put(&dir);
    let screen = seen(&dir, (40, 100), &["logs"]);
    for (part, dim) in [
        ("bright words", false),
        ("dim thoughts", true),
        ("no JSON at all", true),
        (r#"{"type":"of.tomorrow","what":1}"#, true),
        (r#"{"no":"type"}"#, true),
    ] {
        let rows = screen.rows();
        let row = rows.iter().position(|row| row.contains(part));
        let row = row.unwrap_or_else(|| panic!("{part} in {rows:?}"));
        let at = width_of(rows[row].split(part).next().unwrap());
        let cells = &screen.cells[row][at..at + part.len()];
        assert!(cells.iter().all(|cell| cell.style.effects[2] == dim), "{part}");
    }
    assert!(!logs(&dir, "0000000a").contains('\u{1b}'));
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let dir = Dir::new();
    task("0000000a", "failed").line(&reasoning("dim")).line(&begins("c", "ls")).put(&dir);
    for (name, value, coloured) in
        [("NO_COLOR", "1", false), ("TERM", "dumb", false), ("NO_COLOR", "", true)]
    {
        let mut command = dir.command();
        command.arg("logs").env("TERM", "xterm").env(name, value);
        let mut terminal = Terminal::run(&dir, (40, 100), &command);
        assert_eq!(terminal.ended(), Some(0));
        assert_eq!(terminal.screen.is_coloured(), coloured, "{name}={value}");
        assert!(coloured || terminal.screen.sequences.is_empty(), "{name}={value}");
    }
}

#[test]
fn a_command_is_told_at_its_begin_and_at_its_end_with_the_end_of_its_output() {
    let dir = Dir::new();
    let output = |count: u32| {
        let lines = (1..=count).map(|n| format!("output {n}.\n"));
        lines.collect::<Vec<_>>().concat()
    };
    let text = logs_of(
        &dir,
        &[
            begins("a", "cargo build"),
            message("between"),
            ends("a", "cargo build", &output(100), 0),
            begins("b", "make"),
            ends("b", "make", &output(10), 2),
            begins("c", "/bin/bash -lc 'rustc -V'"),
            message("last"),
        ],
    );
    in_order(
        &text,
        &["$ cargo build", "between", "exit 0", "$ make", "exit 2", "$ ", "rustc -V", "last"],
    );
    let first = &text[..text.find("$ make").unwrap()];
    assert!(first.contains("… 90 lines before"), "{text}");
    for n in [91, 95, 100] {
        assert!(first.contains(&format!("output {n}.")), "{n} in {text}");
    }
    assert!(!first.contains("output 90.") && !first.contains("output 1."), "{text}");
    let second = &text[text.find("$ make").unwrap()..];
    assert!((1..=10).all(|n| second.contains(&format!("output {n}."))), "{text}");
    assert!(!second.contains("lines before"), "{text}");
    // nobody noted when it was
    assert!(line_with(&text, "exit 0").trim_end().ends_with("exit 0"), "{text}");
}

#[test]
fn a_command_that_was_not_announced_is_told_when_it_ends() {
    let dir = Dir::new();
    let text = logs_of(&dir, &[ends("a", "sly", "caught\n", 3)]);
    in_order(&text, &["sly"]);
    in_order(&text, &["exit 3"]);
    in_order(&text, &["caught"]);
}

#[test]
fn times_are_those_that_the_supervisor_noted() {
    let dir = Dir::new();
    task("0000000a", "completed")
        .begun(9000)
        .took(8000)
        .after(3_000)
        .line(&begins("a", "cargo build"))
        .after(4_200)
        .line(&ends("a", "cargo build", "", 0))
        .line(&message("at once after"))
        .after(725_900)
        .line(&message("much later"))
        .after(3_725_000)
        .line(&message("very late"))
        .put(&dir);
    let text = logs(&dir, "0000000a");
    assert!(text.contains("at once after"), "{text}");
    for (part, time) in [
        ("$ cargo build", "3s "),
        ("exit 0", "4s "),
        ("much later", "12m 05s "),
        ("very late", "1h 02m 05s "),
    ] {
        assert!(line_with(&text, part).trim_start().starts_with(time), "{time} in:\n{text}");
    }
    assert!(line_with(&text, "exit 0").contains("exit 0, 1.2s"), "{text}");
}

#[test]
fn what_comes_while_a_reader_takes_its_time_has_its_own_time() {
    let dir = Dir::new();
    let stand = Stand::new();
    let long = message(&"words ".repeat(1000));
    let mut before = task("0000000a", "running").begun(900).with(&stand.members()).after(5_000);
    for _ in 0..100 {
        before = before.line(&long);
    }
    before.put(&dir);
    let mut logs = dir.command();
    let mut logs = logs.args(["logs", "0000000a"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(logs.stdout.take().unwrap());
    // more is on its way than the pipe holds
    told.read_line(&mut String::new()).unwrap();
    let path = |part: &str| dir.path("tasks").join(format!("0000000a.{part}"));
    let add = |part, text: &str| {
        File::options().append(true).open(path(part)).unwrap().write_all(text.as_bytes()).unwrap();
    };
    let first: u64 = fs::read_to_string(path("times")).unwrap()[2..].trim_end().parse().unwrap();
    let length = fs::metadata(path("stdout")).unwrap().len();
    add("times", &format!("{length} {}\n", first + 720_000));
    add("stdout", &(message("the last") + "\n"));
    let mut rest = String::new();
    told.read_to_string(&mut rest).unwrap();
    assert!(logs.wait().unwrap().success());
    assert!(rest.ends_with("\n12m 05s  the last\n"), "{}", abridged(&rest));
}

#[test]
fn times_that_are_none_do_no_harm() {
    let dir = Dir::new();
    task("0000000a", "completed").line(&begins("a", "ls")).line(&ends("a", "ls", "x", 0)).put(&dir);
    let without = logs(&dir, "0000000a");
    let most = u64::MAX;
    for times in [
        String::new(),
        "nonsense\n\n\n1\n1 2 3\n-1 -1\n".to_owned(),
        format!("{most} {most}\n0 {most}\n99999999999999999999999 1\n"),
        "0 0\n5 1\n".to_owned(),
        "\u{1b}[2J 1\n0 \u{9b}\n".to_owned(),
    ] {
        file(&dir, "0000000a.times", times.as_bytes());
        let text = logs(&dir, "0000000a");
        tame(&text, &['\t']);
        in_order(&text, &["$ ls", "exit 0", "completed in 5s"]);
    }
    fs::remove_file(dir.path("tasks/0000000a.times")).unwrap();
    assert_eq!(logs(&dir, "0000000a"), without);
}

#[test]
fn changes_calls_and_searches_are_told() {
    let dir = Dir::new();
    let change = changes("f", &["add /w/one", "update /w/two", "delete /w/three"]);
    let call = |kind: &str, tool: &str, result: &str, error: &str, status: &str| {
        item(
            kind,
            &format!(
                r#""id":"{tool}","type":"mcp_tool_call","server":"tiny","tool":"{tool}","arguments":{{"text":"yo"}},"result":{result},"error":{error},"status":"{status}""#
            ),
        )
    };
    let content = |text: &str| {
        format!(r#"{{"content":[{{"type":"text","text":"{text}"}}],"structured_content":null}}"#)
    };
    let search = r#""id":"s","type":"web_search","id":"x","query":"rust mcp","action":{"type":"search","query":"rust mcp"}"#;
    let collab = |kind: &str, status: &str| {
        item(
            kind,
            &format!(
                r#""id":"k","type":"collab_tool_call","tool":"spawn_agent","sender_thread_id":"1","receiver_thread_ids":[],"prompt":"look at the tests","agents_states":{{}},"status":"{status}""#
            ),
        )
    };
    let text = logs_of(
        &dir,
        &[
            change
                .replace("item.completed", "item.started")
                .replace(r#""completed""#, r#""in_progress""#),
            change,
            call("started", "echo", "null", "null", "in_progress"),
            call("completed", "echo", &content("fine"), "null", "completed"),
            call("started", "boom", "null", "null", "in_progress"),
            call("completed", "boom", "null", r#"{"message":"it is out of order"}"#, "failed"),
            item("started", search),
            item("completed", search),
            collab("started", "in_progress"),
            collab("completed", "completed"),
        ],
    );
    for path in ["add /w/one", "update /w/two", "delete /w/three"] {
        assert!(line_with(&text, path).trim_end().ends_with(path), "{text}");
    }
    in_order(
        &text,
        &[
            "delete /w/three",
            r#"tiny.echo({"text":"yo"})"#,
            "ok",
            r#"tiny.boom({"text":"yo"})"#,
            "it is out of order",
            "rust mcp",
            "spawn_agent",
            "look at the tests",
        ],
    );
    assert_eq!(text.matches("rust mcp").count(), 1, "{text}");
}

#[test]
fn an_error_that_is_a_calls_result_is_told() {
    let dir = Dir::new();
    let call = r#""id":"k","type":"mcp_tool_call","server":"tiny","tool":"boom","arguments":{},"result":{"content":[{"type":"text","text":"it broke"}],"structured_content":null},"error":null,"status":"failed""#;
    let text = logs_of(&dir, &[item("completed", call)]);
    in_order(&text, &["tiny.boom({})", "it broke"]);
}

#[test]
fn a_plan_is_told_step_by_step() {
    let dir = Dir::new();
    let steps =
        [("read", true), ("think", true), ("write", false), ("test", false), ("rest", false)];
    let text = logs_of(&dir, &[plan(&steps)]);
    in_order(&text, &["plan 2/5", "[x] read", "[x] think", "[ ] write", "[ ] test", "[ ] rest"]);
    assert!(line_with(&text, "[ ] test").trim_end().ends_with("[ ] test"));
}

#[test]
fn warnings_retries_failures_and_tokens_are_told_as_such() {
    let dir = Dir::new();
    task("0000000a", "failed")
        .took(3)
        .line(r#"{"type":"thread.started","thread_id":"t"}"#)
        .line(r#"{"type":"turn.started"}"#)
        .line(&item(
            "completed",
            r#""id":"e","type":"error","message":"unknown model, be careful""#,
        ))
        .line(r#"{"type":"error","message":"Reconnecting... 1/5"}"#)
        .line(r#"{"type":"error","message":"stream disconnected"}"#)
        .line(r#"{"type":"turn.failed","error":{"message":"stream disconnected"}}"#)
        .with(r#","exit_code":1"#)
        .put(&dir);
    let text = logs(&dir, "0000000a");
    in_order(
        &text,
        &["unknown model, be careful", "Reconnecting... 1/5", "failed: stream disconnected"],
    );
    assert!(!line_with(&text, "Reconnecting").contains("failed"), "{text}");
    let last = text.lines().last().unwrap();
    assert_eq!(last.trim_start(), "failed in 3s, exit 1: stream disconnected");
    let text = logs_of(&dir, &[turn_completed(1234, 567, 89)]);
    assert!(text.contains("tokens: in 1234, cached 567, out 89"), "{text}");
}

#[test]
fn what_is_no_event_is_shown_as_it_is_up_to_200_characters() {
    let dir = Dir::new();
    let long = format!("x{}", "漢".repeat(500));
    let json = format!(r#"{{"type":"of.tomorrow","text":"{}"}}"#, "y".repeat(500));
    let items = item(
        "completed",
        &format!(r#""id":"i","type":"of_tomorrow","text":"{}""#, "z".repeat(500)),
    );
    let text = logs_of(&dir, &["plain words".into(), long.clone(), json.clone(), items.clone()]);
    line_with(&text, "plain words");
    for whole in [long, json, items] {
        let cut = |count: usize| whole.chars().take(count).collect::<String>();
        assert!(text.contains(&cut(199)), "{}", abridged(&whole));
        assert!(!text.contains(&cut(201)), "{}", abridged(&whole));
    }
}

#[test]
fn the_last_line_says_how_it_ended_and_there_is_none_before() {
    let dir = Dir::new();
    let stand = Stand::new();
    let last = |id: &str| logs(&dir, id).lines().last().unwrap().trim_start().to_owned();
    task("0000000a", "completed").took(12).put(&dir);
    assert_eq!(last("0000000a"), "completed in 12s");
    task("0000000a", "cancelled").took(5).line(&message("x")).put(&dir);
    assert_eq!(last("0000000a"), "cancelled after 5s");
    task("0000000a", "failed")
        .took(3725)
        .begun(9999)
        .with(r#","failure":"there is no codex""#)
        .put(&dir);
    assert_eq!(last("0000000a"), "failed in 1h 02m 05s: there is no codex");
    for status in ["running", "queued", "preparing"] {
        task("0000000a", status).line(&message("so far")).with(&stand.members()).put(&dir);
        let text = logs(&dir, "0000000a");
        for word in ["completed in", "failed in", "cancelled after"] {
            assert!(!text.contains(word), "{text}");
        }
        assert!(text.contains(status) && text.contains("so far"), "{text}");
    }
    // its supervisor was killed
    task("0000000a", "running").with(&Stand::new().members()).put(&dir);
    assert!(last("0000000a").starts_with("failed in "), "{}", last("0000000a"));
}

#[test]
fn a_task_without_a_transcript_has_its_head_and_its_end() {
    let dir = Dir::new();
    task("0000000a", "failed").prompt("in vain").with(r#","failure":"no codex""#).put(&dir);
    for kind in ["stdout", "prompt"] {
        let text = logs(&dir, "0000000a");
        assert!(text.contains("0000000a") && text.contains("no codex"), "{text}");
        fs::remove_file(dir.task_file("0000000a", kind)).unwrap();
    }
    let record = r#"{"task_id": "0000000b", "pid": 4194301, "pid_start_time": 777, "command": ["codex", "exec", "--json", "old prompt"], "started_at": 1795000000.25, "status": "completed", "completed_at": 1795000012.25, "exit_code": 0, "worktree_root": null, "worktree_path": null, "worktree_branch": null, "thread_id": null}"#;
    plant(&dir, "0000000b", record);
    assert!(logs(&dir, "0000000b").trim_end().ends_with("completed in 12s"));
}

#[test]
fn nothing_that_could_move_a_terminal_is_shown() {
    let dir = Dir::new();
    let texts = format!("{HOSTILE}\tend\n{HOSTILE}");
    let call = format!(
        r#""id":"k","type":"mcp_tool_call","server":{0},"tool":{0},"arguments":{{{0}:{0}}},"result":null,"error":{{"message":{0}}},"status":"failed""#,
        quoted(HOSTILE)
    );
    let search = format!(r#""id":"s","type":"web_search","query":{}"#, quoted(HOSTILE));
    let collab =
        format!(r#""id":"k","type":"collab_tool_call","tool":{0},"prompt":{0}"#, quoted(HOSTILE));
    let error = |kind: &str| {
        format!(r#"{{"type":"{kind}","message":{0},"error":{{"message":{0}}}}}"#, quoted(HOSTILE))
    };
    task("0000000a", "failed")
        .prompt(&texts)
        .with(&worktree(HOSTILE, [1, 1, 1]))
        .with(&format!(
            r#","cwd":{0},"model":{0},"sandbox":{0},"note":{0},"failure":{0}"#,
            quoted(HOSTILE)
        ))
        .line(&message(&texts))
        .line(&reasoning(&texts))
        .line(&begins("c", &texts))
        .line(&ends("c", &texts, &texts, 1))
        .line(&changes(
            "f",
            &[&format!("add {HOSTILE}"), &format!("{} x", HOSTILE.replace(' ', ""))],
        ))
        .line(&item("started", &call))
        .line(&item("completed", &call))
        .line(&item("completed", &search))
        .line(&item("completed", &collab))
        .line(&plan(&[(&texts, true), (HOSTILE, false)]))
        .line(&item(
            "completed",
            &format!(r#""id":"e","type":"error","message":{}"#, quoted(HOSTILE)),
        ))
        .line(&error("error"))
        .line(&error("turn.failed"))
        .line(HOSTILE)
        .line(&format!(r#"{{"type":{}}}"#, quoted(HOSTILE)))
        .line(&format!(r#"{{"type":"of.tomorrow","{}":1}}"#, HOSTILE.replace(['\u{0}', '"'], "")))
        .put(&dir);
    let text = logs(&dir, "0000000a");
    tame(&text, &['\t']);
    assert!(text.matches('z').count() > 20 && text.contains("\tend\n"), "{text}");
    let screen = seen(&dir, (200, 120), &["logs", "0000000a"]);
    assert!(screen.printed().concat().matches('z').count() > 20);
    seen(&dir, (200, 120), &["logs", "--raw"]);
}

#[test]
fn what_a_wait_prints_moves_no_terminal() {
    let dir = Dir::new();
    task("0000000a", "completed").line(&message(&format!("{HOSTILE}\tend"))).put(&dir);
    let failure = format!(r#","failure":{0},"note":{0}"#, quoted(HOSTILE));
    task("0000000b", "failed").with(&failure).with(&worktree(HOSTILE, [1, 2, 3])).put(&dir);
    let text = told(&dir, &["wait", "0000000a"]);
    tame(&text, &['\t']);
    assert!(text.contains("\tend"), "{text}");
    let output = run(&dir, &["wait", "0000000b", "0000000a"]);
    assert_eq!(output.status.code(), Some(1));
    tame(&String::from_utf8(output.stdout).unwrap(), &['\t']);
}

#[test]
fn a_command_of_many_lines_is_told_whole() {
    let dir = Dir::new();
    let text = logs_of(&dir, &[begins("a", "cat <<E\n\tfirst\nsecond\r\nE")]);
    in_order(&text, &["$ cat <<E\n", "\tfirst\n", "second\n", "E\n"]);
}

#[test]
fn raw_is_every_byte_where_there_is_no_terminal() {
    let dir = Dir::new();
    let stream = format!("{}\n\u{1b}[2J\r\n\tnot\u{9b} JSON\u{202e}\n", message("first"));
    let bytes = [stream.as_bytes(), b"\x00\x1b\xff\xfe\x9b and no end"].concat();
    task("0000000a", "completed").put(&dir);
    file(&dir, "0000000a.stdout", &bytes);
    for words in
        [&["logs", "--raw"][..], &["logs", "0000000a", "--raw"], &["logs", "--raw", "-f", "-"]]
    {
        let output = run(&dir, words);
        assert!(output.status.success() && output.stderr.is_empty());
        assert!(output.stdout == bytes, "{words:?}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn raw_on_a_terminal_has_no_control_characters_but_newlines() {
    let dir = Dir::new();
    task("0000000a", "completed").line(&message("first")).line(HOSTILE).put(&dir);
    let before = fs::read(dir.task_file("0000000a", "stdout")).unwrap();
    let bytes = [&before[..], b"\x00\x9b\x1b\xff\ta tab and no end"].concat();
    file(&dir, "0000000a.stdout", &bytes);
    let mut terminal = Terminal::open(&dir, (24, 200), &["logs", "--raw"]);
    assert_eq!(terminal.ended(), Some(0));
    assert_eq!(terminal.screen.violations, [""; 0]);
    assert_eq!(terminal.screen.sequences, [""; 0]);
    let text = plain(&terminal.raw);
    in_order(&text, &[&message("first"), "q", "z", "a tab and no end"]);
    tame(&text, &[]);
}

/// A `logs` whose output is read as it comes.
struct Following {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Following {
    /// Begins it.
    fn begin(dir: &Dir, words: &[&str]) -> Following {
        let mut command = dir.command();
        command.arg("logs").args(words).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Following { child, output }
    }

    /// Reads up to the line that has this in it.
    fn up_to(&mut self, part: &str) -> String {
        let mut text = String::new();
        while !text.contains(part) {
            assert!(self.output.read_line(&mut text).unwrap() > 0, "{part} in:\n{text}");
        }
        text
    }

    /// The rest; it must end well.
    fn rest(mut self) -> String {
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        self.ended(&text);
        text
    }

    /// Waits for its end, which must be a good one.
    fn ended(&mut self, text: &str) {
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        assert_eq!((self.child.wait().unwrap().code(), errors.as_str()), (Some(0), ""), "{text}");
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn following_goes_on_to_the_end() {
    let dir = Dir::new();
    let mut server = dir.server();
    let id = server
        .launch("begin\nsay first words\nwait-for one\nrun ls\nwait-for two\nsay last words\ndone");
    let mut following = Following::begin(&dir, &["-f", &id]);
    following.up_to("first words");
    dir.open("one");
    following.up_to("$ ls");
    following.up_to("exit 0");
    dir.open("two");
    let rest = following.rest();
    in_order(&rest, &["last words", "tokens: in 1000, cached 200, out 50", "completed in "]);
    assert!(rest.lines().last().unwrap().trim_start().starts_with("completed in "), "{rest}");
    // what has ended is shown in the same way, and so is the latest
    let text = told(&dir, &["logs", "--follow"]);
    in_order(&text, &["first words", "$ ls", "last words", "completed in "]);
    assert_eq!(text, told(&dir, &["logs"]));
}

#[test]
fn the_times_of_a_real_task_are_noted() {
    let dir = Dir::new();
    let mut server = dir.server();
    let (id, _) = server.run("begin\nrun ls\nsay w\\u006frds\ndone");
    let text = logs(&dir, &id);
    line_with(&text, "words");
    let mut firsts = text.lines().filter_map(|line| line.split_ascii_whitespace().next());
    assert!(firsts.any(|time| time == "0s"), "{text}");
    let exit = line_with(&text, "exit 0").split("exit 0, ").nth(1);
    let exit = exit.and_then(|exit| exit.trim_end().strip_suffix('s')?.parse::<f64>().ok());
    assert!(exit.is_some(), "{text}");
}

#[test]
fn the_end_is_told_though_the_supervisor_still_cleans_up() {
    let dir = Dir::new();
    let stand = Stand::new();
    let task = |status| task("0000000a", status).with(&stand.members());
    task("running").line(&message("first words")).put(&dir);
    let mut following = Following::begin(&dir, &["-f", "0000000a"]);
    following.up_to("first words");
    // the record alone: nothing is said any more
    let other = Dir::new();
    task("completed").put(&other);
    let name = "tasks/0000000a.meta";
    fs::rename(other.path(name), dir.path(name)).unwrap();
    assert!(following.rest().ends_with("completed in 5s\n"));
    assert!(stand.lives());
}

#[test]
fn following_waits_for_a_task_that_is_queued() {
    let dir = Dir::new();
    let mut server = dir.server_with(&["--max-parallel", "1"]);
    let first = server.launch("begin\nmark on\nwait-for go\ndone");
    dir.marked("on");
    let second = server.launch("begin\nsay my turn\ndone");
    let following = Following::begin(&dir, &["--follow", &second]);
    let raw = Following::begin(&dir, &["--raw", "--follow", &second]);
    for pid in [following.child.id(), raw.child.id()] {
        until("it waits", || sleeps(pid).then_some(()));
    }
    server.end();
    dir.open("go");
    in_order(&following.rest(), &["my turn", "completed in "]);
    let stream = fs::read_to_string(dir.task_file(&second, "stdout")).unwrap();
    assert_eq!(raw.rest(), stream);
    assert_eq!(told(&dir, &["wait", &first]).matches("(completed in ").count(), 1);
}

#[test]
fn following_ends_with_a_task_that_is_killed_or_cancelled() {
    let dir = Dir::new();
    let mut server = dir.server();
    let killed = server.launch("begin\nsay I live\nwait-for never");
    let mut following = Following::begin(&dir, &["-f", &killed]);
    following.up_to("I live");
    harm::kill_supervisor(&dir, &killed);
    let rest = following.rest();
    assert!(rest.lines().last().unwrap().trim_start().starts_with("failed in "), "{rest}");
    let cancelled = server.launch("begin\nsay me too\nwait-for never");
    let mut following = Following::begin(&dir, &["-f", &cancelled]);
    following.up_to("me too");
    server.ok("codex_cancel", &ids(&[&cancelled]));
    let rest = following.rest();
    assert!(rest.lines().last().unwrap().trim_start().starts_with("cancelled after "), "{rest}");
}

#[test]
fn following_hears_of_an_end_on_another_machine() {
    let dir = Dir::new();
    let running = task("0000000a", "running").line(&message("far away")).with(ELSEWHERE);
    running.put(&dir);
    let mut following = Following::begin(&dir, &["-f"]);
    following.up_to("far away");
    task("0000000a", "completed").line(&message("far away")).line(&message("the end")).put(&dir);
    in_order(&following.rest(), &["the end", "completed in 5s"]);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let dir = Dir::new();
    task("0000000a", "completed").line(&message(&"word\n".repeat(100_000))).put(&dir);
    for words in [&[][..], &["--raw"], &["-f"]] {
        let mut following = Following::begin(&dir, words);
        following.output.read_until(b' ', &mut Vec::new()).unwrap();
        following.output = BufReader::new(following_stdout_of_nothing());
        following.ended("");
    }
    let mut server = dir.server();
    let id = server.launch("begin\nsay one\nwait-for go\nsay two\nsay three\ndone");
    let mut following = Following::begin(&dir, &["-f", &id]);
    following.up_to("one");
    following.output = BufReader::new(following_stdout_of_nothing());
    dir.open("go");
    following.ended("");
}

/// A pipe to put in the place of one that is to be closed.
fn following_stdout_of_nothing() -> std::process::ChildStdout {
    let mut child = Command::new("true").stdout(Stdio::piped()).spawn().unwrap();
    child.wait().unwrap();
    child.stdout.take().unwrap()
}

#[test]
fn following_in_a_terminal_ends_by_ctrl_c_and_leaves_that_in_order() {
    let dir = Dir::new();
    let stand = Stand::new();
    task("0000000a", "running").line(&message("so far")).with(&stand.members()).put(&dir);
    let mut terminal = Terminal::open(&dir, (24, 80), &["logs", "-f"]);
    terminal.until_shown("so far");
    terminal.keys("\u{3}");
    assert_ne!(terminal.ended(), None);
    assert_eq!(terminal.modes_after(), terminal.modes_before());
    assert!(stand.lives());
}

#[test]
fn a_transcript_of_100_mb_begins_at_once_and_takes_no_room() {
    let dir = Dir::new();
    task("0000000a", "completed").line(&message("the first words")).put(&dir);
    let piece = format!("{}\n", message(&"all the words ".repeat(70))).repeat(1000);
    let mut stream =
        File::options().append(true).open(dir.task_file("0000000a", "stdout")).unwrap();
    let mut length = 0;
    while length < 100_000_000 {
        stream.write_all(piece.as_bytes()).unwrap();
        length += piece.len();
    }
    writeln!(stream, "{}", message("the last words")).unwrap();
    for (words, most) in [(&[][..], 16_000), (&["--raw"], 16_000), (&["-f"], 16_000)] {
        let mut following = Following::begin(&dir, words);
        let pid = following.child.id();
        following.up_to("the first words");
        // nobody reads on: it has to wait, and has not read much more than it could tell
        until("it waits", || sleeps(pid).then_some(()));
        let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
        let read: u64 = field(&io, "rchar").parse().unwrap();
        assert!(read < 20_000_000, "{words:?}: {read} bytes were read for the first words");
        let (mut peak, mut seen, mut tail) = (0, 0, Vec::new());
        let mut room = vec![0; 1 << 20];
        loop {
            peak = peak.max(kilobytes(pid, "VmHWM"));
            let count = following.output.read(&mut room).unwrap();
            if count == 0 {
                break;
            }
            seen += count;
            tail.extend_from_slice(&room[..count]);
            tail.drain(..tail.len().saturating_sub(1000));
        }
        following.ended("");
        assert!(String::from_utf8_lossy(&tail).contains("the last words"), "{words:?}");
        assert!(seen > 90_000_000, "{words:?}: {seen}");
        assert!((1..most).contains(&peak), "{words:?}: {peak} KB");
    }
}

#[test]
fn a_task_is_named_by_what_it_begins_with_or_is_the_latest() {
    let dir = Dir::new();
    for (id, begun) in [("1a2b3c4d", 300), ("1a99ffee", 100), ("2b000000", 200)] {
        let long = format!(r#","mcp_task_id":"{id}00000000ffffffff01234567""#);
        task(id, "completed").begun(begun).took(7).with(&long).put(&dir);
    }
    let shown = |words: &[&str], id: &str| {
        for (command, expected) in [
            ("logs", id.to_owned()),
            ("wait", format!("=== Task {id} ")),
            ("cancel", format!("{id} had completed")),
        ] {
            let all: Vec<&str> = [command].into_iter().chain(words.iter().copied()).collect();
            let text = told(&dir, &all);
            assert!(text.contains(&expected), "{all:?}: {text}");
            for other in ["1a2b3c4d", "1a99ffee", "2b000000"] {
                assert!(other == id || !text.contains(other), "{all:?}: {text}");
            }
        }
    };
    shown(&["1a2b3c4d"], "1a2b3c4d");
    shown(&["1a2b3c4d00000000ffffffff01234567"], "1a2b3c4d");
    shown(&["1a2"], "1a2b3c4d");
    shown(&["2"], "2b000000");
    shown(&["2b00000"], "2b000000");
    // asked for last, though listed between the others
    shown(&["-"], "1a99ffee");
    shown(&[], "1a99ffee");
    let directory = dir.path("tasks").display().to_string();
    for command in ["logs", "wait", "cancel"] {
        for name in ["1a", "1"] {
            let error = format!("task id {name:?} is not unique: 1a2b3c4d, 1a99ffee");
            assert_eq!(failed(&dir, &[command, name]), (Some(1), error));
        }
        for name in ["zz", "3", "1a2b3c4e", "../x", "tasks"] {
            let error = format!("there is no task {name:?} in {directory}");
            assert_eq!(failed(&dir, &[command, name]), (Some(1), error));
        }
        let (code, error) = failed(&dir, &[command, "\u{1b}[2J\u{202e}x"]);
        assert_eq!(code, Some(1));
        tame(&error, &[]);
    }
}

#[test]
fn an_id_that_only_begins_as_one_of_ours_is_no_task() {
    let dir = Dir::new();
    let long = r#","mcp_task_id":"1a2b3c4d00000000ffffffff01234567""#;
    task("1a2b3c4d", "completed").with(long).put(&dir);
    for command in ["logs", "wait", "cancel"] {
        for name in ["1a2b3c4d00000000ffffffff00000000", "1a2b3c4d0x", "1a2b3c4dz"] {
            assert_eq!(run(&dir, &[command, name]).status.code(), Some(1), "{command} {name}");
        }
    }
}

#[test]
fn where_there_are_no_tasks_none_is_the_latest() {
    let dir = Dir::new();
    let error = format!("there is no task in {}", dir.path("tasks").display());
    for command in ["logs", "wait", "cancel"] {
        for words in [&[command][..], &[command, "-"]] {
            assert_eq!(failed(&dir, words), (Some(1), error.clone()), "{words:?}");
        }
    }
    assert!(!dir.path("tasks").exists());
}

#[test]
fn records_that_are_none_do_not_hide_the_others() {
    let dir = Dir::new();
    task("1a2b3c4d", "completed").line(&message("unharmed")).put(&dir);
    plant(&dir, "1a000000", "{");
    fs::create_dir(dir.path("tasks/1b000000.meta")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", dir.path("tasks/1c000000.meta")).unwrap();
    assert!(
        Command::new("mkfifo").arg(dir.path("tasks/1d000000.meta")).status().unwrap().success()
    );
    for words in [&["logs"][..], &["logs", "1a2b3c4d"], &["logs", "-"]] {
        assert!(told(&dir, words).contains("unharmed"), "{words:?}");
    }
}

#[test]
fn wrong_words_are_usage_errors() {
    let dir = Dir::new();
    for words in
        [&["logs", "a", "b"][..], &["logs", "--nope"], &["cancel", "--nope"], &["logs", "-x"]]
    {
        assert_eq!(failed(&dir, words).0, Some(2), "{words:?}");
    }
}
