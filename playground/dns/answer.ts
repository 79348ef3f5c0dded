// SPDX-License-Identifier: Apache-2.0
// One question, answered from the zone; what lies outside the cluster's domain is somebody else's to answer.
import type { Answer, Question } from 'dns-packet';
import type { Zone, ZoneRecord } from './zone.ts';

/** Seconds; short, as services come and go. */
const TTL_S = 5;

export type Reply =
  | { readonly kind: 'answer'; readonly rcode: 'NOERROR' | 'NXDOMAIN'; readonly answers: Answer[] }
  | { readonly kind: 'elsewhere' };

export function answer(zone: Zone, domain: string, { name, type }: Question): Reply {
  const wanted = name.toLowerCase().replace(/\.$/, '');
  const records = zone.get(wanted);
  if (records !== undefined) {
    const alias = records.find((record) => record.type === 'CNAME');
    const chosen = alias === undefined ? shuffled(records.filter((record) => record.type === type)) : [alias];
    return { kind: 'answer', rcode: 'NOERROR', answers: chosen.map((record) => toAnswer(record, name)) };
  }
  const inside = wanted === domain || wanted.endsWith(`.${domain}`);
  if (!inside) return { kind: 'elsewhere' };
  // An empty non-terminal such as `svc.cluster.local` exists without records (RFC 8020).
  const exists = [...zone.keys()].some((key) => key.endsWith(`.${wanted}`));
  return { kind: 'answer', rcode: exists || wanted === domain ? 'NOERROR' : 'NXDOMAIN', answers: [] };
}

function toAnswer(record: ZoneRecord, name: string): Answer {
  return { name, ttl: TTL_S, class: 'IN', type: record.type, data: record.data } as Answer;
}

function shuffled<T>(items: readonly T[]): T[] {
  const start = Math.floor(Math.random() * items.length);
  return [...items.slice(start), ...items.slice(0, start)];
}
