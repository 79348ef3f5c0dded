// SPDX-License-Identifier: Apache-2.0
//
// The pod of a waypoint: what it is told by its environment, which files it gets, what it may do.

import { own } from '#lib/kit/table.ts';
import { namespaceOf } from '../object/object.ts';
import type { Gateway } from '../waypoint/gateway.ts';
import type { ProxyValues } from './proxy-config.ts';
import { accountName, objectName } from './render-metadata.ts';

export const METRICS_PORT = 15020;
export const READY_PORT = 15021;
const USER = 1337;

/** What is the same for all Gateways of a mesh. */
export interface RenderSettings {
  readonly image: string;
  /** Where istiod runs. */
  readonly systemNamespace: string;
  /** Name of istiod's Service. */
  readonly istiod: string;
  readonly domain: string;
  readonly trustDomain: string;
  readonly clusterId: string;
  readonly network: string;
  readonly revision: string;
  /** Of ProxyConfig. */
  readonly proxy: ProxyValues;
}

type Variable = { readonly name: string } & (
  | { readonly value: string }
  | { readonly valueFrom: { readonly fieldRef: { readonly fieldPath: string } } }
);

function environment(gateway: Gateway, settings: RenderSettings): Variable[] {
  const istiod = `${settings.istiod}.${settings.systemNamespace}.svc:15012`;
  const name = objectName(gateway);
  const values: Record<string, string> = {
    CA_ADDRESS: istiod,
    XDS_ADDRESS: istiod,
    // As Istio's own proxies call it.
    CA_ADDR: istiod,
    PILOT_CERT_PROVIDER: 'istiod',
    TRUST_DOMAIN: settings.trustDomain,
    ISTIO_META_GATEWAY_NAME: gateway.metadata.name,
    ISTIO_META_CLUSTER_ID: settings.clusterId,
    ISTIO_META_WORKLOAD_NAME: name,
    ISTIO_META_OWNER: `kubernetes://apis/apps/v1/namespaces/${namespaceOf(gateway)}/deployments/${name}`,
    ISTIO_META_MESH_ID: settings.trustDomain,
    ISTIO_META_INTERCEPTION_MODE: 'REDIRECT',
    ...(settings.network === '' ? {} : { NETWORK: settings.network, ISTIO_META_NETWORK: settings.network }),
    // 0 is one for each processor, as it is without a word.
    ...((settings.proxy.concurrency ?? 0) > 0 ? { AMBIT_WORKERS: String(settings.proxy.concurrency) } : {}),
    ...settings.proxy.environment,
  };
  const fields: Record<string, string> = {
    POD_NAME: 'metadata.name',
    POD_NAMESPACE: 'metadata.namespace',
    INSTANCE_IP: 'status.podIP',
    HOST_IP: 'status.hostIP',
    NODE_NAME: 'spec.nodeName',
    ISTIO_META_NODE_NAME: 'spec.nodeName',
    SERVICE_ACCOUNT: 'spec.serviceAccountName',
    ISTIO_META_SERVICE_ACCOUNT: 'spec.serviceAccountName',
  };
  return [
    ...Object.entries(fields).map(([key, fieldPath]) => ({ name: key, valueFrom: { fieldRef: { fieldPath } } })),
    // Who a pod is comes from the pod.
    ...Object.entries(values).flatMap(([key, value]) => (own(fields, key) === undefined ? [{ name: key, value }] : [])),
  ];
}

const READY = { path: '/healthz/ready', port: READY_PORT };

const VOLUMES = [
  {
    name: 'istiod-ca-cert',
    mountPath: '/var/run/secrets/istio',
    source: { configMap: { name: 'istio-ca-root-cert' } },
  },
  { name: 'istio-data', mountPath: '/var/lib/istio/data', source: { emptyDir: {} } },
  {
    name: 'istio-token',
    mountPath: '/var/run/secrets/tokens',
    source: {
      projected: {
        sources: [{ serviceAccountToken: { path: 'istio-token', expirationSeconds: 43_200, audience: 'istio-ca' } }],
      },
    },
  },
  {
    name: 'istio-podinfo',
    mountPath: '/etc/istio/pod',
    source: {
      downwardAPI: {
        items: [
          { path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } },
          { path: 'annotations', fieldRef: { fieldPath: 'metadata.annotations' } },
        ],
      },
    },
  },
  { name: 'tmp', mountPath: '/tmp', source: { emptyDir: {} } },
] as const;

/** The spec of a waypoint's pods. */
export function podSpec(gateway: Gateway, settings: RenderSettings): Readonly<Record<string, unknown>> {
  const account = accountName(gateway);
  return {
    serviceAccountName: account,
    terminationGracePeriodSeconds: 30,
    containers: [
      {
        name: 'istio-proxy',
        image: settings.image,
        args: [
          'proxy',
          'waypoint',
          '--domain',
          `$(POD_NAMESPACE).svc.${settings.domain}`,
          '--serviceCluster',
          `${account}.$(POD_NAMESPACE)`,
        ],
        ports: [
          { name: 'metrics', containerPort: METRICS_PORT, protocol: 'TCP' },
          { name: 'status-port', containerPort: READY_PORT, protocol: 'TCP' },
        ],
        startupProbe: {
          httpGet: READY,
          initialDelaySeconds: 1,
          periodSeconds: 1,
          timeoutSeconds: 1,
          failureThreshold: 30,
        },
        readinessProbe: { httpGet: READY, periodSeconds: 15, timeoutSeconds: 1, failureThreshold: 4 },
        env: environment(gateway, settings),
        resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { cpu: '2', memory: '1Gi' } },
        securityContext: {
          privileged: false,
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          runAsNonRoot: true,
          runAsUser: USER,
          runAsGroup: USER,
          capabilities: { drop: ['ALL'] },
        },
        volumeMounts: VOLUMES.map(({ name, mountPath }) => ({ name, mountPath })),
      },
    ],
    volumes: VOLUMES.map(({ name, source }) => ({ name, ...source })),
  };
}
