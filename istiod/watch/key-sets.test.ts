// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import { Graph } from '#lib/collections/graph.ts';
import { type AdminRequest, serveHttp, text } from '#lib/kit/admin.ts';
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import type { KeySetRef } from '#lib/model/l7/tokens.ts';
import { until } from '#lib/testkit/until.ts';
import { KeySets } from './key-sets.ts';

async function setUp(blockedRanges: readonly string[] = []) {
  let keys: unknown = { keys: [{ kid: '1' }] };
  const asked: string[] = [];
  const page =
    (value: () => unknown) =>
    ({ path }: AdminRequest) => {
      asked.push(path);
      return text(JSON.stringify(value()));
    };
  const server = await serveHttp({
    host: '127.0.0.1',
    port: 0,
    routes: {
      '/keys': page(() => keys),
      '/issuer/.well-known/openid-configuration': page(() => ({ jwks_uri: `${at}/keys` })),
    },
  });
  const at = `http://127.0.0.1:${server.port}`;
  const graph = new Graph(() => undefined);
  const wanted = graph.source<KeySetRef>('wanted');
  const source = graph.source<string>('sets');
  const lines: string[] = [];
  const log = createLogger({ scope: 'k', write: (line) => lines.push(line) });
  const sets = new KeySets({ clock: systemClock, log, wanted, source, refreshMs: 20, retryMs: 20, blockedRanges });
  return {
    at,
    asked,
    lines,
    wanted,
    source,
    serve: (value: unknown) => {
      keys = value;
    },
    async [Symbol.asyncDispose]() {
      sets.stop();
      await server.close();
    },
  };
}

test('a key set is fetched, followed, and given up with its last RequestAuthentication', async () => {
  await using env = await setUp();
  const uri = `${env.at}/keys`;
  env.wanted.set(uri, { issuer: 'i', uri });
  await until('the set', () => env.source.get(uri) === '{"keys":[{"kid":"1"}]}');
  env.serve({ keys: [] });
  await until('the new one', () => env.source.get(uri) === '{"keys":[]}');
  env.wanted.delete(uri);
  equal(env.source.get(uri), undefined);
});

test('without an address the issuer’s own configuration names it', async () => {
  await using env = await setUp();
  env.wanted.set('issuer x', { issuer: `${env.at}/issuer/`, uri: '' });
  await until('the set', () => env.source.get('issuer x') !== undefined);
  deepEqual(env.asked.slice(0, 2), ['/issuer/.well-known/openid-configuration', '/keys']);
});

test('what is no key set leaves the last one in force and is told', async () => {
  await using env = await setUp();
  const uri = `${env.at}/keys`;
  env.wanted.set(uri, { issuer: 'i', uri });
  await until('the set', () => env.source.get(uri) !== undefined);
  env.serve({ nothing: true });
  await until('the complaint', () => env.lines.length > 0);
  match(env.lines[0] ?? '', /is no JSON Web Key Set/);
  equal(env.source.get(uri), '{"keys":[{"kid":"1"}]}');
});

test('addresses in closed ranges are not asked', async () => {
  await using env = await setUp(['127.0.0.0/8']);
  const uri = `${env.at}/keys`;
  env.wanted.set(uri, { issuer: 'i', uri });
  await until('the complaint', () => env.lines.length > 0);
  match(env.lines[0] ?? '', /closed for key sets/);
  deepEqual(env.asked, []);
});
