// SPDX-License-Identifier: Apache-2.0
// TLS on another link: an application's own TLS, on a socket or inside a tunnel. The link below takes all that is written and tells
// of what comes; this one stands between it and its owner.
//
//   handshaking ──▶ secured ──▶ closed
//
// What comes is copied off the arena it came in before any of it is decrypted: plaintext goes to owners that use that arena too.

import { Arena } from '#lib/linux/arena.ts';
import { copyFromForeign, copyToForeign } from '#lib/linux/calls.ts';
import type { Resumable } from '#lib/loop/loop.ts';
import type { TlsContext } from '#lib/tls/context.ts';
import { TLS_ENDED, TLS_FAILED, TlsSession } from '#lib/tls/session.ts';
import { type ByteSink, Outbox } from '../outbox.ts';
import type { HttpBench } from './bench.ts';
import type { MadeOver } from './dial-over.ts';
import type { Link } from './link.ts';
import { LinkOver } from './link-over.ts';

export interface TlsClientOptions {
  readonly context: TlsContext;
  readonly arenas: TlsArenas;
  /** SNI; '' names nobody. */
  readonly serverName: string;
  /** `chain`: verified, leaf first. Why it is not the right server, or ''. */
  readonly judge: (chain: readonly Uint8Array[]) => string;
}

/** Plaintext delivered at a time. */
const PIECE = 64 * 1024;
const OVER_BUDGET = 'memory for stopped readers is used up, this one held most';

/** Memory for one piece of plaintext and of ciphertext on their way: nothing stays in it when a call returns. */
export class TlsArenas {
  readonly plain: Arena = Arena.allocate(PIECE);
  readonly cipher: Arena = Arena.allocate(PIECE);
}

export class TlsLink extends LinkOver implements ByteSink, Resumable {
  resumeQueued = false;
  readonly #bench: HttpBench;
  readonly #arenas: TlsArenas;
  readonly #tls: TlsSession;
  readonly #judge: TlsClientOptions['judge'];
  /** Ciphertext that found no room in the ring. */
  #inbox: Outbox | null = null;
  #ended = false;
  #eofPassedOn = false;
  #toldEnd = false;
  #finished = false;
  /** Why it broke; told in the next turn. */
  #cause = '';
  #putOff = false;

  /** Takes over a connected link, as its client; `made` hears of the handshake's end in a turn of the loop. */
  constructor(bench: HttpBench, inner: Link, { arenas, context, judge, serverName }: TlsClientOptions, made: MadeOver) {
    super(inner, made);
    this.#bench = bench;
    this.#arenas = arenas;
    this.#tls = new TlsSession(context, 'client', serverName);
    this.#judge = judge;
    this.#later();
  }

  // === Link ===

  transmit(arena: Arena, start: number, length: number): void {
    if (this.closed || this.#cause !== '' || this.#finished) return;
    const tls = this.#tls;
    let from = start;
    const end = start + length;
    while (from < end) {
      const n = Math.min(tls.writeRoom(), end - from);
      if (n === 0 || tls.write(arena.at(from), n) !== n) {
        this.#cause = tls.failure === '' ? 'TLS took less than it had room for' : tls.failure;
        this.#later();
        return;
      }
      from += n;
      this.#flush();
    }
  }

  /** By the loop: what was put off. By the owner: goes on reading, in the next turn. */
  resume(): void {
    if (this.#putOff && !this.resumeQueued) {
      this.#putOff = false;
      if (this.closed) return;
      if (this.#cause !== '') this.break(this.#cause);
      else this.#turn();
      if (!this.closed && !this.paused) this.inner.resume();
    } else if (this.paused) {
      this.paused = false;
      this.#later();
    }
  }

  finish(): void {
    if (this.closed || this.#finished) return;
    this.#bench.cork.flushOf(this);
    this.#notify();
    if (!this.closed) this.inner.finish();
  }

  close(): void {
    if (this.closed) return;
    this.#bench.cork.flushOf(this);
    this.#notify();
    this.leave();
    this.inner.close();
  }

  // === the link below ===

  onBytes(_link: Link, arena: Arena, start: number, end: number): void {
    if (this.closed) return;
    const taken = this.#inbox === null ? this.send(arena, start, end - start) : 0;
    if (taken < end - start) {
      this.#inbox ??= new Outbox(this.#bench.blocks, () => {
        this.#cause = OVER_BUDGET;
        this.#later();
      });
      if (!this.#inbox.append(arena, start + taken, end - start - taken)) return;
    }
    this.#turn();
  }

  onFin(): void {
    this.#ended = true;
    if (!this.closed) this.#turn();
  }

  onDrained(): void {
    this.backlog = 0;
    this.progressAt = this.inner.progressAt;
    this.owner.onDrained(this);
  }

  /** ByteSink: puts ciphertext into TLS's ring, as much as it has room for. */
  send(arena: Arena, offset: number, length: number): number {
    const tls = this.#tls;
    let done = 0;
    while (done < length) {
      const n = Math.min(tls.inboundRoom(), length - done);
      if (n === 0) break;
      copyToForeign(tls.inboundPointer, arena, offset + done, n);
      tls.received(n);
      done += n;
    }
    return done;
  }

  // === inside ===

  /** As far as what is there goes. */
  #turn(): void {
    for (;;) {
      const fed = this.#feed();
      const moved = this.made === null ? this.#decrypt() : this.#handshake();
      if (this.closed) return;
      this.#flush();
      if (fed === 0 && !moved) return;
    }
  }

  /** Passes on what waited; the bytes, or 1 for the end. */
  #feed(): number {
    let fed = 0;
    if (this.#inbox !== null) {
      fed = this.#inbox.drain(this);
      if (this.#inbox.bytes > 0) return fed;
      this.#inbox = null;
    }
    if (!this.#ended || this.#eofPassedOn) return fed;
    this.#eofPassedOn = true;
    this.#tls.eof();
    return fed + 1;
  }

  #handshake(): boolean {
    const step = this.#tls.handshake();
    if (step === 'more') {
      if (this.#eofPassedOn) this.break('connection closed during the TLS handshake');
      return false;
    }
    const made = this.made!;
    if (step === 'failed') {
      this.#flush();
      this.break(`TLS handshake failed: ${this.#tls.failure}`);
      return false;
    }
    const chain = this.#tls.peerChain();
    const refusal = chain.ok ? this.#judge(chain.value) : (chain.problems[0]?.message ?? '');
    if (refusal !== '') {
      this.break(`TLS peer refused: ${refusal}`);
      return false;
    }
    this.made = null;
    made.onMade(this);
    // What came behind the handshake is the new owner's, in the next turn.
    if (!this.closed) this.#later();
    return false;
  }

  /** True when something was delivered. */
  #decrypt(): boolean {
    const { plain } = this.#arenas;
    let moved = false;
    while (!this.paused && !this.closed) {
      const n = this.#tls.read(plain.pointer, plain.size);
      if (n > 0) {
        moved = true;
        this.owner.onBytes(this, plain, 0, n);
        continue;
      }
      if (n === TLS_ENDED) this.#peerEnded();
      else if (n === TLS_FAILED) this.break(this.#tls.failure);
      break;
    }
    return moved;
  }

  #peerEnded(): void {
    if (this.#toldEnd) return;
    this.#toldEnd = true;
    if (this.#tls.truncated) this.break('connection ended without notice');
    else this.owner.onFin(this);
  }

  #notify(): void {
    if (this.closed || this.#finished) return;
    this.#finished = true;
    this.#tls.closeNotify();
    this.#flush();
  }

  #flush(): void {
    const tls = this.#tls;
    const { cipher } = this.#arenas;
    for (let pending = tls.outboundPending(); pending > 0; pending = tls.outboundPending()) {
      const n = Math.min(pending, cipher.size);
      copyFromForeign(cipher, 0, tls.outboundPointer, n);
      tls.sent(n);
      this.inner.transmit(cipher, 0, n);
    }
    this.measure();
  }

  #later(): void {
    this.#putOff = true;
    this.#bench.loop.again(this);
  }

  protected override leave(): void {
    super.leave();
    this.#inbox?.clear();
    this.#inbox = null;
    this.#tls.dispose();
  }
}
