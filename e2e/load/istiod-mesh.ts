// SPDX-License-Identifier: Apache-2.0
// A mesh of any size as an API server would list it: namespaces, nodes, services of ten pods each, with the parts of a
// real pod that istiod has to read past (volumes, environment, managed fields).
import type { KubeObject } from '#lib/kube/object.ts';

export interface Size {
  readonly name: string;
  readonly namespaces: number;
  readonly services: number;
  readonly pods: number;
  /** Nodes, and node proxies that connect. */
  readonly proxies: number;
}

export const SIZES: readonly Size[] = [
  { name: '3k', namespaces: 30, services: 300, pods: 3_000, proxies: 30 },
  { name: '1k', namespaces: 10, services: 100, pods: 1_000, proxies: 100 },
  { name: '10k', namespaces: 100, services: 1_000, pods: 10_000, proxies: 100 },
  { name: '100k', namespaces: 1_000, services: 10_000, pods: 100_000, proxies: 500 },
];

/** Marks a change: it goes out with the pod's workload, and is found in a response by looking at its bytes. */
export function mark(sequence: number): string {
  return `seq-${String(sequence).padStart(8, '0')}`;
}

type Objects = Iterable<readonly [collection: string, object: KubeObject]>;

const namespaceOf = (size: Size, service: number): string => `ns-${service % size.namespaces}`;
const serviceOf = (size: Size, pod: number): number => pod % size.services;

export function* objectsOf(size: Size): Objects {
  for (const name of ['istio-system', 'kube-system']) yield ['/api/v1/namespaces', { metadata: { name } }];
  for (let i = 0; i < size.namespaces; i++) {
    const labels = { 'istio.io/dataplane-mode': 'ambient', 'kubernetes.io/metadata.name': `ns-${i}` };
    yield ['/api/v1/namespaces', { metadata: { name: `ns-${i}`, labels } }];
  }
  for (let i = 0; i < size.proxies; i++) yield ['/api/v1/nodes', nodeObject(i)];
  for (let i = 0; i < size.services; i++) {
    yield ['/api/v1/services', serviceObject(size, i)];
    yield ['/api/v1/serviceaccounts', { metadata: { name: `svc-${i}`, namespace: namespaceOf(size, i) } }];
    yield ['/apis/discovery.k8s.io/v1/endpointslices', sliceObject(size, i)];
  }
  for (let i = 0; i < size.pods; i++) yield ['/api/v1/pods', podObject(size, i)];
}

function nodeObject(i: number): KubeObject & Record<string, unknown> {
  const labels = {
    'topology.kubernetes.io/region': 'region-1',
    'topology.kubernetes.io/zone': `zone-${i % 3}`,
    'kubernetes.io/hostname': `node-${i}`,
  };
  return {
    metadata: { name: `node-${i}`, labels },
    status: { addresses: [{ type: 'InternalIP', address: ip(172, 16, i) }] },
  };
}

function serviceObject(size: Size, i: number): KubeObject & Record<string, unknown> {
  const address = ip(10, 96, i + 1);
  return {
    metadata: { name: `svc-${i}`, namespace: namespaceOf(size, i), labels: { app: `svc-${i}` } },
    spec: {
      type: 'ClusterIP',
      clusterIP: address,
      clusterIPs: [address],
      ipFamilies: ['IPv4'],
      selector: { app: `svc-${i}` },
      ports: [
        { name: 'http', port: 80, targetPort: 8080, protocol: 'TCP' },
        { name: 'grpc', port: 9090, targetPort: 'grpc', protocol: 'TCP' },
      ],
    },
  };
}

function sliceObject(size: Size, i: number): KubeObject & Record<string, unknown> {
  const namespace = namespaceOf(size, i);
  const endpoints = [];
  for (let pod = i; pod < size.pods; pod += size.services) {
    endpoints.push({
      addresses: [podIp(pod)],
      conditions: { ready: true },
      nodeName: `node-${pod % size.proxies}`,
      targetRef: { kind: 'Pod', namespace, name: podName(size, pod), uid: `uid-pod-${pod}` },
    });
  }
  return {
    metadata: { name: `svc-${i}-slice`, namespace, labels: { 'kubernetes.io/service-name': `svc-${i}` } },
    addressType: 'IPv4',
    endpoints,
    ports: [
      { name: 'http', port: 8080, protocol: 'TCP' },
      { name: 'grpc', port: 9090, protocol: 'TCP' },
    ],
  };
}

/** @param sequence of the change that made it so; 0 is its first state */
export function podObject(size: Size, i: number, sequence = 0): KubeObject & Record<string, unknown> {
  const service = serviceOf(size, i);
  const app = `svc-${service}`;
  const namespace = namespaceOf(size, service);
  const address = podIp(i);
  const at = '2026-01-01T00:00:00Z';
  return {
    metadata: {
      name: podName(size, i),
      generateName: `${app}-5d4f8c7b9-`,
      namespace,
      uid: `uid-pod-${i}`,
      labels: { app, version: mark(sequence), 'pod-template-hash': '5d4f8c7b9' },
      annotations: { 'ambient.istio.io/redirection': 'enabled', 'kubernetes.io/config.seen': at },
      ownerReferences: [
        {
          apiVersion: 'apps/v1',
          kind: 'ReplicaSet',
          name: `${app}-5d4f8c7b9`,
          uid: `uid-rs-${service}`,
          controller: true,
        },
      ],
      ...{ managedFields: MANAGED_FIELDS },
    },
    spec: {
      nodeName: `node-${i % size.proxies}`,
      serviceAccountName: app,
      ...POD_REST,
      containers: [
        {
          ...CONTAINER,
          name: app,
          ports: [
            { name: 'http', containerPort: 8080 },
            { name: 'grpc', containerPort: 9090 },
          ],
        },
      ],
    },
    status: {
      phase: 'Running',
      podIP: address,
      podIPs: [{ ip: address }],
      hostIP: ip(172, 16, i % size.proxies),
      conditions: ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready'].map((type) => ({
        type,
        status: 'True',
        lastTransitionTime: at,
      })),
      containerStatuses: [
        {
          name: app,
          ready: true,
          restartCount: 0,
          image: CONTAINER.image,
          imageID: `sha256:${'0'.repeat(64)}`,
          containerID: `containerd://${'1'.repeat(64)}`,
          state: { running: { startedAt: at } },
        },
      ],
    },
  };
}

const podName = (size: Size, i: number): string => `svc-${serviceOf(size, i)}-5d4f8c7b9-p${i}`;
const podIp = (i: number): string => ip(10, 128, i);

/** `a.b.0.0` plus `i`. */
function ip(a: number, b: number, i: number): string {
  const value = b * 65_536 + i;
  return `${a}.${(value >> 16) & 255}.${(value >> 8) & 255}.${value & 255}`;
}

const CONTAINER = {
  image: 'registry.example/shop/application:1.2.3',
  imagePullPolicy: 'IfNotPresent',
  env: Array.from({ length: 10 }, (_, i) => ({ name: `SETTING_${i}`, value: `a value of setting number ${i}` })),
  resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '256Mi' } },
  readinessProbe: { httpGet: { path: '/ready', port: 8080 }, periodSeconds: 3 },
  livenessProbe: { httpGet: { path: '/live', port: 8080 }, periodSeconds: 10 },
  volumeMounts: [{ name: 'token', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', readOnly: true }],
} as const;

const POD_REST = {
  restartPolicy: 'Always',
  terminationGracePeriodSeconds: 30,
  dnsPolicy: 'ClusterFirst',
  schedulerName: 'default-scheduler',
  tolerations: [
    { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 },
    { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 },
  ],
  volumes: [
    {
      name: 'token',
      projected: {
        sources: [
          { serviceAccountToken: { expirationSeconds: 3607, path: 'token' } },
          { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
        ],
      },
    },
  ],
} as const;

const MANAGED_FIELDS = ['kube-controller-manager', 'kubelet'].map((manager) => ({
  manager,
  operation: 'Update',
  apiVersion: 'v1',
  time: '2026-01-01T00:00:00Z',
  fieldsType: 'FieldsV1',
  fieldsV1: {
    'f:metadata': { 'f:labels': { '.': {}, 'f:app': {}, 'f:version': {}, 'f:pod-template-hash': {} } },
    'f:spec': { 'f:containers': {}, 'f:dnsPolicy': {}, 'f:restartPolicy': {}, 'f:serviceAccountName': {} },
    'f:status': { 'f:conditions': {}, 'f:containerStatuses': {}, 'f:phase': {}, 'f:podIP': {}, 'f:podIPs': {} },
  },
}));
