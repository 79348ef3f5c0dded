// SPDX-License-Identifier: Apache-2.0
// From the verdict on a connection to the attempt that carries it out.
import type { OutboundVerdict } from '#lib/mesh/verdict.ts';
import type { ConnectionInfo } from '../control.ts';
import type { Attempt, AttemptOwner, Captured } from './attempt.ts';
import { DoubleAttempt } from './double-attempt.ts';
import { NodeLocal } from './node-local.ts';
import { PlainAttempt } from './plain-attempt.ts';
import { TunnelAttempt } from './tunnel-attempt.ts';

export interface Way {
  readonly attempt: Attempt;
  readonly protocol: ConnectionInfo['protocol'];
  /** There was a choice, so that what failed may be exchanged for another. */
  readonly balanced: boolean;
}

/** The way for a verdict that leads somewhere; a text says why there is none. */
export function wayTo(
  captured: Captured,
  owner: AttemptOwner,
  verdict: Exclude<OutboundVerdict, { kind: 'wait' | 'drop' }>,
): Way | string {
  const { ip, hostname } = verdict.target;
  if (ip === undefined) return `destination ${hostname} has a host name and no address`;
  switch (verdict.kind) {
    case 'passthrough':
    case 'tcp':
      return {
        attempt: new PlainAttempt(captured, owner, verdict, ip),
        protocol: 'TCP',
        balanced: verdict.service !== undefined,
      };
    case 'hbone': {
      const balanced = verdict.service !== undefined || verdict.waypoint;
      const { runtime } = captured.pod;
      if (verdict.sameNode && runtime.settings.sameNode === 'join') {
        const there = runtime.podOf(verdict.workload);
        if (there !== undefined && NodeLocal.possible(captured.pod, there, verdict) && runtime.admission.enter()) {
          return { attempt: new NodeLocal(captured, owner, verdict, there), protocol: 'TCP', balanced };
        }
      }
      return { attempt: new TunnelAttempt(captured, owner, verdict, ip), protocol: 'HBONE', balanced };
    }
    case 'double-hbone':
      return { attempt: new DoubleAttempt(captured, owner, verdict, ip), protocol: 'DOUBLEHBONE', balanced: true };
  }
}
