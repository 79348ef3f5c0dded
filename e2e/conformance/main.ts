// SPDX-License-Identifier: Apache-2.0
// `make conformance`: Gateway API's own suite, built from its module, against a playground with the mesh in it. Its two
// images are found by pattern in the playground's image map: echo-basic is built from the same module, echo-advanced is
// a program of ours. Further words go to the suite (`-run-test=MeshBasic`); without any, the report is written.
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Cluster } from '../harness/cluster.ts';
import { endedByHand } from '../harness/ended-by-hand.ts';
import { ROOT, run } from '../harness/run.ts';

const FOLDER = join(ROOT, 'e2e/conformance');
const BIN = join(ROOT, '.cache/bin');
const BUILD_MS = 900_000;
const SUITE = 'sigs.k8s.io/gateway-api/conformance';

const words = process.argv.slice(2);
// Ended by hand, it takes down what it has built.
const ended = endedByHand();
mkdirSync(BIN, { recursive: true });
const build = (...args: string[]) => run('go', args, { cwd: FOLDER, timeoutMs: BUILD_MS, signal: ended });
await build('build', '-o', join(BIN, 'echo-basic'), `${SUITE}/echo-basic`);
await build('test', '-c', '-o', join(BIN, 'conformance.test'), '.');

const name = process.env['NAME'] ?? `conformance-${process.pid}`;
const images = { 'echo-basic': join(BIN, 'echo-basic'), 'echo-advanced': join(FOLDER, 'bin/echo-advanced') };
const cluster = await Cluster.up({
  ...{ name, ended },
  args: Object.entries(images).flatMap(([image, command]) => ['--image', `*gateway-api/${image}=${command}`]),
});
try {
  await cluster.apply('e2e/conformance/backends.yaml');
  process.exitCode = await suite(cluster.kubeconfig);
} finally {
  if (process.env['KEEP'] === undefined) await cluster.down();
  else console.log(`the cluster stays: bin/ambit playground down --name ${name}`);
}

/** Runs the suite with its output shown; gives its exit code. */
function suite(kubeconfig: string): Promise<number> {
  const report = words.length === 0 ? [`-report-output=${join(FOLDER, 'report.yaml')}`] : [];
  const options = [`-conformance-options-file=${join(FOLDER, 'options.yaml')}`, ...report];
  const child = spawn(join(BIN, 'conformance.test'), ['-test.v', '-test.timeout=30m', ...options, ...words], {
    cwd: FOLDER,
    stdio: 'inherit',
    signal: ended,
    env: { ...process.env, KUBECONFIG: kubeconfig },
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
}
