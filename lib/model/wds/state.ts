// SPDX-License-Identifier: Apache-2.0
//
// What a WDS client holds: resources go in as they arrive, a MapMesh comes out. One bad resource rejects itself alone;
// updates and removals of one response are applied in one synchronous step, so no decision sees half of them.

import { fromBinary } from '@bufbuild/protobuf';
import { formatProblem, type Problem, type Result } from '#lib/kit/result.ts';
import { MapMesh } from '#lib/mesh/map-mesh.ts';
import type { Service } from '#lib/mesh/service.ts';
import type { Workload } from '#lib/mesh/workload.ts';
import { AuthorizationSchema } from '#lib/proto/gen/authorization_pb.ts';
import { AddressSchema } from '#lib/proto/gen/workload_pb.ts';
import { type DecodedPolicy, decodePolicy } from './decode-policy.ts';
import { decodeService } from './decode-service.ts';
import { decodeWorkload } from './decode-workload.ts';

export const ADDRESS_TYPE = 'type.googleapis.com/istio.workload.Address';
export const AUTHORIZATION_TYPE = 'type.googleapis.com/istio.security.Authorization';

/** One resource of a response: its name and the bytes inside its Any. */
export interface ResourceBytes {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface Rejection {
  readonly name: string;
  /** For the NACK: what is wrong, one sentence. */
  readonly reason: string;
}

export type DecodedAddress =
  | { readonly kind: 'workload'; readonly workload: Workload }
  | { readonly kind: 'service'; readonly service: Service };

/** An Address resource as a domain value. */
export function decodeAddress(bytes: Uint8Array): Result<DecodedAddress> {
  const message = parsed(() => fromBinary(AddressSchema, bytes));
  if (!message.ok) return message;
  const { type } = message.value;
  switch (type.case) {
    case 'workload': {
      const workload = decodeWorkload(type.value);
      return workload.ok ? { ok: true, value: { kind: 'workload', workload: workload.value } } : workload;
    }
    case 'service': {
      const service = decodeService(type.value);
      return service.ok ? { ok: true, value: { kind: 'service', service: service.value } } : service;
    }
    case undefined:
      return { ok: false, problems: [{ field: 'type', message: 'is neither a workload nor a service' }] };
  }
}

/** An Authorization resource as a policy, with what could not be read of it. */
export function decodeAuthorization(bytes: Uint8Array): Result<DecodedPolicy> {
  const message = parsed(() => fromBinary(AuthorizationSchema, bytes));
  return message.ok ? decodePolicy(message.value) : message;
}

function parsed<T>(read: () => T): Result<T> {
  try {
    return { ok: true, value: read() };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { ok: false, problems: [{ field: '', message: `cannot be decoded: ${reason}` }] };
  }
}

function reasonOf(problems: readonly Problem[]): string {
  return problems.map(formatProblem).join(', ');
}

export class WdsState {
  readonly mesh = new MapMesh();

  /** Applies one response of Address resources; returns those that were refused. */
  applyAddresses(updates: readonly ResourceBytes[], removed: readonly string[]): Rejection[] {
    const rejected: Rejection[] = [];
    for (const { name, bytes } of updates) {
      const decoded = decodeAddress(bytes);
      if (!decoded.ok) rejected.push({ name, reason: reasonOf(decoded.problems) });
      else if (decoded.value.kind === 'workload') this.mesh.putWorkload(decoded.value.workload);
      else this.mesh.putService(decoded.value.service);
    }
    for (const name of removed) {
      if (this.mesh.removeWorkload(name)) continue;
      const slash = name.indexOf('/');
      if (slash > 0 && !name.includes('/', slash + 1)) this.mesh.removeService(name);
    }
    return rejected;
  }

  /** Applies one response of Authorization resources; returns those that were refused or only partly understood. */
  applyAuthorizations(updates: readonly ResourceBytes[], removed: readonly string[]): Rejection[] {
    const rejected: Rejection[] = [];
    for (const { name, bytes } of updates) {
      const decoded = decodeAuthorization(bytes);
      if (!decoded.ok) {
        rejected.push({ name, reason: reasonOf(decoded.problems) });
        continue;
      }
      const { policy, problems } = decoded.value;
      this.mesh.putPolicy(policy);
      if (problems.length > 0) rejected.push({ name, reason: reasonOf(problems) });
    }
    for (const name of removed) this.mesh.removePolicy(name);
    return rejected;
  }
}
