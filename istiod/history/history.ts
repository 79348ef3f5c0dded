// SPDX-License-Identifier: Apache-2.0
// A bounded log of configuration versions on disk. Contents are files named by their hash, so that a thousand versions
// that change one object each cost a thousand objects and not a thousand configurations; a version is a line that says
// which object became which content. Beyond the bound the oldest versions are folded into one.

import { hash } from 'node:crypto';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { KubeObject } from '#lib/kube/object.ts';

const LINES = 'versions.jsonl';
const CONTENTS = 'contents';

/** One line of the log. */
interface Version {
  /** Wall-clock ms. */
  readonly at: number;
  /** Hash of the new content by `Kind namespace/name`; null is gone. */
  readonly changes: Readonly<Record<string, string | null>>;
}

/** What became of an object between two moments; absent where it did not exist. */
export interface Difference {
  readonly object: string;
  readonly before?: unknown;
  readonly after?: unknown;
}

export interface HistoryOptions {
  readonly folder: string;
  readonly maxVersions: number;
}

export class History {
  readonly #options: HistoryOptions;
  #versions: Version[] = [];
  /** Hash of the content of each object as it is now. */
  readonly #now = new Map<string, string>();

  /** Opens a log, or begins one; a line cut short by a crash is left out. */
  constructor(options: HistoryOptions) {
    this.#options = options;
    mkdirSync(join(options.folder, CONTENTS), { recursive: true });
    const file = join(options.folder, LINES);
    const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
    const complete = text.slice(0, text.lastIndexOf('\n') + 1);
    if (complete.length !== text.length) writeFileSync(file, complete);
    for (const line of complete.split('\n')) if (line !== '') this.#versions.push(JSON.parse(line) as Version);
    for (const { changes } of this.#versions) applyTo(this.#now, changes);
  }

  /** Moments of the versions kept, oldest first. */
  get moments(): readonly number[] {
    return this.#versions.map(({ at }) => at);
  }

  /** Names of the objects that exist now. */
  get objects(): Iterable<string> {
    return this.#now.keys();
  }

  /** Writes what differs from now as one version; false when nothing does. */
  record(at: number, changes: ReadonlyMap<string, KubeObject | undefined>): boolean {
    const { folder, maxVersions } = this.#options;
    const differing: Record<string, string | null> = {};
    for (const [name, object] of changes) {
      const content = object === undefined ? undefined : contentOf(object);
      const digest = content === undefined ? null : hash('sha256', content, 'hex');
      if ((this.#now.get(name) ?? null) === digest) continue;
      if (content !== undefined && digest !== null) this.#keep(digest, content);
      differing[name] = digest;
    }
    if (Object.keys(differing).length === 0) return false;
    const version = { at, changes: differing };
    this.#versions.push(version);
    applyTo(this.#now, differing);
    appendFileSync(join(folder, LINES), `${JSON.stringify(version)}\n`);
    if (this.#versions.length > maxVersions) this.#fold();
    return true;
  }

  /** What differs between the configurations of two moments; before the first version there was nothing. */
  diff(from: number, to: number): Difference[] {
    const [before, after] = [this.#at(from), this.#at(to)];
    const names = [...new Set([...before.keys(), ...after.keys()])].sort();
    return names.flatMap((object) => {
      const [old, now] = [before.get(object), after.get(object)];
      if (old === now) return [];
      return [
        {
          object,
          ...(old === undefined ? {} : { before: this.#read(old) }),
          ...(now === undefined ? {} : { after: this.#read(now) }),
        },
      ];
    });
  }

  /** The configuration of a moment. */
  contents(moment: number): unknown[] {
    return [...this.#at(moment).values()].map((digest) => this.#read(digest));
  }

  #at(moment: number): Map<string, string> {
    const state = new Map<string, string>();
    for (const { at, changes } of this.#versions) if (at <= moment) applyTo(state, changes);
    return state;
  }

  #keep(digest: string, content: string): void {
    const file = join(this.#options.folder, CONTENTS, digest);
    if (!existsSync(file)) writeFileSync(file, content);
  }

  #read(digest: string): unknown {
    return JSON.parse(readFileSync(join(this.#options.folder, CONTENTS, digest), 'utf8'));
  }

  /** Makes the older half one version, and lets go of contents that no version names any more. */
  #fold(): void {
    const { folder } = this.#options;
    const half = this.#versions.length >> 1;
    const state = new Map<string, string>();
    for (const { changes } of this.#versions.slice(0, half)) applyTo(state, changes);
    const base: Version = { at: this.#versions[half - 1]!.at, changes: Object.fromEntries(state) };
    this.#versions = [base, ...this.#versions.slice(half)];
    // Written beside and moved over: a crash leaves one or the other.
    const file = join(folder, LINES);
    writeFileSync(`${file}.new`, this.#versions.map((version) => `${JSON.stringify(version)}\n`).join(''));
    renameSync(`${file}.new`, file);
    const named = new Set(this.#versions.flatMap(({ changes }) => Object.values(changes)));
    for (const digest of readdirSync(join(folder, CONTENTS))) {
      if (!named.has(digest)) rmSync(join(folder, CONTENTS, digest));
    }
  }
}

function applyTo(state: Map<string, string>, changes: Version['changes']): void {
  for (const [name, digest] of Object.entries(changes)) {
    if (digest === null) state.delete(name);
    else state.set(name, digest);
  }
}

/** What its author has written: no status, and nothing the API server counts or notes. */
function contentOf(object: KubeObject): string {
  const { apiVersion, kind, metadata } = object;
  const { annotations, labels, name, namespace } = metadata;
  const { status: _, metadata: __, ...rest } = object as KubeObject & { readonly status?: unknown };
  return JSON.stringify({ ...rest, apiVersion, kind, metadata: { name, namespace, labels, annotations } });
}
