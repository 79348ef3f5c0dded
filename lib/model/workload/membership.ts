// SPDX-License-Identifier: Apache-2.0
//
// Which services a workload stands behind, and with which ports. Selectors are filed in an index; Services without
// selector own the pods that their EndpointSlices point at.

import type { Fetch, Index } from '#lib/collections/collection.ts';
import { own } from '#lib/kit/table.ts';
import type { PortMapping, ServiceKey } from '#lib/mesh/workload.ts';
import type { WorkloadSpec } from '../object/entry.ts';
import {
  type EndpointSlice,
  type KubeObject,
  keyBeside,
  keyOf,
  labelsOf,
  namespaceOf,
  type Pod,
  type Service,
  type ServicePort,
  spaceOf,
} from '../object/object.ts';
import { candidateKeys, type Labels, selects } from '../object/selector.ts';

/** What a workload must know of a service: no address, no status, so that their changes wake no workload. */
export interface ServiceSelector {
  readonly key: ServiceKey;
  readonly name: string;
  /** Key of the Namespace whose workloads it selects. */
  readonly space: string;
  /** A Service of Kubernetes, or a host of a ServiceEntry. */
  readonly of: 'service' | 'entry';
  /** undefined: no selector; members of a Service come from EndpointSlices, those of an entry from its endpoints. */
  readonly selector: Labels | undefined;
  readonly ports: readonly ServicePort[];
}

export function serviceSelector(service: Service, domain: string): ServiceSelector | undefined {
  if (service.spec?.type === 'ExternalName') return undefined;
  const selector = service.spec?.selector ?? {};
  const { name } = service.metadata;
  const namespace = namespaceOf(service);
  return {
    key: `${namespace}/${hostnameOf(name, namespace, domain)}`,
    name,
    space: spaceOf(service),
    of: 'service',
    selector: Object.keys(selector).length === 0 ? undefined : selector,
    ports: service.spec?.ports ?? [],
  };
}

export function hostnameOf(name: string, namespace: string, domain: string): string {
  return `${name}.${namespace}.svc.${domain}`;
}

export interface MembershipSources {
  /** Services with a selector, by {@link selectorKey}. */
  readonly selectors: Index<ServiceSelector>;
  /** Services without, by `namespace/name`. */
  readonly selectorless: Index<ServiceSelector>;
  /** Slices by the key of each pod they point at. */
  readonly slicesByPod: Index<EndpointSlice>;
}

type Memberships = ReadonlyMap<ServiceKey, readonly PortMapping[]>;

/** Services whose selectors select `labels`, each with the ports that `portsOn` finds for it. */
export function selectedBy(
  object: KubeObject,
  labels: Labels,
  selectors: Index<ServiceSelector>,
  portsOn: (service: ServiceSelector) => readonly PortMapping[] | undefined,
  fetch: Fetch,
): [ServiceKey, readonly PortMapping[]][] {
  return candidateKeys(spaceOf(object), labels).flatMap((candidate) =>
    fetch.lookup(selectors, candidate).flatMap((service): [ServiceKey, readonly PortMapping[]][] => {
      if (service.selector === undefined || !selects(service.selector, labels)) return [];
      const ports = portsOn(service);
      return ports === undefined ? [] : [[service.key, ports]];
    }),
  );
}

/** In order of their keys, so that equal memberships are equal maps. */
export function ordered(found: readonly (readonly [ServiceKey, readonly PortMapping[]])[]): Memberships {
  return new Map([...new Map(found)].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** @param entries whether hosts of ServiceEntries may select pods */
export function servicesOfPod(pod: Pod, sources: MembershipSources, entries: boolean, fetch: Fetch): Memberships {
  const found = selectedBy(
    pod,
    labelsOf(pod),
    sources.selectors,
    (service) => {
      if (service.of === 'service') return portsOn(pod, service.ports);
      return entries ? entryPortsOn(pod, service.ports) : undefined;
    },
    fetch,
  );
  for (const slice of fetch.lookup(sources.slicesByPod, keyOf(pod))) {
    if (!slice.endpoints?.some((endpoint) => pointsAt(endpoint.targetRef, pod))) continue;
    const name = slice.metadata.labels?.['kubernetes.io/service-name'] ?? '';
    for (const service of fetch.lookup(sources.selectorless, keyBeside(slice, `${namespaceOf(slice)}/${name}`))) {
      found.push([service.key, portsOn(pod, service.ports)]);
    }
  }
  return ordered(found);
}

function pointsAt(
  ref:
    | { readonly kind?: string; readonly name?: string; readonly namespace?: string; readonly uid?: string }
    | undefined,
  pod: Pod,
): boolean {
  return (
    ref?.kind === 'Pod' &&
    ref.name === pod.metadata.name &&
    (ref.namespace ?? namespaceOf(pod)) === namespaceOf(pod) &&
    (ref.uid === undefined || pod.metadata.uid === undefined || ref.uid === pod.metadata.uid)
  );
}

/** Service port → the pod's port. A named target that the pod lacks is left out: the pod does not serve that port. */
function portsOn(pod: Pod, ports: readonly ServicePort[]): PortMapping[] {
  return ports.flatMap(({ port, targetPort }) => {
    const target = typeof targetPort === 'string' ? namedPort(pod, targetPort) : (targetPort ?? port);
    return target === undefined ? [] : [{ servicePort: port, targetPort: target === 0 ? port : target }];
  });
}

/** A ServiceEntry's port on a pod: the container's port of the same name, else what the entry says. */
function entryPortsOn(pod: Pod, ports: readonly ServicePort[]): PortMapping[] {
  return ports.map(({ name, port, targetPort }) => ({
    servicePort: port,
    targetPort: (name === undefined ? undefined : namedPort(pod, name)) ?? numberIn(targetPort) ?? port,
  }));
}

/** Service port → the port of a machine, which may name its own by the service's port names. */
export function portsOnMachine(machine: WorkloadSpec | undefined, service: ServiceSelector): PortMapping[] {
  const ports = machine?.ports;
  return service.ports.flatMap(({ name = '', port, targetPort }) => {
    // A Service's target by name needs the machine to know the name.
    const named = service.of === 'service' && typeof targetPort === 'string' && numberIn(targetPort) === undefined;
    const target = named ? own(ports, targetPort) : (own(ports, name) ?? numberIn(targetPort) ?? port);
    return target === undefined ? [] : [{ servicePort: port, targetPort: target === 0 ? port : target }];
  });
}

/** kubectl and YAML may write a number as text. */
function numberIn(port: number | string | undefined): number | undefined {
  if (typeof port === 'string') return /^\d+$/.test(port) ? Number(port) : undefined;
  return port === 0 ? undefined : port;
}

function namedPort(pod: Pod, name: string): number | undefined {
  const number = numberIn(name);
  if (number !== undefined) return number;
  const sidecars = pod.spec?.initContainers?.filter((container) => container.restartPolicy === 'Always') ?? [];
  for (const container of [...(pod.spec?.containers ?? []), ...sidecars]) {
    for (const port of container.ports ?? []) {
      if (port.name === name && (port.protocol ?? 'TCP') === 'TCP') return port.containerPort;
    }
  }
  return undefined;
}
