//! A terminal: a pseudo-terminal with the program in it, and a model of the screen that says what a
//! person would see. Without unsafe code: script(1) makes the pseudo-terminal, and stty(1) sets it.

use crate::support::*;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Instant;

/// How a character looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// One of the 256 colours, if it is not the terminal's own.
    pub foreground: Option<u8>,
    /// The same of what is behind it.
    pub background: Option<u8>,
    /// At the number that switches it on: 1 bold, 2 dim, 3 italic, 4 underlined, 7 reversed.
    pub effects: [bool; 8],
}

/// A place on the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// A character and what is combined with it. Empty: the right half of a wide one.
    pub text: String,
    /// How it looks.
    pub style: Style,
}

/// A screen that is not shown: its rows, and where the cursor was.
type Kept = (Vec<Vec<Cell>>, (usize, usize));

/// What stands on a terminal's screen.
#[derive(Debug)]
pub struct Screen {
    /// Rows of cells, all of the same width.
    pub cells: Vec<Vec<Cell>>,
    /// How wide it is.
    pub cols: usize,
    /// Where the next character goes. A column of `cols`: the last one was written, and the next
    /// character wraps.
    pub cursor: (usize, usize),
    /// Whether the cursor is seen.
    pub cursor_shown: bool,
    /// The normal screen and its cursor, while the alternate one is shown.
    normal: Option<Kept>,
    /// How the next character will look.
    style: Style,
    /// A line that is too long goes on in the next row.
    autowrap: bool,
    /// How often a line was too long, whether it went on or not.
    pub wrapped: usize,
    /// What has scrolled off the normal screen.
    pub above: Vec<String>,
    /// The escape sequences that came, without the ESC.
    pub sequences: Vec<String>,
    /// What must never come.
    pub violations: Vec<String>,
    /// The beginning of a character or a sequence.
    begun: Vec<u8>,
}

/// How many columns a character takes; of the marks and the wide ones those that tests use.
pub fn width(c: char) -> usize {
    match u32::from(c) {
        0x300..=0x36f | 0x200b..=0x200f | 0x20d0..=0x20ff | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xff00..=0xff60
        | 0x1f300..=0x1f64f
        | 0x1f680..=0x1f6ff
        | 0x1f900..=0x1f9ff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// How many columns a text takes.
pub fn width_of(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// Whether a character can move a terminal, or turn round what is read.
pub fn moves(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl Screen {
    /// An empty one.
    pub fn new(rows: usize, cols: usize) -> Screen {
        Screen {
            cells: vec![blank(cols); rows],
            cols,
            cursor: (0, 0),
            cursor_shown: true,
            normal: None,
            style: Style::default(),
            autowrap: true,
            wrapped: 0,
            above: Vec::new(),
            sequences: Vec::new(),
            violations: Vec::new(),
            begun: Vec::new(),
        }
    }

    /// The rows as text, without the blanks at their ends.
    pub fn rows(&self) -> Vec<String> {
        self.cells.iter().map(|row| text_of_row(row)).collect()
    }

    /// All that was printed on the normal screen, without the empty rows at the end.
    pub fn printed(&self) -> Vec<String> {
        let mut all = self.above.clone();
        all.extend(self.rows());
        while all.last().is_some_and(String::is_empty) {
            all.pop();
        }
        all
    }

    /// The alternate screen is shown.
    pub fn is_alternate(&self) -> bool {
        self.normal.is_some()
    }

    /// Whether anything had a colour, or looked special in another way.
    pub fn is_coloured(&self) -> bool {
        self.sequences.iter().any(|sequence| sequence.ends_with('m'))
    }

    /// Takes what the program wrote.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.begun.extend_from_slice(bytes);
        let all = std::mem::take(&mut self.begun);
        let mut rest = &all[..];
        while !rest.is_empty() {
            let Some(length) = unit(rest) else {
                self.begun = rest.to_vec();
                return;
            };
            let (one, behind) = rest.split_at(length);
            match std::str::from_utf8(one) {
                Ok(text) => self.take(text),
                Err(_) => self.violations.push(format!("no UTF-8: {one:?}")),
            }
            rest = behind;
        }
    }

    /// Gives it another size. What no longer fits is lost; a normal screen keeps the cursor's row.
    pub fn resize(&mut self, rows: usize, cols: usize) {
        self.cols = cols;
        let screens = [
            Some((&mut self.cells, &mut self.cursor)),
            self.normal.as_mut().map(|(c, at)| (c, at)),
        ];
        for (cells, cursor) in screens.into_iter().flatten() {
            let lost = (cursor.0 + 1).saturating_sub(rows);
            cells.drain(..lost);
            cells.resize(rows, blank(cols));
            for row in cells {
                row.resize(cols, blank(1)[0].clone());
            }
            *cursor = (cursor.0 - lost, cursor.1.min(cols - 1));
        }
    }

    /// Takes a character or a sequence.
    fn take(&mut self, text: &str) {
        let (row, col) = self.cursor;
        match text.chars().next().unwrap_or_default() {
            '\u{1b}' => {
                self.sequences.push(text[1..].to_owned());
                if !self.sequence(text) {
                    self.violations.push(format!("{text:?}"));
                }
            }
            '\r' => self.cursor.1 = 0,
            '\n' => self.line_feed(),
            '\u{8}' => self.cursor.1 = col.min(self.cols - 1).saturating_sub(1),
            '\t' => self.cursor.1 = ((col / 8 + 1) * 8).min(self.cols - 1),
            c if moves(c) => self.violations.push(format!("{c:?}")),
            c if width(c) > 0 => self.put(c),
            c if col > 0 => {
                let wide = self.cells[row][col - 1].text.is_empty() && col > 1;
                self.cells[row][col - 1 - usize::from(wide)].text.push(c);
            }
            _ => {}
        }
    }

    /// Writes a character where the cursor is.
    fn put(&mut self, c: char) {
        if self.cursor.1 + width(c) > self.cols {
            self.wrapped += 1;
            if width(c) > self.cols {
                return;
            }
            self.cursor.1 = self.cols - width(c);
            if self.autowrap {
                self.cursor.1 = 0;
                self.line_feed();
            }
        }
        let (row, col) = self.cursor;
        let end = col + width(c);
        let row = &mut self.cells[row];
        // half of a wide character is none
        if row[col].text.is_empty() {
            row[col - 1].text = " ".into();
        }
        if row.get(end).is_some_and(|cell| cell.text.is_empty()) {
            row[end].text = " ".into();
        }
        for cell in &mut row[col..end] {
            *cell = Cell { text: String::new(), style: self.style };
        }
        row[col].text.push(c);
        self.cursor.1 = end;
    }

    /// Goes to the next row, which may be a new one.
    fn line_feed(&mut self) {
        if self.cursor.0 + 1 < self.cells.len() {
            self.cursor.0 += 1;
            return;
        }
        let gone = text_of_row(&self.cells.remove(0));
        self.cells.push(blank(self.cols));
        if self.is_alternate() {
            self.violations.push(format!("scrolled: {gone}"));
        } else {
            self.above.push(gone);
        }
    }

    /// Does what a sequence says; `false` if it is none that we know.
    fn sequence(&mut self, text: &str) -> bool {
        let Some(text) = text.strip_prefix("\u{1b}[") else { return false };
        let (words, verb) = text.split_at(text.len() - 1);
        let numbers: Option<Vec<usize>> =
            words.split(';').map(|n| if n.is_empty() { Some(0) } else { n.parse().ok() }).collect();
        let (rows, cols) = (self.cells.len(), self.cols);
        let Some(numbers) = numbers else { return self.mode(text) };
        let first = numbers[0];
        let row = self.cursor.0;
        let col = self.cursor.1.min(cols - 1);
        let (begin, here) = (row * cols, row * cols + col);
        // 0 is 1 here, and how far it goes is cut at the edge
        let by = first.max(1);
        match (verb, first) {
            ("H" | "f", _) => {
                let second = numbers.get(1).copied().unwrap_or(1).max(1);
                self.cursor = (by.min(rows) - 1, second.min(cols) - 1);
            }
            ("A", _) => self.cursor = (row.saturating_sub(by), col),
            ("B", _) => self.cursor = ((row + by).min(rows - 1), col),
            ("C", _) => self.cursor = (row, (col + by).min(cols - 1)),
            ("D", _) => self.cursor = (row, col.saturating_sub(by)),
            ("G", _) => self.cursor = (row, by.min(cols) - 1),
            ("J", 0) => self.erase(here, rows * cols),
            ("J", 1) => self.erase(0, here + 1),
            ("J", 2) => self.erase(0, rows * cols),
            ("K", 0) => self.erase(here, begin + cols),
            ("K", 1) => self.erase(begin, here + 1),
            ("K", 2) => self.erase(begin, begin + cols),
            ("m", _) => return self.looks(&numbers),
            _ => return false,
        }
        true
    }

    /// Switches a mode.
    fn mode(&mut self, text: &str) -> bool {
        match text {
            "?25h" | "?25l" => self.cursor_shown = text == "?25h",
            "?7h" | "?7l" => self.autowrap = text == "?7h",
            "?1049h" if self.normal.is_none() => {
                let empty = vec![blank(self.cols); self.cells.len()];
                self.normal = Some((std::mem::replace(&mut self.cells, empty), self.cursor));
            }
            "?1049l" => {
                let Some((cells, cursor)) = self.normal.take() else { return false };
                (self.cells, self.cursor) = (cells, cursor);
            }
            _ => return false,
        }
        true
    }

    /// Makes cells blank, counted from the first one on.
    fn erase(&mut self, from: usize, to: usize) {
        let cells = self.cells.iter_mut().flatten().take(to).skip(from);
        cells.for_each(|cell| *cell = blank(1)[0].clone());
    }

    /// Changes how the next characters will look.
    fn looks(&mut self, numbers: &[usize]) -> bool {
        let mut numbers = numbers.iter().copied();
        while let Some(number) = numbers.next() {
            let style = &mut self.style;
            let colour = |from: usize| u8::try_from(number - from).ok();
            match number {
                0 => *style = Style::default(),
                1..=4 | 7 => style.effects[number] = true,
                22 => style.effects[1..=2].fill(false),
                23 | 24 | 27 => style.effects[number - 20] = false,
                30..=37 => style.foreground = colour(30),
                90..=97 => style.foreground = colour(82),
                40..=47 => style.background = colour(40),
                100..=107 => style.background = colour(92),
                39 => style.foreground = None,
                49 => style.background = None,
                38 | 48 => {
                    let colour = match (numbers.next(), numbers.next()) {
                        (Some(5), Some(colour)) => u8::try_from(colour).ok(),
                        _ => return false,
                    };
                    let part =
                        if number == 38 { &mut style.foreground } else { &mut style.background };
                    *part = colour;
                }
                _ => return false,
            }
        }
        true
    }
}

/// Cells with nothing in them.
fn blank(count: usize) -> Vec<Cell> {
    vec![Cell { text: " ".into(), style: Style::default() }; count]
}

/// A row as text, without the blanks at its end.
fn text_of_row(row: &[Cell]) -> String {
    let text: String = row.iter().map(|cell| cell.text.as_str()).collect();
    text.trim_end_matches(' ').to_owned()
}

/// How long the character or the sequence is that bytes begin with; `None` if more are to come.
fn unit(bytes: &[u8]) -> Option<usize> {
    let length = match bytes {
        [0x1b, b'[', rest @ ..] => rest.iter().position(|b| (0x40..0x7f).contains(b))? + 3,
        [0x1b, b']', rest @ ..] => rest.iter().position(|b| *b == 7)? + 3,
        [0x1b] => return None,
        [0x1b | 0xc2..0xe0, ..] => 2,
        [0xe0..0xf0, ..] => 3,
        [0xf0..0xf5, ..] => 4,
        _ => 1,
    };
    (length <= bytes.len()).then_some(length)
}

/// What stands in a terminal's output besides escape sequences, its line ends as in a file.
pub fn plain(output: &[u8]) -> String {
    let (mut out, mut rest) = (String::new(), output);
    while let Some(length) = unit(rest) {
        let (one, behind) = rest.split_at(length);
        if one[0] != 0x1b {
            let _ = write!(out, "{}", String::from_utf8_lossy(one));
        }
        rest = behind;
        if rest.is_empty() {
            break;
        }
    }
    out.replace("\r\n", "\n")
}

/// A pseudo-terminal in which the program is what runs in the foreground.
pub struct Terminal {
    /// script(1).
    child: Child,
    /// What is typed.
    keyboard: ChildStdin,
    /// What comes out, as a thread reads it.
    output: Receiver<Vec<u8>>,
    /// All of that so far.
    pub raw: Vec<u8>,
    /// What it makes of the screen.
    pub screen: Screen,
    /// Where the notes of the shell are that is the terminal's first process.
    notes: PathBuf,
}

/// What that shell does: it notes the modes before and after, and whenever the program was stopped.
const SHELL: &str = r#"
stty rows "$ROWS" cols "$COLS" echo
tty > tty
stty -a > before
exec 3>&2 2> /dev/null
set -m
# an end by Ctrl-C is not to be the end of this shell
trap : INT
sh -c 'cd "$AT"; echo $$ > "$NOTES/pid"; exec "$@" 2>&3 3>&-' sh "$@"
code=$?
# stopped, by itself or by the terminal
while [ "$code" -eq 147 ] || [ "$code" -eq 148 ]; do
    stty -a > stopped.new
    mv stopped.new stopped
    echo '(stopped)'
    read -r go < go
    fg > /dev/null
    code=$?
done
stty -a > after
exit "$code"
"#;

impl Terminal {
    /// Runs the program with these words in a terminal of this size.
    pub fn open(dir: &Dir, (rows, cols): (usize, usize), words: &[&str]) -> Terminal {
        let mut command = dir.command();
        command.args(words).env("TERM", "xterm-256color");
        Terminal::run(dir, (rows, cols), &command)
    }

    /// Runs this command.
    pub fn run(dir: &Dir, (rows, cols): (usize, usize), command: &Command) -> Terminal {
        static OPENED: AtomicU32 = AtomicU32::new(0);
        let number = OPENED.fetch_add(1, Ordering::Relaxed);
        let notes = dir.make(&format!("terminal-{number}"));
        assert!(Command::new("mkfifo").arg(notes.join("go")).status().unwrap().success());
        let words = [command.get_program()].into_iter().chain(command.get_args());
        let words = words.map(|word| quoted_word(word.to_str().unwrap()));
        let words = words.collect::<Vec<_>>().join(" ");
        fs::write(notes.join("run"), format!("set -- {words}{SHELL}")).unwrap();
        let mut script = Command::new("script");
        script
            // a suite that runs in the background may have been started with Ctrl-C ignored
            .args(["-qfec", "exec env --default-signal=INT,QUIT sh ./run", "/dev/null"])
            .env_clear()
            .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .envs([("ROWS", rows.to_string()), ("COLS", cols.to_string())])
            .env("NOTES", &notes)
            .env("AT", command.get_current_dir().unwrap())
            .current_dir(&notes)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = script.spawn().expect("script starts");
        let keyboard = child.stdin.take().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let (send, output) = channel();
        thread::spawn(move || {
            let mut room = vec![0; 1 << 16];
            while let Ok(length @ 1..) = stdout.read(&mut room) {
                if send.send(room[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        // one that says nothing of its size has that of old
        let screen = if rows * cols > 0 { Screen::new(rows, cols) } else { Screen::new(24, 80) };
        Terminal { child, keyboard, output, raw: Vec::new(), screen, notes }
    }

    /// Waits until there is something to see.
    pub fn until<T>(&mut self, what: &str, look: impl Fn(&Screen) -> Option<T>) -> T {
        let end = Instant::now() + CAP;
        loop {
            if let Some(seen) = look(&self.screen) {
                return seen;
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.shown(&bytes),
                Err(why) => {
                    panic!("{what}: {why}; on the screen:\n{}", self.screen.rows().join("\n"))
                }
            }
        }
    }

    /// Waits until a text stands somewhere.
    pub fn until_shown(&mut self, text: &str) {
        self.until(text, |screen| screen.rows().iter().any(|row| row.contains(text)).then_some(()));
    }

    /// Takes what came.
    fn shown(&mut self, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
        self.screen.feed(bytes);
    }

    /// Types this.
    pub fn keys(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).and_then(|()| self.keyboard.flush()).unwrap();
    }

    /// A note of the shell, once it is there.
    fn note(&self, name: &str) -> String {
        let path = self.notes.join(name);
        let read = || fs::read_to_string(&path).ok().filter(|text| text.ends_with('\n'));
        until(name, read).trim_end().to_owned()
    }

    /// The program's process.
    pub fn pid(&self) -> u32 {
        self.note("pid").parse().unwrap()
    }

    /// Sends the program a signal.
    pub fn signal(&self, name: &str) {
        crate::harm::signal(name, &[self.pid()]);
    }

    /// Gives the terminal another size, first its rows and then its columns. What was drawn for the
    /// old one may still be on its way.
    pub fn resize(&mut self, rows: usize, cols: usize) {
        let (tty, r, c) = (self.note("tty"), rows.to_string(), cols.to_string());
        let stty = Command::new("stty").args(["-F", &tty, "rows", &r, "cols", &c]).status();
        assert!(stty.unwrap().success());
        self.screen.resize(rows, cols);
    }

    /// Types Ctrl-Z and waits until the shell has the terminal and says so; its modes then.
    pub fn stop(&mut self) -> String {
        self.keys("\u{1a}");
        let from = self.raw.len();
        while !String::from_utf8_lossy(&self.raw[from..]).contains("(stopped)\r\n") {
            match self.output.recv_timeout(CAP) {
                Ok(bytes) => self.shown(&bytes),
                Err(why) => panic!("it is not stopped: {why}"),
            }
        }
        modes(&self.note("stopped"))
    }

    /// Types `fg`.
    pub fn go_on(&self) {
        fs::write(self.notes.join("go"), "\n").unwrap();
    }

    /// The modes before the program ran.
    pub fn modes_before(&self) -> String {
        modes(&self.note("before"))
    }

    /// The modes after it ended.
    pub fn modes_after(&self) -> String {
        modes(&self.note("after"))
    }

    /// Waits for the program's end: its exit status, once all that it wrote is on the screen.
    pub fn ended(&mut self) -> Option<i32> {
        let end = Instant::now() + CAP;
        loop {
            match self.output.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.shown(&bytes),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("it does not end; on the screen:\n{}", self.screen.rows().join("\n"))
                }
            }
        }
        let child = &mut self.child;
        until("the end of the terminal", || child.try_wait().unwrap()).code()
    }

    /// Takes the terminal away, as a window that is closed.
    pub fn close(mut self) {
        self.child.kill().unwrap();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The modes in the output of `stty -a`, without the size.
fn modes(told: &str) -> String {
    told.lines().skip(1).collect::<Vec<_>>().join("\n")
}

/// A word for the shell.
fn quoted_word(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A screen of this size to which this was written.
fn drawn(rows: usize, cols: usize, text: &str) -> Screen {
    let mut screen = Screen::new(rows, cols);
    // as it may come: a byte at a time
    text.bytes().for_each(|byte| screen.feed(&[byte]));
    screen
}

#[test]
fn the_model_puts_characters_where_they_go() {
    let screen = drawn(3, 6, "ab\r\nc\u{301}漢d\tx\u{8}y\r\nlast");
    assert_eq!(screen.rows(), ["ab", "c\u{301}漢dyx", "last"]);
    assert_eq!((screen.cursor, screen.wrapped, screen.violations.len()), ((2, 4), 0, 0));
    // a full line is not too long, one character more is, and so is half a wide one
    let full = drawn(3, 4, "abcd\r\nefgh");
    assert_eq!((full.rows(), full.wrapped), (vec!["abcd".into(), "efgh".into(), String::new()], 0));
    let long = drawn(3, 4, "abc漢");
    assert_eq!((long.rows(), long.wrapped), (vec!["abc".into(), "漢".into(), String::new()], 1));
    let cut = drawn(2, 4, "\u{1b}[?7labcdef");
    assert_eq!((cut.rows(), cut.wrapped), (vec!["abcf".into(), String::new()], 2));
    let halved = drawn(1, 4, "漢漢\u{1b}[2Gx");
    assert_eq!(halved.rows(), [" x漢"]);
}

#[test]
fn the_model_scrolls_and_has_two_screens() {
    let screen = drawn(2, 4, "1\r\n2\r\n3\u{1b}[?1049h\u{1b}[?25l\u{1b}[HA\u{1b}[2;3HB");
    assert!(screen.is_alternate() && !screen.cursor_shown);
    assert_eq!(
        (screen.rows(), screen.above.clone()),
        (vec!["A".into(), "  B".into()], vec!["1".into()])
    );
    assert_eq!(screen.violations.len(), 0);
    let mut left = screen;
    left.feed(b"\r\n\x1b[?25h\x1b[?1049l");
    assert!(!left.is_alternate() && left.cursor_shown);
    assert_eq!((left.printed(), left.cursor), (vec!["1".into(), "2".into(), "3".into()], (1, 1)));
    assert_eq!(left.violations, ["scrolled: A"]);
}

#[test]
fn the_model_erases_moves_and_colours() {
    let text = "aaaa\r\nbbbb\r\ncccc\u{1b}[2;2H\u{1b}[K\u{1b}[A\u{1b}[1K\u{1b}[2B\u{1b}[D\u{1b}[J";
    assert_eq!(drawn(3, 4, text).rows(), ["  aa", "b", ""]);
    let screen =
        drawn(1, 9, "\u{1b}[1;31mr\u{1b}[22;39;42mg\u{1b}[0md\u{1b}[38;5;200;2mx\u{1b}[m ");
    let style = |at: usize| screen.cells[0][at].style;
    assert_eq!((style(0).foreground, style(0).effects[1]), (Some(1), true));
    assert_eq!((style(1).foreground, style(1).background), (None, Some(2)));
    assert_eq!((style(2), style(4)), (Style::default(), Style::default()));
    assert_eq!((style(3).foreground, style(3).effects[2]), (Some(200), true));
    assert!(screen.is_coloured() && screen.violations.is_empty());
}

#[test]
fn the_model_notes_what_must_not_come() {
    let text = "\u{7}\u{9b}\u{202e}\u{2066}\u{7f}\u{1b}]0;t\u{7}\u{1b}c\u{1b}[5n\u{1b}[?2004h";
    assert_eq!(drawn(1, 9, text).violations.len(), 9);
    let mut screen = Screen::new(1, 9);
    screen.feed(b"a\xff\xe2\x82z");
    assert_eq!((screen.violations.len(), screen.rows()), (2, vec!["a".to_owned()]));
}

#[test]
fn the_model_has_another_size_when_it_is_told() {
    let mut screen = drawn(3, 4, "1abc\r\n2abc\r\n3");
    screen.resize(2, 2);
    assert_eq!((screen.rows(), screen.cursor), (vec!["2a".into(), "3".into()], (1, 1)));
    screen.resize(3, 5);
    screen.feed(b"x\r\ny");
    assert_eq!(screen.rows(), ["2a", "3x", "y"]);
}

/// Says its size, also when that changes, and repeats what is typed up to `end`.
const REPEATS: &str = r#"
trap 'stty size' WINCH
stty -echo
stty size
while [ "$line" != end ]; do
    # a signal may come in between
    read -r line && echo "<$line>"
done
exit 3
"#;

#[test]
fn a_pseudo_terminal_is_one() {
    let dir = Dir::new();
    let mut command = Command::new("sh");
    command.current_dir(dir.path("work")).env("PATH", std::env::var_os("PATH").unwrap());
    command.args(["-c", REPEATS]);
    let mut terminal = Terminal::run(&dir, (10, 30), &command);
    terminal.until_shown("10 30");
    terminal.keys("one\n");
    terminal.until_shown("<one>");
    let stopped = terminal.stop();
    assert!(stopped.contains("-echo ") && terminal.modes_before().contains(" echo "), "{stopped}");
    terminal.go_on();
    terminal.keys("two\n");
    terminal.until_shown("<two>");
    terminal.resize(20, 25);
    terminal.until_shown("20 25");
    terminal.keys("end\n");
    assert_eq!(terminal.ended(), Some(3));
    assert!(terminal.modes_after().contains("-echo "));
    // stty sets one number after the other, and so it may have been told twice
    let printed = plain(&terminal.raw);
    let sure = printed.split_once("20 ").unwrap().0;
    assert_eq!(sure, "10 30\n<one>\n(stopped)\n<two>\n");
    assert!(printed.contains("<end>\n"), "{printed}");
}
