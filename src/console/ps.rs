//! `ps`: which tasks there are, and what each of them does.

use super::named::look;
use super::table::{self, Row, bar, short};
use super::text::{Look, Paint, clean};
use super::{print, show};
use crate::cli::Form;
use crate::clock::{self, span};
use crate::codex::event::excerpt;
use crate::server::report::{View, plural, tasks_json};
use crate::server::watched::Watched;
use crate::sys;
use crate::task::store::Part;
use crate::task::{Ids, Status, Store};
use std::fmt::Write;
use std::os::fd::AsFd;

/// Prints the tasks.
pub fn run(store: &Store, all: bool, form: Form) -> Result<bool, String> {
    let mut tasks = Tasks::new(store, all);
    tasks.survey();
    if form == Form::Quiet {
        let ids = tasks.shown.iter().map(|shown| format!("{}\n", shown.task.id()));
        return print(&ids.collect::<String>()).map(|_| true);
    }
    tasks.catch_up();
    if form == Form::Json {
        let now = clock::wall();
        let views = tasks.shown.iter().map(|shown| View { task: &shown.task, store, now });
        let json = tasks_json(&views.collect::<Vec<_>>(), false);
        return show(&(harmless(&json) + "\n")).map(|_| true);
    }
    let room = sys::terminal_size(std::io::stdout().as_fd()).map(|(columns, _)| columns);
    let paint = Paint::of_stdout();
    let mut out = String::new();
    match tasks.nothing() {
        Some(nothing) => out = nothing + "\n",
        None => table::write(&mut out, &tasks.rows(), room, paint),
    }
    show(&out).map(|_| true)
}

/// The tasks that are shown.
pub struct Tasks<'a> {
    /// Where they are.
    store: &'a Store,
    /// Those that ended long ago are shown too.
    all: bool,
    /// What has not ended by when it was asked for; then what has, the latest end first.
    pub shown: Vec<Shown>,
    /// Those that ended long ago. They will not change.
    old: Ids,
}

/// A task that is shown.
pub struct Shown {
    /// The task.
    pub task: Watched,
    /// The beginning of its prompt.
    title: String,
    /// Its row, once it has ended: that does not change any more.
    row: Option<Row>,
}

impl<'a> Tasks<'a> {
    /// Of which nothing is known yet.
    pub fn new(store: &'a Store, all: bool) -> Tasks<'a> {
        Tasks { store, all, shown: Vec::new(), old: Ids::default() }
    }

    /// Looks which tasks there are, and how far they are.
    pub fn survey(&mut self) {
        let now = clock::wall();
        let there = self.store.ids(Part::Meta);
        let known = self.shown.iter().map(|shown| shown.task.id());
        let known = Ids::from(known.collect::<Vec<_>>());
        for id in there.iter().filter(|id| !known.contains(**id) && !self.old.contains(**id)) {
            let Some(record) = self.store.read(*id) else { continue };
            let task = Watched::new(self.store, record, false);
            self.shown.push(Shown { task, title: String::new(), row: None });
        }
        for shown in self.shown.iter_mut().filter(|shown| !shown.task.is_final()) {
            look(self.store, &mut shown.task);
        }
        let (all, old) = (self.all, &mut self.old);
        self.shown.retain(|shown| {
            let recent = all || shown.task.is_recent(now);
            if !recent {
                old.insert(shown.task.id());
            }
            // its files may have been cleaned up
            recent && there.binary_search(&shown.task.id()).is_ok()
        });
        self.shown.sort_unstable_by_key(|shown| {
            let ended = shown.task.record.completed.filter(|_| shown.task.is_final());
            let last = u64::MAX - ended.unwrap_or(u64::MAX);
            (ended.is_some(), last, shown.task.record.asked, shown.task.id())
        });
    }

    /// Reads what they have said since the last time.
    pub fn catch_up(&mut self) {
        for shown in self.shown.iter_mut().filter(|shown| shown.row.is_none()) {
            shown.task.catch_up();
        }
    }

    /// What to say where there is nothing to show.
    pub fn nothing(&self) -> Option<String> {
        let directory = self.store.directory().display();
        match (self.shown.is_empty(), self.old.len()) {
            (false, _) => None,
            (true, 0) => Some(clean(&format!("there are no tasks in {directory}"))),
            (true, older) => {
                Some(format!("no task runs or ended in the last hour; --all shows {older} older"))
            }
        }
    }

    /// A row for each.
    pub fn rows(&mut self) -> Vec<Row> {
        let now = clock::wall();
        let store = self.store;
        self.shown.iter_mut().map(|shown| shown.row(store, now)).collect()
    }
}

impl Shown {
    /// The task as a row.
    fn row(&mut self, store: &Store, now: u64) -> Row {
        if let Some(row) = &self.row {
            return row.clone();
        }
        if self.title.is_empty() {
            self.title = in_a_line(&store.title(self.task.id()).unwrap_or_default());
        }
        let (record, transcript) = (&self.task.record, &self.task.transcript);
        let worktree = record.worktree.as_ref();
        let files = transcript.files.len();
        let changes = match worktree.and_then(|worktree| worktree.changes) {
            Some(made) if made.files > 0 => {
                let files = plural(made.files, "file");
                format!("{files} +{} -{}", made.insertions, made.deletions)
            }
            None if files > 0 => plural(files.try_into().unwrap_or(u64::MAX), "file"),
            _ => String::new(),
        };
        let said = || transcript.output.as_deref().unwrap_or_default().to_owned();
        let (doing, look) = match record.status {
            Status::Queued => ("waits for its turn".to_owned(), Look::Yellow),
            Status::Preparing => ("gets ready".to_owned(), Look::Yellow),
            Status::Running => (self.task.doing().unwrap_or("thinks").to_owned(), Look::Cyan),
            Status::Completed => (said(), Look::Green),
            Status::Failed => (excerpt(&self.task.failure(store).cause), Look::Red),
            Status::Cancelled => (said(), Look::Faint),
        };
        let tokens = self.task.usage().map(|usage| short(usage.input.saturating_add(usage.output)));
        let row = Row {
            cells: [
                self.task.id().to_string(),
                record.status.name().to_owned(),
                span(record.elapsed(now)),
                transcript.plan.map(|(done, all)| bar(done, all)).unwrap_or_default(),
                changes,
                tokens.unwrap_or_default(),
                worktree.map(|worktree| in_a_line(&worktree.branch)).unwrap_or_default(),
                self.title.clone(),
                in_a_line(&doing),
            ],
            look,
        };
        if self.task.is_final() {
            self.row = Some(row.clone());
        }
        row
    }
}

/// JSON that says the same and has nothing in it that a terminal would obey.
fn harmless(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        // JSON itself allows the control characters of ASCII in no string
        if clean(c.encode_utf8(&mut [0; 4])).is_empty() {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// A clean text without line ends.
fn in_a_line(text: &str) -> String {
    clean(text).replace(['\n', '\t'], " ")
}
