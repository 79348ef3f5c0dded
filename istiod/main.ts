// SPDX-License-Identifier: Apache-2.0
// istiod's process: arguments and signals on one side, the app on the other.

import { once } from 'node:events';
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import { runMain } from '#lib/kit/main.ts';
import { VERSION } from '#lib/kit/version.ts';
import { connectKube } from '#lib/kube/connect.ts';
import { endUnacknowledged } from '#lib/linux/unacknowledged.ts';
import { App } from './app.ts';
import { readConfig } from './config.ts';
import { parseArguments } from './settings/arguments.ts';
import { connectFolder } from './source/connect.ts';
import { SourceHealth } from './watch/source-health.ts';

await runMain(async (argv, env) => {
  const { command, flags, output } = parseArguments(argv);
  if (command !== 'discovery') {
    process.stdout.write(command === 'version' ? `${VERSION}\n` : output);
    return 0;
  }
  const config = readConfig(flags, (name) => env[name]);
  const log = createLogger({ scope: 'istiod', level: config.logLevel, format: config.logFormat });
  log.info('starting', { version: VERSION, ...config, trustedNodeAccounts: [...config.trustedNodeAccounts] });

  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort(new Error(name)));
  const clock = systemClock;
  const health = new SourceHealth(clock.now);
  const { sourceFolder: folder, stateFolder } = config;
  const { client, ...source } =
    folder === undefined
      ? {
          client: connectKube({ kubeconfig: config.kubeconfig, preferServiceAccount: true }, endUnacknowledged),
          stop: () => undefined,
        }
      : connectFolder({ folder, stateFolder, clock, random: Math.random, log: log.child('folder'), health });
  try {
    const app = await App.start({ config, client, clock, random: Math.random, log, health }, stop.signal);
    if (!stop.signal.aborted) await once(stop.signal, 'abort');
    log.info('stopping', { reason: String(stop.signal.reason) });
    await app.stop();
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    log.info('stopped while starting', { reason: String(stop.signal.reason) });
  } finally {
    source.stop();
    await client.close();
  }
  return 0;
});
