// SPDX-License-Identifier: Apache-2.0
// Questions that are not the mesh's to answer, passed on to the proxy's own resolvers, from inside the pod's namespace where the
// proxy serves a pod. Each goes out from a socket of its own (a fresh port) under a number of its own, so a forged reply has to guess both. The message is passed
// on untouched; a reply that was cut is asked for again by TCP when the client can take it.
import { randomInt } from 'node:crypto';
import { Endpoint } from '#lib/linux/address.ts';
import { Arena } from '#lib/linux/arena.ts';
import { close as closeFd, send } from '#lib/linux/calls.ts';
import { tcpDial, udpBind, udpConnect } from '#lib/linux/socket.ts';
import type { Loop } from '#lib/loop/loop.ts';
import type { TimerId, TimerTarget } from '#lib/loop/timer-wheel.ts';
import { NOTHING_YET, Socket, type SocketOwner } from '#lib/net/socket.ts';
import { type DnsQuery, isReplyTo, isTruncated, withId } from '#lib/wire/dns.ts';
import { MAX_TRIES, resolverOfTry } from './resolvers.ts';

/** Questions of one pod under way. */
const MAX_OPEN = 512;
const TCP_PREFIX = 2;

const arena = Arena.allocate(68 * 1024);

export interface ForwarderOptions {
  readonly loop: Loop;
  readonly netns: number | undefined;
  readonly mark: number;
  readonly servers: readonly Endpoint[];
  /** Until the next resolver is asked. */
  readonly tryMs: number;
  /** A question needed more than one datagram to one resolver, or could not be asked at all. */
  readonly onFallback?: (how: Fallback) => void;
}

/** The next resolver was asked; the reply was too long for a datagram; too many questions were under way. */
export type Fallback = 'resolver' | 'tcp' | 'overload';

/** `reply` carries the client's number; undefined: nobody answered. */
export type ForwardDone = (reply: Buffer | undefined) => void;

export class DnsForwarder {
  readonly options: ForwarderOptions;
  readonly #open = new Set<Forward>();

  constructor(options: ForwarderOptions) {
    this.options = options;
  }

  /** Asks on. `whole`: the client came by TCP and takes replies of any length. */
  ask(message: Buffer, query: DnsQuery, whole: boolean, done: ForwardDone): void {
    if (this.#open.size >= MAX_OPEN || this.options.servers.length === 0) {
      if (this.options.servers.length > 0) this.options.onFallback?.('overload');
      done(undefined);
      return;
    }
    const forward: Forward = new Forward(this.options, message, query, whole, (reply) => {
      this.#open.delete(forward);
      done(reply);
    });
    this.#open.add(forward);
    forward.next();
  }

  close(): void {
    for (const forward of [...this.#open]) forward.cancel();
    this.#open.clear();
  }
}

class Forward implements SocketOwner, TimerTarget {
  readonly #options: ForwarderOptions;
  readonly #message: Buffer;
  readonly #query: DnsQuery;
  readonly #whole: boolean;
  readonly #done: ForwardDone;
  readonly #id = randomInt(0x10000);
  #tries = 0;
  #byTcp = false;
  #asked = false;
  #socket: Socket | null = null;
  #held: Buffer = Buffer.alloc(0);
  #timer: TimerId = 0;
  #over = false;
  #server: Endpoint | null = null;

  constructor(options: ForwarderOptions, message: Buffer, query: DnsQuery, whole: boolean, done: ForwardDone) {
    this.#options = options;
    this.#message = Buffer.from(message);
    this.#query = query;
    this.#whole = whole;
    this.#done = done;
  }

  next(): void {
    this.#drop();
    if (this.#tries === MAX_TRIES) {
      this.#finish(undefined);
      return;
    }
    const { onFallback, servers } = this.#options;
    if (this.#tries > 0) onFallback?.('resolver');
    const server = resolverOfTry(servers, this.#tries++)!;
    this.#byTcp = false;
    this.#begin(this.#openUdp(server), server);
  }

  onSocket(socket: Socket): void {
    if (!this.#asked && socket.writable) this.#send(socket);
    while (socket.readable && !this.#over && this.#socket === socket) {
      const n = socket.receive(arena, 0, arena.size);
      if (n === NOTHING_YET) return;
      if (n <= 0) {
        this.next();
        return;
      }
      this.#received(Buffer.from(arena.bytes.subarray(0, n)));
      // A datagram socket has no short reads that mean drained.
      if (!this.#byTcp) socket.readable = true;
    }
  }

  onTimer(): void {
    this.#timer = 0;
    this.next();
  }

  cancel(): void {
    this.#over = true;
    this.#drop();
  }

  #begin(fd: number, server: Endpoint): void {
    if (fd < 0) {
      this.next();
      return;
    }
    this.#timer = this.#options.loop.after(this.#options.tryMs, this);
    this.#asked = false;
    this.#held = Buffer.alloc(0);
    this.#socket = new Socket(this.#options.loop, fd, this);
    this.#server = server;
  }

  #openUdp(server: Endpoint): number {
    const { netns, mark } = this.#options;
    const any = Endpoint.parse(server.isV4 ? '0.0.0.0' : '::', 0)!;
    try {
      const fd = udpBind(any, { netns, mark });
      if (udpConnect(fd, server) === 0) return fd;
      closeFd(fd);
    } catch {
      // No such family in this namespace: the next resolver may be of another.
    }
    return -1;
  }

  #send(socket: Socket): void {
    this.#asked = true;
    const prefix = this.#byTcp ? TCP_PREFIX : 0;
    if (this.#byTcp) arena.bytes.writeUInt16BE(this.#message.length, 0);
    withId(this.#message, this.#id).copy(arena.bytes, prefix);
    send(socket.fd, arena, 0, prefix + this.#message.length);
  }

  #received(bytes: Buffer): void {
    let reply = bytes;
    if (this.#byTcp) {
      this.#held = Buffer.concat([this.#held, bytes]);
      if (this.#held.length < TCP_PREFIX || this.#held.length < TCP_PREFIX + this.#held.readUInt16BE(0)) return;
      reply = this.#held.subarray(TCP_PREFIX, TCP_PREFIX + this.#held.readUInt16BE(0));
    }
    if (!isReplyTo(reply, this.#id, this.#query)) return;
    if (!this.#byTcp && this.#whole && isTruncated(reply) && this.#server !== null) {
      const server = this.#server;
      this.#drop();
      this.#byTcp = true;
      const { mark, netns, onFallback } = this.#options;
      onFallback?.('tcp');
      this.#begin(tcpDial(server, { netns, mark, noDelay: true }), server);
      return;
    }
    this.#finish(withId(reply, this.#query.id));
  }

  #finish(reply: Buffer | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#drop();
    this.#done(reply);
  }

  #drop(): void {
    this.#socket?.close();
    this.#socket = null;
    if (this.#timer !== 0) this.#options.loop.cancel(this.#timer);
    this.#timer = 0;
  }
}

/** Where a resolver listens, from `ip`, `ip:port` or `[v6]:port`. */
export function resolverAt(text: string): Endpoint {
  const bracket = /^\[(.+)\]:(\d+)$/.exec(text);
  const plain = /^([\d.]+):(\d+)$/.exec(text);
  const [, ip = text, port = '53'] = bracket ?? plain ?? [];
  return Endpoint.parse(ip, Number(port)) ?? Endpoint.parse('127.0.0.1', 53)!;
}
