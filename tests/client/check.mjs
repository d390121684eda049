// Checks the server with the clients of the official TypeScript SDKs, which validate every message they read,
// and with the command line of the Inspector.
//
// usage: node tests/client/check.mjs SERVER [--structured]
//
// SERVER is the program to check; codex is the stand-in of tests/fixtures. With --structured the server gets
// that flag too, and the clients hold what tools answer against their output schemas. What a client's library
// complains of is a failure like any other. The packages lie in target/clients (.ci/run installs them).

import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { runAll } from './bench.mjs';
import { inspector } from './inspector.mjs';
import { MODES, sdk } from './sdk.mjs';
import { tasks } from './tasks.mjs';

const { values, positionals } = parseArgs({ allowPositionals: true, options: { structured: { type: 'boolean' } } });
if (positionals.length !== 1) {
    console.log('usage: node tests/client/check.mjs SERVER [--structured]');
    process.exit(2);
}
const groups = {};
for (const [name, mode] of Object.entries(MODES)) {
    groups[name] = { ...sdk(mode), ...(mode.modern ? tasks(mode) : {}) };
}
groups.Inspector = inspector;
await runAll(groups, resolve(positionals[0]), values.structured ?? false);
