// SPDX-License-Identifier: Apache-2.0
// Providers of traces and logs, and their defaults, in the mesh's settings.
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { stringify } from 'yaml';
import { DEFAULT_SETTINGS, type MeshSettings } from '#lib/model/mesh-settings.ts';
import { readMeshConfig } from './mesh-config.ts';

function read(mesh: object): { readonly settings: MeshSettings; readonly problems: readonly string[] } {
  const map = { metadata: { name: 'istio', namespace: 'istio-system' }, data: { mesh: stringify(mesh) } };
  const result = readMeshConfig(map as unknown as Parameters<typeof readMeshConfig>[0], DEFAULT_SETTINGS);
  return result.ok
    ? { settings: result.value, problems: [] }
    : {
        settings: DEFAULT_SETTINGS,
        problems: result.problems.map(({ field, fix, message }) => {
          equal(fix === undefined, false);
          return `${field} ${message}`;
        }),
      };
}

test('opentelemetry: by gRPC or HTTP, headers, detectors, conventions', () => {
  const { problems, settings } = read({
    extensionProviders: [
      { name: 'a', opentelemetry: { service: 'obs/otel.obs.svc.cluster.local', port: 4317 } },
      {
        name: 'b',
        opentelemetry: {
          service: 'otel.obs.svc.cluster.local',
          port: 4318,
          maxTagLength: 99,
          http: { path: '/v1/traces', timeout: '2s', headers: [{ name: 'X-Token', value: 't' }] },
          resourceDetectors: { environment: {} },
          serviceAttributeEnrichment: 'OTEL_SEMANTIC_CONVENTIONS',
        },
      },
    ],
  });
  deepEqual(problems, []);
  const [a, b] = settings.extensionProviders;
  deepEqual(
    [a?.kind, a?.path, a?.service, a?.port, a?.timeoutMs],
    [...['otlp-trace', '', 'obs/otel.obs.svc.cluster.local', 4317, 10_000]],
  );
  deepEqual([b?.path, b?.timeoutMs, b?.maxTagLength, b?.otelConventions], ['/v1/traces', 2000, 99, true]);
  deepEqual(b?.extraHeaders, [{ name: 'x-token', value: 't' }]);
  deepEqual(b?.resourceDetectors, ['environment']);
});

test('zipkin, envoyFileAccessLog, envoyOtelAls and prometheus', () => {
  const { problems, settings } = read({
    extensionProviders: [
      { name: 'z', zipkin: { service: 'z.obs', port: 9411, traceContextOption: 'USE_B3_WITH_W3C_PROPAGATION' } },
      { name: 'f', envoyFileAccessLog: { path: '/var/log/a.log', logFormat: { labels: { path: '%REQ(:PATH)%' } } } },
      { name: 't', envoyFileAccessLog: { path: '/dev/stdout', logFormat: { text: '%PROTOCOL%\n' } } },
      { name: 'o', envoyOtelAls: { service: 'otel.obs', port: 4317 } },
      { name: 'p', prometheus: {} },
    ],
  });
  deepEqual(problems, []);
  const [z, f, t, o, p] = settings.extensionProviders;
  deepEqual([z?.kind, z?.w3cToo, z?.timeoutMs], ['zipkin-trace', true, 5000]);
  deepEqual([f?.kind, f?.path, f?.jsonFields, f?.json], ['file-log', '/var/log/a.log', { path: '%REQ(:PATH)%' }, true]);
  deepEqual([t?.format, t?.json], ['%PROTOCOL%\n', false]);
  deepEqual([o?.kind, p?.kind], ['otlp-log', 'prometheus']);
});

test('defaults: access log, providers, sampling and tags, processes and environment of proxies', () => {
  const { problems, settings } = read({
    accessLogFile: '/dev/stdout',
    accessLogEncoding: 'JSON',
    accessLogFormat: '{"code": "%RESPONSE_CODE%"}',
    defaultProviders: { tracing: ['a'], accessLogging: ['b'] },
    defaultConfig: {
      concurrency: 2,
      proxyMetadata: { TIER: 'gold' },
      tracing: { sampling: 10, customTags: { t: { literal: { value: 'v' } } } },
    },
  });
  deepEqual(problems, []);
  deepEqual(settings.accessLog, {
    file: '/dev/stdout',
    format: '',
    json: true,
    jsonFields: { code: '%RESPONSE_CODE%' },
  });
  deepEqual(settings.defaultProviders, { tracing: ['a'], accessLogging: ['b'] });
  deepEqual(settings.tracing, { share: 0.1, tags: { t: { literal: { value: 'v' } } } });
  deepEqual(settings.proxy, { concurrency: 2, environment: { TIER: 'gold' } });
});

test('headers that proxies add: each on or off, and what server says', () => {
  const { problems, settings } = read({
    defaultConfig: {
      proxyHeaders: { xForwardedHost: { enabled: true }, requestId: { disabled: true }, server: { value: 'shop' } },
    },
  });
  deepEqual(problems, []);
  deepEqual(settings.proxyHeaders, {
    forwardedPort: false,
    forwardedHost: true,
    noRequestId: true,
    noAttemptCount: false,
    passServer: false,
    noDebug: false,
    server: 'shop',
  });
  deepEqual(read({}).settings.proxyHeaders, undefined);
  const at = 'data.mesh: defaultConfig.proxyHeaders';
  deepEqual(read({ defaultConfig: { proxyHeaders: { server: { value: 'a\nb' }, attemptCount: true } } }).problems, [
    `${at}.server.value "a\\nb" is no header value`,
    `${at}.attemptCount.disabled is neither true nor false`,
  ]);
  deepEqual(read({ defaultConfig: { proxyHeaders: [] } }).problems, [`${at} is no map of headers`]);
});

test('what is wrong is told by field, with a fix', () => {
  const at = 'data.mesh: ';
  deepEqual(
    read({
      accessLogFile: 'log',
      accessLogFormat: '%NOTHING%',
      accessLogEncoding: 'XML',
      defaultProviders: { tracing: 'a' },
      defaultConfig: { tracing: { sampling: 101 } },
      extensionProviders: [
        {
          name: 'a',
          opentelemetry: { service: '!', port: 0, http: { path: 'x' }, resourceDetectors: { dynatrace: {} } },
        },
        { name: 'b', envoyFileAccessLog: { path: 'x', logFormat: { text: '50%' } } },
      ],
    }).problems,
    [
      `${at}extensionProviders[0].opentelemetry.http.path is no path`,
      `${at}extensionProviders[0].opentelemetry.resourceDetectors.dynatrace is not known here`,
      `${at}extensionProviders[0].opentelemetry.service is no host name`,
      `${at}extensionProviders[0].opentelemetry.port 0 is no port`,
      `${at}extensionProviders[1].envoyFileAccessLog.path "x" is no path`,
      `${at}extensionProviders[1].envoyFileAccessLog.logFormat.text % at character 3 has no end`,
      `${at}accessLogEncoding "XML" is no encoding`,
      `${at}accessLogFile "log" is no path`,
      `${at}accessLogFormat %NOTHING% is no command`,
      `${at}defaultProviders.tracing is no list of names`,
      `${at}defaultConfig.tracing.sampling 101 is no percentage`,
    ],
  );
});
