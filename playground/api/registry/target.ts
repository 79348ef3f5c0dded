// SPDX-License-Identifier: Apache-2.0
// One request's view of a resource: which version, where, by whom; and moving objects between stored and served form.
import type { User } from '../auth/user.ts';
import type { KubeObject } from '../json.ts';
import { apiVersionOf, type Resource, type ServedVersion } from '../kinds/resource.ts';
import type { Subject } from '../status.ts';
import type { Entry } from '../store/change.ts';

export interface Target {
  readonly resource: Resource;
  readonly version: ServedVersion;
  readonly namespace: string;
  readonly name: string;
  readonly subresource: string;
  readonly user: User;
}

export const subjectOf = ({ resource }: Pick<Target, 'resource'>): Subject => ({
  group: resource.group,
  resource: resource.plural,
});

/** The stored object as this version shows it. Shares structure with the store: copy before changing. */
export function served(resource: Resource, version: ServedVersion, stored: KubeObject): KubeObject {
  if (resource.convert) return resource.convert.fromStorage(stored);
  const apiVersion = apiVersionOf(resource.group, version.name);
  return stored.apiVersion === apiVersion ? stored : { ...stored, apiVersion };
}

/** The object as it is stored. */
export function stored(resource: Resource, object: KubeObject): KubeObject {
  if (resource.convert) return resource.convert.toStorage(object);
  const apiVersion = apiVersionOf(resource.group, resource.storageVersion);
  return object.apiVersion === apiVersion ? object : { ...object, apiVersion };
}

/** JSON of an entry in a version, made once per entry. */
export function encoded(resource: Resource, version: ServedVersion, entry: Entry): string {
  const key = apiVersionOf(resource.group, version.name);
  const known = entry.encoded.get(key);
  if (known !== undefined) return known;
  const text = JSON.stringify(served(resource, version, entry.object));
  entry.encoded.set(key, text);
  return text;
}
