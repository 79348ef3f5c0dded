// SPDX-License-Identifier: Apache-2.0
import { equal, rejects } from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Authority } from '#lib/identity/authority.ts';
import { createLogger } from '#lib/kit/log.ts';
import type { Secret } from '#lib/kube/object.ts';
import { type FakeCluster, fakeCluster } from '#lib/testkit/kube-client.ts';
import { CA_SECRET, isOwnRoot, loadRoot } from './root-store.ts';

const SECRETS = '/api/v1/secrets';
const log = createLogger({ scope: 'ca', level: 'off' });

function load(env: FakeCluster, folder = '/nonexistent', keepInPlugged = false) {
  const options = { namespace: 'istio-system', trustDomain: 'example.org', ttlMs: 86_400_000, now: Date.now() };
  return loadRoot({ client: env.client, log, folder, keepInPlugged, ...options });
}

test('a root is made once, named after the trust domain, and found again after a restart', async () => {
  await using env = await fakeCluster();
  const made = await load(env);
  equal(new X509Certificate(made.rootPem).subject, 'O=example.org');
  equal(env.api.find<Secret>(SECRETS, 'istio-system', CA_SECRET)?.type, 'istio.io/ca-root');
  const again = await load(env);
  equal(again.certificatePem, made.certificatePem);
  await Authority.load(again);
});

test('of replicas that start together all use the same root', async () => {
  await using env = await fakeCluster();
  const roots = await Promise.all(Array.from({ length: 5 }, () => load(env)));
  equal(new Set(roots.map(({ rootPem }) => rootPem)).size, 1);
  equal(env.api.all(SECRETS).length, 1);
});

test('a secret made by Istio, with only certificate and key, is used as it is', async () => {
  await using env = await fakeCluster();
  const made = await load(env);
  const secret = env.api.find<Secret>(SECRETS, 'istio-system', CA_SECRET)!;
  const { 'ca-cert.pem': certificate = '', 'ca-key.pem': key = '' } = secret.data ?? {};
  env.api.put(SECRETS, { ...secret, data: { 'ca-cert.pem': certificate, 'ca-key.pem': key, 'root-cert.pem': '' } });
  equal((await load(env)).rootPem, made.certificatePem);
});

test('a damaged secret is named with what to do, and never replaced', async () => {
  await using env = await fakeCluster();
  env.api.put(SECRETS, { metadata: { name: CA_SECRET, namespace: 'istio-system' } });
  await rejects(load(env), /Secret istio-system\/istio-ca-secret: its key ca-cert.pem is empty/);
  equal(env.api.find<Secret>(SECRETS, 'istio-system', CA_SECRET)?.data, undefined);
});

test('a plugged-in authority comes first, and an incomplete one is an error', async () => {
  await using env = await fakeCluster();
  const made = await load(env);
  const folder = mkdtempSync(join(tmpdir(), 'ambit-ca-'));
  try {
    writeFileSync(join(folder, 'ca-cert.pem'), made.certificatePem);
    await rejects(load(env, folder), /lacks ca-key.pem and root-cert.pem/);
    writeFileSync(join(folder, 'ca-key.pem'), made.keyPem);
    writeFileSync(join(folder, 'root-cert.pem'), 'ROOT');
    equal((await load(env, folder)).rootPem, 'ROOT');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('on request a new root is kept in cacerts, and known as our own when it comes back by the folder', async () => {
  await using env = await fakeCluster();
  const made = await load(env, '/nonexistent', true);
  equal(made.secret, 'cacerts');
  equal(env.api.find(SECRETS, 'istio-system', CA_SECRET), undefined);
  const secret = env.api.find<Secret>(SECRETS, 'istio-system', 'cacerts')!;
  equal(isOwnRoot(secret), true);
  const folder = mkdtempSync(join(tmpdir(), 'ambit-ca-'));
  try {
    for (const [name, value] of Object.entries(secret.data!)) {
      writeFileSync(join(folder, name), Buffer.from(value, 'base64'));
    }
    const again = await load(env, folder, true);
    equal(again.plugged, false);
    equal(again.certificatePem, made.certificatePem);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a root in istio-ca-secret stays in use when cacerts is asked for', async () => {
  await using env = await fakeCluster();
  const made = await load(env);
  const again = await load(env, '/nonexistent', true);
  equal(again.secret, CA_SECRET);
  equal(again.rootPem, made.rootPem);
  equal(env.api.all(SECRETS).length, 1);
});
