// SPDX-License-Identifier: Apache-2.0
// What a span tells of its request: Envoy's tags, Istio's, those of both peers that a waypoint knows, and the mesh's own ones.
import type { CustomTag } from '#lib/mesh/http/telemetry.ts';
import { type Party, partyOf } from '#lib/proxy/telemetry/party.ts';
import type { Attribute } from '../export/record.ts';
import type { RequestRecord } from '../record/request.ts';
import { clusterName } from '../telemetry/cluster-name.ts';

/** What is the same in all spans of this proxy. */
export interface ProxyTags {
  readonly nodeId: string;
  readonly meshId: string;
  readonly gateway: string;
  readonly clusterId: string;
}

const NONE = '-';
const CUT = 256;

/** Tags of the proxy itself. */
export function proxyTags({ clusterId, gateway, meshId }: ProxyTags): readonly Attribute[] {
  const slash = gateway.indexOf('/');
  return [
    ['istio.canonical_service', gateway.slice(slash + 1)],
    ['istio.canonical_revision', 'latest'],
    ['istio.mesh_id', meshId],
    ['istio.namespace', gateway.slice(0, slash)],
    ['istio.cluster_id', clusterId],
  ];
}

/** Tags of the request and its answer. `maxUrl`: characters of the URL's path. */
export function requestTags(record: RequestRecord, { nodeId }: ProxyTags, maxUrl: number): Attribute[] {
  const { cluster, flags, grpc, grpcStatus, member, origin, request, requestId, status, stream } = record;
  const { head } = stream;
  const upstream = cluster === null ? NONE : clusterName(record);
  const tags: Attribute[] = [
    ['component', 'proxy'],
    ['node_id', nodeId],
    ['zone', record.runtime.self().locality.zone],
    ['http.method', request.method],
    ['http.url', `${request.scheme}://${request.authority}${request.path.slice(0, maxUrl)}`],
    ['http.protocol', head.protocol],
    ['http.status_code', String(status)],
    ['user_agent', (head.get('user-agent') ?? NONE).slice(0, CUT)],
    ['guid:x-request-id', requestId],
    ['request_size', String(stream.received)],
    ['response_size', String(stream.sent)],
    ['response_flags', flags === '' ? NONE : flags],
    ['downstream_cluster', (head.get('x-envoy-downstream-service-cluster') ?? NONE).slice(0, CUT)],
    ['peer.address', origin.sourceIp.toString()],
    ['upstream_cluster', upstream],
    ['upstream_cluster.name', upstream],
    ['upstream_address', member?.address ?? NONE],
  ];
  if (grpc) {
    tags.push(['grpc.path', request.path.slice(0, CUT)], ['grpc.authority', request.authority]);
    if (grpcStatus >= 0) tags.push(['grpc.status_code', String(grpcStatus)]);
  }
  if (isError(record)) tags.push(['error', 'true']);
  return tags;
}

export function isError({ grpc, grpcStatus, status }: RequestRecord): boolean {
  return status === 0 || status >= 500 || (grpc && grpcStatus > 0);
}

/** Tags of the mesh: who asked, who answered, and what dry-run policies would have done. */
export function meshTags({ access, member, origin }: RequestRecord): Attribute[] {
  const tags: Attribute[] = [];
  const { identity, party } = origin;
  const source = identity?.namespace ?? party?.namespace ?? '';
  partyTags('istio.source_', party, source, tags);
  const destination = member === null ? undefined : partyOf(member.workload);
  partyTags('istio.destination_', destination, destination?.namespace ?? '', tags);
  for (const { action, matched, policy } of access?.dryRun ?? []) {
    if (action !== 'allow' && action !== 'deny') continue;
    tags.push([`istio.authorization.dry_run.${action}_policy.name`, policy]);
    const result = matched === (action === 'allow') ? 'allowed' : 'denied';
    tags.push([`istio.authorization.dry_run.${action}_policy.result`, result]);
  }
  return tags;
}

function partyTags(prefix: string, party: Party | undefined, namespace: string, into: Attribute[]): void {
  const put = (name: string, value: string | undefined): void => {
    into.push([`${prefix}${name}`, value === undefined || value === '' ? 'unknown' : value]);
  };
  put('workload', party?.workloadName);
  put('namespace', namespace);
  put('cluster_id', party?.cluster);
  put('canonical_service', party?.canonicalName);
  put('canonical_revision', party === undefined ? undefined : party.canonicalRevision || 'latest');
  put('app', party?.app);
  put('app_version', party?.canonicalRevision);
  put('workload_type', party?.workloadType);
  put('instance_name', party?.name);
}

/** Tags that configuration asks for; variables of the environment are texts by now. */
export function customTags(tags: readonly CustomTag[], { request }: RequestRecord): Attribute[] {
  return tags.flatMap(({ defaultValue, kind, name, value }): Attribute[] => {
    const text = kind === 'header' ? (request.header(value) ?? defaultValue) : value;
    return text === '' ? [] : [[name, text.slice(0, CUT)]];
  });
}
