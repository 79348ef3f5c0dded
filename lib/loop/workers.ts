// SPDX-License-Identifier: Apache-2.0
// The main process's side: starts N data-plane processes, watches them, replaces those that die or hang, and stops them in order.
//
//   starting ──ready──▶ running ──exit, signal or wedge──▶ (restart pause) ──▶ starting ...
//                          └──────stop()──▶ stopping ──exit──▶ gone
//
// A crash costs the connections of that one process; the log says which signal, what the flight recorder saw last and what was cut.
import { type ChildProcess, spawn } from 'node:child_process';
import type { Logger } from '#lib/kit/log.ts';
import { close } from '#lib/linux/calls.ts';
import { seqpacketPair } from '#lib/linux/message.ts';
import type { ChannelHandler } from './channel.ts';
import type { FdWatch } from './fd-watch.ts';
import { MainChannel } from './main-channel.ts';
import { Counters } from './shared/counters.ts';
import { type LineKind, LogConsumer } from './shared/log-ring.ts';
import { formatEvents, Recorder } from './shared/recorder.ts';
import { Vitals } from './shared/vitals.ts';
import { lookAtProcess, Watchdog } from './watchdog.ts';
import { LOOP_EVENTS, WORKER_FLAG, type WorkerArgument } from './worker.ts';

/** How often processes are judged and their logs emptied, in ms: while something happens in them, and at rest. */
const LOOK_MS = 100;
const REST_MS = 250;
/** A process that does not become ready in this time is replaced. */
const START_MS = 15_000;
/** Not before it got this much time on a core: another would get no more of it on a machine that busy, and begin anew. */
const START_CPU_MS = 3000;
/** Nothing excuses that. */
const START_STARVED_MS = 90_000;
/** A process that lived this long is replaced at once; shorter lives wait longer each time. */
const HEALTHY_MS = 5000;
const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 10_000;
const RECORDED_EVENTS = 12;

export interface WorkersOptions {
  /** How many processes. */
  readonly count: number;
  /** The script that calls runWorker when it finds WORKER_FLAG, and its other arguments. */
  readonly script: string;
  readonly args?: readonly string[];
  /** Flags for Node itself. */
  readonly execArgv?: readonly string[];
  /** Environment of the processes; nothing is inherited unless it is given here. */
  readonly env: Readonly<Record<string, string>>;
  readonly log: Logger;
  readonly watch: FdWatch;
  /** Descriptors of further regions that every process gets, by name. They stay the caller's. */
  readonly memory?: Readonly<Record<string, number>>;
  readonly counterSlots?: number;
  readonly logBytes?: number;
  /** Ms that open connections get when this process dies. */
  readonly drainMs: number;
  /** Names of the program's own flight recorder entries. */
  readonly eventNames?: Readonly<Record<number, string>>;
  readonly handler: WorkersHandler;
}

/** Who is told of the processes. */
export interface WorkersHandler {
  /** A process was started; its settings can be sent at once. */
  onStart(worker: WorkerProcess): void;
  onMessage(worker: WorkerProcess, bytes: Uint8Array, fds: number[]): void;
  onLine(worker: WorkerProcess, kind: LineKind, line: Buffer): void;
  /** It is gone; its counters can be read for the last time. */
  onEnd(worker: WorkerProcess, end: WorkerEnd): void;
}

/** How a process ended. */
export interface WorkerEnd {
  /** "exit 0", "SIGSEGV", "wedged (state T), killed". */
  readonly how: string;
  readonly expected: boolean;
  /** Application connections and tunnels that ended with it. */
  readonly cutConnections: number;
  readonly cutTunnels: number;
}

/** One data-plane process as the main process sees it. */
export class WorkerProcess {
  readonly index: number;
  readonly vitals = Vitals.create();
  readonly counters: Counters;
  readonly log: LogConsumer;
  readonly recorder = Recorder.create();
  readonly startedAt = performance.now();
  readonly watchdog = new Watchdog(performance.now());
  /** Why it was killed, if it was. */
  killedFor: string | undefined;
  readonly #child: ChildProcess;
  readonly #channel: MainChannel;

  constructor(index: number, options: WorkersOptions, handler: (worker: WorkerProcess) => ChannelHandler) {
    this.index = index;
    this.counters = Counters.create(options.counterSlots ?? 4096);
    this.log = LogConsumer.create(options.logBytes ?? 1 << 20);
    const [mine, theirs] = seqpacketPair();
    const regions = [this.vitals.fd, this.counters.fd, this.log.fd, this.recorder.fd];
    const memory = Object.entries(options.memory ?? {});
    const argument: WorkerArgument = {
      index,
      drainMs: options.drainMs,
      descriptors: {
        channel: 3,
        vitals: 4,
        counters: 5,
        log: 6,
        recorder: 7,
        memory: Object.fromEntries(memory.map(([name], n) => [name, 8 + n])),
      },
    };
    const flags = ['--disable-warning=ExperimentalWarning', ...(options.execArgv ?? [])];
    const args = [...flags, options.script, ...(options.args ?? []), WORKER_FLAG + JSON.stringify(argument)];
    this.#child = spawn(process.execPath, args, {
      env: options.env,
      // A session of its own: a terminal's Ctrl-C is the main process's to handle.
      detached: true,
      stdio: ['ignore', 'inherit', 'inherit', theirs, ...regions, ...memory.map(([, fd]) => fd)],
    });
    close(theirs);
    for (const fd of regions) close(fd);
    this.#channel = new MainChannel(options.watch, mine, handler(this));
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get alive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null && this.#child.pid !== undefined;
  }

  send(bytes: Uint8Array, fds?: readonly number[]): boolean {
    return this.#channel.send(bytes, fds);
  }

  sendJson(value: unknown, fds?: readonly number[]): boolean {
    return this.#channel.sendJson(value, fds);
  }

  /** Calls `ended` once, when the process is gone or could not be started. */
  onceEnded(ended: (how: string) => void): void {
    this.#child.once('error', (error) => ended(`could not start: ${error.message}`));
    this.#child.once('exit', (code, signal) => ended(signal ?? `exit ${code}`));
  }

  kill(signal: NodeJS.Signals): void {
    if (this.alive) this.#child.kill(signal);
  }

  closeChannel(): void {
    this.#channel.close();
  }
}

/** All data-plane processes of one program. */
export class Workers {
  readonly #options: WorkersOptions;
  readonly #workers: (WorkerProcess | undefined)[];
  readonly #pauses: number[];
  readonly #restarts = new Set<NodeJS.Timeout>();
  #timer: NodeJS.Timeout | undefined;
  /** Handled by all processes at the last look. */
  #events = 0;
  #stopping = false;
  #whenEmpty: (() => void) | undefined;

  constructor(options: WorkersOptions) {
    this.#options = options;
    this.#workers = new Array(options.count).fill(undefined);
    this.#pauses = new Array(options.count).fill(0);
  }

  start(): void {
    for (let index = 0; index < this.#options.count; index++) this.#startOne(index);
    this.#lookSoon(LOOK_MS);
  }

  /** Processes that live now. */
  list(): WorkerProcess[] {
    return this.#workers.filter((worker) => worker !== undefined);
  }

  broadcastJson(value: unknown, fds?: readonly number[]): void {
    for (const worker of this.list()) worker.sendJson(value, fds);
  }

  /**
   * Waits until all processes have ended, which the program has asked them to do by message; those that live
   * after `deadlineMs` are killed. None is replaced from now on.
   */
  async stop(deadlineMs: number): Promise<void> {
    this.#stopping = true;
    for (const timer of this.#restarts) clearTimeout(timer);
    const killer = setTimeout(() => {
      for (const worker of this.list()) this.#kill(worker, 'did not end in time');
    }, deadlineMs);
    await new Promise<void>((resolve) => {
      this.#whenEmpty = resolve;
      this.#checkEmpty();
    });
    clearTimeout(killer);
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #startOne(index: number): void {
    const { handler } = this.#options;
    const worker = new WorkerProcess(index, this.#options, (of) => ({
      onMessage: (bytes, fds) => handler.onMessage(of, bytes, fds),
      onClosed: (reason) => this.#options.log.debug('channel of a data-plane process closed', { index, reason }),
    }));
    this.#workers[index] = worker;
    let over = false;
    worker.onceEnded((how) => {
      if (over) return;
      over = true;
      this.#ended(worker, how);
    });
    handler.onStart(worker);
  }

  #ended(worker: WorkerProcess, how: string): void {
    const { index } = worker;
    this.#workers[index] = undefined;
    worker.closeChannel();
    worker.log.drain((kind, line) => this.#options.handler.onLine(worker, kind, line));
    const end: WorkerEnd = {
      how: worker.killedFor ? `${worker.killedFor}, killed` : how,
      expected: this.#stopping && how === 'exit 0',
      cutConnections: worker.vitals.connections,
      cutTunnels: worker.vitals.tunnels,
    };
    this.#report(worker, end);
    this.#options.handler.onEnd(worker, end);
    if (this.#stopping) this.#checkEmpty();
    else this.#restart(worker);
  }

  #report(worker: WorkerProcess, end: WorkerEnd): void {
    const { index, pid, recorder, vitals } = worker;
    if (end.expected) {
      this.#options.log.info('data-plane process ended', { index, pid });
      return;
    }
    const names = { ...EVENT_NAMES, ...this.#options.eventNames };
    this.#options.log.error('data-plane process ended unexpectedly', {
      index,
      pid,
      how: end.how,
      cutConnections: end.cutConnections,
      cutTunnels: end.cutTunnels,
      turns: vitals.turns,
      longestTurnMs: Math.round(vitals.longestTurnMs),
      lastEvents: formatEvents(recorder.last(RECORDED_EVENTS), names),
    });
  }

  #restart({ index, startedAt }: WorkerProcess): void {
    const healthy = performance.now() - startedAt >= HEALTHY_MS;
    const pause = healthy ? 0 : this.#pauses[index]!;
    this.#pauses[index] = healthy ? FIRST_PAUSE_MS : Math.min(MAX_PAUSE_MS, Math.max(FIRST_PAUSE_MS, pause * 2));
    const timer = setTimeout(() => {
      this.#restarts.delete(timer);
      if (!this.#stopping) this.#startOne(index);
    }, pause);
    this.#restarts.add(timer);
  }

  #lookSoon(ms: number): void {
    this.#timer = setTimeout(() => {
      const events = this.#look();
      const resting = events === this.#events;
      this.#events = events;
      if (this.#timer !== undefined) this.#lookSoon(resting ? REST_MS : LOOK_MS);
    }, ms);
  }

  /** Returns the events of all processes so far. */
  #look(): number {
    const now = performance.now();
    let events = 0;
    for (const worker of this.list()) {
      events += worker.vitals.ready ? worker.vitals.events : Number.NaN;
      worker.log.drain((kind, line) => this.#options.handler.onLine(worker, kind, line));
      if (worker.vitals.ready) this.#judge(worker, now);
      else this.#judgeStart(worker, now - worker.startedAt);
    }
    return events;
  }

  #judgeStart(worker: WorkerProcess, ageMs: number): void {
    if (ageMs < START_MS) return;
    const cpuMs = worker.pid === undefined ? 0 : (lookAtProcess(worker.pid)?.cpuMs ?? 0);
    if (cpuMs < START_CPU_MS && ageMs < START_STARVED_MS) return;
    this.#kill(worker, 'did not become ready');
  }

  #judge(worker: WorkerProcess, now: number): void {
    const pid = worker.pid;
    if (pid === undefined || !worker.alive) return;
    const verdict = worker.watchdog.judge(now, worker.vitals.beat, () => lookAtProcess(pid));
    if (verdict.kind === 'starved') {
      this.#options.log.debug('data-plane process gets no processor time', { index: worker.index, pid, ...verdict });
    }
    if (verdict.kind === 'wedged') {
      this.#kill(worker, `wedged for ${Math.round(verdict.silentMs)} ms (state ${verdict.state})`);
    }
  }

  #kill(worker: WorkerProcess, why: string): void {
    worker.killedFor ??= why;
    worker.kill('SIGKILL');
  }

  #checkEmpty(): void {
    if (this.list().length === 0) this.#whenEmpty?.();
  }
}

const EVENT_NAMES = Object.fromEntries(Object.entries(LOOP_EVENTS).map(([name, kind]) => [kind, name]));
