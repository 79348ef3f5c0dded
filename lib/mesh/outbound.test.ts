// SPDX-License-Identifier: Apache-2.0
//
// Every row of the protocol's outbound vectors and ours, from testdata/outbound.json; then what a table cannot say.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { cidr, ip, mesh, type ServiceText, type WorkloadText, workload } from '#lib/testkit/mesh.ts';
import type { OutboundOptions } from './flow.ts';
import { resolveOutbound, withResolvedIp } from './outbound.ts';
import { formatProof, NO_PROOF, recordProof } from './proof.ts';
import { outboundText } from './reason.ts';
import type { OutboundVerdict } from './verdict.ts';

interface Row {
  readonly name: string;
  readonly dial: string;
  readonly source?: WorkloadText;
  readonly workloads: readonly WorkloadText[];
  readonly services: readonly ServiceText[];
  readonly options?: { readonly clusterRanges: readonly string[]; readonly unknownCluster?: 'pass' | 'refuse' };
  readonly waited?: boolean;
  readonly expect: Readonly<Record<string, unknown>>;
}

const ROWS: readonly Row[] = JSON.parse(readFileSync(join(import.meta.dirname, 'testdata', 'outbound.json'), 'utf8'));
const OPTIONS: OutboundOptions = { network: '', clusterRanges: [], unknownCluster: 'pass' };

function dialled(text: string): { ip: ReturnType<typeof ip>; port: number } {
  const colon = text.lastIndexOf(':');
  return { ip: ip(text.slice(0, colon).replace(/[[\]]/g, '')), port: Number(text.slice(colon + 1)) };
}

/** A verdict as flat text, to compare with a row's `expect`. */
function flat(verdict: OutboundVerdict): Record<string, unknown> {
  if (verdict.kind === 'wait') return { ...verdict };
  if (verdict.kind === 'drop') return { ...verdict, service: verdict.service?.key };
  const { target } = verdict;
  return {
    ...verdict,
    target: target.ip === undefined ? `${target.hostname}:${target.port}` : target.ip.withPort(target.port),
    workload: verdict.workload?.name,
    service: verdict.service?.key,
  };
}

for (const row of ROWS) {
  test(row.name, () => {
    const source = workload({ name: 'client', ips: ['127.0.0.1'], node: 'n0', ...row.source });
    const view = mesh(row);
    view.putWorkload(source);
    const options: OutboundOptions = {
      ...OPTIONS,
      clusterRanges: (row.options?.clusterRanges ?? []).map(cidr),
      unknownCluster: row.options?.unknownCluster ?? 'pass',
    };
    const flow = { source, ...dialled(row.dial), tried: [], waited: row.waited ?? false };
    for (const chance of [0, 0.5, 0.999]) {
      const verdict = resolveOutbound(view, flow, options, () => chance, NO_PROOF);
      const got = flat(verdict);
      for (const [field, want] of Object.entries(row.expect)) assert.deepEqual(got[field], want, field);
      const rec = recordProof();
      const proven = resolveOutbound(view, flow, options, () => chance, rec);
      assert.deepEqual(flat(proven), got, 'a recorded decision is the same decision');
      assert.ok(rec.steps.length > 0, 'a decision has a proof');
      assert.ok(outboundText(verdict).length > 0);
      for (const line of formatProof(rec.steps)) assert.doesNotMatch(line, /undefined|\[object/);
    }
  });
}

const SERVICE = 'default/example.com';
const example: ServiceText = { name: 'example', hostname: 'example.com', vips: ['10.0.0.1'], ports: { 80: 80 } };

function endpoints(count: number, more: WorkloadText = {}): WorkloadText[] {
  return Array.from({ length: count }, (_, i) => ({
    name: `e${i}`,
    ips: [`10.1.0.${i + 1}`],
    serves: { [SERVICE]: { 80: 80 } },
    ...more,
  }));
}

function chosen(view: ReturnType<typeof mesh>, tried: string[], chance: number): string {
  const source = workload({ name: 'client', ips: ['10.9.0.1'] });
  const flow = { source, ip: ip('10.0.0.1'), port: 80, tried, waited: false };
  const verdict = resolveOutbound(view, flow, OPTIONS, () => chance, NO_PROOF);
  return verdict.kind === 'hbone' ? verdict.workload.name : verdict.kind;
}

test('endpoints are drawn by weight', () => {
  const view = mesh({
    services: [example],
    workloads: endpoints(3).map((one, i) => ({ ...one, capacity: [1, 0, 3][i]! })),
  });
  const draws = Array.from({ length: 8 }, (_, i) => chosen(view, [], i / 8));
  assert.deepEqual(draws, ['e0', 'e0', 'e2', 'e2', 'e2', 'e2', 'e2', 'e2']);
});

test('an endpoint that failed is not tried again for the same connection', () => {
  const view = mesh({ services: [example], workloads: endpoints(2) });
  const first = 'Kubernetes//Pod/default/e0';
  assert.equal(chosen(view, [], 0), 'e0');
  assert.equal(chosen(view, [first], 0), 'e1');
  assert.equal(chosen(view, [first, 'Kubernetes//Pod/default/e1'], 0), 'drop');
});

test('failover prefers the zone, then the region, then anybody', () => {
  const at = (region: string, zone: string) => ({ locality: { region, zone, subzone: '' } });
  const failover = { mode: 'failover', scopes: ['network', 'region', 'zone'], allowUnhealthy: false } as const;
  const all = endpoints(3).map((one, i) => ({ ...one, ...[at('x', 'x1'), at('r', 'r2'), at('r', 'r1')][i]! }));
  const source = workload({ name: 'client', ips: ['10.9.0.1'], ...at('r', 'r1') });
  const pick = (workloads: WorkloadText[]): string => {
    const view = mesh({ services: [{ ...example, loadBalancing: failover }], workloads });
    const flow = { source, ip: ip('10.0.0.1'), port: 80, tried: [], waited: false };
    const verdict = resolveOutbound(view, flow, OPTIONS, () => 0.5, NO_PROOF);
    return verdict.kind === 'hbone' ? verdict.workload.name : verdict.kind;
  };
  assert.equal(pick(all), 'e2');
  assert.equal(pick(all.slice(0, 2)), 'e1');
  assert.equal(pick(all.slice(0, 1)), 'e0');
});

test('a resolved host name completes target and authority', () => {
  const view = mesh({
    services: [example],
    workloads: [{ name: 'x', hostname: 'db.example.org', serves: { [SERVICE]: { 80: 5432 } } }],
  });
  const source = workload({ name: 'client', ips: ['10.9.0.1'] });
  const flow = { source, ip: ip('10.0.0.1'), port: 80, tried: [], waited: false };
  const verdict = resolveOutbound(view, flow, OPTIONS, Math.random, NO_PROOF);
  assert.ok(verdict.kind === 'hbone');
  const done = withResolvedIp(verdict, ip('192.0.2.7'));
  assert.equal(done.authority, '192.0.2.7:5432');
  assert.equal(done.target.ip?.withPort(done.target.port), '192.0.2.7:15008');
});
