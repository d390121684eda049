//! What stands before codex's command line where another program starts it, here or on another machine:
//! words as a shell has them, taken apart and put together. Starts nothing.

/// The name of the launcher that was given none.
pub const DEFAULT: &str = "default";

/// What ends a task on a machine that signals do not get to, as one word for `sh -c`, with the task's id
/// behind it: SIGINT to all that carry its mark, as codex itself would end its commands, and SIGKILL
/// to what is there after two seconds. What has just been forked may not show its mark yet, so that
/// nothing has to be seen three times. It ends with 0 if nothing is left, and with another status too
/// where nothing could be seen.
const END: &str = "[ \"$(grep -ls . /proc/self/environ | cut -d/ -f3)\" = self ] || exit 1; \
    none=0 some=0; \
    while [ $none -lt 3 ] && [ $some -lt 30 ]; do \
    left=$(grep -ls CODEX_SWARM_TASK=$0 /proc/[0-9]*/environ | cut -d/ -f3); \
    if [ \"$left\" ]; then none=0 some=$((some + 1)); \
    if [ $some = 1 ]; then kill -INT $left; elif [ $some -gt 10 ]; then kill -KILL $left; fi; \
    else none=$((none + 1)); fi 2> /dev/null; \
    sleep .2 2> /dev/null || sleep 1; done; [ $none = 3 ]";

/// The options of ssh that have a word of their own behind them (ssh(1)).
const SSH_OPTIONS: &[u8] = b"BbcDEeFIiJLlmOoPpQRSWw";

/// The same of the `exec` of docker, podman and kubectl.
const EXEC_OPTIONS: &[u8] = b"cefnsuw";

/// The programs that something is known of here.
const KNOWN: [&str; 5] = ["docker", "podman", "kubectl", "srun", "ssh"];

/// A program that is to start codex.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Launcher {
    /// What callers call it.
    pub name: String,
    /// Its words, as they were given.
    pub words: Vec<String>,
    /// At most so many tasks run through it.
    pub max_parallel: Option<u32>,
}

impl Launcher {
    /// Reads the value of `--launcher`: words, or a name, `=` and words.
    pub fn read(value: &str) -> Result<Launcher, String> {
        let named = value.split_once('=').filter(|(name, _)| is_name(name));
        let (name, words) = named.unwrap_or((DEFAULT, value));
        match split(words).filter(|words| !words.is_empty()) {
            Some(words) => Ok(Launcher { name: name.into(), words, max_parallel: None }),
            None => {
                Err(format!("--launcher needs words with every quote closed, this is '{words}'"))
            }
        }
    }

    /// Where the word is that names the program which starts codex: the first that is known, for nice or
    /// sudo may start that, or else the first.
    fn at(&self) -> usize {
        self.words.iter().position(|word| KNOWN.contains(&file_name(word))).unwrap_or(0)
    }

    /// What that program is called.
    fn program(&self) -> &str {
        self.words.get(self.at()).map_or("", |word| file_name(word))
    }

    /// It is ssh, which does not quote the words that it passes on.
    fn is_ssh(&self) -> bool {
        self.program() == "ssh"
    }

    /// It starts programs in containers.
    fn is_of_containers(&self) -> bool {
        matches!(self.program(), "docker" | "podman" | "kubectl")
    }

    /// What it starts sees other files: a codex that is found here need not be there.
    pub fn has_other_files(&self) -> bool {
        self.is_ssh() || self.is_of_containers()
    }

    /// It leads to where something runs already, and the same words lead there once more. No variable
    /// and no signal of ours gets there: ssh passes on none, nor does an `exec` into a container.
    pub fn enters(&self) -> bool {
        self.is_ssh() || (self.is_of_containers() && self.words.iter().any(|word| word == "exec"))
    }

    /// Whether a status says that it has lost what it had started, or could not start it: that of ssh,
    /// or those of what starts programs in containers.
    pub fn has_lost(&self, exit: Option<i32>) -> bool {
        match exit {
            Some(255) => self.is_ssh(),
            Some(125..=127) => self.is_of_containers(),
            _ => false,
        }
    }

    /// Whether what it has started may live on without it: a container does if its client is killed.
    /// One that other signals end has not started it yet.
    pub fn may_leave(&self, exit: Option<i32>) -> bool {
        exit == Some(-9) && self.is_of_containers()
    }

    /// Whether it has written this line to stderr, and not codex.
    pub fn is_own(&self, line: &str) -> bool {
        let rest = line.strip_prefix(self.program());
        // the latter are those of Slurm, docker and kubectl
        let own = ["slurmstepd", "Error response", "Error from"];
        rest.is_some_and(|rest| rest.starts_with(": "))
            || own.iter().any(|own| line.starts_with(own))
    }

    /// Its words, and behind them those of codex, `KEY=ID` marking it; or, without codex, what ends a
    /// task that no signal gets to. `values` are put in place of their names in braces, the caller's
    /// last, so that nothing is put into that.
    pub fn command(
        &self,
        codex: &[String],
        mark: (&str, &str),
        values: [(&str, &str); 3],
    ) -> Vec<String> {
        let (is_ssh, (key, id)) = (self.is_ssh(), mark);
        let mut command = self.words.clone();
        for word in &mut command {
            for (name, value) in values {
                // a shell reads it there, to which a directory's name must be no more than a name
                let quoted = if is_ssh { quote(value) } else { value.to_owned() };
                *word = word.replace(name, &quoted);
            }
        }
        let mut more = Vec::new();
        if codex.is_empty() {
            more.extend(["sh", "-c", END, id].map(str::to_owned));
        } else if self.enters() {
            more.extend(["env".into(), format!("{key}={id}")]);
        }
        more.extend_from_slice(codex);
        command.extend(more.into_iter().map(|word| if is_ssh { quote(&word) } else { word }));
        command
    }

    /// Where the task is, if that stands in the launcher's words or in what it has said on stderr.
    pub fn place(&self, stderr: &str) -> Option<String> {
        if !self.enters() {
            // one that did not have to wait is told of with -v alone
            let (_, said) = stderr.split_once("srun: job")?;
            let said = said.strip_prefix("id").unwrap_or(said).strip_prefix(' ')?;
            let end = said.bytes().position(|b| !b.is_ascii_digit()).filter(|end| *end > 0)?;
            return Some(format!("job {}", said.get(..end)?));
        }
        let (behind, options) = if self.is_ssh() {
            (Some(self.at()), SSH_OPTIONS)
        } else {
            (self.words.iter().position(|word| word == "exec"), EXEC_OPTIONS)
        };
        let mut has_value = false;
        for word in self.words.get(behind? + 1..)? {
            if std::mem::replace(&mut has_value, false) {
                continue;
            }
            let Some(option) = word.strip_prefix('-') else { return Some(word.clone()) };
            if option.starts_with('-') && !option.contains('=') {
                // whether a value stands behind it is its program's business
                return None;
            }
            // the value may be in the same word
            let at = option.bytes().position(|letter| options.contains(&letter));
            has_value = at.is_some_and(|at| at + 1 == option.len());
        }
        None
    }
}

/// The last part of a path.
fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// Whether this can be the name of a launcher.
pub fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric()) && text.bytes().all(plain)
}

/// The words of a line, as a shell has them before it expands any. `None`: a quote is open at its end.
pub fn split(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word) = (Vec::new(), None::<Vec<u8>>);
    // a blank is no quote, and ends a word as a quote ends itself
    let (mut quote, mut escaped) = (b' ', false);
    for b in line.bytes().chain([b' ']) {
        let is_part = if std::mem::take(&mut escaped) {
            // between double quotes it is one itself before all others
            if quote == b'"' && !matches!(b, b'"' | b'\\' | b'$' | b'`' | b'\n') {
                word.get_or_insert_default().push(b'\\');
            }
            b != b'\n'
        } else if b == b'\\' && quote != b'\'' {
            escaped = true;
            false
        } else if quote == b' ' && matches!(b, b' ' | b'\t' | b'\n') {
            words.extend(word.take().map(|word| String::from_utf8_lossy(&word).into_owned()));
            false
        } else if quote == b' ' && matches!(b, b'\'' | b'"') {
            quote = b;
            word.get_or_insert_default();
            false
        } else if b == quote {
            quote = b' ';
            false
        } else {
            true
        };
        if is_part {
            word.get_or_insert_default().push(b);
        }
    }
    (quote == b' ' && word.is_none()).then_some(words)
}

/// A word as a shell takes it for one.
pub fn quote(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+=,@%:".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// A launcher of these words.
    fn launcher(line: &str) -> Launcher {
        Launcher::read(line).expect(line)
    }

    #[test]
    fn a_line_has_the_words_that_a_shell_finds_there() {
        for (line, words) in [
            ("srun  -n1\t-p gpu\n", &["srun", "-n1", "-p", "gpu"][..]),
            (r#"a 'b c' "d e" f\ g"#, &["a", "b c", "d e", "f g"]),
            (r#"'' "" x''y"#, &["", "", "xy"]),
            (r#"'a\'b "c\"d\\e\f\$g" \'"#, &[r"a\b", r#"c"d\e\f$g"#, "'"]),
            ("a\\\nb \"c\\\nd\" 'e\\\nf'", &["ab", "cd", "e\\\nf"]),
            ("é=$HOME {cwd}", &["é=$HOME", "{cwd}"]),
            ("  ", &[]),
        ] {
            assert_eq!(split(line).as_deref(), Some(&words.map_to_strings()[..]), "{line}");
            if !line.contains('$') || line.contains(r"\$") {
                let script = format!("printf '%s\\0' {line}");
                let said = Command::new("sh").args(["-c", &script]).output().expect("sh").stdout;
                let said = String::from_utf8(said).expect("UTF-8");
                let said: Vec<&str> = said.split_terminator('\0').collect();
                assert!(said == words || words.is_empty(), "{line}: {said:?}");
            }
        }
        for line in ["'a", "\"a", "a\\", "a 'b\" c", "\"a\\\""] {
            assert_eq!(split(line), None, "{line}");
        }
    }

    /// Words that own their text.
    trait Own {
        fn map_to_strings(&self) -> Vec<String>;
    }

    impl Own for [&str] {
        fn map_to_strings(&self) -> Vec<String> {
            self.iter().map(|word| (*word).to_owned()).collect()
        }
    }

    #[test]
    fn a_shell_takes_any_word_as_it_is() {
        assert_eq!(quote("/opt/a-b/c_1.x"), "/opt/a-b/c_1.x");
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("it's $HOME"), r"'it'\''s $HOME'");
        let words = ["", "a", "it's", "$(x) `y` \\", "-c", "*", "~", "#", "a\nb", "k=\"v w\"", "é"];
        let line: String = words.iter().flat_map(|word| [" ".into(), quote(word)]).collect();
        assert_eq!(split(&line), Some(words.map_to_strings()));
        let script = format!("printf '%s\\0'{line}");
        let said = Command::new("sh").args(["-c", &script]).output().expect("sh").stdout;
        assert_eq!(
            String::from_utf8(said).expect("UTF-8"),
            words.map(|w| format!("{w}\0")).concat()
        );
    }

    #[test]
    fn a_launcher_has_a_name_if_one_stands_before_the_first_equals_sign() {
        for (value, name, first) in [
            ("srun -n1", DEFAULT, "srun"),
            ("gpu=srun --mem=1G", "gpu", "srun"),
            ("srun --mem=1G", DEFAULT, "srun"),
            ("a_-1=env A=b", "a_-1", "env"),
            ("_a=b", DEFAULT, "_a=b"),
            ("default='my prog'", DEFAULT, "my prog"),
        ] {
            let launcher = launcher(value);
            assert_eq!((launcher.name.as_str(), launcher.words[0].as_str()), (name, first));
        }
        for value in ["", " ", "gpu=", "gpu= \t", "gpu='x", "x\\"] {
            let why = Launcher::read(value).expect_err(value);
            assert!(why.starts_with("--launcher needs words"), "{why}");
        }
    }

    #[test]
    fn what_is_known_is_put_in_once_and_all_else_stays() {
        let values = [("{task_id}", "00c0ffee"), ("{task_dir}", "/t"), ("{cwd}", "/a {task_id} b")];
        let codex = ["codex", "exec", "-c", "a=\"b c\""].map_to_strings();
        let command = |line: &str| launcher(line).command(&codex, ("M", "1"), values).join("|");
        let line = "docker run -v {cwd}:{cwd} --name=x-{task_id} {task_dir} {{cwd}} {user} } {";
        assert_eq!(
            command(line),
            "docker|run|-v|/a {task_id} b:/a {task_id} b|--name=x-00c0ffee|/t|{/a {task_id} b}|\
             {user}|}|{|codex|exec|-c|a=\"b c\""
        );
        assert_eq!(
            command("/usr/bin/ssh -T h cd {cwd} '&&'"),
            "/usr/bin/ssh|-T|h|cd|'/a {task_id} b'|&&|env|M=1|codex|exec|-c|'a=\"b c\"'"
        );
        assert_eq!(
            command("nice ssh h"),
            "nice|ssh|h|env|M=1|codex|exec|-c|'a=\"b c\"'",
            "it takes words apart whatever starts it"
        );
        assert_eq!(
            command("kubectl exec -i ssh --"),
            "kubectl|exec|-i|ssh|--|env|M=1|codex|exec|-c|a=\"b c\"",
            "of two that are known it is the first"
        );
        assert_eq!(
            command("docker exec -w {cwd} box"),
            "docker|exec|-w|/a {task_id} b|box|env|M=1|codex|exec|-c|a=\"b c\""
        );
    }

    #[test]
    fn a_task_is_where_the_launcher_says_that_it_is() {
        for (line, stderr, place) in [
            ("ssh host", "", Some("host")),
            ("ssh -T -p 22 -oA=b -o B=c -4i key u@h x", "", Some("u@h")),
            ("ssh -TJjump h", "", Some("h")),
            ("ssh", "", None),
            ("nice -n 3 /usr/bin/ssh -p 22 h x", "", Some("h")),
            ("srun -n1", "x\nsrun: job 42 queued and waiting\nsrun: job 43 x", Some("job 42")),
            ("srun -v", "srun: jobid 12: nodes(1):`vm'", Some("job 12")),
            ("srun -n1", "srun: job of x", None),
            ("nice srun", "srun: job 42 queued", Some("job 42")),
            ("sudo -n docker exec -i box", "", Some("box")),
            ("ssh h docker exec -i box", "", Some("h")),
            ("ssh -i", "srun: job 42 queued", None),
            ("kubectl exec -i pod-1 -c app --", "", Some("pod-1")),
            ("kubectl -n ns exec -ic app deploy/x --", "", Some("deploy/x")),
            ("kubectl exec -i --container app pod --", "", None),
            ("docker exec --user=me -iw /w box", "srun: job 42 queued", Some("box")),
            ("podman run -i image", "", None),
        ] {
            assert_eq!(launcher(line).place(stderr).as_deref(), place, "{line}");
        }
    }

    #[test]
    fn nothing_is_said_to_be_left_only_where_that_can_be_seen() {
        let places = std::env::temp_dir().join(format!("far-{}", std::process::id()));
        std::fs::create_dir(&places).expect("a directory");
        let path = std::env::var("PATH").expect("PATH");
        let find = |name: &str| {
            let mut all = path.split(':').map(|place| std::path::Path::new(place).join(name));
            all.find(|file| file.is_file()).expect(name)
        };
        for (there, sees) in [
            (&["sleep"][..], false),
            (&["sleep", "grep"], false),
            (&["sleep", "grep", "cut"], true),
        ] {
            if let Some(name) = there.last() {
                std::os::unix::fs::symlink(find(name), places.join(name)).expect("a link");
            }
            let mut end = Command::new(find("sh"));
            end.args(["-c", END, "0badcafe"]).env("PATH", &places);
            let ended = end.output().expect("sh").status;
            assert_eq!(ended.success(), sees && cfg!(target_os = "linux"), "{there:?}");
        }
        std::fs::remove_dir_all(&places).expect("it is gone");
    }

    #[test]
    fn the_far_side_is_ended_by_words_that_a_shell_there_takes_apart() {
        let end = launcher("ssh -T h").command(&[], ("M", "00c0ffee"), [("x", ""); 3]);
        assert_eq!(&end[..5], ["ssh", "-T", "h", "sh", "-c"]);
        assert_eq!(split(&end[5]), Some(vec![END.to_owned()]));
        assert_eq!(end[6], "00c0ffee");
        let end =
            launcher("kubectl exec -i pod --").command(&[], ("M", "00c0ffee"), [("x", ""); 3]);
        assert_eq!(&end[4..], ["--", "sh", "-c", END, "00c0ffee"]);
        // what looks for the mark must not carry it
        assert!(!end.concat().contains("TASK=00c0ffee"));
    }
}
