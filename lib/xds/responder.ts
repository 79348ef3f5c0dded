// SPDX-License-Identifier: Apache-2.0
// Responses about one log. Clients that ask for everything and are equally far get the very same bytes under the same
// nonce (a nonce only has to be unique within a stream), so that a thousand clients cost one encoding.

import { encodeResponse, FRAME_PREFIX, fieldWithAliases, type ResourceEntry, type ResponseParts } from './resource.ts';
import type { ResourceLog } from './resource-log.ts';

export interface ServerResponse {
  readonly typeUrl: string;
  readonly nonce: string;
  /** The message. */
  readonly bytes: Buffer;
  /** The message as gRPC sends it, its length before it; `bytes` is a part of it. */
  readonly frame: Buffer;
  readonly resources: number;
  readonly removed: number;
}

export interface ResponderOptions {
  /** A fresh unique text for each response. */
  readonly nonce: () => string;
  /** JSON naming this server. */
  readonly controlPlane: string;
}

/** Where a client stands that holds nothing. */
const NOTHING = -1;

export class Responder {
  readonly typeUrl: string;
  readonly log: ResourceLog;
  readonly #options: ResponderOptions;
  /** By the generation a client has seen; of the current generation only. */
  readonly #shared = new Map<number, ServerResponse | undefined>();
  #sharedOf = NOTHING;

  constructor(typeUrl: string, log: ResourceLog, options: ResponderOptions) {
    this.typeUrl = typeUrl;
    this.log = log;
    this.#options = options;
  }

  /** Everything, for a client that holds nothing. */
  all(): ServerResponse {
    return this.#share(NOTHING, () => this.make([...this.log.entries()], [])) ?? this.make([], []);
  }

  /** What a client lacks that has seen `generation`; undefined when that is nothing. */
  since(generation: number): ServerResponse | 'too-far-behind' | undefined {
    const difference = this.#sharesOf(generation) ? undefined : this.log.since(generation);
    if (!this.#sharesOf(generation) && difference === undefined) return 'too-far-behind';
    return this.#share(generation, () => {
      const { changed, removed } = difference!;
      return changed.length === 0 && removed.length === 0 ? undefined : this.make(changed, removed);
    });
  }

  /** A response of one client's own. */
  make(entries: readonly ResourceEntry[], removed: readonly string[], withAliases = false): ServerResponse {
    const { controlPlane, nonce } = this.#options;
    const { log, typeUrl } = this;
    const parts = { typeUrl, nonce: nonce(), systemVersion: String(log.generation), controlPlane, removed };
    const fields = entries.map((entry) => (withAliases ? fieldWithAliases(entry) : entry.field));
    return encoded({ ...parts, fields });
  }

  #sharesOf(generation: number): boolean {
    return this.#sharedOf === this.log.generation && this.#shared.has(generation);
  }

  #share(generation: number, make: () => ServerResponse | undefined): ServerResponse | undefined {
    if (this.#sharedOf !== this.log.generation) {
      this.#sharedOf = this.log.generation;
      this.#shared.clear();
    }
    if (!this.#shared.has(generation)) this.#shared.set(generation, make());
    return this.#shared.get(generation);
  }
}

/** The responders of a server, one for each log, kept as long as the log. */
export class Responders {
  readonly #options: ResponderOptions;
  readonly #byLog = new WeakMap<ResourceLog, Responder>();

  constructor(options: ResponderOptions) {
    this.#options = options;
  }

  of(typeUrl: string, log: ResourceLog): Responder {
    let found = this.#byLog.get(log);
    if (found === undefined) {
      found = new Responder(typeUrl, log, this.#options);
      this.#byLog.set(log, found);
    }
    return found;
  }

  /** For a type this server has nothing of: one empty answer, so that its client does not wait for ever. */
  nothing(typeUrl: string, held: readonly string[]): ServerResponse {
    const nonce = this.#options.nonce();
    const { controlPlane } = this.#options;
    return encoded({ typeUrl, nonce, systemVersion: '0', controlPlane, removed: held, fields: [] });
  }
}

function encoded(parts: ResponseParts): ServerResponse {
  const frame = encodeResponse(parts);
  const { fields, nonce, removed, typeUrl } = parts;
  return {
    typeUrl,
    nonce,
    frame,
    bytes: frame.subarray(FRAME_PREFIX),
    resources: fields.length,
    removed: removed.length,
  };
}
