// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal, ok } from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { Authority, createRoot } from '#lib/identity/authority.ts';
import { createLogger } from '#lib/kit/log.ts';
import { FakeClock } from '#lib/testkit/clock.ts';
import { until } from '#lib/testkit/until.ts';
import {
  issueServingCertificate,
  keepServingCertificate,
  type ServingCertificate,
  servingNames,
} from './serving-certificate.ts';

const DAY_MS = 86_400_000;

async function authorityAt(now: number): Promise<Authority> {
  return await Authority.load(await createRoot({ organization: 'cluster.local', now }));
}

test('it carries the names clients dial, and leads to the root', async () => {
  const names = servingNames('mesh', 'v2', ['istiod.example.org', 'istiod.mesh.svc']);
  deepEqual(names, [
    'istiod.mesh.svc',
    'istiod-remote.mesh.svc',
    'istio-pilot.mesh.svc',
    'istiod-v2.mesh.svc',
    'istiod.example.org',
  ]);
  const authority = await authorityAt(Date.now());
  const { chainPem } = await issueServingCertificate(authority, names, Date.now());
  const leaf = new X509Certificate(chainPem);
  for (const name of names) equal(leaf.checkHost(name), name);
  ok(leaf.verify(new X509Certificate(authority.material.rootPem).publicKey));
});

test('it is renewed at half its life, and a failure is tried again soon', async () => {
  const clock = new FakeClock(Date.now());
  const good = await authorityAt(clock.now());
  const expired = await Authority.load(
    await createRoot({ organization: 'x', now: clock.now() - 2 * DAY_MS, ttlMs: DAY_MS }),
  );
  let authority = expired;
  const used: ServingCertificate[] = [];
  const lines: string[] = [];
  const stop = new AbortController();
  const log = createLogger({ scope: 'ca', write: (line) => lines.push(line) });
  const done = keepServingCertificate(
    async () => {
      used.push(await issueServingCertificate(authority, ['istiod.mesh.svc'], clock.now()));
    },
    {
      clock,
      log,
      signal: stop.signal,
    },
  );
  await clock.advance(44 * DAY_MS);
  equal(lines.length, 0);
  await clock.advance(2 * DAY_MS);
  await until('the failure', () => lines.some((line) => line.includes('cannot renew')));
  authority = good;
  await until('a waiting retry', () => clock.waiting > 0);
  await clock.advance(60_000);
  await until('the renewal', () => used.length === 1);
  stop.abort();
  await done;
});
