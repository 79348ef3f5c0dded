// SPDX-License-Identifier: Apache-2.0
// Who has which address: the numbering plan of a playground cluster, both families, computed from a node's number.
// The ranges are those a kubeadm or kind cluster usually has, so that habits and examples carry over; those of a second
// cluster follow, so that both may share one network.

export interface NodePlan {
  readonly name: string;
  /** 1-based number of the node; machines are numbered from 1001 on. */
  readonly index: number;
  readonly ipv4: string;
  readonly ipv6: string;
  /** IPv4 and IPv6; none on a machine that is no node. */
  readonly podCidrs: readonly string[];
}

export interface ClusterPlan {
  /** 1-based number of the cluster among those that are brought up together. */
  readonly cluster: number;
  /** Address of the fabric itself, where the API server listens. */
  readonly fabric: { readonly ipv4: string; readonly ipv6: string };
  /** Ranges of the nodes, and of everything else that is plugged into the fabric. */
  readonly fabricCidrs: readonly [v4: string, v6: string];
  /** Ranges that hold those of every node's pods. */
  readonly podCidrs: readonly [v4: string, v6: string];
  readonly serviceCidrs: readonly [v4: string, v6: string];
  /** ClusterIP of the `kubernetes` Service: the first of the service range. */
  readonly apiServiceIp: string;
  readonly dnsServiceIps: readonly [v4: string, v6: string];
  readonly domain: string;
  readonly nodes: readonly NodePlan[];
  /** Machines on the nodes' network that Kubernetes knows nothing of. */
  readonly machines: readonly NodePlan[];
}

export const FABRIC_V4_PREFIX = 16;
export const FABRIC_V6_PREFIX = 64;
/** One octet numbers the nodes in the pod ranges; 64 processes-heavy nodes are far beyond one machine already. */
export const MAX_NODES = 64;
/** The private range 172.16.0.0/12 has room for more; a laptop has not. */
export const MAX_CLUSTERS = 4;

export const MAX_MACHINES = 64;
const FIRST_MACHINE = 1001;

/** The plan for `count` nodes named `node-1`, `node-2`, … of the cluster with this number, and machines `vm-1`, `vm-2`, … */
export function planCluster(count: number, cluster = 1, machines = 0): ClusterPlan {
  const [fabric, pods, services] = [17 + cluster, 243 + cluster, 95 + cluster];
  return {
    cluster,
    fabric: { ipv4: `172.${fabric}.0.1`, ipv6: `fd00:172:${fabric}::1` },
    fabricCidrs: [`172.${fabric}.0.0/${FABRIC_V4_PREFIX}`, `fd00:172:${fabric}::/${FABRIC_V6_PREFIX}`],
    podCidrs: [`10.${pods}.0.0/16`, `fd00:10:${pods}::/48`],
    serviceCidrs: [`10.${services}.0.0/16`, `fd00:10:${services}::/112`],
    apiServiceIp: `10.${services}.0.1`,
    dnsServiceIps: [`10.${services}.0.10`, `fd00:10:${services}::a`],
    domain: 'cluster.local',
    nodes: Array.from({ length: count }, (_, i) => {
      const index = i + 1;
      return {
        name: `node-${index}`,
        index,
        ipv4: `172.${fabric}.0.${10 + index}`,
        ipv6: `fd00:172:${fabric}::${(10 + index).toString(16)}`,
        podCidrs: [`10.${pods}.${index}.0/24`, `fd00:10:${pods}:${index.toString(16)}::/64`],
      };
    }),
    machines: Array.from({ length: machines }, (_, i) => ({
      ...{ name: `vm-${i + 1}`, index: FIRST_MACHINE + i, podCidrs: [] },
      ipv4: `172.${fabric}.1.${i + 1}`,
      ipv6: `fd00:172:${fabric}::1:${(i + 1).toString(16)}`,
    })),
  };
}
