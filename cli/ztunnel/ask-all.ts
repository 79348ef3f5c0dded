// SPDX-License-Identifier: Apache-2.0
// The same question to several node proxies, for what each has of its own.

import { describeError } from '#lib/kit/error.ts';
import type { Pod } from '#lib/kube/object.ts';
import type { CliIo } from '../io.ts';

/** The answers of those that answer, at least one; of the others it is said why there is none. */
export async function fromAll<T>(
  io: Pick<CliIo, 'err'>,
  proxies: readonly Pod[],
  ask: (proxy: Pod) => Promise<T>,
): Promise<T[]> {
  const answers = await Promise.allSettled(proxies.map(ask));
  const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
  for (const [i, answer] of answers.entries()) {
    if (answer.status === 'fulfilled') continue;
    if (found.length === 0) throw answer.reason;
    io.err(`Warning: ${proxies[i]!.metadata.name} is left out: ${describeError(answer.reason)}\n`);
  }
  return found;
}
