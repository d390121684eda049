// What every check here needs: a directory of its own for the server and the stand-in, and the runner.

import assert from 'node:assert/strict';
import { closeSync, existsSync, mkdtempSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const TOOLS = [
    'codex', 'codex_async', 'codex_batch', 'codex_cancel', 'codex_reply', 'codex_status', 'codex_wait',
];
export const RESOURCES = ['config', 'server-info', 'tasks'].map((name) => `codex-swarm:///${name}`);
const CODEX = fileURLToPath(new URL('../fixtures/codex', import.meta.url));
const PACKAGES = new URL('../../target/clients/node_modules/', import.meta.url);
const CAP = 60_000; // for one check; nothing that goes well comes near it

/** Where a file of an installed package is. */
export const installed = (file) => new URL(file, PACKAGES);

/** The arguments of a task that plays a script. */
export const prompt = (...script) => ({ prompt: ['#standin', ...script].join('\n') });

/** What stands behind `name: ` at the beginning of a line. */
export function field(text, name) {
    const line = text.split('\n').find((line) => line.startsWith(`${name}: `));
    assert(line, `no ${name} in: ${text}`);
    return line.slice(name.length + 2);
}

/** Waits until this is true. */
export async function until(condition) {
    const end = Date.now() + CAP;
    while (!(await condition())) {
        assert(Date.now() < end, `it never came: ${condition}`);
        await new Promise((resolve) => setTimeout(resolve, 10));
    }
}

/** The directory of one check: all that its servers and tasks write lies there. */
export class Site {
    directory = realpathSync(mkdtempSync(join(tmpdir(), 'codex-swarm-client-')));
    /** What a client's library complained of. */
    complaints = [];
    #stderr = openSync(join(this.directory, 'stderr'), 'a+');
    #clients = [];

    constructor(server, structured) {
        this.command = server;
        this.structured = structured;
        this.args = ['--codex', CODEX, ...(structured ? ['--structured'] : [])];
        this.env = {
            HOME: this.directory,
            STANDIN_OUT: this.directory,
            CODEX_SWARM_TASK_DIR: join(this.directory, 'tasks'),
            CODEX_SWARM_WORKTREE_DIR: join(this.directory, 'worktrees'),
            CODEX_SWARM_LOG: join(this.directory, 'server.log'),
        };
    }

    /** Connects a client to a server of its own in this directory. */
    async connect(client, Transport, environment = {}) {
        const { command, args, directory } = this;
        const env = { ...this.env, ...environment };
        const transport = new Transport({ command, args, env, cwd: directory, stderr: this.#stderr });
        client.onerror = (error) => this.complaints.push(error);
        // both SDKs tell a transport that wants to know
        transport.setProtocolVersion = (revision) => (client.revision = revision);
        this.#clients.push(client);
        await client.connect(transport);
    }

    /** Waits until the stand-in made a mark. */
    marked(name) {
        return until(() => existsSync(join(this.directory, name)));
    }

    /** Lets the stand-in go on that waits for this. */
    open(gate) {
        writeFileSync(join(this.directory, gate), '');
    }

    /** The ids of the processes that were started here and are still there. */
    left() {
        const mark = `STANDIN_OUT=${this.directory}`;
        const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number);
        return pids.filter((pid) => {
            try {
                return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(mark);
            } catch {
                return false; // it is gone, or is not ours
            }
        });
    }

    /** Ends the clients, and so their servers, of which then nothing is left. */
    async end() {
        for (const client of this.#clients) {
            await client.close();
        }
        await until(() => this.left().length === 0);
        assert.equal(readFileSync(join(this.directory, 'stderr'), 'utf8'), '', 'on stderr');
        assert.deepEqual(this.complaints, []);
    }

    /** Leaves nothing, whatever the check did. */
    async remove() {
        await until(() => {
            const left = this.left();
            for (const pid of left) {
                try {
                    process.kill(pid, 'SIGKILL');
                } catch {
                    // it ended by itself
                }
            }
            return left.length === 0;
        });
        closeSync(this.#stderr);
        rmSync(this.directory, { recursive: true });
    }
}

/** Runs one check in a directory of its own, and tells whether it went well. */
async function run(title, check, site) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error('it takes too long')), CAP);
    });
    const complain = (...words) => site.complaints.push(...words);
    Object.assign(console, { warn: complain, error: complain });
    process.on('warning', complain).on('unhandledRejection', complain);
    try {
        await Promise.race([check(site).then(() => site.end()), late]);
        return true;
    } catch (error) {
        console.log(`FAILED ${title}\n`, error, ...site.complaints);
        return false;
    } finally {
        clearTimeout(timer);
        await site.remove();
        process.off('warning', complain).off('unhandledRejection', complain);
    }
}

/** Runs all checks, one after the other, and ends with the status that says whether all went well. */
export async function runAll(groups, server, structured) {
    const count = { passed: 0, failed: 0 };
    for (const [group, checks] of Object.entries(groups)) {
        for (const [name, check] of Object.entries(checks)) {
            const well = await run(`${name}, ${group}`, check, new Site(server, structured));
            count[well ? 'passed' : 'failed'] += 1;
        }
    }
    console.log(`${count.passed} passed, ${count.failed} failed`);
    process.exit(count.failed ? 1 : 0);
}
