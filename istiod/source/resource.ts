// SPDX-License-Identifier: Apache-2.0
// What an API server adds to an object in a file: where it belongs, its namespace, secrets as base64.

import type { GenericObject } from '#lib/kube/object.ts';

/** `group/plural` of an object; plurals follow English, as those of every kind we know do. */
export function collectionOf({ apiVersion = '', kind = '' }: GenericObject): string {
  const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '';
  return `${group}/${pluralOf(kind.toLowerCase())}`;
}

function pluralOf(word: string): string {
  if (/(s|x|ch|sh)$/.test(word)) return word === 'endpoints' ? word : `${word}es`;
  if (/[^aeiou]y$/.test(word)) return `${word.slice(0, -1)}ies`;
  return `${word}s`;
}

/** As kubectl would create it: without a namespace in `default`, with `stringData` among the data. */
export function completed(object: GenericObject, clusterScoped: boolean): GenericObject {
  const { namespace, ...metadata } = object.metadata ?? { name: '' };
  const placed = clusterScoped ? metadata : { ...metadata, namespace: namespace ?? 'default' };
  const { stringData, ...rest } = object as GenericObject & { readonly stringData?: Readonly<Record<string, string>> };
  if (stringData === undefined) return { ...object, metadata: placed };
  const { data } = rest as { readonly data?: Readonly<Record<string, string>> };
  const encoded = Object.entries(stringData).map(([key, value]) => [key, Buffer.from(value).toString('base64')]);
  return { ...rest, metadata: placed, data: { ...data, ...Object.fromEntries(encoded) } } as GenericObject;
}
