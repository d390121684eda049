//! The command line.

use std::path::PathBuf;

/// What `--help` prints.
pub const HELP: &str = include_str!("help.txt");

/// What the command line asks for.
#[derive(Debug, Default, PartialEq)]
pub struct Options {
    /// The binary to measure, if not the one that cargo built.
    pub binary: Option<PathBuf>,
    /// The command of a server to measure beside it.
    pub against: Option<String>,
    /// What the names of the figures must contain.
    pub only: String,
    /// Go on to 1,000 tasks.
    pub large: bool,
    /// Where to write all numbers.
    pub json: Option<PathBuf>,
    /// A bar that is missed is a failure.
    pub strict: bool,
}

impl Options {
    /// Reads the arguments behind the program's name; `None` if help is asked for.
    pub fn from_args(mut args: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut options = Self::default();
        while let Some(arg) = args.next() {
            // behind all others stands one that cargo has added
            let is_value = |next: &String| !next.starts_with("--");
            let mut value =
                || args.next().filter(is_value).ok_or_else(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--binary" => options.binary = Some(value()?.into()),
                "--against" => options.against = Some(value()?),
                "--only" => options.only = value()?,
                "--large" => options.large = true,
                "--json" => options.json = Some(value()?.into()),
                "--strict" => options.strict = true,
                // cargo says so to whatever it runs as a benchmark
                "--bench" => {}
                "--help" | "-h" => return Ok(None),
                _ => return Err(format!("unknown argument {arg}; see --help")),
            }
        }
        Ok(Some(options))
    }
}
