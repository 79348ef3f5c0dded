// SPDX-License-Identifier: Apache-2.0
// What a test run left behind: which named tests ran and passed. A skipped test counts as one that did not run.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { TestEvent } from 'node:test/reporters';

export interface TestResult {
  readonly file: string;
  readonly name: string;
  readonly passed: boolean;
  readonly skipped: boolean;
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

export function writeResults(path: string, results: readonly TestResult[]): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(results, null, 1)}\n`);
}
