// SPDX-License-Identifier: Apache-2.0
//
// Which services a pod stands behind, and with which ports. Selectors are filed in an index; Services without selector
// own the pods that their EndpointSlices point at.

import type { Fetch, Index } from '#lib/collections/collection.ts';
import type { PortMapping, ServiceKey } from '#lib/mesh/workload.ts';
import type { EndpointSlice, Pod, Service, ServicePort } from '../object/object.ts';
import { keyOf, labelsOf, namespaceOf } from '../object/object.ts';
import { candidateKeys, type Labels, selects } from '../object/selector.ts';

/** What a pod must know of a Service: no address, no status, so that their changes wake no pod. */
export interface ServiceSelector {
  readonly key: ServiceKey;
  readonly name: string;
  readonly namespace: string;
  /** undefined: no selector, members come from EndpointSlices. */
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
    namespace,
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
  /** Slices by `namespace/name` of each pod they point at. */
  readonly slicesByPod: Index<EndpointSlice>;
}

/** Services of the pod in order of their keys. */
export function servicesOf(
  pod: Pod,
  sources: MembershipSources,
  fetch: Fetch,
): ReadonlyMap<ServiceKey, readonly PortMapping[]> {
  const labels = labelsOf(pod);
  const found = new Map<ServiceKey, readonly PortMapping[]>();
  for (const candidate of candidateKeys(namespaceOf(pod), labels)) {
    for (const service of fetch.lookup(sources.selectors, candidate)) {
      if (service.selector !== undefined && selects(service.selector, labels)) {
        found.set(service.key, portsOn(pod, service.ports));
      }
    }
  }
  for (const slice of fetch.lookup(sources.slicesByPod, keyOf(pod))) {
    if (!slice.endpoints?.some((endpoint) => pointsAt(endpoint.targetRef, pod))) continue;
    const name = slice.metadata.labels?.['kubernetes.io/service-name'] ?? '';
    for (const service of fetch.lookup(sources.selectorless, `${namespaceOf(slice)}/${name}`)) {
      found.set(service.key, portsOn(pod, service.ports));
    }
  }
  return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
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

function namedPort(pod: Pod, name: string): number | undefined {
  // kubectl and YAML may write a number as text.
  if (/^\d+$/.test(name)) return Number(name);
  const sidecars = pod.spec?.initContainers?.filter((container) => container.restartPolicy === 'Always') ?? [];
  for (const container of [...(pod.spec?.containers ?? []), ...sidecars]) {
    for (const port of container.ports ?? []) {
      if (port.name === name && (port.protocol ?? 'TCP') === 'TCP') return port.containerPort;
    }
  }
  return undefined;
}
