// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { create, createFileRegistry, fromBinary, type MessageInitShape } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { ServerReflectionRequestSchema } from '#lib/proto/gen/reflection_pb.ts';
import { answer } from './reflection.ts';

type Asked = MessageInitShape<typeof ServerReflectionRequestSchema>['messageRequest'];

const ask = (messageRequest: Exclude<Asked, undefined>) =>
  answer(create(ServerReflectionRequestSchema, { host: 'h', messageRequest }), ['a.Service']).messageResponse!;

/** The types that the files of an answer define. */
function typesOf(response: ReturnType<typeof ask>) {
  ok(response.case === 'fileDescriptorResponse', 'files were expected');
  const file = response.value.fileDescriptorProto!.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
  return createFileRegistry(create(FileDescriptorSetSchema, { file: file.reverse() }));
}

test('services are listed by their full names', () => {
  const response = ask({ case: 'listServices', value: '' });
  deepEqual(response, { case: 'listServicesResponse', value: { service: [{ name: 'a.Service' }] } });
});

test('a service, a method, a message and a field of it lead to the file they are in, with all that it imports', () => {
  const service = 'envoy.service.discovery.v3.AggregatedDiscoveryService';
  for (const value of [service, `${service}.DeltaAggregatedResources`]) {
    const found = typesOf(ask({ case: 'fileContainingSymbol', value })).getService(service);
    deepEqual(
      found?.methods.map(({ name }) => name),
      ['StreamAggregatedResources', 'DeltaAggregatedResources'],
    );
  }
  // What clients find packed in a response can be unpacked, too.
  for (const value of ['istio.workload.Address', 'istio.workload.Workload.trust_domain']) {
    const types = typesOf(ask({ case: 'fileContainingSymbol', value }));
    equal(types.getMessage('istio.workload.Workload')?.field['trustDomain']?.number, 6);
  }
  ok(typesOf(ask({ case: 'fileByFilename', value: 'ca.proto' })).getMessage('google.protobuf.Struct') !== undefined);
});

test('a name that nothing has, and what is not asked for, is answered with an error', () => {
  const missing = ask({ case: 'fileContainingSymbol', value: 'constructor' });
  ok(missing.case === 'errorResponse');
  equal(missing.value.errorCode, 5);
  match(missing.value.errorMessage ?? '', /no name constructor is served here/);
  equal(ask({ case: 'fileByFilename', value: '../etc/passwd' }).case, 'errorResponse');
  equal(ask({ case: 'allExtensionNumbersOfType', value: 'x' }).case, 'errorResponse');
  const { messageResponse } = answer(create(ServerReflectionRequestSchema), []);
  equal(messageResponse?.case, 'errorResponse');
});
