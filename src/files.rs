//! Files and directories that are the user's alone: made so, and refused where they are not. Knows
//! nothing of tasks.

use crate::sys;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Makes a directory for the user alone, its parents too, and refuses one that others could have
/// put there or can look into: a link, another owner, any bit for group or others.
pub fn private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    check_private(path)
}

/// Refuses a directory that is not the user's alone, or that others could put another in place of.
pub fn check_private(path: &Path) -> io::Result<()> {
    let flags = sys::A_DIRECTORY | sys::NO_LINK;
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let directory = opened.map_err(|why| {
        if sys::is_of_another_kind(&why) {
            io::Error::other("it is a link or no directory; name the directory itself")
        } else {
            why
        }
    })?;
    let status = directory.metadata()?;
    if status.uid() != sys::user() {
        let why = format!("it belongs to user {}, and this is user {}", status.uid(), sys::user());
        return Err(io::Error::other(why));
    }
    if status.mode() & 0o077 != 0 {
        let why = format!("others can get at it (mode {:o}); chmod 700 it", status.mode() & 0o777);
        return Err(io::Error::other(why));
    }
    check_parent(path)
}

/// Refuses a place in a directory where others could put something else there.
pub fn check_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().map(Path::metadata).transpose()?;
    let safe = parent.is_none_or(|parent| {
        let by_others = parent.mode() & 0o022 != 0 && parent.mode() & 0o1000 == 0;
        !by_others && (parent.uid() == sys::user() || parent.uid() == 0)
    });
    if safe {
        Ok(())
    } else {
        Err(io::Error::other("others can replace it: see its parent's mode"))
    }
}

/// Opens a file of ours for reading; what is no file, as a link or a pipe, is refused.
pub fn open_own(path: &Path) -> io::Result<File> {
    let file = open_at_once(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no file")) }
}

/// Makes a file for the user alone, where none was before.
pub fn create_own(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).custom_flags(sys::NO_LINK).open(path)
}

/// Opens a file of ours for writing over what is in it; a link in its place is refused.
pub fn rewrite_own(path: &Path) -> io::Result<File> {
    let flags = sys::NO_LINK | sys::AT_ONCE;
    OpenOptions::new().write(true).custom_flags(flags).open(path)
}

/// Opens a file of ours for reading without waiting for anything; a link in its place is refused.
pub fn open_at_once(path: &Path) -> io::Result<File> {
    let flags = sys::NO_LINK | sys::AT_ONCE;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Opens a file for the user alone, to write at its end; a link in its place is refused, and so is
/// another user's file.
pub fn append_own(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // a pipe in its place must not hold us up
    let flags = sys::NO_LINK | sys::AT_ONCE;
    options.append(true).create(true).mode(0o600).custom_flags(flags);
    let file = options.open(path)?;
    if file.metadata()?.uid() == sys::user() {
        Ok(file)
    } else {
        Err(io::Error::other("the file belongs to another user"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_others_reach_is_refused() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let base = std::env::temp_dir().join(format!("swarm-private-{}", std::process::id()));
        let path = base.join("a/b");
        private_directory(&path).expect("it is made");
        private_directory(&path).expect("it is ours");
        let open = std::fs::Permissions::from_mode(0o710);
        std::fs::set_permissions(&path, open).expect("chmod");
        let why = private_directory(&path).expect_err("group may enter").to_string();
        assert!(why.contains("710") && why.contains("chmod 700"), "{why}");
        symlink(&base, base.join("link")).expect("a link is made");
        let why = private_directory(&base.join("link")).expect_err("a link").to_string();
        assert!(why.contains("link"), "{why}");
        std::fs::remove_dir_all(base).expect("cleaned up");
    }
}
