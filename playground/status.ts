// SPDX-License-Identifier: Apache-2.0
// `playground status`: nodes with the way into their networks, and what runs on them.
import Table from 'cli-table3';
import pc from 'picocolors';
import { AmbitError } from '#lib/kit/error.ts';
import { connectKube } from '#lib/kube/connect.ts';
import { NODE } from '#lib/kube/kind.ts';
import { askControl, type MachineState } from './cluster/control.ts';
import { POD, type PodObject } from './kubelet/pod.ts';
import { outerPid, supervisorPid } from './namespaces.ts';
import type { ClusterRecord, StatePaths } from './state.ts';

/** A node, or a machine beside the nodes. */
export interface NodeStatus {
  readonly name: string;
  /** Path for `nsenter --net=`; empty while the node is down. */
  readonly netns: string;
  /** The node's link to the fabric, as its own network names it: where to capture what passes between nodes. */
  readonly device: string;
  readonly ready: boolean;
  readonly addresses: readonly string[];
}

export interface ClusterStatus {
  readonly name: string;
  readonly kubeconfig: string;
  readonly ready: boolean;
  readonly nodes: readonly NodeStatus[];
}

const UPLINK_DEVICE = 'eth0';

export async function clusterStatus(paths: StatePaths, record: ClusterRecord): Promise<ClusterStatus> {
  const supervisor = supervisorPid(record.keeperPid);
  const [machines, objects] = await Promise.all([
    askControl<MachineState[]>(paths.control, 'GET', '/machines'),
    connectKube({ kubeconfig: paths.kubeconfig }).list(NODE),
  ]);
  const nodes = machines.map(({ addresses, name, pid }): NodeStatus => {
    const outer = supervisor === undefined || pid === undefined ? undefined : outerPid(supervisor, pid);
    const netns = outer === undefined ? '' : `/proc/${outer}/ns/net`;
    if (addresses !== undefined) return { name, netns, device: UPLINK_DEVICE, ready: pid !== undefined, addresses };
    const object = objects.items.find(({ metadata }) => metadata.name === name);
    return {
      name,
      netns,
      device: UPLINK_DEVICE,
      ready: object?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false,
      addresses: (object?.status?.addresses ?? [])
        .filter(({ type }) => type === 'InternalIP')
        .map(({ address }) => address),
    };
  });
  return { name: record.name, kubeconfig: paths.kubeconfig, ready: record.ready, nodes };
}

/** Two tables for people. */
export async function statusText(paths: StatePaths): Promise<string> {
  const client = connectKube({ kubeconfig: paths.kubeconfig });
  const [nodes, pods, machines] = await Promise.all([
    client.list(NODE),
    client.list(POD),
    askControl<MachineState[]>(paths.control, 'GET', '/machines'),
  ]);
  const nodeTable = table(['node', 'state', 'addresses', 'pods']);
  for (const { metadata, status } of nodes.items) {
    const ready =
      status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') ?? false;
    const addresses = (status?.addresses ?? [])
      .filter(({ type }) => type === 'InternalIP')
      .map(({ address }) => address);
    const own = pods.items.filter(({ spec }) => spec.nodeName === metadata.name).length;
    nodeTable.push([metadata.name, mark(ready, ready ? 'ready' : 'not ready'), addresses.join(' '), String(own)]);
  }
  for (const { addresses, name, pid } of machines) {
    if (addresses === undefined) continue;
    nodeTable.push([name, mark(pid !== undefined, pid === undefined ? 'down' : 'machine'), addresses.join(' '), '']);
  }
  const podTable = table(['namespace', 'pod', 'state', 'restarts', 'node', 'address']);
  for (const pod of pods.items) {
    const { phase = 'Pending', podIP = '', containerStatuses = [] } = pod.status ?? {};
    const ready = containerStatuses.filter((status) => status.ready).length;
    const well = phase === 'Succeeded' || (containerStatuses.length > 0 && ready === containerStatuses.length);
    const restarts = containerStatuses.reduce((sum, status) => sum + status.restartCount, 0);
    podTable.push([
      pod.metadata.namespace ?? '',
      pod.metadata.name,
      mark(well, `${wordFor(pod)} ${ready}/${pod.spec.containers.length}`),
      restarts === 0 ? '0' : pc.yellow(String(restarts)),
      pod.spec.nodeName ?? '',
      podIP,
    ]);
  }
  return `${nodeTable.toString()}\n\n${podTable.toString()}\n`;
}

/** The command line that runs `words` in all namespaces of a node. */
export async function enterNode(
  paths: StatePaths,
  record: ClusterRecord,
  node: string,
  words: readonly string[],
): Promise<string[]> {
  const supervisor = supervisorPid(record.keeperPid);
  const machines = await askControl<MachineState[]>(paths.control, 'GET', '/machines');
  const machine = machines.find(({ name }) => name === node);
  if (machine === undefined) {
    throw new AmbitError('PLAYGROUND_NODE', `there is no node ${node}`, {
      advice: `name one of ${machines.map(({ name }) => name).join(', ')}`,
    });
  }
  if (supervisor === undefined || machine.pid === undefined)
    throw new AmbitError('PLAYGROUND_NODE', `node ${node} is down`);
  const user = process.getuid?.() === 0 ? [] : ['--user', '--preserve-credentials'];
  // First into the cluster, where the machine's process has the id we know; its child is process 1 of the node.
  const script =
    'pid=$(cat "/proc/$1/task/$1/children") && shift && exec nsenter --target="${pid%% *}" --mount --net --pid --uts --ipc -- "$@"';
  return [
    ...['nsenter', `--target=${supervisor}`, ...user, '--mount', '--pid', '--'],
    ...['/bin/sh', '-c', script, 'enter', String(machine.pid), ...words],
  ];
}

function wordFor({ metadata, status }: PodObject): string {
  if (metadata.deletionTimestamp !== undefined) return 'Terminating';
  for (const { state } of status?.containerStatuses ?? []) if ('waiting' in state) return state.waiting.reason;
  return status?.phase ?? 'Pending';
}

function mark(well: boolean, text: string): string {
  return well ? pc.green(text) : pc.yellow(text);
}

const BARE = ['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right'];
const INNER = ['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid'];

/** Columns without a frame, as kubectl prints them. */
function table(head: readonly string[]): Table.Table {
  const chars = Object.fromEntries([...BARE, ...INNER].map((name) => [name, '']));
  return new Table({
    head: head.map((name) => pc.bold(name.toUpperCase())),
    chars: { ...chars, middle: '  ' },
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
  });
}
