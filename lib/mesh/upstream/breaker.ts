// SPDX-License-Identifier: Apache-2.0
//
// Circuit breakers of one upstream: how many connections, waiting requests, requests and retries there may be at once
// in this process. What is taken is given back; a refusal is answered 503 with flag UO.

import { type ConnectionPool, DEFAULT_POOL } from '../http/traffic-policy.ts';

export type Resource = 'connections' | 'pending' | 'requests' | 'retries';

export class CircuitBreaker {
  #limits: Readonly<Record<Resource, number>>;
  readonly #used: Record<Resource, number> = { connections: 0, pending: 0, requests: 0, retries: 0 };

  constructor(pool: ConnectionPool = DEFAULT_POOL) {
    this.#limits = limitsOf(pool);
  }

  /** New limits; what is in use stays. */
  update(pool: ConnectionPool): void {
    this.#limits = limitsOf(pool);
  }

  /** Takes one; false when that would be one too many. */
  take(resource: Resource): boolean {
    if (this.#used[resource] >= this.#limits[resource]) return false;
    this.#used[resource]++;
    return true;
  }

  give(resource: Resource): void {
    if (this.#used[resource] > 0) this.#used[resource]--;
  }

  used(resource: Resource): number {
    return this.#used[resource];
  }
}

function limitsOf(pool: ConnectionPool): Readonly<Record<Resource, number>> {
  return {
    connections: pool.maxConnections,
    pending: pool.maxPendingRequests,
    requests: pool.maxRequests,
    retries: pool.maxRetries,
  };
}
