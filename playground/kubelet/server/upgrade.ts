// SPDX-License-Identifier: Apache-2.0
// The ways a client may carry streams over an upgraded request: WebSocket channels, SPDY/3.1, or SPDY in a WebSocket.
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ExecChannels } from './exec.ts';
import { type BytePipe, SpdySession, type SpdyStream } from './spdy-session.ts';
import { encodeFrame, handshakeReply, WebSocketDecoder } from './websocket.ts';

/** remotecommand channels: the first byte of each message. */
const CHANNEL = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;
/** What kubectl asks for to carry SPDY in a WebSocket. */
const TUNNEL = 'SPDY/3.1+portforward.k8s.io';
const PONG_LIMIT = 125;

/** An open WebSocket: whole messages in, frames out. */
export interface WebSocketLink {
  readonly protocol: string;
  send(data: Buffer): void;
  close(): void;
  listen(message: (data: Buffer, binary: boolean) => void, gone: () => void): void;
}

/** The subprotocols a client offers, in its order. */
export function offeredProtocols(request: IncomingMessage): string[] {
  const offered = request.headers['sec-websocket-protocol'] ?? '';
  return offered
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

export function isWebSocket(request: IncomingMessage): boolean {
  return request.headers.upgrade?.toLowerCase() === 'websocket';
}

export function isTunnel(request: IncomingMessage): boolean {
  return offeredProtocols(request).includes(TUNNEL);
}

/** Completes a WebSocket's handshake with the first protocol of `known` that is offered; undefined when none is. */
export function openWebSocket(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  known: readonly string[],
): WebSocketLink | undefined {
  const key = request.headers['sec-websocket-key'];
  const offered = offeredProtocols(request);
  const protocol = known.find((name) => offered.includes(name)) ?? (offered.length === 0 ? '' : undefined);
  if (key === undefined || protocol === undefined) {
    socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    return undefined;
  }
  socket.write(handshakeReply(key, protocol === '' ? undefined : protocol));
  const decoder = new WebSocketDecoder();
  let onMessage: (data: Buffer, binary: boolean) => void = () => undefined;
  let onGone: () => void = () => undefined;
  const feed = (chunk: Buffer): void => {
    for (const event of decoder.write(chunk)) {
      if (event.kind === 'message') onMessage(event.data, event.binary);
      else if (event.kind === 'ping') socket.write(encodeFrame('pong', event.data.subarray(0, PONG_LIMIT)));
      else socket.end(encodeFrame('close', closeCode(event.kind === 'close' ? 1000 : 1002)));
    }
  };
  socket.on('data', feed);
  socket.on('close', () => onGone());
  return {
    protocol,
    send: (data) => socket.writable && socket.write(encodeFrame('binary', data)),
    close: () => socket.writable && socket.end(encodeFrame('close', closeCode(1000))),
    listen: (message, gone) => {
      onMessage = message;
      onGone = gone;
      if (head.length > 0) feed(head);
    },
  };
}

function closeCode(code: number): Buffer {
  const data = Buffer.alloc(2);
  data.writeUInt16BE(code);
  return data;
}

/** The channels of exec and attach over a WebSocket (v4 and v5.channel.k8s.io). */
export function webSocketChannels(link: WebSocketLink): ExecChannels {
  const send = (channel: number, chunk: Buffer): void => link.send(Buffer.concat([Buffer.from([channel]), chunk]));
  let onResize: (message: Buffer) => void = () => undefined;
  return {
    listenResize: (resize) => {
      onResize = resize;
    },
    stdout: (chunk) => send(CHANNEL.stdout, chunk),
    stderr: (chunk) => send(CHANNEL.stderr, chunk),
    status: (json) => send(CHANNEL.error, Buffer.from(json)),
    close: () => link.close(),
    listen: (stdin, gone) =>
      link.listen((data) => {
        if (data[0] === CHANNEL.stdin && data.length > 1) stdin(data.subarray(1));
        // v5: the second byte names the channel that the client closes.
        else if (data[0] === CHANNEL.close && data[1] === CHANNEL.stdin) stdin(undefined);
        else if (data[0] === CHANNEL.resize) onResize(data.subarray(1));
      }, gone),
  };
}

/** Starts SPDY on a connection whose client asked for it by `Upgrade: SPDY/3.1`. */
export function openSpdy(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  known: readonly string[],
  onStream: (stream: SpdyStream) => void,
): SpdySession {
  const offered = [request.headers['x-stream-protocol-version'] ?? []].flat().flatMap((text) => text.split(','));
  const version = known.find((name) => offered.some((text) => text.trim() === name));
  const lines = ['HTTP/1.1 101 Switching Protocols', 'Connection: Upgrade', 'Upgrade: SPDY/3.1'];
  if (version !== undefined) lines.push(`X-Stream-Protocol-Version: ${version}`);
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  const pipe: BytePipe = { write: (data) => socket.writable && socket.write(data), close: () => socket.end() };
  const session = new SpdySession(pipe, onStream);
  socket.on('data', (chunk: Buffer) => session.receive(chunk));
  socket.on('close', () => session.close());
  if (head.length > 0) session.receive(head);
  return session;
}

/** Starts SPDY inside a WebSocket, as kubectl does for port-forward; undefined when the handshake fails. */
export function openTunnel(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  onStream: (stream: SpdyStream) => void,
): SpdySession | undefined {
  const link = openWebSocket(request, socket, head, [TUNNEL]);
  if (link === undefined) return undefined;
  const session = new SpdySession({ write: (data) => link.send(data), close: () => link.close() }, onStream);
  link.listen(
    (data) => session.receive(data),
    () => session.close(),
  );
  return session;
}

/** The channels of exec and attach over SPDY: resolves once the client has opened all that `wanted` names. */
export function spdyChannels(
  open: (onStream: (stream: SpdyStream) => void) => SpdySession,
  wanted: readonly string[],
): Promise<ExecChannels> {
  return new Promise((resolve) => {
    const streams = new Map<string, SpdyStream>();
    let stdin: (chunk: Buffer | undefined) => void = () => undefined;
    let gone: () => void = () => undefined;
    let resize: (message: Buffer) => void = () => undefined;
    const early: (Buffer | undefined)[] = [];
    const channels = (): ExecChannels => ({
      listenResize: (onResize) => {
        resize = onResize;
      },
      stdout: (chunk) => streams.get('stdout')?.write(chunk),
      stderr: (chunk) => streams.get('stderr')?.write(chunk),
      status: (json) => streams.get('error')?.write(Buffer.from(json)),
      close: () => {
        for (const stream of streams.values()) stream.end();
      },
      listen: (onStdin, onGone) => {
        stdin = onStdin;
        gone = onGone;
        for (const chunk of early.splice(0)) stdin(chunk);
      },
    });
    stdin = (chunk) => early.push(chunk);
    open((stream) => {
      const type = stream.headers.get('streamtype') ?? '';
      streams.set(type, stream);
      if (type === 'stdin') stream.listener = { data: (chunk) => stdin(chunk), end: () => stdin(undefined) };
      if (type === 'resize') stream.listener = { data: (chunk) => resize(chunk), end: () => undefined };
      // The error stream stays open as long as the client is there.
      if (type === 'error') stream.listener = { data: () => undefined, end: () => gone() };
      if (wanted.every((name) => streams.has(name))) resolve(channels());
    });
  });
}
