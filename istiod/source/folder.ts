// SPDX-License-Identifier: Apache-2.0
// A folder of YAML files as the source of all objects. Read again when a file changes. What cannot be read changes
// nothing: the last good state of the file, or of the object in it, stays, and the problem is told.

import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Backoff } from '#lib/kit/backoff.ts';
import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import { formatProblem } from '#lib/kit/result.ts';
import type { GenericObject } from '#lib/kube/object.ts';
import { CLUSTER_SCOPED, type ParsedObject, parseDocuments } from '#lib/model/validate/documents.ts';
import { validateObject } from '#lib/model/validate/object.ts';
import { describeObject } from '#lib/model/validate/problem.ts';
import type { SchemaChecker } from '#lib/model/validate/schema.ts';
import type { SourceHealth } from '../watch/source-health.ts';
import type { FileObject, ObjectSet } from './objects.ts';
import { collectionOf, completed } from './resource.ts';

/** How often files are looked at: their dates, not their content. */
const LOOK_MS = 500;
const EXTENSION = /\.(ya?ml|json)$/;

export interface FolderOptions {
  readonly folder: string;
  readonly objects: ObjectSet;
  readonly schemas: SchemaChecker;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly health: SourceHealth;
}

interface ReadFile {
  readonly fingerprint: string;
  readonly objects: readonly FileObject[];
  readonly problems: readonly string[];
}

export class FolderSource {
  readonly #options: FolderOptions;
  readonly #backoff: Backoff;
  readonly #stop = new AbortController();
  #files = new Map<string, ReadFile>();
  #ready = false;
  #away = false;

  constructor(options: FolderOptions) {
    this.#options = options;
    this.#backoff = new Backoff({ initialMs: LOOK_MS, maxMs: 30_000, jitter: 0.2, random: options.random });
  }

  /** Whether the folder has been read once. */
  get ready(): boolean {
    return this.#ready;
  }

  start(): void {
    void this.#run(this.#stop.signal);
  }

  stop(): void {
    this.#stop.abort();
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const { clock } = this.#options;
      const wait = (await this.#look()) ? LOOK_MS : this.#backoff.next();
      await clock.sleep(wait, signal).catch(() => undefined);
    }
  }

  /** Looks once; false when the folder cannot be read. */
  async #look(): Promise<boolean> {
    const { folder, health, log } = this.#options;
    try {
      await this.#refresh(await this.#fingerprints());
    } catch (error) {
      const reason = describeError(error);
      if (!this.#away) log.warn('the folder cannot be read; what was read before stays', { folder, error: reason });
      this.#away = true;
      health.report('folder', folder, false, reason);
      return false;
    }
    if (this.#away) log.info('the folder can be read again', { folder });
    this.#away = false;
    this.#backoff.reset();
    const problems = [...this.#files.values()].flatMap((file) => file.problems);
    health.report('folder', folder, problems.length === 0, problems.join('; '));
    return true;
  }

  /** Files with what changes when they do. Hidden ones are left out, as a mounted ConfigMap has them. */
  async #fingerprints(): Promise<Map<string, string>> {
    const { folder } = this.#options;
    const names = await readdir(folder, { recursive: true, encoding: 'utf8' });
    const chosen = names.filter(
      (name) => EXTENSION.test(name) && !name.split('/').some((part) => part.startsWith('.')),
    );
    const found = await Promise.all(
      chosen.sort().map(async (name): Promise<[string, string]> => {
        const { ino, mtimeMs, size } = await stat(join(folder, name));
        return [name, `${ino} ${mtimeMs} ${size}`];
      }),
    );
    return new Map(found);
  }

  async #refresh(fingerprints: ReadonlyMap<string, string>): Promise<void> {
    const { folder, log } = this.#options;
    let changed = !this.#ready || fingerprints.size !== this.#files.size;
    const next = new Map<string, ReadFile>();
    for (const [name, fingerprint] of fingerprints) {
      const known = this.#files.get(name);
      if (known?.fingerprint === fingerprint) {
        next.set(name, known);
        continue;
      }
      changed = true;
      const file = this.#read(name, await readFile(join(folder, name), 'utf8'), known);
      for (const problem of file.problems) log.error('an object in a file is not used as it stands', { problem });
      next.set(name, { ...file, fingerprint });
    }
    this.#files = next;
    if (changed) this.#publish();
    this.#ready = true;
  }

  #read(name: string, text: string, known: ReadFile | undefined): Omit<ReadFile, 'fingerprint'> {
    const { schemas } = this.#options;
    const { objects, problems } = parseDocuments({ path: name, text });
    if (problems.length > 0) {
      const told = problems.map(({ file, line, message }) => `${file}:${line}: ${message}`);
      return { objects: known?.objects ?? [], problems: told };
    }
    const told: string[] = [];
    const used = objects.flatMap((parsed): FileObject[] => {
      const wrong = validateObject(parsed.object, schemas).filter(({ severity }) => severity === 'error');
      for (const problem of wrong) {
        const { file, line } = parsed.placeOf(problem.field);
        told.push(`${file}:${line}: ${formatProblem(problem)}`);
      }
      const bad = wrong.some(({ code }) => code === 'SchemaViolation' || code === 'MissingField');
      return bad ? lastOf(parsed, known) : [fileObject(parsed.object as GenericObject)];
    });
    return { objects: used, problems: told };
  }

  #publish(): void {
    const { log, objects } = this.#options;
    const all = new Map<string, FileObject>();
    for (const { objects: inFile } of this.#files.values()) {
      for (const one of inFile) {
        const place = `${one.collection} ${one.key}`;
        if (all.has(place))
          log.warn('an object stands in several files; the first counts', { object: describeObject(one.object) });
        else all.set(place, one);
      }
    }
    for (const { object } of [...all.values()]) {
      // A namespace is there once something is in it.
      const { namespace } = object.metadata;
      const implied = fileObject({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace ?? '' } });
      const place = `${implied.collection} ${implied.key}`;
      if (namespace !== undefined && !all.has(place)) all.set(place, implied);
    }
    objects.setFiles([...all.values()]);
  }
}

function fileObject(object: GenericObject): FileObject {
  const made = completed(object, CLUSTER_SCOPED.has(object.kind ?? ''));
  const { name, namespace } = made.metadata;
  return { collection: collectionOf(made), key: namespace === undefined ? name : `${namespace}/${name}`, object: made };
}

/** The last good form of an object that is bad now. */
function lastOf({ object }: ParsedObject, known: ReadFile | undefined): FileObject[] {
  const wanted = describeObject(completed(object as GenericObject, CLUSTER_SCOPED.has(object.kind ?? '')));
  return (known?.objects ?? []).filter((one) => describeObject(one.object) === wanted);
}
