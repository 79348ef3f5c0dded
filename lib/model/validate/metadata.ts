// SPDX-License-Identifier: Apache-2.0
//
// Labels and annotations that the mesh reads, on whatever kind they stand. A value nobody understands is as good as
// none, which is how a namespace stays out of the mesh unnoticed; so it is told.

import { table } from '#lib/kit/table.ts';
import { PROXY_CONFIG, readAnnotation } from '../gateway/proxy-config.ts';
import { readProxyHeaders } from '../gateway/proxy-headers.ts';
import * as names from '../object/names.ts';
import type { KubeObject } from '../object/object.ts';
import { annotationField, labelField, nearest, type ObjectProblem, ProblemList } from './problem.ts';

interface ValueRule {
  readonly kinds: readonly string[];
  readonly values: readonly string[];
}

const ENROLLED = ['Namespace', 'Pod'];
const WAYPOINT_USERS = ['Namespace', 'Pod', 'Service', 'ServiceAccount', 'ServiceEntry', 'WorkloadEntry'];

const LABEL_VALUES = table<ValueRule>({
  [names.DATAPLANE_MODE]: { kinds: ENROLLED, values: ['ambient', 'none'] },
  [names.WAYPOINT_FOR]: { kinds: ['Gateway', 'GatewayClass'], values: ['service', 'workload', 'all', 'none'] },
  [names.HTTP_METRICS]: { kinds: ['Namespace'], values: ['enabled', 'disabled'] },
  [names.INGRESS_USE_WAYPOINT]: { kinds: ['Namespace', 'Service', 'ServiceEntry'], values: ['true', 'false'] },
});

const ANNOTATION_VALUES = table<ValueRule>({
  [names.SAME_NODE]: { kinds: ['Namespace'], values: ['tunnel', 'join'] },
  [names.TRAFFIC_DISTRIBUTION]: {
    kinds: ['Namespace', 'Service', 'ServiceEntry'],
    values: ['PreferClose', 'PreferSameZone', 'PreferSameNode', 'Any'],
  },
  [names.DRY_RUN]: { kinds: ['AuthorizationPolicy'], values: ['true', 'false'] },
  'ambient.istio.io/bypass-inbound-capture': { kinds: ['Pod'], values: ['true', 'false'] },
  'ambient.istio.io/dns-capture': { kinds: ['Pod'], values: ['true', 'false'] },
});

/** Values of which letter case does not matter. */
const ANY_CASE = new Set<string>([names.TRAFFIC_DISTRIBUTION, names.DRY_RUN]);

const DNS_LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

export function checkMetadata(object: KubeObject): ObjectProblem[] {
  const list = new ProblemList(object);
  const kind = object.kind ?? '';
  for (const [name, value] of Object.entries(object.metadata.labels ?? {})) {
    const rule = LABEL_VALUES[name];
    if (rule !== undefined) checkValue(list, rule, kind, name, value, labelField(name), 'label');
  }
  for (const [name, value] of Object.entries(object.metadata.annotations ?? {})) {
    const rule = ANNOTATION_VALUES[name];
    if (rule !== undefined) checkValue(list, rule, kind, name, value, annotationField(name), 'annotation');
    if (name === PROXY_CONFIG && kind === 'Gateway') checkProxyConfig(list, value);
  }
  if (WAYPOINT_USERS.includes(kind)) checkWaypointLabels(list, object);
  return list.problems;
}

/** Of a Gateway, where what cannot be read has no effect. */
function checkProxyConfig(list: ProblemList, text: string): void {
  const at = annotationField(PROXY_CONFIG);
  const read = readAnnotation(text);
  if (read.ok) {
    const complain = (field: string, message: string, fix: string): void =>
      list.warning('InvalidValue', at, `${field} ${message}`, fix);
    readProxyHeaders(read.value['proxyHeaders'], complain);
    return;
  }
  for (const { fix = '', message } of read.problems) list.warning('InvalidValue', at, message, fix);
}

function checkValue(
  list: ProblemList,
  rule: ValueRule,
  kind: string,
  name: string,
  value: string,
  field: string,
  what: string,
): void {
  if (!rule.kinds.includes(kind)) {
    list.warning(
      'UnknownField',
      field,
      `${what} ${name} has no meaning on a ${kind}`,
      `set it on a ${rule.kinds.join(' or a ')}`,
    );
    return;
  }
  const known = ANY_CASE.has(name)
    ? rule.values.some((one) => one.toLowerCase() === value.toLowerCase())
    : rule.values.includes(value);
  if (known) return;
  const guess = nearest(value, rule.values);
  list.error(
    'UnknownValue',
    field,
    `value "${value}" is not known, so the ${what} has no effect`,
    guess === undefined
      ? `write ${rule.values.join(' or ')}`
      : `did you mean "${guess}"? Known: ${rule.values.join(', ')}`,
  );
}

function checkWaypointLabels(list: ProblemList, object: KubeObject): void {
  const labels = object.metadata.labels ?? {};
  for (const name of [
    names.USE_WAYPOINT,
    names.USE_WAYPOINT_NAMESPACE,
    names.USE_WAYPOINT_CANARY,
    names.USE_WAYPOINT_CANARY_NAMESPACE,
  ]) {
    const value = labels[name];
    if (value !== undefined && !DNS_LABEL.test(value)) {
      list.error('InvalidValue', labelField(name), `"${value}" can be no name`, 'write the name of a Gateway');
    }
  }
  if (labels[names.USE_WAYPOINT_NAMESPACE] !== undefined && labels[names.USE_WAYPOINT] === undefined) {
    list.warning(
      'MissingField',
      labelField(names.USE_WAYPOINT_NAMESPACE),
      'names a namespace, but no waypoint is asked for',
      `add label ${names.USE_WAYPOINT}`,
    );
  }
  const weight = object.metadata.annotations?.[names.USE_WAYPOINT_CANARY_WEIGHT];
  if (weight !== undefined && (!/^\d{1,3}$/.test(weight) || Number(weight) > 100)) {
    list.error(
      'InvalidValue',
      annotationField(names.USE_WAYPOINT_CANARY_WEIGHT),
      `"${weight}" is no share`,
      'write a number from 0 to 100',
    );
  }
}
