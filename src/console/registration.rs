//! How this program is registered with its clients: lines that can be pasted, whatever stands in the
//! path.

use crate::codex::toml;
use crate::json;
use crate::launcher::quote as shell;

/// How to register `program` with every client. The workers that it starts for others than Codex get
/// the words `off` for Codex: they switch off what must not run in them. `config` is Codex's file.
pub fn text(program: &str, off: &[String], config: &str) -> String {
    let mut args = vec!["-c", "sandbox_mode=workspace-write"];
    args.extend(off.iter().flat_map(|word| ["-c", word]));
    let words: String = args.iter().flat_map(|word| [" ".into(), shell(word)]).collect();
    let mut command = String::new();
    toml::quote(&mut command, program);
    let mut server = String::new();
    json::object(&mut server, |o| {
        o.str("command", program).strs("args", &args);
    });
    let mut code = r#"{"name":"codex-swarm","#.to_owned();
    code.push_str(server.trim_start_matches('{'));
    format!(
        "
To register this program with Claude Code:

claude mcp add codex-swarm --scope user -- {}{words}

With Codex, in {config}, in place of any other codex-swarm:

[mcp_servers.codex-swarm]
command = {command}
args = [\"-c\", \"mcp_servers.codex-swarm.enabled=false\"]
default_tools_approval_mode = \"approve\"
supports_parallel_tool_calls = true
tool_timeout_sec = 3600
env_vars = [\"CODEX_HOME\", \"CODEX_API_KEY\", \"XDG_STATE_HOME\", \"HTTPS_PROXY\", \"NO_PROXY\"]

With Cursor, in ~/.cursor/mcp.json:

{{\"mcpServers\": {{\"codex-swarm\": {server}}}}}

With VS Code:

code --add-mcp {}
",
        shell(program),
        shell(&code)
    )
}
