// SPDX-License-Identifier: Apache-2.0
//
// Where the world comes in: live sources, edited by watches, and constant ones, which cost nothing to depend on.

import type { Equals, NodeDescription, Source } from './collection.ts';
import type { Scheduler } from './node.ts';
import { Store } from './store.ts';

export class LiveSource<T> extends Store<T> implements Source<T> {
  set(key: string, value: T): void {
    this.scheduler.edit(() => {
      this.write(key, value);
      this.scheduler.schedule(this);
    });
  }

  delete(key: string): void {
    this.scheduler.edit(() => {
      this.write(key, undefined);
      this.scheduler.schedule(this);
    });
  }

  replace(entries: Iterable<readonly [string, T]>): void {
    this.scheduler.edit(() => {
      const wanted = new Map(entries);
      for (const [key] of [...this.entries()]) if (!wanted.has(key)) this.write(key, undefined);
      for (const [key, value] of wanted) this.write(key, value);
      this.scheduler.schedule(this);
    });
  }

  override flush(): void {
    this.publish();
  }

  override describe(): NodeDescription {
    return { ...this.counts(), kind: 'source', computed: 0, inputs: [], reads: [] };
  }
}

export class ConstantSource<T> extends Store<T> {
  override readonly constant: boolean = true;

  constructor(
    name: string,
    order: number,
    scheduler: Scheduler,
    equals: Equals<T>,
    entries: Iterable<readonly [string, T]>,
  ) {
    super(name, order, scheduler, equals);
    for (const [key, value] of entries) this.write(key, value);
  }

  override flush(): void {
    this.publish();
  }
  override describe(): NodeDescription {
    return { ...this.counts(), kind: 'constant', computed: 0, inputs: [], reads: [] };
  }
}
