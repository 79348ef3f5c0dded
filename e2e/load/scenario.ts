// SPDX-License-Identifier: Apache-2.0
// The questions of the benchmark, and one answer: figures by name. Units are in the names.
import type { Host } from './fabric.ts';
import type { RunningPeer } from './peer.ts';
import { iperf, wrk } from './tools.ts';
import { cpuSeconds, familyOf, machineTime, pssMb, stolenPercent } from './usage.ts';

export type Figures = Partial<
  Record<'gbps' | 'rps' | 'p50_us' | 'p99_us' | 'cpu_s_per_gb' | 'cpu_s_per_10k' | 'pss_mb' | 'stolen_pct', number>
>;

export interface Scenario {
  readonly name: string;
  readonly about: string;
  /** Between two pods of one node. */
  readonly oneNode?: boolean;
  /** Runs before the first that counts, 1 unless told. */
  readonly warmUps?: number;
  /** Runs of each peer in a round, 1 unless told. */
  readonly repeats?: number;
  run(client: Host, peer: RunningPeer, seconds: number): Promise<Figures>;
}

const bulk = (name: string, about: string, connections: number, back: boolean): Scenario => ({
  name,
  about,
  run: async (client, peer, seconds) => {
    const { result, cpu, ...other } = await measured(peer, () =>
      iperf(client, peer.doors.iperf, connections, back, seconds),
    );
    return { gbps: result.gbps, cpu_s_per_gb: cpu / (result.bytes / 1e9), ...other };
  },
});

const requests = (name: string, about: string, connections: number, close: boolean): Scenario => ({
  name,
  about,
  run: async (client, peer, seconds) => {
    const work = () => wrk(client, peer.doors.http, connections, close, seconds);
    const { result, cpu, ...other } = await measured(peer, work);
    const { rps, p50_us, p99_us, count } = result;
    return { rps, p50_us, p99_us, cpu_s_per_10k: cpu / (count / 10_000), ...other };
  },
});

export const SCENARIOS: readonly Scenario[] = [
  bulk('tx1', '1 connection out', 1, false),
  bulk('rx1', '1 connection back', 1, true),
  bulk('tx8', '8 connections out', 8, false),
  bulk('rx8', '8 connections back', 8, true),
  // A connection meets one of a proxy's two processes, and each compiles for the first six seconds of it: eight meet all. And its p99 is
  // decided by stalls of ms, most of them the machine's: the median of many short runs forgets those that met the long ones.
  { ...requests('ka1', 'requests, 1 kept connection', 1, false), warmUps: 8, repeats: 10 },
  // Six processes take turns on two cores, in one run in an order that is a fifth slower than in the next, and every peer's do; here and
  // in the scenario after it.
  { ...requests('ka64', 'requests, 64 kept connections', 64, false), repeats: 3 },
  { ...requests('close', 'connections, one request each', 64, true), repeats: 3 },
  { ...bulk('local', '1 connection out, between two pods of one node', 1, false), oneNode: true },
];

async function measured<T>(
  peer: RunningPeer,
  work: () => Promise<T>,
): Promise<{ result: T; cpu: number; pss_mb: number; stolen_pct: number }> {
  const family = familyOf(peer.pids);
  const before = cpuSeconds(family);
  const machine = machineTime();
  const result = await work();
  const cpu = cpuSeconds(family) - before;
  return { result, cpu, pss_mb: pssMb(family), stolen_pct: stolenPercent(machine, machineTime()) };
}
