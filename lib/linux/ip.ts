// SPDX-License-Identifier: Apache-2.0
// ip(8) for links, addresses, routes and rules, read as JSON, in this or in another network namespace. Slow path only.
import { AmbitError } from '#lib/kit/error.ts';
import type { Netns } from './netns.ts';
import { runProgram, tryProgram } from './program.ts';

export interface Link {
  readonly ifindex: number;
  readonly ifname: string;
  readonly flags: readonly string[];
  readonly mtu: number;
  readonly operstate: string;
  readonly address?: string;
  readonly link_index?: number;
  readonly link_netnsid?: number;
  readonly linkinfo?: { readonly info_kind?: string };
}

export interface LinkAddresses {
  readonly ifname: string;
  readonly addr_info: readonly {
    readonly family: string;
    readonly local: string;
    readonly prefixlen: number;
    readonly scope: string;
  }[];
}

export interface Route {
  readonly type?: string;
  readonly dst: string;
  readonly gateway?: string;
  readonly dev?: string;
  readonly protocol?: string;
  readonly scope?: string;
  readonly table?: string;
}

export interface Rule {
  readonly priority: number;
  readonly src?: string;
  readonly fwmark?: string;
  readonly fwmask?: string;
  readonly table: string;
}

export type Family = 4 | 6;

/** Runs ip with these words. Throws PROGRAM_FAILED with ip's reason. */
export async function ip(words: readonly string[], netns?: Netns): Promise<void> {
  await runProgram('ip', words, { netns });
}

/** Runs many ip commands in one process, all for `family` when given, stopping at the first that fails. Throws PROGRAM_FAILED. */
export async function ipBatch(lines: readonly (readonly string[])[], netns?: Netns, family?: Family): Promise<void> {
  const stdin = lines.map((words) => words.join(' ')).join('\n');
  const words = [...(family === undefined ? [] : [`-${family}`]), '-batch', '-'];
  await runProgram('ip', words, { netns, stdin: `${stdin}\n` });
}

export async function links(netns?: Netns): Promise<Link[]> {
  return (await ipJson(['-details', 'link', 'show'], netns)) as Link[];
}

export async function addresses(netns?: Netns): Promise<LinkAddresses[]> {
  return (await ipJson(['address', 'show'], netns)) as LinkAddresses[];
}

/** Routes of a table; empty when the table does not exist. */
export async function routes(family: Family, table: string, netns?: Netns): Promise<Route[]> {
  return (await ipJson([`-${family}`, 'route', 'show', 'table', table], netns, /does not exist/)) as Route[];
}

/** Policy routing rules. */
export async function rules(family: Family, netns?: Netns): Promise<Rule[]> {
  return (await ipJson([`-${family}`, 'rule', 'show'], netns)) as Rule[];
}

/** Makes a named namespace (/run/netns/NAME). Throws PROGRAM_FAILED when the name is taken. */
export async function addNetns(name: string): Promise<void> {
  await ip(['netns', 'add', name]);
}

/** Removes the name; the namespace lives until its last user ends. No error when there is none. */
export async function deleteNetns(name: string): Promise<void> {
  const { code, stderr } = await tryProgram('ip', ['netns', 'delete', name]);
  if (code !== 0 && !/No such file/.test(stderr)) {
    throw new AmbitError('PROGRAM_FAILED', `ip netns delete ${name}: ${stderr.trim()}`);
  }
}

async function ipJson(words: readonly string[], netns: Netns | undefined, none?: RegExp): Promise<unknown[]> {
  const args = ['-json', ...words];
  const { code, stdout, stderr } = await tryProgram('ip', args, { netns });
  if (code !== 0) {
    if (none?.test(stderr)) return [];
    throw new AmbitError('PROGRAM_FAILED', `ip ${args.join(' ')}: ${stderr.trim()}`);
  }
  // Without anything to show, ip writes nothing or [{}].
  const list = stdout.trim() === '' ? [] : (JSON.parse(stdout) as Record<string, unknown>[]);
  return list.filter((entry) => Object.keys(entry).length > 0);
}
