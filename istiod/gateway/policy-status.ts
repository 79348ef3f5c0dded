// SPDX-License-Identifier: Apache-2.0
// Statuses of policies that are attached to something: a list of ancestors for all controllers, of which only our entries
// are touched. Pure, but for the wiring.

import { isDeepStrictEqual } from 'node:util';
import type { Condition, GenericObject } from '#lib/kube/object.ts';
import { objectKey } from '#lib/kube/object.ts';
import type { PolicyStatus } from '#lib/model/l7/policy-ancestors.ts';
import type { ObjectStatusWriter, Status, StatusTarget } from '../status/object-status.ts';
import type { Informers } from '../watch/informers.ts';
import type { MeshModel } from '../watch/mesh-model.ts';
import { mergeConditions, sameStatus } from './next-status.ts';
import { routeController } from './route-status.ts';

interface AncestorEntry {
  readonly ancestorRef?: Status;
  readonly controllerName?: string;
  readonly conditions?: readonly Condition[];
}

/** Name by which policies' statuses know the part of us that obeys them within the mesh. */
export function meshController(ownOnly: boolean): string {
  return ownOnly ? 'ambit.dev/mesh-controller' : 'istio.io/mesh-controller';
}

export function nextPolicyStatus(
  object: GenericObject,
  wanted: PolicyStatus | undefined,
  ownOnly: boolean,
  now: number,
): Status | undefined {
  const [mesh, gateway] = [meshController(ownOnly), routeController(ownOnly)];
  const existing = (object.status?.['ancestors'] ?? []) as readonly AncestorEntry[];
  const others = existing.filter(({ controllerName }) => controllerName !== mesh && controllerName !== gateway);
  const own = (wanted?.ancestors ?? []).map((ancestor) => {
    const controllerName = ancestor.gateway ? gateway : mesh;
    const { group = '', kind = '', name = '', namespace, sectionName } = ancestor.ref;
    const ancestorRef = { group, kind, namespace, name, ...(sectionName !== undefined && { sectionName }) };
    const known = existing.find(
      (entry) => entry.controllerName === controllerName && isDeepStrictEqual(entry.ancestorRef, ancestorRef),
    );
    const values = ancestor.conditions.map((one) => ({
      ...one,
      status: one.status ? ('True' as const) : ('False' as const),
    }));
    const conditions = mergeConditions(known?.conditions ?? [], values, object.metadata.generation, now);
    return { ancestorRef, controllerName, conditions };
  });
  const status = { ...object.status, ancestors: [...others, ...own] };
  return sameStatus(status, object.status) ? undefined : status;
}

export function policyTargets(
  informers: Informers,
  mesh: MeshModel,
  ownOnly: boolean,
): Readonly<Record<string, StatusTarget>> {
  const { backendTrafficStatuses, policyStatuses } = mesh.model.layer7;
  return {
    BackendTLSPolicy: {
      informer: informers.backendTlsPolicies,
      next: (object, now) => nextPolicyStatus(object, policyStatuses.get(objectKey(object)), ownOnly, now),
    },
    XBackendTrafficPolicy: {
      informer: informers.backendTrafficPolicies,
      next: (object, now) => nextPolicyStatus(object, backendTrafficStatuses.get(objectKey(object)), ownOnly, now),
    },
  };
}

/** Tells the writer whenever the model says something else. */
export function followPolicies(mesh: MeshModel, writer: ObjectStatusWriter): void {
  const { backendTrafficStatuses, policyStatuses } = mesh.model.layer7;
  policyStatuses.subscribe((changes) => {
    for (const { key } of changes) writer.changed('BackendTLSPolicy', key);
  });
  backendTrafficStatuses.subscribe((changes) => {
    for (const { key } of changes) writer.changed('XBackendTrafficPolicy', key);
  });
}
