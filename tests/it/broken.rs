//! Streams that are broken: cut anywhere, full of rubbish, without end or with two of them.

use crate::support::*;
use std::fs;
use std::io::Write as _;
use std::time::{Duration, SystemTime};

/// The events of a short turn, a line each.
const TURN: [&str; 4] = [
    r#"{"type":"thread.started","thread_id":"01a20000-0000-7000-8000-00000000abcd"}"#,
    r#"{"type":"turn.started"}"#,
    r#"{"type":"item.completed","item":{"id":"item_1","type":"agent_message","text":"the \u00e4nswer"}}"#,
    r#"{"type":"turn.completed","usage":{"input_tokens":3,"cached_input_tokens":2,"output_tokens":1}}"#,
];

/// What the message of [`TURN`] says.
const ANSWER: &str = "the änswer";

/// All of it.
fn turn() -> String {
    TURN.join("\n") + "\n"
}

/// Runs tasks whose codex prints these files and ends with these exit statuses, all at once: their
/// ids and sections.
fn print_all(dir: &Dir, streams: &[(Vec<u8>, u32)]) -> Vec<(String, String)> {
    let mut server = dir.server();
    let started = streams.iter().enumerate().map(|(number, (stream, exit))| {
        let file = dir.path(&format!("stream{number}"));
        fs::write(&file, stream).unwrap();
        server.launch(&format!("print {}\nexit {exit}", file.display()))
    });
    let tasks: Vec<String> = started.collect();
    let names: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let text = server.wait(&names);
    tasks.into_iter().map(|id| (id.clone(), section(&text, &id).to_owned())).collect()
}

#[test]
fn a_stream_that_comes_in_pieces_is_the_same_stream() {
    let dir = Dir::new();
    let mut server = dir.server();
    let turn = turn();
    let escaped = |piece: &[u8]| -> String {
        let bytes: Vec<String> = piece.iter().map(|b| format!("\\{b:04o}")).collect();
        bytes.concat()
    };
    // no end of a piece is the end of a line, and some pieces end amid an escape
    let pieces: Vec<&[u8]> = turn.as_bytes().chunks(29).collect();
    let lines: Vec<String> = pieces
        .iter()
        .enumerate()
        .map(|(number, piece)| format!("bytes {}\nwait-for piece{number}", escaped(piece)))
        .collect();
    let id = server.launch(&lines.join("\n"));
    let mut came = 0;
    for (number, piece) in pieces.iter().enumerate() {
        came += piece.len();
        until("the next piece", || {
            let transcript = fs::read(dir.task_file(&id, "stdout")).unwrap_or_default();
            (transcript.len() == came).then_some(())
        });
        // reads what there is so far
        server.status(&id);
        dir.open(&format!("piece{number}"));
    }
    let part = server.wait(&[&id]);
    assert!(part.contains("(completed in ") && part.contains(ANSWER), "{part}");
    assert_eq!(fs::read_to_string(dir.task_file(&id, "stdout")).unwrap(), turn);
    let status = server.status(&id);
    assert_eq!(field(&status, "Tokens"), "in 3, cached 2, out 1", "{status}");
}

#[test]
fn a_stream_that_ends_anywhere_is_judged_by_what_came_and_by_the_exit_status() {
    let dir = Dir::new();
    let turn = turn();
    let answered = turn.find(TURN[3]).unwrap();
    // the last line needs no end
    let whole = turn.len() - 1;
    let near = |at: usize| at.saturating_sub(1)..=(at + 1).min(turn.len());
    let mut cuts: Vec<usize> = (0..turn.len()).step_by(25).collect();
    cuts.extend(near(answered).chain(near(whole)));
    let streams: Vec<(Vec<u8>, u32)> = cuts
        .iter()
        .flat_map(|cut| [0, 1].map(|exit| (turn.as_bytes()[..*cut].to_vec(), exit)))
        .collect();
    for ((stream, exit), (id, part)) in streams.iter().zip(print_all(&dir, &streams)) {
        let cut = stream.len();
        let completed = *exit == 0 || cut >= whole;
        let verdict = if completed { "(completed in " } else { "(failed in " };
        assert!(part.contains(verdict), "{cut} bytes, exit {exit}: {part}");
        // a line of which only the end is missing is a line
        assert_eq!(part.contains(ANSWER), cut >= answered - 1, "{cut} bytes: {part}");
        assert_eq!(dir.record(&id).at("exit_code").as_u64(), Some(u64::from(*exit)));
    }
}

#[test]
fn a_line_that_was_cut_anywhere_spoils_no_other() {
    let dir = Dir::new();
    let mut streams = Vec::new();
    for line in [TURN[2], TURN[3], r#"{"type":"turn.failed","error":{"message":"cut"}}"#] {
        for cut in (1..line.len()).step_by(13) {
            // without its end, and without its beginning
            for part in [&line[..cut], &line[cut..]] {
                let [first, second, message, end] = TURN;
                let lines = [first, second, part, message, part, end, part];
                streams.push((lines.join("\n").into_bytes(), 0));
            }
        }
    }
    for ((stream, _), (_, part)) in streams.iter().zip(print_all(&dir, &streams)) {
        let stream = String::from_utf8_lossy(stream);
        assert!(part.contains("(completed in ") && part.contains(ANSWER), "{stream}\n{part}");
    }
}

#[test]
fn rubbish_of_all_bytes_between_events_is_kept_and_read_over() {
    let dir = Dir::new();
    // a row of bytes that does not repeat itself soon
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut rubbish = |length: usize| -> Vec<u8> {
        let bytes = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        });
        bytes.take(length).chain([b'\n']).collect()
    };
    let mut stream = Vec::new();
    for line in TURN {
        stream.extend(rubbish(500_000));
        stream.extend(format!("{line}\n").bytes());
    }
    stream.extend(rubbish(500_000));
    let (id, part) = print_all(&dir, &[(stream.clone(), 0)]).remove(0);
    assert!(part.contains("(completed in ") && part.contains(ANSWER), "{}", abridged(&part));
    assert!(fs::read(dir.task_file(&id, "stdout")).unwrap() == stream, "not kept verbatim");
    let mut server = dir.server();
    let status = server.status(&id);
    assert!(status.len() < 4000, "{} bytes", status.len());
    // the events as a resource are text whatever they are
    server.read(&format!("codex-swarm:///tasks/{id}/events"));
}

#[test]
fn a_line_of_200_megabytes_is_named_and_costs_neither_the_rest_nor_memory() {
    let dir = Dir::new();
    let mut server = dir.server();
    let path = dir.path("long");
    let mut file = fs::File::create(&path).unwrap();
    let start = r#"{"type":"item.completed","item":{"id":"m","type":"agent_message","text":""#;
    file.write_all(start.as_bytes()).unwrap();
    // zeros that take no room
    file.set_len(200_000_000).unwrap();
    drop(file);
    let end = dir.write("end", "\"}}\n");
    let long = format!("print {}\nprint {}", path.display(), end.display());
    let (id, part) = server.run(&format!("begin\nsay before\n{long}\nsay after\ndone"));
    let length = "a line of 200000003 bytes was too long";
    assert!(part.contains("(completed in ") && part.contains("after"), "{}", abridged(&part));
    assert!(part.contains(length), "{}", abridged(&part));
    let peak = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let peak: u64 = field(&peak, "VmHWM").split(' ').next().unwrap().parse().unwrap();
    assert!(peak < 250_000, "{peak} kB for one line");
    fs::remove_file(dir.task_file(&id, "stdout")).unwrap();

    // a message that is too long is not none
    let (_, part) = server.run(&format!("begin\n{long}\ndone"));
    assert!(part.contains("(completed in ") && part.contains(length), "{}", abridged(&part));
    assert!(!part.contains("gave no final message"), "it gave one: {}", abridged(&part));
}

#[test]
fn of_two_ends_that_contradict_each_other_the_exit_status_decides() {
    let dir = Dir::new();
    let mut server = dir.server();
    for (lines, verdict) in [
        ("say x\ndone\nfail broken\nexit 0", "completed"),
        ("say x\ndone\nfail broken\nexit 1", "failed"),
        ("say x\nfail broken\ndone\nexit 0", "completed"),
        ("say x\nfail broken\ndone\nexit 1", "failed"),
        ("say x\ndone\ndone\nexit 1", "completed"),
        ("say x\nfail broken\nfail again\nexit 0", "failed"),
    ] {
        let (id, part) = server.run(&format!("begin\n{lines}"));
        assert!(part.contains(&format!("({verdict} in ")), "{lines}: {part}");
        assert!(part.contains("\nx\n"), "{lines}: {part}");
        assert_eq!(dir.record(&id).str_at("status"), verdict, "{lines}");
        let again = dir.server().wait(&[&id]);
        assert!(again.contains(&format!("({verdict} in ")), "{lines}, told later: {again}");
    }
}

#[test]
fn the_status_of_a_stalled_codex_says_how_long_it_has_been_quiet() {
    let dir = Dir::new();
    let mut server = dir.server();
    let id = server.launch("begin\nrun ls\nmark on\nwait-for go\nsay x\ndone");
    dir.marked("on");
    until("what it has said", || server.status(&id).contains("Tools called: 1").then_some(()));
    assert_eq!(maybe_field(&server.status(&id), "Quiet"), None);
    let transcript = fs::File::options().append(true).open(dir.task_file(&id, "stdout")).unwrap();
    transcript.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
    let said = field(&server.status(&id), "Quiet").to_owned();
    let seconds: u32 = said.strip_suffix('s').unwrap().parse().unwrap();
    assert!((3600..3700).contains(&seconds), "{said}");
    // a moment that has not come yet tells nothing
    transcript.set_modified(SystemTime::now() + Duration::from_secs(3600)).unwrap();
    assert_eq!(maybe_field(&server.status(&id), "Quiet"), None);
    dir.open("go");
    assert!(server.wait(&[&id]).contains("(completed in "));
    assert_eq!(maybe_field(&server.status(&id), "Quiet"), None);
}
