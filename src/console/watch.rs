//! `ps --watch`: the table on a screen of its own, drawn anew whenever something has changed.

use super::named::LOOK_AGAIN;
use super::ps::Tasks;
use super::text::{Look, Paint, fit};
use super::{show, table};
use crate::sys::{self, About, Notices, PollFd, Signal, Signals, TerminalModes};
use crate::task::{Status, Store};
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// The screen is drawn anew at most this often.
const BREATH: Duration = Duration::from_millis(100);

/// Onto the other screen; no cursor, and no line goes on in the next one.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";

/// Back to where it was.
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// What the person wants, or what happens to the terminal.
enum Wish {
    /// See how things are now.
    Look,
    /// Have the terminal for something else for a while.
    Pause,
    /// That is all.
    End,
}

/// Shows the table until somebody ends it.
pub fn run(store: &Store, all: bool) -> Result<bool, String> {
    if !io::stdout().is_terminal() {
        return Err("ps --watch needs a terminal".into());
    }
    let caught = [
        Signal::Interrupt,
        Signal::Quit,
        Signal::Terminate,
        Signal::HangUp,
        Signal::Resize,
        Signal::Pause,
    ];
    let mut signals =
        Signals::catch(&caught).map_err(|why| format!("cannot catch signals: {why}"))?;
    let modes = TerminalModes::of(io::stdin().as_fd());
    // std's stdin would keep what poll(2) is to tell of
    let keys = io::stdin().as_fd().try_clone_to_owned().ok().filter(|_| modes.is_some());
    let mut keys = keys.map(File::from);
    let mut tasks = Tasks::new(store, all);
    loop {
        if let Some(modes) = &modes {
            modes.set_keys(io::stdin().as_fd());
        }
        let entered = show(ENTER);
        let wish = entered.and_then(|_| watch(&mut tasks, &mut signals, keys.as_mut(), store));
        // whatever happened, the terminal is left as it was
        let left = show(LEAVE);
        if let Some(modes) = &modes {
            modes.restore(io::stdin().as_fd());
        }
        if let Wish::Pause = wish? {
            sys::pause();
            continue;
        }
        left?;
        // what was seen last stays to be read
        return show(&page(&mut tasks, None)).map(|_| true);
    }
}

/// Draws until the person wants something else.
fn watch(
    tasks: &mut Tasks<'_>,
    signals: &mut Signals,
    mut keys: Option<&mut File>,
    store: &Store,
) -> Result<Wish, String> {
    let mut records = Notices::of(About::Arrivals, store.directory()).ok();
    loop {
        let drawn = Instant::now();
        tasks.survey();
        tasks.catch_up();
        let size = sys::terminal_size(io::stdout().as_fd()).unwrap_or((80, 24));
        if !show(&frame(&page(tasks, Some(size)), size.1))? {
            return Ok(Wish::End);
        }
        // many records may change at once, and what a person typed does not wait for them
        let mut asked = await_wish(signals, keys.as_deref_mut(), None, BREATH);
        if asked.is_none() {
            let rest = LOOK_AGAIN.saturating_sub(drawn.elapsed());
            asked = await_wish(signals, keys.as_deref_mut(), records.as_mut(), rest);
        }
        match asked {
            None | Some(Wish::Look) => {}
            Some(wish) => return Ok(wish),
        }
    }
}

/// Waits until the person wants something or a record is written, for at most so long.
fn await_wish(
    signals: &mut Signals,
    keys: Option<&mut File>,
    records: Option<&mut Notices>,
    limit: Duration,
) -> Option<Wish> {
    let mut fds = vec![PollFd::reading(signals.fd())];
    fds.extend(keys.as_deref().map(|keys| PollFd::reading(keys.as_fd())));
    fds.extend(records.as_deref().map(|records| PollFd::reading(records.fd())));
    let _ = sys::poll(&mut fds, Some(limit));
    let typed = fds.get(1).is_some_and(PollFd::ready);
    drop(fds);
    if let Some(records) = records {
        records.take();
    }
    let mut wish = None;
    for signal in signals.take() {
        match signal {
            Signal::Resize => wish = wish.or(Some(Wish::Look)),
            Signal::Pause => wish = Some(Wish::Pause),
            _ => return Some(Wish::End),
        }
    }
    let mut typing = [0; 64];
    if let Some(keys) = keys.filter(|_| typed) {
        match keys.read(&mut typing) {
            // the terminal is gone
            Ok(0) | Err(_) => return Some(Wish::End),
            Ok(count) if typing.iter().take(count).any(|key| matches!(key, b'q' | b'Q')) => {
                return Some(Wish::End);
            }
            Ok(_) => {}
        }
    }
    wish
}

/// The tasks as lines, in so many columns and rows if there is a limit.
fn page(tasks: &mut Tasks<'_>, size: Option<(usize, usize)>) -> String {
    let paint = Paint::of_stdout();
    let columns = size.or_else(|| sys::terminal_size(io::stdout().as_fd())).map(|size| size.0);
    let mut out = String::new();
    if size.is_some() {
        let mut head = String::new();
        fit(&mut head, &summary(tasks), columns.unwrap_or(usize::MAX));
        paint.add(&mut out, Look::Bold, &head);
        out.push('\n');
    }
    match tasks.nothing() {
        Some(nothing) => {
            fit(&mut out, &nothing, columns.unwrap_or(usize::MAX));
            out.push('\n');
        }
        None => table::write(&mut out, &tasks.rows(), columns, paint),
    }
    let Some((columns, rows)) = size else { return out };
    let lines = out.lines().count();
    if lines > rows {
        // the last line says what is left out
        let keep = rows.saturating_sub(1);
        let kept: usize = out.split_inclusive('\n').take(keep).map(str::len).sum();
        out.truncate(kept);
        let more = (lines - keep).min(tasks.shown.len());
        fit(&mut out, &format!("… and {more} more"), columns);
        out.push('\n');
    }
    out
}

/// How many tasks there are of each kind.
fn summary(tasks: &Tasks<'_>) -> String {
    let count = |is: fn(Status) -> bool| {
        tasks.shown.iter().filter(|shown| is(shown.task.record.status)).count()
    };
    let waiting = count(|status| status == Status::Queued);
    let ended = count(Status::is_final);
    let running = tasks.shown.len() - waiting - ended;
    format!("{running} running, {waiting} queued, {ended} ended")
}

/// Lines as what draws them over those of before.
fn frame(page: &str, rows: usize) -> String {
    let mut out = String::from("\x1b[H");
    for (at, line) in page.lines().enumerate() {
        if at > 0 {
            out.push_str("\r\n");
        }
        // first, because behind a full line the cursor stands on its last character
        out.push_str("\x1b[K");
        out.push_str(line);
    }
    if page.lines().count() < rows {
        out.push_str("\r\n\x1b[J");
    }
    out
}
