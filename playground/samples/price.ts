// SPDX-License-Identifier: Apache-2.0
// The price list: gRPC, one unary method and one stream of questions and answers. Messages are JSON, which gRPC allows
// (the content type's subtype is the codec's business), so that the sample needs no generated code.
import {
  type ClientDuplexStream,
  credentials,
  makeClientConstructor,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceDefinition,
} from '@grpc/grpc-js';
import { PHRASE } from './catalog.ts';

export interface Question {
  readonly item: string;
}

export interface Quote {
  readonly item: string;
  readonly cents: number;
  readonly client: string;
}

const serialize = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const deserialize = <T>(bytes: Buffer): T => JSON.parse(bytes.toString('utf8')) as T;
const method = (name: string, stream: boolean) => ({
  path: `/shop.Price/${name}`,
  requestStream: stream,
  responseStream: stream,
  requestSerialize: serialize,
  requestDeserialize: deserialize<Question>,
  responseSerialize: serialize,
  responseDeserialize: deserialize<Quote>,
});

const service = { Get: method('Get', false), Watch: method('Watch', true) } satisfies ServiceDefinition;

export interface PriceClient {
  Get(question: Question, callback: (error: Error | null, quote?: Quote) => void): unknown;
  Watch(): ClientDuplexStream<Question, Quote>;
  close(): void;
}

const Client = makeClientConstructor(service, 'shop.Price');

/** A client with a connection of its own: those of one process share them else, and a new one would go on with a lost one's. */
export function priceClient(place: string): PriceClient {
  const options = { 'grpc.use_local_subchannel_pool': 1 };
  return new Client(place, credentials.createInsecure(), options) as unknown as PriceClient;
}

export function servePrice(port: number): void {
  const server = new Server();
  const quote = ({ item }: Question, peer: string): Quote => ({
    item: `${item} ${PHRASE}`,
    cents: item.length,
    client: peer,
  });
  server.addService(service, {
    Get: (call: { request: Question; getPeer(): string }, callback: (error: null, quote: Quote) => void) =>
      callback(null, quote(call.request, call.getPeer())),
    Watch: (call: ServerDuplexStream<Question, Quote>) => {
      call.on('data', (question: Question) => call.write(quote(question, call.getPeer())));
      call.on('end', () => call.end());
    },
  });
  server.bindAsync(`[::]:${port}`, ServerCredentials.createInsecure(), (error) => {
    if (error !== null) throw error;
  });
}
