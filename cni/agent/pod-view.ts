// SPDX-License-Identifier: Apache-2.0
// A pod as the agent reads it: whether it should be in the mesh, what its annotations ask for, its addresses. Pure.
import type { Namespace, Pod } from '#lib/kube/object.ts';
import { type Eligibility, type EnablementSelector, eligibility } from '../enablement.ts';

export const REDIRECTION_ANNOTATION = 'ambient.istio.io/redirection';

export interface EligibilityOptions {
  readonly selectors: readonly EnablementSelector[];
  readonly excludeNamespaces: readonly string[];
  /** Namespace of the node proxy, which is never enrolled. */
  readonly systemNamespace: string;
}

/** Whether a pod should be in the mesh, by its own and its namespace's labels. */
export function judge(pod: Pod, namespace: Namespace | undefined, options: EligibilityOptions): Eligibility {
  const no = (reason: string): Eligibility => ({ eligible: false, reason });
  const name = pod.metadata.namespace ?? '';
  if (isTerminated(pod)) return no(`the pod is ${pod.status?.phase}`);
  if (options.excludeNamespaces.includes(name)) return no(`namespace ${name} is excluded`);
  if (name === options.systemNamespace && pod.metadata.labels?.['app'] === 'ztunnel')
    return no('the pod is the node proxy');
  if (namespace === undefined) return no(`namespace ${name} is not known`);
  const traits = {
    hostNetwork: pod.spec?.hostNetwork === true,
    labels: pod.metadata.labels ?? {},
    annotations: pod.metadata.annotations ?? {},
  };
  return eligibility(traits, namespace.metadata.labels ?? {}, options.selectors);
}

export function isTerminated(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

/** What a pod's annotations ask for. */
export interface PodOverrides {
  readonly dnsCapture: boolean;
  readonly bypassInbound: boolean;
  readonly virtualInterfaces: readonly string[];
  /** Annotations that say neither yes nor no, and are ignored. */
  readonly unreadable: readonly string[];
}

const TRUE = new Set(['1', 't', 'T', 'true', 'TRUE', 'True']);
const FALSE = new Set(['0', 'f', 'F', 'false', 'FALSE', 'False']);

export function overridesOf(pod: Pod, defaults: { readonly dnsCapture: boolean }): PodOverrides {
  const annotations = pod.metadata.annotations ?? {};
  const unreadable: string[] = [];
  const flag = (name: string, fallback: boolean): boolean => {
    const text = annotations[name];
    if (text === undefined) return fallback;
    if (TRUE.has(text)) return true;
    if (!FALSE.has(text)) unreadable.push(name);
    return FALSE.has(text) ? false : fallback;
  };
  const interfaces = annotations['istio.io/reroute-virtual-interfaces'] ?? '';
  return {
    dnsCapture: flag('ambient.istio.io/dns-capture', defaults.dnsCapture),
    bypassInbound: flag('ambient.istio.io/bypass-inbound-capture', false),
    virtualInterfaces: interfaces
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== ''),
    unreadable,
  };
}

/** Addresses of a pod, as its status tells. */
export function addressesOf(pod: Pod): string[] {
  const ips = (pod.status?.podIPs ?? []).flatMap(({ ip }) => (ip ? [ip] : []));
  return ips.length > 0 ? ips : pod.status?.podIP ? [pod.status.podIP] : [];
}
