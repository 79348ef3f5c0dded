// SPDX-License-Identifier: Apache-2.0
// Looking into a cluster's PID namespace from outside: which process here is the one that it calls 57.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { childrenOf } from './keeper.ts';

/** Process 1 of the cluster whose keeper is `keeperPid`, as this namespace numbers it. */
export function supervisorPid(keeperPid: number): number | undefined {
  for (const unshare of childrenOf(keeperPid)) {
    for (const child of childrenOf(unshare)) {
      if (innerIds(child).at(-1) === 1) return child;
    }
  }
  return undefined;
}

/** The process here that the namespace of `supervisor` calls `inner`. */
export function outerPid(supervisor: number, inner: number): number | undefined {
  const namespace = pidNamespace(supervisor);
  const depth = innerIds(supervisor).length;
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const pid = Number(name);
    const ids = innerIds(pid);
    if (ids.length === depth && ids.at(-1) === inner && pidNamespace(pid) === namespace) return pid;
  }
  return undefined;
}

/** `NSpid` of proc_pid_status(5): the process's ids from this namespace inwards. */
function innerIds(pid: number): number[] {
  try {
    const line = readFileSync(`/proc/${pid}/status`, 'utf8').match(/^NSpid:\s+(.*)$/m);
    return line === null ? [] : line[1]!.split(/\s+/).map(Number);
  } catch {
    return [];
  }
}

function pidNamespace(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return '';
  }
}
