// SPDX-License-Identifier: Apache-2.0
// Where a collector is: an endpoint of its service that is well, drawn anew at each question; by name when it has none of its own.
import type { Target } from '#lib/mesh/http/route-table.ts';
import { portOf } from '#lib/mesh/service.ts';
import type { MeshView } from '#lib/mesh/view.ts';
import { mappedPort } from '#lib/mesh/workload.ts';
import type { Place } from './transport.ts';

export function placeOf(mesh: MeshView, target: Target | undefined, random: () => number): Place | undefined {
  const service = target === undefined ? undefined : mesh.service(target.service);
  if (target === undefined || service === undefined) return undefined;
  const { hostname: authority } = service;
  const places = mesh.endpoints(service).flatMap(({ ports, workload }): Place[] => {
    const port = mappedPort(ports, target.port) ?? portOf(service, target.port)?.targetPort ?? 0;
    // One that is known by name only, outside the cluster, is asked for by that name.
    const host = workload.addresses[0]?.toString() ?? workload.hostname;
    return !workload.healthy || port === 0 || host === '' ? [] : [{ authority, host, port }];
  });
  return places[Math.floor(random() * places.length)];
}
