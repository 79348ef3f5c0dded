// SPDX-License-Identifier: Apache-2.0
// waypoint: the layer-7 proxy of the mesh. Arguments and environment become a configuration, the end of the app an exit code.
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import { runMain } from '#lib/kit/main.ts';
import { boundBacktracking } from '#lib/mesh/http/regex.ts';
import { App } from './app.ts';
import { commandOf, loadConfig } from './config.ts';

const HELP = `waypoint, the layer-7 proxy of the mesh

usage: waypoint [proxy [waypoint] ...]   run; everything is set by the environment
       waypoint version                  print the version
       waypoint help                     print this
`;

await runMain(async (argv, env) => {
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')) as {
    version: string;
  };
  const command = commandOf(argv);
  if (command !== 'proxy') {
    process.stdout.write(command === 'version' ? `${version}\n` : HELP);
    return 0;
  }
  boundBacktracking();
  const config = loadConfig({ env, readFile, cores: availableParallelism() });
  const log = createLogger({ scope: 'waypoint', level: config.log.level, format: config.log.format });
  const app = await App.create({
    config,
    clock: systemClock,
    random: Math.random,
    log,
    version,
    workerEnv: workerEnv(env),
  });
  let interrupts = 0;
  process.on('SIGTERM', () => app.stop('SIGTERM'));
  process.on('SIGINT', () => {
    if (interrupts++ > 0) process.exit(130);
    app.stop('SIGINT');
  });
  await app.start();
  return await app.whenEnded();
});

// Data-plane processes are told everything by message; of the environment they get what Node itself needs.
function workerEnv(env: NodeJS.ProcessEnv): Record<string, string> {
  const kept = ['PATH', 'NODE_COMPILE_CACHE', 'TZ'].flatMap((name) =>
    env[name] === undefined ? [] : [[name, env[name]]],
  );
  return Object.fromEntries(kept) as Record<string, string>;
}

function readFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
