// SPDX-License-Identifier: Apache-2.0
// Entry of a data-plane process; main starts it (lib/loop/workers.ts) and hands it its descriptors.
import { runWorker, workerArgument } from '#lib/loop/worker.ts';
import { boundBacktracking } from '#lib/mesh/http/regex.ts';
import { createWorker } from './worker.ts';

const argument = workerArgument(process.argv);
if (argument === undefined) {
  process.stderr.write('waypoint/worker/main.ts is started by waypoint, not by hand\n');
  process.exitCode = 2;
} else {
  boundBacktracking();
  // Requests have nothing to gather for: as a batch process it served no more of them, and the slowest hundredth waited longer.
  process.exitCode = runWorker(argument, createWorker, { gathers: false });
}
