// SPDX-License-Identifier: Apache-2.0
// How lists and maps of core kinds merge: facts that the client's models do not carry. `smp` is the merge key of a
// strategic merge patch, `keys` those of server-side apply (several where one does not identify an item).
// Source: the patchStrategy, listType and mapType markers documented in the Kubernetes API reference.

export interface ListMerge {
  /** Merge key of strategic merge; '' merges as a set of scalars. */
  readonly smp?: string;
  readonly type?: 'set' | 'map';
  readonly keys?: readonly string[];
}

const byKey = (key: string): ListMerge => ({ smp: key, type: 'map', keys: [key] });
const scalars: ListMerge = { smp: '', type: 'set' };

const CONTAINER: Readonly<Record<string, ListMerge>> = {
  env: byKey('name'),
  ports: { smp: 'containerPort', type: 'map', keys: ['containerPort', 'protocol'] },
  volumeMounts: byKey('mountPath'),
  volumeDevices: byKey('devicePath'),
};

/** Lists that have a fixed place: model, then field. `conditions` are keyed by type everywhere. */
export const LIST_MERGE: Readonly<Record<string, Readonly<Record<string, ListMerge>>>> = {
  V1ObjectMeta: { ownerReferences: byKey('uid'), finalizers: scalars },
  V1PodSpec: {
    containers: byKey('name'),
    initContainers: byKey('name'),
    ephemeralContainers: byKey('name'),
    volumes: byKey('name'),
    imagePullSecrets: byKey('name'),
    hostAliases: byKey('ip'),
    resourceClaims: byKey('name'),
    schedulingGates: byKey('name'),
    topologySpreadConstraints: {
      smp: 'topologyKey',
      type: 'map',
      keys: ['topologyKey', 'whenUnsatisfiable'],
    },
  },
  V1Container: CONTAINER,
  V1EphemeralContainer: CONTAINER,
  V1PodStatus: { podIPs: byKey('ip'), hostIPs: { smp: 'ip' } },
  V1ServiceSpec: { ports: { smp: 'port', type: 'map', keys: ['port', 'protocol'] } },
  V1ServiceAccount: { secrets: byKey('name') },
  V1NodeSpec: { podCIDRs: scalars },
  V1NodeStatus: { addresses: byKey('type') },
  V1MutatingWebhookConfiguration: { webhooks: byKey('name') },
  V1ValidatingWebhookConfiguration: { webhooks: byKey('name') },
  V1MutatingWebhook: { matchConditions: byKey('name') },
  V1ValidatingWebhook: { matchConditions: byKey('name') },
  V1Endpoint: { addresses: { type: 'set' } },
};

export const CONDITIONS: ListMerge = byKey('type');

/** Models that are replaced as a whole. */
export const ATOMIC_MODELS: ReadonlySet<string> = new Set([
  'V1LabelSelector',
  'V1LocalObjectReference',
  'V1ObjectReference',
  'V1TypedLocalObjectReference',
  'V1TypedObjectReference',
  'V1ConfigMapKeySelector',
  'V1SecretKeySelector',
  'V1ObjectFieldSelector',
  'V1ResourceFieldSelector',
  'V1SecretReference',
  'V1NodeSelector',
  'V1NodeSelectorTerm',
  'V1RoleRef',
  'RbacV1Subject',
  'V1ScopedResourceSelectorRequirement',
  'V1TopologySelectorTerm',
]);

/** String maps that are replaced as a whole: model, then field. */
export const ATOMIC_MAPS: Readonly<Record<string, readonly string[]>> = {
  V1PodSpec: ['nodeSelector'],
  V1ServiceSpec: ['selector'],
  V1ReplicationControllerSpec: ['selector'],
};

/** Quantities: their clients may send numbers, the server answers strings. Model, then field. */
export const QUANTITIES: Readonly<Record<string, readonly string[]>> = {
  V1ResourceRequirements: ['limits', 'requests'],
  V1VolumeResourceRequirements: ['limits', 'requests'],
  V1ResourceQuotaSpec: ['hard'],
  V1ResourceQuotaStatus: ['hard', 'used'],
  V1NodeStatus: ['capacity', 'allocatable'],
  V1PersistentVolumeSpec: ['capacity'],
  V1PersistentVolumeClaimStatus: ['capacity'],
  V1LimitRangeItem: ['_default', 'default', 'defaultRequest', 'max', 'min', 'maxLimitRequestRatio'],
  V1EmptyDirVolumeSource: ['sizeLimit'],
  V1ResourceFieldSelector: ['divisor'],
  V1PodSpec: ['overhead'],
  V2MetricTarget: ['averageValue', 'value'],
};
