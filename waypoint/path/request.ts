// SPDX-License-Identifier: Apache-2.0
// A request as decisions see it, backed by its head: a text is made of what a rule reads.

import { forwardedFor } from '#lib/mesh/http/forwarded-for.ts';
import type { Claims, RequestView } from '#lib/mesh/http/request.ts';
import type { HeaderChanges } from '#lib/mesh/http/route-table.ts';
import type { Identity } from '#lib/mesh/identity.ts';
import type { Ip } from '#lib/mesh/ip.ts';
import type { MessageHead } from '#lib/wire/http/message.ts';
import type { ConnectionRecord } from '../record/connection.ts';

const NO_CHANGES: readonly HeaderChanges[] = [];

export class Request implements RequestView {
  readonly head: MessageHead;
  path: string;
  readonly scheme = 'http';
  readonly serverName = '';
  claims: Claims | undefined;
  /** What its token changes: rules see the head as it goes on, not as a client forged it. */
  identified: HeaderChanges | undefined;
  /** What authorisers have changed, in the order in which they were asked. */
  authorised: readonly HeaderChanges[] = NO_CHANGES;
  readonly #origin: ConnectionRecord;
  #method = '';
  #authority: string | undefined;

  /** `path` is the head's after normalisation. */
  constructor(head: MessageHead, path: string, origin: ConnectionRecord) {
    this.head = head;
    this.path = path;
    this.#origin = origin;
  }

  get method(): string {
    if (this.#method === '') this.#method = this.head.method;
    return this.#method;
  }

  get authority(): string {
    this.#authority ??= this.head.authority;
    return this.#authority;
  }

  header(name: string): string | undefined {
    const { identified } = this;
    if (identified !== undefined) {
      const set = identified.set.find((one) => one.name === name);
      if (set !== undefined) return set.value;
      if (identified.remove.includes(name)) return undefined;
    }
    return this.authorised.length === 0 ? this.#sent(name) : this.#changed(name);
  }

  /** An authoriser has allowed the request, with changes. */
  authorise(changes: HeaderChanges): void {
    this.authorised = [...this.authorised, changes];
  }

  #changed(name: string): string | undefined {
    let value = this.#sent(name);
    for (const { add, remove, set } of this.authorised) {
      value = set.find((one) => one.name === name)?.value ?? value;
      for (const one of add) if (one.name === name) value = value === undefined ? one.value : `${value},${one.value}`;
      if (remove.includes(name)) value = undefined;
    }
    return value;
  }

  #sent(name: string): string | undefined {
    const { head } = this;
    const first = head.get(name);
    if (first === undefined) return undefined;
    let joined = '';
    let found = 0;
    for (let i = 0; i < head.count; i++) {
      if (head.name(i) !== name) continue;
      joined = found++ === 0 ? head.value(i) : `${joined},${head.value(i)}`;
    }
    return found > 1 ? joined : first;
  }

  get identity(): Identity | undefined {
    return this.#origin.identity;
  }

  get sourceIp(): Ip {
    return this.#origin.sourceIp;
  }

  /** Whom the proxies before say they serve; at a gateway only those that are trusted are asked. */
  get remoteIp(): Ip {
    const { door, sourceIp } = this.#origin;
    const { trustedProxies } = door.settings;
    const edge = door.behind.kind === 'listener';
    if (edge && trustedProxies === 0) return sourceIp;
    return forwardedFor(this.header('x-forwarded-for'), edge ? trustedProxies - 1 : trustedProxies) ?? sourceIp;
  }

  get destinationIp(): Ip {
    return this.#origin.destinationIp;
  }

  get port(): number {
    return this.#origin.door.port;
  }
}
