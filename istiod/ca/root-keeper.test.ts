// SPDX-License-Identifier: Apache-2.0
import { equal, match, notEqual, ok } from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Authority, createRoot } from '#lib/identity/authority.ts';
import { generateKey } from '#lib/identity/key.ts';
import { createLogger } from '#lib/kit/log.ts';
import type { Secret } from '#lib/kube/object.ts';
import { FakeClock } from '#lib/testkit/clock.ts';
import { fakeCluster } from '#lib/testkit/kube-client.ts';
import { until } from '#lib/testkit/until.ts';
import { RootKeeper } from './root-keeper.ts';
import { CA_SECRET, loadRoot, withMaterial } from './root-store.ts';

const SECRETS = '/api/v1/secrets';
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

async function setUp(folder = '/nonexistent', keepInPlugged = false) {
  const cluster = await fakeCluster();
  const clock = new FakeClock(Date.now());
  const lines: string[] = [];
  const log = createLogger({ scope: 'ca', write: (line) => lines.push(line) });
  const options = { client: cluster.client, namespace: 'istio-system', ttlMs: 100 * DAY_MS, folder, log };
  const start = async () => {
    const loaded = await loadRoot({ ...options, keepInPlugged, trustDomain: 'cluster.local', now: clock.now() });
    const seen: Authority[] = [];
    const keeper = new RootKeeper(await Authority.load(loaded), {
      ...options,
      clock,
      random: () => 1,
      plugged: loaded.plugged,
      secret: loaded.secret,
      checkEveryMs: HOUR_MS,
      graceShare: 0.2,
      onChange: (authority) => seen.push(authority),
    });
    const stop = new AbortController();
    keeper.start(stop.signal);
    return { keeper, seen, [Symbol.dispose]: () => stop.abort() };
  };
  return { ...cluster, clock, lines, start };
}

test('a root is renewed when a fifth of its life is left, and certificates of before and after verify each other', async () => {
  await using env = await setUp();
  using one = await env.start();
  const before = one.keeper.authority;
  await env.clock.advance(79 * DAY_MS);
  equal(one.seen.length, 0);
  await env.clock.advance(2 * DAY_MS);
  await until('the renewal', () => one.seen.length > 0);
  const after = one.keeper.authority;
  notEqual(after.material.certificatePem, before.material.certificatePem);
  ok(after.notAfter > env.clock.now() + 98 * DAY_MS);
  const { publicKey } = await generateKey();
  const leaf = async (authority: Authority) =>
    new X509Certificate(
      (await authority.sign({ publicKey, uris: ['spiffe://a'], ttlMs: HOUR_MS }, env.clock.now()))[0]!,
    );
  ok((await leaf(before)).verify(new X509Certificate(after.material.rootPem).publicKey));
  ok((await leaf(after)).checkIssued(new X509Certificate(before.material.rootPem)));
  const stored = env.api.find<Secret>(SECRETS, 'istio-system', CA_SECRET)?.data?.['ca-cert.pem'] ?? '';
  equal(Buffer.from(stored, 'base64').toString(), after.material.certificatePem);
});

test('of two replicas one renews and the other takes it over', async () => {
  await using env = await setUp();
  using one = await env.start();
  using two = await env.start();
  await env.clock.advance(81 * DAY_MS);
  await until('both', () => one.seen.length > 0 && two.seen.length > 0);
  equal(one.keeper.authority.material.rootPem, two.keeper.authority.material.rootPem);
  equal(env.lines.filter((line) => line.includes('renewed the root certificate')).length, 1);
});

test('a Secret that somebody replaced is used at once, a damaged one changes nothing', async () => {
  await using env = await setUp();
  using one = await env.start();
  const secret = env.api.find<Secret>(SECRETS, 'istio-system', CA_SECRET)!;
  const other = await createRoot({ organization: 'other', now: env.clock.now() });
  env.api.put(SECRETS, withMaterial(secret, other));
  await until('the other root', () => one.keeper.authority.material.rootPem === other.rootPem);
  env.api.put(SECRETS, withMaterial(secret, { ...other, keyPem: 'nonsense' }));
  await until('the complaint', () => env.lines.some((line) => line.includes('cannot be used; the old one stays')));
  equal(one.keeper.authority.material.keyPem, other.keyPem);
});

test('files of a plugged-in authority are read again when they change, under the names of a TLS Secret too', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-ca-'));
  const write = async () => {
    const made = await createRoot({ organization: 'plugged', now: Date.now() });
    writeFileSync(join(folder, 'tls.crt'), made.certificatePem);
    writeFileSync(join(folder, 'tls.key'), made.keyPem);
    writeFileSync(join(folder, 'ca.crt'), made.rootPem);
    return made;
  };
  try {
    const first = await write();
    await using env = await setUp(folder);
    using one = await env.start();
    equal(one.keeper.authority.material.rootPem, first.rootPem);
    equal(env.api.all(SECRETS).length, 0);
    const second = await write();
    await env.clock.advance(5_000);
    await until('the new files', () => one.keeper.authority.material.rootPem === second.rootPem);
    match(env.lines.join('\n'), /the certificate authority has changed/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a root of ours in cacerts is renewed there, an operator’s is not', async () => {
  await using env = await setUp('/nonexistent', true);
  using one = await env.start();
  const before = one.keeper.authority.material.certificatePem;
  await env.clock.advance(81 * DAY_MS);
  await until('the renewal', () => one.seen.length > 0);
  const secret = env.api.find<Secret>(SECRETS, 'istio-system', 'cacerts')!;
  const stored = Buffer.from(secret.data!['ca-cert.pem']!, 'base64').toString();
  notEqual(stored, before);
  const { 'istio-generated': _, ...data } = secret.data!;
  env.api.put(SECRETS, { ...secret, data });
  await env.clock.advance(79 * DAY_MS);
  equal(await one.keeper.renewWhenDue(), false);
  await env.clock.advance(10 * DAY_MS);
  equal(await one.keeper.renewWhenDue(), false);
  equal(one.keeper.authority.material.certificatePem, stored);
});
