// SPDX-License-Identifier: Apache-2.0
// The whole way in from a control plane: our delta server and a certificate service on one plaintext port.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import {
  type Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { Authority, createRoot } from '#lib/identity/authority.ts';
import { checkCsr } from '#lib/identity/csr.ts';
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import { StoreWriter } from '#lib/loop/shared/store-writer.ts';
import { type EncodedResource, encodePolicy, encodeWorkload } from '#lib/model/wds/encode.ts';
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from '#lib/model/wds/state.ts';
import { type IstioCertificateRequest, IstioCertificateService } from '#lib/proto/gen/ca_pb.ts';
import {
  AggregatedDiscoveryService,
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
} from '#lib/proto/gen/discovery_pb.ts';
import { grpcService } from '#lib/proto/grpc.ts';
import { createIssuer } from '#lib/proxy/identity/issuer.ts';
import { MeshState } from '#lib/proxy/state/mesh-state.ts';
import { Exposition } from '#lib/proxy/telemetry/exposition.ts';
import { XdsCounts } from '#lib/proxy/telemetry/xds-counts.ts';
import { policy, workload } from '#lib/testkit/mesh.ts';
import { until } from '#lib/testkit/until.ts';
import { type Config, issuerSettings, loadConfig } from '../config.ts';
import { FAMILIES } from '../telemetry/families.ts';
import { openSources } from './sources.ts';

const log = createLogger({ scope: 'test', level: 'off' });
const CART = 'spiffe://cluster.local/ns/shop/sa/cart';

type Stream = ServerDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>;

/** A control plane that serves a fixed mesh and writes down what it was told. */
async function controlPlane(
  resources: Readonly<Record<string, readonly EncodedResource[]>>,
  env: Readonly<Record<string, string>> = {},
) {
  const requests: DeltaDiscoveryRequest[] = [];
  const headers: Metadata[] = [];
  const certificates: IstioCertificateRequest[] = [];
  const authority = await Authority.load(await createRoot({ organization: 'cluster.local', now: Date.now() }));
  const server = new Server();
  server.addService(grpcService(AggregatedDiscoveryService), {
    deltaAggregatedResources: (stream: Stream) => {
      headers.push(stream.metadata);
      stream.on('data', (request: DeltaDiscoveryRequest) => {
        requests.push(request);
        if (request.responseNonce !== '') return;
        // On demand, what is asked for by name and not there is told as removed.
        const absent = request.resourceNamesSubscribe.filter((name) => name !== '*');
        const list = (resources[request.typeUrl] ?? []).map(({ name, bytes, version }) => ({
          name,
          version,
          resource: { typeUrl: request.typeUrl, value: bytes },
        }));
        stream.write(
          create(DeltaDiscoveryResponseSchema, {
            typeUrl: request.typeUrl,
            nonce: '1',
            resources: list,
            removedResources: absent,
          }),
        );
      });
      stream.on('error', () => {});
    },
  });
  server.addService(grpcService(IstioCertificateService), {
    createCertificate: (
      call: ServerUnaryCall<IstioCertificateRequest, { certChain: string[] }>,
      reply: sendUnaryData<{ certChain: string[] }>,
    ) => {
      headers.push(call.metadata);
      certificates.push(call.request);
      void checkCsr(call.request.csr).then(async (csr) => {
        assert.ok(csr.ok);
        const leaf = { publicKey: csr.value.publicKey, uris: [CART], ttlMs: 3_600_000 };
        reply(null, { certChain: await authority.sign(leaf, Date.now()) });
      });
    },
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  const folder = mkdtempSync(join(tmpdir(), 'ambit-sources-'));
  const token = join(folder, 'token');
  writeFileSync(token, 'token-1\n');
  const config: Config = loadConfig({
    env: {
      XDS_ADDRESS: `http://127.0.0.1:${port}`,
      AUTH_TOKEN: token,
      NODE_NAME: 'node-1',
      POD_NAME: 'ztunnel-x',
      POD_NAMESPACE: 'istio-system',
      INSTANCE_IP: '10.0.0.9',
      CLUSTER_ID: 'c1',
      ISTIO_META_ISTIO_VERSION: '1.30',
      XDS_HEADER_X_EXTRA: 'yes',
      ...env,
    },
    readFile: () => undefined,
    cores: 2,
  });
  return {
    config,
    requests,
    headers,
    certificates,
    token,
    [Symbol.dispose]() {
      server.forceShutdown();
      rmSync(folder, { recursive: true });
    },
  };
}

function meshState(): MeshState {
  return new MeshState({
    nodeName: 'node-1',
    clusterId: 'Kubernetes',
    store: new StoreWriter({ maxRecords: 64, dataBytes: 1 << 20 }),
    log,
    onCommit: () => {},
    onIdentity: () => {},
    onIdentityGone: () => {},
  });
}

test('the mesh of a control plane arrives whole; node, token and headers are told to it', async () => {
  const cart = workload({ name: 'cart', namespace: 'shop', ips: ['10.0.0.1'], node: 'node-1' });
  using plane = await controlPlane({
    [ADDRESS_TYPE]: [encodeWorkload(cart)],
    [AUTHORIZATION_TYPE]: [encodePolicy(policy({ name: 'p', namespace: 'shop', scope: 'namespace' }))],
  });
  const state = meshState();
  const exposition = new Exposition(FAMILIES);
  const counts = new XdsCounts(exposition);
  let connections = 0;
  const sources = await openSources(plane.config, {
    ...{ state, log, clock: systemClock, counts, onAbsent: () => {} },
    onConnected: () => connections++,
  });
  await sources.synced;
  assert.equal(connections, 1);
  await state.flushed();
  assert.equal(state.mesh.workloadByUid(cart.uid)?.name, 'cart');
  assert.equal(state.mesh.namespacePolicies('shop')[0]?.key, 'shop/p');
  const [first, second] = plane.requests;
  assert.deepEqual([first?.typeUrl, second?.typeUrl], [ADDRESS_TYPE, AUTHORIZATION_TYPE]);
  assert.equal(first?.node?.id, 'ztunnel~10.0.0.9~ztunnel-x.istio-system~istio-system.svc.cluster.local');
  assert.equal(first.node.metadata?.['NODE_NAME'], 'node-1');
  assert.equal(first.node.metadata?.['ISTIO_VERSION'], '1.30');
  const sent = plane.headers[0]!;
  assert.deepEqual(
    ['authorization', 'clusterid', 'x_extra'].map((name) => sent.get(name)[0]),
    ['Bearer token-1', 'c1', 'yes'],
  );
  await until(
    'both are acknowledged',
    () => plane.requests.filter((request) => request.responseNonce === '1').length === 2,
  );
  assert.match(
    exposition.text(),
    /istio_xds_message_total\{url="type\.googleapis\.com\/istio\.workload\.Address"\} 1\n/,
  );
  await sources.close();
});

test('on demand nothing is subscribed to but what is wanted, and what is not there is told', async () => {
  using plane = await controlPlane({}, { XDS_ON_DEMAND: 'true', ISTIO_META_DNS_CAPTURE: 'false' });
  const absent: string[] = [];
  const parts = { state: meshState(), log, clock: systemClock, counts: new XdsCounts(new Exposition(FAMILIES)) };
  const sources = await openSources(plane.config, {
    ...parts,
    onAbsent: (name) => absent.push(name),
    onConnected: () => {},
  });
  await sources.synced;
  const [first] = plane.requests;
  assert.deepEqual([first?.resourceNamesSubscribe, first?.resourceNamesUnsubscribe], [['*'], ['*']]);
  sources.want('/10.0.0.7');
  await until('the answer', () => absent.length > 0);
  assert.deepEqual(absent, ['/10.0.0.7']);
  await sources.close();
});

test('certificates are asked for with the token as it is then, and for the identity of the pod', async () => {
  using plane = await controlPlane({});
  const issuer = await createIssuer(issuerSettings(plane.config), log, systemClock);
  const certificate = await issuer.issue(CART, new AbortController().signal);
  assert.equal(certificate.identity, CART);
  assert.deepEqual(plane.certificates[0]!.metadata, { ImpersonatedIdentity: CART });
  writeFileSync(plane.token, 'token-2');
  await issuer.issue(CART, new AbortController().signal);
  assert.deepEqual(
    plane.headers.map((metadata) => metadata.get('authorization')[0]),
    ['Bearer token-1', 'Bearer token-2'],
  );
  writeFileSync(plane.token, '');
  await assert.rejects(issuer.issue(CART, new AbortController().signal), { code: 'TOKEN_EMPTY' });
  issuer.close();
});

test('a local text that is wrong stops the start with every mistake in it', async () => {
  const config = loadConfig({
    env: { XDS_ADDRESS: '', LOCAL_XDS: 'workloads: [{name: a}, {uid: b, workloadIps: [x]}]' },
    readFile: () => undefined,
    cores: 2,
  });
  const parts = {
    state: meshState(),
    log,
    clock: systemClock,
    counts: new XdsCounts(new Exposition(FAMILIES)),
    onAbsent: () => {},
    onConnected: () => {},
  };
  await assert.rejects(openSources(config, parts), (error: Error) => {
    assert.match(error.message, /LOCAL_XDS cannot be used/);
    assert.match(error.message, /workloads\[0\]\.uid/);
    assert.match(error.message, /workloads\[1\]\.workloadIps/);
    return true;
  });
});

test('a local file is read again when it changes: what it lacks is gone, and a broken one changes nothing', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ambit-mesh-'));
  try {
    const path = join(directory, 'mesh.yaml');
    const write = (...names: string[]) =>
      writeFileSync(
        path,
        `workloads: [${names.map((name) => `{uid: ${name}, name: ${name}, workloadIps: [10.0.0.1]}`)}]`,
      );
    write('a', 'b');
    const config = loadConfig({ env: { XDS_ADDRESS: '', LOCAL_XDS_PATH: path }, readFile: () => undefined, cores: 2 });
    const state = meshState();
    const names = () =>
      [...state.mesh.workloads()]
        .map(({ uid }) => uid)
        .sort()
        .join();
    const parts = {
      state,
      log,
      clock: systemClock,
      counts: new XdsCounts(new Exposition(FAMILIES)),
      onAbsent: () => {},
      onConnected: () => {},
    };
    const sources = await openSources(config, parts);
    await state.flushed();
    assert.equal(names(), 'a,b');
    write('b', 'c');
    await until('the change arrives', () => names() === 'b,c');
    writeFileSync(path, 'workloads: [{name: nameless}]');
    await new Promise((resolve) => setTimeout(resolve, 400));
    assert.equal(names(), 'b,c');
    write('d');
    await until('the next arrives', () => names() === 'd');
    await sources.close();
  } finally {
    rmSync(directory, { recursive: true });
  }
});
