//! `cancel`: tells tasks to end, and waits until they have.

use super::named::{await_end, look, named};
use super::print;
use crate::clock;
use crate::server::watched::Watched;
use crate::task::{Status, Store};
use std::time::Instant;

/// Ends tasks. `false`: one of them has not ended yet.
pub fn run(store: &Store, names: &[String]) -> Result<bool, String> {
    let mut tasks = named(store, names)?;
    for task in &mut tasks {
        look(store, task);
    }
    if let Some(task) = tasks.iter().find(|task| task.is_out_of_reach()) {
        let id = task.id();
        return Err(format!(
            "task {id} runs on another machine or in another container, out of reach; cancel it \
             there; no task was told to end"
        ));
    }
    let had_ended: Vec<bool> = tasks.iter().map(Watched::is_final).collect();
    for task in &mut tasks {
        task.told_to_end = true;
        task.tell_to_end();
    }
    let most = tasks.iter().map(Watched::time_to_end).max().unwrap_or_default();
    let until = Instant::now() + most;
    let mut all_ended = true;
    for (task, had_ended) in tasks.iter_mut().zip(had_ended) {
        let id = task.id();
        if !await_end(store, task, Some(until)) {
            // its server starts one when it is its turn, and knows nothing of us
            print(&match task.record.supervisor {
                Some(_) => format!("{id} was told to end and has not ended yet\n"),
                None => format!("{id} has no supervisor that could be told to end; try again\n"),
            })?;
            all_ended = false;
            continue;
        }
        let status = task.record.status;
        print(&if had_ended {
            let how = if status == Status::Cancelled { "been cancelled" } else { status.name() };
            format!("{id} had {how}\n")
        } else {
            let elapsed = clock::span(task.record.elapsed(clock::wall()));
            let behind = if status == Status::Cancelled { "after" } else { "in" };
            format!("{id} {} {behind} {elapsed}\n", status.name())
        })?;
    }
    Ok(all_ended)
}
