// SPDX-License-Identifier: Apache-2.0
// Labels of what is counted of requests that were read along: few enough that nobody's requests can make them many.
import { type Labels, orUnknown } from '#lib/proxy/telemetry/labels.ts';
import type { ConnectionRecord } from './connection.ts';

/** Upper bounds of the duration histogram, in seconds. */
export const DURATION_BUCKETS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT']);

/** The method, `other` where the client made it up. */
export function methodOf(method: string): string {
  return METHODS.has(method) ? method : 'other';
}

/** `2xx` and so on, `none` without an answer. */
export function statusClass(status: number): string {
  return status >= 100 && status < 600 ? `${Math.floor(status / 100)}xx` : 'none';
}

/** Who asked whom. */
export function httpLabels({ direction, source, destination, service }: ConnectionRecord): Labels {
  return {
    reporter: direction === 'outbound' ? 'source' : 'destination',
    source_workload: orUnknown(source?.workloadName),
    source_workload_namespace: orUnknown(source?.namespace),
    destination_workload: orUnknown(destination?.workloadName),
    destination_workload_namespace: orUnknown(destination?.namespace),
    destination_service: orUnknown(service?.hostname),
    destination_service_namespace: orUnknown(service?.namespace),
    destination_service_name: orUnknown(service?.name),
  };
}
