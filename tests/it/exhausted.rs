//! Nothing left: no room on the disk, no descriptor, no process, a directory that is closed or gone.
//! A task has one true outcome all the same, what is not known is not told, and all is well again
//! when the cause is gone.

use crate::handles::*;
use crate::repo::*;
use crate::scarce::*;
use crate::support::*;
use std::fs;

/// A file system of this size is the task directory.
const SMALL: &str = "mode=700,size=400k";

/// What is said where there is no room.
const NO_ROOM: &str = "No space left";

/// Waits until a task's supervisor has dealt with all that codex has written: then it sleeps.
fn has_taken_all(dir: &Dir, id: &str) {
    let supervisor = dir.record(id).at("supervisor_pid").as_u64().unwrap();
    let mut idle = 0;
    until("the supervisor sleeps", || {
        let stat = fs::read_to_string(format!("/proc/{supervisor}/stat")).unwrap();
        let state = stat.rsplit_once(") ").unwrap().1.chars().next();
        idle = if state == Some('S') { idle + 1 } else { 0 };
        (idle == 5).then_some(())
    });
}

/// Whether a task's section tells that it ended in this way.
fn ended(section: &str, how: &str) -> bool {
    section.lines().next().unwrap().contains(&format!("({how} "))
}

#[test]
fn a_full_task_directory_takes_no_task_and_says_why_until_there_is_room() {
    let dir = Dir::new();
    let Some(small) = Small::mount(dir.path("tasks"), SMALL) else { return };
    let mut server = dir.server();
    let prompt = r#"{"prompt":"x"}"#;
    let batch = format!(r#"{{"tasks":[{prompt},{prompt}]}}"#);
    // room for nothing; room for the prompt, but not for the record
    for pages in [0, 1] {
        small.fill_but(pages);
        for (tool, args) in [("codex", prompt), ("codex_async", prompt), ("codex_batch", &batch)] {
            let text = server.refused(tool, args);
            let named = text.contains(dir.path("tasks").to_str().unwrap());
            assert!(named && text.contains(NO_ROOM), "{tool} with {pages} pages: {text}");
            assert_eq!(small.names(), Vec::<String>::new(), "{tool} with {pages} pages");
        }
        server.ok("codex_status", "{}");
    }
    assert_eq!(dir.started(), 0);
    small.free();
    assert_eq!(answer(&server.ok("codex", prompt)), "done");
}

#[test]
fn a_task_whose_record_has_no_room_is_answered_for_before_it_ends() {
    let dir = Dir::new();
    let Some(small) = Small::mount(dir.path("tasks"), SMALL) else { return };
    for pages in 2..9 {
        let mut server = dir.server();
        small.fill_but(pages);
        let lines = format!("begin\nmark on{pages}\nwait-for go{pages}\nsay x\ndone");
        // must not be kept waiting for what is not to be done
        let result = server.call("codex_async", &script(&lines));
        let text = text_of(&result);
        let began = dir.path("out").join(format!("on{pages}"));
        if is_error(&result) {
            let words = ["No space left", "could not write"];
            assert!(words.iter().any(|word| text.contains(word)), "{pages} pages: {text}");
            assert!(!began.exists(), "codex was run with {pages} pages, and denied: {text}");
            small.free();
        } else {
            let id = task_id(&text);
            dir.marked(&format!("on{pages}"));
            dir.open(&format!("go{pages}"));
            let full = server.wait(&[&id]);
            assert!(ended(&full, "completed in"), "{pages} pages: {full}");
            small.free();
            let later = dir.server().wait(&[&id]);
            assert!(ended(&later, "completed in"), "{pages} pages, later: {later}");
            assert!(later.contains("\nx\n") == full.contains("\nx\n"), "{full}\n{later}");
        }
        assert_eq!(answer(&server.ok("codex", r#"{"prompt":"x"}"#)), "done");
    }
}

#[test]
fn the_outcome_is_the_true_one_though_the_disk_fills_up_under_way() {
    let dir = Dir::new();
    let Some(small) = Small::mount(dir.path("tasks"), SMALL) else { return };
    let mut server = dir.server();
    for (lines, how, exit) in [
        ("say x\ndone\nexit 0", "completed in", Some(0)),
        ("flood 2000\nsay x\ndone\nexit 0", "completed in", Some(0)),
        // only the exit status tells
        ("exit 0", "completed in", Some(0)),
        ("exit 3", "failed in", Some(3)),
        ("kill-self TERM", "failed in", Some(-15)),
        ("fail Quota exceeded.\nexit 1", "failed in", Some(1)),
        ("wait-for never", "cancelled after", None),
    ] {
        let id = server.launch(&format!("begin\nmark on\nwait-for go\n{lines}"));
        dir.marked("on");
        small.fill();
        if exit.is_none() {
            let text = server.ok("codex_cancel", &ids(&[&id]));
            assert!(text.contains("is cancelled"), "{text}");
        }
        dir.open("go");
        let full = server.wait(&[&id]);
        small.free();
        assert!(ended(&full, how), "{lines}: {full}");
        let later = dir.server().wait(&[&id]);
        assert!(ended(&later, how), "{lines}, told later: {later}");
        let again = server.wait(&[&id]);
        assert!(ended(&again, how), "{lines}, told again: {again}");
        let record = dir.record(&id);
        assert!(record.str_at("status") == how.split(' ').next().unwrap(), "{lines}");
        if let Some(exit) = exit {
            assert_eq!(record.at("exit_code").as_i64(), Some(exit), "{lines}");
        }
        for mark in ["on", "go"] {
            fs::remove_file(dir.path("out").join(mark)).unwrap();
        }
    }
    let stray = small.names().into_iter().find(|name| name.contains(".spare"));
    assert_eq!(stray, None);
}

#[test]
fn what_codex_said_while_the_disk_was_full_is_missed_and_what_it_says_then_is_kept() {
    let dir = Dir::new();
    let Some(small) = Small::mount(dir.path("tasks"), SMALL) else { return };
    let mut server = dir.server();
    for (last, kept) in [("say the last words", true), ("line nothing more", false)] {
        let lines = format!(
            "begin\nmark on\nwait-for go\nflood 2000\nsay the first words\nmark flooded\n\
             wait-for room\n{last}\ndone"
        );
        let id = server.launch(&lines);
        dir.marked("on");
        has_taken_all(&dir, &id);
        small.fill();
        dir.open("go");
        dir.marked("flooded");
        has_taken_all(&dir, &id);
        let status = server.status(&id);
        assert!(status.contains("elapsed) ==="), "codex was ended: {status}");
        small.free();
        dir.open("room");
        let text = server.wait(&[&id]);
        assert!(ended(&text, "completed in"), "{text}");
        assert_eq!(text.contains("the last words"), kept, "{text}");
        assert!(field(&text, "Note").contains("not whole"), "{text}");
        assert!(field(&text, "Note").contains(NO_ROOM), "{text}");
        let denied = text.contains("gave no final message");
        assert!(!denied, "it gave one, which was not kept: {text}");
        for mark in ["on", "go", "flooded", "room"] {
            fs::remove_file(dir.path("out").join(mark)).unwrap();
        }
    }
}

#[test]
fn a_file_that_could_not_be_written_is_not_named() {
    let dir = Dir::new();
    let Some(small) = Small::mount(dir.path("tasks"), "mode=700,size=1m") else { return };
    let mut server = dir.server();
    let (id, _) = server.run("begin\nbig 100000 x\ndone");
    fs::remove_file(dir.task_file(&id, "answer")).unwrap();
    let file = dir.task_file(&id, "answer").to_str().unwrap().to_owned();
    small.fill();
    let text = server.wait(&[&id]);
    assert!(text.contains(&format!("codex-swarm:///tasks/{id}/result")), "{}", abridged(&text));
    assert!(!text.contains(&file), "{file} is not there");
    small.free();
    let text = server.wait(&[&id]);
    assert!(text.contains(&file));
    assert!(fs::read(file).unwrap() == b"x".repeat(100_000));
}

#[test]
fn a_call_that_cannot_become_a_task_on_a_full_disk_is_answered_with_its_result() {
    let dir = Dir::new();
    let Some(small) = Small::mount(dir.path("tasks"), SMALL) else { return };
    let mut server = at_once(&dir);
    let start = |server: &mut Server<'_>, name| {
        server.launch(&format!("begin\nmark {name}\nwait-for go {name}\nsay {name}\ndone"))
    };
    let tasks = [start(&mut server, "one"), start(&mut server, "two")];
    let wait = ids(&[&tasks[0], &tasks[1]]);
    for task in &tasks {
        // what is still to come fits into the page that is there
        until("the turn's begin", || server.status(task).contains("Thread ID").then_some(()));
    }
    small.fill();
    let call = server.begin_as(TASKS, "codex_wait", &wait);
    server.silent_about(&[call]);
    let log = fs::read_to_string(dir.path("server.log")).unwrap();
    assert!(log.contains("does not become a task") && log.contains(NO_ROOM), "{log}");
    dir.open("go one");
    dir.open("go two");
    let result = server.result(call);
    assert_eq!(result.str_at("resultType"), "complete", "{result:?}");
    let text = text_of(&result);
    assert!(text.contains("\none\n") && text.contains("\ntwo\n"), "{text}");
    small.free();
    let third = start(&mut server, "three");
    dir.marked("three");
    let handle = handle_in(&server.call_as(TASKS, "codex_wait", &ids(&[&third])));
    small.fill();
    // what could not be written down is not acknowledged
    let id = format!(r#"{{"taskId":"{handle}"}}"#);
    let reply = server.ask_as(TASKS, "tasks/cancel", &id);
    assert!(reply.str_at("error.message").contains(NO_ROOM), "{reply:?}");
    small.free();
    complete(&server.ask_as(TASKS, "tasks/cancel", &id), &[]);
    let state = server.ask_as(TASKS, "tasks/get", &id);
    assert_eq!(state.str_at("result.status"), "cancelled");
    dir.open("go three");
    assert!(ended(&server.wait(&[&third]), "completed in"));
}

#[test]
fn a_worktree_that_did_not_fit_leaves_nothing_and_is_made_when_there_is_room() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    repo.file("big", &"x".repeat(100_000));
    repo.commit("big");
    let args = script_and(
        "begin\nsh echo work > made\nsay x\ndone",
        &format!(r#""worktree":true,"cwd":{}"#, quoted_path(&repo.path)),
    );
    for (scarce, size) in [("worktrees", "mode=700,size=400k"), ("tasks", SMALL)] {
        let Some(small) = Small::mount(dir.path(scarce), size) else { return };
        let mut server = dir.server();
        // of the task directory so much that the supervisor begins
        small.fill_but(if scarce == "tasks" { 2 } else { 1 });
        let branches = repo.git(&["branch", "--list"]);
        let text = server.refused("codex", &args);
        let words = ["No space left", "unable to write", "could not write"];
        assert!(words.iter().any(|word| text.contains(word)), "{scarce}: {text}");
        assert_eq!(repo.git(&["branch", "--list"]), branches, "{scarce}: {text}");
        assert_eq!(repo.git(&["worktree", "list"]).lines().count(), 1, "{scarce}");
        small.free();
        let text = server.ok("codex", &args);
        assert!(text.contains("Changes: 1 file"), "{scarce}: {text}");
        let path = field(&text, "Worktree").to_owned();
        let id = task_id(&text);
        repo.git(&["worktree", "remove", "--force", &path]);
        repo.git(&["branch", "-D", &format!("codex-swarm/{id}")]);
    }
}

#[test]
fn a_server_without_descriptors_says_so_and_takes_back_nothing_it_said() {
    // none is free; and none even when some are closed
    for less in 0..5 {
        without_descriptors(less);
    }
}

/// The same where there may be so many less than there are.
fn without_descriptors(less: u64) {
    let dir = Dir::new();
    let mut server = dir.server();
    let done = server.launch("begin\nsay finished\ndone");
    server.wait(&[&done]);
    let runs = server.launch("begin\nmark on\nwait-for go\nsay x\ndone\nexit 0");
    dir.marked("on");
    let waits = server.begin("codex_wait", &ids(&[&runs]));
    server.silent_about(&[waits]);
    if !limit(server.pid(), "nofile", Some(descriptors(server.pid()) - less)) {
        return;
    }
    let task = script("begin\nsay x\ndone");
    for (tool, args) in [("codex", &task), ("codex_async", &task), ("codex_wait", &ids(&[&done]))] {
        let result = server.call(tool, args);
        let text = text_of(&result);
        let told = is_error(&result) && text.contains("Too many open files");
        assert!(told || text.contains("finished"), "{tool}: {text}");
    }
    dir.open("go");
    until("the task's end", || (dir.record(&runs).str_at("status") == "completed").then_some(()));
    gone(&mark_of(&runs));
    server.silent_about(&[]);
    assert!(limit(server.pid(), "nofile", None));
    let text = text_of(&server.result(waits));
    assert!(ended(&text, "completed in") && text.contains("\nx\n"), "{text}");
    for server in [&mut server, &mut dir.server()] {
        let text = server.wait(&[&runs, &done]);
        assert!(ended(section(&text, &runs), "completed in"), "{text}");
        assert!(text.contains("\nx\n") && text.contains("finished"), "{text}");
    }
    assert_eq!(dir.record(&runs).str_at("status"), "completed");
    server.ok("codex", &task);
}

/// What a task under a limit that grows from `from` comes to: refused or failed with one of `words`,
/// until it goes well.
fn until_it_goes_well(
    server: &mut Server<'_>,
    repo: &Repo,
    mut most: impl FnMut(&Server<'_>, u64) -> bool,
    from: u64,
    words: &[&str],
) {
    let mut troubled = 0;
    for count in from.. {
        assert!(count < from + 60, "it never goes well");
        if !most(server, count) {
            return;
        }
        let before = server.dir.started();
        let cwd = quoted_path(&repo.path);
        let lines = format!("begin\nsay number {count}\ndone\nexit 0");
        let args = script_and(&lines, &format!(r#""worktree":true,"cwd":{cwd}"#));
        let result = server.call("codex", &args);
        let text = text_of(&result);
        if text.contains(&format!("number {count}")) && !text.contains("Not committed") {
            assert!(!is_error(&result), "{count}: {text}");
            break;
        }
        troubled += 1;
        // what codex says when it has not what it needs is its own affair
        let began = server.dir.started() > before || text.contains(", exit ");
        let told = words.iter().any(|word| text.contains(word));
        assert!(told || began, "{count}: {text}");
        server.silent_about(&[]);
    }
    assert!(troubled > 0, "the limit was none");
}

#[test]
fn however_few_descriptors_there_are_a_task_goes_well_or_says_what_it_lacks() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    let mut server = dir.server();
    server.ok("codex", r#"{"prompt":"x"}"#);
    let open = descriptors(server.pid());
    let few = |server: &Server<'_>, most| limit(server.pid(), "nofile", Some(most));
    let words = ["Too many open files", "os error 24", "could not write"];
    until_it_goes_well(&mut server, &repo, few, open - 1, &words);
    assert!(limit(server.pid(), "nofile", None));
    assert_eq!(answer(&server.ok("codex", r#"{"prompt":"x"}"#)), "done");
}

#[test]
fn however_few_processes_there_may_be_a_task_goes_well_or_says_what_it_lacks() {
    let dir = Dir::new();
    let repo = Repo::new(&dir, "repo");
    let Some(somebody) = Somebody::own(&dir) else { return };
    let mut server = somebody.server(&dir);
    server.ok("codex", r#"{"prompt":"x"}"#);
    let few = |server: &Server<'_>, most| somebody.limit(server.pid(), "nproc", Some(most));
    if !few(&server, 1) {
        return;
    }
    let text = server.refused("codex_async", r#"{"prompt":"x"}"#);
    assert!(text.contains("supervisor") && text.contains("temporarily unavailable"), "{text}");
    assert!(text.contains("was not started"), "{text}");
    let words = ["temporarily unavailable", "Cannot fork", "fork: retry"];
    until_it_goes_well(&mut server, &repo, few, 1, &words);
    assert!(somebody.limit(server.pid(), "nproc", None));
    assert_eq!(answer(&server.ok("codex", r#"{"prompt":"x"}"#)), "done");
}

#[test]
fn a_task_directory_that_is_closed_under_way_makes_no_outcome_another() {
    let dir = Dir::new();
    let Some(somebody) = Somebody::own(&dir) else { return };
    let mut server = somebody.server(&dir);
    for (lines, how) in [
        ("say x\ndone\nexit 0", "completed in"),
        ("fail Quota exceeded.\nexit 1", "failed in"),
        ("wait-for never", "cancelled after"),
    ] {
        let id = server.launch(&format!("begin\nmark on\nwait-for go\n{lines}"));
        dir.marked("on");
        set_mode(&dir.path("tasks"), 0o500);
        let text = server.refused("codex_async", r#"{"prompt":"x"}"#);
        assert!(text.contains("/tasks") && text.contains("Permission denied"), "{text}");
        if how.starts_with("cancelled") {
            let text = server.ok("codex_cancel", &ids(&[&id]));
            assert!(text.contains("is cancelled"), "{text}");
        }
        dir.open("go");
        let text = server.wait(&[&id]);
        assert!(ended(&text, how), "{lines}: {text}");
        gone(&mark_of(&id));
        set_mode(&dir.path("tasks"), 0o700);
        let text = server.wait(&[&id]);
        assert!(ended(&text, how), "{lines}, told again: {text}");
        if !how.starts_with("cancelled") {
            let text = somebody.server(&dir).wait(&[&id]);
            assert!(ended(&text, how), "{lines}, told by another: {text}");
        }
        assert_eq!(answer(&server.ok("codex", r#"{"prompt":"x"}"#)), "done");
        for mark in ["on", "go"] {
            fs::remove_file(dir.path("out").join(mark)).unwrap();
        }
    }
}

#[test]
fn a_task_directory_that_is_removed_under_way_is_made_anew_and_what_is_lost_is_told() {
    let dir = Dir::new();
    let mut server = dir.server();
    let id = server.launch("begin\nmark on\nwait-for go\nsay x\ndone");
    dir.marked("on");
    // the supervisor may be writing what the thread is called
    until("it is removed", || fs::remove_dir_all(dir.path("tasks")).ok());
    dir.open("go");
    gone(&mark_of(&id));
    let text = server.wait(&[&id]);
    // nothing is known of its end, and no words of its own are left
    assert!(ended(&text, "failed in") && text.contains("this verdict is inferred"), "{text}");
    assert!(text.contains("could not write"), "{text}");
    let text = server.ok("codex", r#"{"prompt":"x"}"#);
    assert_eq!(answer(&text), "done");
    let again = dir.server().wait(&[&task_id(&text)]);
    assert!(ended(&again, "completed in"), "{again}");
}
