// SPDX-License-Identifier: Apache-2.0
// From changes of the model to responses on the wire: a channel for each type, one debouncer, one delta
// server. Whoever serves a type of its own asks for a channel before the first client is let in.

import type { Clock } from '#lib/kit/clock.ts';
import type { Logger } from '#lib/kit/log.ts';
import { PULSE_MS } from '#lib/xds/pulse.ts';
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from '#lib/xds/resource.ts';
import { type Admission, type Caller, DeltaServer } from '#lib/xds/server.ts';
import type { IstiodMetrics } from '../metrics.ts';
import { AddressIndex } from './address-index.ts';
import { Channel, type ChannelOptions } from './channel.ts';
import { Debounce } from './debounce.ts';
import { type ClientListener, createObserver, metadataText, shortType } from './observer.ts';

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
  readonly clients?: ClientListener;
}

const NOBODY: ClientListener = { opened: () => undefined, closed: () => undefined, reported: () => undefined };

export class Push {
  readonly server: DeltaServer;
  readonly index = new AddressIndex();
  /** Workloads and services as they go out; `index` must know them too. */
  readonly addresses: Channel;
  readonly policies: Channel;
  readonly #channels: Channel[] = [];
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
    this.server = new DeltaServer({
      clock,
      log,
      observer: createObserver({
        clock,
        log,
        metrics,
        pushStartedAt: () => this.#startedAt,
        clients: options.clients ?? NOBODY,
      }),
      controlPlane: JSON.stringify({ Component: 'istiod', ID: options.instance, Info: { version: options.version } }),
      nonce: options.nonce,
      admit: options.admit,
      ready: options.ready,
      pulseMs: PULSE_MS,
    });
    const { index } = this;
    this.addresses = this.channel({
      typeUrl: ADDRESS_TYPE,
      trigger: 'ambient',
      aliases: (name) => index.aliases(name),
      lookup: {
        resolve: (key) => index.resolve(key),
        keysOf: (name) => index.keysOf(name),
        always: (peer) => index.onNode(metadataText(peer, 'NODE_NAME'), metadataText(peer, 'CLUSTER_ID')),
      },
    });
    this.policies = this.channel({ typeUrl: AUTHORIZATION_TYPE, trigger: 'config' });
  }

  /** A channel for one more type; from now on clients may subscribe to it. */
  channel(options: ChannelOptions): Channel {
    const channel = new Channel(options, () => this.#debounce.change());
    this.#channels.push(channel);
    this.server.serve(channel);
    return channel;
  }

  /** Takes in what has gathered without waiting: at the start, before the first client is let in. */
  flush(): void {
    for (const channel of this.#channels) channel.flush();
  }

  /** Sends the clients to other replicas, spread over `withinMs`. */
  async drain(withinMs: number, random: () => number): Promise<void> {
    await this.server.drain(withinMs, random);
  }

  stop(): void {
    this.#debounce.stop();
    this.server.close();
  }

  #fire(merged: number, waitedMs: number): void {
    const { clock, log, metrics } = this.#options;
    // All are taken in before anybody is told, so that no client sees a workload without the policies it names.
    const changed = this.#channels.filter((channel) => channel.flush());
    if (changed.length === 0) return;
    metrics.debounceTime.observe(waitedMs / 1000);
    for (const { trigger } of changed) metrics.pushTriggers.inc({ type: trigger });
    this.#startedAt = clock.monotonic();
    this.server.push();
    log.debug('pushing', () => ({
      changes: merged,
      waitedMs: Math.round(waitedMs),
      types: changed.map(({ typeUrl }) => shortType(typeUrl)),
    }));
  }
}
