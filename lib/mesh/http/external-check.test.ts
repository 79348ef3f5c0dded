// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import fc from '#lib/testkit/properties.ts';
import {
  ALLOWED,
  authoriserOf,
  changesOf,
  editQuery,
  type HeaderOption,
  nameFits,
  questionFields,
  readHttpAnswer,
} from './external-check.ts';
import { queryValue } from './request.ts';
import { BLANK_PROVIDER, type Provider } from './waypoint.ts';

const target = { service: 'a/b', port: 80, subset: '' };
const PROVIDER: Provider = { ...BLANK_PROVIDER, name: 'p', kind: 'ext-authz-http', target };
const fields = (...names: string[]) => names.map((name) => ({ name, value: `of ${name}` }));
const namesOf = (list: readonly { readonly name: string }[]): string[] => list.map(({ name }) => name);

test('a provider can be asked when it is an authoriser that some service is', () => {
  const others: Provider[] = [
    { ...PROVIDER, name: 'lost', target: undefined },
    { ...PROVIDER, name: 'trace', kind: 'otlp-trace' },
  ];
  const found = ['p', 'lost', 'trace', 'none', 'constructor'].map((name) => authoriserOf([PROVIDER, ...others], name));
  deepEqual(
    found.map((one) => one?.name),
    ['p', undefined, undefined, undefined, undefined],
  );
});

test('names of headers: whole, by their beginning, by their end, all', () => {
  const hits = (pattern: string): boolean[] => ['x-a', 'y-a', 'x'].map((name) => nameFits([pattern], name));
  deepEqual(['x-a', 'x-*', '*-a', '*'].map(hits), [
    [true, false, false],
    [true, false, false],
    [true, true, false],
    [true, true, true],
  ]);
});

test('a question by HTTP carries Authorization, what was asked for, and what is added', () => {
  const provider = { ...PROVIDER, requestHeaders: ['x-*'], extraHeaders: [{ name: 'x-me', value: '1' }] };
  const sent = questionFields(
    provider,
    fields('authorization', 'cookie', 'x-a', 'x-me', 'content-length', 'host', 'te'),
  );
  deepEqual(sent, [...fields('authorization', 'x-a'), { name: 'x-me', value: '1' }]);
});

test('200 allows, 5xx is no answer, all else denies with its headers', () => {
  const provider = { ...PROVIDER, upstreamHeaders: ['x-up'], allowHeaders: ['x-down'] };
  const all = fields('x-up', 'x-down', 'location', 'content-length', 'connection');
  const allowed = readHttpAnswer(provider, 200, all, '');
  deepEqual(allowed, {
    ...ALLOWED,
    headers: [{ name: 'x-up', value: 'of x-up', action: 'overwrite' }],
    responseHeaders: [{ name: 'x-down', value: 'of x-down', action: 'append' }],
  });
  equal(readHttpAnswer(provider, 500, all, '').kind, 'error');
  for (const status of [201, 204, 302, 401, 403, 429]) {
    const denied = readHttpAnswer(provider, status, all, 'no');
    equal(denied.kind, 'deny');
    if (denied.kind !== 'deny') continue;
    deepEqual([denied.status, denied.body], [status, 'no']);
    deepEqual(namesOf(denied.headers), ['x-up', 'x-down', 'location']);
  }
  const some = readHttpAnswer({ ...provider, denyHeaders: ['x-down'] }, 403, all, '');
  deepEqual(some.kind === 'deny' && namesOf(some.headers), ['x-down', 'location']);
});

test('what an authoriser wants of a header depends on whether it is there; what frames a message is not its business', () => {
  const option = (name: string, action: HeaderOption['action']): HeaderOption => ({ name, value: '1', action });
  const actions = ['append', 'add-if-absent', 'overwrite', 'overwrite-if-exists'] as const;
  const of = (name: string) =>
    changesOf(
      actions.map((action) => option(name, action)),
      [],
      (asked) => asked === 'there',
    );
  deepEqual([of('there').add.length, of('there').set.length], [1, 2]);
  deepEqual([of('new').add.length, of('new').set.length], [2, 1]);
  const own = ['host', ':path', 'content-length', 'transfer-encoding', 'connection'];
  const none = changesOf(
    own.map((name) => option(name, 'overwrite')),
    own,
    () => true,
  );
  deepEqual(none, { set: [], add: [], remove: [] });
});

test('parameters of the query are set once, removed, and others kept in their order', () => {
  const set = [{ name: 'a b', value: 'c&d' }];
  equal(editQuery('/p', [], []), '/p');
  equal(editQuery('/p?x', [], []), '/p?x');
  equal(editQuery('/p', set, []), '/p?a%20b=c%26d');
  equal(editQuery('/p?x=1&a%20b=2&y&x=3', set, ['y']), '/p?x=1&x=3&a%20b=c%26d');
  equal(editQuery('/p?x=1', [], ['x']), '/p');
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme-ascii' }), fc.string({ unit: 'grapheme-ascii' }), (name, value) => {
      const path = editQuery('/p?first=1&last=2', [{ name, value }], []);
      equal(queryValue(path, encodeURIComponent(name)), encodeURIComponent(value));
      equal(path.includes('#') || path.includes(' '), false);
    }),
  );
});
