// SPDX-License-Identifier: Apache-2.0
// Writes a volume's files so that a reader never sees half of an update: a fresh folder per version, and one symbolic
// link `..data` that is switched over by rename, as programs that watch such volumes expect.
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { AmbitError } from '#lib/kit/error.ts';

export interface VolumeFile {
  /** Path below the volume, without `..`. */
  readonly path: string;
  readonly data: Buffer;
  readonly mode: number;
}

const DATA = '..data';

/** Makes `dir` hold exactly `files`. Returns whether anything changed. `group` gets the files, when given. */
export function publishFiles(dir: string, files: readonly VolumeFile[], group?: number): boolean {
  for (const { path } of files) {
    if (path === '' || path.startsWith('/') || path.split('/').includes('..')) {
      throw new AmbitError('VOLUME_PATH', `path ${JSON.stringify(path)} leaves its volume`);
    }
  }
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  if (isCurrent(dir, files)) return false;
  const version = `..${Date.now()}.${process.hrtime.bigint()}`;
  for (const { path, data, mode } of files) {
    const file = join(dir, version, path);
    mkdirSync(dirname(file), { recursive: true, mode: 0o755 });
    writeFileSync(file, data, { mode });
    // Whatever the mask of this process takes away.
    chmodSync(file, mode);
    if (group !== undefined) chownSync(file, 0, group);
  }
  mkdirSync(join(dir, version), { recursive: true, mode: 0o755 });
  const previous = lstatSync(join(dir, DATA), { throwIfNoEntry: false }) && readlinkSync(join(dir, DATA));
  symlinkSync(version, join(dir, '..data_tmp'));
  renameSync(join(dir, '..data_tmp'), join(dir, DATA));
  const tops = new Set(files.map(({ path }) => path.split('/')[0]!));
  for (const top of tops) {
    if (lstatSync(join(dir, top), { throwIfNoEntry: false }) === undefined)
      symlinkSync(join(DATA, top), join(dir, top));
  }
  for (const name of readdirSync(dir)) {
    if (!name.startsWith('..') && !tops.has(name)) rmSync(join(dir, name));
  }
  if (previous) rmSync(join(dir, previous), { recursive: true, force: true });
  return true;
}

function isCurrent(dir: string, files: readonly VolumeFile[]): boolean {
  if (lstatSync(join(dir, DATA), { throwIfNoEntry: false }) === undefined) return false;
  const present = readdirSync(join(dir, DATA), { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  if (present.length !== files.length) return false;
  return files.every(({ path, data, mode }) => {
    const file = join(dir, DATA, path);
    const stat = lstatSync(file, { throwIfNoEntry: false });
    return stat?.isFile() === true && (stat.mode & 0o777) === mode && readFileSync(file).equals(data);
  });
}
