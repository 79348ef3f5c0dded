// SPDX-License-Identifier: Apache-2.0
// Lets ordinary Node wait for any descriptor, for main processes. libuv takes no SEQPACKET socket from JavaScript, and a thread blocked
// in poll(2) would cost 10 MB; so the kernel is asked for SIGIO (O_ASYNC, fcntl(2)), which Node delivers on its own event loop, and
// poll(2) with timeout 0 then tells who is ready. Signals merge and could be missed, so a slow timer looks as well.
import { POLLIN, POLLOUT } from '#lib/linux/constants.ts';
import { pollNow } from '#lib/linux/poll.ts';
import { signalWhenReadable, stopSignals } from '#lib/linux/process.ts';

/** Looks this often even without a signal, in ms. */
const SAFETY_MS = 250;
/** Looks this often while somebody waits to write, in ms. */
const WRITE_MS = 5;

/** Who waits on a descriptor. */
export interface Watcher {
  readonly fd: number;
  /** Readable, at its end, or writable while wantsWrite(). */
  onFdReady(): void;
  wantsWrite(): boolean;
}

/** Descriptors of one main process; one per process is enough. Call on the main thread. */
export class FdWatch {
  readonly #watchers = new Map<number, Watcher>();
  readonly #onSignal = () => this.#look();
  #timer: NodeJS.Timeout | undefined;
  #fastTimer: NodeJS.Timeout | undefined;
  #scheduled = false;

  constructor() {
    // The default action of SIGIO ends the process, and one may still be under way when the last watcher goes: never without a listener.
    if (process.listenerCount('SIGIO') === 0) process.on('SIGIO', ignore);
    process.on('SIGIO', this.#onSignal);
  }

  /** Starts to watch. The descriptor must be non-blocking and stays its owner's; keeps the process alive. */
  add(watcher: Watcher): void {
    this.#watchers.set(watcher.fd, watcher);
    signalWhenReadable(watcher.fd);
    this.#timer ??= setInterval(this.#onSignal, SAFETY_MS);
    this.schedule();
  }

  /** Ends it; call before closing the descriptor. */
  remove(watcher: Watcher): void {
    if (this.#watchers.get(watcher.fd) !== watcher) return;
    this.#watchers.delete(watcher.fd);
    stopSignals(watcher.fd);
    if (this.#watchers.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Looks soon: after adding, or when a writer was left with something to send. */
  schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#look();
    });
  }

  close(): void {
    for (const watcher of [...this.#watchers.values()]) this.remove(watcher);
    clearTimeout(this.#fastTimer);
    process.off('SIGIO', this.#onSignal);
  }

  #look(): void {
    const watchers = [...this.#watchers.values()];
    const wanted = watchers.map((watcher) => ({
      fd: watcher.fd,
      events: POLLIN | (watcher.wantsWrite() ? POLLOUT : 0),
    }));
    const ready = pollNow(wanted);
    let again = false;
    for (const [index, watcher] of watchers.entries()) {
      if (!ready[index] || this.#watchers.get(watcher.fd) !== watcher) continue;
      watcher.onFdReady();
      again = true;
    }
    if (again) this.schedule();
    else if (wanted.some(({ events }) => events & POLLOUT)) this.#lookSoon();
  }

  #lookSoon(): void {
    this.#fastTimer ??= setTimeout(() => {
      this.#fastTimer = undefined;
      this.#look();
    }, WRITE_MS);
  }
}

function ignore(): void {}
