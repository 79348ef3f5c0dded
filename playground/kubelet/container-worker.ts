// SPDX-License-Identifier: Apache-2.0
// Looks after one container of a pod: starts it, probes it, restarts it by the pod's policy with growing pauses, stops it
// with grace. What it does is told by `status()`; it calls `changed` whenever that differs.
//
//   waiting ──start──▶ running ──exit──▶ terminated ──policy──▶ waiting (CrashLoopBackOff) ──▶ …
import { setTimeout as delay } from 'node:timers/promises';
import { Backoff } from '#lib/kit/backoff.ts';
import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import type { ContainerExit, RunningContainer } from './container.ts';
import type { Container, ContainerState, ContainerStatus, Handler, Probe } from './pod.ts';
import { type ProbeTarget, ProbeVerdict, probeOnce } from './probe.ts';

/** Shorter than a kubelet's 10 s and 5 min: on one machine one waits for a pod, not for a registry. */
const RESTART_INITIAL_MS = 1_000;
const RESTART_MAX_MS = 30_000;
/** A container that ran this long starts over with the shortest pause. */
const STEADY_MS = 60_000;
/** How often readiness is asked for before a container was ever ready: at first, and after that many questions. */
const EAGER_MS = 250;
const EAGER_LATER_MS = 1_000;
const EAGER_PROBES = 40;

export type RestartPolicy = 'Always' | 'OnFailure' | 'Never';

export interface ContainerHost {
  readonly clock: Clock;
  /** Starts one run. Throws when the container cannot be made. */
  start(container: Container, attempt: number): Promise<{ running: RunningContainer; id: string }>;
  /** The pod's first address, for probes. */
  podIp(): string;
  changed(): void;
  event(type: 'Normal' | 'Warning', reason: string, message: string, container: Container): void;
}

export class ContainerWorker {
  readonly container: Container;
  readonly #host: ContainerHost;
  readonly #started = Promise.withResolvers<void>();
  #state: ContainerState = { waiting: { reason: 'ContainerCreating' } };
  #lastState: ContainerState | Record<string, never> = {};
  #restartCount = 0;
  #ready = false;
  /** Whether this run has ever been ready. */
  #wasReady = false;
  #hasStarted = false;
  #id: string | undefined;
  #running: RunningContainer | undefined;
  #stopping = false;
  readonly #stopped = new AbortController();

  /** `before`: the status this container had in an earlier life of the kubelet. */
  constructor(container: Container, host: ContainerHost, before: ContainerStatus | undefined, initial: string) {
    this.container = container;
    this.#host = host;
    this.#state = { waiting: { reason: initial } };
    if (before !== undefined && before.containerID !== undefined) {
      this.#restartCount = before.restartCount + 1;
      this.#lastState = 'terminated' in before.state ? before.state : lost(before, host.clock.now());
    }
  }

  get running(): RunningContainer | undefined {
    return this.#running;
  }

  get attempt(): number {
    return this.#restartCount;
  }

  /** Resolves when the container has started for the first time: it runs, and its startup probe passed. */
  get whenStarted(): Promise<void> {
    return this.#started.promise;
  }

  status(): ContainerStatus {
    const image = this.container.image ?? '';
    return {
      name: this.container.name,
      state: this.#state,
      lastState: this.#lastState,
      ready: this.#ready,
      started: this.#hasStarted,
      restartCount: this.#restartCount,
      image,
      imageID: image === '' ? '' : `ambit://${image}`,
      ...(this.#id === undefined ? {} : { containerID: `ambit://${this.#id}` }),
    };
  }

  /** Runs the container, again and again as `policy` says. Resolves with the last exit, or undefined when stopped first. */
  async run(policy: RestartPolicy): Promise<ContainerExit | undefined> {
    const pause = new Backoff({ initialMs: RESTART_INITIAL_MS, maxMs: RESTART_MAX_MS });
    let exit: ContainerExit | undefined;
    while (!this.#stopping) {
      const began = this.#host.clock.monotonic();
      exit = await this.#runOnce();
      if (this.#stopping) return exit;
      const again = policy === 'Always' || (policy === 'OnFailure' && exit?.code !== 0) || exit === undefined;
      if (!again) return exit;
      if (this.#host.clock.monotonic() - began > STEADY_MS) pause.reset();
      const waitMs = pause.next();
      if (exit !== undefined) {
        const message = `back-off ${Math.round(waitMs / 1000)}s restarting failed container=${this.container.name}`;
        this.#lastState = this.#state;
        this.#host.event(
          'Warning',
          'BackOff',
          `Back-off restarting failed container ${this.container.name}`,
          this.container,
        );
        this.#set({ waiting: { reason: 'CrashLoopBackOff', message } });
      }
      await this.#host.clock.sleep(waitMs, this.#stopped.signal).catch(() => undefined);
      if (exit !== undefined && !this.#stopping) this.#restartCount += 1;
    }
    return exit;
  }

  /** Ends the container: its preStop handler, SIGTERM, and SIGKILL when the grace is used up. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    this.#stopped.abort();
    await this.#end(graceMs);
  }

  async #runOnce(): Promise<ContainerExit | undefined> {
    const { container } = this;
    let started: { running: RunningContainer; id: string };
    try {
      started = await this.#host.start(container, this.#restartCount);
    } catch (error) {
      const reason = isConfigError(error) ? 'CreateContainerConfigError' : 'RunContainerError';
      this.#host.event('Warning', 'Failed', `Error: ${describeError(error)}`, container);
      this.#set({ waiting: { reason, message: describeError(error) } });
      return undefined;
    }
    const startedAt = stamp(this.#host.clock);
    this.#running = started.running;
    this.#id = started.id;
    this.#hasStarted = container.startupProbe === undefined;
    this.#ready = this.#hasStarted && container.readinessProbe === undefined;
    this.#wasReady = false;
    this.#host.event('Normal', 'Started', `Started container ${container.name}`, container);
    this.#set({ running: { startedAt } });
    if (this.#stopping) started.running.signal('SIGKILL');
    const ended = new AbortController();
    const probing = this.#watchOver(ended.signal);
    const exit = await started.running.exited;
    ended.abort();
    await probing;
    this.#running = undefined;
    this.#ready = false;
    this.#hasStarted = false;
    this.#set({
      terminated: {
        exitCode: exit.code,
        ...(exit.signal === undefined ? {} : { signal: exit.signal }),
        reason: exit.code === 0 ? 'Completed' : 'Error',
        startedAt,
        finishedAt: stamp(this.#host.clock),
        containerID: `ambit://${started.id}`,
      },
    });
    return exit;
  }

  /** Everything that goes on beside a running container: postStart, then startup, then liveness and readiness probes. */
  async #watchOver(ended: AbortSignal): Promise<void> {
    const { lifecycle, livenessProbe, readinessProbe, startupProbe } = this.container;
    if (lifecycle?.postStart !== undefined && !(await this.#handle(lifecycle.postStart, 30_000))) {
      this.#host.event('Warning', 'FailedPostStartHook', 'PostStartHook failed', this.container);
      void this.#end(this.#shortGraceMs());
      return;
    }
    if (startupProbe !== undefined) {
      const passed = await this.#untilStarted(startupProbe, ended);
      if (!passed) return;
    }
    if (ended.aborted) return;
    this.#hasStarted = true;
    this.#started.resolve();
    if (readinessProbe === undefined) this.#ready = true;
    this.#host.changed();
    await Promise.all([
      livenessProbe === undefined ? undefined : this.#keepAlive(livenessProbe, ended),
      readinessProbe === undefined ? undefined : this.#keepReady(readinessProbe, ended),
    ]);
  }

  async #untilStarted(probe: Probe, ended: AbortSignal): Promise<boolean> {
    const verdict = new ProbeVerdict(probe, false);
    for await (const result of this.#probe(probe, 'Startup', ended)) {
      if (!verdict.take(result)) continue;
      if (!verdict.passed) this.#kill('failed startup probe');
      return verdict.passed;
    }
    return false;
  }

  async #keepAlive(probe: Probe, ended: AbortSignal): Promise<void> {
    const verdict = new ProbeVerdict(probe, true);
    for await (const result of this.#probe(probe, 'Liveness', ended)) {
      if (verdict.take(result) && !verdict.passed) return this.#kill('failed liveness probe');
    }
  }

  async #keepReady(probe: Probe, ended: AbortSignal): Promise<void> {
    const verdict = new ProbeVerdict(probe, false);
    for await (const result of this.#probe(probe, 'Readiness', ended)) {
      if (!verdict.take(result) || verdict.passed === this.#ready) continue;
      this.#ready = verdict.passed;
      this.#wasReady ||= verdict.passed;
      this.#host.changed();
    }
  }

  async *#probe(probe: Probe, kind: string, ended: AbortSignal): AsyncGenerator<boolean> {
    const { initialDelaySeconds = 0, periodSeconds = 10, timeoutSeconds = 1 } = probe;
    let waitMs = initialDelaySeconds * 1000;
    for (let asked = 0; !ended.aborted; asked++) {
      await delay(waitMs, undefined, { signal: ended }).catch(() => undefined);
      if (ended.aborted) return;
      const { ok, message } = await probeOnce(probe, this.#target(), timeoutSeconds * 1000);
      if (ended.aborted) return;
      // A container that has not been ready yet is asked more often than every period, or start-up would last whole periods.
      const eager = kind === 'Readiness' && !ok && !this.#wasReady;
      if (!ok && !(eager && asked < EAGER_PROBES)) {
        this.#host.event('Warning', 'Unhealthy', `${kind} probe failed: ${message}`, this.container);
      }
      yield ok;
      const pauseMs = asked < EAGER_PROBES ? EAGER_MS : EAGER_LATER_MS;
      waitMs = eager ? Math.min(pauseMs, periodSeconds * 1000) : periodSeconds * 1000;
    }
  }

  #target(): ProbeTarget {
    return {
      container: this.container,
      podIp: this.#host.podIp(),
      exec: async (command, timeoutMs) => {
        const running = this.#running;
        if (running === undefined) return { code: 1, output: 'the container is not running' };
        return await collect(running, command, timeoutMs);
      },
    };
  }

  #kill(why: string): void {
    this.#host.event('Normal', 'Killing', `Container ${this.container.name} ${why}, will be restarted`, this.container);
    void this.#end(this.#shortGraceMs());
  }

  #shortGraceMs(): number {
    return 10_000;
  }

  async #end(graceMs: number): Promise<void> {
    const running = this.#running;
    if (running === undefined) return;
    const deadline = delay(graceMs, 'late' as const, { ref: false });
    const { preStop } = this.container.lifecycle ?? {};
    if (preStop !== undefined && graceMs > 0) await Promise.race([this.#handle(preStop, graceMs), deadline]);
    if (graceMs > 0) running.signal('SIGTERM');
    if ((await Promise.race([running.exited, deadline])) === 'late') running.signal('SIGKILL');
    await running.exited;
  }

  async #handle(handler: Handler, timeoutMs: number): Promise<boolean> {
    if (handler.sleep !== undefined) {
      await delay(handler.sleep.seconds * 1000, undefined, { ref: false });
      return true;
    }
    return (await probeOnce(handler, this.#target(), timeoutMs)).ok;
  }

  #set(state: ContainerState): void {
    this.#state = state;
    this.#host.changed();
  }
}

async function collect(
  running: RunningContainer,
  command: readonly string[],
  timeoutMs: number,
): Promise<{ code: number; output: string }> {
  const child = running.exec(command);
  let output = '';
  const take = (chunk: Buffer): void => {
    if (output.length < 10_240) output += chunk.toString('utf8');
  };
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  child.stdin.end();
  const limit = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  const code = await new Promise<number>((resolve) => {
    child.once('error', () => resolve(126));
    child.once('close', (status) => resolve(status ?? 137));
  });
  clearTimeout(limit);
  return { code, output };
}

function isConfigError(error: unknown): boolean {
  const code = (error as { code?: unknown })?.code;
  return code === 'ENV_SOURCE' || code === 'IMAGE_UNKNOWN' || code === 'IMAGE_COMMAND' || code === 'RUN_AS_NON_ROOT';
}

/** A container that ran when the node went down. */
function lost(before: ContainerStatus, now: number): ContainerState {
  const finishedAt = new Date(now).toISOString().replace(/\.\d+Z$/, 'Z');
  const startedAt = 'running' in before.state ? before.state.running.startedAt : finishedAt;
  return { terminated: { exitCode: 255, reason: 'Unknown', startedAt, finishedAt } };
}

function stamp(clock: Clock): string {
  return new Date(clock.now()).toISOString().replace(/\.\d+Z$/, 'Z');
}
