// SPDX-License-Identifier: Apache-2.0
// From a Service and its pods to endpoints: which addresses, which ports, ready or not. Pure.
// Source: discovery.k8s.io/v1 EndpointSlice.
import { isIP } from 'node:net';
import {
  isObject,
  type Json,
  type JsonObject,
  type KubeObject,
  listAt,
  numberAt,
  objectAt,
  textAt,
} from '../api/json.ts';
import { isFinished, isReady } from './pods.ts';

export type Family = 'IPv4' | 'IPv6';

/** Pods with the same resolved ports share a slice. */
export interface SliceModel {
  readonly family: Family;
  readonly ports: readonly JsonObject[];
  readonly endpoints: readonly JsonObject[];
}

/** Whether a Service's endpoints are ours to write. */
export const selects = (service: KubeObject): boolean =>
  isObject(objectAt(service, 'spec')['selector']) &&
  Object.keys(objectAt(service, 'spec', 'selector')).length > 0 &&
  textAt(service, 'spec', 'type') !== 'ExternalName';

export function selectsPod(service: KubeObject, pod: KubeObject): boolean {
  if (service.metadata.namespace !== pod.metadata.namespace || !selects(service)) return false;
  return Object.entries(objectAt(service, 'spec', 'selector')).every(
    ([key, value]) => pod.metadata.labels?.[key] === value,
  );
}

export const familiesOf = (service: KubeObject): Family[] => {
  const families = listAt(service, 'spec', 'ipFamilies').filter(
    (family): family is Family => family === 'IPv4' || family === 'IPv6',
  );
  return families.length > 0 ? families : ['IPv4'];
};

function addressOf(pod: KubeObject, family: Family): string | undefined {
  const ips = [...listAt(pod, 'status', 'podIPs').map((item) => textAt(item, 'ip')), textAt(pod, 'status', 'podIP')];
  return ips.find((ip) => ip !== undefined && isIP(ip) === (family === 'IPv4' ? 4 : 6));
}

/** Ports of a Service as this pod offers them; named target ports are looked up in its containers. */
function portsOf(service: KubeObject, pod: KubeObject): JsonObject[] {
  const offered = listAt(pod, 'spec', 'containers').flatMap((container) => listAt(container, 'ports'));
  return listAt(service, 'spec', 'ports').flatMap((port): JsonObject[] => {
    const protocol = textAt(port, 'protocol') ?? 'TCP';
    const target = objectAt(port)['targetPort'];
    const number =
      typeof target === 'string'
        ? numberAt(
            offered.find((item) => textAt(item, 'name') === target && (textAt(item, 'protocol') ?? 'TCP') === protocol),
            'containerPort',
          )
        : ((target as number | undefined) ?? numberAt(port, 'port'));
    if (number === undefined) return [];
    const appProtocol = textAt(port, 'appProtocol');
    return [{ name: textAt(port, 'name') ?? '', port: number, protocol, ...(appProtocol ? { appProtocol } : {}) }];
  });
}

function endpointOf(service: KubeObject, pod: KubeObject, address: string, zone: string | undefined): JsonObject {
  const terminating = pod.metadata.deletionTimestamp !== undefined;
  const serving = isReady(pod) || objectAt(service, 'spec')['publishNotReadyAddresses'] === true;
  const nodeName = textAt(pod, 'spec', 'nodeName');
  const hostname =
    textAt(pod, 'spec', 'subdomain') === service.metadata.name ? textAt(pod, 'spec', 'hostname') : undefined;
  return {
    addresses: [address],
    conditions: { ready: serving && !terminating, serving, terminating },
    ...(nodeName ? { nodeName } : {}),
    ...(hostname ? { hostname } : {}),
    ...(zone ? { zone } : {}),
    targetRef: {
      kind: 'Pod',
      name: pod.metadata.name ?? '',
      namespace: pod.metadata.namespace ?? '',
      uid: pod.metadata.uid ?? '',
    },
  };
}

/** The slices a Service should have; one empty slice a family when nothing is behind it. */
export function slicesOf(
  service: KubeObject,
  pods: readonly KubeObject[],
  zoneOf: (node: string | undefined) => string | undefined,
): SliceModel[] {
  const behind = pods
    .filter((pod) => selectsPod(service, pod) && !isFinished(pod))
    .sort((a, b) => (a.metadata.name ?? '').localeCompare(b.metadata.name ?? ''));
  return familiesOf(service).flatMap((family): SliceModel[] => {
    const groups = new Map<string, { ports: JsonObject[]; endpoints: JsonObject[] }>();
    for (const pod of behind) {
      const address = addressOf(pod, family);
      if (!address) continue;
      const ports = portsOf(service, pod);
      const key = JSON.stringify(ports);
      const group = groups.get(key) ?? { ports, endpoints: [] };
      group.endpoints.push(endpointOf(service, pod, address, zoneOf(textAt(pod, 'spec', 'nodeName'))));
      groups.set(key, group);
    }
    if (groups.size === 0) return [{ family, ports: [], endpoints: [] }];
    return [...groups.values()].map((group) => ({ family, ...group }));
  });
}

/** The same as core/v1 Endpoints subsets, in the Service's first family. */
export function subsetsOf(service: KubeObject, slices: readonly SliceModel[]): Json[] {
  const primary = familiesOf(service)[0];
  return slices
    .filter((slice) => slice.family === primary && slice.endpoints.length > 0)
    .map((slice) => {
      const list = (ready: boolean): Json[] =>
        slice.endpoints
          .filter(
            (endpoint) =>
              (objectAt(endpoint, 'conditions')['ready'] === true) === ready &&
              objectAt(endpoint, 'conditions')['terminating'] !== true,
          )
          .map((endpoint) => ({
            ip: String(listAt(endpoint, 'addresses')[0]),
            ...(endpoint['nodeName'] ? { nodeName: endpoint['nodeName'] } : {}),
            ...(endpoint['hostname'] ? { hostname: endpoint['hostname'] } : {}),
            targetRef: endpoint['targetRef'] ?? null,
          }));
      const addresses = list(true);
      const notReadyAddresses = list(false);
      return {
        ...(addresses.length > 0 ? { addresses } : {}),
        ...(notReadyAddresses.length > 0 ? { notReadyAddresses } : {}),
        ports: slice.ports.map(({ name, ...port }) => (name === '' ? port : { name, ...port })),
      };
    });
}
