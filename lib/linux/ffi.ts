// SPDX-License-Identifier: Apache-2.0
// Opens the libc functions of table.ts in the running process. The functions are module constants, so that a call site
// is direct and V8 can optimise it; everything that is handed a pointer goes through arena.ts and calls.ts instead.
import type * as Ffi from 'node:ffi';
import { AmbitError } from '#lib/kit/error.ts';
import { TABLE } from './table.ts';

function load(): typeof Ffi {
  const ffi = process.getBuiltinModule('node:ffi') as typeof Ffi | undefined;
  if (ffi) return ffi;
  throw new AmbitError('FFI_MISSING', `node:ffi is not part of this Node (${process.version}, ${process.execPath})`, {
    advice: 'run with the pinned Node 26.10: node_modules/.bin/node, installed by npm ci',
  });
}

export const ffi = load();

function open() {
  try {
    return ffi.dlopen(null, TABLE).functions;
  } catch (cause) {
    throw new AmbitError('FFI_SYMBOL', 'a libc function of the table is not exported by this process', {
      cause,
      advice: 'run the pinned Node 26.10 on Linux with glibc 2.33 or later',
    });
  }
}

/** The libc functions, called directly. Only lib/linux may use them; pointers must come from an arena. */
export const libc = open();

/** This thread's errno: valid in the statement right after a failed call, and only there. */
export const errnoCell = new Int32Array(ffi.toArrayBuffer(libc.__errno_location(), 4, false));
