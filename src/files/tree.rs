//! A directory removed with all that is below it, on Linux, whatever others make of it meanwhile. Knows
//! nothing of whose it was.

use crate::sys;
use std::ffi::OsString;
use std::fs::{self, DirEntry, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a directory may take to remove. One in which somebody goes on making files takes for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// Removes a directory, if it is there, and all below it, whatever others have made of it: links are
/// not followed, no depth is too deep, and directories that were closed are opened.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    let began = Instant::now();
    let patient = || {
        let over = began.elapsed() >= PATIENCE;
        if over { Err(io::Error::from(io::ErrorKind::TimedOut)) } else { Ok(()) }
    };
    let top = match hold(path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let mut moved = 0_u64;
    let mut shallow = false;
    while !shallow {
        shallow = true;
        for entry in held(&top).read_dir()? {
            let (name, is_directory) = described(entry)?;
            let path = held(&top).join(name);
            patient()?;
            if !is_directory {
                fs::remove_file(path)?;
                continue;
            }
            let directory = hold(&path)?;
            for entry in held(&directory).read_dir()? {
                let (name, is_directory) = described(entry)?;
                let below = held(&directory).join(name);
                patient()?;
                if !is_directory {
                    fs::remove_file(below)?;
                    continue;
                }
                // up to the top, so that there is never more than one level to hold; a closed
                // directory cannot be moved
                hold(&below)?;
                moved += 1;
                let free = format!(".{moved}.{}", began.elapsed().subsec_nanos());
                fs::rename(below, held(&top).join(free))?;
                shallow = false;
            }
            fs::remove_dir(path)?;
        }
    }
    fs::remove_dir(path)
}

/// The name in a directory, and whether it is a directory's.
fn described(entry: io::Result<DirEntry>) -> io::Result<(OsString, bool)> {
    let entry = entry?;
    Ok((entry.file_name(), entry.file_type()?.is_dir()))
}

/// Holds on to a directory, so that nobody can put another in its place, and opens it to us.
fn hold(path: &Path) -> io::Result<File> {
    let flags = sys::A_PLACE | sys::A_DIRECTORY | sys::NO_LINK;
    let directory = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    fs::set_permissions(held(&directory), Permissions::from_mode(0o700))?;
    Ok(directory)
}

/// The path of a directory that is held on to, wherever it lies.
fn held(directory: &File) -> PathBuf {
    format!("/proc/self/fd/{}", directory.as_raw_fd()).into()
}
