// SPDX-License-Identifier: Apache-2.0
// Access policies that this proxy can judge by itself; those of authorisers have been asked for before (custom-filter.ts).
import { DENIAL_BODY, DENIAL_STATUS, denialDetails } from '#lib/mesh/http/access-policy.ts';
import { authorizeRequest, type PolicySet, requestFlow } from '#lib/mesh/http/authorize-request.ts';
import { NO_PROOF } from '#lib/mesh/proof.ts';
import type { Exchange } from './exchange.ts';
import { PASS, type RequestFilter, type Ruling } from './filter.ts';

export class PolicyFilter implements RequestFilter {
  readonly #policies: PolicySet['http'];

  constructor(policies: PolicySet['http']) {
    this.#policies = policies;
  }

  judge(exchange: Exchange): Ruling {
    const verdict = authorizeRequest(this.#policies, requestFlow(exchange.request), NO_PROOF, true);
    exchange.access = verdict;
    if (verdict.allow) return PASS;
    return {
      kind: 'refuse',
      reply: { status: DENIAL_STATUS, body: DENIAL_BODY },
      flags: '',
      details: denialDetails(verdict),
    };
  }
}
