// SPDX-License-Identifier: Apache-2.0
// One client's stream in the older variant of the protocol (xDS protocol, "State of the World"): each response holds all
// that the client has asked for of a type, whatever of it changed, and what is missing from it is gone. For other
// people's tools; node proxies and waypoints speak the delta variant, where a change costs what has changed.

import type { DiscoveryRequest } from '#lib/proto/gen/discovery_pb.ts';
import { Dialogue, type RequestNote, type TypeStatus } from './dialogue.ts';
import { encodeWorld, FRAME_PREFIX, type ResourceEntry } from './resource.ts';
import type { ResponderOptions, ServerResponse } from './responder.ts';
import type { Peer, Received, ResourceView, ServerStreamOptions } from './server-stream.ts';

interface TypeState {
  readonly dialogue: Dialogue;
  readonly view: ResourceView;
  /** Undefined for all there are. */
  names: Names;
  /** As last sent. */
  entries: readonly ResourceEntry[];
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
    return [...this.#types.values()].map(({ dialogue, names }) => dialogue.status(names === undefined));
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
    const dialogue = new Dialogue(typeUrl, view.log);
    const state: TypeState = { dialogue, view, names: namesOf(request, undefined), entries: [] };
    this.#types.set(typeUrl, state);
    return { note: { kind: 'subscribed', typeUrl }, response: this.#answer(state) };
  }

  push(): ServerResponse[] {
    const responses: ServerResponse[] = [];
    for (const state of this.#types.values()) {
      const { dialogue, view } = state;
      if (!dialogue.due) continue;
      const wanted = entriesOf(state);
      if (same(wanted, state.entries)) dialogue.generation = view.log.generation;
      else responses.push(this.#answer(state, wanted));
    }
    return responses;
  }

  #later(state: TypeState, request: DiscoveryRequest): Received {
    const note = state.dialogue.hear(request);
    if (note.kind === 'stale') return { note, response: undefined };
    const names = namesOf(request, state.names);
    const changed = !sameNames(names, state.names);
    state.names = names;
    return { note, response: changed || request.responseNonce === '' ? this.#answer(state) : undefined };
  }

  #answer(state: TypeState, entries: readonly ResourceEntry[] = entriesOf(state)): ServerResponse {
    const { dialogue, view } = state;
    state.entries = entries;
    dialogue.generation = view.log.generation;
    return dialogue.sent(this.#make(dialogue.typeUrl, entries, String(dialogue.generation)));
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
