// SPDX-License-Identifier: Apache-2.0
// Whether memory is flat, from samples of it. Pure.
//
// What a process holds goes up and down with its collections, so the floor is looked at: the least of each twelfth of the run. The first half
// may rise, since code is compiled and caches fill up, but only so far; in the second half a straight line is laid through the floors,
// and it must not rise. A line through few points rises by chance, too: what it rises must be more than its own uncertainty before it counts.

export interface Point {
  readonly second: number;
  readonly mb: number;
}

export interface Curve {
  /** The floor after the first moments, and at the end. */
  readonly earlyMb: number;
  readonly lateMb: number;
  /** By which the floor rises in the second half. */
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
  const floors = floorsOf(points);
  const half = floors.slice(Math.floor(floors.length / 2));
  const { error, slope } = lineThrough(half);
  const least = (some: readonly Point[]): number => Math.min(...some.map(({ mb }) => mb));
  return {
    earlyMb: least(floors.slice(...EARLY)),
    lateMb: least(floors.slice(-LATE)),
    mbPerMinute: slope * 60,
    error: error * 60,
  };
}

/** Whether the floor stays where it is in the second half. */
export function staysFlat({ error, mbPerMinute }: Curve): boolean {
  return mbPerMinute <= MAX_MB_PER_MINUTE || mbPerMinute <= CERTAIN * error;
}

/** Whether all that was taken after the first moments is what warming up may take. */
export function staysLow({ earlyMb, lateMb }: Curve): boolean {
  return lateMb <= earlyMb * (1 + MAX_RISE.share) + MAX_RISE.mb;
}

/** The lowest point of each part of the run. */
function floorsOf(points: readonly Point[]): Point[] {
  const count = Math.min(WINDOWS, points.length);
  return Array.from({ length: count }, (_, k) => {
    const part = points.slice(Math.floor((k * points.length) / count), Math.floor(((k + 1) * points.length) / count));
    return part.reduce((low, point) => (point.mb < low.mb ? point : low));
  });
}

/** Least squares. */
function lineThrough(points: readonly Point[]): { readonly slope: number; readonly error: number } {
  const n = points.length;
  const mean = (of: (point: Point) => number): number => points.reduce((sum, point) => sum + of(point), 0) / n;
  const [meanX, meanY] = [mean(({ second }) => second), mean(({ mb }) => mb)];
  const spread = points.reduce((sum, { second }) => sum + (second - meanX) ** 2, 0);
  if (n < 3 || spread === 0) return { slope: 0, error: 0 };
  const slope = points.reduce((sum, { mb, second }) => sum + (second - meanX) * (mb - meanY), 0) / spread;
  const rest = points.reduce((sum, { mb, second }) => sum + (mb - meanY - slope * (second - meanX)) ** 2, 0);
  return { slope, error: Math.sqrt(rest / (n - 2) / spread) };
}
