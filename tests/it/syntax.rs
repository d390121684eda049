//! JSON at its edges, through the running server: what is read, what is refused and costs no more
//! than its line, and what is written.

use crate::json::Value;
use crate::support::*;

/// A ping with this text in its parameters, to be JSON or not.
fn ping(text: &[u8]) -> Vec<u8> {
    let start = br#"{"jsonrpc":"2.0","id":"p","method":"ping","params":{"x":"#;
    [start, text, b"}}"].concat()
}

/// Sends a line and checks that it is refused as no JSON, without an id.
fn refused(server: &mut Server<'_>, line: &[u8]) {
    let shown = abridged(&String::from_utf8_lossy(line));
    server.write(&[line, b"\n"].concat());
    let reply = server.next();
    assert!(reply.get("error").is_some(), "accepted: {shown}");
    assert_eq!((code(&reply), reply.get("id")), (-32700, None), "{shown}");
}

/// Sends a line and checks that it is answered with an empty result.
fn accepted(server: &mut Server<'_>, line: &[u8]) {
    let shown = abridged(&String::from_utf8_lossy(line));
    server.write(&[line, b"\n"].concat());
    let reply = server.next();
    assert_eq!(
        reply.get("result").map(Value::to_json).as_deref(),
        Some("{}"),
        "{shown}: {reply:?}"
    );
}

/// Sends a ping with an id, and gives the line that answers it and the id in it.
fn echo(server: &mut Server<'_>, id: &str) -> (String, Value<'static>) {
    server.send(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#));
    let line = server.line();
    let reply = read_json(&line);
    assert_eq!(reply.at("result").to_json(), "{}");
    (line, reply.at("id").clone())
}

#[test]
fn every_form_of_json_is_read() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    for text in [
        "null",
        "true",
        "false",
        "{}",
        "[]",
        "[[],{},[{}]]",
        r#"{"":""}"#,
        r#"{"a":1,"a":2}"#,
        "0",
        "-0",
        "-1",
        "1.0",
        "0.5e-10",
        "1e3",
        "1E+3",
        "1e400",
        "-1E400",
        "123456789012345678901234567890",
        "0.00000000000000000000000000000000000001",
        r#""\" \\ \/ \b \f \n \r \t \u0000 \u001f \u00e9 \u00E9""#,
        r#""\ud83d\ude00 \uD83D\uDE00""#,
        r#""\ud800 \udc00 \ud800\ud800 \udc00\ud800 \ud800x \ud800\n""#,
        "\"é 😀 \u{7f} \u{80} \u{85} \u{a0} \u{2028} \u{2029} \u{feff} \u{fffe} \u{10ffff}\"",
        " \t\r [ \t\r 1 \t\r , \t\r 2 \t\r ] \t\r ",
    ] {
        accepted(&mut server, &ping(text.as_bytes()));
    }
}

/// Texts that are no JSON value.
const NO_JSON: [&str; 77] = [
    // numbers
    "01",
    "-01",
    "00",
    "+1",
    ".5",
    "1.",
    "-.5",
    "-",
    "1e",
    "1e+",
    "1e1.5",
    "0x10",
    "1_000",
    "NaN",
    "Infinity",
    "-Infinity",
    "1 000",
    "１",
    "--1",
    "1.2.3",
    // words
    "",
    "nul",
    "True",
    "NULL",
    "undefined",
    "truefalse",
    "nulll",
    // strings
    "\"",
    "\"\\",
    "\"\\\"",
    "'a'",
    "\"\\x41\"",
    "\"\\a\"",
    "\"\\u12\"",
    "\"\\u12g4\"",
    "\"\\U0041\"",
    "\"\\u+123\"",
    "\"tab\there\"",
    "\"\u{0}\"",
    "\"\u{1}\"",
    "\"\u{1f}\"",
    "\"a\rb\"",
    "a",
    // arrays and objects
    "[1,]",
    "[,1]",
    "[1,,2]",
    "[1 2]",
    "[",
    "]",
    "[1",
    "[}",
    "{]",
    "{",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{,}",
    "{a:1}",
    "{1:1}",
    "{\"a\":1 \"b\":2}",
    "{\"a\" 1}",
    "{\"a\"::1}",
    "{'a':1}",
    "{null:1}",
    "[1:2]",
    // between them
    "1 2",
    "1 // one",
    "/* one */ 1",
    "# one",
    "\u{a0}1",
    "\u{c}1",
    "\u{b}1",
    "\u{85}1",
    "\u{2028}1",
    "\u{feff}1",
    "\u{3000}1",
    "\u{0}",
];

#[test]
fn what_is_no_json_costs_its_line_and_no_more() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    for text in NO_JSON {
        refused(&mut server, &ping(text.as_bytes()));
    }
    let whole = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    for line in [
        format!("{whole}{whole}"),
        format!("{whole} {whole}"),
        format!("{whole},"),
        format!("{whole}}}"),
        format!("{whole}x"),
        format!("{whole}\0"),
        format!("{whole}\u{feff}"),
        format!(")]}}'{whole}"),
        format!("data: {whole}"),
        "Content-Length: 40".to_owned(),
        whole[..whole.len() - 1].to_owned(),
        whole[1..].to_owned(),
    ] {
        refused(&mut server, line.as_bytes());
    }
    accepted(&mut server, whole.as_bytes());
}

#[test]
fn bytes_that_are_no_utf_8_are_refused_wherever_they_stand() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    let sequences: [&[u8]; 16] = [
        b"\xff",
        b"\x80",
        b"\xbf\xbf",
        b"\xc3",
        b"\xc3(",
        b"\xe2\x82",
        b"\xf0\x9f\x98",
        // Longer than need be.
        b"\xc0\x80",
        b"\xc1\xbf",
        b"\xe0\x80\x80",
        b"\xf0\x80\x80\x80",
        // Surrogates, as CESU-8 and WTF-8 have them.
        b"\xed\xa0\x80",
        b"\xed\xa0\xbd\xed\xb8\x80",
        // Beyond the last character.
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xfe",
    ];
    for bytes in sequences {
        refused(&mut server, &ping(&[b"\"", bytes, b"\""].concat()));
        refused(&mut server, &ping(&[b"{\"", bytes, b"\":1}"].concat()));
        refused(&mut server, &ping(bytes));
        refused(&mut server, &[br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, bytes].concat());
    }
    // UTF-16, which has no line end that is one byte of its own.
    let wide: Vec<u8> = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    refused(&mut server, &wide);
    refused(&mut server, &[b"\xff\xfe", &wide[..]].concat());
    accepted(&mut server, &ping(b"1"));
}

#[test]
fn a_byte_order_mark_is_read_over_once_and_at_the_very_beginning() {
    let dir = Dir::new();
    let mark = b"\xef\xbb\xbf";
    let whole = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let mut server = dir.silent(&[]);
    accepted(&mut server, &[mark, &whole[..]].concat());
    refused(&mut server, &[mark, &whole[..]].concat());
    let mut server = dir.silent(&[]);
    refused(&mut server, &[mark, mark, &whole[..]].concat());
    accepted(&mut server, whole);
    refused(&mut server, &[mark, &whole[..]].concat());
    // A mark in UTF-16 is none.
    let mut server = dir.silent(&[]);
    refused(&mut server, &[b"\xff\xfe", &whole[..]].concat());
}

#[test]
fn of_members_with_one_name_the_last_counts_whatever_reads_them() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    for (line, id) in [
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, "2"),
        (r#"{"jsonrpc":"2.0","id":1,"\u0069d":"2","method":"ping"}"#, "\"2\""),
        (r#"{"jsonrpc":"2.0","id":null,"id":3,"method":"ping"}"#, "3"),
        (r#"{"jsonrpc":"1.0","jsonrpc":"2.0","id":4,"method":"ping"}"#, "4"),
        (r#"{"jsonrpc":"2.0","id":5,"method":"nope","method":"ping"}"#, "5"),
        (r#"{"jsonrpc":"2.0","id":6,"method":5,"method":"ping"}"#, "6"),
        (r#"{"jsonrpc":"2.0","id":7,"params":[],"method":"ping","params":{}}"#, "7"),
        // What stands in a parameter is no member of the message.
        (
            r#"{"params":{"id":9,"method":"nope","jsonrpc":1},"jsonrpc":"2.0","id":8,"method":"ping"}"#,
            "8",
        ),
        (r#"{"jsonrpc":"2.0","x":"\",\"method\":\"nope\"","id":9,"method":"ping"}"#, "9"),
    ] {
        server.send(line);
        let reply = server.next();
        assert_eq!(reply.at("result").to_json(), "{}", "{line}");
        assert_eq!(reply.at("id").to_json(), id, "{line}");
    }
    for (line, expected) in [
        (r#"{"jsonrpc":"2.0","id":1,"id":null,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"nope"}"#, -32602),
        (r#"{"jsonrpc":"2.0","jsonrpc":"1.0","id":1,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{},"params":[]}"#, -32602),
    ] {
        server.send(line);
        let reply = server.next();
        let found = code(&reply);
        // Before a handshake a method that is not known need not be told from one that is.
        assert!(found == expected || line.contains("nope") && found == -32601, "{line}: {found}");
    }
    server.initialize();
    // In the envelope too.
    let envelope = envelope(PLAIN);
    let old = r#""io.modelcontextprotocol/protocolVersion":"2099-01-01""#;
    let reply = server.ask("tools/list", &with_meta("{}", &format!("{old},{envelope}")));
    reply.at("result.resultType");
    let reply = server.ask("tools/list", &with_meta("{}", &format!("{envelope},{old}")));
    assert_eq!(code(&reply), -32022);
}

#[test]
fn of_arguments_with_one_name_the_last_counts() {
    let dir = Dir::new();
    let mut server = dir.server();
    for args in [
        r#"{"prompt":"first","model":"a","prompt":"last","model":"b","model":"c"}"#,
        r#"{"prompt":5,"model":"a","model":null,"prompt":"last","model":"c"}"#,
        r#"{"\u0070rompt":"first","sandbox":"none","sandbox":"read-only","prompt":"last","model":"c"}"#,
    ] {
        let text = server.ok("codex", args);
        let received = dir.received(&task_id(&text));
        assert_eq!(received.stdin, b"last", "{args}");
        assert_eq!(received.options("model"), ["c"], "{args}");
    }
    for args in [r#"{"prompt":"first","prompt":5}"#, r#"{"prompt":"x","cwd":"/","cwd":"/no/such"}"#]
    {
        server.refused("codex", args);
    }
}

#[test]
fn keys_and_methods_are_compared_as_what_they_mean() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    for line in [
        r#"{"jsonrpc":"2\u002e0","\u0069\u0064":1,"\u006deth\u006Fd":"\u0070ing"}"#,
        r#"{"JSONRPC":"1.0","Method":"nope","ID":2,"jsonrpc":"2.0","id":1,"method":"ping"}"#,
        r#"{"y":[{"z":{}}],"params":{"x":1},"method":"ping","id":1,"jsonrpc":"2.0","x":null}"#,
        "\t{ \"jsonrpc\" : \"2.0\" ,\r\"id\" : 1 ,\t\"method\" : \"ping\" } \t\r",
    ] {
        accepted(&mut server, line.as_bytes());
    }
    server.initialize();
    let params = r#"{"\u0075ri":"codex-swarm:\/\/\/\u0074asks"}"#;
    server.ask(r"resources\/\u0072ead", params).at("result.contents");
    let meta = r#""io.modelcontextprotocol\/protocolVersi\u006Fn":"2026\u002d07-28","io.modelcontextprotocol\/clientCapabilities":{}"#;
    server.ask("tools/list", &with_meta("{}", meta)).at("result.resultType");
    // A capital letter makes another word of it.
    assert_eq!(code(&server.ask("Ping", "{}")), -32601);
    assert_eq!(code(&server.ask("tools/list ", "{}")), -32601);
}

#[test]
fn an_id_is_an_integer_by_how_it_is_written() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    let digits = "9".repeat(1000);
    for id in ["-0", "9007199254740993", "-9223372036854775809", "12345678901234567890123", &digits]
    {
        let (line, found) = echo(&mut server, id);
        assert_eq!(found.to_json(), id, "{line}");
    }
    for id in ["1.0", "-0.0", "1e0", "1E2", "1e400", "0.1", "1.5e1"] {
        server.send(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#));
        let reply = server.next();
        assert_eq!((code(&reply), reply.get("id")), (-32600, None), "{id}");
    }
}

#[test]
fn a_number_too_large_for_a_float_never_turns_into_infinity() {
    let dir = Dir::new();
    let mut server = dir.server();
    for (number, key) in [("1e400", "a"), ("-1E400", "b"), ("123456789e999", "c")] {
        let result =
            server.call("codex", &prompt_and("x", &format!(r#""config":{{"{key}":{number}}}"#)));
        if is_error(&result) {
            assert!(text_of(&result).contains(key), "{result:?}");
        } else {
            let received = dir.received(&task_id(&text_of(&result)));
            assert!(!received.config(key).unwrap().contains("inf"), "{:?}", received.argv);
        }
    }
    let call = server.begin_watched("codex", r#"{"prompt":"x"}"#, "1e400");
    server.result(call);
    assert!(server.stash.is_empty(), "that is no token: {:?}", server.stash);
}

#[test]
fn half_a_surrogate_pair_is_one_lost_character_and_a_whole_one_is_a_character() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    for (id, character, escaped) in [
        (r#""\ud83d\ude00""#, "😀", false),
        (r#""\uD83D\uDE00""#, "😀", false),
        (r#""\udbff\udfff""#, "\u{10ffff}", false),
        (r#""\ud800""#, "\u{fffd}", true),
        (r#""\udfff""#, "\u{fffd}", true),
        (r#""a\ud800b""#, "a\u{fffd}b", true),
        (r#""\ude00\ud83d""#, "\u{fffd}\u{fffd}", true),
        (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀", true),
        (r#""\ud800\u0041""#, "\u{fffd}A", true),
    ] {
        // The line is UTF-8, or there would be none; an escape may have been kept as it was.
        let (line, found) = echo(&mut server, id);
        assert_eq!(found.as_str(), Some(character), "{id}");
        assert!(line.contains(character) || escaped && line.contains(id), "{line}");
    }
}

#[test]
fn what_is_written_escapes_what_must_be_and_nothing_else() {
    let dir = Dir::new();
    let mut server = dir.server();
    for control in 0..0x20_u8 {
        let (line, found) = echo(&mut server, &format!("\"<\\u{control:04x}>\""));
        assert!(line.bytes().all(|b| b >= 0x20), "{line:?}");
        assert_eq!(found.as_str(), Some(format!("<{}>", char::from(control)).as_str()));
    }
    let plain = "é 😀 \u{7f} \u{85} \u{2028} \u{2029} \u{feff} / <>&'";
    let (line, found) = echo(&mut server, &quoted(plain));
    assert!(line.contains(&format!("\"{plain}\"")), "{line:?}");
    assert_eq!(found.as_str(), Some(plain));
    let (line, found) = echo(&mut server, r#""\" \\ \/ \b \f \n \r \t""#);
    assert!(line.contains(r#"\" \\ / "#) && !line.contains(r"\/"), "{line}");
    assert_eq!(found.as_str(), Some("\" \\ / \u{8} \u{c} \n \r \t"));
    // A carriage return by itself stays one, on the way in and on the way out.
    let text = server.ok(
        "codex",
        &script(
            r"begin
say one\rtwo\r\nthree
done",
        ),
    );
    assert_eq!(answer(&text), "one\rtwo\r\nthree");
}

#[test]
fn nesting_is_read_to_a_depth_and_refused_beyond_without_a_crash() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    // The message and its parameters are two levels more.
    for levels in [1, 10, 100, 126] {
        let arrays = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let objects = format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
        accepted(&mut server, &ping(arrays.as_bytes()));
        accepted(&mut server, &ping(objects.as_bytes()));
    }
    for levels in [513, 5_000, 1_000_000] {
        let arrays = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let objects = format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
        let both = format!("{}1{}", r#"[{"a":"#.repeat(levels), "}]".repeat(levels));
        for text in [arrays, objects, both, "[".repeat(levels), r#"{"a":"#.repeat(levels)] {
            refused(&mut server, &ping(text.as_bytes()));
        }
    }
    accepted(&mut server, &ping(b"1"));
}

#[test]
fn parameters_that_are_null_are_none_or_refused_and_an_array_is_refused() {
    let dir = Dir::new();
    let mut server = dir.server();
    for method in ["ping", "tools/list", "resources/list"] {
        let reply = server.ask(method, "null");
        assert!(reply.find("result").is_some() || code(&reply) == -32602, "{reply:?}");
        for params in ["[]", "[{}]", "5", "\"x\"", "true"] {
            assert_eq!(code(&server.ask(method, params)), -32602, "{method} {params}");
        }
    }
    server.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized","params":null}"#);
    server.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":"x"}"#);
    server.silent_about(&[]);
    assert!(server.stash.is_empty(), "{:?}", server.stash);
}

#[test]
fn a_line_that_never_ends_is_given_up_and_the_next_one_is_read() {
    let dir = Dir::new();
    let mut server = dir.silent(&[]);
    // Twice as much as the longest that is read, in pieces, and with what would be lines in it.
    let piece = r#"{"jsonrpc":"2.0","id":1,"method":"ping"} "#.repeat(25_000);
    for _ in 0..33 {
        server.write(piece.as_bytes());
    }
    server.write(b"\n");
    accepted_after_one_error(&mut server);
    server.write(&ping(b"\"the beginning of a line"));
    server.write(b"\n");
    accepted_after_one_error(&mut server);
}

/// Checks that one error came, and that the next line is answered.
fn accepted_after_one_error(server: &mut Server<'_>) {
    let reply = server.next();
    assert_eq!((code(&reply), reply.get("id")), (-32700, None));
    accepted(server, &ping(b"1"));
}

#[test]
fn what_looks_like_an_argument_is_one_only_by_its_type() {
    let dir = Dir::new();
    let mut server = dir.server();
    // One, and what other languages take for it.
    for args in [
        r#"{"prompt":"x","worktree":"true"}"#,
        r#"{"prompt":"x","worktree":1}"#,
        r#"{"prompt":true}"#,
        r#"{"prompt":{"toString":"x"}}"#,
        r#"{"prompt":"x","add-dirs":{"0":"/tmp","length":1}}"#,
    ] {
        server.refused("codex", args);
    }
    for args in [
        r#"{"task_ids":["deadbeef"],"timeout":1e-400}"#,
        r#"{"task_ids":["deadbeef"],"timeout":0e9}"#,
    ] {
        server.call("codex_wait", args);
    }
    assert_eq!(dir.started(), 0);
}
