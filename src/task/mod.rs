//! A task as it lies on disk: its id, its record, its files, the processes it names. Knows neither
//! MCP nor what Codex writes.

mod git;
pub mod group;
pub mod id;
pub mod identity;
pub mod record;
pub mod retention;
pub mod slots;
pub mod spool;
pub mod store;
pub mod times;
pub mod worktree;

pub use group::Group;
pub use id::{Id, Ids, LongId};
pub use record::{Record, Status, Usage};
pub use store::Store;
pub use worktree::Worktree;
