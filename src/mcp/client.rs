//! Who asks: the revision that a request is in, and what its client can take.
//!
//! Since 2026-07-28 each request says so itself, in `_meta`; before, `initialize` said it for the
//! session. One client may do both on one pipe, so it is decided for each request anew.

use super::Revision;
use crate::json::Value;
use crate::rpc::Error;

/// The extension by which a call becomes a task that the client looks after.
pub const TASKS: &str = "io.modelcontextprotocol/tasks";

/// The keys in `_meta` that make a request one of 2026-07-28.
const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// See [`VERSION`].
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// Where such a request says what messages it wants logged. None are sent, whatever it says.
const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";

/// What it may say there.
const LOG_LEVELS: [&str; 8] =
    ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// The revision the answer has to be in.
    pub revision: Revision,
    /// The client looks after tasks: [`TASKS`].
    pub takes_tasks: bool,
}

impl Client {
    /// A client that began with `initialize`.
    pub fn in_session(revision: Revision) -> Client {
        Client { revision, takes_tasks: false }
    }

    /// Who says of itself who it is. `None`: the session has to say.
    pub fn read(method: &str, params: &Value<'_>) -> Result<Option<Client>, Error> {
        let meta = params.get("_meta");
        let said = |key: &str| meta.and_then(|meta| meta.get(key));
        let (version, capabilities) = (said(VERSION), said(CAPABILITIES));
        if version.is_none() && capabilities.is_none() && method != "server/discover" {
            return Ok(None);
        }
        let missing = |key: &str, kind: &str| {
            Error::invalid_params(format!("params._meta must have {key}, {kind}"))
        };
        let version =
            version.and_then(Value::as_str).ok_or_else(|| missing(VERSION, "a string"))?;
        if version != Revision::V2026_07_28.name() {
            let error = Error::new(Error::UNSUPPORTED_VERSION, "Unsupported protocol version");
            return Err(error.with(|o| {
                o.strs("supported", [Revision::V2026_07_28.name()]).str("requested", version);
            }));
        }
        let capabilities = capabilities
            .filter(|capabilities| capabilities.as_object().is_some())
            .ok_or_else(|| missing(CAPABILITIES, "an object"))?;
        let level = said(LOG_LEVEL);
        let known = |level: &Value<'_>| level.as_str().is_some_and(|l| LOG_LEVELS.contains(&l));
        if !level.is_none_or(known) {
            return Err(missing(LOG_LEVEL, "if at all, as one of the eight levels"));
        }
        let tasks = capabilities.get("extensions").and_then(|extensions| extensions.get(TASKS));
        let takes_tasks = tasks.is_some_and(|tasks| tasks.as_object().is_some());
        Ok(Some(Client { revision: Revision::V2026_07_28, takes_tasks }))
    }

    /// Refuses what only a client can ask that looks after tasks.
    pub fn must_take_tasks(self) -> Result<(), Error> {
        if self.takes_tasks {
            return Ok(());
        }
        let error = Error::new(Error::MISSING_CAPABILITY, "Missing required client capability");
        Err(error.with(|o| {
            o.object("requiredCapabilities", |o| {
                o.object("extensions", |o| {
                    o.object(TASKS, |_| {});
                });
            });
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    /// What comes of a request with this `_meta`: `session`, `modern`, `tasks` or the error's code.
    fn read(method: &str, meta: &str) -> String {
        let params = format!("{{\"_meta\":{meta}}}");
        match Client::read(method, &json::parse(params.as_bytes()).expect(meta)) {
            Ok(None) => "session".into(),
            Ok(Some(client)) if client.takes_tasks => "tasks".into(),
            Ok(Some(_)) => "modern".into(),
            Err(error) => error.code.to_string(),
        }
    }

    #[test]
    fn each_request_is_of_the_era_that_it_says() {
        let v = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;
        let c = r#""io.modelcontextprotocol/clientCapabilities""#;
        let level = r#""io.modelcontextprotocol/logLevel""#;
        let tasks = r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
        for (meta, expected) in [
            ("null".to_owned(), "session"),
            (r#"{"progressToken":1}"#.to_owned(), "session"),
            (format!("{{{v},{c}:{{}}}}"), "modern"),
            (format!("{{{v},{c}:{tasks}}}"), "tasks"),
            (format!(r#"{{{v},{c}:{{"extensions":{{"x/y":{{}}}}}}}}"#), "modern"),
            (format!("{{{v},{c}:{{}},{level}:\"debug\"}}"), "modern"),
            (format!("{{{v}}}"), "-32602"),
            (format!("{{{c}:{{}}}}"), "-32602"),
            (format!("{{{v},{c}:[]}}"), "-32602"),
            (format!("{{{v},{c}:{{}},{level}:\"loud\"}}"), "-32602"),
            (format!("{{{v},{c}:{{}},{level}:7}}"), "-32602"),
            (format!("{{{},{c}:{{}}}}", v.replace("2026-07-28", "2025-11-25")), "-32022"),
            // the version comes before what is missing besides
            (format!("{{{}}}", v.replace("2026-07-28", "2099-01-01")), "-32022"),
            (format!("{{{},{c}:{{}}}}", v.replace("\"2026-07-28\"", "2026")), "-32602"),
        ] {
            assert_eq!(read("tools/list", &meta), expected, "{meta}");
        }
        assert_eq!(read("server/discover", "{}"), "-32602");
    }
}
