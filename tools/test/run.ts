// SPDX-License-Identifier: Apache-2.0
// One run of Node's test runner over given files, its results kept by name.
import { relative } from 'node:path';
import { run } from 'node:test';
import { dot, spec, type TestEvent } from 'node:test/reporters';
import { resultsOf, type TestResult } from './report.ts';

export interface RunOptions {
  readonly root: string;
  readonly files: readonly string[];
  readonly concurrency: number;
  readonly timeoutS: number;
  /** Only dots and failures. */
  readonly quiet?: boolean;
}

/** Runs the files, prints as it goes, and gives every test's result; `failed` also counts files that broke as a whole. */
export async function runTests(
  options: RunOptions,
): Promise<{ readonly results: TestResult[]; readonly failed: boolean }> {
  const { root, files, concurrency, timeoutS, quiet = false } = options;
  const events: TestEvent[] = [];
  const stream = run({
    files: [...files],
    concurrency,
    timeout: timeoutS * 1000,
    execArgv: ['--disable-warning=ExperimentalWarning'],
  });
  stream.on('data', (event: TestEvent) => events.push(event));
  if (quiet) stream.compose(dot).pipe(process.stdout);
  else stream.compose(new spec()).pipe(process.stdout);
  await new Promise<void>((resolve) => stream.on('end', () => resolve()));
  const results = resultsOf(events).map((result) => ({ ...result, file: relative(root, result.file) }));
  return { results, failed: events.some((event) => event.type === 'test:fail') };
}
