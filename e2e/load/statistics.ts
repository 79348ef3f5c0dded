// SPDX-License-Identifier: Apache-2.0
// Medians of rounds, and each peer's figures over another's.
import type { Figures } from './scenario.ts';

/** peer → scenario → figures. */
export type Table = Record<string, Record<string, Figures>>;

export function median(values: readonly number[]): number {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return Number.NaN;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The median of each figure over several runs of one scenario. */
export function medianFigures(rounds: readonly Figures[]): Figures {
  const names = new Set(rounds.flatMap((figures) => Object.keys(figures))) as Set<keyof Figures>;
  return Object.fromEntries([...names].map((name) => [name, median(rounds.flatMap((figures) => figures[name] ?? []))]));
}

/** `table[subject]` divided by each other peer's, figure by figure, where both exist. */
export function ratios(table: Table, subject: string): Table {
  const own = table[subject] ?? {};
  const others = Object.keys(table).filter((peer) => peer !== subject);
  return Object.fromEntries(
    others.map((peer) => [
      peer,
      Object.fromEntries(
        Object.entries(own).map(([scenario, figures]) => [scenario, divide(figures, table[peer]?.[scenario] ?? {})]),
      ),
    ]),
  );
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
