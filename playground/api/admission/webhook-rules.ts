// SPDX-License-Identifier: Apache-2.0
// Which webhooks want to see a request: rules, namespace and object selectors. Pure.
// Source: admissionregistration.k8s.io/v1.
import { isObject, type JsonObject, type KubeObject, listAt, textAt } from '../json.ts';
import { type Labels, matchLabelSelector } from '../store/selector.ts';
import type { AdmissionRequest } from './chain.ts';

const includes = (list: readonly unknown[], value: string): boolean => list.includes('*') || list.includes(value);

function ruleMatches(rule: JsonObject, { target, operation }: AdmissionRequest): boolean {
  const { resource, version, subresource } = target;
  if (!includes(listAt(rule, 'operations'), operation)) return false;
  if (!includes(listAt(rule, 'apiGroups'), resource.group)) return false;
  // matchPolicy Equivalent: any served version of the resource will do.
  const versions = listAt(rule, 'apiVersions');
  if (!includes(versions, version.name) && ![...resource.versions.keys()].some((name) => versions.includes(name)))
    return false;
  const scope = textAt(rule, 'scope') ?? '*';
  if (scope !== '*' && (scope === 'Namespaced') !== resource.namespaced) return false;
  return listAt(rule, 'resources')
    .map(String)
    .some((text) => {
      const [name, sub = ''] = text.split('/');
      if (text === '*/*') return true;
      return (name === '*' || name === resource.plural) && (sub === '*' || sub === subresource);
    });
}

/** Whether `hook` applies; `namespaceLabels` are those of the request's namespace. */
export function webhookMatches(
  hook: JsonObject,
  request: AdmissionRequest,
  namespaceLabels: Labels | undefined,
): boolean {
  if (
    !listAt(hook, 'rules')
      .filter(isObject)
      .some((rule) => ruleMatches(rule, request))
  )
    return false;
  const { target, object, before } = request;
  const scoped = target.resource.namespaced || target.resource.kind === 'Namespace';
  if (scoped && hook['namespaceSelector'] && !matchLabelSelector(hook['namespaceSelector'])(namespaceLabels))
    return false;
  if (!hook['objectSelector']) return true;
  const matches = matchLabelSelector(hook['objectSelector']);
  const labelled = (candidate: KubeObject | undefined): boolean =>
    candidate !== undefined && matches(candidate.metadata.labels);
  return labelled(object) || labelled(before);
}
