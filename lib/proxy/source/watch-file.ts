// SPDX-License-Identifier: Apache-2.0
// Tells that a file may have changed, appeared or gone. Its directory is watched, since Kubernetes swaps a symbolic link in it and
// editors put a new file in the old one's place; files are written in several steps, so a change is told a moment later, once for all
// that happened meanwhile.
import { watch } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';

const SETTLE_MS = 2000;

export interface WatchOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** How long after the first of several events it is told; default 2 s. */
  readonly settleMs?: number;
}

/** Watches until the function it returns is called. A directory that cannot be watched is logged: the file is never read again then. */
export function watchFile(
  file: string,
  { clock, log, settleMs = SETTLE_MS }: WatchOptions,
  changed: () => void,
): () => void {
  let cancel: (() => void) | undefined;
  const blind = (error: unknown): void => log.warn('a file is not watched', { file, error: describeError(error) });
  try {
    const watcher = watch(dirname(file), () => {
      cancel ??= clock.after(settleMs, () => {
        cancel = undefined;
        changed();
      });
    });
    watcher.on('error', blind);
    watcher.unref();
    return () => {
      cancel?.();
      watcher.close();
    };
  } catch (error) {
    blind(error);
    return () => {};
  }
}
