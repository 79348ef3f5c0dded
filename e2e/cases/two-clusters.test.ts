// SPDX-License-Identifier: Apache-2.0
// istiod between two API servers that enforce what manifests/install allows: its own cluster, where it writes, and
// another that a Secret names, which it reads with the reader's token. Then two whole clusters on one network, with
// traffic between their pods.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parse } from 'yaml';
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import { connectKube } from '#lib/kube/connect.ts';
import { POD, SERVICE_ACCOUNT, SERVICE_ENTRY } from '#lib/kube/kind.ts';
import type { GenericObject } from '#lib/kube/object.ts';
import { ENV, FLAGS } from '#lib/testkit/istiod.ts';
import { App } from '../../istiod/app.ts';
import { readConfig } from '../../istiod/config.ts';
import { ApiProcess } from '../harness/api-server.ts';
import { Cluster } from '../harness/cluster.ts';
import { eventually } from '../harness/eventually.ts';
import { ROOT, run } from '../harness/run.ts';

const near = new ApiProcess();
const far = new ApiProcess();
const lines: string[] = [];
const ending = new AsyncDisposableStack();
let app: App;

/** A kubeconfig with a token of a service account. */
async function kubeconfigOf(cluster: ApiProcess, account: string): Promise<string> {
  const config = parse(readFileSync(cluster.kubeconfig, 'utf8')) as { users: { name: string; user: object }[] };
  const token = (await cluster.kubectl(`-n istio-system create token ${account}`)).trim();
  return JSON.stringify({ ...config, users: config.users.map(({ name }) => ({ name, user: { token } })) });
}

async function install(cluster: ApiProcess): Promise<void> {
  await cluster.start();
  for (const folder of ['crds', 'install']) {
    await cluster.kubectl(`apply --server-side -f ${join(ROOT, 'manifests', folder)}`);
  }
}

before(async () => {
  await Promise.all([install(near), install(far)]);
  const client = connectKube({ text: await kubeconfigOf(near, 'istiod') });
  ending.defer(() => client.close());
  app = await App.start(
    {
      config: readConfig(FLAGS, (name) => ENV[name]),
      client,
      clock: systemClock,
      random: Math.random,
      log: createLogger({ scope: 'istiod', write: (line) => lines.push(line) }),
    },
    AbortSignal.timeout(120_000),
  );
  ending.defer(() => app.stop());
});

after(async () => {
  await ending.disposeAsync();
  await near.stop();
  await far.stop();
});

test('hosts of ServiceEntries get addresses and conditions in their status, by rights that istiod has', async () => {
  const admin = connectKube({ kubeconfig: near.kubeconfig });
  ending.defer(() => admin.close());
  const metadata = { namespace: 'default', name: 'api' };
  await admin.create(SERVICE_ENTRY, {
    metadata,
    spec: {
      hosts: ['api.test', '*.wild.test'],
      ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
      resolution: 'DNS',
    },
  } as GenericObject);
  const status = async () => (await admin.get(SERVICE_ENTRY, metadata))?.status ?? {};
  await eventually('addresses and a condition', async () => {
    const { addresses = [], conditions = [] } = (await status()) as { addresses?: unknown[]; conditions?: unknown[] };
    return addresses.length === 2 && conditions.length === 1;
  });
  const { addresses, conditions } = (await status()) as {
    addresses: unknown;
    conditions: { type: string; reason: string }[];
  };
  assert.deepEqual(addresses, [
    { host: 'api.test', value: '240.240.0.1' },
    { host: 'api.test', value: '2001:2::1' },
  ]);
  assert.deepEqual(
    conditions.map(({ reason, type }) => [type, reason]),
    [['istio.io/WaypointMissing', 'NoWaypointForWildcardService']],
  );
});

async function farWorkloads(): Promise<string[]> {
  const answer = await fetch(`http://127.0.0.1:${app.ports.http}/debug/ambientz`);
  const { workloads } = (await answer.json()) as { workloads: { uid: string; addresses: string[] }[] };
  return workloads.filter(({ uid }) => uid.startsWith('far/')).map(({ addresses, uid }) => `${uid} ${addresses}`);
}

test('pods of the other cluster are read with the reader’s rights, and outlive their API server in istiod', async () => {
  const admin = connectKube({ kubeconfig: far.kubeconfig });
  ending.defer(() => admin.close());
  const metadata = { namespace: 'default', name: 'cart-1' };
  await admin.create(SERVICE_ACCOUNT, { metadata: { namespace: 'default', name: 'default' } });
  await admin.create(POD, { metadata, spec: { containers: [{ name: 'main', image: 'x' }], nodeName: 'n1' } } as never);
  const status = (ip: string) => ({ status: { phase: 'Running', podIP: ip, podIPs: [{ ip }] } });
  await admin.mergePatch(POD, { ...metadata, subresource: 'status' }, status('10.9.0.1'));
  const ambit = [join(ROOT, 'cli/main.ts'), '--kubeconfig', far.kubeconfig, 'create-remote-secret', '--name', 'far'];
  const secret = await run(process.execPath, ['--disable-warning=ExperimentalWarning', ...ambit]);
  await near.kubectl('apply -f -', secret);
  const only = async (wanted: string) => (await farWorkloads()).join() === wanted;
  await eventually('the pod', () => only('far//Pod/default/cart-1 10.9.0.1'));
  await far.kill();
  await eventually('the report', async () => {
    const answer = await fetch(`http://127.0.0.1:${app.ports.monitoring}/metrics`);
    return /ambit_source_up\{source="far"\} 0/.test(await answer.text());
  });
  assert.ok(await only('far//Pod/default/cart-1 10.9.0.1'), 'its last state stays');
  await far.start();
  const back = connectKube({ kubeconfig: far.kubeconfig });
  ending.defer(() => back.close());
  await back.mergePatch(POD, { ...metadata, subresource: 'status' }, status('10.9.0.2'));
  await eventually('the change', () => only('far//Pod/default/cart-1 10.9.0.2'));
  assert.deepEqual(
    lines.filter((line) => line.includes('forbidden')),
    [],
  );
});

const clientPod = `
apiVersion: v1
kind: ServiceAccount
metadata: { name: visitor, namespace: shop }
---
apiVersion: v1
kind: Pod
metadata: { name: client, namespace: shop }
spec:
  serviceAccountName: visitor
  containers: [{ name: main, image: curlimages/curl, command: [sleep, infinity] }]
`;
const recipes = (version: string): string => `
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { istio.io/dataplane-mode: ambient } }
---
apiVersion: v1
kind: Service
metadata: { name: recipes, namespace: shop, labels: { istio.io/global: "true" } }
spec:
  selector: { app: recipes }
  trafficDistribution: PreferClose
  ports: [{ name: http, port: 80, targetPort: 8080 }]
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: recipes, namespace: shop }
spec:
  selector: { matchLabels: { app: recipes } }
  template:
    metadata: { labels: { app: recipes } }
    spec:
      containers:
        - name: main
          image: ambit/samples
          args: [recipes, ${version}]
          readinessProbe: { httpGet: { path: /healthz, port: 8080 }, periodSeconds: 1 }
`;

test('two clusters are one mesh: a service fails over to the other’s pods, by identities that policies there know', async () => {
  const name = `pair-${process.pid}`;
  await using east = await Cluster.up({ name, nodes: 1, args: ['--clusters', '2'] });
  const west = await Cluster.of(`${name}-2`);
  await Promise.all([east.apply(`${recipes('east')}---${clientPod}`), west.apply(recipes('west'))]);
  await Promise.all([east.ready('shop', 2), west.ready('shop')]);
  // A few at a time, each on a connection of its own.
  const versions = async (): Promise<string> => {
    const script = 'for i in 1 2 3 4 5; do curl -s -m 20 http://recipes/ || echo failed; done';
    const { stdout } = await east.exec('shop', 'client', 'sh', '-c', script);
    const seen = stdout.split('\n').map((line) => /"version":"(\w+)"/.exec(line)?.[1] ?? line);
    return [...new Set(seen)].filter((one) => one !== '').join();
  };
  await eventually('answers of the near pods', async () => (await versions()) === 'east');
  await east.kubectl('-n', 'shop', 'scale', 'deploy/recipes', '--replicas=0');
  await eventually('answers of the far pods', async () => (await versions()) === 'west');

  const log = (): Promise<string> => west.kubectl('-n', 'istio-system', 'logs', '-l', 'app=ztunnel', '--tail=-1');
  const wanted = [
    `src.cluster="${name}"`,
    'src.identity="spiffe://cluster.local/ns/shop/sa/visitor"',
    `dst.cluster="${name}-2"`,
    'direction="inbound"',
  ];
  await eventually('the connection in the far node’s log', async () =>
    (await log()).split('\n').some((line) => wanted.every((part) => line.includes(part))),
  );

  await west.apply(`
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-visitor, namespace: shop }
spec:
  action: DENY
  rules: [{ from: [{ source: { principals: [cluster.local/ns/shop/sa/visitor] } }] }]
`);
  await eventually('the refusal', async () => (await versions()) === 'failed');
  // Lines reach the log a little later than the refusal its client.
  await eventually('the policy in the far node’s log', async () => (await log()).includes('policy="shop/no-visitor"'));
  assert.doesNotMatch(await log(), /no certificate/, 'pods of a node of the same name elsewhere are not its own');
});
