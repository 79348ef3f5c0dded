// SPDX-License-Identifier: Apache-2.0
// What a soak has shown, as a table and as passed or not. Pure.
import Table from 'cli-table3';
import { type Floors, floorsOf, type Point, staysFlat, staysLow } from './flatness.ts';

export interface Sample {
  readonly second: number;
  /** Of each node's proxy, all its processes, without pages of files. */
  readonly memoryMb: readonly number[];
}

/** What the programs hold with the same pods and nothing under way, after `second` seconds of load. */
export interface Rest extends Sample {
  /** Of each. */
  readonly descriptors: readonly number[];
}

export interface Shown {
  readonly seconds: number;
  /** What the load wrote: a line of JSON a second. */
  readonly lines: string;
  readonly samples: readonly Sample[];
  readonly churn: { readonly changes: number; readonly answered: number; readonly silent: readonly string[] };
  /** Before the load, half-way and at the end. */
  readonly rests: readonly Rest[];
  /** Data-plane processes that ended by themselves. */
  readonly restarts: number;
}

const MIN_RATE = 2000;
const MIN_POD_CHANGES = 4.9;
const DESCRIPTOR_SLACK = 4;

export interface Verdict {
  readonly passed: boolean;
  readonly text: string;
}

export function verdictOf(shown: Shown): Verdict {
  const load = totals(shown.lines);
  const { churn, rests, samples, seconds } = shown;
  const rate = load.ok / seconds;
  const checks: readonly SoakCheck[] = [
    ['requests a second', rate.toFixed(0), rate >= MIN_RATE],
    ['requests that policy allows and that failed', reasons(load), load.failed === 0],
    [
      'connections that policy denies and that passed',
      `${load.leaked} of ${load.denied}`,
      load.leaked === 0 && load.denied > 0,
    ],
    ['pod changes a second', (churn.changes / seconds).toFixed(1), churn.changes / seconds >= MIN_POD_CHANGES],
    ['new pods that do not answer', silence(churn), churn.silent.length === 0 && churn.answered > 0],
    ...memoryChecks(samples, rests),
    descriptorCheck(rests),
    ['data-plane processes that ended', String(shown.restarts), shown.restarts === 0],
  ];
  return judged(seconds, checks);
}

/** What was looked at, what was seen, and whether it is as it should be. */
export type SoakCheck = readonly [string, string, boolean];

/** The verdict over these checks, and the table that shows it. */
export function judged(seconds: number, checks: readonly SoakCheck[]): Verdict {
  const table = new Table({ head: ['', `in ${seconds.toFixed(0)} s`, ''], style: { head: [], border: [] } });
  for (const [what, seen, holds] of checks) table.push([what, seen, holds ? 'ok' : 'FAILED']);
  return { passed: checks.every(([, , holds]) => holds), text: table.toString() };
}

/** What each program holds must stay low under load and flat at rest (flatness.ts). */
export function memoryChecks(samples: readonly Sample[], rests: readonly Rest[]): readonly SoakCheck[] {
  const loaded = curves(samples).map(floorsOf);
  const resting = curves(rests);
  const all = (of: (floors: Floors) => number): string => loaded.map((floors) => megabytes(of(floors))).join(' + ');
  const held = resting.map((points) => points.map(({ mb }) => mb.toFixed(1)).join(', ')).join(' + ');
  return [
    [
      'memory under load, early and late',
      `${all(({ earlyMb }) => earlyMb)} → ${all(({ lateMb }) => lateMb)}`,
      loaded.length > 0 && loaded.every(staysLow),
    ],
    ['MB at rest, at the start, half-way, at the end', held, resting.length > 0 && resting.every(staysFlat)],
  ];
}

/** Of each program its own. */
function curves(samples: readonly Sample[]): Point[][] {
  const programs = samples[0]?.memoryMb ?? [];
  return programs.map((_, k) => samples.map(({ memoryMb, second }) => ({ second, mb: memoryMb[k]! })));
}

/** As many descriptors at the end as at the start. */
export function descriptorCheck(rests: readonly Rest[], slack = DESCRIPTOR_SLACK): SoakCheck {
  const before = rests[0]?.descriptors ?? [];
  const left = (rests.at(-1)?.descriptors ?? []).map((count, k) => count - before[k]!);
  return ['descriptors left over', left.join(', '), left.length > 0 && left.every((count) => count <= slack)];
}

interface Totals {
  ok: number;
  failed: number;
  denied: number;
  leaked: number;
  readonly reasons: Map<string, number>;
}

function totals(lines: string): Totals {
  const sum: Totals = { ok: 0, failed: 0, denied: 0, leaked: 0, reasons: new Map() };
  for (const line of lines.split('\n')) {
    if (!line.startsWith('{')) continue;
    const counts = JSON.parse(line) as Omit<Totals, 'reasons'> & { reasons: Record<string, number> };
    for (const key of ['ok', 'failed', 'denied', 'leaked'] as const) sum[key] += counts[key];
    for (const [reason, n] of Object.entries(counts.reasons))
      sum.reasons.set(reason, (sum.reasons.get(reason) ?? 0) + n);
  }
  return sum;
}

/** How many failed, and the first reasons. */
export function reasons({ failed, ok, reasons: why }: Pick<Totals, 'failed' | 'ok' | 'reasons'>): string {
  const told = [...why].slice(0, 3).map(([reason, n]) => `${n} × ${reason}`);
  return `${failed} of ${ok + failed}${told.length > 0 ? ` (${told.join('; ')})` : ''}`;
}

function silence({ answered, silent }: Shown['churn']): string {
  return `${silent.length} of ${answered + silent.length}${silent.length > 0 ? ` (${silent[0]})` : ''}`;
}

function megabytes(mb: number): string {
  return `${mb.toFixed(0)} MB`;
}
