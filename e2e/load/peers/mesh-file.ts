// SPDX-License-Identifier: Apache-2.0
// The mesh of the benchmark, in the file that a ztunnel reads in place of a control plane.
import { CLIENT_IP, SERVER_IP } from '../fabric.ts';

export const NAMESPACE = 'bench';
/** Both hosts' workloads; each has a service account of its own name. */
export const WORKLOADS = [
  { name: 'client', ip: CLIENT_IP },
  { name: 'server', ip: SERVER_IP },
];

/** The file's text; each workload on a node of its own unless told. */
export function meshFile(nodeOf: (name: string) => string = (name) => `node-${name}`): string {
  const workloads = WORKLOADS.map(({ name, ip }) => ({
    uid: `cluster1//v1/Pod/${NAMESPACE}/${name}`,
    name,
    namespace: NAMESPACE,
    serviceAccount: name,
    workloadIps: [ip],
    protocol: 'HBONE',
    node: nodeOf(name),
    network: '',
    services: {},
  }));
  return JSON.stringify({ workloads, policies: [], services: [] });
}
