// SPDX-License-Identifier: Apache-2.0
// One client's stream in the older variant of the protocol (xDS protocol, "State of the World"): each response holds all
// that the client has asked for of a type, whatever of it changed, and what is missing from it is gone. For other
// people's tools; node proxies and waypoints speak the delta variant, where a change costs what has changed.

import type { DiscoveryRequest } from '#lib/proto/gen/discovery_pb.ts';
import { encodeWorld, FRAME_PREFIX, type ResourceEntry } from './resource.ts';
import type { ResponderOptions, ServerResponse } from './responder.ts';
import type { Peer, Received, RequestNote, ResourceView, ServerStreamOptions, TypeStatus } from './server-stream.ts';

interface TypeState {
  readonly typeUrl: string;
  readonly view: ResourceView;
  /** Undefined for all there are. */
  names: Names;
  /** As last sent. */
  entries: readonly ResourceEntry[];
  generation: number;
  sentNonce: string;
  ackedNonce: string;
  awaitingAck: boolean;
  lastError: string;
}

export interface WorldStreamOptions extends Omit<ServerStreamOptions, 'responders'> {
  readonly responses: ResponderOptions;
}

export class WorldStream {
  readonly #options: WorldStreamOptions;
  readonly #types = new Map<string, TypeState>();

  constructor(options: WorldStreamOptions) {
    this.#options = options;
  }

  get peer(): Peer {
    return this.#options.peer;
  }

  status(): TypeStatus[] {
    return [...this.#types.values()].map((state) => ({
      typeUrl: state.typeUrl,
      wildcard: state.names === undefined,
      sentNonce: state.sentNonce,
      ackedNonce: state.ackedNonce,
      lastError: state.lastError,
      synced: !state.awaitingAck && state.lastError === '' && state.generation === state.view.log.generation,
    }));
  }

  receive(request: DiscoveryRequest): Received {
    const { typeUrl } = request;
    if (this.#options.reports?.has(typeUrl) === true) {
      return { note: { kind: 'report', typeUrl, error: request.errorDetail?.message }, response: undefined };
    }
    const known = this.#types.get(typeUrl);
    if (known !== undefined) return this.#later(known, request);
    const view = this.#options.sources.get(typeUrl)?.view(this.peer);
    if (view === undefined) {
      const note: RequestNote = { kind: 'unknown-type', typeUrl };
      return { note, response: request.responseNonce === '' ? this.#make(typeUrl, [], '0') : undefined };
    }
    const names = namesOf(request, undefined);
    const state: TypeState = {
      ...{ typeUrl, view, names, entries: [], generation: 0 },
      ...{ sentNonce: '', ackedNonce: '', awaitingAck: false, lastError: '' },
    };
    this.#types.set(typeUrl, state);
    return { note: { kind: 'subscribed', typeUrl }, response: this.#answer(state) };
  }

  push(): ServerResponse[] {
    const responses: ServerResponse[] = [];
    for (const state of this.#types.values()) {
      if (state.awaitingAck || state.generation === state.view.log.generation) continue;
      const wanted = entriesOf(state);
      if (same(wanted, state.entries)) state.generation = state.view.log.generation;
      else responses.push(this.#answer(state, wanted));
    }
    return responses;
  }

  #later(state: TypeState, request: DiscoveryRequest): Received {
    const { errorDetail, responseNonce, typeUrl } = request;
    // An answer to an older response says nothing; the one to the newest is on its way.
    if (responseNonce !== '' && responseNonce !== state.sentNonce) {
      return { note: { kind: 'stale', typeUrl }, response: undefined };
    }
    let note: RequestNote = { kind: 'subscribed', typeUrl };
    if (responseNonce !== '') {
      state.awaitingAck = false;
      state.lastError = errorDetail?.message ?? '';
      if (errorDetail === undefined) state.ackedNonce = responseNonce;
      note =
        errorDetail === undefined ? { kind: 'acked', typeUrl } : { kind: 'nacked', typeUrl, error: state.lastError };
    }
    const names = namesOf(request, state.names);
    const changed = !sameNames(names, state.names);
    state.names = names;
    return { note, response: changed || responseNonce === '' ? this.#answer(state) : undefined };
  }

  #answer(state: TypeState, entries: readonly ResourceEntry[] = entriesOf(state)): ServerResponse {
    state.entries = entries;
    state.generation = state.view.log.generation;
    const response = this.#make(state.typeUrl, entries, String(state.generation));
    state.sentNonce = response.nonce;
    state.awaitingAck = true;
    return response;
  }

  #make(typeUrl: string, entries: readonly ResourceEntry[], version: string): ServerResponse {
    const { controlPlane, nonce: next } = this.#options.responses;
    const nonce = next();
    const frame = encodeWorld({ typeUrl, nonce, systemVersion: version, controlPlane, entries });
    return { typeUrl, nonce, frame, bytes: frame.subarray(FRAME_PREFIX), resources: entries.length, removed: 0 };
  }
}

type Names = ReadonlySet<string> | undefined;

/** What a request asks for: undefined is all. Who has named resources before and names none now wants none. */
function namesOf({ resourceNames }: DiscoveryRequest, before: Names): Names {
  if (resourceNames.includes('*')) return undefined;
  return resourceNames.length === 0 && before === undefined ? undefined : new Set(resourceNames);
}

function entriesOf({ names, view }: TypeState): readonly ResourceEntry[] {
  if (names === undefined) return [...view.log.entries()];
  const wanted = new Set(names.size === 0 ? [] : (view.always?.() ?? []));
  for (const key of names) for (const name of view.resolve(key)) wanted.add(name);
  return [...wanted].flatMap((name) => view.log.get(name) ?? []);
}

/** An entry is made anew when its resource changes, so equal lists are lists of the same entries. */
function same(a: readonly ResourceEntry[], b: readonly ResourceEntry[]): boolean {
  return a.length === b.length && a.every((entry, index) => entry === b[index]);
}

function sameNames(a: Names, b: Names): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.size === b.size && [...a].every((name) => b.has(name));
}
