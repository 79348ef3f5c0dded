// SPDX-License-Identifier: Apache-2.0
// The node agent's process: arguments and signals on one side, the app on the other.
import { once } from 'node:events';
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import { runMain } from '#lib/kit/main.ts';
import { VERSION } from '#lib/kit/version.ts';
import { connectKube } from '#lib/kube/connect.ts';
import { endUnacknowledged } from '#lib/linux/unacknowledged.ts';
import { App } from './app.ts';
import { readConfig } from './config.ts';

await runMain(async (argv, env) => {
  const config = readConfig(argv, (name) => env[name]);
  const log = createLogger({ scope: 'cni', level: config.logLevel, format: config.logFormat });
  log.info('starting', { version: VERSION, ...config });
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort(new Error(name)));
  const client = connectKube({ kubeconfig: config.kubeconfig, preferServiceAccount: true }, endUnacknowledged);
  try {
    const app = await App.start({ config, client, clock: systemClock, random: Math.random, log });
    log.info('ready');
    if (!stop.signal.aborted) await once(stop.signal, 'abort');
    log.info('stopping', { reason: String(stop.signal.reason) });
    await app.stop();
  } finally {
    await client.close();
  }
  return 0;
});
