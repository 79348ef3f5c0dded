// SPDX-License-Identifier: Apache-2.0
// The playground's API server as a process of its own, on the loopback or elsewhere: what outside clients are tried
// against, and what can be killed, stopped and started again with all it knew.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually.ts';
import { type Background, background, ROOT, run } from './run.ts';

/** Where a process runs: its address there, and the words before its own. */
export interface ProcessPlace {
  readonly host: string;
  readonly words: readonly string[];
}

/** Below those that systems give to whoever asks for any. */
const PORTS = { first: 20_000, count: 10_000 };
const given = new Set<number>();

/** A port that nobody listens on, of a range in which nobody takes one by chance while a server is away from it. */
async function ownPort(): Promise<number> {
  for (;;) {
    const port = PORTS.first + Math.floor(Math.random() * PORTS.count);
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!free) continue;
    await new Promise((resolve) => server.close(resolve));
    if (given.has(port)) continue;
    given.add(port);
    return port;
  }
}

export class ApiProcess {
  readonly dir = mkdtempSync(join(tmpdir(), `ambit-api-${process.pid}-`));
  /** Kept, so that clients find a restarted server again. */
  #port: number | undefined;
  readonly #place: ProcessPlace;
  #server: Background | undefined;
  #controllers: Background | undefined;

  constructor(place: ProcessPlace = { host: '127.0.0.1', words: [] }) {
    this.#place = place;
  }

  /** Where clients find it, once it has started. */
  get url(): string {
    return `https://${this.#place.host}:${this.#port}`;
  }

  get kubeconfig(): string {
    return join(this.dir, 'kubeconfig');
  }

  /** Starts the server; resolves when it answers. */
  async start(): Promise<void> {
    rmSync(this.kubeconfig, { force: true });
    const main = join(ROOT, 'playground/api/main.ts');
    this.#port ??= await ownPort();
    const { host, words } = this.#place;
    const options = ['--data', this.dir, '--listen', `${host}:${this.#port}`, '--audit-log', this.auditLog];
    this.#server = program([main, ...options], words);
    const { process: child } = this.#server;
    await eventually('the API server writes its kubeconfig', () => {
      if (child.exitCode !== null) throw new Error(`the API server ended:\n${this.#server?.output()}`);
      return existsSync(this.kubeconfig);
    });
  }

  async startControllers(): Promise<void> {
    const main = join(ROOT, 'playground/controllers/main.ts');
    const started = program([main, '--kubeconfig', this.kubeconfig]);
    this.#controllers = started;
    await eventually('the controllers run', () => started.output().includes('controllers run'));
  }

  /** Who asked for which change, a JSON line each. */
  get auditLog(): string {
    return join(this.dir, 'audit.log');
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#server?.process.kill(signal);
  }

  /** Ends the server as a power cut would end its process. */
  async kill(): Promise<void> {
    await this.#server?.stop('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.#controllers?.stop();
    await this.#server?.stop('SIGKILL');
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** Real kubectl; fails when it does. */
  kubectl(words: string, input = ''): Promise<string> {
    return run(process.execPath, [join(ROOT, 'playground/kubectl.ts'), ...words.split(' ')], {
      env: { KUBECONFIG: this.kubeconfig },
      input,
    });
  }
}

function program(args: string[], before: readonly string[] = []): Background {
  const [first, ...words] = [...before, process.execPath, '--disable-warning=ExperimentalWarning', ...args];
  return background(first!, words);
}
