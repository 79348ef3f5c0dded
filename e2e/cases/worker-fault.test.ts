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

/** So many that none on one of two processes, or all, is a chance of one in 10^11. */
const CONNECTIONS = 40;
/** What is promised of a quiet machine may be missed so often on a busy one. */
const ATTEMPTS = 4;
const STEADY = join(ROOT, 'e2e/harness/steady.ts');

/** Whether a process is a data-plane process; one that has ended meanwhile is none. */
function isWorker(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(WORKER_FLAG);
  } catch {
    return false;
  }
}

for (const { signal, withinMs } of [
  { signal: 'SIGSEGV', withinMs: 1000 },
  { signal: 'SIGSTOP', withinMs: 2000 },
] as const) {
  test(`${signal} to one data-plane process under load cuts only its connections, and another serves within ${withinMs} ms`, async (t) => {
    const missed: string[] = [];
    while (missed.length < ATTEMPTS) {
      const { late, tookMs } = await faultUnderLoad(signal, withinMs);
      t.diagnostic(`another process after ${tookMs} ms, ${late} new connections failed later than ${withinMs} ms`);
      if (tookMs <= withinMs && late === 0) return;
      missed.push(`another process after ${tookMs} ms, ${late} late failures`);
    }
    assert.fail(missed.join('; '));
  });
}

/**
 * One of the processes gets the signal. All but the time is judged here: ms until another had taken its place, and how many new
 * connections failed later than `withinMs`.
 */
async function faultUnderLoad(signal: NodeJS.Signals, withinMs: number): Promise<{ tookMs: number; late: number }> {
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
  const server = start(fabric.server, 'server', fabric.server.ip, String(HTTP_PORT));
  await eventually('the server to listen', () => server.output().includes('up'));
  const peer = await ztunnelPeer('ambit', [join(ROOT, 'bin/ztunnel')], { RUST_LOG: 'info,access=off' }).start(fabric);
  stack.defer(() => peer.stop());
  const client = start(fabric.client, 'client', fabric.server.ip, String(HTTP_PORT), String(CONNECTIONS));
  const lines = (): SteadyLine[] =>
    client
      .output()
      .split('\n')
      .flatMap((line) => (line.endsWith('}') ? [JSON.parse(line) as SteadyLine] : []));
  await eventually(`${CONNECTIONS} connections`, () => lines().some((line) => line.kind === 'open'));
  await eventually('probes', () => lines().filter((line) => line.kind === 'probe' && line.ok).length > 20);

  // The client host's proxy: the last one started.
  const workersNow = (): number[] => familyOf([peer.pids.at(-1)!]).filter(isWorker);
  const workers = workersNow();
  assert.ok(workers.length >= 2, `data-plane processes: ${workers.join(', ')}`);
  const victim = workers[0]!;
  const at = Date.now();
  process.kill(victim, signal);
  await eventually(
    'another process',
    () => {
      const now = workersNow();
      return !now.includes(victim) && now.length === workers.length;
    },
    { everyMs: 20 },
  );
  const replaced = Date.now();
  await eventually(
    'probes after the fault',
    () =>
      lines().filter((line) => line.kind === 'probe' && line.ok && line.at > Math.max(replaced, at + withinMs)).length >
      40,
  );

  const cut = lines().filter((line) => line.kind === 'cut');
  assert.ok(cut.length > 0 && cut.length < CONNECTIONS, `${cut.length} of ${CONNECTIONS} connections were cut`);
  const troubled = lines().filter((line) => line.kind === 'probe' && line.at > replaced && !line.ok);
  assert.deepEqual(troubled, [], 'a new connection failed after another process had taken its place');
  const named = new RegExp(signal === 'SIGSTOP' ? 'stall|stopp|wedged|heartbeat' : signal, 'i');
  await eventually('the log to tell', () => named.test(peer.output!()));
  assert.match(peer.output!(), /connections?/i);
  const late = lines().filter((line) => line.kind === 'probe' && line.at > at + withinMs && !line.ok).length;
  return { tookMs: replaced - at, late };
}
