// SPDX-License-Identifier: Apache-2.0
// A waypoint without a control plane: mesh and layer-7 configuration from one YAML text, for development, tests and benchmarks. The
// mesh is written as in a node proxy's file, the rest as the messages of lib/proto/waypoint.proto in proto3's JSON.
import { create, type DescMessage, fromJson, type JsonObject, toBinary } from '@bufbuild/protobuf';
import { parse } from 'yaml';
import { describeError } from '#lib/kit/error.ts';
import { fail, type Problem, type Result } from '#lib/kit/result.ts';
import {
  AccessPolicySchema,
  RequestAuthenticationSchema,
  RouteTableSchema,
  TelemetrySchema,
  TrafficPolicySchema,
  WaypointSchema,
  WorkloadLabelsSchema,
} from '#lib/proto/gen/waypoint_pb.ts';
import { type LocalMesh, readLocalMesh } from '#lib/proxy/source/local-file.ts';
import type { ReceivedResource } from '#lib/xds/client-state.ts';

export interface LocalWaypoint {
  readonly mesh: LocalMesh;
  /** Resources by type URL. */
  readonly resources: ReadonlyMap<string, readonly ReceivedResource[]>;
}

const PARTS: Readonly<Record<string, DescMessage>> = {
  routeTables: RouteTableSchema,
  trafficPolicies: TrafficPolicySchema,
  accessPolicies: AccessPolicySchema,
  requestAuthentications: RequestAuthenticationSchema,
  telemetry: TelemetrySchema,
  workloadLabels: WorkloadLabelsSchema,
  waypoint: WaypointSchema,
};

/** Reads the whole text or says everything that is wrong with it. */
export function readLocalWaypoint(text: string, clusterId: string): Result<LocalWaypoint> {
  let root: Record<string, unknown>;
  try {
    root = (parse(text) ?? {}) as Record<string, unknown>;
  } catch (error) {
    return fail({ field: '', message: `is no YAML: ${describeError(error)}` });
  }
  const mesh = readLocalMesh(text, clusterId);
  if (!mesh.ok) return mesh;
  const problems: Problem[] = [];
  const resources = new Map<string, readonly ReceivedResource[]>();
  for (const [part, desc] of Object.entries(PARTS)) {
    const given = root[part];
    const list = given === undefined ? [] : Array.isArray(given) ? given : [given];
    const read = list.flatMap((one, i) => resource(desc, one as JsonObject, `${part}[${i}]`, problems));
    if (read.length > 0) resources.set(`type.googleapis.com/${desc.typeName}`, read);
  }
  return problems.length === 0 ? { ok: true, value: { mesh: mesh.value, resources } } : { ok: false, problems };
}

function resource(desc: DescMessage, json: JsonObject, field: string, problems: Problem[]): ReceivedResource[] {
  try {
    const message = json === null ? create(desc) : fromJson(desc, json);
    return [{ name: String(json['name'] ?? ''), version: '1', value: toBinary(desc, message) }];
  } catch (error) {
    problems.push({ field, message: describeError(error) });
    return [];
  }
}
