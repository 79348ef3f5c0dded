// SPDX-License-Identifier: Apache-2.0
// The matrix of what held: a row a pairing, a column a check; below it what did not apply, and why, and what failed.
import Table from 'cli-table3';
import color from 'picocolors';
import type { Outcome } from '../demo/check.ts';
import type { Pairing } from './pairings.ts';

export interface Result {
  readonly pairing: Pairing;
  readonly outcomes: readonly Outcome[];
  readonly passed: boolean;
  /** Why no check ran. */
  readonly failure?: string;
}

/** `ok`, `FAIL`, and `ok*` where part of the check's statement did not apply. */
export function matrixText(results: readonly Result[]): string {
  const ids = [...new Set(results.flatMap(({ outcomes }) => outcomes.map(({ check }) => check.id)))];
  const table = new Table({
    head: ['istiod', 'cni', 'zt node-1', 'zt node-2', ...ids.map((id) => `(${id})`)],
    style: { head: [], border: [] },
  });
  for (const { outcomes, pairing } of results) {
    const { istiod, cni, ztunnel } = pairing.parts;
    const marks = ids.map((id) => markOf(outcomes.find(({ check }) => check.id === id)));
    table.push([istiod, cni, ztunnel['node-1'] ?? '', ztunnel['node-2'] ?? '', ...marks]);
  }
  return [table.toString(), ...sentences(results), ...exceptions(results), ...failures(results)].join('\n');
}

function markOf(outcome: Outcome | undefined): string {
  if (outcome === undefined) return color.red('–');
  if (!outcome.passed) return color.red('FAIL');
  return outcome.notApplicable.length > 0 ? color.green('ok*') : color.green('ok');
}

function sentences(results: readonly Result[]): string[] {
  const checks = results.find(({ outcomes }) => outcomes.length > 0)?.outcomes ?? [];
  return checks.map(({ check }) => `(${check.id}) ${check.sentence}`);
}

/** Each reason once, with the pairings that it holds for. */
function exceptions(results: readonly Result[]): string[] {
  const reasons = new Map<string, string[]>();
  for (const { outcomes, pairing } of results) {
    for (const { check, notApplicable } of outcomes) {
      for (const reason of notApplicable) {
        const key = `* (${check.id}) not applicable, ${reason}`;
        reasons.set(key, [...(reasons.get(key) ?? []), pairing.id]);
      }
    }
  }
  return [...reasons].map(([reason, ids]) => `${reason} [${ids.join('; ')}]`);
}

function failures(results: readonly Result[]): string[] {
  return results.flatMap(({ failure, outcomes, pairing }) => [
    ...(failure === undefined ? [] : [`FAIL ${pairing.id}: ${failure}`]),
    ...outcomes
      .filter(({ passed }) => !passed)
      .map(({ check, seen }) => `FAIL ${pairing.id} (${check.id}): ${seen.split('\n').slice(0, 6).join('\n  ')}`),
  ]);
}
