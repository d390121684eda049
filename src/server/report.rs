//! What is told of a task, as text for a model and as JSON for a program. Decides nothing.

use super::watched::{self, Watched};
use crate::clock::span;
use crate::codex::event::excerpt;
use crate::json::{self, Object};
use crate::log;
use crate::task::store::Part;
use crate::task::worktree::Changes;
use crate::task::{Status, Store, Usage};
use std::fmt::Write;

/// How many characters of answers one result holds. Clients cut at 40,000 to 100,000 in ways of
/// their own, and what they cut is lost; what is cut here can be read elsewhere.
const ANSWERS: usize = 48_000;

/// What stands in place of an answer where there is none.
const NO_ANSWER: &str = "(Codex gave no final message.)";

/// The same where there may have been one.
const NOT_KEPT: &str = "(No final message was kept; see the note or warning.)";

/// The same where there is one.
const UNREADABLE: &str = "(The final message cannot be read at the moment; ask again.)";

/// How many bytes of stderr are told with a failure.
const STDERR: u64 = 2048;

/// Where more tasks than this failed, each is told in brief: stderr is a resource as well.
const FAILURES: usize = 5;

/// Silence that is worth a word, in milliseconds.
const QUIET: u64 = 10_000;

/// A task, and what it takes to tell of it.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The task.
    pub task: &'a Watched,
    /// Where its files are.
    pub store: &'a Store,
    /// Milliseconds since 1970.
    pub now: u64,
}

/// A number of things: `1 file`, `2 files`.
pub fn plural(count: u64, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// Adds a `Name: value` line.
fn line(out: &mut String, name: &str, value: impl std::fmt::Display) {
    let _ = writeln!(out, "{name}: {value}");
}

/// Adds a line, if there is a value.
fn maybe_line(out: &mut String, name: &str, value: Option<impl std::fmt::Display>) {
    if let Some(value) = value {
        line(out, name, value);
    }
}

impl View<'_> {
    /// How long the task ran or has run.
    fn elapsed(&self) -> String {
        span(self.task.record.elapsed(self.now))
    }

    /// The exit status behind a comma, where there is one.
    fn exit(&self) -> String {
        self.task.record.exit.map_or(String::new(), |exit| format!(", exit {exit}"))
    }

    /// The URI of the task's resource, with something behind it.
    fn uri(&self, behind: &str) -> String {
        format!("codex-swarm:///tasks/{}{behind}", self.task.id())
    }

    /// Where its launcher has put it, as far as that says so.
    fn far(&self) -> Option<String> {
        let launcher = self.task.record.launcher.as_ref()?;
        // it says so before codex can say anything
        launcher.place(&watched::head(self.store, self.task.id(), Part::Stderr, 16 << 10))
    }

    /// What it is doing now, in one line.
    fn doing(&self) -> String {
        let status = self.task.record.status;
        let doing = if status == Status::Running { self.task.doing() } else { None };
        doing.unwrap_or(status.name()).to_owned()
    }

    /// Which task it is, how long it has run and what it is doing now, in one line.
    pub fn in_short(&self) -> String {
        format!("{} {}: {}", self.task.id(), self.elapsed(), self.doing())
    }

    /// The block of `codex_status`.
    pub fn status(&self) -> String {
        let (record, transcript) = (&self.task.record, &self.task.transcript);
        let elapsed = self.elapsed();
        let how = match record.status {
            Status::Completed => format!("COMPLETED in {elapsed}"),
            Status::Cancelled => format!("CANCELLED after {elapsed}"),
            Status::Failed => format!("FAILED in {elapsed}{}", self.exit()),
            _ => format!("{elapsed} elapsed"),
        };
        let mut out = format!("=== Task {} ({how}) ===\n", self.task.id());
        line(&mut out, "Phase", record.status.name());
        maybe_line(&mut out, "Thread ID", self.task.thread());
        self.worktree(&mut out);
        let far = self.far().map_or(String::new(), |far| format!(" ({far})"));
        let waits = record.status == Status::Running && self.task.waits_for_launcher();
        let yet = if waits { ", codex has not begun yet" } else { "" };
        let launcher = record.launcher.as_ref().map(|own| format!("{}{far}{yet}", own.name));
        maybe_line(&mut out, "Launcher", launcher);
        line(&mut out, "Tools called", transcript.tools);
        if !transcript.running.is_empty() {
            line(&mut out, "Tools running", transcript.running.len());
        }
        maybe_line(&mut out, "Last tool", transcript.last_tool.as_deref());
        maybe_line(&mut out, "Output", transcript.output.as_deref());
        maybe_line(&mut out, "Thinking", transcript.thinking.as_deref());
        let plan = transcript.plan.map(|(done, all)| format!("{done} of {all} done"));
        maybe_line(&mut out, "Plan", plan);
        if !transcript.files.is_empty() {
            line(&mut out, "Files changed", transcript.files.len());
        }
        maybe_line(&mut out, "Tokens", self.tokens());
        if !record.status.is_final() {
            let quiet = self.task.quiet(self.store).filter(|quiet| *quiet >= QUIET);
            maybe_line(&mut out, "Quiet", quiet.map(|quiet| format!("{}s", quiet / 1000)));
            maybe_line(&mut out, "Retry", transcript.notice.as_deref().map(excerpt));
        }
        self.warnings(&mut out);
        if record.status == Status::Failed {
            self.failure(&mut out, STDERR);
        }
        out
    }

    /// The tokens of this turn; of the whole thread where it is not known what it used before.
    fn tokens(&self) -> Option<String> {
        let usage = self.task.usage()?;
        let of =
            if self.task.record.usage_before.is_none() { " (of the whole thread)" } else { "" };
        let Usage { input, cached, output, .. } = usage;
        Some(format!("in {input}, cached {cached}, out {output}{of}"))
    }

    /// Adds where the task works, and what its branch has come to.
    fn worktree(&self, out: &mut String) {
        let Some(worktree) = &self.task.record.worktree else { return };
        line(out, "Worktree", &worktree.path);
        line(out, "Branch", &worktree.branch);
        if !self.task.is_final() {
            return;
        }
        if let Some(changes) = worktree.changes {
            let Changes { commits, files, insertions, deletions } = changes;
            let (files, commits_made) = (plural(files, "file"), plural(commits, "commit"));
            let counts = format!("{files}, +{insertions} -{deletions}, {commits_made}");
            let branch = &worktree.branch;
            match commits {
                0 => line(out, "Changes", "none"),
                _ => line(out, "Changes", format!("{counts} (git merge {branch})")),
            }
        }
        let gone = "its supervisor was gone before it could commit";
        let why = worktree.trouble.as_deref().or(worktree.changes.is_none().then_some(gone));
        let why = why.filter(|_| worktree.kept.is_none());
        maybe_line(out, "Not committed", why.map(|why| format!("{why}; see {}", worktree.path)));
        maybe_line(out, "Still here", worktree.kept.as_deref());
    }

    /// Adds what Codex and we have to warn of.
    fn warnings(&self, out: &mut String) {
        for warning in &self.task.transcript.warnings {
            line(out, "Warning", warning);
        }
        let record = &self.task.record;
        maybe_line(out, "Note", record.note.as_deref());
        if record.inferred && record.status.is_final() {
            line(out, "Warning", "the supervisor was gone; this verdict is inferred");
        }
    }

    /// Whether nothing is left of the task but its record.
    fn is_cleaned_up(&self) -> bool {
        self.task.record.worktree.as_ref().is_some_and(|worktree| worktree.kept.is_some())
    }

    /// Adds why the task failed and what to do about it, with so many bytes of stderr.
    fn failure(&self, out: &mut String, stderr: u64) {
        if self.is_cleaned_up() {
            return line(out, "Cause", "its transcript was cleaned up with its other files");
        }
        let failure = self.task.failure(self.store);
        line(out, "Model", self.task.record.model.as_deref().unwrap_or("Codex's default"));
        let brief = stderr == 0;
        line(out, "Cause", if brief { excerpt(&failure.cause) } else { failure.cause.clone() });
        let (name, retryable) = (failure.category.name(), failure.category.retryable());
        line(out, "Category", format!("{name} (retryable: {retryable})"));
        line(out, "What to do", failure.advice());
        let stderr = watched::tail(self.store, self.task.id(), Part::Stderr, stderr);
        if !stderr.trim().is_empty() {
            let _ = writeln!(out, "stderr (diagnostics, its end):\n{}", stderr.trim_end());
        }
    }

    /// The answer, of at most `limit` characters. What is longer is cut in the middle, and the place
    /// of the whole is named.
    fn answer(&self, limit: usize) -> Option<String> {
        let answer = self.task.answer()?;
        let Some((head, tail, left_out)) = halves(&answer, limit) else { return Some(answer) };
        let path = self.store.path(self.task.id(), Part::Answer);
        let written = self.store.replace(self.task.id(), Part::Answer, answer.as_bytes(), false);
        let kept = match written {
            Ok(()) => format!(" and {}", path.display()),
            Err(why) => {
                log::warning(&why.to_string());
                String::new()
            }
        };
        let uri = self.uri("/result");
        Some(format!(
            "{head}\n\n[… {left_out} characters are left out here; the whole is {uri}{kept} …]\n\n\
             {tail}"
        ))
    }

    /// What stands in place of the answer.
    fn no_answer(&self) -> &'static str {
        let transcript = &self.task.transcript;
        let missed = self.task.record.note.is_some() || transcript.missed;
        match (transcript.answer(), missed) {
            (Some(_), _) => UNREADABLE,
            (None, true) => NOT_KEPT,
            (None, false) => NO_ANSWER,
        }
    }

    /// The length of the answer, in characters.
    fn answer_length(&self) -> usize {
        self.task.answer().map_or(0, |answer| answer.chars().count())
    }

    /// The block of `codex_wait` for a task, with at most `limit` characters of its answer and
    /// `stderr` bytes of that. `any`: the wait may have ended because another task did.
    fn result(&self, limit: usize, stderr: u64, any: bool) -> String {
        let record = &self.task.record;
        let (id, elapsed) = (self.task.id(), self.elapsed());
        let mut out = String::new();
        let how = match record.status {
            Status::Completed => format!("(completed in {elapsed}) ==="),
            Status::Failed => format!("(failed in {elapsed}{}) ===", self.exit()),
            Status::Cancelled => format!("(cancelled after {elapsed}) ==="),
            _ => {
                let why = if any { "wait ended" } else { "wait timed out" };
                format!("=== STILL RUNNING ({why}, task is NOT killed; call codex_wait again)")
            }
        };
        let _ = writeln!(out, "=== Task {id} {how}");
        maybe_line(&mut out, "Thread ID", self.task.thread());
        self.worktree(&mut out);
        match record.status {
            Status::Completed | Status::Failed | Status::Cancelled => {
                self.warnings(&mut out);
                if record.status == Status::Failed {
                    self.failure(&mut out, stderr);
                }
                let answer = self.answer(limit);
                let none =
                    (record.status == Status::Completed).then(|| self.no_answer().to_owned());
                if let Some(answer) = answer.or(none) {
                    let _ = writeln!(out, "\n{answer}");
                }
            }
            _ => {
                line(&mut out, "Elapsed", elapsed);
                line(&mut out, "Now", self.doing());
            }
        }
        out
    }

    /// What is known of a task that has just begun, as lines.
    pub fn brief(&self, out: &mut String) {
        line(out, "Task ID", self.task.id());
        maybe_line(out, "Thread ID", self.task.thread());
        if let Some(worktree) = &self.task.record.worktree {
            line(out, "Worktree Path", &worktree.path);
            line(out, "Worktree Branch", &worktree.branch);
        }
    }

    /// The text of `codex` and `codex_reply`: the answer first, then how to go on.
    pub fn reply(&self, ephemeral: bool) -> String {
        let record = &self.task.record;
        let (id, elapsed) = (self.task.id(), self.elapsed());
        let mut out = String::new();
        let answer = self.answer(ANSWERS);
        match record.status {
            Status::Completed => {
                out.push_str(answer.as_deref().unwrap_or(self.no_answer()));
                out.push('\n');
            }
            status => {
                let how = if status == Status::Cancelled { "was cancelled" } else { "failed" };
                let _ = writeln!(out, "Task {id} {how} after {elapsed}{}.", self.exit());
                if status == Status::Failed {
                    self.failure(&mut out, STDERR);
                }
                if let Some(answer) = answer {
                    let _ = writeln!(out, "\nIts last message was:\n{answer}");
                }
            }
        }
        out.push_str("\n---\n");
        if let Some(thread) = self.task.thread() {
            line(&mut out, "Thread ID", thread);
            let begun = self.task.transcript.thread.is_some();
            if !ephemeral && begun {
                line(&mut out, "To go on", "codex_reply with this threadId");
            }
        }
        line(&mut out, "Task ID", id);
        self.worktree(&mut out);
        maybe_line(&mut out, "Tokens", self.tokens());
        self.warnings(&mut out);
        out
    }

    /// Writes the task as JSON; `limit` is the most characters of its answer.
    pub fn write(&self, o: &mut Object<'_>, limit: Option<usize>) {
        let (record, transcript) = (&self.task.record, &self.task.transcript);
        o.str("taskId", &self.task.id().to_string()).str("status", record.status.name());
        o.maybe_str("threadId", self.task.thread());
        if let Some(limit) = limit {
            let answer = self.answer(limit);
            if record.status.is_final() {
                o.str("content", answer.as_deref().unwrap_or_default());
            }
        }
        o.int("elapsedSeconds", record.elapsed(self.now) / 1000);
        o.str("startedAt", &crate::clock::utc(record.started));
        o.maybe_str("completedAt", record.completed.map(crate::clock::utc).as_deref());
        if let Some(exit) = record.exit {
            o.int("exitCode", exit);
        }
        o.str("cwd", &record.cwd);
        o.maybe_str("model", record.model.as_deref());
        o.maybe_str("sandbox", record.sandbox.as_deref());
        if let Some(launcher) = &record.launcher {
            o.str("launcher", &launcher.name).maybe_str("far", self.far().as_deref());
        }
        o.int("toolsCalled", transcript.tools);
        o.maybe_str("lastTool", transcript.last_tool.as_deref());
        o.maybe_str("output", transcript.output.as_deref());
        if let Some((done, all)) = transcript.plan {
            o.object("plan", |o| {
                o.int("done", done).int("steps", all);
            });
        }
        if !transcript.files.is_empty() {
            o.strs("files", &transcript.files);
        }
        if let Some(usage) = self.task.usage() {
            o.object("usage", |o| usage.write(o));
        }
        if let Some(worktree) = &record.worktree {
            o.object("worktree", |o| {
                o.str("path", &worktree.path).str("branch", &worktree.branch);
                o.str("base", &worktree.base).str("head", &worktree.head);
                if let Some(changes) = worktree.changes {
                    o.object("changes", |o| changes.write(o));
                }
                o.maybe_str("notCommitted", worktree.trouble.as_deref());
                o.maybe_str("stillHere", worktree.kept.as_deref());
            });
        }
        let quiet = self.task.quiet(self.store).filter(|_| !record.status.is_final());
        if let Some(quiet) = quiet {
            o.int("quietSeconds", quiet / 1000);
        }
        let mut warnings = String::new();
        self.warnings(&mut warnings);
        if !warnings.is_empty() {
            o.str("warning", warnings.trim_end());
        }
        if record.status == Status::Failed && !self.is_cleaned_up() {
            let failure = self.task.failure(self.store);
            o.object("failure", |o| {
                o.str("cause", &failure.cause).str("category", failure.category.name());
                o.str("retryable", failure.category.retryable());
                o.str("advice", failure.advice());
            });
        }
        if record.inferred {
            o.bool("inferred", true);
        }
    }

    /// The task as a JSON object with its answer.
    pub fn json(&self) -> String {
        let mut out = String::new();
        json::object(&mut out, |o| self.write(o, Some(ANSWERS)));
        out
    }

    /// The task as the structured result of `codex`, whose two members `OpenAI`'s server promised.
    pub fn reply_json(&self) -> String {
        let mut out = String::new();
        json::object(&mut out, |o| {
            if self.task.thread().is_none() {
                o.str("threadId", "");
            }
            self.write(o, Some(ANSWERS));
        });
        out
    }
}

/// The text of `codex_wait` and `codex_batch`: the answers share the room there is.
pub fn results(views: &[View<'_>], any: bool) -> String {
    let limit = fair_limit(views);
    let failed = views.iter().filter(|view| view.task.record.status == Status::Failed).count();
    let stderr = if failed > FAILURES { 0 } else { STDERR };
    let blocks: Vec<String> = views.iter().map(|view| view.result(limit, stderr, any)).collect();
    blocks.join("\n")
}

/// Tasks as the JSON object `{"tasks": […]}`, with their answers where `content` says so.
pub fn tasks_json(views: &[View<'_>], content: bool) -> String {
    let limit = content.then(|| fair_limit(views));
    let mut out = String::new();
    json::object(&mut out, |o| {
        o.array("tasks", |a| {
            for view in views {
                a.object(|o| view.write(o, limit));
            }
        });
    });
    out
}

/// How long each answer may be so that all together fit.
fn fair_limit(views: &[View<'_>]) -> usize {
    let ended = views.iter().filter(|view| view.task.is_final());
    fair_share(ended.map(View::answer_length).collect(), ANSWERS)
}

/// The longest limit by which all lengths together stay within the room: what the short ones leave
/// goes to the long ones.
fn fair_share(mut lengths: Vec<usize>, mut room: usize) -> usize {
    lengths.sort_unstable();
    let mut count = lengths.len();
    for length in lengths {
        if length > room / count {
            return room / count;
        }
        room -= length;
        count -= 1;
    }
    ANSWERS
}

/// The two ends of a text that is longer than `limit` characters, and how many lie between.
pub fn halves(text: &str, limit: usize) -> Option<(&str, &str, usize)> {
    // a text of so many bytes cannot have more characters
    if text.len() <= limit {
        return None;
    }
    let length = text.chars().count();
    let left_out = length.checked_sub(limit).filter(|left_out| *left_out > 0)?;
    let place = |chars: usize| text.char_indices().nth(chars).map_or(text.len(), |(at, _)| at);
    let head = text.get(..place(limit / 2))?;
    let tail = text.get(place(length - (limit - limit / 2))..)?;
    Some((head, tail, left_out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_answers_leave_their_room_to_long_ones() {
        assert_eq!(fair_share(vec![], 100), ANSWERS);
        assert_eq!(fair_share(vec![10, 20], 100), ANSWERS);
        assert_eq!(fair_share(vec![1000], 100), 100);
        assert_eq!(fair_share(vec![1000, 10, 1000], 100), 45);
        assert_eq!(fair_share(vec![50, 50], 100), ANSWERS);
        assert_eq!(fair_share(vec![usize::MAX; 200], 100), 0);
    }

    #[test]
    fn a_long_text_loses_its_middle_and_no_half_characters() {
        assert_eq!(halves("éééé", 4), None);
        assert_eq!(halves("aééééb", 4), Some(("aé", "éb", 2)));
        assert_eq!(halves("abcde", 3), Some(("a", "de", 2)));
        assert_eq!(halves("abc", 0), Some(("", "", 3)));
    }
}
