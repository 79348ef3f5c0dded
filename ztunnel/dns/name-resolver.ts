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

class Entry {
  addresses: readonly Ip[] = [];
  reason = '';
  /** Monotonic ms; -1 while it is being asked for. */
  expiresAt = -1;
  readonly waiting = new Set<() => void>();
}

export class NameResolver {
  readonly #loop: Loop;
  readonly #forwarder: DnsForwarder;
  readonly #random: Random;
  readonly #entries = new Map<string, Entry>();

  constructor(loop: Loop, forwarder: DnsForwarder, random: Random) {
    this.#loop = loop;
    this.#forwarder = forwarder;
    this.#random = random;
  }

  /** Finds one address of `hostname`, at random, of `family` if there is one. */
  lookup(hostname: string, family: 4 | 6, waiter: NameWaiter): NameWait | null {
    const known = this.#entries.get(hostname);
    if (known !== undefined && known.expiresAt > this.#loop.now) {
      this.#tell(known, family, waiter);
      return null;
    }
    const entry = known?.expiresAt === -1 ? known : this.#ask(hostname);
    if (entry.expiresAt !== -1) {
      this.#tell(entry, family, waiter);
      return null;
    }
    const told = () => this.#tell(entry, family, waiter);
    entry.waiting.add(told);
    return { cancel: () => void entry.waiting.delete(told) };
  }

  #tell({ addresses, reason }: Entry, family: 4 | 6, waiter: NameWaiter): void {
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
    entry.reason = unknown
      ? `host name ${hostname} has no address`
      : `no resolver could tell the address of ${hostname}`;
    // What could not be found out is asked again by the next connection.
    entry.expiresAt = this.#loop.now + (addresses.length > 0 ? lifeMs : unknown ? MISSING_LIFE_MS : 0);
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
