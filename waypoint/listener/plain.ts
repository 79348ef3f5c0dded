// SPDX-License-Identifier: Apache-2.0
// Connections in clear to one of a gateway's listeners. Where clients of what is served speak first, nothing is made for one before it does.
import { Endpoint } from '#lib/linux/address.ts';
import { localAddress } from '#lib/linux/socket.ts';
import type { Ip } from '#lib/mesh/ip.ts';
import { FirstByte, type FirstByteOwner } from '#lib/net/first-byte.ts';
import { NOBODY } from '#lib/net/http/link.ts';
import { SocketLink } from '#lib/net/http/socket-link.ts';
import { STRANGER_US } from '#lib/net/input-turns.ts';
import { Socket } from '#lib/net/socket.ts';
import type { Door } from '../path/door.ts';
import { Origin } from '../path/origin.ts';
import type { Runtime } from '../worker/runtime.ts';
import type { Live } from './connections.ts';
import { protocolOf, serveLink } from './incoming.ts';
import type { ExchangeService } from './service.ts';
import { SILENCE_MS } from './sniffer.ts';

const SILENT = { onSocket: () => {} };

export class PlainListener {
  readonly runtime: Runtime;
  readonly #service: ExchangeService;
  readonly #door: Door;
  readonly #local = new Endpoint();

  constructor(runtime: Runtime, service: ExchangeService, door: Door) {
    this.runtime = runtime;
    this.#service = service;
    this.#door = door;
  }

  onConnection(fd: number, peer: Endpoint): void {
    const { ips, loop, telemetry } = this.runtime;
    const source = ips.of(peer);
    telemetry.connection(1);
    this.#door.refresh();
    if (protocolOf(this.#door) === 'http') new Caller(this, fd, source, peer.port);
    else this.serve(new Socket(loop, fd, SILENT), source, peer.port);
  }

  /** Serves a connection from there. */
  serve(socket: Socket, source: Ip, port: number): void {
    const { bench, ips, memory, mesh, settings } = this.runtime;
    if (localAddress(socket.fd, this.#local) < 0) {
      socket.close();
      this.left();
      return;
    }
    const destination = ips.of(this.#local);
    const workload = mesh.workloadByAddress(settings.network, source);
    const origin = new Origin(
      this.#door,
      undefined,
      { ip: source, text: source.withPort(port) },
      { ip: destination, text: destination.withPort(this.#local.port) },
      workload === undefined ? undefined : memory.of(workload).party,
    );
    const link = new SocketLink(bench, socket, NOBODY, STRANGER_US);
    serveLink(this.runtime, this.#service, link, { origin, onEnd: () => this.left() });
  }

  /** A connection is over. */
  left(): void {
    const { admission, telemetry } = this.runtime;
    admission.leave();
    telemetry.connection(-1);
  }
}

/** A connection that has not said anything yet. */
class Caller implements FirstByteOwner, Live {
  place = -1;
  readonly #listener: PlainListener;
  readonly #source: Ip;
  readonly #port: number;
  readonly #first: FirstByte;

  constructor(listener: PlainListener, fd: number, source: Ip, port: number) {
    this.#listener = listener;
    this.#source = source;
    this.#port = port;
    this.#first = new FirstByte(listener.runtime.bench, fd, this);
    listener.runtime.connections.add(this);
  }

  onFirstByte(socket: Socket): void {
    this.#listener.serve(socket, this.#source, this.#port);
    // Afterwards, so that there is no moment without a connection.
    this.#listener.runtime.connections.delete(this);
  }

  onLeft(): void {
    this.#listener.left();
    this.#listener.runtime.connections.delete(this);
  }

  drain(): void {
    this.kill();
  }

  kill(): void {
    this.#first.close();
    this.onLeft();
  }

  sweep(now: number): void {
    if (now - this.#first.since >= SILENCE_MS) this.kill();
  }
}
