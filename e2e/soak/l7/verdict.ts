// SPDX-License-Identifier: Apache-2.0
// What a waypoint's soak has shown, as a table and as passed or not. Pure.
import {
  descriptorCheck,
  judged,
  memoryChecks,
  type Rest,
  reasons,
  type Sample,
  type SoakCheck,
  type Verdict,
} from '../verdict.ts';

/** What became of one kind of request, or of what was said on streams of one kind. */
export interface Tally {
  ok: number;
  failed: number;
  readonly reasons: Record<string, number>;
}

export interface ShownAtL7 {
  readonly seconds: number;
  /** What the loads told at their ends, by kind. */
  readonly tallies: Readonly<Record<string, Tally>>;
  readonly samples: readonly Sample[];
  /** Of the waypoint, before the load, half-way and at the end. */
  readonly rests: readonly Rest[];
  /** Changes made, by what was changed. */
  readonly changes: Readonly<Record<string, number>>;
  /** Certificates that the waypoint was given meanwhile. */
  readonly renewals: number;
  /** Data-plane processes of the waypoint that ended by themselves. */
  readonly restarts: number;
}

const NAMES: Readonly<Record<string, string>> = {
  http1: 'HTTP/1.1 requests that failed',
  http2: 'HTTP/2 requests that failed',
  grpc: 'messages on gRPC-like streams that got no answer',
  websocket: 'WebSocket messages that got no answer',
  denied: 'requests that policy denies and that passed',
};
/** Tunnels and connections to endpoints are kept for long, and there may be more endpoints at the end than at the start. */
const KEPT = 16;
/** Certificates of a minute are renewed at half their life. */
const RENEWAL_S = 45;

export function verdictAtL7({ changes, renewals, restarts, rests, samples, seconds, tallies }: ShownAtL7): Verdict {
  const kinds = Object.entries(NAMES).map(([kind, name]): SoakCheck => {
    const { failed, ok, reasons: why } = tallies[kind] ?? { ok: 0, failed: 0, reasons: {} };
    return [name, reasons({ ok, failed, reasons: new Map(Object.entries(why)) }), failed === 0 && ok > 0];
  });
  const changed = Object.entries(changes);
  return judged(seconds, [
    ...kinds,
    ['changes', changed.map(([what, n]) => `${n} ${what}`).join(', '), changed.every(([, n]) => n > 0)],
    ['certificates renewed', String(renewals), renewals >= Math.floor(seconds / RENEWAL_S)],
    ...memoryChecks(samples, rests),
    descriptorCheck(rests, KEPT),
    ['data-plane processes that ended', String(restarts), restarts === 0],
  ]);
}
