//! `ps`: the table of tasks, once and kept up to date, in files and on screens of any size.

use crate::harm;
use crate::many::{sleeps, worked};
use crate::planted::*;
use crate::support::*;
use crate::terminal::{Screen, Style, Terminal, width_of};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::time::Instant;

/// A size on which all columns have room.
const WIDE: (usize, usize) = (50, 200);

/// The table that `ps` with these words prints where there is no terminal.
fn table(dir: &Dir, words: &[&str]) -> Table {
    let words: Vec<&str> = ["ps"].into_iter().chain(words.iter().copied()).collect();
    Table::read(&told(dir, &words).lines().collect::<Vec<_>>())
}

/// Plants a task of every kind: `0000000` and a letter or digit.
fn zoo(dir: &Dir, stand: &Stand) {
    let steps = [("a", true), ("b", true), ("c", false), ("d", false), ("e", false)];
    let quick = "/bin/bash -lc 'cargo test'";
    task("0000000a", "running")
        .prompt("Mend the parser\nand tell nobody")
        .begun(725)
        .line(&plan(&steps))
        .line(&changes("f", &["add /w/one", "update /w/two"]))
        .line(&begins("c", quick))
        .with(&stand.members())
        .put(dir);
    task("0000000b", "completed")
        .took(45)
        .line(&message("All is well."))
        .line(&turn_completed(900, 200, 50))
        .with(&worktree("codex-swarm/0000000b", [3, 120, 7]))
        .put(dir);
    task("0000000c", "failed")
        .line(r#"{"type":"turn.failed","error":{"message":"no such model"}}"#)
        .with(r#","exit_code":1"#)
        .put(dir);
    task("0000000d", "cancelled").put(dir);
    task("0000000e", "queued").begun(10).with(&stand.members()).put(dir);
    task("0000000f", "preparing").begun(20).with(&stand.members()).put(dir);
}

/// Fails unless each row fits the screen, and nothing went wrong on it.
fn fits(screen: &Screen) {
    assert_eq!((screen.wrapped, &screen.violations[..]), (0, &[][..]), "{:?}", screen.rows());
    for row in screen.printed() {
        assert!(width_of(&row) <= screen.cols, "{row}");
    }
}

#[test]
fn a_row_tells_of_a_task_in_columns() {
    let dir = Dir::new();
    let stand = Stand::new();
    zoo(&dir, &stand);
    let table = table(&dir, &[]);
    let names = ["ID", "STATUS", "TIME", "PLAN", "CHANGES", "TOKENS", "BRANCH", "TASK", "NOW"];
    assert_eq!(table.names(), names);
    let cell = |id: &str, name: &str| table.cell(id, name);
    for (id, status) in [
        ("0000000a", "running"),
        ("0000000b", "completed"),
        ("0000000c", "failed"),
        ("0000000d", "cancelled"),
        ("0000000e", "queued"),
        ("0000000f", "preparing"),
    ] {
        assert_eq!(cell(id, "ID"), id);
        assert_eq!(cell(id, "STATUS"), status);
    }
    assert!(cell("0000000a", "TIME").starts_with("12m "), "{:?}", table.rows);
    assert_eq!(cell("0000000b", "TIME"), "45s");
    let plan = cell("0000000a", "PLAN");
    assert!(plan.ends_with("2/5") && plan.chars().count() > 4, "{plan}");
    assert_eq!(cell("0000000a", "CHANGES"), "2 files");
    assert_eq!(cell("0000000b", "CHANGES"), "3 files +120 -7");
    assert_eq!(cell("0000000b", "TOKENS"), "950");
    assert_eq!(cell("0000000b", "BRANCH"), "codex-swarm/0000000b");
    assert_eq!(cell("0000000a", "TASK"), "Mend the parser");
    assert!(cell("0000000a", "NOW").contains("cargo test"), "{:?}", table.rows);
    assert_eq!(cell("0000000b", "NOW"), "All is well.");
    assert!(cell("0000000c", "NOW").contains("no such model"), "{:?}", table.rows);
}

#[test]
fn what_a_launcher_has_not_begun_yet_is_not_said_to_think() {
    let dir = Dir::new();
    let stand = Stand::new();
    let members = stand.members() + r#","launcher":"gpu","launcher_words":["srun"]"#;
    task("0000000a", "running").with(&members).put(&dir);
    task("0000000b", "running").with(&members).line(r#"{"type":"turn.started"}"#).put(&dir);
    let table = table(&dir, &[]);
    assert_eq!(table.cell("0000000a", "NOW"), "waits for its launcher");
    assert_eq!(table.cell("0000000b", "NOW"), "thinks");
}

#[test]
fn columns_without_anything_are_left_out_and_two_blanks_part_the_others() {
    let dir = Dir::new();
    task("0000000a", "completed").line(&message("x")).put(&dir);
    let text = told(&dir, &["ps"]);
    let words: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|word| !word.is_empty()).collect())
        .collect();
    assert_eq!(words[0], ["ID", "STATUS", "TIME", "TASK", "NOW"]);
    assert_eq!(words[1..], [["0000000a", "completed", "5s", "task 0000000a", "x"]]);
}

#[test]
fn times_and_tokens_are_short() {
    let dir = Dir::new();
    for (id, took, [input, output], time, tokens) in [
        ("0000000a", 0, [0, 7], "0s", "7"),
        ("0000000b", 59, [900, 99], "59s", "999"),
        ("0000000c", 725, [11_000, 1_000], "12m 05s", "12k"),
        ("0000000d", 3_600, [340_000, 60_000], "1h 00m 00s", "400k"),
        ("0000000e", 3_725, [3_300_000, 100_000], "1h 02m 05s", "3.4M"),
    ] {
        task(id, "completed")
            .begun(took + 9)
            .took(took)
            .line(&turn_completed(input, 0, output))
            .put(&dir);
        let table = table(&dir, &[]);
        assert_eq!(table.cell(id, "TIME"), time);
        assert_eq!(table.cell(id, "TOKENS"), tokens);
    }
    // those of the turn, where Codex counts for the whole thread
    task("0000000f", "completed")
        .line(&turn_completed(10_900, 0, 550))
        .with(r#","usage_before":{"input_tokens":10000,"cached_input_tokens":0,"output_tokens":500,"reasoning_output_tokens":0}"#)
        .put(&dir);
    assert_eq!(table(&dir, &[]).cell("0000000f", "TOKENS"), "950");
}

#[test]
fn what_goes_on_comes_first_oldest_first_and_then_what_ended_latest_first() {
    let dir = Dir::new();
    let stand = Stand::new();
    for (id, status, begun) in [
        ("0000000a", "running", 50),
        ("0000000b", "queued", 300),
        ("0000000c", "running", 100),
        ("0000000d", "preparing", 200),
    ] {
        task(id, status).begun(begun).with(&stand.members()).put(&dir);
    }
    for (id, status, begun, took) in [
        ("0000001a", "failed", 400, 10),
        ("0000001b", "completed", 1000, 900),
        ("0000001c", "cancelled", 500, 1),
        ("0000001d", "completed", 20, 10),
    ] {
        task(id, status).begun(begun).took(took).put(&dir);
    }
    let expected = [
        "0000000b", "0000000d", "0000000c", "0000000a", "0000001d", "0000001b", "0000001a",
        "0000001c",
    ];
    assert_eq!(table(&dir, &[]).ids(), expected);
    for word in ["-q", "--quiet"] {
        assert_eq!(told(&dir, &["ps", word]).lines().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn what_ended_more_than_an_hour_ago_is_shown_only_when_all_are_asked_for() {
    let dir = Dir::new();
    let stand = Stand::new();
    let old = |id: &str| task(id, "completed").begun(3700).took(40).put(&dir);
    old("0000000a");
    let text = told(&dir, &["ps"]);
    assert_eq!(text, "no task runs or ended in the last hour; --all shows 1 older\n");
    old("0000000b");
    let text = told(&dir, &["ps"]);
    assert_eq!(text, "no task runs or ended in the last hour; --all shows 2 older\n");
    assert_eq!(told(&dir, &["ps", "-q"]), "");
    assert_eq!(read_json(&told(&dir, &["ps", "--json"])).to_json(), r#"{"tasks":[]}"#);
    task("0000000c", "completed").begun(3700).took(200).put(&dir);
    task("0000000d", "running").begun(9000).with(&stand.members()).put(&dir);
    assert_eq!(table(&dir, &[]).ids(), ["0000000d", "0000000c"]);
    for all in ["--all", "-a"] {
        let ids = table(&dir, &[all]).ids().join(" ");
        assert!(ids.starts_with("0000000d 0000000c 0000000"), "{ids}");
        assert_eq!(ids.split(' ').count(), 4);
        assert_eq!(told(&dir, &["ps", "-q", all]).lines().count(), 4);
    }
    let json = read_json(&told(&dir, &["ps", "--json", "--all"]));
    assert_eq!(json.at("tasks").as_array().unwrap().len(), 4);
}

#[test]
fn where_there_are_no_tasks_that_is_said() {
    let dir = Dir::new();
    let none = format!("there are no tasks in {}\n", dir.path("tasks").display());
    assert_eq!(told(&dir, &["ps"]), none);
    assert_eq!(told(&dir, &["ps", "--all"]), none);
    assert!(!dir.path("tasks").exists(), "a look made the directory");
    assert_eq!(told(&dir, &["ps", "--quiet"]), "");
    assert_eq!(read_json(&told(&dir, &["ps", "--json"])).to_json(), r#"{"tasks":[]}"#);
    assert_eq!(seen(&dir, WIDE, &["ps"]).printed().concat(), none.trim_end());
}

#[test]
fn a_directory_that_is_not_ours_alone_and_wrong_words_are_errors() {
    let dir = Dir::new();
    task("0000000a", "completed").put(&dir);
    for (words, named) in [
        (&["ps", "--json", "--watch"][..], "--json"),
        (&["ps", "0000000a"], "0000000a"),
        (&["ps", "--frobnicate"], "--frobnicate"),
    ] {
        let (code, error) = failed(&dir, words);
        assert!(code == Some(2) && error.contains(named), "{code:?} {error}");
    }
    let mode = |bits: u32| {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(dir.path("tasks"), fs::Permissions::from_mode(bits)).unwrap();
    };
    mode(0o777);
    for words in [&["ps"][..], &["ps", "--json"], &["ps", "-q"]] {
        let (code, error) = failed(&dir, words);
        let directory = dir.path("tasks").display().to_string();
        assert!(code == Some(1) && error.contains(&directory), "{code:?} {error}");
    }
    mode(0o700);
}

#[test]
fn json_is_what_the_tool_tells() {
    let dir = Dir::new();
    let mut server = dir.server_with(&["--structured"]);
    let stand = Stand::new();
    zoo(&dir, &stand);
    let ended = ["0000000b", "0000000c", "0000000d"];
    let json = read_json(&told(&dir, &["ps", "--json"]));
    assert_eq!(keys(&json), ["tasks"]);
    let tasks = json.at("tasks").as_array().unwrap();
    let listed: Vec<&str> = tasks.iter().map(|task| task.str_at("taskId")).collect();
    assert_eq!(listed, told(&dir, &["ps", "-q"]).lines().collect::<Vec<_>>());
    let result = server.call("codex_status", &ids(&ended));
    for told in result.at("structuredContent.tasks").as_array().unwrap() {
        let id = told.str_at("taskId");
        let ours = tasks.iter().find(|task| task.str_at("taskId") == id).unwrap();
        assert_eq!(ours.to_json(), told.to_json());
    }
}

#[test]
fn a_task_whose_supervisor_is_gone_has_failed_and_one_elsewhere_has_not() {
    let dir = Dir::new();
    let gone = Stand::new().members();
    task("0000000a", "running").with(&gone).put(&dir);
    task("0000000b", "running").with(ELSEWHERE).put(&dir);
    let table = table(&dir, &[]);
    assert_eq!(table.cell("0000000a", "STATUS"), "failed");
    assert_eq!(table.cell("0000000b", "STATUS"), "running");
}

#[test]
fn where_there_is_no_terminal_nothing_is_cut() {
    let dir = Dir::new();
    let prompt = "long ".repeat(100) + "end";
    task("0000000a", "completed").prompt(&prompt).line(&message("漢字")).put(&dir);
    let table = table(&dir, &[]);
    assert_eq!(table.cell("0000000a", "TASK"), prompt);
    assert_eq!(table.cell("0000000a", "NOW"), "漢字");
    let text = told(&dir, &["ps"]);
    assert!(!text.contains('…') && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn on_a_terminal_no_line_is_wider_than_that() {
    let dir = Dir::new();
    let stand = Stand::new();
    zoo(&dir, &stand);
    let long = "a text that goes on and on, ".repeat(20);
    task("0000000a", "running")
        .prompt(&long)
        .line(&plan(&[("x", true), ("y", false)]))
        .line(&message(&long))
        .line(&turn_completed(1000, 0, 10))
        .with(&stand.members())
        .with(&worktree("codex-swarm/0000000a", [1000, 100_000, 100_000]))
        .put(&dir);
    for cols in [40, 80, 200] {
        let screen = seen(&dir, (50, cols), &["ps"]);
        fits(&screen);
        let table = Table::read(&screen.printed());
        let names = table.names();
        assert_eq!(
            (&names[..3], names.last().copied()),
            (&["ID", "STATUS", "TIME"][..], Some("NOW"))
        );
        assert_eq!(table.ids().len(), 6, "{cols}: {:?}", screen.printed());
        let row = &table.rows.iter().find(|row| row.starts_with("0000000a")).unwrap();
        assert!(row.ends_with('…') && width_of(row) == cols, "{cols}: {row}");
        assert!(table.cell("0000000a", "NOW").chars().count() > 3, "{cols}: {row}");
        if cols == 200 {
            assert_eq!(names.len(), 9, "{names:?}");
        }
    }
}

#[test]
fn wide_characters_count_two_and_combining_ones_none() {
    let dir = Dir::new();
    let (wide, marked) = ("漢字かな한글ＡＢ".repeat(30), "e\u{301}o\u{308}".repeat(200));
    let few = "e\u{301}".repeat(30);
    task("0000000a", "completed").prompt(&wide).line(&message(&wide)).put(&dir);
    task("0000000b", "completed").prompt(&marked).line(&message(&marked)).put(&dir);
    task("0000000c", "completed").prompt("😀😀👩\u{200d}🚀").line(&message("漢")).put(&dir);
    task("0000000d", "completed").prompt(&few).line(&message(&"漢".repeat(15))).put(&dir);
    for cols in [40, 41, 80, 81, 120, 200] {
        let screen = seen(&dir, (50, cols), &["ps"]);
        fits(&screen);
        for id in ["0000000a", "0000000b"] {
            let row = screen.printed().into_iter().find(|row| row.starts_with(id)).unwrap();
            assert!(row.ends_with('…'), "{cols}: {row}");
            assert!(id == "0000000b" || width_of(&row) + 1 >= cols, "{cols}: {row}");
        }
    }
    // what has room is whole
    let alone = Dir::new();
    task("0000000d", "completed").prompt(&few).line(&message(&"漢".repeat(15))).put(&alone);
    let table = Table::read(&seen(&alone, (9, 120), &["ps"]).printed());
    assert_eq!(table.cell("0000000d", "TASK"), few);
    assert_eq!(table.cell("0000000d", "NOW"), "漢".repeat(15));
}

#[test]
fn the_smallest_terminals_hold_what_they_can() {
    let dir = Dir::new();
    let stand = Stand::new();
    zoo(&dir, &stand);
    for size in [(1, 1), (2, 5), (3, 9), (5, 20), (24, 31)] {
        let screen = seen(&dir, size, &["ps"]);
        assert_eq!(screen.wrapped, 0, "{size:?}: {:?}", screen.printed());
    }
}

#[test]
fn a_terminal_that_does_not_say_how_large_it_is_is_served_as_well() {
    let dir = Dir::new();
    task("0000000a", "completed").line(&message("here")).put(&dir);
    let table = Table::read(&seen(&dir, (0, 0), &["ps"]).printed());
    assert_eq!(table.cell("0000000a", "NOW"), "here");
}

#[test]
fn nothing_that_could_move_a_terminal_is_shown() {
    let dir = Dir::new();
    let stand = Stand::new();
    let hostile = |id: &str, status: &str| {
        task(id, status)
            .prompt(HOSTILE)
            .line(&plan(&[(HOSTILE, true)]))
            .line(&changes("f", &[&format!("add {HOSTILE}")]))
            .with(&worktree(HOSTILE, [1, 2, 3]))
            .with(&format!(r#","model":{0},"failure":{0},"note":{0}"#, quoted(HOSTILE)))
    };
    let running = |id: &str, event: &str| hostile(id, "running").line(event).with(&stand.members());
    running("0000000a", &begins("c", HOSTILE)).put(&dir);
    running("0000000b", &message(HOSTILE)).put(&dir);
    running("0000000c", &reasoning(HOSTILE)).put(&dir);
    hostile("0000000d", "completed").line(&message(HOSTILE)).put(&dir);
    hostile("0000000e", "failed").put(&dir);
    let error = format!(r#"{{"type":"turn.failed","error":{{"message":{}}}}}"#, quoted(HOSTILE));
    hostile("0000000f", "failed").line(&error).put(&dir);
    hostile("0000001a", "cancelled").put(&dir);
    let text = told(&dir, &["ps"]);
    tame(&text, &[]);
    assert_eq!(text.lines().count(), 8, "{text}");
    assert!(text.lines().skip(1).all(|row| row.contains('q') && row.contains('z')), "{text}");
    for cols in [40, 80, 200] {
        let screen = seen(&dir, (50, cols), &["ps"]);
        fits(&screen);
        assert_eq!(screen.printed().len(), 8);
    }
    let mut terminal = Terminal::open(&dir, (20, 100), &["ps", "--watch"]);
    terminal.until_shown("0000001a");
    terminal.keys("q");
    assert_eq!(terminal.ended(), Some(0));
    fits(&terminal.screen);
}

#[test]
fn tabs_and_line_ends_do_not_break_a_row() {
    let dir = Dir::new();
    let text = "one\ttwo\nthree\r\nfour\u{b}five";
    task("0000000a", "completed")
        .prompt(text)
        .line(&message(text))
        .with(&worktree(text, [1, 2, 3]))
        .put(&dir);
    let failure = format!(r#","failure":{}"#, quoted(text));
    task("0000000b", "failed").prompt("\tb\t").with(&failure).put(&dir);
    let printed = told(&dir, &["ps"]);
    tame(&printed, &[]);
    assert_eq!(printed.lines().count(), 3, "{printed}");
    for cols in [40, 80, 200] {
        let screen = seen(&dir, (20, cols), &["ps"]);
        fits(&screen);
        assert_eq!(screen.printed().len(), 3);
    }
}

#[test]
fn nothing_that_could_move_a_terminal_is_in_the_json() {
    let dir = Dir::new();
    task("0000000a", "completed")
        .line(&message(HOSTILE))
        .with(&format!(r#","model":{}"#, quoted(HOSTILE)))
        .put(&dir);
    let text = told(&dir, &["ps", "--json"]);
    tame(&text, &[]);
    assert_eq!(read_json(&text).str_at("tasks.0.status"), "completed");
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let dir = Dir::new();
    let stand = Stand::new();
    zoo(&dir, &stand);
    for (name, value, coloured) in [
        ("NO_COLOR", "1", false),
        ("NO_COLOR", "0", false),
        ("TERM", "dumb", false),
        ("NO_COLOR", "", true),
        ("TERM", "xterm", true),
    ] {
        let mut command = dir.command();
        command.arg("ps").env("TERM", "xterm").env(name, value);
        let mut terminal = Terminal::run(&dir, WIDE, &command);
        assert_eq!(terminal.ended(), Some(0));
        assert_eq!(terminal.screen.is_coloured(), coloured, "{name}={value}");
        fits(&terminal.screen);
        // without colours it is the text and nothing else
        assert!(coloured || terminal.screen.sequences.is_empty(), "{name}={value}");
    }
    let mut command = dir.command();
    command.args(["ps", "--watch"]).env("TERM", "xterm").env("NO_COLOR", "1");
    let mut terminal = Terminal::run(&dir, WIDE, &command);
    terminal.until_shown("0000000f");
    terminal.keys("q");
    assert_eq!(terminal.ended(), Some(0));
    assert!(terminal.screen.cells.iter().flatten().all(|cell| cell.style == Style::default()));
    assert!(!terminal.screen.is_coloured());
}

#[test]
fn records_that_are_none_spoil_nothing() {
    let dir = Dir::new();
    task("0000000a", "completed").line(&message("unharmed")).put(&dir);
    let huge = "9".repeat(400);
    let record = |id: &str, members: &str| {
        format!(r#"{{"task_id":"{id}","status":"completed","started_at":1.0{members}}}"#)
    };
    for (id, text) in [
        ("00000001", "{".to_owned()),
        ("00000002", String::new()),
        ("00000003", "[".repeat(100_000)),
        ("00000004", "null".to_owned()),
        ("00000005", record("00000006", "")),
        ("00000006", record("00000006", "").replace("completed", "exploded")),
        (
            "00000007",
            record("00000007", r#","completed_at":1e308,"asked_at":-1e308,"exit_code":1e30"#),
        ),
        ("00000008", record("00000008", &format!(r#","completed_at":{huge},"asked_at":{huge}"#))),
        ("00000009", record("00000009", r#","started_at":1e300,"completed_at":5"#)),
    ] {
        plant(&dir, id, &text);
    }
    file(&dir, "0000000b.meta", b"{\"task_id\":\"\xff\xfe\"}");
    fs::create_dir(dir.path("tasks/0000000c.meta")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", dir.path("tasks/0000000d.meta")).unwrap();
    for fifo in ["0000000e.meta", "00000011.stdout", "00000011.prompt"] {
        let path = dir.path("tasks").join(fifo);
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    }
    let most = u64::MAX;
    task("00000010", "completed")
        .line(&turn_completed(most, most, most))
        .with(&worktree("b", [most, most, most]))
        .put(&dir);
    plant(&dir, "00000011", &record("00000011", "").replace("1.0", "4000000000.0"));
    for pid in ["-1", "0", "1", "99999999999999999999"] {
        let id = format!("000001{:02}", pid.len());
        task(&id, "running")
            .with(&format!(r#","supervisor_pid":{pid},"supervisor_start_time":7"#))
            .put(&dir);
    }
    for words in [&["--all"][..], &[]] {
        let table = table(&dir, words);
        assert_eq!(table.cell("0000000a", "STATUS"), "completed");
        assert_eq!(table.cell("0000000a", "NOW"), "unharmed");
        assert_eq!(table.cell("0000000a", "TIME"), "5s");
    }
    let json = read_json(&told(&dir, &["ps", "--json", "--all"]));
    let tasks = json.at("tasks").as_array().unwrap();
    assert!(tasks.iter().any(|task| task.str_at("taskId") == "0000000a"));
    for cols in [40, 80, 200] {
        fits(&seen(&dir, (50, cols), &["ps", "--all"]));
    }
}

/// Plants that many tasks that have ended.
fn plant_many(dir: &Dir, count: u32) {
    for n in 0..count {
        let words = format!("these are the last words of number {n}");
        task(&format!("{n:08x}"), "completed")
            .begun(5000 + u64::from(n))
            .line(&message(&words))
            .put(dir);
    }
}

#[test]
fn thousands_of_tasks_are_shown_and_a_reader_may_have_enough() {
    let dir = Dir::new();
    plant_many(&dir, 2000);
    let text = told(&dir, &["ps", "--all"]);
    assert_eq!(text.lines().count(), 2001);
    assert!(text.lines().nth(1).unwrap().starts_with("00000000"), "the latest is first");
    for words in [&["ps", "--all"][..], &["ps", "--all", "--json"], &["ps", "-a", "-q"]] {
        let mut command = dir.command();
        let mut child =
            command.args(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::with_capacity(16, child.stdout.take().unwrap());
        let mut line = Vec::new();
        stdout.read_until(b' ', &mut line).unwrap();
        drop(stdout);
        let mut errors = String::new();
        child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        assert_eq!((child.wait().unwrap().code(), errors.as_str()), (Some(0), ""), "{words:?}");
    }
}

/// The rows of the table on a screen that is watched, and the line that says how many there are more.
fn watched(screen: &Screen) -> Option<(Table, Option<usize>)> {
    let rows = screen.rows();
    let has_head = rows.iter().any(|row| row.starts_with("ID "));
    if !screen.is_alternate() || !has_head {
        return None;
    }
    let mut table = Table::read(&rows);
    let more = table.rows.last().and_then(|row| row.strip_prefix("… and ")?.strip_suffix(" more"));
    let more = more.map(|count| count.parse().unwrap());
    if more.is_some() {
        table.rows.pop();
    }
    Some((table, more))
}

/// Waits until all of a frame has been drawn after this moment: the time of a task that runs moves on
/// from one to the next.
fn next_frame(terminal: &mut Terminal, running: &str) {
    let time = |screen: &Screen| {
        let (table, _) = watched(screen)?;
        table.ids().contains(&running).then(|| table.cell(running, "TIME"))
    };
    for _ in 0..2 {
        let before = terminal.until("a time", time);
        terminal.until("the next frame", |screen| time(screen).filter(|now| *now != before));
    }
}

/// Ends a watch that is to end well, and checks what is left behind; the last table.
fn leave(mut terminal: Terminal, how: impl FnOnce(&mut Terminal)) -> Table {
    how(&mut terminal);
    let exit = terminal.ended();
    let screen = &terminal.screen;
    assert_eq!(exit, Some(0), "{:?}", screen.printed());
    assert!(!screen.is_alternate() && screen.cursor_shown);
    assert_eq!(terminal.modes_after(), terminal.modes_before());
    fits(screen);
    Table::read(&screen.printed())
}

#[test]
fn a_watch_draws_on_the_other_screen_and_leaves_the_last_table_on_this_one() {
    let dir = Dir::new();
    let stand = Stand::new();
    zoo(&dir, &stand);
    task("0000001a", "running").with(&stand.members()).put(&dir);
    for word in ["--watch", "-w"] {
        let mut terminal = Terminal::open(&dir, (24, 80), &["ps", word]);
        next_frame(&mut terminal, "0000000a");
        let (table, more) = watched(&terminal.screen).unwrap();
        assert_eq!((table.ids().len(), more), (7, None));
        let first = terminal.screen.rows()[0].clone();
        let mut numbers =
            first.split(|c: char| !c.is_ascii_digit()).filter(|word| !word.is_empty());
        // two run and one is prepared, one waits, three have ended
        let counts: Vec<&str> = numbers.by_ref().collect();
        assert!(counts.windows(3).any(|n| n == ["2", "1", "3"] || n == ["3", "1", "3"]), "{first}");
        assert!(!first.starts_with("ID"), "{first}");
        let expected = table.ids().join(" ");
        let last = leave(terminal, |terminal| terminal.keys("q"));
        assert_eq!(last.ids().join(" "), expected);
    }
}

#[test]
fn a_watch_ends_in_every_way_with_the_terminal_in_order() {
    let dir = Dir::new();
    let stand = Stand::new();
    zoo(&dir, &stand);
    for how in ["q", "\u{3}", "\u{1c}", "TERM", "HUP", "INT", "QUIT"] {
        let mut terminal = Terminal::open(&dir, (24, 80), &["ps", "--watch"]);
        next_frame(&mut terminal, "0000000a");
        let last = leave(terminal, |terminal| match how {
            "q" | "\u{3}" | "\u{1c}" => terminal.keys(how),
            name => terminal.signal(name),
        });
        assert_eq!(last.ids().len(), 6, "{how:?}");
    }
}

#[test]
fn what_is_typed_during_a_watch_is_not_seen_and_does_nothing() {
    let dir = Dir::new();
    let stand = Stand::new();
    zoo(&dir, &stand);
    let mut terminal = Terminal::open(&dir, (24, 80), &["ps", "--watch"]);
    next_frame(&mut terminal, "0000000a");
    terminal.keys("Ω\u{1b}[A\r\n\u{1b}OPΩ\t ");
    next_frame(&mut terminal, "0000000a");
    let raw = terminal.raw.len();
    assert!(raw > 0);
    terminal.keys("Ωq");
    assert_eq!(terminal.ended(), Some(0));
    assert!(!String::from_utf8_lossy(&terminal.raw).contains('Ω'));
    fits(&terminal.screen);
}

#[test]
fn a_q_is_heard_behind_much_else_that_is_typed_at_once() {
    let dir = Dir::new();
    let stand = Stand::new();
    zoo(&dir, &stand);
    let mut terminal = Terminal::open(&dir, (24, 80), &["ps", "--watch"]);
    next_frame(&mut terminal, "0000000a");
    terminal.keys(&("x".repeat(300) + "q"));
    leave(terminal, |_| ());
}

#[test]
fn a_watch_can_be_stopped_and_goes_on() {
    let dir = Dir::new();
    let stand = Stand::new();
    zoo(&dir, &stand);
    let mut terminal = Terminal::open(&dir, (24, 80), &["ps", "--watch"]);
    for size in [(24, 80), (12, 50)] {
        next_frame(&mut terminal, "0000000a");
        let modes = terminal.stop();
        assert_eq!(modes, terminal.modes_before());
        assert!(!terminal.screen.is_alternate() && terminal.screen.cursor_shown);
        assert!(harm::lives(terminal.pid()));
        // the terminal may have another size when it goes on
        terminal.resize(size.0, size.1);
        fits(&terminal.screen);
        terminal.go_on();
        next_frame(&mut terminal, "0000000a");
        assert!(!terminal.screen.cursor_shown);
        fits(&terminal.screen);
    }
    leave(terminal, |terminal| terminal.keys("q"));
}

#[test]
fn a_watch_that_nobody_could_let_go_on_is_not_stopped() {
    let dir = Dir::new();
    let stand = Stand::new();
    zoo(&dir, &stand);
    // the first process of a terminal of its own has no shell above it
    let mut command = Command::new("script");
    let watch = dir.command();
    let line = format!("exec '{}' ps --watch", watch.get_program().to_str().unwrap());
    command.args(["-qfec", &line, "/dev/null"]).current_dir(watch.get_current_dir().unwrap());
    command.envs(watch.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut terminal = Terminal::run(&dir, (24, 80), command.env("TERM", "xterm"));
    next_frame(&mut terminal, "0000000a");
    terminal.keys("\u{1a}");
    next_frame(&mut terminal, "0000000a");
    terminal.keys("q");
    assert_eq!(terminal.ended(), Some(0));
}

#[test]
fn a_watch_fits_the_terminal_whatever_becomes_of_that() {
    let dir = Dir::new();
    let stand = Stand::new();
    for n in 0..20_u64 {
        task(&format!("{n:08x}"), "running")
            .prompt(&"what is to be done ".repeat(20))
            .line(&message(&"漢字 and what is done ".repeat(20)))
            .begun(500 - n)
            .with(&stand.members())
            .put(&dir);
    }
    let mut terminal = Terminal::open(&dir, (24, 80), &["ps", "--watch"]);
    next_frame(&mut terminal, "00000000");
    fits(&terminal.screen);
    for (rows, cols) in [(24, 40), (24, 200), (10, 200), (40, 80), (5, 33), (30, 120)] {
        terminal.resize(rows, cols);
        terminal.until("a frame of the new size", |screen| {
            let (table, more) = watched(screen)?;
            let whole =
                table.rows.iter().all(|row| row.ends_with('…') && width_of(row) + 1 >= cols);
            let shown = table.rows.len();
            let full = shown == 20 || more == Some(20 - shown) && !screen.rows().last()?.is_empty();
            (whole && full && shown > 0).then_some(())
        });
        // what was drawn for the old size may have come later than the new size
        terminal.screen.wrapped = 0;
        terminal.screen.violations.clear();
        next_frame(&mut terminal, "00000000");
        fits(&terminal.screen);
    }
    leave(terminal, |terminal| terminal.keys("q"));
}

#[test]
fn what_does_not_fit_the_height_is_counted() {
    let dir = Dir::new();
    let stand = Stand::new();
    for n in 0..300_u64 {
        task(&format!("{n:08x}"), "running").begun(999 - n).with(&stand.members()).put(&dir);
    }
    for rows in [10, 4, 24] {
        let mut terminal = Terminal::open(&dir, (rows, 80), &["ps", "-w"]);
        next_frame(&mut terminal, "00000000");
        let (table, more) = watched(&terminal.screen).unwrap();
        assert_eq!(table.ids().len() + more.unwrap(), 300);
        assert!(terminal.screen.rows().last().unwrap().starts_with("… and "));
        let expected: Vec<String> = (0..table.ids().len()).map(|n| format!("{n:08x}")).collect();
        assert_eq!(table.ids(), expected);
        fits(&terminal.screen);
        terminal.keys("q");
        assert_eq!(terminal.ended(), Some(0));
        fits(&terminal.screen);
    }
}

#[test]
fn on_two_rows_all_tasks_are_counted_as_more() {
    let dir = Dir::new();
    let stand = Stand::new();
    zoo(&dir, &stand);
    let mut terminal = Terminal::open(&dir, (2, 80), &["ps", "-w"]);
    terminal.until_shown("more");
    assert_eq!(terminal.screen.rows()[1], "… and 6 more");
    leave(terminal, |terminal| terminal.keys("q"));
}

#[test]
fn the_smallest_terminals_can_be_watched() {
    let dir = Dir::new();
    let stand = Stand::new();
    zoo(&dir, &stand);
    for size in [(1, 1), (1, 80), (2, 8), (3, 3), (4, 20)] {
        let mut terminal = Terminal::open(&dir, size, &["ps", "--watch"]);
        let drawn = |screen: &Screen| {
            let any = screen.rows().iter().any(|row| !row.is_empty());
            (screen.is_alternate() && any).then_some(())
        };
        terminal.until("something", drawn);
        terminal.keys("q");
        assert_eq!(terminal.ended(), Some(0), "{size:?}");
        assert_eq!(terminal.screen.wrapped, 0, "{size:?}: {:?}", terminal.screen.printed());
        assert_eq!(terminal.screen.violations, [""; 0], "{size:?}");
    }
}

#[test]
fn a_watch_shows_tasks_as_they_come_and_end() {
    let dir = Dir::new();
    let mut terminal = Terminal::open(&dir, (24, 120), &["ps", "--watch"]);
    terminal.until_shown("there are no tasks");
    assert!(terminal.screen.is_alternate());
    let mut server = dir.server();
    let id = server.launch("begin\nrun ls\nwait-for go\nsay those were the days\ndone");
    let cell = |id: &str, name: &'static str| {
        let id = id.to_owned();
        move |screen: &Screen| {
            let (table, _) = watched(screen)?;
            table.ids().contains(&id.as_str()).then(|| table.cell(&id, name))
        }
    };
    let status = cell(&id, "STATUS");
    terminal.until("running", |screen| status(screen).filter(|status| status == "running"));
    let second = server.launch("begin\nwait-for never");
    let other = cell(&second, "STATUS");
    terminal.until("a second one", |screen| other(screen).filter(|status| status == "running"));
    dir.open("go");
    terminal.until("its end", |screen| status(screen).filter(|status| status == "completed"));
    let now = cell(&id, "NOW");
    terminal
        .until("its last words", |screen| now(screen).filter(|now| now == "those were the days"));
    // it is below the one that still runs, and without a server all goes on
    server.crash();
    assert_eq!(watched(&terminal.screen).unwrap().0.ids(), [second.as_str(), &id]);
    harm::kill_supervisor(&dir, &second);
    terminal.until("its end", |screen| other(screen).filter(|status| status == "failed"));
    leave(terminal, |terminal| terminal.keys("q"));
}

#[test]
fn a_watch_needs_a_terminal_to_draw_on() {
    let dir = Dir::new();
    task("0000000a", "completed").put(&dir);
    for word in ["--watch", "-w"] {
        let (code, error) = failed(&dir, &["ps", word]);
        assert_eq!((code, error.as_str()), (Some(1), "ps --watch needs a terminal"));
    }
}

/// A watch that a shell starts with this behind it.
fn watch_with(dir: &Dir, redirection: &str) -> Terminal {
    let inner = dir.command();
    let mut command = Command::new("sh");
    let line = format!("exec \"$0\" ps --watch {redirection}");
    command.args(["-c", &line]).arg(inner.get_program()).current_dir(dir.path("work"));
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("TERM", "xterm");
    Terminal::run(dir, (24, 80), &command)
}

#[test]
fn a_watch_with_nothing_to_read_goes_on_and_rests() {
    let dir = Dir::new();
    let stand = Stand::new();
    zoo(&dir, &stand);
    for redirection in ["< /dev/null", "<&-"] {
        let mut terminal = watch_with(&dir, redirection);
        let pid = terminal.pid();
        next_frame(&mut terminal, "0000000a");
        let (begin, before) = (Instant::now(), worked(pid));
        next_frame(&mut terminal, "0000000a");
        assert!(
            worked(pid).saturating_sub(before) * 2 < begin.elapsed(),
            "{redirection}: it is busy"
        );
        until("a rest", || sleeps(pid).then_some(()));
        leave(terminal, |terminal| terminal.signal("TERM"));
    }
}

#[test]
fn a_watch_ends_with_its_terminal() {
    let dir = Dir::new();
    let stand = Stand::new();
    zoo(&dir, &stand);
    let mut terminal = Terminal::open(&dir, (24, 80), &["ps", "--watch"]);
    next_frame(&mut terminal, "0000000a");
    let pid = terminal.pid();
    terminal.close();
    until("its end", || (!harm::lives(pid)).then_some(()));
}
