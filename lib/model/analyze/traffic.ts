// SPDX-License-Identifier: Apache-2.0
//
// Analyzers of what waypoints obey: DestinationRules, VirtualServices, Telemetries.

import { own } from '#lib/kit/table.ts';
import { namespaceOf } from '../object/object.ts';
import type { ParsedObject } from '../validate/documents.ts';
import { describeObject } from '../validate/problem.ts';
import { type Analyzer, type Anything, finding, list, ofKind, text } from './analyzer.ts';

type Labels = Readonly<Record<string, string>>;

/** A short name is a service of the rule's own namespace. */
function hostsNamed(object: Anything): string[] {
  const host = text(object.spec?.['host']);
  return host.includes('.') ? [host] : [host, `${host}.${namespaceOf(object)}.svc`];
}

/** Services and hosts of ServiceEntries that a DestinationRule may mean, each with the selector of its pods. */
function targets(objects: readonly ParsedObject[]): Map<string, { readonly space: string; readonly selector: Labels }> {
  const found = new Map<string, { readonly space: string; readonly selector: Labels }>();
  for (const { object } of ofKind(objects, 'Service')) {
    const space = namespaceOf(object);
    const selector = (object.spec?.['selector'] ?? {}) as Labels;
    const name = `${object.metadata.name}.${space}`;
    for (const host of [name, `${name}.svc`, `${name}.svc.cluster.local`]) found.set(host, { space, selector });
  }
  for (const { object } of ofKind(objects, 'ServiceEntry')) {
    const selector = (object.spec?.['workloadSelector'] as { readonly labels?: Labels } | undefined)?.labels ?? {};
    for (const host of list<string>(object.spec?.['hosts'])) found.set(host, { space: namespaceOf(object), selector });
  }
  return found;
}

/** IST0174: a rule for a host that nobody has. Where no service is known at all, nobody can tell. */
const hosts: Analyzer = (objects) => {
  const known = targets(objects);
  if (known.size === 0) return [];
  return ofKind(objects, 'DestinationRule').flatMap(({ object, one }) => {
    const named = hostsNamed(object);
    // A wildcard is for whatever comes.
    if (named[0] === '' || named[0]!.startsWith('*') || named.some((host) => known.has(host))) return [];
    const message = `spec.host: ${named[0]} is no Service and no host of a ServiceEntry: the rule has no effect`;
    return [finding(one, 'spec.host', { code: 'IST0174', level: 'Warning', message })];
  });
};

/** IST0173: a subset that no pod of the service is in. Where no pod is known, as in files, nobody can tell. */
const subsets: Analyzer = (objects) => {
  const known = targets(objects);
  const pods = [...ofKind(objects, 'Pod'), ...ofKind(objects, 'WorkloadEntry')].map(({ object }) => object);
  const selected = (space: string, wanted: Labels): Anything[] =>
    pods.filter(
      (pod) =>
        namespaceOf(pod) === space &&
        Object.entries(wanted).every(([key, value]) => own(pod.metadata.labels, key) === value),
    );
  return ofKind(objects, 'DestinationRule').flatMap(({ object, one }) => {
    const target = hostsNamed(object).flatMap((host) => known.get(host) ?? [])[0];
    if (target === undefined || Object.keys(target.selector).length === 0) return [];
    if (selected(target.space, target.selector).length === 0) return [];
    return list<{ readonly name?: string; readonly labels?: Labels }>(object.spec?.['subsets']).flatMap((subset, i) => {
      if (selected(target.space, { ...target.selector, ...subset.labels }).length > 0) return [];
      const message = `subset ${subset.name} selects none of the pods of ${text(object.spec?.['host'])}: what is routed to it fails`;
      return [finding(one, `spec.subsets[${i}]`, { code: 'IST0173', level: 'Error', message })];
    });
  });
};

/** IST0159 and IST0160: of several Telemetries for the same pods of a namespace only one counts. */
const telemetries: Analyzer = (objects) => {
  const first = new Map<string, string>();
  return ofKind(objects, 'Telemetry').flatMap(({ object, one }) => {
    const { spec } = object;
    if (spec?.['targetRef'] !== undefined || list(spec?.['targetRefs']).length > 0) return [];
    const labels = (spec?.['selector'] as { readonly matchLabels?: Labels } | undefined)?.matchLabels ?? {};
    const wanted = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
    const key = `${namespaceOf(object)} ${JSON.stringify(wanted)}`;
    const other = first.get(key);
    first.set(key, other ?? describeObject(object));
    if (other === undefined) return [];
    const same = wanted.length === 0 ? 'is for its whole namespace' : 'selects the same pods';
    const message = `${same}, as ${other} is: only the older one counts; make them one`;
    const code = wanted.length === 0 ? 'IST0160' : 'IST0159';
    return [finding(one, wanted.length === 0 ? '' : 'spec.selector', { code, level: 'Error', message })];
  });
};

const CLAIMS = '@request.auth.claims';

/** IST0149: routes by a token's claims where no token is ever checked, so that no request has claims. */
const claims: Analyzer = (objects) => {
  const checked = new Set(ofKind(objects, 'RequestAuthentication').map(({ object }) => namespaceOf(object)));
  return ofKind(objects, 'VirtualService').flatMap(({ object, one }) => {
    const rules = list<{ readonly match?: readonly { readonly headers?: object; readonly withoutHeaders?: object }[] }>(
      object.spec?.['http'],
    );
    const used = rules.some(({ match }) =>
      list<{ readonly headers?: object; readonly withoutHeaders?: object }>(match).some((it) =>
        [...Object.keys(it.headers ?? {}), ...Object.keys(it.withoutHeaders ?? {})].some((key) =>
          key.startsWith(CLAIMS),
        ),
      ),
    );
    if (!used || checked.has(namespaceOf(object)) || checked.has('istio-system')) return [];
    const message = `routes by ${CLAIMS}, and no RequestAuthentication of its namespace or the root namespace checks tokens`;
    return [finding(one, 'spec.http', { code: 'IST0149', level: 'Error', message })];
  });
};

export const TRAFFIC_ANALYZERS: readonly Analyzer[] = [hosts, subsets, telemetries, claims];
