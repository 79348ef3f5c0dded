// SPDX-License-Identifier: Apache-2.0
// What a set of processes and their children have used: CPU seconds and memory, from /proc.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

const TICKS_PER_SECOND = 100;

/** The processes and all their descendants that live now. */
export function familyOf(roots: readonly number[]): number[] {
  const parents = new Map<number, number>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const fields = statOf(Number(entry));
    if (fields !== undefined) parents.set(Number(entry), Number(fields[1]));
  }
  const family = new Set(roots.filter((pid) => parents.has(pid)));
  for (let grown = true; grown; ) {
    grown = false;
    for (const [pid, parent] of parents) {
      if (!family.has(pid) && family.has(parent)) {
        family.add(pid);
        grown = true;
      }
    }
  }
  return [...family];
}

/** CPU seconds, user and system, of these processes up to now. */
export function cpuSeconds(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const fields = statOf(pid);
    return fields === undefined ? sum : sum + (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  }, 0);
}

/** Time of all processors since the start, in ticks (proc(5), /proc/stat). */
export interface MachineTime {
  readonly total: number;
  /** What a hypervisor gave to others while somebody here wanted to run. */
  readonly stolen: number;
}

export function machineTime(stat = readFileSync('/proc/stat', 'utf8')): MachineTime {
  // user nice system idle iowait irq softirq steal; the guests' that follow are in user and nice already.
  const ticks = stat.slice(0, stat.indexOf('\n')).trim().split(/\s+/).slice(1, 9).map(Number);
  return { total: ticks.reduce((sum, each) => sum + each, 0), stolen: ticks[7] ?? 0 };
}

/** Share of the machine's processors that was stolen between two looks, in percent. */
export function stolenPercent(from: MachineTime, to: MachineTime): number {
  return (100 * (to.stolen - from.stolen)) / Math.max(1, to.total - from.total);
}

/** Proportional set size in MB (10^6 bytes): shared pages counted by their share. */
export function pssMb(pids: readonly number[]): number {
  return sumOf(pids, /^Pss:\s+(\d+) kB$/gm);
}

/**
 * The same without pages of files, Node's own above all: the share of those changes with how many other processes of Node there are, by
 * 5 MB a process.
 */
export function ownMb(pids: readonly number[]): number {
  return sumOf(pids, /^Pss_(?:Anon|Shmem):\s+(\d+) kB$/gm);
}

/** Resident memory in MB now, and the most since `forgetPeaks`; pages that processes share count for each. Costs next to nothing. */
export function residentMb(pids: readonly number[], which: 'now' | 'peak'): number {
  const name = which === 'now' ? 'VmRSS' : 'VmHWM';
  return sumOf(pids, new RegExp(`^${name}:\\s+(\\d+) kB$`, 'gm'), 'status');
}

/** Has the kernel count the peaks of these processes anew (proc(5), clear_refs). */
export function forgetPeaks(pids: readonly number[]): void {
  for (const pid of pids) writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

/** Of what matches in the memory accounts of these processes, as far as they live. */
function sumOf(pids: readonly number[], amount: RegExp, file = 'smaps_rollup'): number {
  return pids.reduce((sum, pid) => {
    try {
      const found = readFileSync(`/proc/${pid}/${file}`, 'utf8').matchAll(amount);
      return [...found].reduce((own, [, kb]) => own + (Number(kb) * 1024) / 1e6, sum);
    } catch {
      return sum;
    }
  }, 0);
}

/** Fields of /proc/PID/stat after the program's name: state first (proc(5)). */
function statOf(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}
