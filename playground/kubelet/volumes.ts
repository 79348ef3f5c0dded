// SPDX-License-Identifier: Apache-2.0
// A pod's volumes: where each lies on the node, filled from config maps, secrets, tokens and the downward API, and kept
// up to date while the pod lives. A volume whose source is missing holds the pod back, with the reason.
import { chmodSync, chownSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AmbitError } from '#lib/kit/error.ts';
import { fieldValue, type Placement, resourceValue } from './environment.ts';
import { publishFiles, type VolumeFile } from './files.ts';
import { type DownwardFile, type FileSource, type PodObject, podName, type TokenSource, type Volume } from './pod.ts';

/** Binary-safe data of a config map or secret of the pod's namespace. */
export type BytesLookup = (kind: 'ConfigMap' | 'Secret', name: string) => ReadonlyMap<string, Buffer> | undefined;
export type TokenLookup = (source: TokenSource) => Promise<string>;

const DEFAULT_MODE = 0o644;

export interface VolumeContext {
  readonly pod: PodObject;
  readonly placement: Placement;
  readonly bytes: BytesLookup;
  readonly token: TokenLookup;
}

/** Where the volume lies on the node. */
export function volumePath(podDir: string, volume: Volume): string {
  return volume.hostPath === undefined ? join(podDir, 'volumes', volume.name) : volume.hostPath.path;
}

/** Makes or refreshes one volume. Throws `VOLUME` when its source is missing or unusable. */
export async function fillVolume(podDir: string, volume: Volume, context: VolumeContext): Promise<void> {
  const path = volumePath(podDir, volume);
  const group = context.pod.spec.securityContext?.fsGroup;
  if (volume.hostPath !== undefined) return prepareHostPath(path, volume.hostPath.type ?? '', context.pod);
  if (volume.emptyDir !== undefined) return prepareEmptyDir(path, group);
  const files = await filesOf(volume, context);
  if (files === undefined) {
    throw problem(context.pod, volume.name, 'is of a kind that this kubelet does not provide');
  }
  publishFiles(path, files, group);
}

/** Whether the volume's content comes from the API and must be looked at again. */
export function isRefreshed(volume: Volume): boolean {
  return volume.hostPath === undefined && volume.emptyDir === undefined;
}

async function filesOf(volume: Volume, context: VolumeContext): Promise<VolumeFile[] | undefined> {
  const { configMap, secret, downwardAPI, projected } = volume;
  if (configMap !== undefined) return dataFiles(context, volume.name, 'ConfigMap', configMap, configMap.defaultMode);
  if (secret !== undefined) {
    const { secretName = '', ...rest } = secret;
    return dataFiles(context, volume.name, 'Secret', { ...rest, name: secretName }, secret.defaultMode);
  }
  if (downwardAPI !== undefined) return downwardFiles(context, downwardAPI.items, downwardAPI.defaultMode);
  if (projected === undefined) return undefined;
  const files: VolumeFile[] = [];
  const mode = projected.defaultMode ?? DEFAULT_MODE;
  for (const source of projected.sources ?? []) {
    if (source.configMap !== undefined)
      files.push(...dataFiles(context, volume.name, 'ConfigMap', source.configMap, mode));
    if (source.secret !== undefined) files.push(...dataFiles(context, volume.name, 'Secret', source.secret, mode));
    if (source.downwardAPI !== undefined) files.push(...downwardFiles(context, source.downwardAPI.items, mode));
    if (source.serviceAccountToken !== undefined) {
      const token = await context.token(source.serviceAccountToken);
      files.push({ path: source.serviceAccountToken.path, data: Buffer.from(token), mode });
    }
  }
  return files;
}

function dataFiles(
  { pod, bytes }: VolumeContext,
  volume: string,
  kind: 'ConfigMap' | 'Secret',
  source: FileSource,
  mode = DEFAULT_MODE,
): VolumeFile[] {
  const data = bytes(kind, source.name ?? '');
  if (data === undefined) {
    if (source.optional === true) return [];
    throw problem(pod, volume, `needs ${kind} ${source.name}, which namespace ${pod.metadata.namespace} does not have`);
  }
  if (source.items === undefined) return [...data].map(([path, content]) => ({ path, data: content, mode }));
  return source.items.flatMap((item) => {
    const content = data.get(item.key);
    if (content !== undefined) return [{ path: item.path, data: content, mode: item.mode ?? mode }];
    if (source.optional === true) return [];
    throw problem(pod, volume, `needs key ${item.key}, which ${kind} ${source.name} does not have`);
  });
}

function downwardFiles(
  { pod, placement }: VolumeContext,
  items: readonly DownwardFile[] = [],
  mode = DEFAULT_MODE,
): VolumeFile[] {
  return items.map((item) => {
    const value =
      item.fieldRef === undefined
        ? resourceValue(
            pod,
            item.resourceFieldRef?.containerName ?? '',
            item.resourceFieldRef ?? { resource: '' },
            placement,
          )
        : fieldValue(pod, item.fieldRef.fieldPath, placement);
    return { path: item.path, data: Buffer.from(value), mode: item.mode ?? mode };
  });
}

function prepareEmptyDir(path: string, group: number | undefined): void {
  if (existsSync(path)) return;
  mkdirSync(path, { recursive: true });
  chmodSync(path, group === undefined ? 0o777 : 0o2777);
  if (group !== undefined) chownSync(path, 0, group);
}

/** core/v1 HostPathType. */
function prepareHostPath(path: string, type: string, pod: PodObject): void {
  if (type === 'DirectoryOrCreate') mkdirSync(path, { recursive: true, mode: 0o755 });
  if (type === 'FileOrCreate' && !existsSync(path)) writeFileSync(path, '', { mode: 0o644 });
  const stat = statSync(path, { throwIfNoEntry: false });
  const fits: Readonly<Record<string, boolean>> = {
    '': true,
    Directory: stat?.isDirectory() ?? false,
    DirectoryOrCreate: stat?.isDirectory() ?? false,
    File: stat?.isFile() ?? false,
    FileOrCreate: stat?.isFile() ?? false,
    Socket: stat?.isSocket() ?? false,
    CharDevice: stat?.isCharacterDevice() ?? false,
    BlockDevice: stat?.isBlockDevice() ?? false,
  };
  if (fits[type] !== true) throw problem(pod, path, `hostPath type check failed: ${path} is not a ${type}`);
  // Without a type the runtime makes a missing folder, as containerd and Docker do.
  if (stat === undefined) mkdirSync(path, { recursive: true, mode: 0o755 });
}

function problem(pod: PodObject, volume: string, what: string): AmbitError {
  return new AmbitError('VOLUME', `volume "${volume}" of pod ${podName(pod)} ${what}`);
}
