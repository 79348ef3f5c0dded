// SPDX-License-Identifier: Apache-2.0
// The certificate service over real TLS connections, against a fake Kubernetes API.

import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { Client, status as Code, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { Authority, createRoot } from '#lib/identity/authority.ts';
import { createCsr } from '#lib/identity/csr.ts';
import { generateKey, keyToPem } from '#lib/identity/key.ts';
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import { createMetrics } from '#lib/kit/metrics.ts';
import type { Pod } from '#lib/kube/object.ts';
import { type IstioCertificateResponse, IstioCertificateService } from '#lib/proto/gen/ca_pb.ts';
import { grpcService } from '#lib/proto/grpc.ts';
import { fakeCluster } from '#lib/testkit/kube-client.ts';
import { createIstiodMetrics } from '../metrics.ts';
import { Authenticator } from '../serve/authenticate.ts';
import { RenewableCredentials } from '../serve/credentials.ts';
import { serveGrpc } from '../serve/grpc.ts';
import { PodIndex } from './pod-index.ts';
import { RateLimit } from './rate-limit.ts';
import { CertificateService } from './service.ts';
import { issueServingCertificate, servingNames } from './serving-certificate.ts';
import { authoritySigner } from './signer.ts';

const CREATE = grpcService(IstioCertificateService).createCertificate;
const CART = 'spiffe://cluster.local/ns/shop/sa/cart';
const HOUR_MS = 3_600_000;

function pod(namespace: string, name: string, serviceAccountName: string, nodeName: string): Pod {
  return { metadata: { namespace, name, uid: `uid-${name}` }, spec: { serviceAccountName, nodeName } };
}

function review(account: string, podName: string) {
  const [namespace, name] = account.split('/');
  return {
    authenticated: true,
    audiences: ['istio-ca'],
    user: {
      username: `system:serviceaccount:${namespace}:${name}`,
      groups: ['system:serviceaccounts'],
      extra: {
        'authentication.kubernetes.io/pod-name': [podName],
        'authentication.kubernetes.io/pod-uid': [`uid-${podName}`],
      },
    },
  };
}

function clientCredentials(roots: Buffer, own: { chainPem: string; keyPem: string } | undefined) {
  if (own === undefined) return credentials.createSsl(roots);
  return credentials.createSsl(roots, Buffer.from(own.keyPem), Buffer.from(own.chainPem));
}

/** A client certificate for an identity, as a workload holds it. */
async function workload(authority: Authority, uri: string) {
  const keys = await generateKey();
  const chain = await authority.sign({ publicKey: keys.publicKey, uris: [uri], ttlMs: HOUR_MS }, Date.now());
  return { chainPem: chain[0]!, keyPem: await keyToPem(keys.privateKey) };
}

async function setUp() {
  const cluster = await fakeCluster();
  cluster.api.tokens.set('zt', review('istio-system/ztunnel', 'zt-1'));
  cluster.api.tokens.set('cart', review('shop/cart', 'cart-1'));
  const authority = await Authority.load(await createRoot({ organization: 'cluster.local', now: Date.now() }));
  const pods = new PodIndex();
  const all = [
    pod('istio-system', 'zt-1', 'ztunnel', 'n1'),
    pod('shop', 'cart-1', 'cart', 'n1'),
    pod('shop', 'pay-1', 'pay', 'n2'),
  ];
  pods.apply(all.map((object) => ({ op: 'set', key: `${object.metadata.namespace}/${object.metadata.name}`, object })));
  const lines: string[] = [];
  const metrics = createMetrics();
  const signer = authoritySigner(() => authority);
  const signers: (string | undefined)[] = [];
  const service = new CertificateService({
    signer: {
      rootPem: signer.rootPem,
      sign: (request, now) => {
        signers.push(request.signerName);
        return signer.sign(request, now);
      },
    },
    signerDomain: 'example.com',
    rate: new RateLimit({ clock: systemClock, perSecond: 0.01, burst: 20 }),
    authenticator: new Authenticator({
      client: cluster.client,
      clock: systemClock,
      audiences: ['istio-ca'],
      clusterId: 'Kubernetes',
      trustDomain: () => 'cluster.local',
    }),
    pods,
    trustedNodeAccounts: new Set(['istio-system/ztunnel']),
    defaultTtlMs: 24 * HOUR_MS,
    maxTtlMs: 2160 * HOUR_MS,
    clock: systemClock,
    log: createLogger({ scope: 'ca', write: (line) => lines.push(line) }),
    metrics: createIstiodMetrics(metrics),
  });
  const names = servingNames('istio-system', '', []);
  const { rootPem } = authority.material;
  const tls = new RenewableCredentials(await issueServingCertificate(authority, names, Date.now()), rootPem);
  const port = await serveGrpc({ host: '127.0.0.1', port: 0 }, tls, [service], HOUR_MS);
  const roots = Buffer.from(rootPem);
  const connect = (name = 'istiod.istio-system.svc', own?: { chainPem: string; keyPem: string }) =>
    new Client(`127.0.0.1:${port.port}`, clientCredentials(roots, own), {
      'grpc.ssl_target_name_override': name,
      'grpc.use_local_subchannel_pool': 1,
    });
  const first = connect();
  const ask = (
    request: { csr: string; validityDuration?: bigint; identity?: string; signer?: string },
    token?: string,
    client: Client = first,
  ) =>
    new Promise<string[]>((resolve, reject) => {
      const metadata = new Metadata();
      if (token !== undefined) metadata.set('authorization', `Bearer ${token}`);
      const { csr, identity, signer, validityDuration = 0n } = request;
      const body = {
        csr,
        validityDuration,
        metadata: {
          ...(identity !== undefined && { ImpersonatedIdentity: identity }),
          ...(signer !== undefined && { CertSigner: signer }),
        },
      };
      client.makeUnaryRequest(
        CREATE.path,
        CREATE.requestSerialize,
        CREATE.responseDeserialize,
        body,
        metadata,
        (error: ServiceError | null, response?: IstioCertificateResponse) =>
          error === null ? resolve(response?.certChain ?? []) : reject(error),
      );
    });
  const refusal = async (...parameters: Parameters<typeof ask>): Promise<ServiceError> => {
    try {
      await ask(...parameters);
    } catch (error) {
      return error as ServiceError;
    }
    throw new Error('a certificate was given');
  };
  return {
    ...cluster,
    ask,
    refusal,
    authority,
    signers,
    lines,
    metrics,
    tls,
    connect,
    csr: async (uri = CART) => await createCsr(uri, await generateKey()),
    async [Symbol.asyncDispose]() {
      first.close();
      await port.close(0);
      await cluster[Symbol.asyncDispose]();
    },
  };
}

test('a node proxy gets a certificate for an identity of its node, and the log says who got what', async () => {
  await using env = await setUp();
  const chain = await env.ask({ csr: await env.csr(), validityDuration: 3600n, identity: CART }, 'zt');
  const leaf = new X509Certificate(chain[0]!);
  equal(leaf.subjectAltName, `URI:${CART}`);
  ok(leaf.verify(new X509Certificate(chain.at(-1)!).publicKey));
  ok(Math.abs(Date.parse(leaf.validTo) - Date.now() - HOUR_MS) < 10_000);
  const [line] = env.lines;
  match(line ?? '', /certificate issued/);
  match(
    line ?? '',
    new RegExp(`identity="${CART}".*caller="spiffe://cluster.local/ns/istio-system/sa/ztunnel".*serial=`),
  );
});

test('without impersonation the caller gets its own identity, whatever its request names', async () => {
  await using env = await setUp();
  const chain = await env.ask({ csr: await env.csr('spiffe://cluster.local/ns/shop/sa/pay') }, 'cart');
  equal(new X509Certificate(chain[0]!).subjectAltName, `URI:${CART}`);
});

test("another node's identity is refused, and the log names caller and identity", async () => {
  await using env = await setUp();
  const wanted = 'spiffe://cluster.local/ns/shop/sa/pay';
  const error = await env.refusal({ csr: await env.csr(), identity: wanted }, 'zt');
  equal(error.code, Code.UNAUTHENTICATED);
  equal(error.details, 'request impersonation authentication failure');
  match(env.lines[0] ?? '', /caller="spiffe:\/\/cluster.local\/ns\/istio-system\/sa\/ztunnel"/);
  match(env.lines[0] ?? '', new RegExp(`identity="${wanted}"`));
  match(env.lines[0] ?? '', /no pod of shop\/pay is on the caller’s node n1/);
});

test('a workload cannot ask for another identity', async () => {
  await using env = await setUp();
  const error = await env.refusal({ csr: await env.csr(), identity: 'spiffe://cluster.local/ns/shop/sa/pay' }, 'cart');
  equal(error.code, Code.UNAUTHENTICATED);
  match(env.lines[0] ?? '', /shop\/cart is not a trusted node proxy/);
});

test('an unknown, expired or missing token is refused', async () => {
  await using env = await setUp();
  env.api.tokens.set('old', { authenticated: false, error: 'token has expired' });
  for (const [token, reason] of [
    ['strange', /unknown token/],
    ['old', /token has expired/],
    [undefined, /no token/],
  ] as const) {
    const error = await env.refusal({ csr: await env.csr(), identity: CART }, token);
    equal(error.code, Code.UNAUTHENTICATED);
    equal(error.details, 'request authenticate failure');
    match(env.lines.at(-1) ?? '', reason);
    match(env.lines.at(-1) ?? '', new RegExp(CART));
  }
  match((await env.metrics.text()).body, /citadel_server_authentication_failure_count 3/);
});

test('an API server that does not answer makes the caller come back, not give up', async () => {
  await using env = await setUp();
  await env.api.stop();
  equal((await env.refusal({ csr: await env.csr() }, 'cart')).code, Code.UNAVAILABLE);
});

test('a request that is no CSR, is forged or has an unsupported key is refused with the reason', async () => {
  await using env = await setUp();
  const good = await env.csr();
  const bytes = Buffer.from(good.replace(/-----[^-]+-----|\s/g, ''), 'base64');
  bytes[bytes.length - 1]! ^= 1;
  const forged = `-----BEGIN CERTIFICATE REQUEST-----\n${bytes.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
  const { publicKey } = generateKeyPairSync('ed25519');
  const asKey = publicKey.export({ type: 'spki', format: 'pem' }).toString();
  for (const csr of ['', 'nonsense', forged, asKey, 'x'.repeat(100_000)]) {
    const error = await env.refusal({ csr }, 'cart');
    equal(error.code, Code.INVALID_ARGUMENT);
    match(error.details, /^csr: /);
  }
  match((await env.metrics.text()).body, /citadel_server_csr_parsing_err_count 5/);
});

test('more lifetime than allowed is refused', async () => {
  await using env = await setUp();
  const error = await env.refusal({ csr: await env.csr(), validityDuration: 100_000_000n }, 'cart');
  equal(error.code, Code.INVALID_ARGUMENT);
  match(error.details, /at most 7776000 s/);
});

test('a caller with a certificate of the mesh renews it without a token, and cannot ask for another identity', async () => {
  await using env = await setUp();
  using client = disposable(env.connect(undefined, await workload(env.authority, CART)));
  const chain = await env.ask({ csr: await env.csr() }, undefined, client.client);
  equal(new X509Certificate(chain[0]!).subjectAltName, `URI:${CART}`);
  const wanted = 'spiffe://cluster.local/ns/shop/sa/pay';
  const error = await env.refusal({ csr: await env.csr(), identity: wanted }, undefined, client.client);
  equal(error.code, Code.UNAUTHENTICATED);
  match(env.lines.at(-1) ?? '', new RegExp(`caller="${CART}".*identity="${wanted}".*not bound to a pod`));
});

test('a certificate of another mesh or another trust domain proves nothing', async () => {
  await using env = await setUp();
  const stranger = await Authority.load(await createRoot({ organization: 'cluster.local', now: Date.now() }));
  using other = disposable(env.connect(undefined, await workload(stranger, CART)));
  equal((await env.refusal({ csr: await env.csr() }, undefined, other.client)).code, Code.UNAUTHENTICATED);
  using foreign = disposable(env.connect(undefined, await workload(env.authority, 'spiffe://other/ns/shop/sa/cart')));
  equal((await env.refusal({ csr: await env.csr() }, undefined, foreign.client)).code, Code.UNAUTHENTICATED);
  match(env.lines.at(-1) ?? '', /of another trust domain than cluster.local/);
});

test('a caller that asks without end is told to wait, and others are not', async () => {
  await using env = await setUp();
  const csr = await env.csr();
  for (let i = 0; i < 20; i++) await env.ask({ csr }, 'cart');
  const error = await env.refusal({ csr }, 'cart');
  equal(error.code, Code.RESOURCE_EXHAUSTED);
  match(env.lines.at(-1) ?? '', new RegExp(`CA_RATE.*caller="${CART}"`));
  await env.ask({ csr, identity: CART }, 'zt');
});

function disposable(client: Client) {
  return { client, [Symbol.dispose]: () => client.close() };
}

test("istiod's own certificate can be replaced under running connections", async () => {
  await using env = await setUp();
  await env.ask({ csr: await env.csr() }, 'cart');
  const names = ['istiod.istio-system.svc', 'new.example.org'];
  env.tls.replace(await issueServingCertificate(env.authority, names, Date.now()), env.authority.material.rootPem);
  await env.ask({ csr: await env.csr() }, 'cart');
  const fresh = env.connect('new.example.org');
  await new Promise<void>((resolve, reject) =>
    fresh.waitForReady(Date.now() + 5_000, (error) => (error ? reject(error) : resolve())),
  );
  fresh.close();
  deepEqual(env.lines.filter((line) => line.includes('issued')).length, 2);
});

test('a caller may name one of the outside signers of the domain that is set, and the default signs otherwise', async () => {
  await using env = await setUp();
  await env.ask({ csr: await env.csr(), signer: 'fast' }, 'cart');
  await env.ask({ csr: await env.csr() }, 'cart');
  deepEqual(env.signers, ['example.com/fast', undefined]);
});
