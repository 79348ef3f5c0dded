// SPDX-License-Identifier: Apache-2.0
// Child programs of the end-to-end tests: run to an end with a deadline, or kept running and stopped for certain.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '../..');

export interface Ran {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Default: the caller's. */
  readonly cwd?: string;
  readonly timeoutMs?: number;
  /** Kills it. */
  readonly signal?: AbortSignal;
}

/** Runs a program to its end; a non-zero status is a value, a missing program, a timeout or an abort an error. */
export function tryRun(command: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const { input, env, cwd, timeoutMs = 120_000, signal } = options;
  return new Promise((resolve, reject) => {
    const child = execFile(
      command,
      [...args],
      {
        timeout: timeoutMs,
        killSignal: 'SIGKILL',
        maxBuffer: 1 << 28,
        env: { ...process.env, ...env },
        ...(cwd === undefined ? {} : { cwd }),
        ...(signal === undefined ? {} : { signal }),
      },
      (error, stdout, stderr) => {
        if (signal?.aborted) return reject(signal.reason);
        if (error?.killed)
          return reject(new Error(`${command} ${args.join(' ')}: no end within ${timeoutMs} ms\n${stderr}`));
        if (error !== null && typeof error.code !== 'number') return reject(error);
        resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr });
      },
    );
    child.stdin?.on('error', () => {});
    child.stdin?.end(input ?? '');
  });
}

/** Runs a program that has to succeed; gives its standard output. */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { status, stdout, stderr } = await tryRun(command, args, options);
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: exit ${status}\n${stderr || stdout}`);
  return stdout;
}

/** A program in the background, its output collected; `stop` ends it and waits. */
export interface Background {
  readonly process: ChildProcess;
  output(): string;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

export function background(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Background {
  const child = spawn(command, [...args], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  const chunks: string[] = [];
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => chunks.push(chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => chunks.push(chunk));
  const ended = new Promise<void>((resolve) => {
    child.once('error', () => resolve());
    child.once('close', () => resolve());
  });
  return {
    process: child,
    output: () => chunks.join(''),
    stop: async (signal = 'SIGTERM') => {
      child.kill(signal);
      const hard = setTimeout(() => child.kill('SIGKILL'), 20_000);
      await ended;
      clearTimeout(hard);
    },
  };
}
