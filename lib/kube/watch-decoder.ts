// SPDX-License-Identifier: Apache-2.0
// The watch stream's codec: bytes in, lines out. A watch is a stream of JSON objects, one a line; a line that is longer
// than the limit fails before it is buffered further.

import type { KubeObject } from './object.ts';

/** The largest object an API server stores is 1.5 MiB (etcd's limit); JSON of it may be several times larger. */
export const DEFAULT_MAX_LINE_BYTES = 16 * 1024 * 1024;

/** One change, as the API server sends it (Kubernetes API concepts, "Efficient detection of changes"). */
export type WatchEvent<T extends KubeObject> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T }
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string }
  | { readonly type: 'ERROR'; readonly status: number; readonly reason: string; readonly message: string };

/** Cuts a byte stream into watch events. Feed it with `write`; anything unreadable becomes an ERROR event. */
export class WatchDecoder<T extends KubeObject> {
  readonly #maxLineBytes: number;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;

  constructor(maxLineBytes: number = DEFAULT_MAX_LINE_BYTES) {
    this.#maxLineBytes = maxLineBytes;
  }

  /** Bytes of an unfinished line. */
  get buffered(): number {
    return this.#pendingBytes;
  }

  write(chunk: Uint8Array): WatchEvent<T>[] {
    const events: WatchEvent<T>[] = [];
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(0x0a, start);
      const length = (end === -1 ? chunk.length : end) - start;
      if (this.#pendingBytes + length > this.#maxLineBytes) {
        this.#pending = [];
        this.#pendingBytes = 0;
        events.push(unreadable(`a line of the watch is longer than ${this.#maxLineBytes} bytes`));
        return events;
      }
      if (length > 0) {
        const part = chunk.subarray(start, start + length);
        // What is kept must not alias the caller's buffer, which may be reused.
        this.#pending.push(end === -1 ? Uint8Array.from(part) : part);
        this.#pendingBytes += length;
      }
      if (end === -1) break;
      if (this.#pendingBytes > 0) events.push(parse(Buffer.concat(this.#pending, this.#pendingBytes).toString('utf8')));
      this.#pending = [];
      this.#pendingBytes = 0;
      start = end + 1;
    }
    return events;
  }
}

function unreadable<T extends KubeObject>(message: string): WatchEvent<T> {
  return { type: 'ERROR', status: 0, reason: 'Unreadable', message };
}

interface RawEvent {
  readonly type?: unknown;
  readonly object?: Record<string, unknown> & {
    readonly metadata?: { readonly name?: unknown; readonly resourceVersion?: unknown };
  };
}

function parse<T extends KubeObject>(line: string): WatchEvent<T> {
  let raw: RawEvent | null;
  try {
    raw = JSON.parse(line) as RawEvent | null;
  } catch (cause) {
    return unreadable(`a line of the watch is not JSON: ${String(cause)}`);
  }
  const object = raw?.object;
  if (raw === null || typeof object !== 'object' || object === null) return unreadable('a watch event has no object');
  switch (raw.type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      if (typeof object.metadata?.name !== 'string') return unreadable('a watch event has an object without a name');
      return { type: raw.type, object: object as unknown as T };
    case 'BOOKMARK':
      return { type: 'BOOKMARK', resourceVersion: String(object.metadata?.resourceVersion ?? '') };
    case 'ERROR':
      return {
        type: 'ERROR',
        status: typeof object['code'] === 'number' ? object['code'] : 0,
        reason: String(object['reason'] ?? ''),
        message: String(object['message'] ?? ''),
      };
    default:
      return unreadable(`unknown watch event type ${JSON.stringify(raw.type)}`);
  }
}
