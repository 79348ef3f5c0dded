// SPDX-License-Identifier: Apache-2.0
// ADD: whether the pod belongs to the mesh, and if so, enrol it before its first packet. What cannot be answered is a
// refusal: the runtime tries again, and no pod of the mesh starts in the open.
import type { Eligibility } from '../enablement.ts';
import { eligibility } from '../enablement.ts';
import type { PluginConfig, PodReference } from './config.ts';
import type { LabelledObject } from './kube-reader.ts';

/** Name prefix of the agent's own pods. */
const AGENT_PODS = 'istio-cni-node-';

export interface World {
  /** Reads a pod or a namespace by API path. */
  read(path: string): Promise<LabelledObject>;
  /** Has the agent enrol the pod. */
  enrol(pod: PodReference): Promise<void>;
}

/** Resolves with the decision taken, once it is in force; rejects when the pod must not start. */
export async function add(config: PluginConfig, pod: PodReference | undefined, world: World): Promise<Eligibility> {
  const passed = (reason: string): Eligibility => ({ eligible: false, reason });
  if (pod === undefined) return passed('not a pod of Kubernetes');
  // Before anything that needs the agent: it could not start on a node where it is not running.
  if (pod.namespace === config.agentNamespace && pod.name.startsWith(AGENT_PODS))
    return passed('a pod of the node agent');
  if (config.excludedNamespaces.includes(pod.namespace)) return passed(`namespace ${pod.namespace} is excluded`);
  if (!config.ambient) return passed('ambient mode is off');
  const [object, namespace] = await Promise.all([
    world.read(`/api/v1/namespaces/${pod.namespace}/pods/${pod.name}`),
    world.read(`/api/v1/namespaces/${pod.namespace}`),
  ]);
  const { labels = {}, annotations = {} } = object.metadata;
  const traits = { hostNetwork: object.spec?.hostNetwork === true, labels, annotations };
  const verdict = eligibility(traits, namespace.metadata.labels ?? {}, config.selectors);
  if (verdict.eligible) await world.enrol(pod);
  return verdict;
}
