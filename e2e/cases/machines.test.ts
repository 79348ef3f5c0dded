// SPDX-License-Identifier: Apache-2.0
// Two machines outside Kubernetes and a cluster in one mesh: each machine has a node proxy of its own, which joins by a
// token and registers itself; connections go every way with identities, health and policy count.
import assert from 'node:assert/strict';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Cluster } from '../harness/cluster.ts';
import { eventually as within } from '../harness/eventually.ts';
import { type Background, background, ROOT } from '../harness/run.ts';

const NODE = [process.execPath, '--disable-warning=ExperimentalWarning'];
const ADDRESS = { 'vm-1': '172.18.1.1', 'vm-2': '172.18.1.2' } as const;
/** A program started on a machine is several processes started one by one: slow on a busy computer. */
const eventually = (what: string, attempt: () => Promise<boolean> | boolean): Promise<boolean> =>
  within(what, attempt, { withinMs: 120_000 });
type Machine = keyof typeof ADDRESS;
const RECIPES = '10.96.0.80';
const DB = '10.96.0.90';

const group = (name: string, probe = ''): string => `
apiVersion: v1
kind: ServiceAccount
metadata: { name: ${name}, namespace: shop }
---
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: { name: ${name}, namespace: shop }
spec:
  metadata: { labels: { app: ${name} } }
  template: { serviceAccount: ${name} }
  ${probe}
---`;
const OBJECTS = `
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { istio.io/dataplane-mode: ambient } }
---${group('db', 'probe: { httpGet: { path: /healthz, port: 8080 }, periodSeconds: 1, failureThreshold: 1 }')}${group('office')}
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: db, namespace: shop }
spec:
  hosts: [db.shop.internal]
  addresses: [${DB}]
  ports: [{ number: 80, name: http, protocol: HTTP, targetPort: 8080 }]
  resolution: STATIC
  workloadSelector: { labels: { app: db } }
---
apiVersion: v1
kind: Service
metadata: { name: recipes, namespace: shop }
spec:
  selector: { app: recipes }
  clusterIP: ${RECIPES}
  ports: [{ name: http, port: 80, targetPort: 8080 }]
---
apiVersion: v1
kind: Pod
metadata: { name: recipes, namespace: shop, labels: { app: recipes } }
spec:
  containers:
    - name: main
      image: ambit/samples
      args: [recipes, pod]
      readinessProbe: { httpGet: { path: /healthz, port: 8080 }, periodSeconds: 1 }
`;
const DENY = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-office, namespace: shop }
spec:
  selector: { matchLabels: { app: db } }
  action: DENY
  rules: [{ from: [{ source: { principals: [cluster.local/ns/shop/sa/office] } }] }]
`;
// As the guide says: names, redirection, routes, settings, and the proxy.
const JOIN = `cd "$1"
cat hosts >> /etc/hosts
sed 's|^define mesh = .*|define mesh = { 10.0.0.0/8, 172.18.0.0/16 }|' "$2/manifests/standalone/redirect.nft" | nft -f -
ip rule add fwmark 0x111/0xfff pref 32764 lookup 100
ip route add local default dev lo table 100
set -a && . ./cluster.env
exec "$2/bin/ztunnel" proxy ztunnel`;

test('machines and pods reach each other as members of one mesh; health and policy count for machines too', async () => {
  await using stack = new AsyncDisposableStack();
  const folder = join(ROOT, `.cache/machines-${process.pid}`);
  mkdirSync(folder, { recursive: true });
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const name = `machines-${process.pid}`;
  // They end with the cluster; only then is their output at its end.
  const started: Background[] = [];
  stack.defer(async () => void (await Promise.all(started.map((one) => one.stop('SIGKILL')))));
  const cluster = stack.use(await Cluster.up({ name, nodes: 1, args: ['--machines', '2'] }));
  const on = (machine: Machine, ...words: string[]): Background => {
    const one = background(join(ROOT, 'bin/ambit'), ['playground', 'node', '--name', name, machine, '--', ...words]);
    started.push(one);
    return one;
  };
  const answer = async (machine: Machine, host: string): Promise<string> => {
    const words = ['curl', '-s', '-m', '10', `http://${host}/`];
    const out = await cluster.playground('node', machine, '--', 'sh', '-c', `${words.join(' ')} || true`);
    return /"version":"([\w-]+)"/.exec(out)?.[1] ?? '';
  };
  const fromPod = async (): Promise<string> => {
    const { stdout } = await cluster.exec('shop', 'recipes', 'curl', '-s', '-m', '10', 'http://db.shop.internal/');
    return /"version":"([\w-]+)"/.exec(stdout)?.[1] ?? '';
  };

  await cluster.apply(OBJECTS);
  const [istiod] = await cluster.pods('istio-system', 'app=istiod');
  const enrol = async (machine: Machine, member: string): Promise<Background> => {
    const files = join(folder, machine);
    const words = ['--name', member, '-n', 'shop', '-o', files, '--internalIP', ADDRESS[machine], '--autoregister'];
    const made = await cluster.ambit('workload', 'entry', 'configure', ...words, '--ingressIP', istiod!.ips[0]!);
    assert.equal(made.status, 0, made.stderr);
    return on(machine, 'sh', '-c', JOIN, 'join', files, ROOT);
  };
  const serve = (): Background =>
    on(
      'vm-1',
      'sh',
      '-c',
      'echo $$ > /run/app && exec "$@"',
      'serve',
      ...NODE,
      `${ROOT}/playground/samples/main.ts`,
      'recipes',
      'vm-1',
    );
  await cluster.ready('shop');
  const [near, far] = [await enrol('vm-1', 'db'), await enrol('vm-2', 'office')];
  serve();

  await eventually('pod to machine', async () => (await fromPod()) === 'vm-1');
  await eventually('machine to pod', async () => (await answer('vm-2', RECIPES)) === 'pod');
  await eventually('machine to machine', async () => (await answer('vm-2', DB)) === 'vm-1');
  const identity = (account: string): string => `identity="spiffe://cluster.local/ns/shop/sa/${account}"`;
  const logged = (proxy: Background, ...parts: string[]): boolean =>
    proxy
      .output()
      .split('\n')
      .some((line) => parts.every((part) => line.includes(part)));
  await eventually(
    'identities at both ends',
    () =>
      ['default', 'office'].every((account) =>
        logged(near, 'inbound', `src.${identity(account)}`, `dst.${identity('db')}`),
      ) && logged(far, 'outbound', `src.${identity('office')}`, `dst.${identity('default')}`),
  );

  await cluster.playground('node', 'vm-1', '--', 'sh', '-c', 'kill $(cat /run/app)');
  const endpoints = async (): Promise<string> => (await cluster.ambit('ztunnel-config', 'services')).stdout;
  await eventually('the sick machine to leave the endpoints', async () => /\bdb\b.* 0\/[01]/.test(await endpoints()));
  serve();
  await eventually('the machine to be well again', async () => (await fromPod()) === 'vm-1');

  await cluster.apply(DENY);
  await eventually('one machine to be refused', async () => (await answer('vm-2', DB)) === '');
  await eventually('the others to be served still', async () => (await fromPod()) === 'vm-1');
  await eventually('the policy in the log', () => logged(near, 'policy="shop/no-office"', `src.${identity('office')}`));
});
