// The checks of the extension that makes a task of a call, with the package that its users have for it.

import assert from 'node:assert/strict';
import { field, installed, prompt, until } from './bench.mjs';
import { Bench, CLIENT, EXTENSION, REVISION, SUBSCRIPTION } from './sdk.mjs';

const { createTaskSessionFromClient } = await import(installed('@modelcontextprotocol/ext-tasks/dist/client/index.js'));

const AT_ONCE = { CODEX_SWARM_HOLD: '0' };
const RAW = 'raw:';

/** What the package wants from its host: a way past the SDK, which refuses an answer that is a task. */
class Raw {
    /** The progress of calls that go this way, with RAW as token. */
    progress = [];
    #answers = new Map();
    #next = 0;

    constructor(transport) {
        this.transport = transport;
        const { onmessage } = transport;
        transport.onmessage = (message, extra) => {
            if (message.params?.progressToken === RAW) {
                this.progress.push(message.params);
            } else if (String(message.id).startsWith(RAW)) {
                this.#answers.get(message.id)?.(message);
            } else {
                onmessage(message, extra);
            }
        };
    }

    dispatch = (request, { signal } = {}) =>
        new Promise((resolve, reject) => {
            const id = RAW + this.#next++;
            const end = () => {
                if (this.#answers.delete(id)) {
                    const params = { requestId: id };
                    this.transport.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params }).catch(reject);
                    reject(signal.reason);
                }
            };
            this.#answers.set(id, ({ error, result }) => {
                this.#answers.delete(id);
                resolve(error ? { kind: 'error', error } : { kind: 'result', result });
            });
            signal?.throwIfAborted();
            signal?.addEventListener('abort', end, { once: true });
            this.transport.send({ jsonrpc: '2.0', id, ...request }).catch(reject);
        });
}

/** Connects a client that declares the extension, with a session of the package on it. */
async function open(site, mode, environment) {
    const bench = await Bench.open(site, mode, { extensions: { [EXTENSION]: {} } }, environment);
    bench.raw = new Raw(bench.client.transport);
    bench.told = [];
    bench.client.fallbackNotificationHandler = ({ method, params }) => bench.told.push({ method, ...params });
    bench.session = createTaskSessionFromClient(bench.client, {
        endpointId: 'codex-swarm',
        rawDispatch: bench.raw.dispatch,
        v2RequestFraming: { protocolVersion: REVISION, clientInfo: CLIENT, clientCapabilities: {} },
        onError: (error) => site.complaints.push(error),
    });
    return bench;
}

/** Calls a tool, and gives the task that becomes of it. */
async function begin({ session }, tool, args) {
    const call = await session.callTool(tool, args);
    assert.equal(call.kind, 'task', tool);
    assert.match(call.handle.taskId, /^[0-9a-f]{32}$/);
    return call;
}

/** The text of a task's result, when there is one; polls until then. */
async function ending(call, isError = false) {
    const { outcome } = await call.settle();
    assert.equal(outcome.status, 'completed', outcome.error);
    assert.equal(outcome.result.isError ?? false, isError);
    return outcome.result.content[0].text;
}

const statusOf = async ({ session }, taskId) => (await session.task(taskId).snapshot()).status;

async function aCallBecomesATask(site, mode) {
    const bench = await open(site, mode);
    const script = ['begin', 'run make', 'mark running', 'wait-for go', 'say answer', 'done'];
    const call = await begin(bench, 'codex_async', prompt(...script));
    const { taskId } = call.handle;
    const views = [];
    const settled = call.settle({ onEvent: ({ task }) => task && views.push(task) });
    await site.marked('running');
    const task = bench.session.task(taskId);
    await until(async () => /make/.test((await task.snapshot()).statusMessage));
    await task.update({});
    assert.equal(await statusOf(bench, taskId), 'working');
    site.open('go');
    const { outcome, lastTask } = await settled;
    assert.match(outcome.result.content[0].text, /answer/);
    assert.equal(lastTask.status, 'completed');

    const [handle] = views;
    assert.equal(handle.status, 'working');
    assert.equal(handle.suggestedPollIntervalMs, 1000);
    assert(handle.retentionMs === null || Number.isSafeInteger(handle.retentionMs));
    assert(Date.parse(handle.createdAt) <= Date.parse(lastTask.lastUpdatedAt));
    assert.equal(typeof handle.raw._meta['com.anthropic/agent-task'].modelImmediateResponse, 'string');
    const short = taskId.slice(0, 8);
    for (const task_ids of [[taskId], [short]]) {
        assert.match(await bench.call('codex_status', { task_ids }), new RegExp(`=== Task ${short} \\(COMPLETED`));
    }
}

async function aFailureIsAResult(site, mode) {
    const bench = await open(site, mode);
    const call = await begin(bench, 'codex_async', prompt('begin', 'fail no such luck', 'exit 1'));
    assert.match(await ending(call, true), /no such luck/);
}

async function aShortCallIsAnsweredAtOnce(site, mode) {
    const bench = await open(site, mode);
    const script = prompt('begin', 'run make', 'wait-for told', 'say answer', 'done');
    const called = bench.session.callTool('codex', script, { metadata: { progressToken: RAW } });
    await until(() => bench.raw.progress.some(({ message }) => message.includes('make')));
    site.open('told');
    const call = await called;
    assert.equal(call.kind, 'immediate');
    assert.match(await ending(call), /^answer\n/);
}

async function everyLongCallBecomesATask(site, mode) {
    const bench = await open(site, mode, AT_ONCE);
    const script = (word) => prompt('begin', `say ${word}`, 'done');
    const first = await begin(bench, 'codex', script('one'));
    const text = await ending(first);
    assert.match(text, /^one\n/);
    const threadId = field(text, 'Thread ID');
    const texts = await Promise.all([
        begin(bench, 'codex_reply', { ...script('two'), threadId }).then((call) => ending(call)),
        begin(bench, 'codex_batch', { tasks: [script('three'), script('four')] }).then((call) => ending(call)),
        bench.session.callTool('codex_wait', { task_ids: [first.handle.taskId] }).then((call) => ending(call)),
    ]);
    [/^two\n/, /three[^]*four/, /one/].forEach((pattern, i) => assert.match(texts[i], pattern));
}

async function aTaskCanBeCancelled(site, mode) {
    const bench = await open(site, mode, AT_ONCE);
    for (const tool of ['codex', 'codex_async']) {
        const call = await begin(bench, tool, prompt('begin', `mark ${tool}`, 'wait-for never'));
        const { taskId } = call.handle;
        await site.marked(tool);
        await call.cancel();
        assert.equal((await call.result()).status, 'cancelled');
        await until(async () => (await statusOf(bench, taskId)) === 'cancelled');
        await bench.session.cancelTask(taskId); // once more does no harm
    }
}

async function theEndOfAWaitEndsNoTask(site, mode) {
    const bench = await open(site, mode, AT_ONCE);
    const call = await begin(bench, 'codex_async', prompt('begin', 'wait-for go', 'say answer', 'done'));
    const { taskId } = call.handle;
    const wait = await begin(bench, 'codex_wait', { task_ids: [taskId] });
    assert.notEqual(wait.handle.taskId, taskId);
    await wait.cancel();
    await until(async () => (await statusOf(bench, wait.handle.taskId)) === 'cancelled');
    assert.equal(await statusOf(bench, taskId), 'working');
    site.open('go');
    assert.match(await ending(call), /answer/);
}

async function aStreamTellsOfATask(site, mode) {
    const bench = await open(site, mode);
    const call = await begin(bench, 'codex_async', prompt('begin', 'wait-for go', 'say answer', 'done'));
    const { taskId } = call.handle;
    const stream = await bench.client.listen({ taskIds: [taskId] });
    site.open('go');
    await until(() => bench.told.some(({ status }) => status === 'completed'));
    await stream.close();
    for (const { method, taskId: id, _meta } of bench.told) {
        assert.deepEqual([method, id, _meta[SUBSCRIPTION]], ['notifications/tasks', taskId, 'listen:0']);
    }
    assert.match(bench.told.at(-1).result.content[0].text, /answer/);
    assert.match(await ending(call), /answer/);
}

async function aTaskOutlivesItsServer(site, mode) {
    const killed = await open(site, mode, AT_ONCE);
    const script = (word) => prompt('begin', `mark ${word}`, 'wait-for go', `say ${word}`, 'done');
    const early = await begin(killed, 'codex_async', prompt('begin', 'say early', 'done'));
    await ending(early);
    const one = await begin(killed, 'codex', script('one'));
    const two = await begin(killed, 'codex_async', script('two'));
    const batch = await begin(killed, 'codex_batch', { tasks: [script('three'), script('four')] });
    const wait = await begin(killed, 'codex_wait', { task_ids: [two.handle.taskId] });
    const references = [];
    for (const call of [one, two, batch, wait]) {
        await call.handoff((reference) => references.push(reference));
    }
    await Promise.all(['one', 'two', 'three', 'four'].map((word) => site.marked(word)));
    process.kill(killed.client.transport.pid, 'SIGKILL');
    await until(() => killed.client.transport === undefined);

    const bench = await open(site, mode, AT_ONCE);
    const found = await Promise.all(references.map((reference) => bench.session.resumeTask(reference)));
    for (const { taskId } of references) {
        assert.equal(await statusOf(bench, taskId), 'working');
    }
    site.open('go');
    const texts = await Promise.all(found.map((call) => ending(call)));
    [/^one\n/, /two/, /three[^]*four/, /two/].forEach((pattern, i) => assert.match(texts[i], pattern));
    const { result } = await bench.session.task(early.handle.taskId).result();
    assert.match(result.content[0].text, /early/);
}

async function whatIsNoTaskIsRefused(site, mode) {
    const { session } = await open(site, mode);
    const taskId = '0'.repeat(32);
    const unknown = session.task(taskId);
    for (const request of [() => unknown.snapshot(), () => unknown.update({}), () => unknown.cancel()]) {
        await assert.rejects(request, { code: -32602 });
    }
    const { client } = await Bench.open(site, mode);
    const data = { requiredCapabilities: { extensions: { [EXTENSION]: {} } } };
    const anything = { '~standard': { version: 1, vendor: 'check', validate: (value) => ({ value }) } };
    const missing = { code: -32021, data };
    for (const method of ['tasks/get', 'tasks/update', 'tasks/cancel']) {
        const params = { taskId, ...(method === 'tasks/update' ? { inputResponses: {} } : {}) };
        await assert.rejects(client.request({ method, params }, anything), missing);
    }
    await assert.rejects(client.listen({ taskIds: [taskId] }), missing);
}

const CHECKS = {
    aCallBecomesATask,
    aFailureIsAResult,
    aShortCallIsAnsweredAtOnce,
    everyLongCallBecomesATask,
    aTaskCanBeCancelled,
    theEndOfAWaitEndsNoTask,
    aStreamTellsOfATask,
    aTaskOutlivesItsServer,
    whatIsNoTaskIsRefused,
};

/** The checks, each with clients connected in this mode. */
export const tasks = (mode) =>
    Object.fromEntries(Object.entries(CHECKS).map(([name, check]) => [name, (site) => check(site, mode)]));
