// SPDX-License-Identifier: Apache-2.0
// All of a proxy's metrics as OpenMetrics text. Data-plane processes count in shared memory and say once what a slot means; a
// scrape adds up the slots of all processes, and what a process had counted stays when it is gone. A series that no process counts in
// any more is forgotten, as the processes decide (lib/proxy/worker/fading.ts).
import type { Counters } from '#lib/loop/shared/counters.ts';
import type { Labels } from './labels.ts';

export type MetricType = 'counter' | 'gauge' | 'histogram';

export interface Family {
  /** Name of a sample: counters end in `_total`. */
  readonly name: string;
  readonly type: MetricType;
  readonly help: string;
}

interface Series {
  /** `name{labels}`. */
  readonly key: string;
  /** What processes that are gone had counted. */
  retired: number;
  /** Slots, and sums of slots, that are counted in for it now. */
  holders: number;
}

/** Slots that add up to one sample. */
interface Range {
  readonly from: number;
  readonly to: number;
  readonly family: string;
  readonly series: Series;
}

const TOTAL = /_total$/;

export class Exposition {
  readonly #families = new Map<string, Family>();
  readonly #values = new Map<string, Map<string, () => number>>();
  readonly #series = new Map<string, Map<string, Series>>();
  readonly #slots = new Map<Counters, Map<number, { readonly family: string; readonly series: Series }>>();

  /** By the first slot of their histogram. */
  readonly #ranges = new Map<Counters, Map<number, readonly Range[]>>();

  constructor(families: readonly Family[]) {
    for (const family of families) {
      this.#families.set(family.name, family);
      this.#values.set(family.name, new Map());
      this.#series.set(family.name, new Map());
    }
  }

  /** A value of the main process, read at each scrape. */
  value(name: string, labels: Labels, read: () => number): void {
    this.#values.get(name)!.set(labelText(labels), read);
  }

  /** A slot of a data-plane process counts for this series from now on; unknown families are a bug of ours and ignored. */
  slot(counters: Counters, slot: number, name: string, labels: Labels): void {
    const family = this.#familyOf(name);
    if (family === undefined) return;
    const series = this.#seriesOf(family, name, labels);
    let slots = this.#slots.get(counters);
    if (slots === undefined) {
      slots = new Map();
      this.#slots.set(counters, slots);
    }
    series.holders++;
    slots.set(slot, { family, series });
  }

  /**
   * Slots of a data-plane process that make a histogram: from `slot` on one for each bound, which counts what fell between it and
   * the one before, one for what lies above all of them, and the sum.
   */
  histogram(counters: Counters, slot: number, name: string, labels: Labels, bounds: readonly number[]): void {
    if (!this.#families.has(name)) return;
    let ranges = this.#ranges.get(counters);
    if (ranges === undefined) {
      ranges = new Map();
      this.#ranges.set(counters, ranges);
    }
    const made: Range[] = [];
    ranges.set(slot, made);
    const add = (from: number, to: number, sample: string, more: Labels): void => {
      const series = this.#seriesOf(name, `${name}_${sample}`, { ...labels, ...more });
      series.holders++;
      made.push({ from, to, family: name, series });
    };
    const above = slot + bounds.length;
    for (const [i, bound] of bounds.entries()) add(slot, slot + i, 'bucket', { le: String(bound) });
    add(slot, above, 'bucket', { le: '+Inf' });
    add(above + 1, above + 1, 'sum', {});
    add(slot, above, 'count', {});
  }

  /** The process is gone: its counts are kept, its gauges end. */
  retire(counters: Counters): void {
    for (const [slot, { family, series }] of this.#slots.get(counters) ?? []) {
      series.holders--;
      if (this.#families.get(family)!.type !== 'gauge') series.retired += counters.get(slot);
    }
    this.#slots.delete(counters);
    for (const ranges of this.#ranges.get(counters)?.values() ?? []) {
      for (const { from, series, to } of ranges) {
        series.holders--;
        series.retired += sumOf(counters, from, to);
      }
    }
    this.#ranges.delete(counters);
  }

  /**
   * These slots, as far as they were told of, mean nothing any more. A series that another process counts in keeps what was counted
   * here; one that none does is not told from now on.
   */
  forget(counters: Counters, first: number, count: number): void {
    const slots = this.#slots.get(counters);
    const ranges = this.#ranges.get(counters);
    for (let slot = first; slot < first + count; slot++) {
      const one = slots?.get(slot);
      if (one !== undefined) this.#leave(one.family, one.series, counters.get(slot));
      slots?.delete(slot);
      for (const { family, from, series, to } of ranges?.get(slot) ?? []) {
        this.#leave(family, series, sumOf(counters, from, to));
      }
      ranges?.delete(slot);
    }
  }

  /** Everything, in the order of the families. */
  text(): string {
    const sums = new Map<Series, number>();
    for (const [counters, slots] of this.#slots) {
      for (const [slot, { series }] of slots) sums.set(series, (sums.get(series) ?? 0) + counters.get(slot));
    }
    for (const [counters, histograms] of this.#ranges) {
      for (const ranges of histograms.values()) {
        for (const { from, series, to } of ranges)
          sums.set(series, (sums.get(series) ?? 0) + sumOf(counters, from, to));
      }
    }
    let out = '';
    for (const family of this.#families.values()) {
      const samples = [
        ...[...this.#values.get(family.name)!].map(([labels, read]) => `${family.name}${labels} ${read()}\n`),
        ...[...this.#series.get(family.name)!.values()].map(
          (series) => `${series.key} ${series.retired + (sums.get(series) ?? 0)}\n`,
        ),
      ];
      if (samples.length === 0) continue;
      const name = family.name.replace(TOTAL, '');
      out += `# HELP ${name} ${family.help}.\n# TYPE ${name} ${family.type}\n${samples.join('')}`;
    }
    return `${out}# EOF\n`;
  }

  #leave(family: string, series: Series, counted: number): void {
    series.retired += counted;
    if (--series.holders === 0) this.#series.get(family)!.delete(series.key);
  }

  #seriesOf(family: string, name: string, labels: Labels): Series {
    const key = `${name}${labelText(labels)}`;
    const known = this.#series.get(family)!;
    let series = known.get(key);
    if (series === undefined) {
      series = { key, retired: 0, holders: 0 };
      known.set(key, series);
    }
    return series;
  }

  // Samples of a histogram carry suffixes.
  #familyOf(name: string): string | undefined {
    if (this.#families.has(name)) return name;
    const base = name.replace(/_(bucket|sum|count)$/, '');
    return this.#families.get(base)?.type === 'histogram' ? base : undefined;
  }
}

function sumOf(counters: Counters, from: number, to: number): number {
  let sum = 0;
  for (let slot = from; slot <= to; slot++) sum += counters.get(slot);
  return sum;
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}="${escapeLabel(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
