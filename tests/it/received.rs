//! Every parameter arrives: what the stand-in was really given, word by word.

use crate::support::*;
use std::fs;

/// Runs codex once with a plain prompt and these members, and gives what arrived.
fn given(server: &mut Server<'_>, more: &str) -> Received {
    let text = server.ok("codex", &prompt_and("x", more));
    server.dir.received(&task_id(&text))
}

/// A TOML string read back.
pub fn toml_string(value: &str) -> String {
    match value.strip_prefix('\'').and_then(|value| value.strip_suffix('\'')) {
        Some(literal) => literal.to_owned(),
        None => read_json(value).as_str().unwrap_or_else(|| panic!("{value}")).to_owned(),
    }
}

#[test]
fn a_bare_prompt_runs_in_the_servers_directory_with_nothing_added() {
    let dir = Dir::new();
    let mut server = dir.server();
    let received = given(&mut server, "");
    assert_eq!(received.argv.first().unwrap(), "exec");
    assert_eq!(received.argv.last().unwrap(), "-");
    assert!(received.has("--json"));
    assert_eq!(received.options("cd"), [dir.path("work").to_str().unwrap()]);
    assert_eq!(received.cwd, dir.path("work"));
    for name in ["model", "sandbox", "profile", "add-dir", "image", "output-schema"] {
        assert!(received.options(name).is_empty(), "{name}: {:?}", received.argv);
    }
    assert!(!received.has("resume") && !received.has("fork"));
    assert!(!received.has("--ephemeral") && !received.has("--skip-git-repo-check"));
}

#[test]
fn the_plain_parameters_arrive_as_flags() {
    let dir = Dir::new();
    let mut server = dir.server();
    let (cwd, one, two) = (dir.make("a dir"), dir.make("one"), dir.make("-two"));
    let image = dir.write("a, b.png", "no image");
    let picture = dir.write("picture.png", "no image");
    let more = format!(
        r#""model":"gpt-5 x","sandbox":"workspace-write","cwd":{},"profile":"work",
           "add-dirs":[{},{}],"images":[{}]"#,
        quoted_path(&cwd),
        quoted_path(&one),
        quoted_path(&two),
        quoted_path(&picture),
    )
    .replace('\n', "");
    let received = given(&mut server, &more);
    assert_eq!(received.options("model"), ["gpt-5 x"]);
    assert_eq!(received.options("sandbox"), ["workspace-write"]);
    assert_eq!(received.options("cd"), [cwd.to_str().unwrap()]);
    assert_eq!(received.cwd, cwd);
    assert_eq!(received.options("profile"), ["work"]);
    assert_eq!(received.options("add-dir"), [one.to_str().unwrap(), two.to_str().unwrap()]);
    assert_eq!(received.options("image"), [picture.to_str().unwrap()]);
    // Codex splits this flag's value at commas.
    let result =
        server.call("codex", &prompt_and("x", &format!(r#""images":[{}]"#, quoted_path(&image))));
    if is_error(&result) {
        assert!(text_of(&result).contains("images"), "{}", text_of(&result));
    } else {
        let received = dir.received(&task_id(&text_of(&result)));
        assert!(!received.options("image")[0].contains(','), "{:?}", received.argv);
    }
}

#[test]
fn each_sandbox_and_each_approval_policy_arrives() {
    let dir = Dir::new();
    let mut server = dir.server();
    for sandbox in ["read-only", "workspace-write", "danger-full-access"] {
        let received = given(&mut server, &format!(r#""sandbox":"{sandbox}""#));
        assert_eq!(received.options("sandbox"), [sandbox]);
        // Or a reviewing model might let a command out of the sandbox.
        let reviewed_by_user = received.configs().contains(&r#"approvals_reviewer="user""#);
        assert!(reviewed_by_user || sandbox != "read-only", "{:?}", received.argv);
    }
    for policy in ["on-request", "never"] {
        let received = given(&mut server, &format!(r#""approval-policy":"{policy}""#));
        assert_eq!(toml_string(received.config("approval_policy").unwrap()), policy);
    }
}

#[test]
fn instructions_arrive_whole_whatever_is_in_them() {
    let dir = Dir::new();
    let mut server = dir.server();
    for text in [
        "be brief",
        "5",
        "true",
        "two\nlines, \"quoted\" and 'quoted', a \\ and a = and # and é 😀",
        "'''",
        "\"\"\"",
        "tab\tcontrol\u{1}\u{7f}\u{85}\u{2028}",
        "--help",
        " spaced ",
        "{a=1}",
    ] {
        let more = format!(
            r#""base-instructions":{0},"developer-instructions":{0},"compact-prompt":{0},"config":{{"own":{0}}}"#,
            quoted(text)
        );
        let received = given(&mut server, &more);
        for key in ["developer_instructions", "compact_prompt", "own"] {
            assert_eq!(toml_string(received.config(key).unwrap()), text, "{key}");
        }
        // These replace Codex's own instructions and are too long for an argv: a file has them.
        let named = received.configs().into_iter().any(|config| {
            let value = config.split_once('=').unwrap().1;
            let path = value.trim_matches(['"', '\'']);
            path.starts_with('/') && fs::read_to_string(path).is_ok_and(|found| found == text)
        });
        assert!(named, "no file has {text:?}: {:?}", received.argv);
    }
}

#[test]
fn config_values_keep_their_json_type_as_toml() {
    let dir = Dir::new();
    let mut server = dir.server();
    for (json, toml) in [
        (r#""5""#, r#""5""#),
        ("5", "5"),
        ("-7", "-7"),
        ("1.5", "1.5"),
        ("9007199254740993", "9007199254740993"),
        ("true", "true"),
        (r#""true""#, r#""true""#),
        (r#""""#, r#""""#),
        (r#""[1]""#, r#""[1]""#),
        (r#""2020-01-01""#, r#""2020-01-01""#),
        ("[]", "[]"),
        ("{}", "{}"),
        (r#"[1,"a",[true]]"#, r#"[1,"a",[true]]"#),
        (r#"{"a":{"b":"c","d":5},"e":[1]}"#, r#"{a={b="c",d=5},e=[1]}"#),
        (r#"[{"k":"v"},{"k":"w"}]"#, r#"[{k="v"},{k="w"}]"#),
        (r#"{"a b":1,"":2,"x.y":3}"#, r#"{"a b"=1,""=2,"x.y"=3}"#),
    ] {
        let received = given(&mut server, &format!(r#""config":{{"key":{json}}}"#));
        let value = received.config("key").unwrap_or_else(|| panic!("{json}: {:?}", received.argv));
        // Blanks, and quotes around a plain key, make no difference in TOML.
        let squeezed = |text: &str| {
            ["a", "b", "d", "e", "k"].iter().fold(text.replace(' ', ""), |text, key| {
                text.replace(&format!("\"{key}\"="), &format!("{key}="))
            })
        };
        assert_eq!(squeezed(value), squeezed(toml), "{json}");
    }
}

#[test]
fn a_config_key_may_be_a_dotted_path() {
    let dir = Dir::new();
    let mut server = dir.server();
    let more = r#""config":{"sandbox_workspace_write.network_access":true,"model_reasoning_effort":"high"}"#;
    let received = given(&mut server, more);
    assert_eq!(received.config("sandbox_workspace_write.network_access"), Some("true"));
    assert_eq!(received.config("model_reasoning_effort"), Some("\"high\""));
}

#[test]
fn an_output_schema_arrives_as_a_file() {
    let dir = Dir::new();
    let mut server = dir.server();
    let schema = r#"{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}"#;
    let received = given(&mut server, &format!(r#""output-schema":{schema}"#));
    let file = received.options("output-schema")[0];
    assert_eq!(read_json(&fs::read_to_string(file).unwrap()), read_json(schema));
}

#[test]
fn a_value_with_a_leading_dash_is_no_flag() {
    let dir = Dir::new();
    let mut server = dir.server();
    for (name, value) in [("model", "--help"), ("profile", "-p")] {
        let result = server.call("codex", &prompt_and("x", &format!(r#""{name}":"{value}""#)));
        if is_error(&result) {
            assert!(text_of(&result).contains(name), "{}", text_of(&result));
        } else {
            let received = dir.received(&task_id(&text_of(&result)));
            assert_eq!(received.options(name), [value]);
            assert!(!received.has(value), "{:?}", received.argv);
        }
    }
}

#[test]
fn a_relative_cwd_is_below_the_servers_own() {
    let dir = Dir::new();
    let mut server = dir.server();
    dir.make("work/sub");
    let received = given(&mut server, r#""cwd":"sub""#);
    assert_eq!(received.cwd, dir.path("work/sub"));
    assert_eq!(received.options("cd"), [dir.path("work/sub").to_str().unwrap()]);
}

#[test]
fn resuming_and_forking_put_every_flag_before_the_word() {
    let dir = Dir::new();
    let mut server = dir.server();
    let thread = thread_of("00000001");
    for (fork, word) in
        [("", "resume"), (r#","fork":false"#, "resume"), (r#","fork":true"#, "fork")]
    {
        let more = format!(r#""threadId":"{thread}","model":"m","sandbox":"read-only"{fork}"#);
        let received = given(&mut server, &more);
        assert!(received.argv.ends_with(&[word.to_owned(), thread.clone(), "-".to_owned()]));
        assert_eq!(received.options("model"), ["m"]);
        assert_eq!(received.options("sandbox"), ["read-only"]);
    }
}

#[test]
fn codex_gets_its_prompt_as_a_file_its_own_process_group_and_the_tasks_mark() {
    let dir = Dir::new();
    let mut command = dir.command();
    command.args(["--codex", STANDIN]).env("CODEX_API_KEY", "passed on");
    let mut server = Server::spawn(&dir, command);
    server.initialize();
    let text = server.ok("codex", r#"{"prompt":"x"}"#);
    let id = task_id(&text);
    let received = dir.received(&id);
    for line in [format!("CODEX_SWARM_TASK={id}"), "CODEX_API_KEY=passed on".to_owned()] {
        assert!(received.env.lines().any(|l| l == line), "{line} in:\n{}", received.env);
    }
    if cfg!(target_os = "linux") {
        assert_eq!(received.stdin_is, dir.task_file(&id, "prompt"));
        let pid = received.stat.split_once(' ').unwrap().0;
        let after_name = received.stat.rsplit_once(") ").unwrap().1;
        let [parent, group, session] = [1, 2, 3].map(|n| after_name.split(' ').nth(n).unwrap());
        assert_eq!(group, pid, "the leader of its own group");
        assert_eq!(session, parent, "in the session of its supervisor, not of the server");
    }
}

#[test]
fn codex_async_and_codex_batch_hand_on_the_same_parameters() {
    let dir = Dir::new();
    let mut server = dir.server();
    let cwd = dir.make("elsewhere");
    let more = format!(r#""model":"m","cwd":{},"config":{{"a":"5"}}"#, quoted_path(&cwd));
    let args = prompt_and("x", &more);
    let id = server.launch_with(&args);
    server.wait(&[&id]);
    let text = server.ok("codex_batch", &format!(r#"{{"tasks":[{args}]}}"#));
    let of_batch = text.split("=== Task ").nth(1).unwrap()[..8].to_owned();
    for id in [id, of_batch] {
        let received = dir.received(&id);
        assert_eq!(received.options("model"), ["m"]);
        assert_eq!(received.cwd, cwd);
        assert_eq!(received.config("a"), Some("\"5\""));
    }
}
