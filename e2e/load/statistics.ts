// SPDX-License-Identifier: Apache-2.0
// Medians of runs, and each peer's figures over another's.
import type { Figures } from './scenario.ts';

/** peer → scenario → figures. */
export type Table = Record<string, Record<string, Figures>>;
/** peer → scenario → figures of its runs, those of one moment at the same place. */
export type Runs = Record<string, Record<string, readonly Figures[]>>;

export function median(values: readonly number[]): number {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return Number.NaN;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The median of each figure over several runs of one scenario. */
function medianFigures(rounds: readonly Figures[]): Figures {
  const names = new Set(rounds.flatMap((figures) => Object.keys(figures))) as Set<keyof Figures>;
  return Object.fromEntries([...names].map((name) => [name, median(rounds.flatMap((figures) => figures[name] ?? []))]));
}

/**
 * `runs[subject]` over each other peer's, figure by figure, where both exist: the median of what two runs of one moment are to each other,
 * so that a machine that is slow for a while is slow for both.
 */
export function ratios(runs: Runs, subject: string): Table {
  const own = runs[subject] ?? {};
  const others = Object.entries(runs).filter(([peer]) => peer !== subject);
  return Object.fromEntries(
    others.map(([peer, its]) => [peer, mapValues(own, (list, name) => over(list, its[name] ?? []))]),
  );
}

/** The median of each figure of each scenario of each peer. */
export function medians(runs: Runs): Table {
  return mapValues(runs, (scenarios) => mapValues(scenarios, medianFigures));
}

function over(own: readonly Figures[], others: readonly Figures[]): Figures {
  return medianFigures(own.map((figures, i) => divide(figures, others[i] ?? {})));
}

function mapValues<A, B>(of: Readonly<Record<string, A>>, change: (value: A, name: string) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(of).map(([name, value]) => [name, change(value, name)]));
}

function divide(a: Figures, b: Figures): Figures {
  const names = Object.keys(a) as (keyof Figures)[];
  return Object.fromEntries(
    names.flatMap((name) => {
      const [x, y] = [a[name], b[name]];
      return x === undefined || y === undefined || y === 0 ? [] : [[name, x / y]];
    }),
  );
}

/** The value below which `percent` of the values lie (nearest rank); NaN of none. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((sorted.length * percent) / 100) - 1)] ?? Number.NaN;
}
