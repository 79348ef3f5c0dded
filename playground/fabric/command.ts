// SPDX-License-Identifier: Apache-2.0
// Runs a program of the machine (`ip`, `nft`, `mount`, …) and turns its failure into an error that names it.
import { spawn } from 'node:child_process';
import { AmbitError } from '#lib/kit/error.ts';

export interface RunOptions {
  /** Text for the program's standard input. */
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** The program is killed after this long; default 30 s. */
  readonly timeoutMs?: number;
}

export interface RunResult {
  /** Exit status; -1 when a signal ended the program. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `file` and resolves with what it printed, whatever its status. Throws `COMMAND_MISSING` when it cannot be started. */
export function tryRun(file: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: options.timeoutMs ?? 30_000,
      killSignal: 'SIGKILL',
      ...(options.env === undefined ? {} : { env: { ...options.env } }),
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    // A program that never reads its input closes the pipe: its exit status tells what matters.
    child.stdin.on('error', () => {});
    child.stdin.end(options.input ?? '');
    child.once('error', (cause) =>
      reject(
        new AmbitError('COMMAND_MISSING', `cannot start ${file}`, {
          cause,
          advice: `install the package with ${file}`,
        }),
      ),
    );
    child.once('close', (status) => resolve({ status: status ?? -1, stdout, stderr }));
  });
}

/** Runs `file` and resolves with its standard output. Throws `COMMAND_FAILED` with its last words otherwise. */
export async function run(file: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const result = await tryRun(file, args, options);
  if (result.status === 0) return result.stdout;
  const words = (result.stderr.trim() || result.stdout.trim()).split('\n').slice(-6).join('; ');
  throw new AmbitError('COMMAND_FAILED', `${file} ${args.join(' ')}: exit ${result.status}: ${words}`);
}

/** Runs `ip -batch` inside the network namespace that the file `netns` stands for. */
export async function ipBatch(netns: string, lines: readonly string[]): Promise<void> {
  await run('nsenter', [`--net=${netns}`, 'ip', '-batch', '-'], { input: `${lines.join('\n')}\n` });
}
