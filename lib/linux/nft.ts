// SPDX-License-Identifier: Apache-2.0
// nftables through nft(8)'s JSON interface (libnftables-json(5)): a batch is applied whole or not at all.
import { AmbitError } from '#lib/kit/error.ts';
import type { Netns } from './netns.ts';
import { runProgram, tryProgram } from './program.ts';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

/** One command of a batch: { add: { rule: {...} } }, { flush: { table: {...} } }, { destroy: ... }. */
export type NftCommand = { readonly [verb: string]: JsonObject };

/** One listed object: { table: {...} }, { chain: {...} }, { rule: {...} }, { set: {...} }. */
export type NftObject = { readonly [kind: string]: JsonObject };

/** Applies a batch in one transaction. Throws PROGRAM_FAILED with nft's reason. */
export async function applyNft(commands: readonly NftCommand[], netns?: Netns): Promise<void> {
  await runProgram('nft', ['-j', '-f', '-'], { netns, stdin: JSON.stringify({ nftables: commands }) });
}

/** Everything in one table, or undefined when there is no such table. */
export async function listNftTable(family: string, table: string, netns?: Netns): Promise<NftObject[] | undefined> {
  const args = ['-j', '-n', 'list', 'table', family, table];
  const { code, stdout, stderr } = await tryProgram('nft', args, { netns });
  if (code === 0) return parse(stdout);
  if (/No such file or directory/.test(stderr)) return undefined;
  throw new AmbitError('PROGRAM_FAILED', `nft list table ${family} ${table}: ${stderr.trim()}`);
}

/** Names of all tables. */
export async function listNftTables(netns?: Netns): Promise<{ family: string; name: string }[]> {
  const listed = parse(await runProgram('nft', ['-j', 'list', 'tables'], { netns }));
  return listed.flatMap(({ table }) =>
    table ? [{ family: String(table['family']), name: String(table['name']) }] : [],
  );
}

function parse(text: string): NftObject[] {
  const { nftables } = JSON.parse(text) as { nftables: NftObject[] };
  return nftables.filter((object) => !('metainfo' in object));
}
