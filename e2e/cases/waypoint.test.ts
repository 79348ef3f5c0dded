// SPDX-License-Identifier: Apache-2.0
// A waypoint on a cluster, with what it works with: an authoriser that a CUSTOM policy names, a server that speaks TLS itself, and a
// collector of traces.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { stringify } from 'yaml';
import { createTestCa } from '#lib/testkit/certificates.ts';
import { Cluster } from '../harness/cluster.ts';
import { eventually } from '../harness/eventually.ts';
import { ROOT } from '../harness/run.ts';
import type { SpanLine } from '../outside/main.ts';

const NAME = 'secure.example';
const MESH = `
rootNamespace: istio-system
extensionProviders:
  - name: bouncer
    envoyExtAuthzHttp:
      service: outside.lab.svc.cluster.local
      port: 8080
      includeRequestHeadersInCheck: [x-token]
      headersToUpstreamOnAllow: [x-who]
      headersToDownstreamOnDeny: [x-reason]
  - name: collector
    opentelemetry:
      service: outside.lab.svc.cluster.local
      port: 4318
      http: {path: /v1/traces}
`;

let cluster: Cluster;

before(async () => {
  const ca = await createTestCa();
  const { chainPem, keyPem } = await ca.issue([{ type: 'dns', value: NAME }]);
  const command = `${process.execPath} --disable-warning=ExperimentalWarning ${join(ROOT, 'e2e/outside/main.ts')}`;
  cluster = await Cluster.up({ name: `way-${process.pid}`, nodes: 1, args: ['--image', `test/outside=${command}`] });
  const in_ = (name: string) => ({ name, namespace: 'lab' });
  const secure = [{ group: '', kind: 'Service', name: 'secure' }];
  const objects = [
    {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'lab', labels: { 'istio.io/dataplane-mode': 'ambient' } },
    },
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'istio', namespace: 'istio-system' },
      data: { mesh: MESH },
    },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { ...in_('outside'), labels: { app: 'outside' } },
      spec: {
        containers: [
          {
            name: 'outside',
            image: 'test/outside',
            env: [
              { name: 'CERT', value: chainPem },
              { name: 'KEY', value: keyPem },
            ],
            readinessProbe: { httpGet: { path: '/healthz', port: 8080 }, periodSeconds: 1 },
          },
        ],
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: in_('client'),
      spec: { containers: [{ name: 'client', image: 'ambit/shell:0.1', command: ['sleep', '86400'] }] },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: in_('outside'),
      spec: {
        selector: { app: 'outside' },
        ports: [
          { name: 'http', port: 8080 },
          { name: 'http-otlp', port: 4318 },
        ],
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { ...in_('secure'), labels: { 'istio.io/use-waypoint': 'waypoint' } },
      spec: { selector: { app: 'outside' }, ports: [{ name: 'http', port: 80, targetPort: 8443 }] },
    },
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: in_('secure-ca'), data: { 'ca.crt': ca.rootPem } },
    {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'BackendTLSPolicy',
      metadata: in_('secure'),
      spec: {
        targetRefs: secure,
        validation: { hostname: NAME, caCertificateRefs: [{ group: '', kind: 'ConfigMap', name: 'secure-ca' }] },
      },
    },
    {
      apiVersion: 'security.istio.io/v1',
      kind: 'AuthorizationPolicy',
      metadata: in_('ask'),
      spec: { targetRefs: secure, action: 'CUSTOM', provider: { name: 'bouncer' }, rules: [{}] },
    },
    {
      apiVersion: 'telemetry.istio.io/v1',
      kind: 'Telemetry',
      metadata: in_('traces'),
      spec: {
        targetRefs: secure,
        tracing: [{ providers: [{ name: 'collector' }], randomSamplingPercentage: 100 }],
      },
    },
  ];
  await cluster.apply(objects.map((object) => stringify(object)).join('---\n'));
  const { status, stderr } = await cluster.ambit('-n', 'lab', 'waypoint', 'apply', '--wait');
  assert.equal(status, 0, stderr);
  await cluster.ready('lab', 3);
});
after(async () => {
  await cluster?.down();
});

/** Status and content of an answer, and why it was refused. */
async function ask(...words: string[]): Promise<{ code: string; reason: string; content: string }> {
  const format = '\n%{http_code} %header{x-reason}';
  const { stdout } = await cluster.exec(
    'lab',
    'client',
    'curl',
    '-s',
    '-m',
    '10',
    '-w',
    format,
    ...words,
    'http://secure.lab/',
  );
  const [content = '', last = ''] = stdout.split('\n');
  const [code = '', reason = ''] = last.split(' ');
  return { code, reason, content };
}

test('an authoriser is asked, TLS is spoken with the server, and a collector learns of both', async () => {
  const good = await eventually('a request with a token to pass', async () => {
    const answer = await ask('-H', 'x-token: good');
    return answer.code === '200' && answer;
  });
  const told = JSON.parse(good.content) as Record<string, string>;
  assert.deepEqual([told['servername'], told['who']], [NAME, 'ada']);
  const traced = /^00-([0-9a-f]{32})-[0-9a-f]{16}-01$/.exec(told['traceparent'] ?? '');
  assert.ok(traced, `traceparent ${told['traceparent']}`);

  const denied = await ask('-H', 'x-who: mallory');
  assert.deepEqual(denied, { code: '401', reason: 'no-token', content: 'show a token' });

  await eventually('spans of both at the collector', async () => {
    const lines = (await cluster.kubectl('logs', '-n', 'lab', 'outside'))
      .split('\n')
      .filter((line) => line.startsWith('{'));
    const spans = lines.map((line) => JSON.parse(line) as SpanLine);
    return (
      spans.some(({ status, traceId }) => status === '200' && traceId === traced[1]) &&
      spans.some(({ status }) => status === '401')
    );
  });
});
