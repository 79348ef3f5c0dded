// SPDX-License-Identifier: Apache-2.0
// A well-behaved client in a process of its own: one HTTP/2 connection with Node's implementation, a request every few
// milliseconds. First line on standard input: the target. Each later line ends a period, whose figures are printed.
import { type ClientHttp2Session, connect } from 'node:http2';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { contextFor, type Target } from './target.ts';

/** Figures of a period. Milliseconds. */
export interface Period {
  readonly requests: number;
  readonly failures: number;
  readonly p50: number;
  readonly p99: number;
  readonly longest: number;
}

const EVERY_MS = 2;
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const target = JSON.parse(String((await lines.next()).value)) as Target;
let session = await open(target);
let took: number[] = [];
let failures = 0;
let over = false;
console.log('ready');
void go();
for (let line = await lines.next(); line.done !== true; line = await lines.next()) {
  const sorted = took.sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  const period: Period = { requests: sorted.length, failures, p50: at(0.5), p99: at(0.99), longest: at(1) };
  console.log(JSON.stringify(period));
  took = [];
  failures = 0;
}
over = true;
session.destroy();

async function open({ host, port, tls }: Target): Promise<ClientHttp2Session> {
  if (!tls) return quiet(connect(`http://${host}:${port}`));
  const socket = connectTls({
    ...{ host, port, secureContext: await contextFor('good'), ALPNProtocols: ['h2'] },
    checkServerIdentity: () => undefined,
  });
  await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
  return quiet(connect('http://tunnel', { createConnection: () => socket }));
}

/** An end of the session is seen by its requests. */
function quiet(opened: ClientHttp2Session): ClientHttp2Session {
  return opened.on('error', () => {});
}

async function go(): Promise<void> {
  while (!over) {
    const began = performance.now();
    if (session.destroyed) session = await open(target).catch(() => session);
    await exchange().then(
      () => took.push(performance.now() - began),
      () => failures++,
    );
    await setTimeout(Math.max(0, EVERY_MS - (performance.now() - began)));
  }
}

/** A request and its answer; through a tunnel, a stream with a request and its answer inside. */
function exchange(): Promise<void> {
  return new Promise((resolve, reject) => {
    const tunnel = target.request[0]?.[1] === 'CONNECT';
    const stream = session.request(Object.fromEntries(target.request), { endStream: !tunnel });
    stream.on('error', reject);
    stream.on('response', (headers) => {
      if (headers[':status'] !== 200) reject(new Error(`answered ${headers[':status']}`));
      else if (tunnel) stream.end('GET / HTTP/1.1\r\nhost: app\r\nConnection: close\r\n\r\n');
    });
    let heard = 0;
    stream.on('data', (bytes: Buffer) => {
      heard += bytes.length;
    });
    stream.on('close', () => (heard > 0 ? resolve() : reject(new Error('no answer'))));
  });
}
