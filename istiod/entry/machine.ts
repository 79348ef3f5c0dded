// SPDX-License-Identifier: Apache-2.0
// What a connected machine is: which WorkloadEntry stands for it, and what that says when it is made from a
// WorkloadGroup. Pure.

import { textOf } from '#lib/kit/text-of.ts';
import type { GenericObject } from '#lib/kube/object.ts';
import type { WorkloadEntry, WorkloadGroup } from '#lib/model/object/entry.ts';
import { TUNNEL } from '#lib/model/object/names.ts';
import { AUTO_REGISTRATION_GROUP, registeredName } from '#lib/model/workload/machine.ts';
import { parseNodeId } from '#lib/xds/node.ts';
import type { Peer } from '#lib/xds/server-stream.ts';
import { metadataText } from '../push/observer.ts';

export const CONTROLLER = 'istio.io/workloadController';
export const CONNECTED_AT = 'istio.io/connectedAt';
export const DISCONNECTED_AT = 'istio.io/disconnectedAt';
export const HEALTH_CHECKED = 'proxy.istio.io/health-checks-enabled';

/** The entry a client stands for. */
export interface Machine {
  readonly namespace: string;
  /** Of the WorkloadEntry. */
  readonly name: string;
  /** The WorkloadGroup it registers with; undefined when its entry exists without it. */
  readonly group: string | undefined;
  readonly address: string;
  readonly network: string;
  readonly labels: Readonly<Record<string, string>>;
  /** It ends tunnels itself. */
  readonly tunnelled: boolean;
}

/** undefined for clients that are no machines: those of pods. */
export function machineOf(peer: Pick<Peer, 'id' | 'metadata'>): Machine | undefined {
  const node = parseNodeId(peer.id);
  const text = (key: string): string => metadataText({ ...peer, identity: '' }, key);
  const group = text('AUTO_REGISTER_GROUP');
  const entry = text('WORKLOAD_ENTRY');
  if (node === undefined || (group === '' && entry === '')) return undefined;
  const address = text('INSTANCE_IPS').split(',')[0] || node.ip;
  const network = text('NETWORK');
  const given = peer.metadata['LABELS'];
  const labels = typeof given === 'object' && given !== null && !Array.isArray(given) ? Object.entries(given) : [];
  return {
    namespace: text('NAMESPACE') || node.namespace,
    name: group === '' ? entry : registeredName(group, address, network),
    group: group === '' ? undefined : group,
    address,
    network,
    labels: Object.fromEntries(labels.map(([key, value]) => [key, textOf(value)])),
    tunnelled: node.type === 'ztunnel' || ['true', '1'].includes(text('ENABLE_HBONE').toLowerCase()),
  };
}

/** The entry of a machine that registers. @param instance of istiod, which answers for it */
export function registeredEntry(machine: Machine, group: WorkloadGroup, instance: string, now: string): GenericObject {
  const { metadata = {}, probe, template = {} } = group.spec ?? {};
  const labels = {
    ...template.labels,
    ...metadata.labels,
    ...machine.labels,
    ...(machine.tunnelled && { [TUNNEL]: 'http' }),
  };
  const checked = probe !== undefined;
  return {
    metadata: {
      name: machine.name,
      namespace: machine.namespace,
      labels,
      annotations: {
        ...metadata.annotations,
        [AUTO_REGISTRATION_GROUP]: group.metadata.name,
        [CONTROLLER]: instance,
        [CONNECTED_AT]: now,
        ...(checked && { [HEALTH_CHECKED]: 'true' }),
      },
      ownerReferences: [
        {
          apiVersion: 'networking.istio.io/v1',
          kind: 'WorkloadGroup',
          name: group.metadata.name,
          uid: group.metadata.uid ?? '',
          controller: true,
        },
      ],
    },
    spec: {
      ...template,
      address: machine.address,
      ...(machine.network !== '' && { network: machine.network }),
    },
  };
}

/** Whether nobody answers for a registered entry any more. @param nowMs wall clock */
export function isAbandoned(
  entry: Pick<WorkloadEntry, 'metadata'>,
  { graceMs, maxAgeMs }: { readonly graceMs: number; readonly maxAgeMs: number },
  nowMs: number,
): boolean {
  const { annotations = {} } = entry.metadata;
  if (annotations[AUTO_REGISTRATION_GROUP] === undefined) return false;
  const since = (key: string): number => nowMs - Date.parse(annotations[key] ?? '');
  if (annotations[DISCONNECTED_AT] !== undefined) return since(DISCONNECTED_AT) > graceMs;
  // Streams are renewed before they are so old: its istiod died without a word.
  return since(CONNECTED_AT) > 1.5 * maxAgeMs;
}
