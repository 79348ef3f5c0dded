// SPDX-License-Identifier: Apache-2.0
// Addresses of endpoints that the mesh knows by host name only, asked of the proxy's own resolvers when a connection needs one, and
// kept for as long as the answer says.
import type { Loop } from '#lib/loop/loop.ts';
import type { Random } from '#lib/mesh/balance.ts';
import { type Ip, parseIp } from '#lib/mesh/ip.ts';
import { parseQuery } from '#lib/wire/dns.ts';
import { encodeQuestion, type Lookup, readLookup } from '#lib/wire/dns-lookup.ts';
import type { DnsForwarder } from './forwarder.ts';

/** Names kept. */
const MAX_NAMES = 4096;
/** An answer that lives for no time is good for the connections of a moment; one that lives for ever is asked for again some day. */
const MIN_LIFE_MS = 1_000;
const MAX_LIFE_MS = 3_600_000;
/** That there is no such name may change soon. */
const MISSING_LIFE_MS = 5_000;

/** What is known of a name. */
export interface NameAnswer {
  readonly addresses: readonly Ip[];
  /** Why there are none. */
  readonly reason: string;
  /** A resolver said so: without addresses, that there are none. Otherwise none of them answered. */
  readonly answered: boolean;
  /** Monotonic ms: to be asked for again from then on. */
  readonly expiresAt: number;
}

/** Told once, maybe before `lookup` returns. */
export interface NameWaiter {
  onAddress(ip: Ip): void;
  onNoAddress(reason: string): void;
}

/** Somebody who waits. */
export interface NameWait {
  /** Nobody is told. */
  cancel(): void;
}

class Entry implements NameAnswer {
  addresses: readonly Ip[] = [];
  reason = '';
  answered = false;
  /** Monotonic ms; -1 while it is being asked for. */
  expiresAt = -1;
  readonly waiting = new Set<() => void>();
}

export class NameResolver {
  readonly #loop: Loop;
  readonly #forwarder: DnsForwarder;
  readonly #random: Random;
  readonly #failureLifeMs: number;
  readonly #entries = new Map<string, Entry>();

  /** `failureLifeMs`: for how long nobody is asked again what could not be found out. */
  constructor(loop: Loop, forwarder: DnsForwarder, random: Random, failureLifeMs = 0) {
    this.#loop = loop;
    this.#forwarder = forwarder;
    this.#random = random;
    this.#failureLifeMs = failureLifeMs;
  }

  /** Finds one address of `hostname`, at random, of `family` if there is one. */
  lookup(hostname: string, family: 4 | 6, waiter: NameWaiter): NameWait | null {
    return this.ask(hostname, (answer) => this.#tell(answer, family, waiter));
  }

  /** Finds out all there is; `told` is called once, maybe before this returns. */
  ask(hostname: string, told: (answer: NameAnswer) => void): NameWait | null {
    const known = this.#entries.get(hostname);
    const fresh = known !== undefined && (known.expiresAt === -1 || known.expiresAt > this.#loop.now);
    const entry = fresh ? known : this.#ask(hostname);
    if (entry.expiresAt !== -1) {
      told(entry);
      return null;
    }
    const tell = () => told(entry);
    entry.waiting.add(tell);
    return { cancel: () => void entry.waiting.delete(tell) };
  }

  #tell({ addresses, reason }: NameAnswer, family: 4 | 6, waiter: NameWaiter): void {
    const same = addresses.filter((ip) => ip.family === family);
    const choice = same.length > 0 ? same : addresses;
    const ip = choice[Math.floor(this.#random() * choice.length)];
    if (ip === undefined) waiter.onNoAddress(reason);
    else waiter.onAddress(ip);
  }

  #ask(hostname: string): Entry {
    const entry = new Entry();
    if (this.#entries.size >= MAX_NAMES) this.#makeRoom();
    this.#entries.delete(hostname);
    this.#entries.set(hostname, entry);
    const found: Lookup[] = [];
    const done = (lookup: Lookup): void => {
      found.push(lookup);
      if (found.length === 2) this.#answered(entry, hostname, found);
    };
    for (const type of ['A', 'AAAA'] as const) {
      const message = encodeQuestion(0, hostname, type);
      const parsed = message === undefined ? undefined : parseQuery(message);
      if (message === undefined || parsed?.kind !== 'query') done({ kind: 'name-error' });
      else {
        this.#forwarder.ask(message, parsed.query, true, (reply) => {
          done(reply === undefined ? { kind: 'failure' } : readLookup(reply, type));
        });
      }
    }
    return entry;
  }

  #answered(entry: Entry, hostname: string, found: readonly Lookup[]): void {
    let lifeMs = MAX_LIFE_MS;
    const addresses: Ip[] = [];
    for (const lookup of found) {
      if (lookup.kind !== 'addresses') continue;
      lifeMs = Math.min(lifeMs, Math.max(MIN_LIFE_MS, lookup.ttlS * 1000));
      for (const text of lookup.addresses) {
        const ip = parseIp(text);
        if (ip !== undefined) addresses.push(ip);
      }
    }
    const unknown = found.every(({ kind }) => kind === 'name-error');
    entry.addresses = addresses;
    entry.answered = found.every(({ kind }) => kind !== 'failure');
    entry.reason = unknown
      ? `host name ${hostname} has no address`
      : `no resolver could tell the address of ${hostname}`;
    const nothingMs = unknown ? MISSING_LIFE_MS : this.#failureLifeMs;
    entry.expiresAt = this.#loop.now + (addresses.length > 0 ? lifeMs : nothingMs);
    const waiting = [...entry.waiting];
    entry.waiting.clear();
    for (const tell of waiting) tell();
  }

  /** The oldest answer goes; questions under way stay. */
  #makeRoom(): void {
    for (const [name, { expiresAt }] of this.#entries) {
      if (expiresAt === -1) continue;
      this.#entries.delete(name);
      return;
    }
  }
}
