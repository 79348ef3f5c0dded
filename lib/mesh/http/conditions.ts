// SPDX-License-Identifier: Apache-2.0
//
// What an access policy asks of a request beside what layer 4 knows of its connection. Part of a match: all of these
// hold, and so does the rest of the match.

import type { Cidr } from '../cidr.ts';
import type { Condition } from '../condition.ts';

export interface AccessPattern {
  /**
   * `present`: a value that is not empty. `template`: `{*}` is one path element, `{**}` any number. `wildcard`: `*` is
   * any characters, U+0001 any but `/`.
   */
  readonly kind: 'exact' | 'prefix' | 'suffix' | 'present' | 'template' | 'wildcard';
  readonly value: string;
}

export type AccessCondition = Condition<AccessPattern>;

export interface NamedCondition {
  /** Headers: lower case. Claims: names on the way down joined by U+0000. */
  readonly name: string;
  readonly value: AccessCondition;
}

export interface HttpConditions {
  /** In lower case, with a port only where the pattern has one. */
  readonly hosts: AccessCondition;
  readonly methods: AccessCondition;
  /** Without the query. */
  readonly paths: AccessCondition;
  /** Issuer and subject of the token, with U+0000 between them. */
  readonly requestPrincipals: AccessCondition;
  readonly audiences: AccessCondition;
  readonly presenters: AccessCondition;
  readonly headers: readonly NamedCondition[];
  readonly claims: readonly NamedCondition[];
  readonly remoteIps: Condition<Cidr>;
  readonly serverNames: AccessCondition;
  /** On `<trust domain>/ns/<namespace>/sa/<account>` of the peer, where a pattern needs a wildcard inside. */
  readonly peers: AccessCondition;
}

const NOTHING = { any: [], none: [] } as const;

export const NO_HTTP_CONDITIONS: HttpConditions = {
  hosts: NOTHING,
  methods: NOTHING,
  paths: NOTHING,
  requestPrincipals: NOTHING,
  audiences: NOTHING,
  presenters: NOTHING,
  headers: [],
  claims: [],
  remoteIps: NOTHING,
  serverNames: NOTHING,
  peers: NOTHING,
};
