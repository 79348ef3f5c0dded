// SPDX-License-Identifier: Apache-2.0
// A connection with TLS on it: another way to connect, and a handshake whose peer is judged before anybody may use it.
import type { TimerId, TimerTarget } from '#lib/loop/timer-wheel.ts';
import type { TlsContext } from '#lib/tls/context.ts';
import type { HttpBench } from './bench.ts';
import type { Link } from './link.ts';
import { type TlsArenas, TlsLink, type TlsLinkMaker } from './tls-link.ts';
import type { Dialler, Dialling, DialOutcome } from './upstream.ts';

export interface TlsDial {
  readonly context: TlsContext;
  readonly arenas: TlsArenas;
  /** SNI; '' names nobody. */
  readonly serverName: string;
  /** `chain`: verified, leaf first. Why it is not the right server, or ''. */
  readonly judge: (chain: readonly Uint8Array[]) => string;
  /** For the handshake; the connection below has its own. */
  readonly timeoutMs: number;
}

export function dialTls(bench: HttpBench, dial: Dialler, tls: TlsDial, outcome: DialOutcome): Dialling {
  const attempt = new TlsAttempt(bench, tls, outcome);
  attempt.begin(dial);
  return attempt;
}

class TlsAttempt implements DialOutcome, Dialling, TlsLinkMaker, TimerTarget {
  readonly #bench: HttpBench;
  readonly #options: TlsDial;
  readonly #outcome: DialOutcome;
  #dialling: Dialling | null = null;
  #link: TlsLink | null = null;
  #localAddress = '';
  #timer: TimerId = 0;
  #over = false;

  constructor(bench: HttpBench, options: TlsDial, outcome: DialOutcome) {
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
    const { arenas, context, serverName, timeoutMs } = this.#options;
    this.#localAddress = localAddress;
    this.#timer = this.#bench.loop.after(timeoutMs, this);
    this.#link = new TlsLink(this.#bench, arenas, link, context, serverName, this);
  }

  onNoLink(cause: string): void {
    this.onNotSecured(cause);
  }

  onPeer(chain: readonly Uint8Array[]): string {
    return this.#options.judge(chain);
  }

  onSecured(link: TlsLink): void {
    this.#end();
    this.#outcome.onLink(link, this.#localAddress);
  }

  onNotSecured(cause: string): void {
    if (this.#over) return;
    this.#end();
    this.#outcome.onNoLink(cause);
  }

  onTimer(): void {
    this.#timer = 0;
    if (this.#over) return;
    this.#link?.abort();
    this.onNotSecured('TLS handshake timed out');
  }

  #end(): void {
    this.#over = true;
    if (this.#timer !== 0) this.#bench.loop.cancel(this.#timer);
    this.#timer = 0;
  }
}
