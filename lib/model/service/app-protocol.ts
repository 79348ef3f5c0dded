// SPDX-License-Identifier: Apache-2.0
//
// What a service port speaks: the appProtocol field, else the prefix of the port's name, else a well-known number.

import { table } from '#lib/kit/table.ts';
import type { AppProtocol } from '#lib/mesh/service.ts';
import type { ServicePort } from '../object/object.ts';

const BY_WORD = table<AppProtocol>({
  http: 'http11',
  http2: 'http2',
  h2c: 'http2',
  grpc: 'grpc',
  'grpc-web': 'grpc',
  tls: 'tls',
  https: 'tls',
  tcp: 'tcp',
  mongo: 'tcp',
  mysql: 'tcp',
  redis: 'tcp',
});

const BY_APP_PROTOCOL = table<AppProtocol>({
  'kubernetes.io/h2c': 'http2',
  'kubernetes.io/ws': 'http11',
  'kubernetes.io/wss': 'tls',
});

/** Ports whose protocol lets the server speak first, hence must not be sniffed. */
const TCP_PORTS = new Set([25, 53, 3306, 27017]);

/** What a ServiceEntry's `protocol` means. */
export function protocolByName(name: string | undefined): AppProtocol {
  return BY_WORD[name?.toLowerCase() ?? ''] ?? 'unknown';
}

export function appProtocolOf(port: ServicePort): AppProtocol {
  if (port.protocol === 'UDP') return 'unknown';
  if (port.appProtocol !== undefined) {
    const word = port.appProtocol.toLowerCase();
    return BY_APP_PROTOCOL[word] ?? BY_WORD[word] ?? 'unknown';
  }
  const name = port.name?.toLowerCase() ?? '';
  const named = BY_WORD[name] ?? BY_WORD[name.startsWith('grpc-web') ? 'grpc-web' : (name.split('-')[0] ?? '')];
  if (named !== undefined) return named;
  return name === '' && TCP_PORTS.has(port.port) ? 'tcp' : 'unknown';
}
