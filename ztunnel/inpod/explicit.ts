// SPDX-License-Identifier: Apache-2.0
// A connection from an application of the pod that knows of the proxy and says itself where it wants to go, by SOCKS5 or HTTP CONNECT. From
// there on it is an outbound connection like any other. Success is told before the destination is dialled, as Istio's proxy does: what
// fails later shows as a reset.
import { Arena } from '#lib/linux/arena.ts';
import type { TimerId, TimerTarget } from '#lib/loop/timer-wheel.ts';
import { type Ip, parseIp } from '#lib/mesh/ip.ts';
import { BROKEN, NOTHING_YET, type Socket, type SocketOwner } from '#lib/net/socket.ts';
import type { NameWait } from '#lib/proxy/dns/name-resolver.ts';
import { ExplicitHandshake, type ExplicitStep, type ExplicitTarget } from '#lib/wire/explicit-proxy.ts';
import { answerQuestion, type DnsOptions } from '../dns/answer.ts';
import { OutboundConnection } from '../outbound/connection.ts';
import type { LiveConnection, Pod } from './pod.ts';

/** How long a client may take to say where it wants to go. */
const HANDSHAKE_MS = 10_000;
/** More than a client's longest part and our longest reply. */
const ARENA_BYTES = 1024;

const arena = Arena.allocate(ARENA_BYTES);

export class ExplicitConnection implements SocketOwner, LiveConnection, TimerTarget {
  place = -1;
  readonly #pod: Pod;
  readonly #socket: Socket;
  readonly #source: { readonly ip: Ip; readonly port: number };
  readonly #handshake = new ExplicitHandshake();
  readonly #dns: DnsOptions;
  #step: ExplicitStep = this.#handshake.begin();
  #timer: TimerId;
  #wait: NameWait | null = null;
  #over = false;

  constructor(pod: Pod, socket: Socket, source: { readonly ip: Ip; readonly port: number }, dns: DnsOptions) {
    this.#pod = pod;
    this.#socket = socket;
    this.#source = source;
    this.#dns = dns;
    this.#timer = pod.runtime.loop.after(HANDSHAKE_MS, this);
    pod.add(this);
    pod.runtime.telemetry.socket('outbound', 1);
  }

  begin(): void {
    if (this.#socket.readable) this.onSocket(this.#socket);
  }

  onSocket(socket: Socket): void {
    if (this.#wait !== null && socket.ending && socket.broken()) this.kill('connection reset by the client');
    while (!this.#over && this.#step.kind === 'more' && socket.readable) {
      const n = socket.receive(arena, 0, Math.min(this.#step.need, ARENA_BYTES));
      if (n === NOTHING_YET) return;
      if (n === BROKEN || n === 0) {
        this.kill('the client ended before it said where to go');
        return;
      }
      this.#step = this.#handshake.receive(arena.bytes.subarray(0, n));
      this.#take(this.#step);
    }
  }

  onTimer(): void {
    this.#timer = 0;
    this.kill('the client did not say in time where to go');
  }

  kill(error: string): void {
    if (this.#over) return;
    this.#leave();
    this.#socket.abort();
    const { admission, telemetry } = this.#pod.runtime;
    telemetry.socket('outbound', -1);
    admission.leave();
    telemetry.earlyDeny('outbound', this.#source.ip.withPort(this.#source.port), 'unknown', error);
  }

  info(): null {
    return null;
  }

  #take(step: ExplicitStep): void {
    if (step.reply !== undefined && !this.#say(step.reply)) {
      this.kill('the client does not read');
      return;
    }
    if (step.kind === 'refused') this.#refuse(step.reason);
    else if (step.kind === 'target') this.#find(step.target);
  }

  /** A reply is smaller than any socket's buffer: what does not go at once is not waited for. */
  #say(reply: Buffer): boolean {
    arena.bytes.set(reply);
    return this.#socket.send(arena, 0, reply.length) === reply.length;
  }

  #refuse(reason: string): void {
    // The reply is to arrive, so this is a FIN and no reset.
    this.#socket.finish();
    this.kill(reason);
  }

  #find({ host, isName, port }: ExplicitTarget): void {
    if (!isName) {
      this.#go(parseIp(host)!, port);
      return;
    }
    const { mesh, names, random } = this.#pod.runtime;
    const client = this.#pod.local()?.workload;
    for (const type of client === undefined ? [] : (['A', 'AAAA'] as const)) {
      const answer = answerQuestion(mesh, { name: host, type, client: client! }, this.#dns, random);
      if (answer.kind === 'forward' || answer.addresses.length === 0) continue;
      this.#go(answer.addresses[0]!, port);
      return;
    }
    this.#wait = names.lookup(host, 4, {
      onAddress: (ip) => this.#go(ip, port),
      onNoAddress: (reason) => this.kill(reason),
    });
  }

  #go(ip: Ip, port: number): void {
    if (this.#over) return;
    this.#leave();
    this.#pod.runtime.telemetry.socket('outbound', -1);
    const connection = new OutboundConnection(this.#pod, this.#socket, this.#sourceFor(ip), ip, port);
    this.#socket.owner = connection;
    connection.begin();
    if (!this.#socket.closed) connection.onSocket(this.#socket);
  }

  /** The client is on loopback: for others it is the pod. */
  #sourceFor({ family }: Ip): { readonly ip: Ip; readonly port: number } {
    const own = this.#pod.local()?.workload.addresses.find((ip) => ip.family === family);
    return own === undefined ? this.#source : { ip: own, port: this.#source.port };
  }

  #leave(): void {
    this.#over = true;
    this.#wait?.cancel();
    this.#wait = null;
    if (this.#timer !== 0) this.#pod.runtime.loop.cancel(this.#timer);
    this.#timer = 0;
    this.#pod.delete(this);
  }
}
