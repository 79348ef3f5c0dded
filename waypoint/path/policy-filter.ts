// SPDX-License-Identifier: Apache-2.0
// Access policies that this proxy can judge by itself; those of authorisers have been asked for before (custom-filter.ts).
import { DENIAL_BODY, DENIAL_STATUS, denialDetails, type RequestAccessVerdict } from '#lib/mesh/http/access-policy.ts';
import { authorizeRequest, type PolicySet, requestFlow } from '#lib/mesh/http/authorize-request.ts';
import { NO_PROOF } from '#lib/mesh/proof.ts';
import type { Runtime } from '../worker/runtime.ts';
import { type JudgedRequest, PASS, type RequestFilter, type Ruling } from './filter.ts';

/** What has no effect is seen in metrics, and in the log. */
export function countSilent({ telemetry }: Pick<Runtime, 'telemetry'>, { audit, dryRun }: RequestAccessVerdict): void {
  for (const { action, matched, policy } of dryRun)
    telemetry.count('ambit_policy_dry_run_total', { policy, action, matched: String(matched) });
  for (const policy of audit) telemetry.count('ambit_policy_audit_total', { policy });
}

export class PolicyFilter implements RequestFilter {
  readonly #policies: PolicySet['http'];

  constructor(policies: PolicySet['http']) {
    this.#policies = policies;
  }

  judge(exchange: JudgedRequest): Ruling {
    const verdict = authorizeRequest(this.#policies, requestFlow(exchange.request), NO_PROOF, true);
    exchange.access = verdict;
    const { audit, dryRun } = verdict;
    if (audit.length + dryRun.length > 0) countSilent(exchange.runtime, verdict);
    if (verdict.allow) return PASS;
    return {
      kind: 'refuse',
      reply: { status: DENIAL_STATUS, body: DENIAL_BODY },
      flags: '',
      details: denialDetails(verdict),
    };
  }
}
