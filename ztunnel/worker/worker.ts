// SPDX-License-Identifier: Apache-2.0
// One data-plane process of ztunnel: turns main's messages into pods and judgements, and answers.
import { startCpuProfile } from '#lib/kit/profile.ts';
import type { WorkerContext } from '#lib/loop/worker.ts';
import type { CommonToWorker } from '#lib/proxy/control.ts';
import type { PeerTrust } from '#lib/proxy/worker/peer-trust.ts';
import { type ProxyProgram, ProxyWorker } from '#lib/proxy/worker/proxy-worker.ts';
import {
  CONNECTIONS_PER_MESSAGE,
  type ConnectionInfo,
  type ToMain,
  type ToWorker,
  type WorkerSettings,
} from '../control.ts';
import { assemble } from './assembly.ts';
import { PodTable } from './pod-table.ts';
import type { Runtime } from './runtime.ts';
import type { Telemetry } from './telemetry.ts';

type OwnMessage = Exclude<ToWorker, CommonToWorker<WorkerSettings>>;

/** A data-plane process, as the loop runs it. */
export function createWorker(context: WorkerContext): ProxyWorker<WorkerSettings, OwnMessage> {
  return new ProxyWorker(context, (settings) => new ZtunnelWorker(context, settings));
}

class ZtunnelWorker implements ProxyProgram<OwnMessage> {
  readonly trust: PeerTrust;
  readonly telemetry: Telemetry;
  readonly #context: WorkerContext;
  readonly #runtime: Runtime;
  readonly #pods: PodTable;
  #ending = false;

  constructor(context: WorkerContext, settings: WorkerSettings) {
    this.#context = context;
    const toMain = (message: ToMain) => this.#send(message);
    this.#pods = new PodTable(toMain, () => this.#checkDrained());
    this.#runtime = assemble(context, settings, toMain, () => this.#pods.values());
    this.trust = this.#runtime.trust;
    this.telemetry = this.#runtime.telemetry;
  }

  takeTunnel(door: string, fd: number): boolean {
    return this.#pods.takeTunnel(this.#runtime, door, fd);
  }

  onMessage(message: OwnMessage, fds: number[]): void {
    const { liveInbound, recent, telemetry, waits } = this.#runtime;
    switch (message.kind) {
      case 'pod-add':
        this.#pods.add(this.#runtime, message.pod, fds.shift());
        return;
      case 'pod-delete':
        this.#pods.delete(message.uid);
        this.#send({ kind: 'pod-deleted', uid: message.uid });
        return;
      case 'mesh':
        waits.retryAll();
        if (message.policies) liveInbound.judgeAgain();
        return;
      case 'absent':
        waits.absent(message.name);
        return;
      case 'access-log':
        telemetry.accessLog = message.enabled;
        telemetry.openedLog = message.opened;
        telemetry.dnsLog = message.dns;
        return;
      case 'drain':
        if (message.mode === 'graceful') this.drain(message.deadlineMs);
        else this.#endAll();
        return;
      case 'list-connections':
        this.#list(message.request);
        return;
      case 'profile':
        this.#profile(message.request, message.ms, message.frequency);
        return;
      case 'list-recent':
        this.#send({ kind: 'recent', request: message.request, list: recent.list() });
        return;
    }
  }

  drain(deadlineMs: number): void {
    if (this.#ending) return;
    this.#ending = true;
    this.#pods.drain();
    this.#context.loop.after(deadlineMs, { onTimer: () => this.#endAll() });
    this.#checkDrained();
  }

  #list(request: number): void {
    let part: ConnectionInfo[] = [];
    for (const info of this.#pods.connections()) {
      part.push(info);
      if (part.length < CONNECTIONS_PER_MESSAGE) continue;
      this.#send({ kind: 'connections', request, list: part, last: false });
      part = [];
    }
    this.#send({ kind: 'connections', request, list: part, last: true });
  }

  #profile(request: number, ms: number, frequency: number): void {
    const profile = startCpuProfile(frequency);
    this.#context.loop.after(ms, { onTimer: () => this.#send({ kind: 'profile', request, profile: profile.stop() }) });
  }

  #endAll(): void {
    this.#ending = true;
    this.#pods.close();
    this.#checkDrained();
  }

  #checkDrained(): void {
    if (!this.#ending || !this.#pods.idle) return;
    this.#send({ kind: 'drained' });
    this.#context.stop(0);
  }

  #send(message: ToMain): void {
    this.#context.channel.sendJson(message);
  }
}
