// SPDX-License-Identifier: Apache-2.0
// An accepted connection before its first bytes. TLS, HTTP/2 and whatever else a tunnel is made of cost a hundred times what it costs to
// connect, so they are made for those who begin a handshake; who says nothing takes a descriptor and this, who says anything else
// is sent away. Whose tunnels were cut off again and again lately waits here, too (offenders.ts).
import { close, recv } from '#lib/linux/calls.ts';
import { EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLRDHUP, MSG_PEEK } from '#lib/linux/constants.ts';
import { EAGAIN } from '#lib/linux/errno.ts';
import type { Pollable, Slot } from '#lib/loop/loop.ts';
import type { TimerId, TimerTarget } from '#lib/loop/timer-wheel.ts';
import { type InputOwner, InputPlace, STRANGER_US } from './input-turns.ts';
import { OFFENCE, type Offender } from './offenders.ts';
import type { Workbench } from './workbench.ts';

/** Until the first byte must be there: as long as a handshake may take. */
const SILENCE_MS = 10_000;
/** Of a TLS record that begins a handshake: its type, the version's first byte, and the message's type behind the length (RFC 8446 section 5.1). */
const HANDSHAKE_RECORD = 0x16;
const VERSION = 3;
const CLIENT_HELLO = 1;
const CLIENT_HELLO_AT = 5;
const LEAVING = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

/** Why nothing came of a connection: it said nothing, or what is no TLS, or its address had to wait for longer than it did. */
export type Vain = 'silent' | 'no_tls' | 'held';

export interface DoorstepOwner {
  /** It begins a handshake: the descriptor is the owner's again, with nothing read. */
  onHello(fd: number): void;
  /** It left, or was sent away. The descriptor is closed. */
  onVain(why: Vain): void;
}

/**
 * Whether who dialled `fd` has gone without a word before it was accepted, as crowds that only connect have: nothing need be made for it.
 * Its descriptor is closed then.
 */
export function leftAtOnce({ receive }: Workbench, fd: number): boolean {
  const n = recv(fd, receive, 0, 1, MSG_PEEK);
  if (n > 0 || n === -EAGAIN) return false;
  close(fd);
  return true;
}

export class Doorstep implements Pollable, InputOwner, TimerTarget {
  readonly #bench: Workbench;
  readonly #owner: DoorstepOwner;
  readonly #slot: Slot;
  readonly #place: InputPlace;
  readonly #address: string;
  /** Until when it may stand here, monotonic ms. */
  readonly #until: number;
  #timer: TimerId;
  #held = false;
  /** As whose it is held. */
  #offender: Offender | null = null;
  #leaving = false;
  #over = false;

  /** Takes `fd`, which is connected; `address` is whose it is. */
  constructor(bench: Workbench, fd: number, address: string, owner: DoorstepOwner) {
    this.#bench = bench;
    this.#owner = owner;
    this.#address = address;
    this.#until = bench.loop.now + SILENCE_MS;
    this.#place = new InputPlace(this, bench.loop.began, STRANGER_US);
    this.#slot = bench.loop.add(fd, this, EPOLLIN | EPOLLRDHUP | EPOLLET);
    this.#timer = bench.loop.afterAbout(SILENCE_MS, this);
  }

  onReady(events: number): void {
    if ((events & LEAVING) !== 0) this.#leaving = true;
    this.#bench.inputs.push(this.#place);
  }

  onInputTurn(): boolean {
    if (this.#over) return false;
    const { receive } = this.#bench;
    if (this.#held) {
      // What it said lies there; only its end is new.
      if (this.#leaving) this.#vain('held');
      return false;
    }
    const n = recv(this.#slot.fd, receive, 0, CLIENT_HELLO_AT + 1, MSG_PEEK);
    if (n <= 0) {
      if (this.#leaving) this.#vain('silent');
    } else if (!isHello(receive.bytes, n)) this.#vain('no_tls');
    else this.#hello();
    return false;
  }

  onTimer(): void {
    this.#timer = 0;
    if (!this.#held) this.#vain('silent');
    else if (this.#bench.loop.now >= this.#until) this.#vain('held');
    else this.#hello();
  }

  /** Closes the connection; nobody is told. */
  close(): void {
    if (this.#over) return;
    this.#end();
    this.#bench.loop.remove(this.#slot);
  }

  /** Lets it in, or has it wait. */
  #hello(): void {
    const { loop, offenders } = this.#bench;
    const wait = offenders.wait(this.#address);
    if (wait === 0) {
      this.#end();
      this.#owner.onHello(loop.release(this.#slot));
      return;
    }
    if (this.#timer !== 0) loop.cancel(this.#timer);
    this.#timer = loop.after(wait, this);
    if (!this.#held) this.#offender = offenders.hold(this.#address);
    this.#held = true;
  }

  #vain(why: Vain): void {
    if (why === 'no_tls') this.#bench.offenders.note(this.#address, OFFENCE.noTls, 'what came first is no ClientHello');
    this.close();
    this.#owner.onVain(why);
  }

  #end(): void {
    this.#over = true;
    if (this.#offender !== null) this.#bench.offenders.letGo(this.#offender);
    this.#offender = null;
    if (this.#timer !== 0) this.#bench.loop.cancel(this.#timer);
    this.#timer = 0;
  }
}

/** Whether those first bytes, maybe too few to tell, are of a ClientHello. */
function isHello(bytes: Uint8Array, length: number): boolean {
  if (bytes[0] !== HANDSHAKE_RECORD) return false;
  if (length > 1 && bytes[1] !== VERSION) return false;
  return length <= CLIENT_HELLO_AT || bytes[CLIENT_HELLO_AT] === CLIENT_HELLO;
}
