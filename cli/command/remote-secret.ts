// SPDX-License-Identifier: Apache-2.0
// `ambit create-remote-secret`: prints the Secret by which an istiod elsewhere may read this cluster.

import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { stringify } from 'yaml';
import { parseDuration } from '#lib/kit/config.ts';
import { AmbitError } from '#lib/kit/error.ts';
import { NAMESPACE } from '#lib/kube/kind.ts';
import { READER, remoteSecret } from '#lib/kube/remote-secret.ts';
import { accountToken } from '#lib/kube/token.ts';
import { loadKubeConfig } from '#lib/kube/transport.ts';
import { type GlobalOptions, withClient } from '../cluster.ts';
import type { CliIo } from '../io.ts';

interface Options {
  readonly name?: string;
  readonly server?: string;
  readonly serviceAccount: string;
  readonly duration: string;
}

export function remoteSecretCommand(io: CliIo): Command {
  const command = new Command('create-remote-secret')
    .description('print the Secret by which an istiod of another cluster reads this one')
    .option('--name <id>', 'id of this cluster (default: the UID of its kube-system namespace)')
    .option('--server <url>', 'where the other istiod finds this API server (default: as in the kubeconfig)')
    .option('--service-account <name>', 'whose rights it has', READER)
    .option('--duration <duration>', 'how long the token is good; the API server may allow less', '8760h');
  return command.action(async (options: Options) => {
    const global = command.optsWithGlobals<GlobalOptions>();
    const durationMs = parseDuration(options.duration);
    if (durationMs === undefined) {
      throw new AmbitError('CONFIG_INVALID', `--duration ${options.duration} is no duration`, {
        advice: 'write for example 720h',
      });
    }
    await withClient(command, async (client) => {
      const id = options.name ?? (await client.get(NAMESPACE, { name: 'kube-system' }))?.metadata.uid ?? 'remote';
      const account = { namespace: global.istioNamespace, name: options.serviceAccount };
      const { expires, token } = await accountToken(client, account, { seconds: durationMs / 1000 });
      const secret = remoteSecret(id, global.istioNamespace, clusterIn(global, options.server), token);
      io.out(`# The token is good until ${expires}; apply a new one before.\n${stringify(secret)}`);
    });
  });
}

/** The API server's address and authority, as a kubeconfig has them. */
function clusterIn(
  { context, kubeconfig }: GlobalOptions,
  server: string | undefined,
): Readonly<Record<string, string>> {
  const cluster = loadKubeConfig({ kubeconfig, context }).getCurrentCluster();
  const file = cluster?.caFile;
  const authority = cluster?.caData ?? (file === undefined ? undefined : readFileSync(file).toString('base64'));
  return {
    server: server ?? cluster?.server ?? '',
    ...(authority !== undefined && { 'certificate-authority-data': authority }),
  };
}
