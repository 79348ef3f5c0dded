// SPDX-License-Identifier: Apache-2.0
//
// What a schema cannot say of a Telemetry.

import { parse } from '@bufbuild/cel';
import { own } from '#lib/kit/table.ts';
import { targetRefsOf } from '../policy/authorization-spec.ts';
import {
  type CustomTagSpec,
  isForServers,
  METRICS,
  type MetricOverrideSpec,
  type TelemetryObject,
  type TracingSpec,
} from '../telemetry/telemetry-spec.ts';
import { type ObjectProblem, ProblemList } from './problem.ts';
import { checkTargets } from './target-refs.ts';

const LABEL = /^[A-Za-z_][A-Za-z0-9_]*$/;
const HEADER = /^:?[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

export function checkTelemetry(object: TelemetryObject): ObjectProblem[] {
  const list = new ProblemList(object);
  const { spec } = object;
  checkTargets(list, spec);
  const targeted = targetRefsOf(spec).length > 0;
  (spec?.tracing ?? []).forEach((entry, i) => {
    checkTracing(list, entry, `spec.tracing[${i}]`);
    checkSide(list, entry.match, targeted, `spec.tracing[${i}]`);
  });
  (spec?.accessLogging ?? []).forEach((entry, i) => {
    const expression = entry.filter?.expression ?? '';
    if (expression !== '') checkCel(list, expression, `spec.accessLogging[${i}].filter.expression`);
    checkSide(list, entry.match, targeted, `spec.accessLogging[${i}]`);
  });
  (spec?.metrics ?? []).forEach(({ overrides }, i) => {
    (overrides ?? []).forEach((override, o) => {
      checkOverride(list, override, `spec.metrics[${i}].overrides[${o}]`);
    });
  });
  return list.problems;
}

/** A waypoint is on the server's side of all its requests. */
function checkSide(list: ProblemList, match: Parameters<typeof isForServers>[0], targeted: boolean, at: string): void {
  if (!targeted || isForServers(match)) return;
  list.warning('UnsupportedValue', `${at}.match.mode`, 'CLIENT has no effect at a waypoint', 'write SERVER');
}

function checkTracing(list: ProblemList, entry: TracingSpec, at: string): void {
  const { customTags = {}, providers = [], randomSamplingPercentage: percentage } = entry;
  if (percentage !== undefined && (percentage < 0 || percentage > 100)) {
    const field = `${at}.randomSamplingPercentage`;
    list.error('InvalidValue', field, `${percentage} is no percentage`, 'write 0 to 100');
  }
  if (providers.length > 1) {
    list.error('ConflictingFields', `${at}.providers`, 'traces go to one provider', 'keep one of them');
  }
  for (const [name, tag] of Object.entries(customTags)) checkTag(list, name, tag, `${at}.customTags[${name}]`);
}

function checkTag(list: ProblemList, name: string, tag: CustomTagSpec, at: string): void {
  if (name === '') list.error('MissingField', at, 'a tag has no name', 'name it');
  const given = (['literal', 'environment', 'header', 'formatter'] as const).filter((kind) => tag[kind] !== undefined);
  if (given.length !== 1) {
    list.error('ConflictingFields', at, `has ${given.length} kinds of value`, 'write literal, environment or header');
  }
  if (tag.formatter !== undefined) {
    list.warning('UnsupportedValue', `${at}.formatter`, 'is not known here, and the tag is left out', 'write header');
  }
  if (tag.environment !== undefined && (tag.environment.name ?? '') === '') {
    list.error('MissingField', `${at}.environment.name`, 'is required', 'name a variable');
  }
  if (tag.header !== undefined && !HEADER.test(tag.header.name ?? '')) {
    list.error('InvalidValue', `${at}.header.name`, 'can be no header', 'write a header’s name');
  }
}

function checkOverride(list: ProblemList, { match, tagOverrides = {} }: MetricOverrideSpec, at: string): void {
  const { customMetric, metric } = match ?? {};
  if (metric !== undefined && customMetric !== undefined) {
    list.error('ConflictingFields', `${at}.match.customMetric`, 'cannot stand beside metric', 'keep one of them');
  }
  const known = Object.values(METRICS).some(
    (name) => name !== '' && [name, `istio_${name}`].includes(customMetric ?? ''),
  );
  if (customMetric !== undefined && !known) {
    list.warning('UnsupportedValue', `${at}.match.customMetric`, `${customMetric} is no metric of waypoints`);
  }
  if (metric !== undefined && own(METRICS, metric) === undefined) {
    list.error(
      'UnknownValue',
      `${at}.match.metric`,
      `${metric} is no metric`,
      `write ${Object.keys(METRICS).join(', ')}`,
    );
  }
  for (const [tag, { operation, value = '' }] of Object.entries(tagOverrides)) {
    const field = `${at}.tagOverrides[${tag}]`;
    if (!LABEL.test(tag)) list.error('InvalidValue', field, 'can be no label', 'use letters, digits, _');
    if (operation === 'REMOVE') {
      if (value !== '') list.error('ConflictingFields', `${field}.value`, 'is not read beside REMOVE', 'remove it');
    } else if (value === '') {
      list.error('MissingField', `${field}.value`, 'is required', 'write an expression, or operation: REMOVE');
    } else checkCel(list, value, `${field}.value`);
  }
}

function checkCel(list: ProblemList, expression: string, field: string): void {
  try {
    parse(expression);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    list.error('InvalidValue', field, `is no expression of CEL: ${reason}`, 'write for example response.code >= 500');
  }
}
