// SPDX-License-Identifier: Apache-2.0
// The one place that writes a pod's redirection, and the one that tells whether the kernel has it. What the kernel says is
// the only truth: an annotation that claims it is never believed.
import { AmbitError, causedBy } from '#lib/kit/error.ts';
import { ipBatch } from '#lib/linux/ip.ts';
import type { Netns } from '#lib/linux/netns.ts';
import { applyNft } from '#lib/linux/nft.ts';
import { POD_TABLES, type PodRules, podTables } from './in-pod.ts';
import { type Inspection, inspect } from './inspect.ts';
import { familiesOf, ROUTE_TABLE, routingProblems, routingRemoval, routingRepair } from './routing.ts';
import { applyCommands, differences, References, removeCommands } from './table.ts';

export class PodRedirection {
  readonly #references = new References();

  /** What is not as `rules` say, as names of tables and routes; empty when the kernel has exactly this. */
  async problems(netns: Netns, rules: PodRules): Promise<string[]> {
    return await this.#problems(await inspect(netns, ROUTE_TABLE), netns, rules);
  }

  /** Writes what is missing or different, tables in one transaction, and looks whether the kernel has it. Throws REDIRECTION or PROGRAM_FAILED. */
  async apply(netns: Netns, rules: PodRules): Promise<void> {
    const before = await inspect(netns, ROUTE_TABLE);
    if ((await this.#problems(before, netns, rules)).length === 0) return;
    for (const family of familiesOf(netns)) {
      const lines = routingRepair(before, family);
      if (lines.length > 0) await ipBatch(lines, netns, family);
    }
    const { tables, absent } = podTables(rules);
    const commands = applyCommands(tables, absent);
    try {
      await applyNft(commands, netns);
    } catch (error) {
      if (!causedBy(error, 'PROGRAM_FAILED')) throw error;
      // A chain of our name with another hook, type or priority stands in the way: only removing the table helps.
      await applyNft([...removeCommands(POD_TABLES), ...commands], netns);
    }
    let problems = await this.problems(netns, rules);
    if (problems.length === 0) return;
    await applyNft([...removeCommands(POD_TABLES), ...commands], netns);
    problems = await this.problems(netns, rules);
    if (problems.length === 0) return;
    throw new AmbitError(
      'REDIRECTION',
      `the kernel does not have the rules that were written: ${problems.join(', ')}`,
      {
        advice: 'something else changes nftables or routes in the pod; its capability NET_ADMIN may be the cause',
      },
    );
  }

  /** Whether any table of ours is there. */
  async present(netns: Netns): Promise<boolean> {
    const { tables } = await inspect(netns, ROUTE_TABLE);
    return POD_TABLES.some((name) => tables.has(name));
  }

  /** Removes everything of ours; what is not there is no error. */
  async remove(netns: Netns): Promise<void> {
    const found = await inspect(netns, ROUTE_TABLE);
    if (POD_TABLES.some((name) => found.tables.has(name))) await applyNft(removeCommands(POD_TABLES), netns);
    for (const family of familiesOf(netns)) {
      const lines = routingRemoval(found, family);
      if (lines.length > 0) await ipBatch(lines, netns, family);
    }
  }

  async #problems(found: Inspection, netns: Netns, rules: PodRules): Promise<string[]> {
    const { tables, absent } = podTables(rules);
    const wrong = await differences(tables, absent, this.#references, found.tables);
    return [...wrong, ...routingProblems(found, familiesOf(netns))];
  }
}
