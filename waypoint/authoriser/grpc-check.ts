// SPDX-License-Identifier: Apache-2.0
// The question and answer of envoy.service.auth.v3.Authorization/Check, as gRPC carries them: one message each way.
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { ALLOWED, type CheckAnswer, type CheckDenial, type HeaderOption } from '#lib/mesh/http/external-check.ts';
import type { Provider } from '#lib/mesh/http/waypoint.ts';
import type { CallAnswer } from '#lib/net/http/call.ts';
import {
  type AttributeContext_HttpRequestSchema,
  type AttributeContext_PeerSchema,
  CheckRequestSchema,
  CheckResponseSchema,
  type DeniedHttpResponse,
  type HeaderValueOption,
  HeaderValueOption_AppendAction,
} from '#lib/proto/gen/ext_authz_pb.ts';
import { HeaderBlock } from '#lib/wire/h2/headers.ts';
import type { HttpSubject, Party, Subject } from './subject.ts';

const PATH = '/envoy.service.auth.v3.Authorization/Check';
/** Compressed flag and length before each message. */
const PREFIX = 5;
/** Nobody needs to wait longer than this, however long the provider's own time-out is; gRPC has eight digits. */
const MAX_TIMEOUT_MS = 99_999_999;
export const PARTIAL_BODY = 'x-envoy-auth-partial-body';

export interface Question {
  readonly head: HeaderBlock;
  readonly body: Buffer;
}

export function grpcQuestion(subject: Subject, { bodyAsBytes, bodyBytes, target, timeoutMs }: Provider): Question {
  const { destination, http, source, timeMs } = subject;
  const message = create(CheckRequestSchema, {
    attributes: {
      source: peer(source),
      destination: peer(destination),
      request: {
        time: { seconds: BigInt(Math.floor(timeMs / 1000)), nanos: Math.floor(timeMs % 1000) * 1_000_000 },
        ...(http !== undefined && { http: httpMessage(http, bodyBytes > 0, bodyAsBytes) }),
      },
    },
  });
  const bytes = toBinary(CheckRequestSchema, message);
  const body = Buffer.alloc(PREFIX + bytes.length);
  body.writeUInt32BE(bytes.length, 1);
  body.set(bytes, PREFIX);
  const { service } = target!;
  const head = HeaderBlock.request('POST', 'http', service.slice(service.indexOf('/') + 1), PATH)
    .add('content-type', 'application/grpc')
    .add('te', 'trailers')
    .add('grpc-timeout', `${Math.min(timeoutMs, MAX_TIMEOUT_MS)}m`)
    .add('content-length', String(body.length));
  return { head, body };
}

function peer({ ip, port, principal }: Party): MessageInitShape<typeof AttributeContext_PeerSchema> {
  return { address: { socketAddress: { address: ip, portValue: port } }, principal };
}

function httpMessage(
  { body, fields, host, id, method, partial, path, protocol, scheme, size }: HttpSubject,
  withBody: boolean,
  asBytes: boolean,
): MessageInitShape<typeof AttributeContext_HttpRequestSchema> {
  const headers: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const [name, value] of [
    [':method', method],
    [':path', path],
    [':authority', host],
    [':scheme', scheme],
  ] as const) {
    headers[name] = value;
  }
  for (const { name, value } of fields) headers[name] = name in headers ? `${headers[name]},${value}` : value;
  if (withBody) headers[PARTIAL_BODY] = String(partial);
  return {
    id,
    method,
    headers,
    path,
    host,
    scheme,
    protocol,
    size: BigInt(size),
    ...(withBody && (asBytes ? { rawBody: new Uint8Array(body) } : { body: body.toString() })),
  };
}

/** What the answer means; whatever is no good answer is an error. */
export function readGrpcAnswer({ body, status, trailer }: CallAnswer): CheckAnswer {
  if (status !== 200) return failed(`answered ${status}`);
  const code = trailer('grpc-status') ?? '';
  if (code !== '0') {
    const message = decoded(trailer('grpc-message') ?? '');
    return failed(`answered grpc-status ${code || 'none'}${message === '' ? '' : `: ${message}`}`);
  }
  if (body.length < PREFIX || body[0] !== 0 || body.readUInt32BE(1) !== body.length - PREFIX)
    return failed('answered with what is no message');
  try {
    return meaning(new Uint8Array(body.subarray(PREFIX)));
  } catch {
    return failed('answered with what is no message');
  }
}

/** As gRPC carries messages in a header: what is not printable ASCII is percent-encoded. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function meaning(bytes: Uint8Array): CheckAnswer {
  const { httpResponse, status } = fromBinary(CheckResponseSchema, bytes);
  if (httpResponse.case === 'errorResponse') {
    const denial = denialOf(httpResponse.value, 0);
    return { kind: 'error', reason: 'said that it failed', denial: denial.status === 0 ? undefined : denial };
  }
  if ((status?.code ?? 0) !== 0) {
    const denied = httpResponse.case === 'deniedResponse' ? httpResponse.value : undefined;
    return { kind: 'deny', ...denialOf(denied, 403) };
  }
  if (httpResponse.case !== 'okResponse') return ALLOWED;
  const { headers, headersToRemove, queryParametersToRemove, queryParametersToSet, responseHeadersToAdd } =
    httpResponse.value;
  return {
    kind: 'allow',
    headers: options(headers),
    remove: headersToRemove.map((name) => name.toLowerCase()),
    responseHeaders: options(responseHeadersToAdd),
    setQuery: queryParametersToSet.map(({ key, value }) => ({ name: key, value })),
    removeQuery: queryParametersToRemove,
  };
}

function denialOf(denied: DeniedHttpResponse | undefined, otherwise: number): CheckDenial {
  const status = denied?.status?.code ?? 0;
  return {
    status: status >= 200 && status < 600 ? status : otherwise,
    headers: options(denied?.headers ?? []),
    body: denied?.body ?? '',
  };
}

const ACTIONS: Readonly<Record<HeaderValueOption_AppendAction, HeaderOption['action']>> = {
  [HeaderValueOption_AppendAction.APPEND_IF_EXISTS_OR_ADD]: 'append',
  [HeaderValueOption_AppendAction.ADD_IF_ABSENT]: 'add-if-absent',
  [HeaderValueOption_AppendAction.OVERWRITE_IF_EXISTS_OR_ADD]: 'overwrite',
  [HeaderValueOption_AppendAction.OVERWRITE_IF_EXISTS]: 'overwrite-if-exists',
};

/** Where neither way to say it is used, what is there is overwritten: so the service is specified. */
function options(list: readonly HeaderValueOption[]): HeaderOption[] {
  return list.flatMap(({ append, appendAction, header, keepEmptyValue }): HeaderOption[] => {
    if (header === undefined) return [];
    const value = header.rawValue.length > 0 ? Buffer.from(header.rawValue).toString('latin1') : header.value;
    if (value === '' && !keepEmptyValue) return [];
    const unsaid = append === undefined && appendAction === HeaderValueOption_AppendAction.APPEND_IF_EXISTS_OR_ADD;
    const said = append === undefined ? (ACTIONS[appendAction] ?? 'overwrite') : append ? 'append' : 'overwrite';
    const action = unsaid ? 'overwrite' : said;
    return [{ name: header.key.toLowerCase(), value, action }];
  });
}

function failed(reason: string): CheckAnswer {
  return { kind: 'error', reason, denial: undefined };
}
