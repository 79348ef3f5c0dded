// SPDX-License-Identifier: Apache-2.0
//
// Virtual addresses for hosts of ServiceEntries that declare none, so that clients which resolve the name can be told
// apart from those of another. One of each family a host, from ranges that nobody routes. What a host has it keeps;
// where two claim one address, the older entry has it, and an address that somebody declares belongs to him.

import { type Ip, ip4, parseIp } from '#lib/mesh/ip.ts';
import type { ServiceEntry } from '../object/entry.ts';
import { byAge, keyOf, label } from '../object/object.ts';
import { declaredAddresses, takesAllocation } from './entry-hosts.ts';

const AUTO_ALLOCATE = 'networking.istio.io/enable-autoallocate-ip';
/** 240.240.0.0/16 and 2001:2::/48: the same number in both. */
const V4_BASE = 0xf0f0_0000;
const V6_PREFIX = '2001:2::';
const SIZE = 0xfffe;

/** An address of one host, as it stands in a ServiceEntry's status. */
export interface Allocation {
  readonly host: string;
  readonly value: string;
}

interface Claim {
  readonly entry: ServiceEntry;
  readonly given: Allocation[];
}

/** Whether the entry's hosts are to have addresses given out. */
export function wantsAllocation(entry: ServiceEntry): boolean {
  return (entry.spec?.addresses ?? []).length === 0 && label(entry, AUTO_ALLOCATE) !== 'false';
}

function addressOf(number: number, family: 4 | 6): Ip {
  return family === 4 ? ip4(V4_BASE + number) : parseIp(`${V6_PREFIX}${number.toString(16)}`)!;
}

/** The number of an address in its range; undefined outside. */
function numberOf(ip: Ip): number | undefined {
  const number = ip.d >>> 0;
  const inside =
    ip.family === 4
      ? (number & 0xffff_0000) >>> 0 === V4_BASE
      : ip.a === 0x2001_0002 && ip.b === 0 && ip.c === 0 && number <= 0xffff;
  const offset = number & 0xffff;
  return inside && offset >= 1 && offset <= SIZE ? offset : undefined;
}

export class AddressAllocator {
  readonly #claims = new Map<string, Claim>();
  /** Key of the entry that has an address given out. */
  readonly #holders = new Map<string, string>();
  /** How many entries declare an address of our ranges. */
  readonly #declared = new Map<string, number>();
  #next = 1;

  /** Takes in an entry, or that it is gone; returns the keys whose addresses must be looked at again. */
  update(key: string, entry: ServiceEntry | undefined): ReadonlySet<string> {
    const touched = new Set([key]);
    const before = this.#claims.get(key);
    if (before !== undefined) this.#release(key, before);
    if (entry === undefined) return touched;
    for (const text of declaredIn(entry)) {
      this.#declared.set(text, (this.#declared.get(text) ?? 0) + 1);
      const holder = this.#holders.get(text);
      if (holder !== undefined) touched.add(holder);
    }
    this.#claim(key, entry, before?.given ?? [], touched);
    for (const loser of touched) {
      const claim = this.#claims.get(loser);
      if (loser === key || claim === undefined) continue;
      this.#release(loser, claim);
      this.#claim(loser, claim.entry, claim.given, touched);
      for (const text of declaredIn(claim.entry)) this.#declared.set(text, (this.#declared.get(text) ?? 0) + 1);
    }
    return touched;
  }

  /** What an entry's status should say. */
  wanted(key: string): readonly Allocation[] {
    return this.#claims.get(key)?.given ?? [];
  }

  #claim(key: string, entry: ServiceEntry, had: readonly Allocation[], touched: Set<string>): void {
    const given: Allocation[] = [];
    this.#claims.set(key, { entry, given });
    if (!wantsAllocation(entry)) return;
    const told = (entry.status?.addresses ?? []).flatMap(({ host, value }) =>
      host === undefined || value === undefined ? [] : [{ host, value }],
    );
    for (const host of new Set(entry.spec?.hosts ?? [])) {
      if (!takesAllocation(entry, host)) continue;
      for (const family of [4, 6] as const) {
        const kept = [...told, ...had].find(
          (one) => one.host === host && this.#mayKeep(one.value, family, key, entry, touched),
        );
        const value = kept?.value ?? this.#fresh(family);
        if (value === undefined) continue;
        this.#holders.set(value, key);
        given.push({ host, value });
      }
    }
  }

  #mayKeep(text: string, family: 4 | 6, key: string, entry: ServiceEntry, touched: Set<string>): boolean {
    const ip = parseIp(text);
    if (ip?.family !== family || numberOf(ip) === undefined || this.#declared.has(text)) return false;
    const holder = this.#holders.get(text);
    if (holder === undefined) return true;
    const rival = this.#claims.get(holder)?.entry;
    if (holder === key || (rival !== undefined && byAge(rival, entry) <= 0)) return false;
    // The younger one loses it, and is given another.
    this.#holders.delete(text);
    touched.add(holder);
    return true;
  }

  /** undefined when the range is used up. */
  #fresh(family: 4 | 6): string | undefined {
    for (let tried = 0; tried < SIZE; tried++) {
      const number = ((this.#next - 1 + tried) % SIZE) + 1;
      const { text } = addressOf(number, family);
      if (this.#holders.has(text) || this.#declared.has(text)) continue;
      // Both families of a host get one number where they can.
      this.#next = family === 6 ? number + 1 : number;
      return text;
    }
    return undefined;
  }

  #release(key: string, { entry, given }: Claim): void {
    this.#claims.delete(key);
    for (const { value } of given) if (this.#holders.get(value) === key) this.#holders.delete(value);
    for (const text of declaredIn(entry)) {
      const left = (this.#declared.get(text) ?? 1) - 1;
      if (left === 0) this.#declared.delete(text);
      else this.#declared.set(text, left);
    }
  }
}

/** Single addresses of our ranges that an entry declares. */
function declaredIn(entry: ServiceEntry): string[] {
  return (declaredAddresses(entry) ?? [])
    .filter((range) => range.host && numberOf(range.base) !== undefined)
    .map(({ base }) => base.text);
}

/** Entries in the order in which they may keep what they have. */
export function inOrder(entries: Iterable<ServiceEntry>): [string, ServiceEntry][] {
  return [...entries].sort(byAge).map((entry) => [keyOf(entry), entry]);
}
