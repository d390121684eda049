//! Threads: `codex_reply` goes on where the thread's last task was, with what that task was given.

use crate::support::*;

/// Runs a first task with these members: its thread.
fn begun(server: &mut Server<'_>, more: &str) -> String {
    let text = server.ok("codex", &prompt_and("x", more));
    thread_id(&text).to_owned()
}

/// Replies on a thread with these members: what codex was given.
fn replied(server: &mut Server<'_>, thread: &str, more: &str) -> Received {
    let comma = if more.is_empty() { "" } else { "," };
    let args = prompt_and("go on", &format!(r#""threadId":"{thread}"{comma}{more}"#));
    let text = server.ok("codex_reply", &args);
    assert_eq!(thread_id(&text), thread);
    server.dir.received(&task_id(&text))
}

#[test]
fn a_reply_resumes_the_thread_with_what_its_last_task_was_given() {
    let dir = Dir::new();
    let mut server = dir.server();
    let (cwd, extra) = (dir.make("there"), dir.make("extra"));
    let more = format!(
        r#""cwd":{},"sandbox":"read-only","model":"m","profile":"p","add-dirs":[{}],"approval-policy":"never","developer-instructions":"be brief","config":{{"a":"5","b":{{"c":1}}}}"#,
        quoted_path(&cwd),
        quoted_path(&extra)
    );
    let thread = begun(&mut server, &more);
    let received = replied(&mut server, &thread, "");
    assert_eq!(received.stdin, b"go on");
    assert!(received.argv.ends_with(&["resume".into(), thread.clone(), "-".into()]));
    assert_eq!(received.cwd, cwd);
    assert_eq!(received.options("cd"), [cwd.to_str().unwrap()]);
    assert_eq!(received.options("sandbox"), ["read-only"]);
    assert!(received.configs().contains(&r#"approvals_reviewer="user""#));
    assert_eq!(received.options("model"), ["m"]);
    assert_eq!(received.options("profile"), ["p"]);
    assert_eq!(received.options("add-dir"), [extra.to_str().unwrap()]);
    assert_eq!(received.config("a"), Some("\"5\""));
    assert!(received.config("approval_policy").is_some());
    assert!(received.config("developer_instructions").is_some());
}

#[test]
fn what_a_reply_says_itself_holds_and_holds_for_the_next_one_too() {
    let dir = Dir::new();
    let mut server = dir.server();
    let (one, two) = (dir.make("one"), dir.make("two"));
    let first = format!(
        r#""cwd":{},"sandbox":"read-only","model":"m1","config":{{"a":1}}"#,
        quoted_path(&one)
    );
    let thread = begun(&mut server, &first);
    let second = format!(
        r#""cwd":{},"sandbox":"workspace-write","model":"m2","config":{{"a":2}}"#,
        quoted_path(&two)
    );
    for more in [second.as_str(), ""] {
        let received = replied(&mut server, &thread, more);
        assert_eq!(received.cwd, two);
        assert_eq!(received.options("sandbox"), ["workspace-write"]);
        assert_eq!(received.options("model"), ["m2"]);
        assert_eq!(received.config("a"), Some("2"));
    }
}

#[test]
fn a_later_server_remembers_what_a_thread_was_given() {
    let dir = Dir::new();
    let mut server = dir.server();
    let thread = begun(&mut server, r#""sandbox":"read-only","model":"m""#);
    server.end();
    let mut next = dir.server();
    let received = replied(&mut next, &thread, "");
    assert_eq!(received.options("sandbox"), ["read-only"]);
    assert_eq!(received.options("model"), ["m"]);
}

#[test]
fn a_failed_or_cancelled_task_can_be_replied_to() {
    let dir = Dir::new();
    let mut server = dir.server();
    let failed = server.launch_with(&script_and("begin\nexit 1", r#""sandbox":"read-only""#));
    let stopped = server
        .launch_with(&script_and("begin\nmark on\nwait-for never", r#""sandbox":"read-only""#));
    dir.marked("on");
    server.ok("codex_cancel", &ids(&[&stopped]));
    server.wait(&[&failed, &stopped]);
    for id in [failed, stopped] {
        let received = replied(&mut server, &thread_of(&id), "");
        assert_eq!(received.options("sandbox"), ["read-only"]);
    }
}

#[test]
fn a_thread_that_is_not_known_here_is_resumed_read_only_and_that_is_told() {
    let dir = Dir::new();
    let mut server = dir.server();
    let thread = thread_of("ffffffff");
    let received = replied(&mut server, &thread, "");
    assert!(received.argv.ends_with(&["resume".into(), thread, "-".into()]));
    assert_eq!(received.options("sandbox"), ["read-only"]);
    let other = thread_of("fffffffe");
    let args = prompt_and("go on", &format!(r#""threadId":"{other}","sandbox":"workspace-write""#));
    let text = server.ok("codex_reply", &args);
    assert!(text.contains("Note: no task here has run on this thread"), "{text}");
    assert_eq!(dir.received(&task_id(&text)).options("sandbox"), ["workspace-write"]);
}

#[test]
fn the_old_name_codex_reply_with_a_hyphen_is_understood() {
    let dir = Dir::new();
    let mut server = dir.server();
    let thread = begun(&mut server, r#""sandbox":"read-only""#);
    for name in ["threadId", "conversationId"] {
        let args = prompt_and("go on", &format!(r#""{name}":"{thread}""#));
        let text = server.ok("codex-reply", &args);
        let received = dir.received(&task_id(&text));
        assert!(received.has("resume") && received.has(&thread), "{:?}", received.argv);
        assert_eq!(received.options("sandbox"), ["read-only"]);
    }
}
