// SPDX-License-Identifier: Apache-2.0
// The packet filter rules of the service proxy as one nft transaction, which replaces what was there at once. Pure.
import type { Family, Frontend } from './balance.ts';

export const TABLE = 'playground-proxy';
/** Set on packets that came in by a node port, so that the answer returns through this node. Kubernetes' own bit. */
const MASQUERADE_MARK = '0x4000';

const WORDS = {
  ipv4: { table: 'ip', type: 'ipv4_addr', unreachable: 'reject' },
  ipv6: { table: 'ip6', type: 'ipv6_addr', unreachable: 'reject' },
} as const;

/** The text for `nft -f -`. */
export function proxyRules(all: readonly Frontend[]): string {
  return (['ipv4', 'ipv6'] as const)
    .map((family) =>
      familyRules(
        family,
        all.filter((frontend) => frontend.family === family),
      ),
    )
    .join('\n');
}

function familyRules(family: Family, all: readonly Frontend[]): string {
  const { table, type, unreachable } = WORDS[family];
  const live = all.filter(({ backends }) => backends.length > 0);
  const dead = all.filter(({ backends }) => backends.length === 0);
  const chainOf = new Map(live.map((frontend, index) => [frontend, `svc-${index}`]));
  const key = (address: string, { protocol, port }: Frontend): string => `${address} . ${protocol} . ${port}`;
  const virtual = live.flatMap((f) => f.addresses.map((address) => `${key(address, f)} : goto ${chainOf.get(f)}`));
  const ports = live
    .filter(({ nodePort }) => nodePort !== undefined)
    .map((f) => `${f.protocol} . ${f.nodePort} : goto ${chainOf.get(f)}-np`);
  const pairs = [...new Set(live.flatMap(({ backends }) => backends.map(({ address }) => `${address} . ${address}`)))];
  return [
    `add table ${table} ${TABLE}`,
    `delete table ${table} ${TABLE}`,
    `table ${table} ${TABLE} {`,
    block(`map services`, [`type ${type} . inet_proto . inet_service : verdict`, elements(unique(virtual))]),
    block(`map nodeports`, [`type inet_proto . inet_service : verdict`, elements(unique(ports))]),
    block(`set dead`, [
      `type ${type} . inet_proto . inet_service`,
      elements(unique(dead.flatMap((f) => f.addresses.map((address) => key(address, f))))),
    ]),
    // A pod that reaches itself through its own Service would otherwise answer itself directly.
    block(`set hairpin`, [`type ${type} . ${type}`, elements(pairs)]),
    block('chain dispatch', [
      `${table} daddr . meta l4proto . th dport vmap @services`,
      'fib daddr type local meta l4proto . th dport vmap @nodeports',
    ]),
    block('chain prerouting', ['type nat hook prerouting priority dstnat; policy accept;', 'jump dispatch']),
    block('chain output', ['type nat hook output priority -100; policy accept;', 'jump dispatch']),
    block('chain postrouting', [
      'type nat hook postrouting priority srcnat; policy accept;',
      `ct status dnat ${table} saddr . ${table} daddr @hairpin masquerade`,
      `meta mark & ${MASQUERADE_MARK} == ${MASQUERADE_MARK} masquerade`,
    ]),
    ...['forward', 'output'].map((hook) =>
      block(`chain dead-${hook}`, [
        `type filter hook ${hook} priority filter; policy accept;`,
        `${table} daddr . meta l4proto . th dport @dead ${unreachable}`,
      ]),
    ),
    ...live.flatMap((frontend) => {
      const chain = chainOf.get(frontend)!;
      return [
        block(`chain ${chain}`, [dnat(frontend, table)]),
        ...(frontend.nodePort === undefined
          ? []
          : [block(`chain ${chain}-np`, [`meta mark set meta mark | ${MASQUERADE_MARK}`, `goto ${chain}`])]),
      ];
    }),
    '}',
  ].join('\n');
}

function dnat({ name, protocol, backends }: Frontend, table: string): string {
  const targets = backends.map(({ address, port }, index) => `${index} : ${address} . ${port}`);
  const choice = `numgen random mod ${backends.length} map { ${targets.join(', ')} }`;
  return `meta l4proto ${protocol} dnat ${table} to ${choice} comment "${name.slice(0, 100)}"`;
}

function block(head: string, lines: readonly string[]): string {
  const body = lines.filter((line) => line !== '').map((line) => `    ${line}\n`);
  return `  ${head} {\n${body.join('')}  }`;
}

function elements(items: readonly string[]): string {
  return items.length === 0 ? '' : `elements = { ${items.join(', ')} }`;
}

/** Two Services may claim one address; the first keeps it, or the whole transaction would be refused. */
function unique(items: readonly string[]): string[] {
  const seen = new Map<string, string>();
  for (const item of items) {
    const key = item.split(' : ')[0]!;
    if (!seen.has(key)) seen.set(key, item);
  }
  return [...seen.values()];
}
