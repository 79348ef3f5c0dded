// SPDX-License-Identifier: Apache-2.0
// One line of the access log: Envoy's default text, or JSON with Istio's keys. Built as one string, since it is made once a request.

import { dryRunText } from '#lib/mesh/reason.ts';
import type { LogFormat } from '../control.ts';
import type { ConnectionRecord } from '../record/connection.ts';
import type { RequestRecord } from '../record/request.ts';
import { clusterName } from './cluster-name.ts';

/** `now`: wall clock in ms. */
export function requestLine(record: RequestRecord, origin: ConnectionRecord, format: LogFormat, now: number): string {
  return format === 'json' ? jsonLine(record, origin, now) : textLine(record, origin, now);
}

function textLine(record: RequestRecord, origin: ConnectionRecord, now: number): string {
  const { flags, request, startedAt, stream, upstreamMs } = record;
  const { head } = stream;
  const duration = Math.max(0, Math.round(now - startedAt));
  const upstreamTime = upstreamMs < 0 ? '-' : String(upstreamMs);
  const agent = dashed(head.get('user-agent') ?? '');
  const forwarded = dashed(head.get('x-forwarded-for') ?? '');
  let line = `[${isoTime(startedAt)}] "${dashed(request.method)} ${dashed(request.path)} ${dashed(head.protocol)}" ${record.status} ${dashed(flags)} ${dashed(record.details)} - "${dashed(record.failure)}" ${stream.received} ${stream.sent} ${duration} ${upstreamTime} "${forwarded}" "${agent}" "${dashed(record.requestId)}" "${dashed(request.authority)}" "${dashed(record.member?.address ?? '')}" ${dashed(clusterName(record))} ${dashed(record.localAddress)} ${origin.destinationText} ${origin.sourceText} ${dashed(request.serverName)} ${dashed(record.verdict?.rule.name ?? '')}`;
  for (const [key, value] of identityFields(record, origin)) line += ` ${key}=${JSON.stringify(value)}`;
  return `${line}\n`;
}

function dashed(text: string): string {
  return text === '' ? '-' : text;
}

/** Of the last second asked for: its text up to the milliseconds. */
let second = -1;
let secondText = '';

function isoTime(ms: number): string {
  const whole = Math.floor(ms / 1000);
  if (whole !== second) {
    second = whole;
    secondText = new Date(whole * 1000).toISOString().slice(0, 20);
  }
  return `${secondText}${String(Math.floor(ms - whole * 1000)).padStart(3, '0')}Z`;
}

function jsonLine(record: RequestRecord, origin: ConnectionRecord, now: number): string {
  const { request, stream } = record;
  const { head } = stream;
  const path = request.path;
  const fields: readonly (readonly [key: string, value: string | number])[] = [
    ['start_time', isoTime(record.startedAt)],
    ['method', request.method],
    ['path', path],
    ['protocol', head.protocol],
    ['response_code', record.status],
    ['response_flags', record.flags === '' ? '-' : record.flags],
    ['response_code_details', record.details],
    ['connection_termination_details', ''],
    ['upstream_transport_failure_reason', record.failure],
    ['bytes_received', stream.received],
    ['bytes_sent', stream.sent],
    ['duration', Math.max(0, Math.round(now - record.startedAt))],
    ['upstream_service_time', record.upstreamMs < 0 ? '' : String(record.upstreamMs)],
    ['x_forwarded_for', head.get('x-forwarded-for') ?? ''],
    ['user_agent', head.get('user-agent') ?? ''],
    ['request_id', record.requestId],
    ['authority', request.authority],
    ['upstream_host', record.member?.address ?? ''],
    ['upstream_cluster', clusterName(record)],
    ['upstream_local_address', record.localAddress],
    ['downstream_local_address', origin.destinationText],
    ['downstream_remote_address', origin.sourceText],
    ['requested_server_name', request.serverName],
    ['route_name', record.verdict?.rule.name ?? ''],
    ...identityFields(record, origin),
  ];
  let line = '{';
  for (let i = 0; i < fields.length; i++) {
    const [key, value] = fields[i]!;
    line += `${i === 0 ? '' : ','}"${key}":${value === '' ? '"-"' : JSON.stringify(value)}`;
  }
  return `${line}}\n`;
}

/** What Istio's own log does not tell: who asked, and which policy decided. */
function identityFields(record: RequestRecord, origin: ConnectionRecord): readonly (readonly [string, string])[] {
  const out: (readonly [string, string])[] = [];
  if (origin.identity !== undefined) out.push(['src.identity', origin.identity.uri]);
  const { access, checked } = record;
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
