// SPDX-License-Identifier: Apache-2.0
// The installer's files, written so that a reader sees the old or the new one and never a half: temporary file, then rename.
import {
  chmodSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { AmbitError } from '#lib/kit/error.ts';
import type { ConfFile } from './conflist.ts';

/** Writes atomically; an existing file's mode is kept when it is somebody else's. Throws CNI_INSTALL. */
export function replaceFile(path: string, text: string, mode: number): void {
  const temporary = join(dirname(path), `.${path.split('/').at(-1)}.${process.pid}`);
  try {
    writeFileSync(temporary, text, { mode });
    chmodSync(temporary, mode);
    renameSync(temporary, path);
  } catch (cause) {
    rmSync(temporary, { force: true });
    throw installError(path, cause);
  }
}

/** Copies an executable atomically. Throws CNI_INSTALL. */
export function replaceProgram(path: string, source: string): void {
  const temporary = `${path}.${process.pid}`;
  try {
    copyFileSync(source, temporary);
    chmodSync(temporary, 0o755);
    renameSync(temporary, path);
  } catch (cause) {
    rmSync(temporary, { force: true });
    throw installError(path, cause);
  }
}

/** Files of the configuration folder; a folder that is not there has none. */
export function readConfFolder(dir: string): ConfFile[] {
  if (!existsSync(dir)) return [];
  return readdirSync(dir).flatMap((name) => {
    const path = join(dir, name);
    return name.startsWith('.') || !statSync(path).isFile() ? [] : [{ name, text: readFileSync(path, 'utf8') }];
  });
}

/** Permission bits of a file, or `fallback` when there is none. */
export function modeOf(path: string, fallback: number): number {
  return existsSync(path) ? statSync(path).mode & 0o777 : fallback;
}

function installError(path: string, cause: unknown): AmbitError {
  const readOnly = (cause as { code?: string }).code === 'EROFS';
  return new AmbitError('CNI_INSTALL', `cannot write ${path}`, {
    cause,
    advice: readOnly
      ? 'this platform keeps CNI plugins elsewhere: set its folder'
      : 'is the folder mounted and writable?',
  });
}
