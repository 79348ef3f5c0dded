// SPDX-License-Identifier: Apache-2.0
// Connections that a pod had open when it was enrolled: they go on past the proxy until they end, or until the limit.
import type { Clock } from '#lib/kit/clock.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { PodRedirection } from '../rules/pod.ts';
import type { Enrolment } from './enrolment.ts';
import type { CniMetrics } from './metrics.ts';
import { type Connection, listeningPorts, nameOf, openConnections } from './sockets.ts';

/** Connections named in one log line. */
const NAMED_CONNECTIONS = 20;

export interface EarlierConnectionsOptions {
  readonly redirection: PodRedirection;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: CniMetrics;
  readonly probes: { readonly ip: string; readonly ip6: string };
  /** How long they may go on, ms. */
  readonly openConnectionMs: number;
}

export class EarlierConnections {
  readonly #options: EarlierConnectionsOptions;

  constructor(options: EarlierConnectionsOptions) {
    this.#options = options;
  }

  /** Names each connection that goes on past the proxy. */
  tell(pod: Enrolment): void {
    const { log, openConnectionMs } = this.#options;
    for (const { local, remote } of pod.open) {
      log.info('connection lives on', {
        pod: pod.key,
        local: `${local}`,
        remote: `${remote}`,
        limitMs: openConnectionMs,
      });
    }
  }

  /**
   * Follows the connections from before the enrolment. At the limit, or when none is left, the lock closes behind them; under STRICT it
   * closes at once for those that came in.
   */
  async follow(pod: Enrolment, strict: boolean): Promise<void> {
    if (pod.lock === 'both' || pod.netns === undefined || pod.state === 'leaving') return;
    const { clock, openConnectionMs } = this.#options;
    const now = new Set(openConnections(pod.netns).map(nameOf));
    pod.open = pod.open.filter((connection) => now.has(nameOf(connection)));
    if (pod.open.length === 0) await this.#lock(pod, 'both', []);
    else if (clock.monotonic() - pod.since >= openConnectionMs) await this.#lock(pod, 'both', pod.open, 'at the limit');
    else if (strict && pod.lock === 'open') {
      // Who opened it: an old connection into the pod ends at one of its listening ports.
      const ports = listeningPorts(pod.netns);
      const came = pod.open.filter(({ local }) => ports.has(local.port));
      await this.#lock(pod, 'inbound', came, 'by STRICT');
    }
  }

  /** Ends `ended` by the pod's lock, and says so. */
  async #lock(pod: Enrolment, lock: Enrolment['lock'], ended: readonly Connection[], why = ''): Promise<void> {
    const { log, metrics, probes, redirection } = this.#options;
    if (ended.length > 0) {
      log.warn(`connections from before the enrolment are ended ${why}`, namedConnections(pod, ended));
      metrics.endedConnections.inc(ended.length);
    }
    pod.open = pod.open.filter((connection) => !ended.includes(connection));
    pod.lock = lock;
    if (pod.netns) await redirection.apply(pod.netns, pod.rules(probes));
  }
}

/** Fields of a log line. */
export function namedConnections(pod: Enrolment, connections: readonly Connection[]): Record<string, unknown> {
  const list = connections.slice(0, NAMED_CONNECTIONS).map(nameOf);
  return { pod: pod.key, count: connections.length, connections: list };
}
