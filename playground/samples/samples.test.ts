// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { type AddressInfo, connect, createServer } from 'node:net';
import { test } from 'node:test';

test('a lane fails when its connection is lost', async () => {
  const { tcpLane } = await import('./lanes.ts');
  const server = createServer((socket) => socket.once('data', () => socket.end('booked flour-0 from x\n'))).listen(
    0,
    '127.0.0.1',
  );
  await new Promise((resolve) => server.once('listening', resolve));
  const lane = await tcpLane(`127.0.0.1:${(server.address() as AddressInfo).port}`);
  await lane.ask();
  await assert.rejects(lane.ask(), /ended|EPIPE|ECONNRESET/);
  await lane.close();
  server.close();
});

test('the ledger outlives a client that resets its connection', async () => {
  const { serveLedger } = await import('./ledger.ts');
  const server = serveLedger(0);
  const client = () => connect((server.address() as AddressInfo).port, '127.0.0.1').setEncoding('utf8');
  await new Promise((resolve) => server.once('listening', resolve));
  const gone = new Promise((resolve) => server.once('connection', (socket) => socket.once('close', resolve)));
  const rude = client();
  rude.write('flour-1\n');
  await new Promise((resolve) => rude.once('data', resolve));
  rude.resetAndDestroy();
  await gone;
  const next = client();
  next.end('flour-2\n');
  const answer = await new Promise<string>((resolve) => next.once('data', (text) => resolve(String(text))));
  assert.match(answer, /^booked flour-2 from 127\.0\.0\.1/);
  server.close();
});

test('the ledger answers line for line and honours a half-close', async () => {
  const { serveLedger } = await import('./ledger.ts');
  const server = serveLedger(0);
  await new Promise((resolve) => server.once('listening', resolve));
  const { book } = await import('./web.ts');
  assert.equal(
    await book(`127.0.0.1:${(server.address() as AddressInfo).port}`, 'flour'),
    'booked flour from 127.0.0.1',
  );
  server.close();
});
