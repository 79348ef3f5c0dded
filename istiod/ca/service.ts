// SPDX-License-Identifier: Apache-2.0
// The certificate service: a caller with a token hands in a key (in a CSR) and gets a short-lived certificate for its
// own identity, or, when it is a node proxy, for one that runs on its node. Every answer is one line in the log.

import { X509Certificate } from 'node:crypto';
import { status as Code, type ServerUnaryCall, type sendUnaryData, type UntypedHandleCall } from '@grpc/grpc-js';
import { checkCsr } from '#lib/identity/csr.ts';
import type { Clock } from '#lib/kit/clock.ts';
import { AmbitError, describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import { formatProblem } from '#lib/kit/result.ts';
import type { Identity } from '#lib/mesh/identity.ts';
import {
  type IstioCertificateRequest,
  type IstioCertificateResponse,
  IstioCertificateService,
} from '#lib/proto/gen/ca_pb.ts';
import { grpcService } from '#lib/proto/grpc.ts';
import type { IstiodMetrics } from '../metrics.ts';
import type { Authenticator } from '../serve/authenticate.ts';
import type { Caller, Credentials } from '../serve/caller.ts';
import { claimedSubject } from '../serve/claims.ts';
import { credentialsOf } from '../serve/credentials.ts';
import { judgeImpersonation } from './node-authorizer.ts';
import { PodIndex } from './pod-index.ts';
import type { RateLimit } from './rate-limit.ts';
import type { Signer } from './signer.ts';

/** Metadata of a request: which of several outside signers is to sign. */
const CERT_SIGNER = 'CertSigner';
const IMPERSONATED = 'ImpersonatedIdentity';

export interface CertificateServiceOptions {
  readonly signer: Signer;
  /** By caller: its pod, or its identity. */
  readonly rate: RateLimit;
  readonly authenticator: Authenticator;
  readonly pods: PodIndex;
  /** Pods of other clusters of the mesh, by cluster id. */
  readonly remotePods?: (cluster: string) => PodIndex | undefined;
  /** Domain of the outside signers that callers may choose among; empty leaves them no choice. */
  readonly signerDomain?: string;
  readonly trustedNodeAccounts: ReadonlySet<string>;
  readonly defaultTtlMs: number;
  readonly maxTtlMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: IstiodMetrics;
}

/** A refusal: what the caller is told, and what the log says beyond that. */
class Refusal extends AmbitError {
  readonly status: Code;
  constructor(code: string, status: Code, message: string, cause?: unknown) {
    super(code, message, cause === undefined ? {} : { cause });
    this.status = status;
  }
}

export class CertificateService {
  readonly definition = grpcService(IstioCertificateService);
  readonly implementation: Record<string, UntypedHandleCall>;
  readonly #options: CertificateServiceOptions;

  constructor(options: CertificateServiceOptions) {
    this.#options = options;
    this.implementation = {
      createCertificate: (
        call: ServerUnaryCall<IstioCertificateRequest, Partial<IstioCertificateResponse>>,
        done: sendUnaryData<Partial<IstioCertificateResponse>>,
      ) => {
        const certificate = call.getAuthContext().sslPeerCertificate?.raw;
        this.#answer(call.request, credentialsOf(call.metadata, certificate, call.getPeer()), call.getPeer()).then(
          (certChain) => done(null, { certChain }),
          (error: unknown) =>
            done({
              code: error instanceof Refusal ? error.status : Code.INTERNAL,
              details: error instanceof Refusal ? error.message : 'the certificate could not be made',
            }),
        );
      },
    };
  }

  async #answer(request: IstioCertificateRequest, shown: Credentials, remote: string): Promise<string[]> {
    const { log, metrics } = this.#options;
    const wanted = impersonatedIdentity(request);
    metrics.csrCount.inc();
    let caller: Caller | undefined;
    try {
      caller = await this.#authenticate(shown);
      this.#limit(caller);
      const identity = this.#authorize(caller, wanted);
      return await this.#sign(request, caller, identity, remote);
    } catch (error) {
      log.warn('certificate refused', {
        code: error instanceof AmbitError ? error.code : 'INTERNAL',
        caller: caller?.identity.uri ?? 'unknown',
        claims: caller === undefined ? claimedSubject(shown.authorization) : undefined,
        pod: caller?.pod?.name,
        identity: wanted ?? caller?.identity.uri ?? 'unknown',
        remote,
        reason: describeError(error),
      });
      throw error;
    }
  }

  async #authenticate(shown: Credentials): Promise<Caller> {
    const { authenticator, metrics } = this.#options;
    const result = await authenticator.authenticate(shown);
    if (result.kind === 'known') return result.caller;
    metrics.authenticationFailures.inc();
    const cause = new Error(result.reason);
    if (result.kind === 'unavailable') {
      throw new Refusal('CA_AUTH_UNAVAILABLE', Code.UNAVAILABLE, 'the caller cannot be authenticated now', cause);
    }
    throw new Refusal('CA_UNAUTHENTICATED', Code.UNAUTHENTICATED, 'request authenticate failure', cause);
  }

  #limit(caller: Caller): void {
    if (this.#options.rate.allow(caller.pod?.uid ?? caller.identity.uri)) return;
    throw new Refusal('CA_RATE', Code.RESOURCE_EXHAUSTED, 'too many certificates are asked for: try again later');
  }

  #authorize(caller: Caller, wanted: string | undefined): Identity {
    if (wanted === undefined) return caller.identity;
    const { metrics, remotePods, trustedNodeAccounts } = this.#options;
    // A node proxy of another cluster speaks for that cluster's pods, and for no other's.
    const pods = caller.cluster === undefined ? this.#options.pods : (remotePods?.(caller.cluster) ?? new PodIndex());
    const verdict = judgeImpersonation(caller, wanted, trustedNodeAccounts, pods);
    if (verdict.ok) return verdict.identity;
    metrics.authenticationFailures.inc();
    throw new Refusal(
      'CA_IMPERSONATION_DENIED',
      Code.UNAUTHENTICATED,
      'request impersonation authentication failure',
      new Error(`${verdict.check}: ${verdict.reason}`),
    );
  }

  /** A caller may name one of the signers of a domain that its operator has set. */
  #signerFor({ metadata }: IstioCertificateRequest): { readonly signerName?: string } {
    const { signerDomain = '' } = this.#options;
    const name = metadata?.[CERT_SIGNER];
    if (signerDomain === '' || typeof name !== 'string' || name === '') return {};
    return { signerName: `${signerDomain}/${name}` };
  }

  async #sign(request: IstioCertificateRequest, caller: Caller, identity: Identity, remote: string): Promise<string[]> {
    const { clock, defaultTtlMs, log, maxTtlMs, metrics, signer } = this.#options;
    const asked = Number(request.validityDuration) * 1000;
    const ttlMs = asked <= 0 ? defaultTtlMs : asked;
    if (ttlMs > maxTtlMs) {
      metrics.csrSignErrors.inc({ error: 'TTL_ERROR' });
      const seconds = Math.floor(maxTtlMs / 1000);
      throw new Refusal('CA_TTL', Code.INVALID_ARGUMENT, `${ttlMs / 1000} s asked for, at most ${seconds} s are given`);
    }
    const csr = await checkCsr(request.csr);
    if (!csr.ok) {
      metrics.csrParsingErrors.inc();
      throw new Refusal('CA_CSR', Code.INVALID_ARGUMENT, csr.problems.map(formatProblem).join('; '));
    }
    const { hasCommonName, publicKey, uris: csrUris } = csr.value;
    const { uri } = identity;
    let chain: string[];
    try {
      const names = { uris: [uri], commonName: hasCommonName ? uri : undefined };
      const common = { publicKey, ...names, ttlMs, csrPem: request.csr, csrUris };
      chain = await signer.sign({ ...common, ...this.#signerFor(request) }, clock.now());
    } catch (cause) {
      metrics.csrSignErrors.inc({ error: 'CERT_GEN_ERROR' });
      throw new Refusal('CA_SIGN', Code.INTERNAL, 'the certificate could not be signed', cause);
    }
    const leaf = new X509Certificate(chain[0] ?? '');
    metrics.certificatesIssued.inc();
    log.info('certificate issued', {
      identity: uri,
      caller: caller.identity.uri,
      pod: caller.pod?.name,
      serial: leaf.serialNumber,
      notAfter: new Date(leaf.validTo).toISOString(),
      remote,
    });
    return chain;
  }
}

/** The identity a node proxy asks for, or undefined when the caller asks for its own. */
function impersonatedIdentity(request: IstioCertificateRequest): string | undefined {
  const value = request.metadata?.[IMPERSONATED];
  if (value === undefined || value === null || value === '') return undefined;
  return typeof value === 'string' ? value : JSON.stringify(value);
}
