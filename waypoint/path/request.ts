// SPDX-License-Identifier: Apache-2.0
// A request as decisions see it, backed by its head: a text is made of what a rule reads.
import type { Claims, RequestView } from '#lib/mesh/http/request.ts';
import type { HeaderChanges } from '#lib/mesh/http/route-table.ts';
import type { Identity } from '#lib/mesh/identity.ts';
import type { Ip } from '#lib/mesh/ip.ts';
import type { MessageHead } from '#lib/wire/http/message.ts';
import type { Origin } from './origin.ts';

export class Request implements RequestView {
  readonly head: MessageHead;
  readonly path: string;
  readonly scheme = 'http';
  readonly serverName = '';
  claims: Claims | undefined;
  /** What its token changes: rules see the head as it goes on, not as a client forged it. */
  identified: HeaderChanges | undefined;
  readonly #origin: Origin;
  #method = '';
  #authority: string | undefined;

  /** `path` is the head's after normalisation. */
  constructor(head: MessageHead, path: string, origin: Origin) {
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
    const { head, identified } = this;
    if (identified !== undefined) {
      const set = identified.set.find((one) => one.name === name);
      if (set !== undefined) return set.value;
      if (identified.remove.includes(name)) return undefined;
    }
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

  get remoteIp(): Ip {
    return this.#origin.sourceIp;
  }

  get destinationIp(): Ip {
    return this.#origin.destinationIp;
  }

  get port(): number {
    return this.#origin.door.port;
  }
}
