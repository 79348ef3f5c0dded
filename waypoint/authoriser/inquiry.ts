// SPDX-License-Identifier: Apache-2.0
// All authorisers that the CUSTOM policies of one request or stream name, asked one after the other: all must allow. Whoever
// cannot be asked denies, unless its provider says otherwise. Each outcome is counted and kept for the log.
import type { AccessPolicy } from '#lib/mesh/http/access-policy.ts';
import { authoriserOf, type CheckAnswer, type CheckDenial } from '#lib/mesh/http/external-check.ts';
import type { Provider } from '#lib/mesh/http/waypoint.ts';
import type { Telemetry } from '../worker/telemetry.ts';
import type { Asked, Authorisers } from './authorisers.ts';
import type { Subject } from './subject.ts';

export type CheckResult = 'allowed' | 'denied' | 'error' | 'failed-open' | 'unknown';

export interface InquiryRuntime {
  readonly authorisers: Authorisers;
  readonly telemetry: Pick<Telemetry, 'count'>;
}

export interface InquiryOwner {
  /** What `provider` is to be told. */
  subject(provider: Provider): Subject;
  /** An authoriser lets it pass. */
  onAllowed(answer: Extract<CheckAnswer, { kind: 'allow' }>): void;
  /** All have let it pass. */
  onPassed(): void;
  /** `policy` stands in the way. `denial` is undefined where nobody could be asked at all. */
  onRefused(policy: AccessPolicy, denial: CheckDenial | undefined, result: CheckResult): void;
}

export class Inquiry {
  /** For the log: who said what. '' before anybody has. */
  told = '';
  readonly #runtime: InquiryRuntime;
  readonly #providers: readonly Provider[];
  readonly #policies: readonly AccessPolicy[];
  readonly #owner: InquiryOwner;
  #asked: Asked | null = null;
  #over = false;

  /** @param policies those that match, one a provider */
  constructor(
    runtime: InquiryRuntime,
    providers: readonly Provider[],
    policies: readonly AccessPolicy[],
    owner: InquiryOwner,
  ) {
    this.#runtime = runtime;
    this.#providers = providers;
    this.#policies = policies;
    this.#owner = owner;
  }

  /** The owner hears how it ends, maybe before this returns. */
  begin(): void {
    this.#ask(0);
  }

  cancel(): void {
    if (this.#over) return;
    this.#over = true;
    this.#asked?.cancel();
  }

  #ask(at: number): void {
    const policy = this.#policies[at];
    if (policy === undefined) {
      this.#over = true;
      this.#owner.onPassed();
      return;
    }
    const provider = authoriserOf(this.#providers, policy.provider);
    if (provider === undefined) {
      this.#note(policy, 'unknown', 'is no provider of the mesh that can be asked');
      this.#refuse(policy, undefined, 'unknown');
      return;
    }
    const subject = this.#owner.subject(provider);
    this.#asked = this.#runtime.authorisers.ask(provider, subject, (answer) => this.#hear(at, provider, answer));
  }

  #hear(at: number, provider: Provider, answer: CheckAnswer): void {
    if (this.#over) return;
    this.#asked = null;
    const policy = this.#policies[at]!;
    if (answer.kind === 'allow') {
      this.#note(policy, 'allowed', 'allowed');
      this.#owner.onAllowed(answer);
      this.#ask(at + 1);
    } else if (answer.kind === 'deny') {
      this.#note(policy, 'denied', `denied with ${answer.status}`);
      this.#refuse(policy, answer, 'denied');
    } else if (provider.failOpen) {
      this.#note(policy, 'failed-open', `${answer.reason}; let in, as failOpen has it`);
      this.#ask(at + 1);
    } else {
      this.#note(policy, 'error', answer.reason);
      this.#refuse(policy, answer.denial ?? { status: provider.statusOnError, headers: [], body: '' }, 'error');
    }
  }

  #refuse(policy: AccessPolicy, denial: CheckDenial | undefined, result: CheckResult): void {
    this.#over = true;
    this.#owner.onRefused(policy, denial, result);
  }

  #note({ provider }: AccessPolicy, result: CheckResult, words: string): void {
    this.#runtime.telemetry.count('ambit_ext_authz_total', { provider, result });
    this.told = `${this.told === '' ? '' : `${this.told}, `}${provider}: ${words}`;
  }
}
