// SPDX-License-Identifier: Apache-2.0
// The store's write-ahead log: every change lies in SQLite before its writer is answered, so a killed server comes back
// with the same objects, the same resource versions and enough history for watches to resume.
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { KubeObject } from '../json.ts';
import type { Change } from './change.ts';

export interface JournalRow {
  readonly collection: string;
  readonly rv: number;
  readonly object: KubeObject;
}
export interface JournalState {
  readonly rv: number;
  readonly objects: readonly JournalRow[];
  readonly log: readonly (JournalRow & { readonly type: Change['type'] })[];
  /** The log is complete above this version. */
  readonly logFloor: number;
}

export interface Journal {
  load(): JournalState;
  append(collection: string, change: Change): void;
  close(): void;
}

/** A journal that forgets: for tests and clusters that need not survive. */
export const memoryJournal: Journal = {
  load: () => ({ rv: 0, objects: [], log: [], logFloor: 0 }),
  append: () => undefined,
  close: () => undefined,
};

/** Log rows kept, counted in versions over all collections. */
const LOG_KEPT = 2_000;
const PRUNE_EVERY = 500;

export class SqliteJournal implements Journal {
  readonly #db: DatabaseSync;
  readonly #put: StatementSync;
  readonly #drop: StatementSync;
  readonly #log: StatementSync;
  readonly #prune: StatementSync;
  #sincePrune = 0;

  constructor(file: string) {
    this.#db = new DatabaseSync(file);
    // A killed process loses nothing the kernel has; only a power cut could, and a playground may lose that.
    this.#db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF');
    this.#db.exec(`
      CREATE TABLE IF NOT EXISTS object (
        collection TEXT, key TEXT, rv INTEGER, json TEXT, PRIMARY KEY (collection, key)) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS log (rv INTEGER PRIMARY KEY, collection TEXT, type TEXT, json TEXT)`);
    this.#put = this.#db.prepare('INSERT OR REPLACE INTO object VALUES (?, ?, ?, ?)');
    this.#drop = this.#db.prepare('DELETE FROM object WHERE collection = ? AND key = ?');
    this.#log = this.#db.prepare('INSERT INTO log VALUES (?, ?, ?, ?)');
    this.#prune = this.#db.prepare('DELETE FROM log WHERE rv <= ?');
  }

  load(): JournalState {
    const objects = this.#db.prepare('SELECT collection, rv, json FROM object').all().map(readRow);
    const log = this.#db
      .prepare('SELECT rv, collection, type, json FROM log ORDER BY rv')
      .all()
      .map((row) => ({ ...readRow(row), type: String(row['type']) as Change['type'] }));
    const newest = Math.max(log.at(-1)?.rv ?? 0, ...objects.map((row) => row.rv), 0);
    return { rv: newest, objects, log, logFloor: (log[0]?.rv ?? newest + 1) - 1 };
  }

  append(collection: string, { type, rv, entry }: Change): void {
    const json = JSON.stringify(entry.object);
    const key = `${entry.namespace}/${entry.name}`;
    this.#db.exec('BEGIN');
    if (type === 'DELETED') this.#drop.run(collection, key);
    else this.#put.run(collection, key, rv, json);
    this.#log.run(rv, collection, type, json);
    if (++this.#sincePrune >= PRUNE_EVERY) {
      this.#sincePrune = 0;
      this.#prune.run(rv - LOG_KEPT);
    }
    this.#db.exec('COMMIT');
  }

  close(): void {
    this.#db.close();
  }
}

const readRow = (row: Record<string, unknown>): JournalRow => ({
  collection: String(row['collection']),
  rv: Number(row['rv']),
  object: JSON.parse(String(row['json'])),
});
