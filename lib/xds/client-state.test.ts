// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { DeltaDiscoveryResponseSchema, NodeSchema } from '#lib/proto/gen/discovery_pb.ts';
import { DeltaClientState, type Rejection } from './client-state.ts';
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from './resource.ts';

const NODE = create(NodeSchema, { id: 'n' });

function response(
  nonce: string,
  versions: Record<string, string>,
  removedResources: string[] = [],
  typeUrl = ADDRESS_TYPE,
) {
  const resources = Object.entries(versions).map(([name, version]) => ({
    name,
    version,
    resource: { typeUrl, value: Uint8Array.of(1) },
  }));
  return create(DeltaDiscoveryResponseSchema, { typeUrl, nonce, resources, removedResources });
}

function setUp(mode: 'wildcard' | 'on-demand' = 'wildcard', reject: (name: string) => boolean = () => false) {
  const seen: string[] = [];
  const handle = (resources: readonly { name: string }[], removed: readonly string[]): Rejection[] => {
    seen.push(`+${resources.map(({ name }) => name).join(',')} -${removed.join(',')}`);
    return resources.filter(({ name }) => reject(name)).map(({ name }) => ({ name, reason: 'bad' }));
  };
  const state = new DeltaClientState(NODE, [
    { typeUrl: ADDRESS_TYPE, mode, handle },
    { typeUrl: AUTHORIZATION_TYPE, mode: 'wildcard', handle: () => [] },
  ]);
  return { state, seen };
}

test('a first stream asks for each type in order, with the node and without versions', () => {
  const requests = setUp().state.open();
  deepEqual(
    requests.map(({ typeUrl }) => typeUrl),
    [ADDRESS_TYPE, AUTHORIZATION_TYPE],
  );
  for (const request of requests) {
    equal(request.node?.id, 'n');
    deepEqual(request.resourceNamesSubscribe, []);
    deepEqual(request.initialResourceVersions, {});
  }
});

test('an accepted response is acknowledged by its nonce and nothing else', () => {
  const { state, seen } = setUp();
  const { reply, accepted } = state.receive(response('n1', { a: '1' }));
  equal(reply.responseNonce, 'n1');
  equal(reply.errorDetail, undefined);
  equal(reply.node, undefined);
  equal(accepted, 1);
  deepEqual(seen, ['+a -']);
});

test('a bad resource rejects only itself, is named in the NACK, and is asked for again after a reconnect', () => {
  const { state } = setUp('wildcard', (name) => name === 'b');
  const { reply, rejected } = state.receive(response('n1', { a: '1', b: '2', c: '3' }));
  equal(reply.responseNonce, 'n1');
  equal(reply.errorDetail?.message, 'b: bad');
  equal(rejected.length, 1);
  deepEqual(state.open()[0]?.initialResourceVersions, { a: '1', c: '3' });
});

test('a resource of another type than announced, or without content, is rejected without the handler', () => {
  const { state, seen } = setUp();
  const odd = create(DeltaDiscoveryResponseSchema, {
    typeUrl: ADDRESS_TYPE,
    nonce: 'n1',
    resources: [{ name: 'x', resource: { typeUrl: AUTHORIZATION_TYPE } }, { name: 'y' }],
  });
  equal(state.receive(odd).reply.errorDetail?.message, `x: it is a ${AUTHORIZATION_TYPE}; y: it has no content`);
  deepEqual(seen, ['+ -']);
});

test('after a reconnect every accepted name is told with its last version, removed ones are not', () => {
  const { state } = setUp();
  state.receive(response('n1', { a: '1', b: '1' }));
  state.receive(response('n2', { a: '2' }, ['b']));
  deepEqual(state.open()[0]?.initialResourceVersions, { a: '2' });
});

test('it is synced when every wildcard type has had an accepted response', () => {
  const { state } = setUp('wildcard', (name) => name === 'bad');
  state.receive(response('n1', {}, [], AUTHORIZATION_TYPE));
  equal(state.synced, false);
  state.receive(response('n2', { bad: '1' }));
  equal(state.synced, false);
  state.receive(response('n3', {}));
  equal(state.synced, true);
});

test('an on-demand type starts with nothing, asks once for each name, and repeats what is unanswered', () => {
  const { state } = setUp('on-demand');
  deepEqual(state.open()[0]?.resourceNamesSubscribe, ['*']);
  deepEqual(state.open()[0]?.resourceNamesUnsubscribe, ['*']);
  deepEqual(state.want(ADDRESS_TYPE, ['x', 'y'])?.resourceNamesSubscribe, ['x', 'y']);
  equal(state.want(ADDRESS_TYPE, ['x']), undefined);
  state.receive(response('n1', { x: '1' }));
  deepEqual(state.open()[0]?.initialResourceVersions, { x: '1', y: '' });
});

test('a response of a type nobody asked for is acknowledged', () => {
  const { state } = setUp();
  const { known, reply } = state.receive(response('n1', { a: '1' }, [], 'type.googleapis.com/x.Y'));
  equal(known, false);
  equal(reply.responseNonce, 'n1');
  equal(reply.errorDetail, undefined);
});
