// SPDX-License-Identifier: Apache-2.0
// `ambit proxy-config`: what a waypoint knows, from its own mouth.

import { readFile } from 'node:fs/promises';
import { Command, Option } from 'commander';
import { AmbitError } from '#lib/kit/error.ts';
import { withCluster } from '../cluster.ts';
import type { CliIo } from '../io.ts';
import { type Format, formatValue, outputOption } from '../print/format.ts';
import { ownServices, type WaypointDump } from '../waypoint/dump.ts';
import { clusterTable, endpointTable, filterTable, listenerTable, routeTable } from '../waypoint/tables.ts';
import { waypointPod } from '../waypoint/target.ts';
import { ADMIN_PORT, fetchDump, parseDump } from '../ztunnel/dump.ts';

interface Options {
  readonly output: Format;
  readonly file?: string;
  readonly fqdn?: string;
  readonly port?: string;
  readonly name?: string;
}

interface View {
  readonly value: unknown;
  readonly short: () => string;
}

type ViewOf = (dump: WaypointDump, options: Options) => View;

const routes: ViewOf = (dump, { name }) => {
  const RouteTable = (dump.RouteTable ?? []).filter((one) => name === undefined || one.name.includes(name));
  return { value: RouteTable, short: () => routeTable({ ...dump, RouteTable }) };
};

const clusters: ViewOf = (dump, options) => ({
  value: { services: ownServices(dump), trafficPolicies: dump.TrafficPolicy ?? [] },
  short: () => clusterTable(dump, options),
});

const endpoints: ViewOf = (dump, options) => ({
  value: ownServices(dump).map(({ endpoints: of, hostname, namespace }) => ({ namespace, hostname, endpoints: of })),
  short: () => endpointTable(dump, options),
});

const listeners: ViewOf = (dump) => ({
  value: { settings: dump.Waypoint?.[0] ?? null, listening: dump.listening ?? {} },
  short: () => listenerTable(dump),
});

const filters: ViewOf = (dump) => ({
  value: { access: dump.AccessPolicy ?? [], tokens: dump.RequestAuthentication ?? [] },
  short: () => filterTable(dump),
});

const all: ViewOf = (dump, options) => ({
  value: dump,
  short: () => [listeners, routes, clusters, endpoints, filters].map((view) => view(dump, options).short()).join('\n'),
});

export function proxyConfigCommand(io: CliIo): Command {
  const command = new Command('proxy-config').alias('pc').description('show what a waypoint knows');
  const fqdn = new Option('--fqdn <hostname>', 'only this service');
  const port = new Option('--port <port>', 'only this port');
  const add = (names: readonly string[], description: string, view: ViewOf, extra: readonly Option[] = []): void => {
    const [name = '', ...aliases] = names;
    const part = new Command(name).aliases(aliases).description(description);
    part
      .argument('[waypoint]', 'a waypoint, or one of its pods')
      .addOption(outputOption())
      .option('-f, --file <file>', 'a saved dump instead');
    for (const option of extra) part.addOption(option);
    part.action(async (waypoint: string | undefined, options: Options) => {
      const { short, value } = view(await dumpFor(part, waypoint, options), options);
      io.out(formatValue(options.output, value, short));
    });
    command.addCommand(part);
  };
  add(['listeners', 'listener', 'l'], 'ports, and the services behind them', listeners);
  add(['routes', 'route', 'r'], 'routes in their order of precedence', routes, [
    new Option('--name <text>', 'only tables with this in their name'),
  ]);
  add(['clusters', 'cluster', 'c'], 'services that requests are sent to', clusters, [fqdn, port]);
  add(['endpoints', 'endpoint', 'ep'], 'pods behind them', endpoints, [fqdn, port]);
  add(['filters', 'filter', 'f'], 'what requests pass on the way, in its order', filters);
  add(['all', 'a'], 'everything', all, [fqdn, port]);
  return command;
}

async function dumpFor(command: Command, waypoint: string | undefined, { file }: Options): Promise<WaypointDump> {
  if ((file === undefined) === (waypoint === undefined)) {
    throw new AmbitError('USAGE', 'a waypoint or --file is needed', {
      advice: 'give one of them, not both; ambit waypoint list -A shows the waypoints there are',
    });
  }
  if (file !== undefined) return parseDump(await readFile(file, 'utf8'), file) as WaypointDump;
  return await withCluster(
    command,
    async (cluster) =>
      (await fetchDump(cluster, await waypointPod(cluster, waypoint ?? ''), ADMIN_PORT)) as WaypointDump,
  );
}
