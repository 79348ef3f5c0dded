// SPDX-License-Identifier: Apache-2.0
// One data-plane process of a proxy: main's messages in the order that every proxy keeps. Settings come first and once, from which the
// program builds what it is; what is about certificates goes to its trust, the rest to the program. Everything of it runs on the
// loop's thread, between two waits.
import { AmbitError } from '#lib/kit/error.ts';
import { close as closeFd } from '#lib/linux/calls.ts';
import { decodeJson } from '#lib/loop/channel.ts';
import type { WorkerContext, WorkerProgram } from '#lib/loop/worker.ts';
import type { CommonToMain, CommonToWorker, SlotRun } from '../control.ts';
import type { PeerTrust } from './peer-trust.ts';

/** What a program does in its data-plane processes; `In` are the messages that it gets beside the common ones. */
export interface ProxyProgram<In> {
  readonly trust: PeerTrust;
  readonly telemetry: { freed(runs: readonly SlotRun[]): void };
  /** A connection for tunnels that came to `door` of another process, which has counted it as ours; false: nobody takes it. */
  takeTunnel(door: string, fd: number): boolean;
  /** What it leaves in `fds` is closed. */
  onMessage(message: In, fds: number[]): void;
  /** Takes no new connections; the process ends with the last one, and within `deadlineMs`. */
  drain(deadlineMs: number): void;
}

export class ProxyWorker<Settings, In extends { readonly kind: string }> implements WorkerProgram {
  readonly #context: WorkerContext;
  readonly #build: (settings: Settings) => ProxyProgram<In>;
  #program: ProxyProgram<In> | null = null;

  constructor(context: WorkerContext, build: (settings: Settings) => ProxyProgram<In>) {
    this.#context = context;
    this.#build = build;
  }

  /** Throws WORKER_ORDER for what comes before the settings, and what building from them throws. */
  onMessage(bytes: Uint8Array, fds: number[]): void {
    this.#handle(decodeJson(bytes) as CommonToWorker<Settings> | In, fds);
    for (const fd of fds.splice(0)) closeFd(fd);
  }

  onMainGone(deadlineMs: number): void {
    if (this.#program === null) this.#context.stop(0);
    else this.#program.drain(deadlineMs);
  }

  #handle(message: CommonToWorker<Settings> | In, fds: number[]): void {
    const program = this.#program;
    if (!isCommon<Settings>(message)) this.#known(program, message.kind).onMessage(message as In, fds);
    else if (message.kind === 'slots-free') this.#known(program, message.kind).telemetry.freed(message.runs);
    else if (message.kind === 'tunnel') {
      const taker = this.#known(program, message.kind);
      if (fds.length > 0 && taker.takeTunnel(message.door, fds[0]!)) fds.shift();
    } else if (message.kind !== 'settings') this.#known(program, message.kind).trust.onMessage(message);
    else {
      this.#program ??= this.#build(message.settings);
      this.#context.channel.sendJson({ kind: 'ready' } satisfies CommonToMain);
    }
  }

  #known(program: ProxyProgram<In> | null, kind: string): ProxyProgram<In> {
    if (program === null) throw new AmbitError('WORKER_ORDER', `message ${kind} came before the settings`);
    return program;
  }
}

const COMMON: ReadonlySet<string> = new Set<CommonToWorker<never>['kind']>([
  'settings',
  'identity',
  'identity-failed',
  'identity-gone',
  'revocations',
  'slots-free',
  'tunnel',
]);

function isCommon<Settings>(message: { readonly kind: string }): message is CommonToWorker<Settings> {
  return COMMON.has(message.kind);
}
