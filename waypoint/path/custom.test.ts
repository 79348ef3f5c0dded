// SPDX-License-Identifier: Apache-2.0
// CUSTOM policies, seen from client, server and authoriser: who is asked what, what an answer does, and what comes of none.
import assert from 'node:assert/strict';
import {
  createServer,
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
} from 'node:http';
import { createServer as createTcp, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { Server as GrpcServer, ServerCredentials, type UntypedHandleCall } from '@grpc/grpc-js';
import {
  HeaderValueOption_AppendAction as Action,
  Authorization,
  type CheckRequest,
  CheckResponseSchema,
  type HeaderValueOption,
  HeaderValueOptionSchema,
  QueryParameterSchema,
} from '#lib/proto/gen/ext_authz_pb.ts';
import { grpcService } from '#lib/proto/grpc.ts';
import { listenAnywhere } from '#lib/testkit/listen.ts';
import { RawClient } from '#lib/testkit/raw-http.ts';
import { until } from '#lib/testkit/until.ts';
import { backendOf, serviceOf, WaypointProgram } from '#lib/testkit/waypoint.ts';

type Answer = MessageInitShape<typeof CheckResponseSchema>;

interface Told {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

function option(
  key: string,
  value: string,
  more: Omit<MessageInitShape<typeof HeaderValueOptionSchema>, '$typeName' | 'header'> = {},
): HeaderValueOption {
  return create(HeaderValueOptionSchema, { header: { key, value }, ...more });
}

/** What servers and authorisers have heard, newest last. */
const heard = { app: [] as Told[], http: [] as Told[], grpc: [] as CheckRequest[] };
/** By path without its query. */
const answers: Record<string, Answer | 'silence' | 'failure'> = {
  '/grpc/changes': {
    httpResponse: {
      case: 'okResponse',
      value: {
        headers: [
          option('X-User', 'eve'),
          option('x-role', 'admin', { append: true }),
          option('x-there', 'new', { appendAction: Action.ADD_IF_ABSENT }),
          option('x-nowhere', 'new', { appendAction: Action.OVERWRITE_IF_EXISTS }),
          option('host', 'elsewhere'),
        ],
        headersToRemove: ['X-Secret', 'host'],
        responseHeadersToAdd: [
          option('x-answered', 'for eve'),
          option('x-also', 'there', { appendAction: Action.ADD_IF_ABSENT }),
        ],
        queryParametersToSet: [create(QueryParameterSchema, { key: 'as', value: 'e v' })],
        queryParametersToRemove: ['token'],
      },
    },
  },
  '/grpc/denied': {
    status: { code: 7 },
    httpResponse: {
      case: 'deniedResponse',
      value: { status: { code: 418 }, headers: [option('x-why', 'tea')], body: 'no coffee' },
    },
  },
  '/grpc/plain-denial': { status: { code: 16 } },
  '/grpc/silence': 'silence',
  '/grpc/failure': 'failure',
  '/open/failure': 'failure',
};

function listening(server: Server | ReturnType<typeof createTcp>): Promise<number> {
  return listenAnywhere(server);
}

function http(
  into: Told[],
  answer: (told: Told, send: (status: number, headers?: object, body?: string) => void) => void,
) {
  return createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const { headers, method = '', url = '' } = request;
      const told = { method, url, headers, body: Buffer.concat(parts).toString() };
      into.push(told);
      answer(told, (status, fields = {}, body = '') => {
        response.writeHead(status, fields as Record<string, string>).end(body);
      });
    });
  });
}

const app = http(heard.app, (_told, send) => send(200, {}, 'ok'));
const sockets = new Set<Socket>();
const stream = createTcp((socket) => socket.end('hello\n'));
const httpAuthoriser = http(heard.http, ({ headers, url }, send) => {
  if (url.startsWith('/check/http/good')) send(200, { 'x-user': 'eve', 'x-other': 'kept back', 'set-cookie': 'a=b' });
  else if (url.startsWith('/check/http/broken')) send(503, {}, 'broken');
  else send(302, { location: '/login', 'x-hidden': 'yes', 'x-told': headers['x-from'] as string }, 'log in');
});
let questionConnections = 0;
httpAuthoriser.on('connection', () => questionConnections++);
const grpc = new GrpcServer();
grpc.addService(grpcService(Authorization), {
  check: ((call: { request: CheckRequest }, done: (error: object | null, answer?: unknown) => void) => {
    heard.grpc.push(call.request);
    const path = call.request.attributes?.request?.http?.path.split('?')[0] ?? 'stream';
    const answer = answers[path] ?? {};
    if (answer === 'failure') done({ code: 13, details: 'no idea' });
    else if (answer !== 'silence') done(null, create(CheckResponseSchema, answer));
  }) as unknown as UntypedHandleCall,
});

let program: WaypointProgram;

before(async () => {
  const grpcPort = await new Promise<number>((resolve, reject) =>
    grpc.bindAsync('0.0.0.0:0', ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    ),
  );
  stream.on('connection', (socket) => sockets.add(socket));
  const [appPort, streamPort, httpPort] = [
    await listening(app),
    await listening(stream),
    await listening(httpAuthoriser),
  ];
  const target = (name: string): object => ({ service: serviceOf(name), port: 80 });
  const byGrpc = (name: string, more: object = {}): object => ({
    name,
    kind: 'KIND_EXT_AUTHZ_GRPC',
    target: target('grpc'),
    timeoutMs: 20_000,
    statusOnError: 403,
    ...more,
  });
  const under = (prefix: string): object => ({
    http: { paths: { any: [{ kind: 'KIND_PREFIX', value: prefix }] } },
  });
  const custom = (provider: string, ...matches: object[]): object => ({
    name: `default/${provider}`,
    action: 'ACTION_CUSTOM',
    provider,
    rules: matches.map((match) => ({ clauses: [{ matches: [match] }] })),
  });
  program = await WaypointProgram.start({
    services: [
      { name: 'app', ports: [appPort] },
      { name: 'stream', ports: [streamPort] },
      { name: 'grpc', ports: [grpcPort] },
      { name: 'http', ports: [httpPort] },
      { name: 'refusing', ports: [1] },
    ],
    routes: [{ rule: { backends: [backendOf('app')] } }],
    stream: 'stream',
    settings: {
      providers: [
        byGrpc('grpc'),
        byGrpc('hasty', { timeoutMs: 50, statusOnError: 504 }),
        byGrpc('open', { failOpen: true }),
        byGrpc('gone', { target: undefined }),
        byGrpc('refused', { target: target('refusing') }),
        byGrpc('body', { bodyBytes: 10 }),
        byGrpc('part', { bodyBytes: 10, bodyPartial: true, bodyAsBytes: true }),
        {
          name: 'http',
          kind: 'KIND_EXT_AUTHZ_HTTP',
          target: target('http'),
          path: '/check',
          timeoutMs: 20_000,
          statusOnError: 403,
          requestHeaders: ['cookie', 'x-a*'],
          extraHeaders: [{ name: 'x-from', value: 'mesh' }],
          upstreamHeaders: ['x-user'],
          denyHeaders: ['x-told'],
          allowHeaders: ['set-*'],
        },
      ],
    },
    more: {
      accessPolicies: [
        custom('grpc', under('/grpc/')),
        custom('hasty', under('/hasty')),
        custom('open', under('/open')),
        custom('gone', under('/gone')),
        custom('refused', under('/refused')),
        custom('body', under('/body')),
        custom('part', under('/part')),
        custom('http', under('/http/'), under('/both')),
        { ...custom('grpc', under('/both')), name: 'default/also-grpc' },
        {
          name: 'default/no-guests',
          action: 'ACTION_DENY',
          rules: [
            {
              clauses: [
                { matches: [{ http: { headers: [{ name: 'x-user', value: { any: [{ value: 'eve' }] } }] } }] },
                { matches: [under('/http/good-but')] },
              ],
            },
          ],
        },
      ],
    },
  });
});
after(async () => {
  await program?.stop();
  grpc.forceShutdown();
  for (const socket of sockets) socket.destroy();
  stream.close();
  app.close().closeAllConnections();
  httpAuthoriser.close().closeAllConnections();
});

interface Got {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

function ask(path: string, headers: Record<string, string> = {}, method = 'GET', body = ''): Promise<Got> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(program.url(path), { method, headers, agent: false }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: text }));
    });
    request.on('error', reject).end(body);
  });
}

test('an authoriser by gRPC is told of the request, and what it changes reaches server and client', async () => {
  const got = await ask('/grpc/changes?token=x&b=c', {
    'x-role': 'guest',
    'x-there': 'old',
    'x-secret': 's',
    host: 'shop',
  });
  assert.equal(got.status, 200);
  assert.deepEqual([got.headers['x-answered'], got.headers['x-also']], ['for eve', 'there']);
  const { destination, request, source } = heard.grpc.at(-1)!.attributes!;
  const asked = request!.http!;
  assert.deepEqual(
    [asked.method, asked.path, asked.host, asked.scheme, asked.protocol, asked.size],
    ['GET', '/grpc/changes?token=x&b=c', 'shop', 'http', 'HTTP/1.1', 0n],
  );
  assert.deepEqual([asked.headers[':path'], asked.headers['x-role']], ['/grpc/changes?token=x&b=c', 'guest']);
  assert.equal(source!.address!.socketAddress!.address, '127.0.0.1');
  assert.ok(source!.address!.socketAddress!.portValue > 0 && destination!.address!.socketAddress!.portValue > 0);
  assert.ok(asked.id !== '' && request!.time!.seconds > 1_600_000_000n);
  const { headers, url } = heard.app.at(-1)!;
  assert.equal(url, '/grpc/changes?b=c&as=e%20v');
  assert.deepEqual(
    [headers['x-user'], headers['x-role'], headers['x-there'], headers['x-nowhere'], headers['x-secret'], headers.host],
    ['eve', 'guest, admin', 'old', undefined, undefined, 'shop'],
  );
  assert.equal(headers['x-request-id'], asked.id);
});

test('an authoriser by gRPC denies with its own status, headers and body, or with 403', async () => {
  const denied = await ask('/grpc/denied');
  assert.deepEqual([denied.status, denied.headers['x-why'], denied.body], [418, 'tea', 'no coffee']);
  const record = await program.record('/grpc/denied');
  assert.deepEqual(
    [record['response_flags'], record['response_code_details'], record['policy'], record['ext_authz']],
    ['UAEX', 'ext_authz_denied', 'default/grpc', 'grpc: denied with 418'],
  );
  assert.equal((await ask('/grpc/plain-denial')).status, 403);
});

test('a request that waits holds up no other', async () => {
  const silent = ask('/grpc/silence').catch(() => undefined);
  await until('the silent question is there', () =>
    heard.grpc.some((one) => one.attributes?.request?.http?.path === '/grpc/silence'),
  );
  for (let i = 0; i < 20; i++) assert.equal((await ask(`/grpc/other/${i}`)).status, 200);
  void silent;
  assert.equal((await ask('/elsewhere')).status, 200);
});

test('no answer in time, a failure, nobody there: such requests are refused, and log and metric say why', async () => {
  answers['/hasty'] = 'silence';
  assert.equal((await ask('/hasty')).status, 504);
  // The authoriser’s own clock may be the first.
  assert.match(String((await program.record('/hasty'))['ext_authz']), /^hasty: (no answer within 50 ms|.*status 4)/);
  assert.equal((await ask('/grpc/failure')).status, 403);
  const failure = await program.record('/grpc/failure');
  assert.equal(failure['ext_authz'], 'grpc: answered grpc-status 13: no idea');
  assert.equal(failure['response_code_details'], 'ext_authz_error');
  assert.equal((await ask('/refused')).status, 403);
  assert.match(String((await program.record('/refused'))['ext_authz']), /^refused: ECONNREFUSED/);
  const gone = await ask('/gone');
  assert.deepEqual([gone.status, gone.body], [403, 'RBAC: access denied']);
  assert.equal((await program.record('/gone'))['ext_authz'], 'gone: is no provider of the mesh that can be asked');
  await until('all are counted', async () => {
    const text = await program.metrics();
    return ['hasty",result="error', 'gone",result="unknown', 'refused",result="error'].every((one) =>
      text.includes(`ambit_ext_authz_total{provider="${one}"} 1`),
    );
  });
});

test('failOpen lets in whom nobody could judge, and says so', async () => {
  assert.equal((await ask('/open/failure')).status, 200);
  const record = await program.record('/open/failure');
  assert.equal(record['ext_authz'], 'open: answered grpc-status 13: no idea; let in, as failOpen has it');
  await until('it is counted', async () =>
    /ambit_ext_authz_total\{provider="open",result="failed-open"\} 1/.test(await program.metrics()),
  );
});

test('an authoriser by HTTP gets the request’s line and the headers it may have', async () => {
  const got = await ask('/http/good?q=1', {
    host: 'shop',
    cookie: 'c=d',
    'x-abc': '1',
    'x-not': '2',
    authorization: 'Basic x',
  });
  assert.deepEqual([got.status, got.headers['set-cookie'], got.headers['x-other']], [200, ['a=b'], undefined]);
  const { headers, method, url } = heard.http.at(-1)!;
  assert.deepEqual([method, url, headers.host], ['GET', '/check/http/good?q=1', 'shop']);
  assert.deepEqual(
    [headers.cookie, headers['x-abc'], headers['x-not'], headers.authorization, headers['x-from']],
    ['c=d', '1', undefined, 'Basic x', 'mesh'],
  );
  const server = heard.app.at(-1)!.headers;
  assert.deepEqual([server['x-user'], server['x-other']], ['eve', undefined]);
});

test('an authoriser by HTTP denies with whatever is not 200, 5xx is no answer, and one connection serves all questions', async () => {
  const denied = await ask('/http/other');
  assert.deepEqual([denied.status, denied.body, denied.headers.location], [302, 'log in', '/login']);
  assert.deepEqual([denied.headers['x-told'], denied.headers['x-hidden']], ['mesh', undefined]);
  assert.equal((await ask('/http/broken')).status, 403);
  assert.equal((await program.record('/http/broken'))['ext_authz'], 'http: answered 503');
  assert.equal(questionConnections, 1);
});

test('what authorisers change is seen by DENY and ALLOW policies, which come after', async () => {
  const got = await ask('/http/good-but');
  assert.deepEqual([got.status, got.body], [403, 'RBAC: access denied']);
  assert.equal((await program.record('/http/good-but'))['policy'], 'default/no-guests');
});

test('of several authorisers all must allow', async () => {
  const got = await ask('/both');
  assert.equal(got.status, 302);
  assert.match(String((await program.record('/both'))['ext_authz']), /http: denied with 302$/);
});

test('content goes along as far as the provider asks for it, and reaches the server whole', async () => {
  assert.equal((await ask('/body/short', {}, 'POST', '0123456789')).status, 200);
  assert.equal(heard.grpc.at(-1)!.attributes!.request!.http!.body, '0123456789');
  assert.equal(heard.app.at(-1)!.body, '0123456789');
  assert.equal((await ask('/body/long', {}, 'POST', '0123456789x')).status, 413);
  const long = 'y'.repeat(300_000);
  assert.equal((await ask('/part', {}, 'POST', long)).status, 200);
  const { headers, rawBody } = heard.grpc.at(-1)!.attributes!.request!.http!;
  assert.deepEqual([Buffer.from(rawBody).toString(), headers['x-envoy-auth-partial-body']], ['y'.repeat(10), 'true']);
  assert.equal(heard.app.at(-1)!.body, long);
});

test('a client that waits for 100 gets it before its content is asked about', async () => {
  const client = await RawClient.connect(program.port());
  client.sendRaw('POST /body/expect HTTP/1.1\r\nhost: shop\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n');
  await client.sees(/^HTTP\/1\.1 100 /);
  client.sendRaw('abc');
  await client.sees(/HTTP\/1\.1 200 /);
  assert.equal(heard.app.at(-1)!.body, 'abc');
  client.socket.destroy();
});

test('a stream that is no HTTP waits for the authoriser, too', async () => {
  // On a stream the paths of the CUSTOM policies are not asked, so each of them applies, and one names nobody.
  const client = await RawClient.connect(program.port('mesh'));
  await new Promise<void>((resolve) => client.socket.once('close', () => resolve()));
  await until('it is told', () => program.output.includes('a stream was not let in by an external authoriser'));
  assert.match(program.output, /ext_authz="grpc: allowed, /);
});
