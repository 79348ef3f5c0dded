// SPDX-License-Identifier: Apache-2.0
// Port-forward: connections made inside a pod's network, carried by WebSocket channels or by SPDY streams.
import { connect, Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Endpoint } from '#lib/linux/address.ts';
import { inNetns, Netns } from '#lib/linux/netns.ts';
import { peerAddress, socketError, tcpDial } from '#lib/linux/socket.ts';
import type { SpdyStream } from './spdy-session.ts';
import type { WebSocketLink } from './upgrade.ts';

const CONNECT_MS = 10_000;
const POLL_MS = 2;

/** Connects to `port` on the pod's own loopback, IPv4 first. Throws with the pod's answer when nobody listens. */
export async function dialInPod(netns: string | undefined, port: number): Promise<Socket> {
  let failure: unknown;
  for (const host of ['127.0.0.1', '::1']) {
    try {
      return netns === undefined ? await dialHere(host, port) : await dialThere(netns, host, port);
    } catch (error) {
      failure ??= error;
    }
  }
  throw failure;
}

function dialHere(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, allowHalfOpen: true });
    socket.once('error', reject).once('connect', () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}

/** Only the making of the socket needs the pod's namespace; the descriptor then serves from here. */
async function dialThere(path: string, host: string, port: number): Promise<Socket> {
  const netns = Netns.open(path);
  let fd: number;
  try {
    fd = inNetns(netns.fd, () => tcpDial(Endpoint.parse(host, port)!, {}));
  } finally {
    netns.close();
  }
  if (fd < 0) throw new Error(`dial tcp ${host}:${port}: errno ${-fd}`);
  const peer = new Endpoint();
  // Loopback connects at once or refuses; the wait is for a full backlog.
  for (const deadline = performance.now() + CONNECT_MS; peerAddress(fd, peer) < 0; await delay(POLL_MS)) {
    const failed = socketError(fd);
    if (failed !== 0 || performance.now() > deadline) {
      new Socket({ fd }).destroy();
      throw new Error(
        `dial tcp ${host}:${port}: ${failed === 0 ? 'i/o timeout' : `connect: connection refused (errno ${Math.abs(failed)})`}`,
      );
    }
  }
  return new Socket({ fd, readable: true, writable: true, allowHalfOpen: true });
}

/** WebSocket channels: 2n carries the n-th port's data, 2n + 1 its error; both begin with the port number. */
export function forwardWebSocket(link: WebSocketLink, netns: string | undefined, ports: readonly number[]): void {
  const sockets: (Socket | undefined)[] = ports.map(() => undefined);
  const waiting: Buffer[][] = ports.map(() => []);
  const send = (channel: number, data: Buffer): void => link.send(Buffer.concat([Buffer.from([channel]), data]));
  link.listen(
    (message) => {
      const index = (message[0] ?? 0) >> 1;
      if ((message[0] ?? 0) % 2 === 1 || index >= ports.length) return;
      const data = message.subarray(1);
      const socket = sockets[index];
      if (socket === undefined) waiting[index]!.push(data);
      else socket.write(data);
    },
    () => {
      for (const socket of sockets) socket?.destroy();
    },
  );
  ports.forEach((port, index) => {
    const number = Buffer.alloc(2);
    number.writeUInt16LE(port);
    send(index * 2, number);
    send(index * 2 + 1, number);
    dialInPod(netns, port).then(
      (socket) => {
        sockets[index] = socket;
        for (const data of waiting[index]!.splice(0)) socket.write(data);
        socket.on('data', (chunk: Buffer) => send(index * 2, chunk));
        socket.on('error', (error) => send(index * 2 + 1, Buffer.from(error.message)));
        socket.on('end', () => socket.end());
        // One port a link is what clients ask for: its end is the link's.
        socket.on('close', () => ports.length === 1 && link.close());
      },
      (error: Error) => {
        send(index * 2 + 1, Buffer.from(`error forwarding port ${port}: ${error.message}`));
        if (ports.length === 1) link.close();
      },
    );
  });
}

/** SPDY: each connection is a pair of streams, `data` and `error`, with the same request id. */
export class SpdyForwarder {
  readonly #netns: string | undefined;
  readonly #errors = new Map<string, SpdyStream>();

  constructor(netns: string | undefined) {
    this.#netns = netns;
  }

  /** To be called with each stream the client opens. */
  accept(stream: SpdyStream): void {
    const id = stream.headers.get('requestid') ?? '';
    if (stream.headers.get('streamtype') === 'error') {
      this.#errors.set(id, stream);
      return;
    }
    const port = Number(stream.headers.get('port'));
    const error = this.#errors.get(id);
    this.#errors.delete(id);
    const early: Buffer[] = [];
    let over = false;
    let socket: Socket | undefined;
    stream.listener = {
      data: (chunk) => {
        if (socket === undefined) early.push(chunk);
        else socket.write(chunk);
      },
      end: () => {
        over = true;
        socket?.end();
      },
    };
    dialInPod(this.#netns, port).then(
      (dialled) => {
        socket = dialled;
        for (const chunk of early) dialled.write(chunk);
        if (over) dialled.end();
        dialled.on('data', (chunk: Buffer) => stream.write(chunk));
        dialled.on('error', (cause) => error?.write(Buffer.from(`error forwarding port ${port}: ${cause.message}`)));
        dialled.on('end', () => stream.end());
        dialled.on('close', () => {
          stream.end();
          error?.end();
        });
      },
      (cause: Error) => {
        error?.write(Buffer.from(`error forwarding port ${port} to pod: ${cause.message}`));
        error?.end();
        stream.end();
      },
    );
  }
}
