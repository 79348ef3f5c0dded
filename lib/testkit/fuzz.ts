// SPDX-License-Identifier: Apache-2.0
// Fuzzing with what Node brings: a corpus of files under `testdata/`, a seeded byte mutator, a time budget. An input
// that breaks its target is written into the corpus, and every run begins by replaying the corpus: a find stays found.
// An input that ends as none before it did is mutated further, so that rare endings lead to rarer ones.
//   FUZZ_SECONDS     processor time of each target (default 2): how busy the machine is decides how long that lasts, not what is tried
//   FUZZ_EXECUTIONS  at least so many, though it may take four times as long (default 0)
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
  /** Throws if the promise is broken for this input. A text that it returns says, in a few words, how the input ended. */
  readonly run: (input: Buffer) => unknown;
  /** Longest input, octets. */
  readonly maxBytes?: number;
}

/** No input may take so long. */
const HANG_MS = 10_000;
/** What the heap may be larger after a run than after its first quarter, octets. */
const MOST_GROWTH = 32 << 20;
const BATCH = 256;
/** Inputs kept for their endings, at most, and of how many octets: what leads to a rare ending should be quick to try. */
const MOST_KEPT = 512;
const LONGEST_KEPT = 512;

const EDGES = [0, 1, 2, 4, 5, 8, 9, 16, 31, 32, 63, 64, 126, 127, 128, 129, 191, 192, 223, 224, 254, 255];

/** Registers the target as a test. */
export function fuzz(target: FuzzTarget): void {
  const budgetMs = Number(process.env['FUZZ_SECONDS'] ?? 2) * 1000;
  const least = Number(process.env['FUZZ_EXECUTIONS'] ?? 0);
  const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 1_000_000_000);
  // A busy machine gives little processor in much time.
  test(target.name, { timeout: budgetMs * 100 + 600_000 }, async (context) => {
    const corpus = [...readCorpus(target.corpus), ...target.seeds];
    const watch = new FuzzWatch(target.name, target.corpus, HANG_MS);
    const endings = new Set<string>();
    try {
      for (const input of corpus) endings.add(attempt(target, input, seed, watch));
      const random = new SeededRandom(seed);
      const began = performance.now();
      const before = process.cpuUsage();
      const most = corpus.length + MOST_KEPT;
      let executions = corpus.length;
      let settled = 0;
      for (
        let spent = 0;
        spent < budgetMs || (executions < least && spent < 4 * budgetMs);
        spent = spentSince(before)
      ) {
        for (let i = 0; i < BATCH; i++) {
          const input = mutate(corpus, random, target.maxBytes ?? 4096);
          const ending = attempt(target, input, seed, watch);
          if (endings.has(ending) || corpus.length >= most || input.length > LONGEST_KEPT) continue;
          endings.add(ending);
          corpus.push(Buffer.from(input));
        }
        executions += BATCH;
        if (settled === 0 && spent > budgetMs / 4) settled = heapAfterCollection();
      }
      const growth = settled === 0 ? 0 : heapAfterCollection() - settled;
      context.diagnostic(
        `${executions.toLocaleString('en')} executions in ${(spentSince(before) / 1000).toFixed(1)} s of processor ` +
          `(${((performance.now() - began) / 1000).toFixed(1)} s), ${endings.size} endings, ` +
          `growth ${(growth / 1024).toFixed(0)} kB, FUZZ_SEED=${seed}: ${target.name}`,
      );
      assert.ok(growth < MOST_GROWTH, `${target.name}: the heap grew by ${growth} octets (FUZZ_SEED=${seed})`);
    } finally {
      await watch.stop();
    }
  });
}

/** Processor time of this process and its threads since `before`, milliseconds. */
function spentSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
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

/** How the input ended; large numbers are all the same, small ones tell endings apart. */
function attempt(target: FuzzTarget, input: Buffer, seed: number, watch: FuzzWatch): string {
  watch.next(input);
  try {
    const ending = target.run(input);
    return typeof ending === 'string' ? ending.slice(0, 100).replaceAll(/\d{3,}/g, '0') : '';
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
