// SPDX-License-Identifier: Apache-2.0
// The playground's API server as a process of its own, on the loopback: what outside clients are tried against, and
// what can be killed.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually.ts';
import { type Background, background, ROOT, run } from './run.ts';

const PORTS = { first: 20_000, count: 10_000 };

export class ApiProcess {
  readonly dir = mkdtempSync(join(tmpdir(), `ambit-api-${process.pid}-`));
  /** Fixed, so that clients find a restarted server again. */
  readonly port = PORTS.first + Math.floor(Math.random() * PORTS.count);
  #server: Background | undefined;
  #controllers: Background | undefined;

  get kubeconfig(): string {
    return join(this.dir, 'kubeconfig');
  }

  /** Starts the server; resolves when it answers. */
  async start(): Promise<void> {
    rmSync(this.kubeconfig, { force: true });
    const main = join(ROOT, 'playground/api/main.ts');
    this.#server = program([main, '--data', this.dir, '--listen', `127.0.0.1:${this.port}`]);
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
