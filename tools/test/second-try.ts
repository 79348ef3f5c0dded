// SPDX-License-Identifier: Apache-2.0
// A run and the second run of the files that failed in it, as one: the second try counts, and the first is not forgotten.
import type { TestResult } from './report.ts';
import type { TestRun } from './run.ts';

/** The first run's results, with those of the files that ran again in their place. */
export function secondTry(first: TestRun, second: TestRun): TestRun {
  const failedAtFirst = new Set(first.results.filter((result) => !result.passed).map(key));
  const ranAgain = new Set(second.results.map((result) => result.file));
  return {
    results: [
      ...first.results.filter((result) => !ranAgain.has(result.file)),
      ...second.results.map((result) => ({ ...result, unsteady: result.passed && failedAtFirst.has(key(result)) })),
    ],
    failed: second.failed,
  };
}

function key({ file, name }: TestResult): string {
  return `${file}\n${name}`;
}
