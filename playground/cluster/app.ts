// SPDX-License-Identifier: Apache-2.0
// The supervisor: process 1 of the cluster's namespaces. It builds the fabric, starts API server and machines, installs
// what `manifests/` holds and stays to start again what ends. When it ends, the kernel ends everything with it.
import {
  chmodSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { isIP } from 'node:net';
import { dirname, join, relative } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '#lib/kit/clock.ts';
import { AmbitError, describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import { connectKube } from '#lib/kube/connect.ts';
import { LEASE } from '#lib/kube/kind.ts';
import type { PlaygroundConfig } from '../config.ts';
import { run } from '../fabric/command.ts';
import { makeFabric } from '../fabric/fabric.ts';
import { bootMachine, CACHE_DIR, KUBELET_DIR, type Machine, stopMachine } from '../fabric/machine.ts';
import { type ClusterPlan, type NodePlan, planCluster } from '../fabric/plan.ts';
import { imageMap } from '../image-map.ts';
import type { NodeConfig } from '../kubelet/node-config.ts';
import { SYSTEM_PATH } from '../requirements.ts';
import type { StatePaths } from '../state.ts';
import { fitted } from './fitted.ts';
import { forward } from './forward.ts';
import { Installer, type Manifest, parseManifests, readManifests } from './install.ts';
import { accessAt, readAccess } from './kubeconfig.ts';
import { serveNetworkSocket } from './network-socket.ts';
import { pending, unreadyPods } from './ready.ts';
import { Supervised } from './supervised.ts';

export const API_PORT = 6443;
const USERS_CACHE = 'users';
const POLL_MS = 100;
/** Clusters that are brought up together are regions apart. */
const REGION = 'topology.kubernetes.io/region';
const REBOOT_MS = 300;

export interface ClusterOptions {
  readonly config: PlaygroundConfig;
  readonly paths: StatePaths;
  /** The cluster's control group, if there is one. */
  readonly group: string | undefined;
  /** Port of the listening socket that descriptor `apiFd` is, outside. */
  readonly apiPort: number;
  readonly apiFd: number;
  /** True inside a user namespace of an ordinary user. */
  readonly unprivileged: boolean;
  readonly clock: Clock;
  readonly log: Logger;
  /** Told of each step as it is done. */
  readonly report: (step: string) => void;
}

export class ClusterApp {
  readonly plan: ClusterPlan;
  readonly #options: ClusterOptions;
  readonly #machines = new Map<string, Machine>();
  readonly #programs = new Map<string, Supervised>();
  #client: KubeClient | undefined;

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.plan = planCluster(options.config.nodes, options.config.cluster, options.config.machines);
  }

  /** Resolves when everything is ready; throws what is missing after the time limit. */
  async start(): Promise<void> {
    const { config, paths, report } = this.#options;
    for (const dir of [paths.run, paths.logs, paths.nodes]) mkdirSync(dir, { recursive: true, mode: 0o755 });
    mkdirSync(config.cacheDir, { recursive: true });
    // Programs that do not run as root keep their compiled code apart from root's, which must trust its own.
    mkdirSync(join(config.cacheDir, USERS_CACHE), { recursive: true });
    chmodSync(join(config.cacheDir, USERS_CACHE), 0o1777);
    await run('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', paths.run]);
    await makeFabric(this.plan);
    report('fabric built');
    const kubeconfig = this.#startApi();
    const machines = this.#all.map((node) => this.#boot(node));
    await Promise.all([kubeconfig, ...machines]);
    report(`API server answers, ${this.plan.nodes.length} nodes booted`);
    const manifests = this.#manifests();
    await new Installer(this.client, this.#options.clock).apply(manifests);
    report(config.mesh ? 'mesh installed' : 'add-ons installed');
    await this.#untilReady(manifests);
  }

  /** Everything that boots: nodes, and machines beside them. */
  get #all(): readonly NodePlan[] {
    return [...this.plan.nodes, ...this.plan.machines];
  }

  get client(): KubeClient {
    if (this.#client === undefined) throw new AmbitError('PLAYGROUND_API', 'the API server is not up yet');
    return this.#client;
  }

  node(name: string): NodePlan {
    const node = this.#all.find((candidate) => candidate.name === name);
    if (node !== undefined) return node;
    throw new AmbitError('PLAYGROUND_NODE', `there is no node ${name}`, {
      advice: `name one of ${this.#all.map((each) => each.name).join(', ')}`,
    });
  }

  /** The process, in this PID namespace, whose network namespace is the node's. */
  machinePid(name: string): number | undefined {
    return this.#machines.get(name)?.process.pid;
  }

  program(name: string): Supervised | undefined {
    return this.#programs.get(name);
  }

  /** Pulls a node's plug and boots it again: disks stay, what ran and /run are gone. */
  async reboot(name: string): Promise<void> {
    const node = this.node(name);
    const machine = this.#machines.get(name);
    this.#machines.delete(name);
    if (machine !== undefined) await stopMachine(machine);
    rmSync(join(this.#base(node), 'run'), { recursive: true, force: true });
    await this.#boot(node);
  }

  /** Starts the embedded API server, or joins the one outside; resolves when it answers. */
  async #startApi(): Promise<void> {
    const { config, paths, apiPort, apiFd } = this.#options;
    const inside = { host: this.plan.fabric.ipv4, port: API_PORT };
    const insideUrl = `https://${inside.host}:${inside.port}`;
    if (config.kubeconfig !== undefined) {
      await forward(inside, { path: paths.uplink });
      await serveNetworkSocket(paths.network);
      const access = readAccess(config.kubeconfig);
      // TLS knows no server name that is an address; every API server's certificate has its in-cluster name.
      const host = access.server.hostname.replace(/^\[|\]$/g, '');
      const serverName = isIP(host) === 0 ? host : 'kubernetes.default.svc';
      this.#publish(accessAt(access, insideUrl, serverName), readFileSync(config.kubeconfig, 'utf8'));
    } else {
      mkdirSync(paths.api, { recursive: true, mode: 0o700 });
      this.#supervise('api', [
        ...[process.execPath, '--disable-warning=ExperimentalWarning', join(config.project, 'playground/api/main.ts')],
        ...['--data', paths.api, '--listen', `${inside.host}:${inside.port}`, '--advertise', inside.host],
        ...['--service-cidr', this.plan.serviceCidrs.join(',')],
      ]);
      await forward({ fd: apiFd }, inside);
      const written = join(paths.api, 'kubeconfig');
      while (!existsSync(written)) await delay(POLL_MS / 5);
      const access = readAccess(written);
      this.#publish(accessAt(access, insideUrl), accessAt(access, `https://127.0.0.1:${apiPort}`));
    }
    const kubeconfig = join(paths.nodes, 'kubeconfig');
    this.#client = connectKube({ kubeconfig });
    await this.#untilAnswers();
    // A whole cluster outside brings its own controllers; an API server alone does not.
    if (await this.client.get(LEASE, { namespace: 'kube-system', name: 'kube-controller-manager' })) return;
    this.#supervise('controllers', [
      ...[process.execPath, '--disable-warning=ExperimentalWarning'],
      ...[join(config.project, 'playground/controllers/main.ts'), '--kubeconfig', kubeconfig],
    ]);
  }

  /** Writes the kubeconfig for inside and outside, and with it what the nodes wait for. */
  #publish(inside: string, outside: string): void {
    const { paths } = this.#options;
    writeFileSync(join(paths.nodes, 'kubeconfig'), inside, { mode: 0o600 });
    writeFileSync(paths.kubeconfig, outside, { mode: 0o600 });
    for (const node of this.plan.nodes) {
      const dir = this.#stateDir(node);
      writeFileSync(join(dir, 'kubeconfig'), inside, { mode: 0o600 });
      writeFileSync(join(dir, 'node.json.new'), JSON.stringify(this.#nodeConfig(node)));
      // Renamed into place: the node's program waits for it.
      renameSync(join(dir, 'node.json.new'), join(dir, 'node.json'));
    }
  }

  async #untilAnswers(): Promise<void> {
    const deadline = this.#options.clock.monotonic() + this.#options.config.timeoutMs;
    for (;;) {
      try {
        await this.client.text('/readyz');
        return;
      } catch (error) {
        if (this.#options.clock.monotonic() > deadline) throw error;
        await this.#options.clock.sleep(POLL_MS);
      }
    }
  }

  #supervise(name: string, command: readonly string[]): void {
    const { config, paths, log } = this.#options;
    const program = new Supervised({
      ...{ name, command, log, logFile: join(paths.logs, `${name}.log`) },
      env: { PATH: SYSTEM_PATH, NODE_COMPILE_CACHE: config.cacheDir, HOME: paths.dir },
    });
    this.#programs.set(name, program);
    program.start();
  }

  async #boot(node: NodePlan): Promise<void> {
    const { config, paths, unprivileged } = this.#options;
    const stateDir = this.#stateDir(node);
    mkdirSync(stateDir, { recursive: true, mode: 0o755 });
    const machine = await bootMachine({
      ...{ base: this.#base(node), plan: this.plan, node, stateDir, userxattr: unprivileged },
      visible: this.#visible(),
      cacheDir: config.cacheDir,
      command: this.plan.machines.includes(node)
        ? ['sleep', 'infinity']
        : [
            ...[process.execPath, '--disable-warning=ExperimentalWarning'],
            ...[join(config.project, 'playground/kubelet/main.ts'), join(KUBELET_DIR, 'node.json')],
          ],
      env: { PATH: SYSTEM_PATH, NODE_COMPILE_CACHE: CACHE_DIR, HOME: '/root' },
      logFd: openSync(join(paths.logs, `${node.name}.log`), 'a', 0o640),
    });
    this.#machines.set(node.name, machine);
    void machine.exited.then((status) => this.#wentDown(machine, status));
  }

  /** Boots a node again that went down by itself, until it stays up. */
  async #wentDown(machine: Machine, status: number): Promise<void> {
    const { name } = machine.node;
    // One that was stopped on purpose is no longer listed.
    if (this.#machines.get(name) !== machine) return;
    this.#options.log.warn('node went down, booting it again', { node: name, status });
    do {
      await delay(REBOOT_MS);
      try {
        await this.reboot(name);
      } catch (error) {
        this.#options.log.error('node does not boot', { node: name, error: describeError(error) });
      }
    } while (!this.#machines.has(name));
  }

  #base(node: NodePlan): string {
    return join(this.#options.paths.run, node.name);
  }

  #stateDir(node: NodePlan): string {
    return join(this.#options.paths.nodes, node.name);
  }

  /** Host folders that every process must see as they are, each once. */
  #visible(): string[] {
    const { project } = this.#options.config;
    const wanted = [project, realpathSync(join(project, 'node_modules')), dirname(realpathSync(process.execPath))];
    const inside = (dir: string, other: string): boolean => !relative(other, dir).startsWith('..');
    return wanted.filter(
      (dir, i) => !wanted.some((other, j) => i !== j && inside(dir, other) && (dir !== other || j < i)),
    );
  }

  #nodeConfig(node: NodePlan): NodeConfig {
    const { config, group, unprivileged } = this.#options;
    return {
      nodeName: node.name,
      nodeIps: [node.ipv4, node.ipv6],
      podCidrs: node.podCidrs,
      nodeLabels: config.members.length === 1 ? {} : { [REGION]: config.name },
      serviceCidrs: this.plan.serviceCidrs,
      domain: this.plan.domain,
      dnsServiceIps: this.plan.dnsServiceIps,
      kubeconfig: join(KUBELET_DIR, 'kubeconfig'),
      apiService: { host: this.plan.apiServiceIp, port: '443' },
      ...(config.kubeconfig === undefined ? {} : { apiEndpoint: `${this.plan.fabric.ipv4}:${API_PORT}` }),
      ...(group === undefined ? {} : { nodeGroup: join(group, node.name) }),
      images: imageMap(node.name, { ...config, node: process.execPath }),
      visible: [...this.#visible(), CACHE_DIR],
      nodeBinDir: dirname(process.execPath),
      programEnv: { NODE_COMPILE_CACHE: CACHE_DIR },
      userEnv: unprivileged ? {} : { NODE_COMPILE_CACHE: join(CACHE_DIR, USERS_CACHE) },
      mayChangeUser: !unprivileged,
      userxattr: unprivileged,
      logLevel: config.logLevel,
    };
  }

  #manifests(): Manifest[] {
    const { config } = this.#options;
    const folders = ['manifests/playground', ...(config.mesh ? ['manifests/crds', 'manifests/install'] : [])];
    const own = folders.flatMap((folder) => readManifests(join(config.project, folder)));
    const further = config.manifests.flatMap((file) => parseManifests(readFileSync(file, 'utf8'), file));
    return [...fitted(own, this.plan, config), ...config.objects, ...further];
  }

  async #untilReady(manifests: readonly Manifest[]): Promise<void> {
    const { clock, config } = this.#options;
    const workloads = manifests
      .filter(({ kind }) => kind === 'Deployment' || kind === 'DaemonSet')
      .map(({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name}`);
    const wanted = { nodes: this.plan.nodes.map(({ name }) => name), workloads };
    const deadline = clock.monotonic() + config.timeoutMs;
    for (;;) {
      const missing = await pending(this.client, wanted);
      if (missing.length === 0) return;
      if (clock.monotonic() > deadline) {
        const pods = await unreadyPods(this.client);
        throw new AmbitError(
          'PLAYGROUND_TIMEOUT',
          `not ready after ${config.timeoutMs / 1000} s:\n  ${[...missing, ...pods].join('\n  ')}`,
        );
      }
      await clock.sleep(POLL_MS);
    }
  }
}
