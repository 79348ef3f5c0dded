// SPDX-License-Identifier: Apache-2.0
// How the API server reaches nodes and pods: directly, or through a proxy at a Unix socket when it runs outside the
// cluster's network (HTTP CONNECT, as a real API server's egress selector of type `cluster` does).
import { once } from 'node:events';
import { connect, isIPv6, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { AmbitError } from '#lib/kit/error.ts';

/** Opens a TCP connection to a place inside the cluster. */
export type Dial = (host: string, port: number) => Promise<Socket>;

const TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 8192;

async function opened(socket: Socket, what: string): Promise<Socket> {
  const late = setTimeout(
    () => socket.destroy(new Error(`${what}: no connection within ${TIMEOUT_MS} ms`)),
    TIMEOUT_MS,
  );
  try {
    await once(socket, 'connect');
    return socket.setNoDelay(true);
  } finally {
    clearTimeout(late);
  }
}

export const dialDirect: Dial = (host, port) => opened(connect({ host, port, allowHalfOpen: true }), `${host}:${port}`);

/** Dials through the CONNECT proxy that listens at `path`. */
export function dialThrough(path: string): Dial {
  return async (host, port) => {
    const target = `${isIPv6(host) ? `[${host}]` : host}:${port}`;
    const socket = await opened(connect({ path, allowHalfOpen: true }), path);
    socket.write(`CONNECT ${target} HTTP/1.1\r\nhost: ${target}\r\n\r\n`);
    let answer = Buffer.alloc(0);
    while (answer.indexOf('\r\n\r\n') < 0) {
      const [chunk] = (await once(socket, 'readable').then(() => [socket.read() as Buffer | null])) as [Buffer | null];
      if (chunk === null || answer.length > MAX_ANSWER_BYTES) {
        socket.destroy();
        throw new AmbitError('API_EGRESS', `the proxy at ${path} closed before it connected to ${target}`);
      }
      answer = Buffer.concat([answer, chunk]);
    }
    const end = answer.indexOf('\r\n\r\n') + 4;
    const status = answer.toString('latin1', 0, answer.indexOf('\r\n'));
    if (!/^HTTP\/1\.1 2/.test(status)) {
      socket.destroy();
      throw new AmbitError('API_EGRESS', `the proxy at ${path} cannot connect to ${target}: ${status}`);
    }
    if (end < answer.length) socket.unshift(answer.subarray(end));
    return socket;
  };
}

/** Called with the connection, or with what went wrong. */
type Created = (error: Error | null, stream: Socket) => void;

/** For `createConnection` of an HTTP request: dials, and speaks TLS over it when `tls` is given. */
export const connectionBy =
  (dial: Dial, host: string, port: number, tls?: ConnectionOptions) =>
  (_options: unknown, created: Created): undefined => {
    dial(host, port).then(
      (socket) => created(null, tls ? connectTls({ ...tls, socket }) : socket),
      (error: Error) => created(error, undefined as unknown as Socket),
    );
    return undefined;
  };
