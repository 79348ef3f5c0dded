// SPDX-License-Identifier: Apache-2.0
// waypoint: the layer-7 proxy of the mesh. Arguments and environment become a configuration, the end of the app an exit code.
import { availableParallelism } from 'node:os';
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import { boundBacktracking } from '#lib/mesh/http/regex.ts';
import { readFileIfAny, runProxy } from '#lib/proxy/program.ts';
import { App } from './app.ts';
import { loadConfig } from './config.ts';

const HELP = `waypoint, the layer-7 proxy of the mesh

usage: waypoint [proxy [waypoint] ...]   run; everything is set by the environment
       waypoint version                  print the version
       waypoint help                     print this
`;

await runProxy(HELP, ({ env, version, workerEnv }) => {
  boundBacktracking();
  const config = loadConfig({ env, readFile: readFileIfAny, cores: availableParallelism(), version });
  const log = createLogger({ scope: 'waypoint', level: config.log.level, format: config.log.format });
  return App.create({ config, clock: systemClock, random: Math.random, log, version, workerEnv });
});
