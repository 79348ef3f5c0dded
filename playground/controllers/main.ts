// SPDX-License-Identifier: Apache-2.0
// The controllers as a program: `node playground/controllers/main.ts [--kubeconfig FILE]`.
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger, LEVELS } from '#lib/kit/log.ts';
import { runMain } from '#lib/kit/main.ts';
import { KubeClient } from '#lib/kube/client.ts';
import { KubeConfigTransport, loadKubeConfig } from '#lib/kube/transport.ts';
import { startControllers } from './app.ts';

await runMain(async (argv) => {
  const options = new Command('playground-controllers')
    .description('Deployments, endpoints, scheduling and the rest of what turns an API server into a cluster.')
    .option('--kubeconfig <file>', 'where the API server is; default as kubectl')
    .option('--log-level <level>', LEVELS.join(', '), 'info')
    .parse([...argv], { from: 'user' })
    .opts<{ kubeconfig?: string; logLevel: string }>();
  const log = createLogger({
    scope: 'controllers',
    level: LEVELS.find((level) => level === options.logLevel) ?? 'info',
  });
  const config = loadKubeConfig({ kubeconfig: options.kubeconfig });
  const cluster = config.getCurrentCluster();
  const caCert = cluster?.caData
    ? Buffer.from(cluster.caData, 'base64').toString('utf8')
    : cluster?.caFile
      ? readFileSync(cluster.caFile, 'utf8')
      : '';
  const client = new KubeClient(new KubeConfigTransport(config));
  const stop = await startControllers({ client, clock: systemClock, random: Math.random, log, caCert });
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
  stop();
  return 0;
});
