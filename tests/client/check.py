"""Checks the server with the client of the official Python SDK, which validates every message it reads.

usage: python -W error tests/client/check.py SERVER [--structured]

SERVER is the program to check; codex is the stand-in of tests/fixtures. With --structured the server
gets that flag too, and what tools answer is held against their output schemas. A warning, on stderr or
in the client's log, is a failure like any other.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import traceback
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from jsonschema import Draft202012Validator
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client

CODEX = Path(__file__).parent.parent / "fixtures" / "codex"
TOOLS = ["codex", "codex_async", "codex_batch", "codex_reply", "codex_status", "codex_wait", "codex_cancel"]
CAP = 60  # seconds for one check; nothing that goes well comes near it


class Bench:
    """A connected client, the directory its server works in, and what the checks need again and again."""

    def __init__(self, client: Client, directory: Path, structured: bool) -> None:
        self.client, self.directory, self.structured = client, directory, structured
        self.schemas: dict[str, Draft202012Validator] = {}

    async def list_tools(self) -> list:
        """All tools; keeps their output schemas."""
        tools = (await self.client.list_tools()).tools
        for tool in tools:
            if tool.output_schema is not None:
                Draft202012Validator.check_schema(tool.output_schema)
                self.schemas[tool.name] = Draft202012Validator(tool.output_schema)
        return tools

    async def call(self, tool: str, arguments: dict, is_error: bool = False, **options):
        """Calls a tool, and gives its text and its structured content."""
        result = await self.client.call_tool(tool, arguments, **options)
        text = "\n".join(block.text for block in result.content)
        assert bool(result.is_error) == is_error, f"{tool}: {text}"
        if not self.structured:
            assert result.structured_content is None, f"{tool} was not asked for structured content"
        elif not is_error:
            assert result.structured_content is not None, f"{tool} gave no structured content"
        if result.structured_content is not None:
            if not self.schemas:
                await self.list_tools()
            self.schemas[tool].validate(result.structured_content)
        return text, result.structured_content

    async def launch(self, script: str) -> str:
        """Starts a task with a script for the stand-in, and gives its id."""
        text, _ = await self.call("codex_async", prompt(script))
        return field(text, "Task ID")

    async def marked(self, name: str) -> None:
        """Waits until the stand-in made a mark."""
        while not (self.directory / name).exists():
            await anyio.sleep(0.01)

    def open(self, gate: str) -> None:
        """Lets the stand-in go on that waits for this."""
        (self.directory / gate).touch()


def prompt(script: str) -> dict:
    """The arguments of a task that plays a script."""
    return {"prompt": "#standin\n" + script}


def field(text: str, name: str) -> str:
    """What stands behind `name: ` at the beginning of a line."""
    values = [line.removeprefix(f"{name}: ") for line in text.splitlines() if line.startswith(f"{name}: ")]
    assert values, f"no {name} in: {text}"
    return values[0]


async def introduces_itself(bench: Bench) -> None:
    client = bench.client
    assert client.server_info.name == "codex-mcp-swarm"
    assert client.protocol_version in ("2025-11-25", "2026-07-28"), client.protocol_version
    assert client.server_capabilities.tools is not None
    assert client.server_capabilities.resources is not None
    assert "codex_wait" in client.instructions


async def lists_its_tools(bench: Bench) -> None:
    tools = {tool.name: tool for tool in await bench.list_tools()}
    assert sorted(tools) == sorted(TOOLS), sorted(tools)
    for tool in tools.values():
        Draft202012Validator.check_schema(tool.input_schema)
        assert tool.description and tool.annotations is not None, tool.name
        assert (tool.output_schema is not None) == bench.structured, tool.name
    for name in ("codex_status", "codex_wait"):
        assert tools[name].annotations.read_only_hint, name
    for name in ("codex", "codex_async", "codex_reply"):
        properties = tools[name].input_schema["properties"]
        assert properties["worktree"]["type"] == "boolean", name
        assert properties["worktree-base"]["type"] == "string", name


async def lists_its_resources(bench: Bench) -> None:
    resources = (await bench.client.list_resources()).resources
    uris = {str(resource.uri) for resource in resources}
    assert uris == {f"codex-swarm:///{name}" for name in ("server-info", "config", "tasks")}, uris
    templates = (await bench.client.list_resource_templates()).resource_templates
    assert "codex-swarm:///tasks/{task_id}" in [template.uri_template for template in templates]


async def every_tool_works(bench: Bench) -> None:
    text, content = await bench.call("codex", prompt("begin\nsay one\ndone"))
    assert text.startswith("one\n"), text
    thread = field(text, "Thread ID")
    if content is not None:
        assert content["threadId"] == thread and content["content"] == "one", content

    text, content = await bench.call("codex_reply", prompt("begin\nsay two\ndone") | {"threadId": thread})
    assert text.startswith("two\n") and field(text, "Thread ID") == thread, text

    task = await bench.launch("begin\nrun make\nmark running\nwait-for go\nsay three\ndone")
    await bench.marked("running")
    text, content = await bench.call("codex_status", {"task_ids": [task]})
    while "Last tool: " not in text:  # it is on its way
        text, content = await bench.call("codex_status", {"task_ids": [task]})
    assert f"=== Task {task} (" in text and field(text, "Last tool") == "exec_command(make)", text
    if content is not None:
        assert [(t["taskId"], t["status"]) for t in content["tasks"]] == [(task, "running")], content
    text, _ = await bench.call("codex_wait", {"task_ids": [task], "timeout": 0})
    assert "STILL RUNNING" in text, text
    bench.open("go")
    text, content = await bench.call("codex_wait", {"task_ids": [task, "deadbeef"]})
    assert "(completed in " in text and "three" in text and "deadbeef" in text, text
    if content is not None:
        assert content["tasks"][0]["content"] == "three", content

    tasks = [prompt(f"begin\nsay {word}\ndone") for word in ("four", "five")]
    text, content = await bench.call("codex_batch", {"tasks": tasks, "defaults": {"sandbox": "read-only"}})
    assert text.index("four") < text.index("five"), text
    if content is not None:
        assert [t["content"] for t in content["tasks"]] == ["four", "five"], content

    task = await bench.launch("begin\nmark stuck\nwait-for never")
    await bench.marked("stuck")
    text, _ = await bench.call("codex_cancel", {"task_id": task})
    assert task in text and "cancelled" in text, text


def git(directory: Path, *words: str) -> str:
    """Runs git as nobody in particular, and gives what it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", "-c", "user.name=check", "-c", "user.email=check@localhost", *words]
    return subprocess.run(command, cwd=directory, env=environment, check=True, capture_output=True, text=True).stdout


async def write_in_a_worktree(bench: Bench) -> tuple[str, Path]:
    """Has a task leave a file in a worktree of its own, and gives its id and the repository."""
    repository = bench.directory / "repository"
    repository.mkdir()
    git(repository, "init", "--quiet")
    git(repository, "commit", "--quiet", "--allow-empty", "--message=first")
    arguments = prompt("begin\nwait-for written\nsay answer\ndone") | {"cwd": str(repository), "worktree": True}
    text, content = await bench.call("codex_async", arguments)
    worktree = Path(field(text, "Worktree Path"))
    if content is not None:
        assert content["worktree"]["path"] == str(worktree), content
    # the stand-in writes nothing: what is there when it ends is what it left
    (worktree / "left.txt").write_text("what the task left\n")
    bench.open("written")
    return field(text, "Task ID"), repository


async def a_worktree_brings_the_work_home(bench: Bench) -> None:
    task, repository = await write_in_a_worktree(bench)
    text, content = await bench.call("codex_wait", {"task_ids": [task]})
    branch = field(text, "Branch")
    assert field(text, "Changes") == f"1 file, +1 -0, 1 commit (git merge {branch})", text
    if content is not None:
        worktree = content["tasks"][0]["worktree"]
        changes = {"commits": 1, "files": 1, "insertions": 1, "deletions": 0}
        assert worktree["branch"] == branch and worktree["changes"] == changes, content
    assert git(repository, "status", "--porcelain") == "" and not (repository / "left.txt").exists()
    git(repository, "merge", "--quiet", branch)
    assert (repository / "left.txt").read_text() == "what the task left\n"


async def every_resource_can_be_read(bench: Bench) -> None:
    task, _ = await write_in_a_worktree(bench)
    await bench.call("codex_wait", {"task_ids": [task]})
    uris = [str(resource.uri) for resource in (await bench.client.list_resources()).resources]
    templates = (await bench.client.list_resource_templates()).resource_templates
    uris += [template.uri_template.replace("{task_id}", task) for template in templates]
    for uri in uris:
        (content,) = (await bench.client.read_resource(uri)).contents
        assert str(content.uri) == uri, content
        if content.mime_type == "application/json":
            json.loads(content.text)
        if uri.endswith("/result"):
            assert content.text == "answer", content
        if uri.endswith("/diff"):
            assert "\n+what the task left\n" in content.text, content
    try:
        await bench.client.read_resource("codex-swarm:///nothing")
    except MCPError as error:
        assert error.code in (-32002, -32602), error
    else:
        raise AssertionError("a resource that is not there could be read")


async def progress_is_told(bench: Bench) -> None:
    told = []

    async def tell(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, message))
        # it is told while the task runs, for the task cannot end before
        bench.open("told")

    text, _ = await bench.call(
        "codex", prompt("begin\nrun make\nwait-for told\nsay done\ndone"), progress_callback=tell
    )
    assert text.startswith("done\n"), text
    numbers = [progress for progress, _ in told]
    assert numbers == sorted(set(numbers)), told
    assert "make" in told[0][1], told


async def a_call_can_be_cancelled(bench: Bench) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(bench.call, "codex", prompt("begin\nmark called\nwait-for never"))
        await bench.marked("called")
        text, _ = await bench.call("codex_status", {})
        group.cancel_scope.cancel()
    (task,) = [line.split()[2] for line in text.splitlines() if line.endswith(" elapsed) ===")]
    text, _ = await bench.call("codex_wait", {"task_ids": [task]})
    assert "(cancelled after " in text, text


async def what_is_wrong_is_said(bench: Bench) -> None:
    text, _ = await bench.call("codex", {"prompt": "x", "sandbox": "none"}, is_error=True)
    assert "sandbox" in text, text
    text, _ = await bench.call("codex", prompt("begin\nfail no such luck\nexit 1"), is_error=True)
    assert "no such luck" in text, text
    try:
        await bench.call("codex_frobnicate", {})
    except MCPError as error:
        assert error.code == -32602, error
    else:
        raise AssertionError("a tool that is not there could be called")


CHECKS = [
    introduces_itself,
    lists_its_tools,
    lists_its_resources,
    every_tool_works,
    a_worktree_brings_the_work_home,
    every_resource_can_be_read,
    progress_is_told,
    a_call_can_be_cancelled,
    what_is_wrong_is_said,
]


class Warnings(logging.Handler):
    """Collects what the client's library warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name}: {record.getMessage()}")


@asynccontextmanager
async def bench_in(directory: Path, mode: str, options: argparse.Namespace):
    """A server in this directory and a client connected to it. The server has to end well, and silently."""
    flags = ["--codex", str(CODEX)] + (["--structured"] if options.structured else [])
    environment = {
        "HOME": str(directory),
        "STANDIN_OUT": str(directory),
        "CODEX_SWARM_TASK_DIR": str(directory / "tasks"),
        "CODEX_SWARM_WORKTREE_DIR": str(directory / "worktrees"),
        "CODEX_SWARM_LOG": str(directory / "server.log"),
    }
    server = StdioServerParameters(command=options.server, args=flags, env=environment, cwd=directory)
    with open(directory / "stderr", "w+") as errors:
        async with Client(stdio_client(server, errors), mode=mode) as client:
            yield Bench(client, directory, options.structured)
        errors.seek(0)
        said = errors.read()
    assert said == "", f"on stderr: {said}"


def left_in(directory: Path) -> list[str]:
    """The processes that were started in a directory and are still there."""
    mark = f"STANDIN_OUT={directory}".encode()
    left = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                left.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            pass  # it is gone, or is not ours
    return left


async def run(check, mode: str, options: argparse.Namespace) -> None:
    """Runs one check on a server of its own."""
    warnings = Warnings()
    logging.getLogger().addHandler(warnings)
    try:
        with tempfile.TemporaryDirectory(prefix="codex-swarm-client-") as name, anyio.fail_after(CAP):
            directory = Path(name).resolve()
            async with bench_in(directory, mode, options) as bench:
                await check(bench)
            while left_in(directory):
                await anyio.sleep(0.01)
    finally:
        logging.getLogger().removeHandler(warnings)
    assert not warnings.lines, "\n".join(warnings.lines)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("server", type=os.path.abspath)
    parser.add_argument("--structured", action="store_true")
    options = parser.parse_args()
    passed = failed = 0
    for mode in ("auto", "legacy"):
        for check in CHECKS:
            try:
                anyio.run(run, check, mode, options)
                passed += 1
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                failed += 1
                print(f"FAILED {check.__name__}, mode {mode}")
                traceback.print_exception(error, file=sys.stdout)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
