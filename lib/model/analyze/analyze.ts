// SPDX-License-Identifier: Apache-2.0
//
// `ambit analyze`, without files and cluster: objects in, findings out. What validation says comes first, under its
// codes; then what only shows on a running cluster or between objects, a small named analyzer each.

import { own, table } from '#lib/kit/table.ts';
import type { MeshSettings } from '../mesh-settings.ts';
import { DEFAULT_SETTINGS } from '../mesh-settings.ts';
import { namespaceOf } from '../object/object.ts';
import type { ParsedObject } from '../validate/documents.ts';
import { type FileProblem, validateParsed } from '../validate/files.ts';
import { describeObject } from '../validate/problem.ts';
import { type Analyzer, type Anything, finding } from './analyzer.ts';
import { type Finding, findingOf, reaches } from './finding.ts';
import { GATEWAY_ANALYZERS } from './gateways.ts';
import { INSTALLATION_ANALYZERS, inconsistentServices } from './installation.ts';
import { TRAFFIC_ANALYZERS } from './traffic.ts';

/** Conditions that tell of trouble when False, by kind. */
const TELLING = table<readonly string[]>({
  Service: ['istio.io/WaypointBound'],
  ServiceEntry: ['istio.io/WaypointBound'],
  WorkloadEntry: ['istio.io/WaypointBound'],
  AuthorizationPolicy: ['ZtunnelAccepted', 'WaypointAccepted'],
  Telemetry: ['WaypointAccepted'],
  Gateway: ['Accepted', 'Programmed', 'ResolvedRefs'],
  HTTPRoute: ['Accepted', 'ResolvedRefs'],
  GRPCRoute: ['Accepted', 'ResolvedRefs'],
});
/** Kinds whose selector does not reach a Gateway's own pods. */
const SELECTING: readonly string[] = ['AuthorizationPolicy', 'RequestAuthentication', 'Telemetry', 'WasmPlugin'];
const GATEWAY_NAME = 'gateway.networking.k8s.io/gateway-name';
const PROTOCOLS = /^(http|http2|https|grpc|grpc-web|tcp|tls|mongo|mysql|redis|udp|hbone)(-|$)/;

/**
 * @param unreadable texts that gave no object
 * @param remote Services of other clusters of the mesh
 */
export function analyze(
  objects: readonly ParsedObject[],
  unreadable: readonly FileProblem[] = [],
  settings: MeshSettings = DEFAULT_SETTINGS,
  remote: readonly ParsedObject[] = [],
): Finding[] {
  const problems = [...unreadable, ...validateParsed(objects, settings).problems];
  const found = [...problems.map(findingOf), ...ANALYZERS.flatMap((analyzer) => analyzer(objects))];
  found.push(...inconsistentServices(objects, remote));
  return found.sort((a, b) => Number(reaches(b.level, a.level)) - Number(reaches(a.level, b.level)));
}

const negativeConditions: Analyzer = (objects) =>
  objects.flatMap((one) => {
    const { kind = '', status } = one.object as Anything;
    const conditions = [...(status?.conditions ?? []), ...(status?.parents ?? []).flatMap((it) => it.conditions ?? [])];
    return conditions
      .filter(({ reason, status: is, type = '' }) => {
        const telling = TELLING[kind]?.includes(type) === true;
        return telling && (is === 'False' || reason === 'PartiallyInvalid');
      })
      .map(({ message = '', reason = '', type }) =>
        finding(one, '', { code: 'IST0171', level: 'Warning', message: `${type}: ${reason}: ${message}` }),
      );
  });

const portNames: Analyzer = (objects) =>
  objects.flatMap((one) => {
    const { apiVersion, kind, spec } = one.object as Anything;
    if (apiVersion !== 'v1' || kind !== 'Service') return [];
    const ports = (spec?.['ports'] ?? []) as readonly {
      readonly name?: string;
      readonly port?: number;
      readonly appProtocol?: string;
      readonly protocol?: string;
    }[];
    return ports.flatMap(({ appProtocol, name = '', port, protocol = 'TCP' }, i) => {
      if (protocol !== 'TCP' || appProtocol !== undefined || PROTOCOLS.test(name)) return [];
      const message = `port ${port} (${name === '' ? 'without name' : name}) says no protocol: it is treated as TCP; name it <protocol>[-<suffix>] or set appProtocol`;
      return [finding(one, `spec.ports[${i}]`, { code: 'IST0118', level: 'Info', message })];
    });
  });

const selectorsOfGateways: Analyzer = (objects) => {
  const pods = objects.filter(
    ({ object }) => object.kind === 'Pod' && own(object.metadata.labels, GATEWAY_NAME) !== undefined,
  );
  return objects.flatMap((one) => {
    const { kind = '', spec } = one.object as Anything;
    const wanted = (spec?.['selector'] as { readonly matchLabels?: Readonly<Record<string, string>> } | undefined)
      ?.matchLabels;
    if (!SELECTING.includes(kind) || wanted === undefined || Object.keys(wanted).length === 0) return [];
    const hit = pods.find(
      ({ object }) =>
        namespaceOf(object) === namespaceOf(one.object) &&
        Object.entries(wanted).every(([key, value]) => own(object.metadata.labels, key) === value),
    );
    if (hit === undefined) return [];
    const gateway = hit.object.metadata.labels?.[GATEWAY_NAME];
    const message = `spec.selector selects pods of Gateway ${gateway}, which selectors do not reach; write targetRefs to it`;
    return [finding(one, 'spec.selector', { code: 'IST0166', level: 'Warning', message })];
  });
};

const entryProtocols: Analyzer = (objects) => {
  const known = new Map<string, { readonly protocol: string; readonly by: string }>();
  return objects.flatMap((one) => {
    const { kind, spec } = one.object as Anything;
    if (kind !== 'ServiceEntry') return [];
    const hosts = (spec?.['hosts'] ?? []) as readonly string[];
    const ports = (spec?.['ports'] ?? []) as readonly { readonly number?: number; readonly protocol?: string }[];
    return hosts.flatMap((host) =>
      ports.flatMap(({ number, protocol = 'TCP' }, i) => {
        const key = `${host}:${number}`;
        const other = known.get(key);
        known.set(key, other ?? { protocol, by: describeObject(one.object) });
        if (other === undefined || other.protocol === protocol) return [];
        const message = `${key} is ${protocol} here and ${other.protocol} in ${other.by}; write the same in both`;
        return [finding(one, `spec.ports[${i}]`, { code: 'IST0177', level: 'Warning', message })];
      }),
    );
  });
};

const ANALYZERS: readonly Analyzer[] = [
  negativeConditions,
  portNames,
  selectorsOfGateways,
  entryProtocols,
  ...TRAFFIC_ANALYZERS,
  ...GATEWAY_ANALYZERS,
  ...INSTALLATION_ANALYZERS,
];
