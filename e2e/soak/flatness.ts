// SPDX-License-Identifier: Apache-2.0
// Whether memory is flat, from samples of it. Pure.
//
// What a process holds goes up and down with its collections, and several processes take turns. The first half may rise, since code is
// compiled and caches fill up, but only so far: floors are compared, the least of a twelfth of the run. In the second half a straight line is laid
// through the means of the twelfths, and it must not rise. A line through few points rises by chance, too: what it rises must be more than
// its own uncertainty before it counts.

export interface Point {
  readonly second: number;
  readonly mb: number;
}

export interface Curve {
  /** The floor after the first moments, and at the end. */
  readonly earlyMb: number;
  readonly lateMb: number;
  /** Of the line through the second half. */
  readonly mbPerMinute: number;
  /** Standard error of that. */
  readonly error: number;
}

const WINDOWS = 12;
/** The first is left out: it begins with what the load before it left. */
const EARLY = [1, 3] as const;
const LATE = 2;

/** A proxy's processes together may rise by this; what a leak costs in a day is 1.4 GB then. */
const MAX_MB_PER_MINUTE = 1;
/** So many standard errors are no chance: of runs in which nothing rises, one in forty is that far off (Student's t of 4 degrees). */
const CERTAIN = 2.8;
/** Over the whole run. */
const MAX_RISE = { share: 0.15, mb: 8 };

export function curveOf(points: readonly Point[]): Curve {
  const parts = partsOf(points);
  const floors = parts.map((part) => part.reduce((low, point) => (point.mb < low.mb ? point : low)));
  const { error, slope } = lineThrough(parts.slice(Math.floor(parts.length / 2)).map(meanOf));
  const least = (some: readonly Point[]): number => Math.min(...some.map(({ mb }) => mb));
  return {
    earlyMb: least(floors.slice(...EARLY)),
    lateMb: least(floors.slice(-LATE)),
    mbPerMinute: slope * 60,
    error: error * 60,
  };
}

/** Whether memory stays where it is in the second half. */
export function staysFlat({ error, mbPerMinute }: Curve): boolean {
  return mbPerMinute <= MAX_MB_PER_MINUTE || mbPerMinute <= CERTAIN * error;
}

/** Whether all that was taken after the first moments is what warming up may take. */
export function staysLow({ earlyMb, lateMb }: Curve): boolean {
  return lateMb <= earlyMb * (1 + MAX_RISE.share) + MAX_RISE.mb;
}

/** The run in twelve, or fewer if there are fewer points. */
function partsOf(points: readonly Point[]): (readonly Point[])[] {
  const count = Math.min(WINDOWS, points.length);
  return Array.from({ length: count }, (_, k) =>
    points.slice(Math.floor((k * points.length) / count), Math.floor(((k + 1) * points.length) / count)),
  );
}

function meanOf(points: readonly Point[]): Point {
  const mean = (of: (point: Point) => number): number =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length;
  return { second: mean(({ second }) => second), mb: mean(({ mb }) => mb) };
}

/** Least squares. */
function lineThrough(points: readonly Point[]): { readonly slope: number; readonly error: number } {
  const n = points.length;
  if (n < 3) return { slope: 0, error: 0 };
  const { mb: meanY, second: meanX } = meanOf(points);
  const spread = points.reduce((sum, { second }) => sum + (second - meanX) ** 2, 0);
  if (spread === 0) return { slope: 0, error: 0 };
  const slope = points.reduce((sum, { mb, second }) => sum + (second - meanX) * (mb - meanY), 0) / spread;
  const rest = points.reduce((sum, { mb, second }) => sum + (mb - meanY - slope * (second - meanX)) ** 2, 0);
  return { slope, error: Math.sqrt(rest / (n - 2) / spread) };
}
