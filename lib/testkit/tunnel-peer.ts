// SPDX-License-Identifier: Apache-2.0
// One end of HBONE tunnels that a test plays by hand, with a certificate of the mesh: a server that answers CONNECT as it is told, or a
// client that asks for whatever it likes. No relay, no policy, no manners.
import type { Endpoint } from '#lib/linux/address.ts';
import type { Arena } from '#lib/linux/arena.ts';
import type { Netns } from '#lib/linux/netns.ts';
import { tcpDial } from '#lib/linux/socket.ts';
import type { Loop } from '#lib/loop/loop.ts';
import type { Sender } from '#lib/net/send-queue.ts';
import { Session, type SessionOwner, type StreamUser } from '#lib/net/session.ts';
import { TlsTransport } from '#lib/net/tls-transport.ts';
import { Workbench } from '#lib/net/workbench.ts';
import { TlsContext } from '#lib/tls/context.ts';
import type { HeaderBlock } from '#lib/wire/h2/headers.ts';
import { FRAME_HEADER } from '#lib/wire/h2/protocol.ts';
import { HBONE_CLIENT, HBONE_SERVER } from '#lib/wire/h2/settings.ts';
import type { H2Stream } from '#lib/wire/h2/stream.ts';
import type { TestCa } from './certificates.ts';
import { acceptAll, listenOn } from './relay.ts';

/** A stream that only notes what comes. */
export class PeerStream implements StreamUser {
  sendQueued = false;
  nextSender: Sender | null = null;
  /** Status of the answer; 0 until there is one. */
  status = 0;
  headers: HeaderBlock | null = null;
  received = 0;
  gone = '';

  fill(_arena?: Arena, _offset?: number): number {
    return 0;
  }

  onHeaders(headers: HeaderBlock): void {
    this.headers ??= headers;
    if (this.status === 0) this.status = headers.status;
  }

  onData(start: number, end: number): void {
    this.received += end - start;
  }

  onReset(code: number): void {
    this.gone = `reset ${code}`;
  }

  onSendable(): void {}

  onTunnelLost(cause: string): void {
    this.gone = cause;
  }
}

/** Says a text and its end at once, whether it was answered or not. */
class SayingStream extends PeerStream {
  readonly #session: Session;
  #text: Buffer;
  stream: H2Stream | null = null;

  constructor(session: Session, text: string) {
    super();
    this.#session = session;
    this.#text = Buffer.from(text);
  }

  override fill(arena?: Arena, offset = 0): number {
    const { length } = this.#text;
    if (this.stream === null || arena === undefined || length === 0) return 0;
    this.#text.copy(arena.bytes, offset + FRAME_HEADER);
    this.#session.h2.writeDataHeader(arena.bytes, offset, this.stream, length, true);
    this.#text = Buffer.alloc(0);
    return FRAME_HEADER + length;
  }
}

export class TunnelPeer implements SessionOwner {
  readonly sessions: Session[] = [];
  /** Why tunnels ended. */
  readonly ended: string[] = [];
  readonly requests: HeaderBlock[] = [];
  usable = 0;
  readonly #bench: Workbench;
  readonly #context: TlsContext;
  readonly #answer: (session: Session, stream: H2Stream, headers: HeaderBlock) => void;

  private constructor(loop: Loop, context: TlsContext, answer: TunnelPeer['onRequest']) {
    this.#bench = new Workbench(loop);
    this.#context = context;
    this.#answer = answer;
  }

  static async create(
    loop: Loop,
    ca: TestCa,
    uri: string,
    answer: (session: Session, stream: H2Stream, headers: HeaderBlock) => void = () => {},
  ): Promise<TunnelPeer> {
    const { chainPem, keyPem } = await ca.issue(uri);
    const context = TlsContext.create({
      ...{ certificateChainPem: chainPem, privateKeyPem: keyPem, rootsPem: ca.rootPem, alpn: 'h2' },
    });
    return new TunnelPeer(loop, context, answer);
  }

  /** Takes tunnels at `at`, inside `netns`. */
  serve(at: Endpoint, netns: Netns): void {
    const { fd } = listenOn(at, netns.fd);
    acceptAll(this.#bench.loop, fd, (accepted) => this.#open(accepted, 'server'));
  }

  /** Opens a tunnel from inside `netns`. */
  dial(to: Endpoint, netns: Netns): Session {
    const fd = tcpDial(to, { noDelay: true, netns: netns.fd });
    if (fd < 0) throw new Error(`dial ${to}: errno ${-fd}`);
    return this.#open(fd, 'client');
  }

  /** Opens a stream. */
  request(session: Session, headers: HeaderBlock): PeerStream {
    const stream = new PeerStream();
    if (session.request(headers, stream) === null) stream.gone = 'not opened';
    return stream;
  }

  /** Opens a stream and says `text`, and that this was all, without waiting for an answer. */
  requestSaying(session: Session, headers: HeaderBlock, text: string): PeerStream {
    const stream = new SayingStream(session, text);
    stream.stream = session.request(headers, stream);
    if (stream.stream === null) stream.gone = 'not opened';
    else session.wantsToSend(stream);
    return stream;
  }

  onPeer(): string {
    return '';
  }

  onUsable(): void {
    this.usable++;
  }

  onRequest(session: Session, stream: H2Stream, headers: HeaderBlock): void {
    this.requests.push(headers);
    stream.userData = new PeerStream();
    this.#answer(session, stream, headers);
  }

  onStreamGone(): void {}

  onSessionEnd(_session: Session, cause: string): void {
    this.ended.push(cause);
  }

  #open(fd: number, role: 'client' | 'server'): Session {
    const settings = role === 'client' ? HBONE_CLIENT : HBONE_SERVER;
    const session = new Session(
      this.#bench,
      role,
      settings,
      this,
      (owner) => new TlsTransport(this.#bench, fd, this.#context, role, owner),
    );
    this.sessions.push(session);
    return session;
  }
}
