// SPDX-License-Identifier: Apache-2.0
// Letting one inbound connection in: judged now, held while a policy that is named has not arrived, and judged again whenever
// policies change for as long as it lives.
import { authorize } from '#lib/mesh/authorize.ts';
import type { InboundFlow } from '#lib/mesh/flow.ts';
import { NO_PROOF } from '#lib/mesh/proof.ts';
import type { AccessVerdict } from '#lib/mesh/verdict.ts';
import type { Workload } from '#lib/mesh/workload.ts';
import type { Pod } from '../inpod/pod.ts';
import type { Admitted } from '../worker/live-inbound.ts';
import type { MeshWait } from '../worker/mesh-waits.ts';

export interface AccessOwner {
  /** The first judgement. `allow` may be false. */
  onVerdict(verdict: AccessVerdict): void;
  /** Let in before, denied by the policies of now. */
  onDenied(verdict: AccessVerdict): void;
}

export class Access implements Admitted {
  readonly flow: InboundFlow;
  readonly #pod: Pod;
  readonly #owner: AccessOwner;
  readonly #atOpening: Workload;
  #wait: MeshWait | null = null;
  #over = false;

  constructor(pod: Pod, local: Workload, flow: InboundFlow, owner: AccessOwner) {
    this.#pod = pod;
    this.#atOpening = local;
    this.flow = flow;
    this.#owner = owner;
  }

  begin(): void {
    const { liveInbound, settings, waits } = this.#pod.runtime;
    // Registered before the first judgement, so that no change falls between the two.
    liveInbound.add(this);
    if (this.#judge(false)) return;
    this.#wait = waits.add(settings.unknownPolicyWaitMs, (last) => this.#over || this.#judge(last));
  }

  localWorkload(): Workload {
    return this.#pod.local()?.workload ?? this.#atOpening;
  }

  onDenied(verdict: AccessVerdict): void {
    // While it is held nobody has answered yet; the wait will.
    if (!this.#over && this.#wait === null) this.#owner.onDenied(verdict);
  }

  /** The connection is over. */
  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#pod.runtime.liveInbound.delete(this);
    this.#wait?.cancel();
    this.#wait = null;
  }

  #judge(last: boolean): boolean {
    const { mesh, telemetry } = this.#pod.runtime;
    const verdict = authorize(mesh, this.localWorkload(), this.flow, NO_PROOF);
    if (verdict.reason === 'unknown-policy' && !last) return false;
    this.#wait = null;
    for (const { policy, action, matched } of verdict.dryRun) {
      telemetry.count('ambit_policy_dry_run_total', { policy, action, matched: String(matched) });
    }
    this.#owner.onVerdict(verdict);
    return true;
  }
}

/** What is told of a denial: Istio's words, then ours. */
export function denialText(text: string): string {
  return `connection closed due to policy rejection: ${text}`;
}
