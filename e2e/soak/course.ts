// SPDX-License-Identifier: Apache-2.0
// The course of a soak: rest, load, rest, load, rest. Under load memory is looked at every few seconds; at rest, when what is under way has ended
// and what can be given back was, memory and descriptors.
import { setTimeout as delay } from 'node:timers/promises';
import type { Rest, Sample } from './verdict.ts';

/** Pools, rings and heaps give back what they hold within this. */
const QUIET_MS = 15_000;
const SAMPLE_MS = 5000;

/** A program under soak, all its processes together. */
export interface Soaked {
  memoryMb(): number;
  descriptors(): number;
}

export interface CourseOptions {
  /** Of load, both halves. */
  readonly seconds: number;
  readonly programs: readonly Soaked[];
  /** Loads them for so long. */
  readonly load: (seconds: number) => Promise<void>;
  /** What else has happened, for the line of a sample. */
  readonly detail: () => string;
  readonly signal: AbortSignal;
}

export interface Course {
  readonly samples: readonly Sample[];
  /** Before the load, half-way and at the end. */
  readonly rests: readonly Rest[];
  /** Seconds of load. */
  readonly seconds: number;
}

export async function runCourse({ detail, load, programs, seconds, signal }: CourseOptions): Promise<Course> {
  const samples: Sample[] = [];
  const rests: Rest[] = [];
  let loaded = 0;
  const memory = (): number[] => programs.map((one) => one.memoryMb());
  const rest = async (): Promise<void> => {
    await delay(QUIET_MS, undefined, { signal });
    const held = { second: loaded, memoryMb: memory(), descriptors: programs.map((one) => one.descriptors()) };
    rests.push(held);
    console.log(line(held, 'at rest'));
  };
  const half = async (): Promise<void> => {
    const [before, began] = [loaded, performance.now()];
    let over = false;
    const passed = (): number => before + (performance.now() - began) / 1000;
    const watch = async (): Promise<void> => {
      for (await delay(SAMPLE_MS); !over; await delay(SAMPLE_MS)) {
        const sample = { second: passed(), memoryMb: memory() };
        samples.push(sample);
        console.log(line(sample, detail()));
      }
    };
    const loading = load(seconds / 2).finally(() => {
      over = true;
      loaded = passed();
    });
    await Promise.all([loading, watch()]);
  };
  await rest();
  for (let k = 0; k < 2; k++) {
    await half();
    await rest();
  }
  return { samples, rests, seconds: loaded };
}

function line({ memoryMb, second }: Sample, detail: string): string {
  const held = memoryMb.map((mb) => `${mb.toFixed(0)} MB`).join(', ');
  return `  ${second.toFixed(0).padStart(4)} s  ${held}  ${detail}`;
}
