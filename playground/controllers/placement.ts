// SPDX-License-Identifier: Apache-2.0
// May this pod run on that node? Named predicates, the first refusal is the reason. Pure; scheduler and DaemonSet
// controller share it. Source: Kubernetes documentation, "Assigning Pods to Nodes", "Taints and Tolerations".
import { expressionHolds } from '#lib/model/object/label-expression.ts';
import { isObject, type Json, type JsonObject, type KubeObject, listAt, objectAt, textAt } from '../api/json.ts';
import { condition } from './pods.ts';

/** Why the node is no place for the pod; undefined when it is one. */
export type Refusal = string | undefined;

const objects = (value: Json | undefined, ...path: string[]): JsonObject[] => listAt(value, ...path).filter(isObject);

export const nodeReady = (node: KubeObject): boolean => condition(node, 'Ready')?.['status'] === 'True';

export function refusesNode(spec: JsonObject, node: KubeObject, effects: readonly string[]): Refusal {
  if (
    objectAt(node, 'spec')['unschedulable'] === true &&
    !tolerates(spec, { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' })
  )
    return 'node(s) were unschedulable';
  const labels = node.metadata.labels ?? {};
  for (const [key, value] of Object.entries(objectAt(spec, 'nodeSelector')))
    if (labels[key] !== value) return "node(s) didn't match Pod's node affinity/selector";
  if (!matchesAffinity(spec, node)) return "node(s) didn't match Pod's node affinity/selector";
  const taint = objects(node, 'spec', 'taints').find(
    (item) => effects.includes(String(item['effect'])) && !tolerates(spec, item),
  );
  return taint ? `node(s) had untolerated taint {${String(taint['key'])}: ${String(taint['value'] ?? '')}}` : undefined;
}

export function tolerates(spec: JsonObject, taint: JsonObject): boolean {
  return objects(spec, 'tolerations').some((toleration) => {
    if (toleration['effect'] && toleration['effect'] !== taint['effect']) return false;
    if (toleration['operator'] === 'Exists') return !toleration['key'] || toleration['key'] === taint['key'];
    return toleration['key'] === taint['key'] && (toleration['value'] ?? '') === (taint['value'] ?? '');
  });
}

function matchesAffinity(spec: JsonObject, node: KubeObject): boolean {
  const required = objectAt(spec, 'affinity', 'nodeAffinity')['requiredDuringSchedulingIgnoredDuringExecution'];
  if (!isObject(required)) return true;
  return objects(required, 'nodeSelectorTerms').some(
    (term) =>
      objects(term, 'matchExpressions').every((entry) =>
        matchesEntry(entry, node.metadata.labels?.[String(entry['key'])]),
      ) &&
      objects(term, 'matchFields').every((entry) =>
        matchesEntry(entry, entry['key'] === 'metadata.name' ? node.metadata.name : undefined),
      ),
  );
}

function matchesEntry(entry: JsonObject, value: string | undefined): boolean {
  const values = listAt(entry, 'values').map(String);
  switch (entry['operator']) {
    case 'Gt':
      return Number(value) > Number(values[0]);
    case 'Lt':
      return Number(value) < Number(values[0]);
    default:
      return expressionHolds({ operator: entry['operator'], values }, value);
  }
}

/** Required pod anti-affinity: the topology values that are taken by pods the term selects. */
export function antiAffinityTerms(spec: JsonObject): { selector: Json; topologyKey: string; namespaces: string[] }[] {
  return objects(spec, 'affinity', 'podAntiAffinity', 'requiredDuringSchedulingIgnoredDuringExecution').map((term) => ({
    selector: term['labelSelector'] ?? null,
    topologyKey: textAt(term, 'topologyKey') ?? 'kubernetes.io/hostname',
    namespaces: listAt(term, 'namespaces').map(String),
  }));
}
