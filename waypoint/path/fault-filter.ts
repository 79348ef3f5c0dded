// SPDX-License-Identifier: Apache-2.0
// Faults that a route asks for: a delay, then maybe an answer that is none of the server's.
import type { TimerId, TimerTarget } from '#lib/loop/timer-wheel.ts';
import type { FaultVerdict } from '#lib/mesh/http/route-verdict.ts';
import { type JudgedRequest, PASS, type RequestFilter, type Ruling, type Waiting } from './filter.ts';

export class FaultFilter implements RequestFilter {
  judge(exchange: JudgedRequest): Ruling {
    const fault = exchange.routed?.fault;
    if (fault === undefined) return PASS;
    if (fault.delayMs === 0) return abort(exchange, fault);
    exchange.flags = 'DI';
    return new Delay(exchange, fault);
  }
}

class Delay implements Waiting, TimerTarget {
  readonly kind = 'wait';
  readonly #exchange: JudgedRequest;
  readonly #fault: FaultVerdict;
  readonly #timer: TimerId;

  constructor(exchange: JudgedRequest, fault: FaultVerdict) {
    this.#exchange = exchange;
    this.#fault = fault;
    this.#timer = exchange.runtime.loop.after(fault.delayMs, this);
  }

  onTimer(): void {
    this.#exchange.proceed(abort(this.#exchange, this.#fault));
  }

  abandon(): void {
    this.#exchange.runtime.loop.cancel(this.#timer);
  }
}

function abort(exchange: JudgedRequest, { abortGrpc, abortStatus }: FaultVerdict): Ruling {
  if (abortGrpc === undefined && abortStatus <= 0) return PASS;
  if (abortGrpc !== undefined) exchange.grpc = true;
  const status = abortStatus > 0 ? abortStatus : 200;
  const reply = { status, body: 'fault filter abort', grpc: abortGrpc };
  return { kind: 'refuse', reply, flags: 'FI', details: 'fault_filter_abort' };
}
