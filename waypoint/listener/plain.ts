// SPDX-License-Identifier: Apache-2.0
// Connections in clear to one of a gateway's listeners.
import { Endpoint } from '#lib/linux/address.ts';
import { close as closeFd } from '#lib/linux/calls.ts';
import { localAddress } from '#lib/linux/socket.ts';
import { NOBODY } from '#lib/net/http/link.ts';
import { SocketLink } from '#lib/net/http/socket-link.ts';
import { STRANGER_MS } from '#lib/net/input-turns.ts';
import { Socket } from '#lib/net/socket.ts';
import type { Door } from '../path/door.ts';
import { Origin } from '../path/origin.ts';
import type { Runtime } from '../worker/runtime.ts';
import { serveLink } from './incoming.ts';
import type { ExchangeService } from './service.ts';

const SILENT = { onSocket: () => {} };

export class PlainListener {
  readonly #runtime: Runtime;
  readonly #service: ExchangeService;
  readonly #door: Door;
  readonly #local = new Endpoint();

  constructor(runtime: Runtime, service: ExchangeService, door: Door) {
    this.#runtime = runtime;
    this.#service = service;
    this.#door = door;
  }

  onConnection(fd: number, peer: Endpoint): void {
    const { admission, bench, ips, loop, memory, mesh, settings, telemetry } = this.#runtime;
    if (localAddress(fd, this.#local) < 0) {
      closeFd(fd);
      admission.leave();
      return;
    }
    const source = ips.of(peer);
    const destination = ips.of(this.#local);
    const workload = mesh.workloadByAddress(settings.network, source);
    const origin = new Origin(
      this.#door,
      undefined,
      { ip: source, text: source.withPort(peer.port) },
      { ip: destination, text: destination.withPort(this.#local.port) },
      workload === undefined ? undefined : memory.of(workload).party,
    );
    telemetry.connection(1);
    const onEnd = (): void => {
      admission.leave();
      telemetry.connection(-1);
    };
    const link = new SocketLink(bench, new Socket(loop, fd, SILENT), NOBODY, STRANGER_MS);
    serveLink(this.#runtime, this.#service, link, { origin, onEnd });
  }
}
