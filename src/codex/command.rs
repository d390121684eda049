//! One task's request: what the caller's arguments mean, and the command line that says it to
//! Codex. The types of the arguments were checked before; here it is about their sense.

use super::toml;
use crate::json::{self, Value};
use crate::launcher::{DEFAULT, Launcher};
use crate::program;
use crate::settings::Settings;
use crate::task::Id;
use std::fs;
use std::path::{Path, PathBuf};

/// The longest prompt that Codex takes, in characters.
const PROMPT_LIMIT: usize = 1_048_576;

/// The longest word that Linux takes in an argv (execve(2)): 128 KiB with the NUL behind it.
const WORD_LIMIT: usize = (128 << 10) - 1;

/// The environment variable that marks every process of a task with the task's id.
pub const MARK: &str = "CODEX_SWARM_TASK";

/// What one task is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// What codex reads on stdin.
    pub prompt: String,
    /// `-m`
    pub model: Option<String>,
    /// `-s`
    pub sandbox: Option<String>,
    /// `-c approval_policy`
    pub approval_policy: Option<String>,
    /// The directory to work in: absolute, and there.
    pub cwd: String,
    /// A worktree of its own, and the commit-ish that begins with.
    pub worktree: Option<String>,
    /// `-p`
    pub profile: Option<String>,
    /// The caller's `config`, as JSON text, and as keys and TOML.
    pub config: (String, Vec<(String, String)>),
    /// The text in place of Codex's own instructions.
    pub base_instructions: Option<String>,
    /// `-c developer_instructions`
    pub developer_instructions: Option<String>,
    /// `-c compact_prompt`
    pub compact_prompt: Option<String>,
    /// The thread to go on with, or to fork.
    pub thread: Option<String>,
    /// A new thread begins with what `thread` holds.
    pub fork: bool,
    /// `--image`
    pub images: Vec<String>,
    /// The JSON schema of the answer.
    pub output_schema: Option<String>,
    /// `--add-dir`
    pub add_dirs: Vec<String>,
    /// The name of the launcher.
    pub launcher: Option<String>,
}

/// What belongs to the task that a request becomes.
#[derive(Debug)]
pub struct Task {
    /// Its id, which marks every process it starts.
    pub id: Id,
    /// The file with the base instructions, if there are any.
    pub instructions: Option<PathBuf>,
    /// The file with the answer's schema, if there is one.
    pub schema: Option<PathBuf>,
}

impl Request {
    /// Reads a tool's arguments. Relative paths are meant from `here`. What is wrong is said with
    /// the argument's name, the fault and the cure.
    pub fn read(arguments: &Value<'_>, here: &Path) -> Result<Request, String> {
        let text = |name: &str| -> Result<Option<String>, String> {
            let value = arguments.get(name).and_then(Value::as_str);
            value.map(|value| clean(name, value)).transpose()
        };
        let short = |name: &str| match text(name)? {
            Some(value) if value.is_empty() => {
                Err(format!("{name} is empty; leave it out or give a value"))
            }
            value => Ok(value),
        };
        let texts = |name: &str| -> Result<Vec<String>, String> {
            let items = arguments.get(name).and_then(Value::as_array).unwrap_or_default();
            items.iter().filter_map(Value::as_str).map(|item| clean(name, item)).collect()
        };
        let prompt = text("prompt")?.unwrap_or_default();
        check_prompt(&prompt)?;
        let cwd = directory("cwd", here, text("cwd")?.as_deref().unwrap_or("."))?;
        let thread = text("threadId")?.or(text("conversationId")?);
        if let Some(thread) = thread.as_deref().filter(|thread| !is_uuid(thread)) {
            return Err(format!(
                "threadId is {thread:?}; the UUID was expected that an earlier result gave as \
                 Thread ID"
            ));
        }
        let fork = arguments.get("fork") == Some(&Value::Bool(true));
        if fork && thread.is_none() {
            return Err("fork needs threadId: the thread to begin with".into());
        }
        let base = short("worktree-base")?;
        let worktree = (arguments.get("worktree") == Some(&Value::Bool(true)))
            .then(|| base.clone().unwrap_or_else(|| "HEAD".into()));
        if base.is_some() && worktree.is_none() {
            return Err("worktree-base needs worktree: true".into());
        }
        Ok(Request {
            prompt,
            worktree,
            model: short("model")?,
            sandbox: short("sandbox")?,
            approval_policy: short("approval-policy")?,
            profile: short("profile")?.map(|name| plain_name("profile", name)).transpose()?,
            config: config(arguments.get("config"))?,
            base_instructions: match text("base-instructions")? {
                Some(text) if text.trim().is_empty() => {
                    return Err("base-instructions is empty; leave it out or give a text".into());
                }
                text => text,
            },
            developer_instructions: short("developer-instructions")?,
            compact_prompt: short("compact-prompt")?,
            // Codex compares ids without regard to case; here they are compared as they are
            thread: thread.map(|thread| thread.to_ascii_lowercase()),
            fork,
            launcher: text("launcher")?,
            images: texts("images")?
                .iter()
                .map(|path| image(&cwd, path))
                .collect::<Result<_, _>>()?,
            output_schema: arguments.get("output-schema").map(Value::to_json),
            add_dirs: texts("add-dirs")?
                .iter()
                .map(|path| directory("add-dirs", Path::new(&cwd), path))
                .collect::<Result<_, _>>()?,
            cwd,
        })
    }

    /// The words after the path of codex. Options stand before `resume`, where Codex takes all of
    /// them, and carry their value in the same word, so that none can pass for an option.
    pub fn words(&self, settings: &Settings, task: &Task) -> Result<Vec<String>, String> {
        let mut words: Vec<String> = vec!["exec".into(), "--json".into()];
        let mut option = |name: &str, value: &str| words.push(format!("--{name}={value}"));
        let maybe = |name: &str, value: &Option<String>, option: &mut dyn FnMut(&str, &str)| {
            if let Some(value) = value {
                option(name, value);
            }
        };
        maybe("model", &self.model, &mut option);
        maybe("sandbox", &self.sandbox, &mut option);
        // under a lock the directory is the one that codex is started in, which is checked then
        // once more; looked up by its name again it might be another. What a launcher starts may be
        // started anywhere, and only the name gets there
        if !settings.flags.locked || self.launcher(settings)?.is_some() {
            option("cd", &self.cwd);
        }
        maybe("profile", &self.profile, &mut option);
        for directory in &self.add_dirs {
            option("add-dir", directory);
        }
        if let Some(schema) = &task.schema {
            option("output-schema", &schema.display().to_string());
        }
        for image in &self.images {
            option("image", image);
        }
        for flag in [
            settings.flags.skip_git_repo_check.then_some("--skip-git-repo-check"),
            settings.flags.ephemeral.then_some("--ephemeral"),
        ] {
            words.extend(flag.map(str::to_owned));
        }
        // of two values of one key Codex takes the later: the caller's own go behind the server's
        for word in settings.flags.config.iter().cloned().chain(self.overrides(settings, task)) {
            words.extend(["-c".into(), word]);
        }
        if let Some(thread) = &self.thread {
            words.extend([if self.fork { "fork" } else { "resume" }.into(), thread.clone()]);
        }
        words.push("-".into());
        match words.iter().find(|word| word.len() > WORD_LIMIT) {
            None => Ok(words),
            Some(word) => {
                let name = word.split('=').next().unwrap_or_default().replace('_', "-");
                Err(format!(
                    "{name} takes {} bytes on Codex's command line, where {WORD_LIMIT} are allowed; \
                     shorten it",
                    word.len()
                ))
            }
        }
    }

    /// The `key=value` words that this request adds.
    fn overrides(&self, settings: &Settings, task: &Task) -> Vec<String> {
        let mut words: Vec<String> =
            self.config.1.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let mut string = |key: &str, value: &str| {
            let mut word = format!("{key}=");
            toml::quote(&mut word, value);
            words.push(word);
        };
        if let Some(path) = &task.instructions {
            string("model_instructions_file", &path.display().to_string());
        }
        for (key, value) in [
            ("approval_policy", &self.approval_policy),
            ("developer_instructions", &self.developer_instructions),
            ("compact_prompt", &self.compact_prompt),
        ] {
            if let Some(value) = value {
                string(key, value);
            }
        }
        // A config with `auto_review` would let a read-only task have commands approved that run
        // outside of the sandbox, and nobody would see it. Codex is read-only unless told otherwise.
        // Under a lock no task may have that.
        let writes = matches!(
            self.effective_sandbox(settings).as_deref(),
            Some("workspace-write" | "danger-full-access")
        );
        if settings.flags.locked || !writes {
            string("approvals_reviewer", "user");
        }
        // codex has the mark in its environment; a user's shell_environment_policy would keep it
        // from the commands it runs, and then they could not be found at a cancel
        let mark = format!("shell_environment_policy.set.{MARK}");
        string(&mark, &task.id.to_string());
        words
    }

    /// The launcher of this name, or else the default one, if there is any.
    pub fn launcher<'a>(&self, settings: &'a Settings) -> Result<Option<&'a Launcher>, String> {
        let name = self.launcher.as_deref().unwrap_or(DEFAULT);
        let found = settings.launcher(name);
        if found.is_none() && self.launcher.is_some() {
            let known = match settings.launchers().join(", ") {
                known if known.is_empty() => "none".into(),
                known => known,
            };
            return Err(format!(
                "launcher is {name:?}; this server's --launcher options have: {known}"
            ));
        }
        Ok(found)
    }

    /// The model asked for by anybody: the caller, then the server's flags.
    pub fn effective_model(&self, settings: &Settings) -> Option<String> {
        self.effective(settings, self.model.as_ref(), "model")
    }

    /// The sandbox mode asked for by anybody. `None` leaves it to the user's own configuration.
    pub fn effective_sandbox(&self, settings: &Settings) -> Option<String> {
        self.effective(settings, self.sandbox.as_ref(), "sandbox_mode")
    }

    /// What was asked for as a parameter, as a key of `config`, or by the server's flags.
    fn effective(&self, settings: &Settings, own: Option<&String>, key: &str) -> Option<String> {
        let configured = || {
            let config = json::parse(self.config.0.as_bytes()).ok()?;
            config.get(key)?.as_str().map(str::to_owned)
        };
        own.cloned().or_else(configured).or_else(|| settings.default_of(key).map(str::to_owned))
    }

    /// The arguments that a reply on the same thread takes over, as a JSON object: Codex itself
    /// forgets all of them at a resume, and a read-only thread could then write. Base instructions
    /// are the one thing it keeps. `cwd` is the directory that a reply is to go by.
    pub fn lasting(&self, settings: &Settings, cwd: &str) -> String {
        let mut out = String::new();
        json::object(&mut out, |o| {
            o.str("cwd", cwd);
            o.maybe_str("model", self.effective_model(settings).as_deref());
            o.maybe_str("sandbox", self.effective_sandbox(settings).as_deref());
            o.maybe_str("approval-policy", self.approval_policy.as_deref());
            o.maybe_str("profile", self.profile.as_deref());
            // the one without a name is each server's own
            o.maybe_str("launcher", self.launcher.as_deref().filter(|name| *name != DEFAULT));
            o.maybe_str("developer-instructions", self.developer_instructions.as_deref());
            o.maybe_str("compact-prompt", self.compact_prompt.as_deref());
            if !self.config.1.is_empty() {
                o.raw("config", &self.config.0);
            }
            if !self.add_dirs.is_empty() {
                o.array("add-dirs", |a| {
                    for directory in &self.add_dirs {
                        a.str(directory);
                    }
                });
            }
        });
        out
    }
}

/// Refuses what cannot stand in an argv, a path or an environment.
fn clean(name: &str, value: &str) -> Result<String, String> {
    if value.contains('\0') {
        return Err(format!("{name} contains a NUL character; remove it"));
    }
    Ok(value.to_owned())
}

/// Refuses prompts that Codex would refuse.
fn check_prompt(prompt: &str) -> Result<(), String> {
    if prompt.trim().is_empty() {
        return Err("prompt is empty; say what is to be done".into());
    }
    let length = prompt.chars().count();
    if length > PROMPT_LIMIT {
        return Err(format!(
            "prompt has {length} characters and Codex takes {PROMPT_LIMIT}; put the material into \
             a file and name it in the prompt"
        ));
    }
    Ok(())
}

/// A directory that is there, as an absolute path.
fn directory(name: &str, here: &Path, path: &str) -> Result<String, String> {
    let path = absolute(here, path);
    match fs::metadata(&path) {
        Ok(status) if status.is_dir() => {}
        Ok(_) => return Err(format!("{name}: {} is not a directory", path.display())),
        Err(why) => {
            let path = path.display();
            return Err(format!("{name}: cannot use {path}: {why}; name a directory that exists"));
        }
    }
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| format!("{name}: {} is not UTF-8; name another", path.display()))
}

/// A path as seen from `here`, without the `.` components that only clutter it.
fn absolute(here: &Path, path: &str) -> PathBuf {
    here.join(path).components().collect()
}

/// An image that is there: Codex itself goes on without one that it cannot read.
fn image(cwd: &str, path: &str) -> Result<String, String> {
    let path = absolute(Path::new(cwd), path).display().to_string();
    check_image(&path)?;
    match fs::metadata(&path) {
        Ok(status) if status.is_file() => Ok(path),
        Ok(_) => Err(format!("images: {path} is not a file")),
        Err(why) => Err(format!("images: cannot use {path}: {why}; name a file that exists")),
    }
}

/// Refuses the path of an image that Codex would take for two.
pub fn check_image(path: &str) -> Result<(), String> {
    if path.contains(',') {
        return Err(format!(
            "images: {path} has a comma, where Codex cuts it in two; give it another name or a link"
        ));
    }
    Ok(())
}

/// A name that is no path.
fn plain_name(name: &str, value: String) -> Result<String, String> {
    if value.contains('/') {
        return Err(format!("{name} is {value:?}; a name was expected, not a path"));
    }
    Ok(value)
}

/// The caller's `config` as JSON text, and as the keys and TOML values of `-c`.
fn config(value: Option<&Value<'_>>) -> Result<(String, Vec<(String, String)>), String> {
    let members = value.and_then(Value::as_object).unwrap_or_default();
    let mut words = Vec::new();
    for (key, value) in members {
        // Codex splits the key at every dot, quotes or not
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if key.is_empty() || key.starts_with('-') || !key.chars().all(plain) {
            return Err(format!("config: {key:?} is no key; give it as model or a.b.c"));
        }
        let toml = toml::write(value).map_err(|why| format!("config: {key}: {why}"))?;
        words.push((key.clone().into_owned(), toml));
    }
    Ok((value.map_or_else(|| "{}".into(), Value::to_json), words))
}

/// Whether a thread id is one. Codex takes any other word for a thread's *name*, and where there is
/// none of that name it starts a new thread without a word.
fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    lengths == [8, 4, 4, 4, 12] && groups.concat().bytes().all(|b| b.is_ascii_hexdigit())
}

/// Where the Codex CLI is: the path of `--codex`, or that name or `codex` on PATH.
pub fn find(given: Option<&str>, path: &str, here: &Path) -> Result<String, String> {
    let name = given.unwrap_or("codex");
    let found = program::locate(name, path, here);
    found.map(|file| file.display().to_string()).ok_or_else(|| {
        if name.contains('/') {
            return format!(
                "cannot run {}, which --codex names: no program is there; mend the path in the \
                 server's registration",
                here.join(name).display()
            );
        }
        format!(
            "cannot find {name} on PATH ({path}); install it with `npm install -g @openai/codex`, or \
             start this server with --codex PATH"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Flags;

    /// A server's settings with these `-c` words.
    fn settings(config: &[&str]) -> Settings {
        let config = config.iter().map(|word| (*word).to_owned()).collect();
        let flags = Flags { config, skip_git_repo_check: true, ..Flags::default() };
        Settings::read(flags, |_| None, Path::new("/")).0
    }

    /// The request that JSON arguments make.
    fn read(json: &str) -> Result<Request, String> {
        Request::read(&json::parse(json.as_bytes()).expect(json), Path::new("/"))
    }

    /// The thread id of these tests.
    const THREAD: &str = "01a20206-2485-7772-b99d-37d7abc7d134";

    #[test]
    fn every_parameter_has_its_word() {
        let json = format!(
            r#"{{"prompt":"--help","model":"-m","sandbox":"workspace-write","cwd":"/usr/./bin",
            "approval-policy":"never","profile":"p","config":{{"a.b":"5","n":5,"t":{{"x":[1]}}}},
            "developer-instructions":"be \"brief\"","compact-prompt":"c","threadId":"{THREAD}",
            "images":["env"],"add-dirs":["/tmp"],"output-schema":{{}},"base-instructions":"b"}}"#
        );
        let task = Task {
            id: Id::read("00c0ffee").expect("an id"),
            instructions: Some("/t/1.instructions".into()),
            schema: Some("/t/1.schema.json".into()),
        };
        let words = read(&json).expect("a request").words(&settings(&["model=x", "k=v"]), &task);
        let words = words.expect("words");
        assert_eq!(
            words.join("\n"),
            format!(
                "exec\n--json\n--model=-m\n--sandbox=workspace-write\n--cd=/usr/bin\n--profile=p\n\
                --add-dir=/tmp\n--output-schema=/t/1.schema.json\n--image=/usr/bin/env\n\
                --skip-git-repo-check\n-c\nmodel=x\n-c\nk=v\n-c\na.b=\"5\"\n-c\nn=5\n-c\n\
                t={{x = [1]}}\n-c\nmodel_instructions_file=\"/t/1.instructions\"\n-c\n\
                approval_policy=\"never\"\n-c\ndeveloper_instructions=\"be \\\"brief\\\"\"\n-c\n\
                compact_prompt=\"c\"\n-c\nshell_environment_policy.set.CODEX_SWARM_TASK=\"00c0ffee\"\n\
                resume\n{THREAD}\n-"
            )
        );
    }

    #[test]
    fn a_task_that_may_be_read_only_has_no_silent_reviewer() {
        let guarded = |json: &str, flags: &[&str]| {
            let id = Id::read("00c0ffee").expect("an id");
            let task = Task { id, instructions: None, schema: None };
            let words = read(json).expect(json).words(&settings(flags), &task);
            words.expect("words").iter().any(|word| word == "approvals_reviewer=\"user\"")
        };
        assert!(guarded(r#"{"prompt":"p"}"#, &[]));
        assert!(guarded(r#"{"prompt":"p","sandbox":"read-only"}"#, &["sandbox_mode=x"]));
        assert!(guarded(r#"{"prompt":"p"}"#, &["sandbox_mode=\"read-only\""]));
        assert!(guarded(
            r#"{"prompt":"p","config":{"sandbox_mode":"read-only"}}"#,
            &["sandbox_mode=workspace-write"]
        ));
        assert!(!guarded(r#"{"prompt":"p","sandbox":"workspace-write"}"#, &[]));
        assert!(!guarded(r#"{"prompt":"p"}"#, &["sandbox_mode=danger-full-access"]));
    }

    #[test]
    fn what_lasts_makes_the_same_request_again() {
        let json = r#"{"prompt":"p","cwd":"/usr","config":{"a":{"b":1}},"add-dirs":["/tmp"],
            "profile":"x","approval-policy":"never","developer-instructions":"d"}"#;
        let first = read(json).expect("a request");
        let server = settings(&["sandbox_mode=workspace-write", "model=m"]);
        let lasting = first.lasting(&server, "/usr");
        let again = read(&lasting.replacen('{', r#"{"prompt":"q","#, 1)).expect("again");
        let expected = Request {
            prompt: "q".into(),
            model: Some("m".into()),
            sandbox: Some("workspace-write".into()),
            ..first
        };
        assert_eq!(again, expected);
    }

    #[test]
    fn what_makes_no_sense_is_named_with_its_cure() {
        for (json, parts) in [
            (r#"{"prompt":""}"#, ["prompt is empty", "say what"]),
            (r#"{"prompt":" \n "}"#, ["prompt is empty", "say what"]),
            (r#"{"prompt":"a\u0000b"}"#, ["prompt contains a NUL", "remove"]),
            (r#"{"prompt":"p","model":"\u0000"}"#, ["model contains a NUL", "remove"]),
            (r#"{"prompt":"p","model":""}"#, ["model is empty", "leave it out"]),
            (r#"{"prompt":"p","cwd":"/dev/null/x"}"#, ["cwd: cannot use /dev/null/x", "exists"]),
            (r#"{"prompt":"p","cwd":"/usr/bin/env"}"#, ["cwd: /usr/bin/env", "not a directory"]),
            (r#"{"prompt":"p","threadId":"--last"}"#, ["threadId is \"--last\"", "UUID"]),
            (r#"{"prompt":"p","fork":true}"#, ["fork", "threadId"]),
            (r#"{"prompt":"p","worktree-base":"x"}"#, ["worktree-base", "worktree: true"]),
            (
                r#"{"prompt":"p","images":["/dev/null/x"]}"#,
                ["images: cannot use /dev/null/x", "exists"],
            ),
            (r#"{"prompt":"p","images":["/a,b"]}"#, ["images: /a,b", "comma"]),
            (r#"{"prompt":"p","add-dirs":["/dev/null/x"]}"#, ["add-dirs: cannot use", "exists"]),
            (r#"{"prompt":"p","profile":"../x"}"#, ["profile is", "a name"]),
            (r#"{"prompt":"p","config":{"a":null}}"#, ["config: a: null", "leave the key out"]),
            (r#"{"prompt":"p","config":{"a=b":1}}"#, ["config: \"a=b\"", "a.b.c"]),
            (r#"{"prompt":"p","config":{"-x":1}}"#, ["config: \"-x\"", "a.b.c"]),
        ] {
            let why = read(json).expect_err(json);
            assert!(parts.iter().all(|part| why.contains(part)), "{json}: {why}");
        }
        let long = "é".repeat(PROMPT_LIMIT);
        assert!(read(&format!(r#"{{"prompt":"{long}"}}"#)).is_ok());
        let why = read(&format!(r#"{{"prompt":"x{long}"}}"#)).expect_err("too long");
        assert!(why.contains("1048577 characters"), "{why}");
        // quotes grow on their way into TOML
        let long = "\\\"".repeat(WORD_LIMIT / 2);
        let request = read(&format!(r#"{{"prompt":"p","compact-prompt":"{long}"}}"#));
        let id = Id::read("00c0ffee").expect("an id");
        let task = Task { id, instructions: None, schema: None };
        let why = request.expect("a request").words(&settings(&[]), &task).expect_err("too long");
        assert!(why.contains("compact-prompt takes"), "{why}");
    }

    #[test]
    fn codex_is_looked_up_where_it_was_said_to_be() {
        let found = |given, path| find(given, path, Path::new("/usr"));
        assert_eq!(found(Some("sh"), "/nowhere:/bin"), Ok("/bin/sh".into()));
        assert_eq!(found(Some("bin/env"), ""), Ok("/usr/bin/env".into()));
        let why = found(None, "/nowhere").expect_err("not there");
        assert!(why.contains("codex on PATH (/nowhere)") && why.contains("npm install"), "{why}");
        let why = found(Some("/no/codex"), "/bin").expect_err("not there");
        assert!(why.contains("/no/codex") && why.contains("--codex"), "{why}");
        assert!(found(Some("/usr/bin"), "").is_err(), "a directory");
    }
}
