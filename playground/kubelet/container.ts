// SPDX-License-Identifier: Apache-2.0
// One run of one container: the process in its namespaces, from start to exit, and commands run inside it.
import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { AmbitError } from '#lib/kit/error.ts';
import { ENTER, JOIN, STARTED } from './launch.ts';
import type { LogFile } from './log-file.ts';

export interface ContainerStart {
  /** `cgroup.procs` of the pod's group, or '' where there are no groups to write. */
  readonly cgroupProcs: string;
  /** Network namespace file; undefined runs in the node's network. */
  readonly netns: string | undefined;
  readonly hostname: string;
  readonly hostPid: boolean;
  readonly mountTable: string;
  readonly root: string;
  readonly readOnlyRoot: boolean;
  readonly workingDir: string;
  /** `setpriv` and its arguments, or nothing. */
  readonly setpriv: readonly string[];
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly log: LogFile;
  /** Keep standard input open for those who attach. */
  readonly stdin: boolean;
  /** Give the program a terminal. */
  readonly tty: boolean;
}

export interface ContainerExit {
  /** Exit status; 128 + n when signal n ended it. */
  readonly code: number;
  readonly signal: number | undefined;
}

const SIGNALS: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGPIPE: 13,
  SIGTERM: 15,
};

export class RunningContainer {
  /** Process 1 of the container, as the node numbers it. */
  readonly pid: number;
  readonly exited: Promise<ContainerExit>;
  readonly log: LogFile;
  /** The program's standard input; absent unless the container asks for one. */
  readonly stdin: Writable | undefined;
  /** Whether the program has a terminal. */
  readonly tty: boolean;
  /** The process on the node below which the container's are. */
  readonly parentPid: number;
  readonly #start: ContainerStart;
  #ended = false;

  private constructor(pid: number, child: ChildProcess, start: ContainerStart, exited: Promise<ContainerExit>) {
    this.pid = pid;
    this.parentPid = child.pid!;
    this.#start = start;
    this.log = start.log;
    this.tty = start.tty;
    this.stdin = start.stdin ? (child.stdin ?? undefined) : undefined;
    this.stdin?.on('error', () => undefined);
    this.exited = exited.then((exit) => {
      this.#ended = true;
      return exit;
    });
  }

  /** Starts the container and resolves once its program runs. Throws `CONTAINER_START` with the reason when it cannot. */
  static async start(start: ContainerStart): Promise<RunningContainer> {
    const enter = ['/bin/sh', '-c', ENTER, 'enter', start.mountTable, start.root];
    const child = spawn(
      '/bin/sh',
      [
        ...['-c', JOIN, 'join', start.cgroupProcs],
        ...(start.netns === undefined ? [] : ['/usr/bin/nsenter', `--net=${start.netns}`]),
        ...['/usr/bin/unshare', '--mount', '--propagation=slave', '--ipc', '--fork', '--kill-child'],
        ...(start.hostname === '' ? [] : ['--uts']),
        ...(start.hostPid ? [] : ['--pid']),
        ...enter,
        ...[start.hostname, start.readOnlyRoot ? '1' : '', start.workingDir],
        ...start.setpriv,
        ...(start.tty ? onTerminal(start.command) : start.command),
      ],
      { stdio: [start.stdin ? 'pipe' : 'ignore', 'pipe', 'pipe', 'pipe'], env: { ...start.env } },
    );
    const exited = watch(child, start.log);
    const complaint = await readComplaint(child.stdio[3] as Readable);
    const pid = child.pid === undefined ? undefined : firstChild(child.pid);
    if (complaint !== '') {
      await exited;
      throw new AmbitError('CONTAINER_START', complaint);
    }
    // The program may be over already; its exit is told by `exited` like any other.
    return new RunningContainer(pid ?? child.pid!, child, start, exited);
  }

  /** Sends a signal to process 1. Nothing happens when the container has ended. */
  signal(name: NodeJS.Signals): void {
    if (this.#ended) return;
    try {
      process.kill(this.pid, name);
    } catch {
      // It ended this moment.
    }
  }

  /** Runs a command inside, with the container's environment, user and limits. `tty` gives it a terminal. */
  exec(command: readonly string[], tty = false): ChildProcessWithoutNullStreams {
    const { cgroupProcs, setpriv, env } = this.#start;
    const program = tty ? onTerminal(command) : command;
    return spawn(
      '/bin/sh',
      [
        ...['-c', JOIN, 'join', cgroupProcs, '/usr/bin/nsenter', `--target=${this.pid}`, '--mount', '--uts', '--ipc'],
        ...['--net', '--pid', '--root', '--wd', '--', ...setpriv, ...program],
      ],
      { stdio: ['pipe', 'pipe', 'pipe'], env: { ...env, ...(tty ? { TERM: 'xterm' } : {}) } },
    );
  }
}

/** The command line that runs `command` on a pseudo-terminal of its own. */
function onTerminal(command: readonly string[]): string[] {
  const quoted = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
  return ['/usr/bin/script', '-qefc', quoted, '/dev/null'];
}

function watch(child: ChildProcess, log: LogFile): Promise<ContainerExit> {
  child.stdout?.on('data', (chunk: Buffer) => log.write('stdout', chunk));
  child.stderr?.on('data', (chunk: Buffer) => log.write('stderr', chunk));
  return new Promise((resolve) => {
    let exit: ContainerExit = { code: 128, signal: undefined };
    child.once('error', () => resolve(exit));
    child.once('exit', (code, signal) => {
      const number = signal === null ? undefined : (SIGNALS[signal] ?? 0);
      exit = { code: code ?? 128 + (number ?? 0), signal: number };
    });
    // `close` comes after the last output. A grandchild cannot hold it up: its PID namespace is gone.
    child.once('close', () => {
      log.close();
      resolve(exit);
    });
  });
}

/** What the launching shell complained of; empty once it says that the program runs. */
async function readComplaint(stream: Readable): Promise<string> {
  let text = '';
  for await (const chunk of stream.setEncoding('utf8')) {
    text += chunk;
    if (text.endsWith(STARTED)) return '';
  }
  return text.trim() || 'the container ended before its program ran';
}

function firstChild(pid: number): number | undefined {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    return children === '' ? undefined : Number(children.split(' ')[0]);
  } catch {
    return undefined;
  }
}
