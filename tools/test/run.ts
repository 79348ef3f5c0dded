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

export interface TestRun {
  /** Every test's result. */
  readonly results: TestResult[];
  /** Files in which a test failed, or that broke as a whole, as paths from the root. */
  readonly failed: string[];
}

/** Runs the files and prints as it goes. */
export async function runTests(options: RunOptions): Promise<TestRun> {
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
  return { results, failed: failedFiles(events).map((file) => relative(root, file)) };
}

function failedFiles(events: readonly TestEvent[]): string[] {
  const files = events.flatMap((event) => (event.type === 'test:fail' ? [event.data.file ?? event.data.name] : []));
  return [...new Set(files)];
}
