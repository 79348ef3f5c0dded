// SPDX-License-Identifier: Apache-2.0
// A "machine": the namespaces of one node. Network, mounts, host name and process ids are its own; process 1 is a shell
// that starts the node's program and reaps orphans. When process 1 ends, the kernel ends everything in the machine.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, tryRun } from './command.ts';
import { plugNode } from './fabric.ts';
import type { ClusterPlan, NodePlan } from './plan.ts';
import { RootBuilder } from './root.ts';

/** Where a machine, and each container on it, finds the real machine's root, as the lower side of its overlays. */
export const HOST_ROOT = '/run/ambit/host';
export const KUBELET_DIR = '/var/lib/kubelet';
/** Where machines and containers find Node's compile cache: a path that every user may walk, unlike somebody's home. */
export const CACHE_DIR = '/var/cache/ambit/compile';

// $1 mount table, $2 new root, $3 host name; the rest is the node's program.
// `accept_dad`: see makeFabric. The shell stays as process 1, since it reaps what Node would leave as zombies.
const BOOT = `set -e
mount --make-rprivate /
mount -a -T "$1"
cd "$2"
pivot_root . .
umount -l .
cd /
mount --make-rshared /
/bin/hostname "$3"
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.all.forwarding=1 \\
  net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.dad_transmits=0 net.ipv4.conf.all.rp_filter=0 \\
  net.ipv4.ip_unprivileged_port_start=0
shift 3
"$@" &
program=$!
trap 'kill -TERM $program' TERM
while kill -0 $program 2>/dev/null; do wait $program && exit 0; done
exit 1
`;

export interface MachineOptions {
  /** Folder for the machine's files, on a file system that can be an overlay's upper one. */
  readonly base: string;
  readonly plan: ClusterPlan;
  readonly node: NodePlan;
  /** Host folders every process on the machine must see live: the project, the Node binary. */
  readonly visible: readonly string[];
  /** Host folder that appears as /var/lib/kubelet. */
  readonly stateDir: string;
  /** Host folder that appears as {@link CACHE_DIR}. */
  readonly cacheDir: string;
  readonly userxattr: boolean;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Receives the node program's output. */
  readonly logFd: number;
}

/** A running machine. `exited` resolves with its exit status once everything in it is gone. */
export interface Machine {
  readonly node: NodePlan;
  readonly netns: string;
  readonly process: ChildProcess;
  readonly exited: Promise<number>;
}

/** Builds the namespaces of a node, plugs it into the fabric and starts its program. */
export async function bootMachine(options: MachineOptions): Promise<Machine> {
  const { base, node, plan } = options;
  mkdirSync(base, { recursive: true });
  const netns = join(base, 'net');
  writeFileSync(netns, '');
  await run('unshare', [`--net=${netns}`, 'true']);
  await plugNode(plan, node, netns);
  const builder = buildRoot(options);
  const table = join(base, 'fstab');
  writeFileSync(table, builder.fstab());
  const child = spawn(
    'nsenter',
    [
      `--net=${netns}`,
      'unshare',
      ...['--mount', '--uts', '--ipc', '--pid', '--fork', '--kill-child'],
      ...['/bin/sh', '-c', BOOT, 'boot', table, builder.root, node.name, ...options.command],
    ],
    { stdio: ['ignore', options.logFd, options.logFd], env: { ...options.env } },
  );
  const exited = new Promise<number>((resolve) => {
    child.once('error', () => resolve(-1));
    child.once('exit', (status) => resolve(status ?? -1));
  });
  return { node, netns, process: child, exited };
}

/** Ends a machine at once, as a power cut would, and releases its network. */
export async function stopMachine(machine: Machine): Promise<void> {
  machine.process.kill('SIGKILL');
  await machine.exited;
  await tryRun('umount', ['-l', machine.netns]);
}

function buildRoot(options: MachineOptions): RootBuilder {
  const builder = new RootBuilder({ base: options.base, lower: '/', userxattr: options.userxattr });
  builder.mount('proc', '/proc');
  builder.mount('sysfs', '/sys');
  builder.bind('/sys/fs/cgroup', '/sys/fs/cgroup', { recursive: true });
  builder.bind('/dev', '/dev', { recursive: true });
  // A tmpfs, not a folder: what runs in /run is gone after a reboot.
  const run = join(options.base, 'run');
  mkdirSync(run, { recursive: true });
  builder.bind(run, '/run');
  builder.bind('/', HOST_ROOT, { recursive: true });
  builder.bind(options.stateDir, KUBELET_DIR);
  builder.bind(options.cacheDir, CACHE_DIR);
  for (const folder of options.visible) builder.bind(folder, folder, { recursive: true });
  for (const folder of ['/etc/cni/net.d', '/opt/cni/bin', '/run/netns', '/var/log/pods']) {
    mkdirSync(builder.backing(folder), { recursive: true });
  }
  return builder;
}
