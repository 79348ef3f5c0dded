// SPDX-License-Identifier: Apache-2.0
// Runs a child program to its end, optionally inside a network namespace, for main processes only. The descriptors it gets are its
// three standard ones and the namespace's: everything else here is CLOEXEC (trap 3).
import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { AmbitError } from '#lib/kit/error.ts';
import type { Netns } from './netns.ts';
import { textDescriptor } from './process.ts';

/** System programs are looked up here, whatever the environment of this process says. */
const PATH = '/usr/sbin:/usr/bin:/sbin:/bin';
const DEFAULT_TIMEOUT_MS = 20_000;
/** Characters of a program's own words that an error repeats; nft repeats its whole input. */
const MAX_REASON = 800;

export interface ProgramOptions {
  /** Run it in this namespace (through nsenter(1)). */
  readonly netns?: Netns | undefined;
  readonly stdin?: string;
  /** After this it is killed; 20 s unless told. */
  readonly timeoutMs?: number;
}

export interface ProgramResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Debian's package of each program that is run, for the advice when it is missing. */
const PACKAGES: Readonly<Record<string, string>> = {
  nft: 'nftables',
  ip: 'iproute2',
  nsenter: 'util-linux',
  sysctl: 'procps',
};

/** Runs a program and returns its output whatever its exit code. Throws PROGRAM_MISSING or PROGRAM_TIMEOUT. */
export async function tryProgram(
  name: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<ProgramResult> {
  const { netns, stdin = '', timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  const [command, words] = netns ? ['nsenter', ['--net=/proc/self/fd/3', '--', name, ...args]] : [name, [...args]];
  const input = textDescriptor(stdin);
  const child = spawn(command, words, {
    env: { PATH, LC_ALL: 'C' },
    stdio: [input, 'pipe', 'pipe', ...(netns ? [netns.fd] : [])],
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  });
  closeSync(input);
  return await new Promise((resolve, reject) => {
    const out: Buffer[] = [];
    const errors: Buffer[] = [];
    child.stdout!.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr!.on('data', (chunk: Buffer) => errors.push(chunk));
    child.once('error', (cause: NodeJS.ErrnoException) => {
      reject(cause.code === 'ENOENT' ? missing(command) : failed(name, args, cause.message, cause));
    });
    child.once('close', (code, signal) => {
      const result = { code, signal, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(errors).toString() };
      if (signal === 'SIGKILL' && child.killed) reject(timedOut(name, args, timeoutMs));
      else if (netns && code === 127) reject(missing(name));
      else resolve(result);
    });
  });
}

/** Runs a program and returns its standard output. Throws PROGRAM_FAILED with what it wrote to standard error. */
export async function runProgram(name: string, args: readonly string[], options: ProgramOptions = {}): Promise<string> {
  const { code, signal, stdout, stderr } = await tryProgram(name, args, options);
  if (code !== 0) throw failed(name, args, stderr.trim() || stdout.trim() || `exit ${code ?? signal}`);
  return stdout;
}

function failed(name: string, args: readonly string[], reason: string, cause?: unknown): AmbitError {
  return new AmbitError('PROGRAM_FAILED', `${name} ${args.join(' ')}: ${reason.slice(0, MAX_REASON)}`, { cause });
}

function timedOut(name: string, args: readonly string[], timeoutMs: number): AmbitError {
  return new AmbitError('PROGRAM_TIMEOUT', `${name} ${args.join(' ')} did not end within ${timeoutMs} ms`);
}

function missing(name: string): AmbitError {
  const advice = PACKAGES[name] ? `apt-get install ${PACKAGES[name]}` : `install ${name}`;
  return new AmbitError('PROGRAM_MISSING', `the program ${name} is not installed in ${PATH}`, { advice });
}
