// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal, rejects } from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Authority, createRoot } from '#lib/identity/authority.ts';
import { createLogger } from '#lib/kit/log.ts';
import { createMetrics } from '#lib/kit/metrics.ts';
import { FakeClock } from '#lib/testkit/clock.ts';
import { fakeCluster } from '#lib/testkit/kube-client.ts';
import { until } from '#lib/testkit/until.ts';
import { readConfig } from '../config.ts';
import { createIstiodMetrics } from '../metrics.ts';
import { startAuthority } from './authority.ts';
import { issueServingCertificate } from './serving-certificate.ts';
import { readServingFiles } from './serving-files.ts';

async function setUp() {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-serving-'));
  const files = { certificate: join(folder, 'tls.crt'), key: join(folder, 'tls.key') };
  const others = await Authority.load(await createRoot({ organization: 'others', now: Date.now() }));
  const make = () => issueServingCertificate(others, ['istiod.istio-system.svc'], Date.now());
  return { files, make, [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
}

test('a certificate from files is used as it is, and another one when they change', async () => {
  using env = await setUp();
  await using cluster = await fakeCluster();
  const first = await env.make();
  writeFileSync(env.files.certificate, first.chainPem);
  writeFileSync(env.files.key, first.keyPem);
  const clock = new FakeClock(Date.now());
  const lines: string[] = [];
  const stop = new AbortController();
  const flags = { tlsCertFile: env.files.certificate, tlsKeyFile: env.files.key };
  const running = await startAuthority({
    config: readConfig(flags, (name) => (name === 'ROOT_CA_DIR' ? '/nonexistent' : undefined)),
    ...{ client: cluster.client, clock, random: () => 0.5, trustDomain: 'cluster.local', signal: stop.signal },
    log: createLogger({ scope: 'ca', write: (line) => lines.push(line) }),
    metrics: createIstiodMetrics(createMetrics()),
  });
  try {
    deepEqual(running.serving(), first);
    writeFileSync(env.files.key, 'nonsense');
    await clock.advance(10_000);
    await until('the complaint', async () => {
      await clock.advance(10_000);
      return lines.some((line) => line.includes('the last one stays'));
    });
    deepEqual(running.serving(), first);
    const second = await env.make();
    writeFileSync(env.files.certificate, second.chainPem);
    writeFileSync(env.files.key, second.keyPem);
    await until('the new one', async () => {
      await clock.advance(10_000);
      return running.serving().keyPem === second.keyPem;
    });
    equal(running.serving().chainPem, second.chainPem);
  } finally {
    stop.abort();
  }
});

test('without files there is none, and half a pair or one that does not fit is an error', async () => {
  using env = await setUp();
  equal(await readServingFiles(env.files), undefined);
  const [one, two] = [await env.make(), await env.make()];
  writeFileSync(env.files.certificate, one.chainPem);
  await rejects(readServingFiles(env.files), /lacks .*tls\.key/);
  writeFileSync(env.files.key, two.keyPem);
  await rejects(readServingFiles(env.files), /are no certificate and its key/);
  writeFileSync(env.files.key, one.keyPem);
  deepEqual(await readServingFiles(env.files), one);
});
