// SPDX-License-Identifier: Apache-2.0
// The webhook as the API server meets it: istiod as a whole, over TLS, verified by the bundle in its configuration.
import { equal, match } from 'node:assert/strict';
import { request } from 'node:https';
import { test } from 'node:test';
import type { WebhookConfiguration } from '#lib/kube/object.ts';
import { populate, startApp } from '#lib/testkit/istiod.ts';
import { fakeCluster } from '#lib/testkit/kube-client.ts';
import { until } from '#lib/testkit/until.ts';

const CONFIGURATIONS = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations';

test('istiod fills in its bundle, answers reviews under its Service’s name, and counts them', async () => {
  await using cluster = await fakeCluster();
  populate(cluster);
  cluster.api.put<WebhookConfiguration>(CONFIGURATIONS, {
    metadata: { name: 'istio-validator', labels: { 'istio.io/rev': 'default' } },
    webhooks: [{ name: 'validation.istio.io', failurePolicy: 'Ignore', clientConfig: {} }],
  });
  await using istiod = await startApp(cluster);
  const bundle = (): string => {
    const found = cluster.api.find<WebhookConfiguration>(CONFIGURATIONS, undefined, 'istio-validator');
    return Buffer.from(found?.webhooks?.[0]?.clientConfig?.caBundle ?? '', 'base64').toString();
  };
  await until('the bundle', () => bundle() !== '');
  const object = {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: 'p', namespace: 'shop' },
    spec: { action: 'DENY' },
  };
  const body = JSON.stringify({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: { uid: 'u1', operation: 'CREATE', object },
  });
  const answer = await new Promise<string>((resolve, reject) => {
    const call = request(
      {
        host: '127.0.0.1',
        port: istiod.app.ports.webhook,
        path: '/validate',
        method: 'POST',
        ca: bundle(),
        servername: 'istiod.istio-system.svc',
        headers: { 'content-type': 'application/json' },
      },
      (response) => {
        let text = '';
        response.on('data', (chunk) => (text += chunk)).on('end', () => resolve(text));
      },
    );
    call.on('error', reject).end(body);
  });
  match(answer, /"allowed":false/);
  const metrics = await istiod.get('monitoring', '/metrics');
  match(
    metrics.body,
    /galley_validation_failed\{group="security.istio.io",version="v1",resource="AuthorizationPolicy",reason="invalid_resource"\} 1/,
  );
  equal(metrics.status, 200);
});
