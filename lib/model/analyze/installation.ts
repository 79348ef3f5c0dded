// SPDX-License-Identifier: Apache-2.0
//
// Analyzers of what is installed: the definitions of Gateway API's kinds, istiod's settings, and other clusters.

import { own, table } from '#lib/kit/table.ts';
import { INPUT_KINDS } from '../inputs.ts';
import { namespaceOf } from '../object/object.ts';
import type { ParsedObject } from '../validate/documents.ts';
import { describeObject } from '../validate/problem.ts';
import { type Analyzer, type Anything, finding, list, ofKind, text } from './analyzer.ts';
import type { Finding } from './finding.ts';

const GATEWAY_API = 'gateway.networking.k8s.io';
const BUNDLE = `${GATEWAY_API}/bundle-version`;
/** The first release of Gateway API in which a kind is as we read it, where that is not the first with the version. */
const SINCE = table<string>({ GRPCRoute: '1.1.0', BackendTLSPolicy: '1.4.0', TLSRoute: '1.5.0', TCPRoute: '1.6.0' });
/** Of the kinds we read, the version. */
const READ = table<string>(
  Object.fromEntries(
    Object.values(INPUT_KINDS)
      .filter(({ apiVersion }) => apiVersion.startsWith(`${GATEWAY_API}/`))
      .map(({ apiVersion, kind }) => [kind, apiVersion.slice(GATEWAY_API.length + 1)]),
  ),
);

/** IST0156: a kind in no version that istiod reads. IST0176: one from before it was as we read it. */
const definitions: Analyzer = (objects) =>
  ofKind(objects, 'CustomResourceDefinition').flatMap(({ object, one }): Finding[] => {
    const { metadata, spec } = object;
    const kind = text((spec?.['names'] as { readonly kind?: unknown } | undefined)?.kind);
    const version = own(READ, kind);
    if (spec?.['group'] !== GATEWAY_API || version === undefined) return [];
    const bundle = (own(metadata.annotations, BUNDLE) ?? '').replace(/^v/, '');
    const from = bundle === '' ? '' : ` (Gateway API ${bundle})`;
    const served = list<{ readonly name?: string; readonly served?: boolean }>(spec['versions']).filter(
      (it) => it.served !== false,
    );
    if (!served.some(({ name }) => name === version)) {
      const message = `${kind}${from} is not served as ${version}, which istiod reads: its objects have no effect; install a newer Gateway API`;
      return [finding(one, 'spec.versions', { code: 'IST0156', level: 'Error', message })];
    }
    const since = own(SINCE, kind);
    if (since === undefined || bundle === '' || !isOlder(bundle, since)) return [];
    const message = `${kind}${from} is older than ${since}, the first that is known to be understood; install a newer Gateway API`;
    return [finding(one, 'metadata.annotations', { code: 'IST0176', level: 'Warning', message })];
  });

/** By major, minor and patch. */
function isOlder(version: string, than: string): boolean {
  const parts = (of: string): number[] => of.split(/[.-]/, 3).map((part) => Number(part) || 0);
  const [a, b] = [parts(version), parts(than)];
  const i = b.findIndex((part, at) => part !== (a[at] ?? 0));
  return i !== -1 && (a[i] ?? 0) < b[i]!;
}

const BLOCKED = 'BLOCKED_CIDRS_IN_JWKS_URIS';

interface Container {
  readonly env?: readonly { readonly name?: string; readonly value?: string }[];
}

/** IST0175: authors of RequestAuthentications choose what istiod fetches. Where no istiod is known, nobody can tell. */
const keySets: Analyzer = (objects) => {
  const containers = ofKind(objects, 'Deployment')
    .filter(({ object }) => own(object.metadata.labels, 'app') === 'istiod')
    .flatMap(({ object }) => {
      const template = object.spec?.['template'] as { readonly spec?: { readonly containers?: unknown } } | undefined;
      return list<Container>(template?.spec?.containers);
    });
  const restricted = ({ env }: Container): boolean =>
    list<{ readonly name?: string; readonly value?: string }>(env).some(
      ({ name, value }) => name === BLOCKED && value !== '',
    );
  if (containers.length === 0 || containers.some(restricted)) return [];
  return ofKind(objects, 'RequestAuthentication').flatMap(({ object, one }) =>
    list<{ readonly jwks?: string; readonly jwksUri?: string }>(object.spec?.['jwtRules']).flatMap((rule, i) => {
      // Without an address it is the issuer's own configuration that is fetched.
      if (text(rule.jwks) !== '') return [];
      const message = `istiod fetches keys from wherever this says, also inside the cluster; close ranges to it by ${BLOCKED}`;
      return [finding(one, `spec.jwtRules[${i}]`, { code: 'IST0175', level: 'Warning', message })];
    }),
  );
};

/** IST0170: a Service that is not the same in another cluster: behind one name, clients meet different ports or kinds. */
export function inconsistentServices(objects: readonly ParsedObject[], remote: readonly ParsedObject[]): Finding[] {
  const known = new Map(ofKind(objects, 'Service').map((it) => [describeObject(it.object), it]));
  return ofKind(remote, 'Service').flatMap(({ object }): Finding[] => {
    const here = known.get(describeObject(object));
    if (here === undefined || namespaceOf(object) === 'kube-system' || object.metadata.name === 'kubernetes') return [];
    const differs = differenceOf(here.object, object);
    if (differs === undefined) return [];
    const message = `${differs} differ from those in cluster ${object.cluster}; make the Services alike`;
    return [finding(here.one, 'spec', { code: 'IST0170', level: 'Warning', message })];
  });
}

function differenceOf(a: Anything, b: Anything): string | undefined {
  const ports = ({ spec }: Anything): string =>
    list<Readonly<Record<string, unknown>>>(spec?.['ports'])
      .map(({ name = '', port, protocol = 'TCP' }) => `${text(name)} ${String(port)} ${text(protocol)}`)
      .sort()
      .join();
  const headless = ({ spec }: Anything): boolean => spec?.['clusterIP'] === 'None';
  if (ports(a) !== ports(b)) return 'its ports';
  if (headless(a) !== headless(b)) return 'its addresses (headless or not)';
  return text(a.spec?.['type'] ?? 'ClusterIP') === text(b.spec?.['type'] ?? 'ClusterIP') ? undefined : 'its types';
}

export const INSTALLATION_ANALYZERS: readonly Analyzer[] = [definitions, keySets];
