// SPDX-License-Identifier: Apache-2.0
// What is soaked: a waypoint with certificates that live a minute, a service whose pods, routes and policies change, one that stays, and
// whoever asks them.
export const NAMESPACE = 'soak';
export const WAYPOINT = 'soaked';
export const IMAGES: Readonly<Record<string, string>> = { 'soak/server': 'server.ts' };

/** Everything that is there before the first request. */
export function objects(workers: number): object[] {
  return [
    namespace(),
    ...['changing', 'steady'].flatMap((name) => [account(name), service(name)]),
    ...deployment('changing', 'v1', 2),
    ...deployment('changing', 'v2', 2),
    ...deployment('steady', 'v1', 1),
    account('load'),
    load(),
    parameters(workers),
    gateway(),
    ...routes(50),
    policy('never', 0),
    denied(),
  ];
}

/** All to the changing service, so many in a hundred to its second version: a route for each of its ports. */
export function routes(share: number): object[] {
  const backend = (name: string, weight: number, port: number) => ({ name, port, weight });
  return [8080, 9090].map((port) => ({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name: `changing-${port}`, namespace: NAMESPACE },
    spec: {
      parentRefs: [{ group: '', kind: 'Service', name: 'changing', port }],
      rules: [
        {
          backendRefs: [backend('changing-v1', 100 - share, port), backend('changing-v2', share, port)],
          retry: { attempts: 3, codes: [503] },
        },
      ],
    },
  }));
}

/** A policy that denies nobody who asks; another each time. */
export function policy(name: string, n: number): object {
  return authorization(`passing-${name}`, [
    {
      to: [{ operation: { paths: [`/nobody/asks/${n}`] } }],
      from: [{ source: { ipBlocks: [`192.0.2.${n % 250}/32`] } }],
    },
  ]);
}

function denied(): object {
  return authorization('no-denied', [{ to: [{ operation: { paths: ['/denied'] } }] }]);
}

function authorization(name: string, rules: readonly object[]): object {
  return {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name, namespace: NAMESPACE },
    spec: { targetRefs: [{ group: '', kind: 'Service', name: 'changing' }], action: 'DENY', rules },
  };
}

function namespace(): object {
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: NAMESPACE, labels: { 'istio.io/dataplane-mode': 'ambient' } },
  };
}

function account(name: string): object {
  return { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace: NAMESPACE } };
}

function service(name: string, selector: Record<string, string> = { app: name }): object {
  const labels = name.includes('-') ? {} : { labels: { 'istio.io/use-waypoint': WAYPOINT } };
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: NAMESPACE, ...labels },
    spec: {
      selector,
      ports: [
        { name: 'http', port: 8080, targetPort: 8080 },
        { name: 'h2', port: 9090, targetPort: 9090, appProtocol: 'kubernetes.io/h2c' },
      ],
    },
  };
}

/** A version of a service and a Service of its own. */
function deployment(app: string, version: string, replicas: number): object[] {
  const name = `${app}-${version}`;
  const labels = { app, version };
  return [
    service(name, labels),
    pods(name, labels, replicas, {
      name: 'server',
      image: 'soak/server',
      args: [version],
      readinessProbe: { tcpSocket: { port: 9090 }, periodSeconds: 1 },
    }),
  ];
}

function load(): object {
  return pods('load', { app: 'load' }, 1, { name: 'load', image: 'ambit/shell:0.1', command: ['sleep', '86400'] });
}

function pods(name: string, labels: Record<string, string>, replicas: number, container: object): object {
  const spec = { serviceAccountName: labels['app'], terminationGracePeriodSeconds: 10, containers: [container] };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: NAMESPACE },
    spec: { replicas, selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
  };
}

/** What the waypoint's pod is told beside what istiod tells it. */
function parameters(workers: number): object {
  const variables = { SECRET_TTL: '60s', AMBIT_WORKERS: String(workers), AMBIT_ACCESS_LOG: 'off', LOG_LEVEL: 'debug' };
  const env = Object.entries(variables).map(([name, value]) => ({ name, value }));
  const merged = { spec: { template: { spec: { containers: [{ name: 'istio-proxy', env }] } } } };
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'short-lived', namespace: NAMESPACE },
    data: { deployment: JSON.stringify(merged) },
  };
}

function gateway(): object {
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name: WAYPOINT, namespace: NAMESPACE },
    spec: {
      gatewayClassName: 'istio-waypoint',
      listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }],
      infrastructure: { parametersRef: { group: '', kind: 'ConfigMap', name: 'short-lived' } },
    },
  };
}
