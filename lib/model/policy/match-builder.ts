// SPDX-License-Identifier: Apache-2.0
//
// Lists of a policy's YAML as conditions of one match. A value that cannot be used never weakens the policy: in ALLOW
// the match never hits, in DENY its list restricts nothing.

import { parseCidr } from '#lib/mesh/cidr.ts';
import type { Condition } from '#lib/mesh/condition.ts';
import { EMPTY_MATCH, isEmptyMatch, type Match, type ServiceAccountMatch, type StringMatch } from '#lib/mesh/policy.ts';

/** A match, or that its clause holds for every connection. */
export type MatchOrAlways = Match | 'always';

type Values = readonly string[] | undefined;

export class MatchBuilder {
  readonly #action: 'allow' | 'deny';
  readonly #namespace: string;
  #match: Match = EMPTY_MATCH;
  /** Something was asked that could not be expressed. */
  #lost = false;

  /** @param namespace of the policy: where bare service account names are looked for */
  constructor(action: 'allow' | 'deny', namespace: string) {
    this.#action = action;
    this.#namespace = namespace;
  }

  namespaces(any: Values, none: Values): this {
    this.#match = { ...this.#match, namespaces: { any: strings(any), none: strings(none) } };
    return this;
  }

  principals(any: Values, none: Values): this {
    const { principals } = this.#match;
    this.#match = {
      ...this.#match,
      principals: { any: [...principals.any, ...strings(any)], none: [...principals.none, ...strings(none)] },
    };
    return this;
  }

  /** A trust domain is the beginning of a principal, so it can be asked for where no principal is. */
  trustDomains(any: Values, none: Values): this {
    const wanted = any ?? [];
    const { principals } = this.#match;
    if (wanted.length > 0 && principals.any.length > 0) this.#lost = true;
    const known = wanted.length > 0 && principals.any.length === 0 ? this.#domains(wanted) : principals.any;
    const positive = known.length < wanted.length && this.#action === 'deny' ? [] : known;
    this.#match = {
      ...this.#match,
      principals: { any: positive, none: [...principals.none, ...this.#domains(none ?? [])] },
    };
    return this;
  }

  #domains(values: readonly string[]): StringMatch[] {
    return values.flatMap((text): StringMatch[] => {
      if (text === '*') return [{ kind: 'presence', value: '' }];
      if (text.endsWith('*')) return [{ kind: 'prefix', value: text.slice(0, -1) }];
      if (!text.startsWith('*')) return [{ kind: 'prefix', value: `${text}/ns/` }];
      this.#lost = true;
      return [];
    });
  }

  serviceAccounts(any: Values, none: Values): this {
    const both = { any: this.#accounts(any ?? []), none: this.#accounts(none ?? []) };
    this.#match = { ...this.#match, serviceAccounts: both };
    return this;
  }

  #accounts(values: readonly string[]): ServiceAccountMatch[] {
    return values.map((text) => {
      const slash = text.indexOf('/');
      return slash < 0
        ? { namespace: this.#namespace, serviceAccount: text }
        : { namespace: text.slice(0, slash), serviceAccount: text.slice(slash + 1) };
    });
  }

  sourceIps(any: Values, none: Values): this {
    this.#match = { ...this.#match, sourceIps: this.#both(any, none, parseCidr) };
    return this;
  }

  destinationIps(any: Values, none: Values): this {
    this.#match = { ...this.#match, destinationIps: this.#both(any, none, parseCidr) };
    return this;
  }

  destinationPorts(any: Values, none: Values): this {
    this.#match = { ...this.#match, destinationPorts: this.#both(any, none, parsePort) };
    return this;
  }

  #both<T>(any: Values, none: Values, parse: (text: string) => T | undefined): Condition<T> {
    const read = (values: Values): T[] => (values ?? []).map(parse).filter((one) => one !== undefined);
    const [wanted, excluded] = [read(any), read(none)];
    const lostWanted = wanted.length < (any?.length ?? 0);
    if (lostWanted || excluded.length < (none?.length ?? 0)) this.#lost = true;
    // What the lost value would have added cannot be known, so a denial is not narrowed by the rest of the list.
    return { any: lostWanted && this.#action === 'deny' ? [] : wanted, none: excluded };
  }

  /** Whether something was asked that could not be expressed. */
  get lost(): boolean {
    return this.#lost;
  }

  /** @param partly whether layer 7 asks for more than this match can tell */
  build(partly: boolean): MatchOrAlways {
    if (this.#action === 'allow') return this.#lost || partly ? EMPTY_MATCH : this.#match;
    return isEmptyMatch(this.#match) ? 'always' : this.#match;
  }
}

/** A port number of the wire: 1 to 65535, written in digits. */
export function parsePort(text: string): number | undefined {
  if (!/^[1-9]\d{0,4}$/.test(text)) return undefined;
  const port = Number(text);
  return port <= 65535 ? port : undefined;
}

function strings(values: Values): StringMatch[] {
  return (values ?? []).map((text) => {
    if (text === '*') return { kind: 'presence', value: '' };
    if (text.startsWith('*')) return { kind: 'suffix', value: text.slice(1) };
    if (text.endsWith('*')) return { kind: 'prefix', value: text.slice(0, -1) };
    return { kind: 'exact', value: text };
  });
}
