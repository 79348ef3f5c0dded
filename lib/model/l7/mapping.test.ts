// SPDX-License-Identifier: Apache-2.0
//
// Samples with every field set hold messages and plain values together: tsc compares a sample with the value's type,
// this test with the message's descriptor.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, type DescMessage, toBinary } from '@bufbuild/protobuf';
import type { RequestAuthentication } from '#lib/mesh/http/request-authentication.ts';
import {
  ANY_REQUEST,
  type Backend,
  type HttpRule,
  type PathRewrite,
  type Retry,
  type RouteTable,
  type StringMatch,
} from '#lib/mesh/http/route-table.ts';
import type { Telemetry } from '#lib/mesh/http/telemetry.ts';
import type { TrafficPolicy } from '#lib/mesh/http/traffic-policy.ts';
import type { WaypointSettings } from '#lib/mesh/http/waypoint.ts';
import {
  RequestAuthenticationSchema,
  RouteTableSchema,
  StringMatchSchema,
  TelemetrySchema,
  TrafficPolicySchema,
  WaypointSchema,
  WorkloadLabelsSchema,
} from '#lib/proto/gen/waypoint_pb.ts';
import { toPlain } from './mapping.ts';
import {
  REQUEST_AUTHENTICATION,
  type ResourceType,
  ROUTE_TABLE,
  TELEMETRY,
  TRAFFIC_POLICY,
  WAYPOINT,
  WORKLOAD_LABELS,
  type WorkloadLabels,
} from './resource.ts';

const text: StringMatch = { kind: 'regex', value: 'a.c', ignoreCase: true };
const path: PathRewrite = { kind: 'regex', value: '/\\1', pattern: '^/(.*)$' };
const changes = { set: [{ name: 'a', value: '1' }], add: [{ name: 'b', value: '2' }], remove: ['c'] };
const redirect = { status: 301, scheme: 'https', hostname: 'h', portFrom: 'listener', port: 8, path } as const;
const leaf: Backend = {
  weight: 5,
  target: { service: 'shop/cart', port: 80, subset: 'v2' },
  invalid: 'BackendNotFound',
  requestHeaders: changes,
  responseHeaders: changes,
  rewrite: { path, authority: 'x' },
  redirect,
  mirrors: [],
};
const backend: Backend = { ...leaf, mirrors: [{ backend: leaf, share: 0.25 }] };
const retry: Retry = {
  attempts: 3,
  perTryTimeoutMs: 7,
  conditions: ['5xx', 'reset'],
  codes: [503],
  backoffBaseMs: 25,
  backoffMaxMs: 250,
  avoidTried: true,
  remoteLocalities: true,
};
const rule: HttpRule = {
  name: 'n',
  origin: 'HTTPRoute shop/cart',
  section: 'rules[0]',
  backends: [backend],
  redirect,
  response: { status: 200, body: new Uint8Array([1]) },
  requestHeaders: changes,
  responseHeaders: changes,
  rewrite: { path, authority: 'x' },
  timeoutMs: 9,
  retry,
  mirrors: [{ backend, share: 0.5 }],
  cors: {
    origins: [text],
    methods: ['GET'],
    headers: ['x'],
    expose: ['y'],
    maxAgeS: 5,
    credentials: true,
    forwardUnmatched: true,
  },
  fault: { delayShare: 0.1, delayMs: 5, abortShare: 0.2, abortStatus: 503, abortGrpc: 14 },
  session: { kind: 'header', name: 's', path: '/p', lifetimeS: 3, absoluteTimeoutMs: 4 },
};
const table: RouteTable = {
  name: 'shop/cart:80',
  http: [
    {
      clientNamespace: 'web',
      exclusiveHosts: true,
      rules: [rule],
      hosts: [
        {
          hosts: ['*'],
          entries: [
            {
              rule: 1,
              match: {
                path: { kind: 'segments', value: '/a', ignoreCase: true },
                method: text,
                scheme: text,
                authority: text,
                headers: [{ name: 'h', value: text }],
                withoutHeaders: [{ name: 'h', value: text }],
                query: [{ name: 'q', value: text }],
                claims: [{ name: 'c', value: text }],
                port: 80,
                sourceNamespace: 'n',
              },
            },
          ],
        },
      ],
    },
  ],
  tls: [{ clientNamespace: 'a', hosts: ['h'], port: 443, origin: 'TLSRoute a/b', backends: [backend] }],
  tcp: [
    {
      clientNamespace: 'a',
      port: 9000,
      origin: 'TCPRoute a/b',
      backends: [backend],
      destinationRanges: ['10.0.0.0/8'],
      sourceNamespace: 'n',
    },
  ],
};
const policy: TrafficPolicy = {
  name: 'shop/cart',
  origin: 'DestinationRule shop/cart',
  subsets: [{ name: 'v2', labels: { version: 'v2' } }],
  upstreams: [
    {
      subset: 'v2',
      port: 80,
      loadBalancer: {
        algorithm: 'ring-hash',
        hash: {
          kind: 'cookie',
          name: 'c',
          cookiePath: '/',
          cookieTtlS: 5,
          cookieAttributes: [{ name: 'SameSite', value: 'Lax' }],
        },
        ringSize: 9,
        tableSize: 7,
        warmup: { durationMs: 5, minimumPercent: 10, aggression: 1.5 },
        locality: {
          enabled: true,
          distribute: [{ from: 'a/*', to: { b: 20, c: 80 } }],
          failover: [{ from: 'a', to: 'b' }],
          priorityLabels: ['x=y'],
          forced: true,
        },
      },
      pool: {
        maxConnections: 1,
        connectTimeoutMs: 2,
        maxConnectionDurationMs: 3,
        tcpIdleTimeoutMs: 4,
        keepalive: { probes: 1, timeMs: 2, intervalMs: 3 },
        maxPendingRequests: 5,
        maxRequests: 6,
        maxRequestsPerConnection: 7,
        maxRetries: 8,
        httpIdleTimeoutMs: 9,
        h2Upgrade: 'always',
        useClientProtocol: true,
        maxConcurrentStreams: 10,
        h2Keepalive: { probes: 1, timeMs: 2, intervalMs: 3 },
      },
      outlier: {
        consecutive5xx: 1,
        consecutiveGateway: 2,
        intervalMs: 3,
        baseEjectionMs: 4,
        maxEjectionMs: 5,
        maxEjectionPercent: 6,
        minHealthPercent: 7,
        splitLocalOrigin: true,
        consecutiveLocalOrigin: 8,
        errorCodes: [429],
      },
      tls: {
        mode: 'mutual',
        sni: 's',
        subjectAltNames: ['a'],
        insecureSkipVerify: true,
        caCertificates: new Uint8Array([1]),
        clientCertificate: new Uint8Array([2]),
        privateKey: new Uint8Array([3]),
        crl: new Uint8Array([4]),
        systemRoots: true,
        invalid: 'x',
      },
      proxyProtocol: 2,
      tunnel: { protocol: 'CONNECT', host: 'h', port: 1, invalid: 'x' },
      retryBudget: { percent: 20, minConcurrency: 3, intervalMs: 10 },
    },
  ],
};
const labels: WorkloadLabels = { name: 'uid', labels: { version: 'v2' } };
const authentication: RequestAuthentication = {
  name: 'shop/jwt',
  services: ['shop/cart'],
  rules: [
    {
      issuer: 'i',
      audiences: ['a'],
      jwks: '{}',
      fromHeaders: [{ name: 'h', value: 'p' }],
      fromParams: ['q'],
      fromCookies: ['c'],
      outputPayloadHeader: 'o',
      outputClaims: [{ name: 'h', value: 'c' }],
      forwardOriginal: true,
      spaceDelimitedClaims: ['s'],
    },
  ],
};
const telemetry: Telemetry = {
  name: '*',
  accessLogs: { loggers: [{ provider: 'envoy', filter: 'response.code >= 400' }] },
  tracing: {
    provider: 'otel',
    share: 0.01,
    disabled: true,
    tags: [{ name: 't', kind: 'header', value: 'h', defaultValue: 'd' }],
    disablePropagation: true,
    useRequestId: true,
    meshTags: true,
  },
  metrics: {
    disabled: true,
    overrides: [{ metric: 'requests_total', disabled: true, tags: [{ name: 'x', remove: true, value: 'v' }] }],
  },
};
const waypoint: WaypointSettings = {
  name: 'shop/waypoint',
  listeners: [
    {
      name: 'l',
      port: 443,
      protocol: 'HTTPS',
      hostname: 'h',
      routeTable: 't',
      tls: {
        mode: 'passthrough',
        certificates: [{ chain: new Uint8Array([1]), key: new Uint8Array([2]) }],
        caCertificates: new Uint8Array([3]),
        clientCertificate: 'optional',
      },
    },
  ],
  pathNormalisation: 'merge-slashes',
  defaultRetry: retry,
  headers: {
    forwardedPort: true,
    forwardedHost: true,
    noRequestId: true,
    noAttemptCount: true,
    passServer: true,
    noDebug: true,
    server: 'x',
  },
  providers: [
    {
      name: 'p',
      kind: 'ext-authz-http',
      target: { service: 'a/b', port: 1, subset: 'c' },
      path: '/x',
      format: 'f',
      json: true,
      timeoutMs: 3,
      failOpen: true,
      statusOnError: 500,
      requestHeaders: ['a'],
      upstreamHeaders: ['b'],
      denyHeaders: ['c'],
      allowHeaders: ['d'],
      extraHeaders: [{ name: 'e', value: 'f' }],
      bodyBytes: 4,
      bodyPartial: true,
      bodyAsBytes: true,
      jsonFields: { a: '%B%' },
      resourceDetectors: ['environment'],
      otelConventions: true,
      maxTagLength: 8,
      w3cToo: true,
    },
  ],
  forwardClientIdentity: true,
  trustedProxies: 2,
  trustDomainAliases: ['old.org'],
};

/** Names of message fields that no value of the sample sets. */
function unset(desc: DescMessage, values: readonly unknown[]): string[] {
  const records = values.filter((one) => one !== undefined) as Readonly<Record<string, unknown>>[];
  return desc.fields.flatMap((field) => {
    const set = records.map((one) => one[field.localName]).filter((one) => one !== undefined);
    const list = field.fieldKind === 'list' ? set.flat() : set;
    if (list.length === 0 && records.length > 0) return [`${desc.typeName}.${field.name}`];
    // Backends hold mirrors hold backends: the descriptor has no end, the sample has.
    const message = field.fieldKind === 'message' || (field.fieldKind === 'list' && field.listKind === 'message');
    return message ? unset(field.message!, list) : [];
  });
}

function holds<T extends { readonly name: string }>(desc: DescMessage, type: ResourceType<T>, sample: T): void {
  test(`a ${desc.name} with every field set survives the wire`, () => {
    const recursive = /Mirror|Backend/;
    assert.deepEqual(
      unset(desc, [sample]).filter((name) => !recursive.test(name)),
      [],
    );
    const encoded = type.encode(sample);
    assert.equal(encoded.name, sample.name);
    assert.deepEqual(type.decode(encoded.bytes), { ok: true, value: sample });
    assert.equal(type.encode(structuredClone(sample)).version, encoded.version);
  });
}

holds(RouteTableSchema, ROUTE_TABLE, table);
holds(TrafficPolicySchema, TRAFFIC_POLICY, policy);
holds(WorkloadLabelsSchema, WORKLOAD_LABELS, labels);
holds(RequestAuthenticationSchema, REQUEST_AUTHENTICATION, authentication);
holds(TelemetrySchema, TELEMETRY, telemetry);
holds(WaypointSchema, WAYPOINT, waypoint);

test('a word of an enum that is not known is a problem with its place', () => {
  const problems: { field: string; message: string }[] = [];
  toPlain(StringMatchSchema, create(StringMatchSchema, { kind: 9 as 0 }), problems);
  assert.deepEqual(problems, [{ field: 'kind', message: '9 is no value of ambit.waypoint.v1.StringMatch.Kind' }]);
});

test('bytes that are no message are a problem, not an exception', () => {
  const result = ROUTE_TABLE.decode(new Uint8Array([0xff, 0xff, 0xff]));
  assert.equal(result.ok, false);
});

test('an entry that says nothing matches everything, as the wire means it', () => {
  const bytes = toBinary(
    RouteTableSchema,
    create(RouteTableSchema, { name: 't', http: [{ hosts: [{ hosts: ['*'], entries: [{ rule: 0 }] }], rules: [{}] }] }),
  );
  const result = ROUTE_TABLE.decode(bytes);
  assert.ok(result.ok);
  assert.deepEqual(result.value.http[0]?.hosts[0]?.entries, [{ rule: 0, match: ANY_REQUEST }]);
});
