// SPDX-License-Identifier: Apache-2.0
// Get and list: selectors, paging over a stable snapshot, and the resource version a watch goes on from.
import { fieldText } from '../kinds/fields.ts';
import { badRequest, expired, notFound } from '../status.ts';
import type { Entry } from '../store/change.ts';
import { matchFields } from '../store/selector.ts';
import type { Store } from '../store/store.ts';
import type { ListOptions } from './options.ts';
import type { ListMeta } from './present.ts';
import { subjectOf, type Target } from './target.ts';

export interface Page {
  readonly entries: readonly Entry[];
  readonly meta: ListMeta;
}

/** Snapshots that `continue` tokens point into; the oldest goes first, as a real server compacts. */
const SNAPSHOTS = 32;

export class Reader {
  readonly #store: Store;
  readonly #snapshots = new Map<string, readonly Entry[]>();

  constructor(store: Store) {
    this.#store = store;
  }

  find(target: Target): Entry | undefined {
    return this.#store.collection(target.resource.storage).get(target.namespace, target.name);
  }

  get(target: Target): Entry {
    const found = this.find(target);
    if (!found) throw notFound(subjectOf(target), target.name);
    return found;
  }

  list(target: Target, options: ListOptions): Page {
    const from = options.continue === '' ? undefined : readToken(options.continue);
    const rv = from?.rv ?? this.#store.rv;
    const snapshot = from ? this.#snapshots.get(`${target.resource.storage}@${rv}`) : this.#all(target);
    if (!snapshot)
      throw expired(
        'The provided continue parameter is too old to display a consistent list result. Start a new list without the continue parameter.',
      );
    const start = from?.start ?? 0;
    const matches = matcher(target, options);
    if (options.limit <= 0)
      return { entries: snapshot.slice(start).filter(matches), meta: { resourceVersion: String(rv) } };
    const entries: Entry[] = [];
    let index = start;
    for (; index < snapshot.length && entries.length < options.limit; index++)
      if (matches(snapshot[index]!)) entries.push(snapshot[index]!);
    while (index < snapshot.length && !matches(snapshot[index]!)) index++;
    if (index >= snapshot.length) return { entries, meta: { resourceVersion: String(rv) } };
    this.#keep(`${target.resource.storage}@${rv}`, snapshot);
    const rest = snapshot.slice(index).filter(matches).length;
    return {
      entries,
      meta: { resourceVersion: String(rv), continue: writeToken({ rv, start: index }), remainingItemCount: rest },
    };
  }

  #all(target: Target): readonly Entry[] {
    return this.#store.collection(target.resource.storage).list();
  }

  #keep(key: string, snapshot: readonly Entry[]): void {
    this.#snapshots.set(key, snapshot);
    if (this.#snapshots.size > SNAPSHOTS) this.#snapshots.delete(this.#snapshots.keys().next().value!);
  }
}

/** Whether an entry belongs to a list or watch: namespace, name and selectors. */
export function matcher(target: Target, options: ListOptions): (entry: Entry) => boolean {
  const { namespace, name, resource, version } = target;
  const { labels, fields } = options;
  for (const term of fields)
    if (!['metadata.name', 'metadata.namespace', ...version.fields].includes(term.path))
      throw badRequest(`field label not supported: ${term.path}`);
  const inNamespace = resource.namespaced ? namespace : '';
  return (entry) =>
    (inNamespace === '' || entry.namespace === inNamespace) &&
    (name === '' || entry.name === name) &&
    (labels === undefined || labels(entry.object.metadata.labels)) &&
    (fields.length === 0 || matchFields(fields, (path) => fieldText(version.fields, entry.object, path)));
}

interface Token {
  readonly rv: number;
  readonly start: number;
}
const writeToken = (token: Token): string => Buffer.from(JSON.stringify(token)).toString('base64url');
function readToken(text: string): Token {
  try {
    const { rv, start } = JSON.parse(Buffer.from(text, 'base64url').toString()) as Token;
    if (Number.isInteger(rv) && Number.isInteger(start) && start >= 0) return { rv, start };
  } catch {
    // Falls through to the one answer for a bad token.
  }
  throw badRequest('continue key is not valid');
}
