// SPDX-License-Identifier: Apache-2.0
// The fabric: the network between the nodes. The present network namespace becomes the switch, a bridge with one port
// for each node, and is where the API server lives; a node's port can be cut and slowed.
import { AmbitError } from '#lib/kit/error.ts';
import { ipBatch, run, tryRun } from './command.ts';
import { type ClusterPlan, FABRIC_V4_PREFIX, FABRIC_V6_PREFIX, type NodePlan } from './plan.ts';

const BRIDGE = 'fabric';

/** Bytes a slowed port may send at once; tbf needs at least one packet, and 32 KiB keeps the rate exact. */
const SLOW_BURST = '32kb';
/** How long packets may wait in a slowed port before they are dropped. */
const SLOW_LATENCY = '200ms';

/** The name of a node's port on the bridge, which is also what a capture between the nodes names. */
export function portOf(node: NodePlan): string {
  return `port-${node.index}`;
}

/** Makes the bridge and the fabric's own addresses in the present network namespace. */
export async function makeFabric(plan: ClusterPlan): Promise<void> {
  // Duplicate address detection would keep each new IPv6 address unusable for a second; nobody else numbers this network.
  await run('sysctl', [
    '-qw',
    'net.ipv6.conf.all.disable_ipv6=0',
    'net.ipv6.conf.default.accept_dad=0',
    'net.ipv6.conf.default.dad_transmits=0',
    'net.ipv4.ip_forward=1',
    'net.ipv6.conf.all.forwarding=1',
  ]);
  await ip([
    'link set lo up',
    `link add ${BRIDGE} type bridge`,
    `addr add ${plan.fabric.ipv4}/${FABRIC_V4_PREFIX} dev ${BRIDGE}`,
    `addr add ${plan.fabric.ipv6}/${FABRIC_V6_PREFIX} dev ${BRIDGE} nodad`,
    `link set ${BRIDGE} up`,
  ]);
  for (const node of plan.nodes) {
    await ip(node.podCidrs.map((cidr) => `route add ${cidr} via ${cidr.includes(':') ? node.ipv6 : node.ipv4}`));
  }
}

/** Plugs the network namespace at `netns` into the fabric as `node`: its `eth0`, addresses and default route. */
export async function plugNode(plan: ClusterPlan, node: NodePlan, netns: string): Promise<void> {
  const port = portOf(node);
  await tryRun('ip', ['link', 'del', port]);
  await ip([
    `link add ${port} type veth peer name eth0 netns ${netns}`,
    `link set ${port} master ${BRIDGE}`,
    `link set ${port} up`,
  ]);
  await ipBatch(netns, [
    'link set lo up',
    `addr add ${node.ipv4}/${FABRIC_V4_PREFIX} dev eth0`,
    `addr add ${node.ipv6}/${FABRIC_V6_PREFIX} dev eth0 nodad`,
    'link set eth0 up',
    `route add default via ${plan.fabric.ipv4}`,
    `route add default via ${plan.fabric.ipv6}`,
  ]);
}

/** Cuts the node's link, or joins it again. */
export async function setLink(node: NodePlan, state: 'up' | 'down'): Promise<void> {
  await run('ip', ['link', 'set', portOf(node), state]);
}

/** Limits what reaches the node to `rate` (tc's notation, `10mbit`); undefined lifts the limit. */
export async function slowLink(node: NodePlan, rate: string | undefined): Promise<void> {
  const port = portOf(node);
  if (rate === undefined) {
    await tryRun('tc', ['qdisc', 'del', 'dev', port, 'root']);
    return;
  }
  if (!/^\d+(\.\d+)?[kmg]?(bit|bps)$/.test(rate)) {
    throw new AmbitError('LINK_RATE', `rate ${JSON.stringify(rate)} is not understood`, {
      advice: 'write for example 10mbit',
    });
  }
  await run('tc', [
    'qdisc',
    'replace',
    'dev',
    port,
    'root',
    'tbf',
    'rate',
    rate,
    'burst',
    SLOW_BURST,
    'latency',
    SLOW_LATENCY,
  ]);
}

async function ip(lines: readonly string[]): Promise<void> {
  await run('ip', ['-batch', '-'], { input: `${lines.join('\n')}\n` });
}
