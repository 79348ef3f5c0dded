// SPDX-License-Identifier: Apache-2.0
// Asks external authorisers: bounded in number, by the connections that requests use too, in the turns of the loop.
import type { Loop } from '#lib/loop/loop.ts';
import { type CheckAnswer, readHttpAnswer } from '#lib/mesh/http/external-check.ts';
import type { Provider } from '#lib/mesh/http/waypoint.ts';
import { ANY_HOST } from '#lib/mesh/upstream/balancer.ts';
import { Call, type CallAnswer, type CallOwner } from '#lib/net/http/call.ts';
import type { Cluster } from '../upstream/cluster.ts';
import type { Clusters } from '../upstream/clusters.ts';
import type { Member } from '../upstream/member.ts';
import { grpcQuestion, readGrpcAnswer } from './grpc-check.ts';
import { httpQuestion } from './http-check.ts';
import type { Subject } from './subject.ts';

/** Questions of one process that one authoriser has before it, at most. */
const AT_ONCE = 1024;
/** Of an answer: it is a page for a client at most. */
const MAX_ANSWER = 1 << 20;

/** Hears what came of a question, once; maybe before `ask` returns. */
export type AnswerListener = (answer: CheckAnswer) => void;

export interface Asked {
  /** The answer is not wanted any more. */
  cancel(): void;
}

export interface AskingRuntime {
  readonly clusters: Clusters;
  readonly loop: Loop;
}

export class Authorisers {
  readonly #runtime: AskingRuntime;
  readonly #waiting = new Map<string, number>();

  constructor(runtime: AskingRuntime) {
    this.#runtime = runtime;
  }

  /** @param provider one that can be asked */
  ask(provider: Provider, subject: Subject, listener: AnswerListener): Asked {
    const { clusters, loop } = this.#runtime;
    const cluster = clusters.of(provider.target!);
    const nobody = (reason: string): Asked => {
      listener({ kind: 'error', reason, denial: undefined });
      return NOTHING_ASKED;
    };
    if (provider.kind === 'ext-authz-http' && subject.http === undefined)
      return nobody('is asked by HTTP, which streams cannot be told by');
    const waiting = this.#waiting.get(provider.name) ?? 0;
    if (waiting >= AT_ONCE) return nobody(`has ${AT_ONCE} questions before it`);
    if (cluster.missing) return nobody(`${provider.target!.service} is not known`);
    const member = cluster.pick(ANY_HOST);
    if (member === undefined) return nobody(`${provider.target!.service} has no endpoint`);
    if (!cluster.breaker.take('requests')) return nobody('has more requests before it than its DestinationRule allows');
    const byGrpc = provider.kind === 'ext-authz-grpc';
    const { body, head } = byGrpc ? grpcQuestion(subject, provider) : httpQuestion(subject.http!, provider);
    const count = (delta: 1 | -1): void => {
      this.#waiting.set(provider.name, (this.#waiting.get(provider.name) ?? 0) + delta);
    };
    count(1);
    const asking = new Asking(provider, cluster, member, listener, () => count(-1));
    const call = new Call({ loop, head, body, timeoutMs: provider.timeoutMs, maxBytes: MAX_ANSWER }, asking);
    asking.call = call;
    call.begin(member.upstream(byGrpc || cluster.speaksH2 ? 'h2' : 'h1'));
    return asking;
  }
}

const NOTHING_ASKED: Asked = Object.freeze({ cancel() {} });

class Asking implements CallOwner, Asked {
  call: Call | null = null;
  readonly #provider: Provider;
  readonly #cluster: Cluster;
  readonly #member: Member;
  readonly #listener: AnswerListener;
  readonly #onEnd: () => void;

  constructor(provider: Provider, cluster: Cluster, member: Member, listener: AnswerListener, onEnd: () => void) {
    this.#provider = provider;
    this.#cluster = cluster;
    this.#member = member;
    this.#listener = listener;
    this.#onEnd = onEnd;
    member.count(1);
  }

  cancel(): void {
    this.call?.cancel();
    this.#end();
  }

  onAnswer(answer: CallAnswer): void {
    const { status } = answer;
    this.#cluster.report(this.#member, { kind: 'status', status });
    this.#end();
    this.#listener(
      this.#provider.kind === 'ext-authz-grpc'
        ? readGrpcAnswer(answer)
        : readHttpAnswer(this.#provider, status, answer.fields, answer.body.toString('utf8')),
    );
  }

  onNoAnswer(cause: string): void {
    this.#end();
    this.#listener({ kind: 'error', reason: cause, denial: undefined });
  }

  #end(): void {
    if (this.call === null) return;
    this.call = null;
    this.#cluster.breaker.give('requests');
    this.#member.count(-1);
    this.#onEnd();
  }
}
