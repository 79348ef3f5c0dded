// SPDX-License-Identifier: Apache-2.0
// Fuzzing with what Node brings: a corpus of files under `testdata/`, a seeded byte mutator, a time budget. An input
// that breaks its target is written into the corpus, and every run begins by replaying the corpus: a find stays found.
//   FUZZ_SECONDS     budget of each target, times its weight (default 2)
//   FUZZ_EXECUTIONS  a target that has made so many ends before its time is over
//   FUZZ_SEED        repeats a run (default: by the clock; printed)
// Besides what a target throws, an input that takes more than ten seconds is a find, and so is a heap that grows.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { FuzzWatch } from './fuzz-watch.ts';
import { SeededRandom } from './random.ts';

/** What is fuzzed. */
export interface FuzzTarget {
  /** A sentence about what must hold for every input. */
  readonly name: string;
  /** Folder of the corpus; finds go there. */
  readonly corpus: string;
  /** Inputs to start from, beside the corpus. */
  readonly seeds: readonly Buffer[];
  /** Throws if the promise is broken for this input. */
  readonly run: (input: Buffer) => void;
  /** Longest input, octets. */
  readonly maxBytes?: number;
  /** How much more time it gets than others (default 1): for slow ones, and those that read what strangers send. */
  readonly weight?: number;
}

/** No input may take so long. */
const HANG_MS = 10_000;
/** What the heap may be larger after a run than after its first quarter, octets. */
const MOST_GROWTH = 32 << 20;
const BATCH = 64;

const EDGES = [0, 1, 2, 4, 5, 8, 9, 16, 31, 32, 63, 64, 126, 127, 128, 129, 191, 192, 223, 224, 254, 255];

/** Registers the target as a test. */
export function fuzz(target: FuzzTarget): void {
  const seconds = Number(process.env['FUZZ_SECONDS'] ?? 2) * (target.weight ?? 1);
  const most = Number(process.env['FUZZ_EXECUTIONS'] ?? Number.POSITIVE_INFINITY);
  const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 1_000_000_000);
  test(target.name, { timeout: (seconds + 120) * 1000 }, async (context) => {
    const corpus = [...readCorpus(target.corpus), ...target.seeds];
    const watch = new FuzzWatch(target.name, target.corpus, HANG_MS);
    try {
      for (const input of corpus) attempt(target, input, seed, watch);
      const random = new SeededRandom(seed);
      const began = performance.now();
      let executions = corpus.length;
      let settled = 0;
      for (let spent = 0; spent < seconds * 1000 && executions < most; spent = performance.now() - began) {
        for (let i = 0; i < BATCH; i++) attempt(target, mutate(corpus, random, target.maxBytes ?? 4096), seed, watch);
        executions += BATCH;
        if (settled === 0 && (spent > seconds * 250 || executions > most / 4)) settled = heapAfterCollection();
      }
      const growth = settled === 0 ? 0 : heapAfterCollection() - settled;
      context.diagnostic(
        `${executions.toLocaleString('en')} executions in ${((performance.now() - began) / 1000).toFixed(1)} s, ` +
          `growth ${(growth / 1024).toFixed(0)} kB, FUZZ_SEED=${seed}`,
      );
      assert.ok(growth < MOST_GROWTH, `${target.name}: the heap grew by ${growth} octets (FUZZ_SEED=${seed})`);
    } finally {
      await watch.stop();
    }
  });
}

/** Octets of live objects and buffers. */
function heapAfterCollection(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  // V8 keeps what it compiled, expressions too, for a few collections.
  for (let i = 0; i < 8; i++) collect();
  const { arrayBuffers, heapUsed } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

function readCorpus(folder: string): Buffer[] {
  try {
    return readdirSync(folder)
      .sort()
      .map((name) => readFileSync(join(folder, name)));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function attempt(target: FuzzTarget, input: Buffer, seed: number, watch: FuzzWatch): void {
  watch.next(input);
  try {
    target.run(input);
  } catch (error) {
    const name = `find-${createHash('sha256').update(input).digest('hex').slice(0, 12)}`;
    mkdirSync(target.corpus, { recursive: true });
    writeFileSync(join(target.corpus, name), input);
    throw new Error(`${target.name}: broken by ${join(target.corpus, name)} (FUZZ_SEED=${seed})`, { cause: error });
  }
}

/** A new input from one or two of the corpus. */
export function mutate(corpus: readonly Buffer[], random: SeededRandom, maxBytes: number): Buffer {
  let input: Buffer = corpus.length === 0 ? random.bytes(random.below(64)) : Buffer.from(random.pick(corpus));
  for (let steps = 1 + random.below(6); steps > 0; steps--) input = mutateOnce(input, corpus, random);
  return input.length > maxBytes ? input.subarray(0, maxBytes) : input;
}

function mutateOnce(input: Buffer, corpus: readonly Buffer[], random: SeededRandom): Buffer {
  const at = random.below(input.length + 1);
  const to = Math.min(input.length, at + 1 + random.below(16));
  switch (random.below(8)) {
    case 0:
      return change(input, at, (octet) => octet ^ (1 << random.below(8)));
    case 1:
      return change(input, at, () => random.pick(EDGES));
    case 2:
      return change(input, at, (octet) => octet + random.below(9) - 4);
    case 3:
      return Buffer.concat([input.subarray(0, at), random.bytes(1 + random.below(8)), input.subarray(at)]);
    case 4:
      return Buffer.concat([input.subarray(0, at), input.subarray(to)]);
    case 5:
      return Buffer.concat([input.subarray(0, to), input.subarray(at)]);
    case 6:
      return input.subarray(0, at);
    default: {
      const other = corpus.length === 0 ? input : random.pick(corpus);
      return Buffer.concat([input.subarray(0, at), other.subarray(random.below(other.length + 1))]);
    }
  }
}

function change(input: Buffer, at: number, by: (octet: number) => number): Buffer {
  if (at >= input.length) return input;
  const changed = Buffer.from(input);
  changed[at] = by(changed[at]!) & 255;
  return changed;
}
