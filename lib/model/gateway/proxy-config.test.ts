// SPDX-License-Identifier: Apache-2.0
//
// ProxyConfig: what a waypoint's pod is made of it, and what its author is told.

import { deepEqual, match } from 'node:assert/strict';
import { test } from 'node:test';
import { namespace, testModel, waypointGateway } from '#lib/testkit/model.ts';
import { waypointSettings } from '../l7/settings.ts';
import { DEFAULT_SETTINGS } from '../mesh-settings.ts';
import type { KubeObject } from '../object/object.ts';
import { checkMetadata } from '../validate/metadata.ts';
import { PROXY_CONFIG } from './proxy-config.ts';
import { readProxyHeaders } from './proxy-headers.ts';

const WORLD = [namespace('shop'), namespace('istio-system')];

function config(name: string, within: string, spec: object): KubeObject {
  return {
    apiVersion: 'networking.istio.io/v1beta1',
    kind: 'ProxyConfig',
    metadata: { name, namespace: within, creationTimestamp: `2026-01-0${name.length}T00:00:00Z` },
    spec,
  } as KubeObject;
}

interface Deployment {
  readonly spec: {
    readonly template: {
      readonly spec: { readonly containers: { readonly env: { readonly name: string; readonly value?: string }[] }[] };
    };
  };
}

/** Variables of the waypoint's container that the test asks for. */
function variables(objects: readonly KubeObject[], annotation?: string): (string | undefined)[] {
  const annotations: Record<string, string> = annotation === undefined ? {} : { 'proxy.istio.io/config': annotation };
  const settings = { ...DEFAULT_SETTINGS, proxy: { concurrency: 9, environment: { WHO: 'mesh', MESH: 'yes' } } };
  const { model } = testModel([...WORLD, waypointGateway('w', { annotations }), ...objects], settings);
  const planned = model.gateways.plans.get('shop/w')?.objects.find(({ kind }) => kind === 'Deployment');
  const env = (planned as unknown as Deployment).spec.template.spec.containers[0]!.env;
  return ['AMBIT_WORKERS', 'WHO', 'MESH'].map((name) => env.find((one) => one.name === name)?.value);
}

test('mesh, root namespace, namespace, annotation, selector: the later wins, the oldest of each', () => {
  const who = (WHO: string, more: object = {}) => ({ environmentVariables: { WHO }, ...more });
  const selector = { matchLabels: { 'gateway.networking.k8s.io/gateway-name': 'w' } };
  const objects: KubeObject[] = [];
  deepEqual(variables(objects), ['9', 'mesh', 'yes']);
  objects.push(config('r', 'istio-system', who('root', { concurrency: 3 })));
  deepEqual(variables(objects), ['3', 'root', 'yes']);
  objects.push(config('nn', 'shop', who('younger')), config('n', 'shop', who('namespace')));
  deepEqual(variables(objects), ['3', 'namespace', 'yes']);
  const annotation = 'concurrency: 4\nproxyMetadata: {WHO: annotation}';
  deepEqual(variables(objects, annotation), ['4', 'annotation', 'yes']);
  objects.push(config('s', 'shop', who('selector', { selector, concurrency: 5 })));
  deepEqual(variables(objects, annotation), ['5', 'selector', 'yes']);
  objects.push(config('o', 'shop', who('another', { selector: { matchLabels: { app: 'x' } } })));
  deepEqual(variables(objects, annotation), ['5', 'selector', 'yes']);
});

test('no concurrency, or 0, is a process for each processor; a pod says itself who it is', () => {
  const { model } = testModel([
    ...WORLD,
    waypointGateway('w'),
    config('c', 'shop', { concurrency: 0, environmentVariables: { POD_NAME: 'x' } }),
  ]);
  const planned = model.gateways.plans.get('shop/w')?.objects.find(({ kind }) => kind === 'Deployment');
  const env = (planned as unknown as Deployment).spec.template.spec.containers[0]!.env;
  deepEqual(
    env.filter(({ name }) => name === 'AMBIT_WORKERS'),
    [],
  );
  deepEqual(
    env.filter(({ name }) => name === 'POD_NAME').map(({ value }) => value),
    [undefined],
  );
});

test('an annotation that cannot be read says nothing', () => {
  deepEqual(variables([], '{'), ['9', 'mesh', 'yes']);
  deepEqual(variables([], 'just text'), ['9', 'mesh', 'yes']);
});

test('headers: an annotation changes those of the mesh that it speaks of', () => {
  const mesh = readProxyHeaders({ requestId: { disabled: true }, server: { value: 'front' } }, () => {});
  const headers = (text?: string) => {
    const gateway = waypointGateway('w', { annotations: text === undefined ? {} : { [PROXY_CONFIG]: text } });
    return waypointSettings(gateway, { ...DEFAULT_SETTINGS, proxyHeaders: mesh }).headers;
  };
  deepEqual(headers(), mesh);
  deepEqual(headers('concurrency: 2'), mesh);
  const own = 'proxyHeaders: {requestId: {disabled: false}, xForwardedPort: {enabled: true}}';
  deepEqual(headers(own), { ...mesh, noRequestId: false, forwardedPort: true });
  deepEqual(headers('proxyHeaders: {server: {disabled: true}}'), { ...mesh, passServer: true });
  deepEqual(headers('proxyHeaders: [1]'), mesh);
});

test('the author of an annotation is told what is wrong with it', () => {
  const told = (text: string) =>
    checkMetadata(waypointGateway('w', { annotations: { [PROXY_CONFIG]: text } })).map(({ message }) => message);
  deepEqual(told('proxyHeaders: {server: {value: front}}'), []);
  deepEqual(told('just text'), ['just text is no map']);
  match(told('{').join(), /^is no YAML: /);
  deepEqual(told('proxyHeaders: {requestId: {disabled: 7}}'), [
    'proxyHeaders.requestId.disabled is neither true nor false',
  ]);
});

test('the author of a ProxyConfig is told what is wrong with it', () => {
  const spec = { environmentVariables: { 'a b': 'x' }, image: { imageType: 'debug' } };
  const { model } = testModel([...WORLD, config('c', 'shop', spec)]);
  const text = model.reports.get('ProxyConfig shop/c')?.problems.map(({ field, message }) => `${field} ${message}`);
  match(text?.join('\n') ?? '', /environmentVariables\[a b\] can be no variable\n.*imageType there is one image/);
});
