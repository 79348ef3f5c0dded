// SPDX-License-Identifier: Apache-2.0
// Entry of the supervisor: `main.ts STATE_DIR GROUP API_PORT`, started by the keeper as process 1 of new namespaces.
// Descriptor 3 leads to `playground up`: one JSON line a step. When it closes before `up` has said that it goes, the
// cluster ends: an `up` that was killed leaves nothing. Descriptor 4 is the API's listening socket outside.
import { readFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { basename, dirname } from 'node:path';
import { systemClock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import { createLogger, type Level } from '#lib/kit/log.ts';
import { runMain } from '#lib/kit/main.ts';
import { readConfig } from '../config.ts';
import { SYSTEM_PATH } from '../requirements.ts';
import { readRecord, statePaths, writeRecord } from '../state.ts';
import { ClusterApp } from './app.ts';
import { serveControl } from './control.ts';
import { DETACH, type Progress } from './progress.ts';

const LIFELINE_FD = 3;
const API_FD = 4;

await runMain(async ([dir = '', group = '', apiPort = '0']) => {
  process.env['PATH'] = SYSTEM_PATH;
  const paths = statePaths(dirname(dir), basename(dir));
  const config = readConfig(paths.config);
  const log = createLogger({ scope: 'playground', level: config.logLevel as Level });
  const lifeline = new Socket({ fd: LIFELINE_FD, readable: true, writable: true });
  const tell = (progress: Progress): void => {
    lifeline.write(`${JSON.stringify(progress)}\n`);
  };
  let detached = false;
  lifeline.setEncoding('utf8').on('data', (text: string) => {
    detached ||= text.includes(DETACH);
  });
  // Process 1 ends the namespace by ending.
  lifeline.on('close', () => detached || process.exit(1)).on('error', () => lifeline.destroy());

  const app = new ClusterApp({
    ...{ config, paths, log, clock: systemClock, apiFd: API_FD, apiPort: Number(apiPort) },
    group: group === '' ? undefined : group,
    unprivileged: !ownsAllIds(),
    report: (step) => tell({ kind: 'step', step }),
  });
  try {
    await serveControl(app, paths.control);
    await app.start();
  } catch (error) {
    log.error('the cluster did not come up', { error: describeError(error) });
    lifeline.end(`${JSON.stringify({ kind: 'failed', message: describeError(error) } satisfies Progress)}\n`);
    // With --keep the rest stays for inspection until `down`.
    if (!config.keep) return 1;
    detached = true;
    await new Promise<never>(() => undefined);
  }
  const record = readRecord(paths);
  if (record !== undefined) writeRecord(paths, { ...record, ready: true });
  tell({ kind: 'ready' });
  await new Promise<never>(() => undefined);
  return 0;
});

/** False in a user namespace that maps one id only. */
function ownsAllIds(): boolean {
  const ranges = readFileSync('/proc/self/uid_map', 'utf8').trim().split('\n');
  return ranges.reduce((sum, line) => sum + Number(line.trim().split(/\s+/)[2]), 0) > 65_535;
}
