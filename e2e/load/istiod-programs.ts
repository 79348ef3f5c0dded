// SPDX-License-Identifier: Apache-2.0
// The three processes of the control plane's bench, started and spoken to: the feed, istiod, the clients.
import { type ChildProcess, fork } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../harness/eventually.ts';
import { background, ROOT } from '../harness/run.ts';
import type { ClientsNote, ClientsOrder } from './istiod-clients.ts';
import type { FeedNote, FeedOrder } from './istiod-feed.ts';
import type { Size } from './istiod-mesh.ts';
import { cpuSeconds } from './usage.ts';

/** A child that is told orders and tells notes. */
class Partner<Order extends object, Note extends { readonly kind: string }> {
  readonly #child: ChildProcess;
  readonly #listeners = new Set<(note: Note) => void>();

  constructor(file: string, args: readonly string[]) {
    this.#child = fork(join(import.meta.dirname, file), [...args], {
      execArgv: ['--disable-warning=ExperimentalWarning', '--max-old-space-size=8192'],
    });
    this.#child.on('message', (note: Note) => {
      for (const listener of this.#listeners) listener(note);
    });
  }

  order(order: Order): void {
    this.#child.send(order);
  }

  listen(listener: (note: Note) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The next note of a kind; whoever waits for long says for how long. */
  async next<K extends Note['kind']>(kind: K, withinMs = 60_000): Promise<Extract<Note, { kind: K }>> {
    const { promise, reject, resolve } = Promise.withResolvers<Extract<Note, { kind: K }>>();
    const timer = setTimeout(() => reject(new Error(`no "${kind}" within ${withinMs / 1000} s`)), withinMs);
    const end = this.listen((note) => {
      if (note.kind === 'failed') reject(new Error(JSON.stringify(note)));
      if (note.kind === kind) resolve(note as Extract<Note, { kind: K }>);
    });
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      end();
    }
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

export type Feed = Partner<FeedOrder, FeedNote>;
export type Clients = Partner<ClientsOrder, ClientsNote>;

export async function startFeed(size: Size, kubeconfig: string): Promise<Feed> {
  const feed: Feed = new Partner('istiod-feed.ts', [size.name, kubeconfig]);
  await feed.next('ready');
  return feed;
}

export async function startClients(target: string): Promise<Clients> {
  const clients: Clients = new Partner('istiod-clients.ts', [target]);
  await clients.next('started');
  return clients;
}

export interface Istiod {
  readonly grpc: string;
  /** Port of the TLS listener. */
  readonly securePort: number;
  /** From the start of the process until `/ready` said so. */
  readonly readyMs: number;
  cpuSeconds(): number;
  /** Resident set, MB (10^6 bytes). */
  residentMb(): number;
  /** @param token for pages that are not for everybody */
  get(path: string, token?: string): Promise<string>;
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void;
  output(): string;
  stop(signal?: 'SIGKILL'): Promise<void>;
}

export async function startIstiod(
  kubeconfig: string,
  withinMs: number,
  environment: Readonly<Record<string, string>> = {},
  place: { readonly host: string; readonly words: readonly string[] } = { host: '127.0.0.1', words: [] },
): Promise<Istiod> {
  const at = (port: number): string => `${place.host}:${port}`;
  const started = performance.now();
  const [file, ...words] = [...place.words, join(ROOT, 'bin/istiod')];
  const program = background(
    file!,
    [
      ...words,
      'discovery',
      ...['--httpAddr', at(0), '--grpcAddr', at(0), '--secureGRPCAddr', at(0)],
      ...['--monitoringAddr', at(0), '--httpsAddr', '127.0.0.1:0', '--kubeconfig', kubeconfig],
    ],
    { ROOT_CA_DIR: '/nonexistent', ...environment },
  );
  const pid = program.process.pid!;
  /** The free port that it took for `name`. */
  const port = (name: string): number => {
    const [, found] = new RegExp(`\\tready\\t.*\\b${name}=(\\d+)`).exec(program.output()) ?? [];
    if (found === undefined) throw new Error('it has not said that it is ready');
    return Number(found);
  };
  const get = async (path: string, token?: string): Promise<string> => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const answer = await fetch(`http://${at(port('http'))}${path}`, { headers });
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    return await answer.text();
  };
  try {
    await eventually(
      'istiod ready',
      async () => (program.process.exitCode === null ? await get('/ready') : 'it has ended'),
      { withinMs, everyMs: 10 },
    );
    if (program.process.exitCode !== null) throw new Error(`it ended with ${program.process.exitCode}`);
  } catch (error) {
    await program.stop('SIGKILL');
    throw new Error(`istiod did not become ready:\n${program.output().slice(-4000)}`, { cause: error });
  }
  return {
    grpc: at(port('grpc')),
    securePort: port('secureGrpc'),
    readyMs: performance.now() - started,
    cpuSeconds: () => cpuSeconds([pid]),
    residentMb: () => residentMb(pid),
    get,
    signal: (signal) => program.process.kill(signal),
    output: () => program.output(),
    stop: (signal) => program.stop(signal),
  };
}

function residentMb(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return (Number(match?.[1] ?? Number.NaN) * 1024) / 1e6;
}

/** A mesh of that size and an istiod that serves it, until `stack` ends. `folder` goes with them. */
export async function startControlPlane(size: Size, stack: AsyncDisposableStack) {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-bench-'));
  stack.defer(() => rmSync(folder, { recursive: true }));
  const kubeconfig = join(folder, 'kubeconfig');
  const feed = await startFeed(size, kubeconfig);
  stack.defer(() => feed.kill());
  const istiod = await startIstiod(kubeconfig, 120_000);
  stack.defer(() => istiod.stop());
  return { feed, folder, istiod };
}
