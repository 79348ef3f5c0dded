// SPDX-License-Identifier: Apache-2.0
// What HTTP connections are told to do with requests: one exchange each.
import type { HttpConnection, HttpService, ServerStream, ServerUser } from '#lib/net/http/exchange.ts';
import { H2Server } from '#lib/net/http/h2-server.ts';
import { Exchange } from '../path/exchange.ts';
import { GrpcWebBridge } from '../path/grpc-web.ts';
import type { Runtime } from '../worker/runtime.ts';
import type { Arrived } from './arrived.ts';

export class ExchangeService implements HttpService {
  readonly #runtime: Runtime;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  onRequest(stream: ServerStream, connection: HttpConnection): ServerUser {
    const { origin } = connection.context as Arrived;
    origin.door.refresh();
    const bridge = origin.door.bridgesGrpcWeb ? GrpcWebBridge.of(this.#runtime.bench, stream) : null;
    const exchange = new Exchange(this.#runtime, origin, bridge ?? stream);
    const user = bridge?.serve(exchange) ?? exchange;
    exchange.begin();
    return user;
  }

  onBadRequest(_connection: HttpConnection, status: number, reason: string): void {
    this.#runtime.telemetry.count('ambit_bad_requests_total', { status: String(status), reason });
  }

  onConnectionEnd(connection: HttpConnection): void {
    const { cuts, connections } = this.#runtime;
    const { onEnd, origin } = connection.context as Arrived;
    connections.delete(connection);
    if (connection instanceof H2Server) cuts.ended(connection.session, origin.sourceText);
    onEnd();
  }
}
