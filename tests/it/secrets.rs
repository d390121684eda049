//! Secrets in what Codex is configured with: they reach codex, and stand nowhere that somebody else
//! looks at.

use crate::planted::run as by_hand;
use crate::support::*;
use std::fs;

/// What must be seen nowhere.
const SECRETS: [&str; 9] = [
    "hunter1", "hunter2", "hunter3", "hunter4", "hunter5", "hunter6", "hunter7", "hunter8",
    "hunter9",
];

/// Server-wide values, in all the forms that a secret comes in.
const CONFIG: [&str; 12] = [
    "-c",
    "model_providers.x.api_key=hunter1",
    "-c",
    r#"mcp_servers.y={ command = "y", env = { GITHUB_TOKEN = "hunter2" } }"#,
    "-c",
    r#"mcp_servers.z.http_headers={ Authorization = "Basic hunter3" }"#,
    "-c",
    r#"model_providers.w.base_url="https://me:hunter4@host/v1""#,
    "-c",
    "mcp_servers.y.env.DSN=hunter5",
    "-c",
    r#"mcp_servers.v.args=["--password", "hunter6"]"#,
];

/// One call's values.
const CALL: &str = r#""config":{"mcp_servers":{"a":{"env":{"API_KEY":"hunter7"}}},"model_providers.q.http_headers":{"Authorization":"Bearer hunter8"},"model_providers.r.base_url":"https://me:hunter9@host/"}"#;

/// Fails if a secret stands in a text.
fn bare(what: &str, text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{what}: {}", abridged(text));
    }
}

#[test]
fn a_secret_reaches_codex_and_is_shown_nowhere() {
    let dir = Dir::new();
    for structured in [false, true] {
        let mut command = dir.command();
        command.args(["--codex", STANDIN]).args(CONFIG).env("CODEX_SWARM_LOG_LEVEL", "DEBUG");
        command.args(structured.then_some("--structured"));
        let mut server = Server::spawn(&dir, command);
        server.initialize();
        let id = task_id(&server.ok("codex_async", &script_and("begin\nsay x\ndone", CALL)));
        let mut all = vec![server.call("codex_wait", &ids(&[&id])).to_json()];
        let given = dir.received(&id).argv.join("\n");
        for secret in SECRETS {
            assert!(given.contains(secret), "{secret} did not reach codex: {given}");
        }
        all.push(server.call("codex_status", &ids(&[&id])).to_json());
        let reply = format!(r#""threadId":"{}""#, thread_of(&id));
        all.push(
            server.call("codex_reply", &script_and("begin\nfail no\nexit 1", &reply)).to_json(),
        );
        all.push(server.call("codex_cancel", &ids(&[&id])).to_json());
        // calls that are refused, with the secrets in them
        for wrong in [
            r#""cwd":"/nowhere""#,
            r#""sandbox":"none""#,
            r#""config":null,"colour":1"#,
            r#""threadId":"none""#,
        ] {
            all.push(server.call("codex", &prompt_and("x", &format!("{CALL},{wrong}"))).to_json());
        }
        let bad = r#"{"prompt":"x","config":{"model_providers.x.api_key":null,"b":"hunter1"}}"#;
        all.push(server.call("codex", bad).to_json());
        let listed = format!("codex-swarm:///tasks/{id}");
        for below in ["", "/result", "/events", "/stderr"] {
            all.push(server.read(&format!("{listed}{below}")));
        }
        for uri in ["server-info", "config", "tasks"] {
            all.push(server.read(&format!("codex-swarm:///{uri}")));
        }
        server.end();
        for words in
            [&["ps", "-a"][..], &["ps", "--json", "-a"], &["logs", &id], &["wait", &id], &["check"]]
        {
            let output = by_hand(&dir, words);
            all.push(String::from_utf8_lossy(&output.stdout).into_owned());
            all.push(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        for text in &all {
            bare("told", text);
        }
        bare("log", &fs::read_to_string(dir.path("server.log")).unwrap_or_default());
        bare("errors", &fs::read_to_string(dir.path("errors")).unwrap_or_default());
    }
}

#[test]
fn on_disk_a_secret_stands_in_the_record_alone_which_is_the_users_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = Dir::new();
    let mut server = dir.server_with(&CONFIG);
    let id = task_id(&server.ok("codex", &script_and("begin\ndone", CALL)));
    server.end();
    let record = dir.task_file(&id, "meta");
    for entry in fs::read_dir(dir.path("tasks")).unwrap().flatten() {
        let path = entry.path();
        if path == record {
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o600);
        } else if path.is_file() {
            bare(path.to_str().unwrap(), &String::from_utf8_lossy(&fs::read(&path).unwrap()));
        }
    }
}
