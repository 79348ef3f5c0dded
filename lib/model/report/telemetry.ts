// SPDX-License-Identifier: Apache-2.0
//
// What authors of Telemetry objects are told: providers that nobody has, or that cannot take what they are named for;
// other objects for the same place, of which the oldest counts; and how each target stands.

import type { Collection, Fetch } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import { asKind, type SettingsCollection } from '../inputs.ts';
import { byAge, keyOf, namespaceOf } from '../object/object.ts';
import { targetRefsOf } from '../policy/authorization-spec.ts';
import { settingsIn } from '../scope.ts';
import { MESH_LOG } from '../telemetry/merge.ts';
import type { TelemetryObject } from '../telemetry/telemetry-spec.ts';
import { validateObject } from '../validate/object.ts';
import { type ObjectProblem, ProblemList } from '../validate/problem.ts';
import type { SchemaChecker } from '../validate/schema.ts';
import { targetCondition } from './policy-condition.ts';
import type { References } from './references.ts';
import { keyed, type ObjectReport, readable, reportOf, TELEMETRY_MANAGER } from './report.ts';

type Purpose = 'tracing' | 'accessLogging' | 'metrics';

const KINDS: Readonly<Record<Purpose, readonly string[]>> = {
  tracing: ['otlp-trace', 'zipkin-trace'],
  accessLogging: ['file-log', 'otlp-log'],
  metrics: ['prometheus'],
};
/** There whatever the mesh's settings say. */
const BUILT_IN: Readonly<Record<Purpose, string>> = { tracing: '', accessLogging: MESH_LOG, metrics: 'prometheus' };

export interface TelemetryReportSources {
  readonly schemas: SchemaChecker;
  readonly settings: SettingsCollection;
  readonly telemetries: Collection<TelemetryObject>;
}

export function createTelemetryReports(
  graph: Graph,
  sources: TelemetryReportSources,
  references: References,
): Collection<ObjectReport> {
  const { schemas, settings, telemetries } = sources;
  // Together by what they are for: a selector, or a namespace as a whole.
  const byScope = graph.index('telemetries by scope', telemetries, (object) => {
    const scope = scopeOf(object);
    return scope === undefined ? [] : [scope];
  });

  const sharing = (object: TelemetryObject, fetch: Fetch): ObjectProblem[] => {
    const scope = scopeOf(object);
    const [oldest] = scope === undefined ? [] : [...fetch.lookup(byScope, scope)].sort(byAge);
    if (oldest === undefined || keyOf(oldest) === keyOf(object)) return [];
    const list = new ProblemList(object);
    const message = `Telemetry ${keyOf(oldest)} is older and counts alone`;
    // `ambit analyze` looks for this by itself.
    if (object.spec?.selector === undefined) list.error('ScopeShared', 'spec', message, 'put both into one object');
    else list.error('SelectorShared', 'spec.selector', message, 'put both into one object');
    return list.problems;
  };

  const ofProviders = (object: TelemetryObject, fetch: Fetch): ObjectProblem[] => {
    const list = new ProblemList(object);
    const { extensionProviders } = settingsIn(settings, fetch);
    for (const purpose of ['tracing', 'accessLogging', 'metrics'] as const) {
      (object.spec?.[purpose] ?? []).forEach((entry, i) => {
        (entry.providers ?? []).forEach(({ name = '' }, p) => {
          const found = extensionProviders.find((one) => one.name === name);
          if (found === undefined ? name === BUILT_IN[purpose] : KINDS[purpose].includes(found.kind)) return;
          const message = found === undefined ? 'is not among extensionProviders' : `is no provider of ${purpose}`;
          list.missing(
            'warning',
            'ProviderNotUsable',
            `spec.${purpose}[${i}].providers[${p}].name`,
            `${name} ${message}`,
            'correct the name, or add the provider to the mesh’s settings',
            { kind: 'ConfigMap', namespace: settingsIn(settings, fetch).rootNamespace },
          );
        });
      });
    }
    return list.problems;
  };

  return keyed(graph, 'telemetry reports', telemetries, (object, _key, fetch) => {
    const typed = asKind(object, 'telemetries');
    const own = validateObject(typed, schemas);
    if (!readable(own)) return reportOf(typed, own);
    const problems = [...own, ...ofProviders(typed, fetch), ...sharing(typed, fetch)];
    if (targetRefsOf(typed.spec).length === 0) return reportOf(typed, problems);
    const targets = references.targetsOf(typed, fetch);
    return reportOf(typed, [...problems, ...targets.problems], targetCondition(targets, TELEMETRY_MANAGER));
  });
}

function scopeOf(object: TelemetryObject): string | undefined {
  if (targetRefsOf(object.spec).length > 0) return undefined;
  const labels = Object.entries(object.spec?.selector?.matchLabels ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return `${namespaceOf(object)} ${labels.map(([key, value]) => `${key}=${value}`).join(',')}`;
}
