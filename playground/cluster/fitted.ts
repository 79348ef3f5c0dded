// SPDX-License-Identifier: Apache-2.0
// The project's manifests as a cluster needs them: with its own addresses, and, when it is one of several, with its id
// where programs look for it. Pure.
import type { ClusterPlan } from '../fabric/plan.ts';
import type { Manifest } from './install.ts';

/** Variables by which programs know their cluster. */
const CLUSTER_IDS: ReadonlySet<string> = new Set(['CLUSTER_ID', 'ISTIO_META_CLUSTER_ID']);

export interface Membership {
  readonly name: string;
  readonly members: readonly string[];
}

interface Container {
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
}
interface Workload extends Manifest {
  readonly spec?: { readonly template?: { readonly spec?: { readonly containers?: readonly Container[] } } };
}

/** A cluster alone keeps the id that everybody expects of one, `Kubernetes`; several are called by their names. */
export function fitted(manifests: readonly Manifest[], plan: ClusterPlan, { members, name }: Membership): Manifest[] {
  return manifests.map((manifest) => {
    if (manifest.kind === 'Service' && manifest.metadata.name === 'kube-dns') return withAddresses(manifest, plan);
    return members.length > 1 ? withClusterId(manifest, name) : manifest;
  });
}

function withAddresses(service: Manifest & { readonly spec?: object }, { dnsServiceIps }: ClusterPlan): Manifest {
  const spec = { ...service.spec, clusterIP: dnsServiceIps[0], clusterIPs: dnsServiceIps };
  return { ...service, spec } as Manifest;
}

function withClusterId(workload: Workload, id: string): Manifest {
  const { spec } = workload;
  const pod = spec?.template?.spec;
  if (pod?.containers === undefined) return workload;
  const containers = pod.containers.map((container) =>
    container.env === undefined
      ? container
      : { ...container, env: container.env.map((one) => (CLUSTER_IDS.has(one.name) ? { ...one, value: id } : one)) },
  );
  const template = { ...spec?.template, spec: { ...pod, containers } };
  return { ...workload, spec: { ...spec, template } } as Manifest;
}
