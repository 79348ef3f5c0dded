// SPDX-License-Identifier: Apache-2.0
//
// The resource types of a waypoint beside WDS: type URL, value to bytes, bytes to value. istiod encodes, waypoints
// and tools decode.

import { type DescMessage, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { Problem, Result } from '#lib/kit/result.ts';
import type { AccessPolicy } from '#lib/mesh/http/access-policy.ts';
import type { RequestAuthentication } from '#lib/mesh/http/request-authentication.ts';
import type { RouteTable } from '#lib/mesh/http/route-table.ts';
import type { Telemetry } from '#lib/mesh/http/telemetry.ts';
import type { TrafficPolicy } from '#lib/mesh/http/traffic-policy.ts';
import type { WaypointSettings } from '#lib/mesh/http/waypoint.ts';
import {
  AccessPolicySchema,
  RequestAuthenticationSchema,
  RouteTableSchema,
  TelemetrySchema,
  TrafficPolicySchema,
  WaypointSchema,
  WorkloadLabelsSchema,
} from '#lib/proto/gen/waypoint_pb.ts';
import { type EncodedResource, versioned } from '../wds/encode.ts';
import { decodeAccessPolicy, encodeAccessPolicy } from './access-codec.ts';
import { fromPlain, toPlain } from './mapping.ts';

/** Labels of a workload that subsets and localities ask for. */
export interface WorkloadLabels {
  /** The workload's uid. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface ResourceType<T> {
  readonly typeUrl: string;
  encode(value: T): EncodedResource;
  /** @returns every problem when the value cannot be used; nothing of it may be used then */
  decode(bytes: Uint8Array): Result<T>;
}

function typeUrl(desc: DescMessage): string {
  return `type.googleapis.com/${desc.typeName}`;
}

/** A type whose message and value have the same fields. */
function plainType<T extends { readonly name: string }>(desc: DescMessage): ResourceType<T> {
  return {
    typeUrl: typeUrl(desc),
    encode: (value) => versioned(value.name, toBinary(desc, fromPlain(desc, value))),
    decode: (bytes) =>
      decoded(() => {
        const problems: Problem[] = [];
        // The one place where a message's shape is believed to be the value's; mapping.test.ts checks it.
        const value = toPlain(desc, fromBinary(desc, bytes), problems) as unknown as T;
        return problems.length === 0 ? { ok: true, value } : { ok: false, problems };
      }),
  };
}

/** Bytes of another version of ourselves, or of nobody: a problem, never an exception. */
function decoded<T>(read: () => Result<T>): Result<T> {
  try {
    return read();
  } catch (error) {
    const message = `is not a message of this type: ${error instanceof Error ? error.message : String(error)}`;
    return { ok: false, problems: [{ field: '', message }] };
  }
}

export const ROUTE_TABLE: ResourceType<RouteTable> = plainType(RouteTableSchema);
export const TRAFFIC_POLICY: ResourceType<TrafficPolicy> = plainType(TrafficPolicySchema);
export const WORKLOAD_LABELS: ResourceType<WorkloadLabels> = plainType(WorkloadLabelsSchema);
export const REQUEST_AUTHENTICATION: ResourceType<RequestAuthentication> = plainType(RequestAuthenticationSchema);
export const TELEMETRY: ResourceType<Telemetry> = plainType(TelemetrySchema);
export const WAYPOINT: ResourceType<WaypointSettings> = plainType(WaypointSchema);
export const ACCESS_POLICY: ResourceType<AccessPolicy> = {
  typeUrl: typeUrl(AccessPolicySchema),
  encode: (policy) => versioned(policy.key, toBinary(AccessPolicySchema, encodeAccessPolicy(policy))),
  decode: (bytes) => decoded(() => decodeAccessPolicy(fromBinary(AccessPolicySchema, bytes))),
};
