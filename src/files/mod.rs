//! Files and directories that are the user's alone: made so, and refused where they are not. Knows
//! nothing of tasks.

#[cfg(target_os = "linux")]
mod tree;

use crate::sys;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
#[cfg(target_os = "linux")]
pub use tree::remove_tree;

/// Makes a directory for the user alone, its parents too, and refuses one that others could have
/// put there or can look into: a link, another owner, any bit for group or others.
pub fn private_directory(path: &Path) -> io::Result<()> {
    // looked at first: nothing is made where others have put a link
    check_parents(path)?;
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
    check_parents(path)
}

/// Refuses a place where others could put something else: every directory above it, and every link
/// on the way, must belong to the user or the system, and none may be open to others.
pub fn check_parents(path: &Path) -> io::Result<()> {
    // in a namespace of its own the system has another number
    let system = Path::new("/").metadata()?.uid();
    let real = path.ancestors().skip(1).find_map(|above| above.canonicalize().ok());
    let real = real.iter().flat_map(|real| real.ancestors());
    for above in path.ancestors().skip(1).chain(real) {
        let Ok(status) = above.symlink_metadata() else { continue };
        let (user, mode) = (status.uid(), status.mode());
        // by convention a group of the user's own number has nobody else in it
        let alone = status.gid() == user && user != 0;
        let open = if alone { 0o002 } else { 0o022 };
        let by_others = mode & open != 0 && mode & 0o1000 == 0 && !status.is_symlink();
        if by_others || ![sys::user(), 0, system].contains(&user) {
            let above = above.display();
            return Err(io::Error::other(format!(
                "others can replace it: {above} belongs to user {user} (mode {:o}), and must be \
                 writable for nobody but this user or root",
                mode & 0o7777
            )));
        }
    }
    Ok(())
}

/// Gives each name in a directory, if that can be read, but for those that are no UTF-8.
pub fn each_name(directory: &Path, give: &mut dyn FnMut(&str)) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries {
        let name = entry.map(|entry| entry.file_name()).unwrap_or_default();
        name.to_str().map(&mut *give);
    }
}

/// Copies what is in a file, with its mode: where the file systems can, without moving a byte.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mode = source.metadata()?.permissions();
    let mut options = OpenOptions::new();
    let mut copy = options.write(true).create(true).truncate(true).mode(0o600).open(to)?;
    if !sys::clone_file(&source, &copy) {
        let mut room = vec![0; 64 << 10];
        loop {
            match source.read(&mut room) {
                Ok(0) => break,
                Ok(count) => copy.write_all(room.get(..count).unwrap_or_default())?,
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => return Err(why),
            }
        }
    }
    copy.set_permissions(mode)
}

/// As on Linux, as far as the system does it.
#[cfg(not(target_os = "linux"))]
pub fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
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
    let foreign = || io::Error::other("it is a link, or belongs to another user");
    let kind = |why| if sys::is_of_another_kind(&why) { foreign() } else { why };
    let file = options.open(path).map_err(kind)?;
    if file.metadata()?.uid() == sys::user() { Ok(file) } else { Err(foreign()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_copy_has_the_bytes_and_the_mode() {
        let base = std::env::temp_dir().join(format!("swarm-copy-{}", std::process::id()));
        private_directory(&base).expect("a directory");
        let (from, to) = (base.join("from"), base.join("to"));
        fs::write(&to, "what was there before, and was longer").expect("written");
        for bytes in [Vec::new(), b"x".to_vec(), vec![7; 200_000]] {
            fs::write(&from, &bytes).expect("written");
            fs::set_permissions(&from, Permissions::from_mode(0o751)).expect("chmod");
            copy(&from, &to).expect("copied");
            assert_eq!(fs::read(&to).expect("the copy"), bytes);
            assert_eq!(fs::metadata(&to).expect("the copy").mode() & 0o7777, 0o751);
        }
        assert!(copy(&base.join("none"), &to).is_err());
        fs::remove_dir_all(base).expect("cleaned up");
    }

    #[test]
    fn a_directory_that_others_reach_is_refused() {
        use std::os::unix::fs::symlink;
        let base = std::env::temp_dir().join(format!("swarm-private-{}", std::process::id()));
        let path = base.join("a/b");
        private_directory(&path).expect("it is made");
        private_directory(&path).expect("it is ours");
        let open = Permissions::from_mode(0o710);
        fs::set_permissions(&path, open).expect("chmod");
        let why = private_directory(&path).expect_err("group may enter").to_string();
        assert!(why.contains("710") && why.contains("chmod 700"), "{why}");
        symlink(&base, base.join("link")).expect("a link is made");
        let why = private_directory(&base.join("link")).expect_err("a link").to_string();
        assert!(why.contains("link"), "{why}");
        fs::remove_dir_all(base).expect("cleaned up");
    }
}
