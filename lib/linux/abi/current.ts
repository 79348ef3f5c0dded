// SPDX-License-Identifier: Apache-2.0
// Chooses the layout table of the machine that runs.
import { AmbitError } from '#lib/kit/error.ts';
import type { Abi } from './abi.ts';
import { arm64 } from './arm64.ts';
import { x64 } from './x64.ts';

function choose(arch: string): Abi {
  if (arch === 'x64') return x64;
  if (arch === 'arm64') return arm64;
  throw new AmbitError('ABI_UNKNOWN', `no struct layouts are known for the architecture ${arch}`, {
    advice: 'run on x86-64 or arm64 Linux',
  });
}

/** The layouts of the running machine. */
export const abi: Abi = choose(process.arch);
