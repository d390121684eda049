//! `wait`: waits for tasks, prints their results, and says by its exit status how they went.

use super::named::{await_end, named};
use super::print;
use crate::clock;
use crate::server::report::{View, results};
use crate::task::{Status, Store};

/// Waits for tasks and prints their results. `false`: one did not complete.
pub fn run(store: &Store, names: &[String]) -> Result<bool, String> {
    let mut tasks = named(store, names)?;
    for task in &mut tasks {
        await_end(store, task, None);
    }
    let now = clock::wall();
    let views: Vec<View<'_>> = tasks.iter().map(|task| View { task, store, now }).collect();
    print(&results(&views, false))?;
    Ok(tasks.iter().all(|task| task.record.status == Status::Completed))
}
