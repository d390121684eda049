//! The other processes of a benchmark: this program again, as somebody else.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Duration;

use crate::Result;
use crate::process;
use crate::stage::clock;

/// How a prompt begins that the stand-in for codex understands; then comes the path of a socket.
pub const MARK: &str = "#bench ";

/// What makes this program play a role, behind its name.
const ROLE: &str = "--role";

/// Plays the role that this process was started for; `None` if it is the benchmark itself.
pub fn play() -> Option<Result<ExitCode>> {
    let mut words = std::env::args_os();
    let name = words.next().unwrap_or_default();
    let played = if Path::new(&name).file_name().is_some_and(|name| name == "codex") {
        codex(words)
    } else if words.next()? == ROLE {
        let role = words.next().unwrap_or_default();
        let word = words.next().unwrap_or_default();
        match role.to_str() {
            Some("echo") => echo(),
            Some("pour") => pour_on_command(Path::new(&word)),
            Some("keep") => keep(Path::new(&word)),
            _ => Err(format!("there is no role {}", role.to_string_lossy()).into()),
        }
    } else {
        return None;
    };
    Some(played.map(|()| ExitCode::SUCCESS))
}

/// The command for a role, in a process group of its own: an interrupt at the keyboard is not meant
/// for it.
pub fn command(role: &str) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([ROLE, role]).process_group(0);
    Ok(command)
}

/// The final message of the stand-in with this process id.
pub fn answer(id: u64) -> String {
    format!("answer-of-{id}.")
}

/// What the stand-in with this process id writes first.
pub fn head(id: u64) -> String {
    format!(
        "{{\"type\":\"thread.started\",\"thread_id\":\"01a20000-0000-7000-8000-{id:012x}\"}}\n\
         {{\"type\":\"turn.started\"}}\n"
    )
}

/// Stands in for codex: prints what it is told to. It ends when told, or when its socket does.
fn codex(words: impl Iterator<Item = OsString>) -> Result<()> {
    let words: Vec<String> = words.filter_map(|word| word.into_string().ok()).collect();
    if words.iter().any(|word| word == "--version") {
        return Ok(io::stdout().write_all(b"codex-cli 0.169.0\n")?);
    }
    let marked = |text: &str| Some(text.split_once(MARK)?.1.lines().next()?.trim().to_owned());
    let path = words.iter().find_map(|word| marked(word)).map_or_else(
        || {
            let mut prompt = String::new();
            io::stdin().read_to_string(&mut prompt)?;
            Ok::<_, io::Error>(marked(&prompt))
        },
        |path| Ok(Some(path)),
    )?;
    let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let id = std::process::id();
    output.write_all(head(id.into()).as_bytes())?;
    let stream = UnixStream::connect(path.ok_or("this is a stand-in for codex, in a benchmark")?)?;
    let mut told = BufReader::new(stream.try_clone()?);
    let say = |mut stream: &UnixStream| stream.write_all(format!("{id} {}\n", clock()).as_bytes());
    say(&stream)?;
    let mut line = String::new();
    while told.read_line(&mut line)? > 0 {
        let words: Vec<&str> = line.split_whitespace().collect();
        match *words.as_slice() {
            ["pour", path] => pour(Path::new(path), &mut output)?,
            ["drip", path, pause] => drip(Path::new(path), pause.parse()?, &mut output)?,
            ["end"] => {
                let text = answer(id.into());
                let tail = format!(
                    "{{\"type\":\"item.completed\",\"item\":{{\"id\":\"item_9\",\"type\":\"agent_message\",\"text\":\"{text}\"}}}}\n\
                     {{\"type\":\"turn.completed\",\"usage\":{{\"input_tokens\":1000,\"cached_input_tokens\":200,\"output_tokens\":50,\"reasoning_output_tokens\":10}}}}\n"
                );
                output.write_all(tail.as_bytes())?;
                return Ok(say(&stream)?);
            }
            _ => return Err(format!("the stand-in does not know {line:?}").into()),
        }
        say(&stream)?;
        line.clear();
    }
    Ok(())
}

/// How many bytes of a line Codex (0.169) keeps until its end comes: a longer one is written by itself,
/// and then its end. Either way each event is written for itself.
const KEPT: usize = 1024;

/// Writes a file as Codex would, as fast as it is taken.
fn pour(path: &Path, output: &mut File) -> Result<()> {
    let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut line = Vec::new();
    while file.read_until(b'\n', &mut line)? > 0 {
        write_line(&line, output)?;
        line.clear();
    }
    Ok(())
}

/// Writes a line as Codex does.
fn write_line(line: &[u8], output: &mut File) -> io::Result<()> {
    let at = if line.len() > KEPT { line.len() - 1 } else { line.len() };
    let (text, end) = line.split_at(at);
    output.write_all(text)?;
    output.write_all(end)
}

/// Writes a file line by line, with a pause of so many microseconds behind each.
fn drip(path: &Path, pause: u64, output: &mut File) -> Result<()> {
    for line in fs::read(path)?.split_inclusive(|b| *b == b'\n') {
        write_line(line, output)?;
        thread::sleep(Duration::from_micros(pause));
    }
    Ok(())
}

/// Pours a file into stdout, or drips it with the pause that is named, for each line on stdin.
fn pour_on_command(path: &Path) -> Result<()> {
    let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    for line in io::stdin().lines() {
        match line?.as_str() {
            "0" => pour(path, &mut output)?,
            pause => drip(path, pause.parse()?, &mut output)?,
        }
    }
    Ok(())
}

/// Gives back each byte.
fn echo() -> Result<()> {
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut byte = [0];
    while input.read(&mut byte)? > 0 {
        output.write_all(&byte)?;
        output.flush()?;
    }
    Ok(())
}

/// Removes a directory when stdin ends, and with it those who work in there.
fn keep(dir: &Path) -> Result<()> {
    io::copy(&mut io::stdin().lock(), &mut io::sink())?;
    for tries in 0..400 {
        // a supervisor that cannot write its record any more would make the directory for its log
        let is_used = tries < 300 && process::is_told_of(dir);
        if !is_used && (fs::remove_dir_all(dir).is_ok() || !dir.exists()) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
    Err(format!("{} is left", dir.display()).into())
}
