// SPDX-License-Identifier: Apache-2.0
// make bench-l7: the waypoint program beside HAProxy, nginx and Envoy on the same routes in one run, alternating. What is compared
// is requests for each second of processor time that the proxy used, since clients and server share the machine with it.
//   BENCH_ROUNDS (3)   BENCH_SECONDS (2)   BENCH_PEERS, BENCH_SCENARIOS (all)   ENVOY=FILE
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Table from 'cli-table3';
import { eventually } from '../../harness/eventually.ts';
import { type Background, background, ROOT, run, tryRun } from '../../harness/run.ts';
import { median } from '../statistics.ts';
import { parseWrk } from '../tools.ts';
import { cpuSeconds, familyOf, pssMb } from '../usage.ts';
import { goalsOf } from './goals.ts';
import { MESH_SERVER } from './hbone.ts';
import { type IdleFigures, idleCost } from './idle.ts';
import type { L7Peer, L7Setting } from './peer.ts';
import { l7Peers, MOST_PROCESSES, none, pathOf, peerFolder } from './peers.ts';

const env = (name: string, fallback: string): string => process.env[name] || fallback;
const rounds = Number(env('BENCH_ROUNDS', '3'));
const seconds = Number(env('BENCH_SECONDS', '2'));
const wanted = (name: string, list: string): boolean => list === '' || list.split(',').includes(name);
const FIRST_PORT = 21_000;
const SERVER_PORT = 20_990;
const KIB = 1024;

interface Scenario {
  readonly name: string;
  readonly about: string;
  readonly setting: L7Setting;
  readonly h2?: boolean;
  readonly bytes: number;
}

interface L7Figures {
  readonly rps: number;
  readonly per_cpu_s: number;
  readonly p50_us: number;
  readonly p99_us: number;
  readonly pss_mb: number;
}

const PLAIN: L7Setting = { routes: 1, policy: false };
const SCENARIOS: readonly Scenario[] = [
  { name: 'h1', about: 'HTTP/1.1, 1 KB, 1 route', setting: PLAIN, bytes: KIB },
  {
    name: 'h1-5000',
    about: 'HTTP/1.1, 1 KB, the last of 5,000 routes',
    setting: { routes: 5000, policy: false },
    bytes: KIB,
  },
  { name: 'h2', about: 'HTTP/2 from the client, 1 KB, 1 route', setting: PLAIN, h2: true, bytes: KIB },
  { name: 'h1-1mb', about: 'HTTP/1.1, 1 MB, 1 route', setting: PLAIN, bytes: KIB * KIB },
  {
    name: 'h1-policy',
    about: 'HTTP/1.1, 1 KB, 1 route, with access policies and access log',
    setting: { routes: 1, policy: true },
    bytes: KIB,
  },
  {
    name: 'h1-mesh',
    about: 'HTTP/1.1, 1 KB, as a waypoint: HBONE in and HBONE out beside plain in and out',
    setting: { routes: 1, policy: false, mesh: true },
    bytes: KIB,
  },
];

/** A peer with one setting in front of one server. */
interface Contestant {
  readonly peer: L7Peer;
  readonly scenario: Scenario;
  readonly port: number;
  readonly running: Background;
}

const peers = l7Peers().filter(({ name }) => wanted(name, env('BENCH_PEERS', '')));
const scenarios = SCENARIOS.filter(({ name }) => wanted(name, env('BENCH_SCENARIOS', '')));
await main();
process.exit();

async function main(): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const servers = new Map<number, number>();
  for (const bytes of new Set([KIB, ...scenarios.map((scenario) => scenario.bytes)])) {
    const port = SERVER_PORT + servers.size;
    const folder = peerFolder();
    stack.defer(() => folder.remove());
    const server = contentServer(port, bytes, folder.path);
    stack.defer(() => server.stop());
    servers.set(bytes, port);
  }
  const table: Record<string, Record<string, L7Figures>> = {};
  for (const scenario of scenarios) {
    await using own = new AsyncDisposableStack();
    const contestants: Contestant[] = [];
    // The first of each, then the second of each: who is compared with whom is measured at the same time.
    for (let n = 0; n < MOST_PROCESSES; n++) {
      for (const [i, peer] of peers.entries()) {
        if (n >= (peer.processes?.(scenario.setting) ?? 1)) continue;
        // The server by itself speaks HTTP/1.1 only: then there is nothing to compare.
        if (!peer.takes(scenario.setting) || (scenario.h2 && peer === none)) continue;
        const folder = peerFolder();
        own.defer(() => folder.remove());
        const upstream = servers.get(scenario.bytes)!;
        const port = peer === none ? upstream : FIRST_PORT + (n * peers.length + i) * 2;
        const running = peer.start(port, upstream, scenario.setting, folder.path);
        own.defer(() => running.stop('SIGTERM'));
        await answers(port, scenario, running);
        contestants.push({ peer, scenario, port, running });
      }
    }
    for (const { peer, figures } of await compare(contestants)) {
      table[peer.name] ??= {};
      table[peer.name]![scenario.name] = figures;
    }
  }
  const idle: Record<string, IdleFigures> = {};
  if (wanted('idle', env('BENCH_SCENARIOS', ''))) {
    const upstream = servers.get(KIB)!;
    for (const peer of peers)
      if (peer !== none && peer.takes(PLAIN)) idle[peer.name] = await idleCost(peer, FIRST_PORT + 100, upstream, PLAIN);
  }
  report(table, idle);
}

/** nginx with the content in a file that stays in the page cache. */
function contentServer(port: number, bytes: number, folder: string): Background {
  writeFileSync(join(folder, 'content'), Buffer.alloc(bytes, 'x'));
  const conf = join(folder, 'server.conf');
  writeFileSync(
    conf,
    `user root; worker_processes 1; daemon off; pid ${folder}/pid; error_log /dev/null;
events { worker_connections 4096; }
http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; open_file_cache max=10;
  client_body_temp_path ${folder}/b; proxy_temp_path ${folder}/p; fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  server { listen 127.0.0.1:${port}; listen ${MESH_SERVER}:${port}; root ${folder}; location / { try_files /content =404; } } }
`,
  );
  return background('nginx', ['-p', folder, '-c', conf]);
}

async function answers(port: number, scenario: Scenario, running: Background): Promise<void> {
  const url = `http://127.0.0.1:${port}${pathOf(scenario.setting.routes - 1)}`;
  await eventually(
    `an answer at ${url}: ${running.output().slice(-500)}`,
    async () => (await tryRun('curl', ['-sf', '-m', '2', '-o', '/dev/null', url])).status === 0,
    { withinMs: 20_000 },
  );
}

async function compare(contestants: readonly Contestant[]): Promise<{ peer: L7Peer; figures: L7Figures }[]> {
  const runs = new Map<L7Peer, L7Figures[]>();
  for (const contestant of contestants) await measure(contestant, 2);
  for (let round = 1; round <= rounds; round++) {
    for (let i = 0; i < contestants.length; i++) {
      const contestant = contestants[(i + round) % contestants.length]!;
      const figures = await measure(contestant, seconds);
      runs.set(contestant.peer, [...(runs.get(contestant.peer) ?? []), figures]);
      process.stderr.write(
        `round ${round}/${rounds}  ${contestant.scenario.name.padEnd(10)} ${contestant.peer.name.padEnd(9)} ${Math.round(figures.rps)}/s, ${Math.round(figures.per_cpu_s)} a CPU second\n`,
      );
    }
  }
  return [...runs].map(([peer, all]) => ({ peer, figures: medians(all) }));
}

function medians(all: readonly L7Figures[]): L7Figures {
  const of = (name: keyof L7Figures): number => median(all.map((one) => one[name]));
  return {
    rps: of('rps'),
    per_cpu_s: of('per_cpu_s'),
    p50_us: of('p50_us'),
    p99_us: of('p99_us'),
    pss_mb: of('pss_mb'),
  };
}

async function measure({ peer, port, running, scenario }: Contestant, forS: number): Promise<L7Figures> {
  const family = familyOf([running.process.pid!]);
  const before = cpuSeconds(family);
  const path = pathOf(scenario.setting.routes - 1);
  const result = scenario.h2
    ? await h2load(peer.h2Port(port), path, forS)
    : await wrkLoad(port, path, forS, scenario.bytes);
  const cpu = cpuSeconds(family) - before;
  return {
    rps: result.rps,
    per_cpu_s: result.count / cpu,
    p50_us: result.p50_us,
    p99_us: result.p99_us,
    pss_mb: pssMb(family),
  };
}

async function wrkLoad(port: number, path: string, forS: number, bytes: number) {
  const connections = bytes > 100 * KIB ? 16 : 64;
  const args = ['-t1', `-c${connections}`, `-d${forS}s`, '--latency', `http://127.0.0.1:${port}${path}`];
  return parseWrk(await run('wrk', args, { timeoutMs: (forS + 20) * 1000 }));
}

async function h2load(port: number, path: string, forS: number) {
  const args = ['-c8', '-m8', '-D', String(forS), `http://127.0.0.1:${port}${path}`];
  const text = await run('h2load', args, { timeoutMs: (forS + 20) * 1000 });
  const failed = Number(/(\d+) failed/.exec(text)?.[1]);
  const count = Number(/, (\d+) succeeded/.exec(text)?.[1]);
  if (failed > 0 || count === 0) throw new Error(`h2load met errors:\n${text}`);
  const mean = /time for request:\s+\S+\s+(\S+)\s+([\d.]+)(us|ms|s)/.exec(text);
  const unit = { us: 1, ms: 1000, s: 1_000_000 }[mean?.[3] ?? 'us'] ?? 1;
  return { rps: count / forS, count, p50_us: Number(mean?.[2]) * unit, p99_us: Number.NaN };
}

function report(table: Record<string, Record<string, L7Figures>>, idle: Record<string, IdleFigures>): void {
  const folder = join(import.meta.dirname, '../results');
  mkdirSync(folder, { recursive: true });
  const path = join(folder, 'l7.json');
  const goals = goalsOf(table, idle);
  writeFileSync(path, `${JSON.stringify({ rounds, seconds, peers: table, idle, goals }, null, 2)}\n`);
  for (const { about, name } of scenarios) {
    const head = [name, 'requests/s', 'a CPU second', 'p50 µs', 'p99 µs', 'PSS MB', 'ambit/it, a CPU second'];
    const text = new Table({ head, style: { head: [], border: [] } });
    const own = table['ambit']?.[name]?.per_cpu_s ?? Number.NaN;
    for (const [peer, row] of Object.entries(table)) {
      const figures = row[name];
      if (figures === undefined) continue;
      const { p50_us, p99_us, per_cpu_s, pss_mb, rps } = figures;
      const shown =
        peer === none.name
          ? [rps, Number.NaN, p50_us, p99_us, Number.NaN, Number.NaN]
          : [rps, per_cpu_s, p50_us, p99_us, pss_mb, own / per_cpu_s];
      text.push([peer, ...shown.map(rounded)]);
    }
    console.log(`${about}\n${text.toString()}`);
  }
  if (Object.keys(idle).length > 0) {
    const text = new Table({ head: ['idle', 'MB', 'MB with 9,000', 'MB more'], style: { head: [], border: [] } });
    for (const [peer, { base_mb, with_mb }] of Object.entries(idle))
      text.push([peer, ...[base_mb, with_mb, with_mb - base_mb].map(rounded)]);
    console.log(`9,000 connections that asked once, idle\n${text.toString()}`);
  }
  for (const { goal, is, met, name } of goals)
    console.log(`${met ? 'met    ' : 'missed '} ${name}: ${rounded(is)} (${goal})`);
  console.log(`medians of ${rounds} alternating rounds of ${seconds} s, written to ${path.slice(ROOT.length + 1)}`);
}

function rounded(value: number): string {
  if (!Number.isFinite(value)) return '–';
  return value >= 1000 ? String(Math.round(value)) : value.toPrecision(3);
}
