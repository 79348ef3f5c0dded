// SPDX-License-Identifier: Apache-2.0
// Probes again and again, and tells when the application has become well or unwell: after as many answers of one kind as
// its settings say.
import type { Clock } from '#lib/kit/clock.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { Probe } from './probe.ts';

export interface ProbeSettings {
  readonly probe: Probe;
  readonly initialDelayMs: number;
  readonly periodMs: number;
  readonly timeoutMs: number;
  readonly successThreshold: number;
  readonly failureThreshold: number;
}

export interface ProberOptions {
  readonly settings: ProbeSettings;
  readonly clock: Clock;
  readonly log: Logger;
  /** Runs the probe: why it failed, '' when it did not. */
  readonly once: (probe: Probe, timeoutMs: number) => Promise<string>;
  /** @param error why it is unwell; undefined when it is well */
  readonly onChange: (error: string | undefined) => void;
}

export class Prober {
  readonly #options: ProberOptions;
  readonly #stop = new AbortController();
  #well: boolean | undefined;
  #same = 0;
  #last: boolean | undefined;

  constructor(options: ProberOptions) {
    this.#options = options;
  }

  start(): void {
    this.#run().catch(() => undefined);
  }

  stop(): void {
    this.#stop.abort();
  }

  async #run(): Promise<void> {
    const { clock, once, settings } = this.#options;
    const { signal } = this.#stop;
    await clock.sleep(settings.initialDelayMs, signal);
    while (!signal.aborted) {
      this.#judge(await once(settings.probe, settings.timeoutMs));
      await clock.sleep(settings.periodMs, signal);
    }
  }

  #judge(error: string): void {
    const { log, onChange, settings } = this.#options;
    const well = error === '';
    this.#same = well === this.#last ? this.#same + 1 : 1;
    this.#last = well;
    if (well === this.#well || this.#stop.signal.aborted) return;
    if (this.#same < (well ? settings.successThreshold : settings.failureThreshold)) return;
    this.#well = well;
    if (well) log.info('the application is well');
    else log.warn('the application is not well, and its control plane is told', { error });
    onChange(well ? undefined : error);
  }
}
