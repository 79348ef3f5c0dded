// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { systemClock } from '#lib/kit/clock.ts';
import { ConfigReader } from '#lib/kit/config.ts';
import { createLogger } from '#lib/kit/log.ts';
import { until } from '#lib/testkit/until.ts';
import { type Probe, probeOnce } from './probe.ts';
import { Prober, type ProbeSettings } from './prober.ts';
import { probeSettings } from './settings.ts';

const log = createLogger({ scope: 'health', level: 'off' });
/** Nobody listens on it. */
const CLOSED = 1;
const PATIENCE_MS = 60_000;

test('a readinessProbe is read with Kubernetes’ defaults, and one that looks at nothing is refused', () => {
  const read = new ConfigReader(() => undefined);
  assert.equal(probeSettings(read, undefined), undefined);
  assert.deepEqual(probeSettings(read, { httpGet: { port: 8080, path: '/ready' }, periodSeconds: 2 }), {
    probe: { kind: 'http', get: { host: '127.0.0.1', port: 8080, path: '/ready', secure: false, headers: {} } },
    ...{ initialDelayMs: 0, periodMs: 2000, timeoutMs: 1000, successThreshold: 1, failureThreshold: 3 },
  });
  assert.deepEqual(probeSettings(read, { tcpSocket: { port: '5432' } })?.probe, {
    ...{ kind: 'tcp', host: '127.0.0.1', port: 5432 },
  });
  assert.deepEqual(probeSettings(read, { exec: { command: ['true'] } })?.probe, { kind: 'exec', command: ['true'] });
  read.assertValid();
  const strict = new ConfigReader(() => undefined);
  probeSettings(strict, { periodSeconds: 'often', httpGet: { port: 0 } });
  probeSettings(strict, {});
  assert.throws(() => strict.assertValid(), /httpGet\.port(.|\n)*periodSeconds(.|\n)*says nothing to look at/);
});

test('an answer from 200 to 399 is health; another, silence and a closed port are told with their reason', async () => {
  let status = 204;
  const server = createServer((_request, response) => {
    if (status > 0) response.writeHead(status).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const get = { host: '127.0.0.1', port, path: '/ready', secure: false, headers: {} };
  assert.equal(await probeOnce({ kind: 'http', get }, PATIENCE_MS), '');
  assert.equal(await probeOnce({ kind: 'tcp', host: '127.0.0.1', port }, PATIENCE_MS), '');
  status = 503;
  assert.equal(await probeOnce({ kind: 'http', get }, PATIENCE_MS), 'GET /ready answers 503');
  status = 0;
  assert.match(await probeOnce({ kind: 'http', get }, 50), /no answer within 50 ms/);
  server.closeAllConnections();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  assert.match(await probeOnce({ kind: 'tcp', host: '127.0.0.1', port: CLOSED }, PATIENCE_MS), /ECONNREFUSED/);
  assert.equal(await probeOnce({ kind: 'exec', command: ['true'] }, PATIENCE_MS), '');
  assert.match(await probeOnce({ kind: 'exec', command: ['sh', '-c', 'echo broken; exit 3'] }, PATIENCE_MS), /broken/);
});

test('it takes several failures in a row to be unwell, and each change is told once', async () => {
  const answers = ['', 'a', '', 'b', 'c', 'd', 'e', ''];
  const told: (string | undefined)[] = [];
  const settings: ProbeSettings = {
    probe: { kind: 'exec', command: [] } satisfies Probe,
    ...{ initialDelayMs: 0, periodMs: 1, timeoutMs: 1, successThreshold: 1, failureThreshold: 3 },
  };
  const once = async (): Promise<string> => answers.shift() ?? '';
  const onChange = (error: string | undefined): void => void told.push(error);
  const prober = new Prober({ settings, clock: systemClock, log, once, onChange });
  prober.start();
  await until('all answers', () => answers.length === 0 && told.length === 3);
  prober.stop();
  assert.deepEqual(told, [undefined, 'd', undefined]);
});
