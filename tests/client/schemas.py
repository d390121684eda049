"""Checks every message that the server sent in recorded sessions against the published schemas of MCP.

usage: python -W error tests/client/schemas.py DIRECTORY
       python -W error tests/client/schemas.py --self-test

DIRECTORY holds recordings as tests/it/recorded.rs makes them. Each message is held against the definitions
of its own revision: that of the request's envelope, else what the latest `initialize` was answered. The
schemas leave nearly every object open, so a second look at each message reports the members that its
definitions do not name. It is a failure too if there was nothing to check of what MUST_SEE lists.

With --self-test the checker itself is checked, with the sessions of tests/fixtures/sessions and wrong
variants of them.
"""

import argparse
import base64
import gzip
import hashlib
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from jsonschema import FormatChecker
from jsonschema.exceptions import ValidationError
from jsonschema.validators import validator_for
from referencing import Registry, Resource

FIXTURES = Path(__file__).parent.parent / "fixtures"

LEGACY = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN = "2026-07-28"
TASKS = "ext-tasks-2026-07-28"
BATCHES = "2025-03-26"  # the one revision that has them
ANY = "before a handshake"  # what has to be right in each revision that has one

# The schemas as they were published, by the SHA-256 of what is in the packed files.
PUBLISHED = {
    "2024-11-05": "61cea2392d4f284092d09bc84b9ac488c0d5618ac2b38a56942fc5b99fd960ce",
    "2025-03-26": "e720669548c8100a4282c49e580efd6ddf7f28899ea786fc8db251dbdb356131",
    "2025-06-18": "af845e7e5b9d27107d1690f0936022546177a1403e63ffb11470135b296a2e01",
    "2025-11-25": "268a5f82ba70fd7e4b6dc4aa1e64f116f74b4d0edcb69dc046829c79dd4e97e7",
    MODERN: "ef70b61f99b6d2e5e3b46863822eab08dff6a45bedc7a08914e0e5b133f40203",
    TASKS: "bf30afb7ac251e3e22c037b7a685f60ef6603031b5484c0d08b1fa0bbe86d460",
}

# What the whole of the recordings has to hold, by (revision, definition), lest the check checks nothing.
LISTS = ["ListToolsResult", "ListResourcesResult", "ListResourceTemplatesResult"]
RESULTS = [*LISTS, "CallToolResult", "ReadResourceResult"]
MUST_SEE = [
    *[(revision, name) for revision in LEGACY for name in ["InitializeResult", "EmptyResult", *RESULTS]],
    *[(revision, "ProgressNotification") for revision in LEGACY],
    *[(revision, "JSONRPCError") for revision in LEGACY[:3]],
    ("2025-11-25", "JSONRPCErrorResponse"),
]

MUST_SEE_OF_MODERN = [
    (BATCHES, "JSONRPCBatchResponse"),
    *[(revision, "ResourceUpdatedNotification") for revision in (*LEGACY, MODERN)],
    *[(MODERN, name) for name in ["DiscoverResult", *RESULTS]],
    (MODERN, "ProgressNotification"),
    (MODERN, "SubscriptionsAcknowledgedNotification"),
    (MODERN, "JSONRPCErrorResponse"),
    (MODERN, "MethodNotFoundError"),
    (MODERN, "InvalidParamsError"),
    (MODERN, "MissingRequiredClientCapabilityError"),
    (MODERN, "UnsupportedProtocolVersionError"),
    (TASKS, "TasksExtensionCapability"),
    (TASKS, "CreateTaskResult"),
    (TASKS, "GetTaskResult"),
    (TASKS, "UpdateTaskResult"),
    (TASKS, "CancelTaskResult"),
    (TASKS, "TaskStatusNotification"),
]

# The definition of the result of each method that there is.
LEGACY_RESULTS = {
    "initialize": "InitializeResult",
    "ping": "EmptyResult",
    "tools/list": "ListToolsResult",
    "tools/call": "CallToolResult",
    "resources/list": "ListResourcesResult",
    "resources/templates/list": "ListResourceTemplatesResult",
    "resources/read": "ReadResourceResult",
    "resources/subscribe": "EmptyResult",
    "resources/unsubscribe": "EmptyResult",
}
MODERN_RESULTS = {
    "server/discover": (MODERN, "DiscoverResult"),
    "tools/list": (MODERN, "ListToolsResult"),
    "tools/call": (MODERN, "CallToolResult"),
    "resources/list": (MODERN, "ListResourcesResult"),
    "resources/templates/list": (MODERN, "ListResourceTemplatesResult"),
    "resources/read": (MODERN, "ReadResourceResult"),
    "subscriptions/listen": (MODERN, "SubscriptionsListenResult"),
    "tasks/get": (TASKS, "GetTaskResult"),
    "tasks/update": (TASKS, "UpdateTaskResult"),
    "tasks/cancel": (TASKS, "CancelTaskResult"),
}

# The resultType of each definition; the schema leaves it open, the specification does not.
RESULT_TYPES = {"CreateTaskResult": "task", "InputRequiredResult": "input_required"}
COMPLETE = "complete"  # of all others

# The error codes that a server on stdio may send. The modern ones have a definition each: of the error
# itself, or of the whole message.
LEGACY_CODES = (-32700, -32600, -32601, -32602, -32603, -32002)
MODERN_ERRORS = {
    -32700: "ParseError",
    -32600: "InvalidRequestError",
    -32601: "MethodNotFoundError",
    -32602: "InvalidParamsError",
    -32603: "InternalError",
}
MODERN_ERROR_MESSAGES = {
    -32021: "MissingRequiredClientCapabilityError",
    -32022: "UnsupportedProtocolVersionError",
}

# Whatever could not be read as a request is answered without an id. These revisions ask for one all the
# same, and JSON-RPC for a null, which clients refuse: the id is left out on purpose.
ID_IS_LEFT_OUT = ("2024-11-05", "2025-03-26", "2025-06-18")
CODES_WITHOUT_ID = (-32700, -32600)

# Objects in which anybody may put what they like, though the schemas name some of it.
FREE = frozenset({"_meta", "inputSchema", "outputSchema"})

EXTENSION = "io.modelcontextprotocol/tasks"
VERSION = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


# ---------------------------------------------------------------------------------------------------------
# The schemas


@cache
def document(name: str) -> dict:
    """A published schema; its references carry its name, so that they can be followed from anywhere."""
    text = gzip.decompress((FIXTURES / "schema" / f"{name}.json.gz").read_bytes())
    assert hashlib.sha256(text).hexdigest() == PUBLISHED[name], f"the schema {name} is not as it was published"
    schema = json.loads(text)
    schema.pop("$id", None)
    return absolute(schema, name)


def absolute(schema, name: str):
    """The same schema with references that begin with its name."""
    if isinstance(schema, list):
        return [absolute(part, name) for part in schema]
    if not isinstance(schema, dict):
        return schema
    parts = {key: absolute(part, name) for key, part in schema.items()}
    if isinstance(parts.get("$ref"), str):
        parts["$ref"] = f"mcp:{name}{parts['$ref']}"
    return parts


def definitions(name: str) -> dict:
    """All definitions of a schema, by name."""
    whole = document(name)
    return whole["$defs"] if "$defs" in whole else whole["definitions"]


def ref(name: str, definition: str) -> dict:
    """A schema that is this definition."""
    assert definition in definitions(name), f"{name} has no {definition}"
    place = "$defs" if "$defs" in document(name) else "definitions"
    return {"$ref": f"mcp:{name}#/{place}/{definition}"}


def resolved(schema: dict) -> dict:
    """What a reference means."""
    while "$ref" in schema:
        name, definition = re.fullmatch(r"mcp:(.+)#/.+/(.+)", schema["$ref"]).groups()
        schema = definitions(name)[definition]
    return schema


@cache
def registry() -> Registry:
    """All schemas, for jsonschema to follow references."""
    return Registry().with_resources([(f"mcp:{name}", Resource.from_contents(document(name))) for name in PUBLISHED])


def validator(revision: str, schema: dict):
    """What validates in the dialect of a revision."""
    kind = validator_for(document(revision))
    return kind(schema, registry=registry(), format_checker=FORMATS)


FORMATS = FormatChecker(formats=())


@FORMATS.checks("uri")
def is_uri(text) -> bool:
    rest = r"(?:[\w.~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*"
    return not isinstance(text, str) or re.fullmatch(rf"[A-Za-z][\w+.-]*:{rest}", text, re.ASCII) is not None


@FORMATS.checks("uri-template")
def is_uri_template(text) -> bool:
    return not isinstance(text, str) or re.fullmatch(r"(?:[^\x00-\x20\"<>\\^`{|}]|\{[^{}]+\})*", text) is not None


@FORMATS.checks("byte", raises=ValueError)
def is_base64(text) -> bool:
    return not isinstance(text, str) or base64.b64decode(text, validate=True) is not None


def layers(value, schema: dict, revision: str) -> Iterator[dict]:
    """All parts of a schema that speak of this value; of alternatives those that hold for it, else all."""
    schema = resolved(schema)
    yield schema
    for part in schema.get("allOf", []):
        yield from layers(value, part, revision)
    either = schema.get("anyOf", []) + schema.get("oneOf", [])
    fitting = [part for part in either if validator(revision, part).is_valid(value)]
    for part in fitting or either:
        yield from layers(value, part, revision)


def unknown_members(value, schema: dict, revision: str, path: str, free=FREE) -> Iterator[str]:
    """The paths of all members that the schema does not name, though it names others of their object."""
    parts = list(layers(value, schema, revision))
    if isinstance(value, list):
        items = [part["items"] for part in parts if "items" in part]
        for at, item in enumerate(value):
            yield from unknown_members(item, {"allOf": items}, revision, f"{path}[{at}]", free)
    if not isinstance(value, dict):
        return
    closed = any(part.get("properties") for part in parts) and path.rpartition(".")[2] not in free
    rest = [part["additionalProperties"] for part in parts if isinstance(part.get("additionalProperties"), dict)]
    for name, member in value.items():
        about = [part["properties"][name] for part in parts if name in part.get("properties", {})]
        about = about or [schema for schema in rest if schema]
        if about:
            yield from unknown_members(member, {"allOf": about}, revision, f"{path}.{name}", free)
        elif closed:
            yield f"{path}.{name}"


# ---------------------------------------------------------------------------------------------------------
# JSON, with the numbers as they were written


class Whole(int):
    """An integer that knows how it was written."""

    def __new__(cls, text: str):
        number = super().__new__(cls, text)
        number.text = text
        return number


def members_once(pairs: list) -> dict:
    """An object; none of its members may be said twice."""
    names = Counter(name for name, _ in pairs)
    twice = [name for name, times in names.items() if times > 1]
    if twice:
        raise ValueError(f"{twice[0]} is there twice")
    return dict(pairs)


def no_constant(text: str):
    """NaN and its like are Python's, not JSON's."""
    raise ValueError(f"{text} is not JSON")


def read_json(text: str, pairs=None):
    """A JSON text; a ValueError or RecursionError if it is none."""
    return json.loads(text, parse_int=Whole, parse_constant=no_constant, object_pairs_hook=pairs)


def key_of(token) -> tuple[str, str] | None:
    """An id or a token by its exact text; nothing if it can be none."""
    if isinstance(token, Whole):
        return ("number", token.text)
    if isinstance(token, str):
        # half of a surrogate pair cannot be sent back
        return ("text", token.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    return None


def inner(value, *names):
    """A member of members; nothing if any of them is not there."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


# ---------------------------------------------------------------------------------------------------------
# What was found


class Findings:
    """How often each definition was checked, and what was wrong."""

    def __init__(self) -> None:
        self.checked: Counter = Counter()
        self.wrong: dict[str, list[str]] = defaultdict(list)
        self.cut_off = 0
        self.known: dict[tuple, list[str]] = {}

    def complain(self, place: str, what: str) -> None:
        """Notes a fault, and where it is."""
        self.wrong[what].append(place)

    def check(self, place: str, revision: str, name: str, value, schema: dict, counts=True, at="", free=FREE) -> None:
        """Holds a value against a schema in both ways. The same once more is not looked at again.

        What counts has to be of this revision and no other.
        """
        key = (revision, name, at, json.dumps(value))
        if key not in self.known:
            self.known[key] = list(faults(revision, value, schema, at, free))
        self.checked[revision if counts else ANY, name] += 1
        for fault in self.known[key]:
            self.complain(place, f"{revision} {name}: {fault}")

    def missing(self) -> list[str]:
        """What there was nothing of to check."""
        must = MUST_SEE + MUST_SEE_OF_MODERN
        return [f"{revision} {name}" for revision, name in must if not self.checked[revision, name]]


def faults(revision: str, value, schema: dict, at: str, free) -> Iterator[str]:
    """What is wrong with a value."""
    for error in validator(revision, schema).iter_errors(value):
        error = cause(error)
        path = (at + error.json_path.removeprefix("$")).lstrip(".")
        yield f"{path or 'the message'}: {shortened(error.message)}"
    for path in unknown_members(value, schema, revision, at, free):
        yield f"{path.lstrip('.')}: a member that this revision does not know"


def cause(error: ValidationError) -> ValidationError:
    """Where none of the alternatives holds: what is wrong with the one that was meant, as it seems."""
    branches = defaultdict(list)
    for part in error.context:
        branches[part.schema_path[0]].append(part)
    if not branches:
        return error
    meant = min(branches.values(), key=lambda parts: (sum(part.validator == "const" for part in parts), len(parts)))
    return cause(meant[0])


def shortened(text: str) -> str:
    """Without the middle of what is long."""
    return text if len(text) <= 300 else f"{text[:140]} … {text[-140:]}"


# ---------------------------------------------------------------------------------------------------------
# Sessions


@dataclass
class Request:
    """What a client asked."""

    method: str
    params: dict
    in_batch: bool
    cancelled: bool = False

    @property
    def meta(self) -> dict:
        """The envelope, and what else is there."""
        meta = self.params.get("_meta")
        return meta if isinstance(meta, dict) else {}

    @property
    def is_modern(self) -> bool:
        """Whether it is of the revision without a handshake, or of one to come."""
        return self.method == "server/discover" or VERSION in self.meta or CAPABILITIES in self.meta

    def result(self, kind) -> tuple[str, str] | None:
        """The definition of its result; nothing if it can have none. The kind is the resultType."""
        if not self.is_modern:
            name = LEGACY_RESULTS.get(self.method)
            return name and ("", name)
        if self.method == "tools/call" and kind == "task":
            return (TASKS, "CreateTaskResult")
        if self.method in ("tools/call", "resources/read") and kind == "input_required":
            return (MODERN, "InputRequiredResult")
        return MODERN_RESULTS.get(self.method)


@dataclass
class Session:
    """What one server and its client said, a line after the other."""

    name: str
    findings: Findings
    line: int = 0
    revision: str | None = None
    was_modern: bool = False
    requests: dict = field(default_factory=lambda: defaultdict(list))

    def read(self, recording: bytes) -> None:
        """Reads a whole recording."""
        for line in recording.split(b"\n"):
            self.line += 1
            kind, text = line[:2], line[2:].decode()
            if kind == b"> ":
                self.client_said(text)
            elif kind == b"< ":
                self.server_said(text)
            elif kind == b"<?":
                self.complain("not UTF-8")
            elif kind == b"<~":
                self.findings.cut_off += 1
            elif kind not in (b">?", b""):
                self.complain("not a line of a recording")

    def complain(self, what: str) -> None:
        """Notes a fault in this line."""
        self.findings.complain(f"{self.name}:{self.line}", what)

    def check(self, revision: str, name: str, value, schema=None, **more) -> None:
        """Holds a value against the definition of that name, or against the schema that is given."""
        place = f"{self.name}:{self.line}"
        counts = revision in (MODERN, TASKS) or self.revision is not None
        self.findings.check(place, revision, name, value, schema or ref(revision, name), counts=counts, **more)

    # what the client said

    def client_said(self, text: str) -> None:
        """Remembers what was asked. What the server cannot read either is nothing to remember."""
        try:
            said = read_json(text.removeprefix("\ufeff") if self.line == 1 else text)
        except (ValueError, RecursionError):
            return
        in_batch = isinstance(said, list)
        for message in said if in_batch else [said]:
            if isinstance(message, dict):
                self.remember(message, in_batch)

    def remember(self, message: dict, in_batch: bool) -> None:
        """Remembers a request, or that one is not wanted any more."""
        params = message.get("params")
        params = params if isinstance(params, dict) else {}
        key = key_of(message.get("id"))
        if key is not None and ("method" in message or not message.keys() & {"result", "error"}):
            request = Request(str(message.get("method")), params, in_batch)
            self.requests[key].append(request)
            self.was_modern |= request.is_modern
        if message.get("method") == "notifications/cancelled":
            for request in self.requests[key_of(params.get("requestId"))]:
                request.cancelled = True

    def answered(self, key: tuple[str, str], in_batch: bool) -> Request | None:
        """The request that a reply is for: the first that waits for one, best one like the reply."""
        waiting = self.requests[key]
        if not waiting:
            return None
        fits = min(waiting, key=lambda request: (request.in_batch != in_batch, request.cancelled))
        waiting.remove(fits)
        return fits

    def waiting(self, *path: str, key) -> Request | None:
        """A request that waits for its reply and has this token in its params; the latest."""
        waiting = [request for requests in self.requests.values() for request in requests]
        found = [request for request in waiting if key_of(inner(request.params, *path)) == key]
        return found[-1] if found and key is not None else None

    # what the server said

    def server_said(self, text: str) -> None:
        """Checks one line: a message, or a batch."""
        try:
            said = read_json(text, members_once)
        except (ValueError, RecursionError) as error:
            self.complain(f"not a line of JSON: {error}")
            return
        if not isinstance(said, list):
            self.message(said, in_batch=False)
            return
        if self.revision != BATCHES:
            self.complain("a batch in a revision that has none")
        if not said:
            self.complain("an empty batch")
        with_ids = [{"id": Whole("0"), **message} if isinstance(message, dict) else message for message in said]
        self.check(BATCHES, "JSONRPCBatchResponse", with_ids, free=FREE | {"result", "data"})
        self.check(BATCHES, "JSONRPCMessage", with_ids, free=FREE | {"result", "data"})
        for message in said:
            self.message(message, in_batch=True)

    def message(self, message, in_batch: bool) -> None:
        """Checks one message."""
        if not isinstance(message, dict):
            self.complain("a message that is not an object")
        elif "id" in message and key_of(message["id"]) is None:
            self.complain("an id that is neither a string nor an integer")
        elif "method" in message:
            self.notification(message)
        elif "id" in message:
            self.reply(message, in_batch)
        else:
            self.error_without_id(message)

    def legacy(self) -> tuple[str, ...]:
        """The revision of the handshake; before it a message has to be one of each."""
        return (self.revision,) if self.revision else LEGACY

    def envelope(self, revision: str, kinds: tuple[str, str], message: dict) -> None:
        """Checks the outermost object of a reply: the name for it changed."""
        name = next(kind for kind in kinds if kind in definitions(revision))
        self.check(revision, name, message, free=FREE | {"result", "data"})
        self.check(revision, "JSONRPCMessage", message, free=FREE | {"result", "data"})

    # replies

    def reply(self, message: dict, in_batch: bool) -> None:
        """Checks a reply as its request wants it."""
        request = self.answered(key_of(message["id"]), in_batch)
        if request is None:
            self.complain("a reply to what nobody asked")
        elif "result" not in message:
            for revision in (MODERN,) if request.is_modern else self.legacy():
                self.error(revision, message)
        elif request.is_modern:
            self.modern_result(request, message)
        else:
            self.legacy_result(request, message)

    def legacy_result(self, request: Request, message: dict) -> None:
        """Checks a result; that of `initialize` says of which revision it and all later ones are."""
        definition = request.result(None)
        if request.method == "initialize":
            self.negotiated(inner(message, "result", "protocolVersion"))
        for revision in self.legacy():
            self.envelope(revision, ("JSONRPCResultResponse", "JSONRPCResponse"), message)
            if definition is None:
                self.complain(f"{revision}: a result of {request.method}, which has none")
            else:
                self.check(revision, definition[1], message["result"], at="result")

    def negotiated(self, version) -> None:
        """Takes the revision over that the server offered."""
        if version in LEGACY:
            self.revision = version
        else:
            self.complain(f"initialize offers {version}, which has no handshake")

    def modern_result(self, request: Request, message: dict) -> None:
        """Checks a result of the revision without a handshake, or of the extension."""
        result, version = message["result"], request.meta.get(VERSION)
        self.envelope(MODERN, ("JSONRPCResultResponse", "JSONRPCResponse"), message)
        kind = inner(result, "resultType")
        definition = request.result(kind)
        if version != MODERN:
            self.complain(f"a result for a request of {version}")
        if definition is None:
            self.complain(f"{MODERN}: a result of {request.method}, which has none")
            return
        self.check(*definition, result, at="result")
        self.result_type(request, definition[1], kind)
        if definition[1] == "DiscoverResult":
            self.extension(inner(result, "capabilities", "extensions", EXTENSION))
        if definition[1] == "GetTaskResult":
            self.inlined(result, "result.result")

    def result_type(self, request: Request, name: str, kind) -> None:
        """Checks the resultType, and that a task is only for who can have one."""
        if kind != RESULT_TYPES.get(name, COMPLETE):
            self.complain(f"{MODERN} {name}: the resultType is {kind}")
        if name == "CreateTaskResult" and inner(request.meta, CAPABILITIES, "extensions", EXTENSION) is None:
            self.complain(f"{TASKS} {name}: a task for a client that did not declare the extension")

    def extension(self, capability) -> None:
        """Checks what the server says of the extension, if it has it."""
        if capability is not None:
            path = f"result.capabilities.extensions.{EXTENSION}"
            self.check(TASKS, "TasksExtensionCapability", capability, at=path)

    def inlined(self, task, path: str) -> None:
        """Checks the result of the call that is within a task that has ended."""
        if inner(task, "result") is not None:
            self.check(MODERN, "CallToolResult", task["result"], at=path)
            if inner(task, "result", "resultType") != COMPLETE:
                self.complain(f"{MODERN} CallToolResult: the resultType within a task is not complete")

    # errors

    def error(self, revision: str, message: dict) -> None:
        """Checks an error."""
        self.envelope(revision, ("JSONRPCErrorResponse", "JSONRPCError"), message)
        code = inner(message, "error", "code")
        code = code if isinstance(code, Whole) else None
        if revision != MODERN:
            if code not in LEGACY_CODES:
                self.complain(f"{revision}: the error code {code} is not of this revision")
        elif code in MODERN_ERRORS:
            self.check(MODERN, MODERN_ERRORS[code], message["error"], at="error", free=FREE | {"data"})
        elif code in MODERN_ERROR_MESSAGES:
            self.check(MODERN, MODERN_ERROR_MESSAGES[code], message)
        else:
            self.complain(f"{MODERN}: the error code {code} is not of this revision")

    def error_without_id(self, message: dict) -> None:
        """Checks the answer to what could not be read as a request."""
        if inner(message, "error", "code") not in CODES_WITHOUT_ID:
            self.complain("no id")
        only_modern = self.was_modern and not self.revision
        for revision in (MODERN,) if only_modern else self.legacy():
            left_out = revision in ID_IS_LEFT_OUT
            self.error(revision, {**message, "id": Whole("0")} if left_out else message)

    # notifications

    def notification(self, message: dict) -> None:
        """Checks what was not asked for. In the newest revision it is tagged with what it belongs to."""
        method, params = str(message["method"]), message.get("params")
        token = key_of(inner(params, "_meta", SUBSCRIPTION))
        belongs_to = None
        if method == "notifications/progress":
            belongs_to = self.waiting("_meta", "progressToken", key=key_of(inner(params, "progressToken")))
            if belongs_to is None:
                self.complain("progress for no request that is open")
        elif token is not None:
            belongs_to = self.listener(token)
            if belongs_to is None:
                self.complain("a notification for no subscription that is open")
        elif not self.revision:
            self.complain("a notification before any handshake that belongs to nothing")
        modern = belongs_to.is_modern if belongs_to else token is not None
        for revision in (MODERN,) if modern else self.legacy():
            self.notification_of(revision, method, message)

    def listener(self, key: tuple[str, str]) -> Request | None:
        """The open subscription with this id."""
        found = [request for request in self.requests[key] if request.method == "subscriptions/listen"]
        return found[-1] if found else None

    def notification_of(self, revision: str, method: str, message: dict) -> None:
        """Checks a notification, or a question to the client, of this revision."""
        source, name = server_message(revision, method, "id" in message)
        if name is None:
            self.complain(f"{revision}: {method} is nothing that a server sends")
            return
        base = "JSONRPCRequest" if "id" in message else "JSONRPCNotification"
        parts = [ref(revision, base), ref(source, name)]
        if name == "SubscriptionsAcknowledgedNotification":
            honoured = ref(TASKS, "TaskSubscriptionAcknowledgedNotifications")
            parts.append({"properties": {"params": {"properties": {"notifications": honoured}}}})
        self.check(source, name, message, {"allOf": parts})
        self.check(revision, "JSONRPCMessage", message, free=FREE | {"params"})
        tag = inner(message, "params", "_meta", SUBSCRIPTION)
        if revision == MODERN and name != "ProgressNotification" and tag is None:
            self.complain(f"{revision} {name}: no subscriptionId")
        if name == "TaskStatusNotification":
            self.inlined(message.get("params"), "params.result")


@cache
def server_message(revision: str, method: str, asks: bool) -> tuple[str, str | None]:
    """Which definition of which schema a server's notification (or question) has to satisfy."""
    if revision == MODERN and method == "notifications/tasks":
        return (TASKS, "TaskStatusNotification")
    kinds = definitions(revision).get("ServerRequest" if asks else "ServerNotification", {})
    for kind in kinds.get("anyOf", []):
        if resolved(kind)["properties"]["method"]["const"] == method:
            return (revision, kind["$ref"].rpartition("/")[2])
    return (revision, None)


# ---------------------------------------------------------------------------------------------------------
# The whole, and the check of the checker


def check_directory(directory: Path) -> Findings:
    """Checks all recordings in a directory."""
    findings = Findings()
    for path in sorted(directory.iterdir()):
        Session(path.name, findings).read(path.read_bytes())
    return findings


def report(findings: Findings) -> int:
    """Says what was checked and what is wrong, and gives the exit status."""
    for revision in (ANY, *PUBLISHED):
        counts = [f"{name} {times}" for (of, name), times in sorted(findings.checked.items()) if of == revision]
        print(f"{revision}: {', '.join(counts) or 'nothing'}")
    if findings.cut_off:
        print(f"{findings.cut_off} lines that were cut off when a server was killed")
    missing = findings.missing()
    for what in missing:
        print(f"NOT SEEN {what}")
    for what, places in findings.wrong.items():
        print(f"WRONG {what}\n      {len(places)} times, first in {places[0]}")
    return 1 if missing or findings.wrong else 0


# Wrong variants of those sessions: what is replaced by what, and the complaint that this has to bring.
VARIANTS = {
    "2024-11-05": [
        ('"name":"codex","inputSchema"', '"name":"codex","title":"x","inputSchema"', "tools[0].title: a member"),
        ('"name":"codex","inputSchema"', '"name":"codex","annotations":{},"inputSchema"', "tools[0].annotations"),
        ('"name":"codex","inputSchema"', '"name":"codex","_meta":{},"inputSchema"', "tools[0]._meta: a member"),
        ('"version":"2"}', '"version":"2","title":"x"}', "result.serverInfo.title: a member"),
        ('"progress":1}', '"progress":1,"message":"x"}', "params.message: a member"),
        ('"text":"hello"', '"text":"hello","_meta":{}', "result.content[0]._meta: a member"),
        ('"isError":false', '"isError":false,"structuredContent":{}', "result.structuredContent: a member"),
    ],
    "2025-03-26": [
        ('"id":5,"result":{}', '"id":5,"result":{"resultType":"complete"}', "result.resultType: a member"),
        (
            '"protocolVersion":"2025-03-26","capabilities":{"tools"',
            '"protocolVersion":"2026-07-28","capabilities":{"tools"',
            "no handshake",
        ),
        (
            '"protocolVersion":"2025-03-26","capabilities":{"tools"',
            '"protocolVersion":"2025-06-18","capabilities":{"tools"',
            "a batch in a revision",
        ),
        ('< [{"jsonrpc":"2.0","id":5', '< [5,{"jsonrpc":"2.0","id":5', "a message that is not an object"),
        (
            '"code":-32600,"message":"not in a batch"',
            '"code":"x","message":"not in a batch"',
            "is not of type 'integer'",
        ),
    ],
    "2025-11-25": [
        ('"subscribe":true', '"subscribe":true,"extra":1', "result.capabilities.resources.extra: a member"),
        ('"capabilities":{"tools"', '"capabilities":{"extensions":{},"tools"', "capabilities.extensions: a member"),
        ('"readOnlyHint":false', '"readOnlyHint":false,"extra":1', "tools[0].annotations.extra: a member"),
        ('"message":"no such tool"', '"message":"no such tool","extra":1', "error.extra: a member"),
        ('"id":7,"error"', '"id":7,"extra":1,"error"', "extra: a member"),
        ('"uri":"codex-swarm:///tasks","mimeType"', '"uri":"tasks and more","mimeType"', "is not a 'uri'"),
        ('"progress":1.5', '"progress":"1.5"', "is not of type 'number'"),
        ('"structuredContent":{"a":1}', '"structuredContent":[1]', "is not of type 'object'"),
        ('"jsonrpc":"2.0","id":2,"result"', '"id":2,"result"', "'jsonrpc' is a required property"),
        ('< {"jsonrpc":"2.0","error"', '< {"jsonrpc":"2.0","id":null,"error"', "neither a string nor an integer"),
        ('"id":2,"result"', '"id":2.5,"result"', "neither a string nor an integer"),
        ('"id":2,"result"', '"id":2.0,"result"', "neither a string nor an integer"),
        ('"id":2,"result"', '"id":"2","result"', "a reply to what nobody asked"),
        ('"id":12345678901234567890123,"result"', '"id":12345678901234567890124,"result"', "nobody asked"),
        ('< {"jsonrpc":"2.0","id":7,"error"', '< {"jsonrpc":"2.0","error"', "no id"),
        ('"progressToken":"p","progress"', '"progressToken":"q","progress"', "progress for no request"),
        ('"code":-32002', '"code":-32021', "-32021 is not of this revision"),
        ("notifications/resources/updated", "notifications/tasks", "nothing that a server sends"),
        ('"isError":false', '"isError":false,"isError":false', "isError is there twice"),
        ('"progress":1.5', '"progress":NaN', "NaN is not JSON"),
        ('\n< {"jsonrpc":"2.0","id":2', '\n<?{"jsonrpc":"2.0","id":2', "not UTF-8"),
    ],
    "modern": [
        ('"isError":false},"status"', '"isError":false,"ttlMs":0},"status"', "result.result.ttlMs: a member"),
        ('"isError":true', '"isError":true,"ttlMs":0', "result.ttlMs: a member"),
        ('"status":"working","statusMessage":"started"', '"status":"working","ttl":1', "result.ttl: a member"),
        (
            '"status":"working","statusMessage":"testing"',
            '"status":"working","result":{}',
            "result.result: a member",
        ),
        (
            '"name":"codex","inputSchema"',
            '"name":"codex","execution":{},"inputSchema"',
            "tools[0].execution: a member",
        ),
        ('"version":"2"}},"supportedVersions"', '"version":"2","extra":1}},"supportedVersions"', "serverInfo.extra"),
        (
            '"notifications":{"resourceSubscriptions"',
            '"notifications":{"extra":1,"resourceSubscriptions"',
            "extra: a member",
        ),
        ('"result":{"resultType":"complete","tools"', '"result":{"tools"', "'resultType' is a required property"),
        ('"ttlMs":5000,"cacheScope":"private",', '"ttlMs":5000,', "'cacheScope' is a required property"),
        ('"ttlMs":86400000,"pollIntervalMs":500', '"pollIntervalMs":500', "'ttlMs' is a required property"),
        (
            '"resultType":"complete","content":[],"isError":true',
            '"resultType":"done","content":[]',
            "resultType is done",
        ),
        ('/tasks":{}}},"instructions"', '/tasks":{"x":1}}},"instructions"', "TasksExtensionCapability"),
        ('"data":{"requiredCapabilities"', '"data":{"required"', "MissingRequiredClientCapabilityError"),
        ('"data":{"supported"', '"data":{"versions"', "UnsupportedProtocolVersionError"),
        ('"_meta":{"io.modelcontextprotocol/subscriptionId":"listen:0"},"uri"', '"uri"', "belongs to nothing"),
        (
            '"result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/subscriptionId"',
            '"result":{"resultType":"complete","_meta":{"subscription"',
            "is a required property",
        ),
        (
            '"io.modelcontextprotocol/subscriptionId":"listen:0"},"notifications"',
            '"io.modelcontextprotocol/subscriptionId":1},"notifications"',
            "for no subscription",
        ),
        ('"code":-32602,"message":"Resource', '"code":-32002,"message":"Resource', "-32002 is not of this revision"),
        (
            '"extensions":{"io.modelcontextprotocol/tasks":{}}}}}}\n< {"jsonrpc":"2.0","id":8,',
            '"extensions":{}}}}}\n< {"jsonrpc":"2.0","id":8,',
            "did not declare",
        ),
        (
            '"id":14,"error":{"code":-32601,"message":"ping"}',
            '"id":14,"result":{"resultType":"complete"}',
            "which has none",
        ),
        ('"id":11,"error":{', '"id":11,"result":{"resultType":"complete"},"error":{', "for a request of 2099-01-01"),
    ],
}


def findings_of(name: str, text: str) -> Findings:
    """What is found in one session."""
    findings = Findings()
    Session(name, findings).read(text.encode())
    return findings


def good_sessions(sessions: dict[str, str]) -> Iterator[str]:
    """What is wrong with sessions that have to pass, and together have to hold all that is new."""
    seen = Counter()
    for name, text in sessions.items():
        findings = findings_of(name, text)
        seen += findings.checked
        yield from (f"{name} has to pass, and did not: {what}" for what in findings.wrong)
    for revision, name in MUST_SEE_OF_MODERN:
        if revision not in LEGACY and not seen[revision, name]:
            yield f"no session has {revision} {name}"


def wrong_sessions(sessions: dict[str, str]) -> Iterator[str]:
    """Which wrong variants do not bring their complaint."""
    for name, variants in VARIANTS.items():
        for good, bad, complaint in variants:
            assert good in sessions[name], f"{name} has no {good}"
            wrong = findings_of(name, sessions[name].replace(good, bad, 1)).wrong
            if not any(complaint in what for what in wrong):
                yield f"{name} with {bad} has to bring {complaint!r}, and brought {list(wrong)}"


def self_test() -> int:
    """Checks that good sessions pass, that no wrong variant does, and that a check of nothing fails."""
    sessions = {path.name: path.read_text() for path in sorted((FIXTURES / "sessions").iterdir())}
    failures = [*good_sessions(sessions), *wrong_sessions(sessions)]
    if not Findings().missing():
        failures.append("a check of nothing passed")
    for failure in failures:
        print(f"FAILED {failure}")
    variants = sum(len(variants) for variants in VARIANTS.values())
    print(f"{len(sessions)} good sessions and {variants} wrong ones, {len(failures)} failures")
    return 1 if failures else 0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path, nargs="?")
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    sys.set_int_max_str_digits(0)
    if options.self_test:
        return self_test()
    if options.directory is None:
        parser.error("a directory with recordings, or --self-test")
    return report(check_directory(options.directory))


if __name__ == "__main__":
    sys.exit(main())
