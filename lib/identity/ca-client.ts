// SPDX-License-Identifier: Apache-2.0
// Asks the mesh's certificate authority over gRPC, one fresh key for each request. The channel is made anew when the
// authority's own root changed; while that fails the old channel stays in use.
import { type ChannelCredentials, type ChannelOptions, Client, Metadata, type ServiceError } from '@grpc/grpc-js';
import { AmbitError } from '#lib/kit/error.ts';
import { formatProblem } from '#lib/kit/result.ts';
import { type IstioCertificateResponse, IstioCertificateService } from '#lib/proto/gen/ca_pb.ts';
import { grpcService } from '#lib/proto/grpc.ts';
import { assembleCertificate, type WorkloadCertificate } from './certificate.ts';
import { createCsr } from './csr.ts';
import { generateKey, keyToPem } from './key.ts';

export interface CaClientOptions {
  /** `host:port`. */
  readonly target: string;
  /** Asked for each new channel. */
  readonly credentials: () => Promise<ChannelCredentials>;
  /** Asked for each request: authorization, clusterid and the like. */
  readonly headers: () => Promise<Readonly<Record<string, string>>>;
  readonly channelOptions: ChannelOptions;
  readonly ttlMs: number;
  /** Ask for other identities than the caller's own, as a node proxy shared by many pods does. */
  readonly impersonate: boolean;
  readonly timeoutMs?: number;
}

const METHOD = grpcService(IstioCertificateService).createCertificate;
const DEFAULT_TIMEOUT_MS = 10_000;

export class CaClient implements Disposable {
  readonly #options: CaClientOptions;
  #client: Client | undefined;
  /** The next request makes a new channel. */
  #stale = false;

  constructor(options: CaClientOptions) {
    this.#options = options;
  }

  /** The authority's root changed: the next request makes a new channel. */
  rootChanged(): void {
    this.#stale = true;
  }

  /** One certificate. Rejects with CA_REFUSED, CA_UNREACHABLE or CA_ANSWER. */
  async issue(identity: string, signal?: AbortSignal): Promise<WorkloadCertificate> {
    const { ttlMs, impersonate } = this.#options;
    const keys = await generateKey();
    const request = {
      csr: await createCsr(identity, keys),
      validityDuration: BigInt(Math.floor(ttlMs / 1000)),
      ...(impersonate ? { metadata: { ImpersonatedIdentity: identity } } : {}),
    };
    const { certChain } = await this.#call(await this.#channel(), request, signal);
    const result = assembleCertificate(identity, await keyToPem(keys.privateKey), certChain, impersonate);
    if (!result.ok)
      throw new AmbitError('CA_ANSWER', `certificate authority: ${result.problems.map(formatProblem).join('; ')}`);
    return result.value;
  }

  close(): void {
    this.#client?.close();
    this.#client = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #channel(): Promise<Client> {
    const { target, credentials, channelOptions } = this.#options;
    if (this.#client !== undefined && !this.#stale) return this.#client;
    try {
      const fresh = new Client(target, await credentials(), channelOptions);
      this.#client?.close();
      this.#client = fresh;
      this.#stale = false;
    } catch (error) {
      if (this.#client === undefined) throw error;
    }
    return this.#client!;
  }

  async #call(
    client: Client,
    request: Parameters<typeof METHOD.requestSerialize>[0],
    signal: AbortSignal | undefined,
  ): Promise<IstioCertificateResponse> {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, target } = this.#options;
    const headers = new Metadata();
    for (const [name, value] of Object.entries(await this.#options.headers())) headers.set(name, value);
    signal?.throwIfAborted();
    return new Promise((resolve, reject) => {
      const call = client.makeUnaryRequest(
        METHOD.path,
        METHOD.requestSerialize,
        METHOD.responseDeserialize,
        request,
        headers,
        { deadline: Date.now() + timeoutMs },
        (error: ServiceError | null, answer?: IstioCertificateResponse) => {
          signal?.removeEventListener('abort', cancel);
          if (answer !== undefined) resolve(answer);
          else {
            // Silence may be the connection's: the next request gets one of its own.
            if (error?.code === 4) this.#stale = true;
            reject(explain(target, error));
          }
        },
      );
      const cancel = (): void => call.cancel();
      signal?.addEventListener('abort', cancel, { once: true });
    });
  }
}

function explain(target: string, error: ServiceError | null): AmbitError {
  const details = error?.details ?? 'no answer';
  // 4 DEADLINE_EXCEEDED, 14 UNAVAILABLE.
  const unreachable = error === null || error.code === 14 || error.code === 4;
  return unreachable
    ? new AmbitError('CA_UNREACHABLE', `certificate authority ${target}: ${details}`)
    : new AmbitError('CA_REFUSED', `certificate authority ${target} refused (code ${error.code}): ${details}`);
}
