// SPDX-License-Identifier: Apache-2.0
// What routing a request costs, with one route and with thousands: node lib/mesh/http/route.bench.ts. The goal is that
// the number of routes is not in the cost: a request that finds its route among 5,000 takes at most 1.05 of the time
// it takes with one, over a proxied request of 9 µs.
import { bench, run } from 'mitata';
import { ip } from '#lib/testkit/mesh.ts';
import { NO_PROOF, recordProof } from '../proof.ts';
import { type CompiledTable, compileTable } from './compiled-table.ts';
import { PlainRequest } from './request.ts';
import { route } from './route.ts';
import { ANY_REQUEST, BLANK_RULE, backendTo, type HttpMatch, type VirtualHost } from './route-table.ts';

function match(fields: Partial<HttpMatch>): HttpMatch {
  return { ...ANY_REQUEST, ...fields };
}

function table(
  hosts: readonly { readonly hosts: readonly string[]; readonly matches: readonly HttpMatch[] }[],
): CompiledTable {
  const rules = hosts
    .flatMap(({ matches }) => matches)
    .map((_, i) => ({
      ...BLANK_RULE,
      backends: [backendTo({ service: `shop/s${i}`, port: 80, subset: '' })],
    }));
  let rule = 0;
  const virtual = hosts.map(({ hosts: names, matches }): VirtualHost => {
    return { hosts: names, entries: matches.map((one) => ({ rule: rule++, match: one })) };
  });
  return compileTable(
    { name: 't', http: [{ clientNamespace: '', exclusiveHosts: false, rules, hosts: virtual }], tls: [], tcp: [] },
    undefined,
  );
}

const COUNTS = [1, 10, 5000];
const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const FROM = ip('10.0.0.1');

function ask(authority: string, path: string, headers = {}): PlainRequest {
  return new PlainRequest({ authority, path, headers }, FROM);
}

const KINDS: readonly (readonly [string, (count: number) => CompiledTable, (last: number) => PlainRequest])[] = [
  [
    'prefixes',
    (count) =>
      table([
        {
          hosts: ['*'],
          matches: numbers(count).map((i) =>
            match({ path: { kind: 'segments', value: `/team/app-${i}`, ignoreCase: false } }),
          ),
        },
      ]),
    (last) => ask('shop', `/team/app-${last}/items/42?color=red`),
  ],
  [
    'exact paths',
    (count) =>
      table([
        {
          hosts: ['*'],
          matches: numbers(count).map((i) =>
            match({ path: { kind: 'exact', value: `/team/app-${i}/items`, ignoreCase: false } }),
          ),
        },
      ]),
    (last) => ask('shop', `/team/app-${last}/items?color=red`),
  ],
  [
    'hosts',
    (count) => table(numbers(count).map((i) => ({ hosts: [`app-${i}.example.org`], matches: [match({})] }))),
    (last) => ask(`app-${last}.example.org:8080`, '/items/42'),
  ],
  [
    'values of a header',
    (count) =>
      table([
        {
          hosts: ['*'],
          matches: numbers(count).map((i) =>
            match({ headers: [{ name: 'x-tenant', value: { kind: 'exact', value: `t${i}`, ignoreCase: false } }] }),
          ),
        },
      ]),
    (last) => ask('shop', '/items/42', { 'x-tenant': `t${last}` }),
  ],
  [
    'expressions with a beginning',
    (count) =>
      table([
        {
          hosts: ['*'],
          matches: numbers(count).map((i) =>
            match({ path: { kind: 'regex', value: `/team/app-${i}/[0-9]+`, ignoreCase: false } }),
          ),
        },
      ]),
    (last) => ask('shop', `/team/app-${last}/42`),
  ],
];

for (const [name, make, requestOf] of KINDS) {
  for (const count of COUNTS) {
    const compiled = make(count);
    const request = requestOf(count - 1);
    bench(`${name}: ${count}`, () => route(compiled, request, Math.random, NO_PROOF));
  }
}

const proved = KINDS[0]![1](10);
bench('with its proof: 10', () => route(proved, ask('shop', '/team/app-9/x'), Math.random, recordProof()));
bench('making a table of 5000', () => KINDS[0]![1](5000));

await run();
