// SPDX-License-Identifier: Apache-2.0
// make bench: peers side by side in one run, alternating, so that the machine's moods meet all of them.
//   BENCH_ROUNDS (3)   BENCH_SECONDS (2)   BENCH_PEERS, BENCH_SCENARIOS (all)   PEER_ZTUNNEL=FILE adds a peer

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Table from 'cli-table3';
import { endedByHand } from '../harness/ended-by-hand.ts';
import { background, ROOT } from '../harness/run.ts';
import { buildFabric, type Fabric, HTTP_PORT, IPERF_PORT } from './fabric.ts';
import type { Peer, RunningPeer } from './peer.ts';
import { haproxy } from './peers/haproxy.ts';
import { policies } from './peers/mesh-file.ts';
import { node } from './peers/node.ts';
import { none } from './peers/none.ts';
import { ztunnelPeer } from './peers/ztunnel.ts';
import { type Figures, SCENARIOS } from './scenario.ts';
import { medians, type Runs, ratios } from './statistics.ts';
import { answering } from './tools.ts';

const env = (name: string, fallback: string): string => process.env[name] || fallback;
const rounds = Number(env('BENCH_ROUNDS', '3'));
const seconds = Number(env('BENCH_SECONDS', '2'));
const WARM_UP_S = 2;
const wanted = (name: string, list: string): boolean => list === '' || list.split(',').includes(name);

/** A peer that carries traffic between the hosts of a fabric of its own. */
interface Place {
  readonly fabric: Fabric;
  readonly running: RunningPeer;
}

interface Contestant {
  readonly peer: Peer;
  readonly twoNodes: Place;
  readonly oneNode: Place;
}

const ztunnel = join(ROOT, 'bin/ztunnel');
// With policies to evaluate and a line in the access log for each connection, which go where a busy node's would: not into a pipe of ours.
const logging = ['sh', '-c', 'exec "$0" "$@" >/dev/null', ztunnel];
const peers: Peer[] = [
  none,
  ztunnelPeer('ambit', [ztunnel]),
  ztunnelPeer('ambit-full', logging, { RUST_LOG: 'info' }, { policies: policies() }),
  haproxy,
  node,
];
if (process.env['PEER_ZTUNNEL']) peers.push(ztunnelPeer('ztunnel', [process.env['PEER_ZTUNNEL']]));
const chosen = peers.filter(({ name }) => wanted(name, env('BENCH_PEERS', '')));
const scenarios = SCENARIOS.filter(({ name }) => wanted(name, env('BENCH_SCENARIOS', '')));

// Ended by hand, it stops between two runs and takes down what it has built.
const ended = endedByHand();

await main();
process.exit();

async function main(): Promise<void> {
  // Whatever was started is stopped, in reverse, also when something after it failed.
  await using stack = new AsyncDisposableStack();
  const contestants: Contestant[] = [];
  for (const peer of chosen) {
    ended.throwIfAborted();
    contestants.push(await prepare(peer, stack));
  }
  report(await compare(contestants));
}

async function prepare(peer: Peer, stack: AsyncDisposableStack): Promise<Contestant> {
  const twoNodes = await place(peer.name, (fabric) => peer.start(fabric), stack);
  const { startOnOneNode } = peer;
  const needed = startOnOneNode !== undefined && scenarios.some(({ oneNode }) => oneNode);
  const oneNode = needed ? await place(`${peer.name}-local`, startOnOneNode, stack) : twoNodes;
  return { peer, twoNodes, oneNode };
}

async function place(name: string, start: Peer['start'], stack: AsyncDisposableStack): Promise<Place> {
  const fabric = stack.use(await buildFabric(name));
  const serve = (...words: string[]): void => {
    const [command, ...args] = fabric.server.inside(words);
    const server = background(command, args);
    stack.defer(() => server.stop('SIGKILL'));
  };
  const http = join(import.meta.dirname, 'server.ts');
  serve('iperf3', '-s', '-p', String(IPERF_PORT));
  serve(process.execPath, '--disable-warning=ExperimentalWarning', http, fabric.server.ip, String(HTTP_PORT));
  const running = await start(fabric);
  stack.defer(() => running.stop());
  await answering(fabric.client, running.doors.iperf, running.doors.http);
  return { fabric, running };
}

async function compare(contestants: readonly Contestant[]): Promise<Runs> {
  const noRuns = () => Object.fromEntries(scenarios.map(({ name }) => [name, [] as Figures[]]));
  const runs = Object.fromEntries(contestants.map(({ peer }) => [peer.name, noRuns()]));
  // Programs that compile as they run are not what is compared: each process has seen each kind of load before the first round.
  for (const scenario of scenarios) {
    for (const { twoNodes, oneNode } of contestants) {
      ended.throwIfAborted();
      const { fabric, running } = scenario.oneNode ? oneNode : twoNodes;
      for (let left = scenario.warmUps ?? 1; left > 0; left--) await scenario.run(fabric.client, running, WARM_UP_S);
    }
  }
  for (let round = 1; round <= rounds; round++) {
    for (const scenario of scenarios) {
      for (let i = 0; i < contestants.length * (scenario.repeats ?? 1); i++) {
        ended.throwIfAborted();
        // Each round begins with another peer, so that none always follows the same one.
        const { peer, twoNodes, oneNode } = contestants[(i + round) % contestants.length]!;
        const { fabric, running } = scenario.oneNode ? oneNode : twoNodes;
        const figures = await scenario.run(fabric.client, running, seconds);
        runs[peer.name]![scenario.name]!.push(figures);
        const key = `${peer.name} ${scenario.name}`;
        process.stderr.write(`round ${round}/${rounds}  ${key.padEnd(16)} ${brief(figures)}\n`);
      }
    }
  }
  return runs;
}

function report(runs: Runs): void {
  const table = medians(runs);
  const ratio = ratios(runs, 'ambit');
  const folder = join(import.meta.dirname, 'results');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'l4.json');
  writeFileSync(file, `${JSON.stringify({ rounds, seconds, peers: table, ratio }, null, 2)}\n`);
  for (const { name, about } of scenarios) {
    const columns = [
      'gbps',
      'rps',
      'p50_us',
      'p99_us',
      'cpu_s_per_gb',
      'cpu_s_per_10k',
      'pss_mb',
      'stolen_pct',
    ] as const;
    const used = columns.filter((column) => Object.values(table).some((row) => row[name]?.[column] !== undefined));
    const text = new Table({ head: [name, ...used, 'ambit/it'], style: { head: [], border: [] } });
    for (const [peer, row] of Object.entries(table)) {
      const first = used[0]!;
      text.push([peer, ...used.map((column) => round3(row[name]?.[column])), round3(ratio[peer]?.[name]?.[first])]);
    }
    console.log(`${about}\n${text.toString()}`);
  }
  console.log(`medians of ${rounds} alternating rounds of ${seconds} s, written to ${file.slice(ROOT.length + 1)}`);
}

function brief(figures: Figures): string {
  return Object.entries(figures)
    .map(([name, value]) => `${name} ${round3(value)}`)
    .join('  ');
}

function round3(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return '–';
  return value >= 1000 ? String(Math.round(value)) : value.toPrecision(3);
}
