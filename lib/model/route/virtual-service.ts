// SPDX-License-Identifier: Apache-2.0
//
// VirtualService (networking.istio.io/v1): an ordered list, the first match wins. A rule that cannot be obeyed answers
// 500 and is told of; the rest is obeyed. Delegates are put in at their place, their matches and the root's together.

import type { Problem } from '#lib/kit/result.ts';
import { parseCidr } from '#lib/mesh/cidr.ts';
import {
  BLANK_RULE,
  type HttpMatch,
  type HttpRule,
  type Retry,
  type Target,
  type TcpRoute,
  type TlsRoute,
  tableName,
} from '#lib/mesh/http/route-table.ts';
import { keyOf, namespaceOf } from '../object/object.ts';
import type { Attachment, PartEntry, RoutePart, RouteService } from './context.ts';
import { Findings } from './filters.ts';
import { resolveHost } from './resolve-host.ts';
import type { DestinationSpec, VirtualService, VsHttpRoute, VsMatch, VsStreamRoute } from './virtual-service-spec.ts';
import { bothMatches, MESH, vsMatch } from './vs-match.ts';
import { backendsOf, vsRule } from './vs-rule.ts';

export interface VirtualServiceContext {
  /** DNS domain of the cluster. */
  readonly domain: string;
  /** The service of a whole host name as the namespace sees it. */
  serviceByHostname(hostname: string, namespace: string): RouteService | undefined;
  /** A VirtualService without hosts, to delegate to. */
  delegate(namespace: string, name: string): VirtualService | undefined;
  readonly defaultRetry: Retry;
}

export interface ConvertedVirtualService {
  readonly key: string;
  /** Whole host names and `*.` patterns, lower case. */
  readonly hosts: readonly string[];
  /** `mesh` and Gateways, as `namespace/name`. */
  readonly gateways: readonly string[];
  readonly part: RoutePart;
  readonly problems: readonly Problem[];
}

const NO_MATCH: readonly VsMatch[] = [{}];

/** @param gateway `mesh`, or `namespace/name` of the Gateway whose matches count */
export function convertVirtualService(
  object: VirtualService,
  context: VirtualServiceContext,
  gateway: string = MESH,
): ConvertedVirtualService {
  const key = keyOf(object);
  const namespace = namespaceOf(object);
  const { spec } = object;
  const builder = new Builder(context, gateway);
  for (const [i, route] of (spec?.http ?? []).entries()) builder.http(route, object, `http[${i}]`);
  const gateways = (spec?.gateways ?? [MESH]).map((one) =>
    one === MESH || one.includes('/') ? one : `${namespace}/${one}`,
  );
  const tls = (spec?.tls ?? []).flatMap((route, i) => builder.tls(route, key, namespace, `tls[${i}]`));
  const tcp = (spec?.tcp ?? []).flatMap((route, i) => builder.tcp(route, key, namespace, `tcp[${i}]`));
  return {
    key,
    hosts: (spec?.hosts ?? []).map((host) => resolveHost(host, namespace, context.domain)),
    gateways,
    part: {
      kind: 'VirtualService',
      key,
      created: object.metadata.creationTimestamp ?? '',
      rules: builder.rules,
      entries: builder.entries,
      tls,
      tcp,
    },
    problems: builder.problems,
  };
}

class Builder {
  readonly rules: HttpRule[] = [];
  readonly entries: PartEntry[] = [];
  readonly problems: Problem[] = [];
  readonly #context: VirtualServiceContext;
  readonly #gateway: string;

  constructor(context: VirtualServiceContext, gateway: string) {
    this.#context = context;
    this.#gateway = gateway;
  }

  http(route: VsHttpRoute, object: VirtualService, section: string): void {
    const key = keyOf(object);
    const findings = new Findings();
    const matches = this.#matches(route.match, findings);
    if (route.delegate === undefined) {
      this.#add(route, matches, key, namespaceOf(object), section, findings);
      return;
    }
    const { name = '', namespace = namespaceOf(object) } = route.delegate;
    const target = this.#context.delegate(namespace, name);
    const field = `spec.${section}.delegate`;
    if (target === undefined) {
      this.#problem(key, field, `VirtualService ${namespace}/${name} does not exist`, 'create it without hosts');
      return;
    }
    if ((target.spec?.hosts ?? []).length > 0) {
      this.#problem(
        key,
        field,
        `VirtualService ${namespace}/${name} has hosts, so it is no delegate`,
        'remove its hosts',
      );
      return;
    }
    target.spec?.http?.forEach((inner, i) => {
      const own = new Findings();
      const place = `http[${i}]`;
      if (inner.delegate !== undefined) {
        this.#problem(
          keyOf(target),
          `spec.${place}.delegate`,
          'a delegate cannot delegate',
          'name the last one in the root',
        );
        return;
      }
      const both = matches.flatMap((root) =>
        this.#matches(inner.match, own).flatMap((one) => {
          const joined = bothMatches(root, one);
          if (joined === undefined) {
            this.#problem(
              keyOf(target),
              `spec.${place}.match`,
              `cannot hold together with ${section} of VirtualService ${key}`,
            );
          }
          return joined ?? [];
        }),
      );
      this.#add(inner, both, keyOf(target), namespace, place, own);
    });
  }

  #matches(specs: readonly VsMatch[] | undefined, findings: Findings): HttpMatch[] {
    const list = specs === undefined || specs.length === 0 ? NO_MATCH : specs;
    return list.flatMap((one) => vsMatch(one, this.#gateway, findings) ?? []);
  }

  #add(
    route: VsHttpRoute,
    matches: readonly HttpMatch[],
    key: string,
    namespace: string,
    section: string,
    findings: Findings,
  ): void {
    const origin = `VirtualService ${key}`;
    const resolve = (destination: DestinationSpec): Target | undefined => this.#resolve(destination, namespace);
    const rule = vsRule(route, origin, section, { resolve, defaultRetry: this.#context.defaultRetry, findings });
    const good = findings.problems.length === 0;
    if (findings.refProblem !== undefined) this.#problem(key, `spec.${section}`, findings.refProblem.message);
    for (const { message } of findings.problems) {
      this.#problem(key, `spec.${section}`, `${message}; requests it matches are answered 500`);
    }
    const at = this.rules.push(good ? rule : { ...BLANK_RULE, name: rule.name, origin, section }) - 1;
    for (const match of matches) this.entries.push({ match, rule: at, rank: [] });
  }

  /** undefined when there is no such service, or the port is not said and not plain. */
  #resolve({ host = '', port, subset = '' }: DestinationSpec, namespace: string): Target | undefined {
    const service = this.#context.serviceByHostname(resolveHost(host, namespace, this.#context.domain), namespace);
    if (service === undefined) return undefined;
    const wanted = port?.number;
    if (wanted !== undefined && !service.ports.some((one) => one.port === wanted)) return undefined;
    // 0 stands for the port the request came to, which only the table knows.
    const only = service.ports.length === 1 ? service.ports[0]?.port : undefined;
    return { service: service.key, port: wanted ?? only ?? 0, subset };
  }

  tls(route: VsStreamRoute, key: string, namespace: string, section: string): TlsRoute[] {
    const backends = this.#streamBackends(route, key, namespace, section);
    return (route.match ?? []).flatMap((match): TlsRoute[] => {
      if (!this.#holds(match)) return [];
      const hosts = (match.sniHosts ?? []).map((host) => host.toLowerCase());
      if (hosts.length === 0) this.#problem(key, `spec.${section}.match`, 'has no sniHosts', 'name the server names');
      const origin = `VirtualService ${key}`;
      return hosts.length === 0 ? [] : [{ clientNamespace: '', hosts, port: match.port ?? 0, origin, backends }];
    });
  }

  tcp(route: VsStreamRoute, key: string, namespace: string, section: string): TcpRoute[] {
    const backends = this.#streamBackends(route, key, namespace, section);
    const matches = route.match === undefined || route.match.length === 0 ? [{}] : route.match;
    return matches.flatMap((match): TcpRoute[] => {
      if (!this.#holds(match)) return [];
      const ranges = match.destinationSubnets ?? [];
      const bad = ranges.find((one) => parseCidr(one) === undefined);
      if (bad !== undefined) this.#problem(key, `spec.${section}.match`, `${bad} is no address range`);
      if (bad !== undefined) return [];
      return [
        {
          clientNamespace: '',
          port: match.port ?? 0,
          origin: `VirtualService ${key}`,
          backends,
          destinationRanges: ranges,
          sourceNamespace: match.sourceNamespace ?? '',
        },
      ];
    });
  }

  #streamBackends(route: VsStreamRoute, key: string, namespace: string, section: string): TcpRoute['backends'] {
    const findings = new Findings();
    const resolve = (destination: DestinationSpec): Target | undefined => this.#resolve(destination, namespace);
    const backends = backendsOf(route.route ?? [], { resolve, findings });
    if (findings.refProblem !== undefined) this.#problem(key, `spec.${section}`, findings.refProblem.message);
    return backends;
  }

  #holds({ gateways, sourceLabels }: VsMatch): boolean {
    if (sourceLabels !== undefined && Object.keys(sourceLabels).length > 0) return false;
    return gateways === undefined || gateways.length === 0 || gateways.includes(this.#gateway);
  }

  #problem(key: string, field: string, message: string, fix?: string): void {
    this.problems.push({ object: `VirtualService ${key}`, field, message, ...(fix !== undefined && { fix }) });
  }
}

/** Whether the VirtualService is exported to a namespace. */
export function isExportedTo(object: VirtualService, namespace: string): boolean {
  const { exportTo = [] } = object.spec ?? {};
  if (exportTo.length === 0) return true;
  return exportTo.some((one) => one === '*' || one === namespace || (one === '.' && namespaceOf(object) === namespace));
}

/** Whether one of the hosts is, or covers, the host name. */
export function servesHost({ hosts }: ConvertedVirtualService, hostname: string): boolean {
  return hosts.some(
    (host) => host === '*' || host === hostname || (host.startsWith('*.') && hostname.endsWith(host.slice(1))),
  );
}

/**
 * Where the VirtualService stands before a service's port. Destinations that say no port get this one; TLS routes
 * count for the service's own host name alone.
 */
export function attachVirtualService(
  converted: ConvertedVirtualService,
  service: RouteService,
  port: number,
): Attachment {
  const hostname = service.key.slice(service.key.indexOf('/') + 1);
  const { part } = converted;
  const entries = part.entries.filter(({ match }) => match.port === 0 || match.port === port);
  const toPort = <T extends { readonly backends: TcpRoute['backends'] }>(route: T): T => ({
    ...route,
    backends: route.backends.map((one) => withPort(one, port)),
  });
  const fits = (of: { readonly port: number }): boolean => of.port === 0 || of.port === port;
  const own = {
    ...part,
    entries,
    rules: part.rules.map((rule) => ({
      ...toPort(rule),
      mirrors: rule.mirrors.map(({ backend, share }) => ({ backend: backend && withPort(backend, port), share })),
    })),
    tls: part.tls.filter((one) => fits(one) && one.hosts.length === 1 && one.hosts[0] === hostname).map(toPort),
    tcp: part.tcp.filter(fits).map(toPort),
  };
  return {
    table: tableName(service.key, port),
    service: service.key,
    port,
    clientNamespace: '',
    hosts: ['*'],
    part: own,
    parent: 0,
  };
}

function withPort(backend: TcpRoute['backends'][number], port: number): TcpRoute['backends'][number] {
  const { target } = backend;
  return target === undefined || target.port !== 0 ? backend : { ...backend, target: { ...target, port } };
}
