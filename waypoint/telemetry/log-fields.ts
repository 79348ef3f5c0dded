// SPDX-License-Identifier: Apache-2.0
// What each command of an access log's format writes. A format is compiled once; a line is made of functions and texts.
import { headersOfArgument, type LogCommand, type LogPart, parseLogFormat } from '#lib/mesh/http/log-format.ts';
import type { RequestRecord } from '../record/request.ts';
import { clusterName } from './cluster-name.ts';

/** Of one request that is over. */
export interface LogSubject {
  readonly record: RequestRecord;
  /** Wall clock, ms. */
  readonly now: number;
}

/** '' where there is nothing to say. */
export type LogField = (subject: LogSubject) => string | number;

/** What is the same in all lines of this process. */
export interface LogFacts {
  readonly identity: string;
  readonly hostname: string;
}

const GRPC_NAMES = [
  'OK',
  'Canceled',
  'Unknown',
  'InvalidArgument',
  'DeadlineExceeded',
  'NotFound',
  'AlreadyExists',
  'PermissionDenied',
  'ResourceExhausted',
  'FailedPrecondition',
  'Aborted',
  'OutOfRange',
  'Unimplemented',
  'Internal',
  'Unavailable',
  'DataLoss',
  'Unauthenticated',
];

/** Commands without an argument. */
const FIELDS: Readonly<Record<string, LogField>> = {
  PROTOCOL: ({ record }) => record.stream.head.protocol,
  RESPONSE_CODE: ({ record }) => record.status,
  RESPONSE_FLAGS: ({ record }) => record.flags,
  RESPONSE_CODE_DETAILS: ({ record }) => record.details,
  CONNECTION_TERMINATION_DETAILS: () => '',
  UPSTREAM_TRANSPORT_FAILURE_REASON: ({ record }) => record.failure,
  BYTES_RECEIVED: ({ record }) => record.stream.received,
  BYTES_SENT: ({ record }) => record.stream.sent,
  DURATION: ({ record, now }) => Math.max(0, Math.round(now - record.startedAt)),
  RESPONSE_DURATION: ({ record }) => (record.upstreamMs < 0 ? '' : record.upstreamMs),
  UPSTREAM_HOST: ({ record }) => record.member?.address ?? '',
  UPSTREAM_CLUSTER: ({ record }) => clusterName(record),
  UPSTREAM_CLUSTER_RAW: ({ record }) => clusterName(record),
  UPSTREAM_LOCAL_ADDRESS: ({ record }) => record.localAddress,
  UPSTREAM_REQUEST_ATTEMPT_COUNT: ({ record }) => record.attempts,
  UPSTREAM_PEER_URI_SAN: ({ record: { member } }) => member?.principal ?? '',
  DOWNSTREAM_LOCAL_ADDRESS: ({ record }) => record.origin.destinationText,
  DOWNSTREAM_PEER_URI_SAN: ({ record }) => record.origin.identity?.uri ?? '',
  DOWNSTREAM_REMOTE_ADDRESS: ({ record }) => record.origin.sourceText,
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS: ({ record }) => record.origin.sourceText,
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: ({ record }) => record.origin.sourceIp.toString(),
  REQUESTED_SERVER_NAME: ({ record }) => record.request.serverName,
  ROUTE_NAME: ({ record }) => record.verdict?.rule.name ?? '',
  GRPC_STATUS: ({ record: { grpc, grpcStatus } }) =>
    !grpc || grpcStatus < 0 ? '' : (GRPC_NAMES[grpcStatus] ?? grpcStatus),
  GRPC_STATUS_NUMBER: ({ record: { grpc, grpcStatus } }) => (!grpc || grpcStatus < 0 ? '' : grpcStatus),
  TRACE_ID: ({ record }) => record.trace?.traceId ?? '',
  SPAN_ID: ({ record }) => record.trace?.spanId ?? '',
};

export interface CompiledFormat {
  readonly fields: readonly (string | LogField)[];
  /** Headers of answers that it asks for. */
  readonly responseHeaders: readonly string[];
}

/** Commands that are not known write `-`. Variables of the environment are texts by now (source/environment.ts). */
export function compileFormat(format: string, facts: LogFacts): CompiledFormat {
  const { parts } = parseLogFormat(format);
  const responseHeaders = parts.flatMap((part) =>
    typeof part !== 'string' && part.name === 'RESP' ? headersOfArgument(part.argument) : [],
  );
  return { fields: parts.map((part) => compilePart(part, facts)), responseHeaders };
}

function compilePart(part: LogPart, facts: LogFacts): string | LogField {
  if (typeof part === 'string') return part;
  const field = fieldOf(part, facts);
  const { length } = part;
  return length === 0 ? field : (subject) => String(field(subject)).slice(0, length);
}

function fieldOf({ argument, name }: LogCommand, facts: LogFacts): LogField {
  switch (name) {
    case 'START_TIME':
      return timeField(argument);
    case 'REQ':
    case 'REQ_WITHOUT_QUERY': {
      const names = headersOfArgument(argument);
      const bare = name === 'REQ_WITHOUT_QUERY';
      return ({ record }) => {
        const value = requestHeader(record, names);
        return bare ? (value.split('?', 1)[0] ?? '') : value;
      };
    }
    case 'RESP': {
      const names = headersOfArgument(argument);
      return ({ record }) => responseHeader(record, names);
    }
    case 'DOWNSTREAM_LOCAL_URI_SAN':
      return () => facts.identity;
    case 'HOSTNAME':
      return () => facts.hostname;
    default:
      return FIELDS[name] ?? (() => '');
  }
}

function requestHeader(record: RequestRecord, names: readonly string[]): string {
  const { request, requestId, verdict } = record;
  for (const name of names) {
    switch (name) {
      case ':method':
        return request.method;
      case ':path':
        return request.path;
      case ':authority':
      case 'host':
        return request.authority;
      case ':scheme':
        return request.scheme;
      case 'x-request-id':
        if (requestId !== '') return requestId;
        break;
      case 'x-envoy-original-path':
        // Set on the way to the server, when a route rewrites the path.
        if (verdict !== null && verdict.path !== request.path) return request.path;
        break;
      default: {
        const value = request.header(name);
        if (value !== undefined) return value;
      }
    }
  }
  return '';
}

function responseHeader({ answer, status, upstreamMs }: RequestRecord, names: readonly string[]): string {
  for (const name of names) {
    if (name === ':status') return String(status);
    if (name === 'x-envoy-upstream-service-time' && upstreamMs >= 0) return String(upstreamMs);
    const value = answer?.get(name);
    if (value !== undefined) return value;
  }
  return '';
}

/** `%Y-%m-%dT%H:%M:%S.%3fZ` and its like, in UTC; '' is that. `%f`, `%3f`, `%6f`: fractions of a second. */
function timeField(format: string): LogField {
  if (format === '') return ({ record }) => new Date(record.startedAt).toISOString();
  return ({ record }) => {
    const at = new Date(record.startedAt);
    const iso = at.toISOString();
    return format.replace(/%(\d?)([a-zA-Z%])/g, (all, digits: string, letter: string) => {
      switch (letter) {
        case 'Y':
          return iso.slice(0, 4);
        case 'm':
          return iso.slice(5, 7);
        case 'd':
          return iso.slice(8, 10);
        case 'H':
          return iso.slice(11, 13);
        case 'M':
          return iso.slice(14, 16);
        case 'S':
          return iso.slice(17, 19);
        case 'F':
          return iso.slice(0, 10);
        case 'T':
          return iso.slice(11, 19);
        case 's':
          return String(Math.floor(at.getTime() / 1000));
        case 'f':
          return iso
            .slice(20, 23)
            .padEnd(9, '0')
            .slice(0, digits === '' ? 9 : Number(digits));
        case '%':
          return '%';
        default:
          return all;
      }
    });
  };
}
