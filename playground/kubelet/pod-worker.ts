// SPDX-License-Identifier: Apache-2.0
// Looks after one pod, from the moment it is assigned to this node until nothing of it is left.
//
//   new ──▶ sandbox and volumes (tried until they succeed) ──▶ init containers, one after the other
//       ──▶ containers, together ──▶ ended, or deleted: containers stopped, network released, status told, object removed
import { Backoff } from '#lib/kit/backoff.ts';
import { describeError } from '#lib/kit/error.ts';
import type { RunningContainer } from './container.ts';
import { ContainerWorker, type RestartPolicy } from './container-worker.ts';
import { type Container, isSidecar, type PodObject, type PodStatus } from './pod.ts';
import type { PodRuntime } from './pod-runtime.ts';
import { podStatus } from './status.ts';

const DEFAULT_GRACE_SECONDS = 30;
/** Pause between attempts to make a sandbox or a volume. */
const RETRY_INITIAL_MS = 250;
const RETRY_MAX_MS = 5_000;

export class PodWorker {
  readonly uid: string;
  readonly #runtime: PodRuntime;
  readonly #inits: ContainerWorker[];
  readonly #containers: ContainerWorker[];
  readonly #startTime: string;
  readonly #stop = new AbortController();
  #initialized = false;
  #stopped = false;
  #mounted = false;
  #wake = Promise.withResolvers<void>();
  #ending: Promise<void> | undefined;
  #life: Promise<void> = Promise.resolve();
  #failure: { reason: string; message: string } | undefined;
  readonly #onChange: (worker: PodWorker) => void;

  constructor(runtime: PodRuntime, onChange: (worker: PodWorker) => void) {
    this.#runtime = runtime;
    this.#onChange = onChange;
    const { pod } = runtime;
    this.uid = pod.metadata.uid!;
    this.#startTime = pod.status?.startTime ?? runtime.stamp();
    const make = (container: Container, initial: string): ContainerWorker => {
      const before = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])];
      const status = before.find(({ name }) => name === container.name);
      return new ContainerWorker(container, this.#host(), status, initial);
    };
    const inits = pod.spec.initContainers ?? [];
    this.#inits = inits.map((container) => make(container, 'PodInitializing'));
    this.#containers = pod.spec.containers.map((container) =>
      make(container, inits.length > 0 ? 'PodInitializing' : 'ContainerCreating'),
    );
  }

  get pod(): PodObject {
    return this.#runtime.pod;
  }

  /** Takes the object's newer version: labels, annotations, conditions of others. Its spec does not change. */
  update(pod: PodObject): void {
    this.#runtime.pod = pod;
  }

  start(): void {
    this.#life = this.#live();
    const { activeDeadlineSeconds } = this.pod.spec;
    if (activeDeadlineSeconds === undefined) return;
    this.#runtime.clock
      .sleep(activeDeadlineSeconds * 1000, this.#stop.signal)
      .then(() => {
        this.#failure = {
          reason: 'DeadlineExceeded',
          message: 'Pod was active on the node longer than the specified deadline',
        };
        return this.end(0);
      })
      .catch(() => undefined);
  }

  status(): PodStatus {
    const runtime = this.#runtime;
    return podStatus({
      pod: this.pod,
      now: runtime.stamp(),
      startTime: this.#startTime,
      hostIps: runtime.hostIps,
      podIps: runtime.podIps(),
      sandboxReady: runtime.hasSandbox(),
      initialized: this.#initialized,
      containers: this.#containers.map((worker) => worker.status()),
      initContainers: this.#inits.map((worker) => worker.status()),
      stopped: this.#stopped,
      failure: this.#failure,
    });
  }

  /** The running process of a container, and how often it was started before. */
  find(name: string): { running: RunningContainer | undefined; attempt: number } | undefined {
    return [...this.#containers, ...this.#inits].find(({ container }) => container.name === name);
  }

  /** Refreshes volumes and tokens; what waits for a missing config map or secret looks again at once. */
  async refresh(): Promise<void> {
    this.#wake.resolve();
    if (!this.#mounted) return;
    if (this.#ending === undefined && this.#runtime.hasSandbox()) await this.#runtime.fillVolumes(true);
  }

  /** Ends the pod: containers first, sidecars after them, then network and files. Repeated calls wait for the first. */
  end(graceSeconds?: number): Promise<void> {
    this.#ending ??= this.#end(graceSeconds ?? this.pod.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS);
    return this.#ending;
  }

  async #end(graceSeconds: number): Promise<void> {
    this.#stop.abort();
    const graceMs = graceSeconds * 1000;
    const began = this.#runtime.clock.monotonic();
    const left = (): number =>
      Math.max(graceSeconds === 0 ? 0 : 100, graceMs - (this.#runtime.clock.monotonic() - began));
    for (const { container, running } of this.#containers) {
      if (running !== undefined)
        this.#runtime.event('Normal', 'Killing', `Stopping container ${container.name}`, container);
    }
    await Promise.all(this.#containers.map((worker) => worker.stop(graceMs)));
    for (const worker of this.#inits.toReversed()) await worker.stop(left());
    await this.#life;
    this.#stopped = true;
    await this.#runtime.teardown();
    this.#onChange(this);
  }

  async #live(): Promise<void> {
    const policy = (this.pod.spec.restartPolicy ?? 'Always') as RestartPolicy;
    await this.#until('FailedCreatePodSandBox', 'Failed to create pod sandbox', () => this.#runtime.makeSandbox());
    await this.#until('FailedMount', 'MountVolume.SetUp failed', () => this.#runtime.fillVolumes(false));
    this.#mounted = true;
    this.#onChange(this);
    for (const worker of this.#inits) {
      if (this.#stop.signal.aborted) return;
      if (isSidecar(worker.container)) {
        void worker.run('Always');
        await Promise.race([worker.whenStarted, aborted(this.#stop.signal)]);
        continue;
      }
      const exit = await worker.run(policy === 'Always' ? 'OnFailure' : policy);
      if (this.#stop.signal.aborted) return;
      if (exit?.code !== 0) return this.#finish();
    }
    if (this.#stop.signal.aborted) return;
    this.#initialized = true;
    this.#onChange(this);
    await Promise.all(this.#containers.map((worker) => worker.run(policy)));
    if (!this.#stop.signal.aborted) this.#finish();
  }

  /** All containers have ended by themselves: the pod's work is over, and so is its network. */
  #finish(): void {
    this.#onChange(this);
    void this.end(0);
  }

  async #until(reason: string, what: string, attempt: () => Promise<void>): Promise<void> {
    const pause = new Backoff({ initialMs: RETRY_INITIAL_MS, maxMs: RETRY_MAX_MS });
    while (!this.#stop.signal.aborted) {
      try {
        await attempt();
        return;
      } catch (error) {
        this.#runtime.event('Warning', reason, `${what}: ${describeError(error)}`);
        this.#wake = Promise.withResolvers<void>();
        const slept = this.#runtime.clock.sleep(pause.next(), this.#stop.signal).catch(() => undefined);
        await Promise.race([slept, this.#wake.promise]);
      }
    }
  }

  #host(): ConstructorParameters<typeof ContainerWorker>[1] {
    const runtime = this.#runtime;
    return {
      clock: runtime.clock,
      start: (container, attempt) => runtime.startContainer(container, attempt),
      podIp: () => runtime.podIps()[0] ?? '',
      changed: () => this.#onChange(this),
      event: (type, reason, message, container) => runtime.event(type, reason, message, container),
    };
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
