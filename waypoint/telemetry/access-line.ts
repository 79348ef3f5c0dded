// SPDX-License-Identifier: Apache-2.0
// One line of the access log: Envoy's default text, or JSON with Istio's keys. Built as one string, since it is made once a request.

import { dryRunText } from '#lib/mesh/reason.ts';
import type { LogFormat } from '../control.ts';
import type { Exchange } from '../path/exchange.ts';
import type { Origin } from '../path/origin.ts';
import { clusterName } from './cluster-name.ts';

/** `now`: wall clock in ms. */
export function requestLine(exchange: Exchange, origin: Origin, format: LogFormat, now: number): string {
  const { request, stream } = exchange;
  const { head } = stream;
  const path = request.path;
  const fields: readonly (readonly [key: string, value: string | number])[] = [
    ['start_time', new Date(exchange.startedAt).toISOString()],
    ['method', request.method],
    ['path', path],
    ['protocol', head.protocol],
    ['response_code', exchange.status],
    ['response_flags', exchange.flags === '' ? '-' : exchange.flags],
    ['response_code_details', exchange.details],
    ['connection_termination_details', ''],
    ['upstream_transport_failure_reason', exchange.failure],
    ['bytes_received', stream.received],
    ['bytes_sent', stream.sent],
    ['duration', Math.max(0, Math.round(now - exchange.startedAt))],
    ['upstream_service_time', exchange.upstreamMs < 0 ? '' : String(exchange.upstreamMs)],
    ['x_forwarded_for', head.get('x-forwarded-for') ?? ''],
    ['user_agent', head.get('user-agent') ?? ''],
    ['request_id', exchange.requestId],
    ['authority', request.authority],
    ['upstream_host', exchange.member?.address ?? ''],
    ['upstream_cluster', clusterName(exchange)],
    ['upstream_local_address', exchange.localAddress],
    ['downstream_local_address', origin.destinationText],
    ['downstream_remote_address', origin.sourceText],
    ['requested_server_name', ''],
    ['route_name', exchange.verdict?.rule.name ?? ''],
    ...identityFields(exchange, origin),
  ];
  return format === 'json' ? jsonLine(fields) : textLine(fields);
}

/** What Istio's own log does not tell: who asked, and which policy decided. */
function identityFields(exchange: Exchange, origin: Origin): readonly (readonly [string, string])[] {
  const out: (readonly [string, string])[] = [];
  if (origin.identity !== undefined) out.push(['src.identity', origin.identity.uri]);
  const { access, checked } = exchange;
  if (access !== null && !access.allow) {
    out.push(['policy', access.policy]);
    if (access.rule >= 0) out.push(['rule', String(access.rule + 1)]);
    if (access.clause !== '') out.push(['clause', access.clause]);
  }
  if (access !== null && access.audit.length > 0) out.push(['audit', access.audit.join(',')]);
  if (access !== null && access.dryRun.length > 0) out.push(['dry_run', dryRunText(access.dryRun)]);
  if (checked !== '') out.push(['ext_authz', checked]);
  return out;
}

type Fields = readonly (readonly [key: string, value: string | number])[];

const KNOWN = 24;

function textLine(fields: Fields): string {
  const at = (i: number): string => {
    const value = fields[i]![1];
    return value === '' ? '-' : String(value);
  };
  const quoted = (i: number): string => `"${at(i)}"`;
  let line = `[${at(0)}] "${at(1)} ${at(2)} ${at(3)}" ${at(4)} ${at(5)} ${at(6)} ${at(7)} ${quoted(8)} ${at(9)} ${at(10)} ${at(11)} ${at(12)} ${quoted(13)} ${quoted(14)} ${quoted(15)} ${quoted(16)} ${quoted(17)} ${at(18)} ${at(19)} ${at(20)} ${at(21)} ${at(22)} ${at(23)}`;
  for (let i = KNOWN; i < fields.length; i++) line += ` ${fields[i]![0]}=${JSON.stringify(fields[i]![1])}`;
  return `${line}\n`;
}

function jsonLine(fields: Fields): string {
  let line = '{';
  for (let i = 0; i < fields.length; i++) {
    const [key, value] = fields[i]!;
    line += `${i === 0 ? '' : ','}"${key}":${value === '' ? '"-"' : JSON.stringify(value)}`;
  }
  return `${line}}\n`;
}
