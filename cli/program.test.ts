// SPDX-License-Identifier: Apache-2.0
// The command line as a person uses it, against a fake cluster.

import { deepEqual, equal, match, rejects } from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { json, type Route, serveHttp, text } from '#lib/kit/admin.ts';
import { VERSION } from '#lib/kit/version.ts';
import type { Pod } from '#lib/kube/object.ts';
import { type FakeCluster, fakeCluster } from '#lib/testkit/kube-client.ts';
import { runCli } from './program.ts';

const PODS = '/api/v1/pods';

async function run(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const code = await runCli(argv, {
    env: () => undefined,
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    color: false,
  });
  return { code, out, err };
}

function pod(name: string, app: string, nodeName: string, namespace = 'istio-system'): Pod {
  return { metadata: { name, namespace, labels: { app } }, spec: { nodeName }, status: { phase: 'Running' } };
}

/** Serves pages as the pods of these names would. */
async function pages(cluster: FakeCluster, byPod: Record<string, Record<string, Route>>) {
  const servers = new Map<string, Awaited<ReturnType<typeof serveHttp>>>();
  for (const [name, routes] of Object.entries(byPod)) {
    servers.set(name, await serveHttp({ host: '127.0.0.1', port: 0, routes }));
  }
  cluster.api.forward = (path) => servers.get(path.split('/')[6] ?? '')?.port;
  return {
    async [Symbol.asyncDispose]() {
      for (const server of servers.values()) await server.close();
    },
  };
}

const dumpOf = (name: string): Record<string, Route> => ({
  '/config_dump': () =>
    json({
      workloads: [{ name, namespace: 'shop', workloadIps: ['10.0.0.1'], protocol: 'HBONE' }],
      workloadState: { [`on-${name}`]: { info: { name, namespace: 'shop' } } },
    }),
});

test('help is printed and is no failure; a wrong call is', async () => {
  const help = await run('--help');
  equal(help.code, 0);
  match(help.out, /ztunnel-config/);
  equal((await run('nonsense')).code, 2);
  match((await run('ztunnel-config', 'workloads', '-o', 'xml')).err, /short, json, yaml/);
});

test('a pod is asked through the ztunnel of its node, a node and a ztunnel by name', async () => {
  await using cluster = await fakeCluster();
  for (const made of [
    pod('zt-1', 'ztunnel', 'n1'),
    pod('zt-2', 'ztunnel', 'n2'),
    pod('cart-1', 'cart', 'n2', 'shop'),
  ]) {
    cluster.api.put(PODS, made);
  }
  await using _ = await pages(cluster, { 'zt-1': dumpOf('from-1'), 'zt-2': dumpOf('from-2') });
  const ask = (...argv: string[]) => run('-c', cluster.kubeconfig, 'ztunnel-config', 'workloads', ...argv);
  match((await ask()).out, /from-1/);
  match((await ask('shop/cart-1')).out, /from-2/);
  match((await ask('cart-1.shop')).out, /from-2/);
  match((await ask('zt-2')).out, /from-2/);
  match((await ask('--node', 'n2')).out, /from-2/);
  equal(JSON.parse((await ask('-o', 'json')).out)[0].name, 'from-1');
  match((await ask('-o', 'yaml')).out, /- name: from-1/);
  const live = (...argv: string[]) => run('-c', cluster.kubeconfig, 'zc', 'connections', '-o', 'json', ...argv);
  deepEqual(Object.keys(JSON.parse((await live()).out)), ['on-from-1', 'on-from-2']);
  deepEqual(Object.keys(JSON.parse((await live('--node', 'n2')).out)), ['on-from-2']);
  await rejects(ask('nobody'), /no pod "nobody" in namespace /);
  await rejects(ask('--node', 'n9'), /no running ztunnel on node n9/);
  await rejects(ask('zt-1', '--node', 'n1'), /more than one of a pod, --node and --file/);
});

test('a saved dump needs no cluster, and a file that is none is named', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-cli-'));
  try {
    const file = join(folder, 'dump.json');
    writeFileSync(
      file,
      JSON.stringify({ policies: [{ name: 'p', namespace: 'shop', action: 'Deny', scope: 'Global' }] }),
    );
    match((await run('ztunnel-config', 'policies', '-f', file)).out, /shop +p +Deny +Global/);
    match((await run('zc', 'all', '-f', file)).out, /CERTIFICATE NAME/);
    writeFileSync(file, 'nonsense');
    await rejects(run('zc', 'all', '-f', file), /dump.json is not JSON/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('without a ztunnel or an istiod the answer says where was looked', async () => {
  await using cluster = await fakeCluster();
  await rejects(run('-c', cluster.kubeconfig, 'zc', 'all'), /no running pod with app=ztunnel in istio-system/);
  await rejects(run('-c', cluster.kubeconfig, '-i', 'mesh', 'proxy-status'), /app=istiod in mesh/);
});

test('proxy-status shows the worst of each proxy, and with -v each type', async () => {
  await using cluster = await fakeCluster();
  cluster.api.put(PODS, pod('istiod-1', 'istiod', 'n1'));
  const type = 'type.googleapis.com/istio.workload.Address';
  const proxy = (name: string, state: object) => ({
    proxy: name,
    cluster_id: 'Kubernetes',
    resources: { [type]: state },
  });
  await using _ = await pages(cluster, {
    'istiod-1': {
      '/debug/syncz': () =>
        json([
          proxy('zt-2.istio-system', { sent: 'a', acked: '', lastError: 'x: bad' }),
          proxy('zt-1.istio-system', { sent: 'a', acked: 'a', synced: true }),
        ]),
    },
  });
  const { out } = await run('-c', cluster.kubeconfig, 'ps');
  match(out, /zt-1.istio-system +Kubernetes +istiod-1 +SYNCED +1 \(WDS\)/);
  match(out, /zt-2.istio-system .*ERROR/);
  match((await run('-c', cluster.kubeconfig, 'ps', '-v', '1')).out, /WDS\n.*SYNCED\n.*ERROR\n/);
});

test('version tells this command’s and the control plane’s', async () => {
  await using cluster = await fakeCluster();
  cluster.api.put(PODS, pod('istiod-1', 'istiod', 'n1'));
  await using _ = await pages(cluster, { 'istiod-1': { '/version': () => json({ version: '9.9.9' }) } });
  const { out } = await run('-c', cluster.kubeconfig, 'version');
  equal(out, `client version: ${VERSION}\ncontrol plane version: 9.9.9 (istiod-1)\n`);
  equal((await run('version', '--no-remote')).out, `client version: ${VERSION}\n`);
});

test('log levels of one node proxy or of all are shown, changed and taken back', async () => {
  await using cluster = await fakeCluster();
  for (const made of [pod('zt-1', 'ztunnel', 'n1'), pod('zt-2', 'ztunnel', 'n2')]) cluster.api.put(PODS, made);
  const asked: string[] = [];
  const logging = (name: string): Record<string, Route> => ({
    '/logging': ({ method, query }) => {
      asked.push(`${method} ${name} ${query.toString()}`);
      return text(`current log level is ${query.get('level') ?? 'info'}\n`);
    },
  });
  await using _ = await pages(cluster, { 'zt-1': logging('zt-1'), 'zt-2': logging('zt-2') });
  const ask = (...argv: string[]) => run('-c', cluster.kubeconfig, 'zc', 'log', ...argv);
  equal(
    (await ask()).out,
    'zt-1.istio-system:\ncurrent log level is info\nzt-2.istio-system:\ncurrent log level is info\n',
  );
  match((await ask('--node', 'n2', '--level', 'access:Warning,debug')).out, /^zt-2.*\n.*access=warn,debug\n$/);
  await ask('zt-1', '--reset');
  deepEqual(asked.slice(2), ['POST zt-2 level=access%3Dwarn%2Cdebug', 'POST zt-1 reset=']);
  await rejects(ask('--level', 'loud'), /loud is no level/);
  await rejects(ask('--level', 'info', '--reset'), /exclude each other/);
});

test('remote-clusters shows what each istiod says of them', async () => {
  await using cluster = await fakeCluster();
  cluster.api.put(PODS, pod('istiod-1', 'istiod', 'n1'));
  const far = { id: 'far', secretName: 'istio-system/far', syncStatus: 'timeout' };
  await using _ = await pages(cluster, { 'istiod-1': { '/debug/clusterz': () => json([{ id: 'near' }, far]) } });
  const { out } = await run('-c', cluster.kubeconfig, 'remote-clusters');
  match(out, /^NAME +SECRET +STATUS +ISTIOD\nnear .*\nfar +istio-system\/far +timeout +istiod-1\n$/);
});
