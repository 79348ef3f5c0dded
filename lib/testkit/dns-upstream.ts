// SPDX-License-Identifier: Apache-2.0
// A resolver for tests, in this process: answers from a table by UDP and TCP on one loopback port, or says nothing.
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { createServer, type Server } from 'node:net';
import { type Answer, decode, encode, type Packet } from 'dns-packet';

export class DnsUpstream implements AsyncDisposable {
  /** By name; a name that is not here does not exist. */
  readonly table = new Map<string, readonly Answer[]>();
  /** `name type protocol` of every question so far. */
  readonly asked: string[] = [];
  /** Says nothing at all. */
  silent = false;
  /** By UDP, tells to ask again by TCP. */
  truncates = false;
  readonly #udp: UdpSocket;
  readonly #tcp: Server;

  private constructor(udp: UdpSocket) {
    this.#udp = udp;
    udp.on('message', (message, from) => {
      const reply = this.#reply(message, 'udp');
      if (reply !== undefined) udp.send(reply, from.port, from.address);
    });
    this.#tcp = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.on('data', (bytes: Buffer) => {
        const reply = this.#reply(bytes.subarray(2), 'tcp');
        if (reply === undefined) return;
        const length = Buffer.alloc(2);
        length.writeUInt16BE(reply.length);
        socket.end(Buffer.concat([length, reply]));
      });
    });
  }

  static async start(): Promise<DnsUpstream> {
    const udp = createSocket('udp4');
    await new Promise<void>((resolve) => udp.bind(0, '127.0.0.1', resolve));
    const upstream = new DnsUpstream(udp);
    const { port } = udp.address();
    await new Promise<void>((resolve) => upstream.#tcp.listen(port, '127.0.0.1', resolve));
    return upstream;
  }

  /** `ip:port`. */
  get endpoint(): string {
    return `127.0.0.1:${this.#udp.address().port}`;
  }

  #reply(message: Buffer, protocol: 'udp' | 'tcp'): Buffer | undefined {
    const query: Packet = decode(message);
    const question = query.questions?.[0];
    if (question === undefined) return undefined;
    this.asked.push(`${question.name} ${question.type} ${protocol}`);
    if (this.silent) return undefined;
    const known = this.table.get(question.name);
    const cut = this.truncates && protocol === 'udp';
    const reply = encode({
      type: 'response',
      id: query.id ?? 0,
      flags: 0x180 | (cut ? 0x200 : 0),
      questions: [question],
      answers: cut ? [] : (known ?? []).filter(({ type }) => type === question.type || type === 'CNAME'),
    });
    if (known === undefined) reply[3] = (reply[3]! & 0xf0) | 3;
    return reply;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#udp.close();
    await new Promise((resolve) => this.#tcp.close(resolve));
  }
}
