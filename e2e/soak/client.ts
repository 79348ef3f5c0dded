// SPDX-License-Identifier: Apache-2.0
// The load of a soak: requests at a steady rate, most on connections that stay and some on connections of their own, and now and then one
// that policy denies. client.ts URL DENIED_HOST DENIED_PORT RATE. A line of JSON a second tells the counts since the last.
import { Agent, get } from 'node:http';
import { connect } from 'node:net';

const [url = '', deniedHost = '', deniedPort = '0', rate = '2200'] = process.argv.slice(2);
const TICK_MS = 10;
const TIMEOUT_MS = 10_000;
/** One request in so many opens a connection of its own. */
const SHORT_EVERY = 10;

const staying = new Agent({ keepAlive: true, maxSockets: 32 });
const counts = { sent: 0, ok: 0, failed: 0, denied: 0, leaked: 0, reasons: {} as Record<string, number> };

function failed(reason: string): void {
  counts.failed++;
  counts.reasons[reason] = (counts.reasons[reason] ?? 0) + 1;
}

function ask(number: number): void {
  counts.sent++;
  const agent = number % SHORT_EVERY === 0 ? false : staying;
  const request = get(url, { agent, timeout: TIMEOUT_MS }, (response) => {
    response.resume();
    response.on('end', () =>
      response.statusCode === 200 ? void counts.ok++ : failed(`status ${response.statusCode}`),
    );
    response.on('error', (error) => failed(`answer: ${error.message}`));
  });
  request.on('timeout', () => request.destroy(new Error('no answer in time')));
  request.on('error', (error) => failed(error.message));
}

/** A connection that policy denies must end without a byte. */
function askDenied(): void {
  const socket = connect({ host: deniedHost, port: Number(deniedPort) }, () => socket.write('GET / HTTP/1.0\r\n\r\n'));
  socket.on('data', () => {
    counts.leaked++;
    socket.destroy();
  });
  socket.on('error', () => {});
  socket.on('close', () => void counts.denied++);
}

let due = 0;
let sent = 0;
const started = performance.now();
const ticking = setInterval(() => {
  due = ((performance.now() - started) * Number(rate)) / 1000;
  while (sent < due) ask(sent++);
}, TICK_MS);
const denying = setInterval(askDenied, 500);
const telling = setInterval(() => {
  console.log(JSON.stringify(counts));
  Object.assign(counts, { sent: 0, ok: 0, failed: 0, denied: 0, leaked: 0, reasons: {} });
}, 1000);

process.on('SIGTERM', () => {
  clearInterval(ticking);
  clearInterval(denying);
  // What is under way is waited for, so that stopping is no failure.
  setTimeout(() => {
    clearInterval(telling);
    console.log(JSON.stringify(counts));
    process.exit(0);
  }, 1500);
});
