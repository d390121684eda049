//! The picture in the README: what `ps --watch` shows while ten tasks of the real Codex CLI are under
//! way, drawn from the screen of a pseudo-terminal.
//!
//!     cargo test --test it -- --ignored picture
//!
//! draws it anew, into man/ps.svg.

use crate::look::{ids, prompt_and};
use crate::real::Real;
use crate::repo::{Repo, executable};
use crate::support::*;
use crate::terminal::{Cell, Screen, Style, Terminal, width_of};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The terminal's rows and columns.
const SIZE: (usize, usize) = (13, 126);

/// What is asked of ten tasks, and what the model then does. A command `./work` runs until it is ended.
const TASKS: [(&str, &str); 10] = [
    (
        "Write tests for the cart",
        "plan: Read | Write | Run them done=2 ;; write: tests/cart.rs = #[test]\\nfn empty() {} ;; \
         run: ./work test cart",
    ),
    ("Document the HTTP interface", "plan: List | Describe | Try done=1 ;; run: ./work doc"),
    ("Which functions does nobody call?", "run: ./work unused src"),
    (
        "Which errors are dropped?",
        "run: sleep 12 ;; say: Two: cart.rs drops one of sqlx, mail.rs one of io.",
    ),
    (
        "Rename Basket to Cart",
        "run: sleep 31 ;; write: src/cart.rs = pub struct Cart;\\n ;; usage 18200 9000 640 ;; say: Renamed, all tests pass.",
    ),
    (
        "Make the search index faster",
        "plan: Measure | Mend | Measure done=1 ;; run: ./work bench search",
    ),
    (
        "Translate the messages into German",
        "run: sleep 24 ;; write: de.po = msgid\\n ;; usage 31400 12000 2900 ;; say: de.po has all 214 messages.",
    ),
    (
        "Why does the nightly build fail?",
        "run: sleep 5 ;; failed rate_limit_exceeded Rate limit reached for gpt-5.5",
    ),
    ("Look for SQL made of user input", "think: The handlers first ;; run: ./work grep format src"),
    ("Write the changelog", "say: done"),
];

/// How many run in the picture, how many wait and how many have ended.
const SUMMARY: &str = "5 running, 1 queued, 4 ended";

#[test]
#[ignore = "draws man/ps.svg"]
fn the_picture_is_drawn() {
    let real = Real::new().expect("the real Codex CLI");
    let repo = Repo::new(&real.dir, "shop");
    executable(&repo.path.join("work"), "#!/bin/sh\nexec sleep 600\n");
    repo.git(&["add", "--all"]);
    repo.commit("A shop");
    let flags = ["-c", "tools.update_plan.enabled=true", "-c", "sandbox_mode=workspace-write"];
    let mut server = real.server_with(&[&flags[..], &["--max-parallel", "5"]].concat());
    let tasks: Vec<String> = TASKS
        .iter()
        .map(|(title, steps)| {
            let more = format!(r#""worktree":true,"cwd":{}"#, quoted_path(&repo.path));
            server.launch_with(&prompt_and(&format!("{title}\n{steps}"), &more))
        })
        .collect();
    let mut terminal = Terminal::open(&real.dir, SIZE, &["ps", "--watch"]);
    let all_work = |screen: &Screen| {
        let rows = screen.rows();
        let works = rows.iter().filter(|row| row.contains("exec_command(./work")).count();
        (rows[0].starts_with(SUMMARY) && works == 5 && rows[2].contains("  1m ")).then_some(())
    };
    terminal.until("all of them at work", all_work);
    fs::write(picture(), drawn(&terminal.screen)).unwrap();
    terminal.keys("q");
    assert_eq!(terminal.ended(), Some(0));
    let all: Vec<&str> = tasks.iter().map(String::as_str).collect();
    server.ok("codex_cancel", &ids(&all));
}

#[test]
fn the_picture_is_small_and_shows_the_columns_that_there_are() {
    let svg = fs::read_to_string(picture()).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.len() < 16_000);
    assert!(svg.contains(SUMMARY));
    for name in ["ID", "STATUS", "TIME", "PLAN", "CHANGES", "TASK", "NOW"] {
        assert!(svg.contains(&format!(">{name}<")), "{name}");
    }
    let table = fs::read_to_string(root("src/console/table.rs")).unwrap();
    for name in
        svg.split("font-weight=\"bold\">").skip(2).map(|text| text.split('<').next().unwrap())
    {
        assert!(table.contains(&format!("\"{name}\"")), "{name} is no column any more");
    }
}

/// A file of the repository.
fn root(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Where the picture is.
fn picture() -> std::path::PathBuf {
    root("man/ps.svg")
}

/// How wide a column is, and how high a row.
const CELL: (usize, usize) = (8, 18);

/// The colours of a terminal: the text's own, and those of SGR 30 to 37.
const COLOURS: [&str; 8] =
    ["#586069", "#ff7b72", "#7ee787", "#e3b341", "#79c0ff", "#d2a8ff", "#76e3ea", "#c9d1d9"];

/// A screen as SVG.
fn drawn(screen: &Screen) -> String {
    let (rows, cols) = SIZE;
    let (width, height) = (cols * CELL.0 + 24, rows * CELL.1 + 24);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"ui-monospace, Menlo, Consolas, monospace\" font-size=\"13\" fill=\"{}\" \
         xml:space=\"preserve\">\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#0d1117\"/>\n",
        COLOURS[7]
    );
    for (at, row) in screen.cells.iter().enumerate() {
        for (from, style, text) in pieces(row) {
            let (x, y) = (12 + from * CELL.0, 26 + at * CELL.1);
            let long = width_of(&text) * CELL.0;
            let mut look = String::new();
            if let Some(colour) = style.foreground {
                let _ = write!(look, " fill=\"{}\"", COLOURS[usize::from(colour) % 8]);
            }
            if style.effects[2] {
                look.push_str(" opacity=\"0.6\"");
            }
            if style.effects[1] {
                look.push_str(" font-weight=\"bold\"");
            }
            let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            let _ = writeln!(
                svg,
                "<text x=\"{x}\" y=\"{y}\" textLength=\"{long}\"{look}>{text}</text>"
            );
        }
    }
    svg + "</svg>\n"
}

/// What stands in a row: texts of one look without two blanks in them, and the columns they begin at.
fn pieces(row: &[Cell]) -> Vec<(usize, Style, String)> {
    let mut pieces: Vec<(usize, Style, String)> = Vec::new();
    let mut blanks = 2;
    for (at, cell) in row.iter().enumerate() {
        if cell.text == " " {
            blanks += 1;
            continue;
        }
        match pieces.last_mut() {
            Some((_, style, text)) if blanks < 2 && *style == cell.style => {
                text.push_str(&" ".repeat(blanks));
                text.push_str(&cell.text);
            }
            _ => pieces.push((at, cell.style, cell.text.clone())),
        }
        blanks = 0;
    }
    pieces
}
