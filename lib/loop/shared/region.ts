// SPDX-License-Identifier: Apache-2.0
// One piece of shared memory: a sealed memfd that its maker maps and passes on by descriptor. Every kind of region starts with
// 64 bytes of header that name it, so that a descriptor passed in the wrong place is an error and not a misread.
import { AmbitError } from '#lib/kit/error.ts';
import { Arena } from '#lib/linux/arena.ts';
import { createMemory, memorySize } from '#lib/linux/process.ts';

/** Bytes at the start of every region that belong to region.ts and to the counters of its kind. */
export const HEADER_BYTES = 64;
const MAGIC = 0x414d4254;
const LAYOUT_VERSION = 1;
/** Regions are not handed to system calls, so they need no table of pointers. */
const NO_GRAIN = 2 ** 30;

/** What lies in a region. */
export const REGION_KINDS = Object.freeze({ vitals: 1, counters: 2, log: 3, recorder: 4, store: 5, share: 6 });
export type RegionKind = keyof typeof REGION_KINDS;

/** A mapped region: `arena` over the whole, and the descriptor when this process made it. */
export interface Region {
  readonly fd: number;
  readonly arena: Arena;
}

/** Makes a region of at least `bytes` after the header. The pages are taken when they are first written. */
export function createRegion(kind: RegionKind, bytes: number): Region {
  const size = HEADER_BYTES + bytes;
  const fd = createMemory(`ambit-${kind}`, size);
  const arena = Arena.map(fd, size, { writable: true, grain: NO_GRAIN });
  arena.view.setUint32(0, MAGIC, true);
  arena.view.setUint32(4, REGION_KINDS[kind], true);
  arena.view.setUint32(8, LAYOUT_VERSION, true);
  arena.view.setUint32(12, size, true);
  return { fd, arena };
}

/** Maps a region made by another process. Throws REGION_KIND when the descriptor holds something else. */
export function openRegion(kind: RegionKind, fd: number, options: { readonly writable: boolean }): Region {
  const available = memorySize(fd);
  if (available < HEADER_BYTES) throw wrong(kind, fd);
  const { view } = Arena.map(fd, HEADER_BYTES, { writable: false, grain: NO_GRAIN });
  const [magic, found, version, size] = [0, 4, 8, 12].map((at) => view.getUint32(at, true));
  if (magic !== MAGIC || found !== REGION_KINDS[kind] || version !== LAYOUT_VERSION) throw wrong(kind, fd);
  if (size === undefined || size > available) throw wrong(kind, fd);
  return { fd, arena: Arena.map(fd, size, { ...options, grain: NO_GRAIN }) };
}

function wrong(kind: RegionKind, fd: number): AmbitError {
  return new AmbitError('REGION_KIND', `descriptor ${fd} is not a ${kind} region of this version`, {
    advice: 'main and data-plane processes must be of one build',
  });
}
