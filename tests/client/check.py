"""Checks the server with the client of the official Python SDK, which validates every message it reads.

usage: python -W error tests/client/check.py SERVER [--structured]

SERVER is the program to check; codex is the stand-in of tests/fixtures. With --structured the server
gets that flag too, and what tools answer is held against their output schemas. A warning, on stderr or
in the client's log, is a failure like any other. All is checked in each way that the client has to connect:
it finds out the revision by itself, it shakes hands as of old, or it is told that it is the newest.
"""

import argparse
import json
import os
import subprocess
import sys
import traceback
import warnings
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
from jsonschema import Draft202012Validator
from mcp import MCPDeprecationWarning
from mcp.client.subscriptions import ResourceUpdated
from mcp_types import DiscoverResult

from bench import MODES, REVISION, Bench, field, prompt, refused, run, until
from tasks import CHECKS as TASK_CHECKS
from tasks import EXTENSION, Tasks, without_the_extension_there_are_no_tasks

TOOLS = ["codex", "codex_async", "codex_batch", "codex_reply", "codex_status", "codex_wait", "codex_cancel"]
TASKS = "codex-swarm:///tasks"


async def introduces_itself(bench: Bench) -> None:
    client = bench.client
    assert client.protocol_version == MODES[bench.site.mode], client.protocol_version
    if bench.site.mode == REVISION:  # who says which revision it is has not asked who is there
        client.session.adopt(DiscoverResult.model_validate(await client.session.send_discover(REVISION)))
    assert client.server_info.name == "codex-mcp-swarm"
    extensions = {"extensions": {EXTENSION: {}}} if bench.modern else {}
    said = client.server_capabilities.model_dump(by_alias=True, exclude_none=True)
    assert said == {"tools": {}, "resources": {"subscribe": True}} | extensions, said
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
        content = await bench.read(uri)
        if content.mime_type == "application/json":
            json.loads(content.text)
        if uri.endswith("/result"):
            assert content.text == "answer", content
        if uri.endswith("/diff"):
            assert "\n+what the task left\n" in content.text, content


@asynccontextmanager
async def watching(bench: Bench, uri: str):
    """Has the client told of a resource; gives what waits until it is told that there is this text in it."""
    if bench.modern:
        unknown = f"{TASKS}/00000000"
        async with bench.client.listen(tools_list_changed=True, resource_subscriptions=[unknown, uri]) as stream:
            honored = stream.honored.model_dump(exclude_none=True)
            assert honored == {"resource_subscriptions": [uri]}, honored
            yield partial(changed, bench, uri, stream.__anext__)
    else:
        await as_of_old(bench.client.subscribe_resource, uri)
        yield partial(changed, bench, uri, partial(next_of, bench.updated, uri))
        await as_of_old(bench.client.unsubscribe_resource, uri)


async def as_of_old(ask: Callable[[str], Awaitable], uri: str) -> None:
    """Asks what the library warns of, for the newest revision has another way."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "resources/(un)?subscribe is removed", MCPDeprecationWarning)
        await ask(uri)


async def next_of(updated: list[str], uri: str) -> ResourceUpdated:
    """Waits until the client is told of a resource."""
    await until(lambda: uri in updated)
    updated.remove(uri)
    return ResourceUpdated(uri)


async def changed(bench: Bench, uri: str, told: Callable[[], Awaitable], text: str) -> None:
    """Reads a resource each time the client is told of it, until there is this text in it."""
    assert await told() == ResourceUpdated(uri)
    while text not in (await bench.read(uri)).text:
        assert await told() == ResourceUpdated(uri)


async def changes_are_told(bench: Bench) -> None:
    async with watching(bench, TASKS) as tasks_changed:
        task = await bench.launch("begin\nwait-for go\nsay answer\ndone")
        await tasks_changed('"status":"running"')
        async with watching(bench, f"{TASKS}/{task}") as task_changed:
            bench.open("go")
            await task_changed('"status":"completed"')
        await tasks_changed('"status":"completed"')
        task = await bench.launch("begin\nwait-for never")
        await tasks_changed(task)
        async with watching(bench, f"{TASKS}/{task}") as task_changed:
            await bench.call("codex_cancel", {"task_id": task})
            await task_changed('"status":"cancelled"')
        await tasks_changed('"status":"cancelled"')
    # what comes from now on was not asked for
    await bench.call("codex_status", {})
    bench.updated.clear()
    await bench.call("codex", prompt("begin\nsay more\ndone"))
    assert bench.updated == [], bench.updated


async def progress_is_told(bench: Bench) -> None:
    told = []

    async def tell(progress: float, total: float | None, message: str | None) -> None:
        told.append(progress)
        if "make" in message:  # it is told while the task runs, for the task cannot end before
            bench.open("told")

    text, _ = await bench.call(
        "codex", prompt("begin\nrun make\nwait-for told\nsay done\ndone"), progress_callback=tell
    )
    assert text.startswith("done\n"), text
    assert told == sorted(set(told)), told


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
    with refused(-32602):
        await bench.call("codex_frobnicate", {})
    with refused(-32602):
        await bench.client.list_tools(cursor="second")
    uri = "codex-swarm:///nothing"
    with refused(-32602 if bench.modern else -32002, {"uri": uri}):
        await bench.read(uri)
    if not bench.modern:
        with refused(-32002, {"uri": uri}):
            await as_of_old(bench.client.subscribe_resource, uri)


CHECKS = [
    introduces_itself,
    lists_its_tools,
    lists_its_resources,
    every_tool_works,
    a_worktree_brings_the_work_home,
    every_resource_can_be_read,
    changes_are_told,
    progress_is_told,
    a_call_can_be_cancelled,
    what_is_wrong_is_said,
    without_the_extension_there_are_no_tasks,
]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("server", type=os.path.abspath)
    parser.add_argument("--structured", action="store_true")
    options = parser.parse_args()
    passed = failed = 0
    for mode, revision in MODES.items():
        for check in CHECKS + (TASK_CHECKS if revision == REVISION else []):
            # in the older revisions the library does not declare it, and there are no tasks
            extensions = [Tasks()] if check in TASK_CHECKS or revision != REVISION else []
            try:
                anyio.run(run, check, extensions, options.server, options.structured, mode)
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
