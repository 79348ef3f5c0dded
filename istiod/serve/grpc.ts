// SPDX-License-Identifier: Apache-2.0
// The gRPC ports: limits as Istio's own, a pulse by which clients know that the link is alive, and an orderly end.

import {
  Server,
  type ServerCredentials,
  type ServerOptions,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { AmbitError } from '#lib/kit/error.ts';
import { PULSE_MS } from '#lib/xds/pulse.ts';
import type { HostPort } from '../settings/given.ts';

/** A client that comes back names all it holds: about 90 bytes a resource. Nobody needs more, and anybody may send. */
const MAX_REQUEST_BYTES = 32 * 1024 * 1024;
const MAX_STREAMS = 100_000;
/** For a client that is busy; one that is gone for good costs nothing but memory meanwhile. */
const PING_TIMEOUT_MS = 20_000;
const AGE_GRACE_MS = 10_000;

export interface GrpcService {
  readonly definition: ServiceDefinition;
  readonly implementation: UntypedServiceImplementation;
}

export interface GrpcPort {
  readonly port: number;
  /** Lets running calls finish for `graceMs`, then cuts them. */
  close(graceMs: number): Promise<void>;
}

/** Binds and serves; throws LISTEN naming the address when it is taken. */
export async function serveGrpc(
  { host, port }: HostPort,
  credentials: ServerCredentials,
  services: readonly GrpcService[],
  maxConnectionAgeMs: number,
): Promise<GrpcPort> {
  const server = new Server(options(maxConnectionAgeMs));
  for (const { definition, implementation } of services) server.addService(definition, implementation);
  const address = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, credentials, (error, at) => {
      if (error === null) resolve(at);
      else reject(new AmbitError('LISTEN', `cannot listen on ${address}`, { cause: error }));
    });
  });
  return {
    port: bound,
    close: (graceMs) =>
      new Promise((resolve) => {
        const timer = setTimeout(() => {
          server.forceShutdown();
          resolve();
        }, graceMs);
        server.tryShutdown(() => {
          clearTimeout(timer);
          resolve();
        });
      }),
  };
}

function options(maxConnectionAgeMs: number): ServerOptions {
  return {
    'grpc.max_receive_message_length': MAX_REQUEST_BYTES,
    'grpc.max_send_message_length': -1,
    'grpc.max_concurrent_streams': MAX_STREAMS,
    'grpc.keepalive_time_ms': PULSE_MS,
    'grpc.keepalive_timeout_ms': PING_TIMEOUT_MS,
    'grpc.max_connection_age_ms': maxConnectionAgeMs,
    'grpc.max_connection_age_grace_ms': AGE_GRACE_MS,
  };
}
