// SPDX-License-Identifier: Apache-2.0
// Tells that a file may have changed, appeared or gone. Its directory is watched, since Kubernetes swaps a symbolic link in it and
// editors put a new file in the old one's place; files are written in several steps, so a change is told once it has settled.
import { watch } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';

const SETTLE_MS = 2000;

/** Watches until the function it returns is called. A directory that cannot be watched is logged: the file is then never read again. */
export function watchFile(
  file: string,
  { clock, log }: { clock: Clock; log: Logger },
  changed: () => void,
): () => void {
  let cancel = (): void => {};
  const blind = (error: unknown): void => log.warn('a file is not watched', { file, error: describeError(error) });
  try {
    const watcher = watch(dirname(file), () => {
      cancel();
      cancel = clock.after(SETTLE_MS, changed);
    });
    watcher.on('error', blind);
    watcher.unref();
    return () => {
      cancel();
      watcher.close();
    };
  } catch (error) {
    blind(error);
    return () => {};
  }
}
