//! What holds of the source and of the documents: where what may stand, who may know whom, and that
//! README, manual, `--help` and program say the same.

use crate::support::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// The modules from low to high: a file knows its own module and those in the rows above it.
const RANKS: [&[&str]; 14] = [
    &["json", "sys", "clock", "lines", "cli"],
    &["log", "rpc", "program"],
    &["task", "settings", "mcp"],
    &["codex"],
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
const INSIDE: [(&str, &[&[&str]]); 4] = [
    ("mcp", &[&["revision", "tool"], &["client"], &["schema"]]),
    (
        "task",
        &[
            &["id", "git", "identity", "spool"],
            &["worktree"],
            &["record"],
            &["group"],
            &["store"],
            &["slots"],
            &["retention"],
        ],
    ),
    ("task/worktree", &[&["mod"], &["make", "commit"], &["remove"]]),
    ("codex", &[&["toml", "failure", "transcript"], &["command"]]),
];

/// What one module may know and nobody else.
const RESERVED: [(&str, &str); 2] = [("console", "main"), ("task::git", "task::worktree")];

/// A file of the repository.
fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// What is in it.
fn read(name: &str) -> String {
    let path = root(name);
    fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// Every file of the program: its path below src/, and its text.
fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut directories = vec![root("src")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
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
        // all that is unsafe has to stand in one file
        let limit = if name == "sys.rs" { 1000 } else { 700 };
        assert!(length <= limit, "{name} has {length} lines");
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
fn rows(text: &str) -> Vec<Vec<&str>> {
    let lines: Vec<&str> = text.lines().collect();
    let body = lines.iter().enumerate().filter(|(at, line)| {
        let rule = |at: usize| lines.get(at).is_some_and(|line| line.starts_with("|---"));
        line.starts_with('|') && !rule(*at) && !rule(*at + 1)
    });
    body.map(|(_, line)| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// What stands in backticks.
fn quotes(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The code blocks of a Markdown text that are marked with this language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while lines.any(|line| line.strip_prefix("```") == Some(language)) {
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        blocks.push(block.join("\n"));
    }
    blocks
}

/// The registration with Codex in the README: its keys, and their values as TOML has them.
pub fn registration() -> BTreeMap<String, String> {
    let blocks = blocks(&read("README.md"), "toml");
    assert_eq!(blocks.len(), 1);
    let lines = blocks[0].strip_prefix("[mcp_servers.codex-swarm]\n").expect("a server").lines();
    let keys = lines.map(|line| line.split_once(" = ").expect("a key and its value"));
    keys.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// The words in a list, as JSON and TOML have it.
pub fn listed_words(list: &str) -> Vec<String> {
    let list = read_json(list);
    let words = list.as_array().expect("a list").iter();
    words.map(|word| word.as_str().expect("a string").to_owned()).collect()
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
    let blocks = blocks(&read("README.md"), "toml");
    let block = format!(".Bd -literal -offset indent\n{}\n.Ed\n", blocks[0]);
    assert!(manual().contains(&block), "manual: {block}");
}

/// Tools and what each takes.
type Tools = BTreeMap<String, BTreeSet<String>>;

/// What tools/list says.
fn listed() -> Tools {
    let dir = Dir::new();
    let mut server = dir.server();
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

#[test]
fn the_messages_by_hand_are_answered() {
    let lines = blocks(&read("README.md"), "jsonl");
    assert_eq!(lines.len(), 1);
    let dir = Dir::new();
    let mut command = dir.command();
    command.args(["--codex", STANDIN]);
    let mut server = Server::spawn(&dir, command);
    let mut last = None;
    for line in lines[0].lines() {
        let id = read_json(line).find("id").and_then(crate::json::Value::as_u64);
        server.send(line);
        if let Some(id) = id {
            last = Some(server.reply(id.try_into().unwrap()));
        }
    }
    let last = last.expect("a request");
    let result = last.at("result");
    assert!(!is_error(result), "{result:?}");
    assert_eq!(answer(&text_of(result)), "done");
}

#[test]
fn the_registrations_in_the_readme_start_a_server() {
    let readme = read("README.md");
    let mut lines: Vec<Vec<String>> = Vec::new();
    for block in blocks(&readme, "json") {
        let json = read_json(&block);
        let servers = json.find("mcpServers").or(json.find("servers")).expect("servers");
        let server = servers.at("codex-swarm");
        assert_eq!(server.str_at("command"), "codex-mcp-swarm");
        lines.push(listed_words(&server.at("args").to_json()));
    }
    assert_eq!(lines.len(), 2, "Cursor and VS Code");
    let codex = registration();
    assert_eq!(codex["command"], "\"codex-mcp-swarm\"");
    lines.push(listed_words(&codex["args"]));
    for document in [readme, plain(&manual())] {
        let (_, behind) = document.split_once("-- codex-mcp-swarm ").expect("claude mcp add");
        let words = behind.split_whitespace().filter(|word| *word != "\\e");
        let words = words.take_while(|word| *word == "-c" || word.contains('='));
        lines.push(words.map(str::to_owned).collect());
    }
    let dir = Dir::new();
    for words in lines {
        assert!(words.len() >= 2, "{words:?}");
        let output = dir.command().args(&words).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{words:?}");
        assert!(output.stderr.is_empty(), "{words:?}");
    }
}

/// What stands between the parentheses that open at the beginning of `text`.
fn argument(text: &str) -> &str {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => {
                depth -= 1;
                if depth == 0 {
                    return &text[1..at];
                }
            }
            _ => {}
        }
    }
    panic!("parentheses that do not close: {}", abridged(text))
}

/// The first string in a piece of code, if there is one.
fn literal(text: &str) -> Option<String> {
    let (_, behind) = text.split_once('"')?;
    let mut out = String::new();
    let mut chars = behind.chars();
    loop {
        match chars.next()? {
            '"' => return Some(out),
            '\\' => out.push(chars.next()?),
            c => out.push(c),
        }
    }
}

/// What of a format string stands there whatever is put in.
fn fixed(format: &str) -> Vec<&str> {
    format.split('{').map(|part| part.split_once('}').map_or(part, |(_, tail)| tail)).collect()
}

#[test]
fn the_manual_explains_every_message_on_stderr() {
    let mut messages = Vec::new();
    let mut found = BTreeSet::new();
    for (name, text) in sources() {
        let code = code(&text);
        assert_eq!(code.contains("stderr()"), name == "log.rs", "{name} writes to stderr");
        for (start, values) in [
            // what these three hold is made by the three that follow
            ("log::say(", &["&usage.to_string()", "&text", "&why.to_string()"][..]),
            ("Usage(format!(", &[]),
            ("wrong.push(format!(", &[]),
            // why a store cannot be used
            ("io::Error::new(why.kind(), format!(", &[]),
        ] {
            for (at, _) in code.match_indices(start) {
                found.insert(start);
                let argument = argument(&code[at + start.len() - 1..]);
                match literal(argument) {
                    Some(message) => messages.push(message),
                    None => assert!(values.contains(&argument), "{name}: {argument}"),
                }
            }
        }
    }
    assert_eq!(found.len(), 4, "only {found:?} are left");
    assert!(messages.len() > 8, "{messages:?}");
    let manual = manual();
    let diagnostics = chapter(&manual, ".Sh DIAGNOSTICS", ".Sh ");
    let entries: Vec<String> = diagnostics
        .lines()
        .filter_map(|line| line.strip_prefix(".It \"")?.strip_suffix('"'))
        .map(|entry| entry.replace("\"\"", "\"").replace("\\-", "-"))
        .collect();
    for message in messages {
        let parts = fixed(&message);
        assert!(parts.concat().trim().len() > 8, "{message} has no words of its own");
        let explains = |entry: &String| {
            let rest = parts.iter().try_fold(entry.as_str(), |rest, part| {
                rest.split_once(part).map(|(_, behind)| behind)
            });
            rest.is_some()
        };
        assert!(entries.iter().any(explains), "DIAGNOSTICS has no entry for: {message}");
    }
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

#[test]
fn the_commands_of_the_readme_are_those_that_are_checked() {
    let readme = read("README.md");
    let ci = read(".ci/run");
    let chapter = chapter(&readme, "## See it run", "## ");
    let commands: Vec<&str> = chapter
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .map(|line| line.split('#').next().unwrap().trim())
        .collect();
    assert_eq!(commands, ["tests/demo", "cargo test"]);
    for command in commands {
        assert!(ci.contains(command), ".ci/run does not run {command}");
    }
    for script in ["tests/demo", ".ci/run"] {
        let mode = fs::metadata(root(script)).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{script} cannot be run");
    }
    assert!(chapter.contains("`tests/demo --real`") && read("tests/demo").contains("--real"));
    assert!(read("LICENSE").contains("MIT License"));
}
