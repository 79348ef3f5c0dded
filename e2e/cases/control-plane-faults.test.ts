// SPDX-License-Identifier: Apache-2.0
// Each part of the control plane killed, paused and cut off: nothing is lost, node proxies go on with their last state,
// certificates are still to be had, and all is well again within 10 s of the part's return. Real istiods as processes,
// an API server in this one, node proxies' own clients.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { CaClient } from '#lib/identity/ca-client.ts';
import type { Pod } from '#lib/kube/object.ts';
import { connect, NAMESPACES, populate, rootIn } from '#lib/testkit/istiod.ts';
import { type FakeCluster, fakeCluster } from '#lib/testkit/kube-client.ts';
import { until } from '#lib/testkit/until.ts';
import { channelCredentials, channelOptions } from '#lib/xds/client.ts';
import { Door } from '../harness/door.ts';
import { type Istiod, startIstiod } from '../load/istiod-programs.ts';

const ISSUER = 'https://kubernetes.default.svc';
/** Everything is to be well again so soon after a part's return. */
const RECOVERY_MS = 10_000;
const CART = 'spiffe://cluster.local/ns/shop/sa/cart';

let cluster: FakeCluster;
let api: Door;
let front: Door;
/** A token of the node proxy, never seen before: nobody can remember having judged it. */
let mint: () => Promise<string>;
let first: Istiod;
let second: Istiod;
let proxy: ReturnType<typeof connect>;
const folder = mkdtempSync(join(tmpdir(), 'ambit-faults-'));
const kubeconfig = join(folder, 'kubeconfig');

const replica = (name: string): Promise<Istiod> =>
  startIstiod(kubeconfig, 60_000, { POD_NAME: name, ISTIOD_CUSTOM_HOST: 'localhost' });

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
  const server = new URL((JSON.parse(cluster.api.kubeconfig) as Config).clusters[0]!.cluster.server);
  api = await Door.open(Number(server.port));
  writeFileSync(kubeconfig, cluster.api.kubeconfig.replace(server.host, `127.0.0.1:${api.port}`));
  first = await replica('istiod-a');
  second = await replica('istiod-b');
  front = await Door.open(first.securePort, second.securePort);
  await until('the root', () => rootIn(cluster, 'istio-system') !== undefined);
  proxy = connect(cluster, front.port, { token: await mint() });
  await until('the first state', () => holds('cart-1'));
});

after(async () => {
  await proxy?.client.stop();
  await Promise.all([first?.stop('SIGKILL'), second?.stop('SIGKILL')]);
  await front?.[Symbol.asyncDispose]();
  await api?.[Symbol.asyncDispose]();
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

test('the API server cut off: certificates are issued, and afterwards nothing is missing', async () => {
  api.stall();
  await certificate();
  put('cart-3', '10.1.0.11');
  api.resume();
  await until('the pod made meanwhile', () => holds('cart-3'), RECOVERY_MS);
});

test('a replica paused: its proxies keep their state and learn everything when it goes on', async () => {
  first.signal('SIGSTOP');
  const held = proxy.held.size;
  put('cart-4', '10.1.0.12');
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  assert.equal(proxy.held.size, held);
  first.signal('SIGCONT');
  await until('the pod made meanwhile', () => holds('cart-4'), RECOVERY_MS);
});

test('the leader killed: its proxies go to the other replica, lose nothing, and it leads again when it is back', async () => {
  const held = [...proxy.held.keys()].sort();
  await first.stop('SIGKILL');
  put('cart-5', '10.1.0.13');
  await until('the pod made meanwhile', () => holds('cart-5'), RECOVERY_MS);
  assert.deepEqual(
    held.filter((name) => !proxy.held.has(name)),
    [],
  );
  await certificate();
  cluster.api.put(NAMESPACES, { metadata: { name: 'later' } });
  first = await replica('istiod-a');
  front.lead(second.securePort, first.securePort);
  await until('the writer’s work', () => rootIn(cluster, 'later') !== undefined, RECOVERY_MS);
});

test('a rolling update: a replica that ends hands its proxies over, and no change is missed', async () => {
  const lost = proxy.lines.length;
  front.lead(first.securePort);
  await second.stop();
  put('cart-6', '10.1.0.14');
  await until('the pod made meanwhile', () => holds('cart-6'), RECOVERY_MS);
  assert.ok(proxy.held.size >= 6);
  assert.ok(proxy.lines.slice(lost).some((line) => line.includes('connected to the control plane')));
});
