// SPDX-License-Identifier: Apache-2.0
// A client's byte stream has arrived at a door: it becomes an HTTP connection, or is passed on as it is.
import { H1Server } from '#lib/net/http/h1-server.ts';
import { H2Server, HTTP_SERVER } from '#lib/net/http/h2-server.ts';
import type { Link } from '#lib/net/http/link.ts';
import { LinkTransport } from '#lib/net/http/link-transport.ts';
import type { Door } from '../path/door.ts';
import type { Runtime } from '../worker/runtime.ts';
import type { Arrived } from './arrived.ts';
import type { Live } from './connections.ts';
import type { ExchangeService } from './service.ts';
import { Sniffer, type SniffOwner } from './sniffer.ts';
import { StreamRoute } from './stream-route.ts';

/** Serves `link`, which nobody owns yet. */
export function serveLink(runtime: Runtime, service: ExchangeService, link: Link, arrived: Arrived): void {
  const { door } = arrived.origin;
  door.refresh();
  const protocol = protocolOf(door);
  const arrival = new Arrival(runtime, service, link, arrived);
  if (protocol === 'stream') arrival.pass();
  else arrival.sniff(protocol === 'http');
}

/** What comes to that door: some version of HTTP, what is not looked into, or what shows itself. */
export function protocolOf(door: Door): 'http' | 'stream' | 'unknown' {
  const protocol = door.opaque ? 'tcp' : door.protocol;
  if (protocol === 'unknown') return protocol;
  return protocol === 'tcp' || protocol === 'tls' ? 'stream' : 'http';
}

/** A link until it is known what it carries. */
class Arrival implements SniffOwner, Live {
  place = -1;
  readonly #runtime: Runtime;
  readonly #service: ExchangeService;
  readonly #link: Link;
  readonly #arrived: Arrived;

  constructor(runtime: Runtime, service: ExchangeService, link: Link, arrived: Arrived) {
    this.#runtime = runtime;
    this.#service = service;
    this.#link = link;
    this.#arrived = arrived;
  }

  sniff(httpOnly: boolean): void {
    this.#runtime.connections.add(this);
    new Sniffer(this.#runtime.bench, this.#link, httpOnly, this);
  }

  pass(): void {
    new StreamRoute(this.#runtime, this.#arrived, this.#link).begin();
  }

  onProtocol(link: Link, protocol: 'h1' | 'h2' | 'other'): void {
    const { bench, connections, timeouts } = this.#runtime;
    if (protocol === 'h1') connections.add(new H1Server(bench, link, this.#service, this.#arrived, timeouts));
    else if (protocol === 'h2') {
      let transport: LinkTransport | undefined;
      const server = new H2Server(bench, HTTP_SERVER, this.#service, this.#arrived, timeouts, (owner) => {
        transport = new LinkTransport(bench, link, owner);
        return transport;
      });
      connections.add(server);
      transport!.begin(null);
    } else this.pass();
    connections.delete(this);
  }

  onNoProtocol(link: Link): void {
    link.close();
    this.#arrived.onEnd();
    this.#runtime.connections.delete(this);
  }

  drain(): void {
    this.onNoProtocol(this.#link);
  }

  kill(): void {
    this.onNoProtocol(this.#link);
  }

  sweep(): void {}
}
