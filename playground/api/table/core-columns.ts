// SPDX-License-Identifier: Apache-2.0
// The columns `kubectl get` prints for core kinds, by kind. Kinds that are not here show name and age.
import { type Json, type JsonObject, type KubeObject, listAt, numberAt, objectAt, textAt } from '../json.ts';
import { AGE, age, type Column, column, duration, labelText, NAME } from './column.ts';
import { podColumns } from './pod-columns.ts';

const integer = (name: string, ...path: string[]): Column =>
  column(name, (object) => numberAt(object, ...path) ?? 0, 0, 'integer');
const text = (name: string, priority: number, ...path: string[]): Column =>
  column(name, (object) => textAt(object, ...path) ?? '', priority);
const or = (value: string | undefined, otherwise: string): string =>
  value === undefined || value === '' ? otherwise : value;
const names = (list: Json[], field: string): string => list.map((item) => textAt(item, field) ?? '').join(',');

const workload = (...path: string[]): Column[] => [
  column('Containers', (object) => names(listAt(object, ...path, 'spec', 'containers'), 'name'), 1),
  column('Images', (object) => names(listAt(object, ...path, 'spec', 'containers'), 'image'), 1),
];
const template = workload('spec', 'template');
const selector = column('Selector', (object) => selectorText(objectAt(object, 'spec', 'selector')), 1);

function selectorText(value: JsonObject): string {
  const labels = value['matchLabels'] ?? (value['matchExpressions'] ? {} : value);
  const expressions = listAt(value, 'matchExpressions').map(
    (item) =>
      `${textAt(item, 'key')} ${(textAt(item, 'operator') ?? '').toLowerCase()} (${listAt(item, 'values').join(',')})`,
  );
  const plain = labelText(labels);
  return [...(plain === '<none>' ? [] : [plain]), ...expressions].join(',') || '<none>';
}

const ready = (object: KubeObject): string =>
  `${numberAt(object, 'status', 'readyReplicas') ?? 0}/${numberAt(object, 'spec', 'replicas') ?? 0}`;

const condition = (object: KubeObject, type: string): string | undefined =>
  textAt(
    listAt(object, 'status', 'conditions').find((item) => textAt(item, 'type') === type),
    'status',
  );

const nodeAddress =
  (type: string) =>
  (object: KubeObject): string =>
    or(
      textAt(
        listAt(object, 'status', 'addresses').find((item) => textAt(item, 'type') === type),
        'address',
      ),
      '<none>',
    );

function nodeRoles(object: KubeObject): string {
  const prefix = 'node-role.kubernetes.io/';
  const roles = Object.keys(object.metadata.labels ?? {}).flatMap((key) =>
    key.startsWith(prefix) ? key.slice(prefix.length) : [],
  );
  return or(roles.sort().join(','), '<none>');
}

function externalAddress(object: KubeObject): string {
  const ingress = listAt(object, 'status', 'loadBalancer', 'ingress').map(
    (item) => textAt(item, 'ip') ?? textAt(item, 'hostname') ?? '',
  );
  const all = [...listAt(object, 'spec', 'externalIPs').map(String), ...ingress];
  if (textAt(object, 'spec', 'type') === 'ExternalName') return textAt(object, 'spec', 'externalName') ?? '';
  return or(all.join(','), textAt(object, 'spec', 'type') === 'LoadBalancer' ? '<pending>' : '<none>');
}

const servicePorts = (object: KubeObject): string =>
  or(
    listAt(object, 'spec', 'ports')
      .map((port) => {
        const node = numberAt(port, 'nodePort');
        return `${numberAt(port, 'port')}${node ? `:${node}` : ''}/${textAt(port, 'protocol') ?? 'TCP'}`;
      })
      .join(','),
    '<none>',
  );

function shorten(list: string[]): string {
  if (list.length === 0) return '<none>';
  return list.length > 3 ? `${list.slice(0, 3).join(',')} + ${list.length - 3} more...` : list.join(',');
}

const endpointsText = (object: KubeObject): string =>
  shorten(
    listAt(object, 'subsets').flatMap((subset) =>
      listAt(subset, 'addresses').flatMap((address) => {
        const ports = listAt(subset, 'ports');
        const ip = textAt(address, 'ip') ?? '';
        return ports.length === 0 ? [ip] : ports.map((port) => `${ip}:${numberAt(port, 'port')}`);
      }),
    ),
  );

const roleText = (object: KubeObject): string =>
  `${textAt(object, 'roleRef', 'kind')}/${textAt(object, 'roleRef', 'name')}`;
const subjectText = (object: KubeObject, kind: string): string =>
  listAt(object, 'subjects')
    .filter((item) => textAt(item, 'kind') === kind)
    .map((item) => (kind === 'ServiceAccount' ? `${textAt(item, 'namespace') ?? ''}/` : '') + textAt(item, 'name'))
    .join(', ');
const binding = [
  NAME,
  column('Role', roleText),
  AGE,
  column('Users', (object) => subjectText(object, 'User'), 1),
  column('Groups', (object) => subjectText(object, 'Group'), 1),
  column('ServiceAccounts', (object) => subjectText(object, 'ServiceAccount'), 1),
];
const created = [NAME, column('Created At', (object) => object.metadata.creationTimestamp ?? '', 0, 'date')];
const webhooks = [NAME, column('Webhooks', (object) => listAt(object, 'webhooks').length, 0, 'integer'), AGE];

function jobDuration(object: KubeObject, now: number): string {
  const start = textAt(object, 'status', 'startTime');
  if (!start) return '';
  const end = textAt(object, 'status', 'completionTime');
  return duration(Math.max(0, Math.floor(((end ? Date.parse(end) : now) - Date.parse(start)) / 1000)));
}

/** When, what, about which object: the order people read events in. */
const eventColumns: readonly Column[] = [
  column('Last Seen', (object, now) =>
    age(
      textAt(object, 'lastTimestamp') ??
        textAt(object, 'series', 'lastObservedTime') ??
        textAt(object, 'eventTime') ??
        textAt(object, 'deprecatedLastTimestamp'),
      now,
    ),
  ),
  text('Type', 0, 'type'),
  text('Reason', 0, 'reason'),
  column('Object', (object) => {
    const about = objectAt(object, object['regarding'] ? 'regarding' : 'involvedObject');
    return `${String(about['kind'] ?? '').toLowerCase()}/${String(about['name'] ?? '')}`;
  }),
  text('Subobject', 1, 'involvedObject', 'fieldPath'),
  column('Source', (object) => textAt(object, 'source', 'component') ?? textAt(object, 'reportingComponent') ?? '', 1),
  column('Message', (object) => (textAt(object, 'message') ?? textAt(object, 'note') ?? '').trim()),
  column('First Seen', (object, now) => age(textAt(object, 'firstTimestamp') ?? textAt(object, 'eventTime'), now), 1),
  column('Count', (object) => numberAt(object, 'count') ?? 1, 1, 'integer'),
  column('Name', (object) => object.metadata.name ?? '', 1),
];

export const CORE_COLUMNS: Readonly<Record<string, readonly Column[]>> = {
  Pod: podColumns,
  Event: eventColumns,
  Namespace: [NAME, text('Status', 0, 'status', 'phase'), AGE],
  ConfigMap: [
    NAME,
    column(
      'Data',
      (object) => Object.keys({ ...objectAt(object, 'data'), ...objectAt(object, 'binaryData') }).length,
      0,
      'integer',
    ),
    AGE,
  ],
  Secret: [
    NAME,
    text('Type', 0, 'type'),
    column('Data', (object) => Object.keys(objectAt(object, 'data')).length, 0, 'integer'),
    AGE,
  ],
  ServiceAccount: [NAME, column('Secrets', (object) => listAt(object, 'secrets').length, 0, 'integer'), AGE],
  Service: [
    NAME,
    text('Type', 0, 'spec', 'type'),
    column('Cluster-IP', (object) => or(textAt(object, 'spec', 'clusterIP'), '<none>')),
    column('External-IP', externalAddress),
    column('Port(s)', servicePorts),
    AGE,
    column('Selector', (object) => labelText(objectAt(object, 'spec', 'selector')), 1),
  ],
  Endpoints: [NAME, column('Endpoints', endpointsText), AGE],
  EndpointSlice: [
    NAME,
    text('AddressType', 0, 'addressType'),
    column('Ports', (object) =>
      or(
        listAt(object, 'ports')
          .map((port) => numberAt(port, 'port') ?? '*')
          .join(','),
        '<unset>',
      ),
    ),
    column('Endpoints', (object) =>
      shorten(listAt(object, 'endpoints').flatMap((item) => listAt(item, 'addresses').map(String))),
    ),
    AGE,
  ],
  Node: [
    NAME,
    column('Status', (object) => {
      const state = condition(object, 'Ready');
      const base = state === 'True' ? 'Ready' : state === undefined || state === 'Unknown' ? 'Unknown' : 'NotReady';
      return objectAt(object, 'spec')['unschedulable'] === true ? `${base},SchedulingDisabled` : base;
    }),
    column('Roles', nodeRoles),
    AGE,
    text('Version', 0, 'status', 'nodeInfo', 'kubeletVersion'),
    column('Internal-IP', nodeAddress('InternalIP'), 1),
    column('External-IP', nodeAddress('ExternalIP'), 1),
    text('OS-Image', 1, 'status', 'nodeInfo', 'osImage'),
    text('Kernel-Version', 1, 'status', 'nodeInfo', 'kernelVersion'),
    text('Container-Runtime', 1, 'status', 'nodeInfo', 'containerRuntimeVersion'),
  ],
  Deployment: [
    NAME,
    column('Ready', ready),
    integer('Up-to-date', 'status', 'updatedReplicas'),
    integer('Available', 'status', 'availableReplicas'),
    AGE,
    ...template,
    selector,
  ],
  ReplicaSet: [
    NAME,
    integer('Desired', 'spec', 'replicas'),
    integer('Current', 'status', 'replicas'),
    integer('Ready', 'status', 'readyReplicas'),
    AGE,
    ...template,
    selector,
  ],
  StatefulSet: [NAME, column('Ready', ready), AGE, ...template],
  DaemonSet: [
    NAME,
    integer('Desired', 'status', 'desiredNumberScheduled'),
    integer('Current', 'status', 'currentNumberScheduled'),
    integer('Ready', 'status', 'numberReady'),
    integer('Up-to-date', 'status', 'updatedNumberScheduled'),
    integer('Available', 'status', 'numberAvailable'),
    column('Node Selector', (object) => labelText(objectAt(object, 'spec', 'template', 'spec', 'nodeSelector'))),
    AGE,
    ...template,
    selector,
  ],
  Job: [
    NAME,
    column('Status', (object) =>
      condition(object, 'Complete') === 'True'
        ? 'Complete'
        : condition(object, 'Failed') === 'True'
          ? 'Failed'
          : 'Running',
    ),
    column(
      'Completions',
      (object) => `${numberAt(object, 'status', 'succeeded') ?? 0}/${numberAt(object, 'spec', 'completions') ?? 1}`,
    ),
    column('Duration', jobDuration),
    AGE,
    ...template,
    selector,
  ],
  CronJob: [
    NAME,
    text('Schedule', 0, 'spec', 'schedule'),
    column('Suspend', (object) => String(objectAt(object, 'spec')['suspend'] ?? false)),
    AGE,
  ],
  Lease: [NAME, text('Holder', 0, 'spec', 'holderIdentity'), AGE],
  Role: created,
  ClusterRole: created,
  RoleBinding: binding,
  ClusterRoleBinding: binding,
  CustomResourceDefinition: created,
  MutatingWebhookConfiguration: webhooks,
  ValidatingWebhookConfiguration: webhooks,
  CertificateSigningRequest: [
    NAME,
    AGE,
    text('SignerName', 0, 'spec', 'signerName'),
    text('Requestor', 0, 'spec', 'username'),
    column('Condition', (object) =>
      or(
        listAt(object, 'status', 'conditions')
          .map((item) => textAt(item, 'type'))
          .join(',') + (textAt(object, 'status', 'certificate') ? ',Issued' : ''),
        'Pending',
      ),
    ),
  ],
  PriorityClass: [
    NAME,
    integer('Value', 'value'),
    column('Global-Default', (object) => String(object['globalDefault'] ?? false)),
    AGE,
  ],
  PodDisruptionBudget: [
    NAME,
    column('Min Available', (object) => String(objectAt(object, 'spec')['minAvailable'] ?? 'N/A')),
    column('Max Unavailable', (object) => String(objectAt(object, 'spec')['maxUnavailable'] ?? 'N/A')),
    integer('Allowed Disruptions', 'status', 'disruptionsAllowed'),
    AGE,
  ],
  HorizontalPodAutoscaler: [
    NAME,
    column(
      'Reference',
      (object) =>
        `${textAt(object, 'spec', 'scaleTargetRef', 'kind')}/${textAt(object, 'spec', 'scaleTargetRef', 'name')}`,
    ),
    integer('MinPods', 'spec', 'minReplicas'),
    integer('MaxPods', 'spec', 'maxReplicas'),
    integer('Replicas', 'status', 'currentReplicas'),
    AGE,
  ],
  NetworkPolicy: [NAME, column('Pod-Selector', (object) => selectorText(objectAt(object, 'spec', 'podSelector'))), AGE],
  Ingress: [
    NAME,
    column('Class', (object) => or(textAt(object, 'spec', 'ingressClassName'), '<none>')),
    column('Hosts', (object) => or(names(listAt(object, 'spec', 'rules'), 'host'), '*')),
    column('Address', (object) => names(listAt(object, 'status', 'loadBalancer', 'ingress'), 'ip')),
    AGE,
  ],
};
