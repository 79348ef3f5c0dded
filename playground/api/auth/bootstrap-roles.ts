// SPDX-License-Identifier: Apache-2.0
// The cluster roles and bindings every cluster has from its first second. Source: Kubernetes documentation, "Using RBAC
// Authorization, default roles". Components of the playground run as system:masters, so node and controller roles are
// left out.
import type { JsonObject, KubeObject } from '../json.ts';
import { AUTHENTICATED, MASTERS, UNAUTHENTICATED } from './user.ts';

const RBAC = 'rbac.authorization.k8s.io';
const READ = ['get', 'list', 'watch'];
const WRITE = ['create', 'delete', 'deletecollection', 'patch', 'update'];
const WORKLOADS: readonly [group: string, resources: string[]][] = [
  [
    '',
    [
      'configmaps',
      'endpoints',
      'persistentvolumeclaims',
      'pods',
      'replicationcontrollers',
      'services',
      'serviceaccounts',
    ],
  ],
  [
    'apps',
    [
      'daemonsets',
      'deployments',
      'deployments/scale',
      'replicasets',
      'replicasets/scale',
      'statefulsets',
      'statefulsets/scale',
    ],
  ],
  ['autoscaling', ['horizontalpodautoscalers']],
  ['batch', ['cronjobs', 'jobs']],
  ['networking.k8s.io', ['ingresses', 'networkpolicies']],
  ['policy', ['poddisruptionbudgets']],
];

const rule = (apiGroups: string[], resources: string[], verbs: string[]): JsonObject => ({
  apiGroups,
  resources,
  verbs,
});
const workloads = (verbs: string[]): JsonObject[] =>
  WORKLOADS.map(([group, resources]) => rule([group], resources, verbs));

function role(name: string, rules: JsonObject[], labels: Record<string, string> = {}): KubeObject {
  return {
    apiVersion: `${RBAC}/v1`,
    kind: 'ClusterRole',
    metadata: { name, labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults', ...labels } },
    rules,
  };
}

function aggregate(name: string, labels: Record<string, string> = {}): KubeObject {
  const selector = { matchLabels: { [`rbac.authorization.k8s.io/aggregate-to-${name}`]: 'true' } };
  return { ...role(name, [], labels), aggregationRule: { clusterRoleSelectors: [selector] } };
}

function binding(name: string, groups: string[]): KubeObject {
  return {
    apiVersion: `${RBAC}/v1`,
    kind: 'ClusterRoleBinding',
    metadata: { name, labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults' } },
    roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name },
    subjects: groups.map((group) => ({ apiGroup: RBAC, kind: 'Group', name: group })),
  };
}

const to = (name: string): Record<string, string> => ({ [`rbac.authorization.k8s.io/aggregate-to-${name}`]: 'true' });
const paths = (nonResourceURLs: string[]): JsonObject => ({ nonResourceURLs, verbs: ['get'] });

export const BOOTSTRAP_ROLES: readonly KubeObject[] = [
  role('cluster-admin', [rule(['*'], ['*'], ['*']), { nonResourceURLs: ['*'], verbs: ['*'] }]),
  role('system:discovery', [
    paths([
      '/api',
      '/api/*',
      '/apis',
      '/apis/*',
      '/healthz',
      '/livez',
      '/openapi',
      '/openapi/*',
      '/readyz',
      '/version',
      '/version/',
    ]),
  ]),
  role('system:public-info-viewer', [paths(['/healthz', '/livez', '/readyz', '/version', '/version/'])]),
  role('system:basic-user', [
    rule(['authorization.k8s.io'], ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'], ['create']),
    rule(['authentication.k8s.io'], ['selfsubjectreviews'], ['create']),
  ]),
  role('system:service-account-issuer-discovery', [paths(['/.well-known/openid-configuration', '/openid/v1/jwks'])]),
  role('system:auth-delegator', [
    rule(['authentication.k8s.io'], ['tokenreviews'], ['create']),
    rule(['authorization.k8s.io'], ['subjectaccessreviews'], ['create']),
  ]),
  aggregate('admin'),
  aggregate('edit', to('admin')),
  aggregate('view', to('edit')),
  role(
    'system:aggregate-to-admin',
    [
      ...workloads([...READ, ...WRITE]),
      rule(
        [''],
        ['secrets', 'pods/exec', 'pods/log', 'pods/portforward', 'pods/proxy', 'services/proxy'],
        [...READ, ...WRITE],
      ),
      rule([RBAC], ['roles', 'rolebindings'], [...READ, ...WRITE]),
    ],
    to('admin'),
  ),
  role(
    'system:aggregate-to-edit',
    [
      ...workloads([...READ, ...WRITE]),
      rule([''], ['secrets', 'pods/exec', 'pods/portforward', 'pods/proxy', 'services/proxy'], [...READ, ...WRITE]),
      rule(['coordination.k8s.io'], ['leases'], [...READ, ...WRITE]),
    ],
    to('edit'),
  ),
  role(
    'system:aggregate-to-view',
    [
      ...workloads(READ),
      rule([''], ['events', 'namespaces', 'pods/log', 'pods/status', 'limitranges', 'resourcequotas'], READ),
      rule(['discovery.k8s.io'], ['endpointslices'], READ),
    ],
    to('view'),
  ),
];

export const BOOTSTRAP_BINDINGS: readonly KubeObject[] = [
  binding('cluster-admin', [MASTERS]),
  binding('system:discovery', [AUTHENTICATED]),
  binding('system:basic-user', [AUTHENTICATED]),
  binding('system:public-info-viewer', [AUTHENTICATED, UNAUTHENTICATED]),
  binding('system:service-account-issuer-discovery', ['system:serviceaccounts']),
];
