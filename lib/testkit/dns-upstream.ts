// SPDX-License-Identifier: Apache-2.0
// A resolver for tests: answers from a table by UDP and TCP, or says nothing. In this process' own namespace on Node's sockets, or in a
// pod's on the test's loop.
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { createServer, type Server } from 'node:net';
import { type Answer, decode, encode, type Packet } from 'dns-packet';
import { Endpoint } from '#lib/linux/address.ts';
import { Arena } from '#lib/linux/arena.ts';
import { EPOLLET, EPOLLIN } from '#lib/linux/constants.ts';
import { udpReceive, udpSend } from '#lib/linux/message.ts';
import { udpBind } from '#lib/linux/socket.ts';
import type { Loop } from '#lib/loop/loop.ts';
import { AppServer } from './plain-app.ts';
import type { TestPod } from './pod-network.ts';

/** What a resolver knows, and what it was asked. */
export class DnsTable {
  /** By name; a name that is not here does not exist. */
  readonly names = new Map<string, readonly Answer[]>();
  /** `name type protocol` of every question so far. */
  readonly asked: string[] = [];
  /** Says nothing at all. */
  silent = false;
  /** Says that it cannot find out (SERVFAIL). */
  fails = false;
  /** By UDP, tells to ask again by TCP. */
  truncates = false;

  reply(message: Buffer, protocol: 'udp' | 'tcp'): Buffer | undefined {
    const query: Packet = decode(message);
    const question = query.questions?.[0];
    if (question === undefined) return undefined;
    this.asked.push(`${question.name} ${question.type} ${protocol}`);
    if (this.silent) return undefined;
    const known = this.names.get(question.name);
    const cut = this.truncates && protocol === 'udp';
    const reply = encode({
      type: 'response',
      id: query.id ?? 0,
      flags: 0x180 | (cut ? 0x200 : 0),
      questions: [question],
      answers: cut ? [] : (known ?? []).filter(({ type }) => type === question.type || type === 'CNAME'),
    });
    if (this.fails) reply[3] = (reply[3]! & 0xf0) | 2;
    else if (known === undefined) reply[3] = (reply[3]! & 0xf0) | 3;
    return reply;
  }
}

const framed = (message: Buffer): Buffer => {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
};

/** On a loopback port of this process' namespace. */
export class DnsUpstream extends DnsTable implements AsyncDisposable {
  readonly #udp: UdpSocket;
  readonly #tcp: Server;

  private constructor(udp: UdpSocket) {
    super();
    this.#udp = udp;
    udp.on('message', (message, from) => {
      const reply = this.reply(message, 'udp');
      if (reply !== undefined) udp.send(reply, from.port, from.address);
    });
    this.#tcp = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.on('data', (bytes: Buffer) => {
        const reply = this.reply(bytes.subarray(2), 'tcp');
        if (reply !== undefined) socket.end(framed(reply));
      });
    });
  }

  static async start(): Promise<DnsUpstream> {
    for (;;) {
      const udp = createSocket('udp4');
      await new Promise<void>((resolve) => udp.bind(0, '127.0.0.1', resolve));
      const upstream = new DnsUpstream(udp);
      const { port } = udp.address();
      const both = await new Promise<boolean>((resolve) => {
        upstream.#tcp.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
      });
      if (both) return upstream;
      // Free for UDP and taken for TCP: the next one is another.
      udp.close();
    }
  }

  /** `ip:port`. */
  get endpoint(): string {
    return `127.0.0.1:${this.#udp.address().port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#udp.close();
    await new Promise((resolve) => this.#tcp.close(resolve));
  }
}

/** Serves `table` at `ip:port` of a pod for as long as the loop lives. Returns the addresses of who asks by UDP. */
export function serveDnsInPod(loop: Loop, pod: TestPod, ip: string, port: number, table: DnsTable): string[] {
  const arena = Arena.allocate(8192);
  const at = Endpoint.parse(ip, port)!;
  const clients: string[] = [];
  const udp = udpBind(at, { netns: pod.netns.fd });
  const onReady = () => {
    for (;;) {
      const from = new Endpoint();
      const n = udpReceive(udp, arena, 0, 4096, from, new Endpoint());
      if (n <= 0) return;
      clients.push(from.ip());
      const reply = table.reply(Buffer.from(arena.bytes.subarray(0, n)), 'udp');
      if (reply === undefined) continue;
      reply.copy(arena.bytes);
      udpSend(udp, arena, 0, reply.length, from, undefined, !at.isV4);
    }
  };
  loop.add(udp, { onReady }, EPOLLIN | EPOLLET);
  new AppServer(
    loop,
    at,
    (app) => {
      const pump = app.onSocket.bind(app);
      app.onSocket = () => {
        pump();
        if (app.received <= 2) return;
        const reply = table.reply(Buffer.concat(app.chunks.splice(0)).subarray(2), 'tcp');
        app.received = 0;
        if (reply !== undefined) app.send(framed(reply));
      };
    },
    pod.netns,
  );
  return clients;
}
