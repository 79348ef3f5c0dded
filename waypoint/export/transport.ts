// SPDX-License-Identifier: Apache-2.0
// How a batch gets to its collector: one gRPC call, or one POST. What came of it is a value, whatever happens.
import { Agent, request } from 'node:http';
import { type Client, credentials, type ServiceError, status } from '@grpc/grpc-js';
import type { SendOutcome } from './batch-queue.ts';

export interface Place {
  /** Host name, which the collector may be called by. */
  readonly authority: string;
  /** Where it is now. */
  readonly host: string;
  readonly port: number;
}

const PLACELESS: SendOutcome = { kind: 'retry', reason: 'the mesh has no such service, or no healthy endpoint of it' };
/** gRPC statuses that OTLP calls worth another try. */
const RETRIABLE: readonly number[] = [
  status.CANCELLED,
  status.DEADLINE_EXCEEDED,
  status.RESOURCE_EXHAUSTED,
  status.ABORTED,
  status.OUT_OF_RANGE,
  status.UNAVAILABLE,
  status.DATA_LOSS,
];
const RETRIABLE_STATUSES: readonly number[] = [429, 502, 503, 504];

/** A unary call that is not made yet. */
export type UnaryCall = (
  client: Client,
  deadline: Date,
  done: (error: ServiceError | null, rejected: Rejected) => void,
) => void;

export interface Rejected {
  readonly count: number;
  readonly reason: string;
}

export const NONE_REJECTED: Rejected = { count: 0, reason: '' };

/** Makes clients for wherever the collector is; the last one is kept. */
export class GrpcTransport {
  readonly #place: () => Place | undefined;
  readonly #connect: (address: string, authority: string) => Client;
  readonly #timeoutMs: number;
  readonly #now: () => number;
  #client: Client | undefined;
  #address = '';

  constructor(
    place: () => Place | undefined,
    connect: (address: string, authority: string) => Client,
    timeoutMs: number,
    now: () => number,
  ) {
    this.#place = place;
    this.#connect = connect;
    this.#timeoutMs = timeoutMs;
    this.#now = now;
  }

  call(make: UnaryCall): Promise<SendOutcome> {
    const place = this.#place();
    if (place === undefined) return Promise.resolve(PLACELESS);
    const host = place.host.includes(':') ? `[${place.host}]` : place.host;
    const address = `${host}:${place.port}`;
    if (address !== this.#address) {
      this.#client?.close();
      this.#client = this.#connect(address, `${place.authority}:${place.port}`);
      this.#address = address;
    }
    return new Promise((resolve) => {
      make(this.#client!, new Date(this.#now() + this.#timeoutMs), (error, { count, reason }) => {
        if (error === null) resolve({ kind: 'taken', rejected: count, reason });
        else {
          // Another endpoint may be better.
          this.close();
          const kind = RETRIABLE.includes(error.code) ? 'retry' : 'refused';
          resolve({ kind, reason: `${address}: ${error.details || error.message}` });
        }
      });
    });
  }

  close(): void {
    this.#client?.close();
    this.#client = undefined;
    this.#address = '';
  }
}

/** Plain text: the collector is inside the mesh's network. */
export const INSECURE = credentials.createInsecure();

export class HttpTransport {
  readonly #place: () => Place | undefined;
  readonly #path: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #timeoutMs: number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  constructor(
    place: () => Place | undefined,
    path: string,
    headers: Readonly<Record<string, string>>,
    timeoutMs: number,
  ) {
    this.#place = place;
    this.#path = path;
    this.#headers = headers;
    this.#timeoutMs = timeoutMs;
  }

  /** @param rejectedOf reads the body of an answer that takes the batch */
  post(body: Uint8Array, rejectedOf: (answer: Buffer) => Rejected): Promise<SendOutcome> {
    const place = this.#place();
    if (place === undefined) return Promise.resolve(PLACELESS);
    const { authority, host, port } = place;
    const where = `${host}:${port}${this.#path}`;
    return new Promise((resolve) => {
      const sent = request({
        host,
        port,
        path: this.#path,
        method: 'POST',
        agent: this.#agent,
        timeout: this.#timeoutMs,
        headers: { host: `${authority}:${port}`, ...this.#headers, 'content-length': body.length },
      });
      sent.on('timeout', () => sent.destroy(new Error(`no answer in ${this.#timeoutMs} ms`)));
      sent.on('error', (error) => resolve({ kind: 'retry', reason: `${where}: ${error.message}` }));
      sent.on('response', (answer) => {
        const parts: Buffer[] = [];
        answer.on('data', (part: Buffer) => parts.push(part));
        answer.on('error', (error) => resolve({ kind: 'retry', reason: `${where}: ${error.message}` }));
        answer.on('end', () => {
          const code = answer.statusCode ?? 0;
          if (code >= 200 && code < 300) {
            const { count, reason } = rejectedOf(Buffer.concat(parts));
            resolve({ kind: 'taken', rejected: count, reason });
          } else if (RETRIABLE_STATUSES.includes(code)) resolve({ kind: 'retry', reason: `${where} answers ${code}` });
          else resolve({ kind: 'refused', reason: `${where} answers ${code}` });
        });
      });
      sent.end(body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}
