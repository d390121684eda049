//! What codex may print besides a clean stream, and how its end is judged then.

use crate::support::*;
use std::path::Path;

/// The answer of a script that must go well.
fn answer_of(server: &mut Server<'_>, lines: &str) -> String {
    answer(&server.ok("codex", &script(lines))).to_owned()
}

#[test]
fn lines_that_are_no_events_are_read_over() {
    let dir = Dir::new();
    let mut server = dir.server();
    for junk in [
        "line WARNING: proceeding, even though the directory is not trusted",
        "line",
        "line {",
        "line 42",
        "line []",
        "line null",
        r#"line {"type":5}"#,
        r#"line {"type":"news.of.tomorrow","item":{"type":"poem"}}"#,
        r#"line {"type":"item.completed"}"#,
        r#"line {"type":"item.completed","item":5}"#,
        r#"line {"type":"item.completed","item":{"id":"item_9","type":"poem","text":"x"}}"#,
        r#"line {"type":"item.completed","item":{"id":"item_9","type":"agent_message"}}"#,
        r#"line {"type":"item.started","item":{"id":"item_9","type":"command_execution"}}"#,
        r#"line {"type":"item.updated","item":{"id":"nobody","type":"todo_list","items":{}}}"#,
        r#"line {"type":"error"}"#,
        r"bytes \0377\0376\n",
        r"bytes \0000\n",
        r#"line {"type":"turn.completed","usage":"much"}"#,
    ] {
        let first = format!("{junk}\nbegin\nsay the answer\ndone");
        assert_eq!(answer_of(&mut server, &first), "the answer", "{junk} first");
        let last = format!("begin\nsay the answer\n{junk}\ndone");
        assert_eq!(answer_of(&mut server, &last), "the answer", "{junk} last");
    }
}

#[test]
fn the_text_of_an_answer_is_kept_to_the_letter() {
    let dir = Dir::new();
    let mut server = dir.server();
    let event = r#"{"type":"item.completed","item":{"id":"item_1","type":"agent_message","text":"#;
    for (written, read) in [
        (
            "line separators \u{2028} and \u{2029} and \u{85}",
            "line separators \u{2028} and \u{2029} and \u{85}",
        ),
        (r"escaped \u2028 \u0085 \u000b \f", "escaped \u{2028} \u{85} \u{b} \u{c}"),
        (r"pair \ud83d\ude00 alone \ud800!", "pair \u{1f600} alone \u{fffd}!"),
        (r#"two\nlines \"quoted\" \\ \/"#, "two\nlines \"quoted\" \\ /"),
        (r"<b>&amp;</b> \u001b[31m", "<b>&amp;</b> \u{1b}[31m"),
        (r"above\n---\nbelow", "above\n---\nbelow"),
    ] {
        let lines = format!("begin\nline {event}\"{written}\"}}}}\ndone");
        assert_eq!(answer_of(&mut server, &lines), read);
    }
    // A byte that is no UTF-8 is replaced, and the rest stays.
    let bytes = event.replace('\\', r"\\");
    let lines = format!("begin\nbytes {bytes}\"a\\0377b\"}}}}\\n\ndone");
    assert_eq!(answer_of(&mut server, &lines), "a\u{fffd}b");
}

#[test]
fn the_answer_is_the_last_message_and_none_is_said_to_be_none() {
    let dir = Dir::new();
    let mut server = dir.server();
    assert_eq!(answer_of(&mut server, "begin\nsay first\nrun ls\nsay last\ndone"), "last");
    let text = server.ok("codex", &script("begin\nflood 2000\ndone"));
    assert!(text.len() < 10_000 && !text.contains("item.completed"), "{}", abridged(&text));
    let said = answer(&text).to_lowercase();
    assert!(said.contains("no ") || said.contains("without"), "{text}");
}

#[test]
fn the_verdict_is_the_terminal_event_and_else_the_exit_status() {
    let dir = Dir::new();
    let mut server = dir.server();
    for (lines, verdict, exit) in [
        ("begin\nsay x\ndone\nexit 0", "completed", 0),
        ("begin\nsay x\ndone\nexit 1", "completed", 1),
        ("begin\nsay x\nfail broken\nexit 0", "failed", 0),
        ("begin\nsay x\nexit 0", "completed", 0),
        ("begin\nsay x\nexit 3", "failed", 3),
        ("exit 3", "failed", 3),
        ("begin\nsay x\nkill-self KILL", "failed", -9),
        ("begin\nsay x\ndone\nkill-self KILL", "completed", -9),
        // An error event by itself ends nothing.
        (r#"line {"type":"error","message":"Reconnecting... 1/5"}"#, "completed", 0),
        ("begin\nsay x\nline {\"type\":\"error\",\"message\":\"m\"}\ndone", "completed", 0),
        // A turn after another: the last one counts.
        ("begin\nfail broken\nbegin\nsay x\ndone", "completed", 0),
        // The last line may want its end.
        (r#"bytes {"type":"turn.failed","error":{"message":"m"}}"#, "failed", 0),
        (r#"bytes {"type":"turn.failed","err"#, "completed", 0),
    ] {
        let (id, part) = server.run(lines);
        assert!(part.contains(&format!("({verdict} in ")), "{lines}: {part}");
        let record = dir.record(&id);
        assert_eq!(record.str_at("status"), verdict, "{lines}");
        assert_eq!(record.at("exit_code").as_i64(), Some(exit), "{lines}");
        let status = server.status(&id);
        let shown = format!("exit {exit})");
        assert!(verdict == "completed" || exit <= 0 || status.contains(&shown), "{status}");
    }
}

#[test]
fn what_codex_said_on_stderr_is_the_cause_only_if_it_said_nothing_else() {
    let dir = Dir::new();
    let mut server = dir.server();
    let refusal = "stderr Error: no rollout found for thread id 01a20206\nexit 1";
    let text = server.refused("codex", &script(refusal));
    assert!(text.contains("no rollout found for thread id"), "{text}");

    let noise = "stderr ERROR codex_core: 401 Unauthorized\nstderr Error: noise";
    let text = server.ok("codex", &script(&format!("{noise}\nbegin\nsay fine\ndone")));
    assert_eq!(answer(&text), "fine");

    let lines = format!("begin\n{noise}\nfail Quota exceeded.\nexit 1");
    let (id, part) = server.run(&lines);
    assert!(part.contains("Quota exceeded.") && part.contains("quota"), "{part}");
    assert!(!part.contains("authentication"), "{part}");
    let stderr = server.read(&format!("codex-swarm:///tasks/{id}/stderr"));
    assert!(stderr.contains("Error: noise"), "{stderr}");
}

#[test]
fn a_crash_is_told_with_its_signal_and_the_end_of_stderr() {
    let dir = Dir::new();
    let mut server = dir.server();
    let lines = "begin\nstderr first words\nstderr thread 'main' panicked\nkill-self ABRT";
    let text = server.refused("codex", &script(lines));
    assert!(text.contains("process_crash"), "{text}");
    assert!(text.contains("panicked"), "{text}");
    assert!(text.contains("SIGABRT") || text.contains("signal 6"), "{text}");
}

#[test]
fn a_figure_or_a_flag_in_the_prompt_is_no_cause() {
    let dir = Dir::new();
    let mut server = dir.server();
    let lines = "begin\n# pytest -m slow, 512 tokens, 429, rate limit\nsay 503 of 512\nexit 1";
    let text = server.refused("codex", &script(lines));
    for category in ["provider_5xx", "rate_limit", "provider_capacity"] {
        assert!(!text.contains(category), "{text}");
    }
    assert!(!text.contains("slow"), "{text}");
}

#[test]
fn a_huge_answer_is_cut_in_the_middle_and_the_whole_is_pointed_to() {
    let dir = Dir::new();
    let mut server = dir.server();
    for (size, unit) in [(48_100, "é"), (400_000, "y"), (20_000_000, "x")] {
        let lines = format!("begin\nbig {size} {unit}\ndone");
        let text = server.ok("codex", &script(&lines));
        let id = task_id(&text);
        let told = text.chars().count();
        assert!((40_000..50_000).contains(&told), "{told} characters of {size}");
        assert!(text.starts_with(&unit.repeat(1000)), "its beginning is there");
        let before = answer(&text);
        assert!(before.ends_with(&unit.repeat(1000)), "its end is there");
        assert!(text.contains(&format!("codex-swarm:///tasks/{id}/result")), "{size}");
        let word_is_file = |word: &str| {
            let path = Path::new(word.trim_matches(|c: char| ".,;:()[]`'\"".contains(c)));
            path.starts_with(dir.path("tasks")) && path.is_file()
        };
        assert!(text.split_whitespace().any(word_is_file), "no file is named for {size}");
        // The same cut where several tasks are told of.
        let waited = server.wait(&[&id]);
        assert!(waited.chars().count() < 50_000);
        if size < 1_000_000 {
            let whole = server.read(&format!("codex-swarm:///tasks/{id}/result"));
            assert!(whole == unit.repeat(size), "{} characters", whole.chars().count());
        }
    }
}

#[test]
fn an_answer_of_just_48000_characters_is_not_cut() {
    let dir = Dir::new();
    let mut server = dir.server();
    let text = server.ok("codex", &script("begin\nbig 48000 z\ndone"));
    assert_eq!(answer(&text).len(), 48_000);
}

#[test]
fn very_long_lines_and_very_many_events_are_all_read() {
    let dir = Dir::new();
    let mut server = dir.server();
    let output = r#"{"type":"item.completed","item":{"id":"item_1","type":"command_execution","command":"seq","exit_code":0,"status":"completed","aggregated_output":""#;
    let long = dir.write("long.jsonl", &format!("{output}{}\"}}}}\n", "1\\n".repeat(1_000_000)));
    let lines = format!("begin\nstart seq\nprint {}\nflood 20000\nsay read\ndone", long.display());
    let (id, part) = server.run(&lines);
    assert!(part.contains("read"), "{}", abridged(&part));
    let status = server.status(&id);
    assert_eq!(field(&status, "Tools called"), "20001", "{status}");
    assert!(status.len() < 4000, "{} bytes", status.len());
}

#[test]
fn a_codex_that_closes_its_output_runs_on_until_it_ends() {
    let dir = Dir::new();
    let mut server = dir.server();
    let id =
        server.launch("begin\nsay early\ndone\nclose-stdout\nmark closed\nwait-for go\nexit 0");
    dir.marked("closed");
    let text = server.ok("codex_wait", &format!(r#"{{"task_ids":["{id}"],"timeout":0}}"#));
    assert!(text.contains("STILL RUNNING"), "{text}");
    dir.open("go");
    assert!(server.wait(&[&id]).contains("(completed in "));
}
