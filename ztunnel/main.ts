// SPDX-License-Identifier: Apache-2.0
// ztunnel: the node proxy of the mesh. Arguments and environment become a configuration, the end of the app an exit code.
import { availableParallelism } from 'node:os';
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import { readFileIfAny, runProxy } from '#lib/proxy/program.ts';
import { applyFilter } from './admin/logging.ts';
import { App } from './app.ts';
import { loadConfig } from './config.ts';

const HELP = `ztunnel, the node proxy of the mesh

usage: ztunnel [proxy [ztunnel]]   run; everything is set by the environment
       ztunnel version             print the version
       ztunnel help                print this
`;

await runProxy(HELP, ({ env, version, workerEnv }) => {
  const config = loadConfig({ env, readFile: readFileIfAny, cores: availableParallelism(), version });
  const log = createLogger({ scope: 'ztunnel', level: config.log.level, format: config.log.format });
  applyFilter(log, config.log);
  return App.create({ config, clock: systemClock, random: Math.random, log, version, workerEnv });
});
