// SPDX-License-Identifier: Apache-2.0
// Judges from outside whether a data-plane process lives: its loop beats at least twice a second. Silence alone is not enough on a busy
// machine, so the process's state and the time it got on a core are looked at too: one that asks for the core and does not get it is starved.
import { readFileSync } from 'node:fs';

/** What a look at a process found. */
export type Verdict =
  | { readonly kind: 'alive' }
  | { readonly kind: 'starved'; readonly silentMs: number }
  | { readonly kind: 'wedged'; readonly silentMs: number; readonly state: string };

/** State letter of proc(5) (R, S, D, T, ...) and the time on a core so far. */
export interface ProcessLook {
  readonly state: string;
  readonly cpuMs: number;
}

export interface WatchdogLimits {
  /** Silence of a healthy loop at rest, in ms: the process is not looked at. */
  readonly restMs: number;
  /** Silence that a healthy loop never shows, in ms. */
  readonly silentMs: number;
  /** A silent process that got this much time on a core meanwhile runs in circles. */
  readonly spinMs: number;
  /** Silence that nothing excuses. */
  readonly starvedMs: number;
}

export const WATCHDOG_LIMITS: WatchdogLimits = { restMs: 300, silentMs: 1100, spinMs: 500, starvedMs: 10_000 };

/** Keeps the history of one process. Call judge() at least four times a second. */
export class Watchdog {
  readonly #limits: WatchdogLimits;
  #beat: number | undefined;
  #changedAt: number;
  #cpuAtChange = 0;
  #looks = 0;

  constructor(now: number, limits = WATCHDOG_LIMITS) {
    this.#limits = limits;
    this.#changedAt = now;
  }

  /** `now`: monotonic ms. `beat`: changes with every turn. `look` is asked only after a silence. */
  judge(now: number, beat: number, look: () => ProcessLook | undefined): Verdict {
    if (beat !== this.#beat) {
      this.#beat = beat;
      this.#changedAt = now;
      this.#looks = 0;
      this.#cpuAtChange = 0;
      return { kind: 'alive' };
    }
    const silentMs = now - this.#changedAt;
    if (silentMs < this.#limits.restMs) return { kind: 'alive' };
    this.#looks++;
    // Counting looks as well: if this process itself was asleep, the clock alone would condemn the innocent.
    if (this.#looks < 3) {
      this.#cpuAtChange = look()?.cpuMs ?? 0;
      return { kind: 'alive' };
    }
    if (silentMs < this.#limits.silentMs) return { kind: 'alive' };
    const seen = look();
    if (!seen) return { kind: 'alive' };
    const runs = seen.cpuMs - this.#cpuAtChange;
    const waiting = seen.state === 'R' && runs < this.#limits.spinMs;
    if (waiting && silentMs < this.#limits.starvedMs) return { kind: 'starved', silentMs };
    return { kind: 'wedged', silentMs, state: seen.state };
  }
}

/** Reads /proc/PID/stat; undefined when the process is gone. */
export function lookAtProcess(pid: number): ProcessLook | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command's name may hold spaces and parentheses; the fields after it do not.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const ticks = Number(fields[11]) + Number(fields[12]);
    return { state: fields[0] ?? '?', cpuMs: ticks * 10 };
  } catch {
    return undefined;
  }
}
