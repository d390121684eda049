"""What every check here needs: servers and clients in a directory of its own, and the runner."""

import logging
import os
import signal
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from jsonschema import Draft202012Validator
from mcp import Client, MCPError, ResourceUpdatedNotification, StdioServerParameters
from mcp.client import ClientExtension, IncomingMessage
from mcp.client.stdio import stdio_client

CODEX = Path(__file__).parent.parent / "fixtures" / "codex"
CAP = 60  # seconds for one check; nothing that goes well comes near it
REVISION = "2026-07-28"
MODES = {"auto": REVISION, "legacy": "2025-11-25", REVISION: REVISION}  # how to connect, and what comes of it


def prompt(script: str) -> dict:
    """The arguments of a task that plays a script."""
    return {"prompt": "#standin\n" + script}


def field(text: str, name: str) -> str:
    """What stands behind `name: ` at the beginning of a line."""
    values = [line.removeprefix(f"{name}: ") for line in text.splitlines() if line.startswith(f"{name}: ")]
    assert values, f"no {name} in: {text}"
    return values[0]


def text_of(result) -> str:
    """The text of a tool's result."""
    return "\n".join(block.text for block in result.content)


@contextmanager
def refused(code: int, data: Any = None):
    """The server has to refuse what is asked of it in here, with this code and these data."""
    try:
        yield
    except MCPError as error:
        assert (error.code, error.data) == (code, data), (error.code, error.data, error)
    else:
        raise AssertionError(f"it was not refused with {code}")


async def until(condition: Callable[[], bool]) -> None:
    """Waits until this is true."""
    while not condition():
        await anyio.sleep(0.01)


@dataclass
class Site:
    """Where a check takes place: the directory its servers work in, and how they and their clients are started."""

    server: str
    structured: bool
    mode: str
    directory: Path

    @asynccontextmanager
    async def connect(self, *extensions: ClientExtension, **environment: str):
        """A server and a client connected to it. The server has to end well, and silently."""
        flags = ["--codex", str(CODEX)] + (["--structured"] if self.structured else [])
        environment |= {
            "HOME": str(self.directory),
            "STANDIN_OUT": str(self.directory),
            "CODEX_SWARM_TASK_DIR": str(self.directory / "tasks"),
            "CODEX_SWARM_WORKTREE_DIR": str(self.directory / "worktrees"),
            "CODEX_SWARM_LOG": str(self.directory / "server.log"),
        }
        server = StdioServerParameters(command=self.server, args=flags, env=environment, cwd=self.directory)
        updated = []

        async def note(message: IncomingMessage) -> None:
            if isinstance(message, ResourceUpdatedNotification):
                updated.append(message.params.uri)

        with open(self.directory / "stderr", "a+") as errors:
            transport = stdio_client(server, errors)
            async with Client(transport, mode=self.mode, message_handler=note, extensions=extensions) as client:
                yield Bench(self, client, updated)
            errors.seek(0)
            said = errors.read()
        assert said == "", f"on stderr: {said}"

    def processes(self) -> dict[int, str]:
        """The processes that were started here and are still there: their ids and command lines."""
        mark = f"STANDIN_OUT={self.directory}".encode()
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (process / "environ").read_bytes().split(b"\0"):
                    command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found[int(process.name)] = command
            except OSError:
                pass  # it is gone, or is not ours
        return found

    def clear(self) -> None:
        """Ends what still runs here: after a check that failed there may be something."""
        while left := self.processes():
            for process in left:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)


class Bench:
    """A connected client, the resources it was told of, and what the checks need again and again."""

    def __init__(self, site: Site, client: Client, updated: list[str]) -> None:
        self.site, self.client, self.updated = site, client, updated
        self.directory, self.structured = site.directory, site.structured
        self.modern = client.protocol_version == REVISION
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
        text = text_of(result)
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

    async def read(self, uri: str):
        """The one content of a resource."""
        (content,) = (await self.client.read_resource(uri)).contents
        assert content.uri == uri, content
        return content

    async def marked(self, *names: str) -> None:
        """Waits until the stand-in made these marks."""
        await until(lambda: all((self.directory / name).exists() for name in names))

    def open(self, gate: str) -> None:
        """Lets the stand-in go on that waits for this."""
        (self.directory / gate).touch()


Check = Callable[[Bench], Awaitable[None]]


class Warnings(logging.Handler):
    """Collects what the client's library warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name}: {record.getMessage()}")


async def run(check: Check, extensions: Sequence[ClientExtension], server: str, structured: bool, mode: str) -> None:
    """Runs one check in a directory of its own."""
    warnings = Warnings()
    logging.getLogger().addHandler(warnings)
    try:
        with tempfile.TemporaryDirectory(prefix="codex-swarm-client-") as name:
            site = Site(server, structured, mode, Path(name).resolve())
            try:
                with anyio.fail_after(CAP):
                    async with site.connect(*extensions, CODEX_SWARM_HOLD="0") as bench:
                        await check(bench)
                    await until(lambda: not site.processes())
            finally:
                site.clear()
    finally:
        logging.getLogger().removeHandler(warnings)
    assert not warnings.lines, "\n".join(warnings.lines)
