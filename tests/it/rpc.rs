//! JSON-RPC and its framing: lines, ids, notifications, and errors that end nothing.

use crate::support::*;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Sends a raw line and gives the code of the error that answers it, and its id as JSON.
fn error_to(server: &mut Server<'_>, line: &[u8]) -> (i64, Option<String>) {
    server.write(line);
    server.write(b"\n");
    let reply = server.next();
    (code(&reply), reply.get("id").map(crate::json::Value::to_json))
}

#[test]
fn an_id_comes_back_exactly_as_it_was_written() {
    let dir = Dir::new();
    let mut server = dir.server();
    for id in [
        "0",
        "-1",
        "9007199254740993",
        "18446744073709551616",
        "12345678901234567890123",
        r#""1""#,
        r#""""#,
        r#""listen:0 \" \\ é 😀""#,
        r#""null""#,
    ] {
        server.send(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#));
        let reply = server.next();
        assert_eq!(reply.at("id").to_json(), id);
        // In an error too.
        server.send(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"nope"}}"#));
        assert_eq!(server.next().at("id").to_json(), id);
    }
}

#[test]
fn what_is_no_request_gets_the_error_that_says_so() {
    let dir = Dir::new();
    let mut server = dir.server();
    let deep = "[".repeat(100_000);
    let closed = format!("{deep}{}", "]".repeat(100_000));
    for (line, code, id) in [
        // No JSON.
        (r"nonsense".to_owned(), -32700, None),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping""#.to_owned(), -32700, None),
        (r#"{"jsonrpc":"2.0","id":01,"method":"ping"}"#.to_owned(), -32700, None),
        ("\u{feff}{}".to_owned(), -32700, None),
        (deep.clone(), -32700, None),
        // No object; arrays were batches once.
        ("5".to_owned(), -32600, None),
        (r#""ping""#.to_owned(), -32600, None),
        ("null".to_owned(), -32600, None),
        ("[]".to_owned(), -32600, None),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#.to_owned(), -32600, None),
        // No valid id.
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#.to_owned(), -32600, None),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#.to_owned(), -32600, None),
        (r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#.to_owned(), -32600, None),
        (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#.to_owned(), -32600, None),
        (r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#.to_owned(), -32600, None),
        // No request, though it has an id.
        (r#"{"id":1,"method":"ping"}"#.to_owned(), -32600, Some("1")),
        (r#"{"jsonrpc":"1.0","id":2,"method":"ping"}"#.to_owned(), -32600, Some("2")),
        (r#"{"jsonrpc":2.0,"id":3,"method":"ping"}"#.to_owned(), -32600, Some("3")),
        (r#"{"jsonrpc":"2.0","id":4,"method":5}"#.to_owned(), -32600, Some("4")),
        (r#"{"jsonrpc":"2.0","id":"5"}"#.to_owned(), -32600, Some("\"5\"")),
        ("{}".to_owned(), -32600, None),
        // Params are objects.
        (r#"{"jsonrpc":"2.0","id":6,"method":"ping","params":[]}"#.to_owned(), -32602, Some("6")),
        (
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/list","params":"x"}"#.to_owned(),
            -32602,
            Some("7"),
        ),
    ] {
        let (found, with) = error_to(&mut server, line.as_bytes());
        assert_eq!((found, with.as_deref()), (code, id), "{}", abridged(&line));
    }
    // Whole, and too deep all the same: whether that is called no JSON or a batch is all one.
    for line in [
        closed.clone(),
        format!(r#"{{"jsonrpc":"2.0","id":8,"method":"ping","params":{{"a":{closed}}}}}"#),
    ] {
        let (found, _) = error_to(&mut server, line.as_bytes());
        assert!([-32700, -32600].contains(&found), "{found}");
    }
    assert_eq!(server.ask("ping", "{}").at("result").to_json(), "{}");
}

#[test]
fn bytes_that_are_not_utf_8_cost_their_line_and_no_more() {
    let dir = Dir::new();
    let mut server = dir.server();
    let line =
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":{\"x\":\"\xff\xfe\"}}";
    assert_eq!(error_to(&mut server, line), (-32700, None));
    server.silent_about(&[]);
}

#[test]
fn a_line_of_two_megabytes_is_read_and_one_of_seventeen_is_refused() {
    let dir = Dir::new();
    let mut server = dir.server();
    let ping = |size: usize| {
        let padding = "x".repeat(size);
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"pad":"{padding}"}}}}"#)
    };
    server.send(&ping(2 << 20));
    server.next().at("result");
    let (found, _) = error_to(&mut server, ping(17 << 20).as_bytes());
    assert!([-32700, -32600].contains(&found), "{found}");
    server.silent_about(&[]);
}

#[test]
fn a_byte_order_mark_crlf_and_blank_lines_are_read_over() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    server
        .write(b"\xef\xbb\xbf{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\r\n\r\n\n  \t \n");
    server.write(b"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"}\r\n");
    for id in ["1", "2"] {
        assert_eq!(server.next().at("id").to_json(), id);
    }
}

#[test]
fn a_line_may_come_in_pieces_and_many_at_once() {
    let dir = Dir::new();
    let mut server = dir.server();
    for byte in br#"{"jsonrpc":"2.0","id":"slow","method":"ping"}"# {
        server.write(&[*byte]);
    }
    let many: String = (0..500)
        .map(|id| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#) + "\n")
        .collect();
    server.write(format!("\n{many}").as_bytes());
    assert_eq!(server.next().str_at("id"), "slow");
    for id in 0..500 {
        assert_eq!(server.next().at("id").as_i64(), Some(id));
    }
}

#[test]
fn notifications_and_stray_replies_are_never_answered() {
    let dir = Dir::new();
    let mut server = dir.server();
    for line in [
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":77}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":{}}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":[1]}"#,
        r#"{"jsonrpc":"2.0","method":"codex/private","params":{"x":1}}"#,
        r#"{"jsonrpc":"2.0","method":"tools/list"}"#,
        r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"codex"}}"#,
        r#"{"jsonrpc":"2.0","method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":99,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":99,"error":{"code":1,"message":"x"}}"#,
    ] {
        server.send(line);
        server.silent_about(&[]);
        assert!(server.stash.is_empty(), "{line}: {:?}", server.stash);
    }
}

#[test]
fn methods_that_are_not_offered_are_unknown() {
    let dir = Dir::new();
    let mut server = dir.server();
    for method in [
        "nope",
        "prompts/list",
        "logging/setLevel",
        "completion/complete",
        "subscriptions/listen",
        "tasks/get",
        "tasks/update",
        "tasks/cancel",
        "tasks/list",
        "tasks/result",
        "",
        "tools",
    ] {
        assert_eq!(code(&server.ask(method, "{}")), -32601, "{method}");
    }
    // Params may be left out.
    server.send(r#"{"jsonrpc":"2.0","id":"bare","method":"tools/list"}"#);
    server.next().at("result.tools");
}

#[test]
fn a_client_that_does_not_read_is_held_back_and_later_answered_in_full() {
    const MANY: usize = 10_000;
    let dir = Dir::new();
    let mut command = dir.command();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let (mut stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let written = AtomicUsize::new(0);
    thread::scope(|scope| {
        let mut answers = BufReader::new(stdout).lines();
        let written = &written;
        let writer = scope.spawn(move || {
            writeln!(stdin, r#"{{"jsonrpc":"2.0","id":0,"method":"initialize"}}"#).unwrap();
            for id in 1..=MANY {
                writeln!(stdin, r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list"}}"#).unwrap();
                written.store(id, Ordering::Relaxed);
            }
            stdin
        });
        // The writer stands still and the server sleeps: it waits for its answers to be read.
        let mut seen = (0, Instant::now());
        until("a writer that is held back", || {
            let now = written.load(Ordering::Relaxed);
            if now != seen.0 || !sleeps(child.id()) {
                seen = (now, Instant::now());
            }
            assert!(now < MANY, "all questions were read, and no answer");
            (now > 0 && seen.1.elapsed() > Duration::from_millis(300)).then_some(())
        });
        for id in 0..=MANY {
            let line = answers.next().unwrap().unwrap();
            let start = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"#);
            assert!(line.starts_with(&start), "the answer to {id}: {}", abridged(&line));
        }
        drop(writer.join().unwrap());
        assert!(answers.next().is_none());
    });
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Whether a process waits for something; where there is no /proc nobody knows, and it may.
fn sleeps(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('S'))
}

#[test]
fn thousands_of_questions_at_once_are_all_answered_in_order() {
    let dir = Dir::new();
    let mut server = dir.server();
    thread::scope(|scope| {
        let many: String = (0..2000)
            .map(|id| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list"}}"#) + "\n")
            .collect();
        let mut stdin = server.take_stdin();
        let writer = scope.spawn(move || {
            stdin.write_all(many.as_bytes()).unwrap();
            stdin
        });
        for id in 0..2000 {
            assert_eq!(server.next().at("id").as_i64(), Some(id));
        }
        drop(writer.join().unwrap());
    });
    assert_eq!(server.ended().code(), Some(0));
}
