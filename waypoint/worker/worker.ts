// SPDX-License-Identifier: Apache-2.0
// One data-plane process of the waypoint: turns main's messages into listeners and configuration.
import type { WorkerContext } from '#lib/loop/worker.ts';
import type { CommonToWorker } from '#lib/proxy/control.ts';
import type { PeerTrust } from '#lib/proxy/worker/peer-trust.ts';
import { type ProxyProgram, ProxyWorker } from '#lib/proxy/worker/proxy-worker.ts';
import type { ToMain, ToWorker, WorkerSettings } from '../control.ts';
import { Listeners } from '../listener/listeners.ts';
import { assemble } from './assembly.ts';
import type { Runtime } from './runtime.ts';
import type { Telemetry } from './telemetry.ts';

type OwnMessage = Exclude<ToWorker, CommonToWorker<WorkerSettings>>;

/** A data-plane process, as the loop runs it. */
export function createWorker(context: WorkerContext): ProxyWorker<WorkerSettings, OwnMessage> {
  return new ProxyWorker(context, (settings) => new WaypointWorker(context, settings));
}

class WaypointWorker implements ProxyProgram<OwnMessage> {
  readonly trust: PeerTrust;
  readonly telemetry: Telemetry;
  readonly #context: WorkerContext;
  readonly #runtime: Runtime;
  readonly #listeners: Listeners;
  #draining = false;

  constructor(context: WorkerContext, settings: WorkerSettings) {
    this.#context = context;
    this.#runtime = assemble(context, settings, (message) => this.#send(message));
    this.trust = this.#runtime.trust;
    this.telemetry = this.#runtime.telemetry;
    this.#listeners = new Listeners(this.#runtime, (listener, port) =>
      this.#send({ kind: 'listening', listener, port }),
    );
  }

  takeTunnel(_door: string, fd: number): boolean {
    return this.#listeners.takeTunnel(fd);
  }

  onMessage(message: OwnMessage): void {
    const { l7, liveInbound } = this.#runtime;
    switch (message.kind) {
      case 'config':
        l7.follow();
        if (!this.#draining) this.#listeners.update();
        liveInbound.judgeAgain();
        return;
      case 'drain':
        this.drain(message.deadlineMs);
        return;
    }
  }

  drain(deadlineMs: number): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#listeners.close();
    const { connections, loop } = this.#runtime;
    loop.after(deadlineMs, { onTimer: () => this.#end() });
    connections.drain(() => this.#end());
  }

  #end(): void {
    this.#runtime.connections.kill();
    this.#send({ kind: 'drained' });
    this.#context.stop(0);
  }

  #send(message: ToMain): void {
    this.#context.channel.sendJson(message);
  }
}
