// SPDX-License-Identifier: Apache-2.0
// One statement of the demo: a sentence, and the run that shows it.
import type { Cluster } from '../harness/cluster.ts';
import type { Parts } from '../harness/parts.ts';
import type { Shop } from '../harness/shop.ts';

/** Lines of a node proxy's log that are told of a check that failed. */
const COMPLAINTS = 8;

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
    const since = new Date().toISOString();
    const outcome = await check.run(stage).then(
      (seen) =>
        typeof seen === 'string'
          ? { passed: true, seen, notApplicable: [] }
          : { passed: true, seen: seen.text, notApplicable: seen.notApplicable },
      async (error: unknown) => ({
        ...{ passed: false, notApplicable: [] },
        seen: [error instanceof Error ? error.message : String(error), ...(await complaints(stage, since))].join('\n'),
      }),
    );
    outcomes.push({ check, ...outcome, seconds: (performance.now() - started) / 1000 });
    onOutcome(outcomes.at(-1)!);
  }
  return outcomes;
}

/** What the node proxies warned of and refused since then: the reason, which is gone with the cluster. */
async function complaints({ cluster }: Stage, since: string): Promise<string[]> {
  const lines: string[] = [];
  for (const pod of await cluster.pods('istio-system', 'app=ztunnel')) {
    const log = await cluster.kubectl('logs', '-n', 'istio-system', pod.name, '--tail=-1').catch(String);
    const told = log.split('\n').filter((line) => line >= since && /\t(warn|error)\t| error="/.test(line));
    lines.push(...told.slice(0, COMPLAINTS).map((line) => `${pod.node}: ${line}`));
  }
  return lines;
}

export function expect(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Error(otherwise);
}
