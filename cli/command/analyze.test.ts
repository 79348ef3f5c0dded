// SPDX-License-Identifier: Apache-2.0
import { equal, match } from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Secret, Service } from '#lib/kube/object.ts';
import { loadKubeConfig } from '#lib/kube/transport.ts';
import { fakeCluster } from '#lib/testkit/kube-client.ts';
import { runCli } from '../program.ts';

async function run(...words: string[]): Promise<{ code: number; out: string }> {
  let out = '';
  const write = (text: string): void => {
    out += text;
  };
  const code = await runCli(['analyze', ...words], { env: () => undefined, out: write, err: write, color: false });
  return { code, out };
}

const SERVICE = {
  metadata: { name: 'web', namespace: 'shop' },
  spec: { clusterIP: '10.0.0.1', ports: [{ name: 'web', port: 80 }] },
};
const BAD = {
  metadata: { name: 'bad', namespace: 'shop' },
  spec: { action: 'FORBID' },
};

test('the cluster is analyzed, and an error makes it exit 79', async () => {
  await using cluster = await fakeCluster();
  cluster.api.put('/api/v1/services', SERVICE);
  cluster.api.put('/apis/security.istio.io/v1/authorizationpolicies', BAD);
  const { code, out } = await run('-A', '--kubeconfig', cluster.kubeconfig);
  match(out, /^Error \[IST0106\] \(AuthorizationPolicy shop\/bad\) spec\.action: /m);
  match(out, /^Info \[IST0118\] \(Service shop\/web\) port 80/m);
  equal(code, 79);
  const other = await run('--kubeconfig', cluster.kubeconfig, '-n', 'bank');
  equal(other.out, 'No validation issues found.\n');
  equal(other.code, 0);
});

test('thresholds and suppressions leave findings out', async () => {
  await using cluster = await fakeCluster();
  cluster.api.put('/api/v1/services', SERVICE);
  const at = ['-A', '--kubeconfig', cluster.kubeconfig];
  equal((await run(...at)).code, 0);
  equal((await run(...at, '--failure-threshold', 'Info')).code, 79);
  match((await run(...at, '--output-threshold', 'Warning')).out, /No validation issues/);
  match((await run(...at, '-S', 'IST0118=Service web.*')).out, /No validation issues/);
  match((await run(...at, '-S', 'IST0118=Service other.*')).out, /IST0118/);
});

test('files are analyzed as if they were applied, with their places, also without a cluster', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-analyze-'));
  try {
    const file = join(folder, 'a.json');
    writeFileSync(file, JSON.stringify({ apiVersion: 'security.istio.io/v1', kind: 'AuthorizationPolicy', ...BAD }));
    const { code, out } = await run('--use-kube', 'false', file);
    match(out, /^Error \[IST0106\] \(AuthorizationPolicy shop\/bad .*a\.json:1\) spec\.action: /);
    equal(code, 79);
    const json = await run('--use-kube', 'false', '-o', 'json', file);
    equal((JSON.parse(json.out) as { code: string }[])[0]?.code, 'IST0106');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the codes are listed', async () => {
  match((await run('-L')).out, /^IST0171 {2}NegativeConditionStatus$/m);
});

test('Services of other clusters are compared, and of Secrets only the names of their keys are looked at', async () => {
  await using near = await fakeCluster();
  await using far = await fakeCluster();
  const config = loadKubeConfig({ kubeconfig: near.kubeconfig });
  const other = loadKubeConfig({ kubeconfig: far.kubeconfig });
  const folder = mkdtempSync(join(tmpdir(), 'ambit-analyze-'));
  try {
    const file = join(folder, 'kubeconfig');
    const merged = {
      ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'near' },
      clusters: [
        { name: 'near', cluster: { server: config.getCurrentCluster()?.server } },
        { name: 'far', cluster: { server: other.getCurrentCluster()?.server } },
      ],
      users: [{ name: 'me', user: {} }],
      contexts: ['near', 'far'].map((name) => ({ name, context: { cluster: name, user: 'me' } })),
    };
    writeFileSync(file, JSON.stringify(merged));
    near.api.put('/api/v1/services', SERVICE);
    far.api.put('/api/v1/services', {
      ...SERVICE,
      spec: { ...SERVICE.spec, ports: [{ name: 'web', port: 81 }] },
    } as Service);
    const { out } = await run('-A', '--kubeconfig', file, '--remote-contexts', 'far');
    match(out, /^Warning \[IST0170\] \(Service shop\/web\) its ports differ from those in cluster far/m);
    const gateway = {
      metadata: { name: 'g', namespace: 'shop' },
      spec: {
        gatewayClassName: 'istio',
        listeners: [
          { name: 'a', port: 443, protocol: 'HTTPS', hostname: 'a.x', tls: { certificateRefs: [{ name: 'cert' }] } },
          { name: 'b', port: 443, protocol: 'HTTPS', hostname: 'b.x', tls: { certificateRefs: [{ name: 'gone' }] } },
        ],
      },
    };
    near.api.put('/apis/gateway.networking.k8s.io/v1/gateways', gateway);
    const data = { 'tls.crt': 'c2VjcmV0', 'tls.key': 'c2VjcmV0' };
    near.api.put('/api/v1/secrets', { metadata: { name: 'cert', namespace: 'shop' }, data } as Secret);
    const second = await run('-A', '--kubeconfig', file, '-o', 'json');
    match(second.out, /Secret shop\/gone does not exist/);
    equal(second.out.includes('shop/cert'), false);
    equal(second.out.includes('c2VjcmV0'), false);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
