// SPDX-License-Identifier: Apache-2.0
// `proxyHeaders` of the mesh's `defaultConfig` or of a Gateway's annotation: which headers proxies add to requests and answers. What
// says who the client is (`forwardedClientCert`) is a waypoint's own matter: an annotation of its Gateway.
import type { ProxyHeaders } from '#lib/mesh/http/waypoint.ts';

type Fields = Readonly<Record<string, unknown>>;
type Complain = (field: string, message: string, fix: string) => void;

const AT = 'proxyHeaders';
/** A header field's value of printable text. */
const VALUE = /^[!-~]([ -~]*[!-~])?$/;

/** What `value` does not speak of is as in `otherwise`; undefined when neither says anything. */
export function readProxyHeaders(
  value: unknown,
  complain: Complain,
  otherwise?: ProxyHeaders,
): ProxyHeaders | undefined {
  if (value === undefined || value === null) return otherwise;
  if (!isMap(value)) {
    complain(AT, 'is no map of headers', 'write for example {server: {disabled: true}}');
    return otherwise;
  }
  const flag = (name: string, key: 'disabled' | 'enabled', before = false): boolean => {
    const part = value[name] ?? {};
    const set = isMap(part) ? (part[key] ?? before) : undefined;
    if (typeof set === 'boolean') return set;
    complain(`${AT}.${name}.${key}`, 'is neither true nor false', `write {${key}: true}`);
    return before;
  };
  const before = otherwise?.server ?? '';
  const server = isMap(value['server']) ? (value['server']['value'] ?? before) : before;
  const named = server === '' || (typeof server === 'string' && VALUE.test(server));
  if (!named) complain(`${AT}.server.value`, `${JSON.stringify(server)} is no header value`, 'write plain text');
  return {
    forwardedPort: flag('xForwardedPort', 'enabled', otherwise?.forwardedPort),
    forwardedHost: flag('xForwardedHost', 'enabled', otherwise?.forwardedHost),
    noRequestId: flag('requestId', 'disabled', otherwise?.noRequestId),
    noAttemptCount: flag('attemptCount', 'disabled', otherwise?.noAttemptCount),
    passServer: flag('server', 'disabled', otherwise?.passServer),
    noDebug: flag('envoyDebugHeaders', 'disabled', otherwise?.noDebug),
    server: named ? String(server) : before,
  };
}

function isMap(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
