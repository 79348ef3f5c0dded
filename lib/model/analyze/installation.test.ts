// SPDX-License-Identifier: Apache-2.0
import { deepEqual, match } from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_SETTINGS } from '../mesh-settings.ts';
import { parseDocuments } from '../validate/documents.ts';
import { analyze } from './analyze.ts';

const parse = (...texts: string[]) => parseDocuments({ path: 'a.yaml', text: texts.join('\n---\n') }).objects;

function findings(code: string, ...texts: string[]): string[] {
  return analyze(parse(...texts))
    .filter((one) => one.code === code)
    .map(({ level, message, object }) => `${level} (${object}) ${message}`);
}

const DEFINITION = (kind: string, versions: string[], bundle = 'v1.6.0', group = 'gateway.networking.k8s.io') => `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: x.${group}, annotations: {gateway.networking.k8s.io/bundle-version: ${bundle}}}
spec:
  group: ${group}
  names: {kind: ${kind}}
  versions: [${versions.map((name) => `{name: ${name}, served: true}`).join()}]`;

test('IST0156: a kind of Gateway API that is not installed in the version istiod reads', () => {
  match(
    findings('IST0156', DEFINITION('TCPRoute', ['v1alpha2'], 'v1.3.0'))[0] ?? '',
    /^Error \(CustomResourceDefinition .*TCPRoute \(Gateway API 1\.3\.0\) is not served as v1,/,
  );
  deepEqual(findings('IST0156', DEFINITION('TCPRoute', ['v1alpha2', 'v1'])), []);
  deepEqual(findings('IST0156', DEFINITION('ReferenceGrant', ['v1beta1'])), []);
  deepEqual(findings('IST0156', DEFINITION('UDPRoute', ['v1alpha2'])), []);
  deepEqual(findings('IST0156', DEFINITION('HTTPRoute', ['v9'], 'v1.0.0', 'example.com')), []);
});

test('IST0176: a kind of Gateway API from before it was as it is read', () => {
  match(
    findings('IST0176', DEFINITION('BackendTLSPolicy', ['v1'], 'v1.3.9'))[0] ?? '',
    /^Warning .*BackendTLSPolicy \(Gateway API 1\.3\.9\) is older than 1\.4\.0/,
  );
  for (const bundle of ['v1.4.0', 'v1.10.0', 'v2.0.0-rc1']) {
    deepEqual(findings('IST0176', DEFINITION('BackendTLSPolicy', ['v1'], bundle)), []);
  }
  deepEqual(findings('IST0176', DEFINITION('HTTPRoute', ['v1'], 'v0.1.0')), []);
});

test('IST0175: keys are fetched from anywhere, where no range is closed', () => {
  const istiod = (env: string) => `
apiVersion: apps/v1
kind: Deployment
metadata: {name: istiod, namespace: istio-system, labels: {app: istiod}}
spec: {template: {metadata: {labels: {app: istiod}}, spec: {containers: [{name: discovery, env: [${env}]}]}}}`;
  const tokens = (rule: string) => `
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens, namespace: shop}
spec: {targetRefs: [{kind: Service, group: "", name: web}], jwtRules: [{issuer: me, ${rule}}]}`;
  const uri = tokens('jwksUri: "https://example.com/keys"');
  match(
    findings('IST0175', istiod(''), uri)[0] ?? '',
    /^Warning \(RequestAuthentication shop\/tokens\) .*BLOCKED_CIDRS/,
  );
  deepEqual(findings('IST0175', istiod('{name: BLOCKED_CIDRS_IN_JWKS_URIS, value: 10.0.0.0/8}'), uri), []);
  deepEqual(findings('IST0175', istiod(''), tokens(`jwks: '{"keys": []}'`)), []);
  deepEqual(findings('IST0175', uri), []);
});

test('IST0170: a Service that is another one in another cluster', () => {
  const service = (spec: string, name = 'web') => `
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: shop}
spec: ${spec}`;
  const told = (here: string, there: string) => {
    const remote = parse(there).map((one) => ({ ...one, object: { ...one.object, cluster: 'far' } }));
    return analyze(parse(here), [], DEFAULT_SETTINGS, remote)
      .filter(({ code }) => code === 'IST0170')
      .map(({ level, message, object }) => `${level} (${object}) ${message}`);
  };
  const web = service('{clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}');
  match(
    told(web, service('{clusterIP: 10.9.0.1, ports: [{name: http, port: 8080}]}'))[0] ?? '',
    /^Warning \(Service shop\/web\) its ports differ from those in cluster far/,
  );
  match(told(web, service('{clusterIP: None, ports: [{name: http, port: 80}]}'))[0] ?? '', /its addresses/);
  match(told(web, service('{type: NodePort, ports: [{name: http, port: 80}]}'))[0] ?? '', /its types/);
  deepEqual(told(web, service('{clusterIP: 10.9.0.1, ports: [{name: http, port: 80, protocol: TCP}]}')), []);
  deepEqual(told(web, service('{clusterIP: None}', 'other')), []);
});
