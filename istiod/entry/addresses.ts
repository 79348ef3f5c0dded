// SPDX-License-Identifier: Apache-2.0
// Gives virtual addresses to hosts of ServiceEntries, in their status, where every replica and every client's proxy
// reads them. One replica does it, and nothing is written while a status is right.

import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '#lib/kit/clock.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import type { Informer } from '#lib/kube/informer.ts';
import { SERVICE_ENTRY } from '#lib/kube/kind.ts';
import { Leader, type Term } from '#lib/kube/leader.ts';
import type { GenericObject } from '#lib/kube/object.ts';
import { WorkQueue } from '#lib/kube/work-queue.ts';
import type { ServiceEntry } from '#lib/model/object/entry.ts';
import { AddressAllocator, inOrder } from '#lib/model/service/allocator.ts';
import type { IstiodConfig } from '../config.ts';

const LEASE = 'ambit-ip-autoallocate';

export interface EntryAddressesOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly config: Pick<IstiodConfig, 'namespace' | 'podName' | 'leaseSeconds'>;
  readonly entries: Informer<GenericObject>;
  /** Whether this replica's revision goes first: one gives addresses to the entries of all, since addresses are unique. */
  readonly goesFirst: () => boolean;
}

/** The leader that gives addresses; call it once the informer is synced. */
export function createEntryAddresses(options: EntryAddressesOptions): Leader {
  const { client, clock, config, log } = options;
  return new Leader({
    client,
    clock,
    log,
    namespace: config.namespace,
    name: LEASE,
    identity: config.podName,
    goesFirst: options.goesFirst,
    leaseSeconds: config.leaseSeconds,
    lead: (term) => giveAddresses(options, term),
  });
}

/** Keeps the statuses right until the term ends. */
export function giveAddresses(options: EntryAddressesOptions, { holds, signal }: Term): void {
  const { client, clock, entries, log } = options;
  const allocator = new AddressAllocator();
  const queue = new WorkQueue({
    name: 'the addresses of a ServiceEntry',
    clock,
    log,
    concurrency: 4,
    holds,
    reconcile: async (key) => {
      const entry = entries.get(key);
      if (entry === undefined) return;
      const { name, namespace, resourceVersion } = entry.metadata;
      const has = (entry as ServiceEntry).status?.addresses ?? [];
      const wanted = allocator.wanted(key);
      if (isDeepStrictEqual(has, wanted)) return;
      // Only what we looked at is overwritten: somebody faster makes it fail, and it is looked at again.
      await client.mergePatch(
        SERVICE_ENTRY,
        { namespace, name, subresource: 'status' },
        { metadata: { resourceVersion }, status: { addresses: wanted } },
      );
      log.info('gave addresses to a ServiceEntry', { entry: key, addresses: wanted.map(({ value }) => value) });
    },
  });
  const known = [...entries.values()] as ServiceEntry[];
  for (const [key, entry] of inOrder(known)) allocator.update(key, entry);
  const unsubscribe = entries.subscribe((changes) => {
    for (const change of changes) {
      const entry = change.op === 'set' ? (change.object as ServiceEntry) : undefined;
      for (const key of allocator.update(change.key, entry)) queue.add(key);
    }
  });
  signal.addEventListener('abort', () => {
    unsubscribe();
    queue.stop();
  });
}
