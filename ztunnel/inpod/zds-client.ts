// SPDX-License-Identifier: Apache-2.0
// The node agent's side of enrolment (ZDS): connects to its socket, says hello, then answers one request at a time with one ack.
// A request and what becomes of it is the handler's; this file moves messages and descriptors and reconnects.
//
//   disconnected --connect, hello--> connected --end or bad message--> disconnected
import { Backoff } from '#lib/kit/backoff.ts';
import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import { Arena } from '#lib/linux/arena.ts';
import { close } from '#lib/linux/calls.ts';
import { EAGAIN, EINTR } from '#lib/linux/errno.ts';
import { received, receiveMessage, sendMessage } from '#lib/linux/message.ts';
import { unixConnect } from '#lib/linux/unix.ts';
import type { FdWatch, Watcher } from '#lib/loop/fd-watch.ts';
import type { WorkloadRequest } from '#lib/proto/gen/zds_pb.ts';
import { decodeRequest, encodeAck, encodeHello, MAX_MESSAGE_BYTES } from './zds-codec.ts';

export interface ZdsHandler {
  /** A connection begins: what was announced on the last one is no longer known to be complete. */
  onConnected(): void;
  /**
   * One request. `fd` is the namespace of an add, the handler's to close. Resolves with '' or the reason of failure;
   * throws when the agent broke the protocol, which is fatal.
   */
  onRequest(request: WorkloadRequest, fd: number | undefined): Promise<string>;
  onDisconnected(reason: string): void;
  /** The agent broke the protocol: neither side knows what the other holds, so the process must start anew. */
  onFatal(reason: string): void;
}

export interface ZdsClientOptions {
  readonly path: string;
  readonly watch: FdWatch;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly handler: ZdsHandler;
}

export class ZdsClient {
  readonly #options: ZdsClientOptions;
  readonly #stop = new AbortController();
  #done: Promise<void> = Promise.resolve();
  #lastReason = '';

  constructor(options: ZdsClientOptions) {
    this.#options = options;
  }

  start(): void {
    this.#done = this.#run();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  async #run(): Promise<void> {
    const { clock, random, log, path } = this.#options;
    const { signal } = this.#stop;
    const backoff = new Backoff({ initialMs: 20, maxMs: 15_000, jitter: 0.2, random });
    while (!signal.aborted) {
      try {
        const connection = new ZdsConnection(unixConnect(path), this.#options, signal);
        const reason = await connection.serve();
        backoff.reset();
        this.#lastReason = '';
        if (signal.aborted) return;
        log.warn('the node agent is gone; captured pods stay captured', { path, reason });
        this.#options.handler.onDisconnected(reason);
      } catch (error) {
        const reason = describeError(error);
        log[reason === this.#lastReason ? 'debug' : 'warn']('no connection to the node agent', { path, reason });
        this.#lastReason = reason;
      }
      await clock.sleep(backoff.next(), signal).catch(() => undefined);
    }
  }
}

class ZdsConnection implements Watcher {
  readonly fd: number;
  readonly #options: ZdsClientOptions;
  readonly #arena = arena;
  readonly #ended = Promise.withResolvers<string>();
  readonly #stop: () => void;
  readonly #signal: AbortSignal;
  #busy = false;
  #over = false;

  constructor(fd: number, options: ZdsClientOptions, signal: AbortSignal) {
    this.fd = fd;
    this.#options = options;
    this.#signal = signal;
    this.#stop = () => this.#end('stopping');
    signal.addEventListener('abort', this.#stop, { once: true });
  }

  /** Until the connection ends; resolves with the reason. */
  async serve(): Promise<string> {
    const { watch, handler, log, path } = this.#options;
    this.#send(encodeHello());
    handler.onConnected();
    log.info('connected to the node agent', { path });
    watch.add(this);
    return this.#ended.promise;
  }

  wantsWrite(): boolean {
    return false;
  }

  onFdReady(): void {
    // Strict lock-step: the next request is read when this one is answered.
    if (this.#busy || this.#over) return;
    const n = receiveMessage(this.fd, this.#arena, 0, MAX_MESSAGE_BYTES);
    const { fds, truncated, controlTruncated } = received;
    if (n === -EAGAIN || n === -EINTR) return;
    if (n <= 0) {
      this.#end(n === 0 ? 'the node agent closed the connection' : `receive failed with errno ${-n}`);
      return;
    }
    const request = truncated || controlTruncated ? undefined : decodeRequest(this.#arena.bytes.subarray(0, n));
    const wanted = request?.payload.case === 'add' ? 1 : 0;
    if (request === undefined || fds.length !== wanted) {
      for (const fd of fds) close(fd);
      const what = request === undefined ? 'undecodable or oversized' : `${fds.length} descriptors, expected ${wanted}`;
      this.#ack(`failure to read message : ${what}`);
      this.#end(`bad message: ${what}`);
      return;
    }
    this.#busy = true;
    this.#options.handler.onRequest(request, fds[0]).then(
      (reason) => this.#answered(reason),
      (error: unknown) => {
        const reason = `failure to process message : ${describeError(error)}`;
        this.#ack(reason);
        this.#end(reason);
        this.#options.handler.onFatal(reason);
      },
    );
  }

  #answered(reason: string): void {
    if (this.#over) return;
    this.#busy = false;
    this.#ack(reason);
    this.#options.watch.schedule();
  }

  #ack(error: string): void {
    this.#send(encodeAck(error));
  }

  #send(bytes: Uint8Array): void {
    if (this.#over) return;
    this.#arena.bytes.set(bytes, MAX_MESSAGE_BYTES);
    const n = sendMessage(this.fd, this.#arena, MAX_MESSAGE_BYTES, bytes.length);
    if (n !== bytes.length) this.#end(`send failed with errno ${-n}`);
  }

  #end(reason: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#signal.removeEventListener('abort', this.#stop);
    this.#options.watch.remove(this);
    close(this.fd);
    this.#ended.resolve(reason);
  }
}

// One connection at a time, and neither message outlives its call.
const arena = Arena.allocate(2 * MAX_MESSAGE_BYTES);
