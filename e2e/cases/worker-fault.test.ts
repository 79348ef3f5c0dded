// SPDX-License-Identifier: Apache-2.0
// A data-plane process that dies or stops takes its own connections with it and nothing else, and is replaced at once.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { WORKER_FLAG } from '#lib/loop/worker.ts';
import { eventually } from '../harness/eventually.ts';
import { background, ROOT } from '../harness/run.ts';
import type { SteadyLine } from '../harness/steady.ts';
import { buildFabric, HTTP_PORT } from '../load/fabric.ts';
import { ztunnelPeer } from '../load/peers/ztunnel.ts';
import { familyOf } from '../load/usage.ts';

const CONNECTIONS = 32;
const STEADY = join(ROOT, 'e2e/harness/steady.ts');

for (const { signal, withinMs } of [
  { signal: 'SIGSEGV', withinMs: 1000 },
  { signal: 'SIGSTOP', withinMs: 2000 },
] as const) {
  test(`${signal} to one data-plane process under load cuts only its connections, and another serves within ${withinMs} ms`, async () => {
    await using stack = new AsyncDisposableStack();
    const fabric = stack.use(await buildFabric(signal.toLowerCase()));
    const start = (host: typeof fabric.client, ...words: string[]) => {
      const [command, ...args] = host.inside([
        process.execPath,
        '--disable-warning=ExperimentalWarning',
        STEADY,
        ...words,
      ]);
      const program = background(command, args);
      stack.defer(() => program.stop('SIGKILL'));
      return program;
    };
    start(fabric.server, 'server', fabric.server.ip, String(HTTP_PORT));
    const peer = await ztunnelPeer('ambit', [join(ROOT, 'bin/ztunnel')], { RUST_LOG: 'info,access=off' }).start(fabric);
    stack.defer(() => peer.stop());
    const client = start(fabric.client, 'client', fabric.server.ip, String(HTTP_PORT), String(CONNECTIONS));
    const lines = (): SteadyLine[] =>
      client
        .output()
        .split('\n')
        .flatMap((line) => (line.endsWith('}') ? [JSON.parse(line) as SteadyLine] : []));
    await eventually(`${CONNECTIONS} connections`, () => lines().some((line) => line.kind === 'open'), {
      withinMs: 20_000,
    });
    await eventually('probes', () => lines().filter((line) => line.kind === 'probe' && line.ok).length > 20);

    // The client host's proxy: the last one started.
    const isWorker = (pid: number): boolean => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(WORKER_FLAG);
    const workers = familyOf([peer.pids.at(-1)!]).filter(isWorker);
    assert.ok(workers.length >= 2, `data-plane processes: ${workers.join(', ')}`);
    const at = Date.now();
    process.kill(workers[0]!, signal);
    await eventually(
      'probes after the fault',
      () => lines().filter((line) => line.kind === 'probe' && line.ok && line.at > at + withinMs + 1000).length > 20,
      { withinMs: 20_000 },
    );

    const cut = lines().filter((line) => line.kind === 'cut');
    assert.ok(cut.length > 0 && cut.length < CONNECTIONS, `${cut.length} of ${CONNECTIONS} connections were cut`);
    const troubled = lines().filter((line) => line.kind === 'probe' && line.at > at + withinMs && !line.ok);
    assert.deepEqual(troubled, [], 'a new connection failed after the time allowed');
    assert.match(peer.output!(), new RegExp(`${signal === 'SIGSTOP' ? 'stall|stopp|wedged|heartbeat' : signal}`, 'i'));
    assert.match(peer.output!(), /connections?/i);
  });
}
