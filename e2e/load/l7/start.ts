// SPDX-License-Identifier: Apache-2.0
// Starts the waypoint program from a configuration file.
import { join } from 'node:path';
import { type Background, background, ROOT } from '../../harness/run.ts';

/** One data-plane process, nothing but its configuration. */
export function startWaypoint(configuration: string, env: Readonly<Record<string, string>>): Background {
  return background(join(ROOT, 'bin/waypoint'), [], {
    AMBIT_WAYPOINT_FILE: configuration,
    AMBIT_WORKERS: '1',
    AMBIT_BIND: '127.0.0.1',
    AMBIT_ADMIN_PORT: '0',
    AMBIT_STATS_PORT: '0',
    AMBIT_READY_PORT: '0',
    ...env,
  });
}
