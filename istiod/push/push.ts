// SPDX-License-Identifier: Apache-2.0
// From changes of the model to responses on the wire: two channels, one debouncer, one delta server.

import type { Clock } from '#lib/kit/clock.ts';
import type { Logger } from '#lib/kit/log.ts';
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from '#lib/xds/resource.ts';
import { type Admission, type Caller, DeltaServer } from '#lib/xds/server.ts';
import type { ResourceSource } from '#lib/xds/server-stream.ts';
import type { IstiodMetrics } from '../metrics.ts';
import { AddressIndex } from './address-index.ts';
import { Channel, type Resource } from './channel.ts';
import { Debounce } from './debounce.ts';
import { createObserver, metadataText } from './observer.ts';

export interface PushOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: IstiodMetrics;
  readonly debounceAfterMs: number;
  readonly debounceMaxMs: number;
  /** Name of this instance, for clients' logs. */
  readonly instance: string;
  readonly version: string;
  readonly nonce: () => string;
  readonly admit: (caller: Caller) => Promise<Admission>;
  readonly ready: () => boolean;
}

export class Push {
  readonly server: DeltaServer;
  readonly index = new AddressIndex();
  readonly #addresses: Channel;
  readonly #authorizations: Channel;
  readonly #debounce: Debounce;
  readonly #options: PushOptions;
  #startedAt: number;

  constructor(options: PushOptions) {
    this.#options = options;
    const { clock, log, metrics } = options;
    this.#startedAt = clock.monotonic();
    this.#debounce = new Debounce({
      clock,
      afterMs: options.debounceAfterMs,
      maxMs: options.debounceMaxMs,
      fire: (merged, waitedMs) => this.#fire(merged, waitedMs),
    });
    const changed = (): void => this.#debounce.change();
    this.#addresses = new Channel(ADDRESS_TYPE, changed, (name) => this.index.aliases(name));
    this.#authorizations = new Channel(AUTHORIZATION_TYPE, changed);
    this.server = new DeltaServer({
      sources: [this.#addressSource(), this.#authorizationSource()],
      clock,
      log,
      observer: createObserver({ clock, log, metrics, pushStartedAt: () => this.#startedAt }),
      controlPlane: JSON.stringify({ Component: 'istiod', ID: options.instance, Info: { version: options.version } }),
      nonce: options.nonce,
      admit: options.admit,
      ready: options.ready,
    });
  }

  /** A workload or a service as it goes out; `index` must know it too. */
  setAddress(resource: Resource): void {
    this.#addresses.set(resource);
  }

  removeAddress(name: string): void {
    this.#addresses.remove(name);
  }

  setPolicy(resource: Resource): void {
    this.#authorizations.set(resource);
  }

  removePolicy(name: string): void {
    this.#authorizations.remove(name);
  }

  /** Takes in what has gathered without waiting: at the start, before the first client is let in. */
  flush(): void {
    this.#addresses.flush();
    this.#authorizations.flush();
  }

  stop(): void {
    this.#debounce.stop();
    this.server.close();
  }

  #fire(merged: number, waitedMs: number): void {
    const { clock, log, metrics } = this.#options;
    // Both are taken in before anybody is told, so that no client sees a workload without the policies it names.
    const addresses = this.#addresses.flush();
    const authorizations = this.#authorizations.flush();
    if (!addresses && !authorizations) return;
    metrics.debounceTime.observe(waitedMs / 1000);
    if (addresses) metrics.pushTriggers.inc({ type: 'ambient' });
    if (authorizations) metrics.pushTriggers.inc({ type: 'config' });
    this.#startedAt = clock.monotonic();
    this.server.push();
    log.debug('pushing', () => ({
      changes: merged,
      waitedMs: Math.round(waitedMs),
      addresses: this.#addresses.log.size,
      policies: this.#authorizations.log.size,
    }));
  }

  #addressSource(): ResourceSource {
    return {
      typeUrl: ADDRESS_TYPE,
      log: this.#addresses.log,
      resolve: (key) => this.index.resolve(key),
      always: (peer) => this.index.onNode(metadataText(peer, 'NODE_NAME')),
    };
  }

  #authorizationSource(): ResourceSource {
    const { log } = this.#authorizations;
    return { typeUrl: AUTHORIZATION_TYPE, log, resolve: (key) => (log.get(key) === undefined ? [] : [key]) };
  }
}
