// SPDX-License-Identifier: Apache-2.0
// Runs one kind of test: node tools/test/main.ts unit|net|e2e|fuzz [FILTER…]. A FILTER is part of a file's path.
// A skipped test fails the run: as root, on the machine the README describes, nothing may skip.
import { availableParallelism } from 'node:os';
import { AGAIN_AT_MOST, filesOf, type Kind, RUN_AGAIN, TIMEOUT_S } from './kinds.ts';
import { writeResults } from './report.ts';
import { runTests, type TestRun } from './run.ts';
import { secondTry } from './second-try.ts';
import { workTree } from './tree.ts';

const root = process.cwd();
const [kind = '', ...filters] = process.argv.slice(2);
process.exitCode = isKind(kind) ? await main(kind) : usage();

async function main(kind: Kind): Promise<number> {
  const chosen = (file: string): boolean => filters.length === 0 || filters.some((part) => file.includes(part));
  const files = filesOf(kind, root).filter(chosen);
  if (files.length === 0) {
    console.error(`no ${kind} test${filters.length === 0 ? '' : ` matches ${filters.join(', ')}`}`);
    return 1;
  }
  // Tests of programs that own a namespace, or a whole cluster, run one after another: two cores carry one cluster.
  const concurrency = kind === 'unit' ? 2 : kind === 'fuzz' ? availableParallelism() : 1;
  const tree = workTree(root);
  const runOf = (files: readonly string[]): Promise<TestRun> =>
    runTests({ root, files, concurrency, timeoutS: TIMEOUT_S[kind] });
  const first = await runOf(files);
  const again = RUN_AGAIN.includes(kind) && first.failed.length <= AGAIN_AT_MOST ? first.failed : [];
  const { results, failed } = again.length === 0 ? first : secondTry(first, await runOf(again));
  writeResults(`.cache/test/${kind}.json`, tree, results);
  for (const { file, name } of results.filter((result) => result.unsteady)) {
    console.error(`unsteady, passed only when run again: ${file}: ${name}`);
  }
  const skipped = results.filter((result) => result.skipped);
  for (const { file, name } of skipped) console.error(`skipped: ${file}: ${name}`);
  return failed.length > 0 || skipped.length > 0 || results.length === 0 ? 1 : 0;
}

function isKind(text: string): text is Kind {
  return text in TIMEOUT_S;
}

function usage(): number {
  console.error('usage: node tools/test/main.ts unit|net|e2e|fuzz [FILTER…]');
  return 2;
}
