// SPDX-License-Identifier: Apache-2.0
// What idle connections cost: memory of the proxies with and without 9,000 of them, and what they do to the requests of
// others. Rounds with and without alternate. node e2e/load/idle.ts [COUNT]
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import Table from 'cli-table3';
import { eventually } from '../harness/eventually.ts';
import { background, ROOT } from '../harness/run.ts';
import { buildFabric, type Fabric, HTTP_PORT } from './fabric.ts';
import { ztunnelPeer } from './peers/ztunnel.ts';
import { median } from './statistics.ts';
import { wrk } from './tools.ts';
import { familyOf, pssMb } from './usage.ts';

const COUNT = Number(process.argv[2] ?? 9000);
const ROUNDS = 3;
const SECONDS = 2;
/** Tunnels give the rings of their busy time back after 5 to 10 s of silence; before that nobody would call them idle. */
const SETTLE_MS = 11_000;

interface Sample {
  /** Proportional memory of each proxy, all its processes, in MB: the server's first. */
  readonly pss: readonly number[];
  readonly p99_us: number;
}

await main();
process.exit();

async function main(): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const fabric = stack.use(await buildFabric('idle'));
  const program = (...words: string[]): readonly string[] => [
    process.execPath,
    '--disable-warning=ExperimentalWarning',
    ...words,
  ];
  const [command, ...args] = fabric.server.inside(
    program(join(import.meta.dirname, 'server.ts'), fabric.server.ip, String(HTTP_PORT)),
  );
  const server = background(command, args);
  stack.defer(() => server.stop('SIGKILL'));
  const peer = await ztunnelPeer('ambit', [join(ROOT, 'bin/ztunnel')]).start(fabric);
  stack.defer(() => peer.stop());
  const { http } = peer.doors;
  // Code that has not run yet is compiled, and memory taken, by the first load: that is not what is asked here.
  await eventually('an answer', () => wrk(fabric.client, http, 16, false, 3), { withinMs: 30_000 });

  const without: Sample[] = [];
  const withIdle: Sample[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    without.push(await sample(fabric, peer.pids, http));
    const [hold, ...words] = fabric.client.inside(
      program(join(import.meta.dirname, 'idle-client.ts'), http.host, String(http.port), String(COUNT)),
    );
    const idle = background(hold, words);
    try {
      await eventually(`${COUNT} idle connections`, () => /open/.test(idle.output()), { withinMs: 60_000 });
      await setTimeout(SETTLE_MS);
      withIdle.push(await sample(fabric, peer.pids, http));
      if (/cut/.test(idle.output())) throw new Error('idle connections were cut');
    } finally {
      await idle.stop('SIGKILL');
    }
  }
  report(without, withIdle);
}

async function sample(fabric: Fabric, pids: readonly number[], http: { host: string; port: number }): Promise<Sample> {
  const { p99_us } = await wrk(fabric.client, http, 16, false, SECONDS);
  return { p99_us, pss: pids.map((pid) => pssMb(familyOf([pid]))) };
}

function report(without: readonly Sample[], withIdle: readonly Sample[]): void {
  const table = new Table({ head: ['', 'without', `with ${COUNT} idle`, ''], style: { head: [], border: [] } });
  const memory = (name: string, proxy: number): void => {
    // Held against the very first sample: memory that the first idle connections left behind counts as theirs.
    const [a, b] = [without[0]!.pss[proxy]!, Math.max(...withIdle.map(({ pss }) => pss[proxy]!))];
    table.push([name, `${a.toFixed(1)} MB`, `${b.toFixed(1)} MB`, `+ ${(b - a).toFixed(1)} MB`]);
  };
  memory("memory of the clients' proxy", 1);
  memory("memory of the servers' proxy", 0);
  const [a, b] = [median(without.map(({ p99_us }) => p99_us)), median(withIdle.map(({ p99_us }) => p99_us))];
  table.push(['p99 of requests', `${a.toFixed(0)} µs`, `${b.toFixed(0)} µs`, `${(b / a).toFixed(2)} ×`]);
  console.log(
    `${table.toString()}\np99: medians of ${ROUNDS} alternating rounds; memory: the most held against the first sample`,
  );
}
