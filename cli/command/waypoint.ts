// SPDX-License-Identifier: Apache-2.0
// `ambit waypoint`: makes waypoints, shows them, removes them.

import { Command, Option } from 'commander';
import { stringify } from 'yaml';
import { parseDuration } from '#lib/kit/config.ts';
import { AmbitError } from '#lib/kit/error.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import { GATEWAY, NAMESPACE, POD } from '#lib/kube/kind.ts';
import type { GenericObject, Pod } from '#lib/kube/object.ts';
import { namespaceFor, withClient } from '../cluster.ts';
import type { CliIo } from '../io.ts';
import { type Format, formatValue, outputOption } from '../print/format.ts';
import { table } from '../print/table.ts';
import {
  byName,
  conditionOf,
  DATAPLANE_MODE,
  isOfRevision,
  isWaypoint,
  REVISION,
  TRAFFIC_TYPES,
  type TrafficType,
  USE_WAYPOINT,
  WAYPOINT_CLASSES,
  WAYPOINT_FOR,
  waypointGateway,
} from '../waypoint/gateway.ts';
import { GATEWAY_NAME, stateOf } from '../waypoint/target.ts';
import { untilProgrammed } from '../waypoint/wait.ts';

const FIELD_MANAGER = 'ambit-cli';

interface ApplyOptions {
  readonly name: string;
  readonly for?: TrafficType;
  readonly revision?: string;
  readonly class: (typeof WAYPOINT_CLASSES)[number];
  readonly enrollNamespace?: boolean;
  readonly overwrite?: boolean;
  readonly wait?: boolean;
  readonly waypointTimeout: string;
}

interface ListOptions {
  readonly allNamespaces?: boolean;
  readonly name?: string;
  readonly wait?: boolean;
  readonly waypointTimeout?: string;
  readonly output: Format;
}

export function waypointCommand(io: CliIo): Command {
  const command = new Command('waypoint').alias('wp').description('make, show and remove waypoints');
  for (const part of [generate(io), apply(io), list(io), status(io), remove(io)]) command.addCommand(part);
  return command;
}

function wishOptions(command: Command): Command {
  return command
    .option('--name <name>', 'name of the waypoint', 'waypoint')
    .addOption(new Option('--for <traffic>', 'what it is for').choices(TRAFFIC_TYPES))
    .addOption(
      new Option('--class <class>', 'ambit-waypoint is ours even beside an Istio')
        .choices(WAYPOINT_CLASSES)
        .default('istio-waypoint'),
    )
    .option('-r, --revision <revision>', 'revision of the control plane that is to run it');
}

function timeoutOption(command: Command): Command {
  return command.option('--waypoint-timeout <duration>', 'how long to wait', '90s');
}

function generate(io: CliIo): Command {
  const command = wishOptions(new Command('generate').description('print the Gateway that apply would apply'));
  return command.action((options: ApplyOptions) => {
    io.out(stringify(waypointGateway({ ...options, ...addressOf(command, options.name) })));
  });
}

function apply(io: CliIo): Command {
  const command = timeoutOption(wishOptions(new Command('apply').description('make a waypoint, or change it')))
    .option('--enroll-namespace', 'have all of the namespace use it')
    .option('--overwrite', 'also when the namespace uses another one')
    .option('-w, --wait', 'until it can be used');
  return command.action(async (options: ApplyOptions) => {
    const address = addressOf(command, options.name);
    const timeoutMs = durationOf(options.waypointTimeout);
    await withClient(command, async (client) => {
      // First, so that nothing is half done when the namespace's label is in the way.
      const enrolled = options.enrollNamespace === true ? await toEnroll(client, address, options) : undefined;
      await client.apply(GATEWAY, waypointGateway({ ...options, ...address }), {
        fieldManager: FIELD_MANAGER,
        force: true,
      });
      io.out(`waypoint ${address.namespace}/${address.name} applied\n`);
      if (enrolled !== undefined) {
        await client.mergePatch(
          NAMESPACE,
          { name: address.namespace },
          { metadata: { labels: { [USE_WAYPOINT]: address.name } } },
        );
        io.out(`namespace ${address.namespace} labeled with "${USE_WAYPOINT}: ${address.name}"\n`);
        if (enrolled.metadata.labels?.[DATAPLANE_MODE] !== 'ambient') {
          io.err(`Warning: namespace ${address.namespace} is not in the mesh: label it ${DATAPLANE_MODE}=ambient\n`);
        }
      }
      if (options.wait !== true) return;
      await untilProgrammed(client, address, timeoutMs);
      io.out(`waypoint ${address.namespace}/${address.name} is ready!\n`);
    });
  });
}

/** The namespace to label; throws when it is another waypoint's. */
async function toEnroll(
  client: KubeClient,
  { name, namespace }: { readonly name: string; readonly namespace: string },
  { overwrite }: ApplyOptions,
) {
  const found = await client.get(NAMESPACE, { name: namespace });
  if (found === undefined) throw new AmbitError('NAMESPACE_NOT_FOUND', `there is no namespace ${namespace}`);
  const other = found.metadata.labels?.[USE_WAYPOINT];
  if (other !== undefined && other !== name && overwrite !== true) {
    throw new AmbitError('WAYPOINT_IN_USE', `namespace ${namespace} uses waypoint ${other}`, {
      advice: 'give --overwrite to have it use this one instead',
    });
  }
  return found;
}

function list(io: CliIo): Command {
  const command = new Command('list')
    .alias('ls')
    .description('show waypoints')
    .option('-A, --all-namespaces', 'of all namespaces')
    .addOption(outputOption());
  return command.action(async (options: ListOptions) => {
    const found = await withClient(command, (client) => waypoints(client, command, options));
    const rows = found.map((gateway) => {
      const { labels = {}, name, namespace = '' } = gateway.metadata;
      const revision = labels[REVISION] ?? 'default';
      const programmed = conditionOf(gateway, 'Programmed')?.status ?? 'Unknown';
      return { namespace, name, revision, trafficType: labels[WAYPOINT_FOR] ?? 'service', programmed };
    });
    const cells = rows.map(({ name, programmed, revision, trafficType }) => [name, revision, trafficType, programmed]);
    const head = ['NAME', 'REVISION', 'TRAFFIC TYPE', 'PROGRAMMED'];
    print(io, options, rows, head, cells);
  });
}

function status(io: CliIo): Command {
  const command = timeoutOption(new Command('status').description('show whether waypoints can be used, and why not'))
    .argument('[name]', 'only this one')
    .option('-A, --all-namespaces', 'of all namespaces')
    .option('--no-wait', 'do not wait until they can')
    .addOption(outputOption());
  return command.action(async (name: string | undefined, options: ListOptions) => {
    const timeoutMs = durationOf(options.waypointTimeout ?? '90s');
    const found = await withClient(command, async (client) => {
      const all = (await waypoints(client, command, options)).filter(
        ({ metadata }) => name === undefined || metadata.name === name,
      );
      if (name !== undefined && all.length === 0) {
        const where = options.allNamespaces === true ? 'any namespace' : `namespace ${namespaceFor(command)}`;
        throw new AmbitError('WAYPOINT_NOT_FOUND', `there is no waypoint ${name} in ${where}`, {
          advice: 'ambit waypoint list -A shows all; -n says in which namespace to look',
        });
      }
      return await Promise.all(
        all.map(async (one) => {
          const address = { namespace: one.metadata.namespace ?? '', name: one.metadata.name };
          const gateway = options.wait === false ? one : await untilProgrammed(client, address, timeoutMs);
          return { gateway, pods: await podsOf(client, address) };
        }),
      );
    });
    const rows = found.flatMap(({ gateway, pods }) => [programmedRow(gateway), readyRow(gateway, pods)]);
    const cells = rows.map(({ message, name, reason, status, type }) => [name, status, type, reason, message]);
    print(io, options, rows, ['NAME', 'STATUS', 'TYPE', 'REASON', 'MESSAGE'], cells);
  });
}

async function podsOf(
  client: KubeClient,
  { name, namespace }: { readonly name: string; readonly namespace: string },
): Promise<readonly Pod[]> {
  return (await client.list(POD, { namespace, labelSelector: `${GATEWAY_NAME}=${name}` })).items;
}

/** One thing that must hold for a waypoint to be used. */
interface StatusRow {
  readonly namespace: string;
  readonly name: string;
  readonly status: string;
  readonly type: string;
  readonly reason: string;
  readonly message: string;
}

function programmedRow(gateway: GenericObject): StatusRow {
  const condition = conditionOf(gateway, 'Programmed');
  return {
    namespace: gateway.metadata.namespace ?? '',
    name: gateway.metadata.name,
    status: condition?.status ?? 'Unknown',
    type: 'Programmed',
    reason: condition?.reason ?? 'Pending',
    message: condition?.message ?? 'no control plane has answered for it yet',
  };
}

/** Whether anybody is there: a waypoint without a ready pod refuses the traffic of whatever uses it. */
function readyRow({ metadata: { name, namespace = '' } }: GenericObject, pods: readonly Pod[]): StatusRow {
  const ready = pods.filter(isReady).length;
  const told = `${ready} of ${pods.length} pods ready`;
  const row = { namespace, name, type: 'Ready' };
  if (ready > 0) return { ...row, status: 'True', reason: 'PodsReady', message: told };
  const states = pods.map((pod) => `, ${pod.metadata.name} is ${stateOf(pod.metadata, pod.status?.phase)}`).join('');
  const message = `${told}${states}: what uses it is refused until one is`;
  return { ...row, status: 'False', reason: pods.length === 0 ? 'NoPods' : 'NoPodReady', message };
}

function isReady({ metadata, status }: Pod): boolean {
  const condition = status?.conditions?.find(({ type }) => type === 'Ready');
  return metadata.deletionTimestamp === undefined && condition?.status === 'True';
}

/** Rows as values for programs, as cells for people. */
function print(
  io: CliIo,
  { allNamespaces, output }: ListOptions,
  rows: readonly { readonly namespace: string }[],
  head: readonly string[],
  cells: readonly (readonly string[])[],
): void {
  const short = (): string => {
    if (rows.length === 0) return 'No waypoints found.\n';
    if (allNamespaces !== true) return table(head, cells);
    return table(
      ['NAMESPACE', ...head],
      cells.map((row, i) => [rows[i]!.namespace, ...row]),
    );
  };
  io.out(formatValue(output, rows, short));
}

function remove(io: CliIo): Command {
  const command = new Command('delete')
    .description('remove waypoints')
    .argument('[names...]', 'which')
    .option('--all', 'all of the namespace')
    .option('-r, --revision <revision>', 'those of this revision');
  return command.action(async (names: string[], options: { all?: boolean; revision?: string }) => {
    if (names.length === 0 && options.all !== true && options.revision === undefined) {
      throw new AmbitError('USAGE', 'no waypoint is named', { advice: 'name some, or give --all or --revision' });
    }
    if (names.length > 0 && options.all === true) {
      throw new AmbitError('USAGE', 'waypoints are named, and --all is given', { advice: 'give one of them' });
    }
    await withClient(command, async (client) => {
      const namespace = namespaceFor(command);
      const found = await waypoints(client, command, {});
      const wanted =
        names.length > 0
          ? names
          : found.filter((gateway) => isOfRevision(gateway, options.revision)).map(({ metadata }) => metadata.name);
      for (const name of wanted) {
        const known = found.some(({ metadata }) => metadata.name === name);
        if (known) await client.delete(GATEWAY, { namespace, name });
        io.out(`waypoint ${namespace}/${name} ${known ? 'deleted' : 'not found'}\n`);
      }
    });
  });
}

async function waypoints(
  client: KubeClient,
  command: Command,
  options: Pick<ListOptions, 'allNamespaces'>,
): Promise<GenericObject[]> {
  const namespace = options.allNamespaces === true ? undefined : namespaceFor(command);
  const { items } = await client.list(GATEWAY, { namespace });
  return items.filter(isWaypoint).sort(byName);
}

function addressOf(command: Command, name: string): { namespace: string; name: string } {
  if (name === 'none') {
    throw new AmbitError('USAGE', 'a waypoint cannot be called none', {
      advice: `none is the value of the label ${USE_WAYPOINT} that opts out`,
    });
  }
  return { namespace: namespaceFor(command), name };
}

function durationOf(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw new AmbitError('USAGE', `${text} is no duration`, { advice: 'write for example 90s' });
  return ms;
}
