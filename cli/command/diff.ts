// SPDX-License-Identifier: Apache-2.0
// `ambit diff --from T1 --to T2`: what of the configuration changed between two moments, from istiod's own log of it.

import { Command, InvalidArgumentError } from 'commander';
import pc from 'picocolors';
import { stringify } from 'yaml';
import { parseDuration } from '#lib/kit/config.ts';
import { type Cluster, withCluster } from '../cluster.ts';
import type { CliIo } from '../io.ts';
import { askIstiod } from '../istiod/target.ts';
import { type Format, formatValue, outputOption } from '../print/format.ts';

export interface Difference {
  readonly object: string;
  readonly before?: unknown;
  readonly after?: unknown;
}

export function diffCommand(io: CliIo): Command {
  const moment = (text: string): number => momentOf(text, Date.now());
  return new Command('diff')
    .description('show what of the configuration changed between two moments')
    .requiredOption('--from <moment>', 'a time (2026-01-31T12:00:00Z) or how long ago (10m)', moment)
    .option('--to <moment>', 'the same (default: now)', moment)
    .addOption(outputOption())
    .action(async (options: { from: number; to?: number; output: Format }, command: Command) => {
      const { from, to = Date.now() } = options;
      const found = await withCluster(command, (cluster) => readDiff(cluster, from, to));
      io.out(formatValue(options.output, found, () => diffText(found, io.color)));
    });
}

/** Wall-clock ms of `10m` (ago) or of a time as RFC 3339 writes it. */
export function momentOf(text: string, now: number): number {
  const ago = parseDuration(text);
  if (ago !== undefined) return now - ago;
  const at = Date.parse(text);
  if (Number.isNaN(at)) throw new InvalidArgumentError('write a time as 2026-01-31T12:00:00Z, or how long ago as 10m');
  return at;
}

async function readDiff(cluster: Cluster, from: number, to: number): Promise<Difference[]> {
  return (await askIstiod(cluster, `/debug/history?from=${from}&to=${to}`)) as Difference[];
}

/** For each object its lines: those that went with `-`, those that came with `+`. */
export function diffText(found: readonly Difference[], color: boolean): string {
  const paint = pc.createColors(color);
  if (found.length === 0) return 'Nothing changed.\n';
  return found
    .map(({ after, before, object }) => {
      const how = before === undefined ? 'created' : after === undefined ? 'deleted' : 'changed';
      const lines = lineDiff(yamlLines(before), yamlLines(after)).map((line) =>
        line.startsWith('-') ? paint.red(line) : line.startsWith('+') ? paint.green(line) : line,
      );
      return `${paint.bold(`${object} (${how})`)}\n${lines.join('\n')}\n`;
    })
    .join('\n');
}

function yamlLines(value: unknown): string[] {
  return value === undefined ? [] : stringify(value).trimEnd().split('\n');
}

/** The shortest edit by the longest common subsequence; objects are small. */
function lineDiff(before: readonly string[], after: readonly string[]): string[] {
  const common = before.map(() => new Array<number>(after.length + 1).fill(0));
  common.push(new Array<number>(after.length + 1).fill(0));
  for (let i = before.length - 1; i >= 0; i--) {
    for (let j = after.length - 1; j >= 0; j--) {
      common[i]![j] =
        before[i] === after[j] ? common[i + 1]![j + 1]! + 1 : Math.max(common[i + 1]![j]!, common[i]![j + 1]!);
    }
  }
  const lines: string[] = [];
  let [i, j] = [0, 0];
  while (i < before.length || j < after.length) {
    if (i < before.length && j < after.length && before[i] === after[j]) {
      lines.push(`  ${before[i]}`);
      i++;
      j++;
    } else if (j >= after.length || (i < before.length && common[i + 1]![j]! >= common[i]![j + 1]!)) {
      lines.push(`- ${before[i]}`);
      i++;
    } else {
      lines.push(`+ ${after[j]}`);
      j++;
    }
  }
  return lines;
}
