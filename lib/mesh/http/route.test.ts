// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drawRoutes } from '#lib/testkit/drawn-routes.ts';
import fc from '#lib/testkit/properties.ts';
import { naiveRoute } from '#lib/testkit/route-oracle.ts';
import { answer, brief, client, request } from '#lib/testkit/routes.ts';
import { formatProof, NO_PROOF, recordProof } from '../proof.ts';
import { compileTable, implicitTable } from './compiled-table.ts';
import { route } from './route.ts';
import {
  ANY_REQUEST,
  BLANK_RULE,
  backendTo,
  type HttpMatch,
  type HttpRule,
  type PathMatch,
  type RouteTable,
} from './route-table.ts';

test('a compiled table answers as asking every entry in order would', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400, size: 'max' }), (bytes) => {
      const { requests, table } = drawRoutes(bytes, 8);
      const compiled = compileTable(table, undefined);
      for (const { fields, line } of requests) {
        const asked = request(line, fields);
        const verdict = route(compiled, asked, () => 0, NO_PROOF);
        assert.equal(verdict.kind === 'forward' ? verdict.entry : undefined, naiveRoute(table, asked), line);
      }
    }),
    { numRuns: 2000 },
  );
});

function backend(name: string): HttpRule {
  return {
    ...BLANK_RULE,
    origin: `HTTPRoute shop/${name}`,
    section: 'rules[0]',
    backends: [backendTo({ service: `shop/${name}`, port: 80, subset: '' })],
  };
}

function tableOf(
  entries: readonly (readonly [Partial<HttpMatch>, HttpRule])[],
  hosts: readonly string[] = ['*'],
): RouteTable {
  return {
    name: 't',
    http: [
      {
        clientNamespace: '',
        exclusiveHosts: false,
        rules: entries.map(([, rule]) => rule),
        hosts: [{ hosts, entries: entries.map(([match], rule) => ({ rule, match: { ...ANY_REQUEST, ...match } })) }],
      },
    ],
    tls: [],
    tcp: [],
  };
}

function segments(value: string): { path: PathMatch } {
  return { path: { kind: 'segments', value, ignoreCase: false } };
}

test('a hundred entries of one path, told apart by a header, keep their order', () => {
  const entries = Array.from({ length: 100 }, (_, i): readonly [Partial<HttpMatch>, HttpRule] => [
    { headers: [{ name: 'x-tenant', value: { kind: 'exact', value: `t${i % 50}`, ignoreCase: false } }] },
    backend(`s${i}`),
  ]);
  const table = tableOf([...entries, [{}, backend('rest')]]);
  const to = (headers: Record<string, string>): string => brief(answer(table, 'GET h/', { headers }));
  assert.equal(to({ 'x-tenant': 't7' }), 'shop/s7:80');
  assert.equal(to({ 'x-tenant': 'none' }), 'shop/rest:80');
  assert.equal(to({}), 'shop/rest:80');
});

test('a table that has nothing for a client leaves the service as it is', () => {
  const compiled = implicitTable('shop/cart', 80);
  const verdict = route(compiled, request('GET h/a?b', { identity: client('web') }), () => 0, NO_PROOF);
  assert.equal(brief(verdict), 'shop/cart:80');
  assert.deepEqual(
    [verdict.kind === 'forward' && verdict.path, verdict.kind === 'forward' && verdict.authority],
    ['/a?b', 'h'],
  );
});

test('a pattern that cannot be compiled matches nothing and is named', () => {
  const bad: PathMatch = { kind: 'regex', value: '/(', ignoreCase: false };
  const table = tableOf([
    [{ path: bad }, backend('a')],
    [{}, backend('b')],
  ]);
  const compiled = compileTable(table, undefined);
  assert.deepEqual(compiled.problems, ['HTTPRoute shop/a: rules[0]: /( is no regular expression (RE2 syntax)']);
  assert.equal(brief(route(compiled, request('GET h/('), () => 0, NO_PROOF)), 'shop/b:80');
});

test('the proof shows what was asked before, what matched and where it goes', () => {
  const rec = recordProof();
  const table = tableOf([
    [{ ...segments('/cart'), method: { kind: 'exact', value: 'PUT', ignoreCase: false } }, backend('writers')],
    [
      { ...segments('/cart'), headers: [{ name: 'x', value: { kind: 'prefix', value: 'y', ignoreCase: false } }] },
      backend('y'),
    ],
    [segments('/cart'), backend('readers')],
  ]);
  answer(table, 'GET h/cart/1', {}, rec);
  assert.deepEqual(formatProof(rec.steps), [
    '  HTTPRoute shop/writers, rules[0]: path /cart and below, method is "PUT": does not match: the path is /cart/1, the method is GET',
    '  HTTPRoute shop/y, rules[0]: path /cart and below, header x begins with "y": does not match: the path is /cart/1, there is no header x',
    'HTTPRoute shop/readers, rules[0]: path /cart and below: is the first match',
    'HTTPRoute shop/readers, rules[0]: goes to shop/readers:80',
  ]);
});

test('a session that holds keeps its backend, whatever the draw', () => {
  const session = { kind: 'cookie', name: 's', path: '/', lifetimeS: 0, absoluteTimeoutMs: 1000 } as const;
  const [a, b] = [backend('a').backends[0]!, backend('b').backends[0]!];
  const table = tableOf([[{}, { ...BLANK_RULE, session, backends: [a, b, { ...a, weight: 0 }] }]]);
  const at = (cookie: string, nowMs: number): string => {
    const asked = request('GET h/', { headers: { cookie } });
    return brief(route(compileTable(table, undefined), asked, () => 0, NO_PROOF, nowMs));
  };
  assert.equal(at('', 0), 'shop/a:80');
  assert.equal(at('s=1.00112233445566aa.2s', 500), 'shop/b:80');
  assert.equal(at('s=1.00112233445566aa.2s', 1100), 'shop/a:80', 'its time is up');
  assert.equal(at('s=2.00112233445566aa.2s', 500), 'shop/a:80', 'its backend has no weight any more');
  assert.equal(at('s=9.00112233445566aa.2s', 500), 'shop/a:80');
});
