// SPDX-License-Identifier: Apache-2.0
// The child's side of a data-plane process: takes over what the main process handed it, proves the ground it stands on, and
// turns the loop until told to stop. If the main process dies, it ends after the drain deadline, and says so.
import { writeSync } from 'node:fs';
import { AmbitError } from '#lib/kit/error.ts';
import { O_NONBLOCK } from '#lib/linux/constants.ts';
import { openHomeNetns } from '#lib/linux/netns.ts';
import {
  addStatusFlags,
  closeOnExec,
  forbidCoreDumps,
  raiseFileLimit,
  setBatchScheduling,
} from '#lib/linux/process.ts';
import { assertGround } from '#lib/linux/selftest.ts';
import { BatchScheduling } from './batch-scheduling.ts';
import { Channel } from './channel.ts';
import { Housekeeping, nodeHeap } from './housekeeping.ts';
import { Loop, type TurnObserver } from './loop.ts';
import { Counters } from './shared/counters.ts';
import { LogProducer } from './shared/log-ring.ts';
import { Recorder } from './shared/recorder.ts';
import { Vitals } from './shared/vitals.ts';
import type { TimerTarget } from './timer-wheel.ts';

/** How a worker is told of its descriptors: JSON after this on its command line. */
export const WORKER_FLAG = '--data-plane=';

/** Kinds of flight recorder entries that the loop itself writes; programs use numbers from 16. */
export const LOOP_EVENTS = Object.freeze({ turn: 1, slowTurn: 2, message: 3, stop: 4 });
const SLOW_TURN_MS = 20;
/**
 * Events at once. What is sent leaves at the end of a turn: with 64 connections p99 is 0.9 of what it is when all events are one turn's, at
 * 0.95 of the rate.
 */
const PORTION = 5;

/** Descriptors in the child, by what they are. */
export interface WorkerDescriptors {
  readonly channel: number;
  readonly vitals: number;
  readonly counters: number;
  readonly log: number;
  readonly recorder: number;
  /** Further regions of the program, by name. */
  readonly memory: Readonly<Record<string, number>>;
}

export interface WorkerArgument {
  readonly index: number;
  /** Ms that open connections get once the main process is gone. */
  readonly drainMs: number;
  readonly descriptors: WorkerDescriptors;
}

/** What a worker has at hand. */
export interface WorkerContext {
  readonly index: number;
  readonly loop: Loop;
  readonly channel: Channel;
  readonly vitals: Vitals;
  readonly counters: Counters;
  readonly log: LogProducer;
  readonly recorder: Recorder;
  /** Descriptors of further regions, by name. */
  readonly memory: Readonly<Record<string, number>>;
  /** Descriptors this process may hold. */
  readonly fileLimit: number;
  /** Ends the loop after this turn; the process exits with `code`. */
  stop(code?: number): void;
}

export interface WorkerOptions {
  /** A crowded loop lets others finish before it runs (batch-scheduling.ts), and then takes its events in portions; on unless told. */
  readonly gathers?: boolean;
}

/** What the program does in a worker. */
export interface WorkerProgram {
  onMessage(bytes: Uint8Array, fds: number[]): void;
  /** The main process is gone: take no new connections; the process ends after `deadlineMs`, or earlier by stop(). */
  onMainGone(deadlineMs: number): void;
}

/** The argument after WORKER_FLAG in `argv`, if this process was started as a worker. Throws WORKER_ARGUMENT. */
export function workerArgument(argv: readonly string[]): WorkerArgument | undefined {
  const text = argv.find((word) => word.startsWith(WORKER_FLAG))?.slice(WORKER_FLAG.length);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as WorkerArgument;
  } catch (cause) {
    throw new AmbitError('WORKER_ARGUMENT', 'the argument of a data-plane process is not JSON', { cause });
  }
}

/** Runs a worker until it is stopped; returns its exit code. Nothing asynchronous runs meanwhile. */
export function runWorker(
  argument: WorkerArgument,
  start: (context: WorkerContext) => WorkerProgram,
  { gathers = true }: WorkerOptions = {},
): number {
  const { descriptors, index, drainMs } = argument;
  for (const fd of Object.values({ ...descriptors, ...descriptors.memory })) {
    if (typeof fd === 'number') closeOnExec(fd);
  }
  forbidCoreDumps();
  const fileLimit = raiseFileLimit();
  openHomeNetns();
  assertGround();

  const vitals = Vitals.open(descriptors.vitals, { writable: true });
  const recorder = Recorder.open(descriptors.recorder, { writable: true });
  const instruments = new Instruments(vitals, recorder);
  const loop = new Loop({ observer: instruments, ...(gathers ? { portion: PORTION } : {}) });
  let exitCode = 0;
  const stop = (code = 0) => {
    exitCode = code;
    loop.stop();
  };
  const end: TimerTarget = { onTimer: () => stop(1) };
  let program: WorkerProgram | undefined;
  addStatusFlags(descriptors.channel, O_NONBLOCK);
  const channel = new Channel(loop, descriptors.channel, {
    onMessage: (bytes, fds) => {
      recorder.note(loop.now, LOOP_EVENTS.message, bytes.length, fds.length);
      program?.onMessage(bytes, fds);
    },
    onClosed: (reason) => {
      writeSync(2, `data-plane process ${index}: the main process is gone (${reason}), ending within ${drainMs} ms\n`);
      loop.after(drainMs, end);
      program?.onMainGone(drainMs);
    },
  });
  // Several times a second, so that the main process can see it live.
  const beat: TimerTarget = { onTimer: () => void loop.afterAbout(1, beat) };
  loop.afterAbout(1, beat);
  instruments.housekeeping = new Housekeeping(loop, nodeHeap());
  // A kernel that refuses loses some speed and nothing else.
  if (gathers) instruments.scheduling = new BatchScheduling(loop, setBatchScheduling);
  program = start({
    index,
    loop,
    channel,
    vitals,
    counters: Counters.open(descriptors.counters, { writable: true }),
    log: LogProducer.open(descriptors.log),
    recorder,
    memory: descriptors.memory,
    fileLimit,
    stop,
  });
  vitals.markReady();
  loop.run();
  recorder.note(loop.now, LOOP_EVENTS.stop, exitCode);
  return exitCode;
}

/** Keeps the vitals, and notes turns that did something in the flight recorder. */
class Instruments implements TurnObserver {
  readonly #vitals: Vitals;
  readonly #recorder: Recorder;
  housekeeping: Housekeeping | null = null;
  scheduling: BatchScheduling | null = null;

  constructor(vitals: Vitals, recorder: Recorder) {
    this.#vitals = vitals;
    this.#recorder = recorder;
  }

  onTurn(events: number, busyMicros: number, flushed: number): void {
    this.#vitals.onTurn(events, busyMicros, flushed);
    this.housekeeping?.onTurn(events, busyMicros);
    this.scheduling?.onTurn(events);
    if (busyMicros < SLOW_TURN_MS * 1000) return;
    this.#recorder.note(performance.now(), LOOP_EVENTS.slowTurn, events, busyMicros / 1000, flushed);
  }
}
