// SPDX-License-Identifier: Apache-2.0
// CUSTOM policies: while one matches, the request waits for its authoriser's word. Requests that none matches pay for looking.
import { type AccessPolicy, DENIAL_BODY, DENIAL_STATUS, denialDetails } from '#lib/mesh/http/access-policy.ts';
import { customPolicies, customRefusal, requestFlow } from '#lib/mesh/http/authorize-request.ts';
import {
  authoriserOf,
  type CheckAnswer,
  type CheckDenial,
  changesOf,
  editQuery,
  type HeaderOption,
} from '#lib/mesh/http/external-check.ts';
import type { Provider } from '#lib/mesh/http/waypoint.ts';
import { NO_PROOF } from '#lib/mesh/proof.ts';
import { HeaderBlock } from '#lib/wire/h2/headers.ts';
import { MessageHead } from '#lib/wire/http/message.ts';
import { type CheckResult, Inquiry, type InquiryOwner } from '../authoriser/inquiry.ts';
import { requestSubject, type Subject } from '../authoriser/subject.ts';
import { type JudgedRequest, PASS, type Refusal, type RequestFilter, type Ruling, type Waiting } from './filter.ts';

export class CustomFilter implements RequestFilter {
  readonly #policies: readonly AccessPolicy[];
  readonly #providers: readonly Provider[];

  /** @param policies CUSTOM ones alone */
  constructor(policies: readonly AccessPolicy[], providers: readonly Provider[]) {
    this.#policies = policies;
    this.#providers = providers;
  }

  judge(exchange: JudgedRequest): Ruling {
    const asked = customPolicies(this.#policies, requestFlow(exchange.request), NO_PROOF);
    if (asked.length === 0) return PASS;
    return new Checking(exchange, this.#providers, asked).begin();
  }
}

const TOO_LARGE: Refusal = {
  kind: 'refuse',
  reply: { status: 413, body: 'Payload Too Large' },
  flags: '',
  details: 'request_payload_too_large',
};

/** What stands in the answer's head is not known yet, so nothing can depend on it. */
function unconditional(option: HeaderOption): HeaderOption {
  return option.action === 'add-if-absent' ? { ...option, action: 'append' } : option;
}

/** One request and those it is asked about. */
class Checking implements Waiting, InquiryOwner {
  readonly kind = 'wait';
  readonly #exchange: JudgedRequest;
  readonly #inquiry: Inquiry;
  /** Octets of content that must be here before anybody is asked. */
  readonly #wanted: number;
  readonly #whole: boolean;
  #asking = false;
  /** What came of it before the filter returned. */
  #ruling: Ruling | undefined;
  #waits = false;

  constructor(exchange: JudgedRequest, providers: readonly Provider[], asked: readonly AccessPolicy[]) {
    this.#exchange = exchange;
    this.#inquiry = new Inquiry(exchange.runtime, providers, asked, this);
    let wanted = 0;
    let whole = false;
    for (const { provider: name } of asked) {
      const provider = authoriserOf(providers, name);
      if (provider === undefined || provider.bodyBytes === 0) continue;
      wanted = Math.max(wanted, provider.bodyBytes);
      whole ||= !provider.bodyPartial;
    }
    this.#wanted = exchange.bodyless ? 0 : wanted;
    this.#whole = whole;
  }

  begin(): Ruling {
    const exchange = this.#exchange;
    // The authoriser is told by which name the logs will know the request.
    if (exchange.requestId === '') exchange.nameIt();
    if (this.#wanted > 0) this.#awaitContent();
    else this.#ask();
    if (this.#ruling !== undefined) return this.#ruling;
    this.#waits = true;
    return this;
  }

  // === Waiting ===

  abandon(): void {
    this.#inquiry.cancel();
  }

  contentCame(): void {
    if (!this.#asking) this.#weigh();
  }

  // === InquiryOwner ===

  subject({ bodyBytes }: Provider): Subject {
    return requestSubject(this.#exchange, bodyBytes);
  }

  onAllowed({
    headers,
    remove,
    removeQuery,
    responseHeaders,
    setQuery,
  }: Extract<CheckAnswer, { kind: 'allow' }>): void {
    const exchange = this.#exchange;
    const { request } = exchange;
    if (headers.length + remove.length > 0)
      request.authorise(changesOf(headers, remove, (name) => request.header(name) !== undefined));
    if (responseHeaders.length > 0)
      exchange.changeResponse(changesOf(responseHeaders.map(unconditional), [], () => true));
    request.path = editQuery(request.path, setQuery, removeQuery);
  }

  onPassed(): void {
    this.#settle(PASS);
  }

  onRefused(policy: AccessPolicy, denial: CheckDenial | undefined, result: CheckResult): void {
    const exchange = this.#exchange;
    const access = customRefusal(policy, requestFlow(exchange.request));
    exchange.access = access;
    if (denial === undefined) {
      const reply = { status: DENIAL_STATUS, body: DENIAL_BODY };
      this.#settle({ kind: 'refuse', reply, flags: 'UAEX', details: denialDetails(access) });
      return;
    }
    const { body, headers, status } = denial;
    const changes = [changesOf(headers, [], () => false)];
    const details = result === 'denied' ? 'ext_authz_denied' : 'ext_authz_error';
    this.#settle({ kind: 'refuse', reply: { status, body }, flags: 'UAEX', details, changes });
  }

  // === inside ===

  #awaitContent(): void {
    const { stream } = this.#exchange;
    if (stream.head.get('expect')?.toLowerCase() === '100-continue') {
      // Whoever waits for the server's word to go on gets ours; the server is not asked again.
      stream.interim(MessageHead.ofHttp2(HeaderBlock.response(100), true));
      this.#exchange.change({ set: [], add: [], remove: ['expect'] });
    }
    this.#weigh();
  }

  #weigh(): void {
    const exchange = this.#exchange;
    const held = exchange.store?.bytes ?? 0;
    const { contentLength } = exchange.stream.head;
    if (this.#whole && (held > this.#wanted || contentLength > this.#wanted)) this.#settle(TOO_LARGE);
    else if (exchange.requestEnded || held > this.#wanted || (held === this.#wanted && !this.#whole)) this.#ask();
    else if (exchange.store?.full === true) exchange.stream.resumeRequest();
  }

  #ask(): void {
    this.#asking = true;
    this.#inquiry.begin();
  }

  #settle(ruling: Ruling): void {
    const exchange = this.#exchange;
    exchange.checked = this.#inquiry.told;
    this.#asking = true;
    if (this.#waits) exchange.proceed(ruling);
    else this.#ruling = ruling;
  }
}
