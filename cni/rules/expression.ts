// SPDX-License-Identifier: Apache-2.0
// Expressions of nft's JSON interface (libnftables-json(5)), named as the rules read. Data only.
import type { Json, JsonObject } from '#lib/linux/nft.ts';

export type Statement = JsonObject;

export type Family = 'ip' | 'ip6';

function match(left: Json, op: '==' | '!=' | 'in', right: Json): Statement {
  return { match: { op, left, right } };
}

const meta = (key: string): Json => ({ meta: { key } });
const payload = (protocol: string, field: string): Json => ({ payload: { protocol, field } });
const masked = (left: Json, mask: number): Json => ({ '&': [left, mask] });

// Numbers, since nft 1.0.6 takes names of flags in two-armed expressions only. RFC 9293 section 3.1; IPS_DST_NAT of the kernel.
const FIN = 1;
const SYN = 2;
const RST = 4;
const ACK = 16;
const DST_NAT = 32;

/** The marks use the low 12 bits; the rest belongs to others. */
export const MARK_MASK = 0xfff;

export const tcp = match(meta('l4proto'), '==', 'tcp');
export const udp = match(meta('l4proto'), '==', 'udp');
/** The first segment of a connection: what is already open is left alone. */
export const opening = match(masked(payload('tcp', 'flags'), FIN | SYN | RST | ACK), '==', SYN);
/** Not the end of a connection by reset: those always pass, so that neither side waits for what will not come. */
export const notReset = match(masked(payload('tcp', 'flags'), RST), '==', 0);
export const counter: Statement = { counter: null };
export const accept: Statement = { accept: null };
export const resetConnection: Statement = { reject: { type: 'tcp reset' } };

export const from = (family: Family, address: string): Statement => match(payload(family, 'saddr'), '==', address);
export const to = (family: Family, address: string): Statement => match(payload(family, 'daddr'), '==', address);
export const notTo = (family: Family, address: string): Statement => match(payload(family, 'daddr'), '!=', address);
export const notFrom = (family: Family, address: string): Statement => match(payload(family, 'saddr'), '!=', address);
export const toSet = (family: Family, set: string): Statement => match(payload(family, 'daddr'), '==', `@${set}`);
export const toPort = (protocol: 'tcp' | 'udp', port: number): Statement =>
  match(payload(protocol, 'dport'), '==', port);
export const notToPort = (protocol: 'tcp' | 'udp', port: number): Statement =>
  match(payload(protocol, 'dport'), '!=', port);
export const fromPort = (protocol: 'tcp' | 'udp', port: number): Statement =>
  match(payload(protocol, 'sport'), '==', port);
export const arrivingOn = (name: string): Statement => match(meta('iifname'), '==', name);
export const notArrivingOn = (name: string): Statement => match(meta('iifname'), '!=', name);
export const leavingOn = (name: string): Statement => match(meta('oifname'), '==', name);
export const notLeavingOn = (name: string): Statement => match(meta('oifname'), '!=', name);
export const ownedBy = (uid: number): Statement => match(meta('skuid'), '==', uid);

export const marked = (mark: number): Statement => match(masked(meta('mark'), MARK_MASK), '==', mark);
export const notMarked = (mark: number): Statement => match(masked(meta('mark'), MARK_MASK), '!=', mark);
export const connectionMarked = (mark: number): Statement =>
  match(masked({ ct: { key: 'mark' } }, MARK_MASK), '==', mark);
export const connectionNotMarked = (mark: number): Statement =>
  match(masked({ ct: { key: 'mark' } }, MARK_MASK), '!=', mark);
/** Connections whose destination was not rewritten. */
export const notRedirected = match(masked({ ct: { key: 'status' } }, DST_NAT), '==', 0);

export const redirectTo = (port: number): Statement => ({ redirect: { port } });
export const snatTo = (family: Family, address: string): Statement => ({ snat: { family, addr: address } });
/** The mark of the connection's low bits becomes `mark`, its other bits stay. */
export const markConnection = (mark: number): Statement => ({
  mangle: { key: { ct: { key: 'mark' } }, value: { '|': [{ '&': [{ ct: { key: 'mark' } }, 0xfffff000] }, mark] } },
});
export const restoreMark: Statement = { mangle: { key: { meta: { key: 'mark' } }, value: { ct: { key: 'mark' } } } };
/** A conntrack zone of its own: entries of one zone never collide with those of another. */
export const zone = (id: number): Statement => ({ mangle: { key: { ct: { key: 'zone' } }, value: id } });
