// SPDX-License-Identifier: Apache-2.0
// The size of a terminal that a command was given. The command's pseudo-terminal is found by the processes below the one
// we started: the first that reads from one.
import { readFileSync, readlinkSync } from 'node:fs';
import { tryRun } from '../../fabric/command.ts';

const MAX_DEPTH = 6;
const SETTLE_MS = 20;
const ATTEMPTS = 50;

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** The size in a resize message of the client (remotecommand.TerminalSize); undefined when it is none. */
export function parseSize(message: Buffer): TerminalSize | undefined {
  try {
    const { Width, Height } = JSON.parse(message.toString('utf8')) as { Width?: unknown; Height?: unknown };
    const valid = (value: unknown): value is number =>
      Number.isInteger(value) && Number(value) > 0 && Number(value) < 65_536;
    return valid(Width) && valid(Height) ? { columns: Width, rows: Height } : undefined;
  } catch {
    return undefined;
  }
}

/** Tells the terminal of the command below process `pid` its size, once there is one. */
export async function resizeTerminal(pid: number, { columns, rows }: TerminalSize): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const device = terminalBelow(pid, MAX_DEPTH);
    if (device !== undefined) {
      await tryRun('stty', ['-F', device, 'rows', String(rows), 'cols', String(columns)]);
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  }
}

function terminalBelow(pid: number, depth: number): string | undefined {
  try {
    const input = readlinkSync(`/proc/${pid}/fd/0`);
    if (input.startsWith('/dev/pts/')) return input;
    if (depth === 0) return undefined;
    for (const child of readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')) {
      const found = child === '' ? undefined : terminalBelow(Number(child), depth - 1);
      if (found !== undefined) return found;
    }
  } catch {
    // It ended while we looked.
  }
  return undefined;
}
