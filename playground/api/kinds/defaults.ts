// SPDX-License-Identifier: Apache-2.0
// Defaults of core kinds other than pods, by kind. Source: the API reference.
import { ensureObject, isObject, type Json, type JsonObject, type KubeObject, listAt, objectAt } from '../json.ts';
import { defaulted, defaultPodSpec } from './pod-defaults.ts';

type Defaults = (object: KubeObject) => void;
const specOf = (object: JsonObject): JsonObject => ensureObject(object, 'spec');
const objects = (value: Json | undefined, ...path: string[]): JsonObject[] => listAt(value, ...path).filter(isObject);
const QUARTER = '25%';

function template(spec: JsonObject): void {
  const pod = ensureObject(spec, 'template');
  ensureObject(pod, 'metadata');
  defaultPodSpec(ensureObject(pod, 'spec'));
}

function rolling(spec: JsonObject, field: string, values: JsonObject): void {
  const strategy = ensureObject(spec, field);
  defaulted(strategy, 'type', 'RollingUpdate');
  if (strategy['type'] !== 'RollingUpdate') return;
  const update = ensureObject(strategy, 'rollingUpdate');
  for (const [name, value] of Object.entries(values)) defaulted(update, name, value ?? null);
}

function job(spec: JsonObject): void {
  template(spec);
  if (spec['completions'] === undefined && spec['parallelism'] === undefined) spec['completions'] = 1;
  defaulted(spec, 'parallelism', 1);
  defaulted(spec, 'backoffLimit', 6);
  defaulted(spec, 'completionMode', 'NonIndexed');
  defaulted(spec, 'suspend', false);
  defaulted(spec, 'manualSelector', false);
  defaulted(spec, 'podReplacementPolicy', spec['podFailurePolicy'] ? 'Failed' : 'TerminatingOrFailed');
}

const subjects: Defaults = (binding) => {
  const ref = objectAt(binding, 'roleRef');
  if (ref['kind'] !== undefined) defaulted(ref, 'apiGroup', 'rbac.authorization.k8s.io');
  for (const subject of objects(binding, 'subjects'))
    if (subject['kind'] !== 'ServiceAccount') defaulted(subject, 'apiGroup', 'rbac.authorization.k8s.io');
};

const webhooks =
  (mutating: boolean): Defaults =>
  (configuration) => {
    for (const hook of objects(configuration, 'webhooks')) {
      defaulted(hook, 'failurePolicy', 'Fail');
      defaulted(hook, 'matchPolicy', 'Equivalent');
      defaulted(hook, 'timeoutSeconds', 10);
      defaulted(hook, 'namespaceSelector', {});
      defaulted(hook, 'objectSelector', {});
      if (mutating) defaulted(hook, 'reinvocationPolicy', 'Never');
      for (const rule of objects(hook, 'rules')) defaulted(rule, 'scope', '*');
      const service = objectAt(hook, 'clientConfig')['service'];
      if (isObject(service)) defaulted(service, 'port', 443);
    }
  };

const service: Defaults = (object) => {
  const spec = specOf(object);
  defaulted(spec, 'type', 'ClusterIP');
  defaulted(spec, 'sessionAffinity', 'None');
  if (spec['sessionAffinity'] === 'ClientIP')
    defaulted(spec, 'sessionAffinityConfig', { clientIP: { timeoutSeconds: 10_800 } });
  for (const port of objects(spec, 'ports')) {
    defaulted(port, 'protocol', 'TCP');
    if (port['targetPort'] === undefined || port['targetPort'] === 0 || port['targetPort'] === '')
      port['targetPort'] = port['port'] ?? 0;
  }
  if (spec['type'] !== 'ExternalName') defaulted(spec, 'internalTrafficPolicy', 'Cluster');
  if (spec['type'] === 'NodePort' || spec['type'] === 'LoadBalancer')
    defaulted(spec, 'externalTrafficPolicy', 'Cluster');
  if (spec['type'] === 'LoadBalancer') defaulted(spec, 'allocateLoadBalancerNodePorts', true);
};

const secret: Defaults = (object) => {
  defaulted(object, 'type', 'Opaque');
  const plain = object['stringData'];
  delete object['stringData'];
  if (!isObject(plain) || Object.keys(plain).length === 0) return;
  const data = ensureObject(object, 'data');
  for (const [name, value] of Object.entries(plain)) data[name] = Buffer.from(String(value)).toString('base64');
};

export const DEFAULTS: Readonly<Record<string, Defaults>> = {
  Pod: (object) => {
    const spec = specOf(object);
    defaultPodSpec(spec);
    defaulted(spec, 'enableServiceLinks', true);
    defaulted(ensureObject(object, 'status'), 'phase', 'Pending');
  },
  PodTemplate: (object) => defaultPodSpec(ensureObject(ensureObject(object, 'template'), 'spec')),
  Deployment: (object) => {
    const spec = specOf(object);
    template(spec);
    defaulted(spec, 'replicas', 1);
    defaulted(spec, 'revisionHistoryLimit', 10);
    defaulted(spec, 'progressDeadlineSeconds', 600);
    rolling(spec, 'strategy', { maxUnavailable: QUARTER, maxSurge: QUARTER });
  },
  ReplicaSet: (object) => {
    template(specOf(object));
    defaulted(specOf(object), 'replicas', 1);
  },
  ReplicationController: (object) => {
    const spec = specOf(object);
    template(spec);
    defaulted(spec, 'replicas', 1);
    defaulted(spec, 'selector', objectAt(spec, 'template', 'metadata', 'labels'));
  },
  StatefulSet: (object) => {
    const spec = specOf(object);
    template(spec);
    defaulted(spec, 'replicas', 1);
    defaulted(spec, 'revisionHistoryLimit', 10);
    defaulted(spec, 'podManagementPolicy', 'OrderedReady');
    defaulted(spec, 'persistentVolumeClaimRetentionPolicy', { whenDeleted: 'Retain', whenScaled: 'Retain' });
    rolling(spec, 'updateStrategy', { partition: 0 });
  },
  DaemonSet: (object) => {
    template(specOf(object));
    defaulted(specOf(object), 'revisionHistoryLimit', 10);
    rolling(specOf(object), 'updateStrategy', { maxUnavailable: 1, maxSurge: 0 });
  },
  Job: (object) => job(specOf(object)),
  CronJob: (object) => {
    const spec = specOf(object);
    job(ensureObject(ensureObject(spec, 'jobTemplate'), 'spec'));
    defaulted(spec, 'concurrencyPolicy', 'Allow');
    defaulted(spec, 'suspend', false);
    defaulted(spec, 'successfulJobsHistoryLimit', 3);
    defaulted(spec, 'failedJobsHistoryLimit', 1);
  },
  Service: service,
  Secret: secret,
  Endpoints: (object) => {
    for (const subset of objects(object, 'subsets'))
      for (const port of objects(subset, 'ports')) defaulted(port, 'protocol', 'TCP');
  },
  EndpointSlice: (object) => {
    defaulted(object, 'endpoints', []);
    for (const port of objects(object, 'ports')) {
      defaulted(port, 'name', '');
      defaulted(port, 'protocol', 'TCP');
    }
  },
  Namespace: (object) => {
    defaulted(ensureObject(object, 'status'), 'phase', 'Active');
    const labels = ensureObject(object.metadata, 'labels');
    labels['kubernetes.io/metadata.name'] = object.metadata.name ?? '';
  },
  NetworkPolicy: (object) => {
    const spec = specOf(object);
    for (const rule of [...objects(spec, 'ingress'), ...objects(spec, 'egress')])
      for (const port of objects(rule, 'ports')) defaulted(port, 'protocol', 'TCP');
    if (spec['policyTypes'] === undefined) spec['policyTypes'] = spec['egress'] ? ['Ingress', 'Egress'] : ['Ingress'];
  },
  RoleBinding: subjects,
  ClusterRoleBinding: subjects,
  MutatingWebhookConfiguration: webhooks(true),
  ValidatingWebhookConfiguration: webhooks(false),
  HorizontalPodAutoscaler: (object) => defaulted(specOf(object), 'minReplicas', 1),
  PriorityClass: (object) => defaulted(object, 'preemptionPolicy', 'PreemptLowerPriority'),
  StorageClass: (object) => {
    defaulted(object, 'reclaimPolicy', 'Delete');
    defaulted(object, 'volumeBindingMode', 'Immediate');
  },
  PersistentVolumeClaim: (object) => {
    defaulted(specOf(object), 'volumeMode', 'Filesystem');
    defaulted(ensureObject(object, 'status'), 'phase', 'Pending');
  },
  PersistentVolume: (object) => {
    defaulted(specOf(object), 'persistentVolumeReclaimPolicy', 'Retain');
    defaulted(specOf(object), 'volumeMode', 'Filesystem');
    defaulted(ensureObject(object, 'status'), 'phase', 'Pending');
  },
  CustomResourceDefinition: (object) => {
    const spec = specOf(object);
    defaulted(spec, 'conversion', { strategy: 'None' });
    const names = ensureObject(spec, 'names');
    const kind = names['kind'];
    if (typeof kind !== 'string') return;
    defaulted(names, 'singular', kind.toLowerCase());
    defaulted(names, 'listKind', `${kind}List`);
  },
};
