// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { create, fromBinary, type MessageInitShape } from '@bufbuild/protobuf';
import { DeltaDiscoveryRequestSchema, DeltaDiscoveryResponseSchema } from '#lib/proto/gen/discovery_pb.ts';
import { ADDRESS_TYPE, makeEntry } from './resource.ts';
import { ResourceLog } from './resource-log.ts';
import { Responders, type ServerResponse } from './responder.ts';
import { type Received, ServerStream } from './server-stream.ts';

const PEER = { id: 'ztunnel~1.1.1.1~z.istio-system~istio-system.svc.cluster.local', metadata: {}, identity: '' };
const entry = (name: string, value: number, aliases: string[] = []) =>
  makeEntry({ typeUrl: ADDRESS_TYPE, name, value: Uint8Array.of(value), aliases });

function setUp() {
  const log = new ResourceLog();
  log.update([entry('a', 1, ['net/10.0.0.1']), entry('b', 1)], []);
  const resolve = (key: string) => (key === 'net/10.0.0.1' ? ['a'] : log.get(key) === undefined ? [] : [key]);
  let count = 0;
  const sources = new Map([[ADDRESS_TYPE, { typeUrl: ADDRESS_TYPE, view: () => ({ log, resolve }) }]]);
  const stream = new ServerStream({
    peer: PEER,
    sources,
    responders: new Responders({ nonce: () => `n${++count}`, controlPlane: '{}' }),
  });
  const receive = (request: MessageInitShape<typeof DeltaDiscoveryRequestSchema>) =>
    stream.receive(create(DeltaDiscoveryRequestSchema, { typeUrl: ADDRESS_TYPE, ...request }));
  return { log, stream, receive };
}

function decode(response: ServerResponse | undefined) {
  ok(response !== undefined, 'a response was expected');
  const message = fromBinary(DeltaDiscoveryResponseSchema, response.bytes);
  return {
    nonce: message.nonce,
    names: message.resources.map(({ name }) => name).sort(),
    removed: [...message.removedResources].sort(),
    aliases: message.resources.flatMap(({ aliases }) => aliases),
    typeUrl: message.typeUrl,
  };
}

function responseOf(received: Received): ServerResponse | undefined {
  return received.response;
}

function pushed(stream: ServerStream): ServerResponse[] {
  const responses = stream.push();
  ok(responses !== 'too-far-behind');
  return responses;
}

test('a wildcard subscription gets everything in one response, and then only what changes', () => {
  const { log, stream, receive } = setUp();
  const first = decode(responseOf(receive({})));
  deepEqual(first.names, ['a', 'b']);
  deepEqual(first.aliases, []);
  equal(responseOf(receive({ responseNonce: first.nonce })), undefined);
  deepEqual(pushed(stream), []);
  log.update([entry('b', 2)], ['a']);
  const [push] = pushed(stream);
  deepEqual(decode(push).names, ['b']);
  deepEqual(decode(push).removed, ['a']);
});

test('an empty collection is still answered, so that the client is not kept waiting', () => {
  const log = new ResourceLog();
  const sources = new Map([[ADDRESS_TYPE, { typeUrl: ADDRESS_TYPE, view: () => ({ log, resolve: () => [] }) }]]);
  const stream = new ServerStream({
    peer: PEER,
    sources,
    responders: new Responders({ nonce: () => 'n', controlPlane: '{}' }),
  });
  const received = stream.receive(create(DeltaDiscoveryRequestSchema, { typeUrl: ADDRESS_TYPE }));
  deepEqual(decode(responseOf(received)).names, []);
});

test('a client that comes back is told what differs from what it holds, and what is gone', () => {
  const { receive } = setUp();
  const initialResourceVersions = { a: entry('a', 1).version, b: 'old', c: 'x' };
  const response = decode(responseOf(receive({ initialResourceVersions })));
  deepEqual(response.names, ['b']);
  deepEqual(response.removed, ['c']);
});

test('while a response is not acknowledged nothing is pushed; then comes the newest state, once', () => {
  const { log, stream, receive } = setUp();
  const first = decode(responseOf(receive({})));
  for (let i = 2; i < 10; i++) {
    log.update([entry('a', i)], []);
    deepEqual(pushed(stream), []);
  }
  receive({ responseNonce: first.nonce });
  const [push] = pushed(stream);
  equal(push?.resources, 1);
  equal(fromBinary(DeltaDiscoveryResponseSchema, push!.bytes).resources[0]?.version, entry('a', 9).version);
});

test('a NACK is recorded with its error, gets no response, and the next change is still pushed', () => {
  const { log, stream, receive } = setUp();
  const first = decode(responseOf(receive({})));
  const received = receive({ responseNonce: first.nonce, errorDetail: { message: 'a: bad' } });
  deepEqual(received, {
    note: { kind: 'nacked', typeUrl: ADDRESS_TYPE, error: 'a: bad' },
    response: undefined,
  });
  equal(stream.status()[0]?.lastError, 'a: bad');
  equal(stream.status()[0]?.synced, false);
  log.update([entry('a', 2)], []);
  const [push] = pushed(stream);
  receive({ responseNonce: push!.nonce });
  equal(stream.status()[0]?.lastError, '');
  equal(stream.status()[0]?.synced, true);
});

test('an answer to an older response is ignored', () => {
  const { stream, receive } = setUp();
  receive({});
  const received = receive({ responseNonce: 'other' });
  equal(received.note.kind, 'stale');
  equal(stream.status()[0]?.synced, false);
});

test('subscribing to and from everything at once starts with nothing', () => {
  const { log, stream, receive } = setUp();
  const star = { resourceNamesSubscribe: ['*'], resourceNamesUnsubscribe: ['*'] };
  const first = decode(responseOf(receive({ ...star })));
  deepEqual(first.names, []);
  deepEqual(first.removed, []);
  receive({ responseNonce: first.nonce });
  log.update([entry('b', 2)], []);
  deepEqual(pushed(stream), []);
});

test('on demand, a name or an alias brings the resource with its aliases; an unknown one is named as removed', () => {
  const { log, stream, receive } = setUp();
  const star = { resourceNamesSubscribe: ['*'], resourceNamesUnsubscribe: ['*'] };
  receive({ responseNonce: decode(responseOf(receive({ ...star }))).nonce });
  const answer = decode(responseOf(receive({ resourceNamesSubscribe: ['net/10.0.0.1', 'nobody'] })));
  deepEqual(answer.names, ['a']);
  deepEqual(answer.aliases, ['net/10.0.0.1']);
  deepEqual(answer.removed, ['nobody']);
  receive({ responseNonce: answer.nonce });
  log.update([entry('a', 2), entry('b', 2)], []);
  const [push] = pushed(stream);
  deepEqual(decode(push).names, ['a']);
  receive({ responseNonce: push!.nonce });
  log.update([], ['a', 'b']);
  deepEqual(decode(pushed(stream)[0]).removed, ['a']);
});

test('on demand, a name asked for before it exists is pushed when it comes', () => {
  const { log, stream, receive } = setUp();
  const answer = decode(responseOf(receive({ resourceNamesSubscribe: ['later'] })));
  deepEqual(answer.removed, ['later']);
  receive({ responseNonce: answer.nonce });
  log.update([entry('later', 1)], []);
  deepEqual(decode(pushed(stream)[0]).names, ['later']);
});

test('an unsubscribed name is pushed no more', () => {
  const { log, stream, receive } = setUp();
  const answer = decode(responseOf(receive({ resourceNamesSubscribe: ['a'] })));
  receive({ responseNonce: answer.nonce });
  equal(responseOf(receive({ resourceNamesUnsubscribe: ['a'] })), undefined);
  log.update([entry('a', 2)], []);
  deepEqual(pushed(stream), []);
});

test('a type nobody serves gets one empty answer', () => {
  const { receive } = setUp();
  const typeUrl = 'type.googleapis.com/envoy.config.cluster.v3.Cluster';
  const received = receive({ typeUrl });
  equal(received.note.kind, 'unknown-type');
  const response = decode(responseOf(received));
  equal(response.typeUrl, typeUrl);
  equal(responseOf(receive({ typeUrl, responseNonce: response.nonce })), undefined);
});

test('a nonce from another server on a first request does not prevent the full answer', () => {
  const { receive } = setUp();
  deepEqual(decode(responseOf(receive({ responseNonce: 'old' }))).names, ['a', 'b']);
});

test('clients that are equally far get the same bytes, encoded once', () => {
  const log = new ResourceLog();
  log.update([entry('a', 1), entry('b', 1)], []);
  const view = () => ({ log, resolve: () => [] });
  const sources = new Map([[ADDRESS_TYPE, { typeUrl: ADDRESS_TYPE, view }]]);
  let count = 0;
  const responders = new Responders({ nonce: () => `n${++count}`, controlPlane: '{}' });
  const request = create(DeltaDiscoveryRequestSchema, { typeUrl: ADDRESS_TYPE });
  const streams = [1, 2, 3].map(() => new ServerStream({ peer: PEER, sources, responders }));
  const firsts = streams.map((stream) => responseOf(stream.receive(request))!);
  ok(firsts.every(({ bytes }) => bytes === firsts[0]!.bytes));
  for (const stream of streams) stream.receive({ ...request, responseNonce: firsts[0]!.nonce });
  log.update([entry('a', 2)], []);
  const pushes = streams.map((stream) => pushed(stream)[0]!);
  ok(pushes.every(({ bytes }) => bytes === pushes[0]!.bytes));
  deepEqual(decode(pushes[0]).names, ['a']);
});

test('what a client tells of itself is noted and not answered', () => {
  const typeUrl = 'type.googleapis.com/istio.v1.HealthInformation';
  const stream = new ServerStream({
    peer: PEER,
    sources: new Map(),
    responders: new Responders({ nonce: () => 'n', controlPlane: '{}' }),
    reports: new Set([typeUrl]),
  });
  const say = (message?: string) =>
    stream.receive(
      create(DeltaDiscoveryRequestSchema, {
        typeUrl,
        ...(message !== undefined && { errorDetail: { code: 1, message } }),
      }),
    );
  deepEqual(say('refuses'), { note: { kind: 'report', typeUrl, error: 'refuses' }, response: undefined });
  deepEqual(say(), { note: { kind: 'report', typeUrl, error: undefined }, response: undefined });
});
