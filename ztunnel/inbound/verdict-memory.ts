// SPDX-License-Identifier: Apache-2.0
// Verdicts on the connections of clients that came a moment ago. A verdict follows from the mesh and the flow alone, so it holds for an equal
// flow for as long as the mesh has not changed at all; clients open many equal ones.
import { AgingMap } from '#lib/kit/aging-map.ts';
import type { InboundFlow } from '#lib/mesh/flow.ts';
import type { Ip } from '#lib/mesh/ip.ts';
import type { AccessVerdict } from '#lib/mesh/verdict.ts';
import type { Workload } from '#lib/mesh/workload.ts';

interface Known {
  readonly version: number;
  readonly local: Workload;
  readonly flow: InboundFlow;
  readonly verdict: AccessVerdict;
}

/** Clients remembered, each with its last verdict, of a generation. */
const MAX_CLIENTS = 1024;

export class VerdictMemory {
  readonly #known = new AgingMap<Ip, Known>({ most: MAX_CLIENTS });

  /** The verdict on that flow to `local`, if it was given by the mesh of that version. */
  find(version: number, local: Workload, flow: InboundFlow): AccessVerdict | undefined {
    const known = this.#known.get(flow.sourceIp);
    if (known === undefined || known.version !== version || known.local !== local) return undefined;
    return isSame(known.flow, flow) ? known.verdict : undefined;
  }

  /** `version`: of the mesh, from before the flow was judged. */
  put(version: number, local: Workload, flow: InboundFlow, verdict: AccessVerdict): void {
    this.#known.set(flow.sourceIp, { version, local, flow, verdict });
  }
}

function isSame(one: InboundFlow, other: InboundFlow): boolean {
  return (
    one.identity === other.identity &&
    one.destinationPort === other.destinationPort &&
    one.destinationIp.equals(other.destinationIp) &&
    one.request === other.request
  );
}
