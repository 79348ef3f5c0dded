// SPDX-License-Identifier: Apache-2.0
// One node proxy on the ZDS socket: its hello, then our requests one at a time, each answered by one ack.
//
//   hello awaited ──hello──▶ idle ◀──ack── asked
//                             └──request──▶┘        any end, late ack or word out of turn ──▶ closed
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { Clock } from '#lib/kit/clock.ts';
import { AmbitError } from '#lib/kit/error.ts';
import { Arena } from '#lib/linux/arena.ts';
import { close } from '#lib/linux/calls.ts';
import { EAGAIN, EINTR, errnoName } from '#lib/linux/errno.ts';
import { received, receiveMessage, sendMessage } from '#lib/linux/message.ts';
import type { FdWatch, Watcher } from '#lib/loop/fd-watch.ts';
import {
  type WorkloadRequest,
  WorkloadRequestSchema,
  WorkloadResponseSchema,
  ZdsHelloSchema,
} from '#lib/proto/gen/zds_pb.ts';

/** Both ends read with this much room; a longer message is an error. */
const MAX_MESSAGE_BYTES = 1024;
const ANSWER_WITHIN_MS = 5000;

interface Question {
  readonly payload: WorkloadRequest['payload'];
  readonly fd: number | undefined;
  readonly answered: PromiseWithResolvers<void>;
}

export interface ZdsConnectionOptions {
  readonly watch: FdWatch;
  readonly clock: Clock;
  /** The proxy said hello; requests may be asked from now on. */
  readonly onHello: (connection: ZdsConnection) => void;
  readonly onClosed: (connection: ZdsConnection, reason: string) => void;
}

export class ZdsConnection implements Watcher {
  readonly fd: number;
  readonly #options: ZdsConnectionOptions;
  readonly #queue: Question[] = [];
  #asked: Question | undefined;
  #greeted = false;
  #closed = false;
  #cancelDeadline: () => void;

  /** Owns `fd`. */
  constructor(fd: number, options: ZdsConnectionOptions) {
    this.fd = fd;
    this.#options = options;
    this.#cancelDeadline = this.#deadline('no hello');
    options.watch.add(this);
  }

  /**
   * Asks and resolves with the ack. Rejects with ZDS_REFUSED when the proxy answers with an error, with ZDS_LOST when the
   * connection ends first. `fd` goes with the message and stays the caller's; it must stay open until this settles.
   */
  ask(payload: WorkloadRequest['payload'], fd?: number): Promise<void> {
    const answered = Promise.withResolvers<void>();
    if (this.#closed) answered.reject(lost('the connection is closed'));
    else {
      this.#queue.push({ payload, fd, answered });
      this.#next();
    }
    return answered.promise;
  }

  close(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelDeadline();
    this.#options.watch.remove(this);
    close(this.fd);
    for (const question of [...(this.#asked === undefined ? [] : [this.#asked]), ...this.#queue])
      question.answered.reject(lost(reason));
    this.#options.onClosed(this, reason);
  }

  wantsWrite(): boolean {
    return false;
  }

  onFdReady(): void {
    while (!this.#closed) {
      const n = receiveMessage(this.fd, arena, 0, MAX_MESSAGE_BYTES);
      for (const fd of received.fds) close(fd);
      if (n === -EAGAIN || n === -EINTR) return;
      if (n <= 0) {
        this.close(n === 0 ? 'the proxy closed it' : `receive: ${errnoName(-n)}`);
        return;
      }
      if (received.truncated || received.fds.length > 0) {
        this.close('a message too long, or with descriptors');
        return;
      }
      this.#take(arena.bytes.subarray(0, n));
    }
  }

  #take(bytes: Uint8Array): void {
    try {
      if (!this.#greeted) this.#greet(bytes);
      else this.#acknowledge(bytes);
    } catch {
      this.close('a message that cannot be read');
    }
  }

  #greet(bytes: Uint8Array): void {
    fromBinary(ZdsHelloSchema, bytes);
    this.#greeted = true;
    this.#cancelDeadline();
    this.#options.onHello(this);
    this.#next();
  }

  #acknowledge(bytes: Uint8Array): void {
    const { payload } = fromBinary(WorkloadResponseSchema, bytes);
    const question = this.#asked;
    if (payload.case !== 'ack' || question === undefined) {
      this.close('a message out of turn');
      return;
    }
    this.#asked = undefined;
    this.#cancelDeadline();
    const { error } = payload.value;
    if (error === '') question.answered.resolve();
    else
      question.answered.reject(
        new AmbitError('ZDS_REFUSED', `the node proxy refused: ${error}`, {
          advice: 'see the log of ztunnel on this node',
        }),
      );
    this.#next();
  }

  #next(): void {
    if (!this.#greeted || this.#asked !== undefined || this.#closed) return;
    const question = this.#queue.shift();
    if (question === undefined) return;
    const bytes = toBinary(WorkloadRequestSchema, create(WorkloadRequestSchema, { payload: question.payload }));
    arena.bytes.set(bytes, MAX_MESSAGE_BYTES);
    this.#asked = question;
    const n = sendMessage(
      this.fd,
      arena,
      MAX_MESSAGE_BYTES,
      bytes.length,
      question.fd === undefined ? [] : [question.fd],
    );
    if (n !== bytes.length) {
      this.close(`send: ${errnoName(-n)}`);
      return;
    }
    this.#cancelDeadline = this.#deadline('no ack');
  }

  /** An answer that comes later would be taken for the next one's: the connection ends instead. */
  #deadline(what: string): () => void {
    return this.#options.clock.after(ANSWER_WITHIN_MS, () => this.close(`${what} within ${ANSWER_WITHIN_MS} ms`));
  }
}

// Synchronous use only: nothing in it outlives the call that filled it.
const arena = Arena.allocate(2 * MAX_MESSAGE_BYTES);

function lost(reason: string): AmbitError {
  return new AmbitError('ZDS_LOST', `the node proxy went away: ${reason}`, {
    advice: 'it connects again by itself; the pod is retried',
  });
}
