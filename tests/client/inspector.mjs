// The checks with the command line of the Inspector, which starts a server for each call.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { field, installed, prompt, RESOURCES, TOOLS } from './bench.mjs';

const INSPECTOR = fileURLToPath(installed('.bin/mcp-inspector-cli'));

/** Runs the Inspector once, and gives what it printed. */
async function inspect(site, method, ...options) {
    // what the server says on stderr the Inspector keeps to itself
    const server = join(site.directory, 'server');
    const words = [site.command, ...site.args].map((word) => `'${word}'`).join(' ');
    writeFileSync(server, `#!/bin/sh\nexec ${words} 2>> '${site.directory}/stderr'\n`, { mode: 0o755 });
    const argv = [INSPECTOR, '--cli', server, '--method', method, ...options];
    const env = { PATH: process.env.PATH, ...site.env };
    const { stdout, stderr } = await promisify(execFile)(process.execPath, argv, { env, cwd: site.directory });
    assert.equal(stderr, '');
    return JSON.parse(stdout);
}

/** Calls a tool, and gives its text. Arguments that are no strings go as JSON. */
async function call(site, tool, args) {
    const pairs = Object.entries(args).map(([name, value]) => {
        return `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`;
    });
    const result = await inspect(site, 'tools/call', '--tool-name', tool, '--tool-arg', ...pairs);
    assert(!result.isError, JSON.stringify(result));
    return result.content[0].text;
}

async function listsToolsAndResources(site) {
    const { tools } = await inspect(site, 'tools/list');
    assert.deepEqual(tools.map((tool) => tool.name).sort(), TOOLS);
    const { resources } = await inspect(site, 'resources/list');
    assert.deepEqual(resources.map((resource) => resource.uri).sort(), RESOURCES);
    const { resourceTemplates } = await inspect(site, 'resources/templates/list');
    assert.equal(resourceTemplates[0].uriTemplate, 'codex-swarm:///tasks/{task_id}');
}

async function readsResources(site) {
    const text = await call(site, 'codex', prompt('begin', 'say one', 'done'));
    const task = `codex-swarm:///tasks/${field(text, 'Task ID')}`;
    for (const uri of [...RESOURCES, task, `${task}/result`]) {
        const { contents } = await inspect(site, 'resources/read', '--uri', uri);
        assert.equal(contents[0].uri, uri);
    }
    const missing = inspect(site, 'resources/read', '--uri', 'codex-swarm:///nothing');
    await assert.rejects(missing, { code: 1, stderr: /MCP error -32002/ });
}

async function callsEveryTool(site) {
    let text = await call(site, 'codex', prompt('begin', 'say one', 'done'));
    assert.match(text, /^one\n/);
    const threadId = field(text, 'Thread ID');
    text = await call(site, 'codex_reply', { ...prompt('begin', 'say two', 'done'), threadId });
    assert.match(text, /^two\n/);
    const tasks = ['three', 'four'].map((word) => prompt('begin', `say ${word}`, 'done'));
    assert.match(await call(site, 'codex_batch', { tasks }), /three[^]*four/);

    // the server that started a task is gone when the next one is asked about it
    text = await call(site, 'codex_async', prompt('begin', 'wait-for go', 'say five', 'done'));
    let task = field(text, 'Task ID');
    assert.match(await call(site, 'codex_status', { task_ids: [task] }), / elapsed\) ===/);
    site.open('go');
    assert.match(await call(site, 'codex_wait', { task_ids: [task], timeout: 30 }), /five/);
    text = await call(site, 'codex_async', prompt('begin', 'wait-for never'));
    task = field(text, 'Task ID');
    assert.match(await call(site, 'codex_cancel', { task_id: task }), /cancelled/);
    await assert.rejects(call(site, 'codex_frobnicate', { x: 'y' }), { code: 1, stderr: /MCP error -32602/ });
}

export const inspector = { listsToolsAndResources, readsResources, callsEveryTool };
