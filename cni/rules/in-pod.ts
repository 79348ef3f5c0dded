// SPDX-License-Identifier: Apache-2.0
// The redirection rules inside a pod's network namespace, as data: the contract with the node proxy, whose sockets lie in the same namespace.
//
// Difference from what the field does, on purpose: only the first segment of a connection is redirected. Connections that were open
// when the rules appeared go on as they are; the `lock` ends those that never went through the proxy, when the time has come for it.
import {
  accept,
  arrivingOn,
  connectionMarked,
  connectionNotMarked,
  counter,
  type Family,
  from,
  fromPort,
  leavingOn,
  markConnection,
  marked,
  notArrivingOn,
  notFrom,
  notLeavingOn,
  notMarked,
  notRedirected,
  notReset,
  notTo,
  notToPort,
  opening,
  redirectTo,
  resetConnection,
  restoreMark,
  type Statement,
  tcp,
  to,
  toPort,
  udp,
  zone,
} from './expression.ts';
import type { Chain, Table } from './table.ts';

/** Packets that the proxy sends. */
export const PROXY_MARK = 0x539;
/** Connections that the proxy opened towards the application, and the application's answers on them. */
export const APP_MARK = 0x111;
export const PORTS = Object.freeze({ outbound: 15001, inbound: 15006, hbone: 15008, dns: 15053 });
/** Conntrack zone of the proxy's own DNS queries. */
const DNS_ZONE = 1;

export const NAT_TABLE = 'istio-ambient-nat';
export const MANGLE_TABLE = 'istio-ambient-mangle';
export const RAW_TABLE = 'istio-ambient-raw';
export const LOCK_TABLE = 'ambit-ambient-lock';
/** Every table that this project writes into a pod. */
export const POD_TABLES = [NAT_TABLE, MANGLE_TABLE, RAW_TABLE, LOCK_TABLE] as const;

const LOOPBACK: Readonly<Record<Family, string>> = { ip: '127.0.0.1', ip6: '::1' };

/** What differs between pods. */
export interface PodRules {
  /** Addresses that the kubelet's probes come from (§ host rules). */
  readonly probes: Readonly<Record<Family, string>>;
  readonly dnsCapture: boolean;
  /** Plaintext from outside goes straight to the application. */
  readonly bypassInbound: boolean;
  /** Inner interfaces whose TCP is outbound traffic (virtual machines, containers in containers). */
  readonly virtualInterfaces: readonly string[];
  /**
   * `open`: connections from before live on. `inbound`, `both`: TCP that did not go through the proxy is reset, arriving or both ways.
   * A pod that is enrolled before its processes start has none, and is locked from the beginning.
   */
  readonly lock: 'open' | 'inbound' | 'both';
  /**
   * `leaving`: nothing new is redirected, but what goes through the proxy goes on: the hooks that translate its addresses stay.
   */
  readonly leaving: boolean;
}

/** The tables of a pod, and the names of those it must not have. */
export function podTables(rules: PodRules): { readonly tables: readonly Table[]; readonly absent: readonly string[] } {
  const tables = [natTable(rules), mangleTable()];
  const absent: string[] = [];
  if (rules.dnsCapture) tables.push(rawTable());
  else absent.push(RAW_TABLE);
  if (rules.lock !== 'open' && !rules.leaving) tables.push(lockTable(rules, rules.lock));
  else absent.push(LOCK_TABLE);
  return { tables, absent };
}

function natTable(rules: PodRules): Table {
  return hooked(NAT_TABLE, 'nat', 'nat', -100, {
    prerouting: rules.leaving ? [] : inboundRules(rules),
    output: rules.leaving ? [] : outboundRules(rules),
  });
}

function inboundRules({ probes, bypassInbound, virtualInterfaces }: PodRules): Statement[][] {
  const rules: Statement[][] = [];
  for (const name of virtualInterfaces) {
    rules.push([arrivingOn(name), tcp, opening, counter, redirectTo(PORTS.outbound)]);
    rules.push([arrivingOn(name), tcp, counter, accept]);
  }
  if (bypassInbound) return rules;
  rules.push(...both((family) => [from(family, probes[family]), tcp, counter, accept]));
  const notOurs = [notToPort('tcp', PORTS.hbone), notMarked(PROXY_MARK)];
  rules.push(
    ...both((family) => [
      notTo(family, LOOPBACK[family]),
      tcp,
      opening,
      ...notOurs,
      counter,
      redirectTo(PORTS.inbound),
    ]),
  );
  return rules;
}

function outboundRules({ probes, dnsCapture }: PodRules): Statement[][] {
  const rules = both((family) => [to(family, probes[family]), tcp, counter, accept]);
  const notOurs = notMarked(PROXY_MARK);
  if (dnsCapture) {
    rules.push([notLeavingOn('lo'), udp, toPort('udp', 53), notOurs, counter, redirectTo(PORTS.dns)]);
    rules.push(
      ...both((family) => [
        notTo(family, LOOPBACK[family]),
        ...[tcp, toPort('tcp', 53), opening, notOurs, counter, redirectTo(PORTS.dns)],
      ]),
    );
  }
  rules.push([tcp, marked(APP_MARK), counter, accept]);
  // The pod calling its own address stays direct.
  rules.push(...both((family) => [leavingOn('lo'), notTo(family, LOOPBACK[family]), counter, accept]));
  rules.push(
    ...both((family) => [notTo(family, LOOPBACK[family]), tcp, opening, notOurs, counter, redirectTo(PORTS.outbound)]),
  );
  return rules;
}

/**
 * Remembers which connections the proxy opened towards the application and brings the answers back to it; and, for the lock, which ones
 * the proxy has with others.
 */
function mangleTable(): Table {
  const remember = [marked(PROXY_MARK), counter, markConnection(APP_MARK)];
  const restore = [connectionMarked(APP_MARK), counter, restoreMark];
  const ours = [marked(PROXY_MARK), notLeavingOn('lo'), counter, markConnection(PROXY_MARK)];
  return hooked(MANGLE_TABLE, 'filter', 'route', -150, { prerouting: [remember], output: [restore, ours] });
}

/** The proxy's own queries must not collide with the application's, which were rewritten to the same addresses. */
function rawTable(): Table {
  const query = [udp, toPort('udp', 53), marked(PROXY_MARK), counter, zone(DNS_ZONE)];
  const answer = [udp, fromPort('udp', 53), notMarked(PROXY_MARK), counter, zone(DNS_ZONE)];
  return hooked(RAW_TABLE, 'filter', 'filter', -300, { prerouting: [answer], output: [query] });
}

/** Resets TCP that goes past the proxy: not redirected, not the proxy's, no probe, not within the pod. */
function lockTable({ probes, bypassInbound, virtualInterfaces }: PodRules, lock: 'inbound' | 'both'): Table {
  const past = [tcp, notReset, notRedirected, connectionNotMarked(APP_MARK), connectionNotMarked(PROXY_MARK)];
  const arriving = bypassInbound
    ? []
    : both((family) => [
        ...[notArrivingOn('lo'), ...virtualInterfaces.map(notArrivingOn), notFrom(family, probes[family]), ...past],
        ...[notToPort('tcp', PORTS.hbone), counter, resetConnection],
      ]);
  // With inbound capture bypassed, the application's answers leave as they came; only what it opens itself can be told apart by nobody.
  const leaving =
    lock === 'inbound' || bypassInbound
      ? []
      : both((family) => [
          ...[notLeavingOn('lo'), notTo(family, probes[family]), ...past],
          ...[notMarked(PROXY_MARK), notMarked(APP_MARK), counter, resetConnection],
        ]);
  const chain = (name: 'input' | 'output', rules: Statement[][]): Chain => ({
    name,
    hook: { type: 'filter', hook: name, priority: 0 },
    rules,
  });
  return { name: LOCK_TABLE, chains: [chain('input', arriving), chain('output', leaving)] };
}

/** A rule for each family, IPv4 first. Both always: where the proxy has no IPv6, its traffic is refused and not let out in clear. */
function both(rule: (family: Family) => Statement[]): Statement[][] {
  return [rule('ip'), rule('ip6')];
}

/** A table of the shape that others know: base chains hold one jump each, rules lie in `istio-` chains. */
function hooked(
  name: string,
  inType: 'nat' | 'filter',
  outType: 'nat' | 'filter' | 'route',
  priority: number,
  rules: { readonly prerouting: Statement[][]; readonly output: Statement[][] },
): Table {
  const jump = (target: string): Statement[] => [{ jump: { target } }];
  return {
    name,
    chains: [
      { name: 'istio-prerouting', rules: rules.prerouting },
      { name: 'istio-output', rules: rules.output },
      { name: 'prerouting', hook: { type: inType, hook: 'prerouting', priority }, rules: [jump('istio-prerouting')] },
      { name: 'output', hook: { type: outType, hook: 'output', priority }, rules: [jump('istio-output')] },
    ],
  };
}
