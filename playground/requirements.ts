// SPDX-License-Identifier: Apache-2.0
// What a playground needs of the machine, checked before anything is built, and told with the package that brings it.
import { accessSync, constants, existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { AmbitError } from '#lib/kit/error.ts';

const TOOLS: Readonly<Record<string, string>> = {
  ip: 'iproute2',
  tc: 'iproute2',
  nft: 'nftables',
  unshare: 'util-linux',
  nsenter: 'util-linux',
  setpriv: 'util-linux',
  mount: 'mount',
  sysctl: 'procps',
};
const CNI_PLUGINS = ['ptp', 'host-local', 'portmap'];
const CNI_DIR = '/usr/lib/cni';
/** Programs of the administrator are not on an ordinary user's PATH. */
export const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Throws `PLAYGROUND_NEEDS` naming every missing piece and the packages to install. */
export function checkMachine(): void {
  const missing: string[] = [];
  const packages = new Set<string>();
  for (const [tool, owner] of Object.entries(TOOLS)) {
    if (SYSTEM_PATH.split(':').some((dir) => isExecutable(join(dir, tool)))) continue;
    missing.push(tool);
    packages.add(owner);
  }
  for (const plugin of CNI_PLUGINS) {
    if (isExecutable(join(CNI_DIR, plugin))) continue;
    missing.push(`CNI plugin ${plugin}`);
    packages.add('containernetworking-plugins');
  }
  if (!readFileSync('/proc/filesystems', 'utf8').includes('overlay'))
    missing.push('overlayfs in the kernel (modprobe overlay)');
  if (missing.length === 0) return;
  throw new AmbitError('PLAYGROUND_NEEDS', `this machine lacks ${missing.join(', ')}`, {
    ...(packages.size === 0 ? {} : { advice: `apt-get install ${[...packages].join(' ')}` }),
  });
}

/**
 * Makes a control group for the cluster in the hierarchy that this process may write: the unified one, or a version 1
 * hierarchy without limits. Undefined when none can be written, as in most containers.
 */
export function makeClusterGroup(name: string): string | undefined {
  for (const base of groupBases()) {
    const group = join(base, `ambit-${name}-${process.pid}-${Date.now().toString(36)}`);
    try {
      mkdirSync(group);
      return group;
    } catch {
      // Not this one.
    }
  }
  return undefined;
}

function groupBases(): string[] {
  const root = '/sys/fs/cgroup';
  const own = (hierarchy: string): string => {
    const line = readFileSync('/proc/self/cgroup', 'utf8')
      .split('\n')
      .find((text) => text.startsWith(hierarchy));
    return line?.slice(hierarchy.length) ?? '/';
  };
  if (existsSync(join(root, 'cgroup.controllers'))) return [root, join(root, own('0::'))];
  return [join(root, 'unified'), join(root, 'systemd'), join(root, 'pids')].filter((dir) => existsSync(dir));
}

/** Removes a group that was made and not used. */
export function dropGroup(group: string | undefined): void {
  if (group !== undefined && existsSync(group)) rmdirSync(group);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
