// SPDX-License-Identifier: Apache-2.0
// The playground's API server as a process of its own, on the loopback: what outside clients are tried against, and
// what can be killed.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually.ts';
import { type Background, background, ROOT, run } from './run.ts';

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
  #server: Background | undefined;
  #controllers: Background | undefined;

  get kubeconfig(): string {
    return join(this.dir, 'kubeconfig');
  }

  /** Starts the server; resolves when it answers. */
  async start(): Promise<void> {
    rmSync(this.kubeconfig, { force: true });
    const main = join(ROOT, 'playground/api/main.ts');
    this.#port ??= await ownPort();
    this.#server = program([main, '--data', this.dir, '--listen', `127.0.0.1:${this.#port}`]);
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

  /** Ends the server as a power cut would end its process. */
  async kill(): Promise<void> {
    await this.#server?.stop('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.#controllers?.stop();
    await this.#server?.stop();
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

const program = (args: string[]): Background =>
  background(process.execPath, ['--disable-warning=ExperimentalWarning', ...args]);
