// SPDX-License-Identifier: Apache-2.0
// Whether memory is flat. Pure.
//
// Under load a process holds garbage up to its next collection, which with little garbage is minutes away: a saw, whose teeth are as
// long as what a soak could judge. So that is held to a bound: floors are compared, the least of a twelfth of the run. Whether anything
// leaks is seen at rest, where each process has collected and given back what it could: in the second half, when caches are full
// and code is compiled, what is held at rest must not rise.

export interface Point {
  readonly second: number;
  readonly mb: number;
}

const WINDOWS = 12;
/** The first is left out: it begins with what the load before it left. */
const EARLY = [1, 3] as const;
const LATE = 2;

/** Under load, over the whole run: what warming up may take. */
const MAX_RISE = { share: 0.15, mb: 8 };
/** At rest, a program's processes together; what a leak costs in a day is 1.4 GB then. */
const MAX_MB_PER_MINUTE = 1;

/** Of samples under load: the floor after the first moments, and at the end. */
export interface Floors {
  readonly earlyMb: number;
  readonly lateMb: number;
}

export function floorsOf(points: readonly Point[]): Floors {
  const count = Math.min(WINDOWS, points.length);
  const floors = Array.from({ length: count }, (_, k) =>
    least(points.slice(Math.floor((k * points.length) / count), Math.floor(((k + 1) * points.length) / count))),
  );
  return { earlyMb: Math.min(...floors.slice(...EARLY)), lateMb: Math.min(...floors.slice(-LATE)) };
}

/** Whether all that was taken after the first moments is what warming up may take. */
export function staysLow({ earlyMb, lateMb }: Floors): boolean {
  return lateMb <= earlyMb * (1 + MAX_RISE.share) + MAX_RISE.mb;
}

/** Whether what is held at rest stays the same from the second to the last of these, which are the start, half-way and the end. */
export function staysFlat(rests: readonly Point[]): boolean {
  const [, half, ...later] = rests;
  const end = later.at(-1);
  if (half === undefined || end === undefined) return false;
  return end.mb - half.mb <= (MAX_MB_PER_MINUTE * (end.second - half.second)) / 60;
}

function least(points: readonly Point[]): number {
  return Math.min(...points.map(({ mb }) => mb));
}
