// SPDX-License-Identifier: Apache-2.0
// The one table of built-in kinds. A row is what discovery says about a kind; schema, columns, defaults and
// validation are found by its name.

import type { BuiltinSchemas } from '../schema/builtin.ts';
import { AGE, NAME } from '../table/column.ts';
import { CORE_COLUMNS } from '../table/core-columns.ts';
import { DEFAULTS } from './defaults.ts';
import { eventConversion } from './events.ts';
import { FIELDS } from './fields.ts';
import { PREPARE_CREATE, PREPARE_UPDATE } from './prepare.ts';
import type { Resource, ScalePaths, ServedVersion, Strategy, Subresource } from './resource.ts';
import { VALIDATIONS } from './validation.ts';

interface Row {
  readonly kind: string;
  readonly plural?: string;
  readonly short?: readonly string[];
  readonly categories?: readonly string[];
  readonly cluster?: true;
  readonly status?: true;
  readonly scale?: true;
  /** Created and answered, never stored. */
  readonly virtual?: true;
  readonly subresources?: Readonly<Record<string, Subresource>>;
  readonly model?: string;
}

const ALL = ['all'];
const CONNECT = ['create', 'delete', 'get', 'patch', 'update'];
const option = (kind: string, verbs: readonly string[]): Subresource => ({ kind, verbs });
const proxy = (kind: string): Subresource => option(kind, CONNECT);

const POD_SUBRESOURCES: Readonly<Record<string, Subresource>> = {
  attach: option('PodAttachOptions', ['create', 'get']),
  binding: option('Binding', ['create']),
  ephemeralcontainers: option('Pod', ['get', 'patch', 'update']),
  eviction: { kind: 'Eviction', group: 'policy', version: 'v1', verbs: ['create'] },
  exec: option('PodExecOptions', ['create', 'get']),
  log: option('Pod', ['get']),
  portforward: option('PodPortForwardOptions', ['create', 'get']),
  proxy: proxy('PodProxyOptions'),
};

const TABLE: Readonly<Record<string, readonly Row[]>> = {
  '/v1': [
    { kind: 'Binding', virtual: true },
    { kind: 'ConfigMap', short: ['cm'] },
    { kind: 'Endpoints', plural: 'endpoints', short: ['ep'] },
    { kind: 'Event', short: ['ev'], model: 'CoreV1Event' },
    { kind: 'LimitRange', short: ['limits'] },
    {
      kind: 'Namespace',
      short: ['ns'],
      cluster: true,
      status: true,
      subresources: { finalize: option('Namespace', ['update']) },
    },
    { kind: 'Node', short: ['no'], cluster: true, status: true, subresources: { proxy: proxy('NodeProxyOptions') } },
    { kind: 'PersistentVolume', short: ['pv'], cluster: true, status: true },
    { kind: 'PersistentVolumeClaim', short: ['pvc'], status: true },
    { kind: 'Pod', short: ['po'], categories: ALL, status: true, subresources: POD_SUBRESOURCES },
    { kind: 'PodTemplate' },
    { kind: 'ReplicationController', short: ['rc'], categories: ALL, status: true, scale: true },
    { kind: 'ResourceQuota', short: ['quota'], status: true },
    { kind: 'Secret' },
    {
      kind: 'ServiceAccount',
      short: ['sa'],
      subresources: {
        token: { kind: 'TokenRequest', group: 'authentication.k8s.io', version: 'v1', verbs: ['create'] },
      },
    },
    {
      kind: 'Service',
      short: ['svc'],
      categories: ALL,
      status: true,
      subresources: { proxy: proxy('ServiceProxyOptions') },
    },
  ],
  'admissionregistration.k8s.io/v1': [
    { kind: 'MutatingWebhookConfiguration', cluster: true, categories: ['api-extensions'] },
    { kind: 'ValidatingWebhookConfiguration', cluster: true, categories: ['api-extensions'] },
  ],
  'apiextensions.k8s.io/v1': [
    {
      kind: 'CustomResourceDefinition',
      short: ['crd', 'crds'],
      cluster: true,
      status: true,
      categories: ['api-extensions'],
    },
  ],
  'apps/v1': [
    { kind: 'ControllerRevision' },
    { kind: 'DaemonSet', short: ['ds'], categories: ALL, status: true },
    { kind: 'Deployment', short: ['deploy'], categories: ALL, status: true, scale: true },
    { kind: 'ReplicaSet', short: ['rs'], categories: ALL, status: true, scale: true },
    { kind: 'StatefulSet', short: ['sts'], categories: ALL, status: true, scale: true },
  ],
  'authentication.k8s.io/v1': [
    { kind: 'SelfSubjectReview', cluster: true, virtual: true },
    { kind: 'TokenReview', cluster: true, virtual: true },
  ],
  'authorization.k8s.io/v1': [
    { kind: 'LocalSubjectAccessReview', virtual: true },
    { kind: 'SelfSubjectAccessReview', cluster: true, virtual: true },
    { kind: 'SelfSubjectRulesReview', cluster: true, virtual: true },
    { kind: 'SubjectAccessReview', cluster: true, virtual: true },
  ],
  'autoscaling/v2': [{ kind: 'HorizontalPodAutoscaler', short: ['hpa'], categories: ALL, status: true }],
  'batch/v1': [
    { kind: 'CronJob', short: ['cj'], categories: ALL, status: true },
    { kind: 'Job', categories: ALL, status: true },
  ],
  'certificates.k8s.io/v1': [
    {
      kind: 'CertificateSigningRequest',
      short: ['csr'],
      cluster: true,
      status: true,
      subresources: { approval: option('CertificateSigningRequest', ['get', 'patch', 'update']) },
    },
  ],
  'certificates.k8s.io/v1beta1': [{ kind: 'ClusterTrustBundle', cluster: true, model: 'V1beta1ClusterTrustBundle' }],
  'coordination.k8s.io/v1': [{ kind: 'Lease' }],
  'discovery.k8s.io/v1': [{ kind: 'EndpointSlice' }],
  'events.k8s.io/v1': [{ kind: 'Event', short: ['ev'], model: 'EventsV1Event' }],
  'networking.k8s.io/v1': [
    { kind: 'Ingress', plural: 'ingresses', short: ['ing'], status: true },
    { kind: 'IngressClass', plural: 'ingressclasses', cluster: true },
    { kind: 'NetworkPolicy', plural: 'networkpolicies', short: ['netpol'] },
  ],
  'policy/v1': [{ kind: 'PodDisruptionBudget', short: ['pdb'], status: true }],
  'rbac.authorization.k8s.io/v1': [
    { kind: 'ClusterRole', cluster: true },
    { kind: 'ClusterRoleBinding', cluster: true },
    { kind: 'Role' },
    { kind: 'RoleBinding' },
  ],
  'scheduling.k8s.io/v1': [{ kind: 'PriorityClass', plural: 'priorityclasses', short: ['pc'], cluster: true }],
  'storage.k8s.io/v1': [
    { kind: 'CSIDriver', cluster: true },
    { kind: 'CSINode', cluster: true },
    { kind: 'StorageClass', plural: 'storageclasses', short: ['sc'], cluster: true },
    { kind: 'VolumeAttachment', cluster: true, status: true },
  ],
};

const SCALE: ScalePaths = {
  specReplicasPath: '.spec.replicas',
  statusReplicasPath: '.status.replicas',
  labelSelectorPath: '.spec.selector',
};

/** Every built-in resource. */
export function builtinResources(schemas: BuiltinSchemas): Resource[] {
  return Object.entries(TABLE).flatMap(([groupVersion, rows]) => {
    const [group, version] = groupVersion.split('/') as [string, string];
    return rows.map((row) => resourceOf(group, version, row, schemas));
  });
}

function resourceOf(group: string, version: string, row: Row, schemas: BuiltinSchemas): Resource {
  const plural = row.plural ?? `${row.kind.toLowerCase()}s`;
  const model = row.model ?? modelOf(row.kind, version, group);
  const modernEvent = row.kind === 'Event' && group !== '';
  const storage = row.virtual ? '' : group && !modernEvent ? `${plural}.${group}` : plural;
  const served: ServedVersion = {
    name: version,
    get schema() {
      return schemas.resolve(model);
    },
    resolve: schemas.resolve,
    status: row.status === true,
    ...(row.scale ? { scale: SCALE } : {}),
    columns: CORE_COLUMNS[row.kind] ?? [NAME, AGE],
    fields: FIELDS[row.kind] ?? [],
    model,
  };
  const defaults = DEFAULTS[row.kind];
  const validate = VALIDATIONS[row.kind];
  const prepareCreate = PREPARE_CREATE[row.kind];
  const prepareUpdate = PREPARE_UPDATE[row.kind];
  const strategy: Strategy = {
    ...(defaults ? { defaults } : {}),
    ...(validate ? { validate } : {}),
    ...(prepareCreate ? { prepareCreate } : {}),
    ...(prepareUpdate ? { prepareUpdate } : {}),
  };
  return {
    group,
    plural,
    singular: row.kind.toLowerCase(),
    kind: row.kind,
    listKind: `${row.kind}List`,
    short: row.short ?? [],
    categories: row.categories ?? [],
    namespaced: row.cluster !== true,
    storage,
    storageVersion: version,
    versions: new Map([[version, served]]),
    custom: false,
    subresources: row.subresources ?? {},
    strategy,
    ...(modernEvent ? { convert: eventConversion } : {}),
  };
}

function modelOf(kind: string, version: string, group: string): string {
  if (kind === 'TokenRequest' && group === 'authentication.k8s.io') return 'AuthenticationV1TokenRequest';
  return `${version.toUpperCase()}${kind}`;
}
