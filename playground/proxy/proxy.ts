// SPDX-License-Identifier: Apache-2.0
// The service proxy of a node: watches Services and EndpointSlices and keeps the node's packet filter in step, a stand-in
// for kube-proxy. Session affinity is not kept.
import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import { Informer } from '#lib/kube/informer.ts';
import { ENDPOINT_SLICE, SERVICE } from '#lib/kube/kind.ts';
import type { EndpointSlice, Service } from '#lib/kube/object.ts';
import { run } from '../fabric/command.ts';
import { frontends, type Overrides } from './balance.ts';
import { proxyRules } from './rules.ts';

/** Changes within this time make one transaction. */
const GATHER_MS = 30;
const RETRY_MS = 1_000;

export interface ProxyOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: () => number;
  readonly nodeName: string;
  readonly overrides: Overrides;
}

export class ServiceProxy {
  readonly #options: ProxyOptions;
  readonly #services: Informer<Service>;
  readonly #slices: Informer<EndpointSlice>;
  readonly #stop = new AbortController();
  #applied = '';
  #due = false;
  #busy = false;

  constructor(options: ProxyOptions) {
    this.#options = options;
    const { client, clock, random, log } = options;
    this.#services = new Informer({ client, clock, random, log, kind: SERVICE });
    this.#slices = new Informer({ client, clock, random, log, kind: ENDPOINT_SLICE });
  }

  async start(): Promise<void> {
    this.#services.start();
    this.#slices.start();
    await Promise.all([this.#services.whenSynced(), this.#slices.whenSynced()]);
    this.#services.subscribe(() => this.#changed());
    this.#slices.subscribe(() => this.#changed());
    this.#changed();
  }

  stop(): void {
    this.#stop.abort();
    this.#services.stop();
    this.#slices.stop();
  }

  #changed(): void {
    this.#due = true;
    if (!this.#busy) void this.#applyLoop();
  }

  async #applyLoop(): Promise<void> {
    const { clock, log, nodeName, overrides } = this.#options;
    this.#busy = true;
    while (this.#due && !this.#stop.signal.aborted) {
      await clock.sleep(GATHER_MS, this.#stop.signal).catch(() => undefined);
      this.#due = false;
      const rules = proxyRules(frontends(this.#services.values(), this.#slices.values(), nodeName, overrides));
      if (rules === this.#applied) continue;
      try {
        await run('nft', ['-f', '-'], { input: rules });
        this.#applied = rules;
      } catch (error) {
        log.error('service rules refused', { error: describeError(error) });
        this.#due = true;
        await clock.sleep(RETRY_MS, this.#stop.signal).catch(() => undefined);
      }
    }
    this.#busy = false;
  }
}
