// SPDX-License-Identifier: Apache-2.0
// RFC 9113 section 8: which header sections are malformed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HeaderBlock } from './headers.ts';
import { HeaderField } from './hpack/field.ts';
import { HeaderAssembler, type SectionKind } from './validate.ts';

type Pairs = readonly (readonly [name: string, value: string])[];

function check(kind: SectionKind, pairs: Pairs, extended = false): string {
  const assembler = new HeaderAssembler(10_000);
  assembler.begin();
  for (const [name, value] of pairs) assembler.onField(new HeaderField(name, value, false));
  return assembler.finish(kind, extended);
}

const get: Pairs = [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':authority', 'shop:8080'],
  [':path', '/a?b=c'],
];
const without = (name: string): Pairs => get.filter(([own]) => own !== name);
const having = (name: string, value: string): Pairs => get.map((pair) => (pair[0] === name ? [name, value] : pair));

test('good sections pass', () => {
  const rows: readonly (readonly [SectionKind, Pairs])[] = [
    ['request', get],
    ['request', without(':authority')],
    ['request', [...get, ['te', 'trailers'], ['host', 'Shop:8080'], ['cookie', 'a=b'], ['cookie', 'c=d']]],
    [
      'request',
      [
        [':method', 'OPTIONS'],
        [':scheme', 'http'],
        [':path', '*'],
      ],
    ],
    [
      'request',
      [
        [':method', 'CONNECT'],
        [':authority', '[fd00::1]:80'],
        ['baggage', 'a=b,c=d'],
      ],
    ],
    ['request', [...get, ['x-tab', 'a\tb'], ['x-high', '\u00e9'], ['x-empty', '']]],
    [
      'response',
      [
        [':status', '200'],
        ['content-length', '0'],
      ],
    ],
    ['response', [[':status', '103']]],
    ['trailers', [['grpc-status', '0']]],
    ['trailers', []],
  ];
  for (const [kind, pairs] of rows) assert.equal(check(kind, pairs), '', JSON.stringify(pairs));
});

test('malformed sections are refused', () => {
  const bad: readonly Pairs[] = [
    [],
    without(':method'),
    without(':scheme'),
    without(':path'),
    having(':path', ''),
    having(':path', 'a'),
    having(':path', '*'),
    having(':path', '/a b'),
    having(':path', '/a#b'),
    having(':path', '/a\rb'),
    having(':method', ''),
    having(':method', 'GE T'),
    having(':scheme', ''),
    having(':scheme', '1http'),
    having(':authority', 'user@shop'),
    having(':authority', 'shop/x'),
    having(':authority', 'shop, other'),
    [...get, [':path', '/']],
    [...get, [':method', 'GET']],
    [...get, [':status', '200']],
    [...get, [':unknown', 'x']],
    [...get, ['x', '1'], [':late', '/']],
    [['x', '1'], ...get],
    [...get, ['X-Upper', '1']],
    [...get, ['', '1']],
    [...get, ['sp ace', '1']],
    [...get, ['co:lon', '1']],
    [...get, ['x', 'a\nb']],
    [...get, ['x', 'a\0b']],
    [...get, ['x', 'a\x7fb']],
    [...get, ['x', ' lead']],
    [...get, ['x', 'trail\t']],
    [...get, ['connection', 'close']],
    [...get, ['proxy-connection', 'close']],
    [...get, ['keep-alive', '1']],
    [...get, ['transfer-encoding', 'chunked']],
    [...get, ['upgrade', 'h2c']],
    [...get, ['te', 'gzip']],
    [...get, ['te', 'trailers, deflate']],
    [...get, ['host', 'other']],
    [...get, ['host', 'shop:8080'], ['host', 'shop:8080']],
    [...get, ['content-length', '1'], ['content-length', '1']],
    [...get, ['content-length', '-1']],
    [...get, ['content-length', '1e3']],
    [...get, ['content-length', '']],
    [...get, ['content-length', '99999999999999999999']],
    [[':method', 'CONNECT']],
    [
      [':method', 'CONNECT'],
      [':authority', ''],
    ],
    [
      [':method', 'CONNECT'],
      [':authority', 'a:1'],
      [':path', '/'],
    ],
    [
      [':method', 'CONNECT'],
      [':authority', 'a:1'],
      [':scheme', 'https'],
    ],
    [
      [':method', 'CONNECT'],
      [':authority', 'a:1'],
      [':protocol', 'websocket'],
    ],
    [...get, [':protocol', 'websocket']],
  ];
  for (const pairs of bad) assert.notEqual(check('request', pairs), '', JSON.stringify(pairs));
  for (const status of ['', '99', '1000', '2xx', '101', '+20', '020'])
    assert.notEqual(check('response', [[':status', status]]), '', status);
  assert.notEqual(check('response', []), '');
  assert.notEqual(
    check('response', [
      [':status', '200'],
      [':path', '/'],
    ]),
    '',
  );
  assert.notEqual(
    check('response', [
      [':status', '200'],
      [':status', '200'],
    ]),
    '',
  );
  assert.notEqual(check('trailers', [[':status', '200']]), '');
  assert.notEqual(check('trailers', [['connection', 'close']]), '');
});

test('extended CONNECT is accepted where it was announced', () => {
  const websocket: Pairs = [[':method', 'CONNECT'], [':protocol', 'websocket'], ...get.slice(1)];
  assert.equal(check('request', websocket, true), '');
  assert.notEqual(check('request', websocket, false), '');
  assert.notEqual(check('request', websocket.slice(0, 2), true), '');
});

test('a list above the limit is cut, not held', () => {
  const assembler = new HeaderAssembler(100);
  assembler.begin();
  for (let i = 0; i < 1000; i++) assembler.onField(new HeaderField('x', 'y', false));
  assert.ok(assembler.tooLarge);
  assert.equal(assembler.block.fields.length, 2);
  assembler.begin();
  assert.ok(!assembler.tooLarge);
});

test('what we send ourselves is checked when it is built', () => {
  assert.throws(() => new HeaderBlock().add('X', 'y'), { code: 'H2_FIELD_INVALID' });
  assert.throws(() => new HeaderBlock().add('x', 'a\r\nb: c'), { code: 'H2_FIELD_INVALID' });
  assert.throws(() => new HeaderBlock().add('x', '\u0100'), { code: 'H2_FIELD_INVALID' });
  assert.throws(() => HeaderBlock.request('GET', 'http', 'a\nb', '/'), { code: 'H2_FIELD_INVALID' });
  const block = HeaderBlock.response(200).add('a', '1').add('b', '2').add('a', '3');
  assert.equal(block.get('a'), '1');
  assert.deepEqual(block.all('a'), ['1', '3']);
  assert.equal(block.get('c'), undefined);
  assert.equal(block.size, 3 * 34);
});
