// SPDX-License-Identifier: Apache-2.0
//
// TLSRoute and TCPRoute (gateway.networking.k8s.io): one rule, whose backends take streams by weight. A TLSRoute is
// chosen by server name; what its backends see is as the client sent it, or plain where the listener terminates.

import type { Backend, TcpRoute, TlsRoute } from '#lib/mesh/http/route-table.ts';
import { keyOf, namespaceOf } from '../object/object.ts';
import type { ConvertedRoute, RouteContext } from './context.ts';
import { convertBackends, Findings } from './filters.ts';
import { convertParents, type RouteContent } from './parents.ts';
import type { StreamRoute } from './spec.ts';

type StreamKind = 'TLSRoute' | 'TCPRoute';

export function convertTlsRoute(route: StreamRoute, context: RouteContext): ConvertedRoute {
  return convertStreamRoute(route, 'TLSRoute', context);
}

export function convertTcpRoute(route: StreamRoute, context: RouteContext): ConvertedRoute {
  return convertStreamRoute(route, 'TCPRoute', context);
}

function convertStreamRoute(route: StreamRoute, kind: StreamKind, context: RouteContext): ConvertedRoute {
  return convertParents(route, kind, context, (mesh) => contentOf(route, kind, mesh, context));
}

function contentOf(route: StreamRoute, kind: StreamKind, mesh: boolean, context: RouteContext): RouteContent {
  const key = keyOf(route);
  const findings = new Findings();
  // The API allows one rule; of more the first would win anyway.
  const refs = route.spec?.rules?.[0]?.backendRefs ?? [];
  for (const { filters } of refs)
    if (filters !== undefined && filters.length > 0) findings.problem('filters are for HTTP');
  const backends = convertBackends(
    refs.map(({ filters: _http, ...ref }) => ref),
    { kind, namespace: namespaceOf(route), mesh },
    context,
    findings,
  );
  const hosts = (route.spec?.hostnames ?? []).map((host) => host.toLowerCase());
  const [problem] = findings.problems;
  return {
    part: {
      kind,
      key,
      created: route.metadata.creationTimestamp ?? '',
      rules: [],
      entries: [],
      tls: kind === 'TLSRoute' ? [tlsRoute(key, hosts, backends)] : [],
      tcp: kind === 'TCPRoute' ? [tcpRoute(key, backends)] : [],
    },
    refProblem: findings.refProblem,
    invalid: findings.problems.map(({ message }) => message),
    refused: problem,
  };
}

function tlsRoute(key: string, hosts: readonly string[], backends: readonly Backend[]): TlsRoute {
  return { clientNamespace: '', hosts, port: 0, origin: `TLSRoute ${key}`, backends };
}

function tcpRoute(key: string, backends: readonly Backend[]): TcpRoute {
  const origin = `TCPRoute ${key}`;
  return { clientNamespace: '', port: 0, origin, backends, destinationRanges: [], sourceNamespace: '' };
}
