// SPDX-License-Identifier: Apache-2.0
// How the metrics of one set of labels lie in counter slots: requests, then three histograms. A histogram has a slot for each
// bucket that counts what fell into that bucket alone, one for +Inf, and one for the sum. Last come messages of gRPC.
import type { Counters } from '#lib/loop/shared/counters.ts';

/** Upper bounds, for milliseconds and bytes alike (Envoy's defaults). */
export const BUCKETS: readonly number[] = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000,
  3_600_000,
];
export const HISTOGRAM_SLOTS: number = BUCKETS.length + 2;
export const REQUEST_COUNTER = 'istio_requests_total';
export const REQUEST_HISTOGRAMS: readonly string[] = [
  'istio_request_duration_milliseconds',
  'istio_request_bytes',
  'istio_response_bytes',
];
export const MESSAGE_SLOT: number = 1 + REQUEST_HISTOGRAMS.length * HISTOGRAM_SLOTS;
export const MESSAGE_COUNTERS: readonly string[] = ['istio_request_messages_total', 'istio_response_messages_total'];
export const REQUEST_SLOTS: number = MESSAGE_SLOT + MESSAGE_COUNTERS.length;
/** All of them. */
export const REQUEST_METRICS: readonly string[] = [REQUEST_COUNTER, ...REQUEST_HISTOGRAMS, ...MESSAGE_COUNTERS];

/** Puts a value into the histogram whose slots begin at `slot`: a bucket each, +Inf, sum. */
export function observe(counters: Counters, slot: number, value: number): void {
  let at = 0;
  while (at < BUCKETS.length && value > BUCKETS[at]!) at++;
  // Each value is counted in one bucket; a scrape adds them up.
  counters.add(slot + at, 1);
  counters.add(slot + BUCKETS.length + 1, value);
}
