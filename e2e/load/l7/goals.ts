// SPDX-License-Identifier: Apache-2.0
// What the layer-7 benchmark is to show, held against what it measured; goals whose peers did not take part are left out.
import type { IdleFigures } from './idle.ts';

interface Figures {
  readonly per_cpu_s: number;
  readonly p99_us: number;
}

export interface Goal {
  readonly name: string;
  readonly is: number;
  readonly goal: string;
  readonly met: boolean;
}

type Figure = 'per_cpu_s' | 'p99_us';

export function goalsOf(
  table: Readonly<Record<string, Readonly<Record<string, Figures>>>>,
  idle: Readonly<Record<string, IdleFigures>>,
): Goal[] {
  const of = (peer: string, scenario: string, figure: Figure = 'per_cpu_s'): number =>
    table[peer]?.[scenario]?.[figure] ?? Number.NaN;
  const atLeast = (name: string, is: number, goal: number): Goal => ({ name, is, goal: `>= ${goal}`, met: is >= goal });
  const atMost = (name: string, is: number, goal: number): Goal => ({ name, is, goal: `<= ${goal}`, met: is <= goal });
  const own = idle['ambit'];
  return [
    atLeast('plain routing, of HAProxy, per CPU second', of('ambit', 'h1') / of('haproxy', 'h1'), 0.9),
    atLeast('plain routing, of Envoy, per CPU second', of('ambit', 'h1') / of('envoy', 'h1'), 2.5),
    atLeast('HTTP/2, of Envoy, per CPU second', of('ambit', 'h2') / of('envoy', 'h2'), 2.5),
    atMost('p99, of Envoy', of('ambit', 'h1', 'p99_us') / of('envoy', 'h1', 'p99_us'), 1),
    atLeast('with policies, metrics and log, of Envoy', of('ambit', 'h1-policy') / of('envoy', 'h1-policy'), 2),
    atMost('cost of 5,000 routes, of one route', of('ambit-1-route', 'h1-5000') / of('ambit', 'h1-5000'), 1.05),
    { ...atMost('cost by HBONE in and out, of plain', meshCost(table), 0), goal: 'stated', met: true },
    atMost('MB of 9,000 idle connections', own === undefined ? Number.NaN : own.with_mb - own.base_mb, 60),
  ].filter(({ is }) => !Number.isNaN(is));
}

function meshCost(table: Readonly<Record<string, Readonly<Record<string, Figures>>>>): number {
  const plain = table['ambit']?.['h1-mesh']?.per_cpu_s ?? Number.NaN;
  return plain / (table['ambit-hbone']?.['h1-mesh']?.per_cpu_s ?? Number.NaN);
}
