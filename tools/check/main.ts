// SPDX-License-Identifier: Apache-2.0
// npm run check: format, lint, types, layers, unused code, and the tests that documents name. Fails on the first kind
// of finding only after all have been shown.
import { spawnSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { runTests } from '../test/run.ts';
import { brokenPromises, namedTests } from './named-tests.ts';

const root = process.cwd();

function program(title: string, command: string, ...args: string[]): boolean {
  const { status } = spawnSync(command, args, { stdio: 'inherit' });
  console.log(`${status === 0 ? 'ok  ' : 'FAIL'}  ${title}`);
  return status === 0;
}

async function documentedTests(): Promise<boolean> {
  const promised = ['docs/*.md', 'docs/parity/*.md']
    .flatMap((pattern) => globSync(pattern))
    .flatMap((file) => namedTests(readFileSync(file, 'utf8')));
  const files = [...new Set(promised.map(({ file }) => file))].filter((file) => !file.startsWith('e2e/')).sort();
  const { results } =
    files.length === 0 ? { results: [] } : await runTests({ root, files, concurrency: 1, timeoutS: 120, quiet: true });
  const broken = brokenPromises(
    promised.filter(({ file }) => !file.startsWith('e2e/')),
    results,
  );
  for (const line of broken) console.error(line);
  console.log(`${broken.length === 0 ? 'ok  ' : 'FAIL'}  ${promised.length} tests named in docs exist and pass`);
  return broken.length === 0;
}

const verdicts = [
  program('format and lint', 'biome', 'ci', '--diagnostic-level=warn', '.'),
  program('types', 'tsc', '-p', '.'),
  program(
    'layers',
    process.execPath,
    '--disable-warning=ExperimentalWarning',
    '--test',
    '--test-reporter=dot',
    'tools/check/layers.test.ts',
  ),
  program('unused code', 'knip', '--no-progress'),
  await documentedTests(),
];
process.exitCode = verdicts.every(Boolean) ? 0 : 1;
