// SPDX-License-Identifier: Apache-2.0
//
// PeerAuthentication: is plaintext let in? Node proxies know no such switch; STRICT reaches them as a denial of peers
// without identity, per-port exceptions as denials of their own.

import { STATIC_STRICT } from '#lib/mesh/authorize.ts';
import { EMPTY_MATCH, type Match, type Policy } from '#lib/mesh/policy.ts';
import { byAge, type CustomObject, namespaceOf, type Selector } from '../object/object.ts';
import type { Labels } from '../object/selector.ts';

export type MtlsMode = 'UNSET' | 'DISABLE' | 'PERMISSIVE' | 'STRICT';

export interface PeerAuthentication extends CustomObject {
  readonly spec?: {
    readonly selector?: Selector;
    readonly mtls?: { readonly mode?: string };
    readonly portLevelMtls?: Readonly<Record<string, { readonly mode?: string }>>;
  } & Readonly<Record<string, unknown>>;
}

const NO_IDENTITY: Match = { ...EMPTY_MATCH, principals: { any: [], none: [{ kind: 'presence', value: '' }] } };

/** Sent whenever there is any PeerAuthentication. */
export function staticStrictPolicy(rootNamespace: string): Policy {
  return {
    key: `${rootNamespace}/${STATIC_STRICT}`,
    namespace: rootNamespace,
    name: STATIC_STRICT,
    scope: 'selector',
    action: 'deny',
    dryRun: false,
    rules: [{ clauses: [{ matches: [NO_IDENTITY] }] }],
  };
}

/** A word nobody knows counts as STRICT: whoever wrote it meant to change something, and refusing is the safe reading. */
export function modeOf(text: string | undefined): MtlsMode {
  if (text === undefined || text === '') return 'UNSET';
  return text === 'UNSET' || text === 'PERMISSIVE' || text === 'DISABLE' ? text : 'STRICT';
}

export function selectorOf(object: PeerAuthentication): Labels | undefined {
  const wanted = object.spec?.selector?.matchLabels;
  return wanted === undefined || Object.keys(wanted).length === 0 ? undefined : wanted;
}

/** The oldest of several counts. */
export function oldest(objects: readonly PeerAuthentication[]): PeerAuthentication | undefined {
  return objects.reduce<PeerAuthentication | undefined>(
    (best, one) => (best === undefined || byAge(one, best) < 0 ? one : best),
    undefined,
  );
}

/** Mode for a namespace from its own object and the mesh's; UNSET asks the level above, and the top is PERMISSIVE. */
export function inheritedMode(
  ofNamespace: PeerAuthentication | undefined,
  ofMesh: PeerAuthentication | undefined,
): MtlsMode {
  for (const object of [ofNamespace, ofMesh]) {
    const mode = modeOf(object?.spec?.mtls?.mode);
    if (mode !== 'UNSET') return mode;
  }
  return 'PERMISSIVE';
}

/** Whether plaintext is refused, and the workload ports where the opposite holds. */
export interface EffectiveMode {
  readonly strict: boolean;
  readonly exceptions: readonly number[];
}

/** DISABLE counts as PERMISSIVE: the tunnel's proxy always takes tunnels. */
export function effectiveMode(object: PeerAuthentication | undefined, inherited: MtlsMode): EffectiveMode {
  const own = modeOf(object?.spec?.mtls?.mode);
  const strict = (own === 'UNSET' ? inherited : own) === 'STRICT';
  const exceptions = Object.entries(object?.spec?.portLevelMtls ?? {})
    .filter(([, { mode }]) => modeOf(mode) !== 'UNSET' && (modeOf(mode) === 'STRICT') !== strict)
    .map(([port]) => Number(port))
    .filter((port) => Number.isInteger(port) && port > 0 && port <= 65535);
  return { strict, exceptions: exceptions.sort((a, b) => a - b) };
}

export function convertedKey(object: PeerAuthentication): string {
  return `${namespaceOf(object)}/${convertedName(object)}`;
}

function convertedName(object: PeerAuthentication): string {
  return `converted_peer_authentication_${object.metadata.name}`;
}

/** The denial that a PeerAuthentication with port modes becomes; undefined when it has no exceptions to state. */
export function convertPeerAuthentication(
  object: PeerAuthentication,
  inherited: MtlsMode,
  rootNamespace: string,
): Policy | undefined {
  if (namespaceOf(object) === rootNamespace || selectorOf(object) === undefined) return undefined;
  const { strict, exceptions } = effectiveMode(object, inherited);
  if (exceptions.length === 0) return undefined;
  const ports = (any: readonly number[], none: readonly number[]): Match => ({
    ...EMPTY_MATCH,
    destinationPorts: { any, none },
  });
  return {
    key: convertedKey(object),
    namespace: namespaceOf(object),
    name: convertedName(object),
    scope: 'selector',
    action: 'deny',
    dryRun: false,
    rules: strict
      ? [
          {
            clauses: [{ matches: [NO_IDENTITY] }, ...exceptions.map((port) => ({ matches: [ports([], [port])] }))],
          },
        ]
      : exceptions.map((port) => ({
          clauses: [{ matches: [{ ...NO_IDENTITY, destinationPorts: { any: [port], none: [] } }] }],
        })),
  };
}

/** Keys of the policies that PeerAuthentication binds to a workload. */
export function peerPolicyKeys(
  object: PeerAuthentication | undefined,
  inherited: MtlsMode,
  rootNamespace: string,
): readonly string[] {
  const { strict, exceptions } = effectiveMode(object, inherited);
  if (object !== undefined && exceptions.length > 0) return [convertedKey(object)];
  return strict ? [`${rootNamespace}/${STATIC_STRICT}`] : [];
}
