// SPDX-License-Identifier: Apache-2.0
// The environment of a container, and the values its pod can tell about itself (the downward API). Pure: what config maps
// and secrets hold comes in through a look-up.
import { AmbitError } from '#lib/kit/error.ts';
import type { Container, PodObject } from './pod.ts';
import { podName } from './pod.ts';
import { parseQuantity } from './quantity.ts';

/** What a pod knows about where it runs. */
export interface Placement {
  readonly nodeName: string;
  readonly hostIps: readonly string[];
  readonly podIps: readonly string[];
  /** What the node offers, for a resource without a limit. */
  readonly allocatable: Readonly<Record<string, string>>;
}

/** The data of a config map or secret of the pod's namespace as text; undefined when there is none. */
export type DataLookup = (kind: 'ConfigMap' | 'Secret', name: string) => Readonly<Record<string, string>> | undefined;

/** A user's home folder. No image brings a list of users, and whoever stands in none has the root folder, as elsewhere. */
export function homeOf(user: number): string {
  return user === 0 ? '/root' : '/';
}

/** The container's variables. Throws `ENV_SOURCE` naming the reference that leads nowhere. */
export function environmentOf(
  pod: PodObject,
  container: Container,
  placement: Placement,
  base: Readonly<Record<string, string>>,
  lookup: DataLookup,
): Record<string, string> {
  const env: Record<string, string> = { ...base };
  for (const { prefix = '', configMapRef, secretRef } of container.envFrom ?? []) {
    const [kind, ref] =
      configMapRef === undefined ? (['Secret', secretRef] as const) : (['ConfigMap', configMapRef] as const);
    const data = lookup(kind, ref?.name ?? '');
    if (data === undefined && ref?.optional !== true) throw missing(pod, kind, ref?.name ?? '');
    for (const [key, value] of Object.entries(data ?? {})) env[prefix + key] = value;
  }
  for (const { name, value, valueFrom } of container.env ?? []) {
    if (valueFrom === undefined) {
      env[name] = expand(value ?? '', env);
      continue;
    }
    const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef } = valueFrom;
    if (fieldRef !== undefined) env[name] = fieldValue(pod, fieldRef.fieldPath, placement);
    else if (resourceFieldRef !== undefined) {
      env[name] = resourceValue(pod, resourceFieldRef.containerName ?? container.name, resourceFieldRef, placement);
    } else {
      const [kind, ref] =
        configMapKeyRef === undefined
          ? (['Secret', secretKeyRef!] as const)
          : (['ConfigMap', configMapKeyRef] as const);
      const found = lookup(kind, ref.name ?? '')?.[ref.key];
      if (found !== undefined) env[name] = found;
      else if (ref.optional !== true) throw missing(pod, kind, ref.name ?? '', ref.key);
    }
  }
  return env;
}

function missing(pod: PodObject, kind: string, name: string, key?: string): AmbitError {
  const what = key === undefined ? `${kind} ${name}` : `key ${key} in ${kind} ${name}`;
  return new AmbitError('ENV_SOURCE', `couldn't find ${what} in namespace ${pod.metadata.namespace}`, {
    advice: `create it, or mark the reference in pod ${podName(pod)} optional`,
  });
}

/** `$(NAME)` becomes the variable's value, `$$` a dollar; an unknown name stays as written (core/v1 Container.args). */
export function expand(text: string, env: Readonly<Record<string, string>>): string {
  return text.replace(/\$\$|\$\(([^)]*)\)/g, (whole, name: string | undefined) =>
    whole === '$$' ? '$' : (env[name ?? ''] ?? whole),
  );
}

/** The value of a downward API field path. Throws `FIELD_PATH` for one that does not exist. */
export function fieldValue(pod: PodObject, path: string, placement: Placement): string {
  const { metadata, spec } = pod;
  const subscript = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path);
  if (subscript !== null) return metadata[subscript[1] as 'labels' | 'annotations']?.[subscript[2]!] ?? '';
  switch (path) {
    case 'metadata.name':
      return metadata.name;
    case 'metadata.namespace':
      return metadata.namespace ?? '';
    case 'metadata.uid':
      return metadata.uid ?? '';
    case 'metadata.labels':
      return keyValues(metadata.labels);
    case 'metadata.annotations':
      return keyValues(metadata.annotations);
    case 'spec.nodeName':
      return placement.nodeName;
    case 'spec.serviceAccountName':
      return spec.serviceAccountName ?? 'default';
    case 'status.hostIP':
      return placement.hostIps[0] ?? '';
    case 'status.hostIPs':
      return placement.hostIps.join(',');
    case 'status.podIP':
      return placement.podIps[0] ?? '';
    case 'status.podIPs':
      return placement.podIps.join(',');
    default:
      throw new AmbitError('FIELD_PATH', `pod ${podName(pod)}: unsupported fieldPath ${JSON.stringify(path)}`);
  }
}

/** A resource of a container divided by `divisor` and rounded up; a missing limit is what the node offers. */
export function resourceValue(
  pod: PodObject,
  containerName: string,
  { resource, divisor }: { readonly resource: string; readonly divisor?: string },
  placement: Placement,
): string {
  const container = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].find(
    ({ name }) => name === containerName,
  );
  const [list, name] = resource.split('.') as ['limits' | 'requests', string];
  const given =
    container?.resources?.[list]?.[name] ?? (list === 'limits' ? placement.allocatable[name] : undefined) ?? '0';
  const unit = divisor === undefined || divisor === '0' ? 1 : parseQuantity(divisor);
  return String(Math.ceil(parseQuantity(given) / unit));
}

function keyValues(values: Readonly<Record<string, string>> = {}): string {
  return Object.keys(values)
    .sort()
    .map((key) => `${key}=${JSON.stringify(values[key])}\n`)
    .join('');
}
