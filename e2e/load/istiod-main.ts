// SPDX-License-Identifier: Apache-2.0
// make bench-istiod: how fast and how large the control plane is, at several sizes, in one run.
//   BENCH_SIZES (1k,10k; also 100k)   BENCH_CHANGES (60)   BENCH_FLOW_SECONDS (10; 60 at 100k)   BENCH_SNAPSHOTS (2)
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import Table from 'cli-table3';
import { ROOT } from '../harness/run.ts';
import { SIZES, type Size } from './istiod-mesh.ts';
import { type Clients, type Feed, type Istiod, startClients, startControlPlane } from './istiod-programs.ts';
import { percentile } from './statistics.ts';

const env = (name: string, fallback: string): string => process.env[name] || fallback;
const sizes = env('BENCH_SIZES', '1k,10k')
  .split(',')
  .map((name) => SIZES.find((size) => size.name === name) ?? failed(`no size ${name}`));
const changes = Number(env('BENCH_CHANGES', '60'));
const rounds = Number(env('BENCH_SNAPSHOTS', '2'));
/** Longer than the pause that istiod makes after a push: then the mesh is quiet. */
const QUIET_MS = 150;
/** CPU per change is compared between sizes with the same few clients. */
const FEW = 10;
const PER_SECOND = 1_000;
/** 500 proxies of 110,000 resources are 18 GB. */
const SNAPSHOTS_MS = 330_000;

type Figures = Record<string, number>;

await main();
process.exit();

async function main(): Promise<void> {
  const results: Record<string, Figures> = {};
  for (const size of sizes) results[size.name] = await measure(size);
  const folder = join(import.meta.dirname, 'results');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'istiod.json');
  writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`);
  const names = Object.keys(Object.values(results)[0] ?? {});
  const table = new Table({ head: ['', ...Object.keys(results)], style: { head: [], border: [] } });
  for (const name of names) table.push([name, ...Object.values(results).map((figures) => format(figures[name]))]);
  console.log(`${table.toString()}\nwritten to ${file.slice(ROOT.length + 1)}`);
}

async function measure(size: Size): Promise<Figures> {
  await using stack = new AsyncDisposableStack();
  const { feed, istiod } = await startControlPlane(size, stack);
  const clients = await startClients(istiod.grpc);
  stack.defer(() => clients.kill());
  const figures: Figures = { pods: size.pods, proxies: size.proxies, ready_ms: istiod.readyMs };
  const note = (more: Figures): void => {
    Object.assign(figures, more);
    const text = Object.entries(more).map(([name, value]) => `${name} ${format(value)}`);
    process.stderr.write(`${size.name.padEnd(5)} ${text.join('  ')}\n`);
  };
  note({ ready_ms: istiod.readyMs, ready_cpu_s: istiod.cpuSeconds(), resident_ready_mb: istiod.residentMb() });

  const state = { sequence: 0 };
  await snapshots(size, clients, FEW);
  note(await cpuOfChanges(feed, clients, istiod, state));
  const took: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const { bytes, tookMs } = await snapshots(size, clients, size.proxies);
    took.push(tookMs);
    note({ [`snapshots_${round + 1}_ms`]: tookMs, snapshot_mb: bytes / size.proxies / 1e6 });
  }
  note({ resident_snapshots_mb: istiod.residentMb() });
  note(await quietChanges(size, feed, clients, state));
  note(await busyChanges(size, feed, clients, istiod, state));
  note({ resident_end_mb: istiod.residentMb() });
  return figures;
}

async function snapshots(size: Size, clients: Clients, count: number) {
  const done = clients.next('snapshots', SNAPSHOTS_MS);
  clients.order({ kind: 'connect', count, expected: size.pods + size.services });
  return await done;
}

/** One change after another into a quiet mesh: from the API server's write until each proxy has it. */
async function quietChanges(size: Size, feed: Feed, clients: Clients, state: { sequence: number }): Promise<Figures> {
  const perProxy: number[] = [];
  const last: number[] = [];
  for (let i = 0; i < changes; i++) {
    await setTimeout(QUIET_MS);
    const sequence = ++state.sequence;
    clients.order({ kind: 'seek', sequence, streams: size.proxies });
    const found = clients.next('found');
    const changed = feed.next('changed');
    feed.order({ kind: 'change' });
    const [{ atNs: made }, { atNs }] = await Promise.all([changed, found]);
    const waits = atNs.map((at) => Number(BigInt(at) - BigInt(made)) / 1e6);
    perProxy.push(...waits);
    last.push(Math.max(...waits));
  }
  return {
    change_p50_ms: percentile(perProxy, 50),
    change_p99_ms: percentile(perProxy, 99),
    change_last_p50_ms: percentile(last, 50),
  };
}

/** istiod's processor time for a change when only a few proxies listen, at a pace that leaves it idle in between. */
async function cpuOfChanges(
  feed: Feed,
  clients: Clients,
  istiod: Istiod,
  state: { sequence: number },
): Promise<Figures> {
  const seconds = 5;
  const perSecond = 200;
  await setTimeout(2_000);
  const idle = istiod.cpuSeconds();
  await setTimeout(2_000);
  const before = istiod.cpuSeconds();
  await flow(feed, clients, state, perSecond, seconds);
  const used = istiod.cpuSeconds() - before - ((before - idle) * seconds) / 2;
  return { cpu_per_change_us: (used / (perSecond * seconds)) * 1e6 };
}

/** A thousand changes a second: how late the proxies have them, and how long the last one takes. */
async function busyChanges(size: Size, feed: Feed, clients: Clients, istiod: Istiod, state: { sequence: number }) {
  const seconds = Number(env('BENCH_FLOW_SECONDS', size.pods >= 100_000 ? '60' : '10'));
  const cpu = istiod.cpuSeconds();
  const { lags, behindMs } = await flow(feed, clients, state, PER_SECOND, seconds);
  return {
    busy_lag_p50_ms: percentile(lags, 50),
    busy_lag_p99_ms: percentile(lags, 99),
    busy_last_ms: lags.at(-1) ?? Number.NaN,
    busy_feed_behind_ms: behindMs,
    busy_cpu: (istiod.cpuSeconds() - cpu) / seconds,
  };
}

/** Changes at a pace; looks for every hundredth at a sample of the proxies. */
async function flow(feed: Feed, clients: Clients, state: { sequence: number }, perSecond: number, seconds: number) {
  const first = state.sequence + 1;
  const lastSequence = state.sequence + perSecond * seconds;
  const made = new Map<number, bigint>();
  const found = new Map<number, bigint>();
  const marked: number[] = [];
  for (let sequence = Math.ceil(first / 100) * 100; sequence <= lastSequence; sequence += 100) marked.push(sequence);
  for (const sequence of marked) clients.order({ kind: 'seek', sequence, streams: FEW });
  const all = Promise.withResolvers<void>();
  const unlisten = [
    feed.listen((note) => note.kind === 'changed' && made.set(note.sequence, BigInt(note.atNs))),
    clients.listen((note) => {
      if (note.kind === 'failed') all.reject(new Error(note.reason));
      if (note.kind !== 'found') return;
      // The slowest of the sample counts.
      found.set(
        note.sequence,
        note.atNs.map(BigInt).reduce((a, b) => (a > b ? a : b)),
      );
      if (found.size === marked.length) all.resolve();
    }),
  ];
  const flowed = feed.next('flowed', (seconds + 120) * 1000);
  feed.order({ kind: 'flow', perSecond, seconds });
  const { behindMs } = await flowed;
  await Promise.race([all.promise, setTimeout(120_000).then(() => failed('the last changes never came'))]);
  for (const end of unlisten) end();
  state.sequence = lastSequence;
  return { behindMs, lags: marked.map((sequence) => Number(found.get(sequence)! - made.get(sequence)!) / 1e6) };
}

function format(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return '–';
  return value >= 1000 ? String(Math.round(value)) : value.toPrecision(3);
}

function failed(message: string): never {
  throw new Error(message);
}
