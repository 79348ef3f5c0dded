// SPDX-License-Identifier: Apache-2.0
// istiod as a whole, against a fake Kubernetes API, on loopback.

import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import { type ClientDuplexStream, credentials, makeGenericClientConstructor } from '@grpc/grpc-js';
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import type { ConfigMap, Service } from '#lib/kube/object.ts';
import { AggregatedDiscoveryService, type DiscoveryResponse } from '#lib/proto/gen/discovery_pb.ts';
import { ServerReflection, type ServerReflectionResponse } from '#lib/proto/gen/reflection_pb.ts';
import { AddressSchema } from '#lib/proto/gen/workload_pb.ts';
import { grpcService } from '#lib/proto/grpc.ts';
import { connect, ENV, FLAGS, populate, rootIn, startApp } from '#lib/testkit/istiod.ts';
import { fakeCluster } from '#lib/testkit/kube-client.ts';
import { until } from '#lib/testkit/until.ts';
import { ADDRESS_TYPE } from '#lib/xds/resource.ts';
import { App } from './app.ts';
import { readConfig } from './config.ts';

test('it becomes ready, puts its root into every namespace and serves its pages', async () => {
  await using cluster = await fakeCluster();
  populate(cluster);
  await using istiod = await startApp(cluster);
  equal((await istiod.get('http', '/ready')).body, 'ready\n');
  const root = await until('the root', () => rootIn(cluster, 'shop'));
  equal(new X509Certificate(root).ca, true);
  match((await istiod.get('monitoring', '/metrics')).body, /pilot_info\{version="/);
  match((await istiod.get('monitoring', '/version')).body, /"version"/);
  equal((await istiod.get('http', '/debug/syncz')).body, '[]\n');
  match((await istiod.get('http', '/debug/list')).body, /"configz"/);
  for (const name of ['registryz', 'instancesz', 'authorizationz']) {
    equal(Array.isArray(JSON.parse((await istiod.get('http', `/debug/${name}`)).body)), true);
  }
  cluster.api.put('/apis/telemetry.istio.io/v1/telemetries', { metadata: { name: 'all', namespace: 'istio-system' } });
  await until('all of the configuration', async () =>
    /"kind": "Telemetry"/.test((await istiod.get('http', '/debug/configz')).body),
  );
  match((await istiod.get('http', '/debug/ownershipz')).body, /"unnamed": true/);
  const { collections } = JSON.parse((await istiod.get('http', '/debug/collections')).body) as {
    collections: { name: string; inputs: string[]; reads: string[] }[];
  };
  const pods = collections.find(({ name }) => name === 'pod workloads');
  deepEqual([pods?.inputs, pods?.reads.includes('localities')], [['pods in scope'], true]);
});

test('a node proxy that trusts the root in its namespace gets in over TLS and shows as synced', async () => {
  await using cluster = await fakeCluster();
  populate(cluster);
  await using istiod = await startApp(cluster);
  await until('the root', () => rootIn(cluster, 'istio-system'));
  await using ztunnel = connect(cluster, istiod.app.ports.secureGrpc);
  await ztunnel.client.whenSynced();
  const synced = await until('synced', async () => {
    const { body } = await istiod.get('http', '/debug/syncz');
    return !body.includes('"synced": false') && body.includes('zt-1.istio-system') ? body : undefined;
  });
  match(synced, /istio.workload.Address/);
  match((await istiod.get('monitoring', '/metrics')).body, /pilot_xds\{version="unknown"\} 1/);
});

test('a caller with a wrong token, or whose node is of another namespace, is refused with a line that names it', async () => {
  await using cluster = await fakeCluster();
  populate(cluster);
  await using istiod = await startApp(cluster);
  await until('the root', () => rootIn(cluster, 'istio-system'));
  await using stranger = connect(cluster, istiod.app.ports.secureGrpc, { token: 'forged' });
  await until('the refusal', () => istiod.lines.some((line) => /stream refused.*unknown token/.test(line)));
  await until('the reason', () => stranger.lines.some((line) => line.includes('UNAUTHENTICATED')));
  await using liar = connect(cluster, istiod.app.ports.secureGrpc, { namespace: 'kube-system' });
  const line = await until('the second refusal', () => istiod.lines.find((text) => text.includes('kube-system')));
  match(
    line,
    /spiffe:\/\/cluster.local\/ns\/istio-system\/sa\/ztunnel is not of the node's namespace \\"kube-system\\"/,
  );
  await until('the reason', () => liar.lines.some((text) => text.includes('PERMISSION_DENIED')));
});

test('tools learn by reflection what is served on each port, in both versions of it', async () => {
  await using cluster = await fakeCluster();
  populate(cluster);
  await using istiod = await startApp(cluster);
  const { path, ...method } = grpcService(ServerReflection).serverReflectionInfo;
  for (const version of ['v1', 'v1alpha']) {
    const services = grpcService(ServerReflection);
    const definition = { ...services, serverReflectionInfo: { ...method, path: path.replace('.v1.', `.${version}.`) } };
    const Client = makeGenericClientConstructor(definition, 'reflection');
    const client = new Client(`127.0.0.1:${istiod.app.ports.grpc}`, credentials.createInsecure());
    try {
      const call = client['serverReflectionInfo']!() as unknown as ClientDuplexStream<
        unknown,
        ServerReflectionResponse
      >;
      call.write({ messageRequest: { case: 'listServices', value: '' } });
      const [answer] = (await once(call, 'data')) as [ServerReflectionResponse];
      ok(answer.messageResponse.case === 'listServicesResponse');
      deepEqual(
        answer.messageResponse.value.service.map(({ name }) => name),
        [
          'envoy.service.discovery.v3.AggregatedDiscoveryService',
          'grpc.reflection.v1.ServerReflection',
          'grpc.reflection.v1alpha.ServerReflection',
        ],
      );
      call.end();
      await once(call, 'end');
    } finally {
      client.close();
    }
  }
});

test('a client of the older variant of discovery gets all that there is, again when it changes', async () => {
  await using cluster = await fakeCluster();
  populate(cluster);
  await using istiod = await startApp(cluster);
  const Client = makeGenericClientConstructor(grpcService(AggregatedDiscoveryService), 'discovery');
  const client = new Client(`127.0.0.1:${istiod.app.ports.grpc}`, credentials.createInsecure());
  try {
    const call = client['streamAggregatedResources']!() as unknown as ClientDuplexStream<unknown, DiscoveryResponse>;
    call.on('error', () => undefined);
    const seen: DiscoveryResponse[] = [];
    call.on('data', (response: DiscoveryResponse) => {
      seen.push(response);
      call.write({ typeUrl: ADDRESS_TYPE, responseNonce: response.nonce, versionInfo: response.versionInfo });
    });
    call.write({ node: { id: 'sidecar~10.1.0.9~tool.shop~shop.svc.cluster.local' }, typeUrl: ADDRESS_TYPE });
    const names = () =>
      (seen.at(-1)?.resources ?? []).map(({ value }) => {
        const { type } = fromBinary(AddressSchema, value);
        return type.value?.name;
      });
    await until('the node proxy’s workload', () => names().includes('zt-1'));
    const spec = { clusterIP: '10.96.0.7', ports: [{ port: 80 }] };
    cluster.api.put('/api/v1/services', { metadata: { namespace: 'shop', name: 'web' }, spec } as Service);
    await until('the new service beside it', () => names().includes('web') && names().includes('zt-1'));
    call.cancel();
  } finally {
    client.close();
  }
});

test('after a restart the root is the same, so that nobody has to learn a new one', async () => {
  await using cluster = await fakeCluster();
  populate(cluster);
  const first = await startApp(cluster);
  const root = await until('the root', () => rootIn(cluster, 'shop'));
  await first[Symbol.asyncDispose]();
  await using second = await startApp(cluster);
  equal((await second.get('http', '/ready')).status, 200);
  equal(rootIn(cluster, 'shop'), root);
  ok(second.lines.every((line) => !line.includes('made a new root')));
});

test('while the API server is away it waits, says so, and starts when it answers', async () => {
  await using cluster = await fakeCluster();
  populate(cluster);
  await cluster.api.stop();
  const lines: string[] = [];
  const stop = new AbortController();
  const config = readConfig({ ...FLAGS, httpAddr: '127.0.0.1:0' }, (name) => ENV[name]);
  const log = createLogger({ scope: 'istiod', write: (line) => lines.push(line) });
  const starting = App.start(
    { config, client: cluster.client, clock: systemClock, random: Math.random, log },
    stop.signal,
  );
  await until('a warning', () => lines.some((line) => line.includes('out of date until the API server answers')));
  await cluster.api.start();
  const app = await starting;
  await app.stop();
});

test('settings of the mesh come from the file that is named, until a config map says more', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-mesh-'));
  try {
    const meshConfig = join(folder, 'mesh');
    writeFileSync(meshConfig, 'trustDomain: from.file');
    await using cluster = await fakeCluster();
    populate(cluster);
    await using istiod = await startApp(cluster, [], { meshConfig } as Partial<typeof FLAGS>);
    const settings = async () => (await istiod.get('http', '/debug/mesh')).body;
    match(await settings(), /"trustDomain": "from\.file"/);
    const data = { mesh: 'rootNamespace: elsewhere' };
    cluster.api.put('/api/v1/configmaps', {
      metadata: { namespace: 'istio-system', name: 'istio' },
      data,
    } as ConfigMap);
    await until('the config map', async () => /"rootNamespace": "elsewhere"/.test(await settings()));
    match(await settings(), /"trustDomain": "cluster\.local"/);
    cluster.api.remove('/api/v1/configmaps', 'istio-system', 'istio');
    await until('the file again', async () => /"trustDomain": "from\.file"/.test(await settings()));
  } finally {
    rmSync(folder, { recursive: true });
  }
});
