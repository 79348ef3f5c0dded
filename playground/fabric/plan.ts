// SPDX-License-Identifier: Apache-2.0
// Who has which address: the numbering plan of a playground cluster, both families, computed from a node's number.
// The ranges are those a kubeadm or kind cluster usually has, so that habits and examples carry over.

export interface NodePlan {
  readonly name: string;
  /** 1-based number of the node. */
  readonly index: number;
  readonly ipv4: string;
  readonly ipv6: string;
  readonly podCidrs: readonly [v4: string, v6: string];
}

export interface ClusterPlan {
  /** Address of the fabric itself, where the API server listens. */
  readonly fabric: { readonly ipv4: string; readonly ipv6: string };
  readonly serviceCidrs: readonly [v4: string, v6: string];
  /** ClusterIP of the `kubernetes` Service: the first of the service range. */
  readonly apiServiceIp: string;
  readonly dnsServiceIps: readonly [v4: string, v6: string];
  readonly domain: string;
  readonly nodes: readonly NodePlan[];
}

export const FABRIC_V4_PREFIX = 16;
export const FABRIC_V6_PREFIX = 64;
/** One octet numbers the nodes in the pod ranges; 64 processes-heavy nodes are far beyond one machine already. */
export const MAX_NODES = 64;

/** The plan for `count` nodes named `node-1`, `node-2`, … */
export function planCluster(count: number): ClusterPlan {
  return {
    fabric: { ipv4: '172.18.0.1', ipv6: 'fd00:172:18::1' },
    serviceCidrs: ['10.96.0.0/16', 'fd00:10:96::/112'],
    apiServiceIp: '10.96.0.1',
    dnsServiceIps: ['10.96.0.10', 'fd00:10:96::a'],
    domain: 'cluster.local',
    nodes: Array.from({ length: count }, (_, i) => planNode(i + 1)),
  };
}

function planNode(index: number): NodePlan {
  return {
    name: `node-${index}`,
    index,
    ipv4: `172.18.0.${10 + index}`,
    ipv6: `fd00:172:18::${(10 + index).toString(16)}`,
    podCidrs: [`10.244.${index}.0/24`, `fd00:10:244:${index.toString(16)}::/64`],
  };
}
