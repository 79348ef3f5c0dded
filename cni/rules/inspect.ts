// SPDX-License-Identifier: Apache-2.0
// What the kernel has in a namespace, read in one go: every enrolment and every periodic look comes through here, for every pod of
// the node, so it starts one program and not ten.
import { AmbitError } from '#lib/kit/error.ts';
import type { Family, Route, Rule } from '#lib/linux/ip.ts';
import type { Netns } from '#lib/linux/netns.ts';
import type { NftObject } from '#lib/linux/nft.ts';
import { tryProgram } from '#lib/linux/program.ts';
import { FAMILY, fingerprintOf } from './table.ts';

/** Routes of one table, rules and nft tables of a namespace. */
export interface Inspection {
  /** Fingerprints of the nft tables of our family, by name. */
  readonly tables: ReadonlyMap<string, string>;
  readonly rules: Readonly<Record<Family, readonly Rule[]>>;
  readonly routes: Readonly<Record<Family, readonly Route[]>>;
}

const SEPARATOR = '----';

/** Reads all; `routeTable` names the routing table. Throws PROGRAM_FAILED. */
export async function inspect(netns: Netns | undefined, routeTable: string): Promise<Inspection> {
  // A routing table that does not exist is an error to ip and an empty one to us; a family that is off has no rules.
  const script = `nft -j -n list ruleset || exit 1
show() { echo ${SEPARATOR}; found=$(ip -json "$@" 2>/dev/null) && echo "$found"; }
for family in 4 6; do
  show -$family rule show
  show -$family route show table ${routeTable}
done
exit 0`;
  const { code, stderr, stdout } = await tryProgram('sh', ['-c', script], { netns });
  if (code !== 0) throw new AmbitError('PROGRAM_FAILED', `nft list ruleset: ${stderr.trim()}`);
  const [ruleset, rules4, routes4, rules6, routes6] = stdout.split(`${SEPARATOR}\n`);
  return {
    tables: tablesOf(ruleset ?? ''),
    rules: { 4: listOf<Rule>(rules4), 6: listOf<Rule>(rules6) },
    routes: { 4: listOf<Route>(routes4), 6: listOf<Route>(routes6) },
  };
}

function tablesOf(text: string): Map<string, string> {
  const { nftables } = JSON.parse(text) as { nftables: NftObject[] };
  const byTable = new Map<string, NftObject[]>();
  for (const object of nftables) {
    const [kind, body] = Object.entries(object)[0]!;
    if (kind === 'metainfo' || body['family'] !== FAMILY) continue;
    const name = String(kind === 'table' ? body['name'] : body['table']);
    const list = byTable.get(name);
    if (list) list.push(object);
    else byTable.set(name, [object]);
  }
  return new Map([...byTable].map(([name, objects]) => [name, fingerprintOf(objects)]));
}

function listOf<T extends object>(text = ''): T[] {
  // Without anything to show, ip writes nothing or [{}].
  const list = text.trim() === '' ? [] : (JSON.parse(text) as T[]);
  return list.filter((entry) => Object.keys(entry).length > 0);
}
