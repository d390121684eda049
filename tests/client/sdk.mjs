// The checks that hold for every SDK and every way to connect.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { field, installed, prompt, RESOURCES, TOOLS, until } from './bench.mjs';

export const EXTENSION = 'io.modelcontextprotocol/tasks';
export const SUBSCRIPTION = 'io.modelcontextprotocol/subscriptionId';
export const REVISION = '2026-07-28';
export const CLIENT = { name: 'check', version: '1' };

const load = (file) => import(installed(`@modelcontextprotocol/${file}`));
const { Client: Client1 } = await load('sdk/dist/esm/client/index.js');
const { StdioClientTransport: Transport1 } = await load('sdk/dist/esm/client/stdio.js');
const { ResourceUpdatedNotificationSchema } = await load('sdk/dist/esm/types.js');
const { Client: Client2 } = await load('client/dist/index.mjs');
const { StdioClientTransport: Transport2 } = await load('client/dist/stdio.mjs');

/** What is called differently in the two SDKs. */
const SDK1 = {
    Client: Client1,
    Transport: Transport1,
    notFound: -32002,
    call: (client, params, options) => client.callTool(params, undefined, options),
    onUpdated: (client, tell) =>
        client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => tell(params)),
};
const SDK2 = {
    Client: Client2,
    Transport: Transport2,
    notFound: -32602, // so it shows both: -32002, as it is in the older revisions, and -32602
    call: (client, params, options) => client.callTool(params, options),
    onUpdated: (client, tell) =>
        client.setNotificationHandler('notifications/resources/updated', ({ params }) => tell(params)),
};

/** The ways to connect, and whether it is the revision without a handshake that they find. */
export const MODES = {
    'SDK 1': { ...SDK1, modern: false },
    'SDK 2, legacy': { ...SDK2, modern: false, negotiation: 'legacy' },
    'SDK 2, auto': { ...SDK2, modern: true, negotiation: 'auto' },
    'SDK 2, pinned': { ...SDK2, modern: true, negotiation: { pin: REVISION } },
};

/** A connected client, and what the checks need again and again. */
export class Bench {
    /** Connects to a new server; the client declares these capabilities, the server has this environment. */
    static async open(site, mode, capabilities = {}, environment = {}) {
        const bench = new Bench();
        const options = { capabilities, versionNegotiation: { mode: mode.negotiation } };
        Object.assign(bench, { site, mode, client: new mode.Client(CLIENT, options) });
        await site.connect(bench.client, mode.Transport, environment);
        if (site.structured) {
            await bench.client.listTools(); // from now on the client validates what tools answer
        }
        return bench;
    }

    /** Calls a tool, and gives its text. */
    async call(name, args, { isError = false, task, ...options } = {}) {
        const result = await this.mode.call(this.client, { name, arguments: args, task }, options);
        const text = result.content.map((block) => block.text).join('\n');
        assert.equal(result.isError ?? false, isError, `${name}: ${text}`);
        if (!isError) {
            assert.equal(result.structuredContent !== undefined, this.site.structured, `structured content of ${name}`);
        }
        return text;
    }

    /** Starts a task with a script for the stand-in, and gives its id. */
    async launch(...script) {
        return field(await this.call('codex_async', prompt(...script)), 'Task ID');
    }

    /** Has these resources watched, and gives what ends that. */
    async watch(uris) {
        if (this.mode.modern) {
            const stream = await this.client.listen({ toolsListChanged: true, resourceSubscriptions: uris });
            assert.deepEqual(stream.honoredFilter, { resourceSubscriptions: uris });
            return () => stream.close();
        }
        await Promise.all(uris.map((uri) => this.client.subscribeResource({ uri })));
        return () => Promise.all(uris.map((uri) => this.client.unsubscribeResource({ uri })));
    }

    /** The one text of a resource. */
    async read(uri) {
        const { contents } = await this.client.readResource({ uri });
        assert.deepEqual(contents.map((content) => content.uri), [uri]);
        return contents[0].text;
    }
}

async function introducesItself({ client, mode }) {
    assert.equal(client.getServerVersion().name, 'codex-mcp-swarm');
    assert.equal(client.revision, mode.modern ? REVISION : '2025-11-25');
    const capabilities = { tools: {}, resources: { subscribe: true } };
    const extensions = mode.modern ? { extensions: { [EXTENSION]: {} } } : {};
    assert.deepEqual(client.getServerCapabilities(), { ...capabilities, ...extensions });
    assert.match(client.getInstructions(), /codex_wait/);
    if (!mode.modern) {
        await client.ping();
    }
}

async function listsItsTools({ client, site }) {
    const { tools } = await client.listTools();
    assert.deepEqual(tools.map((tool) => tool.name).sort(), TOOLS);
    for (const tool of tools) {
        assert(tool.description && tool.title && tool.annotations, tool.name);
        assert.equal(tool.inputSchema.type, 'object', tool.name);
        assert.equal(tool.outputSchema !== undefined, site.structured, tool.name);
    }
}

async function listsItsResources({ client }) {
    const { resources } = await client.listResources();
    assert.deepEqual(resources.map((resource) => resource.uri).sort(), RESOURCES);
    const { resourceTemplates } = await client.listResourceTemplates();
    assert(resourceTemplates.some((template) => template.uriTemplate === 'codex-swarm:///tasks/{task_id}'));
}

async function everyToolWorks(bench) {
    const { site } = bench;
    let text = await bench.call('codex', prompt('begin', 'say one', 'done'));
    assert(text.startsWith('one\n'), text);
    const threadId = field(text, 'Thread ID');

    text = await bench.call('codex_reply', { ...prompt('begin', 'say two', 'done'), threadId });
    assert(text.startsWith('two\n') && field(text, 'Thread ID') === threadId, text);

    let task = await bench.launch('begin', 'run make', 'mark running', 'wait-for go', 'say three', 'done');
    await site.marked('running');
    await until(async () => {
        text = await bench.call('codex_status', { task_ids: [task] });
        return text.includes('Last tool: ');
    });
    assert(text.includes(`=== Task ${task} (`) && field(text, 'Last tool') === 'exec_command(make)', text);
    text = await bench.call('codex_wait', { task_ids: [task], timeout: 0 });
    assert.match(text, /STILL RUNNING/);
    site.open('go');
    text = await bench.call('codex_wait', { task_ids: [task, 'deadbeef'] });
    assert(text.includes('(completed in ') && text.includes('three') && text.includes('deadbeef'), text);

    const tasks = ['four', 'five'].map((word) => prompt('begin', `say ${word}`, 'done'));
    text = await bench.call('codex_batch', { tasks, defaults: { sandbox: 'read-only' } });
    assert.match(text, /four[^]*five/);

    task = await bench.launch('begin', 'mark stuck', 'wait-for never');
    await site.marked('stuck');
    text = await bench.call('codex_cancel', { task_id: task });
    assert(text.includes(task) && text.includes('cancelled'), text);
}

/** Runs git as nobody in particular. */
function git(directory, ...words) {
    const env = { PATH: process.env.PATH, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' };
    const identity = ['-c', 'user.name=check', '-c', 'user.email=check@localhost'];
    execFileSync('git', [...identity, ...words], { cwd: directory, env });
}

/** Has a task leave a file in a worktree of its own, and gives its id. */
async function workInAWorktree(bench) {
    const { site } = bench;
    const cwd = join(site.directory, 'repository');
    mkdirSync(cwd);
    git(cwd, 'init', '--quiet');
    git(cwd, 'commit', '--quiet', '--allow-empty', '--message=first');
    const script = prompt('begin', 'wait-for written', 'say answer', 'done');
    const text = await bench.call('codex_async', { ...script, cwd, worktree: true });
    // the stand-in writes nothing: what is there when it ends is what it left
    writeFileSync(join(field(text, 'Worktree Path'), 'left.txt'), 'what the task left\n');
    site.open('written');
    const task = field(text, 'Task ID');
    await bench.call('codex_wait', { task_ids: [task] });
    return task;
}

async function everyResourceCanBeRead(bench) {
    const task = await workInAWorktree(bench);
    const { resourceTemplates } = await bench.client.listResourceTemplates();
    const uris = resourceTemplates.map((template) => template.uriTemplate.replace('{task_id}', task));
    for (const uri of [...RESOURCES, ...uris]) {
        const text = await bench.read(uri);
        if (RESOURCES.includes(uri)) {
            JSON.parse(text);
        } else if (uri.endsWith('/result')) {
            assert.equal(text, 'answer');
        } else if (uri.endsWith('/diff')) {
            assert.match(text, /\n\+what the task left\n/);
        }
    }
}

async function aResourceIsWatched(bench) {
    const updated = [];
    bench.mode.onUpdated(bench.client, ({ uri, _meta }) => {
        updated.push(uri);
        assert.equal(_meta?.[SUBSCRIPTION], bench.mode.modern ? 'listen:0' : undefined);
    });
    const task = await bench.launch('begin', 'mark running', 'wait-for go', 'say answer', 'done');
    await bench.site.marked('running');
    const uris = ['codex-swarm:///tasks', `codex-swarm:///tasks/${task}`];
    const stop = await bench.watch(uris);
    bench.site.open('go');
    await until(() => uris.every((uri) => updated.includes(uri)));
    await bench.call('codex_wait', { task_ids: [task] });
    await stop();
    await bench.read(RESOURCES[0]); // what comes from now on was not asked for
    const before = updated.length;
    await bench.call('codex', prompt('begin', 'say more', 'done'));
    assert.equal(updated.length, before);
    assert(updated.every((uri) => uris.includes(uri)), updated.join());
}

async function progressIsTold(bench) {
    const told = [];
    const onprogress = (progress) => {
        told.push(progress);
        if (/make/.test(progress.message)) {
            bench.site.open('told'); // it is told while the task runs, for the task cannot end before
        }
    };
    const script = prompt('begin', 'run make', 'wait-for told', 'say done', 'done');
    assert.match(await bench.call('codex', script, { onprogress }), /^done\n/);
    for (let i = 1; i < told.length; i++) {
        assert(told[i].progress > told[i - 1].progress);
    }
    assert(told.length > 0);
}

async function aCallCanBeCancelled(bench) {
    const controller = new AbortController();
    const call = bench.call('codex', prompt('begin', 'mark called', 'wait-for never'), { signal: controller.signal });
    const ended = assert.rejects(call, /no longer wanted/);
    await bench.site.marked('called');
    const [, task] = /^=== Task (\w+) .* elapsed\) ===$/m.exec(await bench.call('codex_status', {}));
    controller.abort('no longer wanted');
    await ended;
    assert.match(await bench.call('codex_wait', { task_ids: [task] }), /\(cancelled after /);
}

async function whatIsWrongIsSaid(bench) {
    const { client, mode } = bench;
    assert.match(await bench.call('codex', { prompt: 'x', sandbox: 'none' }, { isError: true }), /sandbox/);
    const failing = prompt('begin', 'fail no such luck', 'exit 1');
    assert.match(await bench.call('codex', failing, { isError: true }), /no such luck/);
    await assert.rejects(bench.call('codex_frobnicate', {}), { code: -32602 });
    const uri = 'codex-swarm:///nothing';
    await assert.rejects(bench.read(uri), { code: mode.notFound, data: { uri } });
    for (const list of ['listTools', 'listResources', 'listResourceTemplates']) {
        await assert.rejects(client[list]({ cursor: 'second' }), { code: -32602 });
    }
}

async function aWishForATaskOfTheOldKindIsIgnored(bench) {
    const text = await bench.call('codex', prompt('begin', 'say now', 'done'), { task: { ttl: 60_000 } });
    assert.match(text, /^now\n/);
}

const CHECKS = {
    introducesItself,
    listsItsTools,
    listsItsResources,
    everyToolWorks,
    everyResourceCanBeRead,
    aResourceIsWatched,
    progressIsTold,
    aCallCanBeCancelled,
    whatIsWrongIsSaid,
    aWishForATaskOfTheOldKindIsIgnored,
};

/** The checks, each with a client connected in this mode. */
export const sdk = (mode) =>
    Object.fromEntries(
        Object.entries(CHECKS).map(([name, check]) => [name, async (site) => check(await Bench.open(site, mode))]),
    );
