// SPDX-License-Identifier: Apache-2.0
// Each part of the control plane killed, paused and cut off: nothing is lost, node proxies go on with their last state,
// certificates are still to be had, and all is well again within 10 s of the part's return. Real istiods as processes,
// one of them behind a line of its own; an API server in this process; node proxies' own clients. Throughout, what one
// replica may write is written by the holder of its lease only.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { CaClient } from '#lib/identity/ca-client.ts';
import type { Lease, Pod } from '#lib/kube/object.ts';
import { Door, type Place } from '#lib/testkit/door.ts';
import { connect, NAMESPACES, populate, rootIn } from '#lib/testkit/istiod.ts';
import type { SeenRequest } from '#lib/testkit/kube-api.ts';
import { type FakeCluster, fakeCluster } from '#lib/testkit/kube-client.ts';
import { until } from '#lib/testkit/until.ts';
import { channelCredentials, channelOptions } from '#lib/xds/client.ts';
import { Island } from '../harness/island.ts';
import { type Istiod, startIstiod } from '../load/istiod-programs.ts';

const ISSUER = 'https://kubernetes.default.svc';
/** Everything is to be well again 10 s after a part's return; a busy machine gets three times as long. */
const RECOVERY_MS = 30_000;
const START_MS = 120_000;
const CART = 'spiffe://cluster.local/ns/shop/sa/cart';

let cluster: FakeCluster;
/** The ways of the two replicas to the API server. */
let api: Door;
let islandApi: Door;
let island: Island;
let front: Door;
/** A token of the node proxy, never seen before: nobody can remember having judged it. */
let mint: () => Promise<string>;
let first: Istiod;
let second: Istiod;
let proxy: ReturnType<typeof connect>;
const folder = mkdtempSync(join(tmpdir(), 'ambit-faults-'));
/** Short, since nobody wants to wait for the end of a long one. */
const LEASE = '3s';
const LEASES = '/apis/coordination.k8s.io/v1/leases';
const ROOT_LEASE = 'ambit-namespace-controller';
const TROUBLE: string[] = [];

/** A replica that shows its name as its token: on loopback, or on the island. */
async function replica(name: string, place?: Island): Promise<Istiod> {
  const server = place === undefined ? `127.0.0.1:${api.port}` : `${place.near}:${islandApi.port}`;
  const config = JSON.parse(cluster.api.kubeconfig) as Config;
  const clusters = config.clusters.map((one) => ({ ...one, cluster: { server: `http://${server}` } }));
  const kubeconfig = join(folder, name);
  writeFileSync(kubeconfig, JSON.stringify({ ...config, clusters, users: [{ name: 'fake', user: { token: name } }] }));
  const env = { POD_NAME: name, ISTIOD_CUSTOM_HOST: 'localhost', AMBIT_LEASE_DURATION: LEASE };
  return place === undefined
    ? await startIstiod(kubeconfig, START_MS, env)
    : await startIstiod(kubeconfig, START_MS, env, { host: place.far, words: place.words });
}

const holder = (): string => cluster.api.find<Lease>(LEASES, 'istio-system', ROOT_LEASE)?.spec?.holderIdentity ?? '';

/** Lets every request pass, and notes root certificates that somebody else than the leader writes. */
function watchWriters({ method, path, token }: SeenRequest): undefined {
  if (method !== 'GET' && path.endsWith('/configmaps/istio-ca-root-cert') && token !== holder()) {
    TROUBLE.push(`${token} wrote ${path} while ${holder()} held the lease`);
  }
}

before(async () => {
  cluster = await fakeCluster();
  populate(cluster);
  put('cart-1', '10.1.0.9');
  const { privateKey, publicKey } = await generateKeyPair('RS256');
  const key = { ...(await exportJWK(publicKey)), kid: 'k', alg: 'RS256', use: 'sig' };
  cluster.api.documents.set('/.well-known/openid-configuration', { issuer: ISSUER });
  cluster.api.documents.set('/openid/v1/jwks', { keys: [key] });
  mint = async () => {
    const pod = { name: 'zt-1', uid: 'uid-zt-1' };
    const claims = { namespace: 'istio-system', serviceaccount: { name: 'ztunnel' }, pod };
    const token = await new SignJWT({ 'kubernetes.io': claims, jti: randomUUID() })
      .setProtectedHeader({ alg: 'RS256', kid: 'k' })
      .setIssuer(ISSUER)
      .setAudience('istio-ca')
      .setExpirationTime('12h')
      .sign(privateKey);
    cluster.api.tokens.set(token, cluster.api.tokens.get('zt')!);
    return token;
  };
  cluster.api.refuse = watchWriters;
  const server = new URL((JSON.parse(cluster.api.kubeconfig) as Config).clusters[0]!.cluster.server);
  api = await Door.open(Number(server.port));
  island = await Island.make();
  islandApi = await Door.openAt(island.near, Number(server.port));
  [first, second] = await Promise.all([replica('istiod-a'), replica('istiod-b', island)]);
  front = await Door.open(first.securePort, onIsland());
  await until('the root', () => rootIn(cluster, 'istio-system') !== undefined);
  proxy = connect(cluster, front.port, { token: await mint() });
  await until('the first state', () => holds('cart-1'));
});

after(async () => {
  await proxy?.client.stop();
  await Promise.all([first?.stop('SIGKILL'), second?.stop('SIGKILL')]);
  await front?.[Symbol.asyncDispose]();
  await api?.[Symbol.asyncDispose]();
  await islandApi?.[Symbol.asyncDispose]();
  await island?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

interface Config {
  readonly clusters: readonly { readonly cluster: { readonly server: string } }[];
}

function put(name: string, ip: string): void {
  cluster.api.put<Pod>('/api/v1/pods', {
    metadata: { namespace: 'shop', name, uid: `uid-${name}` },
    spec: { nodeName: 'n1', serviceAccountName: 'cart' },
    status: { phase: 'Running', podIP: ip, podIPs: [{ ip }], conditions: [{ type: 'Ready', status: 'True' }] },
  });
}

const onIsland = (): Place => ({ host: island.far, port: second.securePort });
const rootOf = (namespace: string): boolean => rootIn(cluster, namespace) !== undefined;
const holds = (pod: string): boolean => proxy.held.has(`Kubernetes//Pod/shop/${pod}`);

async function certificate(): Promise<void> {
  const token = await mint();
  const target = `localhost:${front.port}`;
  const rootCertificates = async () => Buffer.from(rootIn(cluster, 'istio-system') ?? '');
  using client = new CaClient({
    target,
    credentials: () => channelCredentials({ target, rootCertificates }),
    headers: async () => ({ authorization: `Bearer ${token}`, clusterid: 'Kubernetes' }),
    channelOptions: channelOptions({ target }),
    ttlMs: 3_600_000,
    impersonate: true,
  });
  const { identity } = await client.issue(CART);
  assert.equal(identity, CART);
}

test('the API server killed: state stays, certificates are issued, and what it missed is caught up with', async () => {
  await cluster.api.stop();
  const held = proxy.held.size;
  await certificate();
  assert.equal(proxy.held.size, held);
  put('cart-2', '10.1.0.10');
  await cluster.api.start();
  await until('the pod made meanwhile', () => holds('cart-2'), RECOVERY_MS);
  await certificate();
});

test('the API server stopped in its tracks: certificates are issued, and afterwards nothing is missing', async () => {
  // What a stopped process looks like from outside: bytes are taken, connections too, and nothing comes.
  for (const door of [api, islandApi]) door.stall();
  await certificate();
  put('cart-3', '10.1.0.11');
  for (const door of [api, islandApi]) door.resume();
  await until('the pod made meanwhile', () => holds('cart-3'), RECOVERY_MS);
});

test('a replica paused: its proxies keep their state and learn everything when it goes on', async () => {
  first.signal('SIGSTOP');
  const held = proxy.held.size;
  put('cart-4', '10.1.0.12');
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(proxy.held.size, held);
  first.signal('SIGCONT');
  await until('the pod made meanwhile', () => holds('cart-4'), RECOVERY_MS);
});

test('the leader stopped: the other leads, and the one that goes on again writes nothing before it leads anew', async () => {
  await until('a leader', () => holder() !== '');
  const [leader, name] = holder() === 'istiod-a' ? [first, 'istiod-a'] : [second, 'istiod-b'];
  leader.signal('SIGSTOP');
  await until('the other to lead', () => holder() !== name);
  // What the stopped one would write as soon as it is told of it, if it still thought that it led.
  for (const namespace of ['stopped-1', 'stopped-2']) cluster.api.put(NAMESPACES, { metadata: { name: namespace } });
  put('cart-5', '10.1.0.13');
  leader.signal('SIGCONT');
  await until('its successor’s work', () => rootOf('stopped-1') && rootOf('stopped-2'), RECOVERY_MS);
  await until('the pod made meanwhile', () => holds('cart-5'), RECOVERY_MS);
  await until('it to know what it missed', async () => (await leader.get('/debug/ambientz')).includes('cart-5'));
  await until('it to say so', () => leader.output().includes('no longer leading'));
  assert.deepEqual(TROUBLE, []);
});

test('a replica whose packets vanish: its proxies keep their state, it leads no more, and all is well when they pass', async () => {
  await using door = await Door.open(onIsland());
  await using there = connect(cluster, door.port, { token: await mint() });
  const has = (pod: string): boolean => there.held.has(`Kubernetes//Pod/shop/${pod}`);
  await until('the first state', () => has('cart-5'));
  const held = there.held.size;
  await island.cut();
  put('cart-6', '10.1.0.14');
  await until('a leader ashore', () => holder() === 'istiod-a');
  cluster.api.put(NAMESPACES, { metadata: { name: 'cut-off' } });
  await until('the leader’s work', () => rootOf('cut-off'), RECOVERY_MS);
  await certificate();
  assert.equal(there.held.size, held);
  await island.join();
  await until('the pod made meanwhile', () => has('cart-6') && holds('cart-6'), RECOVERY_MS);
  assert.deepEqual(TROUBLE, []);
});

test('the leader killed: its proxies go to the other replica, lose nothing, and what it did is done again soon', async () => {
  const held = [...proxy.held.keys()].sort();
  const [leader, other] = holder() === 'istiod-a' ? [first, onIsland()] : [second, first.securePort];
  front.lead(other);
  await leader.stop('SIGKILL');
  put('cart-7', '10.1.0.15');
  await until('the pod made meanwhile', () => holds('cart-7'), RECOVERY_MS);
  assert.deepEqual(
    held.filter((name) => !proxy.held.has(name)),
    [],
  );
  await certificate();
  cluster.api.put(NAMESPACES, { metadata: { name: 'later' } });
  if (leader === first) first = await replica('istiod-a');
  else second = await replica('istiod-b', island);
  await until('the writer’s work', () => rootOf('later'), RECOVERY_MS);
  assert.deepEqual(TROUBLE, []);
});

test('a rolling update: a replica that ends hands its proxies over, and no change is missed', async () => {
  const lost = proxy.lines.length;
  front.lead(first.securePort);
  await second.stop();
  put('cart-8', '10.1.0.16');
  await until('the pod made meanwhile', () => holds('cart-8'), RECOVERY_MS);
  assert.ok(proxy.held.size >= 8);
  assert.ok(proxy.lines.slice(lost).some((line) => line.includes('connected to the control plane')));
});
