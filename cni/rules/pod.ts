// SPDX-License-Identifier: Apache-2.0
// The one place that writes a pod's redirection, and the one that tells whether the kernel has it. What the kernel says is
// the only truth: an annotation that claims it is never believed.
import { causedBy } from '#lib/kit/error.ts';
import type { Netns } from '#lib/linux/netns.ts';
import { applyNft } from '#lib/linux/nft.ts';
import { POD_TABLES, type PodRules, podTables } from './in-pod.ts';
import { applyRouting, removeRouting, routingProblems } from './routing.ts';
import { applyCommands, differences, fingerprint, References, removeCommands } from './table.ts';

export class PodRedirection {
  readonly #references = new References();

  /** What is not as `rules` say, as names of tables and routes; empty when the kernel has exactly this. */
  async problems(netns: Netns, rules: PodRules): Promise<string[]> {
    const { tables, absent } = podTables(rules);
    return [...(await differences(tables, absent, this.#references, netns)), ...(await routingProblems(netns))];
  }

  /** Writes the rules in one transaction, then routes, then looks whether the kernel has them. Throws PROGRAM_FAILED. */
  async apply(netns: Netns, rules: PodRules): Promise<void> {
    const { tables, absent } = podTables(rules);
    await applyRouting(netns);
    const commands = applyCommands(tables, absent);
    try {
      await applyNft(commands, netns);
      if ((await differences(tables, absent, this.#references, netns)).length === 0) return;
    } catch (error) {
      if (!causedBy(error, 'PROGRAM_FAILED')) throw error;
    }
    // A chain of our name with another hook, type or priority stands in the way: only removing the table helps.
    await applyNft([...removeCommands(POD_TABLES), ...commands], netns);
  }

  /** Whether any table of ours is there. */
  async present(netns: Netns): Promise<boolean> {
    for (const name of POD_TABLES) if ((await fingerprint(name, netns)) !== undefined) return true;
    return false;
  }

  /** Removes everything of ours; what is not there is no error. */
  async remove(netns: Netns): Promise<void> {
    await applyNft(removeCommands(POD_TABLES), netns);
    await removeRouting(netns);
  }
}
