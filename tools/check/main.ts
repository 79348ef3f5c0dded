// SPDX-License-Identifier: Apache-2.0
// npm run check: format, lint, types, layers, unused code, and the tests that documents name. Fails on the first kind
// of finding only after all have been shown.
import { spawnSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { TIMEOUT_S } from '../test/kinds.ts';
import { readResults, type TestResult } from '../test/report.ts';
import { runTests } from '../test/run.ts';
import { workTree } from '../test/tree.ts';
import { brokenPromises, namedTests } from './named-tests.ts';

const root = process.cwd();

function program(title: string, command: string, ...args: string[]): boolean {
  const { status } = spawnSync(command, args, { stdio: 'inherit' });
  console.log(`${status === 0 ? 'ok  ' : 'FAIL'}  ${title}`);
  return status === 0;
}

/** Tests that documents name have run on this very tree, or run now; each file once. */
async function documentedTests(): Promise<boolean> {
  const promised = ['docs/*.md', 'docs/parity/*.md']
    .flatMap((pattern) => globSync(pattern))
    .flatMap((file) => namedTests(readFileSync(file, 'utf8')))
    .filter(({ file }) => !file.startsWith('e2e/'));
  const tree = workTree(root);
  const known = ['unit', 'net'].flatMap((kind) => readResults(`.cache/test/${kind}.json`, tree));
  // What failed then has another chance.
  const failed = new Set(known.filter(({ passed }) => !passed).map(({ file }) => file));
  const ran = new Set(known.map(({ file }) => file).filter((file) => !failed.has(file)));
  const files = [...new Set(promised.map(({ file }) => file))].filter((file) => !ran.has(file)).sort();
  const [net, unit] = [
    files.filter((file) => file.endsWith('.net.test.ts')),
    files.filter((file) => !file.endsWith('.net.test.ts')),
  ];
  const results = [
    ...known.filter(({ file }) => ran.has(file)),
    ...(await resultsOf(unit, 2, TIMEOUT_S.unit)),
    ...(await resultsOf(net, 1, TIMEOUT_S.net)),
  ];
  const broken = brokenPromises(promised, results);
  for (const line of broken) console.error(line);
  const again = ran.size === 0 ? '' : `, ${ran.size} files of them in the last run of this tree`;
  console.log(
    `${broken.length === 0 ? 'ok  ' : 'FAIL'}  ${promised.length} tests named in docs exist and pass${again}`,
  );
  return broken.length === 0;
}

async function resultsOf(
  files: readonly string[],
  concurrency: number,
  timeoutS: number,
): Promise<readonly TestResult[]> {
  if (files.length === 0) return [];
  return (await runTests({ root, files, concurrency, timeoutS, quiet: true })).results;
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
