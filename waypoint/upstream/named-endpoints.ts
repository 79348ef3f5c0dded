// SPDX-License-Identifier: Apache-2.0
// Endpoints that the mesh knows by host name, as the addresses that the names have: each address is an endpoint of its own, with its
// own connections, load and failures. They are asked for again when an answer has lived its life, as long as somebody asks for them.
//
// Until there is an answer, and where no endpoint has any address, a name stands for itself: whoever is sent there waits for the
// answer, or learns why there is none. Names that are away are left out as long as others are there. A resolver that does not answer
// changes nothing; one that says that there are no addresses does.
import type { Loop } from '#lib/loop/loop.ts';
import type { Ip } from '#lib/mesh/ip.ts';
import type { Endpoint, Service } from '#lib/mesh/service.ts';
import type { NameAnswer, NameResolver, NameWait } from '#lib/proxy/dns/name-resolver.ts';

/** Until a resolver that did not answer is asked again. */
const AGAIN_MS = 5_000;

class Known {
  addresses: readonly Ip[] = [];
  /** There was an answer, or none was to be had. */
  settled = false;
  /** Monotonic. */
  staleAt = 0;
  wait: NameWait | null = null;
  asking = false;
}

export class NamedEndpoints {
  readonly #loop: Pick<Loop, 'now'>;
  readonly #names: Pick<NameResolver, 'ask'>;
  readonly #family: 4 | 6;
  readonly #changed: () => void;
  #known = new Map<string, Known>();
  #owners = new Map<string, string>();

  /**
   * @param family the proxy's own: of a name that has addresses of both only those of this one are endpoints
   * @param changed is told when `expand` would answer otherwise than before
   */
  constructor(loop: Pick<Loop, 'now'>, names: Pick<NameResolver, 'ask'>, family: 4 | 6, changed: () => void) {
    this.#loop = loop;
    this.#names = names;
    this.#family = family;
    this.#changed = changed;
  }

  /** The uid of the workload that an endpoint was made from. */
  ownerOf(uid: string): string {
    return this.#owners.get(uid) ?? uid;
  }

  /** The same endpoints with addresses in place of names. */
  expand({ ipFamilies }: Service, endpoints: readonly Endpoint[]): readonly Endpoint[] {
    const named = endpoints.filter(isNamed);
    if (named.length === 0) {
      if (this.#known.size > 0) this.close();
      return endpoints;
    }
    const before = this.#known;
    this.#known = new Map();
    this.#owners = new Map();
    for (const { workload } of named) {
      const { hostname } = workload;
      const known = before.get(hostname) ?? this.#known.get(hostname) ?? new Known();
      before.delete(hostname);
      this.#known.set(hostname, known);
    }
    for (const gone of before.values()) gone.wait?.cancel();
    this.refresh();
    const expanded = endpoints.flatMap((endpoint) =>
      isNamed(endpoint) ? this.#addressesOf(endpoint, ipFamilies) : [endpoint],
    );
    const there = expanded.filter(
      (endpoint) => !isNamed(endpoint) || !this.#known.get(endpoint.workload.hostname)!.settled,
    );
    return there.length > 0 ? there : expanded;
  }

  /** Asks for what has lived its life. */
  refresh(): void {
    for (const [hostname, known] of this.#known) {
      if (known.asking || known.staleAt > this.#loop.now) continue;
      known.asking = true;
      let told = false;
      const wait = this.#names.ask(hostname, (answer) => {
        told = true;
        this.#learn(known, answer);
      });
      known.wait = told ? null : wait;
    }
  }

  /** Asks for nothing any more. */
  close(): void {
    for (const { wait } of this.#known.values()) wait?.cancel();
    this.#known = new Map();
    this.#owners = new Map();
  }

  #learn(known: Known, { addresses, answered, expiresAt }: NameAnswer): void {
    known.asking = false;
    known.wait = null;
    const first = !known.settled;
    known.settled = true;
    known.staleAt = Math.max(expiresAt, this.#loop.now + (answered && addresses.length > 0 ? 0 : AGAIN_MS));
    const keeps = !answered && addresses.length === 0;
    const same = keeps || sameAddresses(known.addresses, addresses);
    if (!keeps) known.addresses = addresses;
    if (first || !same) this.#changed();
  }

  #addressesOf(endpoint: Endpoint, families: Service['ipFamilies']): readonly Endpoint[] {
    const { workload } = endpoint;
    const { addresses } = this.#known.get(workload.hostname)!;
    const allowed = addresses.filter(({ family }) => (family === 4 ? families !== 'ipv6' : families !== 'ipv4'));
    if (allowed.length === 0) return [endpoint];
    const own = allowed.filter(({ family }) => family === this.#family);
    return (own.length > 0 ? own : allowed).map((ip) => {
      const uid = `${workload.uid}@${ip.text}`;
      this.#owners.set(uid, workload.uid);
      return { ...endpoint, workload: { ...workload, uid, addresses: [ip] } };
    });
  }
}

function isNamed({ workload }: Endpoint): boolean {
  return workload.addresses.length === 0 && workload.hostname !== '';
}

/** Resolvers tell them in any order. */
function sameAddresses(one: readonly Ip[], other: readonly Ip[]): boolean {
  return one.length === other.length && one.every((ip) => other.some((another) => another.equals(ip)));
}
