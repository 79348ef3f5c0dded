// SPDX-License-Identifier: Apache-2.0
// The labels of Istio's metrics as a waypoint fills them in, in their order. A label without a value is `unknown`.
import { type Labels, orUnknown } from '#lib/proxy/telemetry/labels.ts';
import { type Party, partyOf } from '#lib/proxy/telemetry/party.ts';
import type { ConnectionRecord } from '../record/connection.ts';
import type { RequestRecord } from '../record/request.ts';
import type { Member } from '../upstream/member.ts';

/** Labels of a request that is over. */
export function requestLabels(record: RequestRecord, destination: Party | undefined, clusterId: string): Labels {
  const { origin, member, grpc, grpcStatus, status, flags } = record;
  return {
    ...partyLabels(origin, destination, member, clusterId),
    ...serviceLabels(origin, record.cluster?.target.service ?? ''),
    request_protocol: grpc ? 'grpc' : 'http',
    response_code: String(status),
    grpc_response_status: grpc && grpcStatus >= 0 ? String(grpcStatus) : '',
    response_flags: flags === '' ? '-' : flags,
    connection_security_policy: security(origin, member),
  };
}

/** Labels of a stream that is no HTTP. */
export function streamLabels(
  origin: ConnectionRecord,
  member: Member | null,
  flags: string,
  clusterId: string,
): Labels {
  return {
    ...partyLabels(origin, member === null ? undefined : partyOf(member.workload), member, clusterId),
    ...serviceLabels(origin, ''),
    request_protocol: 'tcp',
    response_flags: flags,
    connection_security_policy: security(origin, member),
  };
}

function partyLabels(
  origin: ConnectionRecord,
  destination: Party | undefined,
  member: Member | null,
  clusterId: string,
): Record<string, string> {
  const { identity, party } = origin;
  return {
    reporter: 'waypoint',
    source_workload: orUnknown(party?.workloadName),
    source_canonical_service: orUnknown(party?.canonicalName),
    source_canonical_revision: party === undefined ? 'latest' : party.canonicalRevision || 'latest',
    source_workload_namespace: orUnknown(identity?.namespace ?? party?.namespace),
    source_principal: orUnknown(identity?.uri),
    source_app: orUnknown(party?.app),
    source_version: orUnknown(party?.canonicalRevision),
    source_cluster: orUnknown(party?.cluster),
    destination_workload: orUnknown(destination?.workloadName),
    destination_workload_namespace: orUnknown(destination?.namespace),
    destination_principal: orUnknown(member?.principal),
    destination_app: orUnknown(destination?.app),
    destination_version: orUnknown(destination?.canonicalRevision),
    destination_canonical_service: orUnknown(destination?.canonicalName),
    destination_canonical_revision: destination === undefined ? 'latest' : destination.canonicalRevision || 'latest',
    destination_cluster: orUnknown(destination?.cluster ?? clusterId),
  };
}

/** The service that was asked for, or the one that the route led to when it is a gateway's. */
function serviceLabels({ door }: ConnectionRecord, routed: string): Record<string, string> {
  const { behind } = door;
  const key = behind.kind === 'service' ? behind.service.key : routed;
  const slash = key.indexOf('/');
  const [namespace, host] = [key.slice(0, Math.max(0, slash)), key.slice(slash + 1)];
  return {
    destination_service: orUnknown(host),
    destination_service_name: orUnknown(behind.kind === 'service' ? behind.service.name : host.split('.')[0]),
    destination_service_namespace: orUnknown(namespace),
  };
}

function security({ identity }: ConnectionRecord, member: Member | null): string {
  if (identity === undefined) return 'none';
  return member === null || member.tunnelled ? 'mutual_tls' : 'none';
}
