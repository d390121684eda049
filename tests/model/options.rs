//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

/// What `--help` prints.
pub const HELP: &str = include_str!("help.txt");

/// What the command line asks for.
#[derive(Debug, Default, PartialEq)]
pub struct Options {
    /// The port to listen at; 0 for any.
    pub port: u16,
    /// A file to write the port into.
    pub port_file: Option<PathBuf>,
    /// A file to append a line to for each request.
    pub log: Option<PathBuf>,
    /// A folder to write each request's body into.
    pub dump: Option<PathBuf>,
    /// End when stdin does.
    pub until_stdin_closes: bool,
}

impl Options {
    /// Reads the arguments behind the program's name; `None` if help is asked for.
    pub fn from_args(mut args: impl Iterator<Item = OsString>) -> Result<Option<Self>, String> {
        let mut options = Self::default();
        while let Some(arg) = args.next() {
            let name = arg.to_string_lossy();
            let mut value = || args.next().ok_or_else(|| format!("{name} needs a value"));
            match &*name {
                "--port" => {
                    let text = value()?;
                    let port = text.to_str().and_then(|text| text.parse().ok());
                    options.port = port.ok_or_else(|| format!("{text:?} is no port"))?;
                }
                "--port-file" => options.port_file = Some(value()?.into()),
                "--log" => options.log = Some(value()?.into()),
                "--dump" => options.dump = Some(value()?.into()),
                "--until-stdin-closes" => options.until_stdin_closes = true,
                "--help" | "-h" => return Ok(None),
                _ => return Err(format!("unknown argument {name}; see --help")),
            }
        }
        Ok(Some(options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a command line.
    fn read(args: &[&str]) -> Result<Option<Options>, String> {
        Options::from_args(args.iter().map(OsString::from))
    }

    #[test]
    fn the_command_line() {
        assert_eq!(read(&[]), Ok(Some(Options::default())));
        let all = ["--port", "81", "--log", "l", "--dump", "d", "--until-stdin-closes"];
        let options = Options {
            port: 81,
            port_file: None,
            log: Some("l".into()),
            dump: Some("d".into()),
            until_stdin_closes: true,
        };
        assert_eq!(read(&all), Ok(Some(options)));
        assert_eq!(read(&["--port", "1", "--help"]), Ok(None));
        assert!(read(&["--port"]).is_err());
        assert!(read(&["--port", "65536"]).is_err());
        assert!(read(&["--prot"]).is_err());
    }
}
