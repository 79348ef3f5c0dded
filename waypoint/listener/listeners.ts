// SPDX-License-Identifier: Apache-2.0
// The listening sockets of one worker, as the configuration says: opened when a listener appears, closed (what is open lives on)
// when it goes. The same ports in every worker: the kernel shares connections out.
import { describeError } from '#lib/kit/error.ts';
import { Endpoint } from '#lib/linux/address.ts';
import { localAddress, peerAddress, tcpListen } from '#lib/linux/socket.ts';
import { Acceptor } from '#lib/loop/acceptor.ts';
import type { Runtime } from '../worker/runtime.ts';
import { Doors } from './doors.ts';
import { HboneListener } from './hbone.ts';
import { PlainListener } from './plain.ts';
import { ExchangeService } from './service.ts';

const BACKLOG = 4096;
const HBONE = 'HBONE';

interface Wanted {
  readonly name: string;
  readonly port: number;
  readonly protocol: string;
  readonly table: string;
}

interface Open {
  readonly wanted: Wanted;
  readonly acceptor: Acceptor;
}

export class Listeners {
  readonly #runtime: Runtime;
  readonly #service: ExchangeService;
  readonly #doors: Doors;
  readonly #open = new Map<string, Open>();
  readonly #tunnels: HboneListener;
  readonly #onOpen: (listener: string, port: number) => void;

  constructor(runtime: Runtime, onOpen: (listener: string, port: number) => void) {
    this.#runtime = runtime;
    this.#service = new ExchangeService(runtime);
    this.#doors = new Doors(runtime);
    this.#tunnels = new HboneListener(runtime, this.#service, this.#doors);
    this.#onOpen = onOpen;
  }

  /** Makes what is open what is wanted. */
  update(): void {
    const wanted = new Map(this.#wanted().map((one) => [keyOf(one), one]));
    for (const [key, { acceptor }] of this.#open) {
      if (wanted.has(key)) continue;
      acceptor.close();
      this.#open.delete(key);
    }
    for (const [key, one] of wanted) if (!this.#open.has(key)) this.#listen(key, one);
  }

  /** A connection for tunnels that another process gives us; false: nobody takes it, since we take no more or have no room. */
  takeTunnel(fd: number): boolean {
    const { admission, share } = this.#runtime;
    const peer = new Endpoint();
    if (this.#open.size > 0 && peerAddress(fd, peer) === 0 && admission.enter()) {
      this.#tunnels.onGiven(fd, peer);
      return true;
    }
    share.ended();
    return false;
  }

  close(): void {
    for (const { acceptor } of this.#open.values()) acceptor.close();
    this.#open.clear();
  }

  #wanted(): Wanted[] {
    const { l7, settings } = this.#runtime;
    return l7.settings.listeners.flatMap(({ name, port, protocol, routeTable: table }): Wanted[] => {
      if (protocol === HBONE) return [{ name, port: settings.hbonePort, protocol, table: '' }];
      return protocol === 'HTTP' || protocol === 'TCP'
        ? [{ name, port: settings.anyPort ? 0 : port, protocol, table }]
        : [];
    });
  }

  #listen(key: string, wanted: Wanted): void {
    const { admission, loop, settings, telemetry } = this.#runtime;
    try {
      const at = Endpoint.parse(settings.bind, wanted.port)!;
      const fd = tcpListen(at, { reusePort: true, noDelay: true, backlog: BACKLOG });
      const bound = new Endpoint();
      localAddress(fd, bound);
      const listener =
        wanted.protocol === HBONE
          ? this.#tunnels
          : new PlainListener(this.#runtime, this.#service, this.#doors.byListener(wanted.table, wanted.port));
      const onRefused = (reason: string): void => telemetry.count('ambit_connections_refused_total', { reason });
      const acceptor = new Acceptor(
        loop,
        fd,
        { onConnection: (one, peer) => listener.onConnection(one, peer), onRefused },
        admission,
      );
      this.#open.set(key, { wanted, acceptor });
      this.#onOpen(wanted.name, bound.port);
    } catch (error) {
      telemetry.message('error', 'a listener cannot be opened', {
        listener: wanted.name,
        port: wanted.port,
        error: describeError(error),
      });
    }
  }
}

function keyOf({ name, port, protocol, table }: Wanted): string {
  return `${name} ${port} ${protocol} ${table}`;
}
