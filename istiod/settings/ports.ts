// SPDX-License-Identifier: Apache-2.0
// Where istiod listens, and how long its connections last.
import type { Given, HostPort } from './given.ts';

/** Old connections are closed so that clients spread over replicas again. */
const DEFAULT_CONNECTION_AGE_MS = 1_800_000;

export function readPorts(given: Given) {
  return {
    httpAddress: given.address('httpAddr', ':8080'),
    grpcAddress: given.address('grpcAddr', ':15010'),
    secureGrpcAddress: given.address('secureGRPCAddr', ':15012'),
    monitoringAddress: given.address('monitoringAddr', ':15014'),
    /** The validating webhook's port; undefined when it is turned off. */
    webhookAddress: given.flags['httpsAddr'] === '' ? undefined : given.address('httpsAddr', ':15017'),
    /** Where log levels are shown and changed; undefined when it is turned off. */
    controlAddress: controlAddress(given),
    maxConnectionAgeMs: given.duration('keepaliveMaxServerConnectionAge', DEFAULT_CONNECTION_AGE_MS),
    shutdownMs: given.duration('shutdownDuration', 10_000),
  };
}

function controlAddress({ env, flags }: Given): HostPort | undefined {
  const port = flags['ctrlz_port'] ?? '9876';
  if (port === '0') return undefined;
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) {
    env.problem('--ctrlz_port', `${JSON.stringify(port)} is no port`, 'write for example 9876');
  }
  const host = flags['ctrlz_address'] ?? '127.0.0.1';
  return { host: host === 'localhost' ? '127.0.0.1' : host, port: Number(port) };
}
