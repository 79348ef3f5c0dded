// SPDX-License-Identifier: Apache-2.0
// What becomes of layer-7 resources as they arrive, and what data-plane processes then see.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger } from '#lib/kit/log.ts';
import { StoreReader } from '#lib/loop/shared/store-reader.ts';
import { StoreWriter } from '#lib/loop/shared/store-writer.ts';
import type { AccessPolicy } from '#lib/mesh/http/access-policy.ts';
import { authorizeRequest, requestFlow } from '#lib/mesh/http/authorize-request.ts';
import { NO_PROOF } from '#lib/mesh/proof.ts';
import { ACCESS_POLICY } from '#lib/model/l7/resource.ts';
import { request } from '#lib/testkit/routes.ts';
import { L7View } from '../worker/l7-view.ts';
import { L7State } from './l7-state.ts';

const GOOD: AccessPolicy = {
  key: 'shop/p',
  action: 'allow',
  dryRun: false,
  provider: '',
  services: [],
  rules: [{ clauses: [] }],
};
const NONSENSE = new Uint8Array([0xff, 0xff]);

test('a policy that cannot be read keeps its last version, or denies everything when there is none', async () => {
  const store = new StoreWriter({ maxRecords: 64, dataBytes: 1 << 20 });
  const log = createLogger({ scope: 'test', level: 'off' });
  const state = new L7State({
    store,
    log,
    onCommit: () => undefined,
    env: () => undefined,
    onSettings: () => undefined,
  });
  const type = state.types.find(({ typeUrl }) => typeUrl === ACCESS_POLICY.typeUrl);
  assert.ok(type);
  const view = new L7View(StoreReader.open(store.fd), { again: () => undefined });
  const apply = async (value: Uint8Array, ...removed: string[]): Promise<boolean> => {
    const updates = removed.length > 0 ? [] : [{ name: GOOD.key, version: '', value }];
    assert.equal(type.apply(updates, removed).length, value === NONSENSE ? 1 : 0);
    await state.flushed();
    return authorizeRequest(view.access('shop/cart').http, requestFlow(request('GET h/')), NO_PROOF).allow;
  };
  assert.equal(await apply(NONSENSE), false);
  const { bytes } = ACCESS_POLICY.encode(GOOD);
  assert.equal(await apply(bytes), true);
  assert.equal(await apply(NONSENSE), true);
  assert.equal(await apply(bytes, GOOD.key), true);
  assert.equal(state.values(ACCESS_POLICY.typeUrl).size, 0);
});
