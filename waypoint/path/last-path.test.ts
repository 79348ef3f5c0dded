// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileTable } from '#lib/mesh/http/compiled-table.ts';
import { PlainRequest } from '#lib/mesh/http/request.ts';
import { ANY_REQUEST, BLANK_RULE, type HttpMatch, type HttpRule } from '#lib/mesh/http/route-table.ts';
import { ip } from '#lib/testkit/mesh.ts';
import { LastPath } from './last-path.ts';

function table(match: Partial<HttpMatch> = {}, rule: Partial<HttpRule> = {}) {
  const entry = { rule: 0, match: { ...ANY_REQUEST, ...match } };
  const hosts = [{ hosts: ['*'], entries: [entry] }];
  const http = [{ clientNamespace: '', exclusiveHosts: false, rules: [{ ...BLANK_RULE, ...rule }], hosts }];
  return compileTable({ name: 't', http, tls: [], tcp: [] }, undefined);
}

const ask = (authority: string, path: string) => new PlainRequest({ authority, path }, ip('10.0.0.1'));
const VERDICT = {
  kind: 'respond',
  rule: undefined,
  reason: 'no-route',
  subject: '',
  status: 404,
  body: new Uint8Array(0),
  headers: [],
  responseHeaders: [],
  fault: undefined,
} as const;

test('a verdict is remembered for the same table, authority and path, and for nothing else', () => {
  const last = new LastPath();
  const [before, after] = [table(), table()];
  assert.equal(last.verdict(before, ask('', '')), null);
  last.remember(before, ask('shop', '/a'), VERDICT);
  assert.equal(last.verdict(before, ask('shop', '/a')), VERDICT);
  assert.equal(last.verdict(before, ask('shop', '/b')), null);
  assert.equal(last.verdict(before, ask('pay', '/a')), null);
  assert.equal(last.verdict(after, ask('shop', '/a')), null);
});

test('a path is normalised anew when it or the setting differs', () => {
  const last = new LastPath();
  assert.equal(last.normalised('/a//b', 'base'), '/a//b');
  assert.equal(last.normalised('/a//b', 'merge-slashes'), '/a/b');
  assert.equal(last.normalised('/a/../b', 'merge-slashes'), '/b');
  assert.equal(last.normalised('nowhere', 'merge-slashes'), undefined);
});

test('tables whose answer hangs on more than host and path are known as such', () => {
  const header = { name: 'x', value: { kind: 'exact', value: '1', ignoreCase: false } } as const;
  assert.equal(table().byPath, true);
  assert.equal(table({ path: { kind: 'exact', value: '/a', ignoreCase: false } }).byPath, true);
  assert.equal(table({ headers: [header] }).byPath, false);
  assert.equal(table({ port: 80 }).byPath, false);
  assert.equal(table({ sourceNamespace: 'shop' }).byPath, false);
  const fault = { delayShare: 0.1, delayMs: 1, abortShare: 0, abortStatus: 0, abortGrpc: undefined };
  assert.equal(table({}, { fault }).byPath, false);
});
