// SPDX-License-Identifier: Apache-2.0
// The mesh of the benchmark, in the file that a ztunnel reads in place of a control plane.
import { CLIENT_IP, SERVER_IP } from '../fabric.ts';

export const NAMESPACE = 'bench';
/** Both hosts' workloads; each has a service account of its own name. */
export const WORKLOADS = [
  { name: 'client', ip: CLIENT_IP },
  { name: 'server', ip: SERVER_IP },
];

export interface MeshOptions {
  /** Each workload on a node of its own unless told. */
  readonly nodeOf?: (name: string) => string;
  /** Policies that every connection is held against. */
  readonly policies?: readonly object[];
}

/** The file's text. */
export function meshFile({ nodeOf = (name) => `node-${name}`, policies = [] }: MeshOptions = {}): string {
  const workloads = WORKLOADS.map(({ name, ip }) => ({
    uid: `cluster1//v1/Pod/${NAMESPACE}/${name}`,
    name,
    namespace: NAMESPACE,
    trustDomain: 'cluster.local',
    serviceAccount: name,
    workloadIps: [ip],
    protocol: 'HBONE',
    node: nodeOf(name),
    network: '',
    services: {},
  }));
  return JSON.stringify({ workloads, policies, services: [] });
}

/** What a namespace with rules looks like: callers who may, each with a policy of his own, the bench's client last; and some who may not. */
export function policies(): object[] {
  const one = (name: string, action: 'Allow' | 'Deny', caller: string): object => ({
    name,
    namespace: NAMESPACE,
    scope: 'Namespace',
    action,
    rules: [[[{ principals: [{ Exact: `cluster.local/ns/${NAMESPACE}/sa/${caller}` }] }]]],
  });
  const others = Array.from({ length: 9 }, (_, k) => `caller-${k}`);
  return [
    ...others.map((caller) => one(`deny-${caller}`, 'Deny', `not-${caller}`)),
    ...[...others, 'client'].map((caller) => one(`allow-${caller}`, 'Allow', caller)),
  ];
}
