// SPDX-License-Identifier: Apache-2.0
// Finds the network namespace of a running pod: a process whose control group names the pod, and whose namespace carries one of the pod's
// addresses. The second condition matters: a privileged process of one pod may be visiting the namespace of another.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { causedBy } from '#lib/kit/error.ts';
import { addresses } from '#lib/linux/ip.ts';
import { Netns } from '#lib/linux/netns.ts';

/** A pod's UID in a control group path: after "pod", its groups joined by whatever the runtime likes. */
const POD_UID = /pod([0-9a-f]{8})[-_.]?([0-9a-f]{4})[-_.]?([0-9a-f]{4})[-_.]?([0-9a-f]{4})[-_.]?([0-9a-f]{12})/;

/** The pod UID that a process's /proc/PID/cgroup names, if it names one and only one. */
export function podUidOf(cgroup: string): string | undefined {
  const found = new Set<string>();
  for (const line of cgroup.split('\n')) {
    const match = POD_UID.exec(line);
    if (match) found.add(match.slice(1).join('-'));
  }
  return found.size === 1 ? [...found][0] : undefined;
}

/** Finds pods' namespaces below one /proc. */
export class NetnsFinder {
  readonly #proc: string;

  constructor(proc: string) {
    this.#proc = proc;
  }

  /** The namespace of the node: that of process 1. */
  ofNode(): Netns {
    return Netns.open(join(this.#proc, '1/ns/net'));
  }

  /**
   * An open handle of the pod's namespace, the caller's to close; undefined when no process of it was found whose namespace has one
   * of `podIps`. Of several, the oldest process's wins.
   */
  async find(uid: string, podIps: readonly string[]): Promise<Netns | undefined> {
    const node = this.ofNode();
    const seen = new Set<string>([node.id]);
    node.close();
    for (const pid of this.#processesOf(uid)) {
      const netns = this.#open(pid);
      if (!netns) continue;
      if (!seen.has(netns.id)) {
        seen.add(netns.id);
        if (await carriesOneOf(netns, podIps)) return netns;
      }
      netns.close();
    }
    return undefined;
  }

  /** Processes of a pod, oldest first. */
  #processesOf(uid: string): string[] {
    const found: { pid: string; started: number }[] = [];
    for (const pid of readdirSync(this.#proc)) {
      if (!/^[0-9]+$/.test(pid)) continue;
      try {
        if (podUidOf(readFileSync(join(this.#proc, pid, 'cgroup'), 'utf8')) !== uid) continue;
        const stat = readFileSync(join(this.#proc, pid, 'stat'), 'utf8');
        // Field 22 of proc(5); the command's name, field 2, may hold anything.
        found.push({ pid, started: Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]) });
      } catch {
        // The process ended while we looked.
      }
    }
    return found.sort((a, b) => a.started - b.started).map(({ pid }) => pid);
  }

  #open(pid: string): Netns | undefined {
    try {
      return Netns.open(join(this.#proc, pid, 'ns/net'));
    } catch (error) {
      // Ended, or a zombie, which has no namespace any more.
      if (causedBy(error, 'SYSCALL_ENOENT') || causedBy(error, 'SYSCALL_ESRCH') || causedBy(error, 'SYSCALL_EACCES'))
        return undefined;
      throw error;
    }
  }
}

async function carriesOneOf(netns: Netns, ips: readonly string[]): Promise<boolean> {
  const wanted = new Set(ips);
  const list = await addresses(netns);
  return list.some(({ addr_info }) => addr_info.some(({ local }) => wanted.has(local)));
}
