// SPDX-License-Identifier: Apache-2.0
// `/debug/explain`: what would become of a request here, and why. The question names the client, where its tunnel is asked to lead,
// and the request; the answer comes from the functions that requests run through.
import { fail, ok, type Result } from '#lib/kit/result.ts';
import type { AccessPolicy } from '#lib/mesh/http/access-policy.ts';
import { explainRequest, explainStream, type RequestExplanation } from '#lib/mesh/http/explain.ts';
import { normalisePath } from '#lib/mesh/http/path-normalise.ts';
import { PlainRequest } from '#lib/mesh/http/request.ts';
import type { RequestAuthentication } from '#lib/mesh/http/request-authentication.ts';
import { isOpaque, type RouteTable, tableName } from '#lib/mesh/http/route-table.ts';
import type { TrafficPolicy } from '#lib/mesh/http/traffic-policy.ts';
import { parseIdentity } from '#lib/mesh/identity.ts';
import { type Ip, parseIp } from '#lib/mesh/ip.ts';
import type { MapMesh } from '#lib/mesh/map-mesh.ts';
import { portOf, type Service } from '#lib/mesh/service.ts';
import type { Workload } from '#lib/mesh/workload.ts';
import {
  ACCESS_POLICY,
  REQUEST_AUTHENTICATION,
  ROUTE_TABLE,
  TRAFFIC_POLICY,
  WORKLOAD_LABELS,
  type WorkloadLabels,
} from '#lib/model/l7/resource.ts';
import type { HeldAddress } from '#lib/proxy/control.ts';
import type { L7State } from '../source/l7-state.ts';

export interface ExplainWorld {
  readonly mesh: Pick<MapMesh, 'endpoints' | 'service' | 'serviceByAddress' | 'serviceByHostname'>;
  readonly l7: Pick<L7State, 'settings' | 'values'>;
  readonly network: string;
  /** The waypoint as a workload. */
  readonly self: () => Workload;
  /** Addresses whose connections for tunnels have to wait, by process. */
  readonly held: () => readonly HeldAddress[];
}

export type Explanation = RequestExplanation & {
  /** `namespace/hostname:port`. */
  readonly service: string;
  /** The source, if its connections for tunnels have to wait here. */
  readonly held: readonly HeldAddress[];
};

/** Reads the question from a query: `identity`, `source`, `to`, `host`, `method`, `path`, `header` (any number). */
export function explain(
  query: URLSearchParams,
  { held: heldHere, l7, mesh, network, self }: ExplainWorld,
): Result<Explanation> {
  const to = query.get('to') ?? '';
  const colon = to.lastIndexOf(':');
  const [place, port] = [to.slice(0, Math.max(0, colon)).replace(/^\[|\]$/g, ''), Number(to.slice(colon + 1))];
  if (place === '' || !Number.isInteger(port) || port < 1 || port > 65_535) {
    return fail({ field: 'to', message: `${JSON.stringify(to)} is no destination`, fix: 'write address:port' });
  }
  const identity = parseIdentity(query.get('identity') ?? '');
  const ip = parseIp(place);
  const namespace = identity?.namespace ?? '';
  const service =
    ip === undefined ? mesh.serviceByHostname(place, namespace) : mesh.serviceByAddress(network, ip, namespace);
  if (service === undefined) {
    return fail({ field: 'to', message: `${place} is no service that this waypoint knows`, fix: 'name a service' });
  }
  const path = normalisePath(query.get('path') ?? '/', l7.settings?.pathNormalisation ?? 'base');
  if (path === undefined) return fail({ field: 'path', message: 'is refused as it stands', fix: 'write a plain path' });
  const source = parseIp(query.get('source') ?? '') ?? ip ?? UNKNOWN;
  const request = new PlainRequest(
    {
      method: query.get('method') ?? 'GET',
      authority: query.get('host') ?? service.hostname,
      path,
      headers: headersOf(query.getAll('header')),
      port,
      sourceIp: source,
      ...(ip === undefined ? {} : { destinationIp: ip }),
      ...(identity === undefined ? {} : { identity }),
    },
    source,
  );
  const name = tableName(service.key, port);
  const labels = l7.values(WORKLOAD_LABELS.typeUrl);
  const tokens = [...l7.values(REQUEST_AUTHENTICATION.typeUrl).values()] as RequestAuthentication[];
  const policies = [...l7.values(ACCESS_POLICY.typeUrl).values()] as AccessPolicy[];
  const world = {
    service: service.key,
    port,
    table: l7.values(ROUTE_TABLE.typeUrl).get(name) as RouteTable | undefined,
    providers: l7.settings?.providers ?? [],
    trafficPolicy: (key: string) => l7.values(TRAFFIC_POLICY.typeUrl).get(key) as TrafficPolicy | undefined,
    policies: policies.filter(({ services }) => services.length === 0 || services.includes(service.key)),
    tokens: tokens
      .filter(({ services }) => services.length === 0 || services.includes(service.key))
      .map((one) => one.name),
    upstream: {
      service: (key: string) => mesh.service(key),
      endpoints: (of: Service) => mesh.endpoints(of),
      labels: (uid: string) => (labels.get(uid) as WorkloadLabels | undefined)?.labels ?? {},
      self: self(),
    },
  };
  const held = heldHere().filter(({ address }) => address === source.text);
  const protocol = portOf(service, port)?.appProtocol ?? 'unknown';
  if (protocol !== 'tcp' && protocol !== 'tls' && !(world.table !== undefined && isOpaque(world.table)))
    return ok({ service: name, held, ...explainRequest(world, request) });
  const flow = { sourceIp: source, identity, destinationIp: ip ?? source, destinationPort: port };
  const host = (query.get('host') ?? '').replace(/:\d+$/, '');
  return ok({ service: name, held, ...explainStream(world, { flow, serverName: protocol === 'tls' ? host : '' }) });
}

const UNKNOWN: Ip = parseIp('0.0.0.0') as Ip;

function headersOf(texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const colon = text.indexOf(':');
      return colon < 0 ? [text, ''] : [text.slice(0, colon).trim(), text.slice(colon + 1).trim()];
    }),
  );
}
