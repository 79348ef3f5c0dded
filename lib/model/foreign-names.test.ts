// SPDX-License-Identifier: Apache-2.0
//
// Names that objects of JavaScript inherit are names like any other wherever users write names: the mesh made of
// objects that use `constructor` and `__proto__` is the one made of the same objects with harmless names, renamed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  authorizationPolicy,
  kubeService,
  namespace,
  node,
  peerAuthentication,
  pod,
  serviceAccount,
  serviceEntry,
  testModel,
  waypointGateway,
  workloadEntry,
} from '#lib/testkit/model.ts';
import fc from '#lib/testkit/properties.ts';
import { ACCESS_POLICY, REQUEST_AUTHENTICATION, ROUTE_TABLE, TRAFFIC_POLICY, WORKLOAD_LABELS } from './l7/resource.ts';
import { type KubeObject, keyOf } from './object/object.ts';
import { decodeAddress, decodeAuthorization } from './wds/state.ts';

/** Each with a harmless name that sorts as it does among the names here. */
const RENAMED: readonly (readonly [string, string])[] = [
  ['constructor', 'constructoz'],
  ['toString', 'toStrinz'],
  ['valueOf', 'valueOz'],
  ['hasOwnProperty', 'hasOwnPropertz'],
  ['isPrototypeOf', 'isPrototypeOz'],
  ['__proto__', '__protz__'],
];
const words = fc.constantFrom(...RENAMED.map(([word]) => word));

/** `{[name]: value}` whatever the name, as a parser of JSON makes it. */
function map<T>(name: string, value: T): Record<string, T> {
  return Object.fromEntries([[name, value]]);
}

function istio(kind: string, name: string, spec: object, group = 'networking'): KubeObject {
  return { apiVersion: `${group}.istio.io/v1`, kind, metadata: { name, namespace: 'shop' }, spec } as KubeObject;
}

/** A world that writes names wherever names can be written. `n` is asked for one at each place. */
function world(n: () => string): KubeObject[] {
  const target = [{ group: '', kind: 'Service', name: 'cart' }];
  const label = n();
  const port = n();
  return [
    namespace('shop', { labels: map(n(), n()), annotations: { 'networking.istio.io/traffic-distribution': n() } }),
    namespace(n()),
    node(n(), { 'topology.kubernetes.io/zone': n() }),
    serviceAccount(n(), 'shop', { labels: map(n(), n()) }),
    waypointGateway('w', { hostname: 'w.shop.svc.cluster.local', annotations: map(n(), n()) }),
    pod('cart-1', { ips: ['10.0.0.1'], labels: map(label, 'x'), ports: map(port, 8080), account: n(), node: n() }),
    pod('pay-1', { ips: ['10.0.0.2'], labels: { ...map(n(), n()), app: n() }, namespace: n() }),
    kubeService('cart', {
      selector: map(label, 'x'),
      ip: '10.96.0.1',
      ports: [
        { port: 80, name: port, targetPort: port },
        { port: 81, name: n(), targetPort: n(), appProtocol: n() },
      ],
      meta: { labels: { 'istio.io/use-waypoint': 'w' }, annotations: map(n(), n()) },
      spec: { trafficDistribution: n() },
    }),
    kubeService(n(), { selector: map(n(), n()), ip: '10.96.0.2', namespace: n() }),
    serviceEntry('api', {
      hosts: ['api.test'],
      addresses: ['240.240.0.9'],
      resolution: 'STATIC',
      ports: [{ number: 80, name: n(), protocol: n(), targetPort: 8080 }],
      endpoints: [{ address: '192.0.2.7', labels: map(n(), n()), ports: map(n(), 81) }],
    }),
    workloadEntry(n(), { address: '192.0.2.8', labels: map(label, 'x'), ports: map(n(), 82), network: n() }),
    authorizationPolicy('plain', {
      action: n(),
      selector: { matchLabels: map(label, 'x') },
      rules: [{ from: [{ source: { namespaces: [n()], principals: [n()] } }] }],
    }),
    authorizationPolicy('layer-7', {
      action: n(),
      targetRefs: target,
      rules: [
        {
          to: [{ operation: { methods: [n()], paths: [`/${n()}`] } }],
          when: [
            { key: `request.headers[${n()}]`, values: [n()] },
            { key: `request.auth.claims[${n()}][${n()}]`, values: [n()] },
          ],
        },
      ],
    }),
    peerAuthentication(n(), { mode: n(), labels: map(n(), n()), ports: map('80', n()) }),
    istio('VirtualService', 'routes', {
      hosts: ['cart'],
      http: [
        {
          match: [{ headers: map(n(), { exact: n() }), queryParams: map(n(), { exact: n() }), sourceLabels: {} }],
          headers: { request: { set: map(n(), n()), remove: [n()] } },
          route: [{ destination: { host: 'cart', subset: n() } }],
        },
        { match: [{ headers: map('@request.auth.claims.x', { exact: n() }) }], redirect: { uri: `/${n()}` } },
      ],
    }),
    istio('DestinationRule', 'traffic', {
      host: 'cart',
      trafficPolicy: {
        loadBalancer: { simple: n(), localityLbSetting: { failoverPriority: [n()] } },
        connectionPool: { http: { h2UpgradePolicy: n() } },
      },
      subsets: [{ name: n(), labels: map(label, 'x') }],
    }),
    istio(
      'RequestAuthentication',
      'tokens',
      {
        targetRefs: target,
        jwtRules: [
          {
            issuer: n(),
            jwks: `{"keys":[{"kty":"EC","crv":"${n()}"}]}`,
            fromHeaders: [{ name: n() }],
            outputClaimToHeaders: [{ header: n(), claim: n() }],
            spaceDelimitedClaims: [n()],
          },
        ],
      },
      'security',
    ),
    {
      ...istio('HTTPRoute', 'gateway-api', {
        parentRefs: [{ group: '', kind: 'Service', name: 'cart' }],
        rules: [
          {
            matches: [{ headers: [{ name: n(), value: n() }], queryParams: [{ name: n(), value: n() }] }],
            backendRefs: [
              { kind: n(), name: n(), port: 80 },
              { name: 'cart', port: 80 },
            ],
          },
        ],
      }),
      apiVersion: 'gateway.networking.k8s.io/v1',
    },
  ];
}

/** Everything proxies are told, and users are told of their objects, as text. */
function told(objects: readonly KubeObject[]): string[] {
  const { model } = testModel([
    ...new Map(objects.map((object) => [`${object.kind} ${keyOf(object)}`, object])).values(),
  ]);
  const lines: string[] = [];
  const add = (what: string, value: unknown): void => {
    const text = JSON.stringify(value, (_key, one: unknown) => {
      assert.notEqual(typeof one, 'function', `${what} holds a function`);
      return one instanceof Map ? [...one] : one;
    });
    lines.push(`${what} ${text}`);
  };
  for (const { key, resource } of named(model.addressResources)) add(key, decodeAddress(resource.bytes));
  for (const { key, resource } of named(model.authorizationResources)) add(key, decodeAuthorization(resource.bytes));
  for (const [key, report] of model.reports.entries()) add(key, report);
  for (const type of [ROUTE_TABLE, TRAFFIC_POLICY, ACCESS_POLICY, REQUEST_AUTHENTICATION, WORKLOAD_LABELS]) {
    const found = model.layer7.types.find(({ typeUrl }) => typeUrl === type.typeUrl);
    for (const { resource, scope } of found?.resources.values() ?? []) {
      add(`${type.typeUrl} ${scope} ${resource.name}`, type.decode(resource.bytes));
    }
  }
  return lines;
}

function named<T>(collection: { entries(): Iterable<readonly [string, T]> }): { key: string; resource: T }[] {
  return [...collection.entries()].map(([key, resource]) => ({ key, resource }));
}

/** With harmless names; the lines in one order, since names decide on orders. */
function renamed(text: string): string {
  return RENAMED.reduce(
    (out, [word, harmless]) =>
      out.replaceAll(new RegExp(word, 'gi'), (found) =>
        found === found.toLowerCase() ? harmless.toLowerCase() : harmless,
      ),
    text,
  );
}

test('names that objects inherit mean no more than other names, from the objects to what proxies are told', () => {
  fc.assert(
    fc.property(fc.array(words, { minLength: 90, maxLength: 90 }), (drawn) => {
      let at = 0;
      const objects = world(() => drawn[at++ % drawn.length]!);
      const harmless = JSON.parse(renamed(JSON.stringify(objects))) as KubeObject[];
      assert.deepEqual(told(objects).map(renamed).sort(), told(harmless).sort());
    }),
    { numRuns: 25 },
  );
});
