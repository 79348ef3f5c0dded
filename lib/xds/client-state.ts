// SPDX-License-Identifier: Apache-2.0
// A delta ADS client as a state machine without I/O (xDS protocol, "Incremental xDS"). It knows names and versions,
// and asks a handler per type what to make of the contents; what the handler rejects becomes the NACK.

import { create } from '@bufbuild/protobuf';
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  type Node,
} from '#lib/proto/gen/discovery_pb.ts';

/** A resource as received; `value` is the message's bytes, of the subscription's type. */
export interface ReceivedResource {
  readonly name: string;
  readonly version: string;
  readonly value: Uint8Array;
}

export interface Rejection {
  readonly name: string;
  readonly reason: string;
}

/** Takes one response's contents in one step and says which resources it could not use; it must not throw. */
export type UpdateHandler = (
  resources: readonly ReceivedResource[],
  removed: readonly string[],
) => readonly Rejection[];

export interface Subscription {
  readonly typeUrl: string;
  /** `wildcard`: everything; `on-demand`: only what `want` names. */
  readonly mode: 'wildcard' | 'on-demand';
  readonly handle: UpdateHandler;
}

/** What a response came to. `reply` is to be sent in any case. */
export interface Outcome {
  readonly reply: DeltaDiscoveryRequest;
  readonly typeUrl: string;
  readonly accepted: number;
  readonly removed: number;
  readonly rejected: readonly Rejection[];
  /** False for a type that was never asked for. */
  readonly known: boolean;
}

interface TypeState {
  readonly subscription: Subscription;
  /** Accepted names and their versions. */
  readonly versions: Map<string, string>;
  /** Names asked for and not answered yet. */
  readonly wanted: Set<string>;
  /** One response has been accepted. */
  synced: boolean;
}

export class DeltaClientState {
  readonly #node: Node;
  readonly #types: ReadonlyMap<string, TypeState>;

  constructor(node: Node, subscriptions: readonly Subscription[]) {
    this.#node = node;
    this.#types = new Map(
      subscriptions.map((subscription) => [
        subscription.typeUrl,
        { subscription, versions: new Map(), wanted: new Set(), synced: false },
      ]),
    );
  }

  /** Every wildcard type has had a response that was accepted. */
  get synced(): boolean {
    return [...this.#types.values()].every(({ subscription, synced }) => subscription.mode === 'on-demand' || synced);
  }

  /** How many resources of a type are held. */
  held(typeUrl: string): number {
    return this.#types.get(typeUrl)?.versions.size ?? 0;
  }

  /** The first requests of a new stream, in the order of the subscriptions. What is held already is named. */
  open(): DeltaDiscoveryRequest[] {
    return [...this.#types.values()].map(({ subscription, versions, wanted }) => {
      const onDemand = subscription.mode === 'on-demand';
      const unknown = [...wanted].filter((name) => !versions.has(name)).map((name) => [name, ''] as const);
      const initialResourceVersions = Object.fromEntries([...versions, ...unknown]);
      return create(DeltaDiscoveryRequestSchema, {
        typeUrl: subscription.typeUrl,
        node: this.#node,
        // Subscribing to everything and taking it back at once is how one says "nothing yet".
        resourceNamesSubscribe: onDemand ? ['*'] : [],
        resourceNamesUnsubscribe: onDemand ? ['*'] : [],
        initialResourceVersions,
      });
    });
  }

  /** Asks for names of an on-demand type; undefined when they were all asked for before. */
  want(typeUrl: string, names: readonly string[]): DeltaDiscoveryRequest | undefined {
    const state = this.#types.get(typeUrl);
    if (state === undefined) return undefined;
    const fresh = names.filter((name) => !state.wanted.has(name) && !state.versions.has(name));
    if (fresh.length === 0) return undefined;
    for (const name of fresh) state.wanted.add(name);
    return create(DeltaDiscoveryRequestSchema, { typeUrl, resourceNamesSubscribe: fresh });
  }

  receive(response: DeltaDiscoveryResponse): Outcome {
    const { typeUrl, nonce, removedResources } = response;
    const state = this.#types.get(typeUrl);
    if (state === undefined) {
      return { reply: answer(typeUrl, nonce, []), typeUrl, accepted: 0, removed: 0, rejected: [], known: false };
    }
    const rejected: Rejection[] = [];
    const good: ReceivedResource[] = [];
    for (const { name, version, resource } of response.resources) {
      if (resource === undefined) rejected.push({ name, reason: 'it has no content' });
      else if (resource.typeUrl !== typeUrl) rejected.push({ name, reason: `it is a ${resource.typeUrl}` });
      else good.push({ name, version, value: resource.value });
    }
    rejected.push(...state.subscription.handle(good, removedResources));
    this.#record(state, good, removedResources, rejected);
    return {
      reply: answer(typeUrl, nonce, rejected),
      typeUrl,
      accepted: response.resources.length - rejected.length,
      removed: removedResources.length,
      rejected,
      known: true,
    };
  }

  #record(
    state: TypeState,
    good: readonly ReceivedResource[],
    removed: readonly string[],
    rejected: readonly Rejection[],
  ): void {
    for (const name of removed) {
      state.versions.delete(name);
      state.wanted.delete(name);
    }
    for (const { name, version } of good) {
      state.versions.set(name, version);
      state.wanted.delete(name);
    }
    // Left out of what we say we hold, so that the server sends them again after a reconnect.
    for (const { name } of rejected) state.versions.delete(name);
    if (rejected.length === 0) state.synced = true;
  }
}

function answer(typeUrl: string, nonce: string, rejected: readonly Rejection[]): DeltaDiscoveryRequest {
  const error = rejected.map(({ name, reason }) => `${name}: ${reason}`).join('; ');
  return create(DeltaDiscoveryRequestSchema, {
    typeUrl,
    responseNonce: nonce,
    ...(rejected.length === 0 ? {} : { errorDetail: { message: error } }),
  });
}
