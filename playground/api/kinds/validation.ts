// SPDX-License-Identifier: Apache-2.0
// What the API refuses in core kinds beyond their schema: the rules people meet (immutable fields, selectors that do
// not match, duplicate names), not every rule of Kubernetes.
import type { Problem } from '#lib/kit/result.ts';
import { at, equal, isObject, type Json, type JsonObject, type KubeObject, listAt, objectAt, textAt } from '../json.ts';
import { matchLabelSelector } from '../store/selector.ts';
import { validateCrd } from './crd-validation.ts';

export type Validate = (object: KubeObject, before: KubeObject | undefined) => Problem[];

const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
const PATH_SEGMENT = /^(?!\.{1,2}$)[^/%]+$/;
const KEY = /^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?$/;
const VALUE = /^([A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?)?$/;
const LABEL_NAMED = new Set(['Namespace', 'Service']);
const FREELY_NAMED = /^(Cluster)?Role(Binding)?$/;

const problem = (field: string, message: string): Problem => ({ field, message });
const invalidValue = (field: string, value: Json | undefined, why: string): Problem =>
  problem(field, `Invalid value: ${JSON.stringify(value ?? null)}: ${why}`);

/** Name, labels and finalizers of any object. */
export function validateMetadata(object: KubeObject): Problem[] {
  const problems: Problem[] = [];
  const { name = '', labels, annotations } = object.metadata;
  if (name === '') problems.push(problem('metadata.name', 'Required value: name or generateName is required'));
  else if (FREELY_NAMED.test(object.kind)) {
    if (!PATH_SEGMENT.test(name)) problems.push(invalidValue('metadata.name', name, 'may not contain "/" or "%"'));
  } else if (LABEL_NAMED.has(object.kind)) {
    if (!LABEL.test(name))
      problems.push(
        invalidValue(
          'metadata.name',
          name,
          "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
        ),
      );
  } else if (!SUBDOMAIN.test(name) || name.includes('..'))
    problems.push(
      invalidValue(
        'metadata.name',
        name,
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
      ),
    );
  for (const [key, value] of Object.entries(labels ?? {})) {
    if (!KEY.test(key)) problems.push(invalidValue('metadata.labels', key, 'is no qualified name'));
    if (typeof value !== 'string' || !VALUE.test(value))
      problems.push(
        invalidValue(
          'metadata.labels',
          value,
          "a valid label must be an empty string or consist of at most 63 alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
        ),
      );
  }
  for (const key of Object.keys(annotations ?? {}))
    if (!KEY.test(key.toLowerCase())) problems.push(invalidValue('metadata.annotations', key, 'is no qualified name'));
  return problems;
}

const immutable = (object: KubeObject, before: KubeObject | undefined, ...path: string[]): Problem[] =>
  before === undefined || equal(at(object, ...path), at(before, ...path))
    ? []
    : [invalidValue(path.join('.'), at(object, ...path), 'field is immutable')];

function duplicateNames(items: Json[], field: string): Problem[] {
  const seen = new Set<string>();
  return items.flatMap((item, index) => {
    const name = textAt(item, 'name') ?? '';
    const twice = seen.has(name);
    seen.add(name);
    return twice ? [problem(`${field}[${index}].name`, `Duplicate value: ${JSON.stringify(name)}`)] : [];
  });
}

function podSpec(spec: JsonObject, path: string): Problem[] {
  const containers = listAt(spec, 'containers');
  const problems = [
    ...(containers.length === 0 ? [problem(`${path}.containers`, 'Required value')] : []),
    ...duplicateNames([...containers, ...listAt(spec, 'initContainers')], `${path}.containers`),
    ...duplicateNames(listAt(spec, 'volumes'), `${path}.volumes`),
  ];
  const volumes = new Set(listAt(spec, 'volumes').map((volume) => textAt(volume, 'name')));
  for (const list of ['initContainers', 'containers'])
    listAt(spec, list).forEach((container, index) => {
      const place = `${path}.${list}[${index}]`;
      const name = textAt(container, 'name') ?? '';
      if (!LABEL.test(name)) problems.push(invalidValue(`${place}.name`, name, 'must be a lowercase RFC 1123 label'));
      if (!textAt(container, 'image')) problems.push(problem(`${place}.image`, 'Required value'));
      listAt(container, 'volumeMounts').forEach((mount, position) => {
        const volume = textAt(mount, 'name');
        if (!volumes.has(volume))
          problems.push(problem(`${place}.volumeMounts[${position}].name`, `Not found: ${JSON.stringify(volume)}`));
      });
    });
  return problems;
}

const POD_MAY_CHANGE = [
  'activeDeadlineSeconds',
  'terminationGracePeriodSeconds',
  'tolerations',
  'schedulingGates',
  'nodeName',
  'ephemeralContainers',
];

function pod(object: KubeObject, before: KubeObject | undefined): Problem[] {
  const spec = objectAt(object, 'spec');
  const problems = podSpec(spec, 'spec');
  if (!before) return problems;
  const frozen = (from: JsonObject): JsonObject => {
    const rest: JsonObject = { ...from };
    for (const name of POD_MAY_CHANGE) delete rest[name];
    for (const list of ['containers', 'initContainers'])
      if (Array.isArray(rest[list]))
        rest[list] = listAt(rest, list).map((item) => (isObject(item) ? { ...item, image: '' } : item));
    return rest;
  };
  const old = objectAt(before, 'spec');
  if (!equal(frozen(spec), frozen(old)))
    problems.push(
      problem(
        'spec',
        'Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds`',
      ),
    );
  if (old['nodeName'] && old['nodeName'] !== spec['nodeName'])
    problems.push(invalidValue('spec.nodeName', spec['nodeName'], 'field is immutable'));
  return problems;
}

const workload: Validate = (object, before) => {
  const labels = objectAt(object, 'spec', 'template', 'metadata')['labels'];
  const selector = objectAt(object, 'spec')['selector'];
  const matches = matchLabelSelector(selector)(isObject(labels) ? (labels as Record<string, string>) : undefined);
  return [
    ...podSpec(objectAt(object, 'spec', 'template', 'spec'), 'spec.template.spec'),
    ...(selector === undefined ? [problem('spec.selector', 'Required value')] : []),
    ...(matches
      ? []
      : [invalidValue('spec.template.metadata.labels', labels, '`selector` does not match template `labels`')]),
    ...immutable(object, before, 'spec', 'selector'),
  ];
};

function service(object: KubeObject, before: KubeObject | undefined): Problem[] {
  const spec = objectAt(object, 'spec');
  const ports = listAt(spec, 'ports');
  const problems = ports.length > 1 ? duplicateNames(ports, 'spec.ports') : [];
  const headless = spec['clusterIP'] === 'None';
  if (ports.length === 0 && !headless && spec['type'] !== 'ExternalName')
    problems.push(problem('spec.ports', 'Required value'));
  ports.forEach((port, index) => {
    const number = objectAt(port)['port'];
    if (typeof number !== 'number' || number < 1 || number > 65_535)
      problems.push(invalidValue(`spec.ports[${index}].port`, number, 'must be between 1 and 65535, inclusive'));
    if (ports.length > 1 && !textAt(port, 'name'))
      problems.push(problem(`spec.ports[${index}].name`, 'Required value'));
  });
  if (spec['type'] === 'ExternalName' && !spec['externalName'])
    problems.push(problem('spec.externalName', 'Required value'));
  const old = textAt(before, 'spec', 'clusterIP');
  if (old && textAt(before, 'spec', 'type') !== 'ExternalName' && spec['type'] !== 'ExternalName')
    problems.push(...immutable(object, before, 'spec', 'clusterIP'));
  return problems;
}

const frozenData: Validate = (object, before) =>
  before?.['immutable'] === true &&
  (!equal(object['data'], before['data']) || !equal(object['binaryData'], before['binaryData']))
    ? [problem('data', 'Forbidden: field is immutable when `immutable` is set')]
    : [];

export const VALIDATIONS: Readonly<Record<string, Validate>> = {
  CustomResourceDefinition: validateCrd,
  Pod: pod,
  Deployment: workload,
  ReplicaSet: workload,
  DaemonSet: workload,
  StatefulSet: workload,
  Job: (object, before) => [...workload(object, before), ...immutable(object, before, 'spec', 'template')],
  Service: service,
  ConfigMap: frozenData,
  Secret: (object, before) => [...frozenData(object, before), ...immutable(object, before, 'type')],
  RoleBinding: (object, before) => immutable(object, before, 'roleRef'),
  ClusterRoleBinding: (object, before) => immutable(object, before, 'roleRef'),
  EndpointSlice: (object, before) => immutable(object, before, 'addressType'),
};
