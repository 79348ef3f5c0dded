// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { service, type WorkloadText, workload } from '#lib/testkit/mesh.ts';
import {
  DEFAULT_LOAD_BALANCER,
  DEFAULT_UPSTREAM,
  type LoadBalancer,
  type Locality,
  type OutlierDetection,
  type Upstream,
} from '../http/traffic-policy.ts';
import { NO_PROOF, recordProof } from '../proof.ts';
import type { LoadBalancing } from '../service.ts';
import { ANY_HOST, Balancer, type BalancerSources, type PickRequest, warmupFactor } from './balancer.ts';
import { hash32 } from './hash.ts';
import type { Host } from './host.ts';

const PORT = 80;

/** Chance that repeats, from a seed. */
function chance(seed = 1): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

interface Setting {
  readonly pods: readonly (WorkloadText & { readonly labels?: Readonly<Record<string, string>> })[];
  readonly balancer?: Partial<LoadBalancer>;
  readonly outlier?: Partial<OutlierDetection>;
  readonly settings?: Partial<Upstream>;
  readonly balancing?: LoadBalancing;
  readonly subset?: Readonly<Record<string, string>>;
  readonly source?: WorkloadText;
  readonly sourceLabels?: Readonly<Record<string, string>>;
}

const OUTLIER: OutlierDetection = {
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

function sources({
  balancer,
  balancing,
  outlier,
  pods,
  settings,
  source = {},
  sourceLabels = {},
  subset = {},
}: Setting): BalancerSources {
  const labels = new Map(pods.map((pod) => [`Kubernetes//Pod/default/${pod.name}`, pod.labels ?? {}]));
  const own = workload({ name: 'waypoint', ...source });
  return {
    service: service({ ports: { [PORT]: 8080 }, ...(balancing && { loadBalancing: balancing }) }),
    endpoints: pods.map(({ labels: _own, ...pod }, i) => ({
      workload: workload({ ips: [`10.0.0.${i + 1}`], ...pod }),
      ports: [],
    })),
    settings: {
      ...DEFAULT_UPSTREAM,
      loadBalancer: { ...DEFAULT_LOAD_BALANCER, ...balancer },
      outlier: outlier === undefined ? undefined : { ...OUTLIER, ...outlier },
      ...settings,
    },
    subsetLabels: subset,
    labelsOf: (uid) => (uid === own.uid ? sourceLabels : (labels.get(uid) ?? {})),
    source: own,
  };
}

function balancer(setting: Setting): Balancer {
  return new Balancer(PORT, sources(setting), 0);
}

function picked(host: Host | string): string {
  return typeof host === 'string' ? host : host.endpoint.workload.name;
}

/** How many of 10,000 picks each pod takes, in percent. */
function shares(of: Balancer, request: PickRequest = ANY_HOST, nowMs = 0): Record<string, number> {
  const random = chance();
  const counts: Record<string, number> = {};
  for (let i = 0; i < 10_000; i++) {
    const name = picked(of.pick(request, nowMs, random, NO_PROOF));
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return Object.fromEntries(
    Object.entries(counts)
      .sort()
      .map(([name, count]) => [name, Math.round(count / 100)]),
  );
}

function hostNamed(of: Balancer, name: string): Host {
  const host = of.hosts.find((one) => one.endpoint.workload.name === name);
  assert.ok(host);
  return host;
}

const near = (actual: Record<string, number>, wanted: Record<string, number>, by = 2): void => {
  assert.deepEqual(Object.keys(actual), Object.keys(wanted).sort());
  for (const [name, share] of Object.entries(wanted)) {
    assert.ok(Math.abs((actual[name] ?? 0) - share) <= by, `${name}: ${actual[name]} %, wanted ${share} %`);
  }
};

const ABC = [{ name: 'a' }, { name: 'b' }, { name: 'c' }];

for (const algorithm of ['least-request', 'random', 'round-robin', 'ring-hash', 'maglev'] as const) {
  test(`${algorithm}: weights decide, pods that are not ready take nothing`, () => {
    const of = balancer({
      pods: [{ name: 'a', capacity: 3 }, { name: 'b' }, { name: 'c', healthy: false }],
      balancer: { algorithm },
    });
    near(shares(of), { a: 75, b: 25 });
  });
}

test('least-request: of two the one with less to do', () => {
  const of = balancer({ pods: [{ name: 'a' }, { name: 'b' }] });
  hostNamed(of, 'a').active = 5;
  near(shares(of), { a: 25, b: 75 });
});

test('round-robin: turns, in equal steps', () => {
  const of = balancer({ pods: ABC, balancer: { algorithm: 'round-robin' } });
  const names = Array.from({ length: 6 }, () => picked(of.pick(ANY_HOST, 0, () => 0, NO_PROOF)));
  assert.deepEqual(names, ['a', 'b', 'c', 'a', 'b', 'c']);
});

for (const algorithm of ['ring-hash', 'maglev'] as const) {
  test(`${algorithm}: a key keeps its pod while others come and go`, () => {
    const pods = Array.from({ length: 10 }, (_, i) => ({ name: `p${i}` }));
    const of = balancer({ pods, balancer: { algorithm } });
    const keys = Array.from({ length: 1000 }, (_, i) => hash32(`user-${i}`));
    const where = (): string[] => keys.map((hash) => picked(of.pick({ ...ANY_HOST, hash }, 0, Math.random, NO_PROOF)));
    const before = where();
    assert.deepEqual(where(), before);
    assert.equal(new Set(before).size, 10);
    of.update(sources({ pods: pods.slice(0, 9), balancer: { algorithm } }), 0);
    const after = where();
    const moved = before.filter((name, i) => name !== 'p9' && after[i] !== name).length;
    assert.ok(moved < 100, `${moved} of 1000 keys moved although their pod stayed`);
    assert.ok(!after.includes('p9'));
  });
}

test('a subset is the pods with its labels', () => {
  const pods = [
    { name: 'a', labels: { version: 'v1' } },
    { name: 'b', labels: { version: 'v2', x: 'y' } },
    { name: 'c' },
  ];
  near(shares(balancer({ pods, subset: { version: 'v2' } })), { b: 100 });
});

test('retries avoid pods that were tried, and take one again rather than none', () => {
  const of = balancer({ pods: ABC });
  const tried = [hostNamed(of, 'a'), hostNamed(of, 'b')];
  near(shares(of, { ...ANY_HOST, tried }), { c: 100 });
  const all = shares(of, { ...ANY_HOST, tried: [...of.hosts] });
  assert.equal(Object.values(all).reduce((sum, one) => sum + one, 0) >= 99, true);
});

test('outlier detection: five errors in a row eject, longer each time, and never more than the share', () => {
  const of = balancer({ pods: ABC, outlier: { maxEjectionPercent: 40 } });
  const a = hostNamed(of, 'a');
  const fail = (host: Host, times: number, nowMs: number): boolean[] =>
    Array.from({ length: times }, () => of.report(host, { kind: 'status', status: 500 }, nowMs));
  assert.deepEqual(fail(a, 4, 0), [false, false, false, false]);
  of.report(a, { kind: 'status', status: 200 }, 0);
  assert.deepEqual(fail(a, 5, 0), [false, false, false, false, true], 'a success begins the count anew');
  near(shares(of, ANY_HOST, 1), { b: 50, c: 50 });
  assert.equal(fail(hostNamed(of, 'b'), 5, 1).includes(true), false, 'a second one of three is more than 40 %');
  near(shares(of, ANY_HOST, 29_999), { b: 50, c: 50 });
  near(shares(of, ANY_HOST, 30_000), { a: 33, b: 33, c: 33 });
  fail(a, 5, 30_001);
  assert.equal(a.ejectedUntilMs, 90_001, 'twice as long the second time');
  fail(a, 5, 200_000);
  assert.equal(a.ejectedUntilMs, 230_000, 'and forgiven after quiet intervals');
});

test('outlier detection: what counts is settable', () => {
  const one = (outlier: Partial<OutlierDetection>, result: Parameters<Balancer['report']>[1]): boolean => {
    const of = balancer({ pods: ABC, outlier: { consecutive5xx: 0, ...outlier } });
    return of.report(hostNamed(of, 'a'), result, 0);
  };
  assert.equal(one({ consecutive5xx: 1 }, { kind: 'status', status: 429 }), false);
  assert.equal(one({ consecutive5xx: 1, errorCodes: [429] }, { kind: 'status', status: 429 }), true);
  assert.equal(one({ consecutiveGateway: 1 }, { kind: 'status', status: 500 }), false);
  assert.equal(one({ consecutiveGateway: 1 }, { kind: 'status', status: 503 }), true);
  assert.equal(one({ consecutive5xx: 1 }, { kind: 'local' }), true);
  assert.equal(one({ consecutive5xx: 1, splitLocalOrigin: true }, { kind: 'local' }), false);
  assert.equal(one({ splitLocalOrigin: true, consecutiveLocalOrigin: 1 }, { kind: 'local' }), true);
});

test('below the least health all are asked again', () => {
  const of = balancer({
    pods: [{ name: 'a' }, { name: 'b' }],
    outlier: { consecutive5xx: 1, maxEjectionPercent: 100, minHealthPercent: 60 },
  });
  of.report(hostNamed(of, 'a'), { kind: 'local' }, 0);
  near(shares(of, ANY_HOST, 1), { a: 50, b: 50 });
});

const at = (region: string, zone: string, subzone = ''): { locality: WorkloadText['locality'] & object } => ({
  locality: { region, zone, subzone },
});
const LOCAL: Locality = { enabled: true, distribute: [], failover: [], priorityLabels: [], forced: false };

test('failover: the near zone takes all while 72 % of it is in, then load moves on', () => {
  const pods = [
    ...['a', 'b', 'c', 'd'].map((name) => ({ name, ...at('r', 'z1') })),
    { name: 'far', ...at('r', 'z2') },
    { name: 'away', ...at('q', 'z3') },
  ];
  const of = balancer({
    pods,
    source: at('r', 'z1'),
    balancer: { locality: LOCAL },
    outlier: { consecutive5xx: 1, maxEjectionPercent: 100 },
  });
  near(shares(of), { a: 25, b: 25, c: 25, d: 25 });
  of.report(hostNamed(of, 'a'), { kind: 'local' }, 0);
  near(shares(of, ANY_HOST, 1), { b: 33, c: 33, d: 33 });
  of.report(hostNamed(of, 'b'), { kind: 'local' }, 1);
  near(shares(of, ANY_HOST, 2), { c: 35, d: 35, far: 30 });
  of.report(hostNamed(of, 'c'), { kind: 'local' }, 2);
  of.report(hostNamed(of, 'd'), { kind: 'local' }, 2);
  near(shares(of, ANY_HOST, 3), { far: 100 });
  const quiet = balancer({ pods, source: at('r', 'z1'), balancer: { locality: LOCAL } });
  assert.equal(Object.keys(shares(quiet)).length, 6, 'without outlier detection zones are alike');
});

test('failover to a region that is named comes before others', () => {
  const pods = [
    { name: 'q', ...at('q', 'z') },
    { name: 's', ...at('s', 'z') },
  ];
  const locality = { ...LOCAL, failover: [{ from: 'r', to: 's' }] };
  near(shares(balancer({ pods, source: at('r', 'z'), balancer: { locality }, outlier: {} })), { s: 100 });
});

test('failover by labels: the more leading ones fit the nearer', () => {
  const pods = [
    { name: 'a', labels: { tier: 'x', rack: '2' } },
    { name: 'b', labels: { tier: 'x', rack: '1' } },
    { name: 'c', labels: { tier: 'y', rack: '1' } },
  ];
  const locality = { ...LOCAL, priorityLabels: ['tier=x', 'rack'] };
  near(shares(balancer({ pods, sourceLabels: { rack: '1' }, balancer: { locality }, outlier: {} })), { b: 100 });
});

test('distribute: localities take their percentages, others nothing', () => {
  const pods = [
    { name: 'a', ...at('r', 'z1') },
    { name: 'b', ...at('r', 'z2') },
    { name: 'b2', ...at('r', 'z2') },
    { name: 'c', ...at('q', 'z') },
  ];
  const locality = { ...LOCAL, distribute: [{ from: 'r/z1/*', to: { 'r/z1/*': 80, 'r/z2/*': 20 } }] };
  near(shares(balancer({ pods, source: at('r', 'z1'), balancer: { locality } })), { a: 80, b: 10, b2: 10 });
});

test("a service's own preference for near pods needs no outlier detection", () => {
  const pods = [
    { name: 'a', ...at('r', 'z1') },
    { name: 'b', ...at('r', 'z2') },
  ];
  const scopes = ['network', 'region', 'zone'] as const;
  const of = (mode: LoadBalancing['mode']): Balancer =>
    balancer({ pods, source: at('r', 'z2'), balancing: { mode, scopes, allowUnhealthy: false } });
  near(shares(of('failover')), { b: 100 });
  near(shares(of('strict')), { b: 100 });
  const remote = shares(of('failover'), { ...ANY_HOST, remote: true });
  near(remote, { a: 100 });
});

test('warm-up: a new pod grows into its share', () => {
  const warmup = { durationMs: 60_000, minimumPercent: 10, aggression: 1 };
  assert.deepEqual(
    [0, 3000, 30_000, 60_000].map((age) => warmupFactor(warmup, age)),
    [0.1, 0.1, 0.5, 1],
  );
  assert.equal(warmupFactor({ ...warmup, aggression: 2 }, 15_000), 0.5);
  const old = { pods: [{ name: 'a' }], balancer: { algorithm: 'random', warmup } } as const;
  const of = balancer(old);
  of.update(sources({ ...old, pods: [{ name: 'a' }, { name: 'b' }] }), 60_000);
  near(shares(of, ANY_HOST, 60_001), { a: 91, b: 9 });
  near(shares(of, ANY_HOST, 90_000), { a: 67, b: 33 });
  near(shares(of, ANY_HOST, 120_000), { a: 50, b: 50 });
});

test('a session keeps its pod until it is gone or ejected', () => {
  const of = balancer({ pods: ABC, outlier: { consecutive5xx: 1 } });
  const b = hostNamed(of, 'b');
  near(shares(of, { ...ANY_HOST, sticky: b.token }), { b: 100 });
  of.report(b, { kind: 'local' }, 0);
  near(shares(of, { ...ANY_HOST, sticky: b.token }, 1), { a: 50, c: 50 });
});

test('why there is no pod', () => {
  const none = (setting: Setting, port = PORT): string =>
    picked(new Balancer(port, sources(setting), 0).pick(ANY_HOST, 0, Math.random, NO_PROOF));
  assert.equal(none({ pods: [] }), 'no-endpoint');
  assert.equal(none({ pods: [{ name: 'a', healthy: false }] }), 'no-healthy-endpoint');
  assert.equal(none({ pods: ABC }, 99), 'unknown-port');
  const all = balancer({ pods: [{ name: 'a' }], outlier: { consecutive5xx: 1 } });
  all.report(hostNamed(all, 'a'), { kind: 'local' }, 0);
  assert.equal(picked(all.pick(ANY_HOST, 1, Math.random, NO_PROOF)), 'no-healthy-endpoint');
});

test('a pod that stays keeps what is known of it', () => {
  const of = balancer({ pods: ABC });
  const a = hostNamed(of, 'a');
  a.active = 3;
  of.update(sources({ pods: [{ name: 'd' }, { name: 'a' }] }), 5);
  assert.equal(hostNamed(of, 'a'), a);
  assert.deepEqual(
    of.hosts.map((host) => [host.endpoint.workload.name, host.sinceMs]),
    [
      ['d', 5],
      ['a', 0],
    ],
  );
});

test('the proof tells levels, load and ejections', () => {
  const of = balancer({ pods: [{ name: 'a' }, { name: 'b' }], outlier: { consecutive5xx: 1 } });
  of.report(hostNamed(of, 'a'), { kind: 'local' }, 0);
  const rec = recordProof();
  of.pick(ANY_HOST, 1000, () => 0, rec);
  assert.deepEqual(
    rec.steps.map(({ outcome }) => outcome),
    [
      '2 of 2 may be chosen',
      'ejected for 29 s more',
      'level 0 (100 % of the load), 0 active',
      'chosen by least-request',
    ],
  );
});
