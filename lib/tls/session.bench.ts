// SPDX-License-Identifier: Apache-2.0
// Write and read of 64 KiB through a pair of sessions, against node:tls on an in-memory stream: bytes per CPU second.
//   node lib/tls/session.bench.ts [seconds]
import { duplexPair } from 'node:stream';
import { TLSSocket, connect as tlsConnect } from 'node:tls';
import { createTlsMaterial } from '#lib/testkit/tls-material.ts';
import { carry, connect, createPair } from '#lib/testkit/tls-pair.ts';
import { Cell } from './openssl.ts';

const seconds = Number(process.argv[2] ?? 2);
const BLOCK = 64 * 1024;
const { ca, cart, orders, context } = await createTlsMaterial();

function report(name: string, bytes: number, cpu: NodeJS.CpuUsage): void {
  const used = process.cpuUsage(cpu);
  const cpuSeconds = (used.user + used.system) / 1e6;
  console.log(`${name}: ${(bytes / cpuSeconds / 1e9).toFixed(2)} GB per CPU second`);
}

function ours(): void {
  using pair = createPair(context(cart), context(orders));
  connect(pair);
  const [out, into] = [new Cell(BLOCK), new Cell(4 * BLOCK)];
  let bytes = 0;
  const round = (): void => {
    if (pair.client.writeRoom() >= BLOCK) pair.client.write(out.pointer, BLOCK);
    else pair.client.write(out.pointer, Math.min(BLOCK, pair.client.writeRoom()));
    carry(pair.client, pair.server);
    for (let n = 1; n > 0; bytes += Math.max(0, n)) n = pair.server.read(into.pointer, into.bytes.length);
  };
  for (let i = 0; i < 5000; i++) round();
  bytes = 0;
  const cpu = process.cpuUsage();
  for (const end = performance.now() + seconds * 1000; performance.now() < end; ) for (let i = 0; i < 100; i++) round();
  report('ambit session pair', bytes, cpu);
}

/** One small record written, moved and read: what a request costs. */
function small(length: number): void {
  using pair = createPair(context(cart), context(orders));
  connect(pair);
  const [out, into] = [new Cell(length), new Cell(4 * BLOCK)];
  const round = (): void => {
    pair.client.write(out.pointer, length);
    carry(pair.client, pair.server);
    pair.server.read(into.pointer, into.bytes.length);
  };
  for (let i = 0; i < 50_000; i++) round();
  const cpu = process.cpuUsage();
  const ROUNDS = 200_000;
  for (let i = 0; i < ROUNDS; i++) round();
  const used = process.cpuUsage(cpu);
  console.log(`record of ${length} bytes: ${Math.round(((used.user + used.system) * 1000) / ROUNDS)} ns of CPU`);
}

async function nodes(): Promise<void> {
  const [left, right] = duplexPair({ highWaterMark: 1 << 20 });
  const server = new TLSSocket(left, { isServer: true, cert: orders.chainPem, key: orders.keyPem });
  const client = tlsConnect({ socket: right, ca: ca.rootPem, checkServerIdentity: () => undefined });
  await new Promise((resolve) => client.once('secureConnect', resolve));
  const block = Buffer.alloc(BLOCK);
  let bytes = 0;
  let running = true;
  server.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  const send = (): void => {
    while (running && client.write(block));
  };
  client.on('drain', send);
  send();
  await new Promise((resolve) => setTimeout(resolve, 500));
  bytes = 0;
  const cpu = process.cpuUsage();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  report('node:tls pair', bytes, cpu);
  running = false;
  for (const one of [client, server, left, right]) one.destroy();
}

for (let i = 0; i < 3; i++) {
  small(100);
  ours();
  await nodes();
}
