//! `logs`: what a task did, event by event, as it was or as it comes.

use super::named::{await_change, look, named};
use super::text::{Look, Paint, clean};
use super::{show, show_bytes};
use crate::clock::{self, span};
use crate::codex::event::excerpt;
use crate::codex::story::{Story, Tone};
use crate::files;
use crate::lines::Line;
use crate::server::watched::Watched;
use crate::sys::{About, Notices};
use crate::task::spool::Spool;
use crate::task::store::Part;
use crate::task::times::Times;
use crate::task::{Status, Store};
use std::fmt::Write;
use std::io::{self, IsTerminal, Read, Seek, SeekFrom};
use std::path::Path;

/// How many lines of the prompt are shown.
const PROMPT: usize = 5;

/// So much is collected before it is written.
const PIECE: usize = 64 << 10;

/// Prints what a task did; if `follow` says so, until it has ended.
pub fn run(store: &Store, name: Option<&str>, follow: bool, raw: bool) -> Result<bool, String> {
    let names: Vec<String> = name.map(str::to_owned).into_iter().collect();
    let Some(mut task) = named(store, &names)?.into_iter().next() else { return Ok(false) };
    look(store, &mut task);
    let mut teller = Teller::new(store, &task);
    if !raw && !show(&teller.head(store, &task))? {
        return Ok(true);
    }
    let mut growth = None;
    loop {
        let over = task.is_final();
        let transcript = store.path(task.id(), Part::Stdout);
        // before it is read: what comes after that is heard of
        growth = growth.or_else(|| Notices::of(About::Growth, &transcript).ok());
        growth.as_mut().map(Notices::take);
        let heard = if raw { teller.copy(&transcript, over)? } else { teller.tell(&task, over)? };
        if over || !follow || !heard {
            break;
        }
        await_change(&task, growth.as_ref().map(Notices::fd));
        look(store, &mut task);
    }
    if !raw && task.is_final() {
        show(&teller.foot(store, &mut task))?;
    }
    Ok(true)
}

/// Tells the transcript of one task.
struct Teller {
    /// What was told.
    story: Story,
    /// The transcript.
    spool: Spool,
    /// How far it was copied, where it is given as it is.
    copied: u64,
    /// When its lines came.
    times: Times,
    /// The time that was told last.
    last: String,
    /// Colours.
    paint: Paint,
}

impl Teller {
    /// Has told nothing yet.
    fn new(store: &Store, task: &Watched) -> Teller {
        Teller {
            story: Story::new(task.record.usage_before.unwrap_or_default()),
            spool: Spool::new(store.path(task.id(), Part::Stdout)),
            copied: 0,
            times: Times::new(store, task.id()),
            last: String::new(),
            paint: Paint::of_stdout(),
        }
    }

    /// Which task it is, and what was asked of it.
    fn head(&self, store: &Store, task: &Watched) -> String {
        let record = &task.record;
        let mut out = String::new();
        self.paint.add(&mut out, Look::Bold, &format!("{} {}", record.id, record.status.name()));
        let mut about = format!("\ncwd {}", record.cwd);
        let branch = record.worktree.as_ref().map(|worktree| worktree.branch.as_str());
        let known = [
            ("model", record.model.as_deref()),
            ("sandbox", record.sandbox.as_deref()),
            ("branch", branch),
        ];
        for (name, value) in known {
            if let Some(value) = value {
                about.extend([", ", name, " ", value]);
            }
        }
        let prompt = store.beginning(record.id);
        let lines = prompt.iter().flat_map(|prompt| prompt.trim().lines());
        for (at, line) in lines.enumerate().take(PROMPT + 1) {
            about.push_str("\n> ");
            about.push_str(if at < PROMPT { line } else { "…" });
        }
        about.push('\n');
        for line in clean(&about).split_inclusive('\n') {
            self.paint.add(&mut out, Look::Faint, line);
        }
        out
    }

    /// Tells what has come since the last time. `false`: nobody listens any more.
    fn tell(&mut self, task: &Watched, over: bool) -> Result<bool, String> {
        let Teller { story, spool, times, last, paint, .. } = self;
        let mut page = Page::new();
        let each = |at: u64, line: Line<'_>| {
            let end = at
                + match line {
                    Line::Whole(bytes) => bytes.len().try_into().unwrap_or(0),
                    Line::Overlong(length) => length,
                };
            let when = times.at(end);
            let elapsed = when.map(|when| span(when.saturating_sub(task.record.started)));
            for (tone, text) in story.tell(line, when) {
                for (at, line) in clean(&text).lines().enumerate() {
                    if let Some(elapsed) = &elapsed {
                        // a time is told once
                        let new = at == 0 && elapsed != last;
                        let _ = write!(page.text, "{:>7}  ", if new { elapsed } else { "" });
                        last.clone_from(elapsed);
                    }
                    paint.add(&mut page.text, look_of(tone), line);
                    page.text.push('\n');
                }
            }
            page.turn(PIECE);
        };
        let read = if over { spool.finish(each) } else { spool.read(each) };
        read.map_err(|why| cannot_read(&why))?;
        page.end()
    }

    /// Gives what has come since the last time as it is; to a terminal, without what it would obey.
    fn copy(&mut self, transcript: &Path, over: bool) -> Result<bool, String> {
        let mut page = Page::new();
        if io::stdout().is_terminal() {
            let each = |_: u64, line: Line<'_>| {
                if let Line::Whole(line) = line {
                    let line = clean(&String::from_utf8_lossy(line));
                    page.text.push_str(&line.replace('\t', " "));
                    page.text.push('\n');
                }
                page.turn(PIECE);
            };
            let read = if over { self.spool.finish(each) } else { self.spool.read(each) };
            read.map_err(|why| cannot_read(&why))?;
            return page.end();
        }
        let mut file = match files::open_own(transcript) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(true),
            file => file.map_err(|why| cannot_read(&why))?,
        };
        file.seek(SeekFrom::Start(self.copied)).map_err(|why| cannot_read(&why))?;
        let mut piece = vec![0; PIECE];
        loop {
            let count = file.read(&mut piece).map_err(|why| cannot_read(&why))?;
            let bytes = piece.get(..count).unwrap_or_default();
            if bytes.is_empty() || !show_bytes(bytes)? {
                return Ok(bytes.is_empty());
            }
            self.copied += u64::try_from(count).unwrap_or(u64::MAX);
        }
    }

    /// How it ended.
    fn foot(&self, store: &Store, task: &mut Watched) -> String {
        task.catch_up();
        let record = &task.record;
        let elapsed = span(record.elapsed(clock::wall()));
        let (look, text) = match record.status {
            Status::Failed => {
                let exit = record.exit.map(|exit| format!(", exit {exit}")).unwrap_or_default();
                let cause = excerpt(&clean(&task.failure(store).cause));
                (Look::Red, format!("failed in {elapsed}{exit}: {cause}"))
            }
            Status::Cancelled => (Look::Yellow, format!("cancelled after {elapsed}")),
            status => (Look::Green, format!("{} in {elapsed}", status.name())),
        };
        let mut out = String::new();
        self.paint.add(&mut out, look, &text);
        out.push('\n');
        out
    }
}

/// Text on its way to stdout.
struct Page {
    /// What is not written yet.
    text: String,
    /// What came of what was written.
    heard: Result<bool, String>,
}

impl Page {
    /// Nothing.
    fn new() -> Page {
        Page { text: String::new(), heard: Ok(true) }
    }

    /// Writes what there is, if it is more than so many bytes and somebody listens.
    fn turn(&mut self, limit: usize) {
        if self.text.len() > limit {
            if self.heard == Ok(true) {
                self.heard = show(&self.text);
            }
            self.text.clear();
        }
    }

    /// Writes the rest. `false`: nobody listens any more.
    fn end(mut self) -> Result<bool, String> {
        self.turn(0);
        self.heard
    }
}

/// The transcript cannot be read.
fn cannot_read(why: &io::Error) -> String {
    format!("cannot read the transcript: {why}")
}

/// How a line looks.
fn look_of(tone: Tone) -> Look {
    match tone {
        Tone::Message => Look::Plain,
        Tone::Aside => Look::Faint,
        Tone::Deed => Look::Cyan,
        Tone::Good => Look::Green,
        Tone::Bad => Look::Red,
        Tone::Notice => Look::Yellow,
    }
}
