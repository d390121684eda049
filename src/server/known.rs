//! The tasks that a server knows, by their ids. Decides nothing.

use super::watched::Watched;
use crate::task::Id;

/// Tasks in the order of their ids. A row of pointers, because a tree of them would be a fiftieth of
/// the program, and even 10,000 of them are moved in a few microseconds.
#[derive(Debug, Default)]
#[allow(clippy::vec_box, reason = "what is moved to make room is a pointer")]
pub struct Known(Vec<Box<Watched>>);

impl Known {
    /// Where a task is, or would be.
    fn place(&self, id: Id) -> Result<usize, usize> {
        self.0.binary_search_by_key(&id, |task| task.id())
    }

    /// A task.
    pub fn get(&self, id: Id) -> Option<&Watched> {
        self.0.get(self.place(id).ok()?).map(Box::as_ref)
    }

    /// A task, to be changed.
    pub fn get_mut(&mut self, id: Id) -> Option<&mut Watched> {
        let at = self.place(id).ok()?;
        self.0.get_mut(at).map(Box::as_mut)
    }

    /// Whether a task is known.
    pub fn has(&self, id: Id) -> bool {
        self.place(id).is_ok()
    }

    /// Adds a task that is not known yet.
    pub fn add(&mut self, task: Watched) {
        if let Err(at) = self.place(task.id()) {
            self.0.insert(at, Box::new(task));
        }
    }

    /// Forgets the tasks that are not to be kept.
    pub fn retain(&mut self, mut keep: impl FnMut(&Watched) -> bool) {
        self.0.retain(|task| keep(task));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Watched> {
        self.0.iter().map(Box::as_ref)
    }

    /// All of them, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Watched> {
        self.0.iter_mut().map(Box::as_mut)
    }
}
