//! The script language: the prompt's lines, read as steps. `help.txt` describes it for people.

use std::time::Duration;

/// The longest message `big` makes: a slip in a prompt must not take all memory.
const MAX_BIG: usize = 64 << 20;

/// One step of a script.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its name in the script.
    pub op: &'static str,
    /// What there is to do.
    pub action: Action,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// A message.
    Say(String),
    /// A message that repeats the last tool output.
    SayOutput,
    /// A reasoning item.
    Think(String),
    /// A web search.
    Search(String),
    /// A pause.
    Sleep(Duration),
    /// The tokens of this answer.
    Usage(Usage),
    /// Shell commands, all in one answer.
    Shell(Vec<String>, ShellOptions),
    /// A patch, in the form the tool `apply_patch` takes.
    Patch(String),
    /// Tools by name, all in one answer.
    Call(Vec<ToolCall>),
    /// A search among the tools that codex does not show at once.
    Find(String),
    /// A program, for a model that calls its tools from JavaScript.
    JavaScript(String),
    /// A to-do list.
    Plan {
        /// What there is to do.
        steps: Vec<String>,
        /// How many of the steps are completed.
        done: usize,
    },
    /// Silence until the client goes away.
    Hang,
    /// An HTTP error.
    Fail {
        /// Its status.
        status: u16,
        /// How often it comes before the step is passed over; for ever without.
        times: Option<u64>,
        /// After how many seconds the client shall try again.
        retry_after: Option<u64>,
    },
    /// An answer that fails after its head.
    Failed {
        /// The error's code.
        code: String,
        /// What the error says.
        message: String,
    },
    /// A connection that breaks in the middle of a message.
    Cut {
        /// As for [`Action::Fail`].
        times: Option<u64>,
    },
}

/// How a shell command is run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShellOptions {
    /// After how many milliseconds a call goes on in the background.
    pub yield_ms: Option<u64>,
    /// Do not wait for the command's end.
    pub no_poll: bool,
    /// Where to run it.
    pub workdir: Option<String>,
    /// Ask to leave the sandbox.
    pub escalated: bool,
    /// The most tokens of output.
    pub max_tokens: Option<u64>,
}

/// A call of a tool by its name.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCall {
    /// The group of tools that it is one of, if it is in any.
    pub namespace: Option<String>,
    /// Its own name.
    pub name: String,
    /// A JSON object, as it is written: still with `<<LABEL>>` in it.
    pub arguments: String,
}

/// How many tokens an answer counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// Read.
    pub input: u64,
    /// Of those, read from the cache.
    pub cached: u64,
    /// Written.
    pub output: u64,
    /// Of those, written to think.
    pub reasoning: u64,
}

impl Default for Usage {
    fn default() -> Self {
        Self { input: 1000, cached: 200, output: 50, reasoning: 10 }
    }
}

/// The steps of a script; lines that are none are passed over.
pub fn parse(script: &str) -> Vec<Step> {
    script.lines().flat_map(|line| line.split(" ;; ")).filter_map(step).collect()
}

/// Reads a line as a step: `op`, `op REST`, `op: TEXT` or `op[OPTIONS]: TEXT`.
fn step(line: &str) -> Option<Step> {
    let line = line.trim();
    let end = line.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap_or(line.len());
    let (op, behind) = line.split_at(end);
    if let Some(text) = behind.strip_prefix(':') {
        return with_text(op, text.trim(), ShellOptions::default());
    }
    if let Some(behind) = behind.strip_prefix('[') {
        let (options, text) = behind.split_once("]:")?;
        let options = shell_options(options)?;
        return with_text(op, text.trim(), options).filter(|s| matches!(s.op, "run" | "par"));
    }
    if behind.is_empty() || behind.starts_with(char::is_whitespace) {
        return with_words(op, behind.trim());
    }
    None
}

/// A step of the kind that stands before a colon.
fn with_text(op: &str, text: &str, options: ShellOptions) -> Option<Step> {
    let (op, action) = match op {
        "say" => ("say", Action::Say(unescape(text))),
        "think" => ("think", Action::Think(unescape(text))),
        "websearch" => ("websearch", Action::Search(text.to_owned())),
        "run" => ("run", Action::Shell(vec![text.to_owned()], options)),
        "par" => {
            let commands = text.split("|||").map(|command| command.trim().to_owned());
            ("par", Action::Shell(commands.collect(), options))
        }
        "call" => ("call", calls(text)?),
        "find" => ("find", Action::Find(text.to_owned())),
        "js" => ("js", Action::JavaScript(text.to_owned())),
        "write" => ("write", Action::Patch(patch_that_adds(text)?)),
        "update" => ("update", Action::Patch(patch_that_updates(text)?)),
        "delete" => ("delete", Action::Patch(patch(&format!("Delete File: {text}\n")))),
        "plan" => ("plan", plan(text)?),
        _ => return None,
    };
    Some(Step { op, action })
}

/// A step of the kind that has no colon.
fn with_words(op: &str, rest: &str) -> Option<Step> {
    let words: Vec<&str> = rest.split_whitespace().collect();
    let (op, action) = match (op, words.as_slice()) {
        ("say-output", []) => ("say-output", Action::SayOutput),
        ("hang", []) => ("hang", Action::Hang),
        ("big", [size]) => ("big", Action::Say(big(size, "x")?)),
        ("big", [size, fill]) => ("big", Action::Say(big(size, fill)?)),
        ("sleep", [seconds]) => {
            let pause = Duration::try_from_secs_f64(seconds.parse().ok()?).ok()?;
            ("sleep", Action::Sleep(pause))
        }
        ("usage", numbers) => ("usage", Action::Usage(usage(numbers)?)),
        ("fail", [status, how @ ..]) => ("fail", fail(status, how)?),
        ("failed", [code, message @ ..]) => {
            let message = if message.is_empty() { (*code).to_owned() } else { message.join(" ") };
            ("failed", Action::Failed { code: (*code).to_owned(), message })
        }
        ("stream-cut", []) => ("stream-cut", Action::Cut { times: None }),
        ("stream-cut", [count]) => ("stream-cut", Action::Cut { times: Some(times(count)?) }),
        _ => return None,
    };
    Some(Step { op, action })
}

/// Reads what stands in brackets behind `run` and `par`.
fn shell_options(text: &str) -> Option<ShellOptions> {
    let mut options = ShellOptions::default();
    for option in text.split(',') {
        match option.trim().split_once('=').unwrap_or((option.trim(), "")) {
            ("yield", ms) => options.yield_ms = Some(ms.parse().ok()?),
            ("max", tokens) => options.max_tokens = Some(tokens.parse().ok()?),
            ("workdir", dir) if !dir.is_empty() => options.workdir = Some(dir.to_owned()),
            ("nopoll", "") => options.no_poll = true,
            ("esc", "") => options.escalated = true,
            _ => return None,
        }
    }
    Some(options)
}

/// `TOOL JSON ||| NAMESPACE.TOOL JSON` as calls.
fn calls(text: &str) -> Option<Action> {
    let call = |part: &str| {
        let (tool, arguments) = part.trim().split_once(' ')?;
        let arguments = arguments.trim();
        let is_object = arguments.starts_with('{') && arguments.ends_with('}');
        let (namespace, name) = match tool.split_once('.') {
            Some((namespace, name)) => (Some(namespace.to_owned()), name),
            None => (None, tool),
        };
        let (name, arguments) = (name.to_owned(), arguments.to_owned());
        is_object.then_some(ToolCall { namespace, name, arguments })
    };
    text.split("|||").map(call).collect::<Option<_>>().map(Action::Call)
}

/// `PATH = TEXT` as a patch.
fn patch_that_adds(text: &str) -> Option<String> {
    let (path, content) = text.split_once('=')?;
    let content = unescape(content.trim());
    let lines = content.replace('\n', "\n+");
    Some(patch(&format!("Add File: {}\n+{lines}\n", path.trim())))
}

/// `PATH = OLD => NEW` as a patch.
fn patch_that_updates(text: &str) -> Option<String> {
    let (path, change) = text.split_once('=')?;
    let (old, new) = change.split_once("=>")?;
    let (path, old, new) = (path.trim(), old.trim(), new.trim());
    Some(patch(&format!("Update File: {path}\n@@\n-{old}\n+{new}\n")))
}

/// A patch of one change, whose first line lacks the three stars.
fn patch(change: &str) -> String {
    format!("*** Begin Patch\n*** {change}*** End Patch")
}

/// `A | B | C done=N` as a to-do list.
fn plan(text: &str) -> Option<Action> {
    let (text, done) = match text.rsplit_once("done=") {
        Some((text, done)) => (text, done.trim().parse().ok()?),
        None => (text, 0),
    };
    let steps = text.split('|').map(str::trim).filter(|step| !step.is_empty());
    Some(Action::Plan { steps: steps.map(str::to_owned).collect(), done })
}

/// The text that `big` says.
fn big(size: &str, fill: &str) -> Option<String> {
    let size = size.parse().ok().filter(|size| *size <= MAX_BIG)?;
    let mut chars = fill.chars();
    match (chars.next(), chars.next()) {
        (Some(char), None) => Some(std::iter::repeat_n(char, size).collect()),
        _ => None,
    }
}

/// One to four numbers; what is left out stays as it is by default.
fn usage(words: &[&str]) -> Option<Usage> {
    let numbers: Vec<u64> = words.iter().map(|word| word.parse().ok()).collect::<Option<_>>()?;
    let mut usage = Usage::default();
    match *numbers.as_slice() {
        [input] => usage.input = input,
        [input, cached] => (usage.input, usage.cached) = (input, cached),
        [input, cached, output] => {
            (usage.input, usage.cached, usage.output) = (input, cached, output);
        }
        [input, cached, output, reasoning] => usage = Usage { input, cached, output, reasoning },
        _ => return None,
    }
    Some(usage)
}

/// `CODE [xN] [retry-after S]`
fn fail(status: &str, mut how: &[&str]) -> Option<Action> {
    let status = status.parse().ok().filter(|status| (400..600).contains(status))?;
    let (mut count, mut retry_after) = (None, None);
    loop {
        how = match how {
            [] => return Some(Action::Fail { status, times: count, retry_after }),
            ["retry-after", seconds, rest @ ..] => {
                retry_after = Some(seconds.parse().ok()?);
                rest
            }
            [word, rest @ ..] => {
                count = Some(times(word)?);
                rest
            }
        };
    }
}

/// `xN`
fn times(word: &str) -> Option<u64> {
    word.strip_prefix('x')?.parse().ok()
}

/// A text with its `\n` made new lines.
fn unescape(text: &str) -> String {
    text.replace("\\n", "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The only action of a script of one step.
    fn action(line: &str) -> Action {
        let steps = parse(line);
        assert_eq!(steps.len(), 1, "{line:?} is {steps:?}");
        steps[0].action.clone()
    }

    /// A shell step without options.
    fn shell(commands: &[&str]) -> Action {
        let commands = commands.iter().map(|c| (*c).to_owned()).collect();
        Action::Shell(commands, ShellOptions::default())
    }

    #[test]
    fn steps_are_lines_and_parts_of_lines() {
        let ops = |text| parse(text).iter().map(|step| step.op).collect::<Vec<_>>();
        assert_eq!(
            ops("Please:\n\n say: a\r\nrun: b ;; say-output\nhang"),
            ["say", "run", "say-output", "hang"]
        );
        assert_eq!(ops("say: a;;b"), ["say"]);
        assert_eq!(ops(""), [""; 0]);
    }

    #[test]
    fn prose_is_no_step() {
        for line in [
            "Say: a",
            "saying: a",
            "say something",
            "run the tests",
            "run[yield]: a",
            "run[yeild=1]: a",
            "run[yield=1] a",
            "say[yield=1]: a",
            "write: no text",
            "update: a = b",
            "call: me",
            "call: me {} ||| him later",
            "plan: a | b done=soon",
            "sleep",
            "sleep well",
            "sleep -1",
            "sleep NaN",
            "hang on",
            "say-output now",
            "big",
            "big deal",
            "big 3 ab",
            "big 999999999999",
            "usage",
            "usage of tokens",
            "usage 1 2 3 4 5",
            "fail",
            "fail 200",
            "fail 500 times",
            "fail 500 retry-after",
            "failed",
            "stream-cut 2",
        ] {
            assert_eq!(parse(line), [], "{line:?}");
        }
    }

    #[test]
    fn messages() {
        assert_eq!(action("say: one\\ntwo: 3"), Action::Say("one\ntwo: 3".into()));
        assert_eq!(action("say:"), Action::Say(String::new()));
        assert_eq!(action("think: hm"), Action::Think("hm".into()));
        assert_eq!(action("websearch: what is it"), Action::Search("what is it".into()));
        assert_eq!(action("big 3"), Action::Say("xxx".into()));
        assert_eq!(action("big 2 é"), Action::Say("éé".into()));
    }

    #[test]
    fn shell_commands() {
        assert_eq!(action("run: a: b | c"), shell(&["a: b | c"]));
        assert_eq!(action("run: [ -e x ]: y"), shell(&["[ -e x ]: y"]));
        assert_eq!(action("par: a ||| b|c ||| d"), shell(&["a", "b|c", "d"]));
        let options = ShellOptions {
            yield_ms: Some(250),
            no_poll: true,
            workdir: Some("/tmp/a=b".into()),
            escalated: true,
            max_tokens: Some(9),
        };
        let line = "run[yield=250, nopoll,workdir=/tmp/a=b,esc,max=9]: a[0]: b";
        assert_eq!(action(line), Action::Shell(vec!["a[0]: b".into()], options));
    }

    #[test]
    fn calls_of_tools() {
        let call = |namespace: Option<&str>, name: &str, arguments: &str| ToolCall {
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
        };
        assert_eq!(action("call: a {}"), Action::Call(vec![call(None, "a", "{}")]));
        assert_eq!(
            action(r#"call: n.a {"x": "y.z"} ||| b  {"x":[<<Id>>]}"#),
            Action::Call(vec![
                call(Some("n"), "a", r#"{"x": "y.z"}"#),
                call(None, "b", r#"{"x":[<<Id>>]}"#),
            ])
        );
        assert_eq!(action("find: a b"), Action::Find("a b".into()));
        assert_eq!(action("js: f(); g();"), Action::JavaScript("f(); g();".into()));
    }

    #[test]
    fn patches() {
        let patch = |line| match action(line) {
            Action::Patch(patch) => patch,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            patch("write: a b.txt = x = 1\\n\\ny"),
            "*** Begin Patch\n*** Add File: a b.txt\n+x = 1\n+\n+y\n*** End Patch"
        );
        assert_eq!(
            patch("update: a = b => c"),
            "*** Begin Patch\n*** Update File: a\n@@\n-b\n+c\n*** End Patch"
        );
        assert_eq!(patch("delete: a"), "*** Begin Patch\n*** Delete File: a\n*** End Patch");
    }

    #[test]
    fn plans() {
        let steps = vec!["a".to_owned(), "b c".to_owned()];
        assert_eq!(action("plan: a | b c"), Action::Plan { steps: steps.clone(), done: 0 });
        assert_eq!(action("plan: a | b c done=2"), Action::Plan { steps, done: 2 });
    }

    #[test]
    fn numbers() {
        assert_eq!(action("sleep 0.5"), Action::Sleep(Duration::from_millis(500)));
        let usage = Usage { input: 7, ..Usage::default() };
        assert_eq!(action("usage 7"), Action::Usage(usage));
        let usage = Usage { input: 1, cached: 2, output: 3, reasoning: 4 };
        assert_eq!(action("usage 1 2 3 4"), Action::Usage(usage));
    }

    #[test]
    fn failures() {
        let fail = |status, times, retry_after| Action::Fail { status, times, retry_after };
        assert_eq!(action("fail 500"), fail(500, None, None));
        assert_eq!(action("fail 429 x2"), fail(429, Some(2), None));
        assert_eq!(action("fail 429 x2 retry-after 3"), fail(429, Some(2), Some(3)));
        assert_eq!(action("fail 503 retry-after 3 x2"), fail(503, Some(2), Some(3)));
        assert_eq!(action("stream-cut"), Action::Cut { times: None });
        assert_eq!(action("stream-cut x1"), Action::Cut { times: Some(1) });
        let failed = |code: &str, message: &str| Action::Failed {
            code: code.to_owned(),
            message: message.to_owned(),
        };
        assert_eq!(action("failed server_error it broke"), failed("server_error", "it broke"));
        assert_eq!(action("failed server_error"), failed("server_error", "server_error"));
    }
}
