// SPDX-License-Identifier: Apache-2.0
// Running a command in a container for `kubectl exec`, whatever carries its streams.
import type { RunningContainer } from '../container.ts';
import { parseSize, resizeTerminal } from './terminal.ts';

/** The client's streams, by the names Kubernetes gives them. */
export interface ExecChannels {
  stdout(chunk: Buffer): void;
  stderr(chunk: Buffer): void;
  /** The outcome, a metav1.Status as JSON, told once after all output. */
  status(json: string): void;
  close(): void;
  /** Takes what the client sends; `undefined` when it sends no more, `gone` when it left altogether. */
  listen(stdin: (chunk: Buffer | undefined) => void, gone: () => void): void;
  /** Takes the messages by which the client tells the size of its terminal. */
  listenResize(resize: (message: Buffer) => void): void;
}

export interface ExecRequest {
  readonly command: readonly string[];
  readonly tty: boolean;
  readonly stdin: boolean;
}

/** Runs the command and resolves when its outcome has been told. */
export async function serveExec(
  running: RunningContainer,
  request: ExecRequest,
  channels: ExecChannels,
): Promise<void> {
  const child = running.exec(request.command, request.tty);
  child.stdout.on('data', (chunk: Buffer) => channels.stdout(chunk));
  child.stderr.on('data', (chunk: Buffer) => channels.stderr(chunk));
  child.stdin.on('error', () => undefined);
  if (!request.stdin) child.stdin.end();
  channels.listen(
    (chunk) => {
      if (!request.stdin) return;
      if (chunk === undefined) child.stdin.end();
      else child.stdin.write(chunk);
    },
    () => child.kill('SIGHUP'),
  );
  channels.listenResize((message) => {
    const size = parseSize(message);
    if (request.tty && size !== undefined && child.pid !== undefined) void resizeTerminal(child.pid, size);
  });
  const code = await new Promise<number>((resolve) => {
    child.once('error', () => resolve(126));
    child.once('close', (status) => resolve(status ?? 137));
  });
  channels.status(exitStatus(code));
  channels.close();
}

/** The Status by which a client learns the exit code (k8s.io/apimachinery, remotecommand protocol v4). */
export function exitStatus(code: number): string {
  if (code === 0) return JSON.stringify({ metadata: {}, status: 'Success' });
  return JSON.stringify({
    metadata: {},
    status: 'Failure',
    message: `command terminated with non-zero exit code: exit status ${code}`,
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: String(code) }] },
  });
}

/** Joins a client to a container that runs already: what it prints from now on, and its input when it takes any. */
export function serveAttach(running: RunningContainer, stdinOnce: boolean, channels: ExecChannels): void {
  const stopTap = running.log.tap((stream, chunk) => channels[stream](chunk));
  const stopFollow = running.log.follow((line) => {
    if (line !== undefined) return;
    channels.status(exitStatus(0));
    channels.close();
  });
  const close = (): void => {
    if (stdinOnce) running.stdin?.end();
  };
  channels.listen(
    (chunk) => {
      if (chunk === undefined) close();
      else running.stdin?.write(chunk);
    },
    () => {
      stopTap();
      stopFollow();
      close();
    },
  );
  channels.listenResize((message) => {
    const size = parseSize(message);
    if (running.tty && size !== undefined) void resizeTerminal(running.parentPid, size);
  });
}
