// SPDX-License-Identifier: Apache-2.0
// The certificate service over real TLS connections, before a fake Kubernetes API: two nodes, their node proxies `zt`
// and `zt-2` by their tokens, and a pod on each.

import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { Authority, createRoot } from '#lib/identity/authority.ts';
import { createCsr } from '#lib/identity/csr.ts';
import { generateKey, keyToPem } from '#lib/identity/key.ts';
import { type Clock, systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import { createMetrics } from '#lib/kit/metrics.ts';
import type { Pod } from '#lib/kube/object.ts';
import { type IstioCertificateResponse, IstioCertificateService } from '#lib/proto/gen/ca_pb.ts';
import { grpcService } from '#lib/proto/grpc.ts';
import { PodIndex } from '../../istiod/ca/pod-index.ts';
import { RateLimit } from '../../istiod/ca/rate-limit.ts';
import { CertificateService } from '../../istiod/ca/service.ts';
import { issueServingCertificate, servingNames } from '../../istiod/ca/serving-certificate.ts';
import { authoritySigner } from '../../istiod/ca/signer.ts';
import { createIstiodMetrics } from '../../istiod/metrics.ts';
import { Authenticator } from '../../istiod/serve/authenticate.ts';
import type { CachedKeys } from '../../istiod/serve/cached-keys.ts';
import { RenewableCredentials } from '../../istiod/serve/credentials.ts';
import { serveGrpc } from '../../istiod/serve/grpc.ts';
import { type FakeCluster, fakeCluster } from './kube-client.ts';

const CREATE = grpcService(IstioCertificateService).createCertificate;
export const CART = 'spiffe://cluster.local/ns/shop/sa/cart';
export const HOUR_MS = 3_600_000;

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
export async function workload(authority: Authority, uri: string) {
  const keys = await generateKey();
  const chain = await authority.sign({ publicKey: keys.publicKey, uris: [uri], ttlMs: HOUR_MS }, Date.now());
  return { chainPem: chain[0]!, keyPem: await keyToPem(keys.privateKey) };
}

export interface CertificateServiceOptions {
  /** Judges tokens while the API server is away. */
  readonly cachedKeys?: (cluster: FakeCluster) => CachedKeys;
  /** Of the authenticator. */
  readonly clock?: Clock;
}

/** The service on a port of loopback, a client of it, and the API server behind it. */
export async function certificateService({ cachedKeys, clock = systemClock }: CertificateServiceOptions = {}) {
  const cluster = await fakeCluster();
  cluster.api.tokens.set('zt', review('istio-system/ztunnel', 'zt-1'));
  cluster.api.tokens.set('zt-2', review('istio-system/ztunnel', 'zt-2'));
  cluster.api.tokens.set('cart', review('shop/cart', 'cart-1'));
  const authority = await Authority.load(await createRoot({ organization: 'cluster.local', now: Date.now() }));
  const pods = new PodIndex();
  const all = [
    pod('istio-system', 'zt-1', 'ztunnel', 'n1'),
    pod('istio-system', 'zt-2', 'ztunnel', 'n2'),
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
      clock,
      ...(cachedKeys !== undefined && { cachedKeys: cachedKeys(cluster) }),
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
    pods,
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
