//! What holds of the source and of the documents: where what may stand, who may know whom, and that
//! README, manual, `--help` and program say the same.

use crate::readme::registration_lines;
use crate::support::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// The modules from low to high: a file knows its own module and those in the rows above it.
const RANKS: [&[&str]; 16] = [
    &["json", "sys", "clock", "lines", "launcher"],
    &["cli", "files", "rpc", "program", "roots"],
    &["log"],
    &["task", "settings", "mcp"],
    &["codex"],
    &["relay"],
    &["supervisor", "server::watched", "server::open"],
    &["server::report", "server::known"],
    &["console"],
    &["server::core"],
    &["server::waiting", "server::handles", "server::tools"],
    &["server::resources"],
    &["server::updates"],
    &["server::requests"],
    &["server::run"],
    &["server", "main"],
];

/// The same inside of a module: its files and directories from low to high. What stands in its `mod.rs`
/// is `mod`, and above all of them where that is not in the table.
const INSIDE: [(&str, &[&[&str]]); 5] = [
    ("mcp", &[&["revision", "tool"], &["client"], &["schema"]]),
    (
        "task",
        &[
            &["id", "git", "identity", "spool"],
            &["worktree"],
            &["record"],
            &["group"],
            &["store"],
            &["slots", "times"],
            &["retention"],
        ],
    ),
    ("task/worktree", &[&["mod"], &["make", "commit"], &["remove"]]),
    (
        "codex",
        &[&["toml", "failure", "event"], &["transcript"], &["command", "story"], &["bounds"]],
    ),
    (
        "console",
        &[
            &["text", "packed", "registration"],
            &["table", "texts"],
            &["mod"],
            &["named", "gc", "check", "man"],
            &["wait", "cancel", "logs", "ps"],
            &["watch"],
        ],
    ),
];

/// What one module may know and nobody else.
const RESERVED: [(&str, &str); 2] = [("console", "main"), ("task::git", "task::worktree")];

/// A file of the repository.
pub fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// What is in it.
pub fn read(name: &str) -> String {
    let path = root(name);
    fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// Every Rust file of the program: its path below src/, and its text.
pub fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut directories = vec![root("src")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let name = path.strip_prefix(root("src")).unwrap().to_str().unwrap().to_owned();
                files.push((name, fs::read_to_string(path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

/// A source without its tests and without comments.
fn code(text: &str) -> String {
    let program = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let lines = program.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The words of a text, where `part` says what belongs to a word.
fn words(text: &str, part: impl Fn(char) -> bool) -> impl Iterator<Item = &str> {
    text.split(move |c| !part(c)).filter(|word| !word.is_empty())
}

/// Whether a character belongs to a name.
fn in_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[test]
fn unsafe_and_libc_stand_in_sys_alone() {
    for (name, text) in sources() {
        let found: Vec<&str> =
            words(&text, in_name).filter(|word| ["unsafe", "libc"].contains(word)).collect();
        assert_eq!(found.is_empty(), name != "sys.rs", "{name}: {found:?}");
    }
}

#[test]
fn each_file_says_first_what_it_is_and_stays_short() {
    for (name, text) in sources() {
        assert!(text.starts_with("//! "), "{name} begins with: {:?}", text.lines().next());
        let program = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let length = program.lines().count();
        // all that is unsafe has to stand in one file, and why it may be is worth its lines
        let of_sys = || (code(&text).lines().count(), 750);
        let (length, most) = if name == "sys.rs" { of_sys() } else { (length, 700) };
        assert!(length <= most, "{name} has {length} lines");
    }
}

/// The path of the module that a file is.
fn module_of(file: &str) -> Vec<String> {
    let names = file.trim_end_matches(".rs").split('/');
    names.filter(|name| !["mod", "main"].contains(name)).map(str::to_owned).collect()
}

/// The module that a path of names lies in, as the table calls it.
fn module(path: &[String]) -> String {
    let names: Vec<&str> = path.iter().map(String::as_str).collect();
    let known = |name: &str| RANKS.iter().any(|row| row.contains(&name));
    match names[..] {
        [] => "main".to_owned(),
        ["server", file, ..] if known(&format!("server::{file}")) => format!("server::{file}"),
        [first, ..] => first.to_owned(),
    }
}

/// Where a module stands in the table.
fn rank(module: &str) -> usize {
    let row = RANKS.iter().position(|row| row.contains(&module));
    row.unwrap_or_else(|| panic!("{module} is not in the table RANKS"))
}

/// The paths that the beginning of `text` names, seen from `base`: `a::{b, c::d}` is `a::b` and
/// `a::c::d`. Gives how much of the text it read.
fn leaves(text: &str, base: &[String], out: &mut Vec<Vec<String>>) -> usize {
    let mut path = base.to_vec();
    let mut at = 0;
    loop {
        at += text[at..].len() - text[at..].trim_start().len();
        if text[at..].starts_with('{') {
            at += 1;
            loop {
                at += leaves(&text[at..], &path, out);
                let next = text[at..].find([',', '}']).expect("a group that ends") + at;
                at = next + 1;
                let over = text[next..].starts_with('}');
                if over || text[at..].trim_start().starts_with('}') {
                    return at;
                }
            }
        }
        let name: String = text[at..].chars().take_while(|c| in_name(*c)).collect();
        at += name.len();
        match name.as_str() {
            "crate" => path.clear(),
            "super" => drop(path.pop()),
            "self" | "" => {}
            _ => path.push(name),
        }
        if !text[at..].starts_with("::") {
            out.push(path);
            return at;
        }
        at += 2;
    }
}

/// Every path in a source that begins with `crate::` or `super::`, as seen from the crate's root.
fn paths(name: &str, text: &str) -> Vec<Vec<String>> {
    let own = module_of(name);
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let text: String = lines.flat_map(|line| [line, "\n"]).collect();
    let tests = text.find("\nmod tests {").unwrap_or(text.len());
    let mut out = Vec::new();
    for start in ["crate::", "super::"] {
        for (at, _) in text.match_indices(start) {
            // `super::super::` is one path, and `xcrate::` is none
            if text[..at].ends_with(|c: char| in_name(c) || c == ':') {
                continue;
            }
            let mut here = own.clone();
            if at > tests {
                here.push("tests".to_owned());
            }
            leaves(&text[at..], &here, &mut out);
        }
    }
    out
}

#[test]
fn lower_knows_nothing_of_higher() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (name, text) in sources() {
        let own = module(&module_of(&name));
        for path in paths(&name, &text) {
            let other = module(&path);
            seen += 1;
            if other != own && rank(&other) >= rank(&own) {
                wrong.push(format!("{name} knows {}", path.join("::")));
            }
        }
    }
    assert!(seen > 100, "only {seen} paths were found: the search is broken");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the `mod.rs` of a module gives on: each name, and the file that it comes from.
fn given_on(room: &str) -> BTreeMap<String, String> {
    let text = code(&read(&format!("src/{room}/mod.rs")));
    let mut out = Vec::new();
    for (at, start) in text.match_indices("pub use ") {
        leaves(&text[at + start.len()..], &[], &mut out);
    }
    out.into_iter().map(|path| (path.last().unwrap().clone(), path[0].clone())).collect()
}

/// What of a path lies below `room`; `None` if it leads elsewhere.
fn below<'a>(path: &'a [String], room: &str, between: &str) -> Option<&'a [String]> {
    let room: Vec<&str> = room.split(between).collect();
    let (head, tail) = path.split_at_checked(room.len())?;
    (head == room).then_some(tail)
}

#[test]
fn lower_knows_nothing_of_higher_inside_of_a_module_either() {
    let mut wrong = Vec::new();
    for (room, rows) in INSIDE {
        let given = given_on(room);
        let rank = |part: &str| rows.iter().position(|row| row.contains(&part));
        let mut seen = 0;
        for (name, text) in sources() {
            let path = module_of(&name);
            let Some([own, ..]) = below(&path, room, "/") else { continue };
            let own_rank = rank(own).unwrap_or_else(|| panic!("{name} is not in the table INSIDE"));
            for path in paths(&name, &text) {
                let Some(tail) = below(&path, room, "/") else { continue };
                let Some(first) = tail.first() else {
                    wrong.push(format!("{name} knows all of {room}"));
                    continue;
                };
                seen += 1;
                let part = given.get(first).unwrap_or(first);
                let part = rank(part).map_or("mod", |_| part);
                if part != own && rank(part).is_none_or(|rank| rank >= own_rank) {
                    wrong.push(format!("{name} knows {}", path.join("::")));
                }
            }
        }
        assert!(seen > 1, "only {seen} paths were found in {room}: the search is broken");
        for part in rows.iter().flat_map(|row| row.iter()) {
            let there = |end: &str| root(&format!("src/{room}/{part}{end}")).exists();
            assert!(there(".rs") || there("/mod.rs"), "there is no {room}/{part} any more");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_reserved_is_known_to_one() {
    for (what, one) in RESERVED {
        for (name, text) in sources() {
            let own = module_of(&name);
            let is_main = own.is_empty() && one == "main";
            if is_main || [what, one].iter().any(|room| below(&own, room, "::").is_some()) {
                continue;
            }
            for path in paths(&name, &text) {
                assert!(below(&path, what, "::").is_none(), "{name} knows {what}");
            }
        }
    }
}

#[test]
fn paths_are_found_however_they_are_written() {
    let text = "use crate::{clock, log};\nuse crate::json::{self, Object as O, Value};\n\
                use super::super::task::Id;\nuse super::*;\nlet a = crate::rpc::Id::read(b);\n\
                // crate::no\npub(super) fn f() {}\nmod tests {\n    use super::x;\n}\n";
    let mut found: Vec<String> =
        paths("server/core.rs", text).iter().map(|path| path.join("::")).collect();
    found.sort();
    assert_eq!(
        found,
        [
            "clock",
            "json",
            "json::Object",
            "json::Value",
            "log",
            "rpc::Id::read",
            "server",
            "server::core::x",
            "task::Id"
        ]
    );
}

/// The lines of a document from behind the line `head` to the next line that begins like `next`.
fn chapter(text: &str, head: &str, next: &str) -> String {
    let mut lines = text.lines().skip_while(|line| *line != head);
    assert!(lines.next().is_some(), "there is no line {head:?}");
    lines.take_while(|line| !line.starts_with(next)).collect::<Vec<_>>().join("\n")
}

/// The cells of the tables of a Markdown text, without heads.
pub fn rows(text: &str) -> Vec<Vec<&str>> {
    let lines: Vec<&str> = text.lines().collect();
    let body = lines.iter().enumerate().filter(|(at, line)| {
        let rule = |at: usize| lines.get(at).is_some_and(|line| line.starts_with("|---"));
        line.starts_with('|') && !rule(*at) && !rule(*at + 1)
    });
    body.map(|(_, line)| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// What stands in backticks.
pub fn quotes(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The manual's source.
fn manual() -> String {
    read("man/codex-mcp-swarm.1")
}

/// What mdoc says, without its macros.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let Some(macros) = line.strip_prefix('.') else {
            out.push_str(line);
            out.push(' ');
            continue;
        };
        for word in macros.split_whitespace() {
            match word {
                "Fl" => out.push('-'),
                "Ns" => drop(out.pop()),
                _ if word.len() == 2 && word.starts_with(|c: char| c.is_ascii_uppercase()) => {}
                _ => {
                    out.push_str(word);
                    out.push(' ');
                }
            }
        }
    }
    out.replace("\\-", "-")
}

/// What `--help` prints.
fn help() -> String {
    let dir = Dir::new();
    let output = dir.command().arg("--help").output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The options in a text, in order.
fn options(text: &str) -> Vec<String> {
    words(text, |c| in_name(c) || c == '-')
        .filter(|word| word.trim_start_matches('-').len() + 2 >= word.len())
        .filter(|word| word.starts_with('-') && word.contains(|c: char| c.is_ascii_alphabetic()))
        .map(str::to_owned)
        .collect()
}

/// The lines of `--help` that explain options and commands: the names, and the words about them.
fn explained(help: &str) -> Vec<(&str, &str)> {
    let lines = help.split("\n\n").nth(2).expect("a third paragraph").lines();
    let lines = lines.map(|line| line.strip_prefix("  ").expect("two blanks"));
    lines.map(|line| line.split_once("  ").expect("an option and its words")).collect()
}

/// What such a line is about: the command, if it is one, and the options.
fn terms(names: &str) -> Vec<String> {
    let command = names.split_whitespace().next().filter(|word| !word.starts_with('-'));
    command.map(str::to_owned).into_iter().chain(options(names)).collect()
}

#[test]
fn readme_help_and_manual_have_the_same_options_in_the_same_order() {
    let (help, readme, manual) = (help(), read("README.md"), manual());
    let told: Vec<String> = explained(&help).iter().flat_map(|(names, _)| terms(names)).collect();
    assert!(told.len() > 10 && told.contains(&"gc".to_owned()), "{told:?}");
    let flags = chapter(&readme, "## Flags", "## ");
    let rows = rows(&flags);
    let names = rows.iter().map(|row| row[0].replace('`', ""));
    let names = names.filter(|name| !name.starts_with("CODEX_"));
    assert_eq!(names.flat_map(|name| terms(&name)).collect::<Vec<_>>(), told, "README");
    let items = |line: &&str| line.starts_with(".It ");
    let described = chapter(&manual, ".Sh DESCRIPTION", ".Sh ");
    let described = described.lines().filter(items).map(plain);
    assert_eq!(described.flat_map(|item| terms(&item)).collect::<Vec<_>>(), told, "manual");
    let synopsis = chapter(&manual, ".Sh SYNOPSIS", ".Sh ");
    let usage = help.split("\n\n").next().unwrap();
    assert_eq!(options(&plain(&synopsis)), options(usage), "synopsis");
}

#[test]
fn the_manual_has_the_words_of_help() {
    let (help, manual) = (help(), plain(&manual()).to_lowercase());
    for (names, words) in explained(&help) {
        let words = words.trim().to_lowercase();
        assert!(manual.contains(&words), "{names}: {words}");
    }
}

/// The program's commands, each with its switches, as the table in cli.rs has them.
fn commands() -> BTreeMap<String, BTreeSet<String>> {
    let source = code(&read("src/cli.rs"));
    let (_, table) = source.split_once("\nconst COMMANDS").expect("a table");
    let (table, _) = table.split_once("\n];").expect("its end");
    let rows = table.split("name: \"").skip(1).map(|row| {
        let (name, row) = row.split_once('"').expect("a name");
        let switches = row.split('"').filter(|word| word.starts_with('-'));
        (name.to_owned(), switches.map(str::to_owned).collect())
    });
    rows.collect()
}

/// The commands with their switches, and under "" the server's flags that `--help` has.
pub fn flags_and_commands() -> BTreeMap<String, BTreeSet<String>> {
    let (help, mut all) = (help(), commands());
    assert!(all.len() > 4 && all["gc"].contains("--dry-run"), "{all:?}");
    let told = explained(&help);
    let server = told.iter().filter(|(names, _)| names.starts_with('-'));
    all.insert(String::new(), server.flat_map(|(names, _)| options(names)).collect());
    all
}

/// The variables of this program that a text names. `CODEX_SWARM_TASK` alone is one that tasks get.
fn variables(text: &str) -> BTreeSet<&str> {
    let all = words(text, in_name).filter(|word| word.starts_with("CODEX_SWARM_"));
    all.filter(|word| *word != "CODEX_SWARM_TASK").collect()
}

#[test]
fn program_readme_help_and_manual_have_the_same_variables() {
    let settings = code(&read("src/settings.rs"));
    let known = variables(&settings);
    assert!(known.len() > 4, "{known:?}");
    assert_eq!(variables(&help()), known, "--help");
    assert_eq!(variables(&read("README.md")), known, "README");
    assert_eq!(variables(&manual()), known, "manual");
    for (name, text) in sources() {
        assert!(variables(&text).is_subset(&known), "{name}");
    }
}

#[test]
fn program_readme_and_manual_have_the_same_defaults_in_seconds() {
    // 86_400 is 86400, and so are all names without the bars
    let settings = code(&read("src/settings.rs")).replace('_', "");
    let (_, hold) = settings.split_once("const HOLD: u64 = ").expect("a constant");
    let hold = hold.split(';').next().unwrap();
    let settings = settings.replace("Some(HOLD)", &format!("Some({hold})"));
    let (readme, manual) = (read("README.md"), manual());
    let (flags, environment) =
        (chapter(&readme, "## Flags", "## "), chapter(&manual, ".Sh ENVIRONMENT", ".Sh "));
    let rows = rows(&flags);
    let seconds = rows.iter().filter(|row| row[1].bytes().all(|b| b.is_ascii_digit()));
    let seconds: Vec<_> = seconds.map(|row| (row[0].trim_matches('`'), row[1])).collect();
    assert_eq!(seconds.len(), settings.matches("= seconds(\"").count());
    for (name, default) in seconds {
        let read = format!("seconds(\"{name}\", Some({default})").replace('_', "");
        assert!(settings.contains(&read), "settings.rs: {read}");
        let item = chapter(&environment, &format!(".It Ev {name}"), ".It ");
        assert!(item.contains(&format!("The default is {default}")), "manual: {name}");
    }
    assert!(readme.contains(&format!("{hold} seconds")), "README: {hold} seconds");
}

/// The revisions of the protocol that a text names.
fn revisions(text: &str) -> BTreeSet<&str> {
    let numbers = words(text, |c| c.is_ascii_digit() || c == '-');
    numbers.filter(|word| word.split('-').map(str::len).eq([4, 2, 2])).collect()
}

#[test]
fn program_readme_and_manual_have_the_same_revisions() {
    let program = code(&read("src/mcp/revision.rs"));
    let known = revisions(&program);
    assert!(known.len() > 4, "{known:?}");
    let (readme, manual) = (read("README.md"), manual());
    assert_eq!(revisions(&chapter(&readme, "## Protocol", "## ")), known, "README");
    let protocol = chapter(&manual, ".Sh PROTOCOL", ".Ss ");
    assert_eq!(revisions(&protocol), known, "manual");
    // nor is there a word of any other
    assert!(revisions(&readme).is_subset(&known) && revisions(&manual).is_subset(&known));
}

/// The methods in the manual, and which revisions it says have them.
fn methods() -> Vec<(String, String)> {
    let protocol = chapter(&manual(), ".Sh PROTOCOL", ".Ss ");
    let (_, table) = protocol.split_once("\nThese are the methods:\n").expect("a table");
    let (table, _) = table.split_once("\n.El\n").expect("its end");
    let mut methods = Vec::new();
    for row in table.split("\n.It of ").skip(1) {
        let (revisions, names) = row.split_once('\n').expect("methods");
        let names = plain(names);
        let names = words(&names, |c| c.is_ascii_lowercase() || c == '/');
        methods.extend(names.map(|name| (name.to_owned(), revisions.to_owned())));
    }
    methods
}

#[test]
fn the_manual_has_every_method_of_the_program() {
    let requests = code(&read("src/server/requests.rs"));
    let strings = requests.split('"').skip(1).step_by(2);
    let known = strings.filter(|word| word.contains('/') || ["initialize", "ping"].contains(word));
    let (notifications, known): (BTreeSet<_>, BTreeSet<_>) =
        known.map(str::to_owned).partition(|word| word.starts_with("notifications/"));
    assert_eq!(methods().into_iter().map(|(name, _)| name).collect::<BTreeSet<_>>(), known);
    assert_eq!(notifications, ["notifications/cancelled".to_owned()].into());
}

#[test]
fn each_method_is_known_to_the_revisions_that_the_manual_says() {
    let newest = r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",
        "io.modelcontextprotocol/clientCapabilities":{}}}"#;
    let newest = newest.replace('\n', "");
    let dir = Dir::new();
    let mut server = dir.server();
    for (method, revisions) in methods() {
        for (others, params) in [("2026-07-28", "{}"), ("sessions", newest.as_str())] {
            // this one is of the newest whatever it says, and must say so all the same
            let unknown = if method == "server/discover" { -32602 } else { -32601 };
            let reply = server.ask(&method, params);
            let error = reply.find("error.code").and_then(crate::json::Value::as_i64);
            assert_eq!(error == Some(unknown), revisions == others, "{method}: {reply:?}");
        }
    }
}

#[test]
fn the_manual_has_every_error_of_the_protocol() {
    let program = code(&read("src/rpc.rs"));
    let constants = program.lines().filter_map(|line| line.split_once(": i32 = "));
    let known: BTreeSet<&str> =
        constants.map(|(_, code)| code.trim_end_matches(';').trim_start_matches('-')).collect();
    assert!(known.len() > 7, "{known:?}");
    let manual = manual();
    let errors = chapter(&manual, ".Ss Errors", ".Ss ");
    let told = errors.lines().filter_map(|line| line.strip_prefix(".It \\-"));
    assert_eq!(told.collect::<BTreeSet<&str>>(), known);
}

#[test]
fn readme_and_manual_have_the_same_registration_with_codex() {
    let lines = registration_lines().join("\n");
    let block = format!(".Bd -literal -offset indent\n{lines}\n.Ed\n");
    assert!(manual().contains(&block), "manual: {block}");
}

#[test]
fn the_registration_in_the_manual_starts_a_server() {
    let manual = plain(&manual());
    let (_, behind) = manual.split_once("-- codex-mcp-swarm ").expect("claude mcp add");
    let words = behind.split_whitespace().filter(|word| *word != "\\e");
    let words = words.take_while(|word| *word == "-c" || word.contains('='));
    let words: Vec<&str> = words.collect();
    assert!(words.len() >= 2, "{words:?}");
    let dir = Dir::new();
    let output = dir.command().args(&words).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{words:?}");
    assert!(output.stderr.is_empty(), "{words:?}");
}

/// Tools and what each takes.
type Tools = BTreeMap<String, BTreeSet<String>>;

/// What tools/list says.
fn listed() -> Tools {
    let dir = Dir::new();
    let mut server = dir.server_with(&["--launcher", "env"]);
    let reply = server.ask("tools/list", "{}");
    let tools = reply.at("result.tools").as_array().unwrap();
    let taken = |tool: &crate::json::Value<'static>| {
        let properties = tool.at("inputSchema.properties").as_object().unwrap();
        properties.iter().map(|(name, _)| name.clone().into_owned()).collect()
    };
    tools.iter().map(|tool| (tool.str_at("name").to_owned(), taken(tool))).collect()
}

#[test]
fn the_readme_has_every_tool_and_parameter() {
    let readme = read("README.md");
    let parameters = chapter(&readme, "### Task parameters", "##");
    let of_a_task: BTreeSet<String> =
        rows(&parameters).iter().flat_map(|row| quotes(row[0])).collect();
    let table = chapter(&readme, "## Tools", "##");
    let tools = rows(&table).into_iter().map(|row| {
        let cell = row[2];
        let taken =
            if cell.starts_with("task parameters") { of_a_task.clone() } else { quotes(cell) };
        (row[0].trim_matches('`').to_owned(), taken)
    });
    assert_eq!(tools.collect::<Tools>(), listed());
}

#[test]
fn the_manual_has_every_tool_and_parameter() {
    let text = chapter(&manual(), ".Sh TOOLS", ".Sh ");
    let (tools, parameters) = text.split_once("\n.Ss Task parameters\n").expect("a subsection");
    let taken = |text: &str| -> BTreeSet<String> {
        text.lines().filter_map(|line| line.strip_prefix(".It Va ")).map(str::to_owned).collect()
    };
    let tools = tools.split("\n.It Ic ").skip(1).map(|part| {
        let (name, text) = part.split_once('\n').unwrap();
        let of_a_task = plain(text).contains("Takes the task parameters");
        (name.to_owned(), taken(if of_a_task { parameters } else { text }))
    });
    assert_eq!(tools.collect::<Tools>(), listed());
}

#[test]
fn readme_and_manual_name_every_resource() {
    let dir = Dir::new();
    let mut server = dir.server();
    let (readme, manual) = (read("README.md"), manual());
    for (method, list, key) in [
        ("resources/list", "resources", "uri"),
        ("resources/templates/list", "resourceTemplates", "uriTemplate"),
    ] {
        let reply = server.ask(method, "{}");
        for resource in reply.at(&format!("result.{list}")).as_array().unwrap() {
            let uri = resource.str_at(key);
            assert!(manual.contains(&format!("\n.It Pa {uri}\n")), "manual: {uri}");
            let (head, part) = uri.split_once("{task_id}").unwrap_or((uri, ""));
            let whole = if head == uri { uri.to_owned() } else { format!("{head}{{task_id}}") };
            assert!(readme.contains(&format!("`{whole}`")), "README: {whole}");
            assert!(part.is_empty() || readme.contains(&format!("`{part}`")), "README: {part}");
        }
    }
}

/// What of a format string stands there whatever is put in.
fn fixed(format: &str) -> Vec<&str> {
    format.split('{').map(|part| part.split_once('}').map_or(part, |(_, tail)| tail)).collect()
}

/// A string whose opening quote has been read: what it says, and the source behind it.
fn quoted(text: &str) -> (String, &str) {
    let mut out = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next().expect("a string that ends") {
            '"' => return (out, chars.as_str()),
            '\\' => match chars.next().expect("an escape") {
                // the line goes on where the next one has words
                '\n' => chars = chars.as_str().trim_start().chars(),
                'n' => out.push('\n'),
                'r' => out.push('\r'),
                't' => out.push('\t'),
                '0' => out.push('\0'),
                kind @ ('x' | 'u') => {
                    let behind = chars.as_str();
                    let (code, behind) = match kind {
                        'x' => behind.split_at(2),
                        _ => behind[1..].split_once('}').expect("a code that ends"),
                    };
                    let code = u32::from_str_radix(&code.replace('_', ""), 16).expect("a code");
                    out.push(char::from_u32(code).expect("a character"));
                    chars = behind.chars();
                }
                c => out.push(c),
            },
            c => out.push(c),
        }
    }
}

/// A raw string whose `r` has been read, if it is one: what it says, and the source behind it.
fn raw(text: &str) -> Option<(String, &str)> {
    let inside = text.trim_start_matches('#').strip_prefix('"')?;
    let end = format!("\"{}", &text[..text.len() - inside.len() - 1]);
    let (text, behind) = inside.split_once(&end).expect("a raw string that ends");
    Some((text.to_owned(), behind))
}

/// What stands behind the comment that `text` begins with; one may stand inside of another.
fn behind_comment(text: &str) -> &str {
    let (mut depth, mut rest) = (0, text);
    loop {
        let at = ["/*", "*/"].into_iter().filter_map(|mark| rest.find(mark)).min();
        let at = at.expect("a comment that ends");
        depth += if rest[at..].starts_with('/') { 1 } else { -1 };
        rest = &rest[at + 2..];
        if depth == 0 {
            return rest;
        }
    }
}

/// What stands behind a character, or before the name of a lifetime, whose `'` has been read.
fn behind_apostrophe(text: &str) -> &str {
    let mut chars = text.chars();
    if chars.next() == Some('\\') {
        chars.next();
        return chars.as_str().split_once('\'').expect("a character that ends").1;
    }
    if chars.next() == Some('\'') { chars.as_str() } else { text }
}

/// The strings in a source, as the compiler reads them, and none that stands in a comment.
fn literals(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let name = rest.split(|c| !in_name(c)).next().unwrap();
        let behind = &rest[name.len().max(c.len_utf8())..];
        rest = match c {
            '/' if behind.starts_with('/') => behind.split_once('\n').map_or("", |(_, rest)| rest),
            '/' if behind.starts_with('*') => behind_comment(rest),
            '\'' => behind_apostrophe(behind),
            '"' => {
                let (text, behind) = quoted(behind);
                found.push(text);
                behind
            }
            _ => match raw(behind).filter(|_| ["r", "br", "cr"].contains(&name)) {
                Some((text, behind)) => {
                    found.push(text);
                    behind
                }
                None => behind,
            },
        };
    }
    found
}

#[test]
fn strings_are_found_however_they_are_written() {
    let source = r##"fn f<'a>(x: &'a str) -> [char; 4] { // no "comment"
        g("one \"two\"", b"three\n", 'x', "a \
          b", r"\d", br#"a "b" c"#, "\x41\u{20AC}{x}"); /* "no" /* "nor" */ "this" */
        r#if("", "// no comment", "'");
        ['"', '\'', '\u{22}', '\\'] }"##;
    assert_eq!(
        literals(source),
        ["one \"two\"", "three\n", "a b", "\\d", "a \"b\" c", "A€{x}", "", "// no comment", "'"]
    );
}

/// Whether a text speaks to somebody: three words with blanks between them, whatever is put in; or it
/// says that something cannot be done.
fn speaks(text: &str) -> bool {
    let filled = fixed(text).join("0");
    let words = filled.split_whitespace().filter(|word| {
        word.trim_start_matches(|c: char| c.is_ascii_punctuation()).starts_with(char::is_alphabetic)
    });
    words.count() >= 3 || filled.contains("cannot ")
}

/// What speaks and is no message: the file, what it is instead, and the texts. What `--help` prints,
/// what clients are told of tools and resources, and reasons that clippy reads are not in here. Of a
/// long one the beginning stands here, with ` ...` behind it.
const NO_MESSAGES: [(&str, &str, &[&str]); 17] = [
    (
        "codex/failure.rs",
        "what Codex and providers say, looked for in their words",
        &[
            "Reading prompt from stdin",
            "Reading additional input",
            "not logged in",
            "log in again",
            "server had an error",
        ],
    ),
    (
        "codex/story.rs",
        "a fact that logs tells",
        &["tokens: in {input}, cached {cached}, out {output}"],
    ),
    (
        "console/check.rs",
        "that a matter is as it should be",
        &[
            "no variable is wrong",
            "codex is logged in",
            "no server of Codex's own stands in the way of tasks",
            " is made by the first task",
            "{} there, {open} of them not ended",
        ],
    ),
    ("console/check.rs", "what Codex says, looked for in its words", &["Not logged in"]),
    ("console/check.rs", "the root is always there", &["it is nowhere"]),
    ("console/ps.rs", "what a task does, in the table", &["waits for its turn"]),
    ("server/watched.rs", "the same", &["waits for its launcher"]),
    ("server/report.rs", "the same, in a status", &[", codex has not begun yet"]),
    (
        "console/watch.rs",
        "the head of the table",
        &["{running} running, {waiting} queued, {ended} ended"],
    ),
    (
        "server/handles.rs",
        "what a model is told of a task that runs",
        &[
            "{runs} in the background. When {ends} ended you are told, with the result: go on with \
             other work, and neither wait nor poll. codex_status shows what is being done right \
             now.\n\n",
            "Thread ID: not known yet; codex_status tells it\n",
        ],
    ),
    (
        "server/report.rs",
        "facts about a task, and their names",
        &[
            " (of the whole thread)",
            "in {input}, cached {cached}, out {output}{of}",
            "What to do",
            "stderr (diagnostics, its end):\n{}",
            "\nIts last message was:\n{answer}",
            "To go on",
            "codex_reply with this threadId",
        ],
    ),
    (
        "server/tools.rs",
        "what a model is told of a task that runs or has a thread",
        &[
            "It is queued: at most {limit} run at once.",
            "\nIt runs in the background. When you have started all you need, call codex_wait with \
             task_ids [\"{id}\", …]: nothing else brings the result back.",
            "Thread ID: {thread} (codex_reply can go on with it)",
        ],
    ),
    (
        "console/registration.rs",
        "to be pasted",
        &["\nTo register this program with Claude Code:\n\n ..."],
    ),
    (
        "launcher.rs",
        "to be run by a shell",
        &[r#"[ "$(grep -ls . /proc/self/environ | cut -d/ -f3)" = self ] || exit 1; ..."#],
    ),
    ("supervisor/mod.rs", "it is only called for one that has", &["it has no worktree"]),
    ("task/retention.rs", "the subject of a commit", &["What a Codex task left"]),
    ("task/worktree/commit.rs", "for git's reflog", &["codex-swarm: what the task left"]),
];

/// The entries of DIAGNOSTICS that are in Codex's words.
const CODEX_SAYS: [&str; 3] = [
    "Cause: Not inside a trusted directory and --skip-git-repo-check was not specified.",
    "Cause: no rollout found for thread id UUID",
    "Error loading config.toml: invalid transport in `mcp_servers.NAME`",
];

/// All strings in a JSON value.
fn strings_in(value: &crate::json::Value<'static>, out: &mut Vec<String>) {
    out.extend(value.as_str().map(str::to_owned));
    value.as_array().into_iter().flatten().for_each(|item| strings_in(item, out));
    value.as_object().into_iter().flatten().for_each(|(_, member)| strings_in(member, out));
}

/// What clients of either kind are told of the server, its tools and its resources.
fn told_to_clients() -> Vec<String> {
    let dir = Dir::new();
    let mut command = dir.command();
    command.args(["--launcher", "env"]);
    let mut server = Server::spawn(&dir, command);
    let extension = r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
    let mut out = Vec::new();
    strings_in(&server.initialize(), &mut out);
    strings_in(&server.ask_as(extension, "server/discover", "{}"), &mut out);
    strings_in(&server.ask_as(extension, "tools/list", "{}"), &mut out);
    for method in ["tools/list", "resources/list", "resources/templates/list"] {
        strings_in(&server.ask(method, "{}"), &mut out);
    }
    out
}

#[test]
fn the_manual_explains_every_message() {
    let manual = manual();
    let entries: Vec<String> = chapter(&manual, ".Sh DIAGNOSTICS", ".Sh ")
        .lines()
        .filter_map(|line| line.strip_prefix(".It \"")?.strip_suffix('"'))
        .map(|entry| entry.replace("\"\"", "\"").replace("\\-", "-").replace("\\&", ""))
        .collect();
    let (help, told) = (help(), told_to_clients());
    let (mut excused, mut explained, mut wrong) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for (name, text) in sources() {
        // one writes to it, the other only hands it on to the reader of the manual
        let may = ["log.rs", "console/man.rs"].contains(&name.as_str());
        assert_eq!(code(&text).contains("stderr()"), may, "{name} writes to stderr");
        let program = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        for message in literals(program) {
            let of_a_tool = ["mcp/mod.rs", "mcp/tool.rs"].contains(&name.as_str());
            let message_is_told = || told.iter().any(|told| told.contains(&message));
            let is_help = name == "cli.rs" && message == help;
            let is_reason = program.contains(&format!("reason = {message:?}"));
            let of_this_file = NO_MESSAGES.iter().filter(|(file, ..)| *file == name);
            let excuse = of_this_file.flat_map(|(.., texts)| texts.iter()).find(|text| {
                let beginning = text.strip_suffix(" ...");
                beginning.map_or(**text == message, |beginning| message.starts_with(beginning))
            });
            if let Some(text) = excuse {
                excused.insert((name.clone(), *text));
                continue;
            }
            if is_help || is_reason || (of_a_tool && message_is_told()) {
                continue;
            }
            // the manual is ASCII, and its entries are lines
            let plain = message.replace('\n', "{}").replace('…', "...");
            let parts = fixed(&plain);
            let explains = |entry: &&String| {
                let rest = parts.iter().try_fold(entry.as_str(), |rest, part| {
                    rest.split_once(part).map(|(_, behind)| behind)
                });
                rest.is_some()
            };
            // in a text with hardly a word of its own anything would be found
            let tells = parts.concat().trim().len() > 6;
            let by: Vec<&String> = entries.iter().filter(|_| tells).filter(explains).collect();
            if by.is_empty() && speaks(&message) {
                wrong.push(format!("{name}: {message:?} is not in DIAGNOSTICS"));
            }
            explained.extend(by);
        }
    }
    for (file, kind, texts) in NO_MESSAGES {
        let is_gone = |text: &&&str| !excused.contains(&(file.to_owned(), **text));
        wrong.extend(texts.iter().filter(is_gone).map(|text| {
            format!("{file}: {text:?} ({kind}) is in NO_MESSAGES and not in the program")
        }));
    }
    for entry in entries.iter().filter(|entry| !CODEX_SAYS.contains(&entry.as_str())) {
        if !explained.contains(entry) {
            wrong.push(format!("DIAGNOSTICS: {entry:?} is not in the program"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn readme_and_manual_name_the_oldest_git_and_the_filters() {
    let code = code(&read("src/task/git.rs"));
    let constant = |name: &str| {
        let (_, behind) = code.split_once(&format!("const {name}: ")).expect("a constant");
        behind.split_once(" = ").and_then(|(_, value)| value.split_once(';')).unwrap().0
    };
    let oldest = constant("OLDEST").trim_matches(['(', ')']).replace(", ", ".");
    let filters = constant("FILTERS").split('"').skip(1).step_by(2);
    let filters: Vec<&str> = filters.collect();
    assert_eq!(filters.len(), 2, "{filters:?}");
    for (name, text) in [("README", read("README.md")), ("manual", manual())] {
        for words in [&format!("git {oldest} or newer"), &filters.join(" and ")] {
            assert!(text.contains(words), "{name}: {words}");
        }
    }
}

#[test]
fn each_promise_of_the_manual_is_held_by_a_test() {
    let chapter = chapter(&manual(), ".Sh WHAT IS PROMISED", ".Sh ");
    let names: Vec<(&str, &str)> = words(&chapter, |c| in_name(c) || c == ':')
        .filter_map(|word| word.split_once("::"))
        .collect();
    assert!(names.len() >= chapter.matches("\n.It ").count(), "{names:?}");
    for (module, test) in names {
        let tests = read(&format!("tests/it/{module}.rs"));
        assert!(tests.contains(&format!("#[test]\nfn {test}()")), "{module}::{test}");
    }
}
