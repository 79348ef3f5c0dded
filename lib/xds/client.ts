// SPDX-License-Identifier: Apache-2.0
// The delta ADS client: dials, sends what client-state.ts says, and dials again when the stream ends. While it is
// disconnected the handlers are simply not called, so whatever they hold stays in force.

import { isIP, type Socket } from 'node:net';
import { checkServerIdentity } from 'node:tls';
import { create } from '@bufbuild/protobuf';
import {
  type ChannelCredentials,
  type ChannelOptions,
  Client,
  type ClientDuplexStream,
  status as Code,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import {
  AggregatedDiscoveryService,
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  type Node,
} from '#lib/proto/gen/discovery_pb.ts';
import { grpcService } from '#lib/proto/grpc.ts';
import { DeltaClientState, type Outcome, type Subscription } from './client-state.ts';
import { lively } from './lively.ts';
import { announcedPulse, listenFor } from './pulse.ts';
import { type Ending, ReconnectPolicy } from './reconnect.ts';

/** A first snapshot is megabytes: with HTTP/2's 64 KiB it would stop and ask for more a hundred times. */
const WINDOW_BYTES = 4 * 1024 * 1024;
export const MAX_MESSAGE_BYTES = 200 * 1024 * 1024;
const CONNECT_TIMEOUT_MS = 5_000;
const PING_EVERY_MS = 30_000;
const PING_TIMEOUT_MS = 10_000;

/** How to reach the server. Both functions are asked again for every attempt, so that rotated files are used. */
export interface Endpoint {
  /** `host:port`. */
  readonly target: string;
  /** PEM of the authorities that may sign the server's certificate; undefined means plaintext. */
  readonly rootCertificates?: () => Promise<Buffer | undefined>;
  /** Sent with each stream: authorization, clusterid and the like. */
  readonly headers: () => Promise<Readonly<Record<string, string>>>;
  /** One more name the server's certificate may carry. */
  readonly alternativeName?: string | undefined;
}

export interface DeltaClientOptions {
  readonly endpoint: Endpoint;
  readonly node: Node;
  readonly subscriptions: readonly Subscription[];
  readonly clock: Clock;
  readonly log: Logger;
  /** Called after each response. */
  readonly onOutcome?: (outcome: Outcome) => void;
  /** Called when a stream is established (its first response is in) and when it has ended. */
  readonly onConnected?: (connected: boolean) => void;
}

type Stream = ClientDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>;

const METHOD = grpcService(AggregatedDiscoveryService).deltaAggregatedResources;

export class DeltaClient {
  readonly #options: DeltaClientOptions;
  readonly #state: DeltaClientState;
  readonly #policy = new ReconnectPolicy();
  readonly #synced = Promise.withResolvers<void>();
  /** The last word about itself, by type. */
  readonly #reports = new Map<string, DeltaDiscoveryRequest>();
  #stop: AbortController | undefined;
  #stream: Stream | undefined;
  /** How often the server pinged that was last spoken to, ms; undefined of one that did not say. */
  #pulse: number | undefined;
  #done: Promise<void> = Promise.resolve();

  constructor(options: DeltaClientOptions) {
    this.#options = options;
    this.#state = new DeltaClientState(options.node, options.subscriptions);
  }

  start(): void {
    if (this.#stop !== undefined) return;
    this.#stop = new AbortController();
    this.#done = this.#run(this.#stop.signal);
  }

  async stop(): Promise<void> {
    this.#stop?.abort();
    this.#stream?.cancel();
    await this.#done;
  }

  /** Resolves once every wildcard type has had an accepted response. */
  whenSynced(): Promise<void> {
    return this.#synced.promise;
  }

  get connected(): boolean {
    return this.#stream !== undefined;
  }

  /** Asks for names of an on-demand type; they are remembered while disconnected. */
  want(typeUrl: string, names: readonly string[]): void {
    const request = this.#state.want(typeUrl, names);
    if (request !== undefined) this.#stream?.write(request);
  }

  /** Tells the server of this client's own state, now and on each later stream. @param error what is wrong, if anything is */
  report(typeUrl: string, error: string | undefined): void {
    const request = create(DeltaDiscoveryRequestSchema, {
      typeUrl,
      ...(error !== undefined && { errorDetail: { code: Code.UNKNOWN, message: error } }),
    });
    this.#reports.set(typeUrl, request);
    this.#stream?.write(request);
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, endpoint, log, onConnected } = this.#options;
    let lastReason = '';
    while (!signal.aborted) {
      let receivedAny = false;
      const ending = await this.#attempt(signal, () => {
        if (receivedAny) return;
        receivedAny = true;
        this.#policy.established();
        log.info('connected to the control plane', { server: endpoint.target });
        onConnected?.(true);
      });
      if (signal.aborted) return;
      const waitMs = this.#policy.waitMs(ending, receivedAny);
      const reason = ending.kind === 'clean' ? 'the server ended the stream' : ending.message;
      // One line for each new reason, not for each attempt.
      const level = receivedAny || reason !== lastReason ? 'warn' : 'debug';
      lastReason = reason;
      log[level]('no connection to the control plane; what is known stays in force', {
        server: endpoint.target,
        reason,
        retryMs: waitMs,
      });
      if (receivedAny) onConnected?.(false);
      if (waitMs > 0) await clock.sleep(waitMs, signal).catch(() => undefined);
    }
  }

  /** One channel, one stream, until it ends. */
  async #attempt(signal: AbortSignal, onResponse: () => void): Promise<Ending> {
    const { endpoint } = this.#options;
    let client: Client | undefined;
    let socket: Socket | undefined;
    const onDialled = (dialled: Socket): void => {
      socket = dialled;
    };
    try {
      client = new Client(endpoint.target, await channelCredentials(endpoint, onDialled), channelOptions(endpoint));
      const headers = new Metadata();
      for (const [name, value] of Object.entries(await endpoint.headers())) headers.set(name, value);
      if (signal.aborted) return { kind: 'clean' };
      return await this.#converse(client, headers, { onResponse, socket: () => socket });
    } catch (error) {
      return { kind: 'no-connection', message: describeError(error) };
    } finally {
      this.#stream = undefined;
      client?.close();
    }
  }

  #converse(
    client: Client,
    headers: Metadata,
    { onResponse, socket }: { readonly onResponse: () => void; readonly socket: () => Socket | undefined },
  ): Promise<Ending> {
    const { clock } = this.#options;
    const stream: Stream = client.makeBidiStreamRequest(
      METHOD.path,
      METHOD.requestSerialize,
      METHOD.responseDeserialize,
      headers,
    );
    this.#stream = stream;
    for (const request of [...this.#state.open(), ...this.#reports.values()]) stream.write(request);
    let stopListening = (): void => {};
    const ending = new Promise<Ending>((resolve) => {
      const listen = (everyMs: number | undefined): void => {
        stopListening();
        const dialled = socket();
        if (everyMs === undefined || dialled === undefined) return;
        stopListening = listenFor(dialled, everyMs, clock, () => {
          resolve({ kind: 'silence', message: 'the server has not been heard any more' });
          stream.cancel();
          // What still waits to be sent would keep it.
          dialled.destroy();
        });
      };
      // A refused connection fails the call at once and with its reason; silence has to be cut short.
      client.waitForReady(Date.now() + CONNECT_TIMEOUT_MS, (error) => {
        if (error === undefined || error === null) {
          // Until its headers say otherwise it is taken for the server that it was.
          if (this.#pulse !== undefined) listen(this.#pulse);
          this.#pulse = undefined;
          return;
        }
        resolve({ kind: 'no-connection', message: `no answer within ${CONNECT_TIMEOUT_MS} ms` });
        stream.cancel();
      });
      stream.on('metadata', (answered: Metadata) => {
        this.#pulse = announcedPulse(answered);
        listen(this.#pulse);
      });
      stream.on('data', (response: DeltaDiscoveryResponse) => {
        this.#onResponse(stream, response);
        onResponse();
      });
      stream.on('error', ({ code, details }: ServiceError) => {
        const connecting = code === Code.UNAVAILABLE && /^(No connection|Name resolution)/.test(details);
        if (connecting) resolve({ kind: 'no-connection', message: details.replace(/ Resolution note: $/, '') });
        else resolve({ kind: 'status', code, message: `${Code[code]}: ${details}` });
      });
      stream.on('end', () => {
        // An error, when there is one, follows; without one this was a clean end.
        stream.end();
        setImmediate(() => resolve({ kind: 'clean' }));
      });
    });
    return ending.finally(() => stopListening());
  }

  #onResponse(stream: Stream, response: DeltaDiscoveryResponse): void {
    const { log, onOutcome } = this.#options;
    const outcome = this.#state.receive(response);
    stream.write(outcome.reply);
    if (!outcome.known) log.warn('the control plane sent a type nobody asked for', { type: outcome.typeUrl });
    for (const { name, reason } of outcome.rejected) log.warn('rejected a resource', { name, reason });
    onOutcome?.(outcome);
    if (this.#state.synced) this.#synced.resolve();
  }
}

/** Channel credentials as the mesh's clients use them: the server is verified, no client certificate is shown. */
export async function channelCredentials(
  endpoint: Pick<Endpoint, 'target' | 'rootCertificates' | 'alternativeName'>,
  onDialled?: (socket: Socket) => void,
): Promise<ChannelCredentials> {
  if (endpoint.rootCertificates === undefined) return lively(credentials.createInsecure(), onDialled);
  const roots = await endpoint.rootCertificates();
  const other = endpoint.alternativeName;
  const secure = credentials.createSsl(roots ?? null, null, null, {
    checkServerIdentity: (name, certificate) => {
      const host = addressIn(endpoint.target) ?? name;
      const error = checkServerIdentity(host, certificate);
      if (error === undefined || other === undefined || other === '') return error;
      return checkServerIdentity(other, certificate);
    },
  });
  return lively(secure, onDialled);
}

/** The host of a target that is an address, not a name. */
function addressIn(target: string): string | undefined {
  const host = target.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
  return isIP(host) === 0 ? undefined : host;
}

/** Limits and keepalive of the mesh's gRPC clients. */
export function channelOptions({
  alternativeName,
  target,
}: Pick<Endpoint, 'target' | 'alternativeName'>): ChannelOptions {
  return {
    // TLS has no server name for an address (RFC 6066, section 3), and Node refuses one; the certificate is checked
    // against the address itself.
    ...(addressIn(target) !== undefined && { 'grpc.ssl_target_name_override': alternativeName || 'control-plane' }),
    'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
    'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
    'grpc-node.flow_control_window': WINDOW_BYTES,
    'grpc.keepalive_time_ms': PING_EVERY_MS,
    'grpc.keepalive_timeout_ms': PING_TIMEOUT_MS,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 1_000,
    // Unless told it asks each 30 s: so long a name would lead to a server that has gone.
    'grpc.dns_min_time_between_resolutions_ms': 1_000,
    // A channel of ours shares no connection with another, so that a rotated root certificate is really used.
    'grpc.use_local_subchannel_pool': 1,
  };
}
