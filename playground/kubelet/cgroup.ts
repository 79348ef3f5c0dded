// SPDX-License-Identifier: Apache-2.0
// A control group for each pod, named as a kubelet with the cgroupfs driver names it. It limits nothing: it is how
// programs on a node, the CNI agent above all, tell which pod a process belongs to.
import { existsSync, mkdirSync, readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';

/** The group of one pod below the node's group, as the kubelet's cgroupfs driver lays them out. */
export function podGroup(nodeGroup: string, qos: string, uid: string): string {
  const kubepods = join(nodeGroup, 'kubepods');
  return qos === 'Guaranteed' ? join(kubepods, `pod${uid}`) : join(kubepods, qos.toLowerCase(), `pod${uid}`);
}

/** What `/proc/PID/cgroup` says of a process in the group `path` of the unified hierarchy (cgroups(7)). */
export function groupLine(path: string): string {
  return `0::${path}\n`;
}

/** Makes the group; the path of its `cgroup.procs` is where a process writes 0 to join. */
export function makeGroup(path: string): string {
  mkdirSync(path, { recursive: true });
  return join(path, 'cgroup.procs');
}

/** Removes the group and those below it. Returns false while a process is still in one of them. */
export function removeGroup(path: string): boolean {
  if (!existsSync(path)) return true;
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory() && !removeGroup(join(path, entry.name))) return false;
  }
  try {
    rmdirSync(path);
    return true;
  } catch {
    return false;
  }
}
