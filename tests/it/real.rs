//! The real Codex CLI under the server, with a stand-in for the model behind it (tests/model): what
//! arrives at the model, what is left of the processes, and that many tasks at once cost no more time
//! than one.
//!
//! Where there is no Codex CLI these tests say so and pass, unless `CODEX_SWARM_REQUIRE_CODEX` is set.
//! Codex is that of `target/codex`, where `tests/demo` installs it, else the one on PATH. It never sees
//! the user's own configuration.

use crate::json::Value;
use crate::support::*;
use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The way about in what the model was sent.
pub mod body {
    use super::*;

    /// All texts of the conversation, in order, with the role that each is said in.
    pub fn texts<'b>(body: &'b Value<'static>) -> Vec<(&'b str, &'b str)> {
        let items = body.at("input").as_array().unwrap();
        let said = items.iter().filter_map(|item| {
            let role = item.get("role")?.as_str()?;
            Some(item.get("content")?.as_array()?.iter().map(move |part| (role, part)))
        });
        said.flatten()
            .filter_map(|(role, part)| Some((role, part.get("text")?.as_str()?)))
            .collect()
    }

    /// What a user said last: the prompt.
    pub fn prompt<'b>(body: &'b Value<'static>) -> &'b str {
        texts(body).into_iter().rfind(|(role, _)| *role == "user").expect("a prompt").1
    }

    /// The last text that begins so. What changes in a thread is said again; what was said stays.
    pub fn last<'b>(body: &'b Value<'static>, start: &str) -> &'b str {
        let all = texts(body);
        let found = all.iter().rfind(|(_, text)| text.starts_with(start));
        found.unwrap_or_else(|| panic!("no {start} in {all:?}")).1
    }

    /// Whether somebody said exactly this.
    pub fn has(body: &Value<'static>, role: &str, text: &str) -> bool {
        texts(body).contains(&(role, text))
    }

    /// What tools have put out, in order.
    pub fn outputs(body: &Value<'static>) -> Vec<String> {
        let items = body.at("input").as_array().unwrap();
        let outputs = items.iter().filter_map(|item| item.get("output"));
        let text = |output: &Value<'static>| match output.as_array() {
            Some(parts) => {
                parts.iter().map(|part| part.str_at("text")).collect::<Vec<_>>().join("\n")
            }
            None => output.as_str().expect("a text").to_owned(),
        };
        outputs.map(text).collect()
    }

    /// A group of tools that Codex has found for the model, as it shows it.
    pub fn found<'b>(body: &'b Value<'static>, name: &str) -> &'b Value<'static> {
        let items = body.at("input").as_array().unwrap();
        let groups = items.iter().filter_map(|item| item.get("tools")?.as_array()).flatten();
        groups.rev().find(|group| group.str_at("name") == name).expect("tools that were found")
    }

    /// What Codex says of the turn besides the conversation.
    pub fn turn(body: &Value<'static>) -> Value<'static> {
        read_json(body.str_at("client_metadata.x-codex-turn-metadata"))
    }
}

/// The stand-in for the model: a process that ends when its stdin does.
struct Model {
    child: Child,
    port: String,
    /// Where it leaves the body of each request.
    bodies: PathBuf,
}

impl Model {
    fn start(bodies: PathBuf) -> Model {
        let mut child = Command::new(model_program())
            .args(["--until-stdin-closes", "--dump"])
            .arg(&bodies)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the model starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().strip_prefix("PORT=").expect("a port").to_owned();
        Model { child, port, bodies }
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

/// The example `model`, as it is now: cargo tests it where it tests all, but does not build it then.
fn model_program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        // this is TARGET/PROFILE/deps/it-…
        let here = env::current_exe().unwrap();
        let profile = here.parent().and_then(Path::parent).unwrap();
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args(["build", "--quiet", "--example", "model", "--target-dir"])
            .arg(profile.parent().unwrap())
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success(), "the model cannot be built");
        profile.join("examples/model")
    })
}

/// The Codex CLI, if there is one.
fn codex_program() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/codex/node_modules/.bin/codex");
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).map(|directory| directory.join("codex"));
    [own].into_iter().chain(on_path).find(|program| program.is_file())
}

/// What a test needs of the real thing. The model goes before the directory, which has to be left alone.
pub struct Real {
    model: Model,
    pub codex: PathBuf,
    pub dir: Dir,
}

impl Real {
    /// `None`, and a word about it, where there is no Codex CLI.
    pub fn new() -> Option<Real> {
        Real::with("")
    }

    /// The same with more lines at the top of Codex's config.toml.
    fn with(config: &str) -> Option<Real> {
        let Some(codex) = codex_program() else {
            let test = thread::current().name().unwrap_or("?").to_owned();
            let required = env::var_os("CODEX_SWARM_REQUIRE_CODEX").is_some();
            assert!(!required, "no codex CLI in target/codex or on PATH");
            eprintln!("skipped: {test}: no codex CLI in target/codex or on PATH");
            return None;
        };
        let dir = Dir::new();
        let model = Model::start(dir.path("bodies"));
        dir.make("codex-home");
        // one try each, so that a failure is told at once, and so that no codex outlives an interrupted
        // test to look for its model; nothing that Codex fetches from elsewhere
        let config = format!(
            "{config}\nmodel = \"gpt-5.5\"\nmodel_provider = \"fake\"\n\n\
             [model_providers.fake]\nname = \"fake\"\nbase_url = \"http://127.0.0.1:{}/v1\"\n\
             wire_api = \"responses\"\nrequest_max_retries = 0\nstream_max_retries = 0\n\n\
             [features]\nunbounded_connection_retries = false\nplugins = false\n\
             shell_snapshot = false\n",
            model.port
        );
        dir.write("codex-home/config.toml", &config);
        Some(Real { model, codex, dir })
    }

    /// A server on the real Codex, past its handshake.
    pub fn server(&self) -> Server<'_> {
        self.server_with(&[])
    }

    /// The same with more flags.
    pub fn server_with(&self, flags: &[&str]) -> Server<'_> {
        let mut command = self.dir.command();
        command
            .env("CODEX_HOME", self.dir.path("codex-home"))
            .args(["--skip-git-repo-check", "--codex"])
            .arg(&self.codex)
            .args(flags);
        let mut server = Server::spawn(&self.dir, command);
        server.initialize();
        server
    }

    /// What the model was sent for a thread, in order.
    fn sent(&self, thread: &str) -> Vec<Value<'static>> {
        let mut files: Vec<PathBuf> =
            fs::read_dir(&self.model.bodies).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.retain(|file| file.extension().is_some_and(|kind| kind == "json"));
        let bodies = files.iter().map(|file| read_json(&fs::read_to_string(file).unwrap()));
        bodies.filter(|body| body.str_at("prompt_cache_key") == thread).collect()
    }

    /// The last of it.
    pub fn last_sent(&self, thread: &str) -> Value<'static> {
        self.sent(thread).pop().unwrap_or_else(|| panic!("the model heard nothing of {thread}"))
    }
}

/// Runs a tool that answers with a task's result: the answer and its thread.
fn ask(server: &mut Server<'_>, tool: &str, args: &str) -> (String, String) {
    let text = server.ok(tool, args);
    (answer(&text).to_owned(), thread_id(&text).to_owned())
}

/// A length of sleep that no other test and no other run of this one has, of ten minutes: so that the
/// processes that sleep so long are known, also without their environment.
pub fn a_sleep(number: u32) -> String {
    format!("{}.{}", 600 + number, std::process::id())
}

/// How many processes sleep that long.
pub fn sleepers(length: &str) -> usize {
    let line = format!("sleep\0{length}\0");
    each_process("cmdline").iter().filter(|(_, cmdline)| *cmdline == line.as_bytes()).count()
}

/// What stands in a task's transcript so far.
fn transcript(dir: &Dir, id: &str) -> String {
    fs::read_to_string(dir.task_file(id, "stdout")).unwrap_or_default()
}

/// Cancels a task, which has to be over in three seconds with all that sleeps.
fn cancel(server: &mut Server<'_>, id: &str, length: &str) {
    let begin = Instant::now();
    let text = server.ok("codex_cancel", &format!(r#"{{"task_id":"{id}"}}"#));
    let took = begin.elapsed();
    assert!(text.contains(&format!("Task {id} is cancelled")), "{text}");
    assert_eq!(sleepers(length), 0, "a command of the cancelled task {id} lives on");
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert!(section(&server.wait(&[id]), id).contains("(cancelled "));
}

#[test]
fn eight_tasks_take_as_long_as_one_and_the_server_answers_meanwhile() {
    let Some(real) = Real::new() else { return };
    let mut server = real.server();
    let args = prompt_and("run: sleep 3\nsay: slept", "");
    let begin = Instant::now();
    server.ok("codex", &args);
    let one = begin.elapsed();

    let begin = Instant::now();
    let tasks: Vec<String> = (0..8).map(|_| server.launch_with(&args)).collect();
    let launched = begin.elapsed();
    assert!(launched < one, "launching eight took {launched:?}, one task takes {one:?}");
    let all: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let wait = server.begin("codex_wait", &ids(&all));

    until("all eight commands", || {
        let text = server.ok("codex_status", &ids(&all));
        (text.matches("Last tool: exec_command(sleep 3)\n").count() == 8).then_some(())
    });
    let none = "{}".to_owned();
    let status = format!(r#"{{"name":"codex_status","arguments":{}}}"#, ids(&all));
    for (method, params) in [("ping", &none), ("tools/list", &none), ("tools/call", &status)] {
        let mut times: Vec<Duration> = (0..15)
            .map(|_| {
                let begin = Instant::now();
                server.ask(method, params);
                begin.elapsed()
            })
            .collect();
        times.sort();
        assert!(times[7] < Duration::from_millis(50), "{method}: {times:?}");
    }

    let text = text_of(&server.result(wait));
    let took = begin.elapsed();
    for id in &tasks {
        assert!(section(&text, id).contains("(completed in "), "{text}");
        assert!(section(&text, id).ends_with("\nslept\n"), "{text}");
    }
    assert!(took < 3 * one, "eight took {took:?}, one took {one:?}");
}

#[test]
fn a_thread_goes_on_with_all_that_it_was_given() {
    let Some(real) = Real::new() else { return };
    let mut server = real.server();
    let there = real.dir.make("there");
    let more = format!(r#""cwd":{},"sandbox":"workspace-write""#, quoted_path(&there));
    let (one, thread) = ask(&mut server, "codex", &prompt_and("say: one", &more));
    assert_eq!(one, "one");
    let cwd = format!("<cwd>{}</cwd>", there.display());
    // a reply in another directory or another sandbox would have to tell the model so
    let goes_on = |body: &Value<'static>, prompts: &[&str]| {
        assert!(body::last(body, "<environment_context>").contains(&cwd));
        assert_eq!(body::turn(body).str_at("sandbox_mode"), "workspace-write");
        for prompt in prompts {
            assert!(body::has(body, "user", prompt), "{prompt}");
        }
    };
    goes_on(&real.last_sent(&thread), &["say: one"]);

    let reply = prompt_and("say: two", &format!(r#""threadId":"{thread}""#));
    let (two, same) = ask(&mut server, "codex_reply", &reply);
    assert_eq!((two.as_str(), &same), ("two", &thread));
    let sent = real.last_sent(&thread);
    goes_on(&sent, &["say: one", "say: two"]);
    assert!(body::has(&sent, "assistant", "one"));

    let args = prompt_and("say: three", &format!(r#""threadId":"{thread}""#));
    let id = server.launch_with(&args);
    let text = server.wait(&[&id]);
    assert_eq!(thread_id(section(&text, &id)), thread);
    assert!(text.ends_with("\nthree\n"), "{text}");
    goes_on(&real.last_sent(&thread), &["say: one", "say: two", "say: three"]);

    let args = prompt_and("say: aside", &format!(r#""threadId":"{thread}","fork":true"#));
    let (aside, forked) = ask(&mut server, "codex", &args);
    assert_eq!(aside, "aside");
    assert_ne!(forked, thread);
    let sent = real.last_sent(&forked);
    goes_on(&sent, &["say: one", "say: two", "say: three", "say: aside"]);
    assert_eq!(body::turn(&sent).str_at("forked_from_thread_id"), thread);
}

#[test]
fn every_parameter_arrives() {
    // a reviewer that would let commands out of the sandbox, but for the approval policy
    let Some(real) = Real::with("approvals_reviewer = \"auto_review\"") else { return };
    let (there, extra) = (real.dir.make("there"), real.dir.make("extra"));
    real.dir.write("codex-home/careful.config.toml", "model_reasoning_summary = \"detailed\"\n");
    fs::write(real.dir.path("dot.png"), DOT).unwrap();
    let schema = r#"{"type":"object","properties":{"n":{"type":"integer"}}}"#;
    let more = [
        r#""model":"gpt-5.4","sandbox":"workspace-write","approval-policy":"never""#,
        &format!(r#""cwd":{},"add-dirs":[{}]"#, quoted_path(&there), quoted_path(&extra)),
        r#""profile":"careful","images":["../dot.png"],"base-instructions":"Be \"good\".""#,
        r#""developer-instructions":"Be 'brief'.\nVery.""#,
        &format!(r#""output-schema":{schema}"#),
        r#""config":{"shell_environment_policy.set":{"A":"5","B":"x \"y\" é"}"#,
        r#""model_reasoning_effort":"high","service_tier":"flex""#,
        r#""sandbox_workspace_write":{"network_access":true}}"#,
    ]
    .join(",");
    let mut server = real.server();
    let args = prompt_and(r#"run: echo "A=$A B=$B" && pwd ;; say-output"#, &more);
    let (answer, thread) = ask(&mut server, "codex", &args);
    let there = there.display();
    assert!(answer.ends_with(&format!("\nA=5 B=x \"y\" é\n{there}")), "{answer}");

    let sent = real.last_sent(&thread);
    let texts = body::texts(&sent);
    assert_eq!(texts[0], ("developer", "Be \"good\"."));
    assert_eq!(texts[1], ("developer", "Be 'brief'.\nVery."));
    assert_eq!(sent.str_at("model"), "gpt-5.4");
    assert_eq!(sent.str_at("reasoning.effort"), "high");
    assert_eq!(sent.str_at("service_tier"), "flex");
    assert_eq!(sent.str_at("reasoning.summary"), "detailed");
    assert_eq!(sent.at("text.format.schema").to_json(), schema);
    let turn = body::turn(&sent);
    assert_eq!(turn.str_at("sandbox_mode"), "workspace-write");
    assert_eq!(turn.at("auto_review_enabled"), &Value::Bool(false));
    let permissions = body::last(&sent, "<permissions instructions>");
    assert!(permissions.contains("Network access is enabled."), "{permissions}");
    assert!(permissions.contains(&format!("`{}`", extra.display())), "{permissions}");
    assert!(permissions.contains("Approval policy is currently never."), "{permissions}");
    let environment = body::last(&sent, "<environment_context>");
    assert!(environment.contains(&format!("<cwd>{there}</cwd>")), "{environment}");
    let input = sent.at("input").to_json();
    assert!(input.contains(r#""type":"input_image","image_url":"data:image/png;base64,iVBOR"#));
}

/// A picture of one black dot.
const DOT: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0:~\x9bU\
    \0\0\0\nIDATx\xdac`\0\0\0\x02\0\x01\xe5'\xde\xfc\0\0\0\0IEND\xaeB`\x82";

#[test]
fn a_number_is_no_string_and_a_string_no_number() {
    let Some(real) = Real::new() else { return };
    let mut server = real.server();
    let refused = |server: &mut Server<'_>, config: &str| {
        let args = prompt_and("say: x", &format!(r#""config":{{{config}}}"#));
        let text = server.refused("codex", &args);
        assert_eq!(field(&text, "Category").split(' ').next(), Some("invalid_request"), "{text}");
        text
    };
    let text = refused(&mut server, r#""model_reasoning_effort":5"#);
    assert!(text.contains("invalid type: integer `5`, expected a string"), "{text}");
    let text = refused(&mut server, r#""model_context_window":"5""#);
    assert!(text.contains("invalid type: string \"5\""), "{text}");
}

#[test]
fn a_compact_prompt_is_what_the_model_is_asked_when_the_context_is_full() {
    let Some(real) = Real::new() else { return };
    let mut server = real.server();
    let (_, thread) = ask(&mut server, "codex", &prompt_and("usage 50000\nsay: first", ""));
    let more = format!(
        r#""threadId":"{thread}","compact-prompt":"Sum it up, \"briefly\".","config":{{"model_auto_compact_token_limit":500}}"#
    );
    ask(&mut server, "codex_reply", &prompt_and("say: second", &more));
    let sent = real.sent(&thread);
    assert_eq!(sent.len(), 3, "the first turn, the compaction and the second turn");
    assert_eq!(body::turn(&sent[1]).str_at("request_kind"), "compaction");
    assert_eq!(body::prompt(&sent[1]), "Sum it up, \"briefly\".");
    assert_eq!(body::prompt(&sent[2]), "say: second");
}

#[test]
fn no_reviewer_lets_a_read_only_task_out_of_its_sandbox() {
    let Some(real) = Real::with("approvals_reviewer = \"auto_review\"") else { return };
    let mut server = real.server();
    // asked for, and as Codex's own default
    for more in [r#""sandbox":"read-only""#, ""] {
        let (_, thread) = ask(&mut server, "codex", &prompt_and("say: x", more));
        let turn = body::turn(&real.last_sent(&thread));
        assert_eq!(turn.str_at("sandbox_mode"), "read-only");
        assert_eq!(turn.at("auto_review_enabled"), &Value::Bool(false), "{more}");
    }
}

#[test]
fn a_prompt_reaches_the_model_as_it_is_and_is_in_no_command_line() {
    let Some(real) = Real::new() else { return };
    let mut server = real.server();
    let odd = format!("odd{}", std::process::id());
    let quotes = format!("it's \"{odd}\" `id` $HOME \\ \t% & | é 😀\n");
    let lines = format!("\n\n  {odd}\n");
    let long = format!("{odd} {}", "é".repeat(1_000_000 - odd.len() - 1));
    let prompts = ["--help", "-", "resume", &lines, &quotes, &long];
    let tasks: Vec<String> = prompts.iter().map(|prompt| prompt_and(prompt, "")).collect();
    let batch = server.begin("codex_batch", &format!(r#"{{"tasks":[{}]}}"#, tasks.join(",")));

    // all command lines that are to be seen while the tasks run
    let over = AtomicBool::new(false);
    let marker = real.dir.marker();
    let (text, seen) = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut seen = BTreeSet::new();
            while !over.load(Ordering::Relaxed) {
                seen.extend(processes_with(&marker));
                thread::sleep(Duration::from_millis(2));
            }
            seen
        });
        let result = server.result(batch);
        over.store(true, Ordering::Relaxed);
        (text_of(&result), watch.join().unwrap())
    });
    let codex: Vec<&String> = seen.iter().filter(|line| line.contains(" exec --json ")).collect();
    assert!(codex.len() >= prompts.len(), "{seen:?}");
    for line in codex {
        assert!(!line.contains(" --help") && !line.contains(" resume"), "{}", abridged(line));
    }
    for line in seen {
        assert!(!line.contains(&odd) && !line.contains("éé"), "{}", abridged(&line));
    }

    let sections: Vec<&str> = text.lines().filter(|line| line.starts_with("Thread ID: ")).collect();
    assert_eq!(sections.len(), prompts.len(), "{}", abridged(&text));
    for (line, prompt) in sections.iter().zip(prompts) {
        let sent = real.last_sent(thread_id(line));
        assert!(body::prompt(&sent) == prompt, "{}", abridged(body::prompt(&sent)));
    }
}

#[test]
fn nothing_of_a_cancelled_task_lives_on_and_its_thread_can_be_resumed() {
    let Some(real) = Real::new() else { return };
    let mut server = real.server();
    let danger = r#""sandbox":"danger-full-access""#;
    // the second one's commands have none of Codex's environment, and not our mark but for a word of ours
    let bare = r#""config":{"shell_environment_policy.inherit":"core"}"#;
    let tasks = [(1, danger.to_owned()), (2, format!("{danger},{bare}"))].map(|(number, more)| {
        let length = a_sleep(number);
        // one in front, one behind, and one that has left the session of its shell
        let script = format!("run: sleep {length} & setsid sleep {length} & sleep {length}");
        let id = server.launch_with(&prompt_and(&script, &more));
        (id, length)
    });
    for (id, length) in tasks {
        until("all sleepers", || (sleepers(&length) == 3).then_some(()));
        cancel(&mut server, &id, &length);
        let thread = thread_id(&server.status(&id)).to_owned();
        let reply = prompt_and("say: back", &format!(r#""threadId":"{thread}""#));
        let (back, same) = ask(&mut server, "codex_reply", &reply);
        assert_eq!((back.as_str(), &same), ("back", &thread));
        let sent = real.last_sent(&thread);
        assert_eq!(body::turn(&sent).str_at("sandbox_mode"), "danger-full-access");
        assert!(body::last(&sent, "<turn_aborted>").contains("interrupted"));
    }
}

#[test]
fn a_task_can_be_cancelled_at_any_moment_of_its_start() {
    let Some(real) = Real::new() else { return };
    let mut server = real.server();
    // Codex 0.169 loses a SIGINT that comes between its first tenth of a second and its turn
    let moments = ["", "", "thread.started", "thread.started", "turn.started"];
    for (number, moment) in (3..).zip(moments) {
        let length = a_sleep(number);
        let script = format!("run: sleep {length} & sleep {length}");
        let id = server.launch_with(&prompt_and(&script, r#""sandbox":"danger-full-access""#));
        until(moment, || transcript(&real.dir, &id).contains(moment).then_some(()));
        cancel(&mut server, &id, &length);
        gone(&mark_of(&id));
    }
}

#[test]
fn failures_have_the_category_of_their_cause() {
    let Some(real) = Real::new() else { return };
    let mut server = real.server();
    let failures = [
        ("fail 401", "authentication"),
        ("fail 429", "rate_limit"),
        ("fail 500", "provider_capacity"),
        ("failed insufficient_quota You exceeded your quota", "quota"),
        ("failed context_length_exceeded too long", "context_length"),
    ];
    let tasks: Vec<String> = failures.iter().map(|(script, _)| prompt_and(script, "")).collect();
    let text = server.ok("codex_batch", &format!(r#"{{"tasks":[{}]}}"#, tasks.join(",")));
    let found: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("Category: ")?.split(' ').next())
        .collect();
    assert_eq!(found, failures.map(|(_, category)| category), "{text}");
    assert_eq!(text.matches("=== Task ").count(), text.matches(" (failed in ").count(), "{text}");
}

#[test]
fn a_task_whose_model_cannot_be_reached_can_be_cancelled() {
    let Some(real) = Real::new() else { return };
    let mut server = real.server();
    // port 1 refuses; Codex then tries for ever, unless it is told not to
    let nobody = [
        r#""config":{"model_providers.fake.base_url":"http://127.0.0.1:1/v1""#,
        r#""features.unbounded_connection_retries":true}"#,
    ];
    let id = server.launch_with(&prompt_and("say: x", &nobody.join(",")));
    until("its turn", || transcript(&real.dir, &id).contains("turn.started").then_some(()));
    cancel(&mut server, &id, &a_sleep(9));
}

#[test]
fn a_locked_server_has_tasks_write_where_its_flags_say_whatever_the_configuration_does() {
    let wide = "sandbox_mode = \"danger-full-access\"\napprovals_reviewer = \"auto_review\"";
    let Some(real) = Real::with(wide) else { return };
    let (cwd, outside) = (real.dir.make("work/cwd"), real.dir.make("work/outside"));
    let writing =
        ["sandbox_mode=workspace-write", "sandbox_workspace_write.exclude_slash_tmp=true"];
    for (config, writes) in [(&[][..], false), (&writing, true)] {
        let flags: Vec<&str> = config.iter().flat_map(|word| ["-c", word]).collect();
        let mut server = real.server_with(&[&["--locked"], &flags[..]].concat());
        let run = format!("run: pwd; touch in; touch {}/out ;; say-output", outside.display());
        let args = prompt_and(&run, r#""cwd":"cwd""#);
        let (answer, thread) = ask(&mut server, "codex", &args);
        assert!(answer.contains(&format!("\n{}\n", cwd.display())), "{answer}");
        let reply = prompt_and(&run, &format!(r#""threadId":"{thread}""#));
        for _ in 0..2 {
            assert_eq!(cwd.join("in").exists(), writes);
            assert!(!outside.join("out").exists());
            let _ = fs::remove_file(cwd.join("in"));
            // Codex itself forgets the directory and the sandbox
            let (answer, _) = ask(&mut server, "codex_reply", &reply);
            assert!(answer.contains(&format!("\n{}\n", cwd.display())), "{answer}");
        }
    }
}

#[test]
fn tasks_outlive_a_server_that_is_killed_and_the_next_one_has_their_results() {
    let Some(real) = Real::new() else { return };
    let mut server = real.server();
    let length = format!("3.{}", std::process::id());
    let good = server.launch_with(&prompt_and(&format!("run: sleep {length}\nsay: made it"), ""));
    let bad = server.launch_with(&prompt_and(&format!("run: sleep {length}\nfail 429"), ""));
    until("both commands", || (sleepers(&length) == 2).then_some(()));
    server.crash();

    let mut server = real.server();
    let text = server.wait(&[&good, &bad]);
    let (good, bad) = (section(&text, &good), section(&text, &bad));
    assert!(good.contains("(completed in ") && good.contains("\nmade it\n"), "{text}");
    assert!(bad.contains("(failed in ") && bad.contains("exit 1"), "{text}");
    assert!(field(bad, "Category").starts_with("rate_limit"), "{text}");
    assert!(!text.contains("inferred"), "{text}");
}
