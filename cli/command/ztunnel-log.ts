// SPDX-License-Identifier: Apache-2.0
// `ambit ztunnel-config log`: log levels of node proxies, shown and changed while they run.

import { Command } from 'commander';
import { AmbitError } from '#lib/kit/error.ts';
import type { Pod } from '#lib/kube/object.ts';
import { type Cluster, withCluster } from '../cluster.ts';
import type { CliIo } from '../io.ts';
import { ADMIN_PORT } from '../ztunnel/dump.ts';
import { ztunnelFor, ztunnelOfNode, ztunnels } from '../ztunnel/target.ts';

interface Options {
  readonly node?: string;
  readonly level?: string;
  readonly reset?: boolean;
  readonly proxyAdminPort: string;
}

/** Istio's words for levels that node proxies call otherwise. */
const SYNONYMS = new Map([
  ['warning', 'warn'],
  ['critical', 'error'],
  ['none', 'off'],
]);
const LEVELS = ['off', 'error', 'warn', 'info', 'debug', 'trace'];

export function ztunnelLogCommand(io: CliIo): Command {
  const command = new Command('log')
    .alias('o')
    .description('show or change log levels: of one node proxy, or of all')
    .argument('[pod]', 'a ztunnel, or any pod: the ztunnel of its node is asked')
    .option('--node <node>', 'only the ztunnel of this node')
    .option('--level <levels>', 'a level, or scope:level,scope:level')
    .option('-r, --reset', 'back to the levels of the start')
    .option('--proxy-admin-port <port>', 'admin port of the proxy', String(ADMIN_PORT));
  return command.action(async (pod: string | undefined, options: Options) => {
    const path = pathFor(options);
    const lines = await withCluster(command, async (cluster) => {
      const asked = await targets(cluster, pod, options.node);
      return await Promise.all(asked.map((one) => ask(cluster, one, Number(options.proxyAdminPort), path)));
    });
    io.out(lines.join(''));
  });
}

/** What is asked of a proxy's admin port. */
export function pathFor({ level, reset }: Pick<Options, 'level' | 'reset'>): string {
  if (level !== undefined && reset === true) {
    throw new AmbitError('USAGE', '--level and --reset exclude each other', { advice: 'give one of them' });
  }
  if (reset === true) return '/logging?reset';
  if (level === undefined) return '/logging';
  const items = level.split(',').map((item) => {
    const at = Math.max(item.lastIndexOf(':'), item.lastIndexOf('='));
    const word = item.slice(at + 1).toLowerCase();
    const known = SYNONYMS.get(word) ?? word;
    if (!LEVELS.includes(known)) {
      throw new AmbitError('USAGE', `${word} is no level`, { advice: `write one of ${LEVELS.join(', ')}` });
    }
    return at === -1 ? known : `${item.slice(0, at)}=${known}`;
  });
  return `/logging?level=${encodeURIComponent(items.join(','))}`;
}

async function targets(cluster: Cluster, pod: string | undefined, node: string | undefined): Promise<readonly Pod[]> {
  if (pod !== undefined && node !== undefined) {
    throw new AmbitError('USAGE', 'a pod and --node are given', { advice: 'give at most one' });
  }
  if (pod !== undefined) return [await ztunnelFor(cluster, pod)];
  return node === undefined ? await ztunnels(cluster) : [await ztunnelOfNode(cluster, node)];
}

async function ask(cluster: Cluster, pod: Pod, port: number, path: string): Promise<string> {
  const { body, status } = await cluster.request(pod, port, { path, method: 'POST' });
  const { name, namespace } = pod.metadata;
  if (status !== 200) throw new AmbitError('ZTUNNEL', `${name} answered ${status}: ${body.slice(0, 200)}`);
  return `${name}.${namespace}:\n${body.trimEnd()}\n`;
}
