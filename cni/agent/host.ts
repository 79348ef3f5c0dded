// SPDX-License-Identifier: Apache-2.0
// What the agent needs to know of its node: paths as seen from its container, the kubelet's user.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AmbitError } from '#lib/kit/error.ts';
import { Netns } from '#lib/linux/netns.ts';

/**
 * Opens a namespace that the runtime named by its path on the node: below the mounted host folders, else through process 1 of the node.
 * Throws NETNS_UNKNOWN naming the path.
 */
export function openRuntimeNetns(path: string, hostRoot: string, hostProc: string): Netns {
  const canonical = path.startsWith('/run/') ? `/var${path}` : path;
  const candidates = [join(hostRoot, path), join(hostRoot, canonical), join(hostProc, '1/root', path)];
  const found = candidates.find((candidate) => existsSync(candidate));
  if (found !== undefined) return Netns.open(found);
  throw new AmbitError('NETNS_UNKNOWN', `the network namespace ${path} of the node is not visible to the agent`, {
    advice: `mount /var/run/netns of the node at ${hostRoot}/var/run/netns with mountPropagation HostToContainer`,
  });
}

/** User id of the node's kubelet, whose probes are let through; undefined when no kubelet was found. */
export function kubeletUid(hostProc: string): number | undefined {
  if (!existsSync(hostProc)) {
    throw new AmbitError('HOST_PROC', `${hostProc} does not exist`, {
      advice: "mount the node's /proc there, or set AMBIT_HOST_PROC to where it is",
    });
  }
  for (const pid of readdirSync(hostProc)) {
    if (!/^[0-9]+$/.test(pid)) continue;
    try {
      const command = readFileSync(join(hostProc, pid, 'comm'), 'utf8').trim();
      const words = readFileSync(join(hostProc, pid, 'cmdline'), 'utf8');
      const kubelet = (command === 'kubelet' || command === 'kubelite') && words.includes('kubelet');
      if (!kubelet && command !== 'k3s') continue;
      const uid = /^Uid:\s+(\d+)/m.exec(readFileSync(join(hostProc, pid, 'status'), 'utf8'))?.[1];
      if (uid !== undefined) return Number(uid);
    } catch {
      // The process ended while we looked.
    }
  }
  return undefined;
}
