// SPDX-License-Identifier: Apache-2.0
// The load generators, iperf3 and wrk: one run each, read back as figures.
import { eventually } from '../harness/eventually.ts';
import { run, tryRun } from '../harness/run.ts';
import type { Host } from './fabric.ts';

export interface Target {
  readonly host: string;
  readonly port: number;
}

export interface Moved {
  readonly gbps: number;
  /** Bytes that arrived. */
  readonly bytes: number;
}

/** Bytes one way for `seconds`; `back`: from the server to the client; `rate` as iperf3 writes it, none: as fast as it goes. */
export async function iperf(
  on: Host,
  { host, port }: Target,
  connections: number,
  back: boolean,
  seconds: number,
  rate?: string,
): Promise<Moved> {
  const words = [
    'iperf3',
    '-J',
    '-c',
    host,
    '-p',
    String(port),
    '-t',
    String(seconds),
    '-P',
    String(connections),
    ...(back ? ['-R'] : []),
    ...(rate === undefined ? [] : ['-b', rate]),
  ];
  const [command, ...args] = on.inside(words);
  // iperf3 tells its failure in the report, beside a bad status.
  const { stdout: text } = await tryRun(command, args, { timeoutMs: (seconds + 20) * 1000 });
  const report = JSON.parse(text) as {
    error?: string;
    end: { sum_received?: { bits_per_second: number; bytes: number } };
  };
  if (report.end.sum_received === undefined) throw new Error(`iperf3: ${report.error}`);
  const { bits_per_second, bytes } = report.end.sum_received;
  return { gbps: bits_per_second / 1e9, bytes };
}

export interface Requests {
  readonly rps: number;
  readonly p50_us: number;
  readonly p99_us: number;
  readonly count: number;
}

/** Waits until both servers answer through the peer. */
export async function answering(on: Host, iperfAt: Target, httpAt: Target): Promise<void> {
  const [curl, ...args] = on.inside([
    'curl',
    '-sf',
    '-m',
    '1',
    '-o',
    '/dev/null',
    `http://${httpAt.host}:${httpAt.port}/`,
  ]);
  await eventually('the HTTP server to answer', async () => (await tryRun(curl, args)).status === 0, {
    withinMs: 20_000,
  });
  await eventually('iperf3 to answer', () => iperf(on, iperfAt, 1, false, 1), { withinMs: 20_000 });
}

/** Requests for `seconds`; `close`: each on a connection of its own. Throws when an answer was missing or wrong. */
export async function wrk(
  on: Host,
  { host, port }: Target,
  connections: number,
  close: boolean,
  seconds: number,
): Promise<Requests> {
  const words = [
    'wrk',
    '-t1',
    `-c${connections}`,
    `-d${seconds}s`,
    '--latency',
    ...(close ? ['-H', 'Connection: close'] : []),
    `http://${host}:${port}/`,
  ];
  const [command, ...args] = on.inside(words);
  return parseWrk(await run(command, args, { timeoutMs: (seconds + 20) * 1000 }));
}

const MICROSECONDS: Readonly<Record<string, number>> = { us: 1, ms: 1000, s: 1_000_000 };

export function parseWrk(text: string): Requests {
  const latency = (percent: string): number => {
    const [, value, unit] = new RegExp(`^\\s+${percent}%\\s+([\\d.]+)(us|ms|s)`, 'm').exec(text) ?? [];
    return Number(value) * (MICROSECONDS[unit ?? ''] ?? Number.NaN);
  };
  const errors =
    /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text)?.slice(1).map(Number) ?? [];
  if (/Non-2xx/.test(text) || errors.some((count) => count > 0)) throw new Error(`wrk met errors:\n${text}`);
  return {
    rps: Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]),
    p50_us: latency('50'),
    p99_us: latency('99'),
    count: Number(/(\d+) requests in/.exec(text)?.[1]),
  };
}
