// SPDX-License-Identifier: Apache-2.0
// Fuzzes what comes from a control plane of another version, or of nobody: any bytes are a resource or refused with a
// reason, and a resource survives its own encoding.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { compileTable } from '#lib/mesh/http/compiled-table.ts';
import { NO_HTTP_CONDITIONS } from '#lib/mesh/http/conditions.ts';
import { ANY_REQUEST, BLANK_RULE, backendTo, DEFAULT_RETRY } from '#lib/mesh/http/route-table.ts';
import { DEFAULT_UPSTREAM } from '#lib/mesh/http/traffic-policy.ts';
import { EMPTY_MATCH } from '#lib/mesh/policy.ts';
import { fuzz } from '#lib/testkit/fuzz.ts';
import { ACCESS_POLICY, type ResourceType, ROUTE_TABLE, TRAFFIC_POLICY } from './resource.ts';

function target<T>(what: string, type: ResourceType<T>, seed: T, use: (value: T) => void = () => undefined): void {
  fuzz({
    name: `any bytes are ${what} or refused, and ${what} survives its own encoding`,
    corpus: join(import.meta.dirname, 'testdata', what.replaceAll(' ', '-')),
    seeds: [Buffer.from(type.encode(seed).bytes)],
    run(input) {
      const decoded = type.decode(input);
      if (!decoded.ok) {
        assert.ok(decoded.problems.every(({ message }) => message !== ''));
        return decoded.problems.map(({ field, message }) => `${field} ${message}`).join();
      }
      use(decoded.value);
      const again = type.encode(decoded.value);
      const twice = type.decode(again.bytes);
      assert.ok(twice.ok);
      assert.equal(type.encode(twice.value).version, again.version);
      return `${Math.ceil(again.bytes.length / 16)}`;
    },
  });
}

target(
  'a route table',
  ROUTE_TABLE,
  {
    name: 'a/b:80',
    http: [
      {
        clientNamespace: 'x',
        exclusiveHosts: false,
        rules: [
          { ...BLANK_RULE, backends: [backendTo({ service: 'a/b', port: 80, subset: 'c' })], retry: DEFAULT_RETRY },
        ],
        hosts: [
          {
            hosts: ['*.a'],
            entries: [{ rule: 0, match: { ...ANY_REQUEST, path: { kind: 'regex', value: '/a.*', ignoreCase: true } } }],
          },
        ],
      },
    ],
    tls: [],
    tcp: [],
  },
  (table) => compileTable(table, undefined),
);

target('a traffic policy', TRAFFIC_POLICY, {
  name: 'a/b',
  origin: 'DestinationRule a/b',
  subsets: [{ name: 'x', labels: { a: 'b' } }],
  upstreams: [DEFAULT_UPSTREAM],
});

target('an access policy', ACCESS_POLICY, {
  key: 'a/b',
  action: 'custom',
  dryRun: true,
  provider: 'p',
  services: ['a/b'],
  rules: [
    {
      clauses: [
        {
          matches: [
            {
              ...EMPTY_MATCH,
              http: { ...NO_HTTP_CONDITIONS, paths: { any: [{ kind: 'template', value: '/{*}' }], none: [] } },
            },
          ],
        },
      ],
    },
  ],
});
