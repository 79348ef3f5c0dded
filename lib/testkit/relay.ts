// SPDX-License-Identifier: Apache-2.0
// The smallest pair of tunnel ends: an entry that puts every accepted connection into a tunnel, and an exit that dials what the
// CONNECT names. No policy, no mesh: tests and measurements of lib/net alone.
import { Endpoint } from '#lib/linux/address.ts';
import { localAddress, tcpDial, tcpListen } from '#lib/linux/socket.ts';
import { Acceptor, Admission } from '#lib/loop/acceptor.ts';
import type { Loop } from '#lib/loop/loop.ts';
import { Dial } from '#lib/net/dial.ts';
import { TunnelPool, type TunnelTarget } from '#lib/net/pool.ts';
import type { Sender } from '#lib/net/send-queue.ts';
import { Session, type SessionOwner, type StreamUser } from '#lib/net/session.ts';
import { Socket } from '#lib/net/socket.ts';
import { TlsTransport } from '#lib/net/tls-transport.ts';
import { TunnelStream } from '#lib/net/tunnel-stream.ts';
import type { Workbench } from '#lib/net/workbench.ts';
import type { TlsContext } from '#lib/tls/context.ts';
import { HeaderBlock } from '#lib/wire/h2/headers.ts';
import { type H2Settings, HBONE_CLIENT, HBONE_SERVER } from '#lib/wire/h2/settings.ts';
import type { H2Stream } from '#lib/wire/h2/stream.ts';

export function loopback(port = 0): Endpoint {
  return Endpoint.parse('127.0.0.1', port)!;
}

/** A listening socket and where it listens. */
export function listenOn(at: Endpoint, netns?: number): { fd: number; endpoint: Endpoint } {
  const fd = tcpListen(at, { backlog: 1024, reusePort: true, noDelay: true, netns });
  const endpoint = new Endpoint();
  localAddress(fd, endpoint);
  return { fd, endpoint };
}

/** Takes every connection that comes to the listening `fd`. */
export function acceptAll(loop: Loop, fd: number, onConnection: (fd: number) => void): Acceptor {
  return new Acceptor(loop, fd, { onConnection, onRefused: () => {} }, new Admission(Number.MAX_SAFE_INTEGER));
}

/** A stream that waits: for a dial (exit) or for the answer (entry). */
class Waiting implements StreamUser {
  sendQueued = false;
  nextSender: Sender | null = null;
  gone = '';
  readonly #onHeaders: (headers: HeaderBlock) => void;
  readonly #onGone: (why: string) => void;

  constructor(onHeaders: (headers: HeaderBlock) => void, onGone: (why: string) => void) {
    this.#onHeaders = onHeaders;
    this.#onGone = onGone;
  }

  fill(): number {
    return 0;
  }

  onHeaders(headers: HeaderBlock): void {
    this.#onHeaders(headers);
  }

  onData(): void {}

  onReset(code: number): void {
    this.gone = `reset ${code}`;
    this.#onGone(this.gone);
  }

  onSendable(): void {}

  onTunnelLost(cause: string): void {
    this.gone = cause;
    this.#onGone(cause);
  }
}

export interface RelayEvents {
  /** Ends of joined connections, entry and exit alike: '' or an error. */
  readonly ended: string[];
  bytesOut: number;
  bytesIn: number;
}

function books(events: RelayEvents) {
  return {
    onBytesOut: (n: number) => {
      events.bytesOut += n;
    },
    onBytesIn: (n: number) => {
      events.bytesIn += n;
    },
    onJoinEnd: (error: string) => {
      events.ended.push(error);
    },
  };
}

/** The end that terminates tunnels and dials the application. */
export class RelayExit implements SessionOwner {
  readonly events: RelayEvents = { ended: [], bytesOut: 0, bytesIn: 0 };
  readonly sessions: Session[] = [];
  readonly causes: string[] = [];
  readonly endpoint: Endpoint;
  readonly streams: TunnelStream[] = [];
  /** Answer requests with this status instead of dialling. */
  refuseWith = 0;
  readonly #bench: Workbench;
  readonly #acceptor: Acceptor;

  constructor(bench: Workbench, at: Endpoint, context: () => TlsContext, settings: H2Settings = HBONE_SERVER) {
    this.#bench = bench;
    const { fd, endpoint } = listenOn(at);
    this.endpoint = endpoint;
    this.#acceptor = acceptAll(bench.loop, fd, (accepted) => {
      const tls = context();
      this.sessions.push(
        new Session(
          bench,
          'server',
          settings,
          this,
          (owner) => new TlsTransport(bench, accepted, tls, 'server', owner),
        ),
      );
    });
  }

  onPeer(): string {
    return '';
  }

  onUsable(): void {}

  onStreamGone(): void {}

  onSessionEnd(session: Session, cause: string): void {
    this.causes.push(cause);
    this.sessions.splice(this.sessions.indexOf(session), 1);
  }

  onRequest(session: Session, stream: H2Stream, headers: HeaderBlock): void {
    if (this.refuseWith > 0) {
      session.h2.respond(stream, HeaderBlock.response(this.refuseWith), true);
      session.h2.resetStream(stream, 0);
      return;
    }
    const [ip, port] = headers.authority.split(':');
    const fd = tcpDial(Endpoint.parse(ip!, Number(port))!, { noDelay: true });
    let dial: Dial | undefined;
    const waiting = new Waiting(
      () => {},
      () => dial?.cancel(),
    );
    stream.userData = waiting;
    const refuse = () => {
      session.h2.respond(stream, HeaderBlock.response(503), true);
      session.h2.resetStream(stream, 0);
    };
    if (fd < 0) {
      refuse();
      return;
    }
    dial = new Dial(this.#bench.loop, fd, {
      onConnected: (socket) => {
        session.h2.respond(stream, HeaderBlock.response(200), false);
        this.streams.push(new TunnelStream(session, stream, socket, books(this.events)));
      },
      onDialFailed: refuse,
    });
  }

  close(): void {
    this.#acceptor.close();
    for (const session of [...this.sessions]) session.drop('exit closed');
  }
}

interface RelayTarget extends TunnelTarget {
  readonly endpoint: Endpoint;
}

/** The end that accepts applications' connections and tunnels them. */
export class RelayEntry {
  readonly events: RelayEvents = { ended: [], bytesOut: 0, bytesIn: 0 };
  readonly failures: string[] = [];
  readonly pool: TunnelPool<RelayTarget>;
  readonly streams: TunnelStream[] = [];
  readonly #bench: Workbench;
  readonly #target: RelayTarget;
  readonly #acceptors: Acceptor[] = [];

  constructor(
    bench: Workbench,
    exit: Endpoint,
    context: () => TlsContext,
    options: { streamsPerTunnel?: number; idleMs?: number; maxTunnels?: number; judge?: () => string } = {},
  ) {
    this.#bench = bench;
    this.#target = { key: exit.toString(), endpoint: exit };
    this.pool = new TunnelPool<RelayTarget>({
      loop: bench.loop,
      streamsPerTunnel: options.streamsPerTunnel ?? 100,
      idleMs: options.idleMs ?? 300_000,
      ...(options.maxTunnels === undefined ? {} : { maxTunnels: options.maxTunnels }),
      judge: options.judge ?? (() => ''),
      dial: (target, owner) => {
        const fd = tcpDial(target.endpoint, { noDelay: true });
        if (fd < 0) return `connection failed: ${-fd}`;
        return new Session(
          bench,
          'client',
          HBONE_CLIENT,
          owner,
          (transportOwner) => new TlsTransport(bench, fd, context(), 'client', transportOwner),
        );
      },
    });
  }

  /** Accepts at `at` and has each connection dialled to `authority` behind the exit; another `key` means tunnels of its own. */
  serve(at: Endpoint, authority: string, key = this.#target.key): Endpoint {
    const { fd, endpoint } = listenOn(at);
    const target = { ...this.#target, key };
    this.#acceptors.push(acceptAll(this.#bench.loop, fd, (accepted) => this.#accept(accepted, authority, target)));
    return endpoint;
  }

  close(): void {
    for (const acceptor of this.#acceptors) acceptor.close();
    this.pool.close('entry closed');
  }

  #accept(fd: number, authority: string, target: RelayTarget): void {
    const socket = new Socket(this.#bench.loop, fd, { onSocket: () => {} });
    this.pool.acquire(target, {
      onNoTunnel: (cause) => {
        this.failures.push(cause);
        socket.abort();
      },
      onTunnel: (session) => {
        const waiting = new Waiting(
          (headers) => {
            if (headers.status === 200) {
              this.streams.push(new TunnelStream(session, stream!, socket, books(this.events)));
              return;
            }
            this.failures.push(`http status: ${headers.status}`);
            stream!.userData = undefined;
            session.h2.resetStream(stream!, 8);
            socket.abort();
          },
          (why) => {
            this.failures.push(why);
            socket.abort();
          },
        );
        const stream: H2Stream | null = session.request(HeaderBlock.request('CONNECT', '', authority, ''), waiting);
        if (stream === null) socket.abort();
      },
    });
  }
}

/** Turns `loop` until `condition` holds; throws naming `what` after `deadlineMs`. */
export function turnUntil(loop: Loop, what: string, condition: () => boolean, deadlineMs = 60_000): void {
  const end = performance.now() + deadlineMs;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`after ${deadlineMs} ms still waiting for: ${what}`);
    loop.turn(10);
  }
}
