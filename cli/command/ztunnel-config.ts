// SPDX-License-Identifier: Apache-2.0
// `ambit ztunnel-config`: what a node proxy knows and does, from its own mouth.

import { readFile } from 'node:fs/promises';
import { Command, Option } from 'commander';
import { AmbitError } from '#lib/kit/error.ts';
import type { Pod } from '#lib/kube/object.ts';
import { type Cluster, withCluster } from '../cluster.ts';
import type { CliIo } from '../io.ts';
import { type Format, formatValue, outputOption } from '../print/format.ts';
import { fromAll } from '../ztunnel/ask-all.ts';
import { ADMIN_PORT, type Dump, fetchDump, joinDumps, parseDump } from '../ztunnel/dump.ts';
import { fetchRecent, recentTable } from '../ztunnel/recent.ts';
import {
  certificateTable,
  connectionTable,
  heldTable,
  policyTable,
  serviceTable,
  workloadTable,
} from '../ztunnel/tables.ts';
import { ztunnelFor, ztunnelOfNode, ztunnels } from '../ztunnel/target.ts';
import { ztunnelLogCommand } from './ztunnel-log.ts';

interface Options {
  readonly output: Format;
  readonly node?: string;
  readonly file?: string;
  readonly proxyAdminPort: string;
  readonly workloadNamespace?: string;
  readonly workloadNode?: string;
  readonly address?: string;
  readonly serviceNamespace?: string;
  readonly policyNamespace?: string;
  readonly direction?: 'inbound' | 'outbound';
  readonly raw?: boolean;
  readonly recent?: boolean;
  readonly failed?: boolean;
  readonly proof?: boolean;
}

/** One part of a dump: what is left of it after the filters, and its table. */
interface View {
  readonly value: unknown;
  readonly short: () => string;
}

type ViewOf = (dump: Dump, options: Options) => View;

const workloads: ViewOf = (dump, { address, workloadNamespace, workloadNode }) => {
  const value = (dump.workloads ?? []).filter(
    ({ namespace, node, workloadIps }) =>
      (workloadNamespace === undefined || namespace === workloadNamespace) &&
      (workloadNode === undefined || node === workloadNode) &&
      (address === undefined || workloadIps?.includes(address) === true),
  );
  return { value, short: () => workloadTable(value, dump.services ?? []) };
};

const services: ViewOf = (dump, { serviceNamespace }) => {
  const value = (dump.services ?? []).filter(
    ({ namespace }) => serviceNamespace === undefined || namespace === serviceNamespace,
  );
  return { value, short: () => serviceTable(value) };
};

const policies: ViewOf = (dump, { policyNamespace }) => {
  const value = (dump.policies ?? []).filter(
    ({ namespace }) => policyNamespace === undefined || namespace === policyNamespace,
  );
  return { value, short: () => policyTable(value) };
};

const certificates: ViewOf = (dump) => {
  const value = dump.certificates ?? [];
  return { value, short: () => certificateTable(value, Date.now()) };
};

const connections: ViewOf = (dump, { direction, raw, workloadNamespace }) => {
  const value = Object.fromEntries(
    Object.entries(dump.workloadState ?? {}).filter(
      ([, { info }]) => workloadNamespace === undefined || info?.namespace === workloadNamespace,
    ),
  );
  const live = () => connectionTable(value, dump, { raw: raw === true, direction });
  return { value, short: () => live() + heldTable(dump) };
};

const all: ViewOf = (dump, options) => ({
  value: dump,
  short: () =>
    [workloads, services, policies, certificates, connections].map((view) => view(dump, options).short()).join('\n'),
});

export function ztunnelConfigCommand(io: CliIo): Command {
  const command = new Command('ztunnel-config').alias('zc').description('show what a node proxy knows');
  const add = (names: readonly string[], description: string, view: ViewOf, extra: readonly Option[] = []): void => {
    const [name = '', ...aliases] = names;
    const part = new Command(name)
      .aliases(aliases)
      .description(description)
      .argument(
        '[pod]',
        `a ztunnel, or any pod: the ztunnel of its node is asked; without one ${view === connections ? 'all' : 'any'}`,
      )
      .addOption(outputOption())
      .option('--node <node>', 'ask the ztunnel of this node')
      .option('-f, --file <file>', 'read a saved dump instead')
      .option('--proxy-admin-port <port>', 'admin port of the proxy', String(ADMIN_PORT));
    for (const option of extra) part.addOption(option);
    part.action(async (pod: string | undefined, options: Options) => {
      if (options.recent || options.failed || options.proof) {
        const found = await recentFor(io, part, pod, options);
        io.out(formatValue(options.output, found, () => recentTable(found, options.proof === true)));
        return;
      }
      const shown = view(await dumpFor(io, part, pod, options, view === connections), options);
      io.out(formatValue(options.output, shown.value, shown.short));
    });
    command.addCommand(part);
  };
  const workloadNamespace = new Option('--workload-namespace <namespace>', 'only workloads of this namespace');
  add(['workloads', 'workload', 'w'], 'workloads', workloads, [
    workloadNamespace,
    new Option('--workload-node <node>', 'only workloads of this node'),
    new Option('--address <ip>', 'only the workload with this address'),
  ]);
  add(['services', 'service', 'svc', 's'], 'services', services, [
    new Option('--service-namespace <namespace>', 'only services of this namespace'),
  ]);
  add(['policies', 'policy', 'pol', 'p'], 'policies', policies, [
    new Option('--policy-namespace <namespace>', 'only policies of this namespace'),
  ]);
  add(['certificates', 'certificate', 'certs', 'cert'], 'certificates', certificates);
  add(['connections', 'connection', 'cons'], 'open connections, or those that ended last', connections, [
    workloadNamespace,
    new Option('--direction <direction>', 'only this direction').choices(['inbound', 'outbound']),
    new Option('--raw', 'print addresses instead of names'),
    new Option('--recent', 'those that ended last instead'),
    new Option('--failed', 'those that ended last and were refused or failed'),
    new Option('--proof', 'those that ended last, with what decided them'),
  ]);
  add(['all'], 'everything', all);
  command.addCommand(ztunnelLogCommand(io));
  return command;
}

/** Connections that ended last, of workloads of the namespace asked for. */
async function recentFor(io: CliIo, command: Command, pod: string | undefined, options: Options) {
  if (options.file !== undefined) throw new AmbitError('USAGE', 'a dump holds no connections that ended');
  const port = portOf(pod, options);
  const parts = await withCluster(command, async (cluster) =>
    fromAll(io, await targets(cluster, pod, options.node), (proxy) => fetchRecent(cluster, proxy, port, options)),
  );
  const all = parts.flat().sort((a, b) => (a.ended < b.ended ? 1 : -1));
  const within = (workload: string): boolean => workload.startsWith(`${options.workloadNamespace}/`);
  return all.filter(
    ({ direction, dstWorkload, srcWorkload }) =>
      (options.direction === undefined || options.direction === direction) &&
      (options.workloadNamespace === undefined || within(srcWorkload) || within(dstWorkload)),
  );
}

function portOf(pod: string | undefined, options: Options): number {
  const given = [pod, options.node, options.file].filter((value) => value !== undefined);
  if (given.length > 1) {
    throw new AmbitError('USAGE', 'more than one of a pod, --node and --file is given', { advice: 'give at most one' });
  }
  const port = Number(options.proxyAdminPort);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new AmbitError('USAGE', `--proxy-admin-port ${options.proxyAdminPort} is no port`);
  }
  return port;
}

/** `everywhere`: what each proxy has of its own is asked of all of them, when none is named. */
async function dumpFor(
  io: CliIo,
  command: Command,
  pod: string | undefined,
  options: Options,
  everywhere: boolean,
): Promise<Dump> {
  const port = portOf(pod, options);
  if (options.file !== undefined) return parseDump(await readFile(options.file, 'utf8'), options.file);
  return await withCluster(command, async (cluster) => {
    const [first, ...others] = await targets(cluster, pod, options.node);
    const asked = everywhere ? [first!, ...others] : [first!];
    return joinDumps(await fromAll(io, asked, (proxy) => fetchDump(cluster, proxy, port)));
  });
}

/** The proxy that is named, or all of them. */
async function targets(cluster: Cluster, pod: string | undefined, node: string | undefined): Promise<readonly Pod[]> {
  if (pod !== undefined) return [await ztunnelFor(cluster, pod)];
  if (node !== undefined) return [await ztunnelOfNode(cluster, node)];
  return await ztunnels(cluster);
}
