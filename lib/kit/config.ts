// SPDX-License-Identifier: Apache-2.0
// Reads a program's settings once, through a look-up function, and reports every bad one together.
import { AmbitError } from './error.ts';
import { formatProblem, type Problem } from './result.ts';

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

export class ConfigReader {
  readonly #lookup: (name: string) => string | undefined;
  readonly #problems: Problem[] = [];

  constructor(lookup: (name: string) => string | undefined) {
    this.#lookup = lookup;
  }

  /** The value, or undefined when unset. An empty string counts as set. */
  optional(name: string): string | undefined {
    return this.#lookup(name);
  }

  string(name: string, fallback: string): string {
    return this.#lookup(name) ?? fallback;
  }

  /** Notes a problem when the variable is unset or empty; returns '' then. */
  required(name: string): string {
    const value = this.#lookup(name);
    if (!value) this.problem(name, 'is not set', 'set it in the environment');
    return value ?? '';
  }

  integer(name: string, fallback: number, { min = 0, max = Number.MAX_SAFE_INTEGER } = {}): number {
    const text = this.#lookup(name);
    if (text === undefined || text === '') return fallback;
    const value = Number(text);
    if (/^-?\d+$/.test(text) && value >= min && value <= max) return value;
    this.problem(
      name,
      `${JSON.stringify(text)} is no integer between ${min} and ${max}`,
      `write for example ${fallback}`,
    );
    return fallback;
  }

  boolean(name: string, fallback: boolean): boolean {
    const text = this.#lookup(name)?.toLowerCase();
    if (text === undefined || text === '') return fallback;
    if (['true', '1', 't'].includes(text)) return true;
    if (['false', '0', 'f'].includes(text)) return false;
    this.problem(name, `${JSON.stringify(text)} is no boolean`, 'write true or false');
    return fallback;
  }

  /** A duration such as `250ms`, `5s`, `1m30s` or `24h`, in milliseconds. */
  duration(name: string, fallbackMs: number): number {
    const text = this.#lookup(name);
    if (text === undefined || text === '') return fallbackMs;
    const value = parseDuration(text);
    if (value !== undefined) return value;
    this.problem(
      name,
      `${JSON.stringify(text)} is no duration`,
      'write a number with a unit, as in 250ms, 5s, 1m30s, 24h',
    );
    return fallbackMs;
  }

  /** The same where Istio's node proxy reads the setting too: there a bare number is seconds, and days and weeks are units. */
  istioDuration(name: string, fallbackMs: number): number {
    const text = this.#lookup(name);
    const sum = /^\d+$/.test(text ?? '') ? `${text}s` : text?.replace(/(\d+)([dw])/g, toHours);
    if (sum === undefined || parseDuration(sum) === undefined) return this.duration(name, fallbackMs);
    return parseDuration(sum)!;
  }

  oneOf<const T extends string>(name: string, values: readonly T[], fallback: T): T {
    const text = this.#lookup(name);
    if (text === undefined || text === '') return fallback;
    const value = values.find((candidate) => candidate === text);
    if (value !== undefined) return value;
    this.problem(name, `${JSON.stringify(text)} is unknown`, `write one of ${values.join(', ')}`);
    return fallback;
  }

  /** Comma-separated values, trimmed, empty ones dropped. */
  list(name: string, fallback: readonly string[] = []): readonly string[] {
    const text = this.#lookup(name);
    if (text === undefined) return fallback;
    return text.split(',').flatMap((item) => item.trim() || []);
  }

  /** Notes a problem found by the caller, so that it is reported with the others. */
  problem(name: string, message: string, fix?: string): void {
    this.#problems.push({ field: name, message, ...(fix === undefined ? {} : { fix }) });
  }

  problems(): readonly Problem[] {
    return this.#problems;
  }

  /** Throws CONFIG_INVALID naming every bad variable. */
  assertValid(): void {
    if (this.#problems.length === 0) return;
    throw new AmbitError(
      'CONFIG_INVALID',
      `bad configuration:\n${this.#problems.map((p) => `  ${formatProblem(p)}`).join('\n')}`,
    );
  }
}

const toHours = (_: string, count: string, unit: string): string => `${Number(count) * (unit === 'd' ? 24 : 168)}h`;

/** Milliseconds of a Go-style duration, or undefined. A bare number is refused: its unit would be a guess. */
export function parseDuration(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) return undefined;
  return [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)].reduce(
    (sum, [, n, unit]) => sum + Number(n) * UNITS[unit!]!,
    0,
  );
}
