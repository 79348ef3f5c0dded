// SPDX-License-Identifier: Apache-2.0
// What links on other links have in common: the link below is theirs, and until both ends have agreed it is not the owner, which may
// not exist yet, who hears how they end, but whoever had them made.
import type { Arena } from '#lib/linux/arena.ts';
import type { MadeOver } from './dial-over.ts';
import { Link, type LinkOwner, NOBODY } from './link.ts';

export abstract class LinkOver extends Link implements LinkOwner {
  protected readonly inner: Link;
  /** null once the ends have agreed. */
  protected made: MadeOver | null;

  /** Takes over a connected link. */
  constructor(inner: Link, made: MadeOver) {
    super(NOBODY);
    this.inner = inner;
    this.made = made;
    inner.owner = this;
  }

  /** What one read brought is still delivered. */
  pause(): void {
    this.paused = true;
    this.inner.pause();
  }

  abort(): void {
    if (this.closed) return;
    this.leave();
    this.inner.abort();
  }

  abstract onBytes(link: Link, arena: Arena, start: number, end: number): void;
  abstract onFin(): void;
  abstract onDrained(): void;

  onBroken(_link: Link, cause: string): void {
    if (!this.closed) this.break(cause);
  }

  /** Of no more use: tells so whoever waits for it. */
  protected break(cause: string): void {
    const { made, owner } = this;
    this.abort();
    if (made === null) owner.onBroken(this, cause);
    else made.onNotMade(cause);
  }

  /** Nobody hears of it any more; the link below is left as it is. */
  protected leave(): void {
    this.closed = true;
    this.owner = NOBODY;
    this.made = null;
    this.backlog = 0;
  }

  /** What waits below waits here. */
  protected measure(): void {
    this.backlog = this.inner.backlog;
    this.progressAt = this.inner.progressAt;
  }
}
