// SPDX-License-Identifier: Apache-2.0
// The form an answer takes: plain objects, a Table for `kubectl get`, or metadata only, as the Accept header asks.
import type { IncomingHttpHeaders } from 'node:http';
import type { JsonObject } from '../json.ts';
import { apiVersionOf, type Resource, type ServedVersion } from '../kinds/resource.ts';
import type { Entry } from '../store/change.ts';
import { columnDefinitions, type IncludeObject, partial, row } from '../table/column.ts';
import { encoded, served } from './target.ts';

export type Form =
  | { readonly kind: 'object' }
  | { readonly kind: 'table'; readonly include: IncludeObject }
  | { readonly kind: 'metadata' };

/** The first form in Accept that we speak. Protobuf is passed over: clients list JSON behind it. */
export function acceptedForm(headers: IncomingHttpHeaders, query: URLSearchParams): Form {
  for (const part of (headers.accept ?? '').split(',')) {
    const [type, ...parameters] = part.split(';').map((text) => text.trim());
    if (type !== 'application/json' && type !== '*/*' && type !== 'application/*') continue;
    const as = parameters.find((text) => text.startsWith('as='))?.slice(3);
    if (as === 'Table') {
      const include = query.get('includeObject');
      return { kind: 'table', include: include === 'None' || include === 'Object' ? include : 'Metadata' };
    }
    if (as?.startsWith('PartialObjectMetadata')) return { kind: 'metadata' };
    if (as === undefined) return { kind: 'object' };
  }
  return { kind: 'object' };
}

export interface ListMeta {
  readonly resourceVersion: string;
  readonly continue?: string;
  readonly remainingItemCount?: number;
}

export class Presenter {
  readonly #resource: Resource;
  readonly #version: ServedVersion;
  readonly #form: Form;
  readonly #now: () => number;

  constructor(resource: Resource, version: ServedVersion, form: Form, now: () => number) {
    this.#resource = resource;
    this.#version = version;
    this.#form = form;
    this.#now = now;
  }

  one(entry: Entry): string {
    if (this.#form.kind === 'object') return encoded(this.#resource, this.#version, entry);
    if (this.#form.kind === 'metadata') return JSON.stringify(partial(entry.object));
    return this.#table([entry], { resourceVersion: String(entry.rv) }, true);
  }

  list(entries: readonly Entry[], meta: ListMeta): string {
    if (this.#form.kind === 'table') return this.#table(entries, meta, true);
    const isPartial = this.#form.kind === 'metadata';
    const items = entries.map((entry) => this.one(entry)).join(',');
    const kind = isPartial ? 'PartialObjectMetadataList' : this.#resource.listKind;
    const apiVersion = isPartial ? 'meta.k8s.io/v1' : apiVersionOf(this.#resource.group, this.#version.name);
    return `{"kind":"${kind}","apiVersion":"${apiVersion}","metadata":${JSON.stringify(meta)},"items":[${items}]}\n`;
  }

  /** The object of a watch event; only a watch's first table names its columns. */
  event(entry: Entry, first: boolean): string {
    return this.#form.kind === 'table'
      ? this.#table([entry], { resourceVersion: String(entry.rv) }, first)
      : this.one(entry);
  }

  /** The object of a bookmark: nothing but a kind and a version. */
  bookmark(rv: number, initialEnd: boolean): string {
    const metadata: JsonObject = {
      resourceVersion: String(rv),
      creationTimestamp: null,
      ...(initialEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}),
    };
    if (this.#form.kind === 'table')
      return JSON.stringify({
        kind: 'Table',
        apiVersion: 'meta.k8s.io/v1',
        metadata: { resourceVersion: String(rv) },
        columnDefinitions: [],
        rows: [],
      });
    if (this.#form.kind === 'metadata')
      return JSON.stringify({ kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata });
    return JSON.stringify({
      kind: this.#resource.kind,
      apiVersion: apiVersionOf(this.#resource.group, this.#version.name),
      metadata,
    });
  }

  #table(entries: readonly Entry[], meta: ListMeta, withColumns: boolean): string {
    const include = this.#form.kind === 'table' ? this.#form.include : 'Metadata';
    const now = this.#now();
    const { columns } = this.#version;
    return JSON.stringify({
      kind: 'Table',
      apiVersion: 'meta.k8s.io/v1',
      metadata: { ...meta },
      columnDefinitions: withColumns ? columnDefinitions(columns) : [],
      rows: entries.map((entry) => row(columns, served(this.#resource, this.#version, entry.object), include, now)),
    });
  }
}
