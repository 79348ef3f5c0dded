// SPDX-License-Identifier: Apache-2.0
// The API server as a program of its own: `node playground/api/main.ts --data DIR --listen HOST:PORT`.
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import { runMain } from '#lib/kit/main.ts';
import { startApi } from './app.ts';
import { parseConfig } from './config.ts';

await runMain(async (argv) => {
  const config = parseConfig(argv);
  const log = createLogger({ scope: 'api', level: config.logLevel });
  const api = await startApi(config, { clock: systemClock, log });
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
  await api.close();
  return 0;
});
