// SPDX-License-Identifier: Apache-2.0
// One client's stream as a state machine without I/O: requests in, responses out (xDS protocol, "Incremental xDS").
// Per type it knows what the client wants and up to which generation it has been told; it never holds resources.
//
//   unknown ──first request──▶ waiting for ACK ⇄ settled       (a push leaves only from settled: a slow client gets
//                                   │ NACK ──▶ settled          the newest state when it answers, not a queue)

import type { JsonObject } from '@bufbuild/protobuf';
import { own } from '#lib/kit/table.ts';
import type { DeltaDiscoveryRequest } from '#lib/proto/gen/discovery_pb.ts';
import { Dialogue, type RequestNote, type TypeStatus } from './dialogue.ts';
import type { ResourceEntry } from './resource.ts';
import type { ResourceLog } from './resource-log.ts';
import type { Responder, Responders, ServerResponse } from './responder.ts';

/** The node as its first request told it. */
export interface Peer {
  readonly id: string;
  readonly metadata: JsonObject;
  /** What authentication has proven, a SPIFFE URI; empty where none is asked for. */
  readonly identity: string;
}

/** Where the resources of a type come from. */
export interface ResourceSource {
  readonly typeUrl: string;
  /** What this peer may see of them; undefined when it may not have the type. Asked once a stream. */
  view(peer: Peer): ResourceView | undefined;
}

/** The resources of a type as a set of clients sees them, and what an on-demand client means by a key. */
export interface ResourceView {
  readonly log: ResourceLog;
  /** Names of the resources meant by `key` and of those that come with it; empty when there are none. */
  resolve(key: string): readonly string[];
  /** The keys, beside its own name, by which a client may have asked for the resource. */
  keysOf?(name: string): readonly string[];
  /** Names an on-demand client gets without asking, e.g. those of its own node. */
  always?(): readonly string[];
}

/** What a request led to. `note` is for metrics and logs. */
export interface Received {
  readonly note: RequestNote;
  readonly response: ServerResponse | undefined;
}

interface TypeState {
  readonly dialogue: Dialogue;
  readonly view: ResourceView;
  readonly responder: Responder;
  wildcard: boolean;
  /** Keys the client asked for; meaningful when not wildcard. */
  readonly keys: Set<string>;
  /** Names sent to an on-demand client. */
  readonly names: Set<string>;
}

export interface ServerStreamOptions {
  readonly peer: Peer;
  readonly sources: ReadonlyMap<string, ResourceSource>;
  readonly responders: Responders;
  /** Types by which clients tell of themselves instead of asking. */
  readonly reports?: ReadonlySet<string>;
}

export class ServerStream {
  readonly #options: ServerStreamOptions;
  readonly #types = new Map<string, TypeState>();

  constructor(options: ServerStreamOptions) {
    this.#options = options;
  }

  get peer(): Peer {
    return this.#options.peer;
  }

  status(): TypeStatus[] {
    return [...this.#types.values()].map(({ dialogue, wildcard }) => dialogue.status(wildcard));
  }

  receive(request: DeltaDiscoveryRequest): Received {
    const { typeUrl } = request;
    if (this.#options.reports?.has(typeUrl) === true) {
      return { note: { kind: 'report', typeUrl, error: request.errorDetail?.message }, response: undefined };
    }
    const state = this.#types.get(typeUrl);
    if (state !== undefined) return this.#later(state, request);
    const view = this.#options.sources.get(typeUrl)?.view(this.peer);
    if (view === undefined) return this.#unknown(request);
    return { note: { kind: 'subscribed', typeUrl }, response: this.#first(view, request) };
  }

  /** Responses for what has changed since each type was last told, of those types whose client is ready for more. */
  push(): ServerResponse[] | 'too-far-behind' {
    const responses: ServerResponse[] = [];
    for (const state of this.#types.values()) {
      const { dialogue, view } = state;
      if (!dialogue.due) continue;
      const response = state.wildcard ? state.responder.since(dialogue.generation) : this.#pushOnDemand(state);
      if (response === 'too-far-behind') return response;
      dialogue.generation = view.log.generation;
      if (response !== undefined) responses.push(dialogue.sent(response));
    }
    return responses;
  }

  #first(view: ResourceView, request: DeltaDiscoveryRequest): ServerResponse | undefined {
    const subscribe = new Set(request.resourceNamesSubscribe);
    const star = subscribe.delete('*');
    const onDemand = request.resourceNamesUnsubscribe.includes('*');
    const state: TypeState = {
      dialogue: new Dialogue(request.typeUrl, view.log),
      view,
      responder: this.#options.responders.of(request.typeUrl, view.log),
      wildcard: !onDemand && (star || subscribe.size === 0),
      keys: subscribe,
      names: new Set(),
    };
    this.#types.set(request.typeUrl, state);
    const held = request.initialResourceVersions;
    if (!state.wildcard) {
      for (const name of Object.keys(held)) state.keys.add(name);
      return this.#answerOnDemand(state, state.keys, held);
    }
    return this.#answerAll(state, held);
  }

  #later(state: TypeState, request: DeltaDiscoveryRequest): Received {
    const note = state.dialogue.hear(request);
    const added = new Set(request.resourceNamesSubscribe);
    const wantsAll = added.delete('*') && !request.resourceNamesUnsubscribe.includes('*');
    for (const key of request.resourceNamesUnsubscribe) {
      state.keys.delete(key);
      state.names.delete(key);
      if (key === '*') state.wildcard = false;
    }
    for (const key of added) state.keys.add(key);
    if (wantsAll && !state.wildcard) {
      state.wildcard = true;
      return { note, response: this.#answerAll(state, {}) };
    }
    if (added.size === 0) return { note, response: undefined };
    // A wildcard client has them already; it still gets an answer to what it asked.
    return { note, response: this.#answerOnDemand(state, added, {}) };
  }

  /** Answers with everything that differs from what the client holds. */
  #answerAll(state: TypeState, held: Readonly<Record<string, string>>): ServerResponse {
    const { dialogue, responder, view } = state;
    const names = Object.keys(held);
    dialogue.generation = view.log.generation;
    if (names.length === 0) return dialogue.sent(responder.all());
    const removed = names.filter((name) => view.log.get(name) === undefined);
    const changed = [...view.log.entries()].filter(({ name, version }) => own(held, name) !== version);
    return dialogue.sent(responder.make(changed, removed));
  }

  /** Answers with what the keys mean; a key that means nothing is named as removed. */
  #answerOnDemand(state: TypeState, keys: Iterable<string>, held: Readonly<Record<string, string>>): ServerResponse {
    const removed: string[] = [];
    const names = new Set<string>(state.view.always?.() ?? []);
    for (const key of keys) {
      const found = state.view.resolve(key);
      if (found.length === 0) removed.push(key);
      for (const name of found) names.add(name);
    }
    const entries: ResourceEntry[] = [];
    for (const name of names) {
      const entry = state.view.log.get(name);
      if (entry === undefined) continue;
      state.names.add(name);
      if (own(held, name) !== entry.version) entries.push(entry);
    }
    // A first answer brings the client up to this generation; later ones leave the rest to the next push.
    const { dialogue } = state;
    if (dialogue.fresh) dialogue.generation = state.view.log.generation;
    return dialogue.sent(state.responder.make(entries, removed, !state.wildcard));
  }

  /** Looks at what changed only, so that it costs the same however much the client has asked for. */
  #pushOnDemand(state: TypeState): ServerResponse | 'too-far-behind' | undefined {
    const { dialogue, keys, names, view } = state;
    const difference = view.log.since(dialogue.generation);
    if (difference === undefined) return 'too-far-behind';
    const { changed, removed } = difference;
    const gone = removed.filter((name) => names.delete(name));
    const entries = new Map<string, ResourceEntry>();
    const take = (name: string): void => {
      const entry = view.log.get(name);
      if (entry === undefined) return;
      names.add(name);
      entries.set(name, entry);
    };
    for (const { name } of changed) {
      const asked = keys.has(name) || (view.keysOf?.(name).some((key) => keys.has(key)) ?? false);
      if (asked) for (const other of view.resolve(name)) if (other === name || !names.has(other)) take(other);
      if (!asked && names.has(name)) take(name);
    }
    for (const name of view.always?.() ?? []) if (!names.has(name)) take(name);
    if (entries.size === 0 && gone.length === 0) return undefined;
    return state.responder.make([...entries.values()], gone, true);
  }

  #unknown({ initialResourceVersions, responseNonce, typeUrl }: DeltaDiscoveryRequest): Received {
    const note: RequestNote = { kind: 'unknown-type', typeUrl };
    if (responseNonce !== '') return { note, response: undefined };
    return { note, response: this.#options.responders.nothing(typeUrl, Object.keys(initialResourceVersions)) };
  }
}
