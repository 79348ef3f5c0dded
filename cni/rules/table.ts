// SPDX-License-Identifier: Apache-2.0
// Tables of rules as data, how to write them in one transaction, and how to compare what the kernel has with what it should have.
//
// nft prints rules in a form of its own, so text is never compared with what was written. The measure is a namespace that nothing lives in: the
// same tables are applied there, and its listing is what every pod's listing must equal.
import { Netns } from '#lib/linux/netns.ts';
import { applyNft, type JsonObject, listNftTable, type NftCommand, type NftObject } from '#lib/linux/nft.ts';
import type { Statement } from './expression.ts';

export const FAMILY = 'inet';

export interface Chain {
  readonly name: string;
  /** Absent for a chain that others jump to. */
  readonly hook?: {
    readonly type: 'nat' | 'filter' | 'route';
    readonly hook: 'prerouting' | 'output' | 'postrouting' | 'input';
    readonly priority: number;
  };
  readonly rules: readonly (readonly Statement[])[];
}

export interface Table {
  readonly name: string;
  readonly sets?: readonly { readonly name: string; readonly type: 'ipv4_addr' | 'ipv6_addr' }[];
  readonly chains: readonly Chain[];
}

/** Commands that make `tables` be exactly this, and tables of `absent` names be gone. Sets keep their elements. */
export function applyCommands(tables: readonly Table[], absent: readonly string[] = []): NftCommand[] {
  const family = FAMILY;
  const commands: NftCommand[] = [];
  for (const name of absent) {
    // Add before delete, so that absence is no error.
    commands.push({ add: { table: { family, name } } }, { delete: { table: { family, name } } });
  }
  for (const { name: table, sets = [], chains } of tables) {
    commands.push({ add: { table: { family, name: table } } }, { flush: { table: { family, name: table } } });
    for (const set of sets) commands.push({ add: { set: { family, table, ...set } } });
    for (const { name, hook } of chains) {
      const base = hook ? { type: hook.type, hook: hook.hook, prio: hook.priority, policy: 'accept' } : {};
      commands.push({ add: { chain: { family, table, name, ...base } } });
    }
    for (const { name: chain, rules } of chains) {
      for (const expr of rules) commands.push({ add: { rule: { family, table, chain, expr } } });
    }
  }
  return commands;
}

/** Commands that remove tables, whether or not they exist. */
export function removeCommands(names: readonly string[]): NftCommand[] {
  return applyCommands([], names);
}

/** What one table holds, without counts, handles and set elements: equal texts mean equal rules in equal order. */
export function fingerprintOf(objects: readonly NftObject[]): string {
  return objects
    .map((object) => JSON.stringify(strip(object)))
    .sort(byKind)
    .join('\n');
}

/** A ruleset lists all chains before all rules, a table's own listing does not: kinds are put together, order within a kind stays. */
function byKind(a: string, b: string): number {
  const [left, right] = [a.slice(0, 4), b.slice(0, 4)];
  return left < right ? -1 : left > right ? 1 : 0;
}

/** The fingerprint of one table; undefined when there is none. */
export async function fingerprint(table: string, netns: Netns | undefined): Promise<string | undefined> {
  const objects = await listNftTable(FAMILY, table, netns);
  return objects && fingerprintOf(objects);
}

/** Knows what tables look like in the kernel, by trying them out. */
export class References {
  readonly #known = new Map<string, Promise<string>>();

  /** The fingerprint of a table that is as it should be. */
  of(table: Table): Promise<string> {
    const key = JSON.stringify(table);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const made = tryOut(table);
    this.#known.set(key, made);
    made.catch(() => this.#known.delete(key));
    return made;
  }
}

async function tryOut(table: Table): Promise<string> {
  const netns = Netns.create();
  try {
    await applyNft(applyCommands([table]), netns);
    return (await fingerprint(table.name, netns)) ?? '';
  } finally {
    netns.close();
  }
}

/** Names of the tables that are not as they should be among those found; `absent` ones should not exist. */
export async function differences(
  tables: readonly Table[],
  absent: readonly string[],
  references: References,
  found: ReadonlyMap<string, string>,
): Promise<string[]> {
  const wrong = absent.filter((name) => found.has(name));
  for (const table of tables) if (found.get(table.name) !== (await references.of(table))) wrong.push(table.name);
  return wrong;
}

function strip(object: NftObject): unknown {
  return JSON.parse(
    JSON.stringify(object, (key, value: unknown) => (VOLATILE.has(key) ? undefined : value)),
  ) as JsonObject;
}

const VOLATILE = new Set(['handle', 'packets', 'bytes', 'elem']);
