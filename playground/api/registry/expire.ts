// SPDX-License-Identifier: Apache-2.0
// Events are news: they are forgotten after an hour, or a cluster that runs for days would keep every one.
import type { Clock } from '#lib/kit/clock.ts';
import { textAt } from '../json.ts';
import type { Store } from '../store/store.ts';

const KEPT_MS = 3_600_000;
const SWEEP_MS = 60_000;

/** Starts sweeping; the result stops it. */
export function expireEvents(store: Store, clock: Clock): () => void {
  const sweep = (): void => {
    const events = store.collection('events');
    for (const entry of [...events.list()]) {
      const last = textAt(entry.object, 'lastTimestamp') ?? textAt(entry.object, 'metadata', 'creationTimestamp') ?? '';
      if (Date.parse(last) + KEPT_MS < clock.now()) events.remove(entry);
    }
    cancel = clock.after(SWEEP_MS, sweep);
  };
  let cancel = clock.after(SWEEP_MS, sweep);
  return () => cancel();
}
