// SPDX-License-Identifier: Apache-2.0
// The view of a data-plane process, and the main process's own, held against plain maps: whatever happens, all answer alike.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger } from '#lib/kit/log.ts';
import { StoreReader } from '#lib/loop/shared/store-reader.ts';
import { StoreWriter } from '#lib/loop/shared/store-writer.ts';
import { MapMesh } from '#lib/mesh/map-mesh.ts';
import type { MeshListing, MeshView } from '#lib/mesh/view.ts';
import { encodePolicy, encodeService, encodeWorkload } from '#lib/model/wds/encode.ts';
import { ip, policy, service, workload } from '#lib/testkit/mesh.ts';
import fc from '#lib/testkit/properties.ts';
import { MeshState } from './mesh-state.ts';
import {
  decodePolicy,
  decodeService,
  decodeWorkload,
  encodePolicy as policyRecord,
  encodeService as serviceRecord,
  encodeWorkload as workloadRecord,
} from './record.ts';
import { SharedMesh } from './shared-mesh.ts';

interface Bench {
  readonly state: MeshState;
  readonly shared: SharedMesh;
  readonly commits: { version: number; policies: boolean }[];
  readonly identities: string[];
}

function bench(dataBytes = 4 << 20): Bench {
  const store = new StoreWriter({ maxRecords: 4096, dataBytes });
  const commits: Bench['commits'] = [];
  const identities: string[] = [];
  const state = new MeshState({
    nodeName: 'node-1',
    clusterId: 'Kubernetes',
    store,
    log: createLogger({ scope: 'test', level: 'off' }),
    onCommit: (version, policies) => commits.push({ version, policies }),
    onIdentity: (identity) => identities.push(`+${identity}`),
    onIdentityGone: (identity) => identities.push(`-${identity}`),
  });
  return { state, shared: new SharedMesh(StoreReader.open(store.fd)), commits, identities };
}

const cart = workload({
  uid: 'c//Pod/shop/cart-1',
  name: 'cart-1',
  namespace: 'shop',
  serviceAccount: 'cart',
  node: 'node-1',
  protocol: 'hbone',
  ips: ['10.0.0.1', 'fd00::1'],
  serves: { 'shop/cart.shop.svc.cluster.local': { 80: 8080 } },
  waypoint: '10.0.0.9:15008',
  authorizationPolicies: ['shop/allow'],
});
const cartService = service({ name: 'cart', namespace: 'shop', vips: ['10.1.0.1'], ports: { 80: 8080 } });
const allow = policy({
  name: 'allow',
  namespace: 'shop',
  scope: 'namespace',
  rules: [[[{ sourceIps: ['10.0.0.0/8'], principals: ['cluster.local/*'] }]]],
});

test('records survive the way through the store', () => {
  assert.deepEqual(decodeWorkload(workloadRecord(cart).toString()), cart);
  assert.deepEqual(decodeService(serviceRecord(cartService).toString()), cartService);
  const back = decodePolicy(policyRecord(allow).toString());
  assert.deepEqual(back, allow);
});

test('resources of the control plane are found by every key, and gone when they are removed', async () => {
  const { state, shared, commits, identities } = bench();
  const resource = ({ name, bytes, version }: { name: string; bytes: Uint8Array; version: string }) => ({
    name,
    version,
    value: bytes,
  });
  assert.deepEqual(state.applyAddresses([encodeWorkload(cart), encodeService(cartService)].map(resource), []), []);
  assert.deepEqual(state.applyAuthorizations([resource(encodePolicy(allow))], []), []);
  await state.flushed();
  assert.equal(commits.at(-1)!.policies, true);
  assert.deepEqual(identities, ['+spiffe://cluster.local/ns/shop/sa/cart']);
  for (const view of [state.mesh, shared]) {
    assert.equal(view.workloadByAddress('', ip('10.0.0.1'))?.uid, cart.uid);
    assert.equal(view.workloadByAddress('', ip('fd00::1'))?.uid, cart.uid);
    assert.equal(view.serviceByAddress('', ip('10.1.0.1'), 'shop')?.name, 'cart');
    assert.equal(view.endpoints(cartService)[0]?.workload.uid, cart.uid);
    assert.equal(view.endpointOf(cartService, cart)?.ports[0]?.targetPort, 8080);
    assert.equal(view.namespacePolicies('shop')[0]?.key, 'shop/allow');
    assert.equal(view.workloadByAddress('', ip('10.0.0.2')), undefined);
  }
  assert.equal(shared.localWorkload('shop', 'cart-1', 'cart')?.uid, cart.uid);
  assert.equal(shared.localWorkload('shop', 'cart-1', 'other'), undefined);
  state.applyAddresses([], [cart.uid, cartService.key]);
  state.applyAuthorizations([], ['shop/allow']);
  await state.flushed();
  assert.deepEqual(identities.slice(1), ['-spiffe://cluster.local/ns/shop/sa/cart']);
  for (const view of [state.mesh, shared]) {
    assert.equal(view.workloadByUid(cart.uid), undefined);
    assert.equal(view.workloadByAddress('', ip('10.0.0.1')), undefined);
    assert.equal(view.serviceByHostname(cartService.hostname, 'shop'), undefined);
    assert.equal(view.policy('shop/allow'), undefined);
    assert.deepEqual(view.endpoints(cartService), []);
  }
});

test('a bad resource is rejected alone, with its reason', async () => {
  const { state, shared } = bench();
  const good = encodeWorkload(cart);
  const rejected = state.applyAddresses(
    [
      { name: 'bad', version: '1', value: new Uint8Array([0xff, 0xff]) },
      { name: good.name, version: good.version, value: good.bytes },
    ],
    [],
  );
  assert.deepEqual(
    rejected.map(({ name }) => name),
    ['bad'],
  );
  await state.flushed();
  assert.ok(shared.workloadByUid(cart.uid));
});

test('an identity is kept while any local workload has it, also through updates', async () => {
  const { state, identities } = bench();
  state.putWorkload(cart);
  state.putWorkload({ ...cart, uid: 'c//Pod/shop/cart-2' });
  state.putWorkload({ ...cart, healthy: false });
  state.removeWorkload(cart.uid);
  await Promise.resolve();
  assert.deepEqual(identities, ['+spiffe://cluster.local/ns/shop/sa/cart']);
  state.putWorkload({ ...cart, uid: 'elsewhere', node: 'node-2' });
  state.removeWorkload('c//Pod/shop/cart-2');
  await Promise.resolve();
  assert.equal(identities.length, 2);
});

test('a pod of another cluster’s node of the same name is not here', async () => {
  const { state, shared, identities } = bench();
  state.putWorkload({ ...cart, uid: 'far//Pod/shop/cart-1', clusterId: 'far' });
  state.flush();
  await state.flushed();
  assert.deepEqual([identities, shared.localWorkload('shop', 'cart-1', 'cart')], [[], undefined]);
  state.putWorkload(cart);
  state.flush();
  await state.flushed();
  assert.equal(identities.length, 1);
  assert.equal(shared.localWorkload('shop', 'cart-1', 'cart')?.uid, cart.uid);
});

test('a record that does not fit is left out and the others are stored', async () => {
  const { state, shared } = bench(64 * 1024);
  for (let i = 0; i < 30; i++) {
    state.putWorkload({ ...cart, uid: `w-${i}`, name: 'x'.repeat(i === 3 ? 200_000 : 10) });
  }
  state.flush();
  await state.flushed();
  assert.equal(shared.workloadByUid('w-3'), undefined);
  assert.equal(shared.workloadByUid('w-29')?.name, 'xxxxxxxxxx');
});

test('an endpoint that changes changes for its service, too', async () => {
  const { state, shared } = bench();
  const put = async (protocol: 'none' | 'hbone'): Promise<string | undefined> => {
    state.putWorkload({ ...cart, protocol });
    state.flush();
    await state.flushed();
    // Whoever is asked about has been decoded before the endpoints are.
    assert.equal(shared.workloadByUid(cart.uid)?.protocol, protocol);
    return shared.endpoints(cartService)[0]?.workload.protocol;
  };
  state.putService(cartService);
  assert.equal(await put('none'), 'none');
  assert.equal(await put('hbone'), 'hbone', 'enrolled: from now on it is dialled by a tunnel');
  assert.equal(await put('none'), 'none');
});

test('any sequence of changes leaves all views with the same answers', async () => {
  const names = ['a', 'b', 'c'];
  const change = fc.record({
    kind: fc.constantFrom('workload', 'service', 'policy', 'drop-workload', 'drop-service', 'drop-policy'),
    name: fc.constantFrom(...names),
    namespace: fc.constantFrom('n1', 'n2'),
    last: fc.integer({ min: 1, max: 4 }),
    flag: fc.boolean(),
    hbone: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(change, { maxLength: 6 }), { minLength: 1, maxLength: 8 }), async (rounds) => {
      const { state, shared } = bench();
      const maps = new MapMesh();
      const targets = [state, maps];
      for (const round of rounds) {
        for (const { kind, name, namespace, last, flag, hbone } of round) {
          if (kind === 'workload') {
            const put = workload({
              uid: `c/${flag ? '/Pod' : 'x/WorkloadEntry'}/${namespace}/${name}`,
              name,
              namespace,
              ips: [`10.0.0.${last}`],
              protocol: hbone ? 'hbone' : 'none',
              hostname: flag ? `${name}.example` : '',
              serves: { [`${namespace}/s${last}.${namespace}`]: { 80: 8000 + last } },
              hostNetwork: last === 4,
            });
            for (const target of targets) target.putWorkload(put);
          } else if (kind === 'service') {
            const vips = flag ? [`10.1.0.${last}`] : [`10.1.0.0/${20 + last}`];
            const put = service({ name: `s${last}`, namespace, hostname: `s${last}.${namespace}`, vips });
            for (const target of targets) target.putService(put);
          } else if (kind === 'policy') {
            const put = policy({ name, namespace, scope: flag ? 'namespace' : 'global' });
            for (const target of targets) target.putPolicy(put);
          } else if (kind === 'drop-workload') {
            const uid = `c/${flag ? '/Pod' : 'x/WorkloadEntry'}/${namespace}/${name}`;
            for (const target of targets) target.removeWorkload(uid);
          } else if (kind === 'drop-service') {
            for (const target of targets) target.removeService(`${namespace}/s${last}.${namespace}`);
          } else for (const target of targets) target.removePolicy(`${namespace}/${name}`);
        }
        state.flush();
        await state.flushed();
        compare(maps, shared);
        compare(maps, state.mesh);
        const uids = (list: Iterable<{ uid: string }>): string[] => [...list].map(({ uid }) => uid).sort();
        assert.deepEqual(uids(state.mesh.workloads()), uids(maps.workloads()));
        const staged = (listing: MeshListing): string[] => [...listing.staged()].map(([key]) => key).sort();
        assert.deepEqual(staged(state.mesh), staged(maps));
      }
    }),
    { numRuns: 80 },
  );
});

function compare(mesh: MapMesh, shared: MeshView): void {
  for (const last of [1, 2, 3, 4]) {
    // One value for an address, as proxies have it: what is remembered by it must not depend on who asked before.
    const address = ip(`10.0.0.${last}`);
    const vip = ip(`10.1.0.${last}`);
    shared.workloadByAddress('', vip);
    for (const namespace of ['n1', '', 'n2', 'other', '', 'n1']) {
      assert.deepEqual(shared.workloadByAddress('', address), mesh.workloadByAddress('', address));
      assert.equal(shared.serviceByAddress('', vip, namespace)?.key, mesh.serviceByAddress('', vip, namespace)?.key);
      const known = mesh.service(`${namespace}/s${last}.${namespace}`);
      assert.equal(shared.service(`${namespace}/s${last}.${namespace}`)?.key, known?.key);
      if (known !== undefined) {
        assert.deepEqual(shared.endpoints(known), mesh.endpoints(known));
      }
      const keys = (view: MeshView): string[] =>
        [...view.namespacePolicies(namespace), ...view.globalPolicies()].map(({ key }) => key);
      assert.deepEqual(keys(shared), keys(mesh));
      for (const name of ['a', 'b', 'c']) {
        const hostname = `${name}.example`;
        assert.equal(
          shared.workloadByHostname(namespace, hostname)?.uid,
          mesh.workloadByHostname(namespace, hostname)?.uid,
        );
      }
    }
  }
}
