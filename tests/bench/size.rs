//! The size of the binary.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::stage::Stage;
use crate::table::{Row, Table};

/// What the static one may have: 500 KB.
const MOST: u64 = 500 * 1024;

/// The binary that is measured, and the static one if cargo has built one.
pub fn measure(stage: &Stage, table: &mut Table) -> Result<()> {
    let mut binaries = vec![stage.binary().to_owned()];
    binaries.extend(built().into_iter().filter(|path| path != stage.binary()));
    for binary in binaries {
        let bytes = fs::metadata(&binary)?.len();
        let size = bytes as f64 / 1024.0;
        if is_static(&binary)? {
            table.add(Row::new("size, static", size, "KB").bar("<= 500 KB", bytes <= MOST))?;
        } else {
            table.add(Row::new("size, dynamic", size, "KB"))?;
        }
    }
    Ok(())
}

/// The static binaries that stand where cargo puts them.
fn built() -> Vec<PathBuf> {
    let exe = std::env::current_exe().unwrap_or_default();
    // this stands in target/release/deps
    let target = exe.ancestors().nth(3).unwrap_or(Path::new("target"));
    let folders = fs::read_dir(target).into_iter().flatten().flatten();
    let musl = folders.filter(|entry| entry.file_name().to_string_lossy().ends_with("-musl"));
    let binaries = musl.map(|entry| entry.path().join("release/codex-mcp-swarm"));
    binaries.filter_map(|path| path.canonicalize().ok()).collect()
}

/// Whether a binary is an ELF file that asks for no dynamic loader.
pub fn is_static(path: &Path) -> Result<bool> {
    /// The kind of program header that names a loader.
    const INTERP: [u8; 4] = 3_u32.to_ne_bytes();
    let file = fs::read(path).map_err(|why| format!("{}: {why}", path.display()))?;
    let two = |at: usize| {
        let bytes = file.get(at..at + 2)?.try_into().ok()?;
        Some(usize::from(u16::from_ne_bytes(bytes)))
    };
    // of 64 bits; what else there is counts as dynamic
    let headers = || {
        let from: [u8; 8] = file.get(32..40)?.try_into().ok()?;
        let from = usize::try_from(u64::from_ne_bytes(from)).ok()?;
        let headers = file.get(from..)?.chunks(two(54)?).take(two(56)?);
        Some(headers.map(|header| header.get(..4) == Some(&INTERP)).collect::<Vec<_>>())
    };
    let is_elf = file.starts_with(b"\x7fELF\x02");
    Ok(is_elf && headers().is_some_and(|loaders| !loaders.contains(&true)))
}
