// SPDX-License-Identifier: Apache-2.0
// Policy routing inside a pod: packets with the application's mark are delivered locally, so that answers to a client whose
// address the proxy borrowed come back to the proxy and do not leave the pod. Pure: what is there in, what is to be done out.
import type { Family } from '#lib/linux/ip.ts';
import type { Netns } from '#lib/linux/netns.ts';
import { readSysctl } from '#lib/linux/sysctl.ts';
import { MARK_MASK } from './expression.ts';
import { APP_MARK } from './in-pod.ts';
import type { Inspection } from './inspect.ts';

export const ROUTE_TABLE = '100';
const PRIORITY = 32764;
const MARK = `0x${APP_MARK.toString(16)}/0x${MARK_MASK.toString(16)}`;
const RULE = ['fwmark', MARK, 'pref', String(PRIORITY), 'lookup', ROUTE_TABLE];
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
export function routingProblems(found: Inspection, families: readonly Family[]): string[] {
  return families.flatMap((family) => [
    ...(ourRules(found, family) === 1 ? [] : [`rule-v${family}`]),
    ...(hasRoute(found, family) ? [] : [`route-v${family}`]),
  ]);
}

/** Lines for ip -batch that make it as it should be for one family. */
export function routingRepair(found: Inspection, family: Family): string[][] {
  const lines: string[][] = [];
  if (!hasRoute(found, family)) lines.push(['route', 'replace', ...route(family)]);
  for (let count = ourRules(found, family); count > 1; count--) lines.push(['rule', 'del', ...RULE]);
  if (ourRules(found, family) === 0) lines.push(['rule', 'add', ...RULE]);
  return lines;
}

/** Lines for ip -batch that take it back for one family. */
export function routingRemoval(found: Inspection, family: Family): string[][] {
  const lines: string[][] = [];
  for (let count = ourRules(found, family); count > 0; count--) lines.push(['rule', 'del', ...RULE]);
  if (hasRoute(found, family)) lines.push(['route', 'del', ...route(family)]);
  return lines;
}

function route(family: Family): string[] {
  return ['local', DEFAULT[family], 'dev', 'lo', 'table', ROUTE_TABLE];
}

function ourRules({ rules }: Inspection, family: Family): number {
  return rules[family].filter(
    ({ priority, fwmark, fwmask, table }) =>
      priority === PRIORITY && Number(fwmark) === APP_MARK && Number(fwmask) === MARK_MASK && table === ROUTE_TABLE,
  ).length;
}

function hasRoute({ routes }: Inspection, family: Family): boolean {
  return routes[family].some(({ type, dst, dev }) => type === 'local' && dst === 'default' && dev === 'lo');
}
