// SPDX-License-Identifier: Apache-2.0
// The load of a waypoint's soak: client.ts SECONDS RATE. Requests over HTTP/1.1 (most on connections that stay, some on connections of
// their own, some with content) and HTTP/2 to a service whose pods come and go; WebSockets and gRPC-like streams, each kept for long,
// to a service that stays; and requests that policy denies. At the end a line of JSON tells what became of them.
import { Agent, type RequestOptions, request } from 'node:http';
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import { setTimeout as delay } from 'node:timers/promises';
import type { Tally } from './verdict.ts';

const [seconds = '60', rate = '200'] = process.argv.slice(2);
const CHANGING = 'changing.soak';
const STEADY = 'steady.soak';
const TICK_MS = 10;
const TIMEOUT_MS = 10_000;
/** One request in so many opens a connection of its own; has content; goes by HTTP/2. */
const SHORT_EVERY = 10;
const POST_EVERY = 7;
const H2_EVERY = 3;
const BODY = 'x'.repeat(20_000);
/** Long streams of each kind, and how often each says something. */
const STREAMS = 8;
const SAY_MS = 200;
const DENY_MS = 250;

const tallies: Record<Kind, Tally> = {
  http1: { ok: 0, failed: 0, reasons: {} },
  http2: { ok: 0, failed: 0, reasons: {} },
  grpc: { ok: 0, failed: 0, reasons: {} },
  websocket: { ok: 0, failed: 0, reasons: {} },
  denied: { ok: 0, failed: 0, reasons: {} },
};
type Kind = 'http1' | 'http2' | 'grpc' | 'websocket' | 'denied';

const staying = new Agent({ keepAlive: true, maxSockets: 32 });
let session = connect(`http://${CHANGING}:9090`);
let ending = false;

function failed(kind: Kind, reason: string): void {
  const tally = tallies[kind];
  tally.failed++;
  tally.reasons[reason] = (tally.reasons[reason] ?? 0) + 1;
}

function askHttp1(kind: 'http1' | 'denied', options: RequestOptions, wanted: number, body = ''): void {
  const asked = request({ host: CHANGING, port: 8080, timeout: TIMEOUT_MS, ...options }, (response) => {
    let octets = 0;
    response.on('data', (chunk: Buffer) => {
      octets += chunk.length;
    });
    response.on('error', (error) => failed(kind, `answer: ${error.message}`));
    response.on('end', () => {
      if (response.statusCode !== wanted) failed(kind, `status ${response.statusCode}`);
      else if (wanted === 200 && octets !== body.length) failed(kind, `${octets} octets for ${body.length}`);
      else tallies[kind].ok++;
    });
  });
  asked.on('timeout', () => asked.destroy(new Error('no answer in time')));
  asked.on('error', (error) => failed(kind, error.message));
  asked.end(body);
}

/** A session that its server ends in good order is replaced; what it had begun goes on. */
function http2Session(): ClientHttp2Session {
  if (session.closed || session.destroyed) session = connect(`http://${CHANGING}:9090`);
  session.removeAllListeners('error').on('error', () => {});
  return session;
}

function askHttp2(): void {
  const stream = http2Session().request({ ':path': '/' });
  let status = 0;
  stream.setTimeout(TIMEOUT_MS, () => stream.destroy(new Error('no answer in time')));
  stream.on('response', (headers) => {
    status = Number(headers[':status']);
  });
  stream.on('error', (error) => failed('http2', error.message));
  stream.on('end', () => (status === 200 ? void tallies.http2.ok++ : failed('http2', `status ${status}`)));
  stream.resume();
}

/** Says something again and again; each answer must be the same. */
async function converse(kind: 'grpc' | 'websocket', say: (text: string) => Promise<string>): Promise<void> {
  for (let n = 0; !ending; n++) {
    const text = `${kind} ${n}`;
    try {
      const answer = await Promise.race([say(text), delay(TIMEOUT_MS, undefined, { ref: false })]);
      if (answer !== text) throw new Error(answer === undefined ? 'no answer in time' : 'another answer');
      tallies[kind].ok++;
    } catch (error) {
      return failed(kind, (error as Error).message);
    }
    await delay(SAY_MS);
  }
}

async function grpcStream(): Promise<void> {
  const own = connect(`http://${STEADY}:9090`);
  own.on('error', () => {});
  const headers = { ':method': 'POST', ':path': '/soak.Echo/Talk', 'content-type': 'application/grpc', te: 'trailers' };
  const stream = own.request(headers, { endStream: false });
  await converse('grpc', (text) => {
    const message = Buffer.from(`\0\0\0\0${String.fromCharCode(text.length)}${text}`);
    stream.write(message);
    return answerOn(stream, message.length);
  });
  stream.end();
  own.close();
}

function answerOn(stream: ClientHttp2Stream, octets: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let held = Buffer.alloc(0);
    const done = (): void => {
      stream.off('data', onData).off('error', reject).off('close', onClose);
    };
    const onClose = (): void => reject(new Error('the stream ended'));
    const onData = (chunk: Buffer): void => {
      held = Buffer.concat([held, chunk]);
      if (held.length < octets) return;
      done();
      resolve(held.subarray(5).toString());
    };
    stream.on('data', onData).on('error', reject).on('close', onClose);
  });
}

async function webSocket(): Promise<void> {
  const socket = new WebSocket(`ws://${STEADY}:8080/echo`);
  await new Promise<void>((resolve, reject) => {
    socket.onopen = () => resolve();
    socket.onerror = () => reject(new Error('no WebSocket'));
  });
  await converse('websocket', (text) => {
    socket.send(text);
    return new Promise((resolve, reject) => {
      socket.onmessage = ({ data }) => resolve(String(data));
      socket.onclose = () => reject(new Error('the WebSocket ended'));
    });
  });
  socket.close();
}

const opening = Array.from({ length: STREAMS }, () => [
  grpcStream().catch((error: Error) => failed('grpc', error.message)),
  webSocket().catch((error: Error) => failed('websocket', error.message)),
]);
const started = performance.now();
let sent = 0;
const ticking = setInterval(() => {
  for (const due = ((performance.now() - started) * Number(rate)) / 1000; sent < due; sent++) {
    if (sent % H2_EVERY === 0) askHttp2();
    else {
      const posts = sent % POST_EVERY === 0;
      const agent = sent % SHORT_EVERY === 0 ? false : staying;
      askHttp1('http1', { agent, method: posts ? 'POST' : 'GET', path: '/' }, 200, posts ? BODY : '');
    }
  }
}, TICK_MS);
const denying = setInterval(() => askHttp1('denied', { agent: staying, path: '/denied' }, 403), DENY_MS);

await delay(Number(seconds) * 1000);
clearInterval(ticking);
clearInterval(denying);
ending = true;
await Promise.all(opening.flat());
// What is under way is waited for, so that stopping is no failure.
await delay(TIMEOUT_MS / 4);
console.log(JSON.stringify(tallies));
process.exit(0);
