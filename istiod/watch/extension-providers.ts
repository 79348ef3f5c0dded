// SPDX-License-Identifier: Apache-2.0
// `extensionProviders` of the mesh's settings: whom waypoints ask. A provider of a kind that is not read here is left
// alone; whoever names it finds that there is none.

import { parseLogFormat } from '#lib/mesh/http/log-format.ts';
import { BLANK_PROVIDER } from '#lib/mesh/http/waypoint.ts';
import type { ExtensionProvider } from '#lib/model/mesh-settings.ts';
import { istioDuration } from '#lib/model/route/duration.ts';
import { complainOfFormat, formatsOf } from './observability.ts';

/** OTLP's own default. */
const COLLECTOR_TIMEOUT_MS = 10_000;

type Fields = Readonly<Record<string, unknown>>;
type Complain = (field: string, message: string, fix: string) => void;
type Rest = Omit<ExtensionProvider, 'name'>;

const KINDS: Readonly<Record<string, (value: Fields, at: string, complain: Complain) => Rest>> = {
  envoyExtAuthzGrpc: extAuthzGrpc,
  envoyExtAuthzHttp: extAuthzHttp,
  opentelemetry,
  zipkin,
  envoyFileAccessLog: fileLog,
  envoyOtelAls: otelLog,
  prometheus: () => ({ ...BLANK_PROVIDER, kind: 'prometheus', service: '', port: 0 }),
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

function opentelemetry(value: Fields, at: string, complain: Complain): Rest {
  const { dynamicSampler, grpc, http, maxTagLength, resourceDetectors, serviceAttributeEnrichment } = value;
  if (dynamicSampler !== undefined) {
    complain(`${at}.dynamicSampler`, 'is not known here', 'set randomSamplingPercentage in a Telemetry');
  }
  const by = mapOf(http ?? grpc);
  const { path } = by;
  if (http !== undefined && (typeof path !== 'string' || !/^\/[!-~]*$/.test(path))) {
    complain(`${at}.http.path`, 'is no path', 'write for example /v1/traces');
  }
  const headers = by['headers'] ?? by['initialMetadata'] ?? [];
  const detectors = Object.keys(mapOf(resourceDetectors));
  for (const one of detectors) {
    if (one !== 'environment') complain(`${at}.resourceDetectors.${one}`, 'is not known here', 'write environment');
  }
  return {
    ...BLANK_PROVIDER,
    kind: 'otlp-trace',
    ...place(value, at, complain),
    timeoutMs: durationOf(by['timeout'], `${at}.timeout`, complain),
    path: http === undefined ? '' : String(path),
    extraHeaders: headersOf(headers, `${at}.${http === undefined ? 'grpc.initialMetadata' : 'http.headers'}`, complain),
    resourceDetectors: detectors.filter((one) => one === 'environment'),
    otelConventions: serviceAttributeEnrichment === 'OTEL_SEMANTIC_CONVENTIONS',
    maxTagLength: lengthOf(maxTagLength, at, complain),
  };
}

function zipkin(value: Fields, at: string, complain: Complain): Rest {
  const { maxTagLength, path = '', traceContextOption } = value;
  return {
    ...BLANK_PROVIDER,
    kind: 'zipkin-trace',
    ...place(value, at, complain),
    timeoutMs: durationOf(value['timeout'], `${at}.timeout`, complain, 5000),
    path: String(path),
    extraHeaders: headersOf(value['headers'] ?? [], `${at}.headers`, complain),
    maxTagLength: lengthOf(maxTagLength, at, complain),
    w3cToo: traceContextOption === 'USE_B3_WITH_W3C_PROPAGATION',
  };
}

function fileLog(value: Fields, at: string, complain: Complain): Rest {
  const { logFormat, path = '/dev/stdout' } = value;
  if (typeof path !== 'string' || !path.startsWith('/')) {
    complain(`${at}.path`, `${JSON.stringify(path)} is no path`, 'write for example /dev/stdout');
  }
  const { labels, text = '' } = mapOf(logFormat);
  const format = String(text);
  for (const problem of parseLogFormat(format).problems) complainOfFormat(`${at}.logFormat.text`, problem, complain);
  return {
    ...{ ...BLANK_PROVIDER, kind: 'file-log', service: '', port: 0, path: String(path), format },
    json: labels !== undefined,
    jsonFields: formatsOf(mapOf(labels), `${at}.logFormat.labels`, complain),
  };
}

function otelLog(value: Fields, at: string, complain: Complain): Rest {
  const { labels, text = '' } = mapOf(value['logFormat']);
  for (const problem of parseLogFormat(String(text)).problems)
    complainOfFormat(`${at}.logFormat.text`, problem, complain);
  return {
    ...{ ...BLANK_PROVIDER, kind: 'otlp-log', ...place(value, at, complain), format: String(text) },
    timeoutMs: COLLECTOR_TIMEOUT_MS,
    jsonFields: formatsOf(mapOf(labels), `${at}.logFormat.labels`, complain),
  };
}

function durationOf(value: unknown, at: string, complain: Complain, otherwise = COLLECTOR_TIMEOUT_MS): number {
  if (value === undefined) return otherwise;
  const found = istioDuration(String(value));
  if (found === undefined || found < 1) complain(at, `${JSON.stringify(value)} is no time`, 'write for example 5s');
  return found ?? otherwise;
}

function lengthOf(value: unknown, at: string, complain: Complain): number {
  const length = Number(value ?? 0);
  if (Number.isInteger(length) && length >= 0) return length;
  complain(`${at}.maxTagLength`, `${JSON.stringify(value)} is no number of characters`, 'write for example 256');
  return 0;
}

/** `envName` is read by proxies of Istio's; here a header's value stands in the settings. */
function headersOf(value: unknown, at: string, complain: Complain): Rest['extraHeaders'] {
  if (!Array.isArray(value)) {
    complain(at, 'is no list of headers', 'write a list of name and value');
    return [];
  }
  return (value as readonly unknown[]).flatMap((one, i) => {
    const { name, value: text } = mapOf(one);
    if (typeof name === 'string' && /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) && typeof text === 'string')
      return [{ name: name.toLowerCase(), value: text }];
    complain(`${at}[${i}]`, 'is no header with a value', 'write name and value');
    return [];
  });
}

/** What both kinds have. */
function common(value: Fields, at: string, complain: Complain): Omit<Rest, 'kind'> {
  const { failOpen, statusOnError, timeout } = value;
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
    ...place(value, at, complain),
    failOpen: failOpen === true,
    statusOnError: status,
    timeoutMs: timeoutMs ?? BLANK_PROVIDER.timeoutMs,
    bodyBytes: body === undefined ? 0 : Number(maxRequestBytes),
    bodyPartial: allowPartialMessage === true,
    bodyAsBytes: packAsBytes === true,
  };
}

/** Where it is. */
function place(value: Fields, at: string, complain: Complain): Pick<Rest, 'service' | 'port'> {
  const { port, service } = value;
  if (typeof service !== 'string' || !/^([a-z0-9-]+\/)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(service)) {
    complain(`${at}.service`, 'is no host name', 'write host or namespace/host');
  }
  if (!Number.isInteger(port) || Number(port) < 1 || Number(port) > 65_535) {
    complain(`${at}.port`, `${JSON.stringify(port)} is no port`, 'write a number from 1 to 65535');
  }
  return { service: String(service), port: Number(port) };
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
