// SPDX-License-Identifier: Apache-2.0
// What a bulk stream does to small requests beside it, through one tunnel and with no proxy at all. The link is held to
// 1 Gbit/s by a token bucket, the bulk to half of that; the client's proxy has one data-plane process, so all of it is in one
// tunnel. Rounds alternate.   node e2e/load/fair.ts   FAIR_ROUNDS (3)   FAIR_SECONDS (2)
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import Table from 'cli-table3';
import { background, ROOT, run } from '../harness/run.ts';
import { buildFabric, type Fabric, HTTP_PORT, IPERF_PORT } from './fabric.ts';
import type { Peer, RunningPeer } from './peer.ts';
import { none } from './peers/none.ts';
import { ztunnelPeer } from './peers/ztunnel.ts';
import { median } from './statistics.ts';
import { answering, iperf, wrk } from './tools.ts';

const LINK = '1gbit';
const BULK = '500M';
const rounds = Number(process.env['FAIR_ROUNDS'] ?? 3);
const seconds = Number(process.env['FAIR_SECONDS'] ?? 2);
const peers: Peer[] = [none, ztunnelPeer('ambit', [join(ROOT, 'bin/ztunnel')], { ZTUNNEL_WORKER_THREADS: '1' })];

interface Place {
  readonly name: string;
  readonly fabric: Fabric;
  readonly running: RunningPeer;
  readonly alone: number[];
  readonly beside: number[];
}

await main();
process.exit();

async function main(): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const places: Place[] = [];
  for (const peer of peers) places.push(await place(peer, stack));
  for (let round = 0; round < rounds; round++) {
    for (const one of places) {
      const { alone, beside, fabric, running } = one;
      alone.push((await wrk(fabric.client, running.doors.http, 1, false, seconds)).p99_us);
      const bulk = iperf(fabric.client, running.doors.iperf, 1, false, seconds + 2, BULK);
      await setTimeout(1000);
      beside.push((await wrk(fabric.client, running.doors.http, 1, false, seconds)).p99_us);
      await bulk;
    }
  }
  const table = new Table({ head: ['', 'p99 alone', 'p99 beside bulk', 'rise'], style: { head: [], border: [] } });
  for (const { alone, beside, name } of places) {
    const [a, b] = [median(alone), median(beside)];
    table.push([name, `${a.toFixed(0)} µs`, `${b.toFixed(0)} µs`, `${(b / a).toFixed(2)} ×, ${(b - a).toFixed(0)} µs`]);
  }
  console.log(table.toString());
}

async function place(peer: Peer, stack: AsyncDisposableStack): Promise<Place> {
  const fabric = stack.use(await buildFabric(`fair-${peer.name}`));
  const serve = (...words: string[]): void => {
    const [command, ...args] = fabric.server.inside(words);
    const server = background(command, args);
    stack.defer(() => server.stop('SIGKILL'));
  };
  serve('iperf3', '-s', '-p', String(IPERF_PORT));
  const server = join(import.meta.dirname, 'server.ts');
  serve(process.execPath, '--disable-warning=ExperimentalWarning', server, fabric.server.ip, String(HTTP_PORT));
  const running = await peer.start(fabric);
  stack.defer(() => running.stop());
  await answering(fabric.client, running.doors.iperf, running.doors.http);
  for (const { netns } of [fabric.client, fabric.server]) {
    const shape = ['qdisc', 'add', 'dev', 'eth0', 'root', 'tbf', 'rate', LINK, 'burst', '128kb', 'latency', '20ms'];
    await run('ip', ['netns', 'exec', netns, 'tc', ...shape]);
  }
  await wrk(fabric.client, running.doors.http, 1, false, 2);
  return { name: peer.name, fabric, running, alone: [], beside: [] };
}
