// SPDX-License-Identifier: Apache-2.0
// What the runtime gives the plugin: the network configuration on standard input, and who the pod is in CNI_ARGS
// (CNI specification 1.0.0, sections 2 and 3).
import { fail, ok, type Problem, type Result } from '#lib/kit/result.ts';
import { checkSelectors, DEFAULT_SELECTORS, type EnablementSelector } from '../enablement.ts';

export interface PluginConfig {
  readonly cniVersion: string;
  /** The result of the plugins before ours, handed on unchanged. */
  readonly previous: Readonly<Record<string, unknown>> | undefined;
  /** Addresses that the plugins before ours gave the pod, without prefix length. */
  readonly addresses: readonly PodAddress[];
  /** Folder of the agent's socket and kubeconfig, on the node. */
  readonly runDir: string;
  readonly ambient: boolean;
  readonly selectors: readonly EnablementSelector[];
  readonly excludedNamespaces: readonly string[];
  /** Namespace of the node agent, whose own pods must start without it. */
  readonly agentNamespace: string;
}

export interface PodAddress {
  readonly ip: string;
  readonly prefix: number;
  readonly interface: number | null;
  readonly gateway: string;
}

export interface PodReference {
  readonly name: string;
  readonly namespace: string;
}

interface Raw {
  readonly cniVersion?: unknown;
  readonly prevResult?: { readonly ips?: readonly { address?: string; interface?: number; gateway?: string }[] };
  readonly cni_agent_run_dir?: unknown;
  readonly ambient_enabled?: unknown;
  readonly enablement_selectors?: unknown;
  readonly exclude_namespaces?: unknown;
  readonly pod_namespace?: unknown;
}

/** Reads the configuration. An unreadable one is a failure: a pod must not start on a guess. */
export function readConfig(text: string): Result<PluginConfig> {
  let raw: Raw;
  try {
    raw = JSON.parse(text) as Raw;
  } catch (error) {
    return fail({ field: 'stdin', message: `the network configuration is no JSON: ${String(error)}` });
  }
  const problems: Problem[] = [];
  const selectors =
    raw.enablement_selectors === undefined || raw.enablement_selectors === null
      ? ok(DEFAULT_SELECTORS)
      : checkSelectors(raw.enablement_selectors, 'enablement_selectors');
  if (!selectors.ok) problems.push(...selectors.problems);
  if (typeof raw.cni_agent_run_dir !== 'string' || raw.cni_agent_run_dir === '') {
    problems.push({
      field: 'cni_agent_run_dir',
      message: 'is missing',
      fix: 'restart the node agent, which writes it',
    });
  }
  const [first, ...rest] = problems;
  if (first !== undefined || !selectors.ok) return fail(first!, ...rest);
  return ok({
    cniVersion: typeof raw.cniVersion === 'string' ? raw.cniVersion : '0.3.1',
    previous: raw.prevResult as PluginConfig['previous'],
    addresses: (raw.prevResult?.ips ?? []).flatMap(addressOf),
    runDir: raw.cni_agent_run_dir as string,
    ambient: raw.ambient_enabled === true,
    selectors: selectors.value,
    excludedNamespaces: Array.isArray(raw.exclude_namespaces)
      ? raw.exclude_namespaces.filter((item) => typeof item === 'string')
      : [],
    agentNamespace: typeof raw.pod_namespace === 'string' ? raw.pod_namespace : '',
  });
}

/** The pod of `CNI_ARGS`; undefined when the runtime is not Kubernetes'. */
export function podOf(args: string): PodReference | undefined {
  const pairs = Object.fromEntries(args.split(';').map((item) => item.split(/=(.*)/s).slice(0, 2) as [string, string]));
  const name = pairs['K8S_POD_NAME'];
  const namespace = pairs['K8S_POD_NAMESPACE'];
  return name && namespace ? { name, namespace } : undefined;
}

function addressOf({
  address,
  interface: index,
  gateway,
}: {
  address?: string;
  interface?: number;
  gateway?: string;
}): PodAddress[] {
  const [ip, prefix] = (address ?? '').split('/');
  return ip ? [{ ip, prefix: Number(prefix), interface: index ?? null, gateway: gateway ?? '' }] : [];
}
