// SPDX-License-Identifier: Apache-2.0
// `extensionProviders` of the mesh's settings: whom waypoints ask. A provider of a kind that is not read here is left
// alone; whoever names it finds that there is none.

import { BLANK_PROVIDER } from '#lib/mesh/http/waypoint.ts';
import type { ExtensionProvider } from '#lib/model/mesh-settings.ts';
import { istioDuration } from '#lib/model/route/duration.ts';

type Fields = Readonly<Record<string, unknown>>;
type Complain = (field: string, message: string, fix: string) => void;
type Rest = Omit<ExtensionProvider, 'name'>;

const KINDS: Readonly<Record<string, (value: Fields, at: string, complain: Complain) => Rest>> = {
  envoyExtAuthzGrpc: extAuthzGrpc,
  envoyExtAuthzHttp: extAuthzHttp,
};

/** The providers that can be used; each problem is complained of. */
export function readExtensionProviders(value: unknown, complain: Complain): readonly ExtensionProvider[] {
  const list = value ?? [];
  if (!Array.isArray(list)) {
    complain('extensionProviders', 'is no list', 'write a list of providers');
    return [];
  }
  const names = new Set<string>();
  return (list as readonly unknown[]).flatMap((item, i): ExtensionProvider[] => {
    const at = `extensionProviders[${i}]`;
    const fields = mapOf(item);
    const { name } = fields;
    if (typeof name !== 'string' || name === '') {
      complain(`${at}.name`, 'is missing', 'name the provider');
      return [];
    }
    if (names.has(name)) complain(`${at}.name`, `${name} is there twice`, 'rename one');
    names.add(name);
    return Object.entries(KINDS).flatMap(([kind, read]) =>
      fields[kind] === undefined ? [] : [{ name, ...read(mapOf(fields[kind]), `${at}.${kind}`, complain) }],
    );
  });
}

function extAuthzGrpc(value: Fields, at: string, complain: Complain): Rest {
  return { kind: 'ext-authz-grpc', ...common(value, at, complain) };
}

function extAuthzHttp(value: Fields, at: string, complain: Complain): Rest {
  const names = (field: string, older?: string): readonly string[] =>
    textsOf(value[field] ?? (older === undefined ? undefined : value[older]), `${at}.${field}`, complain).map((one) =>
      one.toLowerCase(),
    );
  const { pathPrefix } = value;
  if (pathPrefix !== undefined && (typeof pathPrefix !== 'string' || !/^\/[!-~]*$/.test(pathPrefix))) {
    complain(`${at}.pathPrefix`, 'is no path', 'write one that begins with /');
  }
  const extra = Object.entries(mapOf(value['includeAdditionalHeadersInCheck']));
  return {
    kind: 'ext-authz-http',
    ...common(value, at, complain),
    path: typeof pathPrefix === 'string' ? pathPrefix.replace(/\/$/, '') : '',
    requestHeaders: names('includeRequestHeadersInCheck', 'includeHeadersInCheck'),
    extraHeaders: extra.map(([name, text]) => ({ name: name.toLowerCase(), value: String(text) })),
    upstreamHeaders: names('headersToUpstreamOnAllow'),
    denyHeaders: names('headersToDownstreamOnDeny'),
    allowHeaders: names('headersToDownstreamOnAllow'),
  };
}

/** What both kinds have. */
function common(value: Fields, at: string, complain: Complain): Omit<Rest, 'kind'> {
  const { failOpen, port, service, statusOnError, timeout } = value;
  if (typeof service !== 'string' || !/^([a-z0-9-]+\/)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(service)) {
    complain(`${at}.service`, 'is no host name', 'write host or namespace/host');
  }
  if (!Number.isInteger(port) || Number(port) < 1 || Number(port) > 65_535) {
    complain(`${at}.port`, `${JSON.stringify(port)} is no port`, 'write a number from 1 to 65535');
  }
  const status = Number(statusOnError ?? BLANK_PROVIDER.statusOnError);
  if (!Number.isInteger(status) || status < 200 || status > 599) {
    complain(`${at}.statusOnError`, `${JSON.stringify(statusOnError)} is no status`, 'write for example "403"');
  }
  const timeoutMs = timeout === undefined ? BLANK_PROVIDER.timeoutMs : istioDuration(String(timeout));
  if (timeoutMs === undefined || timeoutMs < 1) {
    complain(`${at}.timeout`, `${JSON.stringify(timeout)} is no time`, 'write for example 5s');
  }
  const body = value['includeRequestBodyInCheck'];
  const { allowPartialMessage, maxRequestBytes, packAsBytes } = mapOf(body);
  if (body !== undefined && (!Number.isInteger(maxRequestBytes) || Number(maxRequestBytes) < 1)) {
    complain(`${at}.includeRequestBodyInCheck.maxRequestBytes`, 'is no number of octets', 'write for example 8192');
  }
  return {
    ...BLANK_PROVIDER,
    service: String(service),
    port: Number(port),
    failOpen: failOpen === true,
    statusOnError: status,
    timeoutMs: timeoutMs ?? BLANK_PROVIDER.timeoutMs,
    bodyBytes: body === undefined ? 0 : Number(maxRequestBytes),
    bodyPartial: allowPartialMessage === true,
    bodyAsBytes: packAsBytes === true,
  };
}

function textsOf(value: unknown, field: string, complain: Complain): readonly string[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) return value.map(String);
  complain(field, 'is no list of names', 'write a list');
  return [];
}

/** The fields of something that should be a map; of anything else, none. */
function mapOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}
