//! The real Codex CLI as the server's client, and as its workers: a model that calls our tools has
//! three tasks done by three others. All of them are played by the stand-in of tests/model.
//!
//! Where there is no Codex CLI these tests pass as those of `real` do.

use crate::json::Value;
use crate::readme::{listed_words, registration};
use crate::real::{Real, body};
use crate::support::*;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::process::{Child, Command, Stdio};

/// A model that calls tools one by one.
const DIRECT: &str = "gpt-5.5";

/// A model that calls tools from programs, as Codex's default does.
const PROGRAMS: &str = "gpt-6.1-sol";

/// The key that lets Codex use tools that do more than read where it has nobody to ask.
const APPROVAL: &str = "default_tools_approval_mode";

/// Registers the server with Codex as the README does it, but for these keys: they have these values,
/// or are left out.
fn register(real: &Real, instead: &[(&str, Option<&str>)]) {
    let mut keys = registration();
    for (key, value) in instead {
        let before = keys.remove(*key);
        assert!(before.is_some(), "the README has no {key}");
        keys.extend(value.map(|value| ((*key).to_owned(), value.to_owned())));
    }
    let command = real.dir.command();
    let names = command.get_envs().map(|(name, _)| name.to_str().unwrap());
    // these two Codex hands on by itself
    let names: Vec<&str> = names.filter(|name| !matches!(*name, "HOME" | "PATH")).collect();
    let codex = ["--skip-git-repo-check", "--codex", real.codex.to_str().unwrap()];
    let own = [
        ("command", quoted(tested_program())),
        ("args", longer(&keys["args"], &codex)),
        ("env_vars", longer(&keys["env_vars"], &names)),
    ];
    keys.extend(own.map(|(key, value)| (key.to_owned(), value)));
    let keys = keys.iter().map(|(key, value)| format!("{key} = {value}\n"));
    let server = format!("\n[mcp_servers.codex-swarm]\n{}", keys.collect::<String>());
    let path = real.dir.path("codex-home/config.toml");
    File::options().append(true).open(path).unwrap().write_all(server.as_bytes()).unwrap();
}

/// A list of words in TOML, with more words behind them.
fn longer(words: &str, more: &[&str]) -> String {
    let words = listed_words(words);
    list(&words.iter().map(String::as_str).chain(more.iter().copied()).collect::<Vec<_>>())
}

/// A codex that is the client.
struct Client<'r> {
    real: &'r Real,
    child: Child,
}

/// What became of it.
struct Run {
    /// What its model was sent last.
    sent: Value<'static>,
    /// Its last message.
    said: String,
}

impl<'r> Client<'r> {
    /// Starts it with a model that follows the script.
    fn start(real: &'r Real, model: &str, script: &str) -> Client<'r> {
        let dir = &real.dir;
        let command = dir.command();
        let env = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
        let mut child = Command::new(&real.codex)
            .args(["exec", "--json", "--skip-git-repo-check", "-m", model, "-"])
            .env_clear()
            .envs(env)
            .env("CODEX_HOME", dir.path("codex-home"))
            .current_dir(dir.path("work"))
            .stdin(Stdio::piped())
            .stdout(File::create(dir.path("client")).unwrap())
            .stderr(File::create(dir.path("errors")).unwrap())
            .spawn()
            .expect("codex starts");
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        Client { real, child }
    }

    /// Waits for its end, which must be a good one.
    fn end(mut self) -> Run {
        let status = until("the client's end", || self.child.try_wait().unwrap());
        let events = fs::read_to_string(self.real.dir.path("client")).unwrap();
        assert!(status.success(), "{status}: {}", abridged(&events));
        let events: Vec<Value<'static>> = events.lines().map(read_json).collect();
        let mut messages = events.iter().rev().filter_map(|event| event.find("item.text"));
        let said = messages.next().and_then(Value::as_str).expect("a message").to_owned();
        Run { sent: self.real.last_sent(events[0].str_at("thread_id")), said }
    }
}

/// A client that runs to its end.
fn run(real: &Real, model: &str, script: &str) -> Run {
    Client::start(real, model, script).end()
}

/// What names the tasks that were started before.
const STARTED: &str = r#"{"task_ids":[<<Task ID>>]}"#;

/// A step that calls these of our tools with these arguments, all in one answer.
fn call(calls: &[(&str, &str)]) -> String {
    let calls = calls.iter().map(|(tool, json)| format!("mcp__codex_swarm.{tool} {json}"));
    format!("call: {}\n", calls.collect::<Vec<_>>().join(" ||| "))
}

/// Three tasks: their arguments.
fn red_green_blue() -> [String; 3] {
    ["red", "green", "blue"].map(|word| prompt_and(&format!("say: {word}"), ""))
}

/// The ids of all tasks.
fn tasks(dir: &Dir) -> Vec<String> {
    let files = fs::read_dir(dir.path("tasks")).into_iter().flatten();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| Some(name.strip_suffix(".meta")?.to_owned())).collect()
}

/// Has a model of the client follow the script, which must bring about three tasks that say red, green
/// and blue: each in a thread of its own, and all of it told to the client's model, which repeats it.
fn three_tasks(model: &str, script: &str) {
    let Some(real) = Real::new() else { return };
    register(&real, &[]);
    let run = run(&real, model, script);
    let told = body::outputs(&run.sent).pop().expect("an output");
    assert_eq!(run.said, told);
    let (mut threads, mut answers) = (BTreeSet::new(), BTreeSet::new());
    for id in tasks(&real.dir) {
        let record = real.dir.record(&id);
        assert_eq!(record.str_at("status"), "completed");
        let part = section(&told, &id);
        assert!(part.contains("(completed in "), "{told}");
        let thread = thread_id(part).to_owned();
        assert_eq!(record.str_at("thread_id"), thread);
        let sent = real.last_sent(&thread);
        let answer = body::prompt(&sent).strip_prefix("say: ").unwrap().to_owned();
        assert!(part.ends_with(&format!("\n\n{answer}\n")), "{told}");
        assert!(!sent.to_json().contains("mcp__codex_swarm"), "a worker has our tools");
        gone(&mark_of(&id));
        threads.insert(thread);
        answers.insert(answer);
    }
    assert_eq!(threads.len(), 3, "{told}");
    assert_eq!(answers, ["blue", "green", "red"].map(str::to_owned).into());
}

#[test]
fn codex_fans_three_tasks_out_and_gets_their_results() {
    let start = call(&red_green_blue().each_ref().map(|task| ("codex_async", task.as_str())));
    let wait = call(&[("codex_wait", STARTED)]);
    three_tasks(DIRECT, &format!("{start}{wait}say-output"));
}

#[test]
fn codex_has_three_tasks_done_in_one_call() {
    let tasks = format!(r#"{{"tasks":[{}]}}"#, red_green_blue().join(","));
    three_tasks(DIRECT, &(call(&[("codex_batch", &tasks)]) + "say-output"));
}

#[test]
fn a_program_of_a_model_fans_three_tasks_out() {
    let script = [
        "js: const { mcp__codex_swarm__codex_async: start, mcp__codex_swarm__codex_wait: wait } = tools;",
        "const id = (result) => result.content[0].text.match(/^Task ID: (.*)$/m)[1];",
        "const prompts = ['say: red', 'say: green', 'say: blue'];",
        "const started = await Promise.all(prompts.map((prompt) => start({ prompt })));",
        "text((await wait({ task_ids: started.map(id) })).content[0].text);",
        ";; say-output",
    ];
    three_tasks(PROGRAMS, &script.join(" "));
}

#[test]
fn calls_of_one_answer_run_at_once() {
    let Some(real) = Real::new() else { return };
    register(&real, &[]);
    // each of the two waits for the other
    let tasks = [("a", "b"), ("b", "a")].map(|(mine, other)| {
        let script = format!("run: touch {mine}; until [ -e {other} ]; do sleep 0.1; done");
        prompt_and(&script, r#""sandbox":"workspace-write""#)
    });
    let script = call(&tasks.each_ref().map(|task| ("codex", task.as_str())));
    let outputs = body::outputs(&run(&real, DIRECT, &script).sent);
    let done = outputs.iter().map(|output| answer(output)).filter(|text| text.ends_with("\ndone"));
    assert_eq!(done.count(), 2, "{outputs:?}");
}

#[test]
fn codex_finds_our_tools_and_has_its_model_read_what_the_server_says() {
    let Some(real) = Real::new() else { return };
    register(&real, &[]);
    let sent = run(&real, DIRECT, "find: codex tasks").sent;
    let mut server = real.server();
    let welcome = server.initialize();
    let instructions = welcome.str_at("result.instructions");
    let first = format!("\n- mcp__codex_swarm: {}\n", instructions.lines().next().unwrap());
    assert!(body::last(&sent, "<tools>").contains(&first));

    let found = body::found(&sent, "mcp__codex_swarm");
    assert_eq!(found.str_at("description"), instructions);
    let said = |tools: &Value<'static>| -> BTreeSet<(String, String)> {
        let said = |tool: &Value<'static>, key| tool.str_at(key).to_owned();
        let tools = tools.as_array().unwrap().iter();
        tools.map(|tool| (said(tool, "name"), said(tool, "description"))).collect()
    };
    let ours = server.ask("tools/list", "{}");
    assert_eq!(said(found.at("tools")), said(ours.at("result.tools")));
}

#[test]
fn codex_needs_to_be_told_that_tools_may_do_more_than_read() {
    let Some(real) = Real::new() else { return };
    register(&real, &[(APPROVAL, None)]);
    let script = call(&[("codex_async", &prompt_and("say: x", "")), ("codex_status", "{}")]);
    let outputs = body::outputs(&run(&real, DIRECT, &script).sent);
    assert!(outputs[0].contains("requires approval"), "{outputs:?}");
    assert!(outputs[1].contains("No task is running"), "{outputs:?}");
    assert_eq!(tasks(&real.dir), [""; 0]);
}

#[test]
fn when_codex_has_waited_enough_the_task_in_the_background_goes_on_and_the_other_ends() {
    let Some(real) = Real::new() else { return };
    register(&real, &[("tool_timeout_sec", Some("4"))]);
    let task = prompt_and("hang", "");
    let script = [
        call(&[("codex_async", &task)]),
        call(&[("codex_wait", STARTED), ("codex", &task)]),
        "run: until [ -e gate ]; do sleep 0.1; done\n".to_owned(),
        call(&[("codex_status", "{}")]),
    ];
    let client = Client::start(&real, DIRECT, &script.concat());
    let status = |id: &String| real.dir.record(id).str_at("status").to_owned();
    let ended = until("a task that is cancelled", || {
        tasks(&real.dir).into_iter().find(|id| status(id) == "cancelled")
    });
    real.dir.write("work/gate", "");
    let outputs = body::outputs(&client.end().sent);
    for output in &outputs[1..3] {
        assert!(output.contains("timed out awaiting tools/call after 4s"), "{output}");
    }
    let (goes_on, status) = (task_id(&outputs[0]), outputs.last().unwrap());
    assert!(section(status, &goes_on).contains("\nPhase: running\n"), "{status}");
    assert!(section(status, &ended).contains("(CANCELLED after "), "{status}");
    real.server().ok("codex_cancel", &ids(&[&goes_on]));
}
