// SPDX-License-Identifier: Apache-2.0
// Policy routing inside a pod: packets with the application's mark are delivered locally, so that answers to a client whose
// address the proxy borrowed come back to the proxy and do not leave the pod.
import { type Family, ip, routes, rules } from '#lib/linux/ip.ts';
import type { Netns } from '#lib/linux/netns.ts';
import { readSysctl } from '#lib/linux/sysctl.ts';
import { MARK_MASK } from './expression.ts';
import { APP_MARK } from './in-pod.ts';

const TABLE = '100';
const PRIORITY = 32764;
const MARK = `0x${APP_MARK.toString(16)}/0x${MARK_MASK.toString(16)}`;

const RULE = ['fwmark', MARK, 'pref', String(PRIORITY), 'lookup', TABLE];
const DEFAULT: Readonly<Record<Family, string>> = { 4: '0.0.0.0/0', 6: '::/0' };

/** The families a namespace has; IPv6 can be off. */
export function familiesOf(netns: Netns): Family[] {
  try {
    return readSysctl('net/ipv6/conf/lo/disable_ipv6', netns) === '0' ? [4, 6] : [4];
  } catch {
    return [4];
  }
}

/** What of the routing is not as it should be, as short names; empty when all is. */
export async function routingProblems(netns: Netns): Promise<string[]> {
  const problems: string[] = [];
  for (const family of familiesOf(netns)) {
    if ((await ourRules(family, netns)) !== 1) problems.push(`rule-v${family}`);
    if (!(await hasRoute(family, netns))) problems.push(`route-v${family}`);
  }
  return problems;
}

/** Makes the routing as it should be. */
export async function applyRouting(netns: Netns): Promise<void> {
  for (const family of familiesOf(netns)) {
    await ip([`-${family}`, 'route', 'replace', 'local', DEFAULT[family], 'dev', 'lo', 'table', TABLE], netns);
    for (let count = await ourRules(family, netns); count > 1; count--)
      await ip([`-${family}`, 'rule', 'del', ...RULE], netns);
    if ((await ourRules(family, netns)) === 0) await ip([`-${family}`, 'rule', 'add', ...RULE], netns);
  }
}

/** Takes it back; what is already gone is no error. */
export async function removeRouting(netns: Netns): Promise<void> {
  for (const family of familiesOf(netns)) {
    const lines: string[][] = [];
    for (let count = await ourRules(family, netns); count > 0; count--)
      lines.push([`-${family}`, 'rule', 'del', ...RULE]);
    if (await hasRoute(family, netns)) {
      lines.push([`-${family}`, 'route', 'del', 'local', DEFAULT[family], 'dev', 'lo', 'table', TABLE]);
    }
    for (const line of lines) await ip(line, netns);
  }
}

async function ourRules(family: Family, netns: Netns): Promise<number> {
  const list = await rules(family, netns);
  return list.filter(
    ({ priority, fwmark, fwmask, table }) =>
      priority === PRIORITY && Number(fwmark) === APP_MARK && Number(fwmask) === MARK_MASK && table === TABLE,
  ).length;
}

async function hasRoute(family: Family, netns: Netns): Promise<boolean> {
  const list = await routes(family, TABLE, netns);
  return list.some(({ type, dst, dev }) => type === 'local' && dst === 'default' && dev === 'lo');
}
