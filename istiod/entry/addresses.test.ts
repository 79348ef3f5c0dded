// SPDX-License-Identifier: Apache-2.0
// Addresses of ServiceEntries against a fake API: they are written once, and taken back when they are no longer due.

import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import { Informer } from '#lib/kube/informer.ts';
import { SERVICE_ENTRY } from '#lib/kube/kind.ts';
import type { GenericObject } from '#lib/kube/object.ts';
import { fakeCluster } from '#lib/testkit/kube-client.ts';
import { serviceEntry } from '#lib/testkit/model.ts';
import { until } from '#lib/testkit/until.ts';
import { giveAddresses } from './addresses.ts';

const PATH = '/apis/networking.istio.io/v1/serviceentries';

test('a host without addresses is given some in its status, and loses them when it declares its own', async () => {
  await using cluster = await fakeCluster();
  const { api, client } = cluster;
  const log = createLogger({ scope: 'test', write: () => undefined });
  const entries = new Informer({ client, kind: SERVICE_ENTRY, clock: systemClock, random: () => 0.5, log });
  const ending = new AbortController();
  try {
    api.put(PATH, serviceEntry('api', { hosts: ['api.test'], resolution: 'DNS' }) as never);
    entries.start();
    await entries.whenSynced();
    const config = { namespace: 'istio-system', podName: 'istiod-1', leaseSeconds: 30 };
    giveAddresses(
      { client, clock: systemClock, log, config, entries, goesFirst: () => true },
      { signal: ending.signal, holds: () => true },
    );
    const given = () => api.find<GenericObject>(PATH, 'shop', 'api')?.status?.['addresses'] as unknown[] | undefined;
    await until('addresses', () => (given()?.length ?? 0) > 0);
    deepEqual(given(), [
      { host: 'api.test', value: '240.240.0.1' },
      { host: 'api.test', value: '2001:2::1' },
    ]);
    const writes = () => api.requests.filter(({ method }) => method === 'PATCH').length;
    equal(writes(), 1);
    api.put(PATH, {
      ...serviceEntry('api', { hosts: ['api.test'], resolution: 'DNS', addresses: ['192.0.2.1'] }),
      status: { addresses: given() },
    } as never);
    await until('nothing', () => given()?.length === 0);
    equal(writes(), 2);
  } finally {
    ending.abort();
    entries.stop();
  }
});
