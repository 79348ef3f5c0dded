// SPDX-License-Identifier: Apache-2.0
// A pod's sandbox: its network namespace with addresses from the CNI chain, its cgroup, and a process that keeps both
// alive and findable while no container runs (the "pause" of other runtimes).
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AmbitError } from '#lib/kit/error.ts';
import { run, tryRun } from '../fabric/command.ts';
import { groupLine, makeGroup, podGroup, removeGroup } from './cgroup.ts';
import { type CniConfig, type CniPaths, type CniPod, type CniResult, cniAdd, cniDel, loadCniConfig } from './cni.ts';
import { JOIN } from './launch.ts';
import { type PodObject, podName, qosClass } from './pod.ts';

const NETNS_DIR = '/run/netns';
const GROUP_FILES = '/run/ambit/groups';
// `accept_dad`: an address would be unusable for a second, and the CNI plugin waits for that.
const PREPARE = `ip link set lo up && exec sysctl -qw net.ipv6.conf.all.disable_ipv6=0 \\
  net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.dad_transmits=0 net.ipv4.ip_unprivileged_port_start=0 "$@"`;

export interface SandboxOptions {
  readonly cni: CniPaths;
  /** The node's control group, or undefined where groups cannot be written. */
  readonly nodeGroup: string | undefined;
  /** Addresses of a pod that uses the node's network. */
  readonly nodeIps: readonly string[];
}

export class Sandbox {
  readonly id: string;
  /** Undefined for a pod in the node's network. */
  readonly netns: string | undefined;
  readonly ips: readonly string[];
  readonly #group: string | undefined;
  readonly #network: { config: CniConfig; paths: CniPaths; pod: CniPod; result: CniResult } | undefined;
  readonly #pause: ChildProcess;

  private constructor(
    id: string,
    group: string | undefined,
    network: { config: CniConfig; paths: CniPaths; pod: CniPod; result: CniResult } | undefined,
    nodeIps: readonly string[],
  ) {
    this.id = id;
    this.#group = group;
    this.#network = network;
    this.netns = network?.pod.netns;
    this.ips = network === undefined ? nodeIps : network.result.ips.map(({ address }) => address.split('/')[0]!);
    const enter = this.netns === undefined ? [] : ['/usr/bin/nsenter', `--net=${this.netns}`];
    this.#pause = spawn('/bin/sh', ['-c', JOIN, 'join', this.groupFor(id), ...enter, '/bin/sleep', 'infinity'], {
      stdio: 'ignore',
    });
  }

  /** Makes a container's own group within the pod's; where to write 0 to join it, or '' where there are no groups. */
  groupFor(containerId: string): string {
    return this.#group === undefined ? '' : makeGroup(join(this.#group, containerId));
  }

  /** Makes the sandbox. Throws what the CNI chain refused with, after removing what was made. */
  static async create(pod: PodObject, options: SandboxOptions): Promise<Sandbox> {
    const id = randomUUID().replaceAll('-', '') + randomUUID().replaceAll('-', '');
    const uid = pod.metadata.uid!;
    const { nodeGroup } = options;
    const group = nodeGroup === undefined ? undefined : podGroup(nodeGroup, qosClass(pod.spec), uid);
    if (pod.spec.hostNetwork === true) return new Sandbox(id, group, undefined, options.nodeIps);
    const config = loadCniConfig(options.cni.confDir);
    if (config === undefined) {
      throw new AmbitError('CNI_CONFIG', `pod ${podName(pod)}: no network configuration in ${options.cni.confDir}`);
    }
    const netns = await makeNetns(pod);
    const cniPod: CniPod = {
      containerId: id,
      netns,
      name: pod.metadata.name,
      namespace: pod.metadata.namespace ?? 'default',
      uid,
      portMappings: portMappings(pod),
    };
    try {
      const result = await cniAdd(options.cni, config, cniPod);
      const sandbox = new Sandbox(id, group, { config, paths: options.cni, pod: cniPod, result }, options.nodeIps);
      if (group === undefined) await sandbox.#nameGroup(podGroup('/', qosClass(pod.spec), uid));
      return sandbox;
    } catch (error) {
      await removeNetns(netns);
      throw error;
    }
  }

  /**
   * Without control groups to write, what `/proc/PID/cgroup` would say of the pause process is put over that file, so that
   * programs on the node find the pod by it all the same.
   */
  async #nameGroup(group: string): Promise<void> {
    mkdirSync(GROUP_FILES, { recursive: true });
    const file = join(GROUP_FILES, this.id);
    writeFileSync(file, groupLine(join(group, this.id)));
    await tryRun('mount', ['--bind', file, `/proc/${this.#pause.pid}/cgroup`]);
  }

  /** Removes network, pause process and cgroup. A failing plugin does not keep the rest from being removed. */
  async destroy(): Promise<void> {
    if (this.#group === undefined) await tryRun('umount', ['-l', `/proc/${this.#pause.pid}/cgroup`]);
    rmSync(join(GROUP_FILES, this.id), { force: true });
    this.#pause.kill('SIGKILL');
    let failure: unknown;
    if (this.#network !== undefined) {
      const { config, paths, pod, result } = this.#network;
      // The chain may have been edited since: what is configured now is what knows how to take the pod out.
      const current = loadCniConfig(paths.confDir) ?? config;
      await cniDel(paths, current, pod, result.raw).catch((error: unknown) => {
        failure = error;
      });
      await removeNetns(pod.netns);
    }
    if (this.#group !== undefined) await dissolve(this.#group);
    if (failure !== undefined) throw failure;
  }
}

async function makeNetns(pod: PodObject): Promise<string> {
  mkdirSync(NETNS_DIR, { recursive: true });
  const netns = join(NETNS_DIR, `cni-${randomUUID()}`);
  writeFileSync(netns, '');
  const sysctls = (pod.spec.securityContext?.sysctls ?? []).map(({ name, value }) => `${name}=${value}`);
  await run('unshare', [`--net=${netns}`, '/bin/sh', '-c', PREPARE, 'prepare', ...sysctls]);
  return netns;
}

async function removeNetns(netns: string): Promise<void> {
  await tryRun('umount', ['-l', netns]);
  rmSync(netns, { force: true });
}

/** Processes that were killed a moment ago keep their group for a moment. */
async function dissolve(group: string): Promise<void> {
  for (let attempt = 0; attempt < 40 && !removeGroup(group); attempt++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function portMappings(pod: PodObject): CniPod['portMappings'] {
  return pod.spec.containers.flatMap((container) =>
    (container.ports ?? [])
      .filter(({ hostPort }) => hostPort !== undefined && hostPort > 0)
      .map(({ hostPort, containerPort, protocol = 'TCP', hostIP }) => ({
        hostPort: hostPort!,
        containerPort,
        protocol: protocol.toLowerCase(),
        ...(hostIP === undefined ? {} : { hostIP }),
      })),
  );
}
