// SPDX-License-Identifier: Apache-2.0
// Letting one inbound connection in: judged now, held while a policy that is named has not arrived, and judged again whenever
// policies change for as long as it lives, always by the mesh as it is at that moment.
//
//   held ─▶ let in ─▶ over        denied: at once, or later by policies of then
//             ▼  ▲
//           orphan: the workload's record is gone; it has a while to come back
import { authorize } from '#lib/mesh/authorize.ts';
import type { InboundFlow } from '#lib/mesh/flow.ts';
import { NO_PROOF, type Recorder } from '#lib/mesh/proof.ts';
import type { AccessVerdict } from '#lib/mesh/verdict.ts';
import type { Workload } from '#lib/mesh/workload.ts';
import type { Admitted } from '#lib/proxy/worker/live-inbound.ts';
import type { Pod } from '../inpod/pod.ts';
import { type Ledger, POLICY_CHANGED, WORKLOAD_GONE } from '../worker/ledger.ts';
import type { MeshWait } from '../worker/mesh-waits.ts';

export interface AccessOwner {
  /** The first judgement. `allow` may be false. */
  onVerdict(verdict: AccessVerdict): void;
  /** Let in before, and now no more: by policies of now, or because its workload left the mesh (then without a verdict). */
  onDenied(error: string, verdict?: AccessVerdict): void;
}

export class Access implements Admitted {
  place = -1;
  readonly flow: InboundFlow;
  readonly #pod: Pod;
  readonly #owner: AccessOwner;
  readonly #atOpening: Workload;
  readonly #ledger: Pick<Ledger, 'proof' | 'prove'>;
  #wait: MeshWait | null = null;
  #over = false;

  constructor(
    pod: Pod,
    local: Workload,
    flow: InboundFlow,
    ledger: Pick<Ledger, 'proof' | 'prove'>,
    owner: AccessOwner,
  ) {
    this.#pod = pod;
    this.#atOpening = local;
    this.flow = flow;
    this.#ledger = ledger;
    this.#owner = owner;
  }

  begin(): void {
    const { liveInbound, settings, waits } = this.#pod.runtime;
    // Registered before the first judgement, so that no change falls between the two.
    liveInbound.add(this);
    const verdict = this.#verdict(this.#atOpening, this.#ledger.proof());
    if (verdict.reason !== 'unknown-policy') {
      this.#first(verdict, this.#atOpening);
      return;
    }
    this.#wait = waits.add(settings.unknownPolicyWaitMs, (last) => this.#over || this.#held(last));
  }

  judgeAgain(): void {
    // While it waits, the wait asks again by itself.
    if (this.#over || this.#wait !== null) return;
    const local = this.#pod.local();
    if (local === undefined) {
      const { settings, waits } = this.#pod.runtime;
      this.#wait = waits.add(settings.recordWaitMs, (last) => this.#over || this.#orphan(last));
      return;
    }
    const verdict = this.#verdict(local.workload, NO_PROOF);
    // A policy that is named and missing holds new connections; it does not cut those that were let in.
    if (!verdict.allow && verdict.reason !== 'unknown-policy') this.#owner.onDenied(POLICY_CHANGED, verdict);
  }

  /** The connection is over. */
  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#pod.runtime.liveInbound.delete(this);
    this.#wait?.cancel();
    this.#wait = null;
  }

  #held(last: boolean): boolean {
    const local = this.#pod.local()?.workload ?? this.#atOpening;
    const verdict = this.#verdict(local, NO_PROOF);
    const unknown = verdict.reason === 'unknown-policy';
    if (unknown && !last) return false;
    this.#wait = null;
    this.#pod.runtime.telemetry.count('ambit_unknown_policy_total', { outcome: unknown ? 'refused' : 'arrived' });
    if (this.#ledger.proof().enabled) this.#verdict(local, this.#ledger.proof());
    this.#first(verdict, local);
    return true;
  }

  #orphan(last: boolean): boolean {
    const back = this.#pod.local() !== undefined;
    if (!back && !last) return false;
    this.#wait = null;
    if (back) this.judgeAgain();
    else this.#owner.onDenied(WORKLOAD_GONE);
    return true;
  }

  #first(verdict: AccessVerdict, local: Workload): void {
    // A denial is worth its reasons, also where none were being kept.
    const proven = verdict.allow || this.#ledger.proof().enabled;
    if (!proven && this.#pod.runtime.recent.mayProveDenial()) this.#verdict(local, this.#ledger.prove());
    for (const { policy, action, matched } of verdict.dryRun) {
      this.#pod.runtime.telemetry.count('ambit_policy_dry_run_total', { policy, action, matched: String(matched) });
    }
    this.#owner.onVerdict(verdict);
  }

  #verdict(local: Workload, recorder: Recorder): AccessVerdict {
    const { mesh, verdicts } = this.#pod.runtime;
    if (recorder.enabled) return authorize(mesh, local, this.flow, recorder);
    const { version } = mesh;
    const known = verdicts.find(version, local, this.flow);
    if (known !== undefined) return known;
    const verdict = authorize(mesh, local, this.flow, recorder);
    verdicts.put(version, local, this.flow, verdict);
    return verdict;
  }
}

/** What is told of a denial: Istio's words, then ours. */
export function denialText(text: string): string {
  return `connection closed due to policy rejection: ${text}`;
}
