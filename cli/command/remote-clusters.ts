// SPDX-License-Identifier: Apache-2.0
// `ambit remote-clusters`: which other clusters each istiod reads, and whether it has them.

import { Command } from 'commander';
import { AmbitError } from '#lib/kit/error.ts';
import { type Cluster, withCluster } from '../cluster.ts';
import type { CliIo } from '../io.ts';
import { istiods } from '../istiod/target.ts';
import { type Format, formatValue, outputOption } from '../print/format.ts';
import { table } from '../print/table.ts';

const HTTP_PORT = 8080;

interface RemoteCluster {
  readonly id?: string;
  readonly secretName?: string;
  readonly syncStatus?: string;
  readonly istiod?: string;
}

export function remoteClustersCommand(io: CliIo): Command {
  const command = new Command('remote-clusters')
    .description('show the other clusters of the mesh, as each istiod sees them')
    .addOption(outputOption());
  return command.action(async (options: { output: Format }) => {
    const found = await withCluster(command, readClusters);
    io.out(
      formatValue(options.output, found, () =>
        table(
          ['NAME', 'SECRET', 'STATUS', 'ISTIOD'],
          found.map(({ id = '', istiod = '', secretName = '', syncStatus = '' }) => [
            id,
            secretName,
            syncStatus,
            istiod,
          ]),
        ),
      ),
    );
  });
}

async function readClusters(cluster: Cluster): Promise<RemoteCluster[]> {
  const answers = (await istiods(cluster)).map(async (pod) => {
    const { body, status } = await cluster.request(pod, HTTP_PORT, { path: '/debug/clusterz' });
    if (status !== 200)
      throw new AmbitError('ISTIOD', `${pod.metadata.name} answered ${status}: ${body.slice(0, 200)}`);
    return (JSON.parse(body) as RemoteCluster[]).map((one) => ({ ...one, istiod: pod.metadata.name }));
  });
  return (await Promise.all(answers)).flat();
}
