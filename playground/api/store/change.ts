// SPDX-License-Identifier: Apache-2.0
// What the store keeps of an object, and what it tells of one that changed.
import type { KubeObject } from '../json.ts';

/** One stored object at one resource version. */
export interface Entry {
  readonly namespace: string;
  readonly name: string;
  readonly rv: number;
  readonly object: KubeObject;
  /** Encoded forms by apiVersion, made once for all watchers and lists. */
  readonly encoded: Map<string, string>;
}

export interface Change {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly rv: number;
  /** The object after the change; on DELETED the last state, carrying the version of the deletion. */
  readonly entry: Entry;
  readonly before: Entry | undefined;
}
