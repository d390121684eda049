//! Ten thousand requests in random order, of both eras on one pipe: each has one reply, under the
//! very id it came with; what was taken back has none; and nothing speaks out of turn.

use crate::json::Value;
use crate::support::*;
use std::collections::HashMap;

/// How many requests are sent.
const REQUESTS: usize = 10_000;

/// As many calls at most really start a task.
const TASKS_AT_MOST: usize = 40;

/// As many at once at most wait to be taken back.
const HANGING_AT_MOST: usize = 6;

/// The seed, unless this variable names another.
const SEED: (&str, u64) = ("CODEX_SWARM_TEST_SEED", 0x9e37_79b9_7f4a_7c15);

/// Arguments of a codex that runs until it is ended.
fn stuck() -> String {
    script("begin\nrun ls\nwait-for never")
}

/// Arguments of one that does so for longer than the stand-in waits for anything, but not for ever.
fn very_stuck() -> String {
    let over = r#"[ ! -d "$STANDIN_OUT" ] || [ $((tries += 1)) -gt 1500 ]"#;
    script(&format!("begin\nsh until {over}; do sleep 0.2; done"))
}

/// The next numbers: xorshift64*.
struct Random(u64);

impl Random {
    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % end
    }

    /// One of these.
    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    /// True one time in so many.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// What a request has to be answered with.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    /// A result.
    Result,
    /// An error with this code.
    Error(i64),
    /// Nothing, for it is taken back before it could be.
    None,
}

/// A request that was sent.
struct Request {
    /// What its answer has to be.
    answer: Answer,
    /// The token of its progress, as JSON.
    token: Option<String>,
}

/// All that is known of what was sent and came.
struct Session<'d> {
    server: Server<'d>,
    random: Random,
    /// How many requests were made.
    made: usize,
    /// How many of them start a task.
    tasks: usize,
    /// The requests whose replies are to come, by their ids as JSON.
    open: HashMap<String, Request>,
    /// The ids of those that wait to be taken back, in the order they were sent.
    hanging: Vec<String>,
    /// What was taken back, by its id, until it is certain that the server has read that.
    taken_back: HashMap<String, Request>,
    /// The ids of streams, and whether they were acknowledged.
    streams: HashMap<String, bool>,
    /// The last progress under each token.
    progress: HashMap<String, f64>,
    /// Tokens under which some progress is waited for.
    awaited: Vec<String>,
    /// Two tasks that run all the while.
    anchors: [String; 2],
    /// What is to be sent next.
    lines: String,
}

impl Session<'_> {
    /// Adds a line to what is to be sent.
    fn line(&mut self, line: &str) {
        self.lines += line;
        self.lines.push('\n');
    }

    /// An id that no open request has.
    fn id(&mut self) -> String {
        let n = self.made;
        let id = match self.random.below(10) {
            0 => n.to_string(),
            1 => format!("\"{n}\""),
            2 => (9_007_199_254_740_993 + n).to_string(),
            3 => "-0".to_owned(),
            4 => format!("-{n}"),
            5 => format!("{:023}", n + 1).replacen('0', "1", 1),
            6 => quoted(&format!("{} {n}", "a long id ".repeat(30))),
            7 => format!(r#""\" \\ \n \u0001 é 😀 / {n}""#),
            8 => "\"\"".to_owned(),
            _ => quoted(&format!("server-discover-probe-{n}")),
        };
        let used = self.open.contains_key(&id) || self.taken_back.contains_key(&id);
        if used { n.to_string() } else { id }
    }

    /// Adds a request; its id.
    fn request(&mut self, method: &str, params: &str, answer: Answer) -> String {
        self.made += 1;
        let id = self.id();
        let line = match self.random.below(3) {
            0 => format!(r#"{{"method":"{method}","params":{params},"id":{id},"jsonrpc":"2.0"}}"#),
            1 => format!(
                r#"{{"jsonrpc":"2.0", "id": {id}, "method":"{method}", "params":{params}}}"#
            ),
            _ => format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#),
        };
        self.line(&line);
        let token = read_json(params).find("_meta.progressToken").map(Value::to_json);
        let before = self.open.insert(id.clone(), Request { answer, token });
        assert!(before.is_none(), "{id}");
        id
    }

    /// The members of `_meta` of a modern request, some with more than need be.
    fn meta(&mut self, capabilities: &str) -> String {
        let more = self.random.of(&["", "", r#","threadId":"x""#, r#","traceparent":"00-0-0-00""#]);
        format!("{}{more}", envelope(capabilities))
    }

    /// A request that either era answers alike, in one of them.
    fn either(&mut self, method: &str, params: &str, answer: Answer) {
        let params = if self.random.once_in(2) {
            params.to_owned()
        } else {
            let capabilities = self.random.of(&[PLAIN, TASKS]);
            with_meta(params, &self.meta(capabilities))
        };
        self.request(method, &params, answer);
    }

    /// A request of the new era.
    fn modern(&mut self, capabilities: &str, method: &str, params: &str, answer: Answer) -> String {
        let params = with_meta(params, &self.meta(capabilities));
        self.request(method, &params, answer)
    }

    /// A random request that is answered at once.
    fn cheap(&mut self) {
        match self.random.below(16) {
            0 => self.legacy_only(),
            1 => self.modern_only(),
            2 => self.about_a_task(),
            3 | 4 => {
                let method =
                    self.random.of(&["tools/list", "resources/list", "resources/templates/list"]);
                self.either(method, "{}", Answer::Result);
            }
            5 => self.either("tools/list", r#"{"cursor":"x"}"#, Answer::Error(-32602)),
            6 => {
                let name = self.random.of(&["tasks", "config", "server-info"]);
                let params = format!(r#"{{"uri":"codex-swarm:///{name}"}}"#);
                self.either("resources/read", &params, Answer::Result);
            }
            7 => {
                let params = r#"{"uri":"codex-swarm:///nope"}"#;
                self.request("resources/read", params, Answer::Error(-32002));
                self.modern(PLAIN, "resources/read", params, Answer::Error(-32602));
            }
            8 => {
                let method = self.random.of(&[
                    "nope",
                    "prompts/list",
                    "",
                    "tasks/list",
                    "Ping",
                    "logging/setLevel",
                ]);
                self.either(method, "{}", Answer::Error(-32601));
            }
            9 => {
                let params = self.random.of(&[
                    r#"{"name":"nope"}"#,
                    r#"{"name":5}"#,
                    "{}",
                    r#"{"name":"codex","arguments":[]}"#,
                ]);
                self.either("tools/call", params, Answer::Error(-32602));
            }
            10 | 11 => {
                let params = self.random.of(&[
                    r#"{"name":"codex","arguments":{}}"#,
                    r#"{"name":"codex_async","arguments":{"prompt":5}}"#,
                    r#"{"name":"codex_batch","arguments":{"tasks":[]}}"#,
                    r#"{"name":"codex_reply","arguments":{"prompt":"x"}}"#,
                    r#"{"name":"codex_wait","arguments":{"task_ids":["deadbeef","x"]}}"#,
                    r#"{"name":"codex_cancel","arguments":{"task_id":"deadbeef"}}"#,
                    r#"{"name":"codex_status","arguments":{"task_ids":["deadbeef"]}}"#,
                ]);
                self.either("tools/call", params, Answer::Result);
            }
            12 if self.random.once_in(8) => {
                self.either("tools/call", r#"{"name":"codex_status"}"#, Answer::Result);
            }
            _ => {
                self.request("ping", "{}", Answer::Result);
            }
        }
    }

    /// A request that only the revisions with a handshake know.
    fn legacy_only(&mut self) {
        let uri = r#"{"uri":"codex-swarm:///tasks"}"#;
        let revision =
            self.random.of(&["2024-11-05", "2025-03-26", "2025-11-25", "2026-07-28", "?"]);
        let handshake = format!(r#"{{"protocolVersion":"{revision}","capabilities":{{}}}}"#);
        let (method, params) = match self.random.below(3) {
            0 => ("initialize", handshake.as_str()),
            1 => ("resources/subscribe", uri),
            _ => ("resources/unsubscribe", uri),
        };
        if self.random.once_in(3) {
            self.modern(TASKS, method, params, Answer::Error(-32601));
        } else {
            self.request(method, params, Answer::Result);
        }
    }

    /// A request that only the newest revision knows, with its envelope or with a faulty one.
    fn modern_only(&mut self) {
        let meta = self.random.of(&[
            r#""io.modelcontextprotocol/clientCapabilities":{}"#,
            r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#,
            r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":[]"#,
        ]);
        let wrong = r#""io.modelcontextprotocol/protocolVersion":"2099-01-01","io.modelcontextprotocol/clientCapabilities":{}"#;
        match self.random.below(4) {
            0 => {
                self.modern(PLAIN, "server/discover", "{}", Answer::Result);
            }
            1 => {
                self.request("server/discover", "{}", Answer::Error(-32602));
            }
            2 => {
                let method = self.random.of(&["ping", "tools/list", "server/discover", "nope"]);
                self.request(method, &with_meta("{}", meta), Answer::Error(-32602));
            }
            _ => {
                self.request("tools/list", &with_meta("{}", wrong), Answer::Error(-32022));
            }
        }
    }

    /// A request about a task that there is not.
    fn about_a_task(&mut self) {
        let method = self.random.of(&["tasks/get", "tasks/update", "tasks/cancel"]);
        let number = self.random.below(1 << 30);
        let params = format!(r#"{{"taskId":"{number:032x}","inputResponses":{{}}}}"#);
        match self.random.below(4) {
            0 => self.modern(PLAIN, method, &params, Answer::Error(-32021)),
            1 => self.request(method, &params, Answer::Error(-32601)),
            _ => self.modern(TASKS, method, &params, Answer::Error(-32602)),
        };
    }

    /// Something that is never answered.
    fn notification(&mut self) {
        let n = self.made;
        let line = match self.random.below(9) {
            0 => r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned(),
            1 => r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed","params":{}}"#
                .to_owned(),
            2 => format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":"nobody-{n}"}}}}"#
            ),
            3 => {
                let id = self.random.of(&["1.5", "null", "{}", "[]", "true", "1e0"]);
                format!(
                    r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
                )
            }
            4 => r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#.to_owned(),
            5 => {
                let method = self.random.of(&[
                    "tools/list",
                    "ping",
                    "server/discover",
                    "initialize",
                    "codex/x",
                ]);
                format!(
                    r#"{{"jsonrpc":"2.0","method":"{method}","params":{}}}"#,
                    with_meta("{}", &envelope(TASKS))
                )
            }
            6 => format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{n},"progress":1}}}}"#
            ),
            7 => format!(r#"{{"jsonrpc":"2.0","id":{n},"result":{{}}}}"#),
            _ => {
                format!(r#"{{"jsonrpc":"2.0","id":"{n}","error":{{"code":-32603,"message":"x"}}}}"#)
            }
        };
        self.line(&line);
    }

    /// A call that starts a task which ends by itself.
    fn task(&mut self) {
        self.tasks += 1;
        let tool = self.random.of(&["codex", "codex_async"]);
        let params = tool_call(tool, r#"{"prompt":"x"}"#);
        self.watched(&params, Answer::Result);
    }

    /// A tool call in either era, most of them with a token.
    fn watched(&mut self, params: &str, answer: Answer) -> String {
        let n = self.made;
        let token = match self.random.below(4) {
            0 => format!(r#""progressToken":{n}"#),
            1 => format!(r#""progressToken":"{n}""#),
            2 => format!(r#""progressToken":{}"#, 9_007_199_254_740_993 + n),
            _ => r#""x":1"#.to_owned(),
        };
        let meta = match self.random.below(3) {
            0 => token,
            1 => format!("{},{token}", envelope(PLAIN)),
            _ => format!("{},{token}", envelope(TASKS)),
        };
        self.request("tools/call", &with_meta(params, &meta), answer)
    }

    /// A request that is not answered until it is taken back.
    fn hang(&mut self) {
        let id = match self.random.below(4) {
            0 | 1 if self.tasks < TASKS_AT_MOST => {
                self.tasks += 1;
                let id = self.watched(&tool_call("codex", &stuck()), Answer::None);
                self.awaited.extend(self.open[&id].token.clone());
                id
            }
            2 => {
                let filter =
                    r#"{"notifications":{"resourceSubscriptions":["codex-swarm:///tasks"]}}"#;
                let id = self.modern(PLAIN, "subscriptions/listen", filter, Answer::None);
                self.streams.insert(id.clone(), false);
                id
            }
            _ => {
                let [one, two] = &self.anchors;
                let args = ids(&[one, two, "deadbeef"]);
                self.watched(&tool_call("codex_wait", &args), Answer::None)
            }
        };
        self.hanging.push(id);
    }

    /// Takes one back.
    fn take_back(&mut self) {
        let at = self.random.below(self.hanging.len());
        let id = self.hanging.remove(at);
        let params = format!(r#"{{"requestId":{id},"reason":"user"}}"#);
        let params =
            if self.random.once_in(2) { params } else { with_meta(&params, &envelope(PLAIN)) };
        self.line(&format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{params}}}"#
        ));
        let request = self.open.remove(&id).unwrap();
        self.awaited.retain(|token| request.token.as_ref() != Some(token));
        self.taken_back.insert(id, request);
    }

    /// Sends what was gathered, and reads until every reply is there but those that wait, and the
    /// progress that is awaited. The last request is a ping: when it is answered, all that was sent
    /// before it has been read.
    fn flush(&mut self) {
        let last = self.request("ping", "{}", Answer::Result);
        let lines = std::mem::take(&mut self.lines);
        self.server.write(lines.as_bytes());
        while self.open.len() > self.hanging.len() || !self.awaited.is_empty() {
            let line = self.server.line();
            self.received(&line);
            if !self.open.contains_key(&last) {
                // Nothing is heard any more of what was taken back.
                for (id, request) in self.taken_back.drain() {
                    self.streams.remove(&id);
                    request.token.map(|token| self.progress.remove(&token));
                }
            }
        }
    }

    /// Holds a line that came against what is known.
    fn received(&mut self, line: &str) {
        let message = read_json(line);
        assert_eq!(message.str_at("jsonrpc"), "2.0");
        match message.get("method").and_then(Value::as_str) {
            None => self.replied(line, &message),
            Some("notifications/progress") => {
                let token = message.at("params.progressToken").to_json();
                let open = self.open.values().chain(self.taken_back.values());
                let known = open.filter_map(|request| request.token.as_ref()).any(|t| *t == token);
                assert!(known, "out of turn: {line}");
                self.awaited.retain(|awaited| *awaited != token);
                let number = message.at("params.progress").as_f64().unwrap();
                let before = self.progress.insert(token, number);
                assert!(before.is_none_or(|before| before < number), "after {before:?}: {line}");
            }
            Some(method) => {
                let Some(stream) = meta(message.at("params"), "subscriptionId") else {
                    // Somebody may have subscribed as the older revisions do.
                    assert_eq!(method, "notifications/resources/updated", "{line}");
                    return;
                };
                let known = self.streams.get_mut(&stream.to_json());
                let known = known.unwrap_or_else(|| panic!("out of turn: {line}"));
                let first = method == "notifications/subscriptions/acknowledged";
                assert!(first || method == "notifications/resources/updated", "{line}");
                assert!(first != *known, "acknowledged once and first: {line}");
                *known = true;
            }
        }
    }

    /// Holds a reply against its request.
    fn replied(&mut self, line: &str, reply: &Value<'static>) {
        let id = reply.at("id").to_json();
        let Some(request) = self.open.remove(&id) else { panic!("nobody asked: {line}") };
        let exact = [format!("\"id\":{id},"), format!("\"id\":{id}}}")];
        assert!(exact.iter().any(|part| line.contains(part)), "{id} in {line}");
        let answer = if reply.get("error").is_some() {
            assert!(reply.get("result").is_none(), "{line}");
            Answer::Error(code(reply))
        } else {
            reply.at("result");
            Answer::Result
        };
        assert_eq!(answer, request.answer, "{}", abridged(line));
        if let Some(token) = request.token {
            self.progress.remove(&token);
        }
    }
}

/// The seed of this run.
fn seed() -> u64 {
    let Ok(text) = std::env::var(SEED.0) else { return SEED.1 };
    let number = text.parse().unwrap_or_else(|e| panic!("{}: {e}", SEED.0));
    assert_ne!(number, 0, "{} cannot be 0", SEED.0);
    number
}

#[test]
fn ten_thousand_requests_of_both_eras_are_each_answered_once() {
    let dir = Dir::new();
    let seed = seed();
    eprintln!("{}={seed}", SEED.0);
    let mut server = dir.server();
    let anchors = [server.launch_with(&very_stuck()), server.launch_with(&very_stuck())];
    let mut session = Session {
        server,
        random: Random(seed),
        made: 0,
        tasks: 0,
        open: HashMap::new(),
        hanging: Vec::new(),
        taken_back: HashMap::new(),
        streams: HashMap::new(),
        progress: HashMap::new(),
        awaited: Vec::new(),
        anchors,
        lines: String::new(),
    };
    while session.made < REQUESTS {
        for _ in 0..=session.random.below(200) {
            match session.random.below(100) {
                0 if session.tasks < TASKS_AT_MOST && session.random.once_in(4) => session.task(),
                1 if session.hanging.len() < HANGING_AT_MOST => session.hang(),
                2 if !session.hanging.is_empty() => session.take_back(),
                3..13 => session.notification(),
                _ => session.cheap(),
            }
        }
        session.flush();
    }
    while !session.hanging.is_empty() {
        session.take_back();
    }
    session.flush();
    let Session { mut server, anchors, .. } = session;
    let all = ids(&[&anchors[0], &anchors[1]]);
    server.ok("codex_cancel", &all);
    server.ok("codex_wait", &all);
    server.end();
}
