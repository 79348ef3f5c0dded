// SPDX-License-Identifier: Apache-2.0
// A token that is there must be good; what it says goes on as the rules word it.
import { type JwtAuthenticator, refusalDetails } from '#lib/mesh/http/authenticate-request.ts';
import { type JudgedRequest, PASS, type RequestFilter, type Ruling } from './filter.ts';

export class TokenFilter implements RequestFilter {
  readonly #authenticator: JwtAuthenticator;

  constructor(authenticator: JwtAuthenticator) {
    this.#authenticator = authenticator;
  }

  judge({ request, runtime }: JudgedRequest): Ruling {
    const verdict = this.#authenticator.authenticate(request, runtime.now() / 1000);
    if (verdict.kind === 'refuse') {
      const headers = [{ name: 'www-authenticate', value: verdict.wwwAuthenticate }];
      const reply = { status: verdict.status, body: verdict.reason, headers };
      return { kind: 'refuse', reply, flags: '', details: refusalDetails(verdict.reason) };
    }
    request.claims = verdict.claims;
    request.identified = verdict.requestHeaders;
    return PASS;
  }
}
