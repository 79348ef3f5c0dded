// SPDX-License-Identifier: Apache-2.0
//
// What waypoints are told of telemetry, and what authors are told of their objects.

import { deepEqual, equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import type { Telemetry } from '#lib/mesh/http/telemetry.ts';
import { BLANK_PROVIDER } from '#lib/mesh/http/waypoint.ts';
import { kubeService, namespace, testModel, waypointGateway } from '#lib/testkit/model.ts';
import { TELEMETRY, WAYPOINT } from '../l7/resource.ts';
import { DEFAULT_SETTINGS, type ExtensionProvider, type MeshSettings } from '../mesh-settings.ts';
import type { KubeObject } from '../object/object.ts';
import { validateParsed } from '../validate/files.ts';

const CART = 'shop/cart.shop.svc.cluster.local';
const FAR = 'far/pay.far.svc.cluster.local';
const collector: ExtensionProvider = {
  ...BLANK_PROVIDER,
  name: 'otel',
  kind: 'otlp-trace',
  service: 'otel.obs.svc.cluster.local',
  port: 4317,
};
const SETTINGS: MeshSettings = {
  ...DEFAULT_SETTINGS,
  extensionProviders: [collector, { ...collector, name: 'other' }, { ...collector, name: 'als', kind: 'otlp-log' }],
};

function telemetry(name: string, within: string, spec: object, created = '2026-01-01T00:00:00Z'): KubeObject {
  return {
    apiVersion: 'telemetry.istio.io/v1',
    kind: 'Telemetry',
    metadata: { name, namespace: within, creationTimestamp: created },
    spec,
  } as KubeObject;
}

function service(name: string, within: string, labels: Record<string, string>): KubeObject {
  return kubeService(name, { namespace: within, ip: `10.96.1.${name.length}`, meta: { labels } });
}

/** Service cart of shop and service pay of another namespace, both behind waypoint w of shop. */
const WORLD: readonly KubeObject[] = [
  namespace('shop'),
  namespace('far'),
  namespace('istio-system'),
  waypointGateway('w', { hostname: 'w.shop.svc.cluster.local', from: 'All' }),
  service('cart', 'shop', { 'istio.io/use-waypoint': 'w' }),
  service('pay', 'far', { 'istio.io/use-waypoint': 'w', 'istio.io/use-waypoint-namespace': 'shop' }),
];

const live = (objects: readonly KubeObject[], settings = SETTINGS) => testModel([...WORLD, ...objects], settings);

/** By name of the resource. */
function told(model: ReturnType<typeof live>): Record<string, Telemetry> {
  const found = model.model.layer7.types.find(({ typeUrl }) => typeUrl === TELEMETRY.typeUrl);
  return Object.fromEntries(
    [...(found?.resources.values() ?? [])].map(({ resource, scope }) => {
      equal(scope, 'shop/w');
      const value = TELEMETRY.decode(resource.bytes);
      if (!value.ok) throw new Error('no telemetry');
      return [resource.name, value.value];
    }),
  );
}

const by = (...names: string[]) => names.map((name) => ({ name }));
const target = (kind: string, name: string, group = '') => ({ targetRefs: [{ group, kind, name }] });

test('where nobody says anything, waypoints are told nothing and do as they are set', () => {
  deepEqual(told(live([])), {});
});

test('tracing: the root namespace, the waypoint’s, the service’s, the Gateway’s and the service’s own, field by field', () => {
  const share = (randomSamplingPercentage: number) => ({ tracing: [{ randomSamplingPercentage }] });
  const model = live([telemetry('mesh', 'istio-system', { tracing: [{ providers: by('otel') }] })]);
  const shares = () =>
    Object.fromEntries(Object.entries(told(model)).map(([name, { tracing }]) => [name, tracing?.share]));
  deepEqual(shares(), { '*': 0.01 });
  model.apply(telemetry('own', 'shop', share(2)));
  deepEqual(shares(), { '*': 0.02 });
  model.apply(telemetry('own', 'far', share(3)));
  deepEqual(shares(), { '*': 0.02, [FAR]: 0.03 });
  const GATEWAY = 'gateway.networking.k8s.io';
  model.apply(telemetry('gw', 'shop', { ...target('Gateway', 'w', GATEWAY), ...share(4) }));
  deepEqual(shares(), { '*': 0.04, [FAR]: 0.04 });
  model.apply(telemetry('one', 'shop', { ...target('Service', 'cart'), ...share(5) }));
  deepEqual(shares(), { '*': 0.04, [FAR]: 0.04, [CART]: 0.05 });
  equal(told(model)[CART]?.tracing?.provider, 'otel');
  model.remove(telemetry('gw', 'shop', {}));
  deepEqual(shares(), { '*': 0.02, [FAR]: 0.03, [CART]: 0.05 });
  model.remove(telemetry('mesh', 'istio-system', {}));
  deepEqual(told(model), {});
});

test('tracing: everything of an entry, and what is only for clients has no effect', () => {
  const spec = {
    tracing: [
      {
        providers: by('otel'),
        disableSpanReporting: true,
        useRequestIdForTraceSampling: false,
        enableIstioTags: false,
        disableContextPropagation: true,
        customTags: {
          b: { header: { name: 'X-Tenant', defaultValue: 'none' } },
          a: { literal: { value: 'x' } },
          c: { environment: { name: 'TIER' } },
        },
      },
      { match: { mode: 'CLIENT' }, providers: by('other') },
    ],
  };
  deepEqual(told(live([telemetry('t', 'shop', spec)]))['*']?.tracing, {
    provider: 'otel',
    share: 0.01,
    disabled: true,
    tags: [
      { name: 'a', kind: 'literal', value: 'x', defaultValue: '' },
      { name: 'b', kind: 'header', value: 'x-tenant', defaultValue: 'none' },
      { name: 'c', kind: 'environment', value: 'TIER', defaultValue: '' },
    ],
    disablePropagation: true,
    useRequestId: false,
    meshTags: false,
  });
});

test('the mesh’s defaults trace and log where no object says otherwise', () => {
  const settings: MeshSettings = {
    ...SETTINGS,
    defaultProviders: { tracing: ['otel'], accessLogging: [] },
    tracing: { share: 0.5, tags: { t: { literal: { value: 'v' } } } },
    accessLog: { file: '/dev/stdout', format: '%PROTOCOL%', json: false, jsonFields: {} },
  };
  const model = live([], settings);
  const { accessLogs, tracing } = told(model)['*'] ?? {};
  equal(tracing?.share, 0.5);
  equal(tracing?.tags[0]?.value, 'v');
  deepEqual(accessLogs?.loggers, [{ provider: 'envoy', filter: '' }]);
  const found = model.model.layer7.types.find(({ typeUrl }) => typeUrl === WAYPOINT.typeUrl);
  const waypoint = WAYPOINT.decode([...(found?.resources.values() ?? [])][0]!.resource.bytes);
  const own = waypoint.ok ? waypoint.value.providers.find(({ name }) => name === 'envoy') : undefined;
  deepEqual([own?.kind, own?.path, own?.format], ['file-log', '/dev/stdout', '%PROTOCOL%']);
});

test('access logging: the most specific list replaces the others, disabled and filters count', () => {
  const wide = telemetry('mesh', 'istio-system', { accessLogging: [{ providers: by('als', 'envoy') }] });
  const loggers = (...more: KubeObject[]) => told(live([wide, ...more]))['*']?.accessLogs?.loggers;
  deepEqual(loggers(), [
    { provider: 'als', filter: '' },
    { provider: 'envoy', filter: '' },
  ]);
  const filtered = { accessLogging: [{ filter: { expression: 'response.code >= 500' } }] };
  deepEqual(
    loggers(telemetry('t', 'shop', filtered))?.map(({ filter, provider }) => [provider, filter]),
    [
      ['als', 'response.code >= 500'],
      ['envoy', 'response.code >= 500'],
    ],
  );
  deepEqual(loggers(telemetry('t', 'shop', { accessLogging: [{ disabled: true }] })), []);
  deepEqual(loggers(telemetry('t', 'shop', { accessLogging: [{ providers: by('als'), disabled: true }] })), []);
  deepEqual(
    loggers(telemetry('t', 'shop', { accessLogging: [{ match: { mode: 'CLIENT' }, disabled: true }] }))?.length,
    2,
  );
});

test('metrics: words of the API become names, later overrides win, clients’ have no effect', () => {
  const metrics = (overrides: object[], providers = by('prometheus')) =>
    told(live([telemetry('t', 'shop', { metrics: [{ providers, overrides }] })]))['*']?.metrics;
  deepEqual(
    metrics([
      { match: { metric: 'REQUEST_COUNT' }, tagOverrides: { source_app: { operation: 'REMOVE' } } },
      { match: { metric: 'REQUEST_COUNT' }, tagOverrides: { host: { value: 'request.host' } } },
      { match: { metric: 'REQUEST_SIZE' }, disabled: true },
      { match: { metric: 'RESPONSE_SIZE', mode: 'CLIENT' }, disabled: true },
    ]),
    {
      disabled: false,
      overrides: [
        {
          metric: 'requests_total',
          disabled: false,
          tags: [
            { name: 'source_app', remove: true, value: '' },
            { name: 'host', remove: false, value: 'request.host' },
          ],
        },
        { metric: 'request_bytes', disabled: true, tags: [] },
      ],
    },
  );
  deepEqual(metrics([{ disabled: true }]), { disabled: true, overrides: [] });
  const all = metrics([{ disabled: true }, { match: { metric: 'REQUEST_COUNT' }, disabled: false }]);
  equal(
    all?.overrides.some(({ metric }) => metric === 'requests_total'),
    false,
  );
  equal(all?.overrides.length, 9);
  equal(metrics([{ disabled: true }], by('stackdriver')), undefined);
});

test('of several objects for one place the oldest counts, and the others’ authors are told', () => {
  const old = telemetry('old', 'shop', { tracing: [{ providers: by('otel') }] }, '2026-01-01T00:00:00Z');
  const young = telemetry('young', 'shop', { tracing: [{ providers: by('other') }] }, '2026-02-01T00:00:00Z');
  const model = live([young, old]);
  equal(told(model)['*']?.tracing?.provider, 'otel');
  const { reports } = model.model;
  equal(reports.get('Telemetry shop/old'), undefined);
  const [problem] = reports.get('Telemetry shop/young')?.problems ?? [];
  equal(problem?.code, 'ScopeShared');
  match(problem?.message ?? '', /Telemetry shop\/old is older/);
});

test('a provider that nobody has, or of another purpose, is a problem of the object; its selector is for pods alone', () => {
  const spec = { tracing: [{ providers: by('nobody') }], accessLogging: [{ providers: by('otel') }] };
  const model = live([telemetry('t', 'shop', spec)]);
  deepEqual(
    model.model.reports.get('Telemetry shop/t')?.problems.map(({ code, field }) => [code, field]),
    [
      ['ProviderNotUsable', 'spec.tracing[0].providers[0].name'],
      ['ProviderNotUsable', 'spec.accessLogging[0].providers[0].name'],
    ],
  );
  deepEqual(told(model)['*']?.accessLogs?.loggers, []);
  const selecting = { selector: { matchLabels: { app: 'x' } }, tracing: [{ providers: by('otel') }] };
  deepEqual(told(live([telemetry('t', 'shop', selecting)])), {});
});

test('a condition says how the targets of an object stand', () => {
  const spec = { ...target('Service', 'cart'), tracing: [{ providers: by('otel') }] };
  const model = live([telemetry('t', 'shop', spec), telemetry('u', 'shop', target('Service', 'nowhere'))]);
  const condition = (name: string) => model.model.reports.get(`Telemetry shop/${name}`)?.conditions[0];
  deepEqual([condition('t')?.type, condition('t')?.status], ['WaypointAccepted', 'True']);
  deepEqual([condition('u')?.status, condition('u')?.reason], ['False', 'TargetNotFound']);
});

const WRONG: readonly [spec: object, problem: RegExp][] = [
  [{ tracing: [{ providers: by('a', 'b') }] }, /error spec\.tracing\[0\]\.providers traces go to one provider/],
  [{ tracing: [{ customTags: { t: {} } }] }, /customTags\[t\]/],
  [{ tracing: [{ customTags: { t: { header: { name: 'a b' } } } }] }, /customTags\[t\]\.header\.name can be no header/],
  [{ accessLogging: [{ filter: { expression: 'response.code >=' } }] }, /filter\.expression is no expression of CEL/],
  [
    { metrics: [{ overrides: [{ tagOverrides: { 'a-b': { value: 'request.host' } } }] }] },
    /tagOverrides\[a-b\] can be no label/,
  ],
  [
    { metrics: [{ overrides: [{ tagOverrides: { a: { value: 'request.' } } }] }] },
    /tagOverrides\[a\]\.value is no expression/,
  ],
  [
    { ...target('Service', 'cart'), tracing: [{ match: { mode: 'CLIENT' } }] },
    /warning spec\.tracing\[0\]\.match\.mode CLIENT has no effect/,
  ],
];
for (const [spec, problem] of WRONG) {
  test(`validation names object, field and fix: ${JSON.stringify(spec).slice(0, 70)}`, () => {
    const placeOf = () => ({ file: 'a.yaml', line: 1 });
    const { problems } = validateParsed([{ object: telemetry('t', 'shop', spec), placeOf }]);
    const texts = problems.map(({ field, message, object, severity }) => {
      equal(object, 'Telemetry shop/t');
      return `${severity} ${field} ${message}`;
    });
    match(texts.join('\n'), problem);
  });
}
