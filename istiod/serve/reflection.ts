// SPDX-License-Identifier: Apache-2.0
// gRPC reflection (grpc.reflection.v1, and v1alpha for older tools): what is served here and what the resources in it
// look like, so that grpcurl and its like can be pointed at istiod without any file. It tells of the protocols, of
// nobody's data.

import { createRegistry, type DescFile, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { status as Code, type ServerDuplexStream } from '@grpc/grpc-js';
import { textOf } from '#lib/kit/text-of.ts';
import { file_authorization } from '#lib/proto/gen/authorization_pb.ts';
import { file_ca } from '#lib/proto/gen/ca_pb.ts';
import { file_discovery } from '#lib/proto/gen/discovery_pb.ts';
import {
  file_reflection,
  ServerReflection,
  type ServerReflectionRequest,
  type ServerReflectionResponseSchema,
} from '#lib/proto/gen/reflection_pb.ts';
import { file_waypoint } from '#lib/proto/gen/waypoint_pb.ts';
import { file_workload } from '#lib/proto/gen/workload_pb.ts';
import { grpcService } from '#lib/proto/grpc.ts';
import type { GrpcService } from './grpc.ts';

type Answer = MessageInitShape<typeof ServerReflectionResponseSchema>;
type Call = ServerDuplexStream<ServerReflectionRequest, Answer>;

/** Services, and the resources that clients find packed in their messages. */
const FILES = [file_discovery, file_ca, file_reflection, file_workload, file_authorization, file_waypoint];
const TYPES = createRegistry(...FILES);
const BY_NAME: ReadonlyMap<string, DescFile> = new Map(withImports(FILES).map((file) => [fileName(file), file]));

/** The reflection service in both its versions, telling of `services` by their full names. */
export function reflection(services: readonly string[]): readonly GrpcService[] {
  const v1 = grpcService(ServerReflection);
  const method = v1.serverReflectionInfo;
  const alpha = { ...method, path: method.path.replace('.v1.', '.v1alpha.') };
  const names = [...services, 'grpc.reflection.v1.ServerReflection', 'grpc.reflection.v1alpha.ServerReflection'].sort();
  const serverReflectionInfo = (call: Call): void => {
    call.on('data', (request: ServerReflectionRequest) => call.write(answer(request, names)));
    call.on('end', () => call.end());
    call.on('error', () => undefined);
  };
  return [
    { definition: { ...v1 }, implementation: { serverReflectionInfo } },
    { definition: { serverReflectionInfo: alpha }, implementation: { serverReflectionInfo } },
  ];
}

/** What a request is answered with. Pure. */
export function answer(request: ServerReflectionRequest, services: readonly string[]): Answer {
  const about = { validHost: request.host, originalRequest: request };
  const asked = request.messageRequest;
  switch (asked.case) {
    case 'listServices': {
      const value = { service: services.map((name) => ({ name })) };
      return { ...about, messageResponse: { case: 'listServicesResponse', value } };
    }
    case 'fileByFilename':
      return { ...about, messageResponse: files(BY_NAME.get(asked.value), `file ${textOf(asked.value)}`) };
    case 'fileContainingSymbol':
      return { ...about, messageResponse: files(fileOf(asked.value), `name ${textOf(asked.value)}`) };
    case 'allExtensionNumbersOfType':
    case 'fileContainingExtension':
      return { ...about, messageResponse: refused(Code.NOT_FOUND, 'no message here is extended') };
    case undefined:
      return { ...about, messageResponse: refused(Code.INVALID_ARGUMENT, 'the request asks for nothing') };
  }
}

function files(file: DescFile | undefined, what: string): Exclude<Answer['messageResponse'], undefined> {
  if (file === undefined) return refused(Code.NOT_FOUND, `no ${what} is served here`);
  const fileDescriptorProto = withImports([file]).map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto));
  return { case: 'fileDescriptorResponse', value: { fileDescriptorProto } };
}

function refused(errorCode: number, errorMessage: string): Exclude<Answer['messageResponse'], undefined> {
  return { case: 'errorResponse', value: { errorCode, errorMessage } };
}

/** The file that has a message, an enum, a service, or a member of one. */
function fileOf(symbol: string): DescFile | undefined {
  const name = symbol.replace('grpc.reflection.v1alpha.', 'grpc.reflection.v1.');
  return (TYPES.get(name) ?? TYPES.get(name.slice(0, Math.max(0, name.lastIndexOf('.')))))?.file;
}

/** The files, each once, and all that they import. */
function withImports(files: readonly DescFile[], found = new Set<DescFile>()): DescFile[] {
  for (const file of files) {
    if (found.has(file)) continue;
    found.add(file);
    withImports(file.dependencies, found);
  }
  return [...found];
}

function fileName({ name }: DescFile): string {
  return `${name}.proto`;
}
