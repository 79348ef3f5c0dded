// SPDX-License-Identifier: Apache-2.0
// The whole node proxy as a program in a network namespace, with a node agent of its own.
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Endpoint } from '#lib/linux/address.ts';
import type { Loop } from '#lib/loop/loop.ts';
import { NodeAgent } from './node-agent.ts';
import { App } from './plain-app.ts';
import type { TestPod } from './pod-network.ts';
import { untilOn } from './until.ts';

const MAIN = join(import.meta.dirname, '../../ztunnel/main.ts');

export interface ZtunnelDump {
  readonly certificates: { identity: string; state: string; certChain: { serialNumber: string }[] }[];
  readonly workloadState: Record<
    string,
    { state: string; connections: { outbound: { actualDst: string; protocol: string }[] } }
  >;
}

/** One ztunnel process with its agent. */
export class Ztunnel implements AsyncDisposable {
  readonly agent = new NodeAgent();
  readonly #loop: Loop;
  readonly #home: TestPod;
  readonly #child: ChildProcess;
  readonly #exited: Promise<number | null>;
  output = '';

  constructor(loop: Loop, home: TestPod, netns: string, env: Readonly<Record<string, string>>) {
    this.#loop = loop;
    this.#home = home;
    const args = [
      'netns',
      'exec',
      netns,
      process.execPath,
      '--disable-warning=ExperimentalWarning',
      MAIN,
      'proxy',
      'ztunnel',
    ];
    this.#child = spawn('ip', args, {
      env: { PATH: process.env['PATH'] ?? '', FAKE_CA: 'true', XDS_ADDRESS: '', INPOD_UDS: this.agent.path, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      stream.on('data', (chunk: Buffer) => {
        this.output += chunk;
      });
    }
    this.#exited = new Promise((resolve) => this.#child.once('exit', resolve));
  }

  /** The body of an answer of one of its HTTP servers, asked from inside its namespace. HTTP/1.0, so that no chunks come. */
  async get(port: number, path: string): Promise<string> {
    const app = App.dial(this.#loop, Endpoint.parse('127.0.0.1', port)!, this.#home.netns);
    app.send(`GET ${path} HTTP/1.0\r\nhost: ztunnel\r\n\r\n`);
    await untilOn(this.#loop)(`an answer to ${path}`, () => app.end !== '');
    app.socket.close();
    return app.text.slice(app.text.indexOf('\r\n\r\n') + 4);
  }

  async dump(): Promise<ZtunnelDump> {
    return JSON.parse(await this.get(15000, '/config_dump')) as ZtunnelDump;
  }

  /** Its data-plane processes. */
  workers(): number[] {
    const { pid } = this.#child;
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return children.trim().split(' ').map(Number);
  }

  /** SIGTERM, and the exit code. */
  end(): Promise<number | null> {
    this.#child.kill('SIGTERM');
    return this.#exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill('SIGTERM');
      const killer = setTimeout(() => this.#child.kill('SIGKILL'), 30_000);
      await this.#exited;
      clearTimeout(killer);
    }
    this.agent[Symbol.dispose]();
  }
}
