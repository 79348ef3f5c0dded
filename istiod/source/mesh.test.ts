// SPDX-License-Identifier: Apache-2.0
// istiod with a folder instead of Kubernetes: node proxies get the mesh and certificates from files alone.

import { deepEqual, equal, match } from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import { CONFIG_MAP } from '#lib/kube/kind.ts';
import { WdsState } from '#lib/model/wds/state.ts';
import { ENV, FLAGS } from '#lib/testkit/istiod.ts';
import { until } from '#lib/testkit/until.ts';
import { DeltaClient } from '#lib/xds/client.ts';
import { makeNode } from '#lib/xds/node.ts';
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from '#lib/xds/resource.ts';
import { App } from '../app.ts';
import { readConfig } from '../config.ts';
import { SourceHealth } from '../watch/source-health.ts';
import { connectFolder } from './connect.ts';

const TOKEN = 'machine-token-of-forty-characters-long-x';
const MESH = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: db, namespace: shop}
spec:
  hosts: [db.shop.test]
  addresses: [10.96.0.9]
  ports: [{number: 5432, name: sql, protocol: TCP}]
  resolution: STATIC
  workloadSelector: {labels: {app: db}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: db-1, namespace: shop}
spec: {address: 192.0.2.1, serviceAccount: db, labels: {app: db, networking.istio.io/tunnel: http}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: only-front, namespace: shop}
spec:
  selector: {matchLabels: {app: db}}
  rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/front]}}]}]
---
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata: {name: db, namespace: shop, annotations: {kubernetes.io/service-account.name: db}}
stringData: {token: ${TOKEN}}
`;

async function istiodOn(base: string) {
  const lines: string[] = [];
  const log = createLogger({ scope: 'istiod', write: (line) => lines.push(line) });
  const health = new SourceHealth(systemClock.now);
  const source = { folder: join(base), stateFolder: join(base, '.state'), random: Math.random, clock: systemClock };
  const { client, stop } = connectFolder({ ...source, log, health });
  const config = readConfig({ ...FLAGS, sourceDir: base }, (name) => ENV[name]);
  const app = await App.start(
    { config, client, clock: systemClock, random: Math.random, log, health },
    new AbortController().signal,
  );
  const root = async (): Promise<string | undefined> =>
    (await client.get(CONFIG_MAP, { namespace: 'shop', name: 'istio-ca-root-cert' }))?.data?.['root-cert.pem'];
  return {
    app,
    lines,
    root: () => until('the root', root),
    async [Symbol.asyncDispose]() {
      await app.stop();
      stop();
      await client.close();
    },
  };
}

function machine(target: string, root: string, token: string) {
  const state = new WdsState();
  const lines: string[] = [];
  const bytes = (list: readonly { name: string; value: Uint8Array }[]) =>
    list.map(({ name, value }) => ({ name, bytes: value }));
  const client = new DeltaClient({
    endpoint: {
      target,
      rootCertificates: async () => Buffer.from(root),
      headers: async () => ({ authorization: `Bearer ${token}` }),
    },
    node: makeNode({ type: 'ztunnel', ip: '192.0.2.1', name: 'db-1', namespace: 'shop' }, 'cluster.local', {}),
    subscriptions: [
      {
        typeUrl: ADDRESS_TYPE,
        mode: 'wildcard',
        handle: (list, removed) => state.applyAddresses(bytes(list), removed),
      },
      {
        typeUrl: AUTHORIZATION_TYPE,
        mode: 'wildcard',
        handle: (list, removed) => state.applyAuthorizations(bytes(list), removed),
      },
    ],
    clock: systemClock,
    log: createLogger({ scope: 'xds', write: (line) => lines.push(line) }),
  });
  client.start();
  return { client, state, lines, [Symbol.asyncDispose]: () => client.stop() };
}

test('machines described in files get their mesh over TLS with a token from a file, and changes as they are saved', async () => {
  const base = mkdtempSync(join(tmpdir(), 'ambit-mesh-'));
  try {
    writeFileSync(join(base, 'mesh.yaml'), MESH);
    await using istiod = await istiodOn(base);
    const root = await istiod.root();
    const target = `localhost:${istiod.app.ports.secureGrpc}`;
    await using proxy = machine(target, root, TOKEN);
    await proxy.client.whenSynced();
    const uid = 'Kubernetes/networking.istio.io/WorkloadEntry/shop/db-1';
    const workload = await until('the machine', () => proxy.state.mesh.workloadByUid(uid));
    deepEqual(
      [workload.protocol, workload.serviceAccount, workload.authorizationPolicies, [...workload.services.keys()]],
      ['hbone', 'db', ['shop/only-front'], ['shop/db.shop.test']],
    );
    writeFileSync(join(base, 'more.yaml'), MESH.split('---')[1]!.replaceAll('db-1', 'db-2').replace('2.1', '2.2'));
    await until('the second machine', () => proxy.state.mesh.workloadByUid(uid.replace('db-1', 'db-2')));
    await using stranger = machine(target, root, 'nobody-knows-this-token-of-forty-letters');
    await until('the refusal', () => stranger.lines.some((line) => line.includes('UNAUTHENTICATED')));
  } finally {
    rmSync(base, { recursive: true });
  }
});

test('without Kubernetes the root of trust outlives istiod, and its pages tell how the folder fares', async () => {
  const base = mkdtempSync(join(tmpdir(), 'ambit-mesh-'));
  try {
    writeFileSync(join(base, 'mesh.yaml'), MESH);
    let first = '';
    {
      await using istiod = await istiodOn(base);
      first = await istiod.root();
      const pages = `http://127.0.0.1:${istiod.app.ports.monitoring}`;
      match(await (await fetch(`${pages}/debug/sourcesz`)).text(), /"folder"/);
      match(await (await fetch(`${pages}/metrics`)).text(), /ambit_source_up\{source="folder"\} 1/);
    }
    await using again = await istiodOn(base);
    equal(await again.root(), first);
  } finally {
    rmSync(base, { recursive: true });
  }
});
