// SPDX-License-Identifier: Apache-2.0
// One statement of the demo: a sentence, and the run that shows it.
import type { Cluster } from '../harness/cluster.ts';
import type { Parts } from '../harness/parts.ts';
import type { Shop } from '../harness/shop.ts';

export interface Stage {
  readonly cluster: Cluster;
  readonly shop: Shop;
  readonly parts: Parts;
}

/** What a check saw, and which of its statements the parts of this run make no sense of, each with the reason. */
export interface Seen {
  readonly text: string;
  readonly notApplicable: readonly string[];
}

export interface Check {
  readonly id: string;
  readonly sentence: string;
  /** Throws when the statement does not hold; gives what was seen. */
  run(stage: Stage): Promise<string | Seen>;
}

export interface Outcome {
  readonly check: Check;
  readonly passed: boolean;
  readonly seen: string;
  readonly notApplicable: readonly string[];
  readonly seconds: number;
}

/** Runs the checks in order, each on what the one before left; all run, also after a failure. */
export async function runChecks(
  checks: readonly Check[],
  stage: Stage,
  onOutcome: (outcome: Outcome) => void,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const check of checks) {
    const started = performance.now();
    const outcome = await check.run(stage).then(
      (seen) =>
        typeof seen === 'string'
          ? { passed: true, seen, notApplicable: [] }
          : { passed: true, seen: seen.text, notApplicable: seen.notApplicable },
      (error: unknown) => ({
        ...{ passed: false, notApplicable: [] },
        seen: error instanceof Error ? error.message : String(error),
      }),
    );
    outcomes.push({ check, ...outcome, seconds: (performance.now() - started) / 1000 });
    onOutcome(outcomes.at(-1)!);
  }
  return outcomes;
}

export function expect(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Error(otherwise);
}
