// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createServer as createHttp2Server, type ServerHttp2Session } from 'node:http2';
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

test('a lane that asks again and again leaves no listeners behind', async () => {
  const { serveLedger } = await import('./ledger.ts');
  const { tcpLane } = await import('./lanes.ts');
  const warned: string[] = [];
  const hear = (warning: Error): unknown => warned.push(warning.name);
  process.on('warning', hear);
  const server = serveLedger(0);
  await new Promise((resolve) => server.once('listening', resolve));
  const lane = await tcpLane(`127.0.0.1:${(server.address() as AddressInfo).port}`);
  for (let k = 0; k < 20; k++) await lane.ask();
  await lane.close();
  await new Promise((resolve) => setImmediate(resolve));
  process.off('warning', hear);
  assert.deepEqual(warned, []);
  server.close();
});

test('a lane that was dropped leaves no connection to the next one', async () => {
  const { grpcLane } = await import('./lanes.ts');
  const opened: ServerHttp2Session[] = [];
  const server = createHttp2Server();
  server.on('session', (session) => opened.push(session.on('error', () => undefined)));
  const call = () => new Promise<void>((resolve) => server.once('stream', () => resolve()));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const place = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const first = call();
  const lost = await grpcLane(place);
  await first;
  const second = call();
  const next = await grpcLane(place);
  await second;
  assert.equal(opened.length, 2);
  const gone = new Promise((resolve) => opened[0]?.once('close', resolve));
  lost.drop();
  await gone;
  assert.equal(opened[1]?.closed, false);
  next.drop();
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
