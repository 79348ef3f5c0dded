// SPDX-License-Identifier: Apache-2.0
//
// References of routes: from a backendRef to a service's port, or to the reason why not. A reference that leads nowhere
// keeps its share of the traffic, which is answered 500.

import { table } from '#lib/kit/table.ts';
import type { Target } from '#lib/mesh/http/route-table.ts';
import type { Reference, RouteContext, RouteKind } from './context.ts';
import type { ReferenceGrant } from './spec.ts';
import { GATEWAY_GROUP, ISTIO_GROUP, type ObjectRef } from './spec.ts';

/** Who refers: the route, and whether it stands before a service, where no grant is needed. */
export interface Referrer {
  readonly kind: RouteKind;
  readonly namespace: string;
  readonly mesh: boolean;
}

export interface RefProblem {
  readonly reason: 'InvalidKind' | 'BackendNotFound' | 'RefNotPermitted' | 'UnsupportedProtocol';
  readonly message: string;
}

export type ResolvedRef =
  | { readonly target: Target; readonly problem: undefined }
  | { readonly target: undefined; readonly problem: RefProblem };

const BACKEND_KINDS = table<string>({
  Service: '',
  Hostname: ISTIO_GROUP,
  ServiceEntry: ISTIO_GROUP,
  ServiceImport: 'multicluster.x-k8s.io',
});

function refused(reason: RefProblem['reason'], message: string): ResolvedRef {
  return { target: undefined, problem: { reason, message } };
}

export function resolveBackend(ref: ObjectRef, from: Referrer, context: RouteContext): ResolvedRef {
  const { group = '', kind = 'Service', name, namespace = from.namespace, port } = ref;
  if (BACKEND_KINDS[kind] !== group) {
    return refused('InvalidKind', `${group === '' ? 'core' : group}/${kind} cannot be a backend`);
  }
  const to: Reference = { group, kind, namespace, name };
  const text = `${kind} ${namespace}/${name}`;
  if (!from.mesh && namespace !== from.namespace) {
    const source = { group: GATEWAY_GROUP, kind: from.kind, namespace: from.namespace };
    if (!context.granted(source, to)) {
      return refused(
        'RefNotPermitted',
        `${text} is in another namespace, where no ReferenceGrant permits ${from.kind}s of ${from.namespace}`,
      );
    }
  }
  const service = context.service(to);
  if (service === undefined) return refused('BackendNotFound', `${text} does not exist`);
  const only = service.ports.length === 1 ? service.ports[0]?.port : undefined;
  const wanted = port ?? (kind === 'Service' ? undefined : only);
  if (wanted === undefined) return refused('BackendNotFound', `${text} is referred to without a port`);
  if (!service.ports.some((one) => one.port === wanted)) {
    return refused('BackendNotFound', `${text} has no port ${wanted}`);
  }
  return { target: { service: service.key, port: wanted, subset: '' }, problem: undefined };
}

/** Whether one of the grants of the target's namespace permits the reference. */
export function isGranted(grants: Iterable<ReferenceGrant>, from: Omit<Reference, 'name'>, to: Reference): boolean {
  for (const { spec } of grants) {
    const source = spec?.from?.some(
      (one) => one.group === from.group && one.kind === from.kind && one.namespace === from.namespace,
    );
    const target = spec?.to?.some(
      (one) =>
        one.group === to.group &&
        one.kind === to.kind &&
        (one.name === undefined || one.name === '' || one.name === to.name),
    );
    if (source === true && target === true) return true;
  }
  return false;
}
