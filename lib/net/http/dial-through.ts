// SPDX-License-Identifier: Apache-2.0
// A connection through an HTTP proxy: another way to connect, which leads to the proxy, and its consent to go on to the destination.
import type { TimerId, TimerTarget } from '#lib/loop/timer-wheel.ts';
import type { HttpBench } from './bench.ts';
import type { Link } from './link.ts';
import { ProxyLink, type ProxyLinkMaker, type ProxyMethod } from './proxy-link.ts';
import type { Dialler, Dialling, DialOutcome } from './upstream.ts';

export interface ThroughProxy {
  readonly method: ProxyMethod;
  /** `host:port` to be led to. */
  readonly authority: string;
  /** For the proxy's answer; the connection to it has its own. */
  readonly timeoutMs: number;
}

export function dialThrough(bench: HttpBench, dial: Dialler, proxy: ThroughProxy, outcome: DialOutcome): Dialling {
  const attempt = new ThroughAttempt(bench, proxy, outcome);
  attempt.begin(dial);
  return attempt;
}

class ThroughAttempt implements DialOutcome, Dialling, ProxyLinkMaker, TimerTarget {
  readonly #bench: HttpBench;
  readonly #options: ThroughProxy;
  readonly #outcome: DialOutcome;
  #dialling: Dialling | null = null;
  #link: ProxyLink | null = null;
  #localAddress = '';
  #timer: TimerId = 0;
  #over = false;

  constructor(bench: HttpBench, options: ThroughProxy, outcome: DialOutcome) {
    this.#bench = bench;
    this.#options = options;
    this.#outcome = outcome;
  }

  begin(dial: Dialler): void {
    const dialling = dial(this);
    if (this.#link === null && !this.#over) this.#dialling = dialling;
  }

  cancel(): void {
    if (this.#over) return;
    this.#end();
    this.#dialling?.cancel();
    this.#link?.abort();
  }

  onLink(link: Link, localAddress: string): void {
    this.#dialling = null;
    if (this.#over) {
      link.abort();
      return;
    }
    const { authority, method, timeoutMs } = this.#options;
    this.#localAddress = localAddress;
    this.#timer = this.#bench.loop.after(timeoutMs, this);
    this.#link = new ProxyLink(this.#bench, link, method, authority, this);
  }

  onNoLink(cause: string): void {
    this.onRefused(cause);
  }

  onAgreed(link: Link): void {
    this.#end();
    this.#outcome.onLink(link, this.#localAddress);
  }

  onRefused(cause: string): void {
    if (this.#over) return;
    this.#end();
    this.#outcome.onNoLink(cause);
  }

  onTimer(): void {
    this.#timer = 0;
    if (this.#over) return;
    this.#link?.abort();
    this.onRefused(`the proxy did not answer ${this.#options.method} in time`);
  }

  #end(): void {
    this.#over = true;
    if (this.#timer !== 0) this.#bench.loop.cancel(this.#timer);
    this.#timer = 0;
  }
}
