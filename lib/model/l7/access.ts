// SPDX-License-Identifier: Apache-2.0
//
// Which waypoints enforce a policy, and for which of their services: a Service's or ServiceEntry's where that is
// bound, all traffic of a Gateway, or of all Gateways of a class.

import type { Collection, Fetch } from '#lib/collections/collection.ts';
import type { OwnGateway } from '../gateway/gateways.ts';
import type { SettingsCollection } from '../inputs.ts';
import type { ServiceEntry } from '../object/entry.ts';
import { namespaceOf } from '../object/object.ts';
import { accessTargets } from '../policy/access-policy.ts';
import type { AuthorizationPolicy } from '../policy/authorization-spec.ts';
import { settingsIn } from '../scope.ts';
import { hostnameOf } from '../workload/membership.ts';
import type { WaypointsOfServices } from './scoped.ts';

export interface TargetSources {
  readonly settings: SettingsCollection;
  readonly ownGateways: Collection<OwnGateway>;
  readonly serviceEntries: Collection<ServiceEntry>;
  readonly fronts: WaypointsOfServices;
}

/** Gateways that enforce the object, each with the keys of its services; none means all of its traffic. */
export function enforcers(
  object: Pick<AuthorizationPolicy, 'metadata' | 'spec'>,
  { fronts, ownGateways, serviceEntries, settings }: TargetSources,
  fetch: Fetch,
): ReadonlyMap<string, readonly string[]> {
  const { domain, rootNamespace } = settingsIn(settings, fetch);
  const namespace = namespaceOf(object);
  const targets = accessTargets(object, rootNamespace);
  const keys = [
    ...targets.services.map((name) => `${namespace}/${hostnameOf(name, namespace, domain)}`),
    ...targets.serviceEntries.flatMap((name) =>
      (fetch.get(serviceEntries, `${namespace}/${name}`)?.spec?.hosts ?? []).map((host) => `${namespace}/${host}`),
    ),
  ];
  const found = new Map<string, readonly string[]>();
  for (const key of keys) {
    for (const gateway of fronts.of(key, fetch)) found.set(gateway, [...(found.get(gateway) ?? []), key]);
  }
  for (const name of targets.gateways) {
    const gateway = `${namespace}/${name}`;
    if (fetch.get(ownGateways, gateway) !== undefined) found.set(gateway, []);
  }
  if (targets.gatewayClasses.length > 0) {
    for (const [gateway, { profile }] of fetch.all(ownGateways)) {
      if (targets.gatewayClasses.includes(profile.className)) found.set(gateway, []);
    }
  }
  return found;
}
