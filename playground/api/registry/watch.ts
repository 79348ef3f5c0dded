// SPDX-License-Identifier: Apache-2.0
// One watch: what it sends first, then every change that touches its selection, bookmarks while quiet, and an end.
// A change is translated for the selection: an object that leaves it is DELETED, one that enters it is ADDED.
// Source: Kubernetes API concepts, "Efficient detection of changes" and "Streaming lists".
import type { Clock } from '#lib/kit/clock.ts';
import { expired } from '../status.ts';
import type { Change, Entry } from '../store/change.ts';
import type { Store } from '../store/store.ts';
import type { ListOptions } from './options.ts';
import type { Presenter } from './present.ts';
import { matcher } from './read.ts';
import type { Target } from './target.ts';

/** Where events go; `write` returns how many bytes wait to be sent. */
export interface Sink {
  write(line: string): number;
  end(): void;
  onClose(handler: () => void): void;
}

const BOOKMARK_MS = 30_000;
/** A client that lags this far behind is cut: it lists again and watches from there. */
const MAX_BACKLOG_BYTES = 32 * 1024 * 1024;
const DEFAULT_TIMEOUT_S = 3600;

export function watch(
  store: Store,
  target: Target,
  options: ListOptions,
  presenter: Presenter,
  sink: Sink,
  clock: Clock,
): void {
  const collection = store.collection(target.resource.storage);
  const matches = matcher(target, options);
  const from =
    options.resourceVersion === '' || options.resourceVersion === '0' ? undefined : Number(options.resourceVersion);
  if (from !== undefined && !Number.isInteger(from))
    throw expired(`Invalid resource version: ${options.resourceVersion}`);
  // A version of the future comes from another life of this server: its objects have to be listed again.
  if (from !== undefined && from > store.rv) throw expired(`too large resource version: ${from} (${store.rv})`);
  const missed = from === undefined || options.sendInitialEvents ? [] : collection.since(from);
  if (!missed) throw expired(`too old resource version: ${from} (${store.rv})`);

  let first = true;
  let sentRv = 0;
  let ended = false;
  const stops: (() => void)[] = [];
  const end = (): void => {
    if (ended) return;
    ended = true;
    for (const stop of stops) stop();
    sink.end();
  };
  const line = (type: string, object: string): void => {
    if (ended) return;
    if (sink.write(`{"type":"${type}","object":${object}}\n`) > MAX_BACKLOG_BYTES) end();
  };
  const send = (type: string, entry: Entry): void => {
    line(type, presenter.event(entry, first));
    first = false;
  };
  const onChange = (change: Change): void => {
    const type = translate(change, matches);
    if (type !== undefined) {
      send(type, change.entry);
      sentRv = change.rv;
    }
  };

  sink.onClose(end);
  if (from === undefined || options.sendInitialEvents)
    for (const entry of collection.list()) if (matches(entry)) send('ADDED', entry);
  if (options.sendInitialEvents && options.allowBookmarks) line('BOOKMARK', presenter.bookmark(store.rv, true));
  for (const change of missed) onChange(change);
  stops.push(collection.listen(onChange));
  stops.push(clock.after((options.timeoutSeconds ?? DEFAULT_TIMEOUT_S) * 1000, end));
  if (options.allowBookmarks) {
    const mark = (): void => {
      if (store.rv > sentRv) {
        sentRv = store.rv;
        line('BOOKMARK', presenter.bookmark(sentRv, false));
      }
      if (!ended) cancelMark = clock.after(BOOKMARK_MS, mark);
    };
    let cancelMark = clock.after(BOOKMARK_MS, mark);
    stops.push(() => cancelMark());
  }
}

/** The event type of a change for a selection; undefined when it does not concern it. */
export function translate(change: Change, matches: (entry: Entry) => boolean): Change['type'] | undefined {
  const is = matches(change.entry);
  if (change.type === 'DELETED')
    return is || (change.before !== undefined && matches(change.before)) ? 'DELETED' : undefined;
  const was = change.before !== undefined && matches(change.before);
  if (is) return was ? 'MODIFIED' : 'ADDED';
  return was ? 'DELETED' : undefined;
}
