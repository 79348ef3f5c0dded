// SPDX-License-Identifier: Apache-2.0
// `defaultConfig.proxyHeaders`: which headers proxies add to requests and answers. What says who the client is
// (`forwardedClientCert`) is a waypoint's own matter: an annotation of its Gateway.
import type { ProxyHeaders } from '#lib/mesh/http/waypoint.ts';

type Fields = Readonly<Record<string, unknown>>;
type Complain = (field: string, message: string, fix: string) => void;

const AT = 'defaultConfig.proxyHeaders';
/** A header field's value of printable text. */
const VALUE = /^[!-~]([ -~]*[!-~])?$/;

/** undefined when nothing is said. */
export function readProxyHeaders(value: unknown, complain: Complain): ProxyHeaders | undefined {
  if (value === undefined || value === null) return undefined;
  if (!isMap(value)) {
    complain(AT, 'is no map of headers', 'write for example {server: {disabled: true}}');
    return undefined;
  }
  const flag = (name: string, key: 'disabled' | 'enabled'): boolean => {
    const part = value[name] ?? {};
    const set = isMap(part) ? (part[key] ?? false) : undefined;
    if (typeof set === 'boolean') return set;
    complain(`${AT}.${name}.${key}`, 'is neither true nor false', `write {${key}: true}`);
    return false;
  };
  const server = isMap(value['server']) ? (value['server']['value'] ?? '') : '';
  const named = server === '' || (typeof server === 'string' && VALUE.test(server));
  if (!named) complain(`${AT}.server.value`, `${JSON.stringify(server)} is no header value`, 'write plain text');
  return {
    forwardedPort: flag('xForwardedPort', 'enabled'),
    forwardedHost: flag('xForwardedHost', 'enabled'),
    noRequestId: flag('requestId', 'disabled'),
    noAttemptCount: flag('attemptCount', 'disabled'),
    passServer: flag('server', 'disabled'),
    noDebug: flag('envoyDebugHeaders', 'disabled'),
    server: named ? String(server) : '',
  };
}

function isMap(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
