// SPDX-License-Identifier: Apache-2.0
// Entry of a data-plane process; main starts it (lib/loop/workers.ts) and hands it its descriptors.
import { runWorker, workerArgument } from '#lib/loop/worker.ts';
import { createWorker } from './worker.ts';

const argument = workerArgument(process.argv);
if (argument === undefined) {
  process.stderr.write('ztunnel/worker/main.ts is started by ztunnel, not by hand\n');
  process.exitCode = 2;
} else {
  process.exitCode = runWorker(argument, createWorker);
}
