// SPDX-License-Identifier: Apache-2.0
// The client against a real gRPC server that signs with a real authority.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, test } from 'node:test';
import {
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { type IstioCertificateRequest, IstioCertificateService } from '#lib/proto/gen/ca_pb.ts';
import { grpcService } from '#lib/proto/grpc.ts';
import { Authority, createRoot } from './authority.ts';
import { CaClient } from './ca-client.ts';
import { renewalTime, summarize } from './certificate.ts';
import { checkCsr } from './csr.ts';

const CART = 'spiffe://cluster.local/ns/shop/sa/cart';
const authority = await Authority.load(await createRoot({ organization: 'cluster.local', now: Date.now() }));
const seen: { headers: Metadata; request: IstioCertificateRequest }[] = [];
let answer: (request: IstioCertificateRequest) => Promise<{ certChain: string[] }> = sign;

async function sign(request: IstioCertificateRequest, uri = CART): Promise<{ certChain: string[] }> {
  const csr = await checkCsr(request.csr);
  assert.ok(csr.ok);
  const ttlMs = Number(request.validityDuration) * 1000;
  return { certChain: await authority.sign({ publicKey: csr.value.publicKey, uris: [uri], ttlMs }, Date.now()) };
}

const server = new Server();
server.addService(grpcService(IstioCertificateService), {
  createCertificate: (
    call: ServerUnaryCall<IstioCertificateRequest, { certChain: string[] }>,
    reply: sendUnaryData<{ certChain: string[] }>,
  ) => {
    seen.push({ headers: call.metadata, request: call.request });
    answer(call.request).then(
      (value) => reply(null, value),
      (error: { code: number; message: string }) =>
        reply({ code: error.code, details: error.message, metadata: new Metadata() }),
    );
  },
});
const port = await new Promise<number>((resolve, reject) =>
  server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
    error === null ? resolve(bound) : reject(error),
  ),
);
after(() => server.forceShutdown());

let channels = 0;
const client = (impersonate = true, target = `127.0.0.1:${port}`): CaClient =>
  new CaClient({
    target,
    credentials: async () => {
      channels++;
      return credentials.createInsecure();
    },
    headers: async () => ({ authorization: 'Bearer token', clusterid: 'Kubernetes' }),
    channelOptions: {},
    ttlMs: 3_600_000,
    impersonate,
    timeoutMs: 60_000,
  });

test('a certificate is asked for with a fresh key, the impersonated identity and the token', async () => {
  using ca = client();
  const [one, two] = [await ca.issue(CART), await ca.issue(CART)];
  assert.notEqual(one.keyPem, two.keyPem);
  assert.equal(one.rootsPem, authority.material.rootPem);
  assert.ok(new X509Certificate(one.chainPem).verify(new X509Certificate(one.rootsPem).publicKey));
  assert.deepEqual(summarize(one.chainPem)[0]!.uris, [CART]);
  assert.equal(renewalTime(one), (one.notBefore + one.notAfter) / 2);
  const { headers, request } = seen.at(-1)!;
  assert.deepEqual([headers.get('authorization'), headers.get('clusterid')], [['Bearer token'], ['Kubernetes']]);
  assert.deepEqual(request.metadata, { ImpersonatedIdentity: CART });
  assert.equal(request.validityDuration, 3600n);
});

test('a dedicated proxy asks for itself, without impersonation', async () => {
  using ca = client(false);
  await ca.issue(CART);
  assert.equal(seen.at(-1)!.request.metadata, undefined);
});

test('a leaf for somebody else, an answer without root and an empty one are refused', async () => {
  using ca = client();
  answer = (request) => sign(request, 'spiffe://cluster.local/ns/shop/sa/other');
  await assert.rejects(ca.issue(CART), { code: 'CA_ANSWER', message: /the leaf is for .*other, asked was .*cart/ });
  answer = async (request) => ({ certChain: (await sign(request)).certChain.slice(0, 1) });
  await assert.rejects(ca.issue(CART), /1 of at least 2 parts/);
  answer = async () => ({ certChain: [] });
  await assert.rejects(ca.issue(CART), { code: 'CA_ANSWER' });
  answer = async (request) => ({ certChain: [...(await sign(request)).certChain.slice(0, 1), 'no pem'] });
  await assert.rejects(ca.issue(CART), /no root certificate/);
  answer = sign;
});

test('a refusal carries the authority’s words; an unreachable authority is told apart', async () => {
  using ca = client();
  answer = () => Promise.reject(Object.assign(new Error('request impersonation authentication failure'), { code: 16 }));
  await assert.rejects(ca.issue(CART), { code: 'CA_REFUSED', message: /code 16.*impersonation/ });
  answer = sign;
  using nowhere = client(true, '127.0.0.1:1');
  await assert.rejects(nowhere.issue(CART), { code: 'CA_UNREACHABLE' });
});

test('the channel is kept between requests and made anew when the root changed', async () => {
  using ca = client();
  channels = 0;
  await ca.issue(CART);
  await ca.issue(CART);
  assert.equal(channels, 1);
  ca.rootChanged();
  await ca.issue(CART);
  assert.equal(channels, 2);
});

test('an aborted request rejects', async () => {
  using ca = client();
  const abort = new AbortController();
  answer = () => new Promise(() => {});
  const waiting = ca.issue(CART, abort.signal);
  setImmediate(() => abort.abort());
  await assert.rejects(waiting);
  answer = sign;
});
