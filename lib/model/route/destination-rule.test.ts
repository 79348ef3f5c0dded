// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_POOL, UNLIMITED, type Upstream, upstreamOf } from '#lib/mesh/http/traffic-policy.ts';
import { CART } from '#lib/testkit/routes.ts';
import { convertDestinationRules, type DestinationRuleContext, destinationHost } from './destination-rule.ts';
import type { DestinationRule, LoadBalancerSpec, PolicySpec } from './destination-rule-spec.ts';

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const CONTEXT: DestinationRuleContext = {
  domain: 'cluster.local',
  credential: (namespace, name) =>
    namespace === 'shop' && name === 'certs'
      ? { certificate: text('cert'), key: text('key'), ca: text('ca'), crl: text('') }
      : undefined,
  locality: { enabled: true },
  connectionPool: undefined,
  outlierDetection: undefined,
};

type Spec = NonNullable<DestinationRule['spec']>;

function rule(spec: Spec, name = 'dr'): DestinationRule {
  return { metadata: { name, namespace: 'shop' }, spec: { host: 'cart', ...spec } };
}

function of(spec: Spec, subset = '', port = 80, context = CONTEXT): Upstream {
  const { policy } = convertDestinationRules([rule(spec)], CART, context);
  const upstream = upstreamOf(policy, subset, port);
  assert.ok(upstream);
  return upstream;
}

function problems(trafficPolicy: PolicySpec): string[] {
  return convertDestinationRules([rule({ trafficPolicy })], CART, CONTEXT).problems.map(({ field }) => field);
}

function balancer(loadBalancer: LoadBalancerSpec): Upstream['loadBalancer'] & object {
  const { loadBalancer: made } = of({ trafficPolicy: { loadBalancer } });
  assert.ok(made);
  return made;
}

test('of each component the port counts before the subset before the rule before the mesh', () => {
  const spec: Spec = {
    trafficPolicy: {
      loadBalancer: { simple: 'RANDOM' },
      connectionPool: { tcp: { maxConnections: 1 } },
      portLevelSettings: [{ port: { number: 81 }, connectionPool: { tcp: { maxConnections: 81 } } }],
    },
    subsets: [
      {
        name: 'v2',
        labels: { version: 'v2' },
        trafficPolicy: {
          loadBalancer: { simple: 'ROUND_ROBIN' },
          portLevelSettings: [{ port: { number: 82 }, loadBalancer: { simple: 'LEAST_CONN' } }],
        },
      },
    ],
  };
  const brief = (subset: string, port: number): unknown[] => {
    const { loadBalancer, outlier, pool } = of(spec, subset, port, {
      ...CONTEXT,
      outlierDetection: { consecutive5xxErrors: 7 },
    });
    return [loadBalancer?.algorithm, pool?.maxConnections, outlier?.consecutive5xx];
  };
  assert.deepEqual(brief('', 80), ['random', 1, 7]);
  assert.deepEqual(brief('', 81), ['random', 81, 7]);
  assert.deepEqual(brief('v2', 80), ['round-robin', 1, 7]);
  assert.deepEqual(brief('v2', 81), ['round-robin', 81, 7]);
  assert.deepEqual(brief('v2', 82), ['least-request', 1, 7]);
  const { policy } = convertDestinationRules([rule(spec)], CART, CONTEXT);
  assert.deepEqual(policy.subsets, [{ name: 'v2', labels: { version: 'v2' } }]);
  assert.equal(upstreamOf(policy, 'v3', 80), undefined, 'an unknown subset leads nowhere');
  assert.equal(upstreamOf(undefined, '', 80)?.pool, DEFAULT_POOL);
});

test('where no rule says anything: no limits, ten seconds to connect, the less loaded of two, nobody is ejected', () => {
  const { loadBalancer, outlier, pool, retryBudget, tls } = upstreamOf(undefined, '', 80)!;
  assert.equal(loadBalancer?.algorithm, 'least-request');
  assert.deepEqual([outlier, tls, retryBudget], [undefined, undefined, undefined]);
  const { maxConnections, maxPendingRequests, maxRequests, maxRetries } = pool!;
  for (const limit of [maxConnections, maxPendingRequests, maxRequests, maxRetries]) assert.equal(limit, 2 ** 32 - 1);
  assert.deepEqual(
    [pool!.connectTimeoutMs, pool!.httpIdleTimeoutMs, pool!.tcpIdleTimeoutMs, pool!.maxRequestsPerConnection],
    [10_000, 3_600_000, 3_600_000, 0],
  );
});

test('later rules of one host add their subsets, the first one rules', () => {
  const first = rule({ trafficPolicy: { loadBalancer: { simple: 'RANDOM' } }, subsets: [{ name: 'a' }] });
  const second = rule(
    { trafficPolicy: { loadBalancer: { simple: 'ROUND_ROBIN' } }, subsets: [{ name: 'a' }, { name: 'b' }] },
    'two',
  );
  const { policy, problems: found } = convertDestinationRules([first, second], CART, CONTEXT);
  assert.deepEqual(
    policy.subsets.map(({ name }) => name),
    ['a', 'b'],
  );
  assert.equal(policy.origin, 'DestinationRule shop/dr');
  assert.equal(upstreamOf(policy, '', 80)?.loadBalancer?.algorithm, 'random');
  assert.deepEqual(
    found.map(({ object, field }) => [object, field]),
    [['DestinationRule shop/two', 'spec.subsets[0]']],
  );
  assert.equal(destinationHost(first, 'cluster.local'), 'cart.shop.svc.cluster.local');
});

test('all algorithms, and what consistent hashing goes by', () => {
  const simple = (name: string): string => balancer({ simple: name }).algorithm;
  assert.deepEqual(['UNSPECIFIED', 'LEAST_REQUEST', 'LEAST_CONN', 'RANDOM', 'ROUND_ROBIN', 'PASSTHROUGH'].map(simple), [
    'least-request',
    'least-request',
    'least-request',
    'random',
    'round-robin',
    'passthrough',
  ]);
  const ring = balancer({ consistentHash: { httpHeaderName: 'X-User' } });
  assert.deepEqual(
    [ring.algorithm, ring.ringSize, ring.hash?.kind, ring.hash?.name],
    ['ring-hash', 1024, 'header', 'x-user'],
  );
  assert.equal(balancer({ consistentHash: { useSourceIp: true, ringHash: { minimumRingSize: 9 } } }).ringSize, 9);
  const maglev = balancer({ consistentHash: { httpQueryParameterName: 'u', maglev: { tableSize: 101 } } });
  assert.deepEqual([maglev.algorithm, maglev.tableSize, maglev.hash?.kind], ['maglev', 101, 'query']);
  assert.equal(balancer({ consistentHash: { useSourceIp: true, maglev: {} } }).tableSize, 65537);
  const cookie = balancer({
    consistentHash: {
      httpCookie: { name: 'u', path: '/p', ttl: '60s', attributes: [{ name: 'SameSite', value: 'Lax' }] },
    },
  }).hash;
  assert.deepEqual(cookie, {
    kind: 'cookie',
    name: 'u',
    cookiePath: '/p',
    cookieTtlS: 60,
    cookieAttributes: [{ name: 'SameSite', value: 'Lax' }],
  });
  assert.equal(balancer({ consistentHash: { httpCookie: { name: 'u' } } }).hash?.cookieTtlS, undefined);
  assert.equal(balancer({ consistentHash: { httpCookie: { name: 'u', ttl: '0s' } } }).hash?.cookieTtlS, 0);
});

test('warm-up and localities', () => {
  assert.deepEqual(balancer({ simple: 'ROUND_ROBIN', warmup: { duration: '1m' } }).warmup, {
    durationMs: 60_000,
    minimumPercent: 10,
    aggression: 1,
  });
  assert.equal(balancer({ warmupDurationSecs: '30s' }).warmup?.durationMs, 30_000);
  assert.equal(balancer({ simple: 'RANDOM', warmup: { duration: '1m' } }).warmup, undefined);
  assert.equal(balancer({}).locality?.enabled, true);
  const local = balancer({
    localityLbSetting: {
      enabled: false,
      distribute: [{ from: 'a/*', to: { 'a/*': 100 } }],
      failover: [{ from: 'a', to: 'b' }],
      failoverPriority: ['x'],
    },
  }).locality;
  assert.deepEqual(local, {
    enabled: false,
    distribute: [{ from: 'a/*', to: { 'a/*': 100 } }],
    failover: [{ from: 'a', to: 'b' }],
    priorityLabels: ['x'],
    forced: false,
  });
});

test('connection pools and outlier detection, with their defaults', () => {
  const { pool } = of({
    trafficPolicy: {
      connectionPool: {
        tcp: {
          maxConnections: 0,
          connectTimeout: '30ms',
          tcpKeepalive: { time: '2h' },
          maxConnectionDuration: '1h',
          idleTimeout: '5s',
        },
        http: {
          http1MaxPendingRequests: 1,
          http2MaxRequests: 2,
          maxRequestsPerConnection: 3,
          maxRetries: 4,
          idleTimeout: '6s',
          h2UpgradePolicy: 'UPGRADE',
          useClientProtocol: true,
          maxConcurrentStreams: 5,
          http2KeepAlive: { interval: '10s', timeout: '20s' },
        },
      },
    },
  });
  assert.deepEqual(pool, {
    maxConnections: UNLIMITED,
    connectTimeoutMs: 30,
    maxConnectionDurationMs: 3_600_000,
    tcpIdleTimeoutMs: 5000,
    keepalive: { probes: 9, timeMs: 7_200_000, intervalMs: 75_000 },
    maxPendingRequests: 1,
    maxRequests: 2,
    maxRequestsPerConnection: 3,
    maxRetries: 4,
    httpIdleTimeoutMs: 6000,
    h2Upgrade: 'always',
    useClientProtocol: true,
    maxConcurrentStreams: 5,
    h2Keepalive: { probes: 0, timeMs: 10_000, intervalMs: 20_000 },
  });
  const detected = (spec: PolicySpec['outlierDetection'] & object): unknown =>
    of({ trafficPolicy: { outlierDetection: spec } }).outlier;
  const defaults = {
    consecutive5xx: 5,
    consecutiveGateway: 0,
    intervalMs: 10_000,
    baseEjectionMs: 30_000,
    maxEjectionMs: 300_000,
    maxEjectionPercent: 10,
    minHealthPercent: 0,
    splitLocalOrigin: false,
    consecutiveLocalOrigin: 5,
    errorCodes: [],
  };
  assert.deepEqual(detected({}), defaults);
  assert.deepEqual(
    detected({
      consecutive5xxErrors: 0,
      consecutiveGatewayErrors: 3,
      baseEjectionTime: '1s',
      outlierDetectionHttpErrorCodes: [429],
    }),
    {
      ...defaults,
      consecutive5xx: 0,
      consecutiveGateway: 3,
      baseEjectionMs: 1000,
      errorCodes: [429],
    },
  );
  assert.equal(of({}).outlier, undefined);
});

test('TLS inside the tunnel: certificates by name, and what makes connections fail', () => {
  const tls = (spec: PolicySpec['tls'] & object) => of({ trafficPolicy: { tls: spec } }).tls;
  assert.equal(tls({ mode: 'ISTIO_MUTUAL' }), undefined);
  assert.equal(tls({ mode: 'DISABLE' }), undefined);
  const simple = tls({ mode: 'SIMPLE' });
  assert.deepEqual(
    [simple?.mode, simple?.sni, simple?.systemRoots, simple?.invalid],
    ['simple', 'cart.shop.svc.cluster.local', true, ''],
  );
  const mutual = tls({ mode: 'MUTUAL', credentialName: 'certs', sni: 's', subjectAltNames: ['x'] });
  assert.deepEqual(
    [mutual?.clientCertificate, mutual?.caCertificates, mutual?.sni, mutual?.subjectAltNames, mutual?.systemRoots],
    [text('cert'), text('ca'), 's', ['x'], false],
  );
  assert.equal(tls({ mode: 'SIMPLE', insecureSkipVerify: true })?.systemRoots, false);
  assert.match(tls({ mode: 'SIMPLE', credentialName: 'gone' })?.invalid ?? '', /Secret shop\/gone does not exist/);
  assert.match(tls({ mode: 'SIMPLE', caCertificates: '/etc/ca.pem' })?.invalid ?? '', /is a file/);
});

test('PROXY protocol, tunnels to egress proxies, retry budgets', () => {
  assert.equal(of({ trafficPolicy: { proxyProtocol: { version: 'V2' } } }).proxyProtocol, 2);
  assert.equal(of({ trafficPolicy: { proxyProtocol: {} } }).proxyProtocol, 1);
  assert.equal(of({}).proxyProtocol, 0);
  assert.deepEqual(of({ trafficPolicy: { tunnel: { protocol: 'POST', targetHost: 'x', targetPort: 443 } } }).tunnel, {
    protocol: 'POST',
    host: 'x',
    port: 443,
    invalid: '',
  });
  const budget = (spec: PolicySpec['retryBudget'] & object) => of({ trafficPolicy: { retryBudget: spec } }).retryBudget;
  assert.deepEqual(budget({}), { percent: 20, minConcurrency: 3, intervalMs: 0 });
  assert.deepEqual(budget({ percent: { value: 5 }, minRetryConcurrency: 1, budgetInterval: '10s' }), {
    percent: 5,
    minConcurrency: 1,
    intervalMs: 10_000,
  });
});

test('a tunnel that no proxy can be asked for fails connections and is named', () => {
  const tunnel = (spec: PolicySpec['tunnel'] & object) => of({ trafficPolicy: { tunnel: spec } }).tunnel;
  assert.deepEqual(tunnel({ targetHost: '2001:db8::1', targetPort: 443 }), {
    protocol: 'CONNECT',
    host: '2001:db8::1',
    port: 443,
    invalid: '',
  });
  const good = { targetHost: 'db.example.com', targetPort: 5432 };
  for (const [spec, field, why] of [
    [{ ...good, protocol: 'PUT' }, 'protocol', /not by PUT/],
    [{ ...good, targetHost: 'db example' }, 'targetHost', /db example is neither/],
    [{ ...good, targetHost: 'db\r\nx: y' }, 'targetHost', /is neither/],
    [{ targetPort: 1 }, 'targetHost', /is neither/],
    [{ ...good, targetPort: 65_536 }, 'targetPort', /65536 is no port/],
    [{ targetHost: 'db' }, 'targetPort', /0 is no port/],
  ] as const) {
    assert.match(tunnel(spec)?.invalid ?? '', why);
    assert.deepEqual(problems({ tunnel: spec }), [`spec.trafficPolicy.tunnel.${field}`]);
  }
});

test('what cannot be read keeps its default and is named', () => {
  assert.deepEqual(problems({ loadBalancer: { simple: 'BEST' } }), ['spec.trafficPolicy.loadBalancer.simple']);
  assert.deepEqual(problems({ loadBalancer: { consistentHash: {} } }), [
    'spec.trafficPolicy.loadBalancer.consistentHash',
  ]);
  assert.deepEqual(problems({ loadBalancer: { consistentHash: { useSourceIp: true, maglev: { tableSize: 100 } } } }), [
    'spec.trafficPolicy.loadBalancer.consistentHash.maglev.tableSize',
  ]);
  assert.deepEqual(problems({ connectionPool: { tcp: { connectTimeout: 'x' } } }), [
    'spec.trafficPolicy.connectionPool.tcp.connectTimeout',
  ]);
  assert.deepEqual(problems({ outlierDetection: { outlierDetectionHttpErrorCodes: [7] } }), [
    'spec.trafficPolicy.outlierDetection.outlierDetectionHttpErrorCodes',
  ]);
});
