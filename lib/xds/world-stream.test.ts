// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { create, fromBinary, type MessageInitShape } from '@bufbuild/protobuf';
import { DiscoveryRequestSchema, DiscoveryResponseSchema } from '#lib/proto/gen/discovery_pb.ts';
import { ADDRESS_TYPE, makeEntry } from './resource.ts';
import { ResourceLog } from './resource-log.ts';
import type { ServerResponse } from './responder.ts';
import { WorldStream } from './world-stream.ts';

const PEER = { id: 'sidecar~1.1.1.1~a.shop~shop.svc.cluster.local', metadata: {}, identity: '' };
const HEALTH = 'type.googleapis.com/istio.v1.HealthInformation';
const entry = (name: string, value: number) =>
  makeEntry({ typeUrl: ADDRESS_TYPE, name, value: Uint8Array.of(value), aliases: [`net/${name}`] });

function setUp() {
  const log = new ResourceLog();
  log.update([entry('a', 1), entry('b', 2)], []);
  const resolve = (key: string) => {
    const name = key.replace('net/', '');
    return log.get(name) === undefined ? [] : [name];
  };
  let count = 0;
  const stream = new WorldStream({
    peer: PEER,
    sources: new Map([[ADDRESS_TYPE, { typeUrl: ADDRESS_TYPE, view: () => ({ log, resolve }) }]]),
    reports: new Set([HEALTH]),
    responses: { nonce: () => `n${++count}`, controlPlane: '{"Component":"istiod"}' },
  });
  const ask = (request: MessageInitShape<typeof DiscoveryRequestSchema> = {}) =>
    stream.receive(create(DiscoveryRequestSchema, { typeUrl: ADDRESS_TYPE, ...request }));
  return { log, stream, ask };
}

/** The one byte of each resource, in order. */
function decode(response: ServerResponse | undefined) {
  ok(response !== undefined, 'a response was expected');
  const message = fromBinary(DiscoveryResponseSchema, response.bytes);
  ok(message.resources.every(({ typeUrl }) => typeUrl === ADDRESS_TYPE));
  return {
    nonce: message.nonce,
    version: message.versionInfo,
    values: message.resources.map(({ value }) => value[0]).sort(),
    controlPlane: message.controlPlane?.identifier,
  };
}

test('who names nothing gets all there is, and all of it again when something changes or goes', () => {
  const { ask, log, stream } = setUp();
  const first = decode(ask().response);
  deepEqual([first.values, first.controlPlane], [[1, 2], '{"Component":"istiod"}']);
  equal(ask({ responseNonce: first.nonce, versionInfo: first.version }).response, undefined);
  deepEqual(stream.push(), []);
  log.update([entry('b', 3)], []);
  const second = decode(stream.push()[0]);
  deepEqual(second.values, [1, 3]);
  ok(second.version !== first.version);
  ask({ responseNonce: second.nonce });
  log.update([], ['a']);
  deepEqual(decode(stream.push()[0]).values, [3]);
});

test('who names some gets those, by alias too, hears nothing of others, and may change what it names', () => {
  const { ask, log, stream } = setUp();
  const first = decode(ask({ resourceNames: ['net/a'] }).response);
  deepEqual(first.values, [1]);
  equal(ask({ responseNonce: first.nonce, resourceNames: ['net/a'] }).response, undefined);
  log.update([entry('b', 3)], []);
  deepEqual(stream.push(), []);
  equal(stream.status()[0]?.synced, true);
  const more = decode(ask({ responseNonce: first.nonce, resourceNames: ['a', 'b'] }).response);
  deepEqual(more.values, [1, 3]);
  const none = decode(ask({ responseNonce: more.nonce, resourceNames: [] }).response);
  deepEqual(none.values, []);
  const all = decode(ask({ responseNonce: none.nonce, resourceNames: ['*'] }).response);
  deepEqual(all.values, [1, 3]);
});

test('while a response is not answered nothing is pushed, then comes the newest state', () => {
  const { ask, log, stream } = setUp();
  const first = decode(ask().response);
  log.update([entry('a', 5)], []);
  log.update([entry('a', 6)], []);
  deepEqual(stream.push(), []);
  ask({ responseNonce: first.nonce });
  deepEqual(decode(stream.push()[0]).values, [2, 6]);
});

test('a refusal is noted with its reason, and an answer to an older response is ignored', () => {
  const { ask, log, stream } = setUp();
  const first = decode(ask().response);
  const refusal = ask({ responseNonce: first.nonce, errorDetail: { message: 'no room' } });
  deepEqual(refusal, { note: { kind: 'nacked', typeUrl: ADDRESS_TYPE, error: 'no room' }, response: undefined });
  equal(stream.status()[0]?.lastError, 'no room');
  deepEqual(ask({ responseNonce: 'other' }).note.kind, 'stale');
  log.update([entry('a', 5)], []);
  const second = decode(stream.push()[0]);
  equal(ask({ responseNonce: second.nonce }).note.kind, 'acked');
  equal(stream.status()[0]?.synced, true);
});

test('a type that nobody serves is answered once with nothing, and a report not at all', () => {
  const { ask } = setUp();
  const typeUrl = 'type.googleapis.com/envoy.config.cluster.v3.Cluster';
  const answer = ask({ typeUrl });
  equal(answer.note.kind, 'unknown-type');
  const { nonce, resources } = fromBinary(DiscoveryResponseSchema, answer.response!.bytes);
  deepEqual(resources, []);
  equal(ask({ typeUrl, responseNonce: nonce }).response, undefined);
  deepEqual(ask({ typeUrl: HEALTH, errorDetail: { message: 'down' } }), {
    note: { kind: 'report', typeUrl: HEALTH, error: 'down' },
    response: undefined,
  });
});
