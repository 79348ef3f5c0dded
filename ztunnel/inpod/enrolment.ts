// SPDX-License-Identifier: Apache-2.0
// Whose traffic is captured: the one workload of dedicated mode, or in shared mode this proxy itself and every pod that the node agent
// announces.
import type { Clock } from '#lib/kit/clock.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { Readiness } from '#lib/kit/readiness.ts';
import type { FdWatch } from '#lib/loop/fd-watch.ts';
import type { Config } from '../config.ts';
import type { PodInfo } from '../control.ts';
import { type PodCapture, PodManager } from './pod-manager.ts';
import { ZdsClient } from './zds-client.ts';

export interface EnrolmentOptions {
  readonly config: Config;
  readonly capture: PodCapture;
  readonly watch: FdWatch;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
  readonly readiness: Readiness;
  readonly onFatal: (reason: string) => void;
}

/** Uid of the one captured workload in dedicated mode. */
const DEDICATED_UID = 'dedicated';
/** Uid of this proxy as a workload. */
const SELF_UID = 'self';
/** What readiness waits for. */
const HOLD = 'workload proxy manager';

export class Enrolment {
  readonly #options: EnrolmentOptions;
  #held: (() => void) | undefined;
  #pods: PodManager | undefined;
  #zds: ZdsClient | undefined;

  constructor(options: EnrolmentOptions) {
    this.#options = options;
  }

  /** Holds readiness until the node agent has named every pod. */
  expect(): void {
    if (this.#options.config.mode === 'shared') this.#held = this.#options.readiness.hold(HOLD);
  }

  /** Captures what is to be captured; resolves when the node agent is asked, or the one workload is served. */
  async start(): Promise<void> {
    const { dedicated } = this.#options.config;
    if (dedicated === undefined) {
      await this.#serveSelf();
      this.#listenToAgent();
      return;
    }
    const reason = await this.#options.capture.addPod({ uid: DEDICATED_UID, ...dedicated }, undefined, 'own');
    if (reason !== '') this.#options.onFatal(`the listeners cannot be opened: ${reason}`);
  }

  /** Pods whose capture has failed so far. */
  pending(): readonly PodInfo[] {
    return this.#pods?.pendingPods() ?? [];
  }

  async close(): Promise<void> {
    await this.#zds?.close();
    this.#pods?.close();
  }

  /** This proxy is a workload too: whoever scrapes it through the mesh comes by a tunnel, under policy. */
  async #serveSelf(): Promise<void> {
    const { capture, config, log } = this.#options;
    const { name, namespace, serviceAccount } = config.pod;
    if (name === '' || namespace === '' || serviceAccount === '') return;
    const reason = await capture.addPod(
      { uid: SELF_UID, name, namespace, serviceAccount, self: true },
      undefined,
      'own',
    );
    if (reason !== '') log.warn('tunnels to this proxy itself are not served', { reason });
  }

  #listenToAgent(): void {
    const { capture, clock, config, log, onFatal, random, readiness, watch } = this.#options;
    const inpod = log.child('inpod');
    this.#pods = new PodManager({
      ...{ capture, clock, log: inpod, onFatal },
      onReadiness: (ready) => {
        if (!ready) this.#held ??= readiness.hold(HOLD);
        else {
          this.#held?.();
          this.#held = undefined;
        }
      },
    });
    this.#zds = new ZdsClient({
      ...{ watch, clock, random, log: inpod, handler: this.#pods },
      path: config.inpodSocket,
    });
    this.#zds.start();
  }
}
