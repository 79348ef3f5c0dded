// SPDX-License-Identifier: Apache-2.0
// A line between the fabrics of two clusters, laid from outside: nodes reach nodes, pods reach pods by their own
// addresses. Virtual addresses of Services stay where they are.
import { run } from './command.ts';
import type { ClusterPlan } from './plan.ts';

/** A cluster's fabric. */
export interface FabricEnd {
  /** A process in it, as this namespace numbers it. */
  readonly pid: number;
  readonly plan: ClusterPlan;
  /** Words for `nsenter` beside the network, for who is not root. */
  readonly user: readonly string[];
}

/** Joins two fabrics, whose namespaces must belong to one user namespace. */
export async function joinFabrics(a: FabricEnd, b: FabricEnd): Promise<void> {
  const peer = `${deviceTo(a.plan)} netns ${b.pid}`;
  await batch(a, [`link add ${deviceTo(b.plan)} type veth peer name ${peer}`]);
  await Promise.all([batch(a, linesTo(a.plan, b.plan)), batch(b, linesTo(b.plan, a.plan))]);
}

/** Link-local neighbours need no addresses of their own; IPv4 leans on those of the fabrics. */
function linesTo(self: ClusterPlan, other: ClusterPlan): string[] {
  const device = deviceTo(other);
  const route = (cidr: string): string =>
    cidr.includes(':')
      ? `route add ${cidr} via fe80::${other.cluster} dev ${device}`
      : `route add ${cidr} via ${other.fabric.ipv4} dev ${device} onlink`;
  return [
    `link set ${device} up`,
    `addr add fe80::${self.cluster}/64 dev ${device} nodad`,
    ...[...other.fabricCidrs, ...other.podCidrs].map(route),
  ];
}

function deviceTo({ cluster }: ClusterPlan): string {
  return `trunk-${cluster}`;
}

async function batch({ pid, user }: FabricEnd, lines: readonly string[]): Promise<void> {
  const input = `${lines.join('\n')}\n`;
  await run('nsenter', [`--target=${pid}`, ...user, '--net', '--', 'ip', '-batch', '-'], { input });
}
