// SPDX-License-Identifier: Apache-2.0
//
// An endpoint as one proxy process has come to know it: how busy it is, how it has failed, since when it is there.

import type { Endpoint } from '../service.ts';
import { hash32 } from './hash.ts';

export class Host {
  readonly uid: string;
  /** Port to dial. */
  readonly port: number;
  /** When it was first seen here, for warm-up. */
  readonly sinceMs: number;
  /** Names the host in cookies without telling what it is called. */
  readonly token: string;
  endpoint: Endpoint;
  /** Labels that subsets and localities ask for. */
  labels: Readonly<Record<string, string>>;
  /** Requests, or streams, that it has now. */
  active = 0;
  /** 0: not ejected. */
  ejectedUntilMs = 0;
  /** How often in a row, for the length of the next ejection. */
  ejections = 0;
  consecutive5xx = 0;
  consecutiveGateway = 0;
  consecutiveLocal = 0;

  constructor(endpoint: Endpoint, port: number, labels: Readonly<Record<string, string>>, nowMs: number) {
    this.uid = endpoint.workload.uid;
    this.endpoint = endpoint;
    this.port = port;
    this.labels = labels;
    this.sinceMs = nowMs;
    const halves = [hash32(this.uid), hash32(this.uid, 0x9747b28c)];
    this.token = halves.map((half) => half.toString(16).padStart(8, '0')).join('');
  }

  isEjected(nowMs: number): boolean {
    return this.ejectedUntilMs > nowMs;
  }
}
