// SPDX-License-Identifier: Apache-2.0
// Layer-7 configuration in the main process: resources in, checked values into the shared store. A resource that cannot be read
// rejects itself; what was there under its name stays in force.
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import { formatProblem } from '#lib/kit/result.ts';
import { feedStore, type StoreChange, type StoreWriter } from '#lib/loop/shared/store-writer.ts';
import { type AccessPolicy, unreadablePolicy } from '#lib/mesh/http/access-policy.ts';
import { compileTable } from '#lib/mesh/http/compiled-table.ts';
import type { RouteTable } from '#lib/mesh/http/route-table.ts';
import type { WaypointSettings } from '#lib/mesh/http/waypoint.ts';
import {
  ACCESS_POLICY,
  REQUEST_AUTHENTICATION,
  type ResourceType,
  ROUTE_TABLE,
  TELEMETRY,
  TRAFFIC_POLICY,
  WAYPOINT,
  WORKLOAD_LABELS,
} from '#lib/model/l7/resource.ts';
import type { ReceivedResource, Rejection } from '#lib/xds/client-state.ts';
import { type Environment, withFormats, withTags } from './environment.ts';
import {
  ACCESS_KEY,
  AUTHENTICATION_KEY,
  labelsKey,
  policyKey,
  tableKey,
  telemetryKey,
  WAYPOINT_KEY,
} from './l7-key.ts';
import { encodeValue } from './l7-record.ts';
import { encodeTable } from './table-record.ts';

export interface L7StateOptions {
  readonly store: StoreWriter;
  readonly log: Logger;
  readonly onCommit: (version: number) => void;
  /** Variables that telemetry settings may name. */
  readonly env: Environment;
  /** Told what this proxy is, each time it is told anew. */
  readonly onSettings: (settings: WaypointSettings) => void;
}

/** One resource type and what becomes of it. */
export interface L7Type {
  readonly typeUrl: string;
  readonly apply: (updates: readonly ReceivedResource[], removed: readonly string[]) => Rejection[];
}

export class L7State {
  /** What this proxy is; undefined until it is told. */
  settings: WaypointSettings | undefined;
  readonly types: readonly L7Type[];
  readonly #options: L7StateOptions;
  /** What encodes the value, by key; undefined for one that is gone. */
  readonly #dirty = new Map<string, (() => Buffer) | undefined>();
  /** Values by type and name, for admin pages and for records that hold several. */
  readonly #values = new Map<string, Map<string, unknown>>();
  #feeding: Promise<void> | undefined;

  constructor(options: L7StateOptions) {
    this.#options = options;
    this.types = [
      this.#single(ROUTE_TABLE, tableKey, (table) => this.#tellProblems(table), encodeTable),
      this.#single(TRAFFIC_POLICY, policyKey),
      this.#single(WORKLOAD_LABELS, labelsKey, undefined, (value) => encodeValue(value.labels)),
      this.#single(TELEMETRY, telemetryKey, undefined, (value) => encodeValue(withTags(value, options.env))),
      this.#gathered<AccessPolicy>(ACCESS_POLICY, ACCESS_KEY, byKey, unreadablePolicy),
      this.#gathered(REQUEST_AUTHENTICATION, AUTHENTICATION_KEY),
      {
        typeUrl: WAYPOINT.typeUrl,
        apply: (updates, removed) =>
          this.#take(WAYPOINT, updates, removed, (_name, value) => {
            this.settings = value;
            this.#set(WAYPOINT_KEY, value, (own) => encodeValue(withFormats(own, options.env)));
            if (value !== undefined) options.onSettings(value);
          }),
      },
    ];
  }

  /** Values of a type by name, for admin pages. */
  values(typeUrl: string): ReadonlyMap<string, unknown> {
    return this.#values.get(typeUrl) ?? new Map();
  }

  /** Resolves when the store holds everything handed in so far. */
  async flushed(): Promise<void> {
    while (this.#feeding !== undefined) await this.#feeding;
  }

  #single<T extends { readonly name: string }>(
    type: ResourceType<T>,
    key: (name: string) => string,
    check?: (value: T) => void,
    encode: (value: T) => Buffer = encodeValue,
  ): L7Type {
    return {
      typeUrl: type.typeUrl,
      apply: (updates, removed) =>
        this.#take(type, updates, removed, (name, value) => {
          if (value !== undefined) check?.(value);
          this.#set(key(name), value, encode);
        }),
    };
  }

  /** @param instead what stands in for a value that cannot be read and is not known from before */
  #gathered<T>(
    type: ResourceType<T>,
    key: string,
    order?: (a: T, b: T) => number,
    instead?: (name: string) => T,
  ): L7Type {
    return {
      typeUrl: type.typeUrl,
      apply: (updates, removed) => {
        const rejected = this.#take(type, updates, removed, () => {}, instead);
        const all = [...(this.#values.get(type.typeUrl)?.values() ?? [])] as T[];
        this.#set(key, order === undefined ? all : all.sort(order), encodeValue);
        return rejected;
      },
    };
  }

  #set<T>(key: string, value: T | undefined, encode: (value: T) => Buffer): void {
    this.#dirty.set(key, value === undefined ? undefined : () => encode(value));
  }

  #take<T>(
    type: ResourceType<T>,
    updates: readonly ReceivedResource[],
    removed: readonly string[],
    each: (name: string, value: T | undefined) => void,
    instead?: (name: string) => T,
  ): Rejection[] {
    let known = this.#values.get(type.typeUrl);
    if (known === undefined) {
      known = new Map();
      this.#values.set(type.typeUrl, known);
    }
    const rejected: Rejection[] = [];
    for (const { name, value: bytes } of updates) {
      const decoded = type.decode(bytes);
      if (!decoded.ok) {
        rejected.push({ name, reason: decoded.problems.map(formatProblem).join(', ') });
        if (instead !== undefined && !known.has(name)) known.set(name, instead(name));
        continue;
      }
      known.set(name, decoded.value);
      each(name, decoded.value);
    }
    for (const name of removed) {
      known.delete(name);
      each(name, undefined);
    }
    this.#flushSoon();
    return rejected;
  }

  /** What cannot work as it stands answers 500; that is worth a line. */
  #tellProblems(table: RouteTable): void {
    for (const problem of compileTable(table, undefined).problems)
      this.#options.log.warn('a route cannot work as it stands', { table: table.name, problem });
  }

  // After the apply function has run to its end: gathered records are made there.
  #flushSoon(): void {
    this.#feeding ??= Promise.resolve()
      .then(() => this.#feed())
      .finally(() => {
        this.#feeding = undefined;
        if (this.#dirty.size > 0) this.#flushSoon();
      });
  }

  async #feed(): Promise<void> {
    const { log, onCommit, store } = this.#options;
    while (this.#dirty.size > 0) {
      const changes: StoreChange[] = [...this.#dirty].map(([key, encoded]) => ({
        key,
        value: encoded?.(),
      }));
      this.#dirty.clear();
      try {
        onCommit(await feedStore(store, changes));
      } catch (error) {
        log.error('layer-7 configuration does not fit into the shared store', { error: describeError(error) });
        return;
      }
    }
  }
}

/** Policies are judged in the order of their names wherever they are judged. */
function byKey(a: AccessPolicy, b: AccessPolicy): number {
  return a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
}
