// SPDX-License-Identifier: Apache-2.0
// istiod as a whole in a test's process: against a fake Kubernetes API, on loopback, with node proxies' streams.

import { systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import type { ConfigMap, Pod } from '#lib/kube/object.ts';
import { ROUTE_TABLE, WAYPOINT } from '#lib/model/l7/resource.ts';
import { DeltaClient } from '#lib/xds/client.ts';
import { makeNode } from '#lib/xds/node.ts';
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from '#lib/xds/resource.ts';
import { App } from '../../istiod/app.ts';
import { readConfig } from '../../istiod/config.ts';
import type { FakeCluster } from './kube-client.ts';

export const NAMESPACES = '/api/v1/namespaces';
const MAPS = '/api/v1/configmaps';

const any = '127.0.0.1:0';
export const FLAGS = {
  httpAddr: any,
  grpcAddr: any,
  secureGRPCAddr: any,
  monitoringAddr: any,
  httpsAddr: any,
  ctrlz_port: '0',
  shutdownDuration: '100ms',
};
export const ENV: Record<string, string> = { ISTIOD_CUSTOM_HOST: 'localhost', ROOT_CA_DIR: '/nonexistent' };
const ZTUNNEL: Pod = {
  metadata: { namespace: 'istio-system', name: 'zt-1', uid: 'uid-zt-1' },
  spec: { nodeName: 'n1', serviceAccountName: 'ztunnel' },
  status: { phase: 'Running', podIP: '10.1.0.2', podIPs: [{ ip: '10.1.0.2' }] },
};

/** Two namespaces, a node proxy's pod and its token `zt`. */
export function populate(cluster: FakeCluster): void {
  for (const name of ['istio-system', 'shop']) cluster.api.put(NAMESPACES, { metadata: { name } });
  cluster.api.put('/api/v1/pods', ZTUNNEL);
  cluster.api.tokens.set('zt', {
    authenticated: true,
    audiences: ['istio-ca'],
    user: {
      username: 'system:serviceaccount:istio-system:ztunnel',
      groups: ['system:serviceaccounts'],
      extra: {
        'authentication.kubernetes.io/pod-name': ['zt-1'],
        'authentication.kubernetes.io/pod-uid': ['uid-zt-1'],
      },
    },
  });
}

/** Starts istiod; `lines` gets its log. */
export async function startApp(
  cluster: FakeCluster,
  lines: string[] = [],
  flags: Partial<typeof FLAGS> = {},
  env: Readonly<Record<string, string>> = {},
) {
  const app = await App.start(
    {
      config: readConfig({ ...FLAGS, ...flags }, (name) => env[name] ?? ENV[name]),
      client: cluster.client,
      clock: systemClock,
      random: Math.random,
      log: createLogger({ scope: 'istiod', write: (line) => lines.push(line) }),
    },
    new AbortController().signal,
  );
  const get = async (port: keyof App['ports'], path: string) => {
    const answer = await fetch(`http://127.0.0.1:${app.ports[port]}${path}`);
    return { status: answer.status, body: await answer.text() };
  };
  return { app, lines, get, [Symbol.asyncDispose]: () => app.stop() };
}

/** A node proxy's stream over the TLS port. */
export function connect(
  cluster: FakeCluster,
  port: number,
  options: {
    token?: string;
    namespace?: string;
    reject?: string;
    onDemand?: boolean;
    cluster?: string;
    metadata?: Record<string, string>;
  } = {},
) {
  const held = new Map<string, Uint8Array>();
  const handle = (resources: readonly { name: string; value: Uint8Array }[], removed: readonly string[]) => {
    for (const { name, value } of resources) held.set(name, value);
    for (const name of removed) held.delete(name);
    return resources.filter(({ name }) => name === options.reject).map(({ name }) => ({ name, reason: 'not wanted' }));
  };
  const lines: string[] = [];
  const namespace = options.namespace ?? 'istio-system';
  const client = new DeltaClient({
    endpoint: {
      target: `localhost:${port}`,
      rootCertificates: async () => Buffer.from(rootIn(cluster, 'istio-system') ?? ''),
      headers: async () => ({
        authorization: `Bearer ${options.token ?? 'zt'}`,
        clusterid: options.cluster ?? 'Kubernetes',
      }),
    },
    node: makeNode({ type: 'ztunnel', ip: '10.1.0.2', name: 'zt-1', namespace }, 'cluster.local', {
      NODE_NAME: 'n1',
      ...options.metadata,
    }),
    subscriptions: [
      { typeUrl: ADDRESS_TYPE, mode: options.onDemand === true ? 'on-demand' : 'wildcard', handle },
      { typeUrl: AUTHORIZATION_TYPE, mode: 'wildcard', handle },
    ],
    clock: systemClock,
    log: createLogger({ scope: 'xds', write: (line) => lines.push(line) }),
  });
  client.start();
  return { client, held, lines, [Symbol.asyncDispose]: () => client.stop() };
}

/** Makes a token for the pods of a Gateway in `shop` that run as `account`. */
export function waypointToken(cluster: FakeCluster, account: string): string {
  const token = `token of ${account}`;
  cluster.api.tokens.set(token, {
    authenticated: true,
    audiences: ['istio-ca'],
    user: { username: `system:serviceaccount:shop:${account}`, groups: ['system:serviceaccounts'] },
  });
  return token;
}

/** A waypoint's stream: all types that are only for waypoints. `held` is by type, then by name. */
export function connectWaypoint(
  cluster: FakeCluster,
  port: number,
  { account, gateway }: { readonly gateway: string; readonly account: string },
) {
  const held = new Map<string, Map<string, Uint8Array>>();
  const token = waypointToken(cluster, account);
  const client = new DeltaClient({
    endpoint: {
      target: `localhost:${port}`,
      rootCertificates: async () => Buffer.from(rootIn(cluster, 'istio-system') ?? ''),
      headers: async () => ({ authorization: `Bearer ${token}`, clusterid: 'Kubernetes' }),
    },
    node: makeNode({ type: 'waypoint', ip: '10.1.0.3', name: `${gateway}-1`, namespace: 'shop' }, 'cluster.local', {
      GATEWAY_NAME: gateway,
      SERVICE_ACCOUNT: account,
    }),
    subscriptions: [ROUTE_TABLE, WAYPOINT].map(({ typeUrl }) => {
      const ofType = new Map<string, Uint8Array>();
      held.set(typeUrl, ofType);
      return {
        typeUrl,
        mode: 'wildcard' as const,
        handle: (resources: readonly { name: string; value: Uint8Array }[], removed: readonly string[]) => {
          for (const { name, value } of resources) ofType.set(name, value);
          for (const name of removed) ofType.delete(name);
          return [];
        },
      };
    }),
    clock: systemClock,
    log: createLogger({ scope: 'xds', level: 'off' }),
  });
  client.start();
  return { client, held, [Symbol.asyncDispose]: () => client.stop() };
}

/** The root certificate as it stands in a namespace. */
export function rootIn(cluster: FakeCluster, namespace: string): string | undefined {
  return cluster.api.find<ConfigMap>(MAPS, namespace, 'istio-ca-root-cert')?.data?.['root-cert.pem'];
}
