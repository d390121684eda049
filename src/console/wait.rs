//! `wait`: waits for tasks, prints their results, and says by its exit status how they went.

use super::print;
use crate::server::report::{View, results};
use crate::server::watched::Watched;
use crate::settings::Settings;
use crate::sys::{self, PollFd};
use crate::task::identity::Process;
use crate::task::{Id, Status, Store};
use crate::{clock, log, supervisor};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Duration;

/// How often to look at a task where the system cannot tell of its end.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Waits for tasks and prints their results. Fails if one did not complete, or is not there.
pub fn run(settings: &Settings, names: &[String]) -> ExitCode {
    let store = Store::new(&settings.task_dir);
    if let Err(why) = store.check() {
        log::say(&why.to_string());
        return ExitCode::FAILURE;
    }
    let mut tasks = Vec::new();
    for name in names {
        let record = Id::read(name).and_then(|id| store.read(id));
        let Some(record) = record else {
            log::say(&format!("there is no task {name:?} in {}", store.directory().display()));
            return ExitCode::FAILURE;
        };
        tasks.push(Watched::new(&store, record, false));
    }
    for task in &mut tasks {
        await_end(&store, task);
    }
    let now = clock::wall();
    let views: Vec<View<'_>> = tasks.iter().map(|task| View { task, store: &store, now }).collect();
    let printed = print(&results(&views, false));
    let completed = tasks.iter().all(|task| task.record.status == Status::Completed);
    if printed && completed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Waits until a task has ended.
fn await_end(store: &Store, task: &mut Watched) {
    loop {
        let supervisor = task.record.supervisor.clone();
        let end = supervisor.as_ref().and_then(Process::watch);
        if task.refresh(store, clock::wall()) {
            task.conclude(store, clock::wall(), None);
            if task.record.ours && supervisor.is_some() {
                end_leftovers(store, task.id());
            }
        }
        if task.is_final() {
            return task.catch_up();
        }
        let mut fds: Vec<PollFd<'_>> =
            end.iter().map(|process| PollFd::reading(process.as_fd())).collect();
        let _ = sys::poll(&mut fds, end.is_none().then_some(LOOK_AGAIN));
    }
}

/// Ends what is left of a task whose supervisor was killed.
fn end_leftovers(store: &Store, id: Id) {
    if let Err(why) = supervisor::spawn_unheard(id, store.directory()) {
        log::warning(&format!("task {id}: cannot end what it left: {why}"));
    }
}
