// SPDX-License-Identifier: Apache-2.0
// Client and server together over real grpc-js connections on loopback.

import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { Client, status as Code, credentials, Server, ServerCredentials, type ServiceError } from '@grpc/grpc-js';
import { type Clock, systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import { DeltaDiscoveryRequestSchema } from '#lib/proto/gen/discovery_pb.ts';
import { createTestCa, type TestIdentity } from '#lib/testkit/certificates.ts';
import { FakeClock } from '#lib/testkit/clock.ts';
import { Door } from '#lib/testkit/door.ts';
import { until } from '#lib/testkit/until.ts';
import { DeltaClient, type Endpoint } from './client.ts';
import type { Rejection, Subscription } from './client-state.ts';
import { makeNode } from './node.ts';
import { ADDRESS_TYPE, makeEntry } from './resource.ts';
import { ResourceLog } from './resource-log.ts';
import { type Admission, DeltaServer } from './server.ts';

const NODE = makeNode({ type: 'ztunnel', ip: '1.1.1.1', name: 'z', namespace: 'istio-system' }, 'cluster.local', {});
const quiet = createLogger({ scope: 'xds', level: 'off' });
const entry = (name: string, value: number, size = 1) =>
  makeEntry({ typeUrl: ADDRESS_TYPE, name, value: new Uint8Array(size).fill(value) });

interface Options {
  readonly clock?: Clock;
  readonly admit?: (headers: string | undefined) => Admission;
  readonly ready?: () => boolean;
  readonly identity?: TestIdentity;
  /** How often it pings, and says so. */
  readonly pulseMs?: number;
}

function serverCredentials(identity: TestIdentity | undefined): ServerCredentials {
  if (identity === undefined) return ServerCredentials.createInsecure();
  const pair = { private_key: Buffer.from(identity.keyPem), cert_chain: Buffer.from(identity.chainPem) };
  return ServerCredentials.createSsl(null, [pair]);
}

async function startServer(
  log: ResourceLog,
  { admit, clock = systemClock, ready = () => true, identity, pulseMs }: Options = {},
) {
  const events: string[] = [];
  let count = 0;
  const delta = new DeltaServer({
    clock,
    log: quiet,
    observer: {
      opened: ({ id, identity }) => events.push(`opened ${id.split('~')[0]} ${identity}`),
      started: () => events.push('started'),
      closed: () => events.push('closed'),
      sent: (_, { resources, removed }) => events.push(`sent ${resources} ${removed}`),
      received: (_, note) => events.push(note.kind === 'nacked' ? `nacked ${note.error}` : note.kind),
      refused: (_, reason) => events.push(`refused ${reason}`),
    },
    controlPlane: '{"Component":"istiod"}',
    nonce: () => `${process.pid}-${++count}`,
    admit: async ({ metadata }) =>
      admit?.(metadata.get('authorization')[0]?.toString()) ?? { ok: true, identity: 'tester' },
    ready,
    ...(pulseMs !== undefined && { pulseMs }),
  });
  const resolve = (key: string) => (log.get(key) === undefined ? [] : [key]);
  delta.serve({ typeUrl: ADDRESS_TYPE, view: () => ({ log, resolve }) });
  const pings = pulseMs === undefined ? {} : { 'grpc.keepalive_time_ms': pulseMs };
  const server = new Server({ 'grpc.max_receive_message_length': -1, ...pings });
  const service = delta.service('plaintext');
  const { deltaAggregatedResources } = service.definition;
  let copied = 0;
  const counting = {
    ...deltaAggregatedResources,
    responseSerialize: (frame: Buffer) => {
      copied++;
      return deltaAggregatedResources.responseSerialize(frame);
    },
  };
  server.addService({ deltaAggregatedResources: counting }, service.implementation);
  const bound = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', serverCredentials(identity), (error, at) =>
      error === null ? resolve(at) : reject(error),
    ),
  );
  return {
    delta,
    events,
    port: bound,
    /** Messages that the transport has made a copy of. */
    copied: () => copied,
    set(...entries: ReturnType<typeof entry>[]) {
      log.update(entries, []);
      delta.push();
    },
    async [Symbol.asyncDispose]() {
      delta.close();
      server.forceShutdown();
    },
  };
}

function startClient(
  port: number,
  options: { reject?: string; token?: () => string; endpoint?: Partial<Endpoint>; clock?: Clock } = {},
) {
  const held = new Map<string, number>();
  const batches: number[] = [];
  const connections: boolean[] = [];
  const subscription: Subscription = {
    typeUrl: ADDRESS_TYPE,
    mode: 'wildcard',
    handle: (resources, removed): Rejection[] => {
      batches.push(resources.length);
      for (const { name, value } of resources) held.set(name, value[0] ?? -1);
      for (const name of removed) held.delete(name);
      return resources.filter(({ name }) => name === options.reject).map(({ name }) => ({ name, reason: 'refused' }));
    },
  };
  const client = new DeltaClient({
    endpoint: {
      target: `127.0.0.1:${port}`,
      headers: async () => (options.token === undefined ? {} : { authorization: `Bearer ${options.token()}` }),
      ...options.endpoint,
    },
    node: NODE,
    subscriptions: [subscription],
    clock: options.clock ?? systemClock,
    log: quiet,
    onConnected: (connected) => connections.push(connected),
  });
  client.start();
  return { client, held, batches, connections, [Symbol.asyncDispose]: () => client.stop() };
}

test('a client gets all, follows changes, and the server sees it synced', async () => {
  const log = new ResourceLog();
  log.update([entry('a', 1), entry('b', 1)], []);
  await using server = await startServer(log);
  await using client = startClient(server.port);
  await client.client.whenSynced();
  equal(client.held.size, 2);
  server.set(entry('a', 2));
  await until('the change', () => client.held.get('a') === 2);
  await until('synced', () => server.delta.streams()[0]?.types[0]?.synced);
  equal(server.delta.streams()[0]?.peer.identity, 'tester');
});

test('a server is believed under the roots given, by the name dialled or the alternative one', async () => {
  const [ca, other] = await Promise.all([createTestCa(), createTestCa('another root')]);
  const names = [
    { type: 'dns' as const, value: 'istiod.example' },
    { type: 'dns' as const, value: 'localhost' },
  ];
  const identity = await ca.issue(names, { extendedKeyUsage: [] });
  const byAddress = await ca.issue([{ type: 'ip', value: '127.0.0.1' }], { extendedKeyUsage: [] });
  const log = new ResourceLog();
  await using server = await startServer(log, { identity });
  server.set(entry('a', 1));
  await using numbered = await startServer(log, { identity: byAddress });
  const dial = (port: number, host: string, root: string, alternativeName?: string) =>
    startClient(port, {
      endpoint: { target: `${host}:${port}`, rootCertificates: async () => Buffer.from(root), alternativeName },
    });
  await using foreign = dial(server.port, 'localhost', other.rootPem, 'istiod.example');
  await using misnamed = dial(server.port, '127.0.0.1', ca.rootPem);
  await using named = dial(server.port, 'localhost', ca.rootPem);
  await using alternative = dial(server.port, '127.0.0.1', ca.rootPem, 'istiod.example');
  await using address = dial(numbered.port, '127.0.0.1', ca.rootPem);
  const served = [named, alternative, address];
  await until('those who may believe are served', () => served.every(({ held }) => held.get('a') === 1));
  equal(foreign.held.size + misnamed.held.size, 0);
  equal(server.events.filter((event) => event.startsWith('opened')).length, 2);
});

test('twenty thousand resources come in one response', async () => {
  const log = new ResourceLog();
  log.update(
    Array.from({ length: 20_000 }, (_, i) => entry(`n${i}`, 1, 400)),
    [],
  );
  await using server = await startServer(log);
  await using client = startClient(server.port);
  await client.client.whenSynced();
  deepEqual(client.batches, [20_000]);
});

test('what many clients are told is sent to each as it is, without a copy in the transport', async () => {
  const log = new ResourceLog();
  log.update([entry('a', 1)], []);
  await using server = await startServer(log);
  await using stack = new AsyncDisposableStack();
  const clients = Array.from({ length: 3 }, () => stack.use(startClient(server.port)));
  await Promise.all(clients.map(({ client }) => client.whenSynced()));
  server.set(entry('b', 1));
  await until('the change', () => clients.every(({ batches }) => batches.length === 2));
  equal(server.copied(), 0);
});

test('of many clients that come at once, those who must wait for the first snapshots of others get theirs too', async () => {
  const log = new ResourceLog();
  log.update(
    Array.from({ length: 60 }, (_, i) => entry(`n${i}`, 1, 1024 * 1024)),
    [],
  );
  await using server = await startServer(log);
  await using stack = new AsyncDisposableStack();
  const clients = Array.from({ length: 4 }, () => stack.use(startClient(server.port)));
  await Promise.all(clients.map(({ client }) => client.whenSynced()));
  for (const { batches } of clients) deepEqual(batches, [60]);
  const waits = server.events.filter((event) => event.startsWith('started'));
  equal(waits.length, 4);
});

test('a restarted server resends nothing that the client still holds', async () => {
  const log = new ResourceLog();
  log.update([entry('a', 1), entry('b', 1)], []);
  const first = await startServer(log);
  await using door = await Door.open(first.port);
  await using client = startClient(door.port);
  await client.client.whenSynced();
  await first[Symbol.asyncDispose]();
  await until('the loss', () => !client.client.connected);
  equal(client.held.size, 2);
  const fresh = new ResourceLog();
  fresh.update([entry('a', 1), entry('c', 1)], []);
  await using second = await startServer(fresh);
  door.lead(second.port);
  await until('the difference', () => client.held.has('c'));
  deepEqual([...client.held.keys()].sort(), ['a', 'c']);
  ok(second.events.includes('sent 1 1'), second.events.join());
});

test('a rejected resource reaches the server as a NACK with name and reason', async () => {
  const log = new ResourceLog();
  log.update([entry('good', 1), entry('bad', 1)], []);
  await using server = await startServer(log);
  await using client = startClient(server.port, { reject: 'bad' });
  await until('the NACK', () => server.events.includes('nacked bad: refused'));
  equal(client.held.get('good'), 1);
  equal(server.delta.streams()[0]?.types[0]?.lastError, 'bad: refused');
});

test('a refused client asks again with what its token file then holds', async () => {
  const log = new ResourceLog();
  let token = 'expired';
  const admit = (header: string | undefined): Admission =>
    header === 'Bearer good'
      ? { ok: true, identity: 'z' }
      : { ok: false, code: Code.UNAUTHENTICATED, reason: `token ${header} is not valid` };
  await using server = await startServer(log, { admit });
  await using client = startClient(server.port, { token: () => token });
  const refused = await until('the refusal', () => server.events.find((event) => event.startsWith('refused')));
  match(refused, /Bearer expired is not valid/);
  token = 'good';
  await client.client.whenSynced();
});

test('a server that is not ready turns clients away until it is', async () => {
  let ready = false;
  await using server = await startServer(new ResourceLog(), { ready: () => ready });
  await using client = startClient(server.port);
  await until('a refusal', () => server.events.some((event) => event.includes('not ready')));
  equal(server.delta.streams().length, 0);
  ready = true;
  await client.client.whenSynced();
});

test('a burst of changes reaches a client as its newest state, in few responses', async () => {
  const log = new ResourceLog();
  log.update([entry('a', 0, 100_000)], []);
  await using server = await startServer(log);
  await using client = startClient(server.port);
  await client.client.whenSynced();
  for (let i = 1; i <= 200; i++) server.set(entry('a', i, 100_000));
  await until('the newest state', () => client.held.get('a') === 200);
  ok(client.batches.length < 100, `${client.batches.length} responses`);
});

test('a server that ends sends its clients away one after the other, and lets nobody in again', async () => {
  const log = new ResourceLog();
  log.update([entry('a', 1)], []);
  const clock = new FakeClock();
  await using server = await startServer(log, { clock });
  await using stack = new AsyncDisposableStack();
  const clients = Array.from({ length: 4 }, () => stack.use(startClient(server.port)));
  await Promise.all(clients.map(({ client }) => client.whenSynced()));
  const moments = [0, 0.25, 0.5, 0.75];
  const draining = server.delta.drain(400, () => moments.shift() ?? 0);
  const left = [server.delta.streams().length];
  for (let n = 0; n < 3; n++) {
    await clock.advance(100);
    left.push(server.delta.streams().length);
  }
  await draining;
  deepEqual(left, [3, 2, 1, 0]);
  for (const { held } of clients) equal(held.size, 1);
  await until('a refusal', () => server.events.some((event) => event.includes('another one serves')));
});

test('a stream that never says who it is ends by itself', async () => {
  const clock: Clock = { ...systemClock, after: (ms, fn) => systemClock.after(ms / 1000, fn) };
  await using server = await startServer(new ResourceLog(), { clock });
  using raw = openRaw(server);
  equal((await raw.ended).code, Code.DEADLINE_EXCEEDED);
});

test('a stream whose first request has no node id is refused', async () => {
  await using server = await startServer(new ResourceLog());
  using raw = openRaw(server);
  raw.stream.write(Buffer.from(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema))));
  equal((await raw.ended).code, Code.INVALID_ARGUMENT);
});

/** A stream on which a test writes bytes itself. */
function openRaw(server: Awaited<ReturnType<typeof startServer>>) {
  const client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure());
  const { path } = server.delta.service('plaintext').definition.deltaAggregatedResources;
  const same = (bytes: Buffer) => bytes;
  const stream = client.makeBidiStreamRequest(path, same, same);
  const ended = new Promise<ServiceError>((resolve) => stream.on('error', resolve).on('data', () => undefined));
  return { stream, ended, [Symbol.dispose]: () => client.close() };
}

for (const secured of [false, true]) {
  test(`a quiet server is kept for its pulse, and left when the link carries nothing more${secured ? ', by TLS' : ''}`, async () => {
    const ca = await createTestCa();
    const identity = await ca.issue([{ type: 'ip', value: '127.0.0.1' }], { extendedKeyUsage: [] });
    const log = new ResourceLog();
    await using server = await startServer(log, { pulseMs: 1_000, ...(secured && { identity }) });
    await using door = await Door.open(server.port);
    let looks = 0;
    const clock: Clock = {
      ...systemClock,
      after: (ms, look) =>
        systemClock.after(ms, () => {
          looks++;
          look();
        }),
    };
    const roots = secured ? { rootCertificates: async () => Buffer.from(ca.rootPem) } : {};
    await using client = startClient(door.port, { clock, endpoint: roots });
    server.set(entry('a', 1));
    await until('the resource', () => client.held.has('a'));
    await until('more looks than silence may last', () => looks >= 6);
    deepEqual(client.connections, [true]);
    // Both ends' TCP is answered as before: only what they say does not arrive.
    door.stall();
    await until('the client to leave', () => client.connections.length > 1);
    server.set(entry('b', 2));
    door.resume();
    await until('what it missed', () => client.held.has('b'));
    deepEqual(client.connections, [true, false, true]);
  });
}
