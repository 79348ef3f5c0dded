// SPDX-License-Identifier: Apache-2.0
// `ambit version`: this command's, the control plane's, and how many proxies are connected to it.

import { Command, Option } from 'commander';
import { VERSION } from '#lib/kit/version.ts';
import { withCluster } from '../cluster.ts';
import type { CliIo } from '../io.ts';
import { istiods } from '../istiod/target.ts';
import { formatValue } from '../print/format.ts';

const MONITORING_PORT = 15014;

export function versionCommand(io: CliIo): Command {
  const command = new Command('version')
    .description('print versions')
    .option('--no-remote', 'only of this command')
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['short', 'json', 'yaml']).default('short'));
  command.action(async (options: { remote: boolean; output: 'short' | 'json' | 'yaml' }) => {
    const remote = options.remote ? await controlPlane(command) : [];
    const value = { client: VERSION, ...(options.remote ? { controlPlane: remote } : {}) };
    io.out(
      formatValue(options.output, value, () =>
        [
          `client version: ${VERSION}`,
          ...remote.map(({ pod, version }) => `control plane version: ${version} (${pod})`),
          '',
        ].join('\n'),
      ),
    );
  });
  return command;
}

async function controlPlane(command: Command): Promise<{ pod: string; version: string }[]> {
  return await withCluster(command, async (cluster) => {
    const answers = (await istiods(cluster)).map(async (pod) => {
      const { body } = await cluster.request(pod, MONITORING_PORT, { path: '/version' });
      return { pod: pod.metadata.name, version: versionIn(body) };
    });
    return await Promise.all(answers);
  });
}

/** Ours answers an object; Istio's an object or a bare string. */
function versionIn(body: string): string {
  try {
    const value: unknown = JSON.parse(body);
    if (typeof value === 'object' && value !== null && 'version' in value) return String(value.version);
  } catch {
    // A bare string.
  }
  return body.trim();
}
