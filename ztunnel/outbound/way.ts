// SPDX-License-Identifier: Apache-2.0
// From the verdict on a connection to the attempt that carries it out.
import type { Ip } from '#lib/mesh/ip.ts';
import type { OutboundVerdict } from '#lib/mesh/verdict.ts';
import type { ConnectionInfo } from '../control.ts';
import type { Attempt, AttemptOwner, Captured } from './attempt.ts';
import { DoubleAttempt } from './double-attempt.ts';
import { NodeLocal } from './node-local.ts';
import { PlainAttempt } from './plain-attempt.ts';
import { TunnelAttempt } from './tunnel-attempt.ts';

/** A verdict that leads somewhere. */
export type Leading = Exclude<OutboundVerdict, { kind: 'wait' | 'drop' }>;

export interface Way {
  readonly attempt: Attempt;
  readonly protocol: ConnectionInfo['protocol'];
}

/** Whether it was chosen among others, so that another may be tried in its place. */
export function choiceOf(verdict: Leading): boolean {
  return verdict.service !== undefined || (verdict.kind === 'hbone' && verdict.waypoint);
}

/** @param ip address of `verdict.target`: the endpoint's, the waypoint's or the gateway's */
export function wayTo(captured: Captured, owner: AttemptOwner, verdict: Leading, ip: Ip): Way {
  switch (verdict.kind) {
    case 'passthrough':
    case 'tcp':
      return { attempt: new PlainAttempt(captured, owner, verdict, ip), protocol: 'TCP' };
    case 'hbone': {
      const { pod } = captured;
      const { admission, settings } = pod.runtime;
      if (verdict.sameNode && settings.sameNode === 'join') {
        const there = pod.neighbour(verdict.workload);
        if (there !== undefined && NodeLocal.possible(pod, there, verdict) && admission.enter()) {
          return { attempt: new NodeLocal(captured, owner, verdict, there), protocol: 'TCP' };
        }
      }
      return { attempt: new TunnelAttempt(captured, owner, verdict, ip), protocol: 'HBONE' };
    }
    case 'double-hbone':
      return { attempt: new DoubleAttempt(captured, owner, verdict, ip), protocol: 'DOUBLEHBONE' };
  }
}
