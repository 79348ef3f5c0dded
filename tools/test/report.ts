// SPDX-License-Identifier: Apache-2.0
// What a test run left behind: which named tests ran and passed. A skipped test counts as one that did not run.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { TestEvent } from 'node:test/reporters';

export interface TestResult {
  readonly file: string;
  readonly name: string;
  readonly passed: boolean;
  readonly skipped: boolean;
  /** It failed, and passed when its file was run again: a fault of the test, or of what it tests, to be looked for. */
  readonly unsteady?: boolean;
}

/** The results in a run's events, one for each test that is no suite or file. */
export function resultsOf(events: readonly TestEvent[]): TestResult[] {
  return events.flatMap((event) => {
    if (event.type !== 'test:pass' && event.type !== 'test:fail') return [];
    const { name, file, details, skip } = event.data;
    if (details.type === 'suite' || file === undefined || name === file) return [];
    return [{ file, name, passed: event.type === 'test:pass', skipped: skip !== undefined && skip !== false }];
  });
}

/** A run's results and the tree it ran on (see tree.ts). */
interface Kept {
  readonly tree: string;
  readonly results: readonly TestResult[];
}

export function writeResults(path: string, tree: string, results: readonly TestResult[]): void {
  mkdirSync(dirname(path), { recursive: true });
  const kept: Kept = { tree, results };
  writeFileSync(path, `${JSON.stringify(kept, null, 1)}\n`);
}

/** The results at `path` if they are of this very tree; none otherwise. */
export function readResults(path: string, tree: string): readonly TestResult[] {
  if (tree === '' || !existsSync(path)) return [];
  const kept = JSON.parse(readFileSync(path, 'utf8')) as Partial<Kept>;
  return kept.tree === tree ? (kept.results ?? []) : [];
}
