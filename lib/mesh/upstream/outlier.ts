// SPDX-License-Identifier: Apache-2.0
//
// Hosts that fail are left out for a while, longer each time, as long as not too many are: Envoy's outlier detection
// by consecutive errors. Time comes in with each report.
//
//   in ──threshold reached, share allows──▶ ejected ──base × times in a row──▶ in
//   each whole interval without an ejection forgives one of the times

import type { OutlierDetection } from '../http/traffic-policy.ts';
import type { Host } from './host.ts';

/** How a try ended, for the health of its host. `local`: there was no answer (connect failure, reset, time-out). */
export type HostResult = { readonly kind: 'status'; readonly status: number } | { readonly kind: 'local' };

/** Result of a failed connection. */
export const LOCAL_FAILURE: HostResult = { kind: 'local' };

function isGatewayError(status: number): boolean {
  return status >= 502 && status <= 504;
}

export class OutlierDetector {
  readonly #settings: OutlierDetection;

  constructor(settings: OutlierDetection) {
    this.#settings = settings;
  }

  /**
   * Counts a result.
   * @param hosts all of the balancer, to see how many are out
   * @returns true when the host has just been ejected
   */
  report(host: Host, result: HostResult, hosts: readonly Host[], nowMs: number): boolean {
    // Late answers of requests that were on their way say nothing new.
    if (host.isEjected(nowMs)) return false;
    return this.#counts(host, result) && this.#eject(host, hosts, nowMs);
  }

  /** Whether a threshold is reached. */
  #counts(host: Host, result: HostResult): boolean {
    const { consecutive5xx, consecutiveGateway, consecutiveLocalOrigin, errorCodes, splitLocalOrigin } = this.#settings;
    if (result.kind === 'local' && splitLocalOrigin) {
      host.consecutiveLocal++;
      return reached(host.consecutiveLocal, consecutiveLocalOrigin);
    }
    host.consecutiveLocal = 0;
    const local = result.kind === 'local';
    const failed = local || result.status >= 500 || errorCodes.includes(result.status);
    host.consecutive5xx = failed ? host.consecutive5xx + 1 : 0;
    host.consecutiveGateway = local || isGatewayError(result.status) ? host.consecutiveGateway + 1 : 0;
    return reached(host.consecutive5xx, consecutive5xx) || reached(host.consecutiveGateway, consecutiveGateway);
  }

  #eject(host: Host, hosts: readonly Host[], nowMs: number): boolean {
    const { baseEjectionMs, intervalMs, maxEjectionMs, maxEjectionPercent } = this.#settings;
    let out = 0;
    for (const one of hosts) if (one.isEjected(nowMs)) out++;
    // One may always go.
    if (out > 0 && ((out + 1) * 100) / hosts.length > maxEjectionPercent) return false;
    if (host.ejectedUntilMs > 0 && intervalMs > 0) {
      host.ejections = Math.max(0, host.ejections - Math.floor((nowMs - host.ejectedUntilMs) / intervalMs));
    }
    host.ejections++;
    host.ejectedUntilMs = nowMs + Math.min(baseEjectionMs * host.ejections, Math.max(maxEjectionMs, baseEjectionMs));
    host.consecutive5xx = 0;
    host.consecutiveGateway = 0;
    host.consecutiveLocal = 0;
    return true;
  }
}

function reached(count: number, threshold: number): boolean {
  return threshold > 0 && count >= threshold;
}
