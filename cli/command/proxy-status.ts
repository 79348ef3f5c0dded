// SPDX-License-Identifier: Apache-2.0
// `ambit proxy-status`: which proxies are connected to which istiod, and whether each has what it should have.

import { Command } from 'commander';
import { AmbitError } from '#lib/kit/error.ts';
import { type Cluster, withCluster } from '../cluster.ts';
import type { CliIo } from '../io.ts';
import { istiods } from '../istiod/target.ts';
import { type Format, formatValue, outputOption } from '../print/format.ts';
import { table } from '../print/table.ts';

const HTTP_PORT = 8080;
const SHORT_NAMES: Readonly<Record<string, string>> = {
  'type.googleapis.com/istio.workload.Address': 'WDS',
  'type.googleapis.com/istio.security.Authorization': 'WADS',
};

interface TypeSync {
  readonly sent?: string;
  readonly acked?: string;
  readonly synced?: boolean;
  readonly lastError?: string;
}

export interface ProxySync {
  readonly proxy?: string;
  readonly proxy_type?: string;
  readonly proxy_version?: string;
  readonly cluster_id?: string;
  readonly resources?: Readonly<Record<string, TypeSync>>;
  istiod?: string;
}

export function proxyStatusCommand(io: CliIo): Command {
  const command = new Command('proxy-status')
    .alias('ps')
    .description('show the proxies connected to the control plane and how current they are')
    .addOption(outputOption())
    .option('-v, --verbosity <level>', '1 adds a column for each type', '0');
  command.action(async (options: { output: Format; verbosity: string }) => {
    const proxies = await withCluster(command, readSync);
    io.out(formatValue(options.output, proxies, () => statusTable(proxies, Number(options.verbosity) > 0)));
  });
  return command;
}

async function readSync(cluster: Cluster): Promise<ProxySync[]> {
  const answers = (await istiods(cluster)).map(async (pod) => {
    const { body, status } = await cluster.request(pod, HTTP_PORT, { path: '/debug/syncz' });
    if (status !== 200) throw new AmbitError('SYNCZ', `${pod.metadata.name} answered ${status}: ${body.slice(0, 200)}`);
    return (JSON.parse(body) as ProxySync[]).map((proxy) => ({ ...proxy, istiod: pod.metadata.name }));
  });
  return (await Promise.all(answers)).flat();
}

/** With `verbose`, a column a type; otherwise the worst state and the types. */
export function statusTable(proxies: readonly ProxySync[], verbose: boolean): string {
  const types = [...new Set(proxies.flatMap(({ resources }) => Object.keys(resources ?? {})))].sort();
  const head = verbose
    ? ['NAME', 'CLUSTER', 'ISTIOD', 'VERSION', ...types.map(shortName)]
    : ['NAME', 'CLUSTER', 'ISTIOD', 'VERSION', 'STATUS', 'SUBSCRIBED TYPES'];
  const rows = proxies.map((proxy) => {
    const resources = proxy.resources ?? {};
    const common = [proxy.proxy ?? '', proxy.cluster_id ?? '', proxy.istiod ?? '', proxy.proxy_version ?? ''];
    if (verbose) return [...common, ...types.map((type) => typeState(resources[type]))];
    const names = Object.keys(resources).map(shortName).sort();
    return [...common, worst(Object.values(resources).map(typeState)), `${names.length} (${names.join(',')})`];
  });
  return table(
    head,
    rows.sort((a, b) => ((a[0] ?? '') < (b[0] ?? '') ? -1 : 1)),
  );
}

function typeState(sync: TypeSync | undefined): string {
  if (sync === undefined) return 'IGNORED';
  if (sync.lastError !== undefined && sync.lastError !== '') return 'ERROR';
  if (sync.sent === undefined || sync.sent === '') return 'NOT SENT';
  return sync.synced === true || sync.sent === sync.acked ? 'SYNCED' : 'STALE';
}

function worst(states: readonly string[]): string {
  return ['ERROR', 'STALE', 'NOT SENT'].find((state) => states.includes(state)) ?? 'SYNCED';
}

function shortName(typeUrl: string): string {
  return SHORT_NAMES[typeUrl] ?? typeUrl.slice(typeUrl.lastIndexOf('.') + 1);
}
