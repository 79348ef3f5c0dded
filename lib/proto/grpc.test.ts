// SPDX-License-Identifier: Apache-2.0
//
// The descriptors really drive grpc-js, in both shapes of call the mesh uses.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import * as grpc from '@grpc/grpc-js';
import { IstioCertificateRequestSchema, IstioCertificateService } from './gen/ca_pb.ts';
import {
  AggregatedDiscoveryService,
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
} from './gen/discovery_pb.ts';
import { grpcService } from './grpc.ts';

const AUTHORITY = grpcService(IstioCertificateService);
const DISCOVERY = grpcService(AggregatedDiscoveryService);

test('paths and streaming flags are what Istio peers dial', () => {
  assert.equal(AUTHORITY.createCertificate.path, '/istio.v1.auth.IstioCertificateService/CreateCertificate');
  assert.equal(AUTHORITY.createCertificate.requestStream, false);
  assert.equal(
    DISCOVERY.deltaAggregatedResources.path,
    '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources',
  );
  assert.equal(DISCOVERY.deltaAggregatedResources.requestStream, true);
  assert.equal(DISCOVERY.deltaAggregatedResources.responseStream, true);
});

test('64-bit and struct fields survive the wire', () => {
  const request = create(IstioCertificateRequestSchema, {
    csr: 'pem',
    validityDuration: 86_400n,
    metadata: { ImpersonatedIdentity: 'spiffe://cluster.local/ns/a/sa/b' },
  });
  const { requestSerialize, requestDeserialize } = AUTHORITY.createCertificate;
  assert.deepEqual(requestDeserialize(requestSerialize(request)), request);
});

test('a unary and a bidirectional call run over grpc-js', async (t) => {
  const server = new grpc.Server();
  server.addService(AUTHORITY, {
    createCertificate: ((call, done) => done(null, { certChain: [call.request.csr, 'root'] })) as grpc.handleUnaryCall<
      { csr: string },
      { certChain: string[] }
    >,
  });
  server.addService(DISCOVERY, {
    deltaAggregatedResources: ((call) => {
      call.on('data', (request: DeltaDiscoveryRequest) => call.write({ typeUrl: request.typeUrl, nonce: '1' }));
      call.on('end', () => call.end());
    }) as grpc.handleBidiStreamingCall<DeltaDiscoveryRequest, { typeUrl: string; nonce: string }>,
  });
  t.after(() => server.forceShutdown());
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (err, bound) =>
      err ? reject(err) : resolve(bound),
    ),
  );
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  t.after(() => client.close());

  const unary = AUTHORITY.createCertificate;
  const reply = await new Promise<{ certChain: string[] }>((resolve, reject) =>
    client.makeUnaryRequest(
      unary.path,
      unary.requestSerialize,
      unary.responseDeserialize,
      { csr: 'leaf' },
      (err, value) => (err || !value ? reject(err) : resolve(value)),
    ),
  );
  assert.deepEqual(reply.certChain, ['leaf', 'root']);

  const bidi = DISCOVERY.deltaAggregatedResources;
  const stream = client.makeBidiStreamRequest(bidi.path, bidi.requestSerialize, bidi.responseDeserialize);
  const first = new Promise<DeltaDiscoveryResponse>((resolve, reject) => {
    stream.once('data', resolve);
    stream.once('error', reject);
  });
  stream.write({ typeUrl: 'type.googleapis.com/istio.workload.Address' });
  assert.equal((await first).typeUrl, 'type.googleapis.com/istio.workload.Address');
  stream.end();
});
