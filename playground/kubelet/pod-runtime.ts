// SPDX-License-Identifier: Apache-2.0
// What a pod needs from the node: sandbox, volumes, root file systems, environment, name resolution files. One object a
// pod; the pod's worker decides when, this decides how.
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '#lib/kit/clock.ts';
import { AmbitError } from '#lib/kit/error.ts';
import { HOST_ROOT } from '../fabric/machine.ts';
import { RootBuilder } from '../fabric/root.ts';
import { RunningContainer } from './container.ts';
import { environmentOf, expand, homeOf, type Placement } from './environment.ts';
import type { EventRecorder } from './event.ts';
import { commandLine, findImage, type ImageEntry } from './images.ts';
import { privilegesOf, setprivArguments } from './launch.ts';
import { LogFile } from './log-file.ts';
import { type Container, type PodObject, podName } from './pod.ts';
import { hostsFile, type NameService, resolvConf } from './resolver.ts';
import { Sandbox, type SandboxOptions } from './sandbox.ts';
import { type BytesLookup, fillVolume, isRefreshed, type TokenLookup, volumePath } from './volumes.ts';

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** What all pods of a node share. */
export interface NodeRuntime {
  readonly nodeName: string;
  readonly nodeIps: readonly string[];
  readonly clock: Clock;
  readonly events: EventRecorder;
  readonly images: readonly ImageEntry[];
  readonly sandbox: SandboxOptions;
  readonly names: NameService;
  readonly allocatable: Readonly<Record<string, string>>;
  /** Host and port of the API server as pods reach it. */
  readonly apiService: { readonly host: string; readonly port: string };
  readonly kubeletDir: string;
  /** Folder for containers' root file systems; a tmpfs. */
  readonly containerDir: string;
  readonly logDir: string;
  /** Folders of the real machine that every container sees: the project, the Node binary, the compile cache. */
  readonly visible: readonly string[];
  /** Folder with the Node binary, put first on PATH. */
  readonly nodeBinDir: string;
  /** Variables for every program of the project. */
  readonly programEnv: Readonly<Record<string, string>>;
  /** Variables for those that do not run as root. */
  readonly userEnv: Readonly<Record<string, string>>;
  /** False for an ordinary user's playground, which has one user id only. */
  readonly mayChangeUser: boolean;
  readonly userxattr: boolean;
  readonly bytes: (namespace: string) => BytesLookup;
  readonly token: (pod: PodObject) => TokenLookup;
  readonly forgetTokens: (uid: string) => void;
}

export class PodRuntime {
  pod: PodObject;
  readonly #node: NodeRuntime;
  readonly #dir: string;
  #sandbox: Sandbox | undefined;
  #ips: readonly string[] = [];

  constructor(pod: PodObject, node: NodeRuntime) {
    this.pod = pod;
    this.#node = node;
    this.#dir = join(node.kubeletDir, 'pods', pod.metadata.uid!);
  }

  get clock(): Clock {
    return this.#node.clock;
  }

  get hostIps(): readonly string[] {
    return this.#node.nodeIps;
  }

  stamp(): string {
    return new Date(this.clock.now()).toISOString().replace(/\.\d+Z$/, 'Z');
  }

  hasSandbox(): boolean {
    return this.#sandbox !== undefined;
  }

  /** The pod's addresses; none before it has a network, the last ones after. */
  podIps(): readonly string[] {
    return this.#ips;
  }

  netns(): string | undefined {
    return this.#sandbox?.netns;
  }

  event(type: 'Normal' | 'Warning', reason: string, message: string, container?: Container): void {
    const { name, namespace, uid } = this.pod.metadata;
    const fieldPath = container === undefined ? {} : { fieldPath: `spec.containers{${container.name}}` };
    this.#node.events.record({ kind: 'Pod', name, namespace, uid, ...fieldPath }, type, reason, message);
  }

  async makeSandbox(): Promise<void> {
    this.#sandbox ??= await Sandbox.create(this.pod, this.#node.sandbox);
    this.#ips = this.#sandbox.ips;
  }

  /** Makes the volumes, or brings those that follow the API up to date. */
  async fillVolumes(refresh: boolean): Promise<void> {
    const context = {
      pod: this.pod,
      placement: this.#placement(),
      bytes: this.#node.bytes(this.pod.metadata.namespace ?? 'default'),
      token: this.#node.token(this.pod),
    };
    for (const volume of this.pod.spec.volumes ?? []) {
      if (!refresh || isRefreshed(volume)) await fillVolume(this.#dir, volume, context);
    }
  }

  /** Starts one run of a container. Throws with what is wrong about it. */
  async startContainer(container: Container, attempt: number): Promise<{ running: RunningContainer; id: string }> {
    const { pod } = this;
    const node = this.#node;
    const sandbox = this.#sandbox!;
    const image = findImage(node.images, container.image ?? '');
    if (image === undefined) {
      throw new AmbitError('IMAGE_UNKNOWN', `image ${JSON.stringify(container.image)} stands for nothing here`, {
        advice: 'add it to the image map',
      });
    }
    const privileges = privilegesOf(pod.spec.securityContext, container.securityContext, image.user);
    const env = this.#environment(container, image, privileges.user);
    const words = (list: readonly string[] = []): string[] => list.map((word) => expand(word, env));
    const command = commandLine(image, words(container.command), words(container.args));
    const id = randomUUID().replaceAll('-', '') + randomUUID().replaceAll('-', '');
    const base = join(node.containerDir, `${pod.metadata.uid}-${container.name}`);
    rmSync(base, { recursive: true, force: true });
    // The run before can be asked for with `--previous`; older ones are dropped.
    rmSync(this.logPath(container.name, attempt - 2), { force: true });
    const readOnlyRoot = container.securityContext?.readOnlyRootFilesystem === true;
    const builder = this.#root(container, base, env, readOnlyRoot);
    const mountTable = join(base, 'fstab');
    writeFileSync(mountTable, builder.fstab());
    const running = await RunningContainer.start({
      cgroupProcs: sandbox.groupFor(id),
      netns: sandbox.netns,
      hostname: sandbox.netns === undefined ? '' : this.#hostname(),
      hostPid: pod.spec.hostPID === true,
      mountTable,
      root: builder.root,
      readOnlyRoot,
      workingDir: container.workingDir ?? '/',
      setpriv: setprivArguments(privileges, node.mayChangeUser),
      command,
      env,
      stdin: container.stdin === true,
      tty: container.tty === true,
      log: new LogFile(this.logPath(container.name, attempt), () => node.clock.now()),
    });
    return { running, id };
  }

  /** Where the log of a container's n-th run lies, as on a real node. */
  logPath(container: string, attempt: number): string {
    const { namespace, name, uid } = this.pod.metadata;
    return join(this.#node.logDir, `${namespace}_${name}_${uid}`, container, `${attempt}.log`);
  }

  /** Releases everything but the logs, which stay until the object is gone. */
  async teardown(): Promise<void> {
    const sandbox = this.#sandbox;
    this.#sandbox = undefined;
    this.#node.forgetTokens(this.pod.metadata.uid!);
    try {
      await sandbox?.destroy();
    } catch (error) {
      this.event('Warning', 'FailedKillPod', `error killing pod: ${error instanceof Error ? error.message : error}`);
    }
    for (const { name } of [...this.pod.spec.containers, ...(this.pod.spec.initContainers ?? [])]) {
      rmSync(join(this.#node.containerDir, `${this.pod.metadata.uid}-${name}`), { recursive: true, force: true });
    }
    rmSync(this.#dir, { recursive: true, force: true });
  }

  removeLogs(): void {
    const { namespace, name, uid } = this.pod.metadata;
    rmSync(join(this.#node.logDir, `${namespace}_${name}_${uid}`), { recursive: true, force: true });
  }

  #placement(): Placement {
    const { nodeName, nodeIps, allocatable } = this.#node;
    return { nodeName, hostIps: nodeIps, podIps: this.podIps(), allocatable };
  }

  #hostname(): string {
    return (this.pod.spec.hostname ?? this.pod.metadata.name).slice(0, 63);
  }

  #environment(container: Container, image: ImageEntry, user: number): Record<string, string> {
    const { apiService, nodeBinDir, programEnv, userEnv } = this.#node;
    const { host, port } = apiService;
    const base: Record<string, string> = {
      PATH: [...(image.tools === undefined ? [] : [image.tools]), nodeBinDir, DEFAULT_PATH].join(':'),
      HOSTNAME: this.pod.spec.hostNetwork === true ? this.#node.nodeName : this.#hostname(),
      HOME: homeOf(user),
      KUBERNETES_SERVICE_HOST: host,
      KUBERNETES_SERVICE_PORT: port,
      KUBERNETES_SERVICE_PORT_HTTPS: port,
      KUBERNETES_PORT: `tcp://${host}:${port}`,
      ...programEnv,
      ...(user === 0 ? {} : userEnv),
      ...image.env,
    };
    const bytes = this.#node.bytes(this.pod.metadata.namespace ?? 'default');
    return environmentOf(this.pod, container, this.#placement(), base, (kind, name) => {
      const data = bytes(kind, name);
      return data && Object.fromEntries([...data].map(([key, value]) => [key, value.toString('utf8')]));
    });
  }

  #root(container: Container, base: string, env: Readonly<Record<string, string>>, readOnly: boolean): RootBuilder {
    const node = this.#node;
    const builder = new RootBuilder({ base, lower: HOST_ROOT, userxattr: node.userxattr, readOnly });
    if (this.pod.spec.hostPID === true) builder.bind('/proc', '/proc', { recursive: true });
    else builder.mount('proc', '/proc');
    builder.mount('sysfs', '/sys');
    if (existsSync('/sys/fs/cgroup')) builder.bind('/sys/fs/cgroup', '/sys/fs/cgroup', { recursive: true });
    builder.bind('/dev', '/dev', { recursive: true });
    const etc = this.#etcFiles();
    builder.bind(etc.resolv, '/etc/resolv.conf');
    builder.bind(etc.hosts, '/etc/hosts');
    if (this.pod.spec.hostNetwork !== true) builder.bind(etc.hostname, '/etc/hostname');
    const mounts = [...(container.volumeMounts ?? [])].sort((a, b) => a.mountPath.length - b.mountPath.length);
    for (const { name, mountPath, subPath, subPathExpr, readOnly: ro, mountPropagation } of mounts) {
      const volume = this.pod.spec.volumes?.find((candidate) => candidate.name === name);
      if (volume === undefined) {
        throw new AmbitError(
          'VOLUME',
          `container ${container.name} of pod ${podName(this.pod)} mounts unknown volume ${name}`,
        );
      }
      const below = subPath ?? (subPathExpr === undefined ? undefined : expand(subPathExpr, env));
      const source = join(volumePath(this.#dir, volume), below ?? '');
      if (below !== undefined && !existsSync(source)) mkdirSync(source, { recursive: true });
      const recursive = volume.hostPath !== undefined || mountPropagation !== undefined;
      builder.bind(source, mountPath, { readOnly: ro === true, recursive });
    }
    // Last, so that a volume at /tmp does not hide a checkout that lies below it.
    for (const folder of node.visible) builder.bind(folder, folder, { recursive: true });
    return builder;
  }

  #etcFiles(): { resolv: string; hosts: string; hostname: string } {
    const dir = join(this.#dir, 'etc');
    mkdirSync(dir, { recursive: true });
    const files = { resolv: join(dir, 'resolv.conf'), hosts: join(dir, 'hosts'), hostname: join(dir, 'hostname') };
    writeFileSync(files.resolv, resolvConf(this.pod, this.#node.names));
    writeFileSync(files.hosts, hostsFile(this.pod, this.podIps(), this.#node.names.domain));
    writeFileSync(files.hostname, `${this.#hostname()}\n`);
    return files;
  }
}
