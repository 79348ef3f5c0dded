// SPDX-License-Identifier: Apache-2.0
// Watches and what survives a restart.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestApi } from '#lib/testkit/api-server.ts';
import { at, type JsonObject, textAt } from './json.ts';

const MAPS = '/api/v1/namespaces/default/configmaps';
const put = (api: TestApi, name: string, labels: JsonObject = {}): Promise<JsonObject> =>
  api.ok('POST', MAPS, { body: { metadata: { name, labels } } });
const told = (events: [string, JsonObject][]): string[] =>
  events.map(([type, object]) => `${type} ${textAt(object, 'metadata', 'name')}`);
const versionOf = async (api: TestApi): Promise<string> =>
  textAt(await api.ok('GET', MAPS), 'metadata', 'resourceVersion')!;

test('a watch translates changes for its selector', async () => {
  const api = await TestApi.start();
  try {
    const from = await versionOf(api);
    const events = api.watch(`${MAPS}?watch=1&labelSelector=in%3Dyes&resourceVersion=${from}`, 3);
    await put(api, 'other');
    await put(api, 'mine', { in: 'yes' });
    await api.ok('PATCH', `${MAPS}/other`, { body: { metadata: { labels: { in: 'yes' } } } });
    await api.ok('PATCH', `${MAPS}/mine`, { body: { metadata: { labels: { in: 'no' } } } });
    assert.deepEqual(told(await events), ['ADDED mine', 'ADDED other', 'DELETED mine']);
  } finally {
    await api.close();
  }
});

test('a streamed list ends with a bookmark that says so', async () => {
  const api = await TestApi.start();
  try {
    await put(api, 'one');
    const query = 'watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';
    const events = await api.watch(`${MAPS}?${query}`, 2);
    assert.deepEqual(
      events.map(([type]) => type),
      ['ADDED', 'BOOKMARK'],
    );
    assert.equal(at(events[1]![1], 'metadata', 'annotations', 'k8s.io/initial-events-end'), 'true');
  } finally {
    await api.close();
  }
});

test('a server that comes back has the same versions, and a watch goes on where it was', async () => {
  const api = await TestApi.start({ disk: true });
  try {
    const first = await put(api, 'kept');
    const from = textAt(first, 'metadata', 'resourceVersion')!;
    await put(api, 'while-away');
    await api.restart();
    assert.deepEqual(await api.ok('GET', `${MAPS}/kept`), first);
    assert.deepEqual(told(await api.watch(`${MAPS}?watch=1&resourceVersion=${from}`, 1)), ['ADDED while-away']);
    const next = await put(api, 'after');
    assert.ok(Number(textAt(next, 'metadata', 'resourceVersion')) > Number(from) + 1);
  } finally {
    await api.close();
  }
});

test('a watch from a forgotten version, or one that never was, answers 410', async () => {
  const api = await TestApi.start();
  try {
    await put(api, 'busy');
    const from = await versionOf(api);
    for (let count = 0; count <= 420; count++)
      await api.ok('PATCH', `${MAPS}/busy`, { body: { data: { count: String(count) } } });
    const late = await api.call('GET', `${MAPS}?watch=1&resourceVersion=${from}`);
    assert.deepEqual([late.status, late.body['reason']], [410, 'Expired']);
    const future = await api.call('GET', `${MAPS}?watch=1&resourceVersion=1000000`);
    assert.equal(future.status, 410);
  } finally {
    await api.close();
  }
});
