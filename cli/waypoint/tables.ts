// SPDX-License-Identifier: Apache-2.0
// What a waypoint knows as tables, with the columns of `istioctl proxy-config` where they have a meaning here.

import type { AccessAction } from '#lib/mesh/http/access-policy.ts';
import { matchText } from '#lib/mesh/http/route-proof.ts';
import type { Backend, HttpRule } from '#lib/mesh/http/route-table.ts';
import { table } from '../print/table.ts';
import { keyOfService, ownServices, type WaypointDump } from './dump.ts';

export interface Filter {
  readonly fqdn?: string | undefined;
  readonly port?: string | undefined;
}

const NONE = '-';

export function routeTable(dump: WaypointDump): string {
  const rows = (dump.RouteTable ?? []).flatMap(({ http, name, tcp, tls }) => [
    ...http.flatMap(({ clientNamespace, hosts, rules }) =>
      hosts.flatMap((host) =>
        host.entries.map(({ match, rule }) => [
          name,
          clientNamespace === '' ? 'all clients' : `clients of ${clientNamespace}`,
          host.hosts.join(','),
          matchText(match),
          originOf(rules[rule]),
          destinationOf(rules[rule]),
        ]),
      ),
    ),
    ...tls.map((one) => [name, NONE, one.hosts.join(','), 'TLS by server name', one.origin, backends(one.backends)]),
    ...tcp.map((one) => [name, NONE, '*', 'TCP', one.origin, backends(one.backends)]),
  ]);
  // In order of precedence, as the waypoint asks them.
  return table(['NAME', 'VHOST NAME', 'DOMAINS', 'MATCH', 'ROUTE', 'DESTINATION'], rows);
}

function originOf(rule: HttpRule | undefined): string {
  if (rule === undefined) return NONE;
  return rule.section === '' ? rule.origin : `${rule.origin}, ${rule.section}`;
}

function destinationOf(rule: HttpRule | undefined): string {
  if (rule?.redirect !== undefined) return `redirect ${rule.redirect.status}`;
  if (rule?.response !== undefined) return `answer ${rule.response.status}`;
  return rule === undefined || rule.backends.length === 0 ? 'answer 500' : backends(rule.backends);
}

function backends(list: readonly Backend[]): string {
  return list
    .map(({ invalid, target, weight }) => {
      if (target === undefined) return `${weight}× answer 500 (${invalid})`;
      const subset = target.subset === '' ? '' : `/${target.subset}`;
      return `${list.length > 1 ? `${weight}× ` : ''}${target.service}:${target.port}${subset}`;
    })
    .join(', ');
}

/** Where requests may be sent: the waypoint's own services, and those its routes lead to. */
function clusters(dump: WaypointDump): { service: string; port: number; subset: string; own: boolean }[] {
  const found = new Map<string, { service: string; port: number; subset: string; own: boolean }>();
  const add = (service: string, port: number, subset: string, own: boolean): void => {
    const id = `${service}:${port}/${subset}`;
    if (!found.has(id)) found.set(id, { service, port, subset, own });
  };
  const own = new Set(ownServices(dump).map(keyOfService));
  for (const service of ownServices(dump)) {
    for (const port of Object.keys(service.ports ?? {})) add(keyOfService(service), Number(port), '', true);
  }
  for (const { http, tcp, tls } of dump.RouteTable ?? []) {
    const all = [...http.flatMap(({ rules }) => rules), ...tls, ...tcp].flatMap((one) => one.backends);
    for (const { target } of all) {
      if (target !== undefined) add(target.service, target.port, target.subset, own.has(target.service));
    }
  }
  return [...found.values()].sort((a, b) => (`${a.service}:${a.port}` < `${b.service}:${b.port}` ? -1 : 1));
}

function chosen({ port, service }: { service: string; port: number }, filter: Filter): boolean {
  const hostname = service.slice(service.indexOf('/') + 1);
  return (
    (filter.fqdn === undefined || filter.fqdn === hostname) &&
    (filter.port === undefined || filter.port === String(port))
  );
}

export function clusterTable(dump: WaypointDump, filter: Filter): string {
  const rows = clusters(dump)
    .filter((cluster) => chosen(cluster, filter))
    .map(({ own, port, service, subset }) => [
      service.slice(service.indexOf('/') + 1),
      String(port),
      subset === '' ? NONE : subset,
      own ? 'inbound-vip' : 'outbound',
      'EDS',
      dump.TrafficPolicy?.find(({ name }) => name === service)?.origin.replace('DestinationRule ', '') ?? '',
    ]);
  return table(['SERVICE FQDN', 'PORT', 'SUBSET', 'DIRECTION', 'TYPE', 'DESTINATION RULE'], rows);
}

export function endpointTable(dump: WaypointDump, filter: Filter): string {
  const workloads = new Map((dump.workloads ?? []).map((workload) => [workload.uid, workload]));
  const rows = clusters(dump)
    .filter((cluster) => cluster.subset === '' && chosen(cluster, filter))
    .flatMap(({ port, service }) => {
      const known = dump.services?.find((one) => keyOfService(one) === service);
      return Object.values(known?.endpoints ?? {}).map((endpoint) => {
        const workload = workloads.get(endpoint.workloadUid);
        const target = endpoint.port?.[String(port)] ?? port;
        const address = workload?.workloadIps?.[0] ?? workload?.hostname ?? NONE;
        const at = address.includes(':') ? `[${address}]:${target}` : `${address}:${target}`;
        const healthy = (endpoint.status ?? 'Healthy') === 'Healthy';
        return [at, healthy ? 'HEALTHY' : 'UNHEALTHY', workload?.protocol ?? NONE, `${service}:${port}`];
      });
    });
  return table(['ENDPOINT', 'STATUS', 'PROTOCOL', 'CLUSTER'], rows);
}

export function listenerTable(dump: WaypointDump): string {
  const settings = dump.Waypoint?.[0];
  const own = (settings?.listeners ?? []).map(({ name, port, protocol }) => [
    name,
    NONE,
    `${protocol} on port ${port}`,
    Object.values(dump.listening ?? {}).includes(port) ? 'open' : 'not open',
  ]);
  const tables = new Set((dump.RouteTable ?? []).map(({ name }) => name));
  const chains = ownServices(dump).flatMap((service) =>
    Object.keys(service.ports ?? {}).map((port) => {
      const name = `${keyOfService(service)}:${port}`;
      const vips = (service.vips ?? []).map((vip) => vip.slice(vip.indexOf('/') + 1)).join(',');
      const to = tables.has(name) ? `routes ${name}` : `its own endpoints`;
      return ['main', name, `address ${vips}, port ${port}`, to];
    }),
  );
  return table(['LISTENER', 'CHAIN', 'MATCH', 'DESTINATION'], [...own, ...chains]);
}

/** In the order in which a request passes them. */
const ACTIONS: readonly AccessAction[] = ['custom', 'audit', 'deny', 'allow'];

export function filterTable(dump: WaypointDump): string {
  const rows = ownServices(dump).flatMap((service) => {
    const key = keyOfService(service);
    const applies = ({ services }: { readonly services: readonly string[] }): boolean =>
      services.length === 0 || services.includes(key);
    const tokens = (dump.RequestAuthentication ?? [])
      .filter(applies)
      .map(({ name }) => ['tokens', `RequestAuthentication ${name}`]);
    const access = ACTIONS.flatMap((action) =>
      (dump.AccessPolicy ?? [])
        .filter((policy) => policy.action === action && applies(policy))
        .map(({ dryRun, key: name }) => [
          `access, ${action.toUpperCase()}${dryRun ? ', dry run' : ''}`,
          `AuthorizationPolicy ${name}`,
        ]),
    );
    return [...tokens, ...access, ...ruleFilters(dump, key)].map((row) => [key, ...row]);
  });
  return table(['SERVICE', 'FILTER', 'FROM'], rows);
}

function ruleFilters(dump: WaypointDump, service: string): string[][] {
  const rules = (dump.RouteTable ?? [])
    .filter(({ name }) => name.slice(0, name.lastIndexOf(':')) === service)
    .flatMap(({ http }) => http.flatMap((group) => group.rules));
  const rows = rules.flatMap((rule) => {
    const { cors, fault, mirrors, redirect, requestHeaders, responseHeaders, retry, rewrite, session, timeoutMs } =
      rule;
    const parts: readonly (readonly [string, boolean])[] = [
      ['fault', fault !== undefined],
      ['cors', cors !== undefined],
      ['redirect', redirect !== undefined],
      ['request headers', requestHeaders !== undefined],
      ['response headers', responseHeaders !== undefined],
      ['rewrite', rewrite !== undefined],
      ['mirror', mirrors.length > 0],
      ['timeout', timeoutMs > 0],
      ['retry', retry !== undefined && retry.attempts > 0],
      ['session', session !== undefined],
    ];
    return parts.filter(([, there]) => there).map(([name]) => [name, originOf(rule)]);
  });
  // Ports of one service share their rules.
  return [...new Map(rows.map((row) => [row.join(), row])).values()];
}
