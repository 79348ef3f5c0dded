// SPDX-License-Identifier: Apache-2.0
// The certificates this worker holds, and the connections that wait for one. Main delivers each as PEM; here it becomes a
// TLS context that never changes: a renewed certificate is another context, sessions keep the one they began with (trap 9).
import type { Loop } from '#lib/loop/loop.ts';
import type { TimerTarget } from '#lib/loop/timer-wheel.ts';
import { TlsContext, type TlsContextOptions } from '#lib/tls/context.ts';
import { fingerprint } from '#lib/tls/peer.ts';
import { pemBlocks } from '#lib/wire/pem.ts';

/** Told once, either way, maybe before `obtain` returns. */
export interface IdentityWaiter {
  onIdentity(context: TlsContext): void;
  onNoIdentity(reason: string): void;
}

/** How long a connection waits for a certificate. */
const WAIT_MS = 10_000;

/** What all contexts have in common. */
export type TlsChoice = Pick<TlsContextOptions, 'tls12' | 'groups'>;

interface Held {
  context: TlsContext | null;
  /** SHA-256 of each trusted root. */
  roots: ReadonlySet<string>;
  waiters: IdentityWaiter[];
}

class Deadline implements TimerTarget {
  readonly #end: () => void;

  constructor(end: () => void) {
    this.#end = end;
  }

  onTimer(): void {
    this.#end();
  }
}

export class Identities {
  readonly #loop: Loop;
  readonly #want: (identity: string) => void;
  readonly #tls: TlsChoice;
  readonly #held = new Map<string, Held>();

  /** `want` asks the main process for a certificate. */
  constructor(loop: Loop, want: (identity: string) => void, tls: TlsChoice = {}) {
    this.#loop = loop;
    this.#want = want;
    this.#tls = tls;
  }

  /** The context of `identity` if it is here. */
  context(identity: string): TlsContext | null {
    return this.#held.get(identity)?.context ?? null;
  }

  /** Whether a root by that fingerprint is still trusted by `identity`. */
  trusts(identity: string, anchor: string): boolean {
    return this.#held.get(identity)?.roots.has(anchor) === true;
  }

  obtain(identity: string, waiter: IdentityWaiter): void {
    const held = this.#entry(identity);
    if (held.context !== null) {
      waiter.onIdentity(held.context);
      return;
    }
    held.waiters.push(waiter);
    if (held.waiters.length > 1) return;
    this.#want(identity);
    const { waiters } = held;
    this.#loop.after(WAIT_MS, new Deadline(() => this.#expire(held, waiters)));
  }

  /** Takes a certificate over. Throws TLS_MATERIAL or TLS_OPENSSL when it is not usable. */
  put(identity: string, chain: string, key: string, roots: string): void {
    const held = this.#entry(identity);
    const context = TlsContext.create({
      certificateChainPem: chain,
      privateKeyPem: key,
      rootsPem: roots,
      alpn: 'h2',
      ...this.#tls,
    });
    held.context?.dispose();
    held.context = context;
    held.roots = new Set(pemBlocks(roots, 'CERTIFICATE').map(fingerprint));
    const { waiters } = held;
    held.waiters = [];
    for (const waiter of waiters) waiter.onIdentity(context);
  }

  /** No workload of `identity` is left: its key goes. Sessions that began with it go on. */
  forget(identity: string): void {
    const held = this.#held.get(identity);
    if (held === undefined) return;
    this.#held.delete(identity);
    held.context?.dispose();
    for (const waiter of held.waiters.splice(0)) waiter.onNoIdentity('no workload of this identity is left');
  }

  fail(identity: string, reason: string): void {
    const held = this.#entry(identity);
    if (held.context !== null) return;
    const { waiters } = held;
    held.waiters = [];
    for (const waiter of waiters) waiter.onNoIdentity(reason);
  }

  #expire(held: Held, waiters: IdentityWaiter[]): void {
    if (held.waiters !== waiters) return;
    held.waiters = [];
    for (const waiter of waiters) waiter.onNoIdentity('no certificate arrived in time');
  }

  #entry(identity: string): Held {
    let held = this.#held.get(identity);
    if (held === undefined) {
      held = { context: null, roots: new Set(), waiters: [] };
      this.#held.set(identity, held);
    }
    return held;
  }
}
