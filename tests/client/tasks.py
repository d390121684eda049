"""The checks of calls that become tasks, with the extension for them as a user of the SDK writes it."""

import os
import re
import signal
from datetime import datetime
from typing import Literal

import anyio
from mcp import ClientSession
from mcp.client import ClaimContext, ClientExtension, NotificationBinding, ResultClaim
from mcp_types import CallToolResult, Request, RequestParams, Result
from mcp_types import SubscriptionFilter, SubscriptionsListenRequest, SubscriptionsListenRequestParams

from bench import Bench, field, prompt, refused, text_of, until

EXTENSION = "io.modelcontextprotocol/tasks"
META = "com.anthropic/agent-task"


class TaskParams(RequestParams):
    """What task it is about."""

    task_id: str


class TaskRequest(Request[TaskParams, str]):
    """A request about a task."""

    name_param = "taskId"


class Task(Result):
    """How a task stands; its result, when there is one."""

    task_id: str
    status: Literal["working", "completed", "cancelled"]
    status_message: str | None = None
    created_at: datetime
    last_updated_at: datetime
    ttl_ms: int | None
    poll_interval_ms: int
    result: CallToolResult | None = None


class Handle(Task):
    """What a call is answered with that becomes a task."""

    result_type: Literal["task"]


async def ask(session: ClientSession, method: str, task_id: str, answer: type[Result] = Result) -> Result:
    """Sends a request about a task."""
    return await session.send_request(TaskRequest(method=method, params=TaskParams(task_id=task_id)), answer)


async def ended(session: ClientSession, task_id: str) -> Task:
    """Waits until a task has ended."""
    while (task := await ask(session, "tasks/get", task_id, Task)).status == "working":
        await anyio.sleep(0.01)  # not for as long as the server says: nothing takes long here
    return task


async def result_of(session: ClientSession, task_id: str) -> CallToolResult:
    """Waits for the result of a task."""
    task = await ended(session, task_id)
    if task.result is None:
        raise RuntimeError(f"task {task_id} was {task.status}")
    return task.result


class Tasks(ClientExtension):
    """Waits for the tasks that calls become, and gives their results as those of the calls."""

    identifier = EXTENSION

    def __init__(self) -> None:
        self.handles: list[Handle] = []
        self.told: list[Task] = []

    def claims(self) -> list[ResultClaim]:
        return [ResultClaim(result_type="task", model=Handle, resolve=self.resolve)]

    def notifications(self) -> list[NotificationBinding]:
        return [NotificationBinding(method="notifications/tasks", params_type=Task, handler=self.tell)]

    async def resolve(self, handle: Handle, context: ClaimContext) -> CallToolResult:
        self.handles.append(handle)
        return await result_of(context.session, handle.task_id)

    async def tell(self, task: Task) -> None:
        self.told.append(task)


async def begin(bench: Bench, tool: str, arguments: dict) -> Handle:
    """Calls a tool, and gives the task that becomes of it."""
    handle = await bench.client.session.call_tool(tool, arguments, allow_claimed=True)
    assert isinstance(handle, Handle) and handle.status == "working" and handle.result is None, handle
    assert re.fullmatch("[0-9a-f]{32}", handle.task_id) and handle.poll_interval_ms == 1000, handle
    assert handle.task_id[:8] in handle.meta[META]["modelImmediateResponse"], handle
    return handle


async def every_long_call_becomes_a_task(bench: Bench) -> None:
    (extension,) = bench.client.extensions
    text, _ = await bench.call("codex", prompt("begin\nsay one\ndone"))
    assert text.startswith("one\n"), text
    arguments = prompt("begin\nsay two\ndone") | {"threadId": field(text, "Thread ID")}
    text, _ = await bench.call("codex_reply", arguments)
    assert text.startswith("two\n"), text
    text, _ = await bench.call("codex_async", prompt("begin\nsay three\ndone"))
    assert "three" in text, text
    arguments = {"tasks": [prompt(f"begin\nsay {word}\ndone") for word in ("four", "five")]}
    text, _ = await bench.call("codex_batch", arguments)
    assert text.index("four") < text.index("five"), text
    text, _ = await bench.call("codex_async", prompt("begin\nfail no such luck\nexit 1"), is_error=True)
    assert "no such luck" in text, text
    assert len(extension.handles) == 5, extension.handles


async def a_task_tells_how_it_stands(bench: Bench) -> None:
    (extension,), session = bench.client.extensions, bench.client.session
    script = prompt("begin\nrun make\nmark running\nwait-for go\nsay answer\ndone")
    task_id = (await begin(bench, "codex_async", script)).task_id
    wanted = SubscriptionsListenRequestParams(notifications=SubscriptionFilter(taskIds=[task_id]))
    async with anyio.create_task_group() as group:
        group.start_soon(session.send_request, SubscriptionsListenRequest(params=wanted), Result)
        await bench.marked("running")
        task = await ask(session, "tasks/get", task_id, Task)
        while "make" not in (task.status_message or ""):  # it is on its way
            task = await ask(session, "tasks/get", task_id, Task)
        assert (task.task_id, task.status, task.result) == (task_id, "working", None), task
        text, _ = await bench.call("codex_status", {"task_ids": [task_id]})
        assert f"=== Task {task_id[:8]} (" in text, text
        bench.open("go")
        await until(lambda: extension.told and extension.told[-1].status == "completed")
        group.cancel_scope.cancel()
    task = await ended(session, task_id)
    assert "answer" in text_of(task.result) and task.created_at <= task.last_updated_at, task
    assert extension.told[-1].task_id == task_id and extension.told[-1].result == task.result, extension.told


async def a_task_can_be_cancelled(bench: Bench) -> None:
    session = bench.client.session
    for tool in ("codex", "codex_async"):
        task_id = (await begin(bench, tool, prompt(f"begin\nmark {tool}\nwait-for never"))).task_id
        await bench.marked(tool)
        await ask(session, "tasks/cancel", task_id)
        task = await ended(session, task_id)
        assert task.status == "cancelled" and task.result is None, task
        await ask(session, "tasks/cancel", task_id)  # once more does no harm


async def who_waits_no_more_ends_no_task(bench: Bench) -> None:
    session = bench.client.session
    task_id = (await begin(bench, "codex_async", prompt("begin\nwait-for go\nsay answer\ndone"))).task_id
    wait_id = (await begin(bench, "codex_wait", {"task_ids": [task_id]})).task_id
    await ask(session, "tasks/cancel", wait_id)
    assert (await ended(session, wait_id)).status == "cancelled"
    bench.open("go")
    assert "answer" in text_of(await result_of(session, task_id))


def kill_server(bench: Bench) -> None:
    """Kills the server, which has no time to do anything."""
    ours = f"{bench.site.server} --codex "
    (pid,) = [pid for pid, command in bench.site.processes().items() if command.startswith(ours)]
    os.kill(pid, signal.SIGKILL)


async def a_task_outlives_its_server(bench: Bench) -> None:
    def script(word: str) -> dict:
        return prompt(f"begin\nmark {word}\nwait-for go-{word}\nsay {word}\ndone")

    calls = {"one": ("codex", script("one")), "two": ("codex_async", script("two"))}
    calls["four"] = ("codex_batch", {"tasks": [script("three"), script("four")]})
    ids = {word: (await begin(bench, tool, arguments)).task_id for word, (tool, arguments) in calls.items()}
    await bench.marked("one", "two", "three", "four")
    kill_server(bench)
    with refused(-32000):
        await ask(bench.client.session, "tasks/get", ids["one"])
    bench.open("go-one")  # it may end while no server is there
    async with bench.site.connect(Tasks()) as later:
        session = later.client.session
        for word in ("two", "four"):
            assert (await ask(session, "tasks/get", ids[word], Task)).status == "working", word
        for word in ("two", "three", "four"):
            bench.open(f"go-{word}")
        for word, task_id in ids.items():
            result = await result_of(session, task_id)
            assert word in text_of(result) and not result.is_error, result


async def a_call_that_ends_soon_is_no_task(bench: Bench) -> None:
    async def tell(progress: float, total: float | None, message: str | None) -> None:
        patient.open("told")  # it is told while the call is held

    extension = Tasks()
    async with bench.site.connect(extension) as patient:
        script = prompt("begin\nrun make\nwait-for told\nsay answer\ndone")
        text, _ = await patient.call("codex", script, progress_callback=tell)
        assert text.startswith("answer\n"), text
    assert extension.handles == [], extension.handles


async def what_is_no_task_is_refused(bench: Bench) -> None:
    for method in ("tasks/get", "tasks/cancel"):
        with refused(-32602):
            await ask(bench.client.session, method, "0" * 32)


async def without_the_extension_there_are_no_tasks(bench: Bench) -> None:
    task = await bench.launch("begin\nsay one\ndone")
    text, _ = await bench.call("codex_wait", {"task_ids": [task]})
    assert "one" in text, text
    text, _ = await bench.call("codex", prompt("begin\nsay two\ndone"))
    assert text.startswith("two\n"), text
    required = {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
    code, data = (-32021, required) if bench.modern else (-32601, None)
    with refused(code, data):
        await ask(bench.client.session, "tasks/get", task)


CHECKS = [
    every_long_call_becomes_a_task,
    a_task_tells_how_it_stands,
    a_task_can_be_cancelled,
    who_waits_no_more_ends_no_task,
    a_task_outlives_its_server,
    a_call_that_ends_soon_is_no_task,
    what_is_no_task_is_refused,
]
