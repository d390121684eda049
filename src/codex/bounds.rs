//! What a locked server lets a caller ask for: less than its own flags say, and never more. Whatever
//! becomes a task passes through here, what is taken over from an earlier one too.

use super::{Request, command};
use crate::roots;
use crate::settings::Settings;
use crate::task::Worktree;
use std::path::Path;

/// The sandbox modes, from narrow to wide.
const SANDBOXES: [&str; 3] = ["read-only", "workspace-write", "danger-full-access"];

/// The keys of `config` that give a task no more than it has: how much it thinks and says.
const HARMLESS: [&str; 3] =
    ["model_reasoning_effort", "model_reasoning_summary", "model_verbosity"];

/// What is said of a value that is wider than the server's flags, with what would do.
pub fn refusal(name: &str, value: &str, cure: &str) -> String {
    format!("{name}: {value} is not allowed on this --locked server; give {cure}")
}

/// Resolves the paths of a request, and refuses what this server does not allow. From here on nobody
/// looks at a path as it was given. The task directory is there, and so is that of the worktrees if it
/// can be.
pub fn confine(request: &mut Request, settings: &Settings) -> Result<(), String> {
    let tasks = roots::resolved("tasks", &settings.task_dir)?;
    let worktrees = roots::resolved("worktrees", &settings.worktree_dir).unwrap_or_default();
    for (name, path) in paths(request) {
        *path = roots::resolved(name, Path::new(path))?;
    }
    narrow(request, settings, [("task", &tasks), ("worktree", &worktrees)])
}

/// The paths of a request, each with the name of its parameter.
fn paths(request: &mut Request) -> Vec<(&'static str, &mut String)> {
    let mut paths = vec![("cwd", &mut request.cwd)];
    for (name, more) in [("add-dirs", &mut request.add_dirs), ("images", &mut request.images)] {
        paths.extend(more.iter_mut().map(|path| (name, path)));
    }
    paths
}

/// Refuses what is wider than the server's own flags, and says outright what a request leaves to the
/// user's configuration, which could be wider. Paths are resolved, those of our own directories too; one
/// that is not there is empty.
fn narrow(
    request: &mut Request,
    settings: &Settings,
    ours: [(&str, &str); 2],
) -> Result<(), String> {
    let width = |mode: &str| SANDBOXES.iter().position(|known| *known == mode);
    let ceiling = settings.default_of("sandbox_mode").unwrap_or_default();
    let widest = width(ceiling).unwrap_or_default();
    let ceiling = SANDBOXES.get(widest).copied().unwrap_or_default();
    let sandbox = request.sandbox.get_or_insert_with(|| ceiling.to_owned());
    let writes = match width(sandbox) {
        Some(width) if width <= widest => width > 0,
        _ => return Err(refusal("sandbox", sandbox, ceiling)),
    };
    match (request.approval_policy.as_deref(), settings.default_of("approval_policy")) {
        (None, None) => request.approval_policy = Some("never".into()),
        (Some(asked), own) if asked != "never" && Some(asked) != own => {
            return Err(refusal("approval-policy", asked, "never"));
        }
        _ => {}
    }
    if let Some(profile) = &request.profile {
        return Err(refusal("profile", profile, "none"));
    }
    // of a key that is there twice both are looked at: Codex is given both
    for (key, toml) in &request.config.1 {
        if !HARMLESS.contains(&key.as_str()) || !toml.starts_with('"') {
            let cure = "strings, for model_reasoning_effort, model_reasoning_summary, \
                        model_verbosity";
            return Err(refusal("config", key, cure));
        }
    }
    for (name, path) in paths(request) {
        let place = Path::new(path);
        roots::hold(&settings.roots, name, place)?;
        if name == "images" {
            // a link may lead to a comma
            command::check_image(path)?;
            continue;
        }
        // what a record says is run, and by somebody who is in no sandbox, who also fills a worktree:
        // the files would go where a link in place of it leads
        for (what, own) in ours.into_iter().filter(|(_, own)| writes && !own.is_empty()) {
            let own = Path::new(own);
            if own.starts_with(place) || place.starts_with(own) {
                let cure = format!(
                    "a directory that neither holds the {what} directory nor lies in it, or \
                     sandbox: read-only"
                );
                return Err(refusal(name, path, &cure));
            }
        }
    }
    Ok(())
}

/// Refuses to go on in the worktree of an earlier task, unless it is where this server makes them and
/// its repository lies below a root.
pub fn check_worktree(worktree: &Worktree, settings: &Settings) -> Result<(), String> {
    let path = Path::new(&worktree.path);
    if path.parent() != Some(&settings.worktree_dir) {
        return roots::hold(&settings.roots, "worktree", path);
    }
    worktree.stay_below(&settings.roots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Flags;
    use crate::json;

    /// A locked server with these `-c` words and the roots /usr and /etc.
    fn locked(config: &[&str]) -> Settings {
        let config = config.iter().map(|word| (*word).to_owned()).collect();
        let flags = Flags { config, locked: true, ..Flags::default() };
        let mut settings = Settings::read(flags, |_| None, Path::new("/")).0;
        settings.roots = vec!["/usr".into(), "/etc".into()];
        settings.task_dir = "/proc".into();
        settings
    }

    /// A request with these members, in /usr unless they say otherwise.
    fn request(json: &str) -> Request {
        let json = format!(r#"{{"prompt":"p","cwd":"/usr"{json}}}"#);
        Request::read(&json::parse(json.as_bytes()).expect("JSON"), Path::new("/")).expect("sense")
    }

    /// What comes of such a request.
    fn narrowed(config: &[&str], json: &str) -> Result<Request, String> {
        let mut request = request(json);
        narrow(&mut request, &locked(config), [("task", "/etc/tasks"), ("worktree", "")])
            .map(|()| request)
    }

    #[test]
    fn the_sandbox_is_the_servers_or_narrower_and_is_always_said() {
        for (ceiling, widest) in [
            (vec![], 0),
            (vec!["sandbox_mode=read-only"], 0),
            (vec!["sandbox_mode = \"workspace-write\" "], 1),
            (vec!["sandbox_mode='danger-full-access'"], 2),
            (vec!["sandbox_mode=danger-full-access", "sandbox_mode=read-only"], 0),
            (vec!["sandbox_mode=nonsense"], 0),
            (vec!["sandbox_mode=\"\""], 0),
        ] {
            let left_out = narrowed(&ceiling, "").expect("it is narrowed");
            assert_eq!(left_out.sandbox.as_deref(), Some(SANDBOXES[widest]), "{ceiling:?}");
            for (width, mode) in SANDBOXES.into_iter().enumerate() {
                let given = narrowed(&ceiling, &format!(r#","sandbox":"{mode}""#));
                match given {
                    Ok(request) => {
                        assert!(width <= widest && request.sandbox.as_deref() == Some(mode));
                    }
                    Err(why) => {
                        assert!(width > widest && why.contains("--locked"), "{why}");
                        assert!(why.starts_with(&format!("sandbox: {mode} is not")), "{why}");
                    }
                }
            }
            let why = narrowed(&ceiling, r#","sandbox":"none""#).expect_err("no mode");
            assert!(why.contains("sandbox: none is not"), "{why}");
        }
    }

    #[test]
    fn nobody_is_asked_for_approval_unless_the_server_says_so() {
        let policy = |config: &[&str], json| narrowed(config, json).map(|r| r.approval_policy);
        let never = Ok(Some("never".to_owned()));
        assert_eq!(policy(&[], ""), never);
        assert_eq!(policy(&[], r#","approval-policy":"never""#), never);
        let asks = ["approval_policy=on-request"];
        // the server's own word stands in the command line already
        assert_eq!(policy(&asks, ""), Ok(None));
        assert_eq!(policy(&asks, r#","approval-policy":"never""#), never);
        let same = policy(&asks, r#","approval-policy":"on-request""#);
        assert_eq!(same, Ok(Some("on-request".into())));
        for (config, json) in [
            (&[][..], r#","approval-policy":"on-request""#),
            (&asks, r#","approval-policy":"on-failure""#),
            (&asks, r#","approval-policy":"untrusted""#),
        ] {
            let why = policy(config, json).expect_err(json);
            assert!(why.starts_with("approval-policy: ") && why.contains("--locked"), "{why}");
        }
    }

    #[test]
    fn only_harmless_keys_of_config_pass_and_no_profile() {
        let config = r#","config":{"model_reasoning_effort":"high","model_verbosity":"low",
            "model_reasoning_summary":"a\"=[]"}"#;
        assert_eq!(narrowed(&[], config).expect("harmless").config.1.len(), 3);
        for (member, name) in [
            (r#""profile":"p""#, "profile: p"),
            (r#""config":{"sandbox_mode":"read-only"}"#, "config: sandbox_mode"),
            (r#""config":{"model":"m"}"#, "config: model "),
            (r#""config":{"model_reasoning_effort":{"x":1}}"#, "config: model_reasoning_effort"),
            (r#""config":{"model_reasoning_effort":5}"#, "config: model_reasoning_effort"),
            (r#""config":{"model_reasoning_effort.x":"y"}"#, "config: model_reasoning_effort.x"),
            (r#""config":{"Model_verbosity":"low"}"#, "config: Model_verbosity"),
            (r#""config":{"model_verbosity":"low","model_verbosity":[]}"#, "config: model_verbos"),
            (r#""config":{"model_verbosity":"low","a.b":"c"}"#, "config: a.b"),
            (r#""config":{"mcp_servers":{"x":{"command":"sh"}}}"#, "config: mcp_servers"),
            (r#""config":{"sandbox_workspace_write.network_access":true}"#, "config: sandbox_w"),
        ] {
            let why = narrowed(&["profile=mine"], &format!(",{member}")).expect_err(member);
            assert!(why.starts_with(name) && why.contains("--locked"), "{why}");
        }
    }

    #[test]
    fn every_path_lies_below_a_root() {
        let json = r#","cwd":"/etc","add-dirs":["/usr","/usr/lib"],"images":["/etc/passwd"]"#;
        assert!(narrowed(&[], json).is_ok());
        for (json, name) in [
            (r#","cwd":"/""#, "cwd: / is"),
            (r#","cwd":"/var""#, "cwd: /var is"),
            (r#","add-dirs":["/usr","/var"]"#, "add-dirs: /var is"),
            (r#","images":["/etc/passwd","/proc/version"]"#, "images: /proc/version is"),
        ] {
            let why = narrowed(&[], json).expect_err(json);
            assert!(why.starts_with(name) && why.contains("--root") && why.contains("/usr, /etc"));
        }
        let mut behind_a_link = request("");
        behind_a_link.images = vec!["/usr/a,/var/b".into()];
        let why = narrow(&mut behind_a_link, &locked(&[]), [("task", "/t"), ("worktree", "")])
            .expect_err("a comma");
        assert!(why.contains("comma"));
    }

    #[test]
    fn no_task_writes_to_the_records_of_tasks() {
        let refused = |json: &str| {
            let given = narrowed(&["sandbox_mode=workspace-write"], json);
            given.is_err_and(|why| why.contains("neither holds the task directory nor lies in it"))
        };
        for json in [
            r#","cwd":"/etc""#,
            r#","add-dirs":["/usr/lib","/etc"]"#,
            r#","cwd":"/etc","sandbox":"workspace-write""#,
        ] {
            assert!(refused(json), "{json}");
        }
        for json in ["", r#","images":["/etc/passwd"]"#, r#","cwd":"/etc","sandbox":"read-only""#] {
            assert!(!refused(json), "{json}");
        }
        let writing = locked(&["sandbox_mode=danger-full-access"]);
        let below = |tasks, trees| {
            narrow(&mut request(""), &writing, [("task", tasks), ("worktree", trees)])
        };
        for ours in ["/", "/usr", "/usr/x"] {
            assert!(below(ours, "").is_err() && below("/t", ours).is_err(), "{ours}");
        }
        assert!(below("/us", "/u").is_ok());
    }

    #[test]
    fn paths_are_resolved_before_they_are_looked_at_and_stay_so() {
        let mut dotted = request(r#","add-dirs":["/usr/lib/../bin"]"#);
        dotted.cwd = "/etc/../usr/lib".into();
        assert_eq!(confine(&mut dotted, &locked(&[])), Ok(()));
        assert_eq!((dotted.cwd.as_str(), dotted.add_dirs), ("/usr/lib", vec!["/usr/bin".into()]));
        let mut out = request("");
        out.cwd = "/usr/../var".into();
        assert!(confine(&mut out, &locked(&[])).is_err_and(|why| why.starts_with("cwd: /var is")));
    }
}
