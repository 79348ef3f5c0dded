// SPDX-License-Identifier: Apache-2.0
// A document may name the test that proves a row: | … | `lib/linux/epoll.test.ts` | trap 2: a stale event … |.
// These names are held against a real run, so that a table cannot promise a test that is gone, renamed or skipped.
import type { TestResult } from '../test/report.ts';

export interface NamedTest {
  readonly file: string;
  readonly name: string;
}

/** Every (file, name) pair of adjacent cells in the Markdown tables of `text`; several names in a cell are split by `<br>`. */
export function namedTests(text: string): NamedTest[] {
  return text.split('\n').flatMap((line) => {
    const cells = line.split('|').map((cell) => cell.trim());
    return cells.flatMap((cell, i) => {
      const file = /^`([\w/.-]+\.test\.ts)`$/.exec(cell)?.[1];
      const names = cells[i + 1];
      return file === undefined || !names ? [] : names.split('<br>').map((name) => ({ file, name: name.trim() }));
    });
  });
}

/** What is wrong with the promises, given the results of a run of their files. */
export function brokenPromises(promised: readonly NamedTest[], results: readonly TestResult[]): string[] {
  return promised.flatMap(({ file, name }) => {
    const result = results.find((candidate) => candidate.file === file && candidate.name === name);
    if (result === undefined) return [`${file}: no test named ${JSON.stringify(name)} ran`];
    if (result.skipped) return [`${file}: ${JSON.stringify(name)} was skipped`];
    return result.passed ? [] : [`${file}: ${JSON.stringify(name)} failed`];
  });
}
